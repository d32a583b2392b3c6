#include "gonka/chain/ics23.h"

#include "crypto/test_vectors.h"

/* Proofs put together here, one thing wrong at a time: a tree whose nodes may be of any shape lets an inner node pass for
 * a leaf, and then anything can be proven. The hash of each is computed as it stands, so only the checks of shape refuse. */

#define HASH "0123456789abcdef0123456789abcdef"

struct message {
    char p[16384];
    size_t n;
};

static void put(struct message *m, struct peri_str bytes) {
    if (m->n + bytes.n > sizeof m->p) abort();
    if (bytes.n > 0) memcpy(m->p + m->n, bytes.p, bytes.n);
    m->n += bytes.n;
}

static void put_number(struct message *m, size_t value) {
    char byte;
    do {
        byte = (char)((value & 127) | (value > 127 ? 128 : 0));
        put(m, (struct peri_str){ &byte, 1 });
    } while ((value >>= 7) > 0);
}

static void put_bytes(struct message *m, unsigned field, struct peri_str bytes) {
    put_number(m, field << 3 | 2);
    put_number(m, bytes.n);
    put(m, bytes);
}

struct step {
    struct peri_str prefix, suffix;
    char hash; /* 0: SHA-256 */
};

struct shape {
    struct peri_str key, value, leaf;
    struct step step;
    size_t steps;
    struct peri_str behind;
};

static enum peri_err check(const struct shape *s, enum peri_ics23_tree tree) {
    struct message leaf = { .n = 0 }, inner, proof = { .n = 0 }, whole = { .n = 0 };
    struct peri_hasher *h;
    struct peri_ics23 out;
    CHECK_EQ(peri_hasher_new(&h), PERI_OK);
    put(&leaf, PERI_STR("\x08\x01\x18\x01\x20\x01"));
    put_bytes(&leaf, 5, s->leaf);
    put_bytes(&proof, 1, s->key);
    put_bytes(&proof, 2, s->value);
    put_bytes(&proof, 3, (struct peri_str){ leaf.p, leaf.n });
    for (size_t i = 0; i < s->steps; i++) {
        char op[2] = { 8, s->step.hash != 0 ? s->step.hash : 1 };
        inner.n = 0;
        put(&inner, (struct peri_str){ op, 2 });
        put_bytes(&inner, 2, s->step.prefix);
        if (s->step.suffix.n > 0) put_bytes(&inner, 3, s->step.suffix);
        put_bytes(&proof, 4, (struct peri_str){ inner.p, inner.n });
    }
    put_bytes(&whole, 1, (struct peri_str){ proof.p, proof.n });
    put(&whole, s->behind);
    enum peri_err err = peri_ics23_existence(&out, h, tree, (struct peri_str){ whole.p, whole.n });
    peri_hasher_free(h);
    return err;
}

static const struct shape iavl = { .key = PERI_STR_INIT("k"),
                                   .value = PERI_STR_INIT("v"),
                                   .leaf = PERI_STR_INIT("\x00\x02\x0e"),
                                   .step = { .prefix = PERI_STR_INIT("\x02\x04\x0e\x20"),
                                             .suffix = PERI_STR_INIT("\x20" HASH) },
                                   .steps = 1 };
static const struct shape simple = { .key = PERI_STR_INIT("k"),
                                     .value = PERI_STR_INIT("v"),
                                     .leaf = PERI_STR_INIT("\x00"),
                                     .step = { .prefix = PERI_STR_INIT("\x01"),
                                               .suffix = PERI_STR_INIT(HASH) },
                                     .steps = 1 };

static void refuse_leaves(const struct shape *good, enum peri_ics23_tree tree,
                          const struct peri_str *leaves, size_t count) {
    CHECK_EQ(check(good, tree), PERI_OK);
    for (size_t i = 0; i < count; i++) {
        struct shape s = *good;
        s.leaf = leaves[i];
        if (check(&s, tree) != PERI_EDENIED) fprintf(stderr, "leaf %zu\n", i);
        CHECK_EQ(check(&s, tree), PERI_EDENIED);
    }
}

static void refuse_steps(const struct shape *good, enum peri_ics23_tree tree,
                         const struct step *steps, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct shape s = *good;
        s.step = steps[i];
        if (check(&s, tree) != PERI_EDENIED) fprintf(stderr, "step %zu\n", i);
        CHECK_EQ(check(&s, tree), PERI_EDENIED);
    }
}

