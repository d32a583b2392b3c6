#include "crypto/hash.h"

#include <openssl/evp.h>

#include "base/mem.h"

struct peri_hasher {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
    bool has_failed;
};

enum peri_err peri_hasher_new(struct peri_hasher **out) {
    struct peri_hasher *h = peri_calloc(1, sizeof *h);
    if (h == NULL) return PERI_ENOMEM;
    h->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->context = EVP_MD_CTX_new();
    if (h->sha256 == NULL || h->context == NULL) {
        enum peri_err err = h->context == NULL ? PERI_ENOMEM : PERI_ECRYPTO;
        peri_hasher_free(h);
        return err;
    }
    *out = h;
    return PERI_OK;
}

void peri_hasher_free(struct peri_hasher *h) {
    if (h == NULL) return;
    EVP_MD_CTX_free(h->context);
    EVP_MD_free(h->sha256);
    peri_free(h);
}

void peri_sha256_begin(struct peri_hasher *h) {
    h->has_failed = EVP_DigestInit_ex2(h->context, h->sha256, NULL) != 1;
}

void peri_sha256_add(struct peri_hasher *h, struct peri_str bytes) {
    if (!h->has_failed && bytes.n > 0)
        h->has_failed = EVP_DigestUpdate(h->context, bytes.p, bytes.n) != 1;
}

enum peri_err peri_sha256_end(struct peri_hasher *h, unsigned char out[32]) {
    if (!h->has_failed && EVP_DigestFinal_ex(h->context, out, NULL) == 1) return PERI_OK;
    memset(out, 0, 32);
    return PERI_ECRYPTO;
}

enum peri_err peri_sha256(struct peri_hasher *h, unsigned char out[32], struct peri_str bytes) {
    return peri_sha256_parts(h, out, &bytes, 1);
}

enum peri_err peri_sha256_parts(struct peri_hasher *h, unsigned char out[32],
                                const struct peri_str *parts, size_t count) {
    peri_sha256_begin(h);
    for (size_t i = 0; i < count; i++) peri_sha256_add(h, parts[i]);
    return peri_sha256_end(h, out);
}
