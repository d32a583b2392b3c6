/* Sending, and everything up to the commit point. What is sent is attempt_shape.c, what comes back attempt_answer.c, what a
 * refusal means attempt_judge.c, what follows the commit point attempt_stream.c. */
#include "request/attempt.h"

#include <stdarg.h>
#include <stdio.h>

#include "fleet/health.h"
#include "fleet/network.h"
#include "fleet/slots.h"
#include "net/header.h"

#define HELD_MAX 262144 /* bytes of life-cycle frames before the first token */

/* ---- Results ---- */

static void end_attempt(struct peri_attempt *a, enum peri_err err) {
    a->state = a->state == PERI_ATTEMPT_NEW ? PERI_ATTEMPT_UNSENT : PERI_ATTEMPT_OVER;
    a->err = err;
    peri_list_insert(&a->request->env->over, &a->over_link);
    peri_timer_stop(&a->patience);
    peri_slots_release(&a->candidate);
    a->request->env->ops->slot_freed(a->request->env);
}

/* The client is told of the failure that says most about its request: of one that a moment brought before one of our key,
 * before a model that is not there, before an endpoint. Of equals the newest. */
static int rank_of(const struct peri_attempt *a) {
    switch (a->err) {
    case PERI_ENOTFOUND: return 0;
    case PERI_ENOMODEL: return 1;
    case PERI_EAUTH:
    case PERI_EDENIED: return 2;
    default: return 3;
    }
}

/* What the others were answered is told to nobody any more. */
static void become_last(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    struct peri_attempt *forgotten = r->last;
    if (forgotten == a) return;
    if (forgotten != NULL && rank_of(a) < rank_of(forgotten))
        forgotten = a;
    else
        r->last = a;
    if (forgotten == NULL) return;
    peri_list_remove(&forgotten->over_link);
    peri_list_insert(&r->env->over, &forgotten->over_link);
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
    if (!usage->is_known && a->words.n > 0) peri_log_str(log, "words", a->words); /* a debug line */
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
    peri_attempt_went_wrong(a, err);
    struct peri_call *call = a->call;
    a->call = NULL;
    if (call != NULL) peri_call_cancel(call);
    a->ended_ns = now_ns(a);
    end_attempt(a, err);
    note_failure(a);
    become_last(a);
    if (was_serving) {
        peri_request_complete(r, err);
        return;
    }
    peri_request_wait_ends(r);
    a->tried(a->arg, a, err);
}

bool peri_attempt_fail_unsaid(struct peri_attempt *a) {
    if (a->expects_content && peri_stream_is_empty(&a->stream)) {
        /* It may be drawn again: a request that asks differently may well get an answer there. */
        bool *tried = a->request->tried;
        if (tried != NULL) tried[a->candidate.provider->index] = false;
        peri_attempt_fail(a, PERI_EEMPTY, "spent %llu tokens and said nothing",
                          (unsigned long long)a->stream.usage.completion_tokens);
        return true;
    }
    if (a->candidate.provider->passes_empty || !peri_stream_is_void(&a->stream)) return false;
    peri_attempt_fail(a, PERI_EEMPTY, "answered without any content");
    return true;
}

void peri_attempt_ready(struct peri_attempt *a) {
    const struct peri_provider *p = a->candidate.provider;
    struct peri_vitals *v = p->vitals;
    a->state = PERI_ATTEMPT_READY;
    a->first_token_ns = now_ns(a);
    peri_timer_stop(&a->patience);
    peri_attempt_went_well(a);
    if (p->is_adaptive) peri_slots_went_well(p);
    peri_vitals_saw_first_token(v, (a->first_token_ns - a->started_ns) / 1000);
    peri_request_wait_ends(a->request);
    a->tried(a->arg, a, PERI_OK);
}

void peri_attempt_cancel(struct peri_attempt *a, enum peri_err why) {
    if (peri_attempt_is_over(a)) return;
    struct peri_call *call = a->call;
    a->call = NULL;
    if (call != NULL) peri_call_cancel(call);
    if (why != PERI_OK)
        peri_attempt_went_wrong(a, why);
    else
        peri_attempt_left_open(a);
    if (a->request->phase != PERI_ENDED) a->ended_ns = now_ns(a);
    end_attempt(a, why);
}

bool peri_attempt_cut(struct peri_attempt *a, enum peri_err why) {
    if (peri_attempt_is_over(a)) return false;
    peri_attempt_cancel(a, PERI_ECANCELED);
    a->err = why;
    snprintf(a->detail, sizeof a->detail, "was %s when the request ended",
             a == a->request->serving ? "answering" : "being asked");
    if (a != a->request->serving) become_last(a);
    return true;
}

