#include "fleet/vitals.h"

#include <pthread.h>
#include <stdio.h>

#include "base/test.h"

struct rig {
    struct peri_vitals_table *table;
    struct peri_vitals *v;
};

static struct rig open_rig(void) {
    struct rig r;
    if (peri_vitals_table_new(&r.table) != PERI_OK) abort();
    r.v = peri_vitals_get(r.table, PERI_STR("a"));
    if (r.v == NULL) abort();
    return r;
}

static void close_rig(struct rig *r) {
    peri_vitals_unref(r->v);
    peri_vitals_table_free(r->table);
}

#define THREADS 4
#define ROUNDS  20000
#define SLOTS   2

struct crowd {
    struct peri_vitals *v;
    atomic_uint inside, most;
    atomic_bool is_open;
};

static void *take_and_release(void *arg) {
    struct crowd *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (!peri_vitals_take(c->v, SLOTS)) continue;
        unsigned now = atomic_fetch_add(&c->inside, 1) + 1, most = atomic_load(&c->most);
        while (most < now && !atomic_compare_exchange_weak(&c->most, &most, now)) continue;
        atomic_fetch_sub(&c->inside, 1);
        peri_vitals_release(c->v);
    }
    return NULL;
}

static void run_crowd(struct crowd *c, void *(*body)(void *arg)) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, body, c) != 0) abort();
    atomic_store(&c->is_open, true);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

TEST(vitals_slots_are_never_taken_by_more_than_there_are) {
    struct rig r = open_rig();
    struct crowd c = { .v = r.v };
    run_crowd(&c, take_and_release);
    CHECK(atomic_load(&c.most) >= 1 && atomic_load(&c.most) <= SLOTS);
    CHECK_EQ(atomic_load(&r.v->in_flight), 0);
    close_rig(&r);
}

TEST(vitals_of_one_id_are_one) {
    struct rig r = open_rig();
    struct peri_vitals *again = peri_vitals_get(r.table, PERI_STR("a")),
                       *other = peri_vitals_get(r.table, PERI_STR("A"));
    CHECK(again == r.v);
    CHECK(other != r.v);
    peri_vitals_table_free(r.table); /* references stay valid */
    CHECK_STR(other->id, "A");
    peri_vitals_unref(again);
    peri_vitals_unref(other);
    peri_vitals_unref(r.v);
}

static void rest(struct peri_breaker *b, uint64_t now_ms, uint64_t ms) {
    struct peri_breaker_failure f = { .reason = PERI_EUPSTREAM, .now_ms = now_ms };
    peri_breaker_open(b, &f, ms);
}

static void rest_model(struct peri_vitals *v, const char *model, uint64_t ms) {
    rest(peri_vitals_make_model(v, peri_str_of(model), PERI_DIALECT_CHAT), 1000, ms);
}

static uint64_t model_wait(struct peri_vitals *v, const char *model) {
    struct peri_breaker *b = peri_vitals_model(v, peri_str_of(model), PERI_DIALECT_CHAT);
    uint64_t wait = 0;
    if (b != NULL) peri_breaker_admits(b, 1000, &wait);
    return wait;
}

TEST(vitals_know_models_that_rest_each_at_its_endpoint) {
    struct rig r = open_rig();
    CHECK(peri_vitals_model(r.v, PERI_STR("m"), PERI_DIALECT_CHAT) == NULL);
    rest_model(r.v, "m", 500);
    CHECK_EQ(model_wait(r.v, "m"), 500);
    CHECK_EQ(model_wait(r.v, "n"), 0);
    CHECK(peri_vitals_model(r.v, PERI_STR("m"), PERI_DIALECT_EMBEDDINGS) == NULL);
    CHECK(peri_breaker_admits(&r.v->breaker, 1000, NULL));
    char name[PERI_MODEL_LABEL_MAX + 1];
    CHECK(peri_vitals_model_name(name, &r.v->models[0]));
    CHECK_STR(peri_str_of(name), "m");
    peri_vitals_reset(r.v);
    CHECK_EQ(model_wait(r.v, "m"), 0);
    close_rig(&r);
}

