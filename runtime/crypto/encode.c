#include "crypto/encode.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void peri_hex_encode(char *out, struct peri_str bytes) {
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        *out++ = hex_digits[c >> 4];
        *out++ = hex_digits[c & 15];
    }
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

enum peri_err peri_hex_decode(unsigned char *out, size_t cap, size_t *n, struct peri_str hex) {
    *n = 0;
    if (hex.n % 2 != 0) return PERI_EMALFORMED;
    if (hex.n / 2 > cap) return PERI_ETOOBIG;
    for (size_t i = 0; i < hex.n; i += 2) {
        int high = hex_value(hex.p[i]), low = hex_value(hex.p[i + 1]);
        if (high < 0 || low < 0) return PERI_EMALFORMED;
        out[i / 2] = (unsigned char)(high << 4 | low);
    }
    *n = hex.n / 2;
    return PERI_OK;
}

void peri_base64_encode(char *out, struct peri_str bytes) {
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t n = bytes.n;
    for (; n >= 3; n -= 3, p += 3) {
        *out++ = base64_digits[p[0] >> 2];
        *out++ = base64_digits[(p[0] & 3) << 4 | p[1] >> 4];
        *out++ = base64_digits[(p[1] & 15) << 2 | p[2] >> 6];
        *out++ = base64_digits[p[2] & 63];
    }
    if (n == 0) return;
    *out++ = base64_digits[p[0] >> 2];
    *out++ = base64_digits[(p[0] & 3) << 4 | (n == 2 ? p[1] >> 4 : 0)];
    *out++ = n == 2 ? base64_digits[(p[1] & 15) << 2] : '=';
    *out++ = '=';
}

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

/* Four characters, of which `digits` (2 to 4) are not padding. Gives -1 when one is no base64 digit. */
static long quantum(const char *text, size_t digits) {
    long value = 0;
    for (size_t i = 0; i < 4; i++) {
        int v = i < digits ? base64_value(text[i]) : 0;
        if (v < 0) return -1;
        value = value << 6 | v;
    }
    return value;
}

enum peri_err peri_base64_decode(unsigned char *out, size_t cap, size_t *n, struct peri_str text) {
    *n = 0;
    if (text.n % 4 != 0) return PERI_EMALFORMED;
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=') padding++;
    size_t bytes = text.n / 4 * 3 - padding;
    if (bytes > cap) return PERI_ETOOBIG;
    for (size_t i = 0, at = 0; i < text.n; i += 4) {
        size_t digits = i + 4 == text.n ? 4 - padding : 4;
        long value = quantum(text.p + i, digits);
        if (value < 0) return PERI_EMALFORMED;
        for (size_t k = 0; k < 3; k++) {
            unsigned char byte = (unsigned char)(value >> (16 - 8 * k));
            if (at < bytes)
                out[at++] = byte;
            else if (byte != 0)
                return PERI_EMALFORMED; /* unused bits that are not zero */
        }
    }
    *n = bytes;
    return PERI_OK;
}
