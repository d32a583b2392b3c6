/* The first bytes say how the rest is cut into text, pattern and replacement. */
#include <stddef.h>
#include <stdint.h>

#include "script/state/strings_compare.h"

#define TEXT_MAX    24 /* small enough that Lua's own matcher, which nothing stops, comes to an end */
#define PATTERN_MAX 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct peri_state *s;
    if (s == NULL) s = compare_new();
    if (size < 3) return 0;
    size_t pattern_n = data[0] % (PATTERN_MAX + 1), text_n = data[1] % (TEXT_MAX + 1);
    int from = (int)(data[2] % 16) - 6;
    const char *rest = (const char *)data + 3;
    size -= 3;
    if (pattern_n > size) pattern_n = size;
    if (text_n > size - pattern_n) text_n = size - pattern_n;
    struct peri_str pattern = { rest, pattern_n }, text = { rest + pattern_n, text_n };
    struct peri_str replacement = { rest + pattern_n + text_n, size - pattern_n - text_n };
    if (replacement.n > 8) replacement.n = 8;
    const char *difference = compare(s, text, pattern, replacement, from);
    if (difference != NULL) {
        fprintf(stderr, "%s\n", difference);
        abort();
    }
    return 0;
}
