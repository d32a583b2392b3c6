#include "net/reach.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

struct block4 {
    uint32_t prefix;
    unsigned bits;
};

/* IANA IPv4 Special-Purpose Address Registry; multicast and the reserved rest at the end. */
static const struct block4 blocks4[] = {
    { 0x00000000, 8 },  /* this network */
    { 0x0a000000, 8 },  /* private */
    { 0x64400000, 10 }, /* shared by carriers, RFC 6598 */
    { 0x7f000000, 8 },  /* loopback */
    { 0xa9fe0000, 16 }, /* link-local: cloud metadata */
    { 0xac100000, 12 }, /* private */
    { 0xc0000000, 24 }, /* protocol assignments */
    { 0xc0000200, 24 }, /* documentation */
    { 0xc0586300, 24 }, /* 6to4 relays, deprecated */
    { 0xc0a80000, 16 }, /* private */
    { 0xc6120000, 15 }, /* benchmarking */
    { 0xc6336400, 24 }, /* documentation */
    { 0xcb007100, 24 }, /* documentation */
    { 0xe0000000, 3 },  /* multicast, reserved, broadcast */
};

static bool is_public4(uint32_t ip) {
    for (size_t i = 0; i < sizeof blocks4 / sizeof *blocks4; i++)
        if ((ip ^ blocks4[i].prefix) >> (32 - blocks4[i].bits) == 0) return false;
    return true;
}

static uint32_t read4(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Only 2000::/3 is given out; the exceptions inside it follow the registry. */
static bool is_public6(const uint8_t ip[16]) {
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    static const uint8_t nat64[12] = { 0, 0x64, 0xff, 0x9b };
    if (memcmp(ip, mapped, 12) == 0 || memcmp(ip, nat64, 12) == 0)
        return is_public4(read4(ip + 12));
    if ((ip[0] & 0xe0) != 0x20) return false;
    uint32_t top = read4(ip);
    if (top >> 16 == 0x2002) return is_public4(read4(ip + 2)); /* 6to4 */
    if (top >> 9 == 0x20010000 >> 9) return false;             /* protocol assignments, Teredo */
    if (top == 0x20010db8) return false;                       /* documentation */
    return top >> 12 != 0x3fff0000 >> 12;                      /* documentation, RFC 9637 */
}

bool peri_reach_is_public_ip(const unsigned char *ip, size_t n) {
    return n == 4 ? is_public4(read4(ip)) : n == 16 && is_public6(ip);
}

bool peri_reach_is_public(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, address, sizeof in4);
        return peri_reach_is_public_ip((const unsigned char *)&in4.sin_addr, 4);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        return is_public6(in6.sin6_addr.s6_addr);
    }
    return false;
}

bool peri_reach_may_connect(void *arg, const struct sockaddr *address, bool is_restricted) {
    (void)arg;
    return !is_restricted || peri_reach_is_public(address);
}
