/* The life of a request; see request.h for its states. Its answers are made in answer.c, its errors in refusal.c. */
#include "request/request.h"

#include "base/json_edit.h"
#include "base/name.h"
#include "base/sized.h"
#include "fleet/fit.h"
#include "fleet/slots.h"
#include "request/attempt.h"
#include "request/outcome.h"
#include "request/queue.h"
#include "request/retry.h"

/* Of a request's arena, for ourselves: an attempt's headers, and the answer when policies have used up what was theirs.
 * The largest error is 64 KiB (refusal.c). */
#define ANSWER_ROOM (1u << 20)

static uint64_t now_ns(const struct peri_request *r) { return peri_loop_clock_ns(r->env->loop); }

void peri_request_wait_begins(struct peri_request *r) {
    if (r->waiting_since_ns == 0) r->waiting_since_ns = now_ns(r);
}

void peri_request_wait_ends(struct peri_request *r) {
    if (r->waiting_since_ns == 0) return;
    r->waited_ns += now_ns(r) - r->waiting_since_ns;
    r->waiting_since_ns = 0;
}

void peri_request_make_id(char id[PERI_REQUEST_ID_BYTES], struct peri_rand *rand) {
    static const char hex[] = "0123456789abcdef";
    memcpy(id, "req_", 4);
    for (int half = 0; half < 2; half++) {
        uint64_t bits = peri_rand_next(rand);
        for (int i = 0; i < 12; i++, bits >>= 4) id[4 + half * 12 + i] = hex[bits & 15];
    }
}

/* The request ends while providers are being asked, or while one answers. The newest of them is what its record and
 * headers name.
 *   gives   that attempt; NULL: none was under way */
static const struct peri_attempt *cut_attempts(struct peri_request *r, enum peri_err why) {
    const struct peri_attempt *newest = NULL;
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->attempts) {
        struct peri_attempt *a = peri_list_entry(at, struct peri_attempt, link);
        if (peri_attempt_cut(a, why)) newest = a;
    }
    return newest;
}

static void on_deadline(void *arg) {
    struct peri_request *r = arg;
    const struct peri_attempt *a = cut_attempts(r, PERI_EDEADLINE);
    if (a == NULL)
        peri_request_fail(r, PERI_EDEADLINE, 504, NULL, "no answer within the request's %llu ms",
                          (unsigned long long)r->total_ms);
    else
        peri_request_fail(r, PERI_EDEADLINE, 504, NULL,
                          "no answer within the request's %llu ms: provider '%.*s' was %s",
                          (unsigned long long)r->total_ms, PERI_STR_ARGS(a->candidate.provider->id),
                          a == r->serving ? "answering" : "being asked");
}

void peri_request_stop(struct peri_request *r) {
    cut_attempts(r, PERI_ESTOPPING);
    peri_request_fail(r, PERI_ESTOPPING, 503, NULL, "the router is stopping");
}

struct peri_request *peri_request_open(struct peri_request_env *env,
                                       const struct peri_dialect *dialect, struct peri_sink sink) {
    /* A worker that slept has not looked since: what was published meanwhile holds for this request. */
    env->ops->refresh(env);
    struct peri_request *r = peri_request_new(env);
    if (r == NULL) return NULL;
    r->dialect = dialect;
    r->phase = PERI_DECIDING;
    r->fleet = peri_fleet_ref(env->fleet);
    r->config = peri_config_ref(env->config);
    r->arena.max = r->config->request_memory + ANSWER_ROOM;
    r->policy = env->policy == NULL ? NULL : peri_policy_ref(env->policy);
    peri_list_init(&r->attempts);
    peri_timer_init(&r->deadline, env->loop, on_deadline, r);
    peri_relay_init(r, sink);
    peri_queue_init(r);
    peri_retry_init(r);
    peri_request_make_id(r->id, &r->env->rand);
    return r;
}

enum peri_err peri_request_set_model(struct peri_request *r, struct peri_str model) {
    if (r->phase != PERI_DECIDING || peri_name_fault(model) != NULL) return PERI_EINVAL;
    struct peri_candidates c = peri_fleet_find(r->fleet, model);
    if (c.count == 0) return PERI_ENOMODEL;
    struct peri_str name = peri_arena_dup(&r->arena, c.model.n > 0 ? c.model : model);
    if (name.p == NULL) return PERI_ENOMEM;
    r->candidates = c;
    r->candidates.model = r->model = r->outcome.model = name;
    r->has_fit = false;
    return PERI_OK;
}

/* ---- The end ---- */

/* The one door. What the client got, if anything, was written before. */
static void end_request(struct peri_request *r, enum peri_err err) {
    if (r->phase == PERI_ENDED) return;
    r->phase = PERI_ENDED;
    peri_timer_stop(&r->deadline);
    peri_retry_cancel(r);
    peri_queue_remove(r);
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->attempts)
        peri_attempt_cancel(peri_list_entry(at, struct peri_attempt, link),
                            err == PERI_OK ? PERI_OK : PERI_ECANCELED);
    peri_outcome_fill(r, err);
    peri_outcome_log(r);
    if (r->policy != NULL) {
        const struct peri_policy_ops *ops = r->policy->ops;
        if (ops->done != NULL) ops->done(r->policy->self, r, &r->outcome);
        if (r->is_known && ops->forget != NULL) ops->forget(r->policy->self, r);
    }
    peri_request_over(r);
}

void peri_request_free(struct peri_request *r) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->attempts)
        peri_attempt_done(peri_list_entry(at, struct peri_attempt, link));
    peri_json_free(r->body);
    peri_buf_done(&r->unpacked);
    peri_policy_unref(r->policy);
    peri_fleet_unref(r->fleet);
    peri_config_unref(r->config);
    if (r->release != NULL) r->release(r->relay.sink.self);
}

