/* Any text: what parses must be written back as the same text in lower case. */
#include "crypto/bech32.h"

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct peri_str text = { (const char *)data, n };
    struct peri_bech32_text parsed;
    char again[PERI_BECH32_TEXT_MAX + 1];
    unsigned char bytes[PERI_BECH32_DATA_MAX];
    size_t count;
    if (peri_bech32_parse(&parsed, text) != PERI_OK) return 0;
    struct peri_str hrp = { parsed.hrp, parsed.hrp_n };
    if (peri_bech32_format(again, hrp, parsed.digits, parsed.digit_count, parsed.kind) != PERI_OK ||
        !peri_str_eq_nocase(peri_str_of(again), text))
        peri_bug("a text that parses is written back");
    if (peri_bech32_decode(bytes, &count, hrp, text, parsed.kind) != PERI_OK) return 0;
    if (peri_bech32_encode(again, hrp, (struct peri_str){ (char *)bytes, count }, parsed.kind) !=
            PERI_OK ||
        !peri_str_eq_nocase(peri_str_of(again), text))
        peri_bug("decoded bytes have one text");
    return 0;
}
