#include "net/client/origin.h"

#include <arpa/inet.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/client/client_parts.h"

/* How long libcurl itself believes a resolver. */
#define KNOWN_MS 60000
/* Names remembered while nobody uses them. */
#define UNUSED_MAX 256

static struct peri_origin **bucket_of(struct peri_client *c, struct peri_str name) {
    return &c->origins[peri_str_hash(name) % PERI_CLIENT_ORIGINS];
}

static bool set_address(struct peri_addr *out, const char *ip, unsigned port) {
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, ip, &out->sa.in4.sin_addr) == 1) {
        out->sa.in4.sin_family = AF_INET;
        out->sa.in4.sin_port = htons((uint16_t)port);
        out->n = sizeof out->sa.in4;
    } else if (inet_pton(AF_INET6, ip, &out->sa.in6.sin6_addr) == 1 &&
               !IN6_IS_ADDR_LINKLOCAL(&out->sa.in6.sin6_addr)) { /* its zone is not in the text */
        out->sa.in6.sin6_family = AF_INET6;
        out->sa.in6.sin6_port = htons((uint16_t)port);
        out->n = sizeof out->sa.in6;
    }
    return out->n > 0;
}

static struct peri_origin *new_origin(const struct peri_client *c, const struct peri_url *url,
                                      struct peri_str name, bool is_restricted) {
    char host[INET6_ADDRSTRLEN];
    struct peri_str text = peri_url_host(url);
    struct peri_origin *o = peri_calloc(1, sizeof *o + name.n);
    if (o == NULL) return NULL;
    peri_list_init(&o->idle);
    o->is_restricted = is_restricted;
    o->name_n = name.n;
    memcpy(o->name, name.p, name.n);
    if (text.n < sizeof host) {
        memcpy(host, text.p, text.n);
        host[text.n] = '\0';
        o->is_literal = set_address(&o->address, host, peri_url_port(url));
    }
    if (c->options.is_simulated && !o->is_literal)
        o->is_named = o->is_literal =
            set_address(&o->address, PERI_CLIENT_NAMED, peri_url_port(url));
    return o;
}

static void remove_origin(struct peri_client *c, struct peri_origin **place) {
    struct peri_origin *o = *place;
    *place = o->next;
    c->origin_count--;
    peri_free(o);
}

/* Names nobody uses are remembered for their addresses only, and not without end. */
static void forget_unused(struct peri_client *c) {
    for (size_t i = 0; i < PERI_CLIENT_ORIGINS; i++)
        for (struct peri_origin **at = &c->origins[i]; *at != NULL;) {
            if ((*at)->users == 0)
                remove_origin(c, at);
            else
                at = &(*at)->next;
        }
}

struct peri_origin *peri_origin_of(struct peri_client *c, const struct peri_url *url,
                                   bool is_restricted) {
    struct peri_str name = peri_url_authority(url);
    struct peri_origin **bucket = bucket_of(c, name), *o = *bucket;
    while (o != NULL && (o->is_restricted != is_restricted ||
                         !peri_str_eq((struct peri_str){ o->name, o->name_n }, name)))
        o = o->next;
    if (o == NULL) {
        if (c->origin_count >= UNUSED_MAX && c->origin_count > c->open_calls) forget_unused(c);
        o = new_origin(c, url, name, is_restricted);
        if (o == NULL) return NULL;
        o->next = *bucket;
        *bucket = o;
        c->origin_count++;
    }
    o->users++;
    return o;
}

void peri_origin_leave(struct peri_client *c, struct peri_origin *o) {
    if (--o->users > 0 || o->known_until_ms > 0) return;
    struct peri_origin **at = bucket_of(c, (struct peri_str){ o->name, o->name_n });
    while (*at != o) at = &(*at)->next;
    remove_origin(c, at);
}

bool peri_origin_is_known(const struct peri_client *c, const struct peri_origin *o) {
    return o->is_literal || peri_loop_now_ms(c->loop) < o->known_until_ms;
}

void peri_origin_learn(const struct peri_client *c, struct peri_origin *o, const char *ip,
                       unsigned port) {
    if (c->options.dial != NULL) return; /* that is where it was led */
    if (!o->is_literal && set_address(&o->address, ip, port))
        o->known_until_ms = peri_loop_now_ms(c->loop) + KNOWN_MS;
}

void peri_origins_free(struct peri_client *c) {
    forget_unused(c);
    if (c->origin_count > 0) peri_bug("no origin is in use when its client goes");
}
