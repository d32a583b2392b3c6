#include "net/server/server.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop_uv.h"
#include "net/server/conn.h"

#define BACKLOG     4096
#define ACCEPT_MAX  64  /* connections in a row, then those that are open have a go */
#define PAUSE_MS    100 /* when descriptors ran out: a full accept queue would wake us for nothing */
#define COUNT_LIMIT 65000

static void fill(size_t *value, size_t standard) {
    if (*value == 0) *value = standard;
}

static void fill_ms(uint64_t *value, uint64_t standard) {
    if (*value == 0) *value = standard;
}

void peri_server_limits_fill(struct peri_server_limits *limits) {
    fill(&limits->header_bytes, 32768);
    fill(&limits->header_lines, 100);
    fill(&limits->uri_bytes, 8192);
    fill(&limits->body_bytes, 33554432);
    fill(&limits->connections, 16384);
    fill(&limits->body_rate, 500);
    fill(&limits->write_high, 262144);
    fill(&limits->write_low, 65536);
    fill_ms(&limits->header_ms, 10000);
    fill_ms(&limits->body_ms, 30000);
    fill_ms(&limits->idle_ms, 75000);
    fill_ms(&limits->write_ms, 60000);
    if (limits->header_bytes > PERI_HTTP_HEAD_MAX) limits->header_bytes = PERI_HTTP_HEAD_MAX;
    if (limits->header_lines > COUNT_LIMIT) limits->header_lines = COUNT_LIMIT;
    if (limits->write_low >= limits->write_high) limits->write_low = limits->write_high / 2;
}

void peri_server_log_misuse(struct peri_log *log, struct peri_str request_id, const char *what,
                            struct peri_str name) {
    if (log == NULL || !peri_log_begin(log, PERI_LOG_ERROR, what)) return;
    if (request_id.n > 0) peri_log_str(log, "request_id", request_id);
    if (name.n > 0) peri_log_str(log, "header", name);
    peri_log_end(log);
}

/* Accepting. */

static void on_listener(uv_poll_t *poll, int status, int events);

static void start_accepting(struct peri_server *s) {
    if (s->fd < 0 || s->is_accepting || s->is_draining || s->is_closing) return;
    s->is_accepting = uv_poll_start(&s->listener, UV_READABLE, on_listener) == 0;
}

static void stop_accepting(struct peri_server *s) {
    if (!s->is_accepting) return;
    s->is_accepting = false;
    uv_poll_stop(&s->listener);
}

static void on_pause_over(void *arg) { start_accepting(arg); }

static void pause_accepting(struct peri_server *s) {
    stop_accepting(s);
    if (peri_timer_start(&s->pause, PAUSE_MS) != PERI_OK) start_accepting(s);
}

/* The connection that has been idle longest makes room: keep-alive is a courtesy, being reachable is not. */
static bool make_room(struct peri_server *s) {
    if (peri_list_is_empty(&s->idle)) return false;
    peri_conn_close(peri_list_entry(s->idle.next, struct peri_conn, idle));
    return true;
}

void peri_server_on_room(struct peri_server *s) {
    if (!peri_timer_is_armed(&s->pause)) start_accepting(s);
}

