#include "net/server/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop_uv.h"

#define KEEP_WHEN_IDLE                                                                             \
    (PERI_KEEPS_MEMORY * 2048) /* bytes of message memory an idle connection keeps */
#define STASH_MAX 65536        /* bytes of later requests taken in while one is being served */
#define LINGER_MS 2000

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(void *arg);

enum peri_err peri_conn_open(struct peri_server *s, int fd, const struct peri_addr *peer) {
    struct peri_conn *c = peri_calloc(1, sizeof *c);
    if (c == NULL || uv_poll_init(peri_loop_uv(s->loop), &c->poll, fd) != 0) {
        enum peri_err err = c == NULL ? PERI_ENOMEM : PERI_EIO;
        close(fd);
        peri_free(c);
        return err;
    }
    c->server = s;
    c->fd = fd;
    c->poll.data = c;
    c->last = &c->first;
    if (peer->n <= sizeof c->peer) memcpy(&c->peer, &peer->sa, peer->n);
    peri_http_init(&c->http, &s->http_limits);
    peri_timer_init(&c->timer, s->loop, on_timer, c);
    peri_list_init(&c->idle);
    peri_list_insert(&s->conns, &c->all);
    s->conn_count++;
    peri_conn_settle(c);
    return PERI_OK;
}

static void on_closed(uv_handle_t *handle) { peri_free(handle->data); }

static void drop_stash(struct peri_conn *c) {
    peri_free(c->stash);
    c->stash = NULL;
    c->stash_at = c->stash_n = 0;
}

