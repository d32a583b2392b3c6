/* Sending, and everything up to the commit point. What follows it is relay.c. */
#include "request/attempt.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json_edit.h"
#include "dialect/upstream_error.h"
#include "fleet/health.h"
#include "fleet/network.h"
#include "fleet/slots.h"
#include "net/header.h"
#include "net/retry_after.h"

#define HELD_MAX         262144 /* bytes of life-cycle frames before the first token */
#define HINT_MAX_MS      60000 /* longest a provider may send us away; official clients obey as much */
#define MODEL_MISSES_MAX 10    /* in a row: a host that has nothing it lists is set aside */
#define ERROR_BODY_MAX   65536 /* bytes of a provider's error answer that are read */

/* ---- Body and headers ---- */

struct peri_json *peri_attempt_body(struct peri_attempt *a) {
    if (a->own_body != NULL) return a->own_body;
    if (peri_json_fork(&a->own_body, a->request->body) != PERI_OK) return NULL;
    a->unshaped = peri_json_mark(a->own_body);
    return a->own_body;
}

enum peri_err peri_header_put(struct peri_arena *arena, struct peri_header **headers, size_t *count,
                              struct peri_str name, struct peri_str value) {
    if (peri_header_fault((struct peri_header){ name, value }) != NULL) return PERI_EINVAL;
    struct peri_header h = { peri_arena_dup(arena, name), peri_arena_dup(arena, value) };
    if (h.name.p == NULL || h.value.p == NULL) return PERI_ENOMEM;
    size_t at = 0;
    while (at < *count && !peri_str_eq_nocase((*headers)[at].name, name)) at++;
    /* A list of its own each time: a savepoint keeps the one that was. */
    size_t n = at < *count ? *count : *count + 1;
    struct peri_header *list = peri_arena_alloc(arena, n * sizeof *list);
    if (list == NULL) return PERI_ENOMEM;
    if (*count > 0) memcpy(list, *headers, *count * sizeof *list);
    list[at] = h;
    *headers = list;
    *count = n;
    return PERI_OK;
}

const char *peri_attempt_header_fault(const struct peri_attempt *a, struct peri_header header) {
    static const struct peri_str ours[] = { PERI_STR_INIT("content-type"),
                                            PERI_STR_INIT("accept-encoding"),
                                            PERI_STR_INIT("content-encoding") };
    const char *fault = peri_header_fault(header);
    if (fault != NULL) return fault;
    struct peri_str prefix = { header.name.p, header.name.n < 6 ? header.name.n : 6 };
    if (peri_header_is_framing(header.name) || peri_str_eq_nocase(prefix, PERI_STR("proxy-")))
        return PERI_HEADER_IS_OURS;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (peri_str_eq_nocase(header.name, ours[i])) return PERI_HEADER_IS_OURS;
    const struct peri_network *n = a->candidate.provider->found_by;
    bool is_signature = n != NULL && n->ops->is_signature_header(header.name);
    return is_signature ? "it belongs to the signature for this network" : NULL;
}

enum peri_err peri_attempt_set_header(struct peri_attempt *a, struct peri_str name,
                                      struct peri_str value) {
    if (peri_attempt_header_fault(a, (struct peri_header){ name, value }) != NULL)
        return PERI_EINVAL;
    if (!peri_request_has_room(a->request, name.n + value.n)) return PERI_ETOOBIG;
    return peri_header_put(&a->request->arena, &a->headers, &a->header_count, name, value);
}

enum peri_err peri_attempt_set_answer_header(struct peri_attempt *a, struct peri_str name,
                                             struct peri_str value) {
    if (peri_answer_header_fault((struct peri_header){ name, value }) != NULL) return PERI_EINVAL;
    if (a->answer_header_count >= PERI_ANSWER_HEADERS_MAX) return PERI_ETOOBIG;
    if (!peri_request_has_room(a->request, name.n + value.n)) return PERI_ETOOBIG;
    return peri_header_put(&a->request->arena, &a->answer_headers, &a->answer_header_count, name,
                           value);
}

