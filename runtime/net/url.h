/* Absolute http and https URLs: parsed once, then used for every request without being parsed again.
 *
 * What is refused is refused here, at configuration time: other schemes, user-info (a credential in a URL ends
 * up in logs), fragments, spaces, control and non-ASCII bytes. Odd spellings of IPv4 addresses (octal, hex, one
 * number) are rewritten to dotted decimals, so that the text shows what will be connected to; whether an address
 * may be connected to is decided after name resolution (peri_client_options.may_connect).
 */
#ifndef PERI_NET_URL_H
#define PERI_NET_URL_H

#include "perilune.h"

/* Immutable; may be shared by threads. */
struct peri_url;

/*   text    at most 8192 bytes
 *   gives   PERI_OK · PERI_EINVAL with the reason in `fault` · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_url_parse(struct peri_url **out, struct peri_str text,
                                           struct peri_fault *fault);

/* `base` with a path put behind its own, before its query:
 *   "https://h/v1?k=1" + "/chat/completions" = "https://h/v1/chat/completions?k=1".
 * `path` starts with '/' and may carry a query, which is put behind that of the base.
 *   gives   PERI_OK · PERI_EINVAL · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_url_join(struct peri_url **out, const struct peri_url *base,
                                          struct peri_str path);

/* From any thread. unref takes NULL. */
struct peri_url *peri_url_ref(const struct peri_url *u);
void peri_url_unref(struct peri_url *u);

/* Views good as long as the URL: the whole text as it will be requested; the host without brackets, in lower
 * case; the path with its query; host and port as a Host header has them. */
struct peri_str peri_url_text(const struct peri_url *u);
struct peri_str peri_url_host(const struct peri_url *u);
struct peri_str peri_url_target(const struct peri_url *u);
struct peri_str peri_url_authority(const struct peri_url *u);
/* The port that will be connected to, the scheme's own when none was written. */
unsigned peri_url_port(const struct peri_url *u);
bool peri_url_is_tls(const struct peri_url *u);

#endif
