#include "gonka/chain/comet.h"

#include "crypto/test_vectors.h"
#include "gonka/chain/comet_json.h"

#define VECTORS "spec/vectors/gonka-proof.json"
#define CAPTURE "../shared/data/gonka/participants-epoch56-mainnet-20251018.json"

struct chain {
    struct vectors v;
    struct peri_hasher *h;
    struct peri_str id;
    struct peri_comet_header header;
    struct peri_comet_commit commit;
    struct peri_comet_validators set;
};

static uint32_t signed_header(struct chain *c, uint32_t object) {
    uint32_t result = v_get(&c->v, v_get(&c->v, object, "commit"), "result");
    return v_get(&c->v, result, "signed_header");
}

static void chain_read(struct chain *c, const char *part) {
    struct peri_fault fault = { PERI_OK, "" };
    uint32_t object = part == NULL ? c->v.root : v_get(&c->v, c->v.root, part);
    uint32_t both = signed_header(c, object);
    CHECK_EQ(
        peri_comet_header_read(&c->header, c->v.j, v_get(&c->v, both, "header"), &c->v.a, &fault),
        PERI_OK);
    CHECK_EQ(
        peri_comet_commit_read(&c->commit, c->v.j, v_get(&c->v, both, "commit"), &c->v.a, &fault),
        PERI_OK);
    CHECK_EQ(peri_comet_validators_read(&c->set, c->v.j, v_get(&c->v, object, "validators"), c->h,
                                        &c->v.a, &fault),
             PERI_OK);
    CHECK_STR(peri_str_of(fault.text), "");
}

static void chain_init(struct chain *c) {
    CHECK_EQ(peri_hasher_new(&c->h), PERI_OK);
    CHECK(vectors_open(&c->v, VECTORS));
    c->id = v_text(&c->v, c->v.root, "chain_id");
    chain_read(c, NULL);
}

static void chain_done(struct chain *c) {
    vectors_close(&c->v);
    peri_hasher_free(c->h);
}

static bool is_hash(struct chain *c, const unsigned char hash[32], const char *name) {
    return peri_str_eq((struct peri_str){ (const char *)hash, 32 }, v_hex(&c->v, c->v.root, name));
}

TEST(comet_hashes_agree_with_another_implementation) {
    struct chain c;
    unsigned char hash[32];
    chain_init(&c);
    CHECK_EQ(peri_comet_header_hash(hash, c.h, &c.header), PERI_OK);
    CHECK(is_hash(&c, hash, "block_hash"));
    CHECK_EQ(peri_comet_validators_hash(hash, c.h, &c.set), PERI_OK);
    CHECK(is_hash(&c, hash, "validators_hash"));
    CHECK(peri_str_eq(c.header.validators_hash, (struct peri_str){ (char *)hash, 32 }));
    struct peri_comet_validators none = { NULL, 0 };
    CHECK_EQ(peri_comet_validators_hash(hash, c.h, &none), PERI_OK);
    CHECK_EQ(hash[0], 0xe3); /* the hash of nothing */
    chain_done(&c);
}

TEST(comet_takes_a_commit_with_absent_and_nil_votes) {
    struct chain c;
    struct peri_comet_tally tally;
    struct peri_fault fault = { PERI_OK, "" };
    chain_init(&c);
    CHECK_EQ(peri_comet_verify(&tally, &c.commit, &c.set, c.id, &fault), PERI_OK);
    CHECK_STR(peri_str_of(fault.text), "");
    CHECK_EQ(tally.signed_power, 100);
    CHECK_EQ(tally.total_power, 110);
    CHECK_EQ(tally.signers, 4);
    CHECK_EQ(c.commit.signatures[5].flag, PERI_COMET_ABSENT);
    CHECK_EQ(c.commit.signatures[4].flag, PERI_COMET_NIL);
    CHECK_EQ(c.commit.round, 2);
    chain_done(&c);
}

static enum peri_err verify(struct chain *c, struct peri_str chain_id) {
    struct peri_comet_tally tally;
    return peri_comet_verify(&tally, &c->commit, &c->set, chain_id, NULL);
}

TEST(comet_refuses_every_other_vote) {
    struct chain c;
    chain_init(&c);
    CHECK_EQ(verify(&c, PERI_STR("gonka-mainnet")), PERI_EDENIED);
    c.commit.height++;
    CHECK_EQ(verify(&c, c.id), PERI_EDENIED);
    c.commit.height--;
    c.commit.round = 1;
    CHECK_EQ(verify(&c, c.id), PERI_EDENIED);
    c.commit.round = 2;
    c.commit.block_id.parts_total++;
    CHECK_EQ(verify(&c, c.id), PERI_EDENIED);
    c.commit.block_id.parts_total--;
    struct peri_str kept = c.commit.block_id.hash;
    c.commit.block_id.hash = c.commit.block_id.parts_hash;
    CHECK_EQ(verify(&c, c.id), PERI_EDENIED);
    c.commit.block_id.hash = kept;
    c.commit.count--;
    CHECK_EQ(verify(&c, c.id), PERI_EDENIED);
    c.commit.count++;
    CHECK_EQ(verify(&c, c.id), PERI_OK);
    chain_done(&c);
}