enum peri_err peri_attempt_refuse(struct peri_attempt *a, int status, struct peri_str message,
                                  struct peri_str param, struct peri_str code) {
    if (!peri_request_has_room(a->request, message.n + param.n + code.n)) return PERI_ETOOBIG;
    struct peri_arena *arena = &a->request->arena;
    struct peri_hook_refusal *refusal = peri_arena_alloc(arena, sizeof *refusal);
    if (refusal == NULL) return PERI_ENOMEM;
    refusal->status = status;
    refusal->json = peri_request_error_json(a->request, status, message, param, code);
    refusal->message =
        peri_arena_dup(arena, (struct peri_str){ message.p, message.n < 150 ? message.n : 150 });
    if (refusal->json.p == NULL || refusal->message.p == NULL) return PERI_ENOMEM;
    a->refusal = refusal;
    return PERI_OK;
}

/* As if the provider had said it. */
static enum peri_err take_refusal(struct peri_attempt *a) {
    if (peri_buf_add(&a->in, a->refusal->json) != PERI_OK) return PERI_ENOMEM;
    a->status = a->refusal->status;
    a->is_json = a->is_refused = true;
    snprintf(a->detail, sizeof a->detail, "was not asked: %.*s",
             PERI_STR_ARGS(a->refusal->message));
    return PERI_EREJECTED;
}

struct peri_attempt_mark peri_attempt_mark(const struct peri_attempt *a) {
    struct peri_attempt_mark mark = { .has_body = a->own_body != NULL,
                                      .expects_content = a->expects_content,
                                      .headers = a->headers,
                                      .answer_headers = a->answer_headers,
                                      .header_count = a->header_count,
                                      .answer_header_count = a->answer_header_count,
                                      .refusal = a->refusal };
    if (mark.has_body) mark.body = peri_json_mark(a->own_body);
    return mark;
}

void peri_attempt_rollback(struct peri_attempt *a, const struct peri_attempt_mark *mark) {
    /* A body that was made since stays, as nobody has changed it: a script may hold it. */
    if (a->own_body != NULL)
        peri_json_rollback(a->own_body, mark->has_body ? mark->body : a->unshaped);
    a->expects_content = mark->expects_content;
    a->headers = mark->headers;
    a->header_count = mark->header_count;
    a->answer_headers = mark->answer_headers;
    a->answer_header_count = mark->answer_header_count;
    a->refusal = mark->refusal;
}

void peri_attempt_expect_content(struct peri_attempt *a) { a->expects_content = true; }

enum peri_err peri_attempt_previous(const struct peri_attempt *a) {
    return a->request->last == NULL ? PERI_OK : a->request->last->err;
}

/* The provider's own name for the model goes into its version of the body. */
static enum peri_err rename_model(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    struct peri_str want =
        a->candidate.upstream.n > 0 ? a->candidate.upstream : peri_attempt_model(a);
    uint32_t root = peri_json_root(r->body);
    if (peri_json_string_is(r->body, peri_json_get(r->body, root, PERI_STR("model")), want))
        return PERI_OK;
    struct peri_json *doc = peri_attempt_body(a);
    if (doc == NULL) return PERI_ENOMEM;
    return peri_json_set_string(doc, root, PERI_STR("model"), want);
}

static enum peri_err body_of(struct peri_attempt *a, struct peri_str *out) {
    *out = peri_json_text(a->own_body != NULL ? a->own_body : a->request->body, &a->body_text);
    return out->p != NULL ? PERI_OK : a->body_text.err;
}

/* ---- Results ---- */

static void release_slot(struct peri_attempt *a) {
    if (!a->has_slot) return;
    a->has_slot = false;
    peri_slots_release(&a->candidate);
    a->request->env->ops->slot_freed(a->request->env);
}

static void over(struct peri_attempt *a, enum peri_err err) {
    a->state = PERI_OVER;
    a->err = err;
    peri_list_insert(&a->request->env->over, &a->over_link);
    peri_timer_stop(&a->patience);
    release_slot(a);
}

