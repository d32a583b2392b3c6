/* What perilune.h gives to policies in C beside what the router's own parts use: views for programs that do not know
 * the structs. */
#include "base/sized.h"
#include "fleet/circuit.h"
#include "fleet/slots.h"
#include "net/sse.h"
#include "request/attempt.h"

#define EVENT_JSON_MAX 1048576 /* bytes of a document that is to be one event */

/* ---- Events ---- */

enum peri_err peri_event_add(struct peri_buf *out, struct peri_str name, struct peri_str data) {
    return peri_sse_add(out, name, data);
}

enum peri_err peri_event_add_json(struct peri_buf *out, struct peri_str name,
                                  const struct peri_json *j) {
    struct peri_buf text;
    peri_buf_init(&text, EVENT_JSON_MAX);
    struct peri_str data = peri_json_text(j, &text);
    enum peri_err err = data.p != NULL ? peri_sse_add(out, name, data) : text.err;
    if (data.p == NULL) out->err = err;
    peri_buf_done(&text);
    return err;
}

/* ---- The request ---- */

void *peri_request_user(const struct peri_request *r) { return r->task; }

void peri_request_set_user(struct peri_request *r, void *user) {
    r->task = user;
    r->is_known = true;
}

struct peri_json *peri_request_body(struct peri_request *r) {
    return r->body;
}

struct peri_str peri_request_endpoint(const struct peri_request *r) {
    return r->dialect->name;
}

/* ---- Providers ---- */

static void describe(struct peri_provider_info *to, const struct peri_provider *p,
                     uint64_t now_ms) {
    const struct peri_vitals *v = p->vitals;
    to->id = p->id;
    to->url = p->url;
    to->tags = p->tags;
    to->network = p->network;
    to->address = p->address;
    to->tier = p->tier;
    to->weight = p->weight;
    to->max_concurrent = p->max_concurrent;
    to->concurrency_limit = peri_slots_limit(p);
    to->in_flight = atomic_load(&v->in_flight);
    to->failures = atomic_load(&v->breaker.streak);
    to->cooling_ms = peri_circuit_rest_ms(p, now_ms);
    to->is_healthy = to->cooling_ms == 0;
    to->is_admissible = peri_provider_admits(p, now_ms);
    to->is_reduced = p->is_reduced;
    to->first_token_us = atomic_load(&v->first_token_us);
    to->total_us = atomic_load(&v->total_us);
    to->succeeded = atomic_load(&v->success);
    to->failed = atomic_load(&v->failed);
    to->rate_limited = atomic_load(&v->rate_limited);
}

enum peri_err peri_request_provider(struct peri_provider_info *info, const struct peri_request *r,
                                    struct peri_str provider_id) {
    struct peri_provider_info whole = { .size = sizeof whole };
    const struct peri_provider *p = peri_fleet_provider(r->fleet, provider_id);
    if (p == NULL) return PERI_ENOTFOUND;
    describe(&whole, p, peri_loop_now_ms(r->env->loop));
    struct peri_candidate c = peri_fleet_candidate(r->fleet, p, r->model);
    if (c.provider != NULL) whole.upstream_model = c.upstream.n > 0 ? c.upstream : r->model;
    if (c.model != NULL) {
        whole.context_tokens = c.model->context_tokens;
        whole.max_output_tokens = c.model->max_output_tokens;
    }
    return peri_sized_write(info, &whole, sizeof whole);
}

/* ---- The attempt ---- */

struct peri_str peri_attempt_provider(const struct peri_attempt *a) {
    return a->candidate.provider->id;
}

struct peri_str peri_attempt_upstream_model(const struct peri_attempt *a) {
    return peri_candidate_upstream(&a->candidate, peri_attempt_model(a));
}

int peri_attempt_status(const struct peri_attempt *a) { return a->status; }

enum peri_err peri_attempt_previous(const struct peri_attempt *a) {
    enum peri_err err = PERI_OK;
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &a->request->attempts) {
        const struct peri_attempt *other = peri_list_entry(at, struct peri_attempt, link);
        if (other != a && peri_attempt_is_over(other)) err = other->err;
    }
    return err;
}

void peri_attempt_expect_content(struct peri_attempt *a) { a->expects_content = true; }
