/* Calls: their life from start to report. What happens on the way is told by wire.c, or by curl_call.c with multi.c and
 * watch.c. */
#include "net/client/client.h"

#include "base/err.h"
#include "base/mem.h"
#include "net/client/client_parts.h"
#include "net/client/wire.h"

#define CONNECT_MS 5000
#define HEAD_BYTES 65536
/* What one turn may bring for one call before the owner has seen any of it. */
#define BODY_MAX    (8u << 20)
#define BUFFER_KEEP (64u << 10)
#define HEADER_ROOM 32

static uint64_t since_us(const struct peri_call *call) {
    return (peri_loop_clock_ns(call->client->loop) - call->began_ns) / 1000u;
}

/* Readiness */

static void on_soon(uv_idle_t *idle) {
    struct peri_client *c = idle->data;
    uv_idle_stop(idle);
    c->is_soon = false;
    peri_client_pump(c);
}

/* Pump in the next turn of the loop, which then does not wait. */
void peri_client_soon(struct peri_client *c) {
    if (c->is_soon || c->is_pumping) return;
    c->is_soon = true;
    uv_idle_start(c->soon, on_soon);
}

/* What made it necessary was done meanwhile: save the loop an empty turn. */
static void stay_calm(struct peri_client *c) {
    if (!c->is_soon || !peri_list_is_empty(&c->due) || !peri_list_is_empty(&c->ready)) return;
    c->is_soon = false;
    uv_idle_stop(c->soon);
}

void peri_call_ready(struct peri_call *call) {
    if (!peri_list_is_empty(&call->ready)) return;
    peri_list_insert(&call->client->ready, &call->ready);
    peri_client_soon(call->client);
}

void peri_call_out_of_memory(struct peri_call *call) {
    call->verdict = PERI_ENOMEM;
    peri_call_ready(call);
}

/* Body buffers */

static void borrow_buffer(struct peri_client *c, struct peri_buf *b) {
    if (c->buffer_count > 0)
        *b = c->buffers[--c->buffer_count];
    else
        peri_buf_init(b, BODY_MAX);
}

static void return_buffer(struct peri_client *c, struct peri_buf *b) {
    if (b->cap > 0 && b->cap <= BUFFER_KEEP && c->buffer_count < PERI_CLIENT_BUFFERS) {
        peri_buf_clear(b);
        c->buffers[c->buffer_count++] = *b;
    } else {
        peri_buf_done(b);
    }
    peri_buf_init(b, BODY_MAX);
}

/* Notes: what a transport tells of a call */

/* Until the connection stands: what comes first, its time or that of the whole head. */
static enum peri_err await_connection(struct peri_call *call) {
    uint64_t now = peri_loop_now_ms(call->client->loop), due = now + call->connect_ms;
    call->connect_due_ms = due;
    if (call->first_byte_due_ms != 0 && call->first_byte_due_ms < due)
        due = call->first_byte_due_ms;
    return peri_timer_start(&call->phase, due > now ? due - now : 0);
}

bool peri_call_disconnected(struct peri_call *call) {
    call->is_connected = false;
    return await_connection(call) == PERI_OK;
}

bool peri_call_connected(struct peri_call *call) {
    call->is_connected = true;
    call->connect_us = since_us(call);
    if (call->first_byte_due_ms == 0) {
        peri_timer_stop(&call->phase);
        return true;
    }
    uint64_t now = peri_loop_now_ms(call->client->loop), due = call->first_byte_due_ms;
    return peri_timer_start(&call->phase, due > now ? due - now : 0) == PERI_OK;
}

bool peri_call_begin_body(struct peri_call *call) {
    call->has_head = true;
    call->first_byte_us = since_us(call);
    if (call->idle_ms == 0)
        peri_timer_stop(&call->phase);
    else if (peri_timer_start(&call->phase, call->idle_ms) != PERI_OK)
        return false;
    peri_call_ready(call);
    return true;
}

enum peri_err peri_call_take(struct peri_call *call, struct peri_str bytes) {
    if (call->body.cap == 0) borrow_buffer(call->client, &call->body);
    enum peri_err err = peri_buf_add(&call->body, bytes);
    if (err != PERI_OK) return err;
    call->received_bytes += bytes.n;
    peri_call_ready(call);
    return PERI_OK;
}

/* An owner's callback may free the client: then it goes when nobody stands on it any more. */
static void enter(struct peri_client *c) { c->depth++; }

static void leave(struct peri_client *c) {
    if (--c->depth == 0 && c->is_doomed) peri_client_free(c);
}

