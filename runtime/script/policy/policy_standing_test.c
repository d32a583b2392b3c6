#include "script/policy/policy_standing.h"

#include <pthread.h>

#include "base/test.h"

static struct peri_policy_file *text(const char *source, int64_t changed_ns, uint64_t generation) {
    return peri_policy_file_new(PERI_STR("p.lua"), peri_str_of(source), PERI_STR("{}"),
                                PERI_STR("."), changed_ns, generation);
}

/* One reference, as a program has it. */
static struct peri_policy_standing *make(const char *source, int64_t changed_ns,
                                         uint64_t generation, struct peri_policy_standing *before) {
    struct peri_policy_standing *s =
        peri_policy_standing_of(text(source, changed_ns, generation), before);
    CHECK(s != NULL);
    return s;
}

static bool fail_as(struct peri_policy_standing *s, enum peri_hook hook, unsigned times,
                    bool is_at_cap) {
    bool has_fallen = false;
    for (unsigned i = 0; i < times; i++)
        has_fallen = peri_policy_standing_failed(s, hook, peri_policy_state_of(s), 5, is_at_cap);
    return has_fallen;
}

static bool fail(struct peri_policy_standing *s, enum peri_hook hook, unsigned times) {
    return fail_as(s, hook, times, false);
}

TEST(policy_standing_row) {
    struct peri_policy_standing *s = make("a", 1, 1, NULL);
    CHECK(!fail(s, PERI_ON_ROUTE, 4));
    CHECK(!fail(s, PERI_ON_EVENT, 4)); /* a row of its own */
    CHECK_EQ(peri_policy_state_of(s), PERI_POLICY_STANDS);
    CHECK(fail(s, PERI_ON_EVENT, 1));
    CHECK_EQ(peri_policy_state_of(s), PERI_POLICY_OUT);
    CHECK(peri_policy_text(s, PERI_POLICY_OUT) == NULL);
    for (int i = 0; i < 20; i++) CHECK(!fail(s, PERI_ON_ROUTE, 1)); /* nobody says so again */
    peri_policy_standing_unref(s);
}

TEST(policy_standing_of_what_has_worked) {
    struct peri_policy_standing *s = make("a", 1, 1, NULL);
    fail(s, PERI_ON_ROUTE, 4);
    peri_policy_standing_worked(s, PERI_ON_ROUTE,
                                peri_policy_state_of(s)); /* ends the row, and proves the hook */
    for (int i = 0; i < 20; i++) CHECK(!fail(s, PERI_ON_ROUTE, 1));
    CHECK_EQ(peri_policy_state_of(s), PERI_POLICY_STANDS);
    for (int i = 0; i < 4; i++)
        CHECK(!peri_policy_standing_failed(s, PERI_ON_ROUTE, PERI_POLICY_STANDS, 5, true));
    CHECK(peri_policy_standing_failed(s, PERI_ON_ROUTE, PERI_POLICY_STANDS, 5, true));
    CHECK_EQ(peri_policy_state_of(s), PERI_POLICY_OUT);
    peri_policy_standing_unref(s);
}

TEST(policy_standing_of_a_file_that_is_the_same) {
    struct peri_policy_standing *s = make("a", 1, 1, NULL);
    fail(s, PERI_ON_ROUTE, 5);
    struct peri_policy_standing *same = make("a", 1, 2, s);
    CHECK(same == s);
    struct peri_policy_standing *saved = make("a", 2, 3, s); /* again, as it was: another try */
    CHECK(saved != s);
    CHECK_EQ(peri_policy_state_of(saved), PERI_POLICY_STANDS);
    CHECK(saved->earlier == NULL); /* the same text is nothing to go back to */
    peri_policy_standing_unref(s);
    peri_policy_standing_unref(same);
    peri_policy_standing_unref(saved);
}

