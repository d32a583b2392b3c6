#include "net/addr.h"

#include "base/test.h"

static enum peri_err parse(struct peri_addr *addr, const char *text) {
    struct peri_fault fault = { PERI_OK, "" };
    enum peri_err err = peri_addr_parse(addr, peri_str_of(text), &fault);
    CHECK_EQ(fault.text[0] != '\0', err != PERI_OK);
    return err;
}

TEST(addr_reads_what_it_writes) {
    static const struct {
        const char *text, *back;
        unsigned port;
    } cases[] = {
        { "127.0.0.1:9000", "127.0.0.1:9000", 9000 },
        { "0.0.0.0:0", "0.0.0.0:0", 0 },
        { "localhost:65535", "127.0.0.1:65535", 65535 },
        { "[::1]:80", "[::1]:80", 80 },
        { "[0:0::1]:80", "[::1]:80", 80 },
        { "unix:/run/a.sock", "unix:/run/a.sock", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_addr addr;
        char text[PERI_ADDR_TEXT_MAX];
        CHECK_EQ(parse(&addr, cases[i].text), PERI_OK);
        size_t n = peri_addr_format(text, &addr);
        CHECK_STR(((struct peri_str){ text, n }), cases[i].back);
        CHECK_EQ(peri_addr_port(&addr), cases[i].port);
    }
}

TEST(addr_refuses_what_it_would_have_to_guess) {
    static const char *const cases[] = {
        "",
        "9000",
        ":9000",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:000080",
        "127.1:80",
        "example.org:80",
        "::1:80",
        "[::1]",
        "[]:80",
        "[::1]x:80",
        "[127.0.0.1]:80",
        "unix:",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:80",
    };
    struct peri_addr addr;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(parse(&addr, cases[i]), PERI_EINVAL);
    char path[128] = "unix:/";
    memset(path + 6, 'a', 106);
    CHECK_EQ(parse(&addr, path), PERI_OK);
    memset(path + 6, 'a', 107);
    CHECK_EQ(parse(&addr, path), PERI_EINVAL);
}
