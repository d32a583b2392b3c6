#include "gonka/chain/gonka_json.h"

#include "crypto/encode.h"

/* What stands between the quotes of a short string without escapes; p NULL for everything else. */
static struct peri_str plain(const struct peri_json *j, uint32_t node) {
    struct peri_str raw = peri_json_raw(j, node);
    if (peri_json_kind(j, node) != PERI_JSON_STRING || raw.n < 2 ||
        memchr(raw.p, '\\', raw.n) != NULL)
        return (struct peri_str){ NULL, 0 };
    return (struct peri_str){ raw.p + 1, raw.n - 2 };
}

bool peri_gonka_uint(uint64_t *out, const struct peri_json *j, uint32_t node) {
    struct peri_str digits =
        peri_json_kind(j, node) == PERI_JSON_NUMBER ? peri_json_raw(j, node) : plain(j, node);
    return digits.p != NULL && peri_str_to_u64(out, digits) == PERI_OK;
}

bool peri_gonka_int(int64_t *out, const struct peri_json *j, uint32_t node) {
    uint64_t magnitude;
    struct peri_str digits =
        peri_json_kind(j, node) == PERI_JSON_NUMBER ? peri_json_raw(j, node) : plain(j, node);
    bool is_negative = digits.n > 0 && digits.p[0] == '-';
    if (is_negative) digits = peri_str_from(digits, 1);
    if (digits.p == NULL || peri_str_to_u64(&magnitude, digits) != PERI_OK ||
        magnitude > (uint64_t)INT64_MAX)
        return false;
    *out = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

struct peri_str peri_gonka_text(struct peri_json *j, uint32_t object, const char *name,
                                struct peri_arena *a) {
    struct peri_str text = peri_json_string(j, peri_json_get(j, object, peri_str_of(name)), a);
    return text.p == NULL ? text : peri_arena_dup(a, text);
}

struct peri_str peri_gonka_bytes(const struct peri_json *j, uint32_t node, size_t n,
                                 struct peri_arena *a) {
    struct peri_str text = plain(j, node), none = { NULL, 0 };
    size_t cap = n > 0 ? n : text.n / 4 * 3, got;
    unsigned char *bytes = text.p == NULL ? NULL : peri_arena_alloc(a, cap + 1);
    if (bytes == NULL) return none;
    bool is_hex = n > 0 && text.n == 2 * n && peri_hex_decode(bytes, cap, &got, text) == PERI_OK;
    if (!is_hex && peri_base64_decode(bytes, cap, &got, text) != PERI_OK) return none;
    if (n > 0 && got != n && got != 0) return none;
    return (struct peri_str){ (char *)bytes, got };
}

static bool take_digits(int64_t *out, struct peri_str *text, size_t n) {
    uint64_t value;
    if (text->n < n || peri_str_to_u64(&value, (struct peri_str){ text->p, n }) != PERI_OK)
        return false;
    *out = (int64_t)value;
    *text = peri_str_from(*text, n);
    return true;
}

static bool take_char(struct peri_str *text, char c) {
    if (text->n == 0 || text->p[0] != c) return false;
    *text = peri_str_from(*text, 1);
    return true;
}

/* Days from 1970-01-01, proleptic Gregorian: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool take_fraction(int32_t *nanos, struct peri_str *text) {
    int32_t unit = 100000000;
    *nanos = 0;
    if (!take_char(text, '.')) return true;
    size_t digits = 0;
    for (; text->n > 0 && text->p[0] >= '0' && text->p[0] <= '9'; digits++) {
        *nanos += (text->p[0] - '0') * unit;
        unit /= 10;
        *text = peri_str_from(*text, 1);
    }
    return digits > 0 && digits <= 9;
}

bool peri_gonka_time(struct peri_comet_time *out, const struct peri_json *j, uint32_t node) {
    int64_t year, month, day, hour, minute, second;
    struct peri_str t = plain(j, node);
    if (t.p == NULL || !take_digits(&year, &t, 4) || !take_char(&t, '-') ||
        !take_digits(&month, &t, 2) || !take_char(&t, '-') || !take_digits(&day, &t, 2) ||
        !take_char(&t, 'T') || !take_digits(&hour, &t, 2) || !take_char(&t, ':') ||
        !take_digits(&minute, &t, 2) || !take_char(&t, ':') || !take_digits(&second, &t, 2) ||
        !take_fraction(&out->nanos, &t) || !take_char(&t, 'Z') || t.n > 0)
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 59)
        return false;
    out->seconds = ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}
