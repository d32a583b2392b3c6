#include "net/header.h"

/* RFC 9110, 5.6.2: ! # $ % & ' * + - . ^ _ ` | ~ digits letters. */
static const uint64_t token_bits[4] = { 0x03ff6cfa00000000u, 0x57ffffffc7fffffeu, 0, 0 };

static inline bool is_token_char(unsigned char c) { return token_bits[c >> 6] >> (c & 63) & 1; }

bool peri_http_is_token(struct peri_str s) {
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char((unsigned char)s.p[i])) return false;
    return s.n > 0;
}

/* Eight bytes at a time: is one of them below 0x20 or 0x7f? May say yes wrongly, never no. */
static bool may_have_control(struct peri_str s) {
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t x, del;
        memcpy(&x, s.p + i, 8);
        del = x ^ (ones * 0x7f);
        if ((((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & high) return true;
    }
    for (; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) return true;
    return false;
}

bool peri_http_is_value(struct peri_str s) {
    if (!may_have_control(s)) return true;
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