/* What the one before it was answered is told to nobody any more. */
static void become_last(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    if (r->last != NULL && r->last != a) {
        peri_list_remove(&r->last->over_link);
        peri_list_insert(&r->env->over, &r->last->over_link);
    }
    r->last = a;
}

static uint64_t now_ns(const struct peri_attempt *a) {
    return peri_loop_clock_ns(a->request->env->loop);
}

/* What was spent on nothing, an operator wants to see; other failures are told by the request's own line. */
static void note_failure(const struct peri_attempt *a) {
    struct peri_log *log = &a->request->env->logs.of[PERI_COMPONENT_ATTEMPT];
    const struct peri_usage *usage = &a->stream.usage;
    if (!peri_log_begin(log, usage->is_known ? PERI_LOG_INFO : PERI_LOG_DEBUG, "attempt failed"))
        return;
    peri_log_str(log, "request_id", peri_request_id(a->request));
    peri_log_str(log, "provider", a->candidate.provider->id);
    peri_log_str(log, "error", peri_str_of(peri_err_name(a->err)));
    peri_log_str(log, "detail", peri_str_of(a->detail));
    if (usage->is_known) {
        peri_log_int(log, "in_tokens", (int64_t)usage->prompt_tokens);
        peri_log_int(log, "out_tokens", (int64_t)usage->completion_tokens);
    }
    peri_log_end(log);
}

void peri_attempt_fail(struct peri_attempt *a, enum peri_err err, const char *format, ...) {
    struct peri_request *r = a->request;
    bool was_serving = a->state == PERI_ATTEMPT_SERVING;
    va_list args;
    va_start(args, format);
    vsnprintf(a->detail, sizeof a->detail, format, args);
    va_end(args);
    const struct peri_provider *p = a->candidate.provider;
    if (p->is_adaptive && !a->is_excused && peri_health_is_overload(err, a->status))
        peri_slots_overloaded(p, peri_loop_now_ms(r->env->loop));
    /* While a network computes proofs its hosts fail more than they are to blame for. */
    if (a->is_excused || (a->candidate.is_reduced && err != PERI_EAUTH)) {
        atomic_fetch_add(&p->vitals->failed, 1);
        atomic_fetch_add(&p->vitals->failures, 1);
        if (a->is_probe) peri_vitals_unknown(p->vitals);
    } else {
        peri_health_failed(p, r->config, err, peri_loop_now_ms(r->env->loop), a->hint_ms,
                           a->is_probe);
    }
    struct peri_call *call = a->call;
    a->call = NULL;
    if (call != NULL) peri_call_cancel(call);
    over(a, err);
    note_failure(a);
    become_last(a);
    if (was_serving) {
        peri_request_complete(r, err);
        return;
    }
    peri_request_wait_ends(r);
    a->tried(a->arg, a, err);
}

void peri_attempt_fail_empty(struct peri_attempt *a) {
    /* It may be drawn again: a request that asks differently may well get an answer there. */
    bool *tried = a->request->tried;
    if (tried != NULL) tried[a->candidate.provider->index] = false;
    peri_attempt_fail(a, PERI_EEMPTY, "spent %llu tokens and said nothing",
                      (unsigned long long)a->stream.usage.completion_tokens);
}

void peri_attempt_ready(struct peri_attempt *a) {
    const struct peri_provider *p = a->candidate.provider;
    struct peri_vitals *v = p->vitals;
    a->state = PERI_READY;
    a->first_token_ns = now_ns(a);
    peri_timer_stop(&a->patience);
    peri_vitals_well(v);
    if (p->is_adaptive) peri_slots_went_well(p);
    a->is_probe = false;
    peri_vitals_saw_first_token(v, (a->first_token_ns - a->started_ns) / 1000);
    peri_request_wait_ends(a->request);
    a->tried(a->arg, a, PERI_OK);
}

void peri_attempt_cancel(struct peri_attempt *a, enum peri_err why) {
    if (a->state == PERI_OVER) return;
    struct peri_call *call = a->call;
    a->call = NULL;
    if (call != NULL) peri_call_cancel(call);
    if (why != PERI_OK)
        peri_health_failed(a->candidate.provider, a->request->config, why, 0, 0, a->is_probe);
    else if (a->is_probe)
        peri_vitals_unknown(a->candidate.provider->vitals);
    over(a, why);
}

