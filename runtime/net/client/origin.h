/* For the client's own files only: where plain calls go, with the connections that are kept open to there and the
 * address it was last reached at.
 */
#ifndef PERI_NET_CLIENT_ORIGIN_H
#define PERI_NET_CLIENT_ORIGIN_H

#include "base/list.h"
#include "net/addr.h"
#include "net/client/client.h"

/* Host, port, and whether calls are restricted: a connection is checked when it is opened, so it must not be inherited
 * from a call that was allowed more. */
struct peri_origin {
    struct peri_origin *next; /* in the same bucket */
    struct peri_list idle;    /* wires, the one used last at the end */
    size_t users;             /* wires and calls */
    struct peri_addr address; /* of the last connection that stood */
    uint64_t known_until_ms;  /* the address; 0: not known */
    bool is_named;            /* a name that stands for its address, in a simulation */
    bool is_literal;          /* the host is an address: known for good */
    bool is_restricted;
    size_t name_n;
    char name[]; /* authority */
};

/* The call's origin, made when it is new; one user more. NULL when memory ran out. */
struct peri_origin *peri_origin_of(struct peri_client *c, const struct peri_url *url,
                                   bool is_restricted);
void peri_origin_leave(struct peri_client *c, struct peri_origin *o);
/* Whether its address is: calls can connect there without libcurl. */
bool peri_origin_is_known(const struct peri_client *c, const struct peri_origin *o);
/* libcurl reached this numeric address. */
void peri_origin_learn(const struct peri_client *c, struct peri_origin *o, const char *ip,
                       unsigned port);
/* Every origin goes; nobody uses one any more. */
void peri_origins_free(struct peri_client *c);

#endif
