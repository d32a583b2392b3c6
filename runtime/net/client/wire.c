#include "net/client/wire.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"

#define SCRATCH_BYTES 65536
#define SEND_TURNS    4 /* writes in a row before others get their turn */
/* Servers close idle connections after one or two minutes; a request that meets such an end is sent twice. */
#define KEEP_MS 110000

static void on_event(uv_poll_t *poll, int status, int events);

/* ---- The end of a call's use ---- */

static void on_closed(uv_handle_t *handle) { peri_free(handle->data); }

static void close_wire(struct peri_wire *w) {
    struct peri_client *c = w->client;
    if (!peri_list_is_empty(&w->aged)) c->aged_count--;
    peri_list_remove(&w->aged);
    peri_list_remove(&w->in_origin);
    peri_origin_leave(c, w->origin);
    peri_buf_done(&w->line);
    uv_close((uv_handle_t *)&w->poll, on_closed);
    close(w->fd);
}

static size_t request_bytes(const struct peri_call *call) {
    return call->text.n + call->request_body.n;
}

static bool may_be_kept(const struct peri_wire *w, const struct peri_call *call) {
    int status = call->head.status;
    return call->is_over && call->verdict == PERI_OK && !w->must_close &&
           w->reading != PERI_WIRE_TO_END && w->sent == request_bytes(call) &&
           call->head.is_http1_1 && !call->head.is_closing && status != 204 && status != 304 &&
           !call->is_head;
}

static void keep(struct peri_wire *w) {
    struct peri_client *c = w->client;
    w->was_kept = true;
    w->idle_since_ms = peri_loop_now_ms(c->loop);
    peri_list_insert(&w->origin->idle, &w->in_origin);
    peri_list_insert(&c->aged, &w->aged);
    if (++c->aged_count > c->options.idle_connections)
        close_wire(peri_list_entry(c->aged.next, struct peri_wire, aged));
}

/* Nothing is to be read for it now. */
static bool is_held(const struct peri_call *call) {
    return call->is_over || (call->is_paused && call->has_head);
}

static void watch(struct peri_wire *w) {
    const struct peri_call *call = w->call;
    int events = call != NULL && is_held(call) ? 0 : UV_READABLE;
    if (call != NULL && !call->is_over && !w->is_write_over) events |= UV_WRITABLE;
    if (!w->is_connected) events = UV_WRITABLE;
    if (events == w->events) return;
    w->events = events;
    if (events == 0)
        uv_poll_stop(&w->poll);
    else
        uv_poll_start(&w->poll, events, on_event);
}

static void detach(struct peri_call *call) {
    call->wire->call = NULL;
    call->wire = NULL;
}

void peri_wire_leave(struct peri_call *call) {
    struct peri_wire *w = call->wire;
    if (w == NULL) return;
    bool is_kept = may_be_kept(w, call);
    detach(call);
    if (!is_kept) {
        close_wire(w);
        return;
    }
    watch(w);
    keep(w);
}

void peri_wire_settle(struct peri_call *call) {
    if (call->wire != NULL) watch(call->wire);
}

/* Nothing more is read; the call ends when what came is handed over. What was wrong before stays: an answer that did
 * not fit into memory has an end, too. */
static void conclude(struct peri_call *call, enum peri_err err, const char *why) {
    call->is_over = true;
    if (call->verdict == PERI_OK) {
        call->verdict = err;
        call->why = why;
    }
    peri_call_ready(call);
}

/* ---- Sending ---- */

