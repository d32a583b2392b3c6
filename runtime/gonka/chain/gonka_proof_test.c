#include "gonka/chain/gonka_proof.h"

#include "crypto/test_vectors.h"
#include "gonka/chain/comet_json.h"

#define VECTORS "spec/vectors/gonka-proof.json"
#define DATA    "../shared/data/gonka/"
#define CAPTURE DATA "participants-epoch56-mainnet-20251018.json"

/* The small chain of the vectors: its document and commit as texts of their own. */
struct chain {
    struct vectors v;
    struct peri_hasher *h;
    char *document, *commit; /* copies that may be changed */
    size_t document_n, commit_n;
    struct peri_gonka_trust trust;
};

static char *copy_of(struct chain *c, const char *name, size_t *n) {
    struct peri_str raw = peri_json_raw(c->v.j, v_get(&c->v, c->v.root, name));
    char *p = peri_arena_alloc(&c->v.a, raw.n + 1);
    memcpy(p, raw.p, raw.n);
    p[raw.n] = '\0';
    *n = raw.n;
    return p;
}

static void chain_init(struct chain *c) {
    memset(c, 0, sizeof *c);
    CHECK_EQ(peri_hasher_new(&c->h), PERI_OK);
    CHECK(vectors_open(&c->v, VECTORS));
    c->document = copy_of(c, "participants", &c->document_n);
    c->commit = copy_of(c, "commit", &c->commit_n);
    c->trust.chain_id = v_text(&c->v, c->v.root, "chain_id");
    c->trust.epoch = 7;
    c->trust.commit = (struct peri_str){ c->commit, c->commit_n };
    CHECK_EQ(peri_comet_validators_read(&c->trust.validators, c->v.j,
                                        v_get(&c->v, c->v.root, "validators"), c->h, &c->v.a, NULL),
             PERI_OK);
}

static void pin(struct chain *c) {
    struct peri_str hash = v_hex(&c->v, c->v.root, "block_hash");
    c->trust.has_block_hash = true;
    memcpy(c->trust.block_hash, hash.p, 32);
    c->trust.commit.n = 0;
    c->trust.validators.count = 0;
}

static void chain_done(struct chain *c) {
    vectors_close(&c->v);
    peri_hasher_free(c->h);
}

static enum peri_err prove(struct chain *c, struct peri_gonka_set **set,
                           struct peri_gonka_proof_report *report, struct peri_fault *fault) {
    struct peri_str document = { c->document, c->document_n };
    *set = NULL;
    return peri_gonka_prove(set, report, c->h, document, &c->trust, fault);
}

/* The answer alone, where the set does not matter. */
static enum peri_err answer(struct chain *c, struct peri_fault *fault) {
    struct peri_gonka_set *set;
    struct peri_gonka_proof_report report;
    enum peri_err err = prove(c, &set, &report, fault);
    CHECK((err == PERI_OK) == (set != NULL));
    peri_gonka_set_free(set);
    return err;
}

TEST(proof_holds_with_trusted_validators) {
    struct chain c;
    struct peri_gonka_set *set;
    struct peri_gonka_proof_report report;
    struct peri_fault fault = { PERI_OK, "" };
    chain_init(&c);
    CHECK_EQ(prove(&c, &set, &report, &fault), PERI_OK);
    CHECK_STR(peri_str_of(fault.text), "");
    CHECK(set->is_proven);
    CHECK_EQ(set->epoch, 7);
    CHECK_EQ(set->count, 3);
    CHECK_EQ(report.epoch, 7);
    CHECK_EQ(report.height, 1235);
    CHECK_EQ(report.time.seconds, 1700000006);
    CHECK_EQ(report.steps, 7);
    CHECK_EQ(report.commit.signed_power, 100);
    CHECK_EQ(report.commit.total_power, 110);
    CHECK(!report.is_pinned);
    CHECK(memcmp(report.app_hash, u8(v_hex(&c.v, c.v.root, "app_hash")), 32) == 0);
    CHECK(memcmp(report.block_hash, u8(v_hex(&c.v, c.v.root, "block_hash")), 32) == 0);
    peri_gonka_set_free(set);
    chain_done(&c);
}

