/* The tokens of JSON, shared by the tape builder (json.c) and the one-pass picker (json_path.c): private to both.
 *
 * Each scanner gets a position inside the text and gives the position after the token, or NULL with `bad` and
 * `why` filled. Strings are where the bytes are, so they go 16 bytes a step where SSE2 is at hand and 8
 * elsewhere. Everything is inline: the callers are two hot loops.
 */
#ifndef PERI_BASE_JSON_TOKEN_H
#define PERI_BASE_JSON_TOKEN_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/json.h"
#include "base/utf8.h"

#define PERI_JSON_DEPTH   128
#define PERI_JSON_PADDING 32 /* bytes behind the text that may be read when the caller says so */

struct peri_json_scanner {
    const char *begin, *end;
    const char
        *wide_end; /* bytes before it may be read in steps; behind `end` when the text is padded */
    const char *bad; /* where it is wrong */
    const char *why; /* a clause: "expected ':' after the member's name" */
    bool is_lenient; /* UTF-8 is not checked */
};

/* What a string holds; the values are flag bits of a tape cell. */
#define PERI_JSON_ESCAPED 0x08u /* at least one escape */

#define PERI_JSON_NOINLINE __attribute__((noinline, cold))
#define PERI_JSON_INLINE   static inline __attribute__((always_inline))

static PERI_JSON_NOINLINE __attribute__((unused)) const char *
peri_json_refuse(struct peri_json_scanner *s, const char *at, const char *why) {
    s->bad = at;
    s->why = at < s->end ? why : "the text ends too early";
    return NULL;
}

PERI_JSON_INLINE void peri_json_scanner_init(struct peri_json_scanner *s, struct peri_str text,
                                             bool is_padded, bool is_lenient) {
    s->begin = text.p;
    s->end = text.p + text.n;
    s->wide_end = s->end + (is_padded ? PERI_JSON_PADDING : 0);
    s->bad = NULL;
    s->why = NULL;
    s->is_lenient = is_lenient;
}

PERI_JSON_INLINE const char *peri_json_skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

/* The first byte at or after p that a string scanner must look at: a quote, a backslash, a control character,
 * a byte beyond ASCII; or a place near the end of the text from where to go byte by byte. */
PERI_JSON_INLINE const char *peri_json_skip_plain(const char *p, const char *wide_end) {
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f);
    while (wide_end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
        /* the sign bits of v itself are the bytes beyond ASCII */
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(hit, v));
        if (mask != 0) return p + __builtin_ctz(mask);
        p += 16;
    }
#else
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    while (wide_end - p >= 8) {
        uint64_t v, quote, slash;
        memcpy(&v, p, 8);
        quote = v ^ (ones * '"');
        slash = v ^ (ones * '\\');
        /* "haszero" of Bit Twiddling Hacks; bytes from 0x80 up hit as well, which is wanted */
        if (((quote - ones) | (slash - ones) | (v - ones * 0x20) | v) & tops) break;
        p += 8;
    }
#endif
    return p;
}

/* The four digits of a \u escape; -1 when they are not. */
PERI_JSON_INLINE int peri_json_hex4(const char *p) {
    int code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i], low = (unsigned char)(c | 0x20);
        if (c >= '0' && c <= '9')
            code = code << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            code = code << 4 | (low - 'a' + 10);
        else
            return -1;
    }
    return code;
}

