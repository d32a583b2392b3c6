/* Bech32, the address text of Cosmos chains, and its successor Bech32m (BIP-173, BIP-350).
 *
 * The two differ in one checksum constant. An address chain expects one of them; text that carries the other
 * is refused with its own answer, since it is nearly always an address of some other network.
 */
#ifndef PERI_CRYPTO_BECH32_H
#define PERI_CRYPTO_BECH32_H

#include "base/err.h"
#include "base/str.h"

#define PERI_BECH32_TEXT_MAX 90 /* characters, BIP-173 "Bech32" */
#define PERI_BECH32_HRP_MAX  83
#define PERI_BECH32_DATA_MAX                                                                       \
    51 /* bytes: 82 digits, after "x1" and before the checksum, hold 410 bits */

enum peri_bech32 { PERI_BECH32, PERI_BECH32M };

struct peri_bech32_text {
    char hrp[PERI_BECH32_HRP_MAX + 1]; /* lower case, ends in NUL */
    size_t hrp_n;
    unsigned char digits[PERI_BECH32_TEXT_MAX]; /* values 0 to 31, checksum taken off */
    size_t digit_count;
    enum peri_bech32 kind;
};

/* Take apart any text whose checksum holds.
 *   gives   PERI_OK · PERI_EMALFORMED: over 90 characters, mixed case, no human-readable part, a character
 *           outside the alphabet, wrong checksum */
PERI_MUST_USE enum peri_err peri_bech32_parse(struct peri_bech32_text *out, struct peri_str text);

/* Write digits (values 0 to 31) under a lower-case human-readable part.
 *
 *   out     room for PERI_BECH32_TEXT_MAX + 1; ends in NUL
 *   gives   PERI_OK · PERI_ETOOBIG over 90 characters · PERI_EINVAL hrp empty, upper case or outside
 *           33 to 126, or a digit over 31 */
PERI_MUST_USE enum peri_err peri_bech32_format(char *out, struct peri_str hrp,
                                               const unsigned char *digits, size_t digit_count,
                                               enum peri_bech32 kind);

/* Whole bytes under a human-readable part, as addresses are.
 *
 *   out     room for PERI_BECH32_TEXT_MAX + 1; ends in NUL */
PERI_MUST_USE enum peri_err peri_bech32_encode(char *out, struct peri_str hrp,
                                               struct peri_str bytes, enum peri_bech32 kind);

/* The bytes of an address text.
 *
 *   out     room for PERI_BECH32_DATA_MAX
 *   hrp     the human-readable part it must have, lower case
 *   gives   PERI_OK · PERI_EMALFORMED as peri_bech32_parse, or bits left over that are not zero padding of
 *           less than five · PERI_EPROTO: sound, but of the other kind · PERI_EDENIED: sound, but of another
 *           human-readable part */
PERI_MUST_USE enum peri_err peri_bech32_decode(unsigned char *out, size_t *n, struct peri_str hrp,
                                               struct peri_str text, enum peri_bech32 kind);

#endif