TEST(proof_gives_what_is_proven_and_not_what_is_told) {
    struct chain c;
    struct peri_gonka_set *set;
    struct peri_gonka_proof_report report;
    chain_init(&c);
    CHECK(strstr(c.document, "http://evil.example.com") != NULL);
    CHECK_EQ(prove(&c, &set, &report, NULL), PERI_OK);
    CHECK_STR(set->participants[0].told_url, "http://69.48.159.1:8000");
    CHECK_STR(set->participants[0].models[1].id, "Qwen/Qwen3-32B-FP8");
    CHECK(!set->participants[0].models[0].is_preserved &&
          set->participants[0].models[1].is_preserved);
    CHECK_EQ(set->participants[1].told_weight, 1);
    /* Exclusions stand beside the record; they are taken over. */
    CHECK_EQ(peri_gonka_set_apply(set, &(struct peri_gonka_rules){ 0 }), PERI_OK);
    CHECK_EQ(set->participants[2].verdict, PERI_GONKA_EXCLUDED);
    CHECK_EQ(set->usable_count, 2);
    peri_gonka_set_free(set);
    chain_done(&c);
}

TEST(proof_holds_with_a_pinned_block) {
    struct chain c;
    struct peri_gonka_set *set;
    struct peri_gonka_proof_report report;
    chain_init(&c);
    pin(&c);
    CHECK_EQ(prove(&c, &set, &report, NULL), PERI_OK);
    CHECK(report.is_pinned);
    CHECK_EQ(report.commit.signers, 0);
    CHECK_EQ(report.parent.signed_power, 106);
    peri_gonka_set_free(set);
    c.trust.block_hash[31] ^= 1;
    CHECK_EQ(answer(&c, NULL), PERI_EDENIED);
    chain_done(&c);
}

TEST(proof_needs_something_that_is_trusted) {
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    chain_init(&c);
    struct peri_gonka_trust whole = c.trust;
    c.trust.validators.count = 0;
    CHECK_EQ(answer(&c, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "pinned block hash") != NULL);
    /* Trusted validators, but only the commit of the block before: that one does not cover the app hash. */
    c.trust = whole;
    c.trust.commit.n = 0;
    CHECK_EQ(answer(&c, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "commit of the block") != NULL);
    chain_done(&c);
}

TEST(proof_refuses_other_expectations) {
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    chain_init(&c);
    c.trust.epoch = 8;
    CHECK_EQ(answer(&c, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "asked for was epoch 8") != NULL);
    c.trust.epoch = 0;
    CHECK_EQ(answer(&c, &fault), PERI_OK);
    c.trust.chain_id.n = 0;
    CHECK_EQ(answer(&c, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "another chain") != NULL);
    chain_done(&c);
}

TEST(proof_refuses_other_validators) {
    struct chain c;
    chain_init(&c);
    struct peri_comet_validator *v = (struct peri_comet_validator *)c.trust.validators.v;
    v[0].power++;
    CHECK_EQ(answer(&c, NULL), PERI_EDENIED);
    v[0].power--;
    v[0].public_key[0] ^= 1;
    CHECK_EQ(answer(&c, NULL), PERI_EDENIED);
    v[0].public_key[0] ^= 1;
    c.trust.validators.count--;
    CHECK_EQ(answer(&c, NULL), PERI_EDENIED);
    chain_done(&c);
}

/* A commit that is sound and by the trusted set's own rules, but of a later block. */
TEST(proof_refuses_the_commit_of_another_block) {
    struct chain c;
    chain_init(&c);
    c.trust.commit = peri_json_raw(c.v.j, v_get(&c.v, v_get(&c.v, c.v.root, "later"), "commit"));
    CHECK_EQ(answer(&c, NULL), PERI_EDENIED);
    c.trust.commit = PERI_STR("{}");
    CHECK_EQ(answer(&c, NULL), PERI_EMALFORMED);
    c.trust.commit = PERI_STR("not json");
    CHECK_EQ(answer(&c, NULL), PERI_EMALFORMED);
    chain_done(&c);
}

/* The app hash would lead to a record all the same: state that did not change since has it, too. */
TEST(proof_refuses_the_header_of_another_height) {
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    chain_init(&c);
    char *height = strstr(c.commit, "1235");
    CHECK(height != NULL && height < strstr(c.commit, "app_hash"));
    height[3] = '6';
    CHECK_EQ(answer(&c, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "not the one after the record") != NULL);
    chain_done(&c);
}

