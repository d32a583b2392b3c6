#include "gonka/gonka_sign.h"

#include "crypto/test_vectors.h"

#define VECTORS "spec/vectors/gonka-vectors.json"

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

static void wallet_init(struct peri_gonka_wallet *w, struct tools *t, struct peri_str hex,
                        const char *address) {
    const struct peri_key *key = NULL;
    CHECK_EQ(peri_keyring_add_hex(&key, t->ring, hex, NULL), PERI_OK);
    CHECK_EQ(peri_gonka_wallet_init(w, t->hasher, t->signer, key, peri_str_of(address), NULL),
             PERI_OK);
}

/* The body of a vector: given in full, or by a byte and a count. */
static struct peri_str body_of(struct vectors *v, uint32_t node) {
    struct peri_str hex = v_text(v, node, "payload_hex"), text = v_text(v, node, "payload_utf8");
    if (hex.p != NULL) return v_unhex(v, hex);
    if (text.p != NULL) return text;
    int64_t n = 0;
    CHECK_EQ(peri_json_int(&n, v->j, v_get(v, node, "payload_len")), PERI_OK);
    char *bytes = peri_arena_alloc(&v->a, (size_t)n + 1);
    memset(bytes, 'a', (size_t)n);
    return (struct peri_str){ bytes, (size_t)n };
}

static uint64_t stamp_of(struct vectors *v, uint32_t node) {
    uint64_t stamp = 0;
    CHECK_EQ(peri_str_to_u64(&stamp, v_text(v, node, "timestamp_ns")), PERI_OK);
    return stamp;
}

TEST(gonka_signs_the_vectors_byte_for_byte) {
    struct vectors v;
    struct tools t;
    int count = 0;
    CHECK(vectors_open(&v, VECTORS));
    tools_init(&t);
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "signature_vectors"));
    for (; peri_json_next(v.j, &it); count++) {
        struct peri_gonka_wallet w;
        struct peri_gonka_signed s;
        struct peri_header headers[PERI_GONKA_HEADERS];
        struct peri_str body = body_of(&v, it.value);
        struct peri_str node = v_text(&v, it.value, "transfer_address");
        wallet_init(&w, &t, v_text(&v, it.value, "private_key_hex"), "");
        CHECK(!w.is_foreign);
        CHECK_EQ(peri_gonka_sign(&s, t.hasher, t.signer, &w, PERI_GONKA_HASHED, body,
                                 stamp_of(&v, it.value), node),
                 PERI_OK);
        peri_gonka_headers(headers, &s, &w);
        CHECK(peri_str_eq(headers[0].value, v_text(&v, it.value, "signature_base64")));
        CHECK(peri_str_eq(headers[1].value, v_text(&v, it.value, "requester_address")));
        CHECK(peri_str_eq(headers[2].value, v_text(&v, it.value, "timestamp_ns")));
        CHECK(peri_gonka_check(t.hasher, PERI_GONKA_HASHED, headers[0].value, body,
                               headers[2].value, node,
                               (struct peri_str){ (char *)w.public_key, 33 }));
    }
    printf("gonka: %d signatures\n", count);
    CHECK_EQ(count, 12);
    tools_done(&t);
    vectors_close(&v);
}

TEST(gonka_signs_the_older_schemes) {
    struct vectors v;
    struct tools t;
    int count = 0;
    CHECK(vectors_open(&v, VECTORS));
    tools_init(&t);
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "legacy_signature_vectors"));
    for (; peri_json_next(v.j, &it); count++) {
        struct peri_gonka_wallet w;
        struct peri_gonka_signed s;
        struct peri_str node = v_text(&v, it.value, "transfer_address");
        bool is_raw = node.p != NULL;
        wallet_init(&w, &t, v_text(&v, it.value, "private_key_hex"), "");
        CHECK_EQ(peri_gonka_sign(&s, t.hasher, t.signer, &w,
                                 is_raw ? PERI_GONKA_RAW_BODY : PERI_GONKA_BODY_ONLY,
                                 body_of(&v, it.value), is_raw ? stamp_of(&v, it.value) : 1, node),
                 PERI_OK);
        CHECK(peri_str_eq(peri_str_of(s.authorization), v_text(&v, it.value, "signature_base64")));
    }
    CHECK_EQ(count, 2);
    tools_done(&t);
    vectors_close(&v);
}

