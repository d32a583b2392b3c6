/* The two times there are, behind one seam: a test or a simulation supplies its own. */
#ifndef PERI_BASE_CLOCK_H
#define PERI_BASE_CLOCK_H

#include <stdint.h>

struct peri_clock {
    uint64_t (*monotonic_ns)(void *arg); /* for durations and deadlines: never steps */
    uint64_t (*wall_ns)(void *arg);      /* since 1970: for stamps only */
    void *arg;
};

/* The machine's clocks. */
extern const struct peri_clock peri_clock_real;

static inline uint64_t peri_clock_monotonic_ns(const struct peri_clock *c) {
    return c->monotonic_ns(c->arg);
}
static inline uint64_t peri_clock_wall_ns(const struct peri_clock *c) { return c->wall_ns(c->arg); }

#endif