static bool is_out_of_resources(int err) {
    return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

/* gives false when no further connection can be had now */
static bool accept_one(struct peri_server *s) {
    struct peri_addr peer = { .n = sizeof peer.sa };
    bool is_full = s->conn_count >= s->limits.connections;
    if (is_full && peri_list_is_empty(&s->idle)) {
        stop_accepting(s);
        return false;
    }
    int fd = accept4(s->fd, &peer.sa.any, &peer.n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && is_out_of_resources(errno)) {
        if (!make_room(s)) pause_accepting(s);
        return false;
    }
    if (fd < 0) return errno == ECONNABORTED || errno == EINTR;
    if (is_full) make_room(s);
    if (peri_conn_open(s, fd, &peer) != PERI_OK) {
        pause_accepting(s);
        return false;
    }
    return true;
}

static void on_listener(uv_poll_t *poll, int status, int events) {
    struct peri_server *s = poll->data;
    (void)events;
    if (status < 0) {
        s->is_accepting = false;
        pause_accepting(s);
        return;
    }
    for (int i = 0; i < ACCEPT_MAX && accept_one(s);) i++;
}

/* Listening. */

/* A socket file outlives the process that made it; it may be replaced when nobody answers there. */
static void remove_stale_socket(const struct peri_addr *addr) {
    struct stat st;
    if (lstat(addr->sa.local.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (connect(fd, &addr->sa.any, addr->n) != 0 && errno == ECONNREFUSED)
        unlink(addr->sa.local.sun_path);
    close(fd);
}

/* What accepted sockets inherit on Linux is set once here. */
static bool set_options(int fd, const struct peri_addr *addr, bool reuse_port) {
    int on = 1;
    if (addr->sa.any.sa_family == AF_UNIX) return true;
    bool is_set = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0;
    return is_set && (!reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
}

static int listen_on(const struct peri_addr *addr, bool reuse_port) {
    bool is_local = addr->sa.any.sa_family == AF_UNIX;
    int fd = socket(addr->sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (is_local) remove_stale_socket(addr);
    if (set_options(fd, addr, reuse_port) && bind(fd, &addr->sa.any, addr->n) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

static void on_listener_closed(uv_handle_t *handle) { peri_free(handle->data); }

static void release(struct peri_server *s) {
    if (s->fd >= 0) close(s->fd);
    peri_free(s->scratch);
    peri_free(s->spare);
}

enum peri_err peri_server_new(struct peri_server **out, struct peri_loop *loop,
                              const struct peri_server_limits *limits,
                              const struct peri_server_ops *ops, void *arg) {
    struct peri_server *s = peri_calloc(1, sizeof *s);
    if (s == NULL) return PERI_ENOMEM;
    s->loop = loop;
    s->ops = ops;
    s->arg = arg;
    s->fd = -1;
    if (limits != NULL) s->limits = *limits;
    peri_server_limits_fill(&s->limits);
    s->http_limits = (struct peri_http_limits){ s->limits.header_bytes, s->limits.header_lines,
                                                s->limits.uri_bytes, s->limits.body_bytes };
    peri_list_init(&s->conns);
    peri_list_init(&s->idle);
    peri_timer_init(&s->pause, loop, on_pause_over, s);
    s->scratch = peri_malloc(PERI_CONN_READ_MAX);
    if (s->scratch == NULL) {
        peri_free(s);
        return PERI_ENOMEM;
    }
    *out = s;
    return PERI_OK;
}

enum peri_err peri_server_adopt(struct peri_server *s, int fd, const struct peri_addr *peer) {
    return peri_conn_open(s, fd, peer);
}

enum peri_err peri_server_open(struct peri_server **out, struct peri_loop *loop,
                               struct peri_str address, bool reuse_port,
                               const struct peri_server_limits *limits,
                               const struct peri_server_ops *ops, void *arg,
                               struct peri_fault *fault) {
    struct peri_server *s;
    enum peri_err err = peri_server_new(&s, loop, limits, ops, arg);
    if (err != PERI_OK) return peri_fault_set(fault, err, "out of memory");
    if ((err = peri_addr_parse(&s->addr, address, fault)) != PERI_OK) goto fail;
    s->fd = listen_on(&s->addr, reuse_port);
    if (s->fd < 0 || uv_poll_init(peri_loop_uv(loop), &s->listener, s->fd) != 0) {
        err = peri_fault_set(fault, PERI_EIO, "cannot listen on %.*s: %s", PERI_STR_ARGS(address),
                             strerror(errno));
        goto fail;
    }
    s->listener.data = s;
    if (s->addr.sa.any.sa_family != AF_UNIX) getsockname(s->fd, &s->addr.sa.any, &s->addr.n);
    start_accepting(s);
    *out = s;
    return PERI_OK;
fail:
    release(s);
    peri_free(s);
    return err;
}

/* A request that has come and was not read yet is answered: its client does not know whether it may send it again. */
static bool has_unread(const struct peri_conn *c) {
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void peri_server_drain(struct peri_server *s) {
    struct peri_list *at, *spare;
    if (s->is_draining) return;
    /* Who is in the system's queue was let in already; who comes later must be refused, not left waiting. */
    for (int i = 0; s->fd >= 0 && i < BACKLOG && accept_one(s); i++) continue;
    s->is_draining = true;
    stop_accepting(s);
    if (s->fd >= 0) shutdown(s->fd, SHUT_RD);
    peri_list_each(at, spare, &s->idle) {
        struct peri_conn *c = peri_list_entry(at, struct peri_conn, idle);
        if (!has_unread(c)) peri_conn_close(c);
    }
}

void peri_server_close(struct peri_server *s) {
    if (s == NULL) return;
    s->is_closing = true;
    stop_accepting(s);
    peri_timer_stop(&s->pause);
    while (!peri_list_is_empty(&s->conns))
        peri_conn_gone(peri_list_entry(s->conns.next, struct peri_conn, all));
    if (s->fd < 0) {
        release(s);
        peri_free(s);
        return;
    }
    if (s->addr.sa.any.sa_family == AF_UNIX) unlink(s->addr.sa.local.sun_path);
    uv_close((uv_handle_t *)&s->listener, on_listener_closed);
    release(s);
}

unsigned peri_server_port(const struct peri_server *s) { return peri_addr_port(&s->addr); }
size_t peri_server_connections(const struct peri_server *s) { return s->conn_count; }
size_t peri_server_exchanges(const struct peri_server *s) { return s->exchange_count; }
