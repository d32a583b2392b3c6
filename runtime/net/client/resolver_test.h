/* For tests of names: what libcurl's resolver finds instead of the C library's. The test says in `look_up` what a name
 * leads to; its file includes this once. */
#ifndef PERI_NET_CLIENT_RESOLVER_TEST_H
#define PERI_NET_CLIENT_RESOLVER_TEST_H

#include <netdb.h>

#include "net/client/upstream_test.h"

/* On libcurl's thread. gives 0 with the address in *found, its port is the caller's · a getaddrinfo error */
static int look_up(const char *node, struct sockaddr_in *found);

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **result) {
    struct {
        struct addrinfo info;
        struct sockaddr_in address;
    } *found = calloc(1, sizeof *found);
    if (found == NULL) return EAI_MEMORY;
    int err = look_up(node, &found->address);
    if (err != 0) {
        free(found);
        return err;
    }
    found->address.sin_port = htons((uint16_t)strtoul(service, NULL, 10));
    found->info =
        (struct addrinfo){ .ai_family = AF_INET,
                           .ai_socktype = hints != NULL ? hints->ai_socktype : SOCK_STREAM,
                           .ai_protocol = IPPROTO_TCP,
                           .ai_addrlen = sizeof found->address,
                           .ai_addr = (struct sockaddr *)&found->address };
    *result = &found->info;
    return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *a) { free(a); }

/* The provider under a name. */
static struct peri_url *url_of(const struct upstream *up, const char *host) {
    char text[128];
    struct peri_url *u = NULL;
    snprintf(text, sizeof text, "http://%s:%u/v1", host, up->port);
    CHECK_EQ(peri_url_parse(&u, peri_str_of(text), NULL), PERI_OK);
    return u;
}

#endif
