/* Private keys, in memory that is kept out of swap and core dumps and wiped when it goes.
 *
 * A keyring is one private mapping of whole pages: locked (mlock), excluded from core dumps (MADV_DONTDUMP),
 * zeroed in forked children (MADV_WIPEONFORK), with an unreadable page on either side. Keys are added by one
 * thread while things are set up; after that the ring is only read, by any number of threads. Tokens and other
 * secrets of the configuration are kept by config/secret_zone.h.
 *
 * No function here writes a secret anywhere but into the ring, and no fault text repeats any part of one:
 * not the value, not its length in digits, not where in it the mistake stands.
 */
#ifndef PERI_CRYPTO_SECRET_H
#define PERI_CRYPTO_SECRET_H

#include "base/err.h"
#include "base/str.h"

/* Keys one ring holds. */
#define PERI_KEYRING_KEYS 128

struct peri_keyring;
/* One private key of secp256k1, a number from 1 to n - 1. Lives as long as its ring. */
struct peri_key;

/* gives PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_keyring_new(struct peri_keyring **out);
/* Wipes first. Takes NULL. */
void peri_keyring_free(struct peri_keyring *ring);
/* False when the system refused to lock the pages (RLIMIT_MEMLOCK): the ring works, the operator should be
 * told. */
bool peri_keyring_is_locked(const struct peri_keyring *ring);

/* Take in a private key.
 *
 *   key     borrowed from the ring
 *   hex     64 digits of either case, with or without "0x", spaces at both ends ignored; the caller wipes
 *           its own copy
 *   gives   PERI_OK · PERI_EINVAL not 64 hex digits, zero, or not below the curve's order (fault filled)
 *           PERI_EFULL the ring is full */
PERI_MUST_USE enum peri_err peri_keyring_add_hex(const struct peri_key **key,
                                                 struct peri_keyring *ring, struct peri_str hex,
                                                 struct peri_fault *fault);

/* The 32 bytes, big endian. For crypto/sign.c; nobody else has business with them. */
const unsigned char *peri_key_bytes(const struct peri_key *key);

#endif
