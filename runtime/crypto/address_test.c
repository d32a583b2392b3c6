/* spec/vectors/gonka-vectors.json: keys, addresses, digests and signatures of the Gonka network. */
#include "crypto/address.h"

#include "crypto/sign.h"
#include "crypto/test_vectors.h"

#define VECTORS "spec/vectors/gonka-vectors.json"

TEST(address_has_the_vectors_every_step) {
    struct vectors v;
    struct peri_hasher *h = NULL;
    struct peri_signer *s = NULL;
    struct peri_keyring *ring = NULL;
    int count = 0;
    CHECK(vectors_open(&v, VECTORS));
    CHECK_EQ(peri_hasher_new(&h), PERI_OK);
    CHECK_EQ(peri_signer_new(&s, true), PERI_OK);
    CHECK_EQ(peri_keyring_new(&ring), PERI_OK);
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "address_vectors"));
    for (; peri_json_next(v.j, &it); count++) {
        const struct peri_key *key = NULL;
        unsigned char public_key[PERI_PUBLIC_BYTES], sha[32], account[20], back[32];
        char text[PERI_ADDRESS_MAX];
        size_t n;
        struct peri_str view = { (char *)public_key, sizeof public_key };
        CHECK_EQ(peri_keyring_add_hex(&key, ring, v_text(&v, it.value, "private_key_hex"), NULL),
                 PERI_OK);
        CHECK_EQ(peri_signer_public(public_key, s, key), PERI_OK);
        CHECK(peri_str_eq(view, v_hex(&v, it.value, "public_key_compressed_hex")));
        CHECK_EQ(peri_sha256(h, sha, view), PERI_OK);
        CHECK(peri_str_eq((struct peri_str){ (char *)sha, 32 },
                          v_hex(&v, it.value, "sha256_pubkey_hex")));
        peri_ripemd160(account, (struct peri_str){ (char *)sha, 32 });
        CHECK(peri_str_eq((struct peri_str){ (char *)account, 20 },
                          v_hex(&v, it.value, "ripemd160_hex")));
        CHECK_EQ(peri_address_gonka(text, h, view), PERI_OK);
        CHECK(peri_str_eq(peri_str_of(text), v_text(&v, it.value, "address")));
        CHECK_EQ(peri_address_gonka_bytes(back, &n, peri_str_of(text)), PERI_OK);
        CHECK(n == 20 && memcmp(back, account, 20) == 0);
    }
    printf("gonka: %d addresses\n", count);
    CHECK_EQ(count, 8);
    peri_keyring_free(ring);
    peri_signer_free(s);
    peri_hasher_free(h);
    vectors_close(&v);
}

TEST(address_agrees_with_what_others_published) {
    struct vectors v;
    struct peri_hasher *h = NULL;
    int count = 0;
    CHECK(vectors_open(&v, VECTORS));
    CHECK_EQ(peri_hasher_new(&h), PERI_OK);
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "repo_vectors"));
    for (; peri_json_next(v.j, &it); count++) {
        unsigned char back[32];
        char text[PERI_ADDRESS_MAX];
        size_t n;
        struct peri_str address = v_text(&v, it.value, "gonka_address");
        struct peri_str hash = v_hex(&v, it.value, "hash160_hex");
        CHECK_EQ(peri_address_gonka_bytes(back, &n, address), PERI_OK);
        CHECK(peri_str_eq((struct peri_str){ (char *)back, n }, hash));
        struct peri_str public_key = v_text(&v, it.value, "public_key_compressed_hex");
        if (public_key.p == NULL) continue;
        CHECK_EQ(peri_address_gonka(text, h, v_unhex(&v, public_key)), PERI_OK);
        CHECK(peri_str_eq(peri_str_of(text), address));
    }
    CHECK_EQ(count, 3);
    peri_hasher_free(h);
    vectors_close(&v);
}

TEST(address_refuses_the_vectors_bad_ones) {
    struct vectors v;
    int bad = 0, good = 0;
    CHECK(vectors_open(&v, VECTORS));
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "invalid_addresses"));
    for (; peri_json_next(v.j, &it); bad++)
        CHECK(!peri_address_is_gonka(v_text(&v, it.value, "address")));
    it = peri_json_iter(v.j, v_get(&v, v.root, "valid_address_variants"));
    for (; peri_json_next(v.j, &it); good++) {
        unsigned char bytes[32];
        size_t n;
        struct peri_str want = v_text(&v, it.value, "hash160_hex");
        if (want.p == NULL) want = v_text(&v, it.value, "payload_hex");
        CHECK_EQ(peri_address_gonka_bytes(bytes, &n, v_text(&v, it.value, "address")), PERI_OK);
        CHECK(peri_str_eq((struct peri_str){ (char *)bytes, n }, v_unhex(&v, want)));
    }
    CHECK_EQ(bad, 11);
    CHECK_EQ(good, 2);
    vectors_close(&v);
}

TEST(secret_refuses_the_vectors_bad_keys) {
    struct vectors v;
    struct peri_keyring *ring = NULL;
    int count = 0;
    CHECK(vectors_open(&v, VECTORS));
    CHECK_EQ(peri_keyring_new(&ring), PERI_OK);
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "invalid_private_keys"));
    for (; peri_json_next(v.j, &it); count++) {
        const struct peri_key *key = NULL;
        CHECK_EQ(peri_keyring_add_hex(&key, ring, v_text(&v, it.value, "hex"), NULL), PERI_EINVAL);
    }
    CHECK_EQ(count, 8);
    peri_keyring_free(ring);
    vectors_close(&v);
}

TEST(hash_has_the_vectors_digests) {
    struct vectors v;
    struct peri_hasher *h = NULL;
    int count = 0;
    CHECK(vectors_open(&v, VECTORS));
    CHECK_EQ(peri_hasher_new(&h), PERI_OK);
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "primitive_vectors"));
    for (; peri_json_next(v.j, &it); count++) {
        unsigned char sha[32], ripemd[20];
        struct peri_str in = v_text(&v, it.value, "input_ascii");
        CHECK_EQ(peri_sha256(h, sha, in), PERI_OK);
        peri_ripemd160(ripemd, in);
        CHECK(peri_str_eq((struct peri_str){ (char *)sha, 32 }, v_hex(&v, it.value, "sha256_hex")));
        CHECK(peri_str_eq((struct peri_str){ (char *)ripemd, 20 },
                          v_hex(&v, it.value, "ripemd160_hex")));
    }
    CHECK_EQ(count, 8);
    peri_hasher_free(h);
    vectors_close(&v);
}

TEST(eip55_takes_one_case_or_the_right_one) {
    unsigned char out[20];
    static const char *const good[] = { "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
                                        "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
                                        "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED" };
    static const char *const bad[] = {
        "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed00", "0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg", ""
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_EQ(peri_address_eip55_bytes(out, peri_str_of(good[i])), PERI_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(peri_address_eip55_bytes(out, peri_str_of(bad[i])), PERI_EMALFORMED);
}
