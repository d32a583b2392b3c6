/* A streamed answer on its way to the client.
 *
 * Frames are taken whole: a piece of one waits in `in` until the rest has come, so what the client gets is always
 * well formed up to the last byte. Until the first content token frames are held. Progress of the prompt goes out before
 * it where the client asked for it. From then on the run of frames that one read brought leaves in one write, untouched,
 * unless a policy looks at events.
 *
 * A stream is complete when it said so (a finish reason or the end event); every other end, the clean one included, becomes
 * an error frame without that event: official clients raise on that, and on nothing else reliably.
 */
#include "request/attempt.h"

#include <stdio.h>

#include "dialect/upstream_error.h"

/* For the provider to end its answer after its end event, so that the connection can be reused. */
#define AFTER_DONE_MS 250

struct run {
    const char *from; /* untouched frames that were not sent yet */
    size_t n;
};

/* The client is slow. A single event may be larger than all that waits for a client: what the provider sent behind it then
 * stays in `in` (is_waiting). */
static bool is_full(const struct peri_attempt *a) {
    return a->state == PERI_ATTEMPT_SERVING && a->request->relay.state == PERI_RELAY_FULL;
}

static void fail_broken(struct peri_attempt *a) {
    peri_attempt_fail(a, PERI_ETOOBIG, "was made more of by policies than the client takes");
}

/* As keep-alive comments do, this fixes the status, not the answer: another provider may still give it. */
static void tell_progress(struct peri_attempt *a, struct peri_str frames) {
    struct peri_request *r = a->request;
    peri_request_start_stream(r, NULL);
    if (peri_relay_put(r, frames) == PERI_RELAY_LOSSY) a->is_broken = true;
    peri_relay_keep_alive(r);
}

/* Whole frames go to the client, or wait for the commit point. */
static void pass_on(struct peri_attempt *a, struct peri_str frames) {
    if (a->is_broken) return;
    if (a->is_progress) {
        tell_progress(a, frames);
        return;
    }
    if (a->state != PERI_ATTEMPT_SERVING) {
        peri_buf_add(&a->held, frames);
        return;
    }
    switch (peri_relay_put(a->request, frames)) {
    case PERI_RELAY_FULL:
        if (a->input == PERI_INPUT_FLOWING) a->input = PERI_INPUT_PAUSED;
        break;
    case PERI_RELAY_LOSSY: a->is_broken = true; break;
    default: break;
    }
}

static void flush_run(struct peri_attempt *a, struct run *run) {
    if (run->n == 0) return;
    struct peri_str bytes = { run->from, run->n };
    run->n = 0;
    pass_on(a, bytes);
    if (is_full(a)) a->is_waiting = true;
}

static void send_event(struct peri_attempt *a, struct run *run,
                       const struct peri_sse_event *event) {
    struct peri_request *r = a->request;
    const struct peri_policy_ops *ops = r->policy == NULL ? NULL : r->policy->ops;
    if (ops == NULL || ops->event == NULL || !event->has_data) {
        if (run->n == 0) run->from = event->raw.p;
        run->n = (size_t)(event->raw.p + event->raw.n - run->from);
        return;
    }
    struct peri_buf out;
    peri_buf_init(&out, event->raw.n > PERI_SSE_MAX ? r->config->answer_bytes : PERI_SSE_MAX);
    struct peri_event seen = { sizeof seen, event->data, event->name, a };
    enum peri_verdict verdict = ops->event(r->policy->self, r, &seen, &out);
    if (verdict == PERI_HOOK_REPLACE && out.err != PERI_OK) verdict = PERI_HOOK_BREAK;
    switch (verdict) {
    case PERI_HOOK_KEEP:
        if (run->n == 0) run->from = event->raw.p;
        if (run->from + run->n != event->raw.p) {
            flush_run(a, run);
            run->from = event->raw.p;
        }
        run->n += event->raw.n;
        break;
    case PERI_HOOK_REPLACE:
        flush_run(a, run);
        pass_on(a, peri_buf_str(&out));
        break;
    case PERI_HOOK_DROP: flush_run(a, run); break;
    case PERI_HOOK_BREAK:
        flush_run(a, run);
        a->is_broken = true; /* nothing more of it goes on: read_frames tells */
        break;
    case PERI_HOOK_REFUSE:
        flush_run(a, run);
        peri_request_refuse(r); /* a is over */
        break;
    }
    peri_buf_done(&out);
}

static void on_end_overdue(void *arg) {
    struct peri_attempt *a = arg;
    peri_attempt_stream_ended(a, PERI_OK);
}

