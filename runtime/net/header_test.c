#include "net/header.h"

#include "base/test.h"

static bool is_sent(const char *name, struct peri_str value) {
    return peri_header_fault((struct peri_header){ peri_str_of(name), value }) == NULL;
}

TEST(header_every_byte_of_a_value) {
    for (int c = 0; c < 256; c++) {
        char value[] = { 'a', (char)c, 'b' };
        bool is_control = (c < 0x20 && c != '\t') || c == 0x7f;
        for (size_t n = 1; n <= sizeof value; n++) /* last, in the middle */
            CHECK_EQ(is_sent("x-a", (struct peri_str){ value, n }), !is_control || n < 2);
        CHECK_EQ(is_sent("x-a", (struct peri_str){ value + 1, 1 }), !is_control);
    }
}

TEST(header_every_byte_of_a_name) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (int c = 1; c < 256; c++) {
        char name[] = { 'a', (char)c, '\0' };
        bool is_token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || strchr(others, c) != NULL;
        CHECK_EQ(is_sent(name, PERI_STR("b")), is_token);
    }
    CHECK(peri_header_fault((struct peri_header){ { "a\0b", 3 }, PERI_STR("c") }) != NULL);
    CHECK(!is_sent("", PERI_STR("b")));
}

/* Long texts are looked at in pieces: each byte at each place of pieces whole and overlapping. */
TEST(header_every_byte_at_every_place) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    char text[] = "Access-Control-Allow-Very-Long-Indeed";
    for (size_t n = 1; n < sizeof text; n++)
        for (size_t at = 0; at < n; at++) {
            char kept = text[at];
            for (int c = 0; c < 256; c++) {
                bool is_token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                (c >= 'A' && c <= 'Z') || (c != 0 && strchr(others, c) != NULL);
                text[at] = (char)c;
                CHECK_EQ(peri_http_is_token((struct peri_str){ text, n }), is_token);
                CHECK_EQ(peri_http_is_value((struct peri_str){ text, n }),
                         (c >= 0x20 || c == '\t') && c != 0x7f);
            }
            text[at] = kept;
        }
}

TEST(header_lengths) {
    static char many[PERI_HEADER_VALUE_MAX + 1];
    memset(many, 'a', sizeof many);
    struct peri_str most = { many, PERI_HEADER_NAME_MAX };
    CHECK(peri_header_fault((struct peri_header){ most, PERI_STR("b") }) == NULL);
    most.n++;
    CHECK(peri_header_fault((struct peri_header){ most, PERI_STR("b") }) != NULL);
    CHECK(is_sent("x-a", (struct peri_str){ many, PERI_HEADER_VALUE_MAX }));
    CHECK(!is_sent("x-a", (struct peri_str){ many, PERI_HEADER_VALUE_MAX + 1 }));
    CHECK(is_sent("x-a", PERI_STR("")));
}

TEST(header_framing_names) {
    static const char *const framing[] = {
        "content-length", "Transfer-Encoding", "TE",      "connection", "Host",
        "keep-alive",     "UPGRADE",           "trailer", "expect",     "proxy-connection"
    };
    static const char *const others[] = { "authorization", "x-host", "content-type", "date", "" };
    for (size_t i = 0; i < sizeof framing / sizeof *framing; i++)
        CHECK(peri_header_is_framing(peri_str_of(framing[i])));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(!peri_header_is_framing(peri_str_of(others[i])));
}
