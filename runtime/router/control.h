/* The control thread: what is slow and not part of any request. It follows the networks (fleet/network.h), reads the
 * lists of models of providers that are to be asked for them (fleet/catalog.h), answers the operator (router/admin.h), and
 * publishes a new snapshot of the fleet when one of them changed.
 */
#ifndef PERI_ROUTER_CONTROL_H
#define PERI_ROUTER_CONTROL_H

#include "fleet/fleet.h"
#include "net/addr.h"

struct peri_control;
struct peri_runtime;

/* Make the networks of a configuration; what is known without asking anybody is current when this returns.
 *   gives   PERI_OK · PERI_ECONFIG · PERI_ENOMEM · PERI_EIO, reason in `fault` */
PERI_MUST_USE enum peri_err peri_control_new(struct peri_control **out, struct peri_runtime *rt,
                                             struct peri_config *config, struct peri_fault *fault);
/* Stops its thread first. Takes NULL. */
void peri_control_free(struct peri_control *c);

/* Go on where another one was, before the thread is started: what it knew of the networks that stay is current here, held
 * against this configuration's rules.
 *   old      its thread is stopped for good; still to be freed
 *   gives    true: something was taken over, and a fleet made before lacks it */
PERI_MUST_USE bool peri_control_take_over(struct peri_control *c, struct peri_control *old);

/* There is something to follow, or somebody to answer. */
bool peri_control_is_needed(const struct peri_control *c);
/* Start the thread: from now on networks and lists are refreshed. In a world with a loop (struct peri_world) there is no
 * thread: what it would do is done in the turns of that loop. */
PERI_MUST_USE enum peri_err peri_control_start(struct peri_control *c, struct peri_fault *fault);
/* Any thread that can not lose c meanwhile (peri_runtime_refresh_networks): refresh every network now.
 *   gives   PERI_OK · PERI_ENOMEM */
enum peri_err peri_control_refresh(struct peri_control *c);

/* A connection to the admin API that came from nowhere. The descriptor is taken in any case.
 *   gives   PERI_OK · PERI_ENOTFOUND there is no admin API · PERI_ENOMEM · PERI_EIO */
PERI_MUST_USE enum peri_err peri_control_adopt(struct peri_control *c, int fd,
                                               const struct peri_addr *peer);

/* A fleet of that configuration's plain providers, with what they said they serve, and of the hosts known now. On the control thread, or before it runs.
 */
PERI_MUST_USE enum peri_err peri_control_fleet(struct peri_control *c, struct peri_fleet **out,
                                               struct peri_fault *fault);

#endif
