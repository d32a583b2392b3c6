#include "router/testbed.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "router/router.h"

#define EPOCH_NS          UINT64_C(1767225600000000000) /* when every bed begins: 2026-01-01 */
#define OWN_ADDRESS       0x0a000000u /* 10.0.0.0: every connection has a peer of its own */
#define BACKLOG           128
#define PROVIDERS_ADDRESS 0xc0000201u /* 192.0.2.1 */
#define ADMIN_PORT        81

enum kind { CALL, EXCHANGE, TIMER };

/* Whatever the callback may be told about later. */
struct item {
    struct peri_list link;
    struct peri_testbed *bed;
    uint64_t id;
    enum kind kind;
    struct peri_call *call;
    struct peri_exchange *exchange;
    struct peri_timer timer;
    char body[]; /* of a call */
};

/* A connection that was dialed and not accepted yet. */
enum waiting_for { A_PROVIDER, THE_ROUTER, ITS_OPERATOR };
struct waiting {
    enum waiting_for whom;
    struct peri_addr peer;
};

struct peri_testbed {
    peri_bed_tell tell;
    void *arg;
    struct peri_loop *loop; /* everybody's: fake time, turned here */
    struct peri_router *router;
    struct peri_worker *worker; /* its only one */
    struct peri_client *asking; /* clients of the router */
    struct peri_server *answering;
    struct peri_clock clock;
    int log_fd, listener;
    struct sockaddr listen_at;
    socklen_t listen_n;
    struct waiting waiting[BACKLOG];
    size_t waiting_count;
    struct peri_turn turn;
    uint64_t began_ms, last_id;
    uint32_t connections;
    bool is_closing;
    struct peri_list items;
};

/* ---- Items ---- */

static struct item *new_item(struct peri_testbed *b, enum kind kind, size_t bytes) {
    struct item *i = peri_calloc(1, sizeof *i + bytes);
    if (i == NULL) return NULL;
    i->bed = b;
    i->kind = kind;
    i->id = ++b->last_id;
    peri_list_insert(&b->items, &i->link);
    return i;
}

static void drop_item(struct item *i) {
    peri_list_remove(&i->link);
    peri_free(i);
}

static struct item *find_item(struct peri_testbed *b, enum kind kind, uint64_t id) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &b->items) {
        struct item *i = peri_list_entry(at, struct item, link);
        if (i->id == id && i->kind == kind) return i;
    }
    return NULL;
}

static bool tell_event(struct peri_testbed *b, const struct peri_bed_event *event) {
    return !b->is_closing && b->tell(b->arg, event);
}

/* ---- Time ---- */

static uint64_t passed_ns(void *arg) {
    const struct peri_testbed *b = arg;
    return peri_testbed_now_ms(b) * 1000000u;
}

static uint64_t wall_ns(void *arg) { return EPOCH_NS + passed_ns(arg); }

uint64_t peri_testbed_now_ms(const struct peri_testbed *b) {
    return peri_loop_now_ms(b->loop) - b->began_ms;
}

void peri_testbed_settle(struct peri_testbed *b) { peri_loop_settle(b->loop); }

uint64_t peri_testbed_next_ms(struct peri_testbed *b) { return peri_loop_next_ms(b->loop); }

void peri_testbed_advance(struct peri_testbed *b, uint64_t ms) {
    struct peri_loop *loop = b->loop;
    uint64_t until = peri_loop_now_ms(loop) + ms;
    peri_loop_settle(loop);
    for (;;) {
        uint64_t left = until - peri_loop_now_ms(loop), next = peri_loop_next_ms(loop);
        peri_loop_advance(loop, next < left ? next : left);
        peri_loop_settle(loop);
        if (next >= left) return;
    }
}

static void on_due(void *arg) {
    struct item *i = arg;
    struct peri_testbed *b = i->bed;
    struct peri_bed_event event = { .kind = PERI_BED_DUE, .id = i->id };
    drop_item(i);
    tell_event(b, &event);
}

