/* The built-in choice: weighted among the admissible providers of the first tier that has any. One pass, no
 * rejection: what is cooling, full or already tried never takes part in the draw.
 */
#ifndef PERI_FLEET_ROUTE_H
#define PERI_FLEET_ROUTE_H

#include "base/rand.h"
#include "fleet/fleet.h"

/* Why there is nobody, for an error that tells the truth. */
struct peri_route_report {
    unsigned candidates, tried, cooling, rate_limited, full; /* counts */
    uint64_t wait_ms; /* until the first cool-down ends; 0: none is cooling */
};

/*   from       a provider that said it lacks `from.model` counts as one that is cooling
 *   tried      one flag a provider, by index in the fleet: not again
 *   overflow   a lower tier serves what the tiers above have no slot for; else the request waits for them
 *   report     out, may be NULL
 *   gives      the choice; its provider is NULL when nobody is admissible */
struct peri_candidate peri_route_pick(struct peri_candidates from, const bool *tried, bool overflow,
                                      uint64_t now_ms, struct peri_rand *rand,
                                      struct peri_route_report *report);

#endif