void peri_attempt_trim(struct peri_attempt *a) {
    const struct peri_request *r = a->request;
    peri_list_remove(&a->over_link);
    peri_json_free(a->own_body);
    a->own_body = NULL;
    peri_buf_done(&a->body_text);
    peri_buf_done(&a->held);
    peri_buf_done(&a->scratch);
    if (a != r->last && a != r->serving) peri_buf_done(&a->in);
}

void peri_attempt_done(struct peri_attempt *a) {
    peri_attempt_trim(a);
    peri_buf_done(&a->in);
}

/* ---- The call ---- */

static void read_head(struct peri_attempt *a, const struct peri_header *headers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (peri_str_eq_nocase(headers[i].name, PERI_STR("content-type"))) {
            struct peri_str type = peri_str_trim(headers[i].value), kind;
            if (!peri_str_cut(&kind, &type, ';')) kind = type;
            kind = peri_str_trim(kind);
            a->is_sse = peri_str_eq_nocase(kind, PERI_STR("text/event-stream"));
            a->is_json = peri_str_eq_nocase(kind, PERI_STR("application/json"));
        }
    }
    if (a->status < 400) return;
    uint64_t hint =
        peri_retry_after(headers, count, peri_clock_wall_ns(a->request->env->clock), HINT_MAX_MS);
    if (hint != PERI_RETRY_UNKNOWN) a->hint_ms = hint > 0 ? hint : 1;
}

static void on_head(void *arg, struct peri_call *call, int status,
                    const struct peri_header *headers, size_t count) {
    struct peri_attempt *a = arg;
    (void)call;
    a->status = status;
    read_head(a, headers, count);
    if (peri_health_of_status(status) != PERI_OK) {
        a->in.max = ERROR_BODY_MAX; /* the body says more: on_body and on_done go on */
        return;
    }
    struct peri_request *r = a->request;
    /* Some providers answer a request for a stream with the whole: that is told as a stream. */
    bool may_unfold = r->is_stream && a->is_json && r->endpoint == PERI_CHAT;
    if (r->is_stream ? !a->is_sse && !may_unfold : !a->is_json)
        peri_attempt_fail(a, PERI_EPROTO, "answered %d with a body that is not %s", status,
                          r->is_stream ? "an event stream" : "JSON");
}

static bool is_refusal(const struct peri_attempt *a) {
    return peri_health_of_status(a->status) != PERI_OK;
}

/* What we know of a network is not what its hosts go by: it is looked at anew, once for a storm of such answers. */
static void look_again(struct peri_attempt *a) {
    struct peri_request_env *env = a->request->env;
    struct peri_network *n = a->candidate.provider->found_by;
    if (n == NULL || !n->ops->may_refresh(n, peri_loop_now_ms(env->loop))) return;
    enum peri_err err = env->ops->refresh_networks(env);
    (void)err; /* out of memory, or stopping: the interval brings the next look */
}

/* The host is listed with a model it does not have: for good, or while its machines are elsewhere (503). */
static void drop_model(struct peri_attempt *a) {
    const struct peri_request *r = a->request;
    uint64_t ms = a->status >= 500 ? r->config->failure_cooldown_ms : r->config->quarantine_ms;
    peri_vitals_lack(a->candidate.provider->vitals, peri_attempt_model(a),
                     peri_loop_now_ms(r->env->loop), ms);
    look_again(a);
}

/* What a refusal means is in its words more than in its status: a 400 may be our clock, a 500 an empty wallet. The
 * provider's judge reads them. gives the kind of failure; the sentence with the remedy goes to the log, and to the
 * client when nobody else answers. */
