#include "crypto/signers.h"

enum peri_err peri_signers_init(struct peri_signers *s, bool verifies) {
    enum peri_err err = PERI_OK;
    if (s->hasher == NULL) err = peri_hasher_new(&s->hasher);
    if (err == PERI_OK && s->by_verifying[verifies] == NULL)
        err = peri_signer_new(&s->by_verifying[verifies], verifies);
    return err;
}

void peri_signers_done(struct peri_signers *s) {
    peri_hasher_free(s->hasher);
    for (int i = 0; i < 2; i++) peri_signer_free(s->by_verifying[i]);
    *s = (struct peri_signers){ .hasher = NULL };
}
