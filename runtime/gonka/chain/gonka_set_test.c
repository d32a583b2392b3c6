#include "gonka/chain/gonka_set.h"

#include "base/test.h"

/* Accounts with sound checksums. */
#define A1 "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"
#define A2 "gonka1q6hag67dl53wl99vzg42z8eyzfz2xlkvqkpz3w"
#define A3 "gonka14h0ycu78h88wzldxc7e79vhw5xsde0n85evmum"
#define A4 "gonka15wgtkntdf26hqan77g0kdsldcxjddypxvas6v2"
#define A5 "gonka1waj8q9g2ekgardafc6plg77rgu2l3vfrg2y9jw"

struct entry {
    const char *address, *url;
    int64_t weight;
    const char *model;
};

static struct peri_gonka_set *set_of(const struct entry *entries, size_t count) {
    struct peri_gonka_set *set = NULL;
    CHECK_EQ(peri_gonka_set_new(&set), PERI_OK);
    set->participants = peri_arena_zalloc(&set->arena, count * sizeof *set->participants);
    for (size_t i = 0; i < count; i++) {
        struct peri_gonka_participant *p = &set->participants[i];
        p->address = peri_str_of(entries[i].address);
        p->told_url = peri_str_of(entries[i].url);
        p->told_weight = entries[i].weight;
        if (entries[i].model == NULL) continue;
        p->models = peri_arena_zalloc(&set->arena, sizeof *p->models);
        p->models[0].id = peri_str_of(entries[i].model);
        p->model_count = 1;
    }
    set->count = count;
    return set;
}

#define SET_OF(entries) set_of(entries, sizeof(entries) / sizeof *(entries))

static void apply(struct peri_gonka_set *set, const struct peri_gonka_rules *rules) {
    CHECK_EQ(peri_gonka_set_apply(set, rules), PERI_OK);
}

TEST(set_judges_every_participant) {
    static const struct entry entries[] = {
        { A1, "http://1.2.3.4:8000/v1", 10, NULL },
        { NULL, "http://1.2.3.5:8000", 10, NULL },
        { "cosmos1waj8q9g2ekgardafc6plg77rgu2l3vfrclrm4v", "http://1.2.3.5", 10, NULL },
        { A2, " ", 10, NULL },
        { A2, "gopher://1.2.3.4", 10, NULL },
        { A2, "http://127.0.0.1:8000", 10, NULL },
        { A1, "http://1.2.3.6:8000", 10, NULL },
        { "GONKA1W508D6QEJXTDG4Y5R3ZARVARY0C5XW7K2GSYG6", "http://1.2.3.7:8000", 10, NULL },
        { A3, "http://1.2.3.4:8000", 10, NULL },
    };
    static const enum peri_gonka_verdict want[] = {
        PERI_GONKA_USABLE,    PERI_GONKA_NO_ADDRESS, PERI_GONKA_BAD_ADDRESS,
        PERI_GONKA_NO_URL,    PERI_GONKA_BAD_URL,    PERI_GONKA_PRIVATE_URL,
        PERI_GONKA_DUPLICATE, PERI_GONKA_DUPLICATE,  PERI_GONKA_USABLE,
    };
    struct peri_gonka_set *set = SET_OF(entries);
    apply(set, &(struct peri_gonka_rules){ 0 });
    for (size_t i = 0; i < set->count; i++) {
        CHECK_EQ(set->participants[i].verdict, want[i]);
        CHECK_EQ(set->participants[i].weight, want[i] == PERI_GONKA_USABLE ? 10 : 0);
    }
    CHECK_EQ(set->usable_count, 2);
    CHECK_STR(set->participants[0].url, "http://1.2.3.4:8000");
    CHECK(set->participants[0].shares_url && set->participants[8].shares_url);
    apply(set, &(struct peri_gonka_rules){ .allows_private = true });
    CHECK_EQ(set->participants[5].verdict, PERI_GONKA_USABLE);
    CHECK_EQ(set->usable_count, 3);
    peri_gonka_set_free(set);
}

TEST(set_writes_addresses_in_lower_case) {
    static const struct entry entries[] = { { "GONKA1W508D6QEJXTDG4Y5R3ZARVARY0C5XW7K2GSYG6",
                                              "http://1.2.3.7:8000", 1, NULL } };
    struct peri_gonka_set *set = SET_OF(entries);
    apply(set, &(struct peri_gonka_rules){ 0 });
    CHECK_STR(set->participants[0].address, A1);
    peri_gonka_set_free(set);
}

