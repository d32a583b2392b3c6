#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/err.h"

static enum peri_err refuse(struct peri_fault *fault, struct peri_str text, const char *expected) {
    return peri_fault_set(fault, PERI_EINVAL, "'%.*s' is not an address to listen on: %s",
                          PERI_STR_ARGS(text), expected);
}

static enum peri_err parse_local(struct peri_addr *out, struct peri_str text,
                                 struct peri_fault *fault) {
    struct peri_str path = peri_str_from(text, 5);
    if (path.n == 0 || path.n >= sizeof out->sa.local.sun_path || memchr(path.p, 0, path.n) != NULL)
        return refuse(fault, text, "the path of a unix socket has 1 to 107 bytes");
    out->sa.local.sun_family = AF_UNIX;
    memcpy(out->sa.local.sun_path, path.p, path.n);
    out->n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return PERI_OK;
}

enum peri_err peri_addr_parse(struct peri_addr *out, struct peri_str text,
                              struct peri_fault *fault) {
    memset(out, 0, sizeof *out);
    if (peri_str_has_prefix(text, PERI_STR("unix:"))) return parse_local(out, text, fault);
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':') colon--;
    if (colon == 0) return refuse(fault, text, "expected host:port, like 127.0.0.1:9000");
    uint64_t port;
    struct peri_str digits = peri_str_from(text, colon), host = { text.p, colon - 1 };
    if (digits.n > 5 || peri_str_to_u64(&port, digits) != PERI_OK || port > 65535)
        return refuse(fault, text, "a port is a number from 0 to 65535");
    bool is_v6 = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (is_v6) host = (struct peri_str){ host.p + 1, host.n - 2 };
    if (peri_str_eq(host, PERI_STR("localhost"))) host = PERI_STR("127.0.0.1");
    char name[INET6_ADDRSTRLEN + 1];
    if (host.n >= sizeof name) return refuse(fault, text, "expected a numeric address");
    memcpy(name, host.p, host.n);
    name[host.n] = '\0';
    void *bytes = is_v6 ? (void *)&out->sa.in6.sin6_addr : (void *)&out->sa.in4.sin_addr;
    if (strlen(name) != host.n || inet_pton(is_v6 ? AF_INET6 : AF_INET, name, bytes) != 1)
        return refuse(fault, text,
                      "expected a numeric address: 127.0.0.1:9000, [::1]:9000 or unix:/path");
    out->sa.any.sa_family = is_v6 ? AF_INET6 : AF_INET;
    if (is_v6)
        out->sa.in6.sin6_port = htons((uint16_t)port);
    else
        out->sa.in4.sin_port = htons((uint16_t)port);
    out->n = is_v6 ? sizeof out->sa.in6 : sizeof out->sa.in4;
    return PERI_OK;
}

unsigned peri_addr_port(const struct peri_addr *addr) {
    switch (addr->sa.any.sa_family) {
    case AF_INET: return ntohs(addr->sa.in4.sin_port);
    case AF_INET6: return ntohs(addr->sa.in6.sin6_port);
    default: return 0;
    }
}

size_t peri_addr_format(char *out, const struct peri_addr *addr) {
    char name[INET6_ADDRSTRLEN];
    int n;
    switch (addr->sa.any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &addr->sa.in4.sin_addr, name, sizeof name);
        n = snprintf(out, PERI_ADDR_TEXT_MAX, "%s:%u", name, peri_addr_port(addr));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &addr->sa.in6.sin6_addr, name, sizeof name);
        n = snprintf(out, PERI_ADDR_TEXT_MAX, "[%s]:%u", name, peri_addr_port(addr));
        break;
    default: n = snprintf(out, PERI_ADDR_TEXT_MAX, "unix:%s", addr->sa.local.sun_path);
    }
    return (size_t)n;
}
