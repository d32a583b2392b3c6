/* Views of bytes and the few questions asked of them on every request. Nothing here allocates. */
#ifndef PERI_BASE_STR_H
#define PERI_BASE_STR_H

#include <string.h>

#include "perilune.h"

/* A view of a string literal. */
#define PERI_STR(literal) ((struct peri_str){ "" literal, sizeof(literal) - 1 })
/* The same where a constant initialiser is needed. */
#define PERI_STR_INIT(literal)                                                                     \
    { "" literal, sizeof(literal) - 1 }
/* The two printf arguments of "%.*s". */
#define PERI_STR_ARGS(s) (int)(s).n, ((s).p != NULL ? (s).p : "")

static inline struct peri_str peri_str_of(const char *text) {
    return (struct peri_str){ text, text == NULL ? 0 : strlen(text) };
}

static inline bool peri_str_eq(struct peri_str a, struct peri_str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool peri_str_has_prefix(struct peri_str s, struct peri_str prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool peri_str_has_suffix(struct peri_str s, struct peri_str suffix) {
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* What begins at `start`; empty past the end. Nothing is added to the NULL of an absent text: C does not define that. */
static inline struct peri_str peri_str_from(struct peri_str s, size_t start) {
    return start >= s.n ? (struct peri_str){ s.n > 0 ? s.p + s.n : s.p, 0 }
                        : (struct peri_str){ s.p + start, s.n - start };
}

/* What some editors and libraries put in front of UTF-8 text; JSON has no place for it. */
#define PERI_BYTE_ORDER_MARK "\xef\xbb\xbf"
/* The text behind its byte order mark; all of it when it has none. */
static inline struct peri_str peri_str_after_mark(struct peri_str s) {
    bool has_mark = peri_str_has_prefix(s, PERI_STR(PERI_BYTE_ORDER_MARK));
    return has_mark ? peri_str_from(s, sizeof PERI_BYTE_ORDER_MARK - 1) : s;
}

/* Equal when ASCII letters are compared without case (header names, schemes, host names). */
bool peri_str_eq_nocase(struct peri_str a, struct peri_str b);

/* Without spaces and tabs at both ends. */
struct peri_str peri_str_trim(struct peri_str s);

/* Take what stands before the first `separator` off the front.
 *   part    what was taken; all of `rest` when there is no separator
 *   rest    in: the whole; out: what follows the separator, empty when there was none
 *   gives   false when `rest` was already empty */
bool peri_str_cut(struct peri_str *part, struct peri_str *rest, char separator);

/* Position of a byte or of a string; -1 when absent. */
ptrdiff_t peri_str_find_char(struct peri_str s, char c);
ptrdiff_t peri_str_find(struct peri_str s, struct peri_str needle);

/* A whole string of decimal digits, no sign, no spaces.
 *   gives   PERI_OK · PERI_EINVAL not digits or empty · PERI_ETOOBIG beyond 64 bits */
PERI_MUST_USE enum peri_err peri_str_to_u64(uint64_t *out, struct peri_str s);

/* FNV-1a, 64 bit: for tables whose keys come from configuration, never from strangers. */
uint64_t peri_str_hash(struct peri_str s);

/* Edit distance (insert, delete, replace, swap neighbours), at most `limit + 1`: "did you mean". */
unsigned peri_str_distance(struct peri_str a, struct peri_str b, unsigned limit);

#endif
