/* For tests: a provider on the same loop that says exactly the bytes it is told to, and a note-taking owner of
 * calls. No thread, no sleep: a test turns the loop until something it counts has happened. */
#ifndef PERI_NET_CLIENT_UPSTREAM_TEST_H
#define PERI_NET_CLIENT_UPSTREAM_TEST_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"
#include "net/client/client.h"
#include "net/loop_uv.h"

/* Turn the loop until `claim` holds; a test that hangs is ended by its alarm. */
#define UNTIL(loop, claim)                                                                         \
    do {                                                                                           \
        alarm(60);                                                                                 \
        while (!(claim)) peri_loop_step((loop), true);                                             \
    } while (0)

/* As many turns as the kernel needs to carry something over loopback: none of them waits. */
#define TURNS(loop, n)                                                                             \
    for (int test_turn = 0; test_turn < (n); test_turn++) peri_loop_step((loop), false)

struct upstream;

struct line { /* one accepted connection */
    uv_tcp_t tcp;
    struct peri_list link;
    struct upstream *up;
    struct peri_buf in;
    int requests;
    bool is_gone;    /* the client closed it */
    bool is_closing; /* once what is queued has left */
    const char *rest;
    size_t rest_n, piece;
};

struct upstream {
    struct peri_loop *loop;
    uv_tcp_t listener;
    struct peri_list lines;
    /* Called for each whole request; its number on this connection counts from 1. */
    void (*answer)(struct line *l, int request);
    /* Called for a fresh connection instead of reading from it. */
    void (*greet)(struct line *l);
    const char *script;
    size_t piece;
    int accepts, gone, requests;
    size_t queued_max;
    struct line *last;
    unsigned port;
    char url[64];
    struct peri_url *parsed;
    char head[2048]; /* of the last request */
};

static void line_free(uv_handle_t *handle) {
    struct line *l = handle->data;
    peri_list_remove(&l->link);
    peri_buf_done(&l->in);
    peri_free(l);
}

__attribute__((unused)) static void line_close(struct line *l) {
    if (l->up->last == l) l->up->last = NULL;
    if (!uv_is_closing((uv_handle_t *)&l->tcp)) uv_close((uv_handle_t *)&l->tcp, line_free);
}

__attribute__((unused)) static void line_reset(struct line *l) {
    if (l->up->last == l) l->up->last = NULL;
    uv_tcp_close_reset(&l->tcp, line_free);
}

static void on_line_written(uv_write_t *w, int status);

static void line_send_n(struct line *l, const char *p, size_t n) {
    uv_write_t *w = peri_malloc(sizeof *w);
    uv_buf_t buf = { (char *)p, n };
    if (w == NULL) abort();
    w->data = l;
    if (uv_write(w, (uv_stream_t *)&l->tcp, &buf, 1, on_line_written) != 0) peri_free(w);
    size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&l->tcp);
    if (queued > l->up->queued_max) l->up->queued_max = queued;
}

__attribute__((unused)) static void line_send(struct line *l, const char *text) {
    line_send_n(l, text, strlen(text));
}

static void line_send_piece(struct line *l) {
    size_t n = l->rest_n < l->piece ? l->rest_n : l->piece;
    const char *p = l->rest;
    l->rest += n;
    l->rest_n -= n;
    if (n > 0) line_send_n(l, p, n);
}

static void on_line_written(uv_write_t *w, int status) {
    struct line *l = w->data;
    peri_free(w);
    if (status == 0 && l->rest_n > 0) line_send_piece(l);
    if (l->is_closing && uv_stream_get_write_queue_size((uv_stream_t *)&l->tcp) == 0) line_close(l);
}

__attribute__((unused)) static void line_close_after_writing(struct line *l) {
    l->is_closing = true;
}

/* The script in pieces, one after the other has left. */
__attribute__((unused)) static void line_send_in_pieces(struct line *l, const char *p, size_t n,
                                                        size_t piece) {
    l->rest = p;
    l->rest_n = n;
    l->piece = piece;
    line_send_piece(l);
}

static void on_line_room(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
    static char room[65536];
    (void)handle;
    (void)size;
    *buf = uv_buf_init(room, sizeof room);
}

/* Gives the length of the whole request at the front of the buffer, 0 when there is none yet. */
static size_t whole_request(struct peri_str in) {
    ptrdiff_t head = peri_str_find(in, PERI_STR("\r\n\r\n"));
    if (head < 0) return 0;
    size_t length = 0;
    struct peri_str rest = { in.p, (size_t)head }, line, name;
    while (peri_str_cut(&line, &rest, '\n')) {
        struct peri_str value = line;
        peri_str_cut(&name, &value, ':');
        if (peri_str_eq_nocase(name, PERI_STR("content-length")))
            length = strtoul(value.p, NULL, 10);
    }
    return in.n >= (size_t)head + 4 + length ? (size_t)head + 4 + length : 0;
}

