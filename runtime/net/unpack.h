/* Bodies that were packed for the way: gzip, deflate, zstd and br undone (RFC 9110, 8.4.1; RFC 8878; RFC 7932).
 *
 * What comes out is bounded twice. The buffer's cap is the limit of what a body may be; and a body beyond 1 MiB may not be
 * more than 100 times as large as what was sent for it, so that a small request can not make the router work through a
 * large limit. Decoders take what memory a stream's window needs, at most 16 MiB (zstd: 8 MiB, RFC 9659).
 */
#ifndef PERI_NET_UNPACK_H
#define PERI_NET_UNPACK_H

#include "base/buf.h"

#define PERI_UNPACK_RATIO 100
#define PERI_UNPACK_FREE  (1u << 20) /* bytes that may come out of whatever went in */

/* What a request may be sent in, for Accept-Encoding (RFC 9110, 12.5.3). */
#define PERI_UNPACK_CODINGS "gzip, deflate, zstd, br"

/* Undo one coding.
 *   out     appended to
 *   coding  value of Content-Encoding, compared without case; "identity" and "" copy
 *   gives   PERI_OK · PERI_ENOTFOUND no coding of that name, or several · PERI_EMALFORMED not what it says, or cut ·
 *           PERI_ETOOBIG beyond the buffer's cap or the ratio · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_unpack(struct peri_buf *out, struct peri_str coding,
                                        struct peri_str body);

#endif
