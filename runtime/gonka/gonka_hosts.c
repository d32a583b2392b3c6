/* The current hosts as providers: their shares of the traffic, limits, and what they serve while proofs are computed. */
#include "base/err.h"
#include "gonka/gonka_network_parts.h"

/* While proofs are computed only machines set aside for it go on serving, each its model.
 *   by_model   out: room for p's models
 *   gives      true: none of them serves any */
static bool is_reduced(bool *by_model, const struct peri_gonka_network *n,
                       const struct peri_gonka_participant *p) {
    const struct peri_gonka_epoch *e = n->has_epoch ? &n->epoch : NULL;
    bool serves_all = e == NULL || peri_gonka_service(e) == PERI_GONKA_SERVES_ALL;
    bool is_whole = !serves_all;
    for (size_t i = 0; i < p->model_count; i++) {
        by_model[i] = !serves_all && !p->models[i].is_preserved;
        is_whole = is_whole && by_model[i];
    }
    return is_whole;
}

/* The host's own, else the default. */
static uint32_t limit_of(const struct peri_config_gonka *o, struct peri_str address) {
    for (size_t i = 0; i < o->limit_count; i++)
        if (o->limits[i].is_address && peri_str_eq_nocase(o->limits[i].name, address))
            return o->limits[i].value;
    return o->default_max_concurrent;
}

static enum peri_err add_host(struct peri_host_list *l, const struct peri_gonka_network *n,
                              const struct peri_gonka_participant *p, uint64_t total,
                              bool is_fixed) {
    const struct peri_config_provider *of = n->network.provider;
    const struct peri_config_gonka *o = n->options;
    struct peri_str *models = peri_arena_alloc(&l->arena, (p->model_count + 1) * sizeof *models);
    struct peri_str id = peri_arena_printf(&l->arena, "%.*s%.*s", PERI_STR_ARGS(o->prefix),
                                           PERI_STR_ARGS(p->address));
    bool *reduced = peri_arena_alloc(&l->arena, (p->model_count + 1) * sizeof *reduced);
    if (models == NULL || id.p == NULL || reduced == NULL) return PERI_ENOMEM;
    for (size_t i = 0; i < p->model_count; i++) models[i] = p->models[i].id;
    uint64_t share =
        (uint64_t)((double)of->weight * PERI_SHARE_UNIT * (double)p->weight / (double)total);
    struct peri_fleet_host host = {
        .of = of,
        .found_by = (struct peri_network *)&n->network,
        .id = id,
        .url = p->url,
        .address = p->address,
        .models = models,
        .model_count = p->model_count,
        .weight = p->weight,
        .share = share > 0 ? share : 1,
        .max_concurrent = limit_of(o, p->address),
        .limits = o->limits,
        .limit_count = o->limit_count,
        .is_reduced = is_reduced(reduced, n, p),
        .reduced = reduced,
        .is_public_only = !is_fixed && !o->may_use_private_hosts,
    };
    return peri_host_list_add(l, &host);
}

static enum peri_err add_set(struct peri_host_list *l, const struct peri_gonka_network *n,
                             const struct peri_gonka_set *set, bool is_fixed) {
    uint64_t total = 0;
    if (set == NULL) return PERI_OK;
    for (size_t i = 0; i < set->count; i++) total += set->participants[i].weight;
    for (size_t i = 0; i < set->count; i++) {
        const struct peri_gonka_participant *p = &set->participants[i];
        if (p->verdict != PERI_GONKA_USABLE) continue;
        enum peri_err err = add_host(l, n, p, total, is_fixed);
        if (err != PERI_OK) return err;
    }
    return PERI_OK;
}

enum peri_err peri_gonka_hosts(const struct peri_network *network, struct peri_host_list *out) {
    const struct peri_gonka_network *n = peri_gonka_network_of_const(network);
    enum peri_err err = add_set(out, n, n->set, network->provider->source_count == 0);
    return err == PERI_OK ? add_set(out, n, n->fixed, true) : err;
}
