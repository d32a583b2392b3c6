#include "fleet/fleet.h"

#include "base/err.h"
#include "base/mem.h"
#include "fleet/fleet_index.h"
#include "fleet/network.h"
#include "fleet/slots.h"

struct peri_fleet *peri_fleet_ref(struct peri_fleet *f) {
    atomic_fetch_add(&f->refs, 1);
    return f;
}

static void drop_slots(struct peri_provider *p) {
    for (size_t i = 0; p->model_slots != NULL && i < p->model_count; i++)
        peri_vitals_unref(p->model_slots[i].vitals);
    p->model_slots = NULL;
}

void peri_fleet_unref(struct peri_fleet *f) {
    if (f == NULL || atomic_fetch_sub(&f->refs, 1) > 1) return;
    for (size_t i = 0; i < f->provider_count; i++) {
        struct peri_provider *p = &f->providers[i];
        for (size_t d = 0; d < PERI_DIALECT_COUNT; d++) peri_url_unref(p->urls[d]);
        /* Credentials are made here, and go with their bytes overwritten. */
        for (size_t k = 0; k < p->key_count; k++) peri_wipe((char *)p->keys[k].p, p->keys[k].n);
        peri_network_unref(p->found_by);
        peri_vitals_unref(p->vitals);
        peri_vitals_unref(p->network_vitals);
        drop_slots(p);
        peri_model_list_unref(p->list);
    }
    peri_map_done(&f->by_id);
    peri_map_done(&f->by_model);
    peri_map_done(&f->by_folded);
    peri_arena_done(&f->arena);
    peri_config_unref(f->config);
    peri_free(f);
}

static enum peri_err build_keys(struct peri_fleet *f, struct peri_provider *p,
                                const struct peri_config_provider *c, const char *before) {
    size_t count = c->key_count > 0 ? c->key_count : 1;
    struct peri_str *keys = peri_arena_alloc(&f->arena, count * sizeof *keys);
    if (keys == NULL) return PERI_ENOMEM;
    p->keys = keys;
    for (; p->key_count < count; p->key_count++) {
        const struct peri_secret *key = c->key_count > 0 ? &c->keys[p->key_count] : &c->key;
        keys[p->key_count] = peri_arena_printf(&f->arena, "%s%.*s", before, (int)key->n, key->p);
        if (keys[p->key_count].p == NULL) return PERI_ENOMEM;
    }
    return PERI_OK;
}

/* Headers of the configuration, then the credential. */
static enum peri_err build_headers(struct peri_fleet *f, struct peri_provider *p,
                                   const struct peri_config_provider *c) {
    bool has_key = c->auth != PERI_AUTH_NONE && c->key.n > 0;
    size_t count = c->header_count + (has_key ? 1 : 0);
    struct peri_header *headers = peri_arena_alloc(&f->arena, (count + 1) * sizeof *headers);
    if (headers == NULL) return PERI_ENOMEM;
    for (size_t i = 0; i < c->header_count; i++) {
        headers[i].name = c->headers[i].name;
        headers[i].value = peri_arena_dup(&f->arena, c->headers[i].value);
        if (headers[i].value.p == NULL) return PERI_ENOMEM;
    }
    if (has_key) {
        bool is_bearer = c->auth == PERI_AUTH_BEARER;
        struct peri_header *h = &headers[c->header_count];
        h->name = is_bearer ? PERI_STR("authorization") : c->auth_header;
        enum peri_err err = build_keys(f, p, c, is_bearer ? "Bearer " : "");
        if (err != PERI_OK) return err;
        h->value = p->credential = p->keys[0];
    }
    p->headers = headers;
    p->header_count = count;
    p->has_credential = has_key;
    return PERI_OK;
}