/* The provider sent the end event: the answer is whole, whatever happens to its connection. */
static void expect_end(struct peri_attempt *a) {
    peri_timer_stop(&a->patience);
    peri_timer_init(&a->patience, a->request->env->loop, on_end_overdue, a);
    peri_timer_start(&a->patience, AFTER_DONE_MS);
}

static void on_no_event(void *arg) {
    struct peri_attempt *a = arg;
    uint64_t idle_ms = a->candidate.provider->timeouts.idle_ms;
    if (a->input != PERI_INPUT_FLOWING)
        peri_timer_start(&a->patience, idle_ms); /* it is the client who is slow */
    else
        peri_attempt_fail(a, PERI_ESTALL, "sent no event for %llu ms", (unsigned long long)idle_ms);
}

/* Comments are no progress: a provider that sends nothing else has stalled. */
static void expect_event(struct peri_attempt *a) {
    uint64_t idle_ms = a->candidate.provider->timeouts.idle_ms;
    if (!a->stream.saw_done && idle_ms > 0) peri_timer_start(&a->patience, idle_ms);
}

/* The provider's own error frame is passed on when every client understands it, else written anew: a client that
 * does not see an error takes half an answer for a whole one. */
static void tell_error(struct peri_attempt *a, const struct peri_sse_event *event,
                       const struct peri_upstream_error *e) {
    struct peri_request *r = a->request;
    if (event->name.n == 0 &&
        peri_upstream_error_is_presentable(event->data, peri_attempt_secret(a))) {
        peri_relay_tell(r, event->raw);
        return;
    }
    struct peri_buf frame;
    peri_buf_init(&frame, 65536);
    r->dialect->error_frame(&frame, peri_str_of(e->message),
                            e->type[0] != '\0' ? peri_str_of(e->type) : PERI_STR("server_error"),
                            peri_str_of(e->param[0] != '\0' ? e->param : NULL),
                            e->code[0] != '\0' ? peri_str_of(e->code) : PERI_STR("upstream_error"));
    peri_relay_tell(r, peri_buf_str(&frame));
    peri_buf_done(&frame);
}

static void take_error(struct peri_attempt *a, const struct peri_sse_event *event) {
    struct peri_upstream_error e;
    if (a->state != PERI_ATTEMPT_SERVING) {
        peri_attempt_fail_inside(a, event->data);
        return;
    }
    peri_upstream_error_read(&e, event->data, peri_attempt_secret(a));
    tell_error(a, event, &e);
    char said[160];
    peri_attempt_describe(a, &e, said);
    peri_attempt_fail(a, PERI_EUPSTREAM, "sent an error inside its stream%s", said);
}

/* A Gonka gateway begins its answer again. What nobody has seen is forgotten, unless policies have read some of what it
 * said: they would go on from there.
 *   gives   false when the attempt has failed for it */
static bool start_over(struct peri_attempt *a) {
    if (a->state != PERI_ATTEMPT_ASKING || a->stream.saw_content) {
        peri_attempt_fail(a, PERI_ETRUNCATED, "started its answer over");
        return false;
    }
    peri_buf_clear(&a->held);
    a->stream = (struct peri_stream_state){ .frames = 0 };
    return true;
}

/* A frame that must not be taken for content.
 *   gives   false when it is none of those */
static bool break_off(struct peri_attempt *a, enum peri_stream_kind kind,
                      const struct peri_sse_event *event) {
    switch (kind) {
    case PERI_STREAM_BROKEN:
        peri_attempt_fail(a, PERI_EMALFORMED, "sent an event that is not JSON");
        return true;
    case PERI_STREAM_RESET: return !start_over(a);
    case PERI_STREAM_ERROR: take_error(a, event); return true;
    default: return false;
    }
}

/* Whole frames of our own making. */
static void send_frames(struct peri_attempt *a, struct peri_str frames) {
    struct peri_sse sse;
    struct peri_sse_event event;
    struct run run = { frames.p, 0 };
    ptrdiff_t n;
    peri_sse_init(&sse, frames.n, &a->scratch);
    while ((n = peri_sse_next(&sse, &event, frames)) > 0) {
        send_event(a, &run, &event);
        if (peri_attempt_is_over(a)) return;
        frames = peri_str_from(frames, (size_t)n);
    }
    flush_run(a, &run);
}

