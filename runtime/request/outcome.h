/* The one record of how a request went, struct peri_outcome: the log line and the `done` hooks are made of it. */
#ifndef PERI_REQUEST_OUTCOME_H
#define PERI_REQUEST_OUTCOME_H

#include "request/request.h"

/* The request has ended, and its attempts are over: complete r->outcome. */
void peri_outcome_fill(struct peri_request *r, enum peri_err err);
/* Write the request's line. */
void peri_outcome_log(struct peri_request *r);

#endif
