#include "request/admission.h"

#include "base/json_edit.h"
#include "base/name.h"
#include "request/queue.h"

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

static bool parse_body(struct peri_request *r, struct peri_str text, bool is_padded) {
    struct peri_fault fault;
    struct peri_json_options options = { .routed = r->dialect->routed,
                                         .routed_count = r->dialect->routed_count,
                                         .is_padded = is_padded };
    text = peri_str_after_mark(text);
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

static void run_policy(struct peri_request *r) {
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
    run_policy(r);
}

void peri_request_begin(struct peri_request_env *env, struct peri_exchange *x,
                        const struct peri_dialect *dialect, const struct peri_config_key *key) {
    struct peri_request *r = peri_request_open(env, dialect, peri_sink_of_exchange(x));
    if (r == NULL) {
        peri_exchange_abort(x);
        return;
    }
    r->exchange = x;
    r->key = key;
    r->began_ns = peri_exchange_began_ns(x);
    peri_exchange_set_user(x, r);
    struct peri_str body = peri_exchange_body(x);
    if (!peri_request_unpack(r, &body)) return;
    if (parse_body(r, body, r->unpacked.p == NULL) && resolve_model(r)) run_policy(r);
}

void peri_request_begin_direct(struct peri_request **out, struct peri_request_env *env,
                               const struct peri_dialect *dialect, struct peri_str body,
                               struct peri_sink sink, void (*release)(void *self)) {
    *out = NULL;
    struct peri_request *r = peri_request_open(env, dialect, sink);
    if (r == NULL) {
        sink.ops->abort(sink.self);
        release(sink.self);
        return;
    }
    r->release = release;
    r->began_ns = peri_loop_clock_ns(r->env->loop);
    if (parse_body(r, body, false) && resolve_model(r)) run_policy(r);
    if (r->phase != PERI_ENDED) *out = r;
}
