#include "gonka/chain/gonka_trust.h"

#include "crypto/test_vectors.h"
#include "gonka/chain/gonka_proof.h"

#define VECTORS "spec/vectors/gonka-proof.json"

/* When the later blocks of the vectors were made, and a little more. */
#define NOW INT64_C(1700003060)

struct chain {
    struct vectors v;
    struct peri_hasher *h;
    struct peri_str id;
};

static void chain_init(struct chain *c) {
    CHECK_EQ(peri_hasher_new(&c->h), PERI_OK);
    CHECK(vectors_open(&c->v, VECTORS));
    c->id = v_text(&c->v, c->v.root, "chain_id");
}

static void chain_done(struct chain *c) {
    vectors_close(&c->v);
    peri_hasher_free(c->h);
}

/* A block of the vectors, its validators over two pages as an RPC gives them. */
static struct peri_gonka_block block_of(struct chain *c, const char *part) {
    uint32_t object = part == NULL ? c->v.root : v_get(&c->v, c->v.root, part);
    uint32_t list = v_get(&c->v, object, "validators");
    struct peri_str *pages = peri_arena_alloc(&c->v.a, 2 * sizeof *pages);
    size_t count = peri_json_count(c->v.j, list), i = 0;
    struct peri_buf b[2];
    for (int k = 0; k < 2; k++) {
        peri_buf_init(&b[k], 0);
        peri_buf_addf(&b[k], "{\"jsonrpc\":\"2.0\",\"result\":{\"validators\":[");
    }
    struct peri_json_iter it = peri_json_iter(c->v.j, list);
    for (; peri_json_next(c->v.j, &it); i++) {
        struct peri_buf *page = &b[i >= count / 2];
        if (page->p[page->n - 1] != '[') peri_buf_add_char(page, ',');
        peri_buf_add(page, peri_json_raw(c->v.j, it.value));
    }
    for (int k = 0; k < 2; k++) {
        peri_buf_addf(&b[k], "]}}");
        pages[k] = peri_arena_dup(&c->v.a, peri_buf_str(&b[k]));
        peri_buf_done(&b[k]);
    }
    return (struct peri_gonka_block){ peri_json_raw(c->v.j, v_get(&c->v, object, "commit")), pages,
                                      2 };
}

static struct peri_gonka_trusted *start(struct chain *c) {
    struct peri_gonka_trusted *t = NULL;
    struct peri_fault fault = { PERI_OK, "" };
    struct peri_gonka_block block = block_of(c, NULL);
    CHECK_EQ(peri_gonka_trusted_start(&t, c->h, &block, c->id,
                                      u8(v_hex(&c->v, c->v.root, "block_hash")), &fault),
             PERI_OK);
    CHECK_STR(peri_str_of(fault.text), "");
    return t;
}

static enum peri_err step(struct chain *c, const struct peri_gonka_trusted *from, const char *part,
                          int64_t now, struct peri_fault *fault) {
    struct peri_gonka_trusted *t = NULL;
    struct peri_gonka_block block = block_of(c, part);
    enum peri_err err =
        peri_gonka_trusted_step(&t, c->h, from, &block, now, PERI_GONKA_TRUSTING_S, fault);
    CHECK((err == PERI_OK) == (t != NULL));
    peri_gonka_trusted_free(t);
    return err;
}

TEST(trust_starts_at_the_pinned_block) {
    struct chain c;
    chain_init(&c);
    struct peri_gonka_trusted *t = start(&c);
    CHECK_EQ(t->height, 1235);
    CHECK_EQ(t->validators.count, 6);
    CHECK_EQ(t->own.signed_power, 100);
    CHECK_EQ(t->time.seconds, 1700000006);
    peri_gonka_trusted_free(t);
    t = NULL;
    struct peri_gonka_block block = block_of(&c, NULL);
    struct peri_fault fault = { PERI_OK, "" };
    unsigned char other[32] = { 1 };
    CHECK_EQ(peri_gonka_trusted_start(&t, c.h, &block, c.id, other, &fault), PERI_EDENIED);
    CHECK(t == NULL && strstr(fault.text, "not the pinned one") != NULL);
    chain_done(&c);
}

TEST(trust_moves_when_a_third_of_the_old_power_signed) {
    struct chain c;
    struct peri_gonka_trusted *next = NULL;
    chain_init(&c);
    struct peri_gonka_trusted *t = start(&c);
    struct peri_gonka_block block = block_of(&c, "later");
    CHECK_EQ(peri_gonka_trusted_step(&next, c.h, t, &block, NOW, PERI_GONKA_TRUSTING_S, NULL),
             PERI_OK);
    CHECK_EQ(next->height, 1734);
    CHECK_EQ(next->validators.count, 4);
    CHECK_EQ(next->old.signed_power, 50);
    CHECK_EQ(next->old.total_power, 110);
    CHECK_EQ(next->own.signed_power, next->own.total_power);
    CHECK(peri_str_eq((struct peri_str){ (char *)next->block_hash, 32 },
                      v_hex(&c.v, v_get(&c.v, c.v.root, "later"), "block_hash")));
    /* The set of the stranger shares one validator with the old one and one with the new: still too few. */
    CHECK_EQ(step(&c, next, "stranger", NOW, NULL), PERI_EDENIED);
    peri_gonka_trusted_free(next);
    peri_gonka_trusted_free(t);
    chain_done(&c);
}