enum peri_err peri_testbed_after(struct peri_testbed *b, uint64_t *id, uint64_t ms) {
    struct item *i = new_item(b, TIMER, 0);
    if (i == NULL) return PERI_ENOMEM;
    peri_timer_init(&i->timer, b->loop, on_due, i);
    *id = i->id;
    enum peri_err err = peri_timer_start(&i->timer, ms);
    if (err != PERI_OK) drop_item(i);
    return err;
}

/* ---- Connections ---- */

/* Every connection of either side goes to one listener without a name in the file system. They are accepted in the
 * order in which they were dialed, which is how it is known whose each is. */

static int open_listener(struct peri_testbed *b) {
    b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t family_only = sizeof(sa_family_t); /* unix(7), autobind: a name of five digits */
    struct sockaddr any = { .sa_family = AF_UNIX };
    b->listen_n = sizeof b->listen_at;
    return b->listener >= 0 && bind(b->listener, &any, family_only) == 0 &&
                   listen(b->listener, BACKLOG) == 0 &&
                   getsockname(b->listener, &b->listen_at, &b->listen_n) == 0 &&
                   b->listen_n <= sizeof b->listen_at
               ? 0
               : -1;
}

/* A name for the near end, that the far one is told. */
static struct waiting name_peer(struct peri_testbed *b, enum waiting_for whom) {
    struct waiting w = { .whom = whom, .peer = { .n = sizeof w.peer.sa.in4 } };
    b->connections++;
    w.peer.sa.in4.sin_family = AF_INET;
    w.peer.sa.in4.sin_addr.s_addr = htonl(OWN_ADDRESS | b->connections >> 14);
    w.peer.sa.in4.sin_port = htons((in_port_t)(0x4000 | (b->connections & 0x3fff)));
    return w;
}

/* Only as many wait as the listener takes. */
static int lead_here(struct peri_testbed *b, const struct waiting *w, struct sockaddr *address,
                     socklen_t *length) {
    if (b->waiting_count == BACKLOG) return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    memcpy(address, &b->listen_at, b->listen_n);
    *length = b->listen_n;
    b->waiting[b->waiting_count++] = *w;
    return fd;
}

/* The router connects to a provider. */
static int dial_provider(void *arg, struct sockaddr *address, socklen_t *length) {
    struct peri_testbed *b = arg;
    const struct sockaddr_in *to = (const struct sockaddr_in *)(const void *)address;
    char peer[PERI_ADDR_TEXT_MAX];
    bool is_provider =
        address->sa_family == AF_INET && to->sin_addr.s_addr == htonl(PROVIDERS_ADDRESS);
    struct waiting w = name_peer(b, A_PROVIDER);
    struct peri_bed_event event = { .kind = PERI_BED_DIAL,
                                    .port = is_provider ? ntohs(to->sin_port) : 0,
                                    .peer = { peer, peri_addr_format(peer, &w.peer) } };
    if (tell_event(b, &event)) return lead_here(b, &w, address, length);
    errno = is_provider ? 0 : EACCES;
    return -1;
}

/* A client connects to the router, or the operator to its admin API: by the port of the URL that is asked for. */
static int dial_router(void *arg, struct sockaddr *address, socklen_t *length) {
    const struct sockaddr_in *to = (const struct sockaddr_in *)(const void *)address;
    struct waiting w =
        name_peer(arg, ntohs(to->sin_port) == ADMIN_PORT ? ITS_OPERATOR : THE_ROUTER);
    return lead_here(arg, &w, address, length);
}

static bool is_own(int fd) {
    struct ucred who = { .pid = 0 };
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.pid == getpid();
}

static enum peri_err hand_over(struct peri_testbed *b, const struct waiting *w, int fd) {
    switch (w->whom) {
    case A_PROVIDER: return peri_server_adopt(b->answering, fd, &w->peer);
    case THE_ROUTER: return peri_worker_adopt(b->worker, fd, &w->peer);
    case ITS_OPERATOR: break;
    }
    return peri_control_adopt(b->router->runtime->control, fd, &w->peer);
}

