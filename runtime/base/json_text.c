/* Single values and writing. */
#include "base/json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_tape.h"

/* One code point or run of plain bytes off the front of a valid string's inside. */
static size_t unescape_one(char out[4], const char *p, const char *end, const char **next) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p[1] != 'u') {
        out[0] = to[strchr(from, p[1]) - from];
        *next = p + 2;
        return 1;
    }
    uint32_t code = (uint32_t)peri_json_hex4(p + 2);
    p += 6;
    if (code >= 0xD800 && code < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        uint32_t low = (uint32_t)peri_json_hex4(p + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            p += 6;
        }
    }
    *next = p;
    size_t n = peri_utf8_encode(out, code);
    return n > 0 ? n : peri_utf8_encode(out, 0xFFFD);
}

size_t peri_json_unescape(char *out, struct peri_str inner) {
    const char *p = inner.p, *end = inner.p + inner.n;
    char *at = out;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash == NULL ? end : slash) - p);
        memcpy(at, p, plain);
        at += plain;
        p += plain;
        if (slash == NULL) break;
        char code[4];
        size_t n = unescape_one(code, p, end, &p);
        memcpy(at, code, n);
        at += n;
    }
    return (size_t)(at - out);
}

bool peri_json_inner_is(struct peri_str inner, bool is_escaped, struct peri_str want) {
    if (!is_escaped) return peri_str_eq(inner, want);
    const char *p = inner.p, *end = inner.p + inner.n;
    while (p < end) {
        char code[4] = { *p };
        size_t n = 1;
        if (*p == '\\')
            n = unescape_one(code, p, end, &p);
        else
            p++;
        if (want.n < n || memcmp(want.p, code, n) != 0) return false;
        want = peri_str_from(want, n);
    }
    return want.n == 0;
}

enum peri_json_kind peri_json_raw_kind(struct peri_str raw) {
    switch (raw.p == NULL || raw.n == 0 ? 'n' : raw.p[0]) {
    case 'n': return PERI_JSON_NULL;
    case 't':
    case 'f': return PERI_JSON_BOOL;
    case '"': return PERI_JSON_STRING;
    case '[': return PERI_JSON_ARRAY;
    case '{': return PERI_JSON_OBJECT;
    default: return PERI_JSON_NUMBER;
    }
}

/* Between the quotes; p is NULL for other kinds. */
static struct peri_str inner_of(struct peri_str raw) {
    if (peri_json_raw_kind(raw) != PERI_JSON_STRING) return (struct peri_str){ NULL, 0 };
    return (struct peri_str){ raw.p + 1, raw.n - 2 };
}

struct peri_str peri_json_raw_plain(struct peri_str raw) {
    struct peri_str inner = inner_of(raw);
    if (inner.p != NULL && memchr(inner.p, '\\', inner.n) != NULL) inner.p = NULL;
    return inner;
}

bool peri_json_raw_string_is(struct peri_str raw, struct peri_str text) {
    struct peri_str inner = inner_of(raw);
    return inner.p != NULL && peri_json_inner_is(inner, true, text);
}

enum peri_err peri_json_raw_int(int64_t *out, struct peri_str raw) {
    if (peri_json_raw_kind(raw) != PERI_JSON_NUMBER) return PERI_EINVAL;
    bool is_negative = raw.p[0] == '-';
    const char *p = raw.p + is_negative, *end = raw.p + raw.n;
    uint64_t value = 0, most = (uint64_t)INT64_MAX + is_negative;
    bool is_big = false;
    for (; p < end; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (digit > 9) return PERI_EINVAL;
        if (value > (most - digit) / 10) is_big = true;
        value = value * 10 + digit;
    }
    if (is_big) return PERI_ETOOBIG;
    *out = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return PERI_OK;
}

/* strtod wants a NUL behind and reads the decimal point of the process's locale, which a host may have set. So it
 * is given digits and an exponent, with no point: at most DIGITS of them, enough to tell any two doubles
 * apart (767 significant digits), a last 1 standing for all that was left out. */
#define DIGITS 800
#define EXPONENT_MAX                                                                               \
    1000000000 /* more than a text has digits: beyond it every number is 0 or infinite */

static long read_exponent(const char *p, const char *end) {
    if (p == end) return 0;
    p++; /* e */
    bool is_negative = *p == '-';
    if (*p == '-' || *p == '+') p++;
    long exponent = 0;
    for (; p < end; p++)
        if (exponent < EXPONENT_MAX) exponent = exponent * 10 + (*p - '0');
    return is_negative ? -exponent : exponent;
}

