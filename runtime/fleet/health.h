/* What an attempt's end means: for the provider (a cool-down or none), and for the request (ask another, or tell
 * the client). By status and transport error alone, never by sniffing text.
 */
#ifndef PERI_FLEET_HEALTH_H
#define PERI_FLEET_HEALTH_H

#include "fleet/fleet.h"

/* What kind of failure an answer's status is:
 *   PERI_OK         2xx
 *   PERI_ERATELIMIT 429, 529            another provider; cool down as the provider says, else 60 s
 *   PERI_EUPSTREAM  5xx, 408, 499, 1xx and 3xx (never followed)   another provider; 15 s
 *   PERI_EAUTH      401, 402, 403, 404, 405, 410   our relation to that provider is at fault: quarantine it alone
 *   PERI_EREJECTED  every other 4xx: the request itself; goes to the client as it came
 * Of those one is told apart by its `code`, which is no text for people: context_length_exceeded, where another provider
 * is known to read more. An attempt that ends so has PERI_EUNFIT, and the others are asked. */
enum peri_err peri_health_of_status(int status);

/* True for a failure by which a provider says that it has too much to do: a rate limit, or 503.
 *   status   of its answer; 0 when none came */
bool peri_health_is_overload(enum peri_err err, int status);

/* True for failures after which another provider may be asked. */
bool peri_health_is_retryable(enum peri_err err);

/* Note an attempt's failure on its provider. Failures that are not the provider's fault (client gone, rejected
 * request, an empty answer, our own limits) change nothing but counters.
 * The first cool-down is the configured one; a provider whose probe fails rests twice as long each time, up to eight
 * times. What the provider itself asks for is taken as it is.
 *   hint_ms   what the answer's headers ask for; 0 none */
void peri_health_failed(const struct peri_provider *p, const struct peri_config *config,
                        enum peri_err err, uint64_t now_ms, uint64_t hint_ms, bool is_probe);

#endif
