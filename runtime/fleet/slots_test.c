#include "fleet/slots.h"

#include <pthread.h>

#include "base/test.h"

struct rig {
    struct peri_vitals_table *table;
    struct peri_config_model models[2];
    struct peri_model_slots slots[2];
    struct peri_provider provider;
    struct peri_candidate candidate; /* of the first model */
};

/* A provider of two models, the first one with a limit of its own when that is not 0. */
static void rig_open(struct rig *r, uint32_t max, uint32_t model_max, bool is_adaptive) {
    *r = (struct rig){ .provider = { .max_concurrent = max, .is_adaptive = is_adaptive } };
    CHECK_EQ(peri_vitals_table_new(&r->table), PERI_OK);
    r->provider.vitals = peri_vitals_get(r->table, PERI_STR("p"));
    r->provider.models = r->models;
    r->provider.model_count = 2;
    if (model_max > 0) {
        r->slots[0] =
            (struct peri_model_slots){ model_max, peri_vitals_get(r->table, PERI_STR("p m")) };
        r->provider.model_slots = r->slots;
    }
    r->provider.is_limited = max > 0 || model_max > 0 || is_adaptive;
    r->candidate = (struct peri_candidate){ .provider = &r->provider, .model = &r->models[0] };
}

static void rig_close(struct rig *r) {
    CHECK_EQ(atomic_load(&r->provider.vitals->in_flight), 0);
    peri_vitals_unref(r->slots[0].vitals);
    peri_vitals_unref(r->provider.vitals);
    peri_vitals_table_free(r->table);
}

static unsigned take_all(const struct peri_candidate *c, unsigned most) {
    unsigned taken = 0;
    while (taken < most && peri_slots_are_free(c) && peri_slots_take(c)) taken++;
    return taken;
}

static void release(const struct peri_candidate *c, unsigned count) {
    while (count-- > 0) peri_slots_release(c);
}

static void go_well(struct rig *r, unsigned count) {
    while (count-- > 0) peri_slots_went_well(&r->provider);
}

TEST(slots_without_limits_are_always_free) {
    struct rig r;
    rig_open(&r, 0, 0, false);
    CHECK_EQ(take_all(&r.candidate, 1000), 1000);
    release(&r.candidate, 1000);
    rig_close(&r);
}

TEST(slots_of_a_model_are_within_those_of_its_provider) {
    struct rig r;
    rig_open(&r, 5, 2, false);
    struct peri_candidate other = r.candidate, unknown = r.candidate;
    other.model = &r.models[1];
    unknown.model = NULL;
    CHECK_EQ(take_all(&r.candidate, 9), 2);
    CHECK(!peri_slots_take(&r.candidate));
    CHECK_EQ(take_all(&other, 2), 2);
    CHECK_EQ(take_all(&unknown, 9), 1);
    release(&r.candidate, 1);
    CHECK(peri_slots_take(&other));
    CHECK(!peri_slots_are_free(&r.candidate));
    CHECK(!peri_slots_take(&r.candidate));
    CHECK_EQ(atomic_load(&r.slots[0].vitals->in_flight), 1); /* what failed took nothing */
    release(&r.candidate, 1);
    release(&other, 3);
    release(&unknown, 1);
    CHECK_EQ(atomic_load(&r.slots[0].vitals->in_flight), 0);
    rig_close(&r);
}

