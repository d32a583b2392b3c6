/* What comes back of a call: the head, the first bytes that show what the body is, bodies that are errors, and whole
 * answers. Streams are attempt_stream.c, streams that were not asked for attempt_fold.c. */
#include "request/attempt.h"

#include "fleet/health.h"
#include "net/retry_after.h"

#define ERROR_BODY_MAX 65536 /* bytes of a provider's error answer that are read */

static bool is_refusal(const struct peri_attempt *a) {
    return peri_health_of_status(a->status).err != PERI_OK;
}

static void on_head(void *arg, struct peri_call *call, int status,
                    const struct peri_header *headers, size_t count) {
    struct peri_attempt *a = arg;
    (void)call;
    a->status = status;
    for (size_t i = 0; i < count; i++) {
        if (peri_str_eq_nocase(headers[i].name, PERI_STR("content-type")))
            a->label = peri_body_kind_of_label(headers[i].value);
        else if (status >= 300 && status <= 399 &&
                 peri_str_eq_nocase(headers[i].name, PERI_STR("location")))
            a->location = peri_arena_dup(&a->request->arena, headers[i].value);
    }
    if (!is_refusal(a)) return;
    a->in.max = ERROR_BODY_MAX; /* the body says more: on_body and on_done go on */
    if (status < 400) return;
    uint64_t hint = peri_retry_after(headers, count, peri_clock_wall_ns(a->request->env->clock),
                                     PERI_HINT_MAX_MS);
    if (hint != PERI_RETRY_UNKNOWN) a->hint_ms = hint > 0 ? hint : 1;
}

static void on_no_more(void *arg) {
    struct peri_attempt *a = arg;
    peri_attempt_fail(a, PERI_ESTALL, "sent no byte for %llu ms",
                      (unsigned long long)a->candidate.provider->timeouts.idle_ms);
}

/* A whole answer that has begun to come must go on. Until then it has its total, and what a policy allows. */
static void wait_for_more(struct peri_attempt *a) {
    uint64_t idle_ms = a->candidate.provider->timeouts.idle_ms;
    if (a->request->is_stream || a->options.first_token_ms > 0 || idle_ms == 0) return;
    if (a->patience.fire != on_no_more)
        peri_timer_init(&a->patience, a->request->env->loop, on_no_more, a);
    peri_timer_start(&a->patience, idle_ms);
}

/* What neither the first bytes nor the label show to be an answer is refused at once.
 *   front   of the body; `is_all`: no more will come
 *   gives   false when the attempt has failed for it */
static bool find_kind(struct peri_attempt *a, struct peri_str front, bool is_all) {
    enum peri_body_kind kind = peri_body_kind_of(front);
    if (kind == PERI_BODY_UNKNOWN && !is_all) return true;
    if (kind == PERI_BODY_UNKNOWN || kind == PERI_BODY_OTHER) kind = a->label;
    if (kind == PERI_BODY_EVENTS || kind == PERI_BODY_JSON) {
        a->kind = kind;
        return true;
    }
    if (front.n == 0)
        peri_attempt_fail(a, PERI_EPROTO, "answered %d without a body", a->status);
    else
        peri_attempt_fail(a, PERI_EPROTO, "answered %d with a body that is not %s", a->status,
                          a->request->is_stream ? "an event stream" : "JSON");
    return false;
}

static bool take_bytes(struct peri_attempt *a, struct peri_str bytes) {
    if (a->kind == PERI_BODY_EVENTS && a->request->is_stream) return peri_attempt_feed(a, bytes);
    wait_for_more(a);
    if (a->kind == PERI_BODY_EVENTS) {
        peri_attempt_fold(a, bytes);
        return true;
    }
    enum peri_err err = peri_buf_add(&a->in, bytes);
    if (err != PERI_OK) peri_attempt_fail(a, err, "answered with more than %zu bytes", a->in.max);
    return true;
}

/* Few bytes, and they do not show what they begin: they wait, and are read again with the next. */
static bool take_front(struct peri_attempt *a, struct peri_str bytes) {
    struct peri_buf front = a->in;
    if (front.n > 0) {
        if (peri_buf_add(&a->in, bytes) != PERI_OK) {
            peri_attempt_fail(a, a->in.err, "answered with more than %zu bytes", a->in.max);
            return true;
        }
        front = a->in;
        bytes = peri_buf_str(&front);
    }
    if (!find_kind(a, bytes, false)) return true;
    if (a->kind == PERI_BODY_UNKNOWN) {
        size_t blanks = peri_body_blanks(bytes);
        wait_for_more(a);
        if (front.n == 0)
            (void)peri_buf_add(&a->in, peri_str_from(bytes, blanks));
        else
            peri_buf_drop(&a->in, blanks);
        return true;
    }
    if (front.n == 0) return take_bytes(a, bytes);
    peri_buf_init(&a->in, front.max);
    bool goes_on = take_bytes(a, bytes);
    peri_buf_done(&front);
    return goes_on;
}

static bool on_body(void *arg, struct peri_call *call, struct peri_str bytes) {
    struct peri_attempt *a = arg;
    (void)call;
    a->body_bytes += bytes.n;
    if (!is_refusal(a))
        return a->kind == PERI_BODY_UNKNOWN ? take_front(a, bytes) : take_bytes(a, bytes);
    wait_for_more(a);
    if (bytes.n > a->in.max - a->in.n) bytes.n = a->in.max - a->in.n, a->is_cut = true;
    peri_buf_add(&a->in, bytes);
    if (a->is_cut) peri_attempt_end_refusal(a);
    return true;
}

void peri_attempt_end_whole(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    size_t text_n = peri_str_after_mark(peri_buf_str(&a->in)).n;
    if (text_n < a->in.n) peri_buf_drop(&a->in, a->in.n - text_n);
    enum peri_err err = a->dialect->read_answer(&a->stream, peri_buf_str(&a->in));
    if (err == PERI_OK && peri_attempt_fail_unsaid(a)) return;
    if (err == PERI_OK && r->is_stream) {
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
    bool is_answer = report->status != 0 && !is_refusal(a);
    (void)call;
    a->call = NULL;
    if (is_answer && report->err == PERI_OK && a->kind == PERI_BODY_UNKNOWN &&
        !find_kind(a, peri_buf_str(&a->in), true))
        return;
    if (report->status != 0 && !is_answer)
        peri_attempt_end_refusal(a);
    else if (a->kind == PERI_BODY_EVENTS && a->request->is_stream)
        peri_attempt_stream_ended(a, report->err);
    else if (a->kind == PERI_BODY_EVENTS)
        peri_attempt_fold_ended(a, report->err);
    else if (report->err != PERI_OK)
        peri_attempt_fail(a, report->err, "%s", report->detail);
    else
        peri_attempt_end_whole(a);
}

const struct peri_call_ops peri_attempt_call_ops = { on_head, on_body, on_done };
