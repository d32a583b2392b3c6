#include "fleet/circuit.h"

const char *peri_scope_name(enum peri_scope scope) {
    static const char *const names[] = { "request",  "model",    "key",
                                         "endpoint", "provider", "network" };
    return names[scope];
}

/* ---- Looking ---- */

static bool is_closed(const struct peri_breaker *b) {
    return atomic_load_explicit(&b->state, memory_order_relaxed) == PERI_BREAKER_CLOSED;
}

static bool look(const struct peri_breaker *b, enum peri_scope scope, uint64_t now_ms,
                 struct peri_rest *why) {
    uint64_t wait_ms;
    if (b == NULL || is_closed(b) || peri_breaker_admits(b, now_ms, &wait_ms)) return true;
    if (why == NULL) return false;
    why->is_forbidden |= peri_breaker_forbids(b, now_ms);
    if (wait_ms < why->wait_ms) return false;
    why->scope = scope;
    why->wait_ms = wait_ms;
    why->reason = (enum peri_err)atomic_load(&b->reason);
    return false;
}

/* Nothing rests: nearly always, so this is looked at first, with a handful of loads. */
static bool is_all_closed(const struct peri_provider *p, enum peri_dialect_id endpoint) {
    const struct peri_vitals *v = p->vitals;
    return is_closed(&v->breaker) && is_closed(&v->endpoints[endpoint]) && is_closed(&v->keys[0]) &&
           !atomic_load_explicit(&v->has_models, memory_order_relaxed) &&
           (p->network_vitals == NULL || is_closed(&p->network_vitals->breaker));
}

/* One key that does not rest is enough; else the first to be back tells how long. */
static bool look_at_keys(const struct peri_provider *p, uint64_t now_ms, struct peri_rest *why) {
    struct peri_rest least = { .wait_ms = UINT64_MAX };
    for (size_t i = 0; i < p->key_count; i++) {
        struct peri_rest one = { .wait_ms = 0 };
        if (look(&p->vitals->keys[i], PERI_SCOPE_KEY, now_ms, &one)) return true;
        if (one.wait_ms < least.wait_ms) least = one;
    }
    if (p->key_count == 0) return true;
    if (why == NULL) return false;
    least.is_forbidden |= why->is_forbidden;
    if (least.wait_ms >= why->wait_ms)
        *why = least;
    else
        why->is_forbidden = least.is_forbidden;
    return false;
}

bool peri_circuit_admits(const struct peri_provider *p, struct peri_str model,
                         enum peri_dialect_id endpoint, uint64_t now_ms, struct peri_rest *why) {
    struct peri_vitals *v = p->vitals;
    if (is_all_closed(p, endpoint)) return true;
    if (why != NULL) *why = (struct peri_rest){ .wait_ms = 0 };
    bool is_free = look(&v->breaker, PERI_SCOPE_PROVIDER, now_ms, why);
    is_free &= look(&v->endpoints[endpoint], PERI_SCOPE_ENDPOINT, now_ms, why);
    if (p->key_count > 0) is_free &= look_at_keys(p, now_ms, why);
    if (p->network_vitals != NULL)
        is_free &= look(&p->network_vitals->breaker, PERI_SCOPE_NETWORK, now_ms, why);
    is_free &= look(peri_vitals_model(v, model, endpoint), PERI_SCOPE_MODEL, now_ms, why);
    return is_free;
}

uint64_t peri_circuit_rest_ms(const struct peri_provider *p, uint64_t now_ms) {
    struct peri_rest why = { .wait_ms = 0 };
    look(&p->vitals->breaker, PERI_SCOPE_PROVIDER, now_ms, &why);
    look_at_keys(p, now_ms, &why);
    if (p->network_vitals != NULL)
        look(&p->network_vitals->breaker, PERI_SCOPE_NETWORK, now_ms, &why);
    return why.wait_ms;
}

/* ---- The way of an attempt ---- */

static bool pass(struct peri_circuit *c, enum peri_scope scope, struct peri_breaker *b,
                 uint64_t now_ms, bool is_last) {
    if (b == NULL) return true;
    if (is_closed(b)) {
        c->at[scope] = b;
        return true;
    }
    enum peri_breaker_pass passed = peri_breaker_enter(b, now_ms, is_last);
    if (passed == PERI_BREAKER_REFUSED) return false;
    c->at[scope] = b;
    if (passed == PERI_BREAKER_TRIAL) c->trials |= 1u << scope;
    return true;
}

/* Keys take turns, and those that rest are passed over. Where all rest, `is_last` tries the one that is back first. */
static bool pass_key(struct peri_circuit *c, const struct peri_provider *p, uint64_t now_ms,
                     bool is_last) {
    struct peri_breaker *keys = p->vitals->keys;
    if (p->key_count == 0) return true;
    size_t first = 0, soonest = 0;
    if (p->key_count > 1)
        first = atomic_fetch_add_explicit(&p->vitals->next_key, 1, memory_order_relaxed);
    for (size_t i = 0; i < p->key_count; i++) {
        size_t at = (first + i) % p->key_count;
        c->key = at;
        if (pass(c, PERI_SCOPE_KEY, &keys[at], now_ms, false)) return true;
        if (atomic_load(&keys[at].until_ms) < atomic_load(&keys[soonest].until_ms)) soonest = at;
    }
    c->key = soonest;
    return is_last && pass(c, PERI_SCOPE_KEY, &keys[soonest], now_ms, true);
}

