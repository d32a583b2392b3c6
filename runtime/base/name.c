#include "base/name.h"

#include "base/utf8.h"

const char *peri_name_fault(struct peri_str name) {
    bool is_ascii = true;
    if (name.n == 0) return "is empty";
    if (name.n > PERI_NAME_MAX) return "is longer than 256 bytes";
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c < ' ' || c == 0x7f) return "holds a control character";
        if (c >= 0x80) is_ascii = false;
    }
    if (is_ascii) return NULL;
    if (peri_utf8_valid(name) != name.n) return "is not valid UTF-8";
    for (size_t i = 0; i + 1 < name.n; i++) /* U+0080 to U+009F: 0xC2, and a byte below 0xA0 */
        if ((unsigned char)name.p[i] == 0xc2 && (unsigned char)name.p[i + 1] < 0xa0)
            return "holds a control character";
    return NULL;
}