TEST(proof_refuses_another_store) {
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    unsigned char root[32];
    uint64_t epoch;
    size_t steps;
    chain_init(&c);
    struct peri_str simple = v_hex(&c.v, c.v.root, "simple_hex");
    ptrdiff_t at = peri_str_find(simple, PERI_STR("inference"));
    CHECK(at > 0);
    ((char *)simple.p)[at] = 'x';
    CHECK_EQ(peri_gonka_prove_record(root, &epoch, &steps, c.h, v_hex(&c.v, c.v.root, "record_hex"),
                                     v_hex(&c.v, c.v.root, "iavl_hex"), simple, &fault),
             PERI_EDENIED);
    CHECK(strstr(fault.text, "another store") != NULL);
    chain_done(&c);
}

/* Records with a sound proof and a pinned block, written at no height there is. */
TEST(proof_refuses_records_of_no_height) {
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    int count = 0;
    chain_init(&c);
    pin(&c);
    struct peri_json_iter it = peri_json_iter(c.v.j, v_get(&c.v, c.v.root, "ageless"));
    for (; peri_json_next(c.v.j, &it); count++) {
        struct peri_str document = peri_json_raw(c.v.j, v_get(&c.v, it.value, "participants"));
        c.document = (char *)document.p;
        c.document_n = document.n;
        memcpy(c.trust.block_hash, u8(v_hex(&c.v, it.value, "block_hash")), 32);
        CHECK_EQ(answer(&c, &fault), PERI_EDENIED);
        CHECK(strstr(fault.text, "no height") != NULL);
    }
    CHECK_EQ(count, 3);
    chain_done(&c);
}

/* Another character of the same kind, so that the text stays well formed where it can. */
static char other(char c) {
    if (c == '9') return '0';
    if (c == 'f') return 'a';
    if (c == 'F') return 'A';
    if (c == 'z') return 'a';
    if (c == 'Z') return 'A';
    if ((c >= '0' && c < '9') || (c >= 'a' && c < 'z') || (c >= 'A' && c < 'Z'))
        return (char)(c + 1);
    return c == '+' ? '/' : c == '/' ? '+' : 'x';
}

static bool same_set(const struct peri_gonka_set *a, const struct peri_gonka_set *b) {
    if (a->count != b->count || a->epoch != b->epoch || a->created_height != b->created_height)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct peri_gonka_participant *x = &a->participants[i], *y = &b->participants[i];
        if (!peri_str_eq(x->address, y->address) || !peri_str_eq(x->told_url, y->told_url) ||
            x->told_weight != y->told_weight || x->model_count != y->model_count)
            return false;
    }
    return true;
}

/* Change every character of a text in turn. What still passes must prove the same set; what lies inside one of the
 * members in `vital` may not pass at all. Gives how many were refused. */
static int change_each(struct chain *c, char *text, size_t n, const struct peri_str *vital,
                       size_t vital_count) {
    struct peri_gonka_set *good, *set;
    struct peri_gonka_proof_report report;
    int refused = 0;
    CHECK_EQ(prove(c, &good, &report, NULL), PERI_OK);
    for (size_t i = 0; i < n; i++) {
        char kept = text[i];
        text[i] = other(kept);
        bool has_passed = prove(c, &set, &report, NULL) == PERI_OK;
        bool is_vital = false;
        for (size_t k = 0; k < vital_count; k++)
            is_vital |= text + i >= vital[k].p && text + i < vital[k].p + vital[k].n;
        if (has_passed && (is_vital || !same_set(good, set))) {
            fprintf(stderr, "passed with a change at %zu: %.60s\n", i,
                    text + (i < 30 ? 0 : i - 30));
            CHECK(!"a change passed");
        }
        refused += !has_passed;
        peri_gonka_set_free(set);
        text[i] = kept;
    }
    peri_gonka_set_free(good);
    return refused;
}

/* The raw text of a member, without white space around it, in a changeable copy. */
static struct peri_str part(struct peri_json *j, uint32_t object, const char *name) {
    struct peri_str raw = peri_json_raw(j, peri_json_get(j, object, peri_str_of(name)));
    CHECK(raw.p != NULL);
    return raw;
}

/* White space between members can change; so what is vital is each string and number below a node. */
static size_t leaves(struct peri_json *j, uint32_t node, struct peri_str *out, size_t count) {
    enum peri_json_kind kind = peri_json_kind(j, node);
    if (kind == PERI_JSON_STRING || kind == PERI_JSON_NUMBER) {
        out[count++] = peri_json_raw(j, node);
        return count;
    }
    struct peri_json_iter it = peri_json_iter(j, node);
    while (peri_json_next(j, &it)) count = leaves(j, it.value, out, count);
    return count;
}

