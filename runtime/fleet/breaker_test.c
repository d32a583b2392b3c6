#include "fleet/breaker.h"

#include <pthread.h>

#include "base/test.h"

static const struct peri_breaker_rule in_a_row = { .failures = 3, .rest_ms = 15000 };
static const struct peri_breaker_rule by_ratio = {
    .failures = 1000, .percent = 50, .window_ms = 30000, .rest_ms = 15000
};

static bool fail(struct peri_breaker *b, uint64_t now_ms, bool is_trial) {
    struct peri_breaker_failure f = { PERI_EUPSTREAM, 500, now_ms, 0, is_trial };
    return peri_breaker_fail(b, &in_a_row, &f);
}

static bool tell(struct peri_breaker *b, uint64_t now_ms, uint64_t told_ms) {
    struct peri_breaker_failure f = { PERI_ERATELIMIT, 429, now_ms, told_ms, false };
    return peri_breaker_fail(b, &in_a_row, &f);
}

static uint64_t closed_for(const struct peri_breaker *b, uint64_t now_ms) {
    uint64_t wait;
    return peri_breaker_admits(b, now_ms, &wait) ? 0 : wait;
}

TEST(breaker_opens_after_several_failures_in_a_row) {
    struct peri_breaker b = { 0 };
    CHECK(!fail(&b, 1000, false));
    CHECK(!fail(&b, 1000, false));
    peri_breaker_succeed(&b, &in_a_row, 1000, false);
    CHECK(!fail(&b, 1000, false));
    CHECK(!fail(&b, 1000, false));
    CHECK_EQ(closed_for(&b, 1000), 0);
    CHECK(fail(&b, 1000, false));
    CHECK_EQ(closed_for(&b, 1000), 15000);
    CHECK(!fail(&b, 5000, false)); /* began before: nothing new, and no longer rest */
    CHECK_EQ(closed_for(&b, 5000), 11000);
    CHECK_EQ(atomic_load(&b.opened), 1);
}

TEST(breaker_opens_by_ratio_when_there_are_enough_results) {
    struct peri_breaker b = { 0 };
    struct peri_breaker_failure f = { PERI_EUPSTREAM, 500, 1000, 0, false };
    for (int i = 0; i < PERI_BREAKER_RESULTS_MIN / 2 - 1; i++) {
        peri_breaker_succeed(&b, &by_ratio, 1000, false);
        CHECK(!peri_breaker_fail(&b, &by_ratio, &f));
    }
    f.now_ms = 40000; /* those are too old */
    CHECK(!peri_breaker_fail(&b, &by_ratio, &f));
    for (int i = 0; i < PERI_BREAKER_RESULTS_MIN / 2; i++)
        peri_breaker_succeed(&b, &by_ratio, 40000, false);
    for (int i = 2; i < PERI_BREAKER_RESULTS_MIN / 2; i++)
        CHECK(!peri_breaker_fail(&b, &by_ratio, &f));
    CHECK(peri_breaker_fail(&b, &by_ratio, &f));
    CHECK(peri_breaker_succeed(&b, &by_ratio, 55000, true));
    f.now_ms = 55000; /* what was counted before it closed counts no more */
    CHECK(!peri_breaker_fail(&b, &by_ratio, &f));
}

TEST(breaker_counts_results_for_the_length_of_the_window) {
    for (uint64_t late_ms = 0; late_ms <= 1000; late_ms += 1000) {
        struct peri_breaker b = { 0 };
        struct peri_breaker_failure f = { PERI_EUPSTREAM, 500, 100000, 0, false };
        for (int i = 1; i < PERI_BREAKER_RESULTS_MIN; i++)
            CHECK(!peri_breaker_fail(&b, &by_ratio, &f));
        f.now_ms += by_ratio.window_ms + late_ms;
        CHECK_EQ(peri_breaker_fail(&b, &by_ratio, &f), late_ms == 0);
    }
}

