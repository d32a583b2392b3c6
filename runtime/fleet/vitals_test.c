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
    atomic_uint inside, most, probes;
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

static void *enter_once(void *arg) {
    struct crowd *c = arg;
    bool is_probe;
    while (!atomic_load(&c->is_open)) continue;
    if (peri_vitals_enter(c->v, 1000, &is_probe) && is_probe) atomic_fetch_add(&c->probes, 1);
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

TEST(vitals_of_a_crowd_after_a_cool_down_one_is_the_probe) {
    struct rig r = open_rig();
    for (int round = 0; round < 50; round++) {
        struct crowd c = { .v = r.v };
        peri_vitals_reset(r.v);
        peri_vitals_cool(r.v, PERI_EUPSTREAM, 0, 1000);
        run_crowd(&c, enter_once);
        CHECK_EQ(atomic_load(&c.probes), 1);
    }
    close_rig(&r);
}

TEST(vitals_closed_means_closed_until_its_time) {
    struct rig r = open_rig();
    bool is_probe;
    uint64_t wait;
    peri_vitals_cool(r.v, PERI_ERATELIMIT, 100, 500);
    CHECK(!peri_vitals_admits(r.v, 100, &wait));
    CHECK_EQ(wait, 500);
    CHECK(!peri_vitals_enter(r.v, 599, &is_probe));
    CHECK(peri_vitals_admits(r.v, 600, &wait));
    CHECK(peri_vitals_enter(r.v, 600, &is_probe));
    CHECK(is_probe);
    CHECK(!peri_vitals_admits(r.v, 600, NULL)); /* the others wait for the verdict */
    CHECK(!peri_vitals_enter(r.v, 600, &is_probe));
    close_rig(&r);
}

TEST(vitals_a_probe_ends_in_one_of_three_ways) {
    struct rig r = open_rig();
    bool is_probe;
    peri_vitals_cool(r.v, PERI_EUPSTREAM, 0, 10);
    CHECK(peri_vitals_enter(r.v, 10, &is_probe) && is_probe);
    peri_vitals_unknown(r.v); /* its client left: the next one may */
    CHECK(peri_vitals_enter(r.v, 10, &is_probe) && is_probe);
    peri_vitals_cool(r.v, PERI_EUPSTREAM, 10, 10); /* it is still ill */
    CHECK(!peri_vitals_enter(r.v, 19, &is_probe));
    CHECK(peri_vitals_enter(r.v, 20, &is_probe) && is_probe);
    peri_vitals_well(r.v);
    CHECK(peri_vitals_enter(r.v, 20, &is_probe) && !is_probe);
    CHECK_EQ(atomic_load(&r.v->failures), 0);
    close_rig(&r);
}

TEST(vitals_a_longer_cool_down_stays) {
    struct rig r = open_rig();
    peri_vitals_cool(r.v, PERI_EAUTH, 0, 1000);
    peri_vitals_cool(r.v, PERI_ERATELIMIT, 0, 10);
    CHECK(!peri_vitals_admits(r.v, 999, NULL));
    CHECK_EQ(atomic_load(&r.v->reason), PERI_EAUTH);
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

TEST(vitals_know_which_models_are_lacking_for_a_while) {
    struct rig r = open_rig();
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("m"), 1000), 0);
    peri_vitals_lack(r.v, PERI_STR("m"), 1000, 500);
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("m"), 1000), 500);
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("m"), 1499), 1);
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("m"), 1500), 0);
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("n"), 1000), 0);
    CHECK(peri_vitals_admits(r.v, 1000, NULL));
    peri_vitals_lack(r.v, PERI_STR("m"), 1400, 500); /* again: one place */
    char name[] = "0";
    for (; name[0] < '7'; name[0]++) peri_vitals_lack(r.v, peri_str_of(name), 1400, 1000);
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("m"), 1400), 500);
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("0"), 1400), 1000);
    peri_vitals_lack(r.v, PERI_STR("more"), 1400,
                     1000); /* in the place of the one that ends first */
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("m"), 1400), 0);
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("6"), 1400), 1000);
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("more"), 1400), 1000);
    peri_vitals_reset(r.v);
    CHECK_EQ(peri_vitals_lacks_ms(r.v, PERI_STR("more"), 1400), 0);
    close_rig(&r);
}

TEST(vitals_of_who_left_are_kept_for_a_while_and_no_longer) {
    struct rig r = open_rig();
    const uint64_t hour = 3600000;
    peri_vitals_cool(r.v, PERI_EUPSTREAM, 1000, 500);
    peri_vitals_unref(peri_vitals_get(r.table, PERI_STR("gone")));
    struct peri_vitals *back = peri_vitals_get(r.table, PERI_STR("back"));
    peri_vitals_cool(back, PERI_EUPSTREAM, 1000, 500);
    peri_vitals_unref(back);
    CHECK_EQ(peri_vitals_count(r.table), 3);
    peri_vitals_sweep(r.table, hour);
    peri_vitals_sweep(r.table, 6 * hour);
    CHECK_EQ(peri_vitals_count(r.table), 3); /* five hours are not enough */
    back = peri_vitals_get(r.table, PERI_STR("back"));
    CHECK(!peri_vitals_admits(back, 1400, NULL)); /* what was learnt is there */
    peri_vitals_sweep(r.table, 7 * hour);
    CHECK_EQ(peri_vitals_count(r.table), 2);
    peri_vitals_unref(back);
    peri_vitals_sweep(r.table, 8 * hour); /* its time begins anew */
    peri_vitals_sweep(r.table, 13 * hour);
    CHECK_EQ(peri_vitals_count(r.table), 2);
    peri_vitals_sweep(r.table, 14 * hour);
    CHECK_EQ(peri_vitals_count(r.table), 1);
    CHECK(!peri_vitals_admits(r.v, 1400, NULL)); /* held all the time */
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