/* The places requests go to, the vitals, a name of its own. From here on peri_fleet_unref looks after p. */
static enum peri_err settle(struct peri_fleet *f, struct peri_provider *p, struct peri_str url,
                            struct peri_vitals_table *vitals, struct peri_fault *fault) {
    p->index = f->provider_count++;
    struct peri_url *base = NULL;
    enum peri_err err = peri_url_parse(&base, url, fault);
    for (size_t d = 0; d < PERI_DIALECT_COUNT && err == PERI_OK; d++)
        err = peri_url_join(&p->urls[d], base, peri_dialect((enum peri_dialect_id)d)->url_path);
    peri_url_unref(base);
    if (err != PERI_OK) return err;
    p->vitals = peri_vitals_get(vitals, p->id);
    if (p->vitals == NULL) return PERI_ENOMEM;
    for (size_t i = 0; i < p->key_count; i++) peri_vitals_set_key(p->vitals, i, p->keys[i]);
    err = peri_map_add(&f->by_id, p->id, p);
    if (err == PERI_EEXIST)
        return peri_fault_set(fault, PERI_ECONFIG,
                              "provider '%.*s' is there twice, ids must differ",
                              PERI_STR_ARGS(p->id));
    return err;
}

/* What is configured holds; the provider's list knows the spelling, and what nobody has configured. */
static void complete_model(struct peri_config_model *m, const struct peri_model_list *list) {
    const struct peri_config_model *said = peri_model_list_find(list, m->upstream);
    if (said == NULL) return; /* lists lag behind: it may serve it all the same */
    m->upstream = said->name;
    if (m->context_tokens == 0) m->context_tokens = said->context_tokens;
    if (m->max_output_tokens == 0) m->max_output_tokens = said->max_output_tokens;
    if (m->capability_count == 0) m->lacks = said->lacks;
}

static enum peri_err build_models(struct peri_fleet *f, struct peri_provider *p,
                                  const struct peri_config_provider *c,
                                  struct peri_model_list *list) {
    p->models = c->models;
    p->model_count = c->model_count;
    p->takes_any = c->model_count == 0 && (list == NULL || c->is_list_open);
    if (list == NULL) return PERI_OK;
    if (c->model_count == 0) {
        p->models = list->models;
        p->model_count = list->count;
    } else {
        struct peri_config_model *models =
            peri_arena_alloc(&f->arena, c->model_count * sizeof *models);
        if (models == NULL) return PERI_ENOMEM;
        memcpy(models, c->models, c->model_count * sizeof *models);
        for (size_t i = 0; i < c->model_count; i++) complete_model(&models[i], list);
        p->models = models;
    }
    p->list = peri_model_list_ref(list);
    return PERI_OK;
}

static enum peri_err build_provider(struct peri_fleet *f, const struct peri_config_provider *c,
                                    struct peri_model_list *list, struct peri_vitals_table *vitals,
                                    struct peri_fault *fault) {
    struct peri_provider *p = &f->providers[f->provider_count];
    *p = (struct peri_provider){
        .id = c->id,
        .url = c->url,
        .tier = c->tier,
        .weight = c->weight,
        .share = (uint64_t)c->weight * PERI_SHARE_UNIT,
        .max_concurrent = c->max_concurrent,
        .is_adaptive = c->is_adaptive,
        .passes_empty = c->empty_answers == PERI_EMPTY_PASSES,
        .is_limited = c->max_concurrent != 0 || c->is_adaptive,
        .timeouts = c->timeouts,
        .retry = &c->retry,
        .use_http2 = c->use_http2,
        .is_insecure = c->is_insecure,
        .ca_file = c->ca_file,
        .tags = c->tags,
        .broker = c->broker,
        .network = c->network,
    };
    enum peri_err err = build_headers(f, p, c);
    if (err == PERI_OK) err = settle(f, p, p->url, vitals, fault);
    return err == PERI_OK ? build_models(f, p, c, list) : err;
}

/* The host's own spelling of a model: as written, else without case. p NULL: it has no such model. */
static struct peri_str spelling_of(const struct peri_fleet_host *h, struct peri_str model) {
    struct peri_str found = { NULL, 0 };
    if (h->model_count == 0) return model;
    for (size_t i = 0; i < h->model_count; i++) {
        if (peri_str_eq(h->models[i], model)) return h->models[i];
        if (found.p == NULL && peri_str_eq_nocase(h->models[i], model)) found = h->models[i];
    }
    return found;
}