TEST(breaker_counts_more_results_than_a_window_has_room_for) {
    struct peri_breaker b = { 0 };
    struct peri_breaker_failure f = { PERI_EUPSTREAM, 500, 1000, 0, false };
    for (int i = 0; i < 200000; i++) {
        peri_breaker_succeed(&b, &by_ratio, 1000, false);
        if (i % 3 == 0) CHECK(!peri_breaker_fail(&b, &by_ratio, &f));
    }
}

/* The count of failures must not run over into the count of good results beside it. */
TEST(breaker_counts_more_failures_than_a_window_has_room_for) {
    static const struct peri_breaker_rule most = {
        .failures = 1000000, .percent = 90, .window_ms = 30000, .rest_ms = 15000
    };
    struct peri_breaker b = { 0 };
    struct peri_breaker_failure f = { PERI_EUPSTREAM, 500, 1000, 0, false };
    bool has_opened = false;
    for (int i = 0; i < 33000; i++) {
        peri_breaker_succeed(&b, &most, 1000, false);
        for (int k = 0; k < 2; k++) CHECK(!peri_breaker_fail(&b, &most, &f));
    }
    for (int i = 0; i < 2000; i++) has_opened |= peri_breaker_fail(&b, &most, &f);
    CHECK(has_opened);
}

TEST(breaker_lets_one_trial_go_when_its_time_is_over) {
    struct peri_breaker b = { 0 };
    for (int i = 0; i < 3; i++) fail(&b, 0, false);
    CHECK_EQ(peri_breaker_enter(&b, 14999, false), PERI_BREAKER_REFUSED);
    CHECK(peri_breaker_admits(&b, 15000, NULL));
    CHECK_EQ(peri_breaker_enter(&b, 15000, false), PERI_BREAKER_TRIAL);
    CHECK_EQ(peri_breaker_enter(&b, 15000, false), PERI_BREAKER_REFUSED);
    CHECK(closed_for(&b, 15000) > 0);
    peri_breaker_cancel(&b); /* its client left: the next one may */
    CHECK_EQ(peri_breaker_enter(&b, 15000, false), PERI_BREAKER_TRIAL);
    CHECK(!fail(&b, 15000, true)); /* it was open all the time */
    CHECK_EQ(closed_for(&b, 15000), 30000);
    CHECK_EQ(peri_breaker_enter(&b, 45000, false), PERI_BREAKER_TRIAL);
    CHECK(peri_breaker_succeed(&b, &in_a_row, 45000, true));
    CHECK_EQ(peri_breaker_enter(&b, 45000, false), PERI_BREAKER_PASSED);
}

TEST(breaker_doubles_the_rest_up_to_eight_times_and_a_good_answer_forgets_it) {
    static const uint64_t want[] = { 30000, 60000, 120000, 120000 };
    struct peri_breaker b = { 0 };
    uint64_t now = 15000;
    for (int i = 0; i < 3; i++) fail(&b, 0, false);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        CHECK_EQ(peri_breaker_enter(&b, now, false), PERI_BREAKER_TRIAL);
        fail(&b, now, true);
        CHECK_EQ(closed_for(&b, now), want[i]);
        now += want[i];
    }
    CHECK_EQ(peri_breaker_enter(&b, now, false), PERI_BREAKER_TRIAL);
    peri_breaker_succeed(&b, &in_a_row, now, true);
    for (int i = 0; i < 3; i++) fail(&b, now, false);
    CHECK_EQ(closed_for(&b, now), 15000);
}

TEST(breaker_obeys_what_the_other_side_asks_for) {
    struct peri_breaker b = { 0 };
    CHECK(tell(&b, 1000, 400)); /* at once */
    CHECK_EQ(closed_for(&b, 1000), 400);
    tell(&b, 1000, 9000);
    CHECK_EQ(closed_for(&b, 1000), 9000);
    CHECK_EQ(atomic_load(&b.since_ms), 1000);
    struct peri_breaker_failure f = { PERI_EUPSTREAM, 503, 1000, 400, false };
    peri_breaker_fail(&b, &in_a_row,
                      &f); /* a longer rest that has begun stays, and so does its reason */
    CHECK_EQ(closed_for(&b, 1000), 9000);
    CHECK_EQ(atomic_load(&b.reason), PERI_ERATELIMIT);
    CHECK_EQ(atomic_load(&b.status), 429);
}

