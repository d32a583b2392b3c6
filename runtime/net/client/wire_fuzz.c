/* One answer, cut into pieces as the input says, over a wire and through libcurl. What the wire takes for whole libcurl
 * does, too, with the same bytes; every call ends once; nothing of one answer is ever part of the next. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/client/client.h"
#include "net/header.h"

#define ROUNDS_MAX 64 /* looks at the loop that any of this may need */
#define PIECES_MAX 64

enum { WIRE, LIBCURL, WAYS };
enum { CLOSES = 1, IS_HEAD = 2, IS_SECOND = 4, PAUSES = 8, PAUSES_EARLY = 16, IS_WHOLE = 32 };

/* The other side: local sockets, which are there as soon as they are connected to. */
struct provider {
    int listener, line;
    struct sockaddr_un address;
    socklen_t address_n;
};

struct fuzz {
    struct peri_loop *loop;
    struct peri_client *clients[WAYS];
    struct peri_url *url;
    struct provider provider;
};

struct seen {
    struct peri_call *call;
    struct peri_buf body;
    struct peri_call_report report;
    int heads, dones;
    bool pauses, has_length;
    uint64_t length;
};

static void demand(bool claim) {
    if (!claim) abort();
}

static int dial(void *arg, struct sockaddr *address, socklen_t *length) {
    const struct provider *p = arg;
    memcpy(address, &p->address, p->address_n);
    *length = p->address_n;
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void on_head(void *arg, struct peri_call *call, int status,
                    const struct peri_header *headers, size_t count) {
    struct seen *s = arg;
    demand(call == s->call && s->heads++ == 0 && s->body.n == 0);
    demand(status >= 200 && status <= 999);
    for (size_t i = 0; i < count; i++) {
        demand(peri_http_is_token(headers[i].name) && peri_http_is_value(headers[i].value));
        if (!peri_str_eq_nocase(headers[i].name, PERI_STR("content-length"))) continue;
        demand(!s->has_length && peri_str_to_u64(&s->length, headers[i].value) == PERI_OK);
        s->has_length = true;
    }
}

static bool on_body(void *arg, struct peri_call *call, struct peri_str bytes) {
    struct seen *s = arg;
    demand(call == s->call && s->heads == 1 && s->dones == 0 && bytes.n > 0);
    peri_buf_add(&s->body, bytes);
    return !s->pauses;
}

static void on_done(void *arg, struct peri_call *call, const struct peri_call_report *report) {
    struct seen *s = arg;
    demand(call == s->call && s->dones++ == 0);
    s->report = *report;
}

static void turn(struct fuzz *f, struct seen *s) {
    for (int i = 0; i < 3; i++) {
        peri_loop_step(f->loop, false);
        if (s->pauses && s->dones == 0 && i == 0) peri_call_resume(s->call);
    }
}

static void hang_up(struct provider *p) {
    if (p->line >= 0) close(p->line);
    p->line = -1;
}

/* A whole request, which is always small, on the connection there is or on a new one. */
static bool hear(struct provider *p) {
    char request[4096];
    for (int tries = 0; tries < 2; tries++) {
        ssize_t n = p->line < 0 ? -1 : recv(p->line, request, sizeof request, MSG_DONTWAIT);
        if (n > 0) {
            demand(n > 4 && memmem(request, (size_t)n, "\r\n\r\n", 4) != NULL);
            return true;
        }
        int line = accept(p->listener, NULL, NULL);
        if (line < 0) return false;
        hang_up(p);
        p->line = line;
    }
    return false;
}

static void start(struct fuzz *f, struct seen *s, int way, int kind) {
    static const struct peri_call_ops ops = { on_head, on_body, on_done };
    struct peri_call_spec spec = { .url = f->url,
                                   .method = kind & IS_HEAD ? PERI_STR("HEAD") : PERI_STR("POST"),
                                   .body = kind & IS_HEAD ? PERI_STR("") : PERI_STR("{}"),
                                   .head_bytes = 2048,
                                   .total_ms = 1000 };
    *s = (struct seen){ .pauses = (kind & PAUSES) != 0 };
    peri_buf_init(&s->body, 0);
    demand(peri_call_start(&s->call, f->clients[way], &spec, &ops, s) == PERI_OK);
    if (kind & PAUSES_EARLY) peri_call_pause(s->call);
    for (int i = 0; i < ROUNDS_MAX && !hear(&f->provider); i++) peri_loop_step(f->loop, false);
    demand(f->provider.line >= 0);
}

static void end(struct fuzz *f, struct seen *s) {
    for (int i = 0; i < 4 && s->dones == 0; i++) {
        peri_call_resume(s->call);
        turn(f, s);
    }
    if (s->dones == 0) peri_loop_advance(f->loop, 1000);
    demand(s->dones == 1 && s->report.received_bytes == s->body.n);
    demand((s->heads == 0) == (s->report.status == 0));
    demand(s->report.err == PERI_OK || s->report.detail[0] != '\0');
}

static void say(struct fuzz *f, struct seen *s, const uint8_t *p, size_t n) {
    if (n > 0 && s->dones == 0)
        demand(send(f->provider.line, p, n, MSG_NOSIGNAL) == (ssize_t)n || errno == EPIPE ||
               errno == ECONNRESET);
    turn(f, s);
}

/* The next request of the same client gets its own answer, whatever was said before. */
static void ask_again(struct fuzz *f, int way, const char *text) {
    char answer[64];
    struct seen s;
    start(f, &s, way, 0);
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n%s", text);
    say(f, &s, (const uint8_t *)answer, strlen(answer));
    end(f, &s);
    demand(s.report.err == PERI_OK && s.report.status == 200);
    demand(peri_str_eq(peri_buf_str(&s.body), peri_str_of(text)));
    peri_buf_done(&s.body);
}

static void run(struct fuzz *f, struct seen *s, int way, int kind, const uint8_t *data, size_t n) {
    if (kind & IS_SECOND) ask_again(f, way, "before");
    start(f, s, way, kind);
    /* Each piece as long as a byte of the input says, of those that stand at its end. */
    for (size_t at = 0, i = 0; at < n; i++) {
        size_t piece = (kind & IS_WHOLE) || i >= PIECES_MAX ? n : data[n - 1 - i % n] % 16u + 1;
        if (piece > n - at) piece = n - at;
        say(f, s, data + at, piece);
        at += piece;
    }
    if (kind & CLOSES) {
        hang_up(&f->provider);
        turn(f, s);
    }
    end(f, s);
    ask_again(f, way, "behind");
    hang_up(&f->provider);
    peri_loop_step(f->loop, false);
    peri_loop_step(f->loop, false);
}

static bool is_bodiless(const struct seen *s, int kind) {
    return (kind & IS_HEAD) || s->report.status == 204 || s->report.status == 304;
}

/* More than was announced is seen only when it comes together with what was. */
static bool found_more(const struct seen *s) {
    return s->report.err == PERI_EPROTO && strstr(s->report.detail, "more than it") != NULL;
}

static void check_alone(const struct seen *s, int kind) {
    if (is_bodiless(s, kind)) demand(s->body.n == 0);
    if (s->has_length && !is_bodiless(s, kind)) {
        demand(s->body.n <= s->length);
        if (s->report.err == PERI_OK) demand(s->body.n == s->length);
    }
}

/* What one takes for whole, so does the other. */
static void check_pair(const struct seen *a, const struct seen *b) {
    if (a->report.err != PERI_OK || found_more(b)) return;
    demand(b->report.err == PERI_OK && a->report.status == b->report.status);
    demand(peri_str_eq(peri_buf_str(&a->body), peri_buf_str(&b->body)));
}

static void set_up(struct fuzz *f) {
    struct provider *p = &f->provider;
    p->line = -1;
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    p->address.sun_family = AF_UNIX;
    p->address_n = sizeof p->address;
    /* The kernel finds a name: five characters. */
    demand(bind(p->listener, (struct sockaddr *)&p->address, sizeof(sa_family_t)) == 0 &&
           getsockname(p->listener, (struct sockaddr *)&p->address, &p->address_n) == 0 &&
           listen(p->listener, 8) == 0);
    demand(peri_loop_new(&f->loop) == PERI_OK);
    peri_loop_use_fake_time(f->loop);
    for (int way = 0; way < WAYS; way++) {
        struct peri_client_options options = { .is_all_libcurl = way == LIBCURL,
                                               .dial = dial,
                                               .arg = p };
        demand(peri_client_new(&f->clients[way], f->loop, &options) == PERI_OK);
    }
    demand(peri_url_parse(&f->url, PERI_STR("http://192.0.2.1/v1"), NULL) == PERI_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct fuzz f;
    struct seen cut, whole, other;
    if (n < 2 || n > 8192) return 0;
    if (f.loop == NULL) set_up(&f);
    int kind = data[0] & (CLOSES | IS_HEAD | IS_SECOND | PAUSES | PAUSES_EARLY);
    int simple = (kind & (CLOSES | IS_HEAD | IS_SECOND)) | IS_WHOLE;
    run(&f, &cut, WIRE, kind, data + 1, n - 1);
    run(&f, &whole, WIRE, simple, data + 1, n - 1);
    run(&f, &other, LIBCURL, simple, data + 1, n - 1);
    check_alone(&cut, kind);
    check_alone(&whole, kind);
    check_alone(&other, kind);
    check_pair(&cut, &whole);
    check_pair(&whole, &cut);
    check_pair(&whole, &other);
    peri_buf_done(&cut.body);
    peri_buf_done(&whole.body);
    peri_buf_done(&other.body);
    return 0;
}
