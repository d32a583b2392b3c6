/* Requests that wait: for a slot of a provider that can serve them, or for a network's first discovery. First come, first
 * served on each worker; each has its own time, after which it is told why nobody could be asked.
 */
#ifndef PERI_REQUEST_QUEUE_H
#define PERI_REQUEST_QUEUE_H

#include "request/request.h"

/* Of a request that is new: it waits for nothing. */
void peri_queue_init(struct peri_request *r);
/* Whether there is room to wait on this worker. */
bool peri_queue_has_room(const struct peri_request *r);
/* Wait at the end of the line, at most so long. */
void peri_queue_add(struct peri_request *r, uint64_t ms);
/* It waits no longer. Nothing happens to one that did not wait. */
void peri_queue_remove(struct peri_request *r);
/* A slot became free somewhere, or another fleet is there: try the requests that wait here. */
void peri_queue_wake(struct peri_request_env *env);

#endif
