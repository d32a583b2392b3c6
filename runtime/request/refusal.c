/* What the client gets when there is no answer: every error in the one shape there is, and why nobody could be asked. */
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "dialect/error.h"
#include "dialect/upstream_error.h"
#include "fleet/fit.h"
#include "request/attempt.h"

#define UNDISCOVERED_WAIT_MS 2000 /* a source that failed is asked again after as much */

static struct peri_str write_whole(char *to, size_t room, uint64_t n) {
    return (struct peri_str){ to, (size_t)snprintf(to, room, "%llu", (unsigned long long)n) };
}

struct peri_str peri_request_error_json(struct peri_request *r, int status, struct peri_str message,
                                        struct peri_str param, struct peri_str code) {
    struct peri_buf body;
    peri_buf_init(&body, 65536);
    struct peri_str type =
        status < 500 ? PERI_STR("invalid_request_error") : PERI_STR("server_error");
    if (status == 429) type = PERI_STR("rate_limit_error");
    struct peri_str json = { NULL, 0 };
    if (r->dialect->error_body(&body, message, type, param, code) == PERI_OK)
        json = peri_arena_dup(&r->arena, peri_buf_str(&body));
    peri_buf_done(&body);
    return json;
}

void peri_request_send_error(struct peri_request *r, enum peri_err err, int status,
                             const char *type, const char *code, const char *param,
                             struct peri_str message, const struct peri_header *headers,
                             size_t count) {
    const struct peri_dialect *d = r->dialect;
    bool is_frame = r->relay.state != PERI_RELAY_HELD;
    if (message.p == NULL) message = peri_str_of(peri_err_text(err)); /* it found no memory */
    struct peri_buf body;
    peri_buf_init(&body, 65536);
    enum peri_err written = (is_frame ? d->error_frame : d->error_body)(
        &body, message, peri_str_of(type), peri_str_of(param), peri_str_of(code));
    struct peri_str text = peri_buf_str(&body);
    char spare[512];
    if (written != PERI_OK) { /* memory ran out: the kind of error is told nevertheless */
        struct peri_error_shape shape = peri_error_shape(err, PERI_SIDE_UPSTREAM);
        text = (is_frame ? d->write_error_frame : d->write_error)(
            spare, sizeof spare, peri_err_text(err), shape.type, shape.code);
    }
    if (is_frame)
        peri_relay_tell(r, text);
    else
        peri_request_answer(r, status, headers, count, text);
    peri_buf_done(&body);
    peri_request_ended(r, err);
}

void peri_request_fail(struct peri_request *r, enum peri_err err, int status, const char *code,
                       const char *format, ...) {
    if (r->phase == PERI_ENDED) return;
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool is_ours = err == PERI_EINVAL || err == PERI_ENOMODEL;
    struct peri_error_shape shape =
        peri_error_shape(err, is_ours ? PERI_SIDE_CLIENT : PERI_SIDE_UPSTREAM);
    if (status == 0) status = shape.status;
    size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    bool is_model = err == PERI_ENOMODEL || (code != NULL && (strcmp(code, "model_required") == 0 ||
                                                              strcmp(code, "invalid_model") == 0));
    const char *param = is_model ? "model" : NULL;
    peri_request_send_error(r, err, status, shape.type, code != NULL ? code : shape.code, param,
                            (struct peri_str){ text, length }, NULL, 0);
}

void peri_request_refuse(struct peri_request *r) {
    struct peri_str policy = r->guard;
    r->outcome.has_policy_error = true;
    peri_request_fail(r, PERI_EPOLICY, 500, "policy_failed",
                      "a policy failed%s%.*s%s, and this request is not answered without it",
                      policy.n > 0 ? ": '" : "", PERI_STR_ARGS(policy), policy.n > 0 ? "'" : "");
}

/* Said only where the same request must fail again: clients whose providers had a bad moment are right to try again. */
static const struct peri_header no_retry[] = { { PERI_STR_INIT("x-should-retry"),
                                                 PERI_STR_INIT("false") } };

