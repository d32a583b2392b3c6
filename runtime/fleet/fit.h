/* Whether a request can succeed at a provider's model: what the request needs, against what the model is declared, or
 * was read, to have (config/config.h). What is not known about a model is no reason to keep a request from it.
 *
 * What a request needs its dialect reads (dialect/need.h). What is too long all the same the provider says itself, and the
 * providers that are known to read more are asked then (request/attempt_judge.c).
 */
#ifndef PERI_FLEET_FIT_H
#define PERI_FLEET_FIT_H

#include "dialect/dialect.h"
#include "fleet/fleet.h"

/* Of a model with declared limits: whether the request fits. NULL (nothing is known) fits. */
bool peri_fit(const struct peri_config_model *m, const struct peri_need *need);

/* Those of `from` that the request fits, in the same order: `from` itself when it fits all of them.
 *   need   out: as much of it as the limits of these candidates ask to look at
 *   a      for the list; when memory runs out it is `from`, and the providers say it themselves */
struct peri_candidates peri_fit_select(struct peri_need *need, struct peri_candidates from,
                                       struct peri_json *body, const struct peri_dialect *dialect,
                                       struct peri_arena *a);

/* Why a request fits none of them, for the client. */
struct peri_misfit {
    char message[320];
    const char *code, *param; /* of the error */
};
void peri_fit_say(struct peri_misfit *out, struct peri_candidates all, const struct peri_need *need,
                  struct peri_str model);

#endif