TEST(breaker_of_the_last_one_to_ask_lets_requests_pass) {
    struct peri_breaker b = { 0 };
    for (int i = 0; i < 3; i++) fail(&b, 1000, false);
    CHECK_EQ(peri_breaker_enter(&b, 1000, true), PERI_BREAKER_TRIAL);
    CHECK_EQ(peri_breaker_enter(&b, 1000, true), PERI_BREAKER_PASSED);
    CHECK(peri_breaker_succeed(&b, &in_a_row, 1000, false));
    CHECK_EQ(closed_for(&b, 1000), 0);
}

TEST(breaker_lets_them_pass_one_at_a_time_while_a_time_is_asked_for) {
    struct peri_breaker b = { 0 };
    tell(&b, 1000, 5000);
    CHECK_EQ(peri_breaker_enter(&b, 1000, true), PERI_BREAKER_TRIAL);
    CHECK_EQ(peri_breaker_enter(&b, 1000, true), PERI_BREAKER_REFUSED);
    peri_breaker_cancel(&b);
    CHECK_EQ(closed_for(&b, 1000), 5000); /* and its time goes on */
    CHECK_EQ(peri_breaker_enter(&b, 1000, true), PERI_BREAKER_TRIAL);
    CHECK(peri_breaker_succeed(&b, &in_a_row, 1000, true));
}

TEST(breaker_pauses_between_early_trials_that_fail) {
    static const uint64_t pauses[] = { 1000, 2000, 4000, 8000, 16000, 32000, 32000 };
    struct peri_breaker b = { 0 };
    uint64_t now = 1000;
    tell(&b, now, 600000);
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        CHECK_EQ(peri_breaker_enter(&b, now, true), PERI_BREAKER_TRIAL);
        struct peri_breaker_failure f = { PERI_ERATELIMIT, 429, now, 600000, true };
        peri_breaker_fail(&b, &in_a_row, &f);
        peri_breaker_pause(&b, now);
        CHECK_EQ(peri_breaker_enter(&b, now + pauses[i] - 1, true), PERI_BREAKER_REFUSED);
        now += pauses[i];
    }
    CHECK_EQ(peri_breaker_enter(&b, now, true), PERI_BREAKER_TRIAL);
    peri_breaker_cancel(&b);
    peri_breaker_pause(&b, now);
    CHECK(peri_breaker_succeed(&b, &in_a_row, now, true)); /* one that answers ends the pauses */
    tell(&b, now, 700000);
    CHECK_EQ(peri_breaker_enter(&b, now, true), PERI_BREAKER_TRIAL);
    peri_breaker_cancel(&b);
    peri_breaker_pause(&b, now);
    CHECK_EQ(peri_breaker_enter(&b, now + 999, true), PERI_BREAKER_REFUSED);
    CHECK_EQ(peri_breaker_enter(&b, now + 1000, true), PERI_BREAKER_TRIAL);
}

TEST(breaker_that_opened_is_not_closed_by_what_began_before) {
    struct peri_breaker b = { 0 };
    struct peri_breaker_failure f = { PERI_EAUTH, 401, 1000, 0, false };
    CHECK(peri_breaker_open(&b, &f, 300000));
    CHECK(!peri_breaker_succeed(&b, &in_a_row, 1000, false));
    CHECK_EQ(closed_for(&b, 1000), 300000);
    CHECK_EQ(atomic_load(&b.reason), PERI_EAUTH);
    peri_breaker_reset(&b);
    CHECK_EQ(closed_for(&b, 1000), 0);
}