static void fail_with_wait(struct peri_request *r, enum peri_err err, int status, uint64_t wait_ms,
                           const char *type, const char *code, struct peri_str message) {
    char seconds[24], millis[24];
    if (wait_ms == 0) wait_ms = 1000;
    struct peri_header wait[] = {
        { PERI_STR("retry-after"), write_whole(seconds, sizeof seconds, (wait_ms + 999) / 1000) },
        { PERI_STR("retry-after-ms"), write_whole(millis, sizeof millis, wait_ms) },
    };
    peri_request_send_error(r, err, status, type, code, NULL, message, wait, 2);
}

/* Nothing was sent, and nothing is to be paid. */
static void fail_unfit(struct peri_request *r) {
    struct peri_need need;
    struct peri_misfit why;
    peri_fit_select(&need, r->candidates, r->body, r->dialect, &r->arena);
    peri_fit_say(&why, r->candidates, &need, r->model);
    peri_request_send_error(r, PERI_EUNFIT, 400, "invalid_request_error", why.code, why.param,
                            peri_str_of(why.message), no_retry, 1);
}

static void fail_unasked(struct peri_request *r, const struct peri_route_report *report) {
    if (report->candidates == 0) {
        fail_unfit(r);
        return;
    }
    struct peri_str m = r->model;
    struct peri_str text;
    if (report->full > 0) {
        text = peri_arena_printf(&r->arena, "every slot for the model '%.*s' is taken",
                                 PERI_STR_ARGS(m));
        fail_with_wait(r, PERI_EFULL, 503, 1000, "server_error", "capacity_exceeded", text);
    } else if (report->resting > 0 && report->rate_limited == report->resting) {
        text = peri_arena_printf(&r->arena, "every provider of the model '%.*s' limits our rate",
                                 PERI_STR_ARGS(m));
        fail_with_wait(r, PERI_ERATELIMIT, 429, report->wait_ms, "rate_limit_error",
                       "rate_limit_exceeded", text);
    } else {
        text = peri_arena_printf(
            &r->arena, "no provider of the model '%.*s' is available: %u of %u rest or are drained",
            PERI_STR_ARGS(m), report->resting, report->candidates);
        fail_with_wait(r, PERI_ENOPROVIDER, 503, report->wait_ms, "server_error",
                       "no_provider_available", text);
    }
}

void peri_request_give_up_undiscovered(struct peri_request *r) {
    struct peri_str text = peri_arena_printf(
        &r->arena,
        "nobody is known to serve the model '%.*s' yet: the hosts of a network are still being "
        "discovered",
        PERI_STR_ARGS(r->model));
    fail_with_wait(r, PERI_ENOPROVIDER, 503, UNDISCOVERED_WAIT_MS, "server_error",
                   "discovery_under_way", text);
}

/* What the refusal is about is the request or its model: its status and its words, as they came if that is an error of
 * our shape. */
static void pass_refusal(struct peri_request *r, struct peri_attempt *a) {
    struct peri_str body = peri_buf_str(&a->in), secret = peri_attempt_secret(a);
    bool is_held = r->relay.state == PERI_RELAY_HELD, is_model = a->err == PERI_ENOMODEL;
    int status = is_model && a->status != 403 ? 404 : a->status;
    size_t no_retry_count = status == 409 ? 0 : 1;
    if (!a->is_cut && is_held && peri_upstream_error_is_presentable(body, secret)) {
        peri_request_answer(r, status, no_retry, no_retry_count, body);
        peri_request_ended(r, a->err);
        return;
    }
    struct peri_upstream_error e;
    peri_upstream_error_read(&e, body, secret);
    uint64_t number;
    if (is_model && (e.code[0] == '\0' || peri_str_to_u64(&number, peri_str_of(e.code)) == PERI_OK))
        snprintf(e.code, sizeof e.code, "model_not_found");
    if (is_model && e.param[0] == '\0') snprintf(e.param, sizeof e.param, "model");
    if (is_held) {
        struct peri_buf told;
        peri_buf_init(&told, 65536);
        if (peri_upstream_error_write(&told, &e, body, secret) == PERI_OK) {
            peri_request_answer(r, status, no_retry, no_retry_count, peri_buf_str(&told));
            peri_buf_done(&told);
            peri_request_ended(r, a->err);
            return;
        }
        peri_buf_done(&told);
    }
    peri_request_send_error(r, a->err, status, e.type[0] != '\0' ? e.type : "invalid_request_error",
                            e.code[0] != '\0' ? e.code : "upstream_rejected",
                            e.param[0] != '\0' ? e.param : NULL, peri_str_of(e.message), no_retry,
                            no_retry_count);
}

