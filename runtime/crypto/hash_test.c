#include "crypto/hash.h"

#include <openssl/evp.h>

#include "base/test.h"
#include "crypto/encode.h"

static void check_hex(const unsigned char *bytes, size_t n, const char *want) {
    char text[64];
    peri_hex_encode(text, (struct peri_str){ (const char *)bytes, n });
    CHECK_STR(((struct peri_str){ text, 2 * n }), want);
}

TEST(sha256_takes_pieces_and_is_ready_again) {
    struct peri_hasher *h = NULL;
    unsigned char a[32], b[32];
    CHECK_EQ(peri_hasher_new(&h), PERI_OK);
    CHECK_EQ(peri_sha256(h, a, PERI_STR("message digest")), PERI_OK);
    check_hex(a, 32, "f7846f55cf23e14eebeab5b4e1550cad5b509e3348fbc4efa3a1413d393cb650");
    for (size_t cut = 0; cut <= 14; cut++) {
        const char *text = "message digest";
        struct peri_str parts[] = { { text, cut }, { NULL, 0 }, { text + cut, 14 - cut } };
        CHECK_EQ(peri_sha256_parts(h, b, parts, 3), PERI_OK);
        CHECK(memcmp(a, b, 32) == 0);
    }
    CHECK_EQ(peri_sha256(h, a, (struct peri_str){ NULL, 0 }), PERI_OK);
    check_hex(a, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    peri_hasher_free(h);
}

TEST(ripemd160_knows_its_authors_answers) {
    unsigned char out[20];
    peri_ripemd160(out, PERI_STR(""));
    check_hex(out, 20, "9c1185a5c5e9fc54612808977ee8f548b2258d31");
    peri_ripemd160(out, PERI_STR("abcdefghijklmnopqrstuvwxyz"));
    check_hex(out, 20, "f71c27109c692c1b56bbdceb5b9d2865b3708dbc");
}

/* Every length through three blocks, against the library's, where the library has it. */
TEST(ripemd160_agrees_with_openssl_at_every_length) {
    EVP_MD *md = EVP_MD_fetch(NULL, "RIPEMD160", NULL);
    if (md == NULL) {
        printf("skipped: this OpenSSL has no RIPEMD-160 to compare with\n");
        return;
    }
    char bytes[200];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 101 + 7);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        unsigned char ours[20], theirs[20];
        peri_ripemd160(ours, (struct peri_str){ bytes, n });
        CHECK_EQ(EVP_Digest(bytes, n, theirs, NULL, md, NULL), 1);
        CHECK(memcmp(ours, theirs, 20) == 0);
    }
    EVP_MD_free(md);
}

TEST(keccak256_pads_as_ethereum_does) {
    unsigned char out[32];
    peri_keccak256(out, PERI_STR(""));
    check_hex(out, 32, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    peri_keccak256(out, PERI_STR("transfer(address,uint256)"));
    check_hex(out, 4, "a9059cbb");
}

TEST(hashes_read_no_byte_too_far) {
    char bytes[300] = { 0 };
    for (size_t n = 0; n <= sizeof bytes; n += 1) {
        char *p = test_guarded(bytes, n);
        unsigned char out[32], plain[32];
        peri_keccak256(out, (struct peri_str){ p, n });
        peri_keccak256(plain, (struct peri_str){ bytes, n });
        CHECK(memcmp(out, plain, 32) == 0);
        peri_ripemd160(out, (struct peri_str){ p, n });
        peri_ripemd160(plain, (struct peri_str){ bytes, n });
        CHECK(memcmp(out, plain, 20) == 0);
        test_guarded_free(p, n);
    }
}