TEST(policy_standing_goes_back) {
    struct peri_policy_standing *a = make("a", 1, 1, NULL);
    peri_policy_standing_worked(a, PERI_ON_ROUTE, peri_policy_state_of(a));
    struct peri_policy_standing *b = make("b", 2, 2, a);
    peri_policy_standing_unref(a); /* its text stays */
    CHECK(fail(b, PERI_ON_ROUTE, 5));
    CHECK_EQ(peri_policy_state_of(b), PERI_POLICY_FELL_BACK);
    const struct peri_policy_file *file = peri_policy_text(b, PERI_POLICY_FELL_BACK);
    CHECK_STR(file->source, "a");
    CHECK_EQ(file->generation, 1);
    /* a worker that still runs the text that failed adds nothing to the row of this one */
    for (int i = 0; i < 9; i++)
        CHECK(!peri_policy_standing_failed(b, PERI_ON_ROUTE, PERI_POLICY_STANDS, 5, false));
    for (int i = 0; i < 9; i++) CHECK(!fail(b, PERI_ON_ROUTE, 1)); /* proven when it stood */
    CHECK(!fail_as(b, PERI_ON_ROUTE, 4, true));
    CHECK(fail_as(b, PERI_ON_ROUTE, 1, true));
    CHECK_EQ(peri_policy_state_of(b), PERI_POLICY_OUT);
    /* it never worked, but what was before it did */
    struct peri_policy_standing *c = make("c", 3, 3, b);
    CHECK(c->earlier != NULL && peri_str_eq(c->earlier->source, PERI_STR("a")));
    peri_policy_standing_unref(b);
    peri_policy_standing_unref(c);
}

TEST(policy_standing_proves_the_text_that_ran) {
    struct peri_policy_standing *a = make("a", 1, 1, NULL);
    peri_policy_standing_worked(a, PERI_ON_ROUTE, PERI_POLICY_STANDS);
    struct peri_policy_standing *b = make("b", 2, 2, a);
    CHECK(fail(b, PERI_ON_EVENT, 5));
    /* a worker that still runs the text that fell, and one that runs the text before */
    peri_policy_standing_worked(b, PERI_ON_DONE, PERI_POLICY_STANDS);
    peri_policy_standing_worked(b, PERI_ON_EVENT, PERI_POLICY_FELL_BACK);
    CHECK(!atomic_load(&b->earlier->is_proven[PERI_ON_DONE]));
    CHECK(atomic_load(&b->file->is_proven[PERI_ON_DONE]));
    CHECK(atomic_load(&b->earlier->is_proven[PERI_ON_EVENT]));
    CHECK(!atomic_load(&b->file->is_proven[PERI_ON_EVENT]));
    peri_policy_standing_unref(a);
    peri_policy_standing_unref(b);
}

TEST(policy_standing_with_an_open_row_has_not_worked) {
    struct peri_policy_standing *a = make("a", 1, 1, NULL);
    peri_policy_standing_worked(a, PERI_ON_ROUTE, peri_policy_state_of(a));
    fail(a, PERI_ON_EVENT, 1);
    struct peri_policy_standing *b = make("b", 2, 2, a);
    CHECK(b->earlier == NULL);
    peri_policy_standing_unref(a);
    peri_policy_standing_unref(b);
}

#define THREADS 4

struct race {
    struct peri_policy_standing *standing;
    atomic_uint falls;
};

static void *fail_often(void *arg) {
    struct race *race = arg;
    for (int i = 0; i < 1000; i++)
        if (peri_policy_standing_failed(race->standing, PERI_ON_ROUTE,
                                        peri_policy_state_of(race->standing), 5, true))
            atomic_fetch_add(&race->falls, 1);
    return NULL;
}

TEST(policy_standing_falls_once_for_all_workers) {
    struct peri_policy_standing *a = make("a", 1, 1, NULL);
    peri_policy_standing_worked(a, PERI_ON_ROUTE, peri_policy_state_of(a));
    struct race race = { .standing = make("b", 2, 2, a) };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, fail_often, &race);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_EQ(race.falls, 2); /* back, then out */
    CHECK_EQ(peri_policy_state_of(race.standing), PERI_POLICY_OUT);
    peri_policy_standing_unref(a);
    peri_policy_standing_unref(race.standing);
}
