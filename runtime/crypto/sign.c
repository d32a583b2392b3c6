#include "crypto/sign.h"

#include <openssl/evp.h>
#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <sys/random.h>

#include "base/mem.h"

struct peri_signer {
    secp256k1_context *context;
    bool verifies;
};

enum peri_err peri_signer_new(struct peri_signer **out, bool verifies) {
    unsigned char seed[32];
    struct peri_signer *s = peri_calloc(1, sizeof *s);
    if (s == NULL) return PERI_ENOMEM;
    s->verifies = verifies;
    s->context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    bool is_seeded = s->context != NULL &&
                     getrandom(seed, sizeof seed, 0) == (ssize_t)sizeof seed &&
                     secp256k1_context_randomize(s->context, seed);
    peri_wipe(seed, sizeof seed);
    if (!is_seeded) {
        peri_signer_free(s);
        return PERI_ECRYPTO;
    }
    *out = s;
    return PERI_OK;
}

void peri_signer_free(struct peri_signer *s) {
    if (s == NULL) return;
    if (s->context != NULL) secp256k1_context_destroy(s->context);
    peri_free(s);
}

static enum peri_err compress(unsigned char out[PERI_PUBLIC_BYTES], const secp256k1_pubkey *point) {
    size_t n = PERI_PUBLIC_BYTES;
    return secp256k1_ec_pubkey_serialize(secp256k1_context_static, out, &n, point,
                                         SECP256K1_EC_COMPRESSED)
               ? PERI_OK
               : PERI_ECRYPTO;
}

static bool parse_public(secp256k1_pubkey *out, struct peri_str public_key) {
    return (public_key.n == 33 || public_key.n == 65) &&
           secp256k1_ec_pubkey_parse(secp256k1_context_static, out,
                                     (const unsigned char *)public_key.p, public_key.n);
}

enum peri_err peri_signer_public(unsigned char out[PERI_PUBLIC_BYTES], const struct peri_signer *s,
                                 const struct peri_key *key) {
    secp256k1_pubkey point;
    if (!secp256k1_ec_pubkey_create(s->context, &point, peri_key_bytes(key))) return PERI_ECRYPTO;
    return compress(out, &point);
}

static bool holds(const struct peri_signer *s, const secp256k1_ecdsa_signature *signature,
                  const unsigned char digest[32], const struct peri_key *key) {
    secp256k1_pubkey point;
    return secp256k1_ec_pubkey_create(s->context, &point, peri_key_bytes(key)) &&
           secp256k1_ecdsa_verify(s->context, signature, digest, &point);
}

enum peri_err peri_sign(unsigned char out[64], const struct peri_signer *s,
                        const struct peri_key *key, const unsigned char digest[32]) {
    secp256k1_ecdsa_signature signature;
    memset(out, 0, 64);
    if (!secp256k1_ecdsa_sign(s->context, &signature, digest, peri_key_bytes(key),
                              secp256k1_nonce_function_rfc6979, NULL))
        return PERI_ECRYPTO;
    if (s->verifies && !holds(s, &signature, digest, key)) return PERI_ECRYPTO;
    secp256k1_ecdsa_signature_serialize_compact(s->context, out, &signature);
    return PERI_OK;
}

enum peri_err peri_sign_recoverable(unsigned char out[65], const struct peri_signer *s,
                                    const struct peri_key *key, const unsigned char digest[32]) {
    secp256k1_ecdsa_recoverable_signature recoverable;
    secp256k1_ecdsa_signature signature;
    int number = 0;
    memset(out, 0, 65);
    if (!secp256k1_ecdsa_sign_recoverable(s->context, &recoverable, digest, peri_key_bytes(key),
                                          secp256k1_nonce_function_rfc6979, NULL))
        return PERI_ECRYPTO;
    secp256k1_ecdsa_recoverable_signature_convert(s->context, &signature, &recoverable);
    if (s->verifies && !holds(s, &signature, digest, key)) return PERI_ECRYPTO;
    secp256k1_ecdsa_recoverable_signature_serialize_compact(s->context, out, &number, &recoverable);
    out[64] = (unsigned char)number;
    return PERI_OK;
}

/* True when r and s are in range and s is in the lower half: then normalising changes nothing. */
static bool parse_low(secp256k1_ecdsa_signature *out, const char *compact) {
    return secp256k1_ecdsa_signature_parse_compact(secp256k1_context_static, out,
                                                   (const unsigned char *)compact) &&
           !secp256k1_ecdsa_signature_normalize(secp256k1_context_static, NULL, out);
}

bool peri_verify(struct peri_str signature, const unsigned char digest[32],
                 struct peri_str public_key) {
    secp256k1_ecdsa_signature parsed;
    secp256k1_pubkey point;
    return signature.n == 64 && parse_low(&parsed, signature.p) &&
           parse_public(&point, public_key) &&
           secp256k1_ecdsa_verify(secp256k1_context_static, &parsed, digest, &point);
}

enum peri_err peri_recover(unsigned char out[PERI_PUBLIC_BYTES], struct peri_str signature,
                           const unsigned char digest[32]) {
    secp256k1_ecdsa_signature plain;
    secp256k1_ecdsa_recoverable_signature parsed;
    secp256k1_pubkey point;
    if (signature.n != 65 || (unsigned char)signature.p[64] > 3 || !parse_low(&plain, signature.p))
        return PERI_EMALFORMED;
    if (!secp256k1_ecdsa_recoverable_signature_parse_compact(secp256k1_context_static, &parsed,
                                                             (const unsigned char *)signature.p,
                                                             signature.p[64]) ||
        !secp256k1_ecdsa_recover(secp256k1_context_static, &point, &parsed, digest))
        return PERI_EMALFORMED;
    return compress(out, &point);
}

enum peri_err peri_public_expand(unsigned char out[65], struct peri_str public_key) {
    secp256k1_pubkey point;
    size_t n = 65;
    if (!parse_public(&point, public_key)) return PERI_EMALFORMED;
    secp256k1_ec_pubkey_serialize(secp256k1_context_static, out, &n, &point,
                                  SECP256K1_EC_UNCOMPRESSED);
    return PERI_OK;
}

bool peri_ed25519_verify(struct peri_str signature, struct peri_str message,
                         struct peri_str public_key) {
    if (signature.n != 64 || public_key.n != 32) return false;
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
                                                (const unsigned char *)public_key.p, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = key != NULL && context != NULL &&
                   EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                   EVP_DigestVerify(context, (const unsigned char *)signature.p, 64,
                                    (const unsigned char *)message.p, message.n) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return is_good;
}

enum peri_err peri_ed25519_public(unsigned char out[32], const unsigned char seed[32]) {
    size_t n = 32;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    bool is_good = key != NULL && EVP_PKEY_get_raw_public_key(key, out, &n) == 1 && n == 32;
    EVP_PKEY_free(key);
    return is_good ? PERI_OK : PERI_ECRYPTO;
}

enum peri_err peri_ed25519_sign(unsigned char out[64], const unsigned char seed[32],
                                struct peri_str message) {
    size_t n = 64;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good =
        key != NULL && context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestSign(context, out, &n, (const unsigned char *)message.p, message.n) == 1 &&
        n == 64;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return is_good ? PERI_OK : PERI_ECRYPTO;
}
