/* The life of a request; see request.h for its states. Its answers are made in answer.c, its errors in refusal.c. */
#include "request/request.h"

#include <stdio.h>

#include "base/err.h"
#include "base/json_edit.h"
#include "base/mem.h"
#include "base/name.h"
#include "fleet/fit.h"
#include "fleet/slots.h"
#include "request/attempt.h"
#include "request/outcome.h"
#include "request/queue.h"

/* Of a request's arena, for ourselves: an attempt's headers, and the answer when policies have used up what was theirs.
 * The largest error is 64 KiB (reply.c). */
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

static struct peri_request *new_request(struct peri_request_env *env,
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
    peri_request_make_id(r->id, &r->env->rand);
    return r;
}

/* ---- What is asked ---- */

static bool is_any_model(struct peri_str model) {
    return peri_str_eq(model, PERI_STR("auto")) || peri_str_eq(model, PERI_STR("placeholder"));
}

/* The whole chain's time; a client that says how long it will wait is not kept longer. */
static uint64_t total_ms(const struct peri_request *r) {
    uint64_t total = r->config->timeouts.total_ms, asked;
    if (r->exchange == NULL) return total;
    struct peri_str header = peri_exchange_header(r->exchange, PERI_STR("x-stainless-timeout"));
    if (header.p == NULL || peri_str_to_u64(&asked, header) != PERI_OK || asked == 0 ||
        asked > 86400)
        return total;
    asked = asked * 1000 > 500 ? asked * 1000 - 250 : asked * 1000;
    return total == 0 || asked < total ? asked : total;
}

static void start_timers(struct peri_request *r) {
    r->total_ms = total_ms(r);
    r->is_timed = true;
    if (r->total_ms > 0) peri_timer_start(&r->deadline, r->total_ms);
    peri_relay_keep_alive(r);
}

/* Nobody has the model, and a network may: wait for it as long as that is reasonable. */
static void await_discovery(struct peri_request *r) {
    uint64_t now_ms = peri_loop_now_ms(r->env->loop), until_ms = r->fleet->pending_until_ms;
    if (r->is_undiscovered && until_ms > now_ms) return; /* it waits on, in its place */
    if (until_ms <= now_ms || !peri_queue_has_room(r)) {
        peri_request_give_up_undiscovered(r);
        return;
    }
    struct peri_str model = peri_arena_dup(&r->arena, r->model); /* it outlives this fleet */
    if (model.p == NULL) {
        peri_request_fail(r, PERI_ENOMEM, 503, NULL, "out of memory");
        return;
    }
    r->model = r->outcome.model = model;
    r->is_undiscovered = true;
    start_timers(r);
    peri_request_wait_begins(r);
    peri_queue_add(r, until_ms - now_ms);
    /* A fleet that was published after we looked, and before we were counted as waiting, woke nobody. The count and the version
     * of the fleet have one order for all threads: who misses the count has published what is looked at here. */
    r->env->ops->refresh(r->env);
    peri_request_discover(r);
}