void peri_attempt_report(const struct peri_attempt *a, struct peri_attempt_record *out) {
    const struct peri_request *r = a->request;
    const struct peri_network *n = a->candidate.provider->found_by;
    const struct peri_usage *usage = &a->stream.usage;
    uint64_t end_ns = a->ended_ns != 0 ? a->ended_ns : r->began_ns + r->outcome.total_us * 1000;
    *out = (struct peri_attempt_record){
        .size = sizeof *out,
        .provider = a->candidate.provider->id,
        .model = peri_attempt_model(a),
        .account = n != NULL ? n->ops->account(n, a->wallet) : PERI_STR(""),
        .key = a->candidate.provider->key_count > 0 ? (unsigned)a->circuit.key + 1 : 0,
        .status = a->status,
        .err = a->err,
        .is_served = a == r->serving,
        .has_usage = usage->is_known,
        .input_tokens = usage->prompt_tokens,
        .output_tokens = usage->completion_tokens,
        .cached_tokens = usage->cached_tokens,
        .reasoning_tokens = usage->reasoning_tokens,
        .started_us = (a->started_ns - r->began_ns) / 1000,
        .total_us = end_ns > a->started_ns ? (end_ns - a->started_ns) / 1000 : 0,
        .body_bytes = a->body_bytes,
    };
    if (a->first_token_ns != 0) out->first_token_us = (a->first_token_ns - a->started_ns) / 1000;
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

static void on_first_token_late(void *arg) {
    struct peri_attempt *a = arg;
    peri_attempt_fail(a, PERI_ETIMEOUT, "no content within %llu ms",
                      (unsigned long long)a->options.first_token_ms);
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
    enum peri_err err = peri_attempt_text(a, &body);
    if (err != PERI_OK) return err;
    /* Few and short: half of libcurl's own time is formatting what is sent. */
    size_t most = p->header_count + a->header_count + 2 + PERI_NETWORK_HEADERS_MAX, n = 0;
    struct peri_header *headers = peri_arena_alloc(&r->arena, most * sizeof *headers);
    if (headers == NULL) return PERI_ENOMEM;
    headers[n++] = (struct peri_header){ PERI_STR("content-type"), PERI_STR("application/json") };
    for (size_t i = 0; i < p->header_count; i++) {
        if (is_replaced(a, p->headers[i].name)) continue;
        headers[n] = p->headers[i];
        if (p->has_credential && i + 1 == p->header_count)
            headers[n].value = peri_attempt_secret(a);
        n++;
    }
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
        .url = p->urls[a->dialect->id],
        .method = PERI_STR("POST"),
        .body = body,
        .headers = headers,
        .header_count = n,
        .connect_ms = p->timeouts.connect_ms,
        .first_byte_ms = r->is_stream ? p->timeouts.first_byte_ms : 0,
        .idle_ms = r->is_stream ? p->timeouts.idle_ms : 0, /* of a whole answer: wait_for_more */
        .total_ms = a->options.total_ms > 0 ? a->options.total_ms : p->timeouts.total_ms,
        .use_http2 = p->use_http2,
        .is_insecure = p->is_insecure,
        .is_restricted = p->is_public_only,
        .ca_file = p->ca_file,
    };
    return peri_call_start(&a->call, r->env->client, &spec, &peri_attempt_call_ops, a);
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
    a->dialect = r->dialect;
    a->tried = tried;
    a->arg = arg;
    if (options != NULL) a->options = *options;
    a->model = a->options.model.n > 0 ? a->options.model : r->model;
    /* The first token of a whole answer comes with the last one: it has the total alone, unless a policy says more. */
    if (a->options.first_token_ms == 0 && r->is_stream)
        a->options.first_token_ms = p->timeouts.first_token_ms;
    peri_list_init(&a->over_link);
    peri_buf_init(&a->body_text, r->body_bytes + r->config->request_memory);
    peri_buf_init(&a->in, r->config->answer_bytes);
    peri_buf_init(&a->held, r->config->answer_bytes);
    peri_buf_init(&a->scratch, r->config->answer_bytes);
    peri_sse_init(&a->sse, r->config->answer_bytes, &a->scratch);
    peri_timer_init(&a->patience, r->env->loop, on_first_token_late, a);

    if (!peri_circuit_enter(&a->circuit, p, peri_attempt_model(a), a->dialect->id, now_ms,
                            candidate.is_last))
        return PERI_ENOPROVIDER;
    if (!peri_slots_take(&candidate)) {
        peri_attempt_left_open(a);
        return PERI_EFULL;
    }
    a->started_ns = now_ns(a);
    peri_list_insert(&r->attempts, &a->link);
    enum peri_err err = peri_attempt_shape(a);
    if (peri_attempt_is_over(a)) return PERI_EINVAL; /* a hook has ended the request */
    if (err == PERI_OK) err = send_call(a);
    /* EFULL and ENOPROVIDER tell the caller to try another provider, so a full connection pool is EBUSY. */
    if (err == PERI_EFULL || err == PERI_ENOPROVIDER) err = PERI_EBUSY;
    if (err != PERI_OK) {
        peri_attempt_left_open(a);
        end_attempt(a, err);
        if (err == PERI_EREJECTED) become_last(a);
        return err;
    }
    if (r->tried != NULL) r->tried[p->index] = true;
    r->attempt_count++;
    a->state = PERI_ATTEMPT_ASKING;
    peri_request_wait_begins(r);
    if (a->options.first_token_ms > 0) peri_timer_start(&a->patience, a->options.first_token_ms);
    *out = a;
    return PERI_OK;
}