/* An order to ask again, or to hold and then to ask again, is a new beginning. */
TEST(breaker_that_is_reset_or_freed_remembers_no_failure) {
    for (int is_freed = 0; is_freed < 2; is_freed++) {
        struct peri_breaker b = { 0 };
        uint64_t now = 1000;
        tell(&b, now, 600000);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(peri_breaker_enter(&b, now, true), PERI_BREAKER_TRIAL);
            fail(&b, now, true);
            peri_breaker_pause(&b, now);
            if (i < 2) now += 1000u << i;
        }
        struct peri_breaker_failure f = { PERI_EUPSTREAM, 500, now, 0, false };
        for (int i = 1; i < PERI_BREAKER_RESULTS_MIN; i++) peri_breaker_fail(&b, &by_ratio, &f);
        if (is_freed) peri_breaker_hold(&b, true);
        if (is_freed)
            peri_breaker_hold(&b, false);
        else
            peri_breaker_reset(&b);
        CHECK(!peri_breaker_fail(&b, &by_ratio, &f)); /* the window is empty */
        CHECK(!fail(&b, now, false));
        CHECK(fail(&b, now, false)); /* the third in a row */
        CHECK_EQ(closed_for(&b, now), 15000);
        peri_breaker_reset(&b);
        tell(&b, now,
             600000); /* a trial may go at once, and the next one after the shortest pause */
        CHECK_EQ(peri_breaker_enter(&b, now, true), PERI_BREAKER_TRIAL);
        peri_breaker_cancel(&b);
        peri_breaker_pause(&b, now);
        CHECK_EQ(peri_breaker_enter(&b, now + 999, true), PERI_BREAKER_REFUSED);
        CHECK_EQ(peri_breaker_enter(&b, now + 1000, true), PERI_BREAKER_TRIAL);
    }
}

TEST(breaker_that_is_held_lets_nobody_pass_and_nothing_frees_it_but_the_order) {
    struct peri_breaker b = { 0 };
    peri_breaker_hold(&b, true);
    CHECK_EQ(peri_breaker_enter(&b, 1000, false), PERI_BREAKER_REFUSED);
    CHECK_EQ(peri_breaker_enter(&b, 1000, true), PERI_BREAKER_REFUSED);
    CHECK(peri_breaker_forbids(&b, 1000));
    CHECK(closed_for(&b, 1000) > 0);
    for (int i = 0; i < 5; i++) CHECK(!fail(&b, 1000, false));
    CHECK(!tell(&b, 1000, 500));
    CHECK_EQ(atomic_load(&b.state), PERI_BREAKER_HELD);
    CHECK(!peri_breaker_succeed(&b, &in_a_row, 1000, true));
    peri_breaker_reset(&b);
    CHECK_EQ(atomic_load(&b.state), PERI_BREAKER_HELD);
    peri_breaker_hold(&b, false);
    CHECK_EQ(peri_breaker_enter(&b, 1000, false), PERI_BREAKER_PASSED);
    CHECK(tell(&b, 1000, 500));
    peri_breaker_hold(&b, false); /* it was not held: an order that changes nothing */
    CHECK_EQ(atomic_load(&b.state), PERI_BREAKER_OPEN);
}

#define THREADS 4

struct crowd {
    struct peri_breaker breaker;
    atomic_uint trials;
    atomic_bool is_open;
};

static void *enter_once(void *arg) {
    struct crowd *c = arg;
    while (!atomic_load(&c->is_open)) continue;
    if (peri_breaker_enter(&c->breaker, 20000, false) == PERI_BREAKER_TRIAL)
        atomic_fetch_add(&c->trials, 1);
    return NULL;
}

TEST(breaker_of_a_crowd_lets_one_be_the_trial) {
    for (int round = 0; round < 50; round++) {
        struct crowd c = { .trials = 0 };
        pthread_t threads[THREADS];
        for (int i = 0; i < 3; i++) fail(&c.breaker, 0, false);
        for (int i = 0; i < THREADS; i++)
            if (pthread_create(&threads[i], NULL, enter_once, &c) != 0) abort();
        atomic_store(&c.is_open, true);
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        CHECK_EQ(atomic_load(&c.trials), 1);
    }
}
