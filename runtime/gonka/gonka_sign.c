#include "gonka/gonka_sign.h"

#include <inttypes.h>
#include <stdio.h>

#include "crypto/encode.h"

enum peri_err peri_gonka_wallet_init(struct peri_gonka_wallet *w, struct peri_hasher *h,
                                     const struct peri_signer *s, const struct peri_key *key,
                                     struct peri_str address, struct peri_fault *fault) {
    w->key = key;
    enum peri_err err = peri_signer_public(w->public_key, s, key);
    if (err == PERI_OK)
        err = peri_address_gonka(
            w->address, h, (struct peri_str){ (const char *)w->public_key, PERI_PUBLIC_BYTES });
    if (err != PERI_OK)
        return peri_fault_set(fault, err, "the wallet's address: %s", peri_err_text(err));
    w->is_foreign = address.n > 0 && !peri_str_eq_nocase(address, peri_str_of(w->address));
    if (!w->is_foreign) return PERI_OK;
    if (address.n >= PERI_ADDRESS_MAX || !peri_address_is_gonka(address))
        return peri_fault_set(fault, PERI_EINVAL, "'%.*s' is not the address of a Gonka account",
                              address.n > 100 ? 100 : (int)address.n, address.p);
    memcpy(w->address, address.p, address.n);
    w->address[address.n] = '\0';
    return PERI_OK;
}

static enum peri_err digest_of(unsigned char out[32], struct peri_hasher *h,
                               enum peri_gonka_scheme scheme, struct peri_str body,
                               struct peri_str stamp, struct peri_str node) {
    char hex[64];
    unsigned char inner[32];
    struct peri_str parts[] = { body, stamp, node };
    if (scheme == PERI_GONKA_HASHED) {
        enum peri_err err = peri_sha256(h, inner, body);
        if (err != PERI_OK) return err;
        peri_hex_encode(hex, (struct peri_str){ (char *)inner, sizeof inner });
        parts[0] = (struct peri_str){ hex, sizeof hex };
    }
    return peri_sha256_parts(h, out, parts, scheme == PERI_GONKA_BODY_ONLY ? 1 : 3);
}

enum peri_err peri_gonka_sign(struct peri_gonka_signed *out, struct peri_hasher *h,
                              const struct peri_signer *s, const struct peri_gonka_wallet *w,
                              enum peri_gonka_scheme scheme, struct peri_str body,
                              uint64_t stamp_ns, struct peri_str node) {
    unsigned char digest[32], signature[64];
    int n = snprintf(out->stamp, sizeof out->stamp, "%" PRIu64, stamp_ns);
    enum peri_err err =
        digest_of(digest, h, scheme, body, (struct peri_str){ out->stamp, (size_t)n }, node);
    if (err == PERI_OK) err = peri_sign(signature, s, w->key, digest);
    if (err != PERI_OK) return err;
    peri_base64_encode(out->authorization, (struct peri_str){ (char *)signature, 64 });
    out->authorization[88] = '\0';
    return PERI_OK;
}

void peri_gonka_headers(struct peri_header out[PERI_GONKA_HEADERS],
                        const struct peri_gonka_signed *values, const struct peri_gonka_wallet *w) {
    out[0] = (struct peri_header){ PERI_STR("Authorization"), peri_str_of(values->authorization) };
    out[1] = (struct peri_header){ PERI_STR("X-Requester-Address"), peri_str_of(w->address) };
    out[2] = (struct peri_header){ PERI_STR("X-Timestamp"), peri_str_of(values->stamp) };
}

bool peri_gonka_is_header(struct peri_str name) {
    return peri_str_eq_nocase(name, PERI_STR("authorization")) ||
           peri_str_eq_nocase(name, PERI_STR("x-requester-address")) ||
           peri_str_eq_nocase(name, PERI_STR("x-timestamp"));
}

bool peri_gonka_check(struct peri_hasher *h, enum peri_gonka_scheme scheme,
                      struct peri_str authorization, struct peri_str body, struct peri_str stamp,
                      struct peri_str node, struct peri_str public_key) {
    unsigned char signature[66], digest[32];
    size_t n;
    return peri_base64_decode(signature, sizeof signature, &n, authorization) == PERI_OK &&
           digest_of(digest, h, scheme, body, stamp, node) == PERI_OK &&
           peri_verify((struct peri_str){ (char *)signature, n }, digest, public_key);
}
