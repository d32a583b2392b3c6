#include "gonka/chain/gonka_url.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "net/reach.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_alnum(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* One number of an IPv4 address as old C libraries read it: decimal, 0 octal, 0x hexadecimal. */
static bool read_number(uint64_t *out, struct peri_str s) {
    unsigned base = 10;
    if (s.n == 0) return false;
    if (s.n > 1 && s.p[0] == '0') {
        base = s.p[1] == 'x' || s.p[1] == 'X' ? 16 : 8;
        s = peri_str_from(s, base == 16 ? 2 : 1);
    }
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned v = is_digit(c)            ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 99;
        if (v >= base || *out > UINT32_MAX) return false;
        *out = *out * base + v;
    }
    return true;
}

/* Hosts whose last label is a number are IPv4 addresses in one of their many spellings (WHATWG URL, "ends in
 * a number"): http://2130706433 and http://0x7f.1 are 127.0.0.1. */
static bool looks_like_ip4(struct peri_str host) {
    struct peri_str label = host;
    for (ptrdiff_t dot; (dot = peri_str_find_char(label, '.')) >= 0;)
        label = peri_str_from(label, (size_t)dot + 1);
    bool is_decimal = label.n > 0;
    for (size_t i = 0; i < label.n; i++) is_decimal = is_decimal && is_digit(label.p[i]);
    uint64_t value;
    return is_decimal || (label.n > 1 && label.p[0] == '0' && (label.p[1] | 32) == 'x' &&
                          (label.n == 2 || read_number(&value, label)));
}

static bool read_ip4(unsigned char out[4], struct peri_str host) {
    uint64_t parts[4], value = 0;
    size_t count = 0;
    struct peri_str part, rest = host;
    while (peri_str_cut(&part, &rest, '.')) {
        if (count == 4 || !read_number(&parts[count], part)) return false;
        count++;
    }
    if (count == 0) return false;
    for (size_t i = 0; i + 1 < count; i++) {
        if (parts[i] > 255) return false;
        value = value << 8 | parts[i];
    }
    unsigned left = 8 * (5 - (unsigned)count); /* bits the last number fills */
    if (parts[count - 1] >> left != 0) return false;
    value = value << left | parts[count - 1];
    for (int i = 0; i < 4; i++) out[i] = (unsigned char)(value >> (24 - 8 * i));
    return true;
}

static bool is_name(struct peri_str host) {
    if (host.n == 0 || host.n > 253) return false;
    size_t label = 0;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] == '.') {
            if (label == 0) return false;
            label = 0;
        } else if (!is_alnum(host.p[i]) && host.p[i] != '-' && host.p[i] != '_') {
            return false;
        } else if (++label > 63) {
            return false;
        }
    }
    return label > 0;
}

/* Names that resolve inside: single labels (containers, search domains) and the suffixes set aside for
 * private use (RFC 6761, RFC 6762, RFC 8375, ICANN's .internal). */
static bool is_private_name(struct peri_str host) {
    static const struct peri_str suffixes[] = {
        PERI_STR_INIT(".localhost"), PERI_STR_INIT(".local"), PERI_STR_INIT(".internal"),
        PERI_STR_INIT(".lan"),       PERI_STR_INIT(".home"),  PERI_STR_INIT(".corp"),
        PERI_STR_INIT(".intranet"),  PERI_STR_INIT(".arpa"),  PERI_STR_INIT(".localdomain"),
        PERI_STR_INIT(".invalid"),   PERI_STR_INIT(".test"),  PERI_STR_INIT(".onion"),
    };
    if (peri_str_find_char(host, '.') < 0) return true;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (peri_str_has_suffix(host, suffixes[i])) return true;
    return false;
}

struct parts {
    bool is_https, is_private;
    char host[300]; /* as it goes into a URL, NUL */
    uint64_t port;
    struct peri_str path;
};

static bool take_ip6(struct parts *out, struct peri_str *rest) {
    char text[64];
    unsigned char ip[16];
    ptrdiff_t end = peri_str_find_char(*rest, ']');
    if (end < 3 || (size_t)end > sizeof text) return false;
    memcpy(text, rest->p + 1, (size_t)end - 1);
    text[end - 1] = '\0';
    if (strlen(text) != (size_t)end - 1 || inet_pton(AF_INET6, text, ip) != 1) return false;
    out->is_private = !peri_reach_is_public_ip(ip, sizeof ip);
    out->host[0] = '[';
    if (inet_ntop(AF_INET6, ip, out->host + 1, sizeof out->host - 2) == NULL) return false;
    strcat(out->host, "]");
    *rest = peri_str_from(*rest, (size_t)end + 1);
    return true;
}