static enum peri_err send_whole_as_stream(struct peri_attempt *a, struct peri_str completion,
                                          struct peri_str end) {
    struct peri_buf frames;
    peri_buf_init(&frames, 0);
    enum peri_err err = peri_dialect_stream_of_whole(a->dialect, &frames, completion);
    if (err == PERI_OK) err = peri_buf_add(&frames, end);
    if (err == PERI_OK) send_frames(a, peri_buf_str(&frames));
    if (err == PERI_OK) err = a->held.err;
    peri_buf_done(&frames);
    return err;
}

enum peri_err peri_attempt_hold_whole(struct peri_attempt *a, struct peri_str completion) {
    a->held.max = a->in.max;
    return send_whole_as_stream(a, completion, a->dialect->end_frame);
}

/* A whole completion where a chunk should stand: told as chunks.
 *   gives   false when the attempt is over: it can not be told so, or a policy ended the request */
static bool put_whole_as_stream(struct peri_attempt *a, struct peri_str completion) {
    enum peri_err err = send_whole_as_stream(a, completion, PERI_STR(""));
    if (peri_attempt_is_over(a)) return false;
    if (err != PERI_OK)
        peri_attempt_fail(a, err, "sent a whole completion in its stream that is none");
    return err == PERI_OK;
}

/* More than is kept: of what comes before content, or of one event. */
static void fail_held(struct peri_attempt *a, enum peri_err err) {
    if (err == PERI_ENOMEM)
        peri_attempt_fail(a, err, "sent %zu bytes that found no memory", a->held.n + a->in.n);
    else if (a->state == PERI_ATTEMPT_ASKING)
        peri_attempt_fail(a, err, "sent %llu bytes before any content, more than %zu",
                          (unsigned long long)a->body_bytes, a->in.max);
    else
        peri_attempt_fail(a, err, "sent an event of more than %zu bytes", a->in.max);
}

/* The commit point, unless frames before it were lost: then nobody has seen any of them yet. */
static void commit_answer(struct peri_attempt *a) {
    if (a->held.err == PERI_OK)
        peri_attempt_ready(a); /* may serve, wait, or end the request */
    else
        fail_held(a, a->held.err);
}

/* Is this event the commit point? An end without content waits for what is said of it behind it. */
static bool decides_commit(const struct peri_attempt *a, enum peri_stream_kind kind) {
    if (a->state != PERI_ATTEMPT_ASKING) return false;
    bool is_held = a->expects_content
                       ? !a->stream.saw_answer
                       : !a->candidate.provider->passes_empty && !a->stream.saw_content;
    switch (kind) {
    case PERI_STREAM_CONTENT:
    case PERI_STREAM_DONE: return true;
    case PERI_STREAM_FINISH:
    case PERI_STREAM_WHOLE: return !is_held;
    default: return false;
    }
}

/* A stream has come to its end, and nothing in it was the commit point.
 *   gives   false when the attempt has failed for it */
static bool may_serve_unsaid(struct peri_attempt *a) {
    if (peri_attempt_fail_unsaid(a)) return false;
    if (a->stream.saw_finish) return true;
    peri_attempt_fail(a, PERI_ETRUNCATED, "ended its stream without content");
    return false;
}

/* The client asked to see how far its prompt was read, and one provider alone reads it. A client that is slow gets it
 * with the answer. */
static bool may_tell_progress(const struct peri_attempt *a) {
    const struct peri_request *r = a->request;
    if (!r->is_stream || a->state != PERI_ATTEMPT_ASKING || r->phase != PERI_DECIDING ||
        r->body == NULL || r->relay.state > PERI_RELAY_OPEN)
        return false;
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->attempts) {
        const struct peri_attempt *other = peri_list_entry(at, struct peri_attempt, link);
        if (other != a && !peri_attempt_is_over(other)) return false;
    }
    uint32_t root = peri_json_root(r->body);
    return peri_json_is_true(r->body, peri_json_get(r->body, root, PERI_STR("return_progress")));
}

/* Consume whole frames off the front of `in`.
 *   gives   bytes consumed; a->state tells whether the attempt still lives */