TEST(comet_refuses_every_changed_byte_of_a_signature) {
    struct chain c;
    int changed = 0;
    chain_init(&c);
    for (size_t i = 0; i < c.commit.count; i++) {
        struct peri_comet_signature *s = (struct peri_comet_signature *)&c.commit.signatures[i];
        char bytes[64];
        struct peri_str kept = s->signature;
        for (size_t k = 0; k < kept.n; k++, changed++) {
            memcpy(bytes, kept.p, 64);
            bytes[k] ^= 1;
            s->signature.p = bytes;
            CHECK_EQ(verify(&c, c.id), PERI_EDENIED);
        }
        s->signature = kept;
        s->time.nanos ^= 1;
        CHECK_EQ(verify(&c, c.id), s->flag == PERI_COMET_ABSENT ? PERI_OK : PERI_EDENIED);
        s->time.nanos ^= 1;
        s->address = (struct peri_str){ "01234567890123456789", 20 };
        CHECK_EQ(verify(&c, c.id), PERI_EDENIED);
        s->address = i == 5 ? (struct peri_str){ "", 0 }
                            : (struct peri_str){ (const char *)c.set.v[i].address, 20 };
        CHECK_EQ(verify(&c, c.id), PERI_OK);
    }
    CHECK_EQ(changed, 5 * 64);
    chain_done(&c);
}

TEST(comet_needs_more_than_two_thirds) {
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    struct peri_comet_tally tally;
    chain_init(&c);
    struct peri_comet_validator *v = (struct peri_comet_validator *)c.set.v;
    /* The signers have 40 + 30 + 20 + 10; the nil and absent ones get what is left. */
    v[4].power = 25;
    v[5].power = 25;
    CHECK_EQ(verify(&c, c.id), PERI_EDENIED); /* 100 of 150 is not more */
    v[5].power = 24;
    CHECK_EQ(verify(&c, c.id), PERI_OK); /* 100 of 149 */
    v[5].power = INT64_MAX;
    CHECK_EQ(verify(&c, c.id), PERI_EDENIED);
    v[5].power = 0;
    CHECK_EQ(peri_comet_verify(&tally, &c.commit, &c.set, c.id, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "impossible power") != NULL);
    c.set.count = c.commit.count = 0;
    CHECK_EQ(verify(&c, c.id), PERI_EDENIED);
    chain_done(&c);
}

TEST(comet_moves_trust_over_a_change_of_the_set) {
    struct chain c;
    struct peri_comet_tally tally;
    chain_init(&c);
    struct peri_comet_validators old = c.set;
    chain_read(&c, "later");
    CHECK_EQ(peri_comet_verify_trusting(&tally, &c.commit, &old, c.id, NULL), PERI_OK);
    CHECK_EQ(tally.signed_power, 50);
    CHECK_EQ(tally.signers, 2);
    CHECK_EQ(verify(&c, c.id), PERI_OK);
    CHECK_EQ(peri_comet_verify_trusting(&tally, &c.commit, &old, PERI_STR("x"), NULL),
             PERI_EDENIED);
    chain_read(&c, "stranger");
    CHECK_EQ(peri_comet_verify_trusting(&tally, &c.commit, &old, c.id, NULL), PERI_EDENIED);
    CHECK_EQ(verify(&c, c.id), PERI_OK); /* sound in itself, but nobody we trust is in it */
    chain_done(&c);
}

TEST(comet_counts_a_validator_once) {
    struct chain c;
    struct peri_comet_tally tally;
    struct peri_comet_signature twice[2];
    chain_init(&c);
    twice[0] = twice[1] = c.commit.signatures[0];
    c.commit.signatures = twice;
    c.commit.count = 2;
    CHECK_EQ(peri_comet_verify_trusting(&tally, &c.commit, &c.set, c.id, NULL), PERI_EDENIED);
    chain_done(&c);
}

TEST(comet_json_refuses_what_it_can_not_read) {
    static const char *const bad[] = {
        "{\"height\":\"1\"}",
        "{\"height\":\"x\",\"signatures\":[]}",
        "{\"height\":1,\"round\":-1,\"signatures\":[]}",
        "{\"signatures\":[{\"block_id_flag\":4}]}",
        "{\"signatures\":[{\"block_id_flag\":2,\"timestamp\":\"yesterday\"}]}",
        ("{\"signatures\":[{\"block_id_flag\":2,\"timestamp\":\"2025-10-18T08:56:30Z\","
         "\"signature\":\"AAAA\"}]}"),
        "{\"signatures\":[],\"block_id\":{\"hash\":\"00\"}}",
        "{\"signatures\":[],\"block_id\":{\"parts\":{\"total\":-1}}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct peri_json *j = NULL;
        struct peri_comet_commit commit;
        struct peri_arena a;
        peri_arena_init(&a, 0);
        CHECK_EQ(peri_json_parse(&j, peri_str_of(bad[i]), NULL, NULL), PERI_OK);
        CHECK_EQ(peri_comet_commit_read(&commit, j, peri_json_root(j), &a, NULL), PERI_EMALFORMED);
        peri_json_free(j);
        peri_arena_done(&a);
    }
}

