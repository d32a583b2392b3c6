#include "fleet/circuit.h"

#include "base/test.h"

#define NOW   UINT64_C(100000)
#define MODEL PERI_STR("m")
#define CHAT  PERI_DIALECT_CHAT

static const struct peri_config config = { .failures = 3,
                                           .failure_percent = 50,
                                           .failure_window_ms = 30000,
                                           .failure_cooldown_ms = 15000,
                                           .rate_limit_cooldown_ms = 4000 };

/* A host with two keys, in a network. */
struct rig {
    struct peri_vitals_table *table;
    struct peri_vitals *own, *network;
    struct peri_provider provider;
};

static void rig_open(struct rig *r) {
    if (peri_vitals_table_new(&r->table) != PERI_OK) abort();
    r->own = peri_vitals_get(r->table, PERI_STR("host"));
    r->network = peri_vitals_get(r->table, PERI_STR("network"));
    if (r->own == NULL || r->network == NULL) abort();
    r->provider =
        (struct peri_provider){ .key_count = 2, .vitals = r->own, .network_vitals = r->network };
}

static void rig_close(struct rig *r) {
    peri_vitals_unref(r->own);
    peri_vitals_unref(r->network);
    peri_vitals_table_free(r->table);
}

/* Of a scope: the first key's, and that of the model "m", which is made when a test asks for it. */
static struct peri_breaker *breaker(struct rig *r, enum peri_scope scope) {
    switch (scope) {
    case PERI_SCOPE_MODEL: return peri_vitals_make_model(r->own, MODEL, CHAT);
    case PERI_SCOPE_KEY: return &r->own->keys[0];
    case PERI_SCOPE_ENDPOINT: return &r->own->endpoints[CHAT];
    case PERI_SCOPE_PROVIDER: return &r->own->breaker;
    case PERI_SCOPE_NETWORK: return &r->network->breaker;
    default: abort();
    }
}

static void rest(struct peri_breaker *b, uint64_t ms) {
    struct peri_breaker_failure f = { .reason = PERI_EUPSTREAM, .now_ms = NOW };
    peri_breaker_open(b, &f, ms);
}

static void rest_keys(struct rig *r, uint64_t first_ms, uint64_t second_ms) {
    rest(&r->own->keys[0], first_ms);
    rest(&r->own->keys[1], second_ms);
}

static bool enter(struct rig *r, struct peri_circuit *c, uint64_t now_ms, bool is_last) {
    *c = (struct peri_circuit){ .trials = 0 };
    return peri_circuit_enter(c, &r->provider, MODEL, CHAT, now_ms, is_last);
}

static int state_of(struct rig *r, enum peri_scope scope) {
    return atomic_load(&breaker(r, scope)->state);
}

TEST(circuit_is_open_while_one_of_its_breakers_is) {
    for (enum peri_scope s = PERI_SCOPE_MODEL; s < PERI_SCOPE_COUNT; s++) {
        struct rig r;
        struct peri_circuit c;
        struct peri_rest why;
        rig_open(&r);
        CHECK(peri_circuit_admits(&r.provider, MODEL, CHAT, NOW, &why));
        rest(breaker(&r, s), 500);
        if (s == PERI_SCOPE_KEY) { /* the other one is enough */
            CHECK(peri_circuit_admits(&r.provider, MODEL, CHAT, NOW, &why));
            CHECK_EQ(peri_circuit_rest_ms(&r.provider, NOW), 0);
            rest(&r.own->keys[1], 600);
        }
        CHECK(!peri_circuit_admits(&r.provider, MODEL, CHAT, NOW, &why));
        CHECK_EQ(why.scope, s);
        CHECK_EQ(why.wait_ms, 500);
        CHECK_EQ(why.reason, PERI_EUPSTREAM);
        CHECK(!why.is_forbidden);
        CHECK(!enter(&r, &c, NOW, false));
        CHECK_EQ(peri_circuit_admits(&r.provider, PERI_STR("n"), CHAT, NOW, NULL),
                 s == PERI_SCOPE_MODEL);
        CHECK_EQ(peri_circuit_admits(&r.provider, MODEL, PERI_DIALECT_EMBEDDINGS, NOW, NULL),
                 s == PERI_SCOPE_MODEL || s == PERI_SCOPE_ENDPOINT);
        bool is_whole = s != PERI_SCOPE_MODEL && s != PERI_SCOPE_ENDPOINT;
        CHECK_EQ(peri_circuit_rest_ms(&r.provider, NOW), is_whole ? 500 : 0);
        CHECK(peri_circuit_admits(&r.provider, MODEL, CHAT, NOW + 500, NULL));
        CHECK(enter(&r, &c, NOW + 500, false));
        peri_circuit_cancel(&c);
        rig_close(&r);
    }
}