TEST(set_follows_the_lists) {
    static const struct entry entries[] = { { A1, "http://1.2.3.1:8000", 1, NULL },
                                            { A2, "http://1.2.3.2:8000", 1, NULL },
                                            { A3, "http://1.2.3.3:8000", 1, NULL },
                                            { A4, "http://1.2.3.4:8000", 1, NULL },
                                            { A5, "http://1.2.3.5:8000", 1, NULL } };
    const struct peri_str agents[] = { PERI_STR(A1), PERI_STR(A2), PERI_STR(A3), PERI_STR(A4) };
    const struct peri_str deny[] = { PERI_STR(" " A2 " ") };
    const struct peri_str allow[] = { PERI_STR("http://1.2.3.1:8000/v1/"), PERI_STR(A2),
                                      PERI_STR("HTTP://1.2.3.4:8000") };
    const struct peri_gonka_rules rules = { .agents = agents,
                                            .agent_count = 4,
                                            .deny = deny,
                                            .deny_count = 1,
                                            .allow = allow,
                                            .allow_count = 3 };
    struct peri_gonka_set *set = SET_OF(entries);
    set->participants[3].exclusion = PERI_STR("invalidated");
    apply(set, &rules);
    CHECK_EQ(set->participants[0].verdict, PERI_GONKA_USABLE);
    CHECK_EQ(set->participants[1].verdict, PERI_GONKA_DENIED);
    CHECK_EQ(set->participants[2].verdict, PERI_GONKA_NOT_CHOSEN);
    CHECK_EQ(set->participants[3].verdict, PERI_GONKA_EXCLUDED);
    CHECK_EQ(set->participants[4].verdict, PERI_GONKA_NOT_ALLOWED);
    peri_gonka_set_free(set);
}

static const struct entry stakes[] = { { A1, "http://1.2.3.1", 100, NULL },
                                       { A2, "http://1.2.3.2", 400, NULL },
                                       { A3, "http://1.2.3.3", 2500, NULL },
                                       { A4, "http://1.2.3.4", 10000, NULL },
                                       { A5, "http://1.2.3.5", 7000, NULL } };

static uint64_t total(const struct peri_gonka_set *set) {
    uint64_t sum = 0;
    for (size_t i = 0; i < set->count; i++) sum += set->participants[i].weight;
    return sum;
}

TEST(set_damps_stakes) {
    struct peri_gonka_set *set = SET_OF(stakes);
    const struct peri_gonka_participant *p = set->participants;
    apply(set, &(struct peri_gonka_rules){ .damping = PERI_GONKA_DAMP_NONE });
    CHECK_EQ(p[3].weight, 10000);
    apply(set, &(struct peri_gonka_rules){ .damping = PERI_GONKA_DAMP_POWER });
    CHECK_EQ(p[0].weight, 10000);
    CHECK_EQ(p[3].weight, 100000);
    apply(set, &(struct peri_gonka_rules){ .damping = PERI_GONKA_DAMP_POWER, .damping_factor = 1 });
    CHECK_EQ(p[3].weight / p[0].weight, 100);
    apply(set, &(struct peri_gonka_rules){ .damping = PERI_GONKA_DAMP_LOG });
    CHECK_EQ(p[0].weight, 6658);
    CHECK_EQ(p[3].weight, 13288);
    peri_gonka_set_free(set);
}

TEST(set_caps_shares) {
    struct peri_gonka_set *set = SET_OF(stakes);
    const struct peri_gonka_participant *p = set->participants;
    apply(set, &(struct peri_gonka_rules){ .damping = PERI_GONKA_DAMP_CAP, .damping_factor = 0.4 });
    for (size_t i = 0; i < set->count; i++) CHECK(p[i].weight <= 0.4 * (double)total(set) + 1);
    CHECK_EQ(p[0].weight, 100);
    CHECK_EQ(p[3].weight, p[4].weight);
    /* A cap nobody reaches changes nothing. */
    apply(set, &(struct peri_gonka_rules){ .damping = PERI_GONKA_DAMP_CAP, .damping_factor = 0.9 });
    CHECK_EQ(p[3].weight, 10000);
    /* Five can not all stay below a tenth: then they are equal. */
    apply(set, &(struct peri_gonka_rules){ .damping = PERI_GONKA_DAMP_CAP, .damping_factor = 0.1 });
    for (size_t i = 0; i < set->count; i++) CHECK_EQ(p[i].weight, 100);
    /* The share of a fifth when none is given: five equal ones. */
    apply(set, &(struct peri_gonka_rules){ .damping = PERI_GONKA_DAMP_CAP });
    for (size_t i = 0; i < set->count; i++) CHECK_EQ(p[i].weight, 100);
    peri_gonka_set_free(set);
}

