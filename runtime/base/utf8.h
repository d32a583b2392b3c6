/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef PERI_BASE_UTF8_H
#define PERI_BASE_UTF8_H

#include "base/str.h"

/* Length in bytes (1 to 4) of the well-formed sequence at the front of s; 0 when there is none. */
size_t peri_utf8_length(struct peri_str s);

/* Offset of the first byte that does not belong to well-formed UTF-8; s.n when all of it does. */
size_t peri_utf8_valid(struct peri_str s);

/* Write one code point; `out` has room for 4. Gives the bytes written, 0 for a surrogate or beyond U+10FFFF. */
size_t peri_utf8_encode(char *out, uint32_t code);

#endif