/* What may follow a backslash alone: every escape but \u. */
static inline bool peri_json_is_short_escape(char c) {
    static const bool is_short[256] = { ['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
                                        ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true };
    return is_short[(unsigned char)c];
}

/* p at the backslash of an escape that is not a short one. */
static inline const char *peri_json_skip_escape(struct peri_json_scanner *s, const char *p,
                                                unsigned *flags) {
    if (s->end - p < 2) return peri_json_refuse(s, s->end, "");
    if (p[1] != 'u') return peri_json_refuse(s, p, "this escape does not exist");
    int code = s->end - p < 6 ? -1 : peri_json_hex4(p + 2);
    if (code < 0) return peri_json_refuse(s, p, "'\\u' needs four hexadecimal digits");
    *flags |= PERI_JSON_ESCAPED;
    p += 6;
    if ((code & 0xF800) != 0xD800) return p;
    int low = code < 0xDC00 && s->end - p >= 6 && p[0] == '\\' && p[1] == 'u'
                  ? peri_json_hex4(p + 2)
                  : -1;
    return low >= 0xDC00 && low < 0xE000 ? p + 6 : p;
}

/* Length of the UTF-8 sequence at p, a byte beyond ASCII: the two and three bytes of most scripts in line, the
 * rest asked of utf8.c. 0 when it is not well formed. */
PERI_JSON_INLINE size_t peri_json_utf8_length(const char *text, const char *end) {
    const unsigned char *p = (const unsigned char *)text;
    if (end - text >= 3 && (p[1] & 0xC0) == 0x80) {
        if (p[0] >= 0xC2 && p[0] < 0xE0) return 2;
        if (p[0] > 0xE0 && p[0] < 0xF0 && p[0] != 0xED && (p[2] & 0xC0) == 0x80) return 3;
    }
    return peri_utf8_length((struct peri_str){ text, (size_t)(end - text) });
}

/* p at a byte beyond ASCII. Text that is not English comes in runs of them, with single bytes of ASCII between;
 * the run is left at the first byte of anything else. */
PERI_JSON_INLINE const char *peri_json_skip_utf8(struct peri_json_scanner *s, const char *p) {
    for (;;) {
        size_t step = peri_json_utf8_length(p, s->end);
        if (step == 0) return peri_json_refuse(s, p, "these bytes are not UTF-8");
        p += step;
        if (s->end - p < 2) return p;
        if ((unsigned char)p[0] < 0x80) {
            if (p[0] != ' ' || (unsigned char)p[1] < 0x80) return p;
            p++;
        }
    }
}

/* p after the opening quote; gives the closing quote. */
PERI_JSON_INLINE const char *peri_json_skip_string(struct peri_json_scanner *s, const char *p,
                                                   unsigned *flags) {
    for (;;) {
        p = peri_json_skip_plain(p, s->wide_end);
        if (p >= s->end) return peri_json_refuse(s, s->end, "");
        unsigned char c = (unsigned char)*p;
        if (c == '"') return p;
        if (c == '\\') {
            if (s->end - p >= 2 && peri_json_is_short_escape(p[1])) {
                *flags |= PERI_JSON_ESCAPED;
                p += 2;
            } else if ((p = peri_json_skip_escape(s, p, flags)) == NULL) {
                return NULL;
            }
        } else if (c < 0x20) {
            return peri_json_refuse(s, p, "a control character in a string must be escaped");
        } else if (c < 0x80 || s->is_lenient) {
            p++;
        } else if ((p = peri_json_skip_utf8(s, p)) == NULL) {
            return NULL;
        }
    }
}

PERI_JSON_INLINE const char *peri_json_skip_digits(const char *p, const char *end) {
    while (p < end && (unsigned char)(*p - '0') <= 9) p++;
    return p;
}

/* p at '-' or a digit. */
static inline const char *peri_json_skip_number(struct peri_json_scanner *s, const char *p) {
    const char *from, *end = s->end;
    if (*p == '-') p++;
    from = p;
    p = peri_json_skip_digits(p, end);
    if (p == from) return peri_json_refuse(s, p, "expected a digit");
    if (*from == '0' && p - from > 1)
        return peri_json_refuse(s, from, "a number does not begin with 0");
    if (p < end && *p == '.') {
        from = ++p;
        p = peri_json_skip_digits(p, end);
        if (p == from) return peri_json_refuse(s, p, "expected a digit after the decimal point");
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        from = p;
        p = peri_json_skip_digits(p, end);
        if (p == from) return peri_json_refuse(s, p, "expected a digit in the exponent");
    }
    return p;
}

/* p at a byte that begins no other value: true, false, null, or an error. */
static inline const char *peri_json_skip_literal(struct peri_json_scanner *s, const char *p,
                                                 enum peri_json_kind *kind) {
    size_t left = (size_t)(s->end - p);
    *kind = PERI_JSON_BOOL;
    if (left >= 4 && memcmp(p, "true", 4) == 0) return p + 4;
    if (left >= 5 && memcmp(p, "false", 5) == 0) return p + 5;
    *kind = PERI_JSON_NULL;
    if (left >= 4 && memcmp(p, "null", 4) == 0) return p + 4;
    if (left >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        return peri_json_refuse(s, p, "a byte order mark does not belong here");
    return peri_json_refuse(s, p, "expected a value");
}

/* "line 2, column 7, byte 31: why". Columns count characters, both from 1; bytes from 0. */
enum peri_err peri_json_fault(struct peri_fault *fault, enum peri_err err, struct peri_str text,
                              size_t offset, const char *why);

#endif