static void on_line_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct line *l = stream->data;
    struct upstream *up = l->up;
    if (n < 0) {
        l->is_gone = true;
        up->gone++;
        line_close(l);
        return;
    }
    peri_buf_add(&l->in, (struct peri_str){ buf->base, (size_t)n });
    for (size_t whole; (whole = whole_request(peri_buf_str(&l->in))) > 0;) {
        snprintf(up->head, sizeof up->head, "%.*s", (int)whole, l->in.p);
        peri_buf_drop(&l->in, whole);
        up->requests++;
        l->requests++;
        if (up->answer != NULL)
            up->answer(l, l->requests);
        else if (up->piece > 0)
            line_send_in_pieces(l, up->script, strlen(up->script), up->piece);
        else
            line_send(l, up->script);
        if (uv_is_closing((uv_handle_t *)stream)) return;
    }
}

static void on_line(uv_stream_t *listener, int status) {
    struct upstream *up = listener->data;
    struct line *l = peri_calloc(1, sizeof *l);
    if (l == NULL || status != 0) abort();
    l->up = up;
    peri_buf_init(&l->in, 0);
    uv_tcp_init(peri_loop_uv(up->loop), &l->tcp);
    l->tcp.data = l;
    peri_list_insert(&up->lines, &l->link);
    if (uv_accept(listener, (uv_stream_t *)&l->tcp) != 0) abort();
    up->accepts++;
    up->last = l;
    if (up->greet != NULL)
        up->greet(l);
    else
        uv_read_start((uv_stream_t *)&l->tcp, on_line_room, on_line_bytes);
}

static void upstream_open(struct upstream *up, struct peri_loop *loop, const char *script) {
    struct sockaddr_in address;
    int size = sizeof address;
    *up = (struct upstream){ .loop = loop, .script = script };
    uv_tcp_init(peri_loop_uv(loop), &up->listener);
    up->listener.data = up;
    peri_list_init(&up->lines);
    uv_ip4_addr("127.0.0.1", 0, &address);
    if (uv_tcp_bind(&up->listener, (struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&up->listener, 1024, on_line) != 0)
        abort();
    uv_tcp_getsockname(&up->listener, (struct sockaddr *)&address, &size);
    up->port = ntohs(address.sin_port);
    snprintf(up->url, sizeof up->url, "http://127.0.0.1:%u/v1", up->port);
    if (peri_url_parse(&up->parsed, peri_str_of(up->url), NULL) != PERI_OK) abort();
}

static void upstream_close(struct upstream *up) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &up->lines) line_close(peri_list_entry(at, struct line, link));
    uv_close((uv_handle_t *)&up->listener, NULL);
    TURNS(up->loop, 2); /* the closed handles live in memory that may go now */
    peri_url_unref(up->parsed);
}

/* A provider of bare sockets, to be read from and cut off at moments that a loop would not allow. */
struct bare {
    int listener, line; /* -1: none */
    struct peri_url *url;
};

__attribute__((unused)) static void bare_open(struct bare *p) {
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    char text[64];
    p->line = -1;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(p->listener, (struct sockaddr *)&address, size) != 0 || listen(p->listener, 8) != 0 ||
        getsockname(p->listener, (struct sockaddr *)&address, &size) != 0)
        abort();
    snprintf(text, sizeof text, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    if (peri_url_parse(&p->url, peri_str_of(text), NULL) != PERI_OK) abort();
}

/* The next connection, when one waits. */
__attribute__((unused)) static bool bare_accept(struct bare *p) {
    p->line = accept(p->listener, NULL, NULL);
    return p->line >= 0;
}

