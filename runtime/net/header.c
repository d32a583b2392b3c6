#include "net/header.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* RFC 9110, 5.6.2: ! # $ % & ' * + - . ^ _ ` | ~ digits letters. */
static const uint64_t token_bits[4] = { 0x03ff6cfa00000000u, 0x57ffffffc7fffffeu, 0, 0 };

static inline bool is_token_char(unsigned char c) { return token_bits[c >> 6] >> (c & 63) & 1; }

/* Nearly every name is letters and '-', nearly every value is free of control characters, and a request with its answer
 * brings some fifty of them. So all bytes of a text are asked at once whether they are plain; only when one is not, each is
 * looked at. A piece is PIECE bytes; the last one overlaps the one before it, so that none is left over. */
#ifdef __SSE2__
#define PIECE 16
typedef __m128i piece;

static inline piece load(const char *p) { return _mm_loadu_si128((const __m128i *)p); }

/* `n` is 8 to 15: both halves overlap. */
static inline piece load_short(const char *p, size_t n) {
    return _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)p),
                              _mm_loadl_epi64((const __m128i *)(p + n - 8)));
}

static inline bool is_plain_name(piece x) {
    piece lower = _mm_or_si128(x, _mm_set1_epi8(0x20)); /* bytes beyond ASCII are negative */
    piece letter = _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)),
                                 _mm_cmplt_epi8(lower, _mm_set1_epi8('z' + 1)));
    piece dash = _mm_cmpeq_epi8(x, _mm_set1_epi8('-'));
    return _mm_movemask_epi8(_mm_or_si128(letter, dash)) == 0xffff;
}

static inline bool is_plain_value(piece x) {
    piece low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    return _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)))) == 0;
}
#else
#define PIECE 8
typedef uint64_t piece;
static const piece ones = 0x0101010101010101u, high = 0x8080808080808080u;

static inline piece load(const char *p) {
    piece x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline piece load_short(const char *p, size_t n) {
    (void)n; /* 8 */
    return load(p);
}

static inline bool is_plain_name(piece x) {
    piece lower = x | ones * 0x20, dash = x ^ ones * '-';
    piece from_a = (lower | high) - ones * 'a', beyond_z = (lower & ~high) + ones * (0x7f - 'z');
    piece other = ((dash & ~high) + ~high) | dash;
    return ((((from_a & ~beyond_z) | ~other) & ~x) & high) == high;
}

/* Says no of some that are. */
static inline bool is_plain_value(piece x) {
    piece del = x ^ (ones * 0x7f);
    return ((((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & high) == 0;
}
#endif

#define DEFINE_ALL(all, is_plain)                                                                  \
    static inline bool all(struct peri_str s) {                                                    \
        if (s.n < 8) return false;                                                                 \
        if (s.n < PIECE) return is_plain(load_short(s.p, s.n));                                    \
        for (size_t i = 0; i + PIECE < s.n; i += PIECE)                                            \
            if (!is_plain(load(s.p + i))) return false;                                            \
        return is_plain(load(s.p + s.n - PIECE));                                                  \
    }
DEFINE_ALL(is_all_plain_name, is_plain_name)
DEFINE_ALL(is_all_plain_value, is_plain_value)

bool peri_http_is_token(struct peri_str s) {
    if (is_all_plain_name(s)) return true;
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char((unsigned char)s.p[i])) return false;
    return s.n > 0;
}

bool peri_http_is_value(struct peri_str s) {
    if (is_all_plain_value(s)) return true;
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f) return false;
    return true;
}

const char *peri_header_fault(struct peri_header header) {
    if (header.name.n > PERI_HEADER_NAME_MAX) return "a header's name is longer than 256 bytes";
    if (!peri_http_is_token(header.name))
        return "a header's name is not made of letters, digits and !#$%&'*+-.^_`|~";
    if (header.value.n > PERI_HEADER_VALUE_MAX) return "a header's value is longer than 8192 bytes";
    if (!peri_http_is_value(header.value)) return "a header's value holds a control character";
    return NULL;
}

static bool is_one_of(struct peri_str name, const char *a, const char *b) {
    return peri_str_eq_nocase(name, peri_str_of(a)) || peri_str_eq_nocase(name, peri_str_of(b));
}

/* Asked of every header of every request: by length first. */
bool peri_header_is_framing(struct peri_str name) {
    switch (name.n) {
    case 2: return peri_str_eq_nocase(name, PERI_STR("te"));
    case 4: return peri_str_eq_nocase(name, PERI_STR("host"));
    case 6: return peri_str_eq_nocase(name, PERI_STR("expect"));
    case 7: return is_one_of(name, "trailer", "upgrade");
    case 10: return is_one_of(name, "connection", "keep-alive");
    case 14: return is_one_of(name, "content-length", "http2-settings");
    case 16: return peri_str_eq_nocase(name, PERI_STR("proxy-connection"));
    case 17: return peri_str_eq_nocase(name, PERI_STR("transfer-encoding"));
    default: return false;
    }
}
