/* Published suites, through our own functions. They are other people's files: read from ../shared/data where they
 * are, and reported as skipped where they are not. */
#include <secp256k1.h>

#include "crypto/address.h"
#include "crypto/sign.h"
#include "crypto/test_vectors.h"

#define DATA "../shared/data/crypto/"

static void digests(const char *path, const char *list, size_t bytes,
                    void (*hash)(unsigned char *, struct peri_str)) {
    struct vectors v;
    int count = 0;
    if (!vectors_open(&v, path)) return;
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, list));
    while (peri_json_next(v.j, &it)) {
        unsigned char out[32];
        hash(out, v_hex(&v, it.value, "in"));
        CHECK(peri_str_eq((struct peri_str){ (char *)out, bytes }, v_hex(&v, it.value, "out")));
        count++;
    }
    printf("%s: %d digests\n", list, count);
    CHECK(count > 70);
    vectors_close(&v);
}

TEST(published_keccak256) { digests(DATA "cosmjs_keccak.json", "keccak256", 32, peri_keccak256); }

TEST(published_ripemd160) { digests(DATA "cosmjs_ripemd.json", "ripemd160", 20, peri_ripemd160); }

/* Witness programs. BIP-173 wrote every version as bech32; BIP-350 keeps that for version 0 only. */
static bool program_is_valid(struct peri_str text, const char *hrp, int suite) {
    struct peri_bech32_text t;
    unsigned char program[PERI_BECH32_TEXT_MAX + 1];
    char again[PERI_BECH32_TEXT_MAX + 1];
    size_t n;
    if (peri_bech32_parse(&t, text) != PERI_OK || strcmp(t.hrp, hrp) != 0 || t.digit_count == 0)
        return false;
    bool is_m = suite == PERI_BECH32M && t.digits[0] > 0;
    if (t.digits[0] > 16 || t.kind != (is_m ? PERI_BECH32M : PERI_BECH32)) return false;
    if (peri_bech32_format(again, PERI_STR("x"), t.digits + 1, t.digit_count - 1, PERI_BECH32) !=
            PERI_OK ||
        peri_bech32_decode(program, &n, PERI_STR("x"), peri_str_of(again), PERI_BECH32) != PERI_OK)
        return false;
    return n >= 2 && n <= 40 && (t.digits[0] != 0 || n == 20 || n == 32);
}

static struct peri_str text_of(struct vectors *v, uint32_t node) {
    if (peri_json_kind(v->j, node) == PERI_JSON_STRING) return peri_json_string(v->j, node, &v->a);
    struct peri_str hex = v_text(v, node, "hex");
    if (hex.p != NULL) return v_unhex(v, hex);
    struct peri_str text = v_text(v, node, "text");
    return text.p != NULL ? text : v_text(v, node, "address");
}

TEST(published_bech32) {
    static const char *const kinds[] = { "bech32", "bech32m" };
    struct vectors v;
    int count = 0;
    if (!vectors_open(&v, DATA "bech32_bip173_bip350.json")) return;
    for (int k = 0; k < 2; k++) {
        uint32_t suite = v_get(&v, v.root, kinds[k]);
        for (int is_valid = 0; is_valid < 2; is_valid++) {
            const char *names[] = { is_valid ? "valid" : "invalid",
                                    is_valid ? "segwit_valid" : "segwit_invalid" };
            struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, suite, names[0]));
            for (; peri_json_next(v.j, &it); count++) {
                struct peri_bech32_text t;
                bool is_good = peri_bech32_parse(&t, text_of(&v, it.value)) == PERI_OK &&
                               t.kind == (enum peri_bech32)k;
                CHECK_EQ(is_good, is_valid);
            }
            it = peri_json_iter(v.j, v_get(&v, suite, names[1]));
            for (; peri_json_next(v.j, &it); count++) {
                struct peri_str text = text_of(&v, it.value);
                bool is_good = program_is_valid(text, "bc", k) || program_is_valid(text, "tb", k);
                if (is_good != (bool)is_valid) fprintf(stderr, "%.*s\n", PERI_STR_ARGS(text));
                CHECK_EQ(is_good, is_valid);
            }
        }
    }
    printf("bech32: %d texts\n", count);
    CHECK(count >= 70);
    vectors_close(&v);
}

struct tools {
    struct peri_keyring *ring;
    struct peri_signer *signer;
    struct peri_hasher *hasher;
};

static void tools_init(struct tools *t) {
    CHECK_EQ(peri_keyring_new(&t->ring), PERI_OK);
    CHECK_EQ(peri_signer_new(&t->signer, true), PERI_OK);
    CHECK_EQ(peri_hasher_new(&t->hasher), PERI_OK);
}

