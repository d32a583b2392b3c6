/* What may stand in a header that this program sends, in a request or in an answer, whoever has filled it: a client,
 * a provider, a policy, the configuration. Everything that fills headers asks here, before the text is kept; the server
 * (exchange.c) and the client (call_request.c) ask again before they send.
 *
 * A name is a token (RFC 9110, 5.6.2). A value is visible characters, blanks, tabs and bytes beyond ASCII (5.5): no
 * other control character, so no line end and no NUL. RFC 9110 sets no lengths; one line of 8 KiB is what nginx and
 * Apache take.
 */
#ifndef PERI_NET_HEADER_H
#define PERI_NET_HEADER_H

#include "base/str.h"

#define PERI_HEADER_NAME_MAX  256
#define PERI_HEADER_VALUE_MAX 8192

/* Names of headers and methods are tokens (RFC 9110, 5.6.2). */
bool peri_http_is_token(struct peri_str s);
/* Bytes that a value may have (5.5), whatever its length. */
bool peri_http_is_value(struct peri_str s);

/* gives NULL when the header can be sent, else a clause for people: "a header's value holds a control character".
 * Static text. */
const char *peri_header_fault(struct peri_header header);

/* Headers that say how a message is framed or belong to one connection (RFC 9110, 7.6.1; RFC 9112, 6): whoever writes the
 * message sets them, nobody else can. Compared without case. */
bool peri_header_is_framing(struct peri_str name);

#endif
