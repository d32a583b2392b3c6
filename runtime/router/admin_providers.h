/* What the operator sees of providers, and the orders about them: how each stands with its keys, models and endpoints, why it
 * is not asked and for how long yet, and what it did so far. No credential is here.
 *
 * The provider, each of its keys (by number, from 1), and those endpoints and models that ever failed have
 *   state              "closed" asked · "open" rests · "half_open" a trial is under way · "drained"
 *   failures_in_a_row  of late
 *   opened             how often it began to rest
 * and while it rests
 *   reason, status     of the failure: "ERATELIMIT", 429
 *   left_ms            until it is asked again
 *   rests_for_ms       since it began to rest
 *   asked_for          the other side said for how long: requests that have nobody else to ask go
 *                      one at a time, with pauses
 * `available` is false while the provider, its network or every key of it rests, or it is drained.
 */
#ifndef PERI_ROUTER_ADMIN_PROVIDERS_H
#define PERI_ROUTER_ADMIN_PROVIDERS_H

#include "base/buf.h"
#include "fleet/fleet.h"

/* Add a JSON list with an object for each provider. Errors are sticky in the buffer. */
void peri_admin_put_providers(struct peri_buf *b, const struct peri_fleet *f, uint64_t now_ms);
/* The same of the one. */
void peri_admin_put_provider(struct peri_buf *b, const struct peri_provider *p, uint64_t now_ms);

enum peri_provider_order {
    PERI_ORDER_NONE,
    PERI_ORDER_RESET,  /* what rests is asked again, limits that were learned are forgotten */
    PERI_ORDER_DRAIN,  /* no request goes there; those under way end as they do */
    PERI_ORDER_ENABLE, /* requests go there again */
};
/* The order of that name; PERI_ORDER_NONE: there is none. */
enum peri_provider_order peri_provider_order_of(struct peri_str name);
void peri_provider_obey(const struct peri_provider *p, enum peri_provider_order order);

#endif
