/* Account addresses: Gonka's (bech32 over RIPEMD-160 of SHA-256, as on every Cosmos chain) and Ethereum's
 * (the tail of Keccak-256, with its checksum in the letters' case). */
#ifndef PERI_CRYPTO_ADDRESS_H
#define PERI_CRYPTO_ADDRESS_H

#include "crypto/bech32.h"
#include "crypto/hash.h"

#define PERI_ADDRESS_MAX (PERI_BECH32_TEXT_MAX + 1) /* room for any address text and its NUL */
#define PERI_EIP55_ROOM  43                         /* "0x", 40 digits, NUL */

/* The gonka1… address of a compressed public key (33 bytes): 44 characters.
 *   gives   PERI_OK · PERI_EINVAL the key is not 33 bytes · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err peri_address_gonka(char out[PERI_ADDRESS_MAX], struct peri_hasher *h,
                                               struct peri_str public_key);

/* True for the text of a Gonka account: bech32, "gonka", 20 bytes (an account) or 32 (a module or contract).
 * Upper case is allowed by bech32 and accepted; compare by bytes, or after peri_address_gonka_bytes. */
PERI_MUST_USE bool peri_address_is_gonka(struct peri_str text);
/* The bytes behind it; `out` has room for 32.
 *   gives   PERI_OK · what peri_bech32_decode gives · PERI_EINVAL neither 20 nor 32 bytes */
PERI_MUST_USE enum peri_err peri_address_gonka_bytes(unsigned char out[32], size_t *n,
                                                     struct peri_str text);

/* The 20 bytes of the Ethereum address of a public key of 33 or 65 bytes.
 *   gives   PERI_OK · PERI_EMALFORMED not a point of the curve */
PERI_MUST_USE enum peri_err peri_address_ethereum(unsigned char out[20],
                                                  struct peri_str public_key);

/* "0x" and 40 digits with the checksum of EIP-55 in their case. */
void peri_address_eip55(char out[PERI_EIP55_ROOM], const unsigned char address[20]);
/* The bytes of an Ethereum address text: "0x" and 40 digits, all lower, all upper, or in the case EIP-55
 * asks for.
 *   gives   PERI_OK · PERI_EMALFORMED */
PERI_MUST_USE enum peri_err peri_address_eip55_bytes(unsigned char out[20], struct peri_str text);

#endif
