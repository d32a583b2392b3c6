/* The token behind "Authorization: Bearer", and whether it is a secret of ours. */
#ifndef PERI_ROUTER_BEARER_H
#define PERI_ROUTER_BEARER_H

#include "config/config.h"
#include "net/server/server.h"

/* gives false when the request carries none */
bool peri_bearer_of(struct peri_str *token, const struct peri_exchange *x);
/* Takes as long for a wrong byte at the front as for one at the end. */
bool peri_bearer_is(struct peri_str token, const struct peri_secret *secret);

#endif
