/* One call, its whole answer in memory: for discovery, lists and webhooks, on the control thread. */
#ifndef PERI_NET_CLIENT_FETCH_H
#define PERI_NET_CLIENT_FETCH_H

#include "net/client/client.h"

struct peri_fetch;

struct peri_fetched {
    enum peri_err err; /* PERI_OK: the body is complete, whatever the status */
    int status;
    struct peri_str body; /* good until the callback returns */
    int64_t
        date_s; /* when it was made, by the other side's clock; 0: not told, or out of a cache */
    char detail[160];
};

/*   url         absolute
 *   max_bytes   of the body: beyond it the fetch ends with PERI_ETOOBIG
 *   done        exactly once, never before this returns; the fetch is gone afterwards
 *   gives       PERI_OK · PERI_EINVAL the URL (reason in `fault`) · PERI_ENOMEM · PERI_EFULL */
PERI_MUST_USE enum peri_err
peri_fetch_start(struct peri_fetch **out, struct peri_client *client, struct peri_str url,
                 uint64_t timeout_ms, size_t max_bytes,
                 void (*done)(void *arg, const struct peri_fetched *got), void *arg,
                 struct peri_fault *fault);
/* A call that is made as `spec` says, with method, headers, certificates and the rest; its body must stay until the end.
 *   gives   PERI_OK · PERI_EINVAL · PERI_ENOMEM · PERI_EFULL */
PERI_MUST_USE enum peri_err peri_fetch_call(struct peri_fetch **out, struct peri_client *client,
                                            const struct peri_call_spec *spec, size_t max_bytes,
                                            void (*done)(void *arg, const struct peri_fetched *got),
                                            void *arg);
/* End it; `done` does not run. Takes NULL. */
void peri_fetch_cancel(struct peri_fetch *f);

#endif