bool peri_circuit_enter(struct peri_circuit *c, const struct peri_provider *p,
                        struct peri_str model, enum peri_dialect_id endpoint, uint64_t now_ms,
                        bool is_last) {
    struct peri_vitals *v = p->vitals;
    struct peri_breaker *network = p->network_vitals == NULL ? NULL : &p->network_vitals->breaker;
    if (pass(c, PERI_SCOPE_PROVIDER, &v->breaker, now_ms, is_last) &&
        pass(c, PERI_SCOPE_NETWORK, network, now_ms, is_last) &&
        pass(c, PERI_SCOPE_ENDPOINT, &v->endpoints[endpoint], now_ms, is_last) &&
        pass(c, PERI_SCOPE_MODEL, peri_vitals_model(v, model, endpoint), now_ms, is_last) &&
        pass_key(c, p, now_ms, is_last))
        return true;
    peri_circuit_cancel(c);
    return false;
}

void peri_circuit_add_model(struct peri_circuit *c, const struct peri_provider *p,
                            struct peri_str model, enum peri_dialect_id endpoint) {
    if (c->at[PERI_SCOPE_MODEL] == NULL)
        c->at[PERI_SCOPE_MODEL] = peri_vitals_make_model(p->vitals, model, endpoint);
}

/* ---- Its end ---- */

static bool take_trial(struct peri_circuit *c, enum peri_scope scope) {
    bool is_trial = (c->trials & 1u << scope) != 0;
    c->trials &= ~(1u << scope);
    return is_trial;
}

/* Only a provider's results are looked at as a ratio: the rest of its breakers fail for reasons of their own. */
static struct peri_breaker_rule rule_of(enum peri_scope scope, const struct peri_config *config) {
    return (struct peri_breaker_rule){
        .failures = config->failures,
        .percent = scope == PERI_SCOPE_PROVIDER ? config->failure_percent : 0,
        .window_ms = config->failure_window_ms,
        .rest_ms = config->failure_cooldown_ms,
    };
}

/* A good answer changes nothing about it. */
static bool is_quiet(const struct peri_breaker *b) {
    return b == NULL ||
           (is_closed(b) && atomic_load_explicit(&b->streak, memory_order_relaxed) == 0);
}

static bool succeed_at(struct peri_circuit *c, enum peri_scope scope,
                       const struct peri_config *config, uint64_t now_ms) {
    struct peri_breaker_rule rule = rule_of(scope, config);
    if (c->at[scope] == NULL) return false;
    return peri_breaker_succeed(c->at[scope], &rule, now_ms, take_trial(c, scope));
}

unsigned peri_circuit_succeed(struct peri_circuit *c, const struct peri_config *config,
                              uint64_t now_ms) {
    unsigned closed = 0;
    if (succeed_at(c, PERI_SCOPE_PROVIDER, config, now_ms)) closed |= 1u << PERI_SCOPE_PROVIDER;
    if (is_quiet(c->at[PERI_SCOPE_MODEL]) && is_quiet(c->at[PERI_SCOPE_KEY]) &&
        is_quiet(c->at[PERI_SCOPE_ENDPOINT]) && is_quiet(c->at[PERI_SCOPE_NETWORK]))
        return closed;
    for (enum peri_scope s = PERI_SCOPE_MODEL; s < PERI_SCOPE_COUNT; s++)
        if (s != PERI_SCOPE_PROVIDER && succeed_at(c, s, config, now_ms)) closed |= 1u << s;
    return closed;
}

bool peri_circuit_fail(struct peri_circuit *c, const struct peri_config *config,
                       enum peri_scope scope, const struct peri_breaker_failure *f,
                       uint64_t at_once_ms) {
    struct peri_breaker_failure here = *f;
    struct peri_breaker_rule rule = rule_of(scope, config);
    bool has_opened = false;
    if (f->reason == PERI_ERATELIMIT) rule.rest_ms = config->rate_limit_cooldown_ms;
    here.is_trial = take_trial(c, scope);
    /* A host's failure says nothing of its network. */
    for (enum peri_scope s = scope + 1; s < PERI_SCOPE_NETWORK && f->status != 0; s++)
        succeed_at(c, s, config, f->now_ms);
    if (c->at[scope] != NULL)
        has_opened = at_once_ms != 0 ? peri_breaker_open(c->at[scope], &here, at_once_ms)
                                     : peri_breaker_fail(c->at[scope], &rule, &here);
    peri_circuit_cancel(c);
    return has_opened;
}

void peri_circuit_cancel(struct peri_circuit *c) {
    if (c->trials == 0) return;
    for (enum peri_scope s = PERI_SCOPE_MODEL; s < PERI_SCOPE_COUNT; s++)
        if (take_trial(c, s)) peri_breaker_cancel(c->at[s]);
}
