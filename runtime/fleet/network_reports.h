/* Reports of how the networks stand, for threads that only read them: workers, on behalf of policies.
 *
 * The control thread writes reports after each look at a network and puts them in the inbox of every worker. A worker
 * takes the newest when a policy asks, by an exchange of pointers: no lock, and nothing at all while nobody asks.
 */
#ifndef PERI_FLEET_NETWORK_REPORTS_H
#define PERI_FLEET_NETWORK_REPORTS_H

#include "fleet/network.h"

/* Immutable. */
struct peri_network_reports {
    atomic_int refs;
    size_t count;
    struct peri_network_status networks[]; /* in the order of the configuration */
};

/* A worker's. All zero: none came yet. */
struct peri_network_inbox {
    _Atomic(struct peri_network_reports *)
        fresh;                         /* the thread that takes it out owns the reference */
    struct peri_network_reports *seen; /* the worker's own */
};

/* On the control thread, or before it runs. gives one reference; NULL: memory ran out */
struct peri_network_reports *peri_network_reports_new(struct peri_network *const *networks,
                                                      size_t count);
/* Takes NULL. */
void peri_network_reports_unref(struct peri_network_reports *r);

/* Any thread: in place of reports that were not read. Another reference is taken. */
void peri_network_inbox_put(struct peri_network_inbox *inbox, struct peri_network_reports *r);
/* The worker's thread: the newest, good until the next call. NULL: none came yet. */
const struct peri_network_reports *peri_network_inbox_read(struct peri_network_inbox *inbox);
/* Nobody else uses the inbox any more. */
void peri_network_inbox_done(struct peri_network_inbox *inbox);

#endif