TEST(vitals_of_many_models_forget_the_one_that_is_back_first) {
    struct rig r = open_rig();
    rest_model(r.v, "first", 500);
    char name[] = "a";
    for (int i = 1; i < PERI_MODEL_BREAKERS; i++, name[0]++) rest_model(r.v, name, 1000);
    CHECK_EQ(model_wait(r.v, "first"), 500);
    rest_model(r.v, "more", 1000);
    CHECK_EQ(model_wait(r.v, "first"), 0);
    CHECK_EQ(model_wait(r.v, "a"), 1000);
    CHECK_EQ(model_wait(r.v, "more"), 1000);
    char label[PERI_MODEL_LABEL_MAX + 1], longest[200] = { 0 };
    memset(longest, 'x', sizeof longest - 1);
    rest_model(r.v, longest, 2000);
    for (size_t i = 0; i < PERI_MODEL_BREAKERS; i++) {
        CHECK(peri_vitals_model_name(label, &r.v->models[i]));
        CHECK(strlen(label) <= PERI_MODEL_LABEL_MAX);
    }
    close_rig(&r);
}

TEST(vitals_of_who_left_are_kept_for_a_while_and_no_longer) {
    struct rig r = open_rig();
    const uint64_t hour = 3600000;
    rest(&r.v->breaker, 1000, 500);
    peri_vitals_unref(peri_vitals_get(r.table, PERI_STR("gone")));
    struct peri_vitals *back = peri_vitals_get(r.table, PERI_STR("back"));
    rest(&back->breaker, 1000, 500);
    peri_vitals_unref(back);
    CHECK_EQ(peri_vitals_count(r.table), 3);
    peri_vitals_sweep(r.table, hour);
    peri_vitals_sweep(r.table, 6 * hour);
    CHECK_EQ(peri_vitals_count(r.table), 3); /* five hours are not enough */
    back = peri_vitals_get(r.table, PERI_STR("back"));
    CHECK(!peri_breaker_admits(&back->breaker, 1400, NULL)); /* what was learnt is there */
    peri_vitals_sweep(r.table, 7 * hour);
    CHECK_EQ(peri_vitals_count(r.table), 2);
    peri_vitals_unref(back);
    peri_vitals_sweep(r.table, 8 * hour); /* its time begins anew */
    peri_vitals_sweep(r.table, 13 * hour);
    CHECK_EQ(peri_vitals_count(r.table), 2);
    peri_vitals_sweep(r.table, 14 * hour);
    CHECK_EQ(peri_vitals_count(r.table), 1);
    CHECK(!peri_breaker_admits(&r.v->breaker, 1400, NULL)); /* held all the time */
    close_rig(&r);
}

TEST(vitals_stay_as_many_as_there_are_providers_however_many_pass_through) {
    struct peri_vitals_table *t;
    struct peri_vitals *held[100];
    CHECK_EQ(peri_vitals_table_new(&t), PERI_OK);
    for (uint64_t day = 1; day <= 50; day++) {
        for (int i = 0; i < 100; i++) {
            char id[32];
            snprintf(id, sizeof id, "day %d host %d", (int)day, i);
            held[i] = peri_vitals_get(t, peri_str_of(id));
            if (held[i] == NULL) abort();
        }
        peri_vitals_sweep(t, day * 86400000);
        CHECK(peri_vitals_count(t) <= 200);
        for (int i = 0; i < 100; i++) {
            CHECK_EQ(atomic_load(&held[i]->refs), 2); /* none of the living was dropped */
            peri_vitals_unref(held[i]);
        }
        peri_vitals_sweep(t, day * 86400000 + 3600000);
    }
    peri_vitals_table_free(t);
}
