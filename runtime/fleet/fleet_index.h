/* Inside the fleet: its look-up by model name. Only fleet/fleet*.c includes this. */
#ifndef PERI_FLEET_FLEET_INDEX_H
#define PERI_FLEET_FLEET_INDEX_H

#include "fleet/fleet.h"

/* Fill by_model, by_folded, any and models, once all providers stand.
 *   gives   PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_fleet_index(struct peri_fleet *f);

#endif