static void send_request(struct peri_wire *w) {
    struct peri_call *call = w->call;
    size_t total = request_bytes(call);
    for (int turn = 0; turn < SEND_TURNS && w->sent < total; turn++) {
        struct peri_str head =
            peri_str_from(call->text, w->sent < call->text.n ? w->sent : call->text.n);
        struct peri_str body =
            peri_str_from(call->request_body, w->sent > call->text.n ? w->sent - call->text.n : 0);
        struct iovec parts[2] = { { (char *)head.p, head.n }, { (char *)body.p, body.n } };
        struct msghdr message = { .msg_iov = head.n > 0 ? parts : parts + 1,
                                  .msg_iovlen = head.n > 0 && body.n > 0 ? 2 : 1 };
        ssize_t n = sendmsg(w->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n < 0) {
            /* What the provider said before it closed may still be read; that it was no orderly end is not told twice. */
            w->is_write_over = w->is_broken = true;
            return;
        }
        w->sent += (size_t)n;
        call->sent_bytes = w->sent > call->text.n ? w->sent - call->text.n : 0;
        call->was_sent = true;
    }
    w->is_write_over = w->sent == total;
}

/* ---- Connecting ---- */

static void on_connected(struct peri_wire *w) {
    w->is_connected = true;
    if (!peri_call_connected(w->call)) {
        peri_call_out_of_memory(w->call);
        return;
    }
    send_request(w);
}

static void fail_to_connect(struct peri_call *call, int os_error) {
    call->origin->known_until_ms = 0; /* a name may have another address */
    call->os_error = os_error;
    enum peri_err err = peri_call_unconnected(os_error);
    conclude(call, err,
             err == PERI_EBUSY ? PERI_CALL_NO_ROOM : "the provider could not be connected to");
}

static struct peri_wire *new_wire(struct peri_call *call, int fd) {
    struct peri_client *c = call->client;
    struct peri_wire *w = peri_calloc(1, sizeof *w);
    if (w == NULL || uv_poll_init(peri_loop_uv(c->loop), &w->poll, fd) != 0) {
        peri_free(w);
        close(fd);
        return NULL;
    }
    w->poll.data = w;
    w->client = c;
    w->fd = fd;
    w->origin = call->origin;
    w->origin->users++;
    peri_list_init(&w->in_origin);
    peri_list_init(&w->aged);
    peri_buf_init(&w->line, 0);
    return w;
}

