/* The URLs of Gonka hosts. Each host writes its own on the chain, so a URL found there is hostile text: it must
 * not make the router speak to the operator's own machines.
 *
 * What passes is http or https, no user, no query, no fragment, a host name with a dot or an IP address the
 * whole internet can reach, and port 80, 443 or 1024 and above (hosts choose ports such as 18026; below 1024
 * live mail, shells and name servers). Names are not resolved here: whoever connects asks
 * net/reach.h of every address a name turns out to have, and follows no redirects.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_URL_H
#define PERI_GONKA_CHAIN_GONKA_URL_H

#include "base/arena.h"

#define PERI_GONKA_URL_MAX 2048 /* bytes, as written and in its one spelling */

enum peri_gonka_url_verdict {
    PERI_GONKA_URL_OK,
    PERI_GONKA_URL_BAD,    /* no http URL, or a part in it that has no business there */
    PERI_GONKA_URL_PRIVATE /* well formed, but leads into somebody's own network */
};

/* One spelling for one place.
 *
 *   url      scheme and host in lower case, IP addresses in their usual form, the default port, trailing slashes and a
 *            final /v1 left out: "http://69.48.159.157:8000"; "/v1" is appended to call. In `a`; p is
 *            NULL unless the verdict is OK or PRIVATE or memory ran out (verdict BAD)
 *   text     as the chain, a configuration or a file has it; spaces at both ends are ignored */
PERI_MUST_USE enum peri_gonka_url_verdict peri_gonka_url(struct peri_str *url, struct peri_arena *a,
                                                         struct peri_str text);

#endif
