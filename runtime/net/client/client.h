/* The upstream HTTP client: plain HTTP/1.1 over connections of our own (net/client/wire.h says why), and all else through
 * libcurl's multi_socket interface on our loop.
 *
 * libcurl's cost grows with the transfers open on one multi handle (23 µs a request with none open, 250 µs with
 * 5,000), so a client owns many small multis, filled first to last with at most 32 busy transfers each, every one
 * with its own deadline: 22 µs whatever is open. Connections are reused, and easy handles where libcurl can bear it.
 *
 * A call: peri_call_start → on_head once → on_body any number of times → on_done exactly once. Callbacks run
 * from the loop only: never before peri_call_start returns, never inside another peri_call_* call, so every one
 * of those may be used in every callback. peri_call_cancel ends a call at once: its socket is closed when it
 * returns, and no callback runs after it. The pointer is dead after on_done returns or after cancel.
 *
 * What is not done: redirects are answers like any other, no cookies, no netrc, no proxies from the
 * environment, no decompression (and no accept-encoding sent), no protocol but http and https.
 *
 * A kept connection that ends before a byte of the answer came is replaced by a new one, once and unseen, whatever
 * the method: almost always the provider closed it as we wrote. One that died over the request sees it a second time
 * (RFC 9110, 9.2.2). After the first byte nothing is sent twice.
 */
#ifndef PERI_NET_CLIENT_CLIENT_H
#define PERI_NET_CLIENT_CLIENT_H

#include <sys/socket.h>

#include "net/loop.h"
#include "net/url.h"

struct peri_client;
struct peri_call;

#define PERI_CLIENT_NAMED "192.0.2.3" /* RFC 5737: nobody's */

struct peri_client_options {
    size_t transfers_per_multi; /* 0: 32 */
    size_t multis;              /* 0: 512 */
    size_t
        idle_connections; /* kept open per client when unused, 0: 256; by libcurl and by wires each */
    bool is_all_libcurl; /* plain http, too */
    /* Said for each address just before a connection is made to it, after name resolution: gives false to
     * refuse (hosts supplied by strangers must not lead into private networks). NULL: everything goes. */
    bool (*may_connect)(void *arg, const struct sockaddr *address, bool is_restricted);
    /* Leads connections elsewhere, for simulations: gives a new stream socket, which is the client's from then on,
     * and puts the address that it is to connect to, at once, in the place of the one it got (at most
     * sizeof(struct sockaddr) bytes); or -1 when nobody answers there, with errno EACCES when it may not be called
     * (EDENIED). NULL: nothing is led elsewhere. */
    int (*dial)(void *arg, struct sockaddr *address, socklen_t *length);
    /* With `dial`: https goes as plain http, and a name needs no resolver: it has the address PERI_CLIENT_NAMED, which
     * may_connect is not asked about. */
    bool is_simulated;
    void *arg;
};

PERI_MUST_USE enum peri_err peri_client_new(struct peri_client **out, struct peri_loop *loop,
                                            const struct peri_client_options *options);
/* Every call must have ended or been cancelled (the one whose on_done runs has). May be called from inside any
 * callback. Takes NULL. */
void peri_client_free(struct peri_client *c);
/* Calls open now; multis made so far; origins of plain calls that are remembered. */
size_t peri_client_open_calls(const struct peri_client *c);
size_t peri_client_multis(const struct peri_client *c);
size_t peri_client_origins(const struct peri_client *c);

/* Headers are copied. PERI_EINVAL: what can not stand in a header, and the names that belong to framing, which is ours
 * (net/header.h). No accept or content-type is sent unless it is here; user-agent is "perilune" (through libcurl
 * "perilune HTTP/1.1", over HTTP/2 none) unless it is. */
struct peri_call_spec {
    const struct peri_url *url; /* referenced by the call */
    struct peri_str method;     /* "GET", "POST", … */
    struct peri_str body;       /* must stay valid until the call ends */
    const struct peri_header *headers;
    size_t header_count;
    uint64_t connect_ms;    /* 0: 5000 */
    uint64_t first_byte_ms; /* from the start to the answer's head; 0: none */
    uint64_t idle_ms;       /* without an answer byte after the head, pauses not counted; 0: none */
    uint64_t total_ms;      /* 0: none */
    size_t head_bytes;      /* of the answer's head, interim answers and trailers; 0: 65536 */
    size_t read_bytes;      /* libcurl takes at once, 1024 to 524288; held as long as the call is
                             * open: small for streams, 65536 for large answers; 0: 4096. Wires
                             * read up to 65536 into memory that all of them share. */
    bool use_http2;         /* https only; one stream on a connection at a time */
    bool is_insecure;       /* do not check the certificate: spelt out per provider */
    bool is_restricted; /* passed to may_connect; shares no connection with calls that are not */
    struct peri_str ca_file;   /* PEM file, NUL-terminated; empty: the system's */
    struct peri_str unix_path; /* connect here instead, NUL-terminated; empty: by the URL's host */
};

/* What is known when a call ends. Errors:
 *   EDNS ECONNECT ETLS EDENIED    no connection; EDENIED: may_connect refused the address
 *   ECLOSED       the connection ended before the answer's head
 *   ETRUNCATED    … in the middle of the body
 *   ETIMEOUT      connect_ms, first_byte_ms or total_ms passed
 *   ESTALL        idle_ms passed
 *   EPROTO        framing or head nobody can rely on; the connection is not used again
 *   ETOOBIG       the head
 *   ENOMEM */
struct peri_call_report {
    enum peri_err err;
    char detail[160]; /* for people; "" when OK */
    int status;       /* 0 when no head came */
    /* From the start of the call; 0 when not reached. */
    uint64_t connect_us, first_byte_us, total_us;
    uint64_t sent_bytes, received_bytes; /* bodies */
    bool is_reused;                      /* an open connection was used */
    bool was_sent; /* at least one byte of the request reached the connection */
};

struct peri_call_ops {
    /* The answer's head (never a 1xx). Views are good until this returns. */
    void (*on_head)(void *arg, struct peri_call *call, int status,
                    const struct peri_header *headers, size_t count);
    /* Body bytes. gives true to go on, false to pause: the same bytes are then taken as delivered, and no more
     * come until peri_call_resume. */
    bool (*on_body)(void *arg, struct peri_call *call, struct peri_str bytes);
    void (*on_done)(void *arg, struct peri_call *call, const struct peri_call_report *report);
};

/*   gives   PERI_OK · PERI_EINVAL · PERI_ENOMEM · PERI_EFULL (all multis full) */
PERI_MUST_USE enum peri_err peri_call_start(struct peri_call **out, struct peri_client *c,
                                            const struct peri_call_spec *spec,
                                            const struct peri_call_ops *ops, void *arg);
/* All three may be called from inside any callback of any call (except on this call in its own on_done). */
void peri_call_cancel(struct peri_call *call);
/* Stop delivery of the body, and reading, so that the provider feels it; peri_call_resume undoes it. The head
 * is still delivered, and so is an end that one of the timers brings. */
void peri_call_pause(struct peri_call *call);
void peri_call_resume(struct peri_call *call);

#endif
