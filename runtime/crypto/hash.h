/* The hashes our networks use: SHA-256 (OpenSSL), RIPEMD-160 and Keccak-256 (ours).
 *
 * SHA-256 is on the path of every signed request and of every proof, so its algorithm is fetched once and one
 * context is used again and again. RIPEMD-160 and Keccak-256 make addresses, now and then: ours are a page
 * each and depend on no provider that an operator's OpenSSL may lack (RIPEMD-160 moved to the legacy provider
 * in 3.0, and came back to the default one in 3.0.7; Keccak-256 arrived in 3.2).
 */
#ifndef PERI_CRYPTO_HASH_H
#define PERI_CRYPTO_HASH_H

#include "base/err.h"
#include "base/str.h"

/* Belongs to one thread. */
struct peri_hasher;

/* gives PERI_OK · PERI_ENOMEM · PERI_ECRYPTO OpenSSL offers no SHA-256 */
PERI_MUST_USE enum peri_err peri_hasher_new(struct peri_hasher **out);
/* Takes NULL. */
void peri_hasher_free(struct peri_hasher *h);

/* One digest over bytes that arrive in pieces. A failure on the way is kept and answered by `end`, so that a
 * caller looks once; `end` leaves the hasher ready for the next digest.
 *   gives   PERI_OK · PERI_ECRYPTO (out is then all zero) */
void peri_sha256_begin(struct peri_hasher *h);
void peri_sha256_add(struct peri_hasher *h, struct peri_str bytes);
PERI_MUST_USE enum peri_err peri_sha256_end(struct peri_hasher *h, unsigned char out[32]);

/* The same over one run of bytes, and over several as if they stood in one. */
PERI_MUST_USE enum peri_err peri_sha256(struct peri_hasher *h, unsigned char out[32],
                                        struct peri_str bytes);
PERI_MUST_USE enum peri_err peri_sha256_parts(struct peri_hasher *h, unsigned char out[32],
                                              const struct peri_str *parts, size_t count);

/* Source: Dobbertin, Bosselaers, Preneel, "RIPEMD-160: a strengthened version of RIPEMD", 1996. */
void peri_ripemd160(unsigned char out[20], struct peri_str bytes);

/* Keccak with capacity 512 and the original padding byte 0x01, as Ethereum uses it; SHA3-256 of FIPS 202
 * pads with 0x06 and gives other digests. */
void peri_keccak256(unsigned char out[32], struct peri_str bytes);

/* The same over bytes that arrive in pieces: `begin`, `add` whole blocks, `end` with the rest of any length. */
#define PERI_RIPEMD160_BLOCK 64
#define PERI_KECCAK256_BLOCK 136
struct peri_ripemd160 {
    uint32_t h[5];
    uint64_t bytes;
};
struct peri_keccak256 {
    uint64_t lanes[25];
};
void peri_ripemd160_begin(struct peri_ripemd160 *r);
void peri_ripemd160_add(struct peri_ripemd160 *r, struct peri_str blocks);
void peri_ripemd160_end(struct peri_ripemd160 *r, unsigned char out[20], struct peri_str rest);
void peri_keccak256_begin(struct peri_keccak256 *k);
void peri_keccak256_add(struct peri_keccak256 *k, struct peri_str blocks);
void peri_keccak256_end(struct peri_keccak256 *k, unsigned char out[32], struct peri_str rest);

#endif