static enum peri_err judge_refusal(struct peri_attempt *a) {
    struct peri_request_env *env = a->request->env;
    const struct peri_provider *p = a->candidate.provider;
    enum peri_err err = peri_health_of_status(a->status);
    if (p->judge == NULL) return err;
    struct peri_judgement j =
        p->judge(p, a->wallet, a->status, peri_buf_str(&a->in), peri_loop_now_ms(env->loop));
    switch (j.refusal) {
    case PERI_REFUSAL_OF_STATUS: break;
    case PERI_REFUSAL_OF_REQUEST: return PERI_EREJECTED;
    case PERI_REFUSAL_OF_MOMENT:
        a->is_excused = true;
        err = PERI_EUPSTREAM;
        break;
    case PERI_REFUSAL_OF_LOAD: err = err == PERI_ERATELIMIT ? err : PERI_EUPSTREAM; break;
    case PERI_REFUSAL_OF_HOST: err = PERI_EUPSTREAM; break;
    case PERI_REFUSAL_OF_MODEL:
        /* Its other models are as good as before, and the next list says which those are. */
        a->is_excused = atomic_load(&p->vitals->failures) < MODEL_MISSES_MAX;
        drop_model(a);
        err = PERI_EAUTH;
        break;
    case PERI_REFUSAL_OF_WALLET:
        a->is_excused = true;
        err = PERI_EAUTH;
        break;
    case PERI_REFUSAL_OF_PROVIDER: err = PERI_EAUTH; break;
    }
    if (j.is_outdated) look_again(a);
    if (j.event == NULL) return err;
    a->remedy = j.sentence;
    struct peri_log *log = &env->logs.of[PERI_COMPONENT_GONKA];
    if (peri_log_begin(log, PERI_LOG_WARN, j.event)) {
        peri_log_str(log, "provider", p->id);
        peri_log_int(log, "status", a->status);
        peri_log_str(log, "code", peri_str_of(j.code));
        peri_log_str(log, "action", peri_str_of(j.action));
        peri_log_str(log, "remedy", peri_str_of(j.sentence));
        peri_log_end(log);
    }
    return err;
}

static bool reads_more(const struct peri_candidate *c, const struct peri_attempt *a) {
    uint64_t known = a->candidate.model == NULL ? 0 : a->candidate.model->context_tokens;
    return c->model != NULL && c->model->context_tokens > known &&
           c->provider != a->candidate.provider && !a->request->tried[c->provider->index];
}

/* Too long for this provider by its own count: only those that are known to read more are worth asking, and nobody is
 * asked where that is not known. The rest is as good as tried.
 *   gives   false: there are none */
static bool is_for_larger(struct peri_attempt *a) {
    if (a->options.model.n > 0) return false; /* the policy, not the request, chose that model */
    struct peri_candidates all = peri_request_fit(a->request);
    bool is_found = false;
    for (size_t i = 0; i < all.count && !is_found; i++) is_found = reads_more(&all.at[i], a);
    for (size_t i = 0; i < all.count && is_found; i++)
        if (!reads_more(&all.at[i], a)) a->request->tried[all.at[i].provider->index] = true;
    return is_found;
}

static void end_refusal(struct peri_attempt *a) {
    const struct peri_provider *p = a->candidate.provider;
    enum peri_err err = judge_refusal(a);
    struct peri_upstream_error told;
    struct peri_str secret = { NULL, 0 };
    if (p->has_credential) secret = p->headers[p->header_count - 1].value;
    peri_upstream_error_read(&told, peri_buf_str(&a->in), secret);
    if (err == PERI_EREJECTED && strcmp(told.code, "context_length_exceeded") == 0 &&
        is_for_larger(a))
        err = PERI_EUNFIT;
    peri_attempt_fail(a, err, "answered %d: %.150s", a->status, told.message);
}

void peri_attempt_fail_inside(struct peri_attempt *a, struct peri_str error) {
    struct peri_upstream_error e;
    struct peri_buf body; /* `error` may stand in a->in */
    peri_upstream_error_read(&e, error, a->candidate.provider->credential);
    peri_buf_init(&body, a->request->config->answer_bytes);
    int status = peri_upstream_error_status(&e);
    if (status == 0 || peri_buf_add(&body, error) != PERI_OK) {
        peri_attempt_fail(a, PERI_EUPSTREAM, "sent an error instead of content: %.120s", e.message);
        return;
    }
    peri_buf_done(&a->in);
    a->in = body;
    a->status = status;
    end_refusal(a);
}

