#include "crypto/bech32.h"

#include "base/test.h"

TEST(bech32_tells_the_two_kinds_apart) {
    struct peri_bech32_text t;
    CHECK_EQ(peri_bech32_parse(&t, PERI_STR("A12UEL5L")), PERI_OK);
    CHECK_EQ(t.kind, PERI_BECH32);
    CHECK_STR(((struct peri_str){ t.hrp, t.hrp_n }), "a");
    CHECK_EQ(t.digit_count, 0);
    CHECK_EQ(peri_bech32_parse(&t, PERI_STR("A1LQFN3A")), PERI_OK);
    CHECK_EQ(t.kind, PERI_BECH32M);
}

TEST(bech32_decodes_only_what_was_asked_for) {
    unsigned char out[PERI_BECH32_DATA_MAX];
    size_t n = 0;
    struct peri_str good = PERI_STR("gonka1waj8q9g2ekgardafc6plg77rgu2l3vfrg2y9jw");
    CHECK_EQ(peri_bech32_decode(out, &n, PERI_STR("gonka"), good, PERI_BECH32), PERI_OK);
    CHECK_EQ(n, 20);
    CHECK_EQ(peri_bech32_decode(out, &n, PERI_STR("cosmos"), good, PERI_BECH32), PERI_EDENIED);
    CHECK_EQ(peri_bech32_decode(out, &n, PERI_STR("gonka"), good, PERI_BECH32M), PERI_EPROTO);
    CHECK_EQ(n, 0);
}

TEST(bech32_finds_every_changed_character) {
    char text[] = "gonka1waj8q9g2ekgardafc6plg77rgu2l3vfrg2y9jw";
    struct peri_bech32_text t;
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        char kept = text[i];
        for (int c = 33; c < 127; c++) {
            if (c == kept) continue;
            text[i] = (char)c;
            CHECK_EQ(peri_bech32_parse(&t, peri_str_of(text)), PERI_EMALFORMED);
        }
        text[i] = kept;
    }
}

TEST(bech32_carries_every_length_there_and_back) {
    char bytes[PERI_BECH32_DATA_MAX + 1], text[PERI_BECH32_TEXT_MAX + 1];
    unsigned char back[PERI_BECH32_DATA_MAX];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 37 + 11);
    for (size_t n = 0; n <= PERI_BECH32_DATA_MAX; n++) {
        size_t got = 99;
        struct peri_str in = { bytes, n };
        CHECK_EQ(peri_bech32_encode(text, PERI_STR("x"), in, PERI_BECH32), PERI_OK);
        CHECK_EQ(peri_bech32_decode(back, &got, PERI_STR("x"), peri_str_of(text), PERI_BECH32),
                 PERI_OK);
        CHECK(got == n && memcmp(back, bytes, n) == 0);
    }
    struct peri_str over = { bytes, PERI_BECH32_DATA_MAX + 1 };
    CHECK_EQ(peri_bech32_encode(text, PERI_STR("x"), over, PERI_BECH32), PERI_ETOOBIG);
    over.n = 48;
    CHECK_EQ(peri_bech32_encode(text, PERI_STR("toolongaprefix"), over, PERI_BECH32), PERI_ETOOBIG);
}

TEST(bech32_refuses_bad_material) {
    char text[PERI_BECH32_TEXT_MAX + 1];
    const unsigned char digits[] = { 0, 31, 32 };
    CHECK_EQ(peri_bech32_format(text, PERI_STR(""), digits, 2, PERI_BECH32), PERI_EINVAL);
    CHECK_EQ(peri_bech32_format(text, PERI_STR("Gonka"), digits, 2, PERI_BECH32), PERI_EINVAL);
    CHECK_EQ(peri_bech32_format(text, PERI_STR("a b"), digits, 2, PERI_BECH32), PERI_EINVAL);
    CHECK_EQ(peri_bech32_format(text, PERI_STR("a"), digits, 3, PERI_BECH32), PERI_EINVAL);
    CHECK_EQ(peri_bech32_format(text, PERI_STR("a"), digits, 2, PERI_BECH32), PERI_OK);
}

/* 0x1f has a set bit in the part of the last digit that carries no byte. */
TEST(bech32_refuses_bits_left_over) {
    char text[PERI_BECH32_TEXT_MAX + 1];
    const unsigned char digits[] = { 31, 31, 0, 0, 0, 0, 0, 0, 0 };
    unsigned char out[PERI_BECH32_DATA_MAX];
    size_t n;
    CHECK_EQ(peri_bech32_format(text, PERI_STR("a"), digits, 2, PERI_BECH32), PERI_OK);
    CHECK_EQ(peri_bech32_decode(out, &n, PERI_STR("a"), peri_str_of(text), PERI_BECH32),
             PERI_EMALFORMED);
    CHECK_EQ(peri_bech32_format(text, PERI_STR("a"), digits, 9, PERI_BECH32), PERI_OK);
    CHECK_EQ(peri_bech32_decode(out, &n, PERI_STR("a"), peri_str_of(text), PERI_BECH32),
             PERI_EMALFORMED);
}