/* `model` is in the host's own spelling. */
static bool is_reduced_for(const struct peri_fleet_host *h, struct peri_str model) {
    for (size_t i = 0; h->reduced != NULL && i < h->model_count; i++)
        if (peri_str_eq(h->models[i], model)) return h->reduced[i];
    return h->is_reduced;
}

/* With models configured for the network those names hold, where the host has the model behind them; without, the
 * host's own. */
static enum peri_err build_host_models(struct peri_fleet *f, struct peri_provider *p,
                                       const struct peri_fleet_host *h) {
    bool is_named = h->of->model_count > 0;
    size_t most = is_named ? h->of->model_count : h->model_count;
    struct peri_config_model *models = peri_arena_zalloc(&f->arena, (most + 1) * sizeof *models);
    bool *reduced = peri_arena_zalloc(&f->arena, (most + 1) * sizeof *reduced);
    if (models == NULL || reduced == NULL) return PERI_ENOMEM;
    for (size_t i = 0; i < most; i++) {
        struct peri_config_model *m = &models[p->model_count];
        struct peri_str upstream =
            is_named ? spelling_of(h, h->of->models[i].upstream) : h->models[i];
        if (upstream.p == NULL) continue;
        reduced[p->model_count] = is_reduced_for(h, upstream);
        if (is_named) {
            *m = h->of->models[i];
            m->upstream = peri_arena_dup(&f->arena, upstream);
            if (m->upstream.p == NULL) return PERI_ENOMEM;
        } else {
            m->name = m->upstream = peri_arena_dup(&f->arena, h->models[i]);
            if (m->name.p == NULL) return PERI_ENOMEM;
        }
        p->model_count++;
    }
    p->models = models;
    p->reduced = reduced;
    p->takes_any = !is_named && h->model_count == 0;
    return PERI_OK;
}

/* A host that turned out unusable half way takes nothing with it, and is no candidate. */
static void take_back(struct peri_fleet *f, size_t count) {
    while (f->provider_count > count) {
        struct peri_provider *p = &f->providers[--f->provider_count];
        for (size_t d = 0; d < PERI_DIALECT_COUNT; d++) peri_url_unref(p->urls[d]);
        peri_vitals_unref(p->vitals);
        peri_vitals_unref(p->network_vitals);
        drop_slots(p);
    }
}

/* By the public name or the host's own, in whatever case. 0: none. */
static uint32_t limit_of(const struct peri_fleet_host *h, const struct peri_config_model *m) {
    for (size_t i = 0; i < h->limit_count; i++) {
        const struct peri_config_number *l = &h->limits[i];
        if (!l->is_address &&
            (peri_str_eq_nocase(l->name, m->name) || peri_str_eq_nocase(l->name, m->upstream)))
            return l->value;
    }
    return 0;
}

/* What is in flight is counted beside the host's own vitals, and is kept as they are. */
static enum peri_err build_slots(struct peri_fleet *f, struct peri_provider *p,
                                 const struct peri_fleet_host *h,
                                 struct peri_vitals_table *vitals) {
    struct peri_model_slots *slots = NULL;
    for (size_t i = 0; i < p->model_count; i++) {
        uint32_t max = limit_of(h, &p->models[i]);
        if (max == 0) continue;
        if (slots == NULL)
            p->model_slots = slots = peri_arena_zalloc(&f->arena, p->model_count * sizeof *slots);
        struct peri_str id = peri_arena_printf(&f->arena, "%.*s %.*s", PERI_STR_ARGS(p->id),
                                               PERI_STR_ARGS(p->models[i].upstream));
        if (slots == NULL || id.p == NULL) return PERI_ENOMEM;
        slots[i].max = max;
        slots[i].vitals = peri_vitals_get(vitals, id);
        if (slots[i].vitals == NULL) return PERI_ENOMEM;
        p->is_limited = true;
    }
    return PERI_OK;
}

/* The network's own, in a name that no provider can have. */
static enum peri_err find_network_vitals(struct peri_fleet *f, struct peri_provider *p,
                                         const struct peri_config_provider *network,
                                         struct peri_vitals_table *vitals) {
    struct peri_str id = peri_arena_printf(&f->arena, " network %.*s", PERI_STR_ARGS(network->id));
    if (id.p != NULL) p->network_vitals = peri_vitals_get(vitals, id);
    return p->network_vitals == NULL ? PERI_ENOMEM : PERI_OK;
}