static size_t take_frames(struct peri_attempt *a, struct peri_str in) {
    size_t used = 0;
    bool has_event = false;
    struct run run = { in.p, 0 };
    while (used < in.n && !peri_attempt_is_over(a) && !a->is_broken && !a->is_waiting) {
        struct peri_sse_event event;
        ptrdiff_t n = peri_sse_next(&a->sse, &event, peri_str_from(in, used));
        if (n == 0) break;
        if (n < 0) {
            flush_run(a, &run);
            peri_attempt_fail(a, n == -PERI_ENOMEM ? PERI_ENOMEM : PERI_ETOOBIG,
                              "sent an event of more than %zu bytes", a->sse.max);
            return used;
        }
        used += (size_t)n;
        if (!event.has_data) { /* comments keep connections alive; they decide nothing */
            send_event(a, &run, &event);
            continue;
        }
        if (a->stream.saw_done) { /* the answer has ended: clients read no further */
            flush_run(a, &run);
            continue;
        }
        enum peri_stream_kind kind = a->dialect->read_event(&a->stream, event.name, event.data);
        bool is_shown = kind <= PERI_STREAM_DONE;
        if (!is_shown) flush_run(a, &run);
        if (break_off(a, kind, &event)) return used;
        if (kind == PERI_STREAM_WHOLE) {
            if (!put_whole_as_stream(a, event.data)) return used;
            if (a->is_broken) return used;
            if (decides_commit(a, kind)) commit_answer(a);
            if (a->state == PERI_ATTEMPT_READY) return used;
        }
        if (!is_shown) continue;
        has_event = true;
        if (a->state == PERI_ATTEMPT_ASKING && kind == PERI_STREAM_DONE && !may_serve_unsaid(a))
            return used;
        if (decides_commit(a, kind)) {
            send_event(a, &run, &event);
            if (peri_attempt_is_over(a)) return used;
            flush_run(a, &run);
            if (a->is_broken) return used;
            commit_answer(a);
            if (a->state == PERI_ATTEMPT_READY) return used;
            continue;
        }
        if (kind == PERI_STREAM_PROGRESS && may_tell_progress(a)) {
            flush_run(a, &run);
            a->is_progress = true;
            send_event(a, &run, &event);
            if (peri_attempt_is_over(a)) return used;
            flush_run(a, &run);
            a->is_progress = false;
            continue;
        }
        send_event(a, &run, &event);
        if (peri_attempt_is_over(a)) return used;
        if (a->stream.saw_done && a->state == PERI_ATTEMPT_SERVING) expect_end(a);
    }
    if (!peri_attempt_is_over(a)) flush_run(a, &run);
    if (a->state == PERI_ATTEMPT_SERVING && has_event) expect_event(a);
    return used;
}

/* Serving may begin inside this call: then the loop in take_frames goes on with it. */
static size_t read_frames(struct peri_attempt *a, struct peri_str bytes) {
    a->is_reading = true;
    size_t used = take_frames(a, bytes);
    a->is_reading = false;
    bool may_fail = a->state == PERI_ATTEMPT_SERVING || a->state == PERI_ATTEMPT_ASKING;
    if (may_fail && a->is_broken) fail_broken(a);
    return used;
}

/* Its `tried` has run, so it can not fail any more: what is wrong with it is said when it is served. */
static bool spoil_undecided(struct peri_attempt *a, enum peri_err err) {
    struct peri_call *call = a->call;
    a->call = NULL;
    if (call != NULL) peri_call_cancel(call);
    a->err = err;
    a->input = PERI_INPUT_ENDED;
    snprintf(a->detail, sizeof a->detail, "%s", peri_err_text(err));
    return true;
}

bool peri_attempt_feed(struct peri_attempt *a, struct peri_str bytes) {
    if (a->in.n == 0 && a->state != PERI_ATTEMPT_READY) {
        size_t used = read_frames(a, bytes);
        if (peri_attempt_is_over(a)) return true;
        bytes = peri_str_from(bytes, used);
        if (bytes.n > 0 && peri_buf_add(&a->in, bytes) != PERI_OK) goto too_much;
    } else {
        if (peri_buf_add(&a->in, bytes) != PERI_OK) goto too_much;
        if (a->state != PERI_ATTEMPT_READY) {
            size_t used = read_frames(a, peri_buf_str(&a->in));
            if (peri_attempt_is_over(a)) return true;
            peri_buf_drop(&a->in, used);
        }
    }
    if (a->held.err != PERI_OK) { /* still asking: commit_answer looks at it, too */
        fail_held(a, a->held.err);
        return true;
    }
    if (a->state == PERI_ATTEMPT_READY) a->input = PERI_INPUT_PAUSED; /* the policy decides */
    return a->input != PERI_INPUT_PAUSED;
too_much:
    if (a->state == PERI_ATTEMPT_READY) return spoil_undecided(a, a->in.err);
    fail_held(a, a->in.err);
    return true;
}

