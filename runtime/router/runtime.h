/* The router as one object: workers, the published fleet, the current policy program, and the orders that reach all
 * of them (reload, drain, stop). Two in one process do not notice each other.
 */
#ifndef PERI_ROUTER_RUNTIME_H
#define PERI_ROUTER_RUNTIME_H

#include "crypto/stamps.h"
#include "router/control.h"
#include "router/worker.h"

/* What a runtime stands on beside its configuration: a simulation supplies its own. What is zero is the machine's. */
struct peri_world {
    const struct peri_clock *clock;
    /* One loop for the only worker and for the control thread, which is no thread then: who made the world turns it, and
     * frees it after the router. */
    struct peri_loop *loop;
    /* As in struct peri_client_options, for requests, networks, lists of models and what policies fetch: then
     * nothing opens a socket, https goes without TLS, names without a resolver, and the admin API listens nowhere
     * (peri_control_adopt). */
    int (*dial)(void *arg, struct sockaddr *address, socklen_t *length);
    void *arg;
    int log_fd; /* instead of the configured file; stays the caller's */
    /* Instead of both; as in struct peri_router_options. */
    void (*log)(void *log_arg, enum peri_log_level level, struct peri_str line);
    void *log_arg;
};

struct peri_runtime {
    struct peri_config *config; /* under lock after start */
    struct peri_world world;
    const struct peri_clock *clock;
    struct peri_vitals_table *vitals;
    struct peri_worker **workers;
    unsigned worker_count;
    int log_fd;
    bool owns_log_fd;
    struct peri_logs logs; /* of the thread that starts, stops and reloads it */
    struct peri_policy_source policies;

    pthread_mutex_t
        lock; /* guards the pointers below; held for a few loads, never on the request path */
    struct peri_fleet *fleet;
    atomic_uint_fast64_t fleet_version; /* workers compare it once a turn */
    uint64_t generation;                /* of the policy program, counts every successful load */
    void *program;
    struct peri_control *control; /* follows the networks; replaced by one reload at a time */
    struct peri_stamps stamps;
    atomic_uint waiting; /* requests queued for a slot, all workers */
    atomic_bool is_stopping;
    atomic_uint running; /* worker threads */
    uint64_t started_ns; /* wall clock */
};

/*   config    one reference is taken
 *   policies  copied; `load` is called once now when the configuration names policies
 *   world     copied; NULL: the real one
 *   gives     PERI_OK · PERI_ECONFIG, PERI_EIO, PERI_ENOMEM with the reason */
PERI_MUST_USE enum peri_err peri_runtime_new(struct peri_runtime **out, struct peri_config *config,
                                             const struct peri_policy_source *policies,
                                             unsigned workers, const struct peri_world *world,
                                             struct peri_fault *fault);
/* A log of one more thread, which writes where all of them do. */
void peri_runtime_open_log(const struct peri_runtime *rt, struct peri_logs *logs,
                           const struct peri_config *config);
/* Have the configured log file opened anew under its name, for log rotation; a file that can not be opened leaves the
 * old one in use. Nothing to do, and PERI_OK, when lines go elsewhere. Any thread.
 *   gives   PERI_OK · PERI_EIO with the reason */
PERI_MUST_USE enum peri_err peri_runtime_reopen_log(struct peri_runtime *rt,
                                                    struct peri_fault *fault);
/* How the policies stand, as a JSON array: see struct peri_policy_source. Any thread. */
void peri_runtime_list_policies(struct peri_runtime *rt, struct peri_buf *out);
/* Threads must have been joined. Takes NULL. */
void peri_runtime_free(struct peri_runtime *rt);

/* Open listeners, for one worker whose loop the caller turns. What the control thread would do is done in its turns. */
PERI_MUST_USE enum peri_err peri_runtime_open(struct peri_runtime *rt, struct peri_fault *fault);
/* Open listeners and start one thread a worker. */
PERI_MUST_USE enum peri_err peri_runtime_start(struct peri_runtime *rt, struct peri_fault *fault);
/* Any thread, any number of times: drain, then end. */
void peri_runtime_stop(struct peri_runtime *rt);
/* Wait until every worker thread has ended. */
void peri_runtime_join(struct peri_runtime *rt);

/* Read the policies again, check them, build one set a worker and swap between requests. Nothing changes when
 * anything fails; PERI_ESTOPPING when the router is stopping. One thread at a time. Blocks until all workers have
 * answered; never called on a worker's thread unless that worker is the only one and is turned by the caller.
 *   generation   out, may be NULL: of the current set */
PERI_MUST_USE enum peri_err peri_runtime_reload_policies(struct peri_runtime *rt,
                                                         uint64_t *generation,
                                                         struct peri_fault *fault);
/* Publish another fleet. The reference is taken over. */
void peri_runtime_publish(struct peri_runtime *rt, struct peri_fleet *fleet);
/* The current fleet, referenced. NULL only while the runtime is being made. */
struct peri_fleet *peri_runtime_fleet(struct peri_runtime *rt);

/* Make another configuration's providers and networks current: they are followed from now on, and a fleet of them is
 * published. Nothing changes when anything is wrong. One thread at a time. */
PERI_MUST_USE enum peri_err peri_runtime_reconfigure(struct peri_runtime *rt,
                                                     struct peri_config *config,
                                                     struct peri_fault *fault);
/* Any thread: look at every network now. gives PERI_OK · PERI_ENOMEM · PERI_ESTOPPING */
enum peri_err peri_runtime_refresh_networks(struct peri_runtime *rt);
/* Every worker reads these reports when it looks next. The control thread, or before it runs. */
void peri_runtime_post_reports(struct peri_runtime *rt, struct peri_network_reports *reports);
/* Tell the policies what changed in a network: the `epoch` hook, on one worker. Copied. The control thread. */
void peri_runtime_tell_epoch(struct peri_runtime *rt, const struct peri_epoch_change *change);

/* A slot was released: wake who waits for one. Any worker thread. */
void peri_runtime_slot_freed(struct peri_runtime *rt);

#endif
