/* What the requests of one worker stand on, and what they leave there. A worker holds one; a test may make its own.
 *
 * Everything here belongs to one thread. The snapshots are those that the next request starts with: `refresh` picks up
 * newer ones, and a request keeps its own.
 */
#ifndef PERI_REQUEST_ENV_H
#define PERI_REQUEST_ENV_H

#include <stdatomic.h>

#include "base/list.h"
#include "base/rand.h"
#include "config/logs.h"
#include "crypto/signers.h"
#include "fleet/fleet.h"
#include "request/policy.h"

struct peri_request;
struct peri_request_env;

struct peri_request_env_ops {
    /* Pick up a newer fleet, configuration and policy, when there are any. */
    void (*refresh)(struct peri_request_env *env);
    /* A slot was released: wake the requests that wait for one, those of other workers, too. */
    void (*slot_freed)(struct peri_request_env *env);
    /* Have every network refreshed. gives PERI_OK · PERI_ENOMEM · PERI_ESTOPPING */
    enum peri_err (*refresh_networks)(struct peri_request_env *env);
};

struct peri_request_env {
    const struct peri_request_env_ops *ops;
    struct peri_loop *loop;
    struct peri_client *client;
    const struct peri_clock *clock; /* for dates; what times out goes by the loop's */
    struct peri_logs logs;
    struct peri_rand rand;
    struct peri_signers signers; /* made when the first attempt is signed */
    struct peri_fleet *fleet;    /* referenced */
    struct peri_config *config;  /* referenced */
    struct peri_policy *policy;  /* current generation, referenced; NULL: none */
    bool is_draining;            /* no request waits for a slot any more */

    struct peri_list queue; /* requests waiting for a slot, first come first served */
    size_t queued;
    atomic_uint *waiting; /* requests queued for a slot, all workers */

    struct peri_list requests; /* alive */
    struct peri_list ended; /* over, but their memory may still be in use further down the stack */
    struct peri_list over;  /* attempts, for the same reason: of requests that live on */
    struct peri_list spare_requests;
    size_t request_count, spare_count;
};

/* In place; what points elsewhere is set by the caller. */
void peri_request_env_init(struct peri_request_env *env);
/* Requests that are alive are abandoned. The snapshots, signers and spare requests go; loop, client and logs stay. */
void peri_request_env_done(struct peri_request_env *env);
/* At the end of a turn of the loop: give back the memory of the requests and attempts that ended. */
void peri_request_env_sweep_all(struct peri_request_env *env);
static inline void peri_request_env_sweep(struct peri_request_env *env) {
    bool is_swept = peri_list_is_empty(&env->ended) && peri_list_is_empty(&env->over);
    if (!is_swept) peri_request_env_sweep_all(env);
}

/* For request.c: a blank request, from the spare ones when there are any. NULL: memory ran out. */
struct peri_request *peri_request_new(struct peri_request_env *env);
/* For request.c: it is over, and its memory goes with the next sweep. */
void peri_request_over(struct peri_request *r);

#endif