void peri_conn_close(struct peri_conn *c) {
    struct peri_server *s = c->server;
    if (c->phase == PERI_CONN_CLOSED) return;
    c->phase = PERI_CONN_CLOSED;
    peri_timer_stop(&c->timer);
    peri_list_remove(&c->all);
    peri_list_remove(&c->idle);
    peri_conn_drop_queue(c);
    drop_stash(c);
    peri_exchange_drop_headers(&c->x);
    peri_http_done(&c->http);
    if (c->must_reset) {
        struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    uv_close((uv_handle_t *)&c->poll, on_closed);
    close(c->fd);
    s->conn_count--;
    peri_server_on_room(s);
}

void peri_conn_gone(struct peri_conn *c) {
    if (c->phase == PERI_CONN_BUSY) {
        c->is_broken = true; /* writes from inside on_gone are refused */
        c->phase = PERI_CONN_FLUSHING;
        c->server->exchange_count--;
        c->server->ops->on_gone(c->server->arg, &c->x);
    }
    peri_conn_close(c);
}

/* Timers and watching. */

static bool has_stash(const struct peri_conn *c) { return c->stash_at < c->stash_n; }

static int wanted_events(const struct peri_conn *c) {
    bool is_serving = c->phase == PERI_CONN_BUSY || c->phase == PERI_CONN_FLUSHING;
    bool is_stashed_full = is_serving && c->stash_n == STASH_MAX;
    int events = c->is_ended ? UV_PRIORITIZED : is_stashed_full ? UV_DISCONNECT : UV_READABLE;
    if (c->queued > 0 && !c->is_held) events |= UV_WRITABLE;
    /* A request waits in the stash: a writable socket brings us back in the next turn. */
    if (c->phase == PERI_CONN_IDLE && has_stash(c)) events |= UV_WRITABLE;
    return events;
}

static void go_idle(struct peri_conn *c) {
    if (!peri_list_is_empty(&c->idle)) return;
    peri_list_insert(&c->server->idle, &c->idle);
    peri_server_on_room(c->server); /* this one may give way */
    if (peri_timer_start(&c->timer, c->server->limits.idle_ms) != PERI_OK) c->is_broken = true;
}

void peri_conn_settle(struct peri_conn *c) {
    if (c->is_inside || c->phase == PERI_CONN_CLOSED) return;
    if (c->phase == PERI_CONN_IDLE && !has_stash(c)) go_idle(c);
    if (c->is_broken && c->phase != PERI_CONN_BUSY) {
        peri_conn_close(c);
        return;
    }
    int events = wanted_events(c);
    if (events == c->events) return;
    c->events = events;
    uv_poll_start(&c->poll, events, on_poll);
}

static void on_timer(void *arg) {
    struct peri_conn *c = arg;
    switch (c->phase) {
    case PERI_CONN_READING:
        c->is_inside = true;
        peri_conn_refuse(c, 408, "the request did not arrive in time");
        c->is_inside = false;
        peri_conn_settle(c);
        break;
    case PERI_CONN_BUSY:
        /* The owner may take its time; only a client that stops reading is given up. */
        if (c->queued == 0 || c->is_held) break;
        c->must_reset = true;
        peri_conn_gone(c);
        break;
    case PERI_CONN_FLUSHING: c->must_reset = true; /* fall through */
    default: peri_conn_close(c);
    }
}

/* A body must not merely trickle: what came buys time at the lowest rate that is still served. */
static void arm_for_rest(struct peri_conn *c) {
    const struct peri_server_limits *limits = &c->server->limits;
    uint64_t now = peri_loop_now_ms(c->server->loop), ms = limits->header_ms;
    if (c->http.state == PERI_HTTP_HEAD) {
        if (c->since_ms != 0) return; /* counted from its first byte */
        c->since_ms = now;
    } else {
        uint64_t came = c->http.n - c->http.body_at;
        if (!c->is_in_body) c->since_ms = now;
        c->is_in_body = true;
        uint64_t due = c->since_ms + limits->body_ms + came * 1000 / limits->body_rate;
        ms = due > now ? due - now : 0;
        if (ms > limits->body_ms) ms = limits->body_ms;
    }
    if (peri_timer_start(&c->timer, ms) != PERI_OK) c->is_broken = true;
}

/* Reading. */

static void hand_over(struct peri_conn *c) {
    struct peri_server *s = c->server;
    c->phase = PERI_CONN_BUSY;
    c->must_close = !c->http.keeps_alive;
    c->x.user = NULL;
    c->x.is_started = c->x.is_chunked = c->x.is_full = false;
    c->x.sent = 0;
    s->exchange_count++;
    s->ops->on_request(s->arg, &c->x);
}

static void say_continue(struct peri_conn *c) {
    struct peri_str go_on = PERI_STR("HTTP/1.1 100 Continue\r\n\r\n");
    c->http.expects_continue = false;
    if (c->http.n == c->http.body_at) peri_conn_send(c, &go_on, 1);
}

/* The parser has taken bytes; `rest` is what followed them. */
static void look(struct peri_conn *c, struct peri_str rest) {
    struct peri_http *h = &c->http;
    if (h->state == PERI_HTTP_DONE && !peri_http_may_begin(rest)) {
        h->state = PERI_HTTP_FAILED;
        h->status = 400;
        h->why = "what follows the request can not begin another one";
    }
    if (h->state == PERI_HTTP_DONE)
        hand_over(c);
    else if (h->state == PERI_HTTP_FAILED)
        peri_conn_refuse(c, h->status, h->why);
    else if (h->state != PERI_HTTP_HEAD && h->expects_continue)
        say_continue(c);
}

/* Requests out of bytes, as long as the owner answers each at once. Gives how many were used. */
static size_t process(struct peri_conn *c, struct peri_str in) {
    size_t taken = 0;
    while (taken < in.n && (c->phase == PERI_CONN_IDLE || c->phase == PERI_CONN_READING)) {
        if (!peri_http_has_begun(&c->http)) c->x.began_ns = peri_loop_clock_ns(c->server->loop);
        taken += peri_http_feed(&c->http, peri_str_from(in, taken));
        if (!peri_http_has_begun(&c->http)) continue;
        if (c->phase == PERI_CONN_IDLE) {
            c->phase = PERI_CONN_READING;
            c->since_ms = 0;
            c->is_in_body = false;
            peri_list_remove(&c->idle);
        }
        look(c, peri_str_from(in, taken));
    }
    if (c->phase == PERI_CONN_READING) arm_for_rest(c);
    return taken;
}

static void keep_for_later(struct peri_conn *c, struct peri_str rest) {
    bool may_be_used = c->phase == PERI_CONN_BUSY || c->phase == PERI_CONN_FLUSHING;
    if (rest.n == 0 || !may_be_used) return;
    if (c->stash_at > 0) {
        memmove(c->stash, c->stash + c->stash_at, c->stash_n - c->stash_at);
        c->stash_n -= c->stash_at;
        c->stash_at = 0;
    }
    char *p = peri_realloc(c->stash, c->stash_n + rest.n);
    if (p == NULL) {
        c->must_close = true; /* the later request is not served; this one is */
        return;
    }
    memcpy(p + c->stash_n, rest.p, rest.n);
    c->stash = p;
    c->stash_n += rest.n;
}

static void process_stash(struct peri_conn *c) {
    char *p = c->stash; /* it cannot be replaced meanwhile: nothing is read */
    size_t taken = process(c, (struct peri_str){ p + c->stash_at, c->stash_n - c->stash_at });
    if (c->phase == PERI_CONN_CLOSED) return;
    c->stash_at += taken;
    if (!has_stash(c)) drop_stash(c);
}

static void on_end_of_input(struct peri_conn *c) {
    bool is_serving = c->phase == PERI_CONN_BUSY || c->phase == PERI_CONN_FLUSHING;
    c->is_ended = true;
    c->must_close = true;
    c->must_linger = false;
    bool is_leaving = !c->server->limits.allow_half_close || c->is_broken;
    if (!is_serving || (c->phase == PERI_CONN_BUSY && is_leaving)) peri_conn_gone(c);
}

static void on_readable(struct peri_conn *c) {
    bool is_serving = c->phase == PERI_CONN_BUSY || c->phase == PERI_CONN_FLUSHING;
    char *place = c->server->scratch, *room;
    size_t most = PERI_CONN_READ_MAX, direct = 0;
    if (is_serving)
        most = STASH_MAX - (c->stash_n - c->stash_at);
    else if (c->phase == PERI_CONN_READING)
        direct = peri_http_room(&c->http, &room);
    if (direct > 0) place = room, most = direct;
    if (most == 0) return;
    ssize_t n = recv(c->fd, place, most, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (n < 0) {
        peri_conn_gone(c);
        return;
    }
    if (n == 0) {
        on_end_of_input(c);
        return;
    }
    struct peri_str in = { place, (size_t)n };
    if (direct > 0) {
        peri_http_filled(&c->http, in.n);
        look(c, (struct peri_str){ NULL, 0 });
        if (c->phase == PERI_CONN_READING) arm_for_rest(c);
    } else if (c->phase != PERI_CONN_LINGERING) {
        size_t taken = is_serving ? 0 : process(c, in);
        keep_for_later(c, peri_str_from(in, taken));
    }
}

/* Writing. */

static void on_writable(struct peri_conn *c) {
    struct peri_server *s = c->server;
    if (peri_conn_drain(c) && c->queued > 0 &&
        peri_timer_start(&c->timer, s->limits.write_ms) != PERI_OK)
        peri_conn_break(c);
    if (c->queued == 0 && c->phase == PERI_CONN_FLUSHING) peri_conn_finished(c);
    if (c->phase != PERI_CONN_BUSY || !c->x.is_full || c->queued > s->limits.write_low) return;
    if (c->is_broken) return;
    c->x.is_full = false;
    if (s->ops->on_drain != NULL) s->ops->on_drain(s->arg, &c->x);
}

static void linger(struct peri_conn *c) {
    c->phase = PERI_CONN_LINGERING;
    shutdown(c->fd, SHUT_WR);
    if (peri_timer_start(&c->timer, LINGER_MS) != PERI_OK) peri_conn_close(c);
}

void peri_conn_finished(struct peri_conn *c) {
    if (c->is_broken || c->must_close || c->server->is_draining) {
        bool has_more_to_say = (c->must_linger || has_stash(c)) && !c->is_ended;
        if (has_more_to_say && !c->is_broken && !c->must_reset)
            linger(c);
        else
            peri_conn_close(c);
        return;
    }
    peri_http_reset(&c->http, KEEP_WHEN_IDLE);
    c->phase = PERI_CONN_IDLE;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct peri_conn *c = poll->data;
    c->is_inside = true;
    if (status < 0 || events == UV_PRIORITIZED || events == UV_DISCONNECT) {
        peri_conn_gone(c);
        return;
    }
    if (c->queued > 0 && !c->is_held && (events & UV_WRITABLE)) on_writable(c);
    if (c->phase == PERI_CONN_IDLE && has_stash(c)) process_stash(c);
    if (c->phase != PERI_CONN_CLOSED && (events & UV_READABLE))
        on_readable(c);
    else if (c->phase != PERI_CONN_CLOSED && (events & (UV_DISCONNECT | UV_PRIORITIZED)))
        peri_conn_gone(c);
    c->is_inside = false;
    peri_conn_settle(c);
}