enum peri_err peri_json_raw_double(double *out, struct peri_str raw) {
    if (peri_json_raw_kind(raw) != PERI_JSON_NUMBER) return PERI_EINVAL;
    const char *p = raw.p, *end = raw.p + raw.n;
    char text[DIGITS + 40];
    size_t n = 0, digits = 0;
    long scale = 0;
    bool is_fraction = false, is_cut = false;
    if (*p == '-') text[n++] = *p++;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            is_fraction = true;
            continue;
        }
        if (digits == 0 && *p == '0') {
            scale -= is_fraction;
        } else if (digits < DIGITS) {
            text[n++] = *p;
            digits++;
            scale -= is_fraction;
        } else {
            scale += !is_fraction;
            is_cut = is_cut || *p != '0';
        }
    }
    if (digits == 0) {
        text[n++] = '0';
        scale = 0;
    } else if (is_cut) {
        text[n++] = '1';
        scale--;
    }
    long exponent = digits == 0 ? 0 : read_exponent(p, end) + scale;
    snprintf(text + n, sizeof text - n, "e%ld", exponent);
    *out = strtod(text, NULL);
    return isinf(*out) ? PERI_ETOOBIG : PERI_OK;
}

struct peri_str peri_json_int_text(char room[PERI_JSON_INT_MAX], int64_t value) {
    char *end = room + PERI_JSON_INT_MAX, *p = end;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--p = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0) *--p = '-';
    return (struct peri_str){ p, (size_t)(end - p) };
}

static void separate(struct peri_buf *b) {
    if (b->n == 0 || b->err != PERI_OK) return;
    char last = b->p[b->n - 1];
    /* how a value ends: a bracket, a quote, a digit, true, false, null */
    if (last == '}' || last == ']' || last == '"' || (last >= '0' && last <= '9') || last == 'e' ||
        last == 'l')
        peri_buf_add_char(b, ',');
}

void peri_json_put_open(struct peri_buf *b, char bracket) {
    separate(b);
    peri_buf_add_char(b, bracket);
}

void peri_json_put_close(struct peri_buf *b, char bracket) { peri_buf_add_char(b, bracket); }

void peri_json_put_name_str(struct peri_buf *b, struct peri_str name) {
    separate(b);
    peri_buf_add_json(b, name);
    peri_buf_add_char(b, ':');
}

void peri_json_put_name(struct peri_buf *b, const char *name) {
    peri_json_put_name_str(b, peri_str_of(name));
}

void peri_json_put_string(struct peri_buf *b, struct peri_str text) {
    separate(b);
    peri_buf_add_json(b, text);
}

void peri_json_put_int(struct peri_buf *b, int64_t value) {
    char room[PERI_JSON_INT_MAX];
    separate(b);
    peri_buf_add(b, peri_json_int_text(room, value));
}

void peri_json_put_double(struct peri_buf *b, double value) {
    char text[40];
    separate(b);
    if (!isfinite(value)) {
        peri_buf_add(b, PERI_STR("null"));
        return;
    }
    if (fabs(value) < 9007199254740992.0 && value == floor(value)) {
        snprintf(text, sizeof text, "%.0f", value);
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, value);
            if (strtod(text, NULL) == value) break;
        }
    }
    for (char *p = text; *p != '\0'; p++) /* the decimal point of some other locale */
        if (strchr("0123456789+-e", *p) == NULL) *p = '.';
    peri_buf_add(b, peri_str_of(text));
}

void peri_json_put_bool(struct peri_buf *b, bool value) {
    separate(b);
    peri_buf_add(b, value ? PERI_STR("true") : PERI_STR("false"));
}

void peri_json_put_null(struct peri_buf *b) {
    separate(b);
    peri_buf_add(b, PERI_STR("null"));
}

void peri_json_put_raw(struct peri_buf *b, struct peri_str json) {
    separate(b);
    peri_buf_add(b, json);
}

void peri_json_put_string_member(struct peri_buf *b, const char *name, struct peri_str text) {
    peri_json_put_name(b, name);
    peri_json_put_string(b, text);
}

void peri_json_put_text_member(struct peri_buf *b, const char *name, struct peri_str text) {
    peri_json_put_name(b, name);
    if (text.n > 0)
        peri_json_put_string(b, text);
    else
        peri_json_put_null(b);
}

void peri_json_put_count_member(struct peri_buf *b, const char *name, uint64_t n) {
    peri_json_put_name(b, name);
    peri_json_put_int(b, n > INT64_MAX ? INT64_MAX : (int64_t)n);
}
