/* The built-in choice: weighted among the admissible providers of the first tier that has any. One pass, no
 * rejection: what rests, is full or was already tried never takes part in the draw.
 */
#ifndef PERI_FLEET_ROUTE_H
#define PERI_FLEET_ROUTE_H

#include "base/rand.h"
#include "fleet/fleet.h"
#include "fleet/scope.h"

/* What is asked for, of whom. */
struct peri_route_ask {
    struct peri_candidates from;
    struct peri_str model; /* as the client is told it */
    enum peri_dialect_id endpoint;
    const bool *tried; /* one flag a provider, by index in the fleet: not again. NULL: none */
    bool
        overflow; /* a lower tier serves what the tiers above have no slot for; else the request waits */
    bool may_disturb; /* when all the rest rest, the one that is due soonest is the choice */
    uint64_t now_ms;
};

/* Why there is nobody, for an error that tells the truth. */
struct peri_route_report {
    unsigned candidates, tried, full; /* counts */
    unsigned resting;                 /* of those that were not tried */
    unsigned rate_limited;            /* of the resting ones */
    enum peri_scope scope;            /* of the rest that ends first */
    uint64_t wait_ms;                 /* until it does; 0: none rests */
};

/*   report   out, may be NULL
 *   gives    the choice; its provider is NULL when nobody is admissible. `is_last` tells that it rests */
struct peri_candidate peri_route_pick(const struct peri_route_ask *ask, struct peri_rand *rand,
                                      struct peri_route_report *report);

#endif