TEST(proof_refuses_every_changed_character_of_the_answer) {
    struct chain c;
    struct peri_json *j = NULL;
    struct peri_str vital[200];
    chain_init(&c);
    pin(&c);
    CHECK_EQ(peri_json_parse(&j, (struct peri_str){ c.document, c.document_n }, NULL, NULL),
             PERI_OK);
    uint32_t root = peri_json_root(j), block = peri_json_get(j, root, PERI_STR("block"));
    size_t n = 0;
    vital[n++] = part(j, root, "active_participants_bytes");
    n = leaves(j, peri_json_get(j, root, PERI_STR("proof_ops")), vital, n);
    n = leaves(j, peri_json_get(j, block, PERI_STR("header")), vital, n);
    n = leaves(j, peri_json_get(j, block, PERI_STR("last_commit")), vital, n);
    CHECK(n > 40 && n < 200);
    peri_json_free(j);
    int refused = change_each(&c, c.document, c.document_n, vital, n);
    printf("answer: %d of %zu changed characters refused, the others change nothing\n", refused,
           c.document_n);
    CHECK(refused > 4000);
    chain_done(&c);
}

TEST(proof_refuses_every_changed_character_of_the_commit) {
    struct chain c;
    struct peri_json *j = NULL;
    struct peri_str vital[200];
    chain_init(&c);
    CHECK_EQ(peri_json_parse(&j, (struct peri_str){ c.commit, c.commit_n }, NULL, NULL), PERI_OK);
    uint32_t result = peri_json_get(j, peri_json_root(j), PERI_STR("result"));
    size_t n = leaves(j, peri_json_get(j, result, PERI_STR("signed_header")), vital, 0);
    /* The absent validator's place has a time that nobody signed; take its one string out. */
    for (size_t i = 0; i < n; i++)
        if (peri_str_eq(vital[i], PERI_STR("\"0001-01-01T00:00:00Z\""))) vital[i].n = 0;
    peri_json_free(j);
    int refused = change_each(&c, c.commit, c.commit_n, vital, n);
    printf("commit: %d of %zu changed characters refused, the others change nothing\n", refused,
           c.commit_n);
    CHECK(refused > 1500);
    chain_done(&c);
}

struct record {
    struct peri_hasher *h;
    struct peri_str record, iavl, simple;
    unsigned char app_hash[32];
};

/* With every single byte of the three messages changed, in each of its bits. */
static int change_each_byte(struct record *r, struct peri_str bytes, int bits) {
    unsigned char root[32];
    uint64_t epoch;
    size_t steps;
    int changed = 0;
    char *p = (char *)bytes.p;
    for (size_t i = 0; i < bytes.n; i++)
        for (int bit = 0; bit < bits; bit++, changed++) {
            p[i] = (char)(p[i] ^ 1 << bit);
            bool passes = peri_gonka_prove_record(root, &epoch, &steps, r->h, r->record, r->iavl,
                                                  r->simple, NULL) == PERI_OK &&
                          memcmp(root, r->app_hash, 32) == 0;
            if (passes) fprintf(stderr, "byte %zu, bit %d\n", i, bit);
            CHECK(!passes);
            p[i] = (char)(p[i] ^ 1 << bit);
        }
    return changed;
}

static void check_record(struct record *r, int bits) {
    unsigned char root[32];
    uint64_t epoch;
    size_t steps;
    CHECK_EQ(
        peri_gonka_prove_record(root, &epoch, &steps, r->h, r->record, r->iavl, r->simple, NULL),
        PERI_OK);
    CHECK(memcmp(root, r->app_hash, 32) == 0);
    int record = change_each_byte(r, r->record, bits), iavl = change_each_byte(r, r->iavl, bits);
    int simple = change_each_byte(r, r->simple, bits);
    printf("changed bits refused: %d of the record, %d and %d of the proofs\n", record, iavl,
           simple);
}

TEST(proof_refuses_every_changed_bit_of_a_record) {
    struct chain c;
    chain_init(&c);
    struct record r = { c.h,
                        v_hex(&c.v, c.v.root, "record_hex"),
                        v_hex(&c.v, c.v.root, "iavl_hex"),
                        v_hex(&c.v, c.v.root, "simple_hex"),
                        { 0 } };
    memcpy(r.app_hash, u8(v_hex(&c.v, c.v.root, "app_hash")), 32);
    check_record(&r, 8);
    chain_done(&c);
}

