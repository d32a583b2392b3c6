#include "base/str.h"

static unsigned char lower(unsigned char c) {
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool peri_str_eq_nocase(struct peri_str a, struct peri_str b) {
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i])) return false;
    return true;
}

struct peri_str peri_str_trim(struct peri_str s) {
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
    return s;
}

bool peri_str_cut(struct peri_str *part, struct peri_str *rest, char separator) {
    if (rest->n == 0) return false;
    const char *at = memchr(rest->p, separator, rest->n);
    if (at == NULL) {
        *part = *rest;
        *rest = (struct peri_str){ rest->p + rest->n, 0 };
        return true;
    }
    size_t n = (size_t)(at - rest->p);
    *part = (struct peri_str){ rest->p, n };
    *rest = (struct peri_str){ at + 1, rest->n - n - 1 };
    return true;
}

ptrdiff_t peri_str_find_char(struct peri_str s, char c) {
    const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);
    return at == NULL ? -1 : at - s.p;
}

ptrdiff_t peri_str_find(struct peri_str s, struct peri_str needle) {
    if (needle.n == 0) return 0;
    const char *at = s.n == 0 ? NULL : memmem(s.p, s.n, needle.p, needle.n);
    return at == NULL ? -1 : at - s.p;
}

enum peri_err peri_str_to_u64(uint64_t *out, struct peri_str s) {
    if (s.n == 0) return PERI_EINVAL;
    uint64_t value = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9) return PERI_EINVAL;
        if (value > (UINT64_MAX - digit) / 10) return PERI_ETOOBIG;
        value = value * 10 + digit;
    }
    *out = value;
    return PERI_OK;
}

uint64_t peri_str_hash(struct peri_str s) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.n; i++) h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return h;
}

#define DISTANCE_MAX 64

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

unsigned peri_str_distance(struct peri_str a, struct peri_str b, unsigned limit) {
    if (a.n > DISTANCE_MAX || b.n > DISTANCE_MAX) return limit + 1;
    unsigned rows[3][DISTANCE_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b.n; j++) last[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned replace = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            now[j] = least(replace, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = last, last = now, now = spare;
    }
    return least(last[b.n], limit + 1);
}