static void tools_done(struct tools *t) {
    peri_hasher_free(t->hasher);
    peri_signer_free(t->signer);
    peri_keyring_free(t->ring);
}

/* A ring holds few keys and suites have many, so each case gets a new one. */
static const struct peri_key *key_of(struct tools *t, struct peri_str hex) {
    const struct peri_key *key = NULL;
    peri_keyring_free(t->ring);
    CHECK_EQ(peri_keyring_new(&t->ring), PERI_OK);
    return peri_keyring_add_hex(&key, t->ring, hex, NULL) == PERI_OK ? key : NULL;
}

TEST(published_rfc6979_signatures) {
    struct vectors v;
    struct tools t;
    int signed_count = 0, refused_keys = 0, refused_signatures = 0;
    if (!vectors_open(&v, DATA "secp256k1_rfc6979_ecdsa.json")) return;
    tools_init(&t);
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "valid"));
    while (peri_json_next(v.j, &it)) {
        unsigned char signature[64], public_key[PERI_PUBLIC_BYTES];
        const unsigned char *digest = u8(v_hex(&v, it.value, "m"));
        const struct peri_key *key = key_of(&t, v_text(&v, it.value, "d"));
        struct peri_str ours = { (char *)signature, 64 };
        CHECK(key != NULL);
        if (key == NULL) break;
        CHECK_EQ(peri_sign(signature, t.signer, key, digest), PERI_OK);
        CHECK(peri_str_eq(ours, v_hex(&v, it.value, "signature")));
        CHECK_EQ(peri_signer_public(public_key, t.signer, key), PERI_OK);
        CHECK(peri_verify(ours, digest, (struct peri_str){ (char *)public_key, 33 }));
        signed_count++;
    }
    uint32_t invalid = v_get(&v, v.root, "invalid");
    it = peri_json_iter(v.j, v_get(&v, invalid, "sign"));
    while (peri_json_next(v.j, &it)) {
        /* What is wrong is the key, or a digest that is longer than one can be. */
        if (v_hex(&v, it.value, "m").n != 32) continue;
        CHECK(key_of(&t, v_text(&v, it.value, "d")) == NULL);
        refused_keys++;
    }
    it = peri_json_iter(v.j, v_get(&v, invalid, "verify"));
    while (peri_json_next(v.j, &it)) {
        struct peri_str m = v_hex(&v, it.value, "m");
        if (m.n != 32) continue;
        CHECK(!peri_verify(v_hex(&v, it.value, "signature"), u8(m), v_hex(&v, it.value, "Q")));
        refused_signatures++;
    }
    printf("rfc6979: %d signatures, %d keys and %d signatures refused\n", signed_count,
           refused_keys, refused_signatures);
    CHECK(signed_count > 2000 && refused_signatures > 10);
    tools_done(&t);
    vectors_close(&v);
}

/* The nonce k itself is not to be seen; but r is the x of k times G, which a key of k gives as its public key. */
TEST(published_rfc6979_nonces) {
    struct vectors v;
    struct tools t;
    int count = 0;
    if (!vectors_open(&v, DATA "secp256k1_rfc6979_nonce.json")) return;
    tools_init(&t);
    struct peri_json_iter it = peri_json_iter(v.j, v.root);
    while (peri_json_next(v.j, &it)) {
        unsigned char digest[32], signature[64], nonce_point[PERI_PUBLIC_BYTES];
        CHECK_EQ(peri_sha256(t.hasher, digest, v_text(&v, it.value, "message")), PERI_OK);
        const struct peri_key *key = key_of(&t, v_text(&v, it.value, "d"));
        CHECK_EQ(peri_sign(signature, t.signer, key, digest), PERI_OK);
        key = key_of(&t, v_text(&v, it.value, "k0"));
        CHECK_EQ(peri_signer_public(nonce_point, t.signer, key), PERI_OK);
        CHECK(memcmp(nonce_point + 1, signature, 32) == 0);
        count++;
    }
    printf("rfc6979: %d nonces\n", count);
    CHECK(count == 10);
    tools_done(&t);
    vectors_close(&v);
}

/* DER to r and s, so that suites of DER signatures reach our check of 64 bytes. */
static bool from_der(unsigned char out[64], struct peri_str der, bool *is_low) {
    secp256k1_ecdsa_signature s;
    if (!secp256k1_ecdsa_signature_parse_der(secp256k1_context_static, &s, u8(der), der.n))
        return false;
    *is_low = !secp256k1_ecdsa_signature_normalize(secp256k1_context_static, NULL, &s);
    secp256k1_ecdsa_signature_serialize_compact(secp256k1_context_static, out, &s);
    return true;
}