TEST(trust_refuses_strangers) {
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    chain_init(&c);
    struct peri_gonka_trusted *t = start(&c);
    CHECK_EQ(step(&c, t, "stranger", NOW, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "one third") != NULL);
    peri_gonka_trusted_free(t);
    chain_done(&c);
}

TEST(trust_goes_forward_and_grows_old) {
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    chain_init(&c);
    struct peri_gonka_trusted *t = start(&c);
    CHECK_EQ(step(&c, t, NULL, NOW, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "not later") != NULL);
    CHECK_EQ(step(&c, t, "later", 1700000006, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "in the future") != NULL);
    CHECK_EQ(step(&c, t, "later", 1700000006 + PERI_GONKA_TRUSTING_S, &fault), PERI_OK);
    CHECK_EQ(step(&c, t, "later", 1700000007 + PERI_GONKA_TRUSTING_S, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "too old") != NULL);
    t->time = (struct peri_comet_time){ 1700003000, 1 };
    CHECK_EQ(step(&c, t, "later", NOW, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "time is not later") != NULL);
    peri_gonka_trusted_free(t);
    chain_done(&c);
}

TEST(trust_refuses_documents_that_do_not_belong_together) {
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    struct peri_gonka_trusted *out = NULL;
    chain_init(&c);
    struct peri_gonka_trusted *t = start(&c);
    struct peri_gonka_block later = block_of(&c, "later"), stranger = block_of(&c, "stranger");
    struct peri_gonka_block mixed = { later.commit, stranger.validators, 2 };
    CHECK_EQ(peri_gonka_trusted_step(&out, c.h, t, &mixed, NOW, PERI_GONKA_TRUSTING_S, &fault),
             PERI_EDENIED);
    CHECK(strstr(fault.text, "other validators") != NULL);
    mixed = (struct peri_gonka_block){ later.commit, later.validators, 1 };
    CHECK_EQ(peri_gonka_trusted_step(&out, c.h, t, &mixed, NOW, PERI_GONKA_TRUSTING_S, &fault),
             PERI_EDENIED);
    mixed.page_count = 0;
    CHECK_EQ(peri_gonka_trusted_step(&out, c.h, t, &mixed, NOW, PERI_GONKA_TRUSTING_S, &fault),
             PERI_ETOOBIG);
    mixed = (struct peri_gonka_block){ PERI_STR_INIT("{}"), later.validators, 2 };
    CHECK_EQ(peri_gonka_trusted_step(&out, c.h, t, &mixed, NOW, PERI_GONKA_TRUSTING_S, &fault),
             PERI_EMALFORMED);
    t->chain_id = PERI_STR("gonka-mainnet");
    CHECK_EQ(peri_gonka_trusted_step(&out, c.h, t, &later, NOW, PERI_GONKA_TRUSTING_S, &fault),
             PERI_EDENIED);
    CHECK(out == NULL && strstr(fault.text, "another chain") != NULL);
    peri_gonka_trusted_free(t);
    chain_done(&c);
}

/* From a pinned block over its set to a proof: what a refresh does. */
TEST(trust_carries_a_proof) {
    struct chain c;
    struct peri_gonka_set *set = NULL;
    struct peri_gonka_proof_report report;
    chain_init(&c);
    struct peri_gonka_trusted *t = start(&c);
    const struct peri_gonka_trust trust = { .chain_id = c.id,
                                            .epoch = 7,
                                            .validators = t->validators,
                                            .commit = block_of(&c, NULL).commit };
    struct peri_str document = peri_json_raw(c.v.j, v_get(&c.v, c.v.root, "participants"));
    CHECK_EQ(peri_gonka_prove(&set, &report, c.h, document, &trust, NULL), PERI_OK);
    CHECK_EQ(report.commit.signers, 4);
    peri_gonka_set_free(set);
    peri_gonka_trusted_free(t);
    chain_done(&c);
}

TEST(trust_survives_failing_allocations) {
    struct chain c;
    chain_init(&c);
    struct peri_gonka_trusted *t = start(&c);
    struct peri_gonka_block block = block_of(&c, "later");
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_gonka_trusted *next = NULL;
        enum peri_err err =
            peri_gonka_trusted_step(&next, c.h, t, &block, NOW, PERI_GONKA_TRUSTING_S, NULL);
        CHECK((err == PERI_OK) == (next != NULL));
        peri_gonka_trusted_free(next);
    }
    peri_gonka_trusted_free(t);
    chain_done(&c);
}