static bool take_host(struct parts *out, struct peri_str *rest) {
    if (rest->n > 0 && rest->p[0] == '[') return take_ip6(out, rest);
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ':' && rest->p[n] != '/') n++;
    struct peri_str host = { rest->p, n };
    *rest = peri_str_from(*rest, n);
    if (host.n > 1 && host.p[host.n - 1] == '.') host.n--; /* the root's own dot */
    unsigned char ip[4];
    if (looks_like_ip4(host)) {
        if (!read_ip4(ip, host)) return false;
        out->is_private = !peri_reach_is_public_ip(ip, sizeof ip);
        return inet_ntop(AF_INET, ip, out->host, sizeof out->host) != NULL;
    }
    if (!is_name(host)) return false;
    for (size_t i = 0; i < host.n; i++)
        out->host[i] = (char)(host.p[i] >= 'A' && host.p[i] <= 'Z' ? host.p[i] + 32 : host.p[i]);
    out->host[host.n] = '\0';
    out->is_private = is_private_name((struct peri_str){ out->host, host.n });
    return true;
}

static bool take_port(struct parts *out, struct peri_str *rest) {
    out->port = out->is_https ? 443 : 80;
    if (rest->n == 0 || rest->p[0] != ':') return true;
    ptrdiff_t slash = peri_str_find_char(*rest, '/');
    size_t end = slash < 0 ? rest->n : (size_t)slash;
    struct peri_str digits = { rest->p + 1, end - 1 };
    *rest = peri_str_from(*rest, end);
    return digits.n <= 5 && peri_str_to_u64(&out->port, digits) == PERI_OK && out->port <= 65535 &&
           (out->port >= 1024 || out->port == 80 || out->port == 443);
}

/* Letters, digits and "-._~/" only, no dot segments: nothing here needs more, and nothing may be read in two
 * ways. */
static bool take_path(struct parts *out, struct peri_str rest) {
    if (rest.n > 0 && rest.p[0] != '/') return false;
    for (size_t i = 0; i < rest.n; i++)
        if (!is_alnum(rest.p[i]) && memchr("-._~/", rest.p[i], 5) == NULL) return false;
    if (peri_str_find(rest, PERI_STR("/.")) >= 0) return false;
    while (rest.n > 0 && rest.p[rest.n - 1] == '/') rest.n--;
    if (peri_str_has_suffix(rest, PERI_STR("/v1"))) rest.n -= 3;
    while (rest.n > 0 && rest.p[rest.n - 1] == '/') rest.n--;
    out->path = rest;
    return true;
}

static bool take_scheme(struct parts *out, struct peri_str *rest) {
    ptrdiff_t colon = peri_str_find_char(*rest, ':');
    if (colon < 0) return false;
    struct peri_str scheme = { rest->p, (size_t)colon };
    out->is_https = peri_str_eq_nocase(scheme, PERI_STR("https"));
    if (!out->is_https && !peri_str_eq_nocase(scheme, PERI_STR("http"))) return false;
    *rest = peri_str_from(*rest, (size_t)colon);
    if (!peri_str_has_prefix(*rest, PERI_STR("://"))) return false;
    *rest = peri_str_from(*rest, 3);
    return true;
}

enum peri_gonka_url_verdict peri_gonka_url(struct peri_str *url, struct peri_arena *a,
                                           struct peri_str text) {
    struct parts parts = { 0 };
    struct peri_str rest = peri_str_trim(text);
    *url = (struct peri_str){ NULL, 0 };
    if (rest.n > PERI_GONKA_URL_MAX || !take_scheme(&parts, &rest) || !take_host(&parts, &rest) ||
        !take_port(&parts, &rest) || !take_path(&parts, rest))
        return PERI_GONKA_URL_BAD;
    const char *scheme = parts.is_https ? "https" : "http";
    bool is_default = parts.port == (parts.is_https ? 443 : 80);
    char port[8] = "";
    if (!is_default) snprintf(port, sizeof port, ":%u", (unsigned)parts.port);
    *url =
        peri_arena_printf(a, "%s://%s%s%.*s", scheme, parts.host, port, PERI_STR_ARGS(parts.path));
    /* An address written out in full is longer than "http://1". */
    if (url->p == NULL || url->n > PERI_GONKA_URL_MAX) {
        *url = (struct peri_str){ NULL, 0 };
        return PERI_GONKA_URL_BAD;
    }
    return parts.is_private ? PERI_GONKA_URL_PRIVATE : PERI_GONKA_URL_OK;
}