/* The end of a call */

static void fill_report(struct peri_call_report *report, struct peri_call *call) {
    enum peri_err err = call->easy != NULL ? peri_call_curl_report(call) : call->verdict;
    *report = (struct peri_call_report){ .err = err,
                                         .status = call->has_head ? call->head.status : 0,
                                         .connect_us = call->connect_us,
                                         .first_byte_us = call->first_byte_us,
                                         .total_us = since_us(call),
                                         .sent_bytes = call->sent_bytes,
                                         .received_bytes = call->received_bytes,
                                         .is_reused = call->is_connected && !call->opened_socket,
                                         .was_sent = call->was_sent };
    if (err == PERI_OK) return;
    const char *why = call->was_refused ? "the address is not allowed" : call->why;
    if (why == NULL) why = peri_err_text(err);
    const char *reason = call->os_error != 0 ? strerrordesc_np(call->os_error) : NULL;
    snprintf(report->detail, sizeof report->detail, "%.120s%s%.30s", why,
             reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

/* The call's connection is kept for others or closed. */
static void leave_transport(struct peri_call *call) {
    if (call->multi != NULL) peri_multi_remove(call);
    peri_wire_leave(call);
}

static void free_call(struct peri_call *call) {
    struct peri_client *c = call->client;
    leave_transport(call);
    if (call->origin != NULL) peri_origin_leave(c, call->origin);
    if (call->easy != NULL) peri_easy_give(c, call->easy);
    peri_timer_stop(&call->phase);
    peri_timer_stop(&call->total);
    peri_list_remove(&call->ready);
    return_buffer(c, &call->body);
    peri_answer_head_done(&call->head);
    peri_url_unref(call->url);
    peri_wipe(call + 1, call->extra_bytes); /* keys among it */
    peri_free(call);
}

static void finish(struct peri_call *call) {
    struct peri_call_report report;
    struct peri_client *c = call->client;
    enter(c);
    fill_report(&report, call);
    c->open_calls--;
    leave_transport(
        call); /* the socket of a call that failed is closed before its owner hears of it */
    peri_list_remove(&call->ready);
    peri_timer_stop(&call->phase);
    peri_timer_stop(&call->total);
    call->ops->on_done(call->arg, call, &report);
    free_call(call);
    leave(c);
}

static void fail(struct peri_call *call, enum peri_err err, const char *why) {
    call->verdict = err;
    call->why = why;
    finish(call);
}

static void on_phase_over(void *arg) {
    struct peri_call *call = arg;
    if (call->is_over) return; /* everything came; the owner has paused */
    if (call->has_head) {
        if (call->is_paused)
            peri_timer_start(&call->phase, call->idle_ms); /* takes the place it has just left */
        else
            fail(call, PERI_ESTALL, "the provider fell silent in the middle of its answer");
    } else if (!call->is_connected &&
               peri_loop_now_ms(call->client->loop) >= call->connect_due_ms) {
        fail(call, PERI_ETIMEOUT, "no connection in the time allowed");
    } else {
        fail(call, PERI_ETIMEOUT, "no answer in the time allowed");
    }
}

static void on_total_over(void *arg) {
    fail(arg, PERI_ETIMEOUT, "the answer was not complete in the time allowed");
}

/* Delivery. Each step gives false when the call is no longer there. */

static bool hand_over_head(struct peri_call *call) {
    struct peri_client *c = call->client;
    size_t count = peri_answer_head_view(&call->head, c->headers, c->header_room);
    if (count > c->header_room) {
        struct peri_header *more = peri_realloc(c->headers, count * sizeof *more);
        if (more == NULL) {
            fail(call, PERI_ENOMEM, NULL);
            return false;
        }
        c->headers = more;
        c->header_room = count;
        peri_answer_head_view(&call->head, c->headers, count);
    }
    call->gave_head = true;
    struct peri_buf lines = call->head.lines; /* outlives a cancel from inside on_head */
    peri_buf_init(&call->head.lines, 0);
    c->current = call;
    call->ops->on_head(call->arg, call, call->head.status, c->headers, count);
    peri_buf_done(&lines);
    return c->current == call;
}

static bool hand_over_body(struct peri_call *call) {
    struct peri_client *c = call->client;
    struct peri_buf body = call->body;
    peri_buf_init(&call->body, BODY_MAX);
    if (call->idle_ms > 0 && !call->is_over)
        peri_timer_start(&call->phase, call->idle_ms); /* armed already: cannot fail */
    c->current = call;
    bool goes_on = call->ops->on_body(call->arg, call, peri_buf_str(&body));
    return_buffer(c, &body);
    if (c->current != call) return false;
    if (!goes_on) peri_call_pause(call);
    return true;
}

static void deliver(struct peri_call *call) {
    if (call->verdict == PERI_ENOMEM && !call->is_over) {
        finish(call);
        return;
    }
    if (call->has_head && !call->gave_head && !hand_over_head(call)) return;
    if (call->body.n > 0 && !call->is_paused && !hand_over_body(call)) return;
    if (call->is_over && call->body.n == 0) finish(call);
}

/* What is ready now, once: what that makes ready waits for the next turn, so that one busy call cannot keep
 * the loop. */
void peri_client_pump(struct peri_client *c) {
    struct peri_list due, ready, *at;
    enter(c);
    c->is_pumping = true;
    peri_list_init(&ready);
    while (!peri_list_is_empty(&c->ready)) {
        at = c->ready.next;
        peri_list_remove(at);
        peri_list_insert(&ready, at);
    }
    while (!peri_list_is_empty(&ready)) {
        at = ready.next;
        peri_list_remove(at);
        deliver(peri_list_entry(at, struct peri_call, ready));
    }
    peri_list_init(&due);
    while (!peri_list_is_empty(&c->due)) {
        at = c->due.next;
        peri_list_remove(at);
        peri_list_insert(&due, at);
    }
    while (!peri_list_is_empty(&due)) {
        at = due.next;
        peri_list_remove(at);
        peri_multi_act(peri_list_entry(at, struct peri_multi, due), CURL_SOCKET_TIMEOUT, 0);
    }
    c->current = NULL;
    c->is_pumping = false;
    if (!c->is_doomed && (!peri_list_is_empty(&c->due) || !peri_list_is_empty(&c->ready)))
        peri_client_soon(c);
    leave(c);
}

/* With the pump to come, nothing that becomes ready on the way asks for another turn of the loop. */
void peri_client_act(struct peri_multi *m, curl_socket_t fd, int flags) {
    struct peri_client *c = m->client;
    c->is_pumping = true;
    peri_multi_act(m, fd, flags);
    peri_client_pump(c);
}

/* The start of a call */

static struct peri_call *new_call(struct peri_client *c, const struct peri_call_spec *spec,
                                  bool is_plain) {
    struct peri_call *call = peri_call_alloc(c, spec, is_plain);
    if (call == NULL) return NULL;
    call->client = c;
    call->fd = CURL_SOCKET_BAD;
    call->url = peri_url_ref(spec->url);
    call->request_body = spec->body;
    call->is_head = peri_str_eq(spec->method, PERI_STR("HEAD"));
    call->is_restricted = spec->is_restricted;
    call->connect_ms = spec->connect_ms == 0 ? CONNECT_MS : spec->connect_ms;
    if (spec->first_byte_ms > 0)
        call->first_byte_due_ms = peri_loop_now_ms(c->loop) + spec->first_byte_ms;
    call->idle_ms = spec->idle_ms;
    call->head_max = spec->head_bytes == 0 ? HEAD_BYTES : spec->head_bytes;
    call->began_ns = peri_loop_clock_ns(c->loop);
    peri_list_init(&call->in_multi);
    peri_list_init(&call->ready);
    peri_buf_init(&call->body, BODY_MAX);
    peri_answer_head_init(&call->head);
    peri_timer_init(&call->phase, c->loop, on_phase_over, call);
    peri_timer_init(&call->total, c->loop, on_total_over, call);
    return call;
}

static enum peri_err start_on_curl(struct peri_call *call, const struct peri_call_spec *spec) {
    enum peri_err err;
    struct peri_multi *m = peri_multi_with_room(&err, call->client, spec->is_restricted);
    if (m == NULL) return err;
    if ((err = peri_call_prepare(call, spec)) != PERI_OK) return err;
    if ((err = peri_multi_add(m, call)) != PERI_OK) return err;
    peri_multi_act(m, CURL_SOCKET_TIMEOUT, 0);
    return PERI_OK;
}

static bool may_be_plain(const struct peri_client *c, const struct peri_call_spec *spec) {
    bool is_tls = peri_url_is_tls(spec->url) && !c->options.is_simulated;
    return !is_tls && spec->unix_path.n == 0 && !c->options.is_all_libcurl;
}

enum peri_err peri_call_start(struct peri_call **out, struct peri_client *c,
                              const struct peri_call_spec *spec, const struct peri_call_ops *ops,
                              void *arg) {
    if (!peri_call_spec_is_valid(spec)) return PERI_EINVAL;
    if (c->open_calls >= c->options.transfers_per_multi * c->options.multis) return PERI_EFULL;
    struct peri_origin *origin = NULL;
    if (may_be_plain(c, spec) &&
        (origin = peri_origin_of(c, spec->url, spec->is_restricted)) == NULL)
        return PERI_ENOMEM;
    bool is_plain =
        origin != NULL && (peri_wire_is_kept(origin) || peri_origin_is_known(c, origin));
    struct peri_call *call = NULL;
    if (is_plain || peri_curl_open(c) == PERI_OK) call = new_call(c, spec, is_plain);
    if (call == NULL) {
        if (origin != NULL) peri_origin_leave(c, origin);
        return PERI_ENOMEM;
    }
    call->origin = origin;
    call->ops = ops;
    call->arg = arg;
    enum peri_err err = await_connection(call);
    if (err == PERI_OK && spec->total_ms > 0) err = peri_timer_start(&call->total, spec->total_ms);
    if (err == PERI_OK) err = is_plain ? peri_wire_start(call) : start_on_curl(call, spec);
    if (err != PERI_OK) {
        free_call(call);
        return err;
    }
    c->open_calls++;
    stay_calm(c);
    *out = call;
    return PERI_OK;
}

void peri_call_cancel(struct peri_call *call) {
    struct peri_client *c = call->client;
    if (c->current == call) c->current = NULL;
    c->open_calls--;
    free_call(call);
}

void peri_call_pause(struct peri_call *call) {
    if (call->is_paused) return;
    call->is_paused = true;
    /* Before the head the pause would hold that back, too; later the first bytes that come pause it. */
    if (call->is_over) return;
    if (call->easy == NULL)
        peri_wire_settle(call);
    else if (call->has_head)
        curl_easy_pause(call->easy->easy, CURLPAUSE_RECV);
}

void peri_call_resume(struct peri_call *call) {
    if (!call->is_paused) return;
    call->is_paused = false;
    if (call->body.n > 0 || call->is_over) peri_call_ready(call);
    if (call->is_over) return;
    if (call->has_head && call->idle_ms > 0) peri_timer_start(&call->phase, call->idle_ms);
    if (call->easy == NULL)
        peri_wire_settle(call);
    else
        curl_easy_pause(call->easy->easy, CURLPAUSE_CONT);
}

/* The client */

enum peri_err peri_client_new(struct peri_client **out, struct peri_loop *loop,
                              const struct peri_client_options *options) {
    struct peri_client *c = peri_calloc(1, sizeof *c);
    if (c == NULL) return PERI_ENOMEM;
    if (options != NULL) c->options = *options;
    if (c->options.transfers_per_multi == 0) c->options.transfers_per_multi = 32;
    if (c->options.multis == 0) c->options.multis = 512;
    if (c->options.idle_connections == 0) c->options.idle_connections = 256;
    c->loop = loop;
    peri_list_init(&c->ready);
    peri_list_init(&c->due);
    peri_list_init(&c->aged);
    c->header_room = HEADER_ROOM;
    c->headers = peri_calloc(c->header_room, sizeof *c->headers);
    if (c->headers == NULL || (c->soon = peri_calloc(1, sizeof *c->soon)) == NULL) {
        peri_client_free(c);
        return PERI_ENOMEM;
    }
    uv_idle_init(peri_loop_uv(loop), c->soon);
    c->soon->data = c;
    *out = c;
    return PERI_OK;
}

static void on_soon_closed(uv_handle_t *handle) { peri_free(handle); }

void peri_client_free(struct peri_client *c) {
    if (c == NULL) return;
    if (c->open_calls > 0) peri_bug("every call has ended before its client goes");
    c->is_doomed = true;
    if (c->depth > 0) return;
    peri_wires_free(c);
    peri_curl_close(c);
    if (c->soon != NULL) uv_close((uv_handle_t *)c->soon, on_soon_closed);
    while (c->buffer_count > 0) peri_buf_done(&c->buffers[--c->buffer_count]);
    peri_free(c->headers);
    peri_free(c->scratch);
    peri_free(c);
}

size_t peri_client_open_calls(const struct peri_client *c) { return c->open_calls; }
size_t peri_client_multis(const struct peri_client *c) { return c->multi_count; }
size_t peri_client_origins(const struct peri_client *c) { return c->origin_count; }