TEST(slots_are_halved_by_an_overload_and_come_back_one_by_one) {
    struct rig r;
    rig_open(&r, 8, 0, true);
    CHECK_EQ(peri_slots_limit(&r.provider), 8);
    static const uint32_t halves[] = { 4, 2, 1, 1 };
    for (size_t i = 0; i < 4; i++) {
        peri_slots_overloaded(&r.provider, 0);
        CHECK_EQ(peri_slots_limit(&r.provider), halves[i]);
        CHECK_EQ(take_all(&r.candidate, 9), halves[i]);
        release(&r.candidate, halves[i]);
    }
    for (uint32_t limit = 1; limit < 8; limit++) {
        go_well(&r, PERI_SLOTS_STEP - 1);
        CHECK_EQ(peri_slots_limit(&r.provider), limit);
        go_well(&r, 1);
        CHECK_EQ(peri_slots_limit(&r.provider), limit + 1);
    }
    go_well(&r, 100 * PERI_SLOTS_STEP);
    CHECK_EQ(peri_slots_limit(&r.provider), 8);
    CHECK_EQ(atomic_load(&r.provider.vitals->learned_limit), 0);
    rig_close(&r);
}

TEST(slots_successes_before_an_overload_do_not_count_after_it) {
    struct rig r;
    rig_open(&r, 8, 0, true);
    peri_slots_overloaded(&r.provider, 0);
    go_well(&r, PERI_SLOTS_STEP - 1);
    peri_slots_overloaded(&r.provider, 0);
    go_well(&r, 1);
    CHECK_EQ(peri_slots_limit(&r.provider), 2);
    rig_close(&r);
}

TEST(slots_without_a_limit_get_half_of_what_was_in_flight) {
    struct rig r;
    rig_open(&r, 0, 0, true);
    CHECK_EQ(take_all(&r.candidate, 10), 10);
    peri_slots_overloaded(&r.provider, 0);
    CHECK_EQ(peri_slots_limit(&r.provider), 5);
    CHECK(!peri_slots_are_free(&r.candidate));
    release(&r.candidate, 10);
    CHECK_EQ(take_all(&r.candidate, 10), 5);
    release(&r.candidate, 5);
    go_well(&r, 20 * PERI_SLOTS_STEP);
    CHECK_EQ(peri_slots_limit(&r.provider), 25);
    rig_close(&r);
}

/* Ten requests that are refused in the same moment tell of one overload. */
TEST(slots_refused_at_once_are_halved_once) {
    struct rig r;
    rig_open(&r, 16, 0, true);
    for (int i = 0; i < 10; i++) peri_slots_overloaded(&r.provider, 1000 + (uint64_t)i);
    CHECK_EQ(peri_slots_limit(&r.provider), 8);
    peri_slots_overloaded(&r.provider, 1500); /* it was asked again, and says so again */
    CHECK_EQ(peri_slots_limit(&r.provider), 4);
    rig_close(&r);
}

TEST(slots_learned_do_not_outlast_a_smaller_limit_or_an_order) {
    struct rig r;
    rig_open(&r, 16, 0, true);
    peri_slots_overloaded(&r.provider, 0);
    r.provider.max_concurrent = 4; /* another configuration */
    CHECK_EQ(peri_slots_limit(&r.provider), 4);
    r.provider.max_concurrent = 16;
    CHECK_EQ(peri_slots_limit(&r.provider), 8);
    r.provider.is_adaptive = false;
    CHECK_EQ(peri_slots_limit(&r.provider), 16);
    r.provider.is_adaptive = true;
    peri_vitals_reset(r.provider.vitals);
    CHECK_EQ(peri_slots_limit(&r.provider), 16);
    rig_close(&r);
}

#define THREADS 4
#define ROUNDS  20000

static void *go_well_often(void *arg) {
    for (int i = 0; i < ROUNDS; i++) peri_slots_went_well(arg);
    return NULL;
}

/* A step may be lost to another thread, none is made twice. */
TEST(slots_of_many_threads_grow_no_faster) {
    struct rig r;
    pthread_t threads[THREADS];
    rig_open(&r, 0, 0, true);
    peri_slots_overloaded(&r.provider, 0);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, go_well_often, &r.provider) != 0) abort();
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    uint32_t grown = peri_slots_limit(&r.provider) - 1;
    CHECK(grown > 0 && grown <= THREADS * ROUNDS / PERI_SLOTS_STEP);
    rig_close(&r);
}
