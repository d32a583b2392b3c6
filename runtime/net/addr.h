/* Where a socket listens or comes from: "127.0.0.1:9000", "[::1]:0", "unix:/path". No name is ever resolved here:
 * an address that a listener is bound to must not depend on somebody's DNS.
 */
#ifndef PERI_NET_ADDR_H
#define PERI_NET_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"

struct peri_addr {
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un local;
    } sa;
    socklen_t n; /* bytes of `sa` in use */
};

#define PERI_ADDR_TEXT_MAX 128

/*   text    a numeric IPv4 address, "localhost" (127.0.0.1) or an IPv6 address in brackets, each with ":port"
 *           (0 to 65535); or "unix:" and a path of at most 107 bytes
 *   gives   PERI_OK · PERI_EINVAL with the reason in `fault` */
PERI_MUST_USE enum peri_err peri_addr_parse(struct peri_addr *out, struct peri_str text,
                                            struct peri_fault *fault);

/* The same form back, into at least PERI_ADDR_TEXT_MAX bytes; gives its length. A peer of a unix socket has no
 * name of its own: "unix:". */
size_t peri_addr_format(char *out, const struct peri_addr *addr);

/* 0 for unix sockets. */
unsigned peri_addr_port(const struct peri_addr *addr);

#endif