static bool on_body(void *arg, struct peri_call *call, struct peri_str bytes) {
    struct peri_attempt *a = arg;
    (void)call;
    if (is_refusal(a)) {
        if (bytes.n > a->in.max - a->in.n) bytes.n = a->in.max - a->in.n, a->is_cut = true;
        peri_buf_add(&a->in, bytes);
        if (a->is_cut) end_refusal(a);
        return true;
    }
    if (a->is_sse) return peri_relay_feed(a, bytes);
    enum peri_err err = peri_buf_add(&a->in, bytes);
    if (err == PERI_OK) return true;
    peri_attempt_fail(a, err, "answered with more than %zu bytes", a->in.max);
    return true;
}

static void end_whole_answer(struct peri_attempt *a) {
    enum peri_err err = peri_answer_read(&a->stream, peri_buf_str(&a->in));
    if (err == PERI_OK && a->expects_content && peri_stream_is_empty(&a->stream)) {
        peri_attempt_fail_empty(a);
        return;
    }
    if (err == PERI_OK && a->request->is_stream) {
        err = peri_relay_hold_whole(a, peri_buf_str(&a->in));
        if (a->state == PERI_OVER) return; /* a policy ended the request */
        a->stream.saw_done = true;
        peri_buf_clear(&a->in);
        a->is_sse = a->is_cut = true; /* as a stream that has ended, before it was decided */
        a->err = PERI_OK;
    }
    if (err == PERI_OK)
        peri_attempt_ready(a);
    else if (err == PERI_EUPSTREAM)
        peri_attempt_fail_inside(a, peri_buf_str(&a->in));
    else
        peri_attempt_fail(a, err, "answered %d with a body that is no valid answer", a->status);
}

static void on_done(void *arg, struct peri_call *call, const struct peri_call_report *report) {
    struct peri_attempt *a = arg;
    (void)call;
    a->call = NULL;
    if (report->status != 0 && is_refusal(a))
        end_refusal(a);
    else if (a->is_sse)
        peri_relay_ended(a, report->err);
    else if (report->err != PERI_OK)
        peri_attempt_fail(a, report->err, "%s", report->detail);
    else
        end_whole_answer(a);
}

static const struct peri_call_ops call_ops = { on_head, on_body, on_done };

static void on_first_token_late(void *arg) {
    struct peri_attempt *a = arg;
    peri_attempt_fail(a, PERI_ETIMEOUT, "no content within %llu ms",
                      (unsigned long long)a->options.first_token_ms);
}

/* What the policies make of the body for this provider. */
static enum peri_err shape(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    enum peri_err err = rename_model(a);
    if (err != PERI_OK || r->policy == NULL || r->policy->ops->attempt == NULL) return err;
    err = r->policy->ops->attempt(r->policy->self, r, a);
    return err == PERI_OK && a->refusal != NULL ? take_refusal(a) : err;
}

/* A policy's header stands in place of the provider's own of that name, its key included. */
static bool is_replaced(const struct peri_attempt *a, struct peri_str name) {
    for (size_t i = 0; i < a->header_count; i++)
        if (peri_str_eq_nocase(a->headers[i].name, name)) return true;
    return false;
}

