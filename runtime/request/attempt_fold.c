/* A stream where none was asked for: read as any stream is, and told as a whole answer once it has come to its end. Nothing
 * goes out before that, so whatever is wrong with it is answered by another provider. */
#include "dialect/stream.h"
#include "request/attempt.h"

/* `held` is a JSON array of the events' data that is not closed yet. */
static void keep_event(struct peri_attempt *a, struct peri_str data) {
    peri_buf_add_char(&a->held, a->held.n == 0 ? '[' : ',');
    if (peri_buf_add(&a->held, data) != PERI_OK)
        peri_attempt_fail(a, a->held.err, "answered with more than %zu bytes", a->held.max);
}

/* One event is the whole answer.
 *   gives   false: it is not */
static bool take_whole(struct peri_attempt *a, struct peri_str data) {
    struct peri_stream_state s;
    if (a->dialect->read_answer(&s, data) != PERI_OK) return false;
    peri_buf_clear(&a->held);
    if (peri_buf_add(&a->held, data) != PERI_OK)
        peri_attempt_fail(a, a->held.err, "answered with more than %zu bytes", a->held.max);
    a->is_whole = true;
    return true;
}

static void take_event(struct peri_attempt *a, const struct peri_sse_event *event) {
    if (a->stream.saw_done || a->is_whole) return;
    enum peri_stream_kind kind = a->dialect->read_event(&a->stream, event->name, event->data);
    switch (kind) {
    case PERI_STREAM_BROKEN:
        peri_attempt_fail(a, PERI_EMALFORMED, "sent an event that is not JSON");
        return;
    case PERI_STREAM_ERROR: peri_attempt_fail_inside(a, event->data); return;
    case PERI_STREAM_RESET:
        peri_buf_clear(&a->held);
        a->stream = (struct peri_stream_state){ .frames = 0 };
        return;
    case PERI_STREAM_DONE:
    case PERI_STREAM_EMPTY:
    case PERI_STREAM_INTERNAL: return;
    case PERI_STREAM_WHOLE:
        if (take_whole(a, event->data)) return;
        break;
    default: break;
    }
    if (a->dialect->whole_of_stream != NULL)
        keep_event(a, event->data);
    else
        (void)take_whole(a, event->data);
}

static void take_events(struct peri_attempt *a) {
    size_t used = 0;
    struct peri_str in = peri_buf_str(&a->in);
    while (!peri_attempt_is_over(a)) {
        struct peri_sse_event event;
        ptrdiff_t n = peri_sse_next(&a->sse, &event, peri_str_from(in, used));
        if (n == 0) break;
        if (n < 0) {
            peri_attempt_fail(a, n == -PERI_ENOMEM ? PERI_ENOMEM : PERI_ETOOBIG,
                              "sent an event of more than %zu bytes", a->sse.max);
            return;
        }
        used += (size_t)n;
        if (event.has_data) take_event(a, &event);
    }
    if (!peri_attempt_is_over(a)) peri_buf_drop(&a->in, used);
}

void peri_attempt_fold(struct peri_attempt *a, struct peri_str bytes) {
    if (peri_buf_add(&a->in, bytes) == PERI_OK)
        take_events(a);
    else
        peri_attempt_fail(a, a->in.err, "answered with more than %zu bytes", a->in.max);
}

void peri_attempt_fold_ended(struct peri_attempt *a, enum peri_err err) {
    if (err == PERI_OK && peri_attempt_close_event(a)) take_events(a);
    if (peri_attempt_is_over(a)) return;
    if (!a->is_whole && !peri_stream_is_complete(&a->stream)) {
        peri_attempt_fail(a, err != PERI_OK ? err : PERI_ETRUNCATED,
                          a->stream.saw_content ? "ended its stream without a finish"
                                                : "ended its stream without content");
        return;
    }
    peri_buf_clear(&a->in);
    enum peri_err told = PERI_OK;
    if (a->is_whole)
        told = peri_buf_add(&a->in, peri_buf_str(&a->held));
    else if ((told = peri_buf_add_char(&a->held, ']')) == PERI_OK)
        told = peri_dialect_whole_of_stream(a->dialect, &a->in, peri_buf_str(&a->held));
    peri_buf_done(&a->held);
    a->kind = PERI_BODY_JSON;
    if (told == PERI_OK)
        peri_attempt_end_whole(a);
    else
        peri_attempt_fail(a, told, "sent a stream that can not be told as a whole answer");
}
