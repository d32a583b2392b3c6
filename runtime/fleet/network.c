#include "fleet/network.h"

#include <stdio.h>

#include "base/mem.h"

void peri_network_init(struct peri_network *n, const struct peri_network_ops *ops,
                       const struct peri_config_provider *provider) {
    n->ops = ops;
    atomic_init(&n->refs, 1);
    n->provider = provider;
}

struct peri_network *peri_network_ref(struct peri_network *n) {
    atomic_fetch_add(&n->refs, 1);
    return n;
}

void peri_network_unref(struct peri_network *n) {
    if (n != NULL && atomic_fetch_sub(&n->refs, 1) == 1) n->ops->free(n);
}

bool peri_network_inherit(struct peri_network *n, struct peri_network *old) {
    return n->ops == old->ops && n->ops->inherit(n, old);
}

void peri_network_status(const struct peri_network *n, struct peri_network_status *out) {
    *out = (struct peri_network_status){ .phase = "" };
    n->ops->status(n, out);
    snprintf(out->id, sizeof out->id, "%.*s", PERI_STR_ARGS(n->provider->id));
}

/* ---- Hosts ---- */

void peri_host_list_init(struct peri_host_list *l) {
    *l = (struct peri_host_list){ .at = NULL };
    peri_arena_init(&l->arena, 0);
}

enum peri_err peri_host_list_add(struct peri_host_list *l, const struct peri_fleet_host *host) {
    for (size_t i = 0; i < l->count; i++)
        if (peri_str_eq(l->at[i].id, host->id)) return PERI_OK;
    if (l->count == l->room) {
        size_t room = l->room == 0 ? 64 : l->room * 2;
        struct peri_fleet_host *at = peri_realloc(l->at, room * sizeof *at);
        if (at == NULL) return PERI_ENOMEM;
        l->at = at;
        l->room = room;
    }
    l->at[l->count++] = *host;
    return PERI_OK;
}

void peri_host_list_done(struct peri_host_list *l) {
    peri_arena_done(&l->arena);
    peri_free(l->at);
}