static enum peri_err build_host(struct peri_fleet *f, const struct peri_fleet_host *h,
                                struct peri_vitals_table *vitals, struct peri_fault *fault) {
    const struct peri_config_provider *c = h->of;
    struct peri_provider *p = &f->providers[f->provider_count];
    *p = (struct peri_provider){
        .id = peri_arena_dup(&f->arena, h->id),
        .address = peri_arena_dup(&f->arena, h->address),
        .url = peri_arena_printf(&f->arena, "%.*s/v1", PERI_STR_ARGS(h->url)),
        .headers = c->headers,
        .header_count = c->header_count,
        .tier = c->tier,
        .weight = h->weight,
        .share = h->share,
        .max_concurrent = h->max_concurrent,
        .is_adaptive = c->is_adaptive,
        .passes_empty = c->empty_answers == PERI_EMPTY_PASSES,
        .is_limited = h->max_concurrent != 0 || c->is_adaptive,
        .timeouts = c->timeouts,
        .retry = &c->retry,
        .tags = c->tags,
        .network = c->network,
    };
    if (p->id.p == NULL || p->address.p == NULL || p->url.p == NULL) return PERI_ENOMEM;
    enum peri_err err = build_host_models(f, p, h);
    if (err == PERI_OK && p->model_count == 0 && !p->takes_any)
        return PERI_OK; /* has nothing that is offered here */
    size_t before = f->provider_count;
    if (err == PERI_OK) err = settle(f, p, p->url, vitals, fault);
    if (err == PERI_OK) err = build_slots(f, p, h, vitals);
    if (err == PERI_OK && h->found_by != NULL) err = find_network_vitals(f, p, c, vitals);
    if (err != PERI_OK) {
        take_back(f, before);
        return err;
    }
    p->is_reduced = h->is_reduced;
    p->is_public_only = h->is_public_only;
    if (h->found_by == NULL) return PERI_OK;
    p->found_by = peri_network_ref(h->found_by);
    p->judge = h->found_by->ops->judge;
    return PERI_OK;
}

enum peri_err peri_fleet_new(struct peri_fleet **out, struct peri_config *config,
                             const struct peri_fleet_host *hosts, size_t host_count,
                             struct peri_model_list *const *lists, struct peri_vitals_table *vitals,
                             uint64_t generation, struct peri_fault *fault) {
    struct peri_fleet *f = peri_calloc(1, sizeof *f);
    if (f == NULL) return PERI_ENOMEM;
    atomic_init(&f->refs, 1);
    peri_arena_init(&f->arena, 0);
    peri_map_init(&f->by_id);
    peri_map_init(&f->by_model);
    peri_map_init(&f->by_folded);
    f->generation = generation;
    f->phase = "";
    f->created = peri_clock_wall_ns(&peri_clock_real) / 1000000000u;
    f->config = peri_config_ref(config);
    enum peri_err err = PERI_ENOMEM;
    f->providers = peri_arena_zalloc(&f->arena, (config->provider_count + host_count + 1) *
                                                    sizeof *f->providers);
    if (f->providers == NULL) goto fail;
    for (size_t i = 0; i < config->provider_count; i++) {
        if (config->providers[i].network.n > 0) continue; /* its hosts come in `hosts` */
        struct peri_model_list *list = lists == NULL ? NULL : lists[i];
        if ((err = build_provider(f, &config->providers[i], list, vitals, fault)) != PERI_OK)
            goto fail;
    }
    for (size_t i = 0; i < host_count; i++) {
        /* One host that can not be used (a URL, an id of another) must not keep the rest out. */
        if ((err = build_host(f, &hosts[i], vitals, fault)) == PERI_ENOMEM) goto fail;
    }
    if ((err = peri_fleet_index(f)) != PERI_OK) goto fail;
    *out = f;
    return PERI_OK;
fail:
    peri_fleet_unref(f);
    return err;
}

const struct peri_provider *peri_fleet_provider(const struct peri_fleet *f, struct peri_str id) {
    return peri_map_get(&f->by_id, id);
}
