/* What the client gets: the head with our own headers, whole answers, and what policies answer themselves. Streams are
 * attempt_stream.c's, errors refusal.c's. */
#include <stdio.h>

#include "dialect/error.h"
#include "dialect/upstream_error.h"
#include "net/header.h"
#include "request/attempt.h"

#define OWN_HEADERS_MAX 13
#define HEADERS_MAX     (OWN_HEADERS_MAX + 2 * PERI_ANSWER_HEADERS_MAX)

/* What is said of an answer is the router's word: headers of these names would be sent twice, or contradict it. */
const char *peri_answer_header_fault(struct peri_header header) {
    static const struct peri_str ours[] = {
        PERI_STR_INIT("date"),
        PERI_STR_INIT("content-type"),
        PERI_STR_INIT("content-encoding"),
        PERI_STR_INIT("x-request-id"),
        PERI_STR_INIT("request-id"),
        PERI_STR_INIT("x-perilune-model"),
        PERI_STR_INIT("x-perilune-route"),
        PERI_STR_INIT("x-perilune-attempts"),
        PERI_STR_INIT("x-perilune-provider"),
        PERI_STR_INIT("x-perilune-overhead-ms"),
    };
    const char *fault = peri_header_fault(header);
    if (fault != NULL) return fault;
    if (peri_header_is_framing(header.name)) return PERI_HEADER_IS_OURS;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (peri_str_eq_nocase(header.name, ours[i])) return PERI_HEADER_IS_OURS;
    return NULL;
}

enum peri_err peri_request_set_header(struct peri_request *r, struct peri_str name,
                                      struct peri_str value) {
    if (peri_answer_header_fault((struct peri_header){ name, value }) != NULL) return PERI_EINVAL;
    if (r->extra_header_count >= PERI_ANSWER_HEADERS_MAX) return PERI_ETOOBIG;
    if (!peri_request_may_write(r, name.n + value.n)) return PERI_ETOOBIG;
    return peri_header_put(&r->arena, &r->extra_headers, &r->extra_header_count, name, value);
}

struct head {
    struct peri_header headers[HEADERS_MAX];
    size_t n;
    char attempts[16], overhead[32];
};

static void add_header(struct head *h, struct peri_str name, struct peri_str value) {
    if (h->n < HEADERS_MAX && value.p != NULL)
        h->headers[h->n++] = (struct peri_header){ name, value };
}

/* A policy's header stands in place of the router's own of that name, or of another policy's. */
static void put_header(struct head *h, struct peri_header header) {
    for (size_t i = 0; i < h->n; i++) {
        if (!peri_str_eq_nocase(h->headers[i].name, header.name)) continue;
        h->headers[i].value = header.value;
        return;
    }
    add_header(h, header.name, header.value);
}

static void note_overhead(struct peri_request *r) {
    if (r->outcome.overhead_us != 0) return;
    peri_request_wait_ends(r);
    uint64_t ns = peri_loop_clock_ns(r->env->loop) - r->began_ns;
    r->outcome.overhead_us = ns > r->waited_ns ? (ns - r->waited_ns) / 1000 + 1 : 1;
}

static struct peri_str number_text(char *to, size_t room, uint64_t whole, int thousandths) {
    int n = thousandths < 0
                ? snprintf(to, room, "%llu", (unsigned long long)whole)
                : snprintf(to, room, "%llu.%03d", (unsigned long long)whole, thousandths);
    return (struct peri_str){ to, (size_t)n };
}

static struct peri_str route_name(struct peri_request *r) {
    if (r->outcome.route.n > 0) return r->outcome.route;
    r->outcome.route = PERI_STR("default");
    if (r->is_known && r->policy != NULL && !r->outcome.has_policy_error) {
        struct peri_str name =
            peri_arena_printf(&r->arena, "%.*s@%llu", PERI_STR_ARGS(r->policy->name),
                              (unsigned long long)r->policy->generation);
        if (name.p != NULL) r->outcome.route = name;
    }
    return r->outcome.route;
}

