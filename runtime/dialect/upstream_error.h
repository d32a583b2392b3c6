/* What a provider's error says: the many shapes of error bodies made one, safe to show.
 *
 * Read are {"error":{message,type,code,param}}, {"error":"text"}, {"error":"name","message":"text"},
 * {"object":"error","message":…}, {"message":…}, {"detail":…} as text or as a list of {loc,msg}, {"errors":[…]}. Each of
 * them may stand in a list, inside another's `error`, as text inside another's message or in `metadata.raw`, in an
 * answer's choice, or as the data of one server-sent event. Of an HTML page the title is taken; anything else that is
 * text is taken as it is. The text is cut, made one line of UTF-8, and what looks like a key is taken out of it.
 *
 * Source: facts on Gonka nodes and gateways, vLLM, FastAPI (`detail`), Google (lists, `status`), OpenRouter (`metadata`),
 * nginx.
 */
#ifndef PERI_DIALECT_UPSTREAM_ERROR_H
#define PERI_DIALECT_UPSTREAM_ERROR_H

#include "base/buf.h"

struct peri_upstream_error {
    char message[2049];                 /* never empty */
    char type[65], code[65], param[65]; /* empty when not said */
};

/* Fill `out` from an error body or the data of an error event, which may be cut or empty.
 *   secret  the key the request was sent with, or a header's value that ends with it: words that begin or end like
 *           the key are taken out; may be empty */
void peri_upstream_error_read(struct peri_upstream_error *out, struct peri_str body,
                              struct peri_str secret);

/* The status that an error inside a 200 stands for: its code where that is one, 400 where its type says that the request
 * is bad; 0: it names none.
 *
 * Source: facts on Gonka gateways (a host's error object in an answer that is not streamed), vLLM's BadRequestError. */
int peri_upstream_error_status(const struct peri_upstream_error *e);

/* The same as the client's error body; what else the provider's error says (`metadata`, `details`, …) stands beside our
 * four keys, except what holds a key and what is beyond 16 KiB.
 *   body    that `e` was read from
 *   gives   PERI_OK · PERI_ENOMEM, PERI_ETOOBIG of the buffer */
PERI_MUST_USE enum peri_err peri_upstream_error_write(struct peri_buf *out,
                                                      const struct peri_upstream_error *e,
                                                      struct peri_str body, struct peri_str secret);

/* The body may go to a client as it came: it has all four keys, and no word in it looks like a key. */
bool peri_upstream_error_is_presentable(struct peri_str body, struct peri_str secret);

#endif
