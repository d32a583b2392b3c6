/* The HTTP/1.1 front end: from accepted sockets to whole requests, and from answers to bytes.
 *
 * A server belongs to one loop. It reads a request's head and body under limits, answers every violation
 * itself (400, 408, 413, 414, 417, 431, 501, 505 with a JSON error of the OpenAI shape), and hands a complete
 * request over as a `struct peri_exchange`. Requests of one connection are handed over one at a time, in order.
 *
 * States of an exchange, for its owner:
 *
 *   on_request → [peri_exchange_start → peri_exchange_write …] → peri_exchange_end | peri_exchange_abort
 *             ↘ on_gone: the client left first, at any moment before that end
 *
 * Promises: on_request runs once per exchange; afterwards exactly one of {the owner ends or aborts it, on_gone}
 * closes it, and the pointer is dead when that call returns. on_gone never runs from inside a call the owner
 * makes. A client that leaves is noticed while the owner is silent, too: the socket is always being watched. A
 * half-close counts as leaving unless `allow_half_close` is set.
 */
#ifndef PERI_NET_SERVER_SERVER_H
#define PERI_NET_SERVER_SERVER_H

#include "base/arena.h"
#include "net/addr.h"
#include "net/loop.h"

struct peri_server;
struct peri_exchange;
struct peri_log;

/* Zero means the default that stands behind the unit. */
struct peri_server_limits {
    size_t header_bytes; /* bytes of a whole head, 32768 */
    size_t header_lines; /* 100 */
    size_t uri_bytes;    /* 8192 */
    size_t body_bytes;   /* 33554432 */
    size_t connections;  /* open at once on this server, 16384 */
    uint64_t header_ms;  /* first byte of a head to its last, 10000 */
    uint64_t body_ms;    /* without a body byte, 30000 */
    size_t
        body_rate; /* after body_ms, a body that came slower than this is given up: bytes a second, 500 */
    uint64_t idle_ms;             /* keep-alive, 75000 */
    uint64_t write_ms;            /* without progress while bytes wait to be sent, 60000 */
    size_t write_high, write_low; /* back-pressure marks in bytes, 262144 and 65536 */
    bool allow_half_close;
};

/* Defaults in the place of zeros, and what can not be served pulled back to what can (a head of at most 80 KiB). */
void peri_server_limits_fill(struct peri_server_limits *limits);

struct peri_server_ops {
    /* A complete request. The owner keeps x until one of the ends above. */
    void (*on_request)(void *arg, struct peri_exchange *x);
    /* The client left; x is dead after this returns. Not called for exchanges that were ended. */
    void (*on_gone)(void *arg, struct peri_exchange *x);
    /* The queue of unsent bytes fell to write_low after having reached write_high. May be NULL. */
    void (*on_drain)(void *arg, struct peri_exchange *x);
    /* The owner did what can not be done: a header that can not be sent (it is left out), an answer started twice
     * or ended before it was started. `what` is a static sentence, `name` the header's name or empty; its bytes may
     * be anything. x is open still. May be NULL. */
    void (*on_misuse)(void *arg, struct peri_exchange *x, const char *what, struct peri_str name);
};

/* What on_misuse heard, as an error in a log.
 *   log         may be NULL: nothing is said
 *   request_id  empty where it is no request's */
void peri_server_log_misuse(struct peri_log *log, struct peri_str request_id, const char *what,
                            struct peri_str name);

/*   address  "127.0.0.1:9000", "[::1]:0", "unix:/path"; port 0 takes any
 *   gives    PERI_OK · PERI_EINVAL address · PERI_EIO bind or listen failed, with the reason in `fault`
 * With reuse_port several servers (one a worker) share the address; a unix socket has one server only. A socket
 * file that nobody listens on any more is replaced; the file goes when the server closes. */
PERI_MUST_USE enum peri_err peri_server_open(struct peri_server **out, struct peri_loop *loop,
                                             struct peri_str address, bool reuse_port,
                                             const struct peri_server_limits *limits,
                                             const struct peri_server_ops *ops, void *arg,
                                             struct peri_fault *fault);
/* A server that listens nowhere: it has the connections that peri_server_adopt gives it.
 *   gives   PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_server_new(struct peri_server **out, struct peri_loop *loop,
                                            const struct peri_server_limits *limits,
                                            const struct peri_server_ops *ops, void *arg);
/* A stream socket that is connected becomes a client's connection. The descriptor is taken in any case.
 *   peer    what peri_exchange_peer says
 *   gives   PERI_OK · PERI_ENOMEM · PERI_EIO */
PERI_MUST_USE enum peri_err peri_server_adopt(struct peri_server *s, int fd,
                                              const struct peri_addr *peer);
