/* What an answer's status means: what kind of failure it is, and what it is about. What its words say beyond that is
 * read where refusals are judged (request/attempt_judge.c).
 */
#ifndef PERI_FLEET_HEALTH_H
#define PERI_FLEET_HEALTH_H

#include "fleet/scope.h"
#include "perilune.h"

struct peri_blame {
    enum peri_err err;
    enum peri_scope scope;
};

/*   2xx                            PERI_OK
 *   429 529                        PERI_ERATELIMIT  the moment at that provider
 *   408 409 425 499 5xx, 1xx, 3xx  PERI_EUPSTREAM   the same; redirections are never followed
 *   407 411 414 417 421 426 431    PERI_EUPSTREAM   the hop between the router and the provider, never the client's own
 *   401 402 403                    PERI_EAUTH       the key
 *   404 405 410                    PERI_ENOTFOUND   the endpoint; where the body names the model, that model (ENOMODEL)
 *   every other 4xx                PERI_EREJECTED   the request itself, which goes to the client as it came */
struct peri_blame peri_health_of_status(int status);

/* True for a failure by which a provider says that it has too much to do: a rate limit, or 503.
 *   status   of its answer; 0 when none came */
bool peri_health_is_overload(enum peri_err err, int status);

/* True for failures after which another provider may be asked. */
bool peri_health_is_retryable(enum peri_err err);

/* What a failure of that kind is about when nothing but the kind is known. PERI_SCOPE_REQUEST also for those that say
 * nothing about anybody: a client that left, limits and policies of ours. */
enum peri_scope peri_health_scope(enum peri_err err);

#endif
