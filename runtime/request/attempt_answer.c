/* What comes back of a call: the head, bodies that are errors, and whole answers. Streams are attempt_stream.c. */
#include "request/attempt.h"

#include "fleet/health.h"
#include "net/retry_after.h"

#define ERROR_BODY_MAX 65536 /* bytes of a provider's error answer that are read */

static void read_head(struct peri_attempt *a, const struct peri_header *headers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (peri_str_eq_nocase(headers[i].name, PERI_STR("content-type"))) {
            struct peri_str type = peri_str_trim(headers[i].value), kind;
            if (!peri_str_cut(&kind, &type, ';')) kind = type;
            kind = peri_str_trim(kind);
            a->kind = PERI_BODY_OTHER;
            if (peri_str_eq_nocase(kind, PERI_STR("text/event-stream")))
                a->kind = PERI_BODY_EVENTS;
            else if (peri_str_eq_nocase(kind, PERI_STR("application/json")))
                a->kind = PERI_BODY_JSON;
        }
    }
    if (a->status < 400) return;
    uint64_t hint = peri_retry_after(headers, count, peri_clock_wall_ns(a->request->env->clock),
                                     PERI_HINT_MAX_MS);
    if (hint != PERI_RETRY_UNKNOWN) a->hint_ms = hint > 0 ? hint : 1;
}

static void on_head(void *arg, struct peri_call *call, int status,
                    const struct peri_header *headers, size_t count) {
    struct peri_attempt *a = arg;
    (void)call;
    a->status = status;
    read_head(a, headers, count);
    if (peri_health_of_status(status).err != PERI_OK) {
        a->in.max = ERROR_BODY_MAX; /* the body says more: on_body and on_done go on */
        return;
    }
    struct peri_request *r = a->request;
    /* Some providers answer a request for a stream with the whole: that is told as a stream. */
    bool is_whole = a->kind == PERI_BODY_JSON;
    bool is_right = r->is_stream ? a->kind == PERI_BODY_EVENTS ||
                                       (is_whole && a->dialect->stream_of_whole != NULL)
                                 : is_whole;
    if (!is_right)
        peri_attempt_fail(a, PERI_EPROTO, "answered %d with a body that is not %s", status,
                          r->is_stream ? "an event stream" : "JSON");
}

static bool is_refusal(const struct peri_attempt *a) {
    return peri_health_of_status(a->status).err != PERI_OK;
}

static bool on_body(void *arg, struct peri_call *call, struct peri_str bytes) {
    struct peri_attempt *a = arg;
    (void)call;
    a->body_bytes += bytes.n;
    if (is_refusal(a)) {
        if (bytes.n > a->in.max - a->in.n) bytes.n = a->in.max - a->in.n, a->is_cut = true;
        peri_buf_add(&a->in, bytes);
        if (a->is_cut) peri_attempt_end_refusal(a);
        return true;
    }
    if (a->kind == PERI_BODY_EVENTS) return peri_attempt_feed(a, bytes);
    enum peri_err err = peri_buf_add(&a->in, bytes);
    if (err == PERI_OK) return true;
    peri_attempt_fail(a, err, "answered with more than %zu bytes", a->in.max);
    return true;
}

static void end_whole_answer(struct peri_attempt *a) {
    enum peri_err err = a->dialect->read_answer(&a->stream, peri_buf_str(&a->in));
    if (err == PERI_OK && a->expects_content && peri_stream_is_empty(&a->stream)) {
        peri_attempt_fail_empty(a);
        return;
    }
    if (err == PERI_OK && a->request->is_stream) {
        err = peri_attempt_hold_whole(a, peri_buf_str(&a->in));
        if (peri_attempt_is_over(a)) return; /* a policy ended the request */
        a->stream.saw_done = true;
        peri_buf_clear(&a->in);
        a->kind = PERI_BODY_EVENTS;
        a->input = PERI_INPUT_ENDED; /* with a->err as PERI_OK */
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
        peri_attempt_end_refusal(a);
    else if (a->kind == PERI_BODY_EVENTS)
        peri_attempt_stream_ended(a, report->err);
    else if (report->err != PERI_OK)
        peri_attempt_fail(a, report->err, "%s", report->detail);
    else
        end_whole_answer(a);
}

const struct peri_call_ops peri_attempt_call_ops = { on_head, on_body, on_done };