static uint32_t base_of(struct vectors *v, struct peri_str name) {
    struct peri_json_iter it = peri_json_iter(v->j, v_get(v, v->root, "signature_vectors"));
    while (peri_json_next(v->j, &it))
        if (peri_json_string_is(v->j, v_get(v, it.value, "name"), name)) return it.value;
    return PERI_JSON_NONE;
}

TEST(gonka_check_refuses_the_vectors_bad_ones) {
    struct vectors v;
    struct tools t;
    int count = 0;
    CHECK(vectors_open(&v, VECTORS));
    tools_init(&t);
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "negative_signature_vectors"));
    for (; peri_json_next(v.j, &it); count++) {
        struct peri_gonka_wallet w;
        uint32_t base = base_of(&v, v_text(&v, it.value, "base"));
        CHECK(base != PERI_JSON_NONE);
        wallet_init(&w, &t, v_text(&v, base, "private_key_hex"), "");
        struct peri_str public_key = { (char *)w.public_key, 33 }, body = body_of(&v, base);
        struct peri_str stamp = v_text(&v, base, "timestamp_ns");
        struct peri_str node = v_text(&v, base, "transfer_address");
        CHECK(peri_gonka_check(t.hasher, PERI_GONKA_HASHED, v_text(&v, base, "signature_base64"),
                               body, stamp, node, public_key));
        CHECK(!peri_gonka_check(t.hasher, PERI_GONKA_HASHED,
                                v_text(&v, it.value, "signature_base64"), body, stamp, node,
                                public_key));
    }
    CHECK_EQ(count, 10);
    tools_done(&t);
    vectors_close(&v);
}

/* Key, body and answer come from a second, independent implementation. */
TEST(gonka_signs_what_a_second_implementation_signed) {
    struct tools t;
    struct peri_gonka_wallet w;
    struct peri_gonka_signed s;
    tools_init(&t);
    wallet_init(&w, &t,
                PERI_STR("1111111111111111111111111111111111111111111111111111111111111111"), "");
    CHECK_STR(peri_str_of(w.address), "gonka1l3e9pgs3mmwuwrh95fecme0s0qtn2880el49wm");
    CHECK_EQ(peri_gonka_sign(&s, t.hasher, t.signer, &w, PERI_GONKA_HASHED,
                             PERI_STR("{\"model\":\"m\",\"messages\":[]}"), 1700000000000000000,
                             PERI_STR("gonka1abc")),
             PERI_OK);
    CHECK_STR(
        peri_str_of(s.authorization),
        "TAZ4RNXwTmyK51pIbxZ2jnOQRfOjrgRjyj15OPStic8O08kH1o32EY3PiGtiB0xdZj/5FXY5U4AqS6xvEIB1B"
        "g==");
    tools_done(&t);
}

TEST(gonka_wallet_sends_the_configured_address) {
    struct tools t;
    struct peri_gonka_wallet w;
    struct peri_fault fault = { PERI_OK, "" };
    const struct peri_key *key = NULL;
    const char *other = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6";
    struct peri_str hex =
        PERI_STR("1111111111111111111111111111111111111111111111111111111111111111");
    tools_init(&t);
    wallet_init(&w, &t, hex, other);
    CHECK(w.is_foreign);
    CHECK_STR(peri_str_of(w.address), other);
    wallet_init(&w, &t, hex, "GONKA1L3E9PGS3MMWUWRH95FECME0S0QTN2880EL49WM");
    CHECK(!w.is_foreign);
    CHECK_STR(peri_str_of(w.address), "gonka1l3e9pgs3mmwuwrh95fecme0s0qtn2880el49wm");
    CHECK_EQ(peri_keyring_add_hex(&key, t.ring, hex, NULL), PERI_OK);
    CHECK_EQ(
        peri_gonka_wallet_init(&w, t.hasher, t.signer, key, PERI_STR("gonka1nonsense"), &fault),
        PERI_EINVAL);
    CHECK(strstr(fault.text, "gonka1nonsense") != NULL && strstr(fault.text, "1111") == NULL);
    tools_done(&t);
}
