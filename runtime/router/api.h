/* What is served on which path: the router's own endpoints, and the way into peri_request_begin. */
#ifndef PERI_ROUTER_API_H
#define PERI_ROUTER_API_H

#include "router/worker.h"

void peri_api_request(struct peri_worker *w, struct peri_exchange *x);

#endif