TEST(set_keeps_weights_positive_and_bounded) {
    static const struct entry extremes[] = { { A1, "http://1.2.3.1", 1, NULL },
                                             { A2, "http://1.2.3.2", INT64_MAX, NULL } };
    struct peri_gonka_set *set = SET_OF(extremes);
    for (int damping = PERI_GONKA_DAMP_NONE; damping <= PERI_GONKA_DAMP_CAP; damping++) {
        apply(set, &(struct peri_gonka_rules){ .damping = (enum peri_gonka_damping)damping });
        CHECK(set->participants[0].weight >= 1);
        CHECK(set->participants[1].weight >= set->participants[0].weight);
    }
    peri_gonka_set_free(set);
}

TEST(set_diff_names_what_changed) {
    static const struct entry old[] = { { A1, "http://1.2.3.1", 10, "m" },
                                        { A2, "http://1.2.3.2", 10, "m" },
                                        { A3, "http://1.2.3.3", 10, "m" },
                                        { A4, "http://127.0.0.1", 10, "m" } };
    static const struct entry new[] = { { A5, "http://1.2.3.5", 10, "m" },
                                        { A2, "http://1.2.3.2/v1", 10, "m" },
                                        { A1, "http://1.2.3.9", 11, "n" },
                                        { A4, "http://1.2.3.4", 10, "m" } };
    struct peri_gonka_set *before = SET_OF(old), *after = SET_OF(new);
    struct peri_gonka_diff diff;
    struct peri_arena a;
    peri_arena_init(&a, 0);
    apply(before, &(struct peri_gonka_rules){ 0 });
    apply(after, &(struct peri_gonka_rules){ 0 });
    CHECK_EQ(peri_gonka_set_diff(&diff, &a, before, after), PERI_OK);
    CHECK_EQ(diff.count, 5);
    CHECK_EQ(diff.counts[PERI_GONKA_ADDED], 2); /* A5, and A4, whom nobody could use before */
    CHECK_EQ(diff.counts[PERI_GONKA_KEPT], 1);
    CHECK_EQ(diff.counts[PERI_GONKA_CHANGED], 1);
    CHECK_EQ(diff.counts[PERI_GONKA_REMOVED], 1);
    CHECK_EQ(diff.deltas[1].change, PERI_GONKA_KEPT);
    CHECK(diff.deltas[2].has_new_url && diff.deltas[2].has_new_weight &&
          diff.deltas[2].has_new_models);
    CHECK_STR(diff.deltas[2].before->url, "http://1.2.3.1");
    CHECK_STR(diff.deltas[4].before->address, A3);
    CHECK(diff.deltas[4].after == NULL);
    CHECK_EQ(peri_gonka_set_diff(&diff, &a, NULL, after), PERI_OK);
    CHECK_EQ(diff.counts[PERI_GONKA_ADDED], 4);
    peri_arena_done(&a);
    peri_gonka_set_free(before);
    peri_gonka_set_free(after);
}

TEST(set_diff_takes_sets_in_which_nobody_is_usable) {
    static const struct entry entries[] = { { "x", "y", 1, NULL } };
    struct peri_gonka_set *set = SET_OF(entries);
    struct peri_gonka_diff diff;
    struct peri_arena a;
    peri_arena_init(&a, 0);
    apply(set, &(struct peri_gonka_rules){ 0 });
    CHECK_EQ(peri_gonka_set_diff(&diff, &a, set, set), PERI_OK);
    CHECK_EQ(diff.count, 0);
    peri_arena_done(&a);
    peri_gonka_set_free(set);
}

TEST(set_survives_failing_allocations) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_gonka_set *set;
        struct peri_gonka_diff diff;
        struct peri_arena a;
        if (peri_gonka_set_new(&set) != PERI_OK) continue;
        peri_arena_init(&a, 0);
        set->participants = peri_arena_zalloc(&set->arena, sizeof *set->participants);
        if (set->participants != NULL) {
            set->count = 1;
            set->participants[0].address = PERI_STR(A1);
            set->participants[0].told_url = PERI_STR("http://1.2.3.1");
            set->participants[0].told_weight = 5;
            enum peri_err err = peri_gonka_set_apply(
                set, &(struct peri_gonka_rules){ .damping = PERI_GONKA_DAMP_CAP });
            CHECK(err == PERI_OK || err == PERI_ENOMEM);
            err = peri_gonka_set_diff(&diff, &a, NULL, set);
            CHECK(err == PERI_OK || err == PERI_ENOMEM);
        }
        peri_arena_done(&a);
        peri_gonka_set_free(set);
    }
}
