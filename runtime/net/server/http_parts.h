/* For http*.c only: what the head's and the body's reader share. */
#ifndef PERI_NET_SERVER_HTTP_PARTS_H
#define PERI_NET_SERVER_HTTP_PARTS_H

#include "net/server/http.h"

/* Refuse the request. `why` is static text. */
void peri_http_fail(struct peri_http *h, int status, const char *why);
/* Room for the message to grow to `need` bytes and the padding; `hint` is the size it will end with, 0 when
 * unknown. Fails the request and gives false when memory ran out. */
bool peri_http_reserve(struct peri_http *h, size_t need, size_t hint);
/* The body is complete. */
void peri_http_finish(struct peri_http *h);
/* One line without its CRLF: is it a header line, and which part of it is the name? Refuses otherwise. */
bool peri_http_check_line(struct peri_http *h, struct peri_str line, struct peri_str *name);
/* The request line, likewise: method, target and version are recorded. */
bool peri_http_check_request_line(struct peri_http *h, struct peri_str line);
/* Value of a Host header or authority of a target: a name or address, and perhaps a port. */
bool peri_http_is_authority(struct peri_str s);
/* All of `in` that belongs to a chunked body. */
size_t peri_http_take_chunks(struct peri_http *h, struct peri_str in);

#endif