/* Headers of ours are ASCII: with bytes beyond it, those and '%' are written as %XX (RFC 9110, 5.5). */
static struct peri_str ascii_of(struct peri_request *r, struct peri_str s) {
    static const char hex[] = "0123456789ABCDEF";
    size_t beyond = 0, n = 0;
    for (size_t i = 0; i < s.n; i++) beyond += (unsigned char)s.p[i] >= 0x80;
    if (beyond == 0) return s;
    char *out = peri_arena_alloc(&r->arena, 3 * s.n);
    for (size_t i = 0; out != NULL && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        out[n++] = c >= 0x80 || c == '%' ? '%' : (char)c;
        if (out[n - 1] != '%') continue;
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    return (struct peri_str){ out, n };
}

/* How it was answered, for readers of headers. A streamed answer that began with keep-alive comments went
 * out before most of this was known. */
static void add_own(struct peri_request *r, struct head *h, const struct peri_attempt *a) {
    note_overhead(r);
    struct peri_str id = { r->id, PERI_REQUEST_ID_BYTES };
    add_header(h, PERI_STR("x-request-id"), id); /* as OpenAI's clients look for it */
    add_header(h, PERI_STR("request-id"), id);   /* as Anthropic's do */
    if (a != NULL) add_header(h, PERI_STR("x-perilune-provider"), a->candidate.provider->id);
    if (r->model.n > 0) add_header(h, PERI_STR("x-perilune-model"), ascii_of(r, r->model));
    add_header(h, PERI_STR("x-perilune-attempts"),
               number_text(h->attempts, sizeof h->attempts, r->attempt_count, -1));
    add_header(h, PERI_STR("x-perilune-route"), ascii_of(r, route_name(r)));
    uint64_t us = r->outcome.overhead_us;
    add_header(h, PERI_STR("x-perilune-overhead-ms"),
               number_text(h->overhead, sizeof h->overhead, us / 1000, (int)(us % 1000)));
    for (size_t i = 0; i < r->extra_header_count; i++) put_header(h, r->extra_headers[i]);
    for (size_t i = 0; a != NULL && i < a->answer_header_count; i++)
        put_header(h, a->answer_headers[i]);
}

void peri_request_start_answer(struct peri_request *r, const struct peri_attempt *a, int status,
                               struct peri_str content_type, uint64_t length,
                               const struct peri_header *more, size_t more_count) {
    if (r->relay.state != PERI_RELAY_HELD) {
        peri_timer_stop(&r->relay.keepalive);
        return;
    }
    struct head h = { .n = 0 };
    r->outcome.status = status;
    add_header(&h, PERI_STR("content-type"), content_type);
    if (length == PERI_LENGTH_UNKNOWN) {
        add_header(&h, PERI_STR("cache-control"), PERI_STR("no-cache"));
        add_header(&h, PERI_STR("x-accel-buffering"), PERI_STR("no"));
    }
    for (size_t i = 0; i < more_count; i++) add_header(&h, more[i].name, more[i].value);
    add_own(r, &h, a);
    peri_relay_start(r, status, h.headers, h.n, length);
}

void peri_request_start_stream(struct peri_request *r, const struct peri_attempt *a) {
    peri_request_start_answer(r, a, 200, PERI_STR("text/event-stream; charset=utf-8"),
                              PERI_LENGTH_UNKNOWN, NULL, 0);
}

void peri_request_answer(struct peri_request *r, int status, const struct peri_header *headers,
                         size_t count, struct peri_str body) {
    if (r->phase == PERI_ENDED) return;
    peri_request_start_answer(r, r->serving != NULL ? r->serving : r->last, status,
                              PERI_STR("application/json"), body.n, headers, count);
    peri_relay_put(r, body);
}

/* ---- A provider's answer ---- */

static void serve_whole(struct peri_request *r, struct peri_attempt *a) {
    struct peri_str body = peri_buf_str(&a->in);
    struct peri_buf edited;
    peri_buf_init(&edited, r->config->answer_bytes);
    const struct peri_policy_ops *ops = r->policy == NULL ? NULL : r->policy->ops;
    enum peri_verdict verdict = PERI_HOOK_KEEP;
    if (ops != NULL && ops->answer != NULL)
        verdict = ops->answer(r->policy->self, r, body, &edited);
    if (verdict == PERI_HOOK_REPLACE && edited.err != PERI_OK) verdict = PERI_HOOK_BREAK;
    if (verdict == PERI_HOOK_REFUSE) {
        peri_buf_done(&edited);
        peri_request_refuse(r);
        return;
    }
    if (verdict == PERI_HOOK_BREAK) {
        peri_buf_done(&edited);
        peri_request_fail(r, PERI_ETOOBIG, 502, NULL,
                          "policies made more of the answer than 'limits.answer_bytes' allows");
        return;
    }
    if (verdict == PERI_HOOK_REPLACE) body = peri_buf_str(&edited);
    peri_vitals_saw_total(a->candidate.provider->vitals,
                          (a->first_token_ns - a->started_ns) / 1000);
    peri_request_answer(r, a->status, NULL, 0, body);
    peri_buf_done(&edited);
    peri_request_ended(r, PERI_OK);
}

void peri_request_serve(struct peri_request *r, struct peri_attempt *a) {
    if (r->phase != PERI_DECIDING || a->request != r || a->state != PERI_ATTEMPT_READY) return;
    r->phase = PERI_SERVING;
    r->serving = a;
    r->model = r->outcome.model = peri_attempt_model(a);
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->attempts) { /* they raced and lost */
        struct peri_attempt *other = peri_list_entry(at, struct peri_attempt, link);
        if (other != a) peri_attempt_cancel(other, PERI_ECANCELED);
    }
    if (a->kind == PERI_BODY_EVENTS)
        peri_attempt_serve_stream(a);
    else
        serve_whole(r, a);
}