TEST(ics23_refuses_what_is_no_leaf_of_an_iavl_tree) {
    static const struct peri_str leaves[] = {
        PERI_STR_INIT("\x02\x02\x0e"),     /* above the ground */
        PERI_STR_INIT("\x00\x04\x0e"),     /* two nodes in one */
        PERI_STR_INIT("\x00\x02\x0f"),     /* a negative version */
        PERI_STR_INIT("\x00\x02"),         /* no version */
        PERI_STR_INIT("\x00\x02\x0e\x01"), /* something behind it */
    };
    refuse_leaves(&iavl, PERI_ICS23_IAVL, leaves, sizeof leaves / sizeof *leaves);
}

TEST(ics23_refuses_what_is_no_inner_node_of_an_iavl_tree) {
    static const struct step steps[] = {
        /* its height is less than its leaf's distance */
        { PERI_STR_INIT("\x00\x04\x0e\x20"), PERI_STR_INIT("\x20" HASH), 0 },
        { PERI_STR_INIT("\x02\x04\x0e\x21"), PERI_STR_INIT("\x20" HASH), 0 },
        { PERI_STR_INIT("\x02\x04\x0e"), PERI_STR_INIT("\x20" HASH), 0 },
        { PERI_STR_INIT("\x02\x04\x0e\x20"), PERI_STR_INIT("\x21" HASH), 0 },
        { PERI_STR_INIT("\x02\x04\x0e\x20"), PERI_STR_INIT("\x20" HASH "x"), 0 },
        { PERI_STR_INIT("\x02\x04\x0e\x20"), PERI_STR_INIT(""), 0 },
        { PERI_STR_INIT("\x02\x04\x0e\x20" HASH "\x21"), PERI_STR_INIT(""), 0 },
        { PERI_STR_INIT("\x02\x04\x0e\x20" HASH "\x20"), PERI_STR_INIT("x"), 0 },
        { PERI_STR_INIT("\x02\x04\x0e\x20" HASH), PERI_STR_INIT("\x20"), 0 },
        { PERI_STR_INIT("\x02\x04\x0e\x20"), PERI_STR_INIT("\x20" HASH), 2 },
    };
    struct shape right = iavl;
    right.step = (struct step){ PERI_STR("\x02\x04\x0e\x20" HASH "\x20"), PERI_STR(""), 0 };
    CHECK_EQ(check(&right, PERI_ICS23_IAVL), PERI_OK);
    refuse_steps(&iavl, PERI_ICS23_IAVL, steps, sizeof steps / sizeof *steps);
}

TEST(ics23_refuses_what_is_no_node_of_a_simple_tree) {
    static const struct peri_str leaves[] = { PERI_STR_INIT("\x01"), PERI_STR_INIT("\x00\x00"),
                                              PERI_STR_INIT("") };
    static const struct step steps[] = {
        { PERI_STR_INIT("\x00"), PERI_STR_INIT(HASH), 0 }, /* a leaf */
        { PERI_STR_INIT("\x01x"), PERI_STR_INIT("123456789abcdef0123456789abcdef"), 0 },
        { PERI_STR_INIT("\x01"), PERI_STR_INIT(HASH "x"), 0 },
        { PERI_STR_INIT("\x01" HASH "x"), PERI_STR_INIT(""), 0 },
        { PERI_STR_INIT("\x01"), PERI_STR_INIT(HASH), 2 },
    };
    struct shape right = simple;
    right.step = (struct step){ PERI_STR("\x01" HASH), PERI_STR(""), 0 };
    CHECK_EQ(check(&right, PERI_ICS23_SIMPLE), PERI_OK);
    refuse_leaves(&simple, PERI_ICS23_SIMPLE, leaves, sizeof leaves / sizeof *leaves);
    refuse_steps(&simple, PERI_ICS23_SIMPLE, steps, sizeof steps / sizeof *steps);
}

TEST(ics23_refuses_what_stands_behind_a_proof) {
    struct shape s = simple;
    s.behind = PERI_STR("\x12\x00");
    CHECK_EQ(check(&s, PERI_ICS23_SIMPLE), PERI_EMALFORMED);
}

TEST(ics23_refuses_proofs_of_nothing) {
    struct shape s = simple;
    s.key = PERI_STR("");
    CHECK_EQ(check(&s, PERI_ICS23_SIMPLE), PERI_EDENIED);
    s = simple;
    s.value = PERI_STR("");
    CHECK_EQ(check(&s, PERI_ICS23_SIMPLE), PERI_EDENIED);
}

TEST(ics23_follows_paths_of_a_length) {
    struct shape s = simple;
    s.step = (struct step){ PERI_STR("\x01"), PERI_STR(HASH), 0 };
    s.steps = PERI_ICS23_STEPS_MAX;
    CHECK_EQ(check(&s, PERI_ICS23_SIMPLE), PERI_OK);
    s.steps++;
    CHECK_EQ(check(&s, PERI_ICS23_SIMPLE), PERI_ETOOBIG);
}
