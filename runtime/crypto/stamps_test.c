#include "crypto/stamps.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/test.h"

static uint64_t fake_wall(void *arg) { return *(uint64_t *)arg; }

TEST(stamps_rise_while_the_clock_stands) {
    struct peri_stamps stamps;
    uint64_t now = 1765000000000000000, last = 0;
    struct peri_clock clock = { fake_wall, fake_wall, &now };
    peri_stamps_init(&stamps, 0);
    for (int i = 0; i < 10000; i++) {
        uint64_t stamp = peri_stamp(&stamps, peri_clock_wall_ns(&clock));
        CHECK(stamp > last);
        last = stamp;
    }
    CHECK(last - now < 20000000);
}

TEST(stamps_rise_over_small_steps_back) {
    struct peri_stamps stamps;
    uint64_t now = 1765000000000000000;
    struct peri_clock clock = { fake_wall, fake_wall, &now };
    peri_stamps_init(&stamps, 77);
    uint64_t first = peri_stamp(&stamps, peri_clock_wall_ns(&clock));
    now -= 19000000000;
    uint64_t second = peri_stamp(&stamps, peri_clock_wall_ns(&clock));
    CHECK(second > first);
    CHECK_EQ(first % 1024, second % 1024);
}

/* Running on would have every node refuse the stamp as in the future. */
TEST(stamps_follow_a_large_step_back_in_a_new_era) {
    struct peri_stamps stamps;
    uint64_t now = 1765000000000000000, seen[5];
    struct peri_clock clock = { fake_wall, fake_wall, &now };
    peri_stamps_init(&stamps, 1022);
    seen[0] = peri_stamp(&stamps, peri_clock_wall_ns(&clock));
    for (int i = 1; i < 5; i++) {
        now -= 3600000000000;
        uint64_t before = peri_stamp(&stamps, peri_clock_wall_ns(&clock));
        now += 3600000000000;
        seen[i] = peri_stamp(&stamps, peri_clock_wall_ns(&clock));
        CHECK(before < seen[0]);
        for (int k = 0; k < i; k++) CHECK(seen[k] != seen[i]);
    }
}

TEST(stamps_of_another_era_at_the_same_moment_differ) {
    struct peri_stamps before, after;
    uint64_t now = 1765000000000000000;
    struct peri_clock clock = { fake_wall, fake_wall, &now };
    peri_stamps_init(&before, 5);
    uint64_t first[100];
    for (int i = 0; i < 100; i++) first[i] = peri_stamp(&before, peri_clock_wall_ns(&clock));
    peri_stamps_init(&after, 6);
    for (int i = 0; i < 100; i++) {
        uint64_t stamp = peri_stamp(&after, peri_clock_wall_ns(&clock));
        for (int k = 0; k < 100; k++) CHECK(first[k] != stamp);
    }
}

#define EACH 20000

struct taker {
    pthread_t thread;
    struct peri_stamps *stamps;
    uint64_t taken[EACH];
};

static void *take_stamps(void *arg) {
    struct taker *t = arg;
    for (int i = 0; i < EACH; i++)
        t->taken[i] = peri_stamp(t->stamps, peri_clock_wall_ns(&peri_clock_real));
    return NULL;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

TEST(stamps_are_unique_across_threads) {
    static struct taker takers[4];
    static uint64_t all[4 * EACH];
    struct peri_stamps stamps;
    peri_stamps_init(&stamps, 3);
    for (int i = 0; i < 4; i++) {
        takers[i].stamps = &stamps;
        CHECK_EQ(pthread_create(&takers[i].thread, NULL, take_stamps, &takers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(takers[i].thread, NULL);
        for (int k = 1; k < EACH; k++) CHECK(takers[i].taken[k] > takers[i].taken[k - 1]);
        memcpy(all + i * EACH, takers[i].taken, sizeof takers[i].taken);
    }
    qsort(all, 4 * EACH, sizeof *all, ascending);
    for (int i = 1; i < 4 * EACH; i++) CHECK(all[i] != all[i - 1]);
}
