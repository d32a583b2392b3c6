/* Bytes as text: hexadecimal and base64. Decoders are strict: one text for one value, nothing skipped. */
#ifndef PERI_CRYPTO_ENCODE_H
#define PERI_CRYPTO_ENCODE_H

#include "base/err.h"
#include "base/str.h"

/* Lower-case hexadecimal; `out` has room for 2 * bytes.n, no NUL is added. */
void peri_hex_encode(char *out, struct peri_str bytes);

/* Hexadecimal of either case, no prefix, an even number of digits.
 *
 *   out     room for `cap` bytes
 *   n       bytes written
 *   gives   PERI_OK · PERI_EMALFORMED · PERI_ETOOBIG more than cap bytes (in both, *n is 0) */
PERI_MUST_USE enum peri_err peri_hex_decode(unsigned char *out, size_t cap, size_t *n,
                                            struct peri_str hex);

/* Characters that n bytes take in base64, padding included. */
static inline size_t peri_base64_length(size_t n) { return (n + 2) / 3 * 4; }

/* Base64 of RFC 4648 section 4 with padding; `out` has room for peri_base64_length(bytes.n), no NUL. */
void peri_base64_encode(char *out, struct peri_str bytes);

/* Strict base64: the standard alphabet, padding required, no white space, unused bits zero (RFC 4648
 * sections 3.2, 3.3 and 3.5), so that decoding and encoding again gives the same text.
 *
 *   gives   as peri_hex_decode; `cap` of text.n / 4 * 3 always suffices */
PERI_MUST_USE enum peri_err peri_base64_decode(unsigned char *out, size_t cap, size_t *n,
                                               struct peri_str text);

#endif