TEST(proof_reads_no_byte_too_far) {
    struct chain c;
    struct peri_ics23 out;
    chain_init(&c);
    struct peri_str iavl = v_hex(&c.v, c.v.root, "iavl_hex");
    for (size_t n = 0; n <= iavl.n; n++) {
        char *p = test_guarded(iavl.p, n);
        enum peri_err err =
            peri_ics23_existence(&out, c.h, PERI_ICS23_IAVL, (struct peri_str){ p, n });
        CHECK_EQ(err == PERI_OK, n == iavl.n);
        test_guarded_free(p, n);
    }
    CHECK_EQ(peri_ics23_existence(&out, c.h, PERI_ICS23_SIMPLE, iavl), PERI_EDENIED);
    chain_done(&c);
}

/* Steps no tree of ours can make, each with the root it would lead to: the root is right, the shape is not. */
TEST(ics23_refuses_what_no_tree_makes) {
    static const struct peri_str bad[] = {
        PERI_STR_INIT(""),
        PERI_STR_INIT("\x12\x00"), /* a proof of absence */
        PERI_STR_INIT("\x1a\x00"), /* a batch */
        PERI_STR_INIT("\x2a\x00"), /* unknown */
        PERI_STR_INIT("\x0a\x00"), /* nothing in it */
        PERI_STR_INIT("\x0a\x00\x0a\x00"),
        PERI_STR_INIT("\x0a\x0d\x0a\x01k\x12\x01v\x1a\x05\x08\x01\x18\x01\x2a"), /* cut short */
        /* leaf: no length */
        PERI_STR_INIT("\x0a\x0f\x0a\x01k\x12\x01v\x1a\x07\x08\x01\x18\x01\x2a\x01\x00"),
        /* leaf: another hash */
        PERI_STR_INIT("\x0a\x11\x0a\x01k\x12\x01v\x1a\x09\x08\x02\x18\x01\x20\x01\x2a\x01\x00"),
        /* leaf: the key hashed before */
        PERI_STR_INIT(
            "\x0a\x13\x0a\x01k\x12\x01v\x1a\x0b\x08\x01\x10\x01\x18\x01\x20\x01\x2a\x01\x00"),
        /* leaf: the prefix of an inner node */
        PERI_STR_INIT("\x0a\x11\x0a\x01k\x12\x01v\x1a\x09\x08\x01\x18\x01\x20\x01\x2a\x01\x01"),
        /* leaf: twice the same field */
        PERI_STR_INIT(
            "\x0a\x13\x0a\x01k\x12\x01v\x1a\x0b\x08\x01\x08\x01\x18\x01\x20\x01\x2a\x01\x00"),
        /* leaf: an unknown field */
        PERI_STR_INIT(
            "\x0a\x13\x0a\x01k\x12\x01v\x1a\x0b\x08\x01\x18\x01\x20\x01\x2a\x01\x00\x30\x01"),
        /* twice a key */
        PERI_STR_INIT(
            "\x0a\x14\x0a\x01k\x0a\x01k\x12\x01v\x1a\x09\x08\x01\x18\x01\x20\x01\x2a\x01\x00"),
        /* step: nothing but a prefix */
        PERI_STR_INIT(
            "\x0a\x18\x0a\x01k\x12\x01v\x1a\x09\x08\x01\x18\x01\x20\x01\x2a\x01\x00\x22\x05\x08"
            "\x01\x12\x01\x01"),
    };
    static const struct peri_str good =
        PERI_STR_INIT("\x0a\x11\x0a\x01k\x12\x01v\x1a\x09\x08\x01\x18\x01\x20\x01\x2a\x01\x00");
    struct peri_hasher *h = NULL;
    struct peri_ics23 out;
    CHECK_EQ(peri_hasher_new(&h), PERI_OK);
    CHECK_EQ(peri_ics23_existence(&out, h, PERI_ICS23_SIMPLE, good), PERI_OK);
    CHECK_STR(out.key, "k");
    CHECK_STR(out.value, "v");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum peri_err err = peri_ics23_existence(&out, h, PERI_ICS23_SIMPLE, bad[i]);
        if (err != PERI_EDENIED && err != PERI_EMALFORMED) fprintf(stderr, "case %zu\n", i);
        CHECK(err == PERI_EDENIED || err == PERI_EMALFORMED);
    }
    CHECK_EQ(peri_ics23_existence(&out, h, PERI_ICS23_IAVL, good), PERI_EDENIED);
    peri_hasher_free(h);
}

