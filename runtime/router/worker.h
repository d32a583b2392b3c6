/* One worker: a loop, its listeners, its upstream client, its policies, the requests that live and die here. No
 * locks: other threads speak to a worker only through peri_loop_post.
 */
#ifndef PERI_ROUTER_WORKER_H
#define PERI_ROUTER_WORKER_H

#include <pthread.h>

#include "fleet/network_reports.h"
#include "request/request.h"

struct peri_runtime;

#define PERI_LISTEN_MAX 8

struct peri_worker {
    struct peri_runtime *runtime;
    struct peri_request_env env; /* what its requests stand on */
    unsigned index;
    pthread_t thread;
    bool owns_loop;
    bool has_thread;
    bool has_ended; /* under the runtime's lock: what is posted from now on does not run any more */
    struct peri_server *servers[PERI_LISTEN_MAX];
    size_t server_count;
    struct peri_server *adopted; /* connections that came from nowhere; NULL: none did */
    struct peri_turn turn;       /* end of a loop turn: flush the log, pick up a fleet */
    uint64_t fleet_seen;         /* version picked up last */
    struct peri_network_inbox reports;
    bool is_overdue;         /* nobody is waited for any more */
    bool is_done;            /* drained: the loop has been told to stop */
    struct peri_timer drain; /* the drain time, then what is left for flushing */
    void *script;            /* of the room script: nothing here looks at it */
};

PERI_MUST_USE enum peri_err peri_worker_new(struct peri_worker **out, struct peri_runtime *rt,
                                            unsigned index, struct peri_fault *fault);
/* On the worker's own thread, or before and after it runs. Takes NULL. */
void peri_worker_free(struct peri_worker *w);
/* Open every listener of the configuration. */
PERI_MUST_USE enum peri_err peri_worker_listen(struct peri_worker *w, struct peri_fault *fault);
/* A connection that somebody made becomes a client's; the descriptor is taken in any case.
 *   gives   PERI_OK · PERI_ENOMEM · PERI_EIO */
PERI_MUST_USE enum peri_err peri_worker_adopt(struct peri_worker *w, int fd,
                                              const struct peri_addr *peer);
/* Stop accepting; when the last answer has left, or the drain time is over, the loop stops. */
void peri_worker_drain(struct peri_worker *w);
/* Pick up a newer fleet and configuration now. */
void peri_worker_refresh(struct peri_worker *w);

#endif
