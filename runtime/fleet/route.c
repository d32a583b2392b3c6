#include "fleet/route.h"

#include "fleet/slots.h"

struct peri_candidate peri_route_pick(struct peri_candidates from, const bool *tried, bool overflow,
                                      uint64_t now_ms, struct peri_rand *rand,
                                      struct peri_route_report *report) {
    struct peri_candidate pick = { .provider = NULL };
    struct peri_route_report seen = { .candidates = (unsigned)from.count };
    uint64_t total = 0;
    for (size_t i = 0; i < from.count; i++) {
        const struct peri_provider *p = from.at[i].provider;
        bool is_new_rank = i > 0 && from.at[i].rank != from.at[i - 1].rank;
        if (is_new_rank && (total > 0 || (seen.full > 0 && !overflow))) break;
        if (tried != NULL && tried[p->index]) {
            seen.tried++;
            continue;
        }
        uint64_t wait_ms;
        bool is_cooling = !peri_vitals_admits(p->vitals, now_ms, &wait_ms);
        bool is_limited = is_cooling && atomic_load(&p->vitals->reason) == PERI_ERATELIMIT;
        if (!is_cooling) wait_ms = peri_vitals_lacks_ms(p->vitals, from.model, now_ms);
        if (wait_ms > 0) {
            seen.cooling++;
            if (is_limited) seen.rate_limited++;
            if (seen.wait_ms == 0 || wait_ms < seen.wait_ms) seen.wait_ms = wait_ms;
            continue;
        }
        if (!peri_slots_are_free(&from.at[i])) {
            seen.full++;
            continue;
        }
        /* Reservoir: the newcomer wins with its share of the weight seen so far. */
        total += p->share;
        if (total == p->share || peri_rand_below(rand, total) < p->share) pick = from.at[i];
    }
    if (report != NULL) *report = seen;
    return pick;
}