static bool is_passed_on(const struct peri_attempt *a) {
    if (a->state == PERI_ATTEMPT_UNSENT || a->status < 400 || a->status >= 500)
        return a->err == PERI_EREJECTED || a->err == PERI_EUNFIT;
    return a->err == PERI_EREJECTED || a->err == PERI_EUNFIT || a->err == PERI_ENOMODEL ||
           (a->err == PERI_EUPSTREAM && a->status == 409);
}

/* Until the first of those that rest by now is back; 0: one does not rest. */
static uint64_t wait_of(struct peri_request *r) {
    struct peri_route_report now;
    peri_request_pick(r, NULL, false, &now);
    return now.wait_ms;
}

/* A network that is closed, or computes proofs, is not the end of it: it opens again, or its operator sees the log. */
static bool is_network_away(const struct peri_attempt *a) {
    const struct peri_provider *p = a->candidate.provider;
    bool is_of_network = p->found_by != NULL || p->broker.n > 0;
    return is_of_network && a->is_judged &&
           (a->err == PERI_EDENIED || (a->err == PERI_EUPSTREAM && a->status == 503));
}

void peri_request_give_up(struct peri_request *r, const struct peri_route_report *report) {
    if (r->phase == PERI_ENDED) return;
    struct peri_attempt *a = r->last;
    if (a == NULL) {
        struct peri_route_report now;
        if (report == NULL) peri_request_pick(r, r->tried, false, &now);
        fail_unasked(r, report != NULL ? report : &now);
        return;
    }
    if (is_passed_on(a)) {
        pass_refusal(r, a);
        return;
    }
    struct peri_error_shape shape = peri_error_shape(a->err, PERI_SIDE_UPSTREAM);
    if (a->err == PERI_ENOTFOUND) {
        struct peri_str none = peri_arena_printf(
            &r->arena,
            "no provider of the model '%.*s' has this endpoint: provider "
            "'%.*s' %s",
            PERI_STR_ARGS(r->model), PERI_STR_ARGS(a->candidate.provider->id), a->detail);
        peri_request_send_error(r, a->err, 404, "invalid_request_error", "endpoint_not_found", NULL,
                                none, no_retry, 1);
        return;
    }
    struct peri_str text = peri_arena_printf(
        &r->arena, "provider '%.*s': %s%s%.*s", PERI_STR_ARGS(a->candidate.provider->id), a->detail,
        a->words.n > 0 ? ": " : "", (int)(a->words.n < 200 ? a->words.n : 200), a->words.p);
    if (a->err == PERI_ERATELIMIT) {
        uint64_t wait_ms = wait_of(r);
        fail_with_wait(r, a->err, 429, wait_ms > 0 ? wait_ms : a->hint_ms, "rate_limit_error",
                       "rate_limit_exceeded", text);
        return;
    }
    if (is_network_away(a)) {
        uint64_t wait_ms = a->hint_ms > 0 ? a->hint_ms : wait_of(r);
        fail_with_wait(r, a->err, 503, wait_ms > 0 ? wait_ms : r->config->failure_cooldown_ms,
                       shape.type, shape.code, text);
        return;
    }
    if (a->hint_ms > 0 && a->err == PERI_EUPSTREAM) {
        fail_with_wait(r, a->err, 503, a->hint_ms, shape.type, shape.code, text);
        return;
    }
    peri_request_send_error(r, a->err, shape.status, shape.type, shape.code, NULL, text, no_retry,
                            a->err == PERI_EAUTH || a->err == PERI_EDENIED ? 1 : 0);
}
