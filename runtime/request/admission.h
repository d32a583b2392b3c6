/* A request's way from its body to the policy: the body is read, the model found among those of the fleet, the clock of its
 * deadline started, and the policy, or the built-in route, asked to decide. What is wrong with a request is answered here.
 */
#ifndef PERI_REQUEST_ADMISSION_H
#define PERI_REQUEST_ADMISSION_H

#include "request/request.h"

/* Take a request over from a client. Answers violations itself (bad JSON, no model, unknown model …).
 * The exchange is the request's from here on. */
void peri_request_begin(struct peri_request_env *env, struct peri_exchange *x,
                        const struct peri_dialect *dialect, const struct peri_config_key *key);
/* The same for a request made from C: `sink` gets the answer.
 *   out      the request, unless it ended at once (then NULL)
 *   body     must stay valid until `release(sink.self)` is called, which is the last thing that happens */
void peri_request_begin_direct(struct peri_request **out, struct peri_request_env *env,
                               const struct peri_dialect *dialect, struct peri_str body,
                               struct peri_sink sink, void (*release)(void *self));

/* It waits for a network's first discovery: look whether its model is known now, and go on if so. */
void peri_request_discover(struct peri_request *r);
#endif
