/* The keys that a request carries, and whether one of them is a secret of ours.
 *
 * Clients send theirs as `Authorization: Bearer KEY` (OpenAI), as `x-api-key` (Anthropic) or as `api-key` (Azure). A
 * request with several is served when one of them is right: libraries fill in what their environment has.
 */
#ifndef PERI_ROUTER_CLIENT_KEY_H
#define PERI_ROUTER_CLIENT_KEY_H

#include "config/config.h"
#include "net/server/server.h"

/* For WWW-Authenticate beside a 401 (RFC 9110, 11.6.1). */
#define PERI_CLIENT_KEY_CHALLENGE "Bearer realm=\"perilune\""
/* What to do when none was sent. */
#define PERI_CLIENT_KEY_HOW "send 'Authorization: Bearer KEY', 'x-api-key: KEY' or 'api-key: KEY'"

#define PERI_CLIENT_KEYS_MAX 3

/* gives how many it carries */
size_t peri_client_keys(struct peri_str out[PERI_CLIENT_KEYS_MAX], const struct peri_exchange *x);
/* Takes as long for a wrong byte at the front as for one at the end. */
bool peri_client_key_is(struct peri_str key, const struct peri_secret *secret);

#endif
