#include "crypto/stamps.h"

#define ERA_MASK UINT64_C(1023)

void peri_stamps_init(struct peri_stamps *stamps, uint64_t random) {
    /* An era alone: the time comes from the clock. */
    atomic_init(&stamps->last, random & ERA_MASK);
}

static uint64_t stamp_after(uint64_t last, uint64_t wall_ns) {
    uint64_t era = last & ERA_MASK, now = wall_ns & ~ERA_MASK;
    if ((now | era) > last) return now | era;
    if (last - wall_ns <= PERI_STAMP_LEAD_NS || wall_ns > last) return last + ERA_MASK + 1;
    return now | ((era + 1) & ERA_MASK);
}

uint64_t peri_stamp(struct peri_stamps *stamps, uint64_t now_ns) {
    uint64_t last = atomic_load_explicit(&stamps->last, memory_order_relaxed), next;
    do next = stamp_after(last, now_ns);
    while (!atomic_compare_exchange_weak_explicit(&stamps->last, &last, next, memory_order_relaxed,
                                                  memory_order_relaxed));
    return next;
}
