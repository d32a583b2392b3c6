#include "crypto/selftest.h"

#include "crypto/address.h"
#include "crypto/encode.h"
#include "crypto/sign.h"

/* Key 1 and the values of it that everybody knows (BIP-173's example has its hash). */
static const char key_text[] = "0000000000000000000000000000000000000000000000000000000000000001";
static const char address_text[] = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6";
static const char ethereum_text[] = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
/* Key 1 over SHA-256 of "abc", RFC 6979, low S. */
static const char signature_text[] =
    "75601b1385909ea698e3fd6e26e5fa5105127bd2299d3ab0b9d9f93df5b8b99c"
    "28ae7cc8f969e6b6fb1feac477818a75a46e8c364e88dfdc9880e1a5175c4bd1";

static bool is_hex(const unsigned char *bytes, size_t n, const char *want) {
    char text[128];
    peri_hex_encode(text, (struct peri_str){ (const char *)bytes, n });
    return strlen(want) == 2 * n && memcmp(text, want, 2 * n) == 0;
}

static const char *check_hashes(struct peri_hasher *h, unsigned char digest[32]) {
    unsigned char out[32];
    peri_ripemd160(out, PERI_STR("abc"));
    if (!is_hex(out, 20, "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc")) return "RIPEMD-160";
    peri_keccak256(out, PERI_STR(""));
    if (!is_hex(out, 32, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"))
        return "Keccak-256";
    if (peri_sha256(h, digest, PERI_STR("abc")) != PERI_OK ||
        !is_hex(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
        return "SHA-256";
    return NULL;
}

static const char *check_signature(const struct peri_signer *s, const struct peri_key *key,
                                   struct peri_str public_key, const unsigned char digest[32]) {
    unsigned char signature[64];
    struct peri_str view = { (const char *)signature, sizeof signature };
    if (peri_sign(signature, s, key, digest) != PERI_OK ||
        !is_hex(signature, sizeof signature, signature_text))
        return "signing";
    if (!peri_verify(view, digest, public_key)) return "verification";
    signature[63] ^= 1;
    return peri_verify(view, digest, public_key) ? "refusal of a changed signature" : NULL;
}

static const char *check_addresses(struct peri_hasher *h, struct peri_str public_key) {
    char text[PERI_ADDRESS_MAX];
    unsigned char bytes[20];
    if (peri_address_gonka(text, h, public_key) != PERI_OK || strcmp(text, address_text) != 0 ||
        !peri_address_is_gonka(peri_str_of(text)))
        return "Gonka address";
    if (peri_address_ethereum(bytes, public_key) != PERI_OK) return "Ethereum address";
    peri_address_eip55(text, bytes);
    return strcmp(text, ethereum_text) != 0 ? "Ethereum address" : NULL;
}

enum peri_err peri_crypto_selftest(struct peri_fault *fault) {
    struct peri_hasher *h = NULL;
    struct peri_signer *s = NULL;
    struct peri_keyring *ring = NULL;
    const struct peri_key *key;
    unsigned char digest[32], public_key[PERI_PUBLIC_BYTES];
    struct peri_str public_view = { (const char *)public_key, sizeof public_key };
    const char *failed = "start of the libraries";
    enum peri_err err = peri_hasher_new(&h);
    if (err == PERI_OK) err = peri_signer_new(&s, true);
    if (err == PERI_OK) err = peri_keyring_new(&ring);
    if (err == PERI_OK) err = peri_keyring_add_hex(&key, ring, peri_str_of(key_text), fault);
    if (err == PERI_OK) err = peri_signer_public(public_key, s, key);
    if (err == PERI_OK) {
        failed = check_hashes(h, digest);
        if (failed == NULL) failed = check_addresses(h, public_view);
        if (failed == NULL) failed = check_signature(s, key, public_view, digest);
        if (failed != NULL) err = PERI_ECRYPTO;
    }
    if (err != PERI_OK) err = peri_fault_set(fault, err, "cryptographic self-test: %s", failed);
    peri_keyring_free(ring);
    peri_signer_free(s);
    peri_hasher_free(h);
    return err;
}
