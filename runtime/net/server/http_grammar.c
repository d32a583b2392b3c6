/* The grammar of lines: what may stand in a request line, a header's name and value, a host. */
#include "net/server/http_parts.h"

#define METHOD_MAX 32 /* longest method http-parser knows: 11 */

static inline bool is_alnum(unsigned char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static inline bool is_hex(unsigned char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

bool peri_http_check_line(struct peri_http *h, struct peri_str line, struct peri_str *name) {
    const char *colon = line.n == 0 ? NULL : memchr(line.p, ':', line.n);
    if (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t')) {
        peri_http_fail(h, 400, "a header line begins with white space");
        return false;
    }
    if (colon == NULL) {
        peri_http_fail(h, 400, "a header line has no colon");
        return false;
    }
    *name = (struct peri_str){ line.p, (size_t)(colon - line.p) };
    if (!peri_http_is_token(*name)) {
        peri_http_fail(h, 400, "a header name is not a token");
        return false;
    }
    if (!peri_http_is_value(peri_str_from(line, name->n + 1))) {
        peri_http_fail(h, 400, "a header value holds a control character");
        return false;
    }
    return true;
}

/* uri-host [":" port], of which we take names, IPv4 addresses and IPv6 addresses in brackets (RFC 9110, 4.2.3:
 * user information is to be treated as an error; RFC 3986 would allow commas and more, which no host has). */
bool peri_http_is_authority(struct peri_str s) {
    size_t i = 0;
    if (s.n > 0 && s.p[0] == '[') {
        for (i = 1; i < s.n && (is_hex((unsigned char)s.p[i]) || s.p[i] == ':' || s.p[i] == '.');)
            i++;
        if (i < 4 || i >= s.n || s.p[i++] != ']') return false;
    } else {
        while (i < s.n && (is_alnum((unsigned char)s.p[i]) || memchr("-._~", s.p[i], 4) != NULL))
            i++;
        if (i == 0) return false;
    }
    if (i == s.n) return true;
    if (s.p[i++] != ':' || s.n - i > 5) return false;
    for (; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9') return false;
    return true;
}

/* Visible ASCII without what RFC 3986 bars and browsers escape; percent signs begin an escape other than %00. */
static bool is_target(struct peri_str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '#' || c == '<' || c == '>' || c == '\\')
            return false;
        if (c != '%') continue;
        if (s.n - i < 3 || !is_hex((unsigned char)s.p[i + 1]) || !is_hex((unsigned char)s.p[i + 2]))
            return false;
        if (s.p[i + 1] == '0' && s.p[i + 2] == '0') return false;
    }
    return s.n > 0;
}

static struct peri_http_span span_of(const struct peri_http *h, struct peri_str s) {
    return (struct peri_http_span){ (uint32_t)(s.p - h->p), (uint32_t)s.n };
}

/* Origin form, absolute form, or "*" for OPTIONS (RFC 9112, 3.2). */
static bool split_target(struct peri_http *h, struct peri_str target) {
    struct peri_str path = target;
    size_t scheme = peri_str_has_prefix(target, PERI_STR("http://"))    ? 7
                    : peri_str_has_prefix(target, PERI_STR("https://")) ? 8
                                                                        : 0;
    h->authority = (struct peri_http_span){ 0, 0 };
    if (scheme > 0) {
        size_t end = scheme;
        while (end < target.n && target.p[end] != '/' && target.p[end] != '?') end++;
        struct peri_str authority = { target.p + scheme, end - scheme };
        if (!peri_http_is_authority(authority)) return false;
        h->authority = span_of(h, authority);
        path = peri_str_from(target, end);
    } else if (peri_str_eq(target, PERI_STR("*"))) {
        if (!peri_str_eq(peri_http_view(h, h->method), PERI_STR("OPTIONS"))) return false;
    } else if (target.p[0] != '/')
        return false;
    struct peri_str rest = path;
    peri_str_cut(&path, &rest, '?');
    /* RFC 3986 would allow a query to begin with '?'. No client writes one; it is what remains of a byte that a
     * hop on the way could not represent, and then the target is not what the client asked for. */
    if (rest.n > 0 && rest.p[0] == '?') return false;
    /* "http://host" asks for "/": the scheme's own slash stands in for it. */
    h->path =
        path.n > 0 ? span_of(h, path) : span_of(h, (struct peri_str){ target.p + scheme - 1, 1 });
    h->query = span_of(h, rest);
    return true;
}

static bool refuse_version(struct peri_http *h, struct peri_str version) {
    bool is_formed = version.n == 8 && peri_str_has_prefix(version, PERI_STR("HTTP/")) &&
                     version.p[6] == '.' && version.p[5] >= '0' && version.p[5] <= '9' &&
                     version.p[7] >= '0' && version.p[7] <= '9';
    if (is_formed)
        peri_http_fail(h, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");
    else
        peri_http_fail(h, 400, "the request line does not end with an HTTP version");
    return false;
}

bool peri_http_check_request_line(struct peri_http *h, struct peri_str line) {
    struct peri_str method, target = { NULL, 0 }, version = line;
    peri_str_cut(&method, &version, ' ');
    peri_str_cut(&target, &version, ' ');
    if (method.n > METHOD_MAX || !peri_http_is_token(method)) {
        peri_http_fail(h, 400, "the request line does not begin with a method");
        return false;
    }
    if (target.n > h->limits->uri_bytes) {
        peri_http_fail(h, 414, "the request target is too long");
        return false;
    }
    if (peri_str_eq(version, PERI_STR("HTTP/1.1")))
        h->minor = 1;
    else if (peri_str_eq(version, PERI_STR("HTTP/1.0")))
        h->minor = 0;
    else
        return refuse_version(h, version);
    h->method = span_of(h, method);
    h->is_head = peri_str_eq(method, PERI_STR("HEAD"));
    if (peri_str_eq(method, PERI_STR("CONNECT")) || peri_str_eq(method, PERI_STR("TRACE"))) {
        peri_http_fail(h, 501, "this method is not served here");
        return false;
    }
    if (!is_target(target) || !split_target(h, target)) {
        peri_http_fail(h, 400, "the request target is malformed");
        return false;
    }
    return true;
}
