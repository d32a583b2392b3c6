/* HTTP/1 requests out of bytes that arrive in pieces: no sockets, no clock, one growing piece of memory.
 *
 *   HEAD → (BODY | CHUNKS) → DONE          FAILED from any of them
 *
 * A head is gathered whole, line by line, and then tokenised once by http-parser; so http-parser never sees a
 * piece, and every view it gives is an offset into one buffer. http-parser alone is too forgiving for a server
 * that forwards what it reads: bare LF, folded lines, control characters, a missing or doubled Host and padded
 * lengths pass it. Those are refused here, before and beside it. Chunked bodies are decoded here, because
 * http-parser skips whatever stands in a chunk extension. What is ambiguous is refused, never repaired
 * (RFC 9112, 2.2, 3.2, 5.1, 5.2, 6.1, 6.3, 7.1).
 *
 * Memory of one message: head, table of headers, body, 32 NUL bytes, in that order. It is kept for the next
 * request when it is small.
 */
#ifndef PERI_NET_SERVER_HTTP_H
#define PERI_NET_SERVER_HTTP_H

#include "net/chunked.h"
#include "net/header.h"
#include "net/server/server.h"

#define PERI_HTTP_PADDING 32

enum peri_http_state {
    PERI_HTTP_HEAD,   /* nothing or a part of the head is here */
    PERI_HTTP_BODY,   /* bytes of a known length are missing */
    PERI_HTTP_CHUNKS, /* the same, chunked */
    PERI_HTTP_DONE,   /* a whole request is here */
    PERI_HTTP_FAILED  /* `status` and `why` say how to answer; nothing more is read */
};

struct peri_http_limits {
    size_t header_bytes; /* at most PERI_HTTP_HEAD_MAX */
    size_t header_lines, uri_bytes, body_bytes;
};

/* http-parser's own limit, which is compiled into it. */
#define PERI_HTTP_HEAD_MAX (80 * 1024)

struct peri_http_span {
    uint32_t at, n; /* from the start of the message */
};

struct peri_http_field {
    struct peri_http_span name, value;
};

struct peri_http {
    const struct peri_http_limits *limits;
    char *p;
    size_t n, cap;    /* the message so far */
    size_t line;      /* where the line being gathered starts */
    size_t fields_at; /* the table of headers */
    size_t body_at;
    uint64_t left; /* bytes missing of the body */
    struct peri_chunked chunked;
    uint32_t head_n, trailer_bytes;
    struct peri_http_span method, path, query, authority;
    uint16_t lines, field_count, status;
    uint8_t state, blank_lines;
    uint8_t minor; /* HTTP/1.minor */
    bool keeps_alive, is_head, expects_continue;
    const char *why; /* static text */
};

/* In place; allocates nothing yet. `limits` is borrowed. */
void peri_http_init(struct peri_http *h, const struct peri_http_limits *limits);
void peri_http_done(struct peri_http *h);
/* Ready for the next request. Memory is kept only when it is at most `keep` bytes. */
void peri_http_reset(struct peri_http *h, size_t keep);

/* Take bytes in. Gives how many were taken: all of them, unless the request is DONE (what follows belongs to the
 * next one) or FAILED. Memory running out is a failure with status 503. */
size_t peri_http_feed(struct peri_http *h, struct peri_str in);

/* In BODY: where the next bytes may be read straight into, 0 when not worth it; and how many were. */
size_t peri_http_room(struct peri_http *h, char **room);
void peri_http_filled(struct peri_http *h, size_t n);

/* Has the first byte of a request arrived? */
static inline bool peri_http_has_begun(const struct peri_http *h) {
    return h->state != PERI_HTTP_HEAD || h->n > 0;
}

/* Can these bytes begin a request? Asked of what follows a whole request in the same read: bytes that cannot
 * are a body that its length did not announce, so neither request can be trusted. */
bool peri_http_may_begin(struct peri_str next);

/* In DONE (and, but for the body, from BODY on). Views are good until the next reset. */
static inline struct peri_str peri_http_view(const struct peri_http *h,
                                             struct peri_http_span span) {
    return (struct peri_str){ h->p + span.at, span.n };
}
struct peri_str peri_http_body(const struct peri_http *h);
struct peri_header peri_http_header_at(const struct peri_http *h, size_t i);
struct peri_str peri_http_header(const struct peri_http *h, struct peri_str name);

#endif
