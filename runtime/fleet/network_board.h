/* How the networks stand, for those who only look: policies, on the threads of workers.
 *
 * The control thread writes a board after each look at a network and hands one to every worker. A worker takes the newest
 * over when somebody asks, by an exchange of pointers: no lock, and nothing at all while nobody asks.
 */
#ifndef PERI_FLEET_NETWORK_BOARD_H
#define PERI_FLEET_NETWORK_BOARD_H

#include "fleet/network.h"

/* Immutable. */
struct peri_network_board {
    atomic_int refs;
    size_t count;
    struct peri_network_status networks[]; /* in the order of the configuration */
};

/* A worker's. All zero: none came yet. */
struct peri_network_board_box {
    _Atomic(struct peri_network_board *) fresh; /* whoever takes it out owns the reference */
    struct peri_network_board *seen;            /* the worker's own */
};

/* On the control thread, or before it runs. gives one reference; NULL: memory ran out */
struct peri_network_board *peri_network_board_new(struct peri_network *const *networks,
                                                  size_t count);
/* Takes NULL. */
void peri_network_board_unref(struct peri_network_board *b);

/* Any thread: in the place of one that was not looked at. A reference of its own is taken. */
void peri_network_board_put(struct peri_network_board_box *box, struct peri_network_board *b);
/* The worker's thread: the newest, good until the next call. NULL: none came yet. */
const struct peri_network_board *peri_network_board_look(struct peri_network_board_box *box);
/* Nobody else uses the box any more. */
void peri_network_board_done(struct peri_network_board_box *box);

#endif