TEST(circuit_tells_of_the_rest_that_ends_last) {
    struct rig r;
    struct peri_rest why;
    rig_open(&r);
    rest(breaker(&r, PERI_SCOPE_PROVIDER), 300);
    rest(breaker(&r, PERI_SCOPE_MODEL), 100);
    rest_keys(&r, 900, 200); /* of the keys the first that is back counts */
    CHECK(!peri_circuit_admits(&r.provider, MODEL, CHAT, NOW, &why));
    CHECK_EQ(why.scope, PERI_SCOPE_PROVIDER);
    CHECK_EQ(why.wait_ms, 300);
    CHECK_EQ(peri_circuit_rest_ms(&r.provider, NOW), 300);
    rest(&r.own->keys[1], 700);
    CHECK(!peri_circuit_admits(&r.provider, MODEL, CHAT, NOW, &why));
    CHECK_EQ(why.scope, PERI_SCOPE_KEY);
    CHECK_EQ(why.wait_ms, 700);
    CHECK_EQ(peri_circuit_rest_ms(&r.provider, NOW), 700);
    CHECK(!why.is_forbidden);
    rig_close(&r);
}

/* Wherever it is forbidden, and whichever rest ends last. */
TEST(circuit_that_one_breaker_forbids_is_forbidden) {
    for (enum peri_scope s = PERI_SCOPE_MODEL; s < PERI_SCOPE_COUNT; s++) {
        struct rig r;
        struct peri_rest why;
        rig_open(&r);
        for (enum peri_scope at = PERI_SCOPE_MODEL; at < PERI_SCOPE_COUNT; at++)
            if (at != s) rest(breaker(&r, at), 10000 + at);
        rest(&r.own->keys[1], 20000);
        peri_breaker_hold(breaker(&r, s), true);
        CHECK(!peri_circuit_admits(&r.provider, MODEL, CHAT, NOW, &why));
        CHECK(why.is_forbidden);
        rig_close(&r);
    }
}

TEST(circuit_keys_take_turns_and_the_first_that_is_back_is_the_last_resort) {
    struct rig r;
    struct peri_circuit c;
    rig_open(&r);
    for (size_t i = 0; i < 4; i++) {
        CHECK(enter(&r, &c, NOW, false));
        CHECK_EQ(c.key, i % 2);
    }
    for (size_t rests = 0; rests < 2; rests++) {
        peri_vitals_reset(r.own);
        rest(&r.own->keys[rests], 500);
        for (int i = 0; i < 2; i++) {
            CHECK(enter(&r, &c, NOW, false));
            CHECK_EQ(c.key, 1 - rests);
            CHECK(c.at[PERI_SCOPE_KEY] == &r.own->keys[1 - rests]);
        }
        rest(&r.own->keys[1 - rests], 400);
        for (int i = 0; i < 2; i++) {
            CHECK(!enter(&r, &c, NOW, false));
            CHECK(enter(&r, &c, NOW, true));
            CHECK_EQ(c.key, 1 - rests);
            peri_circuit_cancel(&c);
        }
    }
    rig_close(&r);
}

