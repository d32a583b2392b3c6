/* The upstream HTTP client: libcurl's multi_socket interface on our loop.
 *
 * libcurl's cost grows with the transfers open on one multi handle (facts measured in runtime/README.md), so a
 * client owns many small multis, filled first to last with at most 32 busy transfers each, every one with its own
 * deadline. Easy handles are pooled and reused with their connections.
 *
 * A call: peri_call_start → on_head once → on_body any number of times → on_done exactly once. No callback
 * runs before peri_call_start returns. peri_call_cancel ends a call at once: its socket is closed when it
 * returns, and no callback runs after it. The pointer is dead after on_done returns or after cancel.
 */
#ifndef PERI_NET_CLIENT_H
#define PERI_NET_CLIENT_H

#include "net/loop.h"
#include "net/server.h"

struct peri_client;
struct peri_call;
struct peri_url;

struct peri_client_options {
    size_t transfers_per_multi; /* 0: 32 */
    size_t multis;              /* 0: 512 */
    size_t idle_connections;    /* kept open per client when unused, 0: 256 */
    /* Said for each address just before a connection is made to it, after name resolution: gives false to
     * refuse (hosts supplied by strangers must not lead into private networks). NULL: everything goes. */
    bool (*may_connect)(void *arg, const struct sockaddr *address, bool is_restricted);
    void *arg;
};

PERI_MUST_USE enum peri_err peri_client_new(struct peri_client **out, struct peri_loop *loop,
                                            const struct peri_client_options *options);
/* Every call must have ended or been cancelled. Takes NULL. */
void peri_client_free(struct peri_client *c);
/* Calls open now, and multis made so far. */
size_t peri_client_open_calls(const struct peri_client *c);
size_t peri_client_multis(const struct peri_client *c);

/* A parsed absolute http or https URL: parse once, use for every request. Immutable and shared by threads.
 *   gives   PERI_OK · PERI_EINVAL with the reason in `fault` (scheme, host, port, user-info refused) */
PERI_MUST_USE enum peri_err peri_url_parse(struct peri_url **out, struct peri_str text, struct peri_fault *fault);
/* `base` with a path put behind its own: "https://h/v1" + "/chat/completions". */
PERI_MUST_USE enum peri_err peri_url_join(struct peri_url **out, const struct peri_url *base, struct peri_str path);
struct peri_url *peri_url_ref(struct peri_url *u);
void peri_url_unref(struct peri_url *u);
struct peri_str peri_url_text(const struct peri_url *u);
struct peri_str peri_url_host(const struct peri_url *u);
bool peri_url_is_tls(const struct peri_url *u);

struct peri_call_spec {
    const struct peri_url *url; /* referenced by the call */
    struct peri_str method;     /* "GET", "POST", … */
    struct peri_str body;       /* must stay valid until the call ends */
    const struct peri_header *headers; /* copied; names and values with CR, LF or NUL: PERI_EINVAL */
    size_t header_count;
    uint64_t connect_ms;    /* 0: 5000 */
    uint64_t first_byte_ms; /* from the start to the answer's head; 0: none */
    uint64_t idle_ms;       /* without an answer byte after the head; 0: none */
    uint64_t total_ms;      /* 0: none */
    size_t head_bytes;      /* of the answer's head, 0: 65536 */
    bool use_http2;         /* https only */
    bool is_insecure;       /* do not check the certificate: spelt out per provider */
    bool is_restricted;     /* passed to may_connect */
    struct peri_str ca_file;  /* PEM file, NUL-terminated; empty: the system's */
    struct peri_str unix_path; /* connect here instead; empty: by the URL's host */
};

/* What is known when a call ends. */
struct peri_call_report {
    enum peri_err err; /* PERI_OK, or ECONNECT EDNS ETLS ETIMEOUT ESTALL ECLOSED ETRUNCATED EPROTO ETOOBIG EDENIED ENOMEM */
    char detail[160];  /* for people; "" when OK */
    int status;        /* 0 when no head came */
    uint64_t connect_us, first_byte_us, total_us; /* from the start of the call; 0 when not reached */
    uint64_t sent_bytes, received_bytes;          /* bodies */
    bool is_reused;    /* an open connection was used */
    bool was_sent;     /* at least one byte of the request reached the connection */
};

struct peri_call_ops {
    /* The answer's head (never a 1xx). Views are good until this returns. */
    void (*on_head)(void *arg, struct peri_call *call, int status, const struct peri_header *headers, size_t count);
    /* Body bytes. gives true to go on, false to pause: the same bytes are then taken as delivered, and no more
     * come until peri_call_resume. */
    bool (*on_body)(void *arg, struct peri_call *call, struct peri_str bytes);
    void (*on_done)(void *arg, struct peri_call *call, const struct peri_call_report *report);
};

/*   gives   PERI_OK · PERI_EINVAL · PERI_ENOMEM · PERI_EFULL (all multis full) */
PERI_MUST_USE enum peri_err peri_call_start(struct peri_call **out, struct peri_client *c,
                                            const struct peri_call_spec *spec, const struct peri_call_ops *ops,
                                            void *arg);
/* May be called from inside on_head and on_body. */
void peri_call_cancel(struct peri_call *call);
/* Stop delivery (and reading, so that the provider feels it); peri_call_resume undoes it. */
void peri_call_pause(struct peri_call *call);
void peri_call_resume(struct peri_call *call);

#endif
