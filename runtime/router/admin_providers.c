#include "router/admin_providers.h"

#include "base/json_text.h"
#include "fleet/circuit.h"
#include "fleet/slots.h"

/* ---- Breakers ---- */

static const char *const states[] = {
    [PERI_BREAKER_CLOSED] = "closed",
    [PERI_BREAKER_OPEN] = "open",
    [PERI_BREAKER_HALF_OPEN] = "half_open",
    [PERI_BREAKER_HELD] = "drained",
};

/* Members of an object that is open. Reason and time stand there while it rests only. */
static void put_breaker(struct peri_buf *b, const struct peri_breaker *k, uint64_t now_ms) {
    int state = atomic_load(&k->state);
    uint64_t until_ms = atomic_load(&k->until_ms), since_ms = atomic_load(&k->since_ms);
    peri_json_put_string_member(b, "state", peri_str_of(states[state]));
    peri_json_put_count_member(b, "failures_in_a_row", atomic_load(&k->streak));
    peri_json_put_count_member(b, "opened", atomic_load(&k->opened));
    if (state != PERI_BREAKER_OPEN && state != PERI_BREAKER_HALF_OPEN) return;
    peri_json_put_string_member(b, "reason",
                                peri_str_of(peri_err_name((enum peri_err)atomic_load(&k->reason))));
    if (atomic_load(&k->status) != 0)
        peri_json_put_count_member(b, "status", (uint64_t)atomic_load(&k->status));
    peri_json_put_count_member(b, "left_ms", until_ms > now_ms ? until_ms - now_ms : 0);
    peri_json_put_count_member(b, "rests_for_ms",
                               since_ms > 0 && now_ms > since_ms ? now_ms - since_ms : 0);
    peri_json_put_name(b, "asked_for"); /* by the provider: its Retry-After */
    peri_json_put_bool(b, atomic_load(&k->is_told));
}

static bool is_worth_showing(const struct peri_breaker *k) {
    return atomic_load(&k->state) != PERI_BREAKER_CLOSED || atomic_load(&k->streak) > 0 ||
           atomic_load(&k->opened) > 0;
}

static void put_keys(struct peri_buf *b, const struct peri_provider *p, uint64_t now_ms) {
    peri_json_put_name(b, "keys");
    peri_json_put_open(b, '[');
    for (size_t i = 0; i < p->key_count; i++) {
        peri_json_put_open(b, '{');
        peri_json_put_count_member(b, "key", i + 1);
        put_breaker(b, &p->vitals->keys[i], now_ms);
        peri_json_put_close(b, '}');
    }
    peri_json_put_close(b, ']');
}

static void put_endpoints(struct peri_buf *b, const struct peri_vitals *v, uint64_t now_ms) {
    peri_json_put_name(b, "endpoints");
    peri_json_put_open(b, '[');
    for (int i = 0; i < PERI_DIALECT_COUNT; i++) {
        if (!is_worth_showing(&v->endpoints[i])) continue;
        peri_json_put_open(b, '{');
        peri_json_put_string_member(b, "endpoint", peri_dialect((enum peri_dialect_id)i)->url_path);
        put_breaker(b, &v->endpoints[i], now_ms);
        peri_json_put_close(b, '}');
    }
    peri_json_put_close(b, ']');
}

static void put_models(struct peri_buf *b, const struct peri_vitals *v, uint64_t now_ms) {
    peri_json_put_name(b, "models");
    peri_json_put_open(b, '[');
    for (size_t i = 0; i < PERI_MODEL_BREAKERS; i++) {
        const struct peri_model_breaker *m = &v->models[i];
        char name[PERI_MODEL_LABEL_MAX + 1];
        if (!peri_vitals_model_name(name, m) || !is_worth_showing(&m->breaker)) continue;
        peri_json_put_open(b, '{');
        peri_json_put_string_member(b, "model", peri_str_of(name));
        peri_json_put_string_member(
            b, "endpoint", peri_dialect((enum peri_dialect_id)atomic_load(&m->endpoint))->url_path);
        put_breaker(b, &m->breaker, now_ms);
        peri_json_put_close(b, '}');
    }
    peri_json_put_close(b, ']');
}

/* ---- Providers ---- */

static void put_counters(struct peri_buf *b, const struct peri_provider *p) {
    const struct peri_vitals *v = p->vitals;
    peri_json_put_count_member(b, "in_flight", atomic_load(&v->in_flight));
    peri_json_put_count_member(b, "limit", peri_slots_limit(p));
    peri_json_put_count_member(b, "success", atomic_load(&v->success));
    peri_json_put_count_member(b, "rate_limited", atomic_load(&v->rate_limited));
    peri_json_put_count_member(b, "failed", atomic_load(&v->failed));
    peri_json_put_count_member(b, "canceled", atomic_load(&v->canceled));
    peri_json_put_count_member(b, "first_token_ms", atomic_load(&v->first_token_us) / 1000);
    peri_json_put_count_member(b, "latency_ms", atomic_load(&v->total_us) / 1000);
}

void peri_admin_put_provider(struct peri_buf *b, const struct peri_provider *p, uint64_t now_ms) {
    peri_json_put_open(b, '{');
    peri_json_put_string_member(b, "id", p->id);
    peri_json_put_count_member(b, "tier", p->tier);
    peri_json_put_count_member(b, "weight", p->weight);
    peri_json_put_name(b, "available");
    peri_json_put_bool(b, peri_circuit_rest_ms(p, now_ms) == 0);
    put_breaker(b, &p->vitals->breaker, now_ms);
    put_counters(b, p);
    put_keys(b, p, now_ms);
    put_endpoints(b, p->vitals, now_ms);
    put_models(b, p->vitals, now_ms);
    if (p->network_vitals != NULL) {
        peri_json_put_name(b, "network");
        peri_json_put_open(b, '{');
        peri_json_put_string_member(b, "kind", p->network);
        put_breaker(b, &p->network_vitals->breaker, now_ms);
        peri_json_put_close(b, '}');
    }
    peri_json_put_close(b, '}');
}

void peri_admin_put_providers(struct peri_buf *b, const struct peri_fleet *f, uint64_t now_ms) {
    peri_json_put_open(b, '[');
    for (size_t i = 0; i < f->provider_count; i++)
        peri_admin_put_provider(b, &f->providers[i], now_ms);
    peri_json_put_close(b, ']');
}

/* ---- Orders ---- */

enum peri_provider_order peri_provider_order_of(struct peri_str name) {
    if (peri_str_eq(name, PERI_STR("reset"))) return PERI_ORDER_RESET;
    if (peri_str_eq(name, PERI_STR("drain"))) return PERI_ORDER_DRAIN;
    return peri_str_eq(name, PERI_STR("enable")) ? PERI_ORDER_ENABLE : PERI_ORDER_NONE;
}

void peri_provider_obey(const struct peri_provider *p, enum peri_provider_order order) {
    switch (order) {
    case PERI_ORDER_RESET:
        peri_vitals_reset(p->vitals);
        if (p->network_vitals != NULL) peri_vitals_reset(p->network_vitals);
        break;
    case PERI_ORDER_DRAIN: peri_breaker_hold(&p->vitals->breaker, true); break;
    case PERI_ORDER_ENABLE: peri_breaker_hold(&p->vitals->breaker, false); break;
    case PERI_ORDER_NONE: break;
    }
}
