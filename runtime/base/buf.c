#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/utf8.h"

void peri_buf_init(struct peri_buf *b, size_t max) {
    *b = (struct peri_buf){ .max = max == 0 ? SIZE_MAX / 2 : max };
}

void peri_buf_done(struct peri_buf *b) {
    peri_free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void peri_buf_clear(struct peri_buf *b) {
    b->n = 0;
    b->err = PERI_OK;
}

enum peri_err peri_buf_reserve(struct peri_buf *b, size_t n) {
    if (b->err != PERI_OK) return b->err;
    if (n <= b->cap - b->n) return PERI_OK;
    if (n > b->max || b->n > b->max - n) return b->err = PERI_ETOOBIG;
    size_t cap = b->cap < 256 ? 256 : b->cap;
    while (cap < b->n + n) cap *= 2;
    if (cap > b->max) cap = b->max;
    char *p = peri_realloc(b->p, cap);
    if (p == NULL) return b->err = PERI_ENOMEM;
    b->p = p;
    b->cap = cap;
    return PERI_OK;
}

enum peri_err peri_buf_add(struct peri_buf *b, struct peri_str s) {
    enum peri_err err = peri_buf_reserve(b, s.n);
    if (err != PERI_OK) return err;
    if (s.n > 0) memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
    return PERI_OK;
}

enum peri_err peri_buf_add_char(struct peri_buf *b, char c) {
    return peri_buf_add(b, (struct peri_str){ &c, 1 });
}

enum peri_err peri_buf_add_u64(struct peri_buf *b, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return peri_buf_add(b, (struct peri_str){ digits + at, sizeof digits - at });
}

/* Into the room there is; only a text that does not fit is formatted a second time. */
enum peri_err peri_buf_addf(struct peri_buf *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = b->cap - b->n;
    int need = vsnprintf(room > 0 ? b->p + b->n : NULL, room, format, args);
    va_end(args);
    enum peri_err err = need < 0 ? (b->err = PERI_EINVAL) : peri_buf_reserve(b, (size_t)need + 1);
    if (err == PERI_OK) {
        if ((size_t)need >= room) vsnprintf(b->p + b->n, (size_t)need + 1, format, again);
        b->n += (size_t)need;
    }
    va_end(again);
    return err;
}

enum peri_err peri_buf_add_json(struct peri_buf *b, struct peri_str s) {
    static const char hex[] = "0123456789abcdef";
    peri_buf_add_char(b, '"');
    size_t start = 0, i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        size_t step = c < 0x80 ? 1 : peri_utf8_length(peri_str_from(s, i));
        if (c >= 0x20 && c != '"' && c != '\\' && step > 0) {
            i += step;
            continue;
        }
        peri_buf_add(b, (struct peri_str){ s.p + start, i - start });
        if (step == 0)
            peri_buf_add(b, PERI_STR("\xef\xbf\xbd"));
        else if (c == '"' || c == '\\')
            peri_buf_add(b, (struct peri_str){ (char[]){ '\\', (char)c }, 2 });
        else if (c == '\n')
            peri_buf_add(b, PERI_STR("\\n"));
        else if (c == '\r')
            peri_buf_add(b, PERI_STR("\\r"));
        else if (c == '\t')
            peri_buf_add(b, PERI_STR("\\t"));
        else
            peri_buf_add(b, (struct peri_str){
                                (char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6 });
        start = ++i;
    }
    peri_buf_add(b, peri_str_from(s, start));
    return peri_buf_add_char(b, '"');
}

void peri_buf_drop(struct peri_buf *b, size_t n) {
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}
