/* Which addresses belong to the public internet. What strangers name (hosts from a chain, URLs from a policy) is
 * connected to only there: never the machine itself, its neighbours, or a cloud's metadata service. Asked after
 * name resolution, so a name that changes its mind gains nothing. */
#ifndef PERI_NET_REACH_H
#define PERI_NET_REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* False for everything but IPv4 and IPv6, and for what the IANA registries mark as not globally reachable
 * (RFC 6890 and its updates). An IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4) is judged by that. */
bool peri_reach_is_public(const struct sockaddr *address);

/* The same of the 4 or 16 bytes of an address in network order. */
bool peri_reach_is_public_ip(const unsigned char *ip, size_t n);

/* For peri_client_options.may_connect: restricted calls reach public addresses only. `arg` is not used. */
bool peri_reach_may_connect(void *arg, const struct sockaddr *address, bool is_restricted);

#endif
