#include "base/clock.h"

#include <stddef.h>
#include <time.h>

static uint64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t monotonic(void *arg) {
    (void)arg;
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t wall(void *arg) {
    (void)arg;
    return read_clock(CLOCK_REALTIME);
}

const struct peri_clock peri_clock_real = { monotonic, wall, NULL };