/* The client's end is closed last: its buffers hold the body that the log line and the `done` hooks still look at. */
void peri_request_ended(struct peri_request *r, enum peri_err err) {
    if (r->phase == PERI_ENDED) return;
    peri_relay_flush(r);
    end_request(r, err);
    r->exchange = NULL;
    peri_relay_close(r);
}

void peri_request_abandon(struct peri_request *r, enum peri_err why) {
    r->outcome.status = 499;
    peri_relay_cut(r, r->exchange != NULL);
    cut_attempts(r, why);
    end_request(r, why); /* `done` hooks still look at the exchange's headers */
    r->exchange = NULL;
}

void peri_request_drained(struct peri_request *r) {
    if (peri_relay_drained(r) && r->phase == PERI_SERVING) peri_attempt_resume(r->serving);
}

/* ---- For policies ---- */

enum peri_err peri_request_try(struct peri_attempt **out, struct peri_request *r,
                               struct peri_str provider_id, const struct peri_try_options *options,
                               peri_tried tried, void *arg) {
    const struct peri_provider *p = peri_fleet_provider(r->fleet, provider_id);
    struct peri_candidate c = { .provider = NULL };
    struct peri_try_options known = { .size = sizeof known };
    if (options != NULL && peri_sized_read(&known, sizeof known, options) != PERI_OK)
        return PERI_EINVAL;
    bool is_other = known.model.n > 0;
    if (is_other && peri_name_fault(known.model) != NULL) return PERI_EINVAL;
    if (p != NULL) c = peri_fleet_candidate(r->fleet, p, is_other ? known.model : r->model);
    if (c.provider == NULL) return PERI_ENOTFOUND;
    return peri_attempt_start(out, r, c, &known, tried, arg);
}

void peri_request_default(struct peri_request *r) { peri_route_default(r); }

struct peri_str peri_request_id(const struct peri_request *r) {
    return (struct peri_str){ r->id, PERI_REQUEST_ID_BYTES };
}
struct peri_str peri_request_model(const struct peri_request *r) {
    return r->model;
}
/* A header that a client's key may come in, or that repeats the key, is between the client and the router. */
static bool carries_key(const struct peri_request *r, struct peri_str name, struct peri_str value) {
    if (r->key == NULL) return false;
    if (peri_str_eq_nocase(name, PERI_STR("x-api-key")) ||
        peri_str_eq_nocase(name, PERI_STR("api-key")))
        return true;
    struct peri_str secret = { r->key->secret.p, r->key->secret.n };
    return peri_str_eq_nocase(name, PERI_STR("authorization")) || peri_str_find(value, secret) >= 0;
}
struct peri_str peri_request_header(const struct peri_request *r, struct peri_str name) {
    struct peri_str value = { NULL, 0 };
    if (r->exchange != NULL) value = peri_exchange_header(r->exchange, name);
    return value.p == NULL || carries_key(r, name, value) ? (struct peri_str){ NULL, 0 } : value;
}
struct peri_str peri_request_key_id(const struct peri_request *r) {
    return r->key == NULL ? PERI_STR("") : r->key->id;
}
bool peri_request_is_stream(const struct peri_request *r) { return r->is_stream; }
unsigned peri_request_attempts(const struct peri_request *r) { return r->attempt_count; }

struct peri_request_mark peri_request_mark(const struct peri_request *r) {
    struct peri_request_mark mark = { .extra_headers = r->extra_headers,
                                      .extra_header_count = r->extra_header_count,
                                      .candidates = r->candidates };
    /* A request whose body is no JSON has none, and its `done` hooks run all the same. */
    if (r->body != NULL) mark.body = peri_json_mark(r->body);
    return mark;
}

void peri_request_rollback(struct peri_request *r, const struct peri_request_mark *mark) {
    if (r->body != NULL) peri_json_rollback(r->body, mark->body);
    r->extra_headers = mark->extra_headers;
    r->extra_header_count = mark->extra_header_count;
    r->candidates = mark->candidates;
    r->model = r->outcome.model = mark->candidates.model;
    r->has_fit = false; /* it may have been found for the body as it was edited */
}

struct peri_candidates peri_request_find_fit(struct peri_request *r) {
    if (r->body == NULL) return r->candidates; /* it was no JSON */
    if (r->has_fit && !peri_json_is_edited(r->body)) return r->fit;
    struct peri_need need;
    r->fit = peri_fit_select(&need, r->candidates, r->body, r->dialect, &r->arena);
    r->has_fit = true;
    return r->fit;
}

struct peri_str peri_request_candidate(struct peri_request *r, size_t i) {
    struct peri_candidates c = peri_request_fit(r);
    return i < c.count ? c.at[i].provider->id : PERI_STR("");
}

bool peri_provider_admits(const struct peri_provider *p, uint64_t now_ms) {
    return peri_circuit_rest_ms(p, now_ms) == 0 &&
           peri_slots_has_room(p->vitals, peri_slots_limit(p));
}

bool peri_request_admits(const struct peri_request *r, struct peri_str provider_id) {
    const struct peri_provider *p = peri_fleet_provider(r->fleet, provider_id);
    uint64_t now_ms = peri_loop_now_ms(r->env->loop);
    if (p == NULL || !peri_slots_has_room(p->vitals, peri_slots_limit(p))) return false;
    struct peri_candidate c = peri_fleet_candidate(r->fleet, p, r->model);
    return (c.provider == NULL || peri_slots_are_free(&c)) &&
           peri_circuit_admits(p, r->model, r->dialect->id, now_ms, NULL);
}
