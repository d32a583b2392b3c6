/* Any text as base64 and as hexadecimal: what decodes must encode to the same text. */
#include "crypto/encode.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct peri_str text = { (const char *)data, n };
    unsigned char *bytes = peri_malloc(n);
    char *again = peri_malloc(n);
    size_t count;
    if (bytes == NULL || again == NULL) abort();
    if (peri_base64_decode(bytes, n, &count, text) == PERI_OK) {
        peri_base64_encode(again, (struct peri_str){ (char *)bytes, count });
        if (peri_base64_length(count) != n || (n > 0 && memcmp(again, data, n) != 0))
            peri_bug("base64 has one text for one value");
    }
    if (peri_hex_decode(bytes, n, &count, text) == PERI_OK) {
        peri_hex_encode(again, (struct peri_str){ (char *)bytes, count });
        if (!peri_str_eq_nocase((struct peri_str){ again, 2 * count }, text))
            peri_bug("hexadecimal has one text for one value but for its case");
    }
    peri_free(bytes);
    peri_free(again);
    return 0;
}
