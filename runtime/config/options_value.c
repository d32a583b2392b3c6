/* Texts that mean a number or an address. Nothing here knows of nodes or faults. */
#include <arpa/inet.h>

#include "config/options_reader.h"

struct unit {
    struct peri_str name;
    uint64_t factor;
};

static bool with_unit(struct peri_str text, const struct unit *units, size_t count, uint64_t *out) {
    size_t digits = 0;
    uint64_t value;
    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9') digits++;
    if (peri_str_to_u64(&value, (struct peri_str){ text.p, digits }) != PERI_OK) return false;
    struct peri_str name = peri_str_from(text, digits);
    for (size_t i = 0; i < count; i++) {
        if (!peri_str_eq(name, units[i].name)) continue;
        return !__builtin_mul_overflow(value, units[i].factor, out);
    }
    return false;
}

bool peri_option_duration(struct peri_str text, uint64_t *ms) {
    static const struct unit units[] = { { PERI_STR_INIT("ms"), 1 },
                                         { PERI_STR_INIT("s"), 1000 },
                                         { PERI_STR_INIT("m"), 60000 },
                                         { PERI_STR_INIT("h"), 3600000 },
                                         { PERI_STR_INIT("d"), 86400000 } };
    return with_unit(text, units, sizeof units / sizeof units[0], ms);
}

bool peri_option_size(struct peri_str text, uint64_t *bytes) {
    static const struct unit units[] = { { PERI_STR_INIT("B"), 1 },
                                         { PERI_STR_INIT("KiB"), 1 << 10 },
                                         { PERI_STR_INIT("MiB"), 1 << 20 },
                                         { PERI_STR_INIT("GiB"), 1 << 30 } };
    return with_unit(text, units, sizeof units / sizeof units[0], bytes);
}

static bool is_name(struct peri_str host) {
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && c != '-' && c != '.' && c != '_') return false;
    }
    return host.n > 0 && host.n <= 253 && host.p[0] != '.' && host.p[0] != '-';
}

static bool is_ip(struct peri_str host, int family, unsigned char out[16]) {
    char z[64];
    if (host.n == 0 || host.n >= sizeof z) return false;
    memcpy(z, host.p, host.n);
    z[host.n] = '\0';
    return strlen(z) == host.n && inet_pton(family, z, out) == 1;
}

/* "host:port" cut in two; brackets around an IPv6 address go. A missing port leaves p NULL. */
static bool cut_port(struct peri_str text, struct peri_str *host, struct peri_str *port,
                     bool *is_v6) {
    *port = (struct peri_str){ NULL, 0 };
    *is_v6 = text.n > 0 && text.p[0] == '[';
    ptrdiff_t end = *is_v6 ? peri_str_find_char(text, ']') : peri_str_find_char(text, ':');
    if (*is_v6 && end < 0) return false;
    *host = *is_v6 ? (struct peri_str){ text.p + 1, (size_t)end - 1 }
                   : (struct peri_str){ text.p, end < 0 ? text.n : (size_t)end };
    struct peri_str rest = peri_str_from(text, host->n + (*is_v6 ? 2 : 0));
    if (rest.n == 0) return true;
    *port = peri_str_from(rest, 1);
    return rest.p[0] == ':';
}

static bool is_port(struct peri_str port, uint64_t least) {
    uint64_t number;
    return peri_str_to_u64(&number, port) == PERI_OK && number >= least && number <= 65535;
}

const char *peri_option_url(struct peri_str text, struct peri_str *out) {
    ptrdiff_t mark = peri_str_find(text, PERI_STR("://"));
    struct peri_str scheme = { text.p, mark < 0 ? 0 : (size_t)mark };
    if (!peri_str_eq_nocase(scheme, PERI_STR("http")) &&
        !peri_str_eq_nocase(scheme, PERI_STR("https")))
        return "a URL that starts with http:// or https://";
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] <= 0x20 || (unsigned char)text.p[i] >= 0x7f)
            return "a URL without spaces, control characters or letters beyond ASCII";
    struct peri_str rest = peri_str_from(text, (size_t)mark + 3), host, port;
    ptrdiff_t slash = peri_str_find_char(rest, '/');
    struct peri_str authority = { rest.p, slash < 0 ? rest.n : (size_t)slash };
    if (peri_str_find_char(authority, '@') >= 0)
        return "a URL without user name and password (credentials belong into 'key')";
    if (peri_str_find_char(rest, '?') >= 0 || peri_str_find_char(rest, '#') >= 0)
        return "a URL without query and fragment (credentials belong into 'key' or 'headers')";
    bool is_v6;
    unsigned char ip[16];
    if (!cut_port(authority, &host, &port, &is_v6) || (port.p != NULL && !is_port(port, 1)) ||
        !(is_v6 ? is_ip(host, AF_INET6, ip) : is_name(host)))
        return "a URL with a host and, after ':', a port from 1 to 65535";
    *out = text;
    while (out->n > (size_t)mark + 3 && out->p[out->n - 1] == '/') out->n--;
    return NULL;
}

const char *peri_option_listen(struct peri_str text, bool *is_loopback) {
    static const char expected[] =
        "an IP address and port such as \"127.0.0.1:9000\" or \"[::1]:9000\", or \"unix:/path\"";
    struct peri_str host, port;
    bool is_v6;
    unsigned char ip[16];
    if (peri_str_has_prefix(text, PERI_STR("unix:"))) {
        *is_loopback = true;
        return text.n > 6 && text.p[5] == '/' && text.n < 5 + 108 ? NULL : expected;
    }
    if (!cut_port(text, &host, &port, &is_v6) || !is_port(port, 0)) return expected;
    if (!is_ip(host, is_v6 ? AF_INET6 : AF_INET, ip)) return expected;
    static const unsigned char v6_loopback[16] = { [15] = 1 };
    *is_loopback = is_v6 ? memcmp(ip, v6_loopback, 16) == 0 : ip[0] == 127;
    return NULL;
}

bool peri_option_is_origin(struct peri_str text) {
    ptrdiff_t mark = peri_str_find(text, PERI_STR("://"));
    if (peri_str_eq(text, PERI_STR("*"))) return true;
    if (mark <= 0 || text.n > 300) return false;
    for (size_t i = 0; i < (size_t)mark; i++) {
        char c = text.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && (i == 0 || ((c < '0' || c > '9') && memchr("+-.", c, 3) == NULL)))
            return false;
    }
    struct peri_str host, port;
    bool is_v6;
    unsigned char ip[16];
    return cut_port(peri_str_from(text, (size_t)mark + 3), &host, &port, &is_v6) &&
           (port.p == NULL || is_port(port, 1)) &&
           (is_v6 ? is_ip(host, AF_INET6, ip) : is_name(host));
}
