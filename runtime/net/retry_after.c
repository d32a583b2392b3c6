/* Own readers throughout: strtod and strptime follow the locale and want a NUL. */
#include "net/retry_after.h"

/* A number without a sign: digits, fraction, exponent. Taken off the front of `s`.
 *   gives   false when there is no digit at the front */
static bool take_number(double *out, struct peri_str *s) {
    double value = 0, scale = 1;
    size_t i = 0, digits = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, digits++)
        value = value * 10 + (s->p[i] - '0');
    if (i < s->n && s->p[i] == '.')
        for (i++; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, digits++)
            value += (s->p[i] - '0') * (scale /= 10);
    if (digits == 0) return false;
    if (i + 1 < s->n && (s->p[i] == 'e' || s->p[i] == 'E') && s->p[i + 1] >= '0' &&
        s->p[i + 1] <= '9') {
        unsigned exponent = 0;
        for (i++; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++)
            if (exponent < 400) exponent = exponent * 10 + (unsigned)(s->p[i] - '0');
        while (exponent-- > 0 && value < 1e300) value *= 10;
    }
    *out = value;
    *s = peri_str_from(*s, i);
    return true;
}

static uint64_t to_ms(double ms) { return ms >= 1e18 ? UINT64_MAX - 1 : (uint64_t)(ms + 0.5); }

enum peri_err peri_duration_ms(uint64_t *out, struct peri_str text) {
    static const struct {
        struct peri_str name;
        double ms;
    } units[] = {
        { PERI_STR_INIT("ms"), 1 },           { PERI_STR_INIT("us"), 1e-3 },
        { PERI_STR_INIT("\xC2\xB5s"), 1e-3 }, { PERI_STR_INIT("ns"), 1e-6 },
        { PERI_STR_INIT("h"), 3600e3 },       { PERI_STR_INIT("m"), 60e3 },
        { PERI_STR_INIT("s"), 1e3 },
    };
    struct peri_str rest = peri_str_trim(text);
    double value, total = 0;
    if (!take_number(&value, &rest)) return PERI_EMALFORMED;
    if (rest.n == 0) {
        *out = to_ms(value * 1e3);
        return PERI_OK;
    }
    for (;;) {
        size_t i = 0, count = sizeof units / sizeof *units;
        while (i < count && !peri_str_has_prefix(rest, units[i].name)) i++;
        if (i == count) return PERI_EMALFORMED;
        total += value * units[i].ms;
        rest = peri_str_from(rest, units[i].name.n);
        if (rest.n == 0) break;
        if (!take_number(&value, &rest)) return PERI_EMALFORMED;
    }
    *out = to_ms(total);
    return PERI_OK;
}

/* --- dates --- */

struct date {
    unsigned year, month, day, hour, minute, second;
};