static enum peri_err send_call(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    const struct peri_provider *p = a->candidate.provider;
    struct peri_str body;
    enum peri_err err = body_of(a, &body);
    if (err != PERI_OK) return err;
    /* Few and short: half of libcurl's own time is formatting what is sent. */
    size_t most = p->header_count + a->header_count + 2 + PERI_NETWORK_HEADERS_MAX, n = 0;
    struct peri_header *headers = peri_arena_alloc(&r->arena, most * sizeof *headers);
    if (headers == NULL) return PERI_ENOMEM;
    headers[n++] = (struct peri_header){ PERI_STR("content-type"), PERI_STR("application/json") };
    for (size_t i = 0; i < p->header_count; i++)
        if (!is_replaced(a, p->headers[i].name)) headers[n++] = p->headers[i];
    for (size_t i = 0; i < a->header_count; i++) headers[n++] = a->headers[i];
    if (p->found_by != NULL) { /* last, over the very bytes that are sent */
        struct peri_network_signed *signature = peri_arena_alloc(&r->arena, sizeof *signature);
        if (signature == NULL) return PERI_ENOMEM;
        err = p->found_by->ops->sign(signature, p->found_by, &r->env->signers, body, p->address,
                                     peri_loop_now_ms(r->env->loop));
        if (err != PERI_OK) return err;
        a->wallet = signature->wallet;
        for (size_t i = 0; i < signature->header_count; i++) headers[n++] = signature->headers[i];
    }
    struct peri_call_spec spec = {
        .url = p->urls[r->endpoint],
        .method = PERI_STR("POST"),
        .body = body,
        .headers = headers,
        .header_count = n,
        .connect_ms = p->timeouts.connect_ms,
        .first_byte_ms = p->timeouts.first_byte_ms,
        .idle_ms = p->timeouts.idle_ms,
        .total_ms = a->options.total_ms,
        .use_http2 = p->use_http2,
        .is_insecure = p->is_insecure,
        .is_restricted = p->is_public_only,
        .ca_file = p->ca_file,
    };
    return peri_call_start(&a->call, r->env->client, &spec, &call_ops, a);
}

enum peri_err peri_attempt_start(struct peri_attempt **out, struct peri_request *r,
                                 struct peri_candidate candidate,
                                 const struct peri_try_options *options, peri_tried tried,
                                 void *arg) {
    const struct peri_provider *p = candidate.provider;
    uint64_t now_ms = peri_loop_now_ms(r->env->loop);
    if (r->phase != PERI_DECIDING) return PERI_EINVAL;
    if (!peri_request_has_room(r, sizeof(struct peri_attempt))) return PERI_ETOOBIG;
    struct peri_attempt *a = peri_arena_zalloc(&r->arena, sizeof *a);
    if (a == NULL) return PERI_ENOMEM;
    a->request = r;
    a->candidate = candidate;
    a->tried = tried;
    a->arg = arg;
    if (options != NULL) a->options = *options;
    if (a->options.first_token_ms == 0) a->options.first_token_ms = p->timeouts.first_token_ms;
    peri_list_init(&a->over_link);
    peri_buf_init(&a->body_text, r->body_bytes + r->config->request_memory);
    peri_buf_init(&a->in, r->config->answer_bytes);
    peri_buf_init(&a->held, HELD_MAX);
    peri_buf_init(&a->scratch, PERI_SSE_MAX);
    peri_sse_init(&a->sse, 0, &a->scratch);
    peri_timer_init(&a->patience, r->env->loop, on_first_token_late, a);

    if (peri_vitals_lacks_ms(p->vitals, peri_attempt_model(a), now_ms) > 0) return PERI_ENOPROVIDER;
    if (!peri_vitals_enter(p->vitals, now_ms, &a->is_probe)) return PERI_ENOPROVIDER;
    if (!peri_slots_take(&candidate)) {
        if (a->is_probe) peri_vitals_unknown(p->vitals);
        return PERI_EFULL;
    }
    a->has_slot = true;
    a->started_ns = now_ns(a);
    peri_list_insert(&r->attempts, &a->link);
    enum peri_err err = shape(a);
    if (a->state == PERI_OVER) return PERI_EINVAL; /* a hook has ended the request */
    if (err == PERI_OK) err = send_call(a);
    /* Whoever asks again because a slot is missing must not take our own connections for one. */
    if (err == PERI_EFULL || err == PERI_ENOPROVIDER) err = PERI_EBUSY;
    if (err != PERI_OK) {
        if (a->is_probe) peri_vitals_unknown(p->vitals);
        over(a, err);
        if (a->is_refused) become_last(a);
        return err;
    }
    if (r->tried != NULL) r->tried[p->index] = true;
    r->attempt_count++;
    peri_request_wait_begins(r);
    if (a->options.first_token_ms > 0) peri_timer_start(&a->patience, a->options.first_token_ms);
    *out = a;
    return PERI_OK;
}
