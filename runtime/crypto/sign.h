/* Signatures on secp256k1, and the check of ed25519 ones.
 *
 * A signer is a libsecp256k1 context, randomised once from the system against side channels and then used for
 * every signature of its thread. Nonces are those of RFC 6979, so the same key and digest give the same
 * signature; S is always in the lower half, as every network of ours demands.
 */
#ifndef PERI_CRYPTO_SIGN_H
#define PERI_CRYPTO_SIGN_H

#include "crypto/secret.h"

#define PERI_PUBLIC_BYTES 33 /* compressed point: 02 or 03, then x */

/* Belongs to one thread. */
struct peri_signer;

/*   verifies  check each signature before giving it out, against a fault in the machine: a signature then costs
 *             about two and a half times as much
 *   gives     PERI_OK · PERI_ENOMEM · PERI_ECRYPTO the system gave no randomness */
PERI_MUST_USE enum peri_err peri_signer_new(struct peri_signer **out, bool verifies);
/* Takes NULL. */
void peri_signer_free(struct peri_signer *s);

/* The compressed public key of a private one.
 *   gives   PERI_OK · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err peri_signer_public(unsigned char out[PERI_PUBLIC_BYTES],
                                               const struct peri_signer *s,
                                               const struct peri_key *key);

/* Sign a digest: r then s, 32 bytes each, big endian.
 *   gives   PERI_OK · PERI_ECRYPTO (out is then all zero) */
PERI_MUST_USE enum peri_err peri_sign(unsigned char out[64], const struct peri_signer *s,
                                      const struct peri_key *key, const unsigned char digest[32]);

/* The same with the recovery number, 0 to 3, as 65th byte (Ethereum adds 27 to it). */
PERI_MUST_USE enum peri_err peri_sign_recoverable(unsigned char out[65],
                                                  const struct peri_signer *s,
                                                  const struct peri_key *key,
                                                  const unsigned char digest[32]);

/* True when `signature` is 64 bytes, its S in the lower half, and made over `digest` by the owner of
 * `public_key` (33 bytes compressed or 65 uncompressed). Any thread. */
PERI_MUST_USE bool peri_verify(struct peri_str signature, const unsigned char digest[32],
                               struct peri_str public_key);

/* Who signed: the compressed public key behind a 65-byte signature. An S in the upper half is refused.
 *   gives   PERI_OK · PERI_EMALFORMED. Any thread. */
PERI_MUST_USE enum peri_err peri_recover(unsigned char out[PERI_PUBLIC_BYTES],
                                         struct peri_str signature, const unsigned char digest[32]);

/* The 65-byte form (04, x, y) of a public key of 33 or 65 bytes.
 *   gives   PERI_OK · PERI_EMALFORMED not a point of the curve. Any thread. */
PERI_MUST_USE enum peri_err peri_public_expand(unsigned char out[65], struct peri_str public_key);

/* True when the 64-byte ed25519 signature over `message` holds for the 32-byte key (RFC 8032; CometBFT
 * validators sign so). Any thread. */
PERI_MUST_USE bool peri_ed25519_verify(struct peri_str signature, struct peri_str message,
                                       struct peri_str public_key);

/* The public key of an ed25519 seed, and a signature by it: what a simulated chain's validators need. Routers hold no
 * such keys.
 *   gives   PERI_OK · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err peri_ed25519_public(unsigned char out[32],
                                                const unsigned char seed[32]);
PERI_MUST_USE enum peri_err peri_ed25519_sign(unsigned char out[64], const unsigned char seed[32],
                                              struct peri_str message);

#endif
