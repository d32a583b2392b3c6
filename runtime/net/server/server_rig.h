/* A server under test with raw clients on the same loop: time is fake, and nothing waits. For the tests of whatever
 * serves; those with a server of their own set `loop` and `port`. */
#ifndef PERI_NET_SERVER_SERVER_RIG_H
#define PERI_NET_SERVER_SERVER_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/test.h"
#include "net/server/server.h"

enum answer_kind { ANSWER_AT_ONCE, HOLD, STREAM };

struct rig {
    struct peri_loop *loop;
    struct peri_server *server;
    unsigned port;
    enum answer_kind kind;
    struct peri_exchange *held; /* the last one handed over and not answered */
    int requests, gone, drains, misuses;
    char misused[256]; /* "what name\n" of the last one */
    char seen[4096];   /* "method path body\n" of each request */
};

static void note(struct rig *r, struct peri_exchange *x) {
    size_t n = strlen(r->seen);
    struct peri_str body = peri_exchange_body(x);
    if (body.n > 64) body.n = 64;
    snprintf(r->seen + n, sizeof r->seen - n, "%.*s %.*s %.*s\n",
             PERI_STR_ARGS(peri_exchange_method(x)), PERI_STR_ARGS(peri_exchange_path(x)),
             PERI_STR_ARGS(body));
}

static const struct peri_header plain[] = { { PERI_STR_INIT("content-type"),
                                              PERI_STR_INIT("text/plain") } };

static void on_request(void *arg, struct peri_exchange *x) {
    struct rig *r = arg;
    r->requests++;
    note(r, x);
    if (r->kind == ANSWER_AT_ONCE)
        peri_exchange_answer(x, 200, plain, 1, peri_exchange_path(x));
    else
        r->held = x;
    if (r->kind == STREAM) peri_exchange_start(x, 200, plain, 1, PERI_LENGTH_UNKNOWN);
}

static void on_gone(void *arg, struct peri_exchange *x) {
    struct rig *r = arg;
    CHECK(x == r->held);
    r->held = NULL;
    r->gone++;
}

static void on_misuse(void *arg, struct peri_exchange *x, const char *what, struct peri_str name) {
    struct rig *r = arg;
    (void)x;
    r->misuses++;
    snprintf(r->misused, sizeof r->misused, "%s %.*s", what, PERI_STR_ARGS(name));
}

static void on_drain(void *arg, struct peri_exchange *x) {
    struct rig *r = arg;
    CHECK(x == r->held);
    r->drains++;
}

__attribute__((unused)) static const struct peri_server_ops ops = { on_request, on_gone, on_drain,
                                                                    on_misuse };

__attribute__((unused)) static void rig_open(struct rig *r, enum answer_kind kind,
                                             const struct peri_server_limits *limits) {
    *r = (struct rig){ .kind = kind };
    if (peri_loop_new(&r->loop) != PERI_OK) abort();
    peri_loop_use_fake_time(r->loop);
    struct peri_fault fault;
    if (peri_server_open(&r->server, r->loop, PERI_STR("127.0.0.1:0"), false, limits, &ops, r,
                         &fault) != PERI_OK) {
        fprintf(stderr, "%s\n", fault.text);
        abort();
    }
    r->port = peri_server_port(r->server);
}

__attribute__((unused)) static void rig_close(struct rig *r) {
    peri_server_close(r->server);
    peri_loop_free(r->loop);
}

static void turn(struct rig *r) {
    for (int i = 0; i < 6; i++) peri_loop_step(r->loop, false);
}

/* Turn until `claim` holds; gives up after many turns, each of which waits for nothing. */
#define TURN_UNTIL(r, claim)                                                                       \
    do {                                                                                           \
        for (int turns = 0; turns < 20000 && !(claim); turns++) peri_loop_step((r)->loop, false);  \
        CHECK(claim);                                                                              \
    } while (0)

__attribute__((unused)) static int dial(struct rig *r) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)r->port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    turn(r);
    return fd;
}

static void say_n(struct rig *r, int fd, const char *p, size_t n) {
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent > 0)
            p += sent, n -= (size_t)sent;
        else if (sent < 0 && errno != EAGAIN)
            break;
        peri_loop_step(r->loop, false);
    }
    turn(r);
}

__attribute__((unused)) static void say(struct rig *r, int fd, const char *text) {
    say_n(r, fd, text, strlen(text));
}

static char heard_text[1 << 16];
static bool heard_end, heard_reset;

/* All that has come, as text. */
__attribute__((unused)) static const char *hear(struct rig *r, int fd) {
    size_t n = 0;
    heard_end = heard_reset = false;
    turn(r);
    while (n < sizeof heard_text - 1) {
        ssize_t got = recv(fd, heard_text + n, sizeof heard_text - 1 - n, 0);
        if (got > 0) n += (size_t)got;
        heard_end = got == 0;
        heard_reset = got < 0 && errno == ECONNRESET;
        if (got <= 0) break;
        turn(r);
    }
    heard_text[n] = '\0';
    return heard_text;
}

__attribute__((unused)) static int count(const char *text, const char *part) {
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) n++;
    return n;
}

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }

#define GET_A "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define GET_B "GET /b HTTP/1.1\r\nHost: h\r\n\r\n"

#endif
