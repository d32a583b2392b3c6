#include "crypto/bech32.h"

static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* Checksum constants: BIP-173 has 1, BIP-350 chose the other against inserted q's. */
static const uint32_t final_of[] = { 1, 0x2bc830a3 };

static uint32_t step(uint32_t sum, unsigned value) {
    static const uint32_t generator[] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                          0x2a1462b3 };
    uint32_t top = sum >> 25;
    sum = (sum & 0x1ffffff) << 5 ^ value;
    for (int i = 0; i < 5; i++)
        if (top >> i & 1) sum ^= generator[i];
    return sum;
}

static uint32_t sum_of_hrp(struct peri_str hrp) {
    uint32_t sum = 1;
    for (size_t i = 0; i < hrp.n; i++) sum = step(sum, (unsigned char)hrp.p[i] >> 5);
    sum = step(sum, 0);
    for (size_t i = 0; i < hrp.n; i++) sum = step(sum, (unsigned char)hrp.p[i] & 31);
    return sum;
}

static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static char lower(char c) { return is_upper(c) ? (char)(c + 32) : c; }

/* One case only, and nothing outside 33 to 126. */
static bool is_clean(struct peri_str text) {
    bool has_upper = false, has_lower = false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 33 || text.p[i] > 126) return false;
        has_upper |= is_upper(text.p[i]);
        has_lower |= is_lower(text.p[i]);
    }
    return !(has_upper && has_lower);
}

enum peri_err peri_bech32_parse(struct peri_bech32_text *out, struct peri_str text) {
    if (text.n > PERI_BECH32_TEXT_MAX || !is_clean(text)) return PERI_EMALFORMED;
    size_t separator = text.n;
    while (separator > 0 && text.p[separator - 1] != '1') separator--;
    /* `separator` counts the "1" itself: at least one character before, six of checksum after. */
    if (separator < 2 || text.n - separator < 6) return PERI_EMALFORMED;
    out->hrp_n = separator - 1;
    for (size_t i = 0; i < out->hrp_n; i++) out->hrp[i] = lower(text.p[i]);
    out->hrp[out->hrp_n] = '\0';
    uint32_t sum = sum_of_hrp((struct peri_str){ out->hrp, out->hrp_n });
    out->digit_count = text.n - separator - 6;
    for (size_t i = separator; i < text.n; i++) {
        const char *at = memchr(alphabet, lower(text.p[i]), 32);
        if (at == NULL) return PERI_EMALFORMED;
        unsigned value = (unsigned)(at - alphabet);
        sum = step(sum, value);
        if (i - separator < out->digit_count) out->digits[i - separator] = (unsigned char)value;
    }
    for (int kind = PERI_BECH32; kind <= PERI_BECH32M; kind++) {
        if (sum != final_of[kind]) continue;
        out->kind = (enum peri_bech32)kind;
        return PERI_OK;
    }
    return PERI_EMALFORMED;
}

enum peri_err peri_bech32_format(char *out, struct peri_str hrp, const unsigned char *digits,
                                 size_t digit_count, enum peri_bech32 kind) {
    if (hrp.n == 0 || !is_clean(hrp)) return PERI_EINVAL;
    for (size_t i = 0; i < hrp.n; i++)
        if (is_upper(hrp.p[i])) return PERI_EINVAL;
    if (hrp.n > PERI_BECH32_HRP_MAX || digit_count > PERI_BECH32_TEXT_MAX - 7 - hrp.n)
        return PERI_ETOOBIG;
    memcpy(out, hrp.p, hrp.n);
    char *at = out + hrp.n;
    *at++ = '1';
    uint32_t sum = sum_of_hrp(hrp);
    for (size_t i = 0; i < digit_count; i++) {
        if (digits[i] > 31) return PERI_EINVAL;
        sum = step(sum, digits[i]);
        *at++ = alphabet[digits[i]];
    }
    for (int i = 0; i < 6; i++) sum = step(sum, 0);
    sum ^= final_of[kind];
    for (int i = 0; i < 6; i++) *at++ = alphabet[sum >> (25 - 5 * i) & 31];
    *at = '\0';
    return PERI_OK;
}

enum peri_err peri_bech32_encode(char *out, struct peri_str hrp, struct peri_str bytes,
                                 enum peri_bech32 kind) {
    unsigned char digits[PERI_BECH32_TEXT_MAX];
    if (bytes.n > PERI_BECH32_DATA_MAX) return PERI_ETOOBIG;
    size_t count = 0;
    unsigned held = 0, bits = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        held = (held << 8 | (unsigned char)bytes.p[i]) & 0xfff;
        for (bits += 8; bits >= 5; bits -= 5)
            digits[count++] = (unsigned char)(held >> (bits - 5) & 31);
    }
    if (bits > 0) digits[count++] = (unsigned char)(held << (5 - bits) & 31);
    return peri_bech32_format(out, hrp, digits, count, kind);
}

enum peri_err peri_bech32_decode(unsigned char *out, size_t *n, struct peri_str hrp,
                                 struct peri_str text, enum peri_bech32 kind) {
    struct peri_bech32_text parsed;
    *n = 0;
    enum peri_err err = peri_bech32_parse(&parsed, text);
    if (err != PERI_OK) return err;
    if (!peri_str_eq((struct peri_str){ parsed.hrp, parsed.hrp_n }, hrp)) return PERI_EDENIED;
    if (parsed.kind != kind) return PERI_EPROTO;
    size_t count = 0;
    unsigned held = 0, bits = 0;
    for (size_t i = 0; i < parsed.digit_count; i++) {
        held = (held << 5 | parsed.digits[i]) & 0xfff;
        bits += 5;
        if (bits < 8) continue;
        bits -= 8;
        out[count++] = (unsigned char)(held >> bits);
    }
    if (bits >= 5 || (held & ((1u << bits) - 1)) != 0) return PERI_EMALFORMED;
    *n = count;
    return PERI_OK;
}