/* Gives -1 with errno, 0 when nobody is said to answer there. */
static int open_socket(struct peri_client *c, struct peri_addr *to) {
    if (c->options.dial == NULL)
        return socket(to->sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    errno = 0;
    return c->options.dial(c->options.arg, &to->sa.any, &to->n);
}

static void refuse_to_connect(struct peri_call *call) {
    call->was_refused = true;
    conclude(call, PERI_EDENIED, NULL);
}

static enum peri_err connect_wire(struct peri_call *call) {
    struct peri_client *c = call->client;
    struct peri_addr to = call->origin->address;
    bool is_asked = c->options.may_connect != NULL && !call->origin->is_named;
    if (is_asked && !c->options.may_connect(c->options.arg, &to.sa.any, call->is_restricted)) {
        refuse_to_connect(call);
        return PERI_OK;
    }
    int on = 1, fd = open_socket(c, &to);
    if (fd < 0 && c->options.dial != NULL && errno == EACCES) {
        refuse_to_connect(call);
        return PERI_OK;
    }
    if (fd < 0) {
        fail_to_connect(call, errno);
        return PERI_OK;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    int done = connect(fd, &to.sa.any, to.n);
    if (done != 0 && errno != EINPROGRESS) {
        fail_to_connect(call, errno);
        close(fd);
        return PERI_OK;
    }
    struct peri_wire *w = new_wire(call, fd);
    if (w == NULL) return PERI_ENOMEM;
    w->call = call;
    call->wire = w;
    call->opened_socket = true;
    if (done == 0) on_connected(w);
    watch(w);
    return PERI_OK;
}

/* Nothing must have come on it: neither its end nor bytes that nobody asked for. */
static bool is_alive(const struct peri_wire *w) {
    char byte;
    return peri_loop_now_ms(w->client->loop) - w->idle_since_ms < KEEP_MS &&
           recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static struct peri_wire *last_kept(const struct peri_origin *o) {
    return peri_list_entry(o->idle.prev, struct peri_wire, in_origin);
}

bool peri_wire_is_kept(const struct peri_origin *o) {
    while (!peri_list_is_empty(&o->idle)) {
        if (is_alive(last_kept(o))) return true;
        close_wire(last_kept(o));
    }
    return false;
}

enum peri_err peri_wire_start(struct peri_call *call) {
    struct peri_client *c = call->client;
    if (c->scratch == NULL && (c->scratch = peri_malloc(SCRATCH_BYTES)) == NULL) return PERI_ENOMEM;
    if (peri_list_is_empty(&call->origin->idle)) return connect_wire(call);
    struct peri_wire *w = last_kept(call->origin);
    peri_list_remove(&w->in_origin);
    peri_list_remove(&w->aged);
    c->aged_count--;
    w->call = call;
    call->wire = w;
    w->sent = 0;
    w->reading = PERI_WIRE_HEAD;
    w->has_answer = w->is_write_over = false;
    on_connected(w);
    watch(w);
    return PERI_OK;
}

/* A kept connection was dead: once more, over a new one. */
static void replace(struct peri_wire *w) {
    struct peri_call *call = w->call;
    detach(call);
    close_wire(w);
    if (!peri_call_disconnected(call) || connect_wire(call) != PERI_OK)
        peri_call_out_of_memory(call);
}

/* ---- Reading ---- */

static void end_answer(struct peri_wire *w, struct peri_str rest) {
    /* A length that is not kept says that nothing of this answer can be relied on; behind a last chunk
     * whatever stands is another message's. Neither connection is used again. */
    bool is_lie = rest.n > 0 && w->reading == PERI_WIRE_LENGTH && !w->call->is_head &&
                  w->call->head.status != 204 && w->call->head.status != 304;
    if (rest.n > 0) w->must_close = true;
    conclude(w->call, is_lie ? PERI_EPROTO : PERI_OK,
             is_lie ? "the provider sent more than it announced" : NULL);
}

static void begin_body(struct peri_wire *w) {
    struct peri_call *call = w->call;
    const struct peri_answer_head *head = &call->head;
    peri_buf_done(&w->line);
    bool has_none = call->is_head || head->status == 204 || head->status == 304;
    w->left = has_none ? 0 : head->length;
    if (head->is_chunked && !has_none) {
        w->reading = PERI_WIRE_CHUNKS;
        peri_chunked_init(&w->chunked, true);
    } else {
        w->reading = head->has_length || has_none ? PERI_WIRE_LENGTH : PERI_WIRE_TO_END;
    }
    if (!peri_call_begin_body(call)) peri_call_out_of_memory(call);
}

/* One line of the head or of the trailer, or the start of one.
 *   gives   bytes taken */
static size_t take_line(struct peri_wire *w, struct peri_str in) {
    struct peri_call *call = w->call;
    const char *newline = memchr(in.p, '\n', in.n);
    size_t n = newline == NULL ? in.n : (size_t)(newline - in.p) + 1;
    struct peri_str line = { in.p, n };
    if (call->head.taken + w->line.n + n > call->head_max) {
        conclude(call, PERI_ETOOBIG, "the answer's head is larger than its limit");
        return n;
    }
    if (newline == NULL || w->line.n > 0) {
        if (peri_buf_add(&w->line, line) != PERI_OK) {
            peri_call_out_of_memory(call);
            return n;
        }
        line = peri_buf_str(&w->line);
    }
    if (newline == NULL) return n;
    bool is_trailer = call->has_head;
    bool is_blank = line.n == 1 || (line.n == 2 && line.p[0] == '\r');
    enum peri_err err = peri_answer_head_line(&call->head, line, call->head_max);
    peri_buf_clear(&w->line);
    if (err != PERI_OK)
        conclude(call, err, call->head.why);
    else if (is_trailer && is_blank)
        end_answer(w, peri_str_from(in, n));
    else if (!is_trailer && call->head.is_complete)
        begin_body(w);
    return n;
}

static void add_body(struct peri_call *call, struct peri_str data) {
    if (data.n > 0 && peri_call_take(call, data) != PERI_OK) peri_call_out_of_memory(call);
}

static size_t take_chunks(struct peri_wire *w, struct peri_str in) {
    struct peri_str data;
    size_t n = peri_chunked_next(&w->chunked, &data, in);
    add_body(w->call, data);
    if (w->chunked.why != NULL) conclude(w->call, PERI_EPROTO, w->chunked.why);
    return n;
}

static size_t take_length(struct peri_wire *w, struct peri_str in) {
    struct peri_str data = in;
    if (w->left < data.n) data.n = (size_t)w->left;
    w->left -= data.n;
    add_body(w->call, data);
    if (w->left == 0) end_answer(w, peri_str_from(in, data.n));
    return data.n;
}

static void take(struct peri_wire *w, struct peri_str in) {
    struct peri_call *call = w->call;
    w->has_answer = true;
    while (!call->is_over && call->verdict == PERI_OK) {
        bool is_in_lines = w->reading == PERI_WIRE_HEAD ||
                           (w->reading == PERI_WIRE_CHUNKS && w->chunked.is_trailer);
        size_t n = in.n;
        if (w->reading == PERI_WIRE_LENGTH)
            n = take_length(w, in); /* also with nothing left: it may be over */
        else if (in.n == 0)
            return;
        else if (is_in_lines)
            n = take_line(w, in);
        else if (w->reading == PERI_WIRE_CHUNKS)
            n = take_chunks(w, in);
        else
            add_body(call, in);
        in = peri_str_from(in, n);
        if (in.n == 0 && !(w->reading == PERI_WIRE_LENGTH && w->left == 0)) return;
    }
}

/* The provider closed (os_error 0) or reset the connection. */
static void on_end(struct peri_wire *w, int os_error) {
    struct peri_call *call = w->call;
    bool is_whole =
        call->has_head && w->reading == PERI_WIRE_TO_END && os_error == 0 && !w->is_broken;
    if (w->was_kept && !w->has_answer)
        replace(w);
    else if (is_whole)
        conclude(call, PERI_OK, NULL);
    else if (call->has_head)
        conclude(call, PERI_ETRUNCATED, "the connection ended in the middle of the answer");
    else
        conclude(call, PERI_ECLOSED, "the connection ended before the answer's head");
}

static void read_answer(struct peri_wire *w) {
    char *scratch = w->client->scratch;
    ssize_t n = recv(w->fd, scratch, SCRATCH_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0)
        take(w, (struct peri_str){ scratch, (size_t)n });
    else
        on_end(w, n < 0 ? errno : 0);
}

static void act(struct peri_wire *w, int status, int events) {
    struct peri_call *call = w->call;
    if (!w->is_connected) {
        int os_error = 0;
        socklen_t size = sizeof os_error;
        getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &os_error, &size);
        if (os_error != 0) {
            fail_to_connect(call, os_error);
            return;
        }
        on_connected(w);
        return;
    }
    if (status < 0) {
        events |= UV_READABLE; /* recv says what it is */
        w->is_write_over = w->is_broken = true;
    }
    if ((events & UV_WRITABLE) && !w->is_write_over) send_request(w);
    if ((events & UV_READABLE) && !is_held(call)) read_answer(w);
}

static void on_event(uv_poll_t *poll, int status, int events) {
    struct peri_wire *w = poll->data;
    struct peri_client *c = w->client;
    if (w->call == NULL) { /* closed by the provider, or bytes nobody asked for */
        close_wire(w);
        return;
    }
    if (status < 0) w->events = 0; /* libuv has stopped watching */
    c->is_pumping = true; /* the pump comes below: nothing asks for another turn of the loop */
    act(w, status, events);
    peri_client_pump(c);
    /* Only now: an answer that is over has given its wire to the next call or to nobody, and either watches on. */
    if (!uv_is_closing((uv_handle_t *)poll)) watch(w);
}

void peri_wires_free(struct peri_client *c) {
    while (!peri_list_is_empty(&c->aged))
        close_wire(peri_list_entry(c->aged.next, struct peri_wire, aged));
    peri_origins_free(c);
}