TEST(comet_json_reads_times) {
    static const struct {
        const char *text;
        int64_t seconds;
        int32_t nanos;
        bool is_good;
    } cases[] = { { "\"1970-01-01T00:00:00Z\"", 0, 0, true },
                  { "\"0001-01-01T00:00:00Z\"", -62135596800, 0, true },
                  { "\"2025-10-18T08:56:30.70791873Z\"", 1760777790, 707918730, true },
                  { "\"2000-02-29T23:59:59.999999999Z\"", 951868799, 999999999, true },
                  { "\"2025-10-18T08:56:30\"", 0, 0, false },
                  { "\"2025-10-18T08:56:30.Z\"", 0, 0, false },
                  { "\"2025-10-18T08:56:30.1234567890Z\"", 0, 0, false },
                  { "\"2025-13-18T08:56:30Z\"", 0, 0, false },
                  { "\"2025-10-18T24:56:30Z\"", 0, 0, false },
                  { "\"2025-10-18T08:56:30+01:00\"", 0, 0, false },
                  { "\"-025-10-18T08:56:30Z\"", 0, 0, false },
                  { "17", 0, 0, false } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_json *j = NULL;
        struct peri_comet_time t;
        CHECK_EQ(peri_json_parse(&j, peri_str_of(cases[i].text), NULL, NULL), PERI_OK);
        CHECK_EQ(peri_gonka_time(&t, j, peri_json_root(j)), cases[i].is_good);
        if (cases[i].is_good) {
            CHECK_EQ(t.seconds, cases[i].seconds);
            CHECK_EQ(t.nanos, cases[i].nanos);
        }
        peri_json_free(j);
    }
}

TEST(comet_survives_failing_allocations) {
    struct chain c;
    chain_init(&c);
    TEST_EACH_FAILING_ALLOCATION {
        unsigned char hash[32];
        struct peri_comet_tally tally;
        enum peri_err err = peri_comet_header_hash(hash, c.h, &c.header);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        err = peri_comet_validators_hash(hash, c.h, &c.set);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        err = peri_comet_verify(&tally, &c.commit, &c.set, c.id, NULL);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
    }
    chain_done(&c);
}

/* Mainnet, block 873437: its hash is known, its last commit has 26 of 26 signatures. */
TEST(comet_verifies_the_mainnet_capture) {
    struct vectors v;
    struct peri_hasher *h = NULL;
    struct peri_comet_header header;
    struct peri_comet_commit commit;
    struct peri_comet_validators set;
    struct peri_comet_tally tally;
    unsigned char hash[32];
    if (!vectors_open(&v, CAPTURE)) return;
    CHECK_EQ(peri_hasher_new(&h), PERI_OK);
    uint32_t block = v_get(&v, v.root, "block");
    CHECK_EQ(peri_comet_header_read(&header, v.j, v_get(&v, block, "header"), &v.a, NULL), PERI_OK);
    CHECK_EQ(peri_comet_commit_read(&commit, v.j, v_get(&v, block, "last_commit"), &v.a, NULL),
             PERI_OK);
    CHECK_EQ(peri_comet_validators_read(&set, v.j, v_get(&v, v.root, "validators"), h, &v.a, NULL),
             PERI_OK);
    CHECK_EQ(peri_comet_header_hash(hash, h, &header), PERI_OK);
    CHECK(peri_str_eq(
        (struct peri_str){ (char *)hash, 32 },
        v_unhex(&v, PERI_STR("86C55D0E46C93EC7B37A71B6D36819B775DDB957877BFD589F688D33A8"
                             "8A38AB"))));
    CHECK_EQ(peri_comet_validators_hash(hash, h, &set), PERI_OK);
    CHECK(peri_str_eq((struct peri_str){ (char *)hash, 32 }, header.validators_hash));
    CHECK_EQ(peri_comet_commit_hash(hash, h, &commit), PERI_OK);
    CHECK(peri_str_eq((struct peri_str){ (char *)hash, 32 }, header.last_commit_hash));
    CHECK_EQ(peri_comet_verify(&tally, &commit, &set, header.chain_id, NULL), PERI_OK);
    CHECK_EQ(tally.signers, 26);
    CHECK_EQ(tally.signed_power, 424196);
    CHECK_EQ(tally.total_power, 424196);
    printf("mainnet block %lld: %zu signatures, power %lld of %lld\n", (long long)commit.height,
           tally.signers, (long long)tally.signed_power, (long long)tally.total_power);
    peri_hasher_free(h);
    vectors_close(&v);
}
