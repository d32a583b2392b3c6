/* Inside the fleet: its look-up by model name. Only core/fleet*.c includes this. */
#ifndef PERI_CORE_FLEET_INDEX_H
#define PERI_CORE_FLEET_INDEX_H

#include "core/fleet.h"

/* Fill by_model, by_folded, any and models, once all providers stand.
 *   gives   PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_fleet_index(struct peri_fleet *f);

#endif
