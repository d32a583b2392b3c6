/* Known answers, asked once at start: a miscompiled or mislinked library must not sign a single request. */
#ifndef PERI_CRYPTO_SELFTEST_H
#define PERI_CRYPTO_SELFTEST_H

#include "base/err.h"

/* Hashes, encodings, an address, a signature, its check and the refusal of a changed one. Under a
 * millisecond.
 *   gives   PERI_OK · PERI_ECRYPTO with the part that failed named in the fault · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_crypto_selftest(struct peri_fault *fault);

#endif