static bool resolve_model(struct peri_request *r) {
    uint32_t node = peri_json_get(r->body, peri_json_root(r->body), PERI_STR("model"));
    struct peri_str model = { NULL, 0 };
    if (node != PERI_JSON_NONE && peri_json_kind(r->body, node) != PERI_JSON_STRING) {
        peri_request_fail(r, PERI_EINVAL, 400, "invalid_type", "'model' must be a string, got %s",
                          peri_json_kind_name(peri_json_kind(r->body, node)));
        return false;
    }
    if (node != PERI_JSON_NONE) model = peri_json_string(r->body, node, &r->arena);
    if (model.n == 0 || is_any_model(model)) {
        if (r->config->default_model.n > 0)
            model = r->config->default_model;
        else if (r->fleet->model_count > 0 && model.n > 0)
            model = r->fleet->models[0];
    }
    const char *fault = model.n == 0 ? NULL : peri_name_fault(model);
    if (fault != NULL) {
        peri_request_fail(r, PERI_EINVAL, 400, "invalid_model", "'model' %s", fault);
        return false;
    }
    if (model.n == 0) {
        peri_request_fail(r, PERI_EINVAL, 400, "model_required",
                          "the request names no 'model' and no default_model is configured");
        return false;
    }
    r->candidates = peri_fleet_find(r->fleet, model);
    r->model = r->candidates.model.n > 0 ? r->candidates.model : model;
    r->candidates.model = r->model;
    r->outcome.model = r->model;
    if (r->candidates.count > 0) return true;
    if (r->fleet->pending_until_ms > 0) {
        await_discovery(r);
        return false;
    }
    if (r->fleet->provider_count == 0)
        peri_request_fail(r, PERI_ENOPROVIDER, 503, "no_providers", "no providers are configured");
    else
        peri_request_fail(r, PERI_ENOMODEL, 404, "model_not_found",
                          "the model '%.*s' does not exist here", PERI_STR_ARGS(model));
    return false;
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

static bool parse_body(struct peri_request *r, struct peri_str text, bool is_padded) {
    struct peri_fault fault;
    struct peri_json_options options = { .routed = r->dialect->routed,
                                         .routed_count = r->dialect->routed_count,
                                         .is_padded = is_padded };
    r->body_bytes = text.n;
    enum peri_err err = peri_json_parse(&r->body, text, &options, &fault);
    if (err == PERI_ENOMEM) {
        peri_request_fail(r, err, 503, NULL, "out of memory");
        return false;
    }
    if (err != PERI_OK) {
        peri_request_fail(r, PERI_EINVAL, 400, "invalid_json",
                          "the body is not acceptable JSON: %s", fault.text);
        return false;
    }
    uint32_t root = peri_json_root(r->body);
    if (peri_json_kind(r->body, root) != PERI_JSON_OBJECT) {
        peri_request_fail(r, PERI_EINVAL, 400, "invalid_type",
                          "the body must be a JSON object, got %s",
                          peri_json_kind_name(peri_json_kind(r->body, root)));
        return false;
    }
    uint32_t stream = peri_json_get(r->body, root, PERI_STR("stream"));
    enum peri_json_kind kind = peri_json_kind(r->body, stream);
    if (kind != PERI_JSON_BOOL && kind != PERI_JSON_NULL) {
        peri_request_fail(r, PERI_EINVAL, 400, "invalid_type", "'stream' must be a boolean, got %s",
                          peri_json_kind_name(kind));
        return false;
    }
    r->is_stream = peri_json_is_true(r->body, stream) && r->dialect->has_streams;
    r->outcome.is_stream = r->is_stream;
    return true;
}

static void run(struct peri_request *r) {
    r->tried = peri_arena_zalloc(&r->arena, r->fleet->provider_count * sizeof *r->tried);
    if (r->tried == NULL) {
        peri_request_fail(r, PERI_ENOMEM, 503, NULL, "out of memory");
        return;
    }
    if (!r->is_timed) start_timers(r);
    if (r->policy == NULL || r->policy->ops->decide == NULL) {
        peri_route_default(r);
        return;
    }
    r->is_known = true;
    r->policy->ops->decide(r->policy->self, r);
}

void peri_request_discover(struct peri_request *r) {
    struct peri_request_env *env = r->env;
    if (r->fleet == env->fleet) return;
    peri_fleet_unref(r->fleet);
    r->fleet = peri_fleet_ref(env->fleet); /* the configuration stays: its key is in there */
    if (!resolve_model(r)) return;
    r->is_undiscovered = false;
    peri_queue_remove(r);
    peri_request_wait_ends(r);
    run(r);
}

void peri_request_begin(struct peri_request_env *env, struct peri_exchange *x,
                        const struct peri_dialect *dialect, const struct peri_config_key *key) {
    struct peri_request *r = new_request(env, dialect, peri_sink_of_exchange(x));
    if (r == NULL) {
        peri_exchange_abort(x);
        return;
    }
    r->exchange = x;
    r->key = key;
    r->began_ns = peri_exchange_began_ns(x);
    peri_exchange_set_user(x, r);
    if (parse_body(r, peri_exchange_body(x), true) && resolve_model(r)) run(r);
}

void peri_request_begin_direct(struct peri_request **out, struct peri_request_env *env,
                               const struct peri_dialect *dialect, struct peri_str body,
                               struct peri_sink sink, void (*release)(void *self)) {
    *out = NULL;
    struct peri_request *r = new_request(env, dialect, sink);
    if (r == NULL) {
        sink.ops->abort(sink.self);
        release(sink.self);
        return;
    }
    r->release = release;
    r->began_ns = now_ns(r);
    if (parse_body(r, body, false) && resolve_model(r)) run(r);
    if (r->phase != PERI_ENDED) *out = r;
}

/* ---- The end ---- */

/* The one door. What the client got, if anything, was written before. */
static void leave(struct peri_request *r, enum peri_err err) {
    if (r->phase == PERI_ENDED) return;
    r->phase = PERI_ENDED;
    peri_timer_stop(&r->deadline);
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
    peri_policy_unref(r->policy);
    peri_fleet_unref(r->fleet);
    peri_config_unref(r->config);
    if (r->release != NULL) r->release(r->relay.sink.self);
}

/* The client's end is closed last: its buffers hold the body that the log line and the `done` hooks still look at. */
void peri_request_ended(struct peri_request *r, enum peri_err err) {
    if (r->phase == PERI_ENDED) return;
    peri_relay_flush(r);
    leave(r, err);
    r->exchange = NULL;
    peri_relay_close(r);
}

void peri_request_abandon(struct peri_request *r, enum peri_err why) {
    r->outcome.status = 499;
    peri_relay_cut(r, r->exchange != NULL);
    cut_attempts(r, why);
    leave(r, why); /* `done` hooks still look at the exchange's headers */
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
    bool is_other = options != NULL && options->model.n > 0;
    if (is_other && peri_name_fault(options->model) != NULL) return PERI_EINVAL;
    if (p != NULL) c = peri_fleet_candidate(r->fleet, p, is_other ? options->model : r->model);
    if (c.provider == NULL) return PERI_ENOTFOUND;
    return peri_attempt_start(out, r, c, options, tried, arg);
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

struct peri_candidates peri_request_sift(struct peri_request *r) {
    if (r->body == NULL) return r->candidates; /* it was no JSON */
    if (r->has_fit && !peri_json_is_edited(r->body)) return r->fit;
    struct peri_need need;
    r->fit = peri_fit_sift(&need, r->candidates, r->body, r->dialect, &r->arena);
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
