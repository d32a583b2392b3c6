/* One account on its own, outside of any router: a key file, the account it is, and its signer. For the command line and
 * for simulated networks; the network keeps those of routers.
 */
#ifndef PERI_GONKA_ACCOUNT_H
#define PERI_GONKA_ACCOUNT_H

#include "config/secret_source.h"
#include "gonka/gonka_sign.h"

struct peri_account {
    struct peri_keyring *ring;
    struct peri_hasher *hasher;
    struct peri_signer *signer;
    struct peri_gonka_wallet wallet;
};

/* Draw a private key from the operating system and write it to a new file of mode 0600: 64 hexadecimal digits and a
 * newline. The key is nowhere else afterwards.
 *   gives   PERI_OK · PERI_EINVAL the file is there already, and stays as it is · PERI_EIO · PERI_ECRYPTO no randomness;
 *           reason in `fault` */
PERI_MUST_USE enum peri_err peri_account_create(struct peri_str path, struct peri_fault *fault);

/* Take in the key that a source names ("file:PATH", "env:NAME", "cred:NAME"), by the rules of secret_source.h.
 *   env     borrowed for this call
 *   gives   PERI_OK, release with peri_account_done · as peri_secret_read · PERI_EINVAL no private key ·
 *           PERI_ECRYPTO; in every case but PERI_OK there is nothing to release */
PERI_MUST_USE enum peri_err peri_account_open(struct peri_account *a, struct peri_str source,
                                              const struct peri_env *env, struct peri_fault *fault);
void peri_account_done(struct peri_account *a);

#endif
