/* For server.c, conn.c and exchange.c only: one accepted socket and the exchange on it.
 *
 *   IDLE → READING → BUSY → FLUSHING → IDLE          (one request, keep-alive)
 *     ↘       ↓        ↓        ↘ LINGERING ↘
 *      `------+--------+---------------------→ CLOSED
 *
 * BUSY is the owner's time: from on_request to its end of the exchange. FLUSHING is an answer that is complete but
 * not yet taken by the kernel. LINGERING throws away what a refused client still sends, so that the answer reaches
 * it before a reset does (RFC 9112, 9.6).
 *
 * The socket is watched with a bare poll handle rather than a uv stream: a stream cannot notice a hang-up while
 * reading is paused, and its write requests cost memory in every idle connection.
 */
#ifndef PERI_NET_SERVER_CONN_H
#define PERI_NET_SERVER_CONN_H

#include <sys/uio.h>
#include <uv.h>

#include "net/addr.h"
#include "net/server/http.h"

enum peri_conn_phase {
    PERI_CONN_IDLE,
    PERI_CONN_READING,
    PERI_CONN_BUSY,
    PERI_CONN_FLUSHING,
    PERI_CONN_LINGERING,
    PERI_CONN_CLOSED
};

/* Bytes waiting for the kernel. */
struct peri_block {
    struct peri_block *next;
    uint32_t at, n, cap;
    char data[];
};

struct peri_exchange {
    void *user;
    uint64_t began_ns;
    uint64_t length; /* announced, or PERI_LENGTH_UNKNOWN */
    uint64_t sent;   /* body bytes accepted */
    char *more;      /* lines of the head that peri_exchange_add_headers wrote, or NULL */
    size_t more_n;
    bool is_started, is_chunked, is_bodiless;
    bool is_full; /* write_high was reached, on_drain is owed */
};

struct peri_conn {
    struct peri_server *server;
    struct peri_list all, idle;
    uv_poll_t poll;
    struct peri_timer timer; /* for whatever the phase waits for */
    int fd;
    int events;     /* what `poll` watches */
    uint8_t phase;  /* enum peri_conn_phase */
    bool is_inside; /* its own callback is running: peri_conn_settle comes later */
    bool is_held;   /* the queue holds only an answer's head that waits for its first bytes */
    bool is_broken; /* a write failed: the hang-up is on its way through the loop */
    bool is_ended;  /* the client will send nothing more (half-close allowed) */
    bool must_close, must_linger, must_reset, is_in_body;
    uint64_t since_ms; /* when this head or body began */
    struct peri_http http;
    struct peri_block *first, **last;
    size_t queued;
    char *stash; /* what came behind the request being served */
    size_t stash_at, stash_n;
    struct peri_exchange x;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } peer;
    char peer_text[56];
};

struct peri_server {
    struct peri_loop *loop;
    struct peri_server_limits limits;
    struct peri_http_limits http_limits;
    const struct peri_server_ops *ops;
    void *arg;
    uv_poll_t listener;
    struct peri_addr addr;
    int fd;
    bool is_accepting, is_draining, is_closing;
    struct peri_timer pause;      /* until accepting is tried again */
    struct peri_list conns, idle; /* idle: longest first */
    size_t conn_count, exchange_count;
    struct peri_block *spare; /* the last freed block, for the next head */
    uint64_t date_s;
    char date[32];
    char *scratch; /* PERI_CONN_READ_MAX bytes that every socket is read into */
};

#define PERI_CONN_READ_MAX 65536

/* Takes the descriptor in any case. gives PERI_OK · PERI_ENOMEM · PERI_EIO */
enum peri_err peri_conn_open(struct peri_server *s, int fd, const struct peri_addr *peer);
/* At once, whatever is under way; the memory goes at the end of the turn. */
void peri_conn_close(struct peri_conn *c);
/* The client left or cannot be served any longer: tell the owner of an open exchange, then close. */
void peri_conn_gone(struct peri_conn *c);
/* The exchange is over and all its bytes are with the kernel: go on, linger or close. */
void peri_conn_finished(struct peri_conn *c);
/* Bring timers and what is watched in line with the phase; nothing while its own callback runs. */
void peri_conn_settle(struct peri_conn *c);

/* Queue (conn_queue.c). Sends at once what the kernel takes and copies the rest.
 *   gives   PERI_OK · PERI_ENOMEM, PERI_ECLOSED the connection is broken */
enum peri_err peri_conn_send(struct peri_conn *c, const struct peri_str *parts, size_t count);
/* A block at the end of the queue with room for n bytes, NULL when memory ran out. */
struct peri_block *peri_conn_block(struct peri_conn *c, size_t n);
/* Send what is queued. gives true when something was sent. */
bool peri_conn_drain(struct peri_conn *c);
void peri_conn_drop_queue(struct peri_conn *c);
/* Nothing can be written any more: have the loop report the hang-up. */
void peri_conn_break(struct peri_conn *c);

/* Answer what the server itself refuses, and close after it (exchange.c). */
void peri_conn_refuse(struct peri_conn *c, int status, const char *why);

/* What peri_exchange_add_headers wrote is given back (exchange.c). */
void peri_exchange_drop_headers(struct peri_exchange *x);

/* server.c: a connection went, so another may come. */
void peri_server_on_room(struct peri_server *s);

static inline struct peri_conn *peri_conn_of(const struct peri_exchange *x) {
    return peri_list_entry(x, struct peri_conn, x);
}

#endif