/* Days from 1970-01-01 in the Gregorian calendar; March is made the first month, so that the leap day is last. */
static int64_t days_from_civil(unsigned year, unsigned month, unsigned day) {
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Match `text` against a form. Digits go to the field their letter names (Y year, D day, h hour, m minute,
 * s second); W stands for the name of a week day, N for that of a month; all else stands for itself. */
static bool match_date(struct date *out, struct peri_str text, const char *form) {
    static const char letters[] = "YDhms", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned *const fields[] = { &out->year, &out->day, &out->hour, &out->minute, &out->second };
    *out = (struct date){ 0 };
    size_t i = 0;
    for (const char *f = form; *f != '\0'; f++) {
        const char *field = strchr(letters, *f);
        if (*f == 'W') {
            while (i < text.n && ((text.p[i] | 32) >= 'a' && (text.p[i] | 32) <= 'z')) i++;
        } else if (*f == 'N') {
            if (text.n - i < 3) return false;
            for (unsigned m = 0; m < 12; m++)
                if (memcmp(text.p + i, months + (size_t)m * 3, 3) == 0) out->month = m + 1;
            if (out->month == 0) return false;
            i += 3;
        } else if (i >= text.n) {
            return false;
        } else if (field != NULL && text.p[i] >= '0' && text.p[i] <= '9') {
            unsigned *at = fields[field - letters];
            *at = *at * 10 + (unsigned)(text.p[i++] - '0');
        } else if (*f == 'D' && text.p[i] == ' ') {
            i++; /* asctime pads the day with a space */
        } else if (field != NULL || text.p[i++] != *f) {
            return false;
        }
    }
    return i == text.n && out->day >= 1 && out->day <= 31 && out->hour < 24 && out->minute < 60 &&
           out->second <= 60;
}

enum peri_err peri_http_date(int64_t *out, struct peri_str text) {
    struct date d;
    text = peri_str_trim(text);
    bool is_short_year = false;
    if (!match_date(&d, text, "W, DD N YYYY hh:mm:ss GMT") &&
        !(is_short_year = match_date(&d, text, "W, DD-N-YY hh:mm:ss GMT")) &&
        !match_date(&d, text, "W N DD hh:mm:ss YYYY"))
        return PERI_EMALFORMED;
    if (is_short_year) d.year += d.year < 70 ? 2000 : 1900;
    *out = days_from_civil(d.year, d.month, d.day) * 86400 + (int64_t)d.hour * 3600 +
           (int64_t)d.minute * 60 + d.second;
    return PERI_OK;
}

/* --- headers --- */

static struct peri_str header(const struct peri_header *headers, size_t count,
                              struct peri_str name) {
    for (size_t i = 0; i < count; i++)
        if (peri_str_eq_nocase(headers[i].name, name)) return headers[i].value;
    return (struct peri_str){ NULL, 0 };
}

/* Seconds or a date. */
static bool read_retry_after(uint64_t *ms, struct peri_str text, uint64_t wall_ns) {
    int64_t date;
    if (text.p == NULL) return false;
    if (peri_duration_ms(ms, text) == PERI_OK) return true;
    if (peri_http_date(&date, text) != PERI_OK) return false;
    int64_t now_ms = (int64_t)(wall_ns / 1000000), then_ms = date * 1000;
    *ms = then_ms > now_ms ? (uint64_t)(then_ms - now_ms) : 0;
    return true;
}

static bool read_milliseconds(uint64_t *ms, struct peri_str text) {
    double value;
    text = peri_str_trim(text);
    if (text.p == NULL || !take_number(&value, &text) || text.n > 0) return false;
    *ms = to_ms(value);
    return true;
}

static bool read_reset(uint64_t *ms, const struct peri_header *headers, size_t count) {
    uint64_t longest = 0;
    bool is_said = false, is_sure = false;
    static const struct peri_str names[][2] = {
        { PERI_STR_INIT("x-ratelimit-reset-requests"),
          PERI_STR_INIT("x-ratelimit-remaining-requests") },
        { PERI_STR_INIT("x-ratelimit-reset-tokens"),
          PERI_STR_INIT("x-ratelimit-remaining-tokens") },
    };
    for (size_t i = 0; i < 2; i++) {
        uint64_t one;
        struct peri_str text = header(headers, count, names[i][0]);
        if (text.p == NULL || peri_duration_ms(&one, text) != PERI_OK) continue;
        bool is_spent =
            peri_str_eq(peri_str_trim(header(headers, count, names[i][1])), PERI_STR("0"));
        if (is_sure && !is_spent) continue;
        if (!is_said || (is_spent && !is_sure) || one > longest) longest = one;
        is_said = true;
        is_sure = is_sure || is_spent;
    }
    *ms = longest;
    return is_said;
}

uint64_t peri_retry_after(const struct peri_header *headers, size_t count, uint64_t wall_ns,
                          uint64_t max_ms) {
    uint64_t ms;
    if (!read_milliseconds(&ms, header(headers, count, PERI_STR("retry-after-ms"))) &&
        !read_retry_after(&ms, header(headers, count, PERI_STR("retry-after")), wall_ns) &&
        !read_reset(&ms, headers, count))
        return PERI_RETRY_UNKNOWN;
    return ms < max_ms ? ms : max_ms;
}

/* --- words --- */

/* "20 seconds" at the front of `s`, in Go's form ("6m0s", "340ms") or in a whole word. */
static bool read_wait(uint64_t *ms, struct peri_str s) {
    static const struct {
        struct peri_str name;
        double ms;
    } spelled[] = { { PERI_STR_INIT("millisecond"), 1 }, { PERI_STR_INIT("second"), 1e3 },
                    { PERI_STR_INIT("sec"), 1e3 },       { PERI_STR_INIT("minute"), 60e3 },
                    { PERI_STR_INIT("min"), 60e3 },      { PERI_STR_INIT("hour"), 3600e3 } };
    size_t n = 0;
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '"' || s.p[0] == ':')) s = peri_str_from(s, 1);
    struct peri_str rest = s;
    double value;
    if (!take_number(&value, &rest)) return false;
    while (rest.n > 0 && rest.p[0] == ' ') rest = peri_str_from(rest, 1);
    for (size_t i = 0; i < sizeof spelled / sizeof *spelled; i++) {
        if (!peri_str_has_prefix(rest, spelled[i].name)) continue;
        *ms = to_ms(value * spelled[i].ms);
        return true;
    }
    while (n < s.n &&
           ((s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '.' || (s.p[n] >= 'a' && s.p[n] <= 'z')))
        n++;
    while (n > 0 && s.p[n - 1] == '.') n--;
    return peri_duration_ms(ms, (struct peri_str){ s.p, n }) == PERI_OK;
}

uint64_t peri_retry_after_words(struct peri_str body, uint64_t max_ms) {
    static const struct peri_str phrases[] = { PERI_STR_INIT("retryDelay"),
                                               PERI_STR_INIT("try again in "),
                                               PERI_STR_INIT("retry in "),
                                               PERI_STR_INIT("retry after ") };
    for (; body.n > 0; body = peri_str_from(body, 1)) {
        for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
            struct peri_str phrase = phrases[i];
            uint64_t ms;
            if (body.n < phrase.n ||
                !peri_str_eq_nocase((struct peri_str){ body.p, phrase.n }, phrase) ||
                !read_wait(&ms, peri_str_from(body, phrase.n)))
                continue;
            return ms < max_ms ? ms : max_ms;
        }
    }
    return PERI_RETRY_UNKNOWN;
}