static void finish_answer(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    if (!a->stream.saw_done) pass_on(a, r->dialect->end_frame);
    if (a->is_broken) {
        fail_broken(a);
        return;
    }
    struct peri_call *call = a->call;
    a->call = NULL;
    if (call != NULL) peri_call_cancel(call);
    peri_vitals_saw_total(a->candidate.provider->vitals,
                          (peri_loop_clock_ns(r->env->loop) - a->started_ns) / 1000);
    peri_request_complete(r, PERI_OK);
}

bool peri_attempt_close_event(struct peri_attempt *a) {
    struct peri_sse sse = a->sse;
    struct peri_sse_event event;
    struct peri_stream_state s = a->stream;
    size_t n = a->in.n;
    if (n == 0) return false;
    bool is_line = a->in.p[n - 1] == '\n' || a->in.p[n - 1] == '\r';
    if (peri_buf_add(&a->in, is_line ? PERI_STR("\n") : PERI_STR("\n\n")) == PERI_OK &&
        peri_sse_next(&sse, &event, peri_buf_str(&a->in)) > 0 && event.has_data &&
        a->dialect->read_event(&s, event.name, event.data) != PERI_STREAM_BROKEN)
        return true;
    a->in.n = n; /* half an event: the stream ends in front of it */
    return false;
}

/* The client asked for usage, and it was cut off behind the finish: it would wait for it in vain. */
static bool lacks_usage(const struct peri_attempt *a) {
    struct peri_json *body = a->own_body != NULL ? a->own_body : a->request->body;
    if (a->stream.saw_done || a->stream.usage.is_known || body == NULL) return false;
    uint32_t options = peri_json_get(body, peri_json_root(body), PERI_STR("stream_options"));
    return peri_json_is_true(body, peri_json_get(body, options, PERI_STR("include_usage")));
}

void peri_attempt_stream_ended(struct peri_attempt *a, enum peri_err err) {
    if (a->is_waiting && a->in.n > 0) {
        a->input = PERI_INPUT_ENDED; /* the client first takes what has come: peri_attempt_resume */
        a->err = err;
        return;
    }
    if (err == PERI_OK && a->state != PERI_ATTEMPT_READY && peri_attempt_close_event(a)) {
        size_t used = read_frames(a, peri_buf_str(&a->in));
        if (peri_attempt_is_over(a)) return;
        peri_buf_drop(&a->in, used);
    }
    bool is_whole = peri_stream_is_complete(&a->stream) && (err == PERI_OK || !lacks_usage(a));
    if (a->state == PERI_ATTEMPT_READY) {
        /* The policy has not decided: keep what came and judge it when served. */
        a->err = is_whole ? PERI_OK : err != PERI_OK ? err : PERI_ETRUNCATED;
        a->input = PERI_INPUT_ENDED;
        return;
    }
    if (is_whole &&
        a->state == PERI_ATTEMPT_ASKING) { /* its finish was held, and no end event followed */
        if (!may_serve_unsaid(a)) return;
        a->input = PERI_INPUT_ENDED;
        a->err = PERI_OK;
        commit_answer(a);
    } else if (is_whole && a->state == PERI_ATTEMPT_SERVING)
        finish_answer(a);
    else if (err == PERI_OK)
        peri_attempt_fail(a, PERI_ETRUNCATED,
                          a->stream.saw_content ? "ended its stream without a finish"
                                                : "ended its stream without content");
    else
        peri_attempt_fail(a, err, "%s", peri_err_text(err));
}

/* The client takes more: what has come already, then what will. */
static void go_on(struct peri_attempt *a) {
    a->is_waiting = is_full(a);
    if (a->in.n > 0) {
        size_t used = read_frames(a, peri_buf_str(&a->in));
        if (peri_attempt_is_over(a)) return;
        peri_buf_drop(&a->in, used);
    }
    if (a->input == PERI_INPUT_ENDED) {
        peri_attempt_stream_ended(a, a->err);
    } else if (!is_full(a)) {
        a->input = PERI_INPUT_FLOWING;
        if (a->call != NULL) peri_call_resume(a->call);
    }
}

void peri_attempt_serve_stream(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    a->state = PERI_ATTEMPT_SERVING;
    peri_request_start_stream(r, a);
    pass_on(a, peri_buf_str(&a->held));
    a->is_waiting = is_full(a);
    peri_buf_done(&a->held);
    peri_timer_init(&a->patience, r->env->loop, on_no_event, a);
    if (a->stream.saw_done)
        expect_end(a);
    else
        expect_event(a);
    if (a->is_reading) return;
    go_on(a);
}

void peri_attempt_resume(struct peri_attempt *a) {
    if (a->input != PERI_INPUT_FLOWING && a->state == PERI_ATTEMPT_SERVING) go_on(a);
}
