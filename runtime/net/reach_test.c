#include "net/reach.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "base/test.h"

static bool is_public(const char *text) {
    struct sockaddr_in in4 = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, text, &in4.sin_addr) == 1)
        return peri_reach_is_public((struct sockaddr *)&in4);
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1) abort();
    return peri_reach_is_public((struct sockaddr *)&in6);
}

static void check(const char *text, bool want) {
    if (is_public(text) != want) fprintf(stderr, "  %s\n", text);
    CHECK_EQ(is_public(text), want);
}

TEST(public_addresses_are_reached) {
    static const char *const list[] = {
        "1.1.1.1",         "8.8.8.8",          "100.63.255.255",       "100.128.0.0",
        "126.255.255.255", "128.0.0.0",        "169.253.255.255",      "172.15.255.255",
        "172.32.0.0",      "192.0.1.0",        "192.169.0.0",          "198.17.255.255",
        "198.20.0.0",      "223.255.255.255",  "2606:4700:4700::1111", "2a00::1",
        "::ffff:8.8.8.8",  "64:ff9b::8.8.8.8", "2002:808:808::1",      "2001:200::1",
        "3fff:1000::1",    "2a00:1450::1",
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) check(list[i], true);
}

TEST(addresses_of_the_machine_its_neighbours_and_the_cloud_are_not) {
    static const char *const list[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "::8.8.8.8",
        "4000::1",
        "fc00::",
        "2001:1ff::1",
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) check(list[i], false);
}

TEST(an_address_has_four_bytes_or_sixteen) {
    static const unsigned char ip[17] = { 0x20, 0x01, 0x48, 0x60 };
    for (size_t n = 0; n <= sizeof ip; n++)
        CHECK_EQ(peri_reach_is_public_ip(ip, n), n == 4 || n == 16);
}

TEST(other_families_are_not_public_and_only_restricted_calls_are_held_to_it) {
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    struct sockaddr_in home = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
    CHECK(!peri_reach_is_public((struct sockaddr *)&local));
    CHECK(!peri_reach_may_connect(NULL, (struct sockaddr *)&home, true));
    CHECK(peri_reach_may_connect(NULL, (struct sockaddr *)&home, false));
}