/* Refuse new connections; idle connections close; those busy close after their answer ("connection: close"). */
void peri_server_drain(struct peri_server *s);
/* Closes every connection (on_gone runs for open exchanges) and frees. Not from inside one of its callbacks.
 * Takes NULL. */
void peri_server_close(struct peri_server *s);
/* The port really listened on (0 for unix sockets). */
unsigned peri_server_port(const struct peri_server *s);
/* Open connections, and exchanges handed over and not ended. */
size_t peri_server_connections(const struct peri_server *s);
size_t peri_server_exchanges(const struct peri_server *s);

/* What was asked: views good until the exchange ends. The body is followed by 32 readable NUL bytes. */
struct peri_str peri_exchange_method(const struct peri_exchange *x);
struct peri_str peri_exchange_path(const struct peri_exchange *x); /* without the query */
struct peri_str
peri_exchange_query(const struct peri_exchange *x); /* without '?'; empty when absent */
struct peri_str peri_exchange_body(const struct peri_exchange *x);
struct peri_str peri_exchange_peer(const struct peri_exchange *x); /* "127.0.0.1:51234" */
size_t peri_exchange_header_count(const struct peri_exchange *x);
struct peri_header peri_exchange_header_at(const struct peri_exchange *x, size_t i);
/* The first header of that name, compared without case; p is NULL when absent. */
struct peri_str peri_exchange_header(const struct peri_exchange *x, struct peri_str name);
/* Monotonic nanoseconds when the head's first byte was read. */
uint64_t peri_exchange_began_ns(const struct peri_exchange *x);
/* Anything of the owner's. */
void peri_exchange_set_user(struct peri_exchange *x, void *user);
void *peri_exchange_user(const struct peri_exchange *x);

#define PERI_LENGTH_UNKNOWN ((uint64_t)-1)

/* Status line and head. With a length the body is that long; with PERI_LENGTH_UNKNOWN it is chunked (or ends
 * with the connection for an HTTP/1.0 client). date, connection, content-length and transfer-encoding are
 * added here (given ones are dropped, but "connection: close" is obeyed, and a given date stands: simulations
 * have clocks of their own). A header that can not be sent (net/header.h) is left out, a status that is not 200 to
 * 999 becomes 500, a second start does nothing: on_misuse hears of it.
 * The bytes are held until the first write or the end, so that head and first bytes leave together;
 * peri_exchange_flush sends them now. */
void peri_exchange_start(struct peri_exchange *x, int status, const struct peri_header *headers,
                         size_t header_count, uint64_t length);
/* Headers of the answer, whoever starts it: for what is known before that. They are copied; a second call replaces
 * the first. Those that can not be sent are left out, and all where memory runs out. Headers access-control-… given at
 * the start are dropped then: a browser takes two of a name for none. */
void peri_exchange_add_headers(struct peri_exchange *x, const struct peri_header *headers,
                               size_t count);
/* Body bytes, copied or sent before this returns.
 *   gives   PERI_OK · PERI_EFULL accepted, but write_high is reached: stop until on_drain ·
 *           PERI_ENOMEM, PERI_ECLOSED the connection is dead, on_gone follows · PERI_EINVAL before the start ·
 *           PERI_ETOOBIG more than the length announced, or EFULL was overlooked for a megabyte: not accepted */
enum peri_err peri_exchange_write(struct peri_exchange *x, struct peri_str bytes);
void peri_exchange_flush(struct peri_exchange *x);
/* The answer is complete; the connection may go on. One that was never started is cut. x is dead. */
void peri_exchange_end(struct peri_exchange *x);
/* The answer can not be completed: what was written still goes out, then the connection closes so that the client
 * sees it cut: early, or by a reset where only the close would have ended the body. x is dead. */
void peri_exchange_abort(struct peri_exchange *x);
/* The same at once, by a TCP reset; unsent bytes are lost. x is dead. */
void peri_exchange_reset(struct peri_exchange *x);
/* Bytes as they are, past all framing, for those who simulate broken servers. The connection closes after the
 * exchange. Gives the same as peri_exchange_write. */
enum peri_err peri_exchange_raw(struct peri_exchange *x, struct peri_str bytes);
/* start + write + end: a whole answer in one piece. One that was started already is cut. */
void peri_exchange_answer(struct peri_exchange *x, int status, const struct peri_header *headers,
                          size_t header_count, struct peri_str body);
bool peri_exchange_is_started(const struct peri_exchange *x);
/* Bytes written and not yet taken by the kernel. */
size_t peri_exchange_queued(const struct peri_exchange *x);
/* Body bytes accepted by peri_exchange_write so far. */
uint64_t peri_exchange_sent(const struct peri_exchange *x);

/* The reason phrase of a status. */
const char *peri_http_reason(int status);

#endif
