/* How many requests a provider takes at once: its own limit, that of one of its models, and what it was found to take.
 *
 * A slot is taken by every attempt and released exactly once. With `adaptive_concurrency` a provider that says it is
 * overloaded has its limit halved, or gets one that is half of what it had in flight, and at least 1; every PERI_SLOTS_STEP good
 * answers it grows by one, until the configured limit is reached again, and on and on without one. What was learned is in the provider's vitals, so it
 * outlives snapshots; nothing is locked.
 */
#ifndef PERI_FLEET_SLOTS_H
#define PERI_FLEET_SLOTS_H

#include "fleet/fleet.h"

#define PERI_SLOTS_STEP     10  /* good answers for one more slot */
#define PERI_SLOTS_STORM_MS 500 /* refusals within this time of the first tell of one overload */

/* Of one model at one provider, in the order of its models. `vitals` count what is in flight; NULL: no limit. */
struct peri_model_slots {
    uint32_t max;
    struct peri_vitals *vitals;
};

/* How many at once just now, of all models; 0: no limit. */
static inline uint32_t peri_slots_limit(const struct peri_provider *p) {
    uint32_t learned =
        p->is_adaptive ? atomic_load_explicit(&p->vitals->learned_limit, memory_order_relaxed) : 0;
    bool is_less = learned != 0 && (p->max_concurrent == 0 || learned < p->max_concurrent);
    return is_less ? learned : p->max_concurrent;
}

static inline bool peri_slots_has_room(const struct peri_vitals *v, uint32_t max) {
    return max == 0 || atomic_load_explicit(&v->in_flight, memory_order_relaxed) < max;
}

/* That of the candidate's model; NULL: it has none of its own. */
static inline const struct peri_model_slots *peri_slots_of_model(const struct peri_candidate *c) {
    const struct peri_model_slots *s = c->provider->model_slots;
    if (s == NULL || c->model == NULL) return NULL;
    s += c->model - c->provider->models;
    return s->vitals == NULL ? NULL : s;
}

/* Whether a request would get one; takes nothing. */
static inline bool peri_slots_are_free(const struct peri_candidate *c) {
    const struct peri_provider *p = c->provider;
    if (!p->is_limited) return true;
    const struct peri_model_slots *s = peri_slots_of_model(c);
    return peri_slots_has_room(p->vitals, peri_slots_limit(p)) &&
           (s == NULL || peri_slots_has_room(s->vitals, s->max));
}

/* gives false, and takes nothing, when all are taken */
PERI_MUST_USE bool peri_slots_take(const struct peri_candidate *c);
void peri_slots_release(const struct peri_candidate *c);

/* For providers with is_adaptive: it said that this is too much. */
void peri_slots_overloaded(const struct peri_provider *p, uint64_t now_ms);
/* For providers with is_adaptive: it began to answer as it should. */
void peri_slots_went_well(const struct peri_provider *p);

#endif
