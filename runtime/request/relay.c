#include "request/relay.h"

#include "request/request.h"

/* More than this on top of a full queue is not kept. The queue takes 1 MiB (server.h): what is left of that has room for
 * saying that the stream broke off. */
#define OVERLOOKED_MAX ((size_t)768 << 10)

/* Long quiet before the first token: a comment keeps proxies and clients from giving up. It fixes the status,
 * not the answer. */
static void on_quiet(void *arg) {
    struct peri_request *r = arg;
    if (r->phase != PERI_DECIDING) return;
    peri_request_start_stream(r, NULL);
    r->relay.sink.ops->write(r->relay.sink.self, PERI_STR(": keepalive\n\n"));
    peri_relay_keep_alive(r);
}

void peri_relay_init(struct peri_request *r, struct peri_sink sink) {
    r->relay.sink = sink;
    peri_timer_init(&r->relay.keepalive, r->env->loop, on_quiet, r);
}

void peri_relay_keep_alive(struct peri_request *r) {
    if (r->is_stream && r->config->keepalive_ms > 0)
        peri_timer_start(&r->relay.keepalive, r->config->keepalive_ms);
}

void peri_relay_start(struct peri_request *r, int status, const struct peri_header *headers,
                      size_t count, uint64_t length) {
    struct peri_relay *y = &r->relay;
    peri_timer_stop(&y->keepalive);
    if (y->state != PERI_RELAY_HELD) return;
    y->state = PERI_RELAY_OPEN;
    y->sink.ops->start(y->sink.self, status, headers, count, length);
}

enum peri_relay_state peri_relay_put(struct peri_request *r, struct peri_str bytes) {
    struct peri_relay *y = &r->relay;
    if (bytes.n == 0 || (y->state != PERI_RELAY_OPEN && y->state != PERI_RELAY_FULL))
        return y->state;
    if (y->state == PERI_RELAY_FULL) {
        if (bytes.n > OVERLOOKED_MAX - y->overlooked) return y->state = PERI_RELAY_LOSSY;
        y->overlooked += bytes.n;
    }
    r->outcome.body_bytes += bytes.n;
    switch (y->sink.ops->write(y->sink.self, bytes)) {
    case PERI_EFULL: return y->state = PERI_RELAY_FULL;
    case PERI_ETOOBIG: return y->state = PERI_RELAY_LOSSY;
    default: return y->state; /* PERI_OK, or the client is gone and the request will hear of it */
    }
}

void peri_relay_tell(struct peri_request *r, struct peri_str frame) {
    struct peri_relay *y = &r->relay;
    if (y->state == PERI_RELAY_HELD || y->state >= PERI_RELAY_TOLD) return;
    r->outcome.body_bytes += frame.n;
    bool has_room = y->sink.ops->write(y->sink.self, frame) != PERI_ETOOBIG;
    y->state = has_room ? PERI_RELAY_TOLD : PERI_RELAY_TORN;
}

bool peri_relay_drained(struct peri_request *r) {
    if (r->relay.state != PERI_RELAY_FULL) return false;
    r->relay.state = PERI_RELAY_OPEN;
    r->relay.overlooked = 0;
    return true;
}

void peri_relay_flush(struct peri_request *r) { r->relay.sink.ops->flush(r->relay.sink.self); }

void peri_relay_close(struct peri_request *r) {
    struct peri_sink sink = r->relay.sink; /* its owner may take r along */
    bool is_torn = r->relay.state == PERI_RELAY_TORN;
    peri_timer_stop(&r->relay.keepalive);
    r->relay.state = PERI_RELAY_CLOSED;
    if (is_torn)
        sink.ops->abort(sink.self);
    else
        sink.ops->end(sink.self);
}

void peri_relay_cut(struct peri_request *r, bool is_gone) {
    if (r->relay.state == PERI_RELAY_CLOSED) return;
    peri_timer_stop(&r->relay.keepalive);
    r->relay.state = PERI_RELAY_CLOSED;
    if (!is_gone) r->relay.sink.ops->abort(r->relay.sink.self);
}
