#include "crypto/encode.h"

#include "base/test.h"

static enum peri_err base64(const char *text, unsigned char *out, size_t *n) {
    return peri_base64_decode(out, 64, n, peri_str_of(text));
}

TEST(hex_goes_both_ways) {
    char text[8];
    unsigned char bytes[4];
    size_t n = 0;
    peri_hex_encode(text, PERI_STR("\x00\x0f\xf0\xff"));
    CHECK(memcmp(text, "000ff0ff", 8) == 0);
    CHECK_EQ(peri_hex_decode(bytes, 4, &n, PERI_STR("000Ff0fF")), PERI_OK);
    CHECK(n == 4 && memcmp(bytes, "\x00\x0f\xf0\xff", 4) == 0);
    CHECK_EQ(peri_hex_decode(bytes, 4, &n, PERI_STR("")), PERI_OK);
    CHECK_EQ(n, 0);
}

TEST(hex_refuses_odd_foreign_and_long) {
    unsigned char bytes[2];
    size_t n = 7;
    CHECK_EQ(peri_hex_decode(bytes, 2, &n, PERI_STR("abc")), PERI_EMALFORMED);
    CHECK_EQ(n, 0);
    CHECK_EQ(peri_hex_decode(bytes, 2, &n, PERI_STR("0x")), PERI_EMALFORMED);
    CHECK_EQ(peri_hex_decode(bytes, 2, &n, PERI_STR("ag")), PERI_EMALFORMED);
    CHECK_EQ(peri_hex_decode(bytes, 2, &n, PERI_STR(" a")), PERI_EMALFORMED);
    CHECK_EQ(peri_hex_decode(bytes, 2, &n, PERI_STR("aabbcc")), PERI_ETOOBIG);
}

/* RFC 4648 section 10. */
TEST(base64_knows_the_rfcs_answers) {
    static const char *const pairs[][2] = { { "", "" },
                                            { "f", "Zg==" },
                                            { "fo", "Zm8=" },
                                            { "foo", "Zm9v" },
                                            { "foob", "Zm9vYg==" },
                                            { "fooba", "Zm9vYmE=" },
                                            { "foobar", "Zm9vYmFy" } };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[16];
        unsigned char bytes[64];
        size_t n = 99;
        struct peri_str plain = peri_str_of(pairs[i][0]);
        peri_base64_encode(text, plain);
        CHECK_STR(((struct peri_str){ text, peri_base64_length(plain.n) }), pairs[i][1]);
        CHECK_EQ(base64(pairs[i][1], bytes, &n), PERI_OK);
        CHECK_STR(((struct peri_str){ (char *)bytes, n }), pairs[i][0]);
    }
}

TEST(base64_is_strict) {
    static const char *const bad[] = {
        "Zg",   "Zg=",      "Zh==", "Zm9=", "Zm9v\n", "Zm9v\r\n", "Zm 9",      "=",       "====",
        "Z===", "Zg==Zg==", "Zm-_", "Zg=a", "Zm9vY",  "Zm9v=",    "\xc3\xa9Z", "Zm9vZg=Z"
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned char bytes[64];
        size_t n = 99;
        CHECK_EQ(base64(bad[i], bytes, &n), PERI_EMALFORMED);
        CHECK_EQ(n, 0);
    }
    unsigned char two[2];
    size_t n = 0;
    CHECK_EQ(peri_base64_decode(two, 2, &n, PERI_STR("Zm9v")), PERI_ETOOBIG);
    CHECK_EQ(peri_base64_decode(two, 2, &n, PERI_STR("Zm8=")), PERI_OK);
}

TEST(base64_reads_no_byte_too_far) {
    static const char text[] = "Zm9vYmFyZg==";
    for (size_t n = 0; n < sizeof text; n++) {
        char *p = test_guarded(text, n);
        unsigned char bytes[16];
        size_t got = 0;
        enum peri_err err =
            peri_base64_decode(bytes, sizeof bytes, &got, (struct peri_str){ p, n });
        CHECK_EQ(err, n % 4 == 0 ? PERI_OK : PERI_EMALFORMED);
        test_guarded_free(p, n);
    }
}
