/* Pages of other origins that may ask from a browser, as `cors` of the configuration names them.
 *
 * A browser shows a page only answers that say so, and asks with OPTIONS first where a request has headers such as
 * Authorization. Nothing here keeps a request out: that is what keys are for. Without `cors.origins` no answer has a
 * header of this, and OPTIONS is refused as any wrong method.
 *
 * Source: Fetch Standard, 3.3 "CORS protocol"; RFC 6454 (origins); RFC 9110, 12.5.5 (Vary).
 */
#ifndef PERI_ROUTER_CORS_H
#define PERI_ROUTER_CORS_H

#include "config/config.h"
#include "net/server/server.h"

enum peri_cors {
    PERI_CORS_NONE,     /* go on: its answer, whoever starts it, says what it must */
    PERI_CORS_ANSWERED, /* it was a question for leave, and is answered; x is dead */
    PERI_CORS_REFUSED   /* the same of an origin that has none: to be answered with an error */
};

/* To be asked before anything else of the exchange. A question for leave carries no key. */
enum peri_cors peri_cors_take(const struct peri_config *c, struct peri_exchange *x);

#endif
