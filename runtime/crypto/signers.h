/* What one thread signs with: a hasher, and a signer of each kind, made when the first signature is asked for. */
#ifndef PERI_CRYPTO_SIGNERS_H
#define PERI_CRYPTO_SIGNERS_H

#include "crypto/hash.h"
#include "crypto/sign.h"

/* All zero: nothing is made yet. */
struct peri_signers {
    struct peri_hasher *hasher;
    /* [1] verifies each signature before it gives it out. */
    struct peri_signer *by_verifying[2];
};

/* Make what is missing.
 *   verifies  of the signer that is needed
 *   gives     PERI_OK · PERI_ENOMEM · PERI_ECRYPTO; what was made stays and is not made again */
PERI_MUST_USE enum peri_err peri_signers_init(struct peri_signers *s, bool verifies);
void peri_signers_done(struct peri_signers *s);

#endif