TEST(circuit_is_entered_as_a_whole_or_not_at_all) {
    struct rig r;
    struct peri_circuit c;
    rig_open(&r);
    rest(breaker(&r, PERI_SCOPE_PROVIDER), 100);
    rest(breaker(&r, PERI_SCOPE_NETWORK), 100);
    rest(breaker(&r, PERI_SCOPE_MODEL), 500);
    CHECK(!enter(&r, &c, NOW + 200, false));
    CHECK_EQ(c.trials, 0);
    CHECK_EQ(state_of(&r, PERI_SCOPE_PROVIDER), PERI_BREAKER_OPEN); /* nobody's trial */
    CHECK_EQ(state_of(&r, PERI_SCOPE_NETWORK), PERI_BREAKER_OPEN);
    CHECK(enter(&r, &c, NOW + 500, false));
    CHECK_EQ(c.trials,
             1u << PERI_SCOPE_PROVIDER | 1u << PERI_SCOPE_NETWORK | 1u << PERI_SCOPE_MODEL);
    peri_circuit_cancel(&c);
    CHECK_EQ(c.trials, 0);
    CHECK_EQ(state_of(&r, PERI_SCOPE_MODEL), PERI_BREAKER_OPEN);
    rig_close(&r);
}

TEST(circuit_that_succeeds_closes_whatever_it_was_the_trial_of) {
    for (enum peri_scope s = PERI_SCOPE_MODEL; s < PERI_SCOPE_COUNT; s++) {
        struct rig r;
        struct peri_circuit c;
        rig_open(&r);
        rest(breaker(&r, s), 500);
        if (s == PERI_SCOPE_KEY) rest(&r.own->keys[1], 600);
        CHECK(enter(&r, &c, NOW + 500, false));
        CHECK_EQ(c.trials, 1u << s);
        CHECK_EQ(peri_circuit_succeed(&c, &config, NOW + 500), 1u << s);
        CHECK_EQ(c.trials, 0);
        CHECK_EQ(state_of(&r, s), PERI_BREAKER_CLOSED);
        /* One answer is one result: a window of a provider that closed begins anew. */
        CHECK_EQ(atomic_load(&r.own->breaker.window) >> 16 & 0xFFFF, s != PERI_SCOPE_PROVIDER);
        rig_close(&r);
    }
}

static bool fail(struct rig *r, enum peri_scope scope, enum peri_err reason, int status) {
    struct peri_circuit c;
    struct peri_breaker_failure f = { .reason = reason, .status = status, .now_ms = NOW };
    r->own->next_key = 0;
    CHECK(enter(r, &c, NOW, false));
    peri_circuit_add_model(&c, &r->provider, MODEL, CHAT);
    return peri_circuit_fail(&c, &config, scope, &f, 0);
}

static unsigned streak(struct rig *r, enum peri_scope scope) {
    return atomic_load(&breaker(r, scope)->streak);
}

/* A refusal is an answer: what is wider than the failure works. No answer shows nothing. */
TEST(circuit_that_fails_shows_that_what_is_wider_answers) {
    for (int has_answered = 0; has_answered < 2; has_answered++) {
        struct rig r;
        rig_open(&r);
        CHECK(!fail(&r, PERI_SCOPE_NETWORK, PERI_EDENIED, 403));
        CHECK(!fail(&r, PERI_SCOPE_PROVIDER, PERI_EUPSTREAM, 500));
        CHECK(!fail(&r, PERI_SCOPE_MODEL, PERI_EUPSTREAM, has_answered ? 404 : 0));
        CHECK_EQ(streak(&r, PERI_SCOPE_MODEL), 1);
        CHECK_EQ(streak(&r, PERI_SCOPE_PROVIDER), !has_answered);
        CHECK_EQ(streak(&r, PERI_SCOPE_NETWORK), 1); /* a host says nothing of its network */
        rig_close(&r);
    }
}