TEST(proof_survives_failing_allocations) {
    struct chain c;
    chain_init(&c);
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_gonka_set *set;
        struct peri_gonka_proof_report report;
        enum peri_err err = prove(&c, &set, &report, NULL);
        CHECK((err == PERI_OK) == (set != NULL));
        peri_gonka_set_free(set);
    }
    chain_done(&c);
}

static bool capture_open(struct vectors *v, struct chain *c, const char *path) {
    memset(c, 0, sizeof *c);
    if (!vectors_open(v, path)) return false;
    CHECK_EQ(peri_hasher_new(&c->h), PERI_OK);
    c->document = v->text;
    c->document_n = strlen(v->text);
    return true;
}

TEST(proof_of_the_mainnet_capture_holds_end_to_end) {
    struct vectors v;
    struct chain c;
    struct peri_gonka_set *set;
    struct peri_gonka_proof_report report;
    struct peri_fault fault = { PERI_OK, "" };
    if (!capture_open(&v, &c, CAPTURE)) return;
    CHECK_EQ(answer(&c, &fault), PERI_EDENIED); /* nothing trusted: no proof */
    struct peri_str hash =
        v_unhex(&v, PERI_STR("86C55D0E46C93EC7B37A71B6D36819B775DDB957877BFD589F688D33A88A38AB"));
    c.trust.has_block_hash = true;
    c.trust.epoch = 56;
    memcpy(c.trust.block_hash, hash.p, 32);
    CHECK_EQ(prove(&c, &set, &report, &fault), PERI_OK);
    CHECK_EQ(set->count, 26);
    CHECK_EQ(report.epoch, 56);
    CHECK_EQ(report.height, 873437);
    CHECK_EQ(report.steps, 22);
    CHECK_EQ(report.parent.signers, 26);
    CHECK_EQ(report.parent.signed_power, 424196);
    CHECK(peri_str_eq((struct peri_str){ (char *)report.app_hash, 32 },
                      v_unhex(&v, PERI_STR("CF522B649E852130CE43FA28C5697B69780A892F290A9C23E40C0F"
                                           "4921AEA253"))));
    printf("mainnet epoch 56: %zu participants proven, %zu steps, %zu signatures\n", set->count,
           report.steps, report.parent.signers);
    peri_gonka_set_free(set);
    c.trust.epoch = 57;
    CHECK_EQ(answer(&c, &fault), PERI_EDENIED);
    peri_hasher_free(c.h);
    vectors_close(&v);
}

TEST(proof_of_the_mainnet_capture_holds_every_byte) {
    struct vectors v;
    struct chain c;
    struct record r;
    if (!capture_open(&v, &c, CAPTURE)) return;
    uint32_t ops = v_get(&v, v_get(&v, v.root, "proof_ops"), "ops");
    r.h = c.h;
    r.record = v_hex(&v, v.root, "active_participants_bytes");
    r.iavl = peri_gonka_bytes(v.j, v_get(&v, peri_json_at(v.j, ops, 0), "data"), 0, &v.a);
    r.simple = peri_gonka_bytes(v.j, v_get(&v, peri_json_at(v.j, ops, 1), "data"), 0, &v.a);
    memcpy(r.app_hash,
           u8(v_unhex(
               &v, PERI_STR("CF522B649E852130CE43FA28C5697B69780A892F290A9C23E40C0F4921AEA253"))),
           32);
    check_record(&r, 1);
    peri_hasher_free(c.h);
    vectors_close(&v);
}

TEST(proof_of_the_documentations_example_does_not_hold) {
    struct vectors v;
    struct chain c;
    struct peri_fault fault = { PERI_OK, "" };
    if (!capture_open(&v, &c, DATA "participants-docs-example-2025h1.json")) return;
    c.trust.has_block_hash = true;
    CHECK_EQ(answer(&c, &fault), PERI_EDENIED);
    peri_hasher_free(c.h);
    vectors_close(&v);
    if (!capture_open(&v, &c, DATA "participants-v0.2.15-golden.json")) return;
    c.trust.has_block_hash = true;
    CHECK_EQ(answer(&c, &fault), PERI_EDENIED);
    CHECK(strstr(fault.text, "ics23:iavl") != NULL);
    peri_hasher_free(c.h);
    vectors_close(&v);
}
