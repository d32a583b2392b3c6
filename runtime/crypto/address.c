#include "crypto/address.h"

#include "crypto/encode.h"
#include "crypto/sign.h"

enum peri_err peri_address_gonka(char out[PERI_ADDRESS_MAX], struct peri_hasher *h,
                                 struct peri_str public_key) {
    unsigned char sha[32], account[20];
    if (public_key.n != PERI_PUBLIC_BYTES) return PERI_EINVAL;
    enum peri_err err = peri_sha256(h, sha, public_key);
    if (err != PERI_OK) return err;
    peri_ripemd160(account, (struct peri_str){ (char *)sha, sizeof sha });
    return peri_bech32_encode(out, PERI_STR("gonka"),
                              (struct peri_str){ (char *)account, sizeof account }, PERI_BECH32);
}

enum peri_err peri_address_gonka_bytes(unsigned char out[32], size_t *n, struct peri_str text) {
    unsigned char bytes[PERI_BECH32_DATA_MAX];
    enum peri_err err = peri_bech32_decode(bytes, n, PERI_STR("gonka"), text, PERI_BECH32);
    if (err != PERI_OK) return err;
    if (*n != 20 && *n != 32) return PERI_EINVAL;
    memcpy(out, bytes, *n);
    return PERI_OK;
}

bool peri_address_is_gonka(struct peri_str text) {
    unsigned char bytes[32];
    size_t n;
    return peri_address_gonka_bytes(bytes, &n, text) == PERI_OK;
}

enum peri_err peri_address_ethereum(unsigned char out[20], struct peri_str public_key) {
    unsigned char point[65], digest[32];
    enum peri_err err = peri_public_expand(point, public_key);
    if (err != PERI_OK) return err;
    peri_keccak256(digest, (struct peri_str){ (char *)point + 1, 64 });
    memcpy(out, digest + 12, 20);
    return PERI_OK;
}

void peri_address_eip55(char out[PERI_EIP55_ROOM], const unsigned char address[20]) {
    unsigned char digest[32];
    out[0] = '0';
    out[1] = 'x';
    peri_hex_encode(out + 2, (struct peri_str){ (const char *)address, 20 });
    peri_keccak256(digest, (struct peri_str){ out + 2, 40 });
    for (int i = 0; i < 40; i++) {
        int nibble = i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2] & 15;
        if (nibble >= 8 && out[2 + i] >= 'a') out[2 + i] = (char)(out[2 + i] - 32);
    }
    out[PERI_EIP55_ROOM - 1] = '\0';
}

enum peri_err peri_address_eip55_bytes(unsigned char out[20], struct peri_str text) {
    char expected[PERI_EIP55_ROOM];
    size_t n;
    if (text.n != 42 || !peri_str_has_prefix(text, PERI_STR("0x")) ||
        peri_hex_decode(out, 20, &n, peri_str_from(text, 2)) != PERI_OK)
        return PERI_EMALFORMED;
    bool has_upper = false, has_lower = false;
    for (size_t i = 2; i < text.n; i++) {
        has_upper |= text.p[i] >= 'A' && text.p[i] <= 'F';
        has_lower |= text.p[i] >= 'a';
    }
    if (!has_upper || !has_lower) return PERI_OK;
    peri_address_eip55(expected, out);
    return memcmp(expected, text.p, 42) == 0 ? PERI_OK : PERI_EMALFORMED;
}