TEST(circuit_that_fails_in_one_scope_is_no_trial_of_the_others_any_more) {
    struct rig r;
    struct peri_circuit c;
    struct peri_breaker_failure f = { PERI_EUPSTREAM, 500, NOW + 500, 0, false };
    rig_open(&r);
    rest(breaker(&r, PERI_SCOPE_MODEL), 500);
    rest(breaker(&r, PERI_SCOPE_NETWORK), 500);
    rest(breaker(&r, PERI_SCOPE_PROVIDER), 500);
    CHECK(enter(&r, &c, NOW + 500, false));
    CHECK(!peri_circuit_fail(&c, &config, PERI_SCOPE_PROVIDER, &f, 0)); /* it was open */
    CHECK_EQ(c.trials, 0);
    CHECK_EQ(state_of(&r, PERI_SCOPE_MODEL), PERI_BREAKER_OPEN);
    CHECK_EQ(state_of(&r, PERI_SCOPE_NETWORK), PERI_BREAKER_OPEN);
    CHECK_EQ(peri_circuit_rest_ms(&r.provider, NOW + 500), 30000); /* a trial that failed */
    rig_close(&r);
}

TEST(circuit_rests_as_long_as_its_failure_asks_for) {
    static const struct {
        enum peri_err reason;
        uint64_t at_once_ms, rest_ms;
    } cases[] = { { PERI_EUPSTREAM, 0, 15000 },
                  { PERI_ERATELIMIT, 0, 4000 },
                  { PERI_EAUTH, 300000, 300000 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r;
        struct peri_circuit c;
        struct peri_breaker_failure f = { .reason = cases[i].reason, .status = 500, .now_ms = NOW };
        rig_open(&r);
        for (int left = cases[i].at_once_ms != 0 ? 0 : 2; left >= 0; left--) {
            CHECK(enter(&r, &c, NOW, false));
            CHECK_EQ(peri_circuit_fail(&c, &config, PERI_SCOPE_PROVIDER, &f, cases[i].at_once_ms),
                     left == 0);
        }
        CHECK_EQ(peri_circuit_rest_ms(&r.provider, NOW), cases[i].rest_ms);
        rig_close(&r);
    }
}

TEST(circuit_looks_at_the_ratio_of_the_provider_alone) {
    for (enum peri_scope s = PERI_SCOPE_MODEL; s < PERI_SCOPE_COUNT; s++) {
        struct rig r;
        struct peri_circuit c;
        struct peri_breaker_failure f = { PERI_EUPSTREAM, 0, NOW, 0, false };
        bool has_opened = false;
        rig_open(&r);
        r.provider.key_count = 1;
        for (int i = 0; i < PERI_BREAKER_RESULTS_MIN && !has_opened; i++) {
            CHECK(enter(&r, &c, NOW, false));
            peri_circuit_add_model(&c, &r.provider, MODEL, CHAT);
            has_opened = peri_circuit_fail(&c, &config, s, &f, 0);
            atomic_store(&breaker(&r, s)->streak, 0); /* not for those in a row */
        }
        CHECK_EQ(has_opened, s == PERI_SCOPE_PROVIDER);
        rig_close(&r);
    }
}

TEST(circuit_has_a_breaker_for_a_model_once_it_fails) {
    struct rig r;
    struct peri_circuit c = { .trials = 0 };
    rig_open(&r);
    CHECK(peri_circuit_enter(&c, &r.provider, PERI_STR("n"), CHAT, NOW, false));
    CHECK(c.at[PERI_SCOPE_MODEL] == NULL);
    peri_circuit_add_model(&c, &r.provider, PERI_STR("n"), CHAT);
    CHECK(c.at[PERI_SCOPE_MODEL] == peri_vitals_model(r.own, PERI_STR("n"), CHAT));
    CHECK(c.at[PERI_SCOPE_MODEL] != NULL);
    rig_close(&r);
}