void peri_request_complete(struct peri_request *r, enum peri_err err) {
    if (r->phase == PERI_ENDED) return;
    struct peri_attempt *a = r->serving;
    if (err == PERI_OK || r->relay.state >= PERI_RELAY_TOLD) {
        peri_request_ended(r, err);
        return;
    }
    struct peri_error_shape shape = peri_error_shape(err, PERI_SIDE_UPSTREAM);
    struct peri_str text = peri_arena_printf(&r->arena, "the stream broke off: provider '%.*s': %s",
                                             PERI_STR_ARGS(a->candidate.provider->id), a->detail);
    peri_request_send_error(r, err, shape.status, shape.type, shape.code, NULL, text, NULL, 0);
}

/* Keep-alive comments have made a stream of the answer: what is said now must be events. */
static void reply_in_stream(struct peri_request *r, int status, struct peri_str json) {
    struct peri_buf frames;
    peri_buf_init(&frames, r->config->answer_bytes);
    bool is_told = status < 400 &&
                   peri_dialect_stream_of_whole(r->dialect, &frames, json) == PERI_OK &&
                   peri_buf_add(&frames, r->dialect->end_frame) == PERI_OK;
    if (is_told) {
        peri_relay_put(r, peri_buf_str(&frames));
        peri_request_ended(r, PERI_OK);
    } else if (status < 400) {
        peri_request_fail(r, PERI_EPOLICY, status, NULL,
                          "the policy's answer can not be told as a stream");
    } else {
        struct peri_upstream_error e;
        peri_upstream_error_read(&e, json, (struct peri_str){ NULL, 0 });
        peri_request_send_error(
            r, PERI_EPOLICY, status, e.type[0] != '\0' ? e.type : "server_error",
            e.code[0] != '\0' ? e.code : NULL, e.param[0] != '\0' ? e.param : NULL,
            peri_str_of(e.message), NULL, 0);
    }
    peri_buf_done(&frames);
}

void peri_request_reply(struct peri_request *r, int status, struct peri_str json) {
    if (r->phase != PERI_DECIDING) return;
    if (status < 200 || status > 599) {
        r->outcome.has_policy_error = true;
        peri_request_fail(r, PERI_EPOLICY, 500, NULL,
                          "the policy answered with the status %d, which is not 200 to 599",
                          status);
        return;
    }
    if (r->relay.state != PERI_RELAY_HELD) {
        reply_in_stream(r, status, json);
        return;
    }
    peri_request_answer(r, status, NULL, 0, json);
    peri_request_ended(r, PERI_OK);
}