__attribute__((unused)) static void bare_say(const struct bare *p, const char *text) {
    CHECK_EQ(send(p->line, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

__attribute__((unused)) static void bare_hang_up(struct bare *p) {
    if (p->line >= 0) close(p->line);
    p->line = -1;
}

__attribute__((unused)) static void bare_reset(struct bare *p) {
    struct linger now = { .l_onoff = 1 };
    setsockopt(p->line, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    bare_hang_up(p);
}

__attribute__((unused)) static void bare_close(struct bare *p) {
    bare_hang_up(p);
    close(p->listener);
    peri_url_unref(p->url);
}

/* An owner of one call. */
struct seen {
    struct peri_loop *loop;
    struct peri_call *call;
    int heads, bodies, dones, status;
    size_t header_count;
    char headers[1024]; /* "name=value;" each */
    struct peri_buf body;
    struct peri_call_report report;
    /* What to do from inside the callbacks. */
    bool cancel_in_head, cancel_in_body, pause_in_head, pause_in_body;
    struct peri_call *other; /* cancelled from inside on_body */
    bool is_starting;
};

__attribute__((unused)) static void seen_head(void *arg, struct peri_call *call, int status,
                                              const struct peri_header *headers, size_t count) {
    struct seen *s = arg;
    size_t at = 0;
    CHECK(!s->is_starting);
    CHECK(call == s->call);
    CHECK_EQ(s->bodies, 0);
    s->heads++;
    s->status = status;
    s->header_count = count;
    for (size_t i = 0; i < count && at < sizeof s->headers - 200; i++)
        at += (size_t)snprintf(s->headers + at, 200, "%.*s=%.*s;", PERI_STR_ARGS(headers[i].name),
                               PERI_STR_ARGS(headers[i].value));
    if (s->cancel_in_head) {
        peri_call_cancel(call);
        s->call = NULL;
    } else if (s->pause_in_head) {
        peri_call_pause(call);
    }
}

__attribute__((unused)) static bool seen_body(void *arg, struct peri_call *call,
                                              struct peri_str bytes) {
    struct seen *s = arg;
    CHECK(!s->is_starting);
    CHECK_EQ(s->heads, 1);
    CHECK(bytes.n > 0);
    s->bodies++;
    peri_buf_add(&s->body, bytes);
    if (s->other != NULL) {
        peri_call_cancel(s->other);
        s->other = NULL;
    }
    if (s->cancel_in_body) {
        peri_call_cancel(call);
        s->call = NULL;
        return true;
    }
    return !s->pause_in_body;
}

__attribute__((unused)) static void seen_done(void *arg, struct peri_call *call,
                                              const struct peri_call_report *report) {
    struct seen *s = arg;
    CHECK(!s->is_starting);
    CHECK(call == s->call);
    s->dones++;
    s->report = *report;
    s->call = NULL;
}

__attribute__((unused)) static const struct peri_call_ops seen_ops = { seen_head, seen_body,
                                                                       seen_done };

__attribute__((unused)) static enum peri_err seen_start(struct seen *s, struct peri_client *c,
                                                        const struct peri_call_spec *spec) {
    peri_buf_init(&s->body, 0);
    s->is_starting = true;
    enum peri_err err = peri_call_start(&s->call, c, spec, &seen_ops, s);
    s->is_starting = false;
    return err;
}

__attribute__((unused)) static void seen_clear(struct seen *s) {
    peri_buf_done(&s->body);
    *s = (struct seen){ .loop = s->loop };
}

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
#define HALF "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"

__attribute__((unused)) static void say_nothing(struct line *l, int request) {
    (void)l;
    (void)request;
}

/* A test that holds for both ways a plain call can go: over a wire of ours, and through libcurl. */
static bool is_through_libcurl;

#define TEST_BOTH_WAYS(id)                                                                         \
    static void both_##id(void);                                                                   \
    TEST(id) {                                                                                     \
        is_through_libcurl = false;                                                                \
        both_##id();                                                                               \
    }                                                                                              \
    TEST(id##_through_libcurl) {                                                                   \
        is_through_libcurl = true;                                                                 \
        both_##id();                                                                               \
        is_through_libcurl = false;                                                                \
    }                                                                                              \
    static void both_##id(void)

/* The present way's, with the caller's wishes. */
__attribute__((unused)) static struct peri_client *client_with(struct peri_loop *loop,
                                                               struct peri_client_options options) {
    struct peri_client *c;
    options.is_all_libcurl = is_through_libcurl;
    if (peri_client_new(&c, loop, &options) != PERI_OK) abort();
    return c;
}

/* One loop, one provider, one client, one owner. */
struct bench {
    struct peri_loop *loop;
    struct upstream up;
    struct peri_client *client;
    struct seen seen;
    struct peri_call_spec spec;
};

__attribute__((unused)) static void bench_open(struct bench *b, const char *script) {
    memset(b, 0, sizeof *b);
    if (peri_loop_new(&b->loop) != PERI_OK) abort();
    peri_loop_use_fake_time(b->loop);
    upstream_open(&b->up, b->loop, script);
    b->client = client_with(b->loop, (struct peri_client_options){ .arg = NULL });
    b->seen.loop = b->loop;
    b->spec = (struct peri_call_spec){ .url = b->up.parsed,
                                       .method = PERI_STR("POST"),
                                       .body = PERI_STR("{}") };
}

__attribute__((unused)) static void bench_close(struct bench *b) {
    CHECK_EQ(peri_client_open_calls(b->client), 0);
    seen_clear(&b->seen);
    peri_client_free(b->client);
    upstream_close(&b->up);
    peri_loop_free(b->loop);
}

__attribute__((unused)) static void bench_run(struct bench *b) {
    seen_clear(&b->seen);
    CHECK_EQ(seen_start(&b->seen, b->client, &b->spec), PERI_OK);
    UNTIL(b->loop, b->seen.dones > 0);
}

#endif
