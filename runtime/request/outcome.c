#include "request/outcome.h"

#include "base/err.h"
#include "base/json_text.h"
#include "request/attempt.h"

#define TRIED_LOGGED_MAX 32
#define TRIED_BYTES_MAX  16384 /* a line is 64 KiB at most (base/log.h) */

static void count_discarded(struct peri_request *r, const struct peri_attempt *told) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->attempts) {
        const struct peri_attempt *a = peri_list_entry(at, struct peri_attempt, link);
        if (a == told) continue;
        r->outcome.discarded_input_tokens += a->stream.usage.prompt_tokens;
        r->outcome.discarded_output_tokens += a->stream.usage.completion_tokens;
    }
}

static void list_tried(struct peri_request *r) {
    struct peri_outcome *o = &r->outcome;
    struct peri_attempt_record *records =
        peri_arena_alloc(&r->arena, r->attempt_count * sizeof *records);
    const struct peri_attempt_record **list =
        peri_arena_alloc(&r->arena, r->attempt_count * sizeof *list);
    if (records == NULL || list == NULL) return;
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->attempts) {
        const struct peri_attempt *a = peri_list_entry(at, struct peri_attempt, link);
        if (a->state == PERI_ATTEMPT_UNSENT) continue;
        peri_attempt_report(a, &records[o->tried_count]);
        list[o->tried_count] = &records[o->tried_count];
        o->tried_count++;
    }
    o->tried = list;
}

/* Where one provider was asked, and its answer served to the end, the log line says all there is to say. */
static bool is_told(const struct peri_request *r, enum peri_err err) {
    if (r->attempt_count == 0) return false;
    bool is_plain = r->attempt_count == 1 && r->serving != NULL && err == PERI_OK;
    return !is_plain || (r->policy != NULL && r->policy->ops->done != NULL);
}

void peri_outcome_fill(struct peri_request *r, enum peri_err err) {
    struct peri_outcome *o = &r->outcome;
    const struct peri_attempt *a = r->serving != NULL ? r->serving : r->last;
    peri_request_wait_ends(r);
    o->size = sizeof *o;
    o->err = err;
    o->attempts = r->attempt_count;
    o->total_us = (peri_loop_clock_ns(r->env->loop) - r->began_ns) / 1000;
    if (o->overhead_us == 0) {
        uint64_t total_ns = peri_loop_clock_ns(r->env->loop) - r->began_ns;
        o->overhead_us = total_ns > r->waited_ns ? (total_ns - r->waited_ns) / 1000 : 0;
    }
    if (o->route.n == 0) o->route = PERI_STR("default");
    if (is_told(r, err)) list_tried(r);
    if (a == NULL) return;
    o->provider = a->candidate.provider->id;
    if (a->first_token_ns != 0) o->first_token_us = (a->first_token_ns - r->began_ns) / 1000;
    o->has_usage = a->stream.usage.is_known;
    o->input_tokens = a->stream.usage.prompt_tokens;
    o->output_tokens = a->stream.usage.completion_tokens;
    o->cached_tokens = a->stream.usage.cached_tokens;
    o->reasoning_tokens = a->stream.usage.reasoning_tokens;
    o->has_cut_tool_args = peri_stream_has_open_tool_args(&a->stream);
    if (r->attempt_count > 1) count_discarded(r, a);
}

/* A policy may try many times: the newest are listed. */
static void log_tried(struct peri_log *log, const struct peri_outcome *o) {
    size_t first = o->tried_count > TRIED_LOGGED_MAX ? o->tried_count - TRIED_LOGGED_MAX : 0;
    struct peri_buf list;
    bool is_plain = o->tried_count == 1 && o->tried[0]->err == PERI_OK && o->tried[0]->is_served;
    if (o->tried_count == 0 || is_plain) return;
    peri_buf_init(&list, TRIED_BYTES_MAX);
    peri_json_put_open(&list, '[');
    for (size_t i = first; i < o->tried_count; i++) {
        const struct peri_attempt_record *t = o->tried[i];
        peri_json_put_open(&list, '{');
        peri_json_put_name(&list, "provider");
        peri_json_put_string(&list, t->provider);
        if (t->key != 0) {
            peri_json_put_name(&list, "key");
            peri_json_put_int(&list, t->key);
        }
        if (t->status != 0) {
            peri_json_put_name(&list, "status");
            peri_json_put_int(&list, t->status);
        }
        if (t->err != PERI_OK) {
            peri_json_put_name(&list, "error");
            peri_json_put_string(&list, peri_str_of(peri_err_name(t->err)));
        }
        peri_json_put_name(&list, "ms");
        peri_json_put_int(&list, (int64_t)(t->total_us / 1000));
        peri_json_put_close(&list, '}');
    }
    peri_json_put_close(&list, ']');
    if (list.err == PERI_OK) peri_log_json(log, "tried", peri_buf_str(&list));
    peri_buf_done(&list);
}

void peri_outcome_log(struct peri_request *r) {
    struct peri_log *log = &r->env->logs.of[PERI_COMPONENT_REQUEST];
    const struct peri_outcome *o = &r->outcome;
    if (!peri_log_begin(log, PERI_LOG_INFO, "request")) return;
    peri_log_str(log, "request_id", (struct peri_str){ r->id, PERI_REQUEST_ID_BYTES });
    if (r->key != NULL) peri_log_str(log, "key_id", r->key->id);
    peri_log_str(log, "model", o->model);
    peri_log_str(log, "provider", o->provider);
    peri_log_str(log, "route", o->route);
    peri_log_int(log, "attempts", o->attempts);
    log_tried(log, o);
    peri_log_int(log, "status", o->status);
    if (o->err != PERI_OK) peri_log_str(log, "error", peri_str_of(peri_err_name(o->err)));
    if (o->has_policy_error) peri_log_bool(log, "policy_error", true);
    peri_log_bool(log, "stream", o->is_stream);
    if (o->first_token_us > 0) peri_log_ms(log, "ttft_ms", o->first_token_us);
    peri_log_ms(log, "total_ms", o->total_us);
    peri_log_ms(log, "overhead_ms", o->overhead_us);
    if (o->has_usage) {
        peri_log_int(log, "in_tokens", (int64_t)o->input_tokens);
        peri_log_int(log, "out_tokens", (int64_t)o->output_tokens);
    }
    if (o->discarded_input_tokens > 0 || o->discarded_output_tokens > 0) {
        peri_log_int(log, "discarded_in_tokens", (int64_t)o->discarded_input_tokens);
        peri_log_int(log, "discarded_out_tokens", (int64_t)o->discarded_output_tokens);
    }
    if (o->has_cut_tool_args) peri_log_bool(log, "cut_tool_args", true);
    peri_log_int(log, "bytes", (int64_t)o->body_bytes);
    const struct peri_attempt *a = r->serving != NULL ? r->serving : r->last;
    if (a != NULL && a->detail[0] != '\0' && o->err != PERI_OK && o->err != PERI_ECANCELED)
        peri_log_str(log, "detail", peri_str_of(a->detail));
    peri_log_end(log);
}
