/* Trying a request again where it failed: what a moment brought may be gone in the next. Only the built-in route does so,
 * and only when nobody else can be asked.
 */
#ifndef PERI_REQUEST_RETRY_H
#define PERI_REQUEST_RETRY_H

#include "request/request.h"

/* Of a request that is new: it waits for nothing. */
void peri_retry_init(struct peri_request *r);
/* Wait until the first of those that failed it may be asked again, and go on with the built-in route then.
 *   gives   false: none may */
bool peri_retry_begin(struct peri_request *r);
/* It waits no longer. Nothing happens to one that did not wait. */
void peri_retry_cancel(struct peri_request *r);

#endif
