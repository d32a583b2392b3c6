#include "fleet/slots.h"

bool peri_slots_take(const struct peri_candidate *c) {
    const struct peri_model_slots *s = peri_slots_of_model(c);
    if (s != NULL && !peri_vitals_take(s->vitals, s->max)) return false;
    if (peri_vitals_take(c->provider->vitals, peri_slots_limit(c->provider))) return true;
    if (s != NULL) peri_vitals_release(s->vitals);
    return false;
}

void peri_slots_release(const struct peri_candidate *c) {
    const struct peri_model_slots *s = peri_slots_of_model(c);
    peri_vitals_release(c->provider->vitals);
    if (s != NULL) peri_vitals_release(s->vitals);
}

/* Without a limit half of what it had: the request that was refused is still in flight. */
void peri_slots_overloaded(const struct peri_provider *p, uint64_t now_ms) {
    struct peri_vitals *v = p->vitals;
    uint_fast64_t last_ms = atomic_load(&v->overloaded_ms);
    bool is_same = last_ms != 0 && now_ms - last_ms < PERI_SLOTS_STORM_MS;
    if (is_same || !atomic_compare_exchange_strong(&v->overloaded_ms, &last_ms, now_ms)) return;
    unsigned learned = atomic_load(&v->learned_limit);
    uint32_t had = peri_slots_limit(p);
    if (had == 0) had = atomic_load(&v->in_flight);
    atomic_compare_exchange_strong(&v->learned_limit, &learned, had > 1 ? had / 2 : 1);
    atomic_store(&v->learned_successes, 0);
}

void peri_slots_went_well(const struct peri_provider *p) {
    struct peri_vitals *v = p->vitals;
    unsigned learned = atomic_load_explicit(&v->learned_limit, memory_order_relaxed);
    if (learned == 0) return;
    if ((atomic_fetch_add(&v->learned_successes, 1) + 1) % PERI_SLOTS_STEP != 0) return;
    /* Back at the configured limit there is nothing learned any more. Should another thread have halved it meanwhile, its
     * word stands. */
    unsigned next = learned + 1;
    if (p->max_concurrent != 0 && next >= p->max_concurrent) next = 0;
    atomic_compare_exchange_strong(&v->learned_limit, &learned, next);
}