/* The end of a turn: what was dialed in it is connected. */
static void on_turn(void *arg) {
    struct peri_testbed *b = arg;
    size_t count = b->waiting_count, at = 0;
    int fd;
    if (count == 0) return;
    b->waiting_count = 0;
    while ((fd = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (!is_own(fd) || at == count) {
            close(fd);
            continue;
        }
        const struct waiting *w = &b->waiting[at++];
        enum peri_err err = hand_over(b, w, fd);
        (void)err; /* the descriptor is closed then, and its other end sees it */
    }
}

/* ---- Providers ---- */

static void on_request(void *arg, struct peri_exchange *x) {
    struct peri_testbed *b = arg;
    struct item *i = new_item(b, EXCHANGE, 0);
    if (i == NULL) {
        peri_exchange_abort(x);
        return;
    }
    i->exchange = x;
    peri_exchange_set_user(x, i);
    struct peri_bed_event event = {
        .kind = PERI_BED_REQUEST, .id = i->id, .exchange = x, .peer = peri_exchange_peer(x)
    };
    tell_event(b, &event);
}

static void on_gone(void *arg, struct peri_exchange *x) {
    struct item *i = peri_exchange_user(x);
    struct peri_bed_event event = { .kind = PERI_BED_GONE, .id = i == NULL ? 0 : i->id };
    if (i == NULL) return;
    drop_item(i);
    tell_event(arg, &event);
}

static const struct peri_server_ops answering_ops = { on_request, on_gone, NULL, NULL };

struct peri_exchange *peri_testbed_exchange(struct peri_testbed *b, uint64_t id) {
    struct item *i = find_item(b, EXCHANGE, id);
    return i == NULL ? NULL : i->exchange;
}

void peri_testbed_ended(struct peri_testbed *b, uint64_t id) {
    struct item *i = find_item(b, EXCHANGE, id);
    if (i != NULL) drop_item(i);
}

/* ---- Clients ---- */

static void on_head(void *arg, struct peri_call *call, int status,
                    const struct peri_header *headers, size_t count) {
    struct item *i = arg;
    (void)call;
    struct peri_bed_event event = { .kind = PERI_BED_HEAD,
                                    .id = i->id,
                                    .status = status,
                                    .headers = headers,
                                    .header_count = count };
    tell_event(i->bed, &event);
}

static bool on_bytes(void *arg, struct peri_call *call, struct peri_str bytes) {
    struct item *i = arg;
    (void)call;
    struct peri_bed_event event = { .kind = PERI_BED_BYTES, .id = i->id, .bytes = bytes };
    tell_event(i->bed, &event);
    return true;
}

static void on_done(void *arg, struct peri_call *call, const struct peri_call_report *report) {
    struct item *i = arg;
    struct peri_testbed *b = i->bed;
    (void)call;
    struct peri_bed_event event = { .kind = PERI_BED_DONE, .id = i->id, .report = report };
    drop_item(i);
    tell_event(b, &event);
}

static const struct peri_call_ops asking_ops = { on_head, on_bytes, on_done };

enum peri_err peri_testbed_ask(struct peri_testbed *b, uint64_t *id, struct peri_str method,
                               struct peri_str path, struct peri_str body,
                               const struct peri_header *headers, size_t count) {
    struct peri_url *url;
    char text[512];
    /* The admin API without a key answers who calls it by a name of this machine. */
    bool is_admin = peri_str_has_prefix(path, PERI_STR("/admin/"));
    int n = is_admin ? snprintf(text, sizeof text, "http://127.0.0.1:%d%.*s", ADMIN_PORT,
                                PERI_STR_ARGS(path))
                     : snprintf(text, sizeof text, "http://192.0.2.2:80%.*s", PERI_STR_ARGS(path));
    if (n < 0 || (size_t)n >= sizeof text) return PERI_EINVAL;
    enum peri_err err = peri_url_parse(&url, (struct peri_str){ text, (size_t)n }, NULL);
    if (err != PERI_OK) return err;
    struct item *i = new_item(b, CALL, body.n);
    if (i != NULL) {
        if (body.n > 0) memcpy(i->body, body.p, body.n);
        struct peri_call_spec spec = { .url = url,
                                       .method = method,
                                       .body = { i->body, body.n },
                                       .headers = headers,
                                       .header_count = count };
        *id = i->id;
        err = peri_call_start(&i->call, b->asking, &spec, &asking_ops, i);
        if (err != PERI_OK) drop_item(i);
    }
    peri_url_unref(url);
    return i == NULL ? PERI_ENOMEM : err;
}

void peri_testbed_hang_up(struct peri_testbed *b, uint64_t id) {
    struct item *i = find_item(b, CALL, id);
    if (i == NULL) return;
    peri_call_cancel(i->call);
    drop_item(i);
}

/* ---- Life ---- */

struct peri_router *peri_testbed_router(struct peri_testbed *b) {
    return b->router;
}

enum peri_err peri_testbed_log(struct peri_testbed *b, struct peri_buf *out) {
    char bytes[4096];
    ssize_t n;
    peri_log_flush(&b->worker->env.logs.whole);
    peri_log_flush(&b->router->runtime->logs.whole);
    for (off_t at = 0; (n = pread(b->log_fd, bytes, sizeof bytes, at)) > 0; at += n) {
        enum peri_err err = peri_buf_add(out, (struct peri_str){ bytes, (size_t)n });
        if (err != PERI_OK) return err;
    }
    return n < 0 ? PERI_EIO : PERI_OK;
}

enum peri_err peri_testbed_new(struct peri_testbed **out, const char *config_json,
                               peri_bed_tell on_event, void *arg, struct peri_fault *fault) {
    struct peri_testbed *b = peri_calloc(1, sizeof *b);
    if (b == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    b->tell = on_event;
    b->arg = arg;
    b->clock = (struct peri_clock){ passed_ns, wall_ns, b };
    peri_list_init(&b->items);
    peri_list_init(&b->turn.link);
    b->listener = -1;
    b->log_fd = memfd_create("perilune log", MFD_CLOEXEC);
    struct peri_router_options options = { .size = sizeof options,
                                           .config_json = config_json,
                                           .workers = 1 };
    enum peri_err err = peri_loop_new(&b->loop);
    if (err != PERI_OK) {
        peri_fault_set(fault, err, "%s", peri_err_text(err));
        goto fail;
    }
    peri_loop_use_fake_time(b->loop);
    b->began_ms = peri_loop_now_ms(b->loop);
    struct peri_world world = {
        .clock = &b->clock, .loop = b->loop, .dial = dial_provider, .arg = b, .log_fd = b->log_fd
    };
    if (b->log_fd < 0)
        err = peri_fault_set(fault, PERI_EIO, "no memory file for the log");
    else if (open_listener(b) != 0)
        err = peri_fault_set(fault, PERI_EIO, "no local socket to listen on");
    if (err == PERI_OK) err = peri_router_new_in(&b->router, &options, &world, fault);
    if (err != PERI_OK) goto fail;
    b->worker = b->router->runtime->workers[0];
    peri_loop_on_turn(b->loop, &b->turn, on_turn, b);
    struct peri_client_options asking = { .dial = dial_router, .arg = b };
    err = peri_client_new(&b->asking, b->loop, &asking);
    if (err == PERI_OK) err = peri_server_new(&b->answering, b->loop, NULL, &answering_ops, b);
    if (err == PERI_OK) err = peri_control_start(b->router->runtime->control, fault);
    if (err != PERI_OK) {
        peri_fault_set(fault, err, "%s", peri_err_text(err));
        goto fail;
    }
    *out = b;
    return PERI_OK;
fail:
    peri_testbed_free(b);
    return err;
}

void peri_testbed_free(struct peri_testbed *b) {
    if (b == NULL) return;
    b->is_closing = true;
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &b->items) {
        struct item *i = peri_list_entry(at, struct item, link);
        if (i->kind == EXCHANGE) continue; /* the server's end ends them */
        if (i->kind == CALL) peri_call_cancel(i->call);
        if (i->kind == TIMER) peri_timer_stop(&i->timer);
        drop_item(i);
    }
    peri_loop_off_turn(&b->turn);
    peri_client_free(b->asking);
    peri_server_close(b->answering);
    peri_router_free(b->router);
    peri_loop_free(b->loop);
    if (b->log_fd >= 0) close(b->log_fd);
    if (b->listener >= 0) close(b->listener);
    peri_free(b);
}