static bool from_compact(unsigned char out[64], struct peri_str raw, bool *is_low) {
    secp256k1_ecdsa_signature s;
    if (raw.n != 64 ||
        !secp256k1_ecdsa_signature_parse_compact(secp256k1_context_static, &s, u8(raw)))
        return false;
    *is_low = !secp256k1_ecdsa_signature_normalize(secp256k1_context_static, NULL, &s);
    memcpy(out, raw.p, 64);
    return true;
}

static void lower(unsigned char signature[64]) {
    secp256k1_ecdsa_signature s;
    CHECK_EQ(secp256k1_ecdsa_signature_parse_compact(secp256k1_context_static, &s, signature), 1);
    secp256k1_ecdsa_signature_normalize(secp256k1_context_static, &s, &s);
    secp256k1_ecdsa_signature_serialize_compact(secp256k1_context_static, signature, &s);
}

/* `is_strict` suites have the low-S rule; in the others a valid signature with a high S must be refused as it
 * stands and accepted once lowered. */
static void wycheproof(const char *name, bool is_der, bool is_strict) {
    struct vectors v;
    struct tools t;
    char path[200];
    int counts[2] = { 0, 0 }, high = 0;
    snprintf(path, sizeof path, DATA "wycheproof_ecdsa_secp256k1_sha256_%s.json", name);
    if (!vectors_open(&v, path)) return;
    tools_init(&t);
    struct peri_json_iter groups = peri_json_iter(v.j, v_get(&v, v.root, "testGroups"));
    while (peri_json_next(v.j, &groups)) {
        uint32_t key = v_get(&v, groups.value, "publicKey");
        if (key == PERI_JSON_NONE) key = v_get(&v, groups.value, "key");
        struct peri_str public_key = v_hex(&v, key, "uncompressed");
        struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, groups.value, "tests"));
        while (peri_json_next(v.j, &it)) {
            unsigned char digest[32], signature[64];
            bool is_valid =
                peri_json_string_is(v.j, v_get(&v, it.value, "result"), PERI_STR("valid"));
            bool is_low = false;
            struct peri_str raw = v_hex(&v, it.value, "sig"), ours = { (char *)signature, 64 };
            CHECK_EQ(peri_sha256(t.hasher, digest, v_hex(&v, it.value, "msg")), PERI_OK);
            bool is_read =
                is_der ? from_der(signature, raw, &is_low) : from_compact(signature, raw, &is_low);
            bool is_good = is_read && peri_verify(ours, digest, public_key);
            CHECK_EQ(is_good, is_valid && is_low);
            if (is_strict || (is_valid && is_low)) CHECK_EQ(is_good, is_valid);
            if (is_valid && !is_low) {
                lower(signature);
                CHECK(peri_verify(ours, digest, public_key));
                high++;
            }
            if (!is_der && !is_read) CHECK(!peri_verify(raw, digest, public_key));
            counts[is_valid]++;
        }
    }
    printf("wycheproof %s: %d valid (%d of them with a high S), %d invalid\n", name, counts[1],
           high, counts[0]);
    CHECK(counts[0] > 50 && counts[1] > 100);
    tools_done(&t);
    vectors_close(&v);
}

TEST(published_wycheproof_der) { wycheproof("test", true, false); }
TEST(published_wycheproof_bitcoin) { wycheproof("bitcoin_test", true, true); }
TEST(published_wycheproof_p1363) { wycheproof("p1363_test", false, false); }

TEST(published_ethereum_accounts) {
    struct vectors v;
    struct tools t;
    int count = 0;
    if (!vectors_open(&v, DATA "ethers_accounts.json")) return;
    tools_init(&t);
    struct peri_json_iter it = peri_json_iter(v.j, v.root);
    while (peri_json_next(v.j, &it)) {
        unsigned char public_key[PERI_PUBLIC_BYTES], address[20], back[20];
        char text[PERI_EIP55_ROOM];
        struct peri_str want = v_text(&v, it.value, "address");
        struct peri_str hex = v_text(&v, it.value, "privateKey");
        if (hex.p != NULL) {
            const struct peri_key *key = key_of(&t, hex);
            CHECK(key != NULL);
            if (key == NULL) continue;
            CHECK_EQ(peri_signer_public(public_key, t.signer, key), PERI_OK);
            CHECK_EQ(peri_address_ethereum(address, (struct peri_str){ (char *)public_key, 33 }),
                     PERI_OK);
            peri_address_eip55(text, address);
            CHECK(peri_str_eq(peri_str_of(text), want));
        }
        CHECK_EQ(peri_address_eip55_bytes(back, want), PERI_OK);
        peri_address_eip55(text, back);
        CHECK(peri_str_eq(peri_str_of(text), want));
        count++;
    }
    printf("eip-55: %d accounts\n", count);
    CHECK(count > 200);
    tools_done(&t);
    vectors_close(&v);
}
