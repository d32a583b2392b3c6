#include "crypto/sign.h"

#include "base/test.h"
#include "crypto/encode.h"
#include "crypto/hash.h"
#include "crypto/selftest.h"

struct bench {
    struct peri_keyring *ring;
    struct peri_signer *signer;
    const struct peri_key *key;
    unsigned char public_key[PERI_PUBLIC_BYTES];
};

static void bench_init(struct bench *b, bool verifies) {
    static const char key[] = "0x10af8dc1f63fb90cfa39943a5afbf262cd84f24919e7d05653e3b03313e685ce";
    CHECK_EQ(peri_keyring_new(&b->ring), PERI_OK);
    CHECK_EQ(peri_signer_new(&b->signer, verifies), PERI_OK);
    CHECK_EQ(peri_keyring_add_hex(&b->key, b->ring, peri_str_of(key), NULL), PERI_OK);
    CHECK_EQ(peri_signer_public(b->public_key, b->signer, b->key), PERI_OK);
}

static void bench_done(struct bench *b) {
    peri_signer_free(b->signer);
    peri_keyring_free(b->ring);
}

static struct peri_str view(const unsigned char *p, size_t n) {
    return (struct peri_str){ (const char *)p, n };
}

TEST(selftest_passes) {
    struct peri_fault fault = { PERI_OK, "" };
    CHECK_EQ(peri_crypto_selftest(&fault), PERI_OK);
    CHECK_STR(peri_str_of(fault.text), "");
}

TEST(sign_is_deterministic_whatever_the_blinding) {
    struct bench a, b;
    unsigned char digest[32], first[64], second[64];
    bench_init(&a, true);
    bench_init(&b, false);
    for (int i = 0; i < 20; i++) {
        memset(digest, i, sizeof digest);
        CHECK_EQ(peri_sign(first, a.signer, a.key, digest), PERI_OK);
        CHECK_EQ(peri_sign(second, b.signer, b.key, digest), PERI_OK);
        CHECK(memcmp(first, second, 64) == 0);
        CHECK(peri_verify(view(first, 64), digest, view(a.public_key, 33)));
    }
    bench_done(&a);
    bench_done(&b);
}

TEST(verify_refuses_every_changed_bit) {
    struct bench b;
    unsigned char digest[32] = { 1, 2, 3 }, signature[64], uncompressed[65];
    bench_init(&b, true);
    CHECK_EQ(peri_sign(signature, b.signer, b.key, digest), PERI_OK);
    CHECK_EQ(peri_public_expand(uncompressed, view(b.public_key, 33)), PERI_OK);
    CHECK(peri_verify(view(signature, 64), digest, view(uncompressed, 65)));
    for (int bit = 0; bit < 512; bit++) {
        signature[bit / 8] ^= (unsigned char)(1 << bit % 8);
        CHECK(!peri_verify(view(signature, 64), digest, view(b.public_key, 33)));
        signature[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    CHECK(!peri_verify(view(signature, 63), digest, view(b.public_key, 33)));
    CHECK(!peri_verify(view(signature, 64), digest, view(b.public_key, 32)));
    digest[31] ^= 1;
    CHECK(!peri_verify(view(signature, 64), digest, view(b.public_key, 33)));
    bench_done(&b);
}

TEST(recover_finds_the_signer) {
    struct bench b;
    unsigned char digest[32], plain[64], signature[65], found[PERI_PUBLIC_BYTES];
    bench_init(&b, true);
    for (int i = 0; i < 20; i++) {
        memset(digest, i, sizeof digest);
        CHECK_EQ(peri_sign(plain, b.signer, b.key, digest), PERI_OK);
        CHECK_EQ(peri_sign_recoverable(signature, b.signer, b.key, digest), PERI_OK);
        CHECK(memcmp(plain, signature, 64) == 0 && signature[64] < 4);
        CHECK_EQ(peri_recover(found, view(signature, 65), digest), PERI_OK);
        CHECK(memcmp(found, b.public_key, sizeof found) == 0);
        signature[64] = 4;
        CHECK_EQ(peri_recover(found, view(signature, 65), digest), PERI_EMALFORMED);
    }
    CHECK_EQ(peri_recover(found, view(plain, 64), digest), PERI_EMALFORMED);
    memset(signature, 0, sizeof signature);
    CHECK_EQ(peri_recover(found, view(signature, 65), digest), PERI_EMALFORMED);
    bench_done(&b);
}

/* RFC 8032 section 7.1, TEST 2. */
TEST(ed25519_knows_the_rfcs_answer) {
    unsigned char key[32], signature[64];
    size_t n;
    CHECK_EQ(peri_hex_decode(key, 32, &n,
                             PERI_STR("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af"
                                      "4660c")),
             PERI_OK);
    CHECK_EQ(peri_hex_decode(signature, 64, &n,
                             PERI_STR("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebd"
                                      "b69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d29"
                                      "1612bb0c00")),
             PERI_OK);
    CHECK(peri_ed25519_verify(view(signature, 64), PERI_STR("\x72"), view(key, 32)));
    CHECK(!peri_ed25519_verify(view(signature, 64), PERI_STR("\x73"), view(key, 32)));
    CHECK(!peri_ed25519_verify(view(signature, 63), PERI_STR("\x72"), view(key, 32)));
    signature[0] ^= 1;
    CHECK(!peri_ed25519_verify(view(signature, 64), PERI_STR("\x72"), view(key, 32)));
}

TEST(sign_survives_failing_allocations) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_signer *s = NULL;
        struct peri_hasher *h = NULL;
        if (peri_hasher_new(&h) == PERI_OK) peri_hasher_free(h);
        if (peri_signer_new(&s, false) == PERI_OK) peri_signer_free(s);
    }
}
