/* A whole router in a world of its own: what `perilune test` runs policies in.
 *
 * The router is the real one: server, request, policies in their sandbox, route, attempt, relay, client; networks with
 * their refreshes, lists of models and the admin API, which have no thread here (struct peri_world). What is not
 * real is the world around it: connections are local sockets of this process to itself, with the bed at their other
 * end; time stands still until peri_testbed_advance moves it; no socket of the network is
 * ever made. Providers, nodes and hosts of networks are addresses 192.0.2.1:PORT (RFC 5737: nobody's), and the bed says
 * for each connection whether somebody answers there, and what.
 *
 * One callback tells everything that happens; it runs from inside peri_testbed_settle and peri_testbed_advance only.
 */
#ifndef PERI_ROUTER_TESTBED_H
#define PERI_ROUTER_TESTBED_H

#include "base/buf.h"
#include "net/client/client.h"
#include "perilune.h"

struct peri_testbed;
struct peri_router;

enum peri_bed_event_kind {
    PERI_BED_DIAL, /* the router connects to `port`, as `peer`: gives whether somebody answers; port 0: not a
                         provider's address but another or a name, which the request's header `host` says */
    PERI_BED_REQUEST, /* a provider got a request on the connection `peer`: `exchange` */
    PERI_BED_GONE,    /* the router left that exchange before its answer was complete */
    PERI_BED_HEAD,    /* a client got a status and headers */
    PERI_BED_BYTES,   /* … bytes of the body */
    PERI_BED_DONE,    /* … the end: `report` */
    PERI_BED_DUE      /* the time set with peri_testbed_after has come */
};

struct peri_bed_event {
    enum peri_bed_event_kind kind;
    uint64_t id; /* of the exchange, the client's call, the time set; 0 for DIAL */
    unsigned port;
    struct peri_str peer;
    struct peri_exchange *exchange;
    int status;
    const struct peri_header *headers;
    size_t header_count;
    struct peri_str bytes;
    const struct peri_call_report *report;
};

typedef bool (*peri_bed_tell)(void *arg, const struct peri_bed_event *event);

/*   config_json  the router's configuration, as for peri_router_new; the log goes to the bed
 *   gives        as peri_router_new */
PERI_MUST_USE enum peri_err peri_testbed_new(struct peri_testbed **out, const char *config_json,
                                             peri_bed_tell tell, void *arg,
                                             struct peri_fault *fault);
/* Whatever is under way ends unseen. Takes NULL. */
void peri_testbed_free(struct peri_testbed *b);

/* A client asks the router; paths under /admin/ lead to its admin API, where one is configured.
 *   gives   PERI_OK with an id · PERI_EINVAL the method, the path or a header · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_testbed_ask(struct peri_testbed *b, uint64_t *id,
                                             struct peri_str method, struct peri_str path,
                                             struct peri_str body,
                                             const struct peri_header *headers, size_t count);
/* The client leaves. Unknown ids are clients that are done: nothing happens. */
void peri_testbed_hang_up(struct peri_testbed *b, uint64_t id);

/* The exchange of that id while it is open, to answer on it; else NULL. Who ends or cuts it says so. */
struct peri_exchange *peri_testbed_exchange(struct peri_testbed *b, uint64_t id);
void peri_testbed_ended(struct peri_testbed *b, uint64_t id);

/* Have the callback told after a while. gives PERI_OK with an id · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_testbed_after(struct peri_testbed *b, uint64_t *id, uint64_t ms);

/* Everything that can happen without time passing. */
void peri_testbed_settle(struct peri_testbed *b);
/* Time moves on, timers fire in order, and what each brings about settles before the next. */
void peri_testbed_advance(struct peri_testbed *b, uint64_t ms);
/* Milliseconds until something may happen by itself; UINT64_MAX: nothing ever will. */
uint64_t peri_testbed_next_ms(struct peri_testbed *b);
/* Since the bed was made. */
uint64_t peri_testbed_now_ms(const struct peri_testbed *b);
/* The router itself: to be looked at, reloaded, told to stop. */
struct peri_router *peri_testbed_router(struct peri_testbed *b);
/* Everything logged so far. gives PERI_OK · PERI_EIO · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_testbed_log(struct peri_testbed *b, struct peri_buf *out);

#endif
