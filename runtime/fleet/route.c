#include "fleet/route.h"

#include "fleet/circuit.h"
#include "fleet/slots.h"

/* Reservoir: the newcomer wins with its share of the weight seen so far. */
static bool draw_share(uint64_t *total, uint64_t share, struct peri_rand *rand) {
    *total += share;
    return *total == share || peri_rand_below(rand, *total) < share;
}

/* Of those that rest the one that is due first, and by share among those that are due together. */
struct resting {
    struct peri_candidate pick;
    uint64_t wait_ms, total;
};

static void consider_resting(struct resting *r, const struct peri_candidate *c,
                             const struct peri_rest *why, struct peri_rand *rand) {
    if (why->is_forbidden || !peri_slots_are_free(c)) return;
    if (r->pick.provider != NULL && why->wait_ms > r->wait_ms) return;
    if (why->wait_ms < r->wait_ms) r->total = 0;
    if (draw_share(&r->total, c->provider->share, rand)) r->pick = *c;
    r->wait_ms = why->wait_ms;
}

static void report_rest(struct peri_route_report *seen, const struct peri_rest *why) {
    seen->resting++;
    if (why->reason == PERI_ERATELIMIT) seen->rate_limited++;
    if (seen->wait_ms != 0 && why->wait_ms >= seen->wait_ms) return;
    seen->wait_ms = why->wait_ms;
    seen->scope = why->scope;
}

struct peri_candidate peri_route_pick(const struct peri_route_ask *ask, struct peri_rand *rand,
                                      struct peri_route_report *report) {
    struct peri_candidates from = ask->from;
    struct peri_candidate pick = { .provider = NULL };
    struct peri_route_report seen = { .candidates = (unsigned)from.count };
    struct resting resting = { .wait_ms = 0 };
    uint64_t total = 0;
    for (size_t i = 0; i < from.count; i++) {
        const struct peri_provider *p = from.at[i].provider;
        bool is_new_rank = i > 0 && from.at[i].rank != from.at[i - 1].rank;
        if (is_new_rank && (total > 0 || (seen.full > 0 && !ask->overflow))) break;
        if (ask->tried != NULL && ask->tried[p->index]) {
            seen.tried++;
            continue;
        }
        struct peri_rest why;
        if (!peri_circuit_admits(p, ask->model, ask->endpoint, ask->now_ms, &why)) {
            report_rest(&seen, &why);
            consider_resting(&resting, &from.at[i], &why, rand);
            continue;
        }
        if (!peri_slots_are_free(&from.at[i])) {
            seen.full++;
            continue;
        }
        if (draw_share(&total, p->share, rand)) pick = from.at[i];
    }
    if (pick.provider == NULL && seen.full == 0 && ask->may_disturb) {
        pick = resting.pick;
        pick.is_last = true;
    }
    if (report != NULL) *report = seen;
    return pick;
}
