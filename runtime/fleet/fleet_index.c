/* Who serves which public model. Built in one walk over all models, because lists that were read from providers hold
 * hundreds of names each: comparing every name with every provider's would take seconds.
 */
#include "fleet/fleet_index.h"

#include "base/err.h"
#include "base/name.h"

#define FOLDED_MAX PERI_NAME_MAX /* bytes of a name that is looked up without case */

/* One provider's model. Those of one name without case hang together, in the order of providers. */
struct offer {
    struct offer *next;
    const struct peri_provider *provider;
    const struct peri_config_model *model;
};

struct group {
    struct group *next;
    struct peri_str folded;
    struct offer *first, *last;
    size_t count;
    bool is_split; /* one provider has several spellings: they are different models */
};

struct groups {
    struct peri_arena arena;
    struct peri_map by_folded;
    struct group *first, **end;
};

static void fold(char *out, struct peri_str s) {
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] - 'A' + 'a') : s.p[i];
}

static struct peri_str dup_folded(struct peri_arena *a, struct peri_str s) {
    struct peri_str folded = peri_arena_dup(a, s);
    if (folded.p != NULL) fold((char *)folded.p, s);
    return folded;
}

static enum peri_err group_of(struct group **out, struct groups *all, struct peri_arena *kept,
                              struct peri_str name) {
    struct peri_str folded = dup_folded(&all->arena, name);
    if (folded.p == NULL) return PERI_ENOMEM;
    *out = peri_map_get(&all->by_folded, folded);
    if (*out != NULL) return PERI_OK;
    struct group *g = peri_arena_zalloc(&all->arena, sizeof *g);
    if (g == NULL) return PERI_ENOMEM;
    g->folded = peri_arena_dup(kept, folded);
    if (g->folded.p == NULL) return PERI_ENOMEM;
    *all->end = *out = g;
    all->end = &g->next;
    return peri_map_add(&all->by_folded, g->folded, g);
}

static enum peri_err gather(struct groups *all, struct peri_fleet *f) {
    for (size_t i = 0; i < f->provider_count; i++) {
        const struct peri_provider *p = &f->providers[i];
        for (size_t m = 0; m < p->model_count; m++) {
            struct group *g;
            if (peri_name_fault(p->models[m].name) != NULL) continue; /* a chain's word, perhaps */
            enum peri_err err = group_of(&g, all, &f->arena, p->models[m].name);
            if (err != PERI_OK) return err;
            struct offer *o = peri_arena_alloc(&all->arena, sizeof *o);
            if (o == NULL) return PERI_ENOMEM;
            *o = (struct offer){ NULL, p, &p->models[m] };
            if (g->last != NULL && g->last->provider == p) g->is_split = true;
            if (g->last != NULL)
                g->last->next = o;
            else
                g->first = o;
            g->last = o;
            g->count++;
        }
    }
    return PERI_OK;
}

#define REDUCED_RANK 1000000u /* behind every tier */

/* `model` NULL: the provider takes every name. */
static struct peri_candidate candidate(const struct peri_provider *p,
                                       const struct peri_config_model *model) {
    struct peri_candidate c = { .provider = p, .model = model, .is_reduced = p->is_reduced };
    if (model != NULL) c.upstream = model->upstream;
    if (model != NULL && p->reduced != NULL) c.is_reduced = p->reduced[model - p->models];
    c.rank = p->tier + (c.is_reduced ? REDUCED_RANK : 0);
    return c;
}

/* By rank, and as configured among equals. */
static void insert(struct peri_candidate *list, size_t count, struct peri_candidate c) {
    size_t i = count;
    for (; i > 0; i--) {
        const struct peri_candidate *before = &list[i - 1];
        if (before->rank < c.rank ||
            (before->rank == c.rank && before->provider->index < c.provider->index))
            break;
        list[i] = list[i - 1];
    }
    list[i] = c;
}

/* Of several spellings that one provider has, the very one, else the first. */
static enum peri_err collect(struct peri_fleet *f, struct peri_candidates **out,
                             const struct group *g, struct peri_str name) {
    struct peri_candidates *c = peri_arena_alloc(&f->arena, sizeof *c);
    struct peri_candidate *list =
        peri_arena_alloc(&f->arena, (g->count + f->any.count) * sizeof *list);
    if (c == NULL || list == NULL) return PERI_ENOMEM;
    size_t count = 0;
    for (const struct offer *o = g->first; o != NULL;) {
        const struct offer *own = o;
        const struct peri_provider *p = o->provider;
        for (; o != NULL && o->provider == p; o = o->next)
            if (peri_str_eq(o->model->name, name)) own = o;
        insert(list, count++, candidate(p, own->model));
    }
    for (size_t i = 0; i < f->any.count; i++) insert(list, count++, f->any.at[i]);
    *c = (struct peri_candidates){ list, count, name, false };
    for (size_t i = 0; i < count; i++) {
        const struct peri_config_model *m = list[i].model;
        if (m != NULL && (m->context_tokens > 0 || m->lacks != 0)) c->has_limits = true;
    }
    *out = c;
    return PERI_OK;
}

static enum peri_err put_group(struct peri_fleet *f, const struct group *g,
                               struct peri_str *names) {
    struct peri_candidates *c = NULL;
    for (const struct offer *o = g->first; o != NULL; o = o->next) {
        struct peri_str name = o->model->name;
        enum peri_err err = PERI_OK;
        if (peri_map_get(&f->by_model, name) != NULL) continue;
        bool is_first = c == NULL;
        if (is_first || g->is_split) {
            err = collect(f, &c, g, name);
            names[f->model_count++] = name;
        }
        if (err == PERI_OK && is_first) err = peri_map_add(&f->by_folded, g->folded, c);
        if (err == PERI_OK) err = peri_map_add(&f->by_model, name, c);
        if (err != PERI_OK) return err;
    }
    return PERI_OK;
}

static enum peri_err put_any(struct peri_fleet *f) {
    struct peri_candidate *list =
        peri_arena_alloc(&f->arena, (f->provider_count + 1) * sizeof *list);
    if (list == NULL) return PERI_ENOMEM;
    size_t count = 0;
    for (size_t i = 0; i < f->provider_count; i++)
        if (f->providers[i].takes_any) insert(list, count++, candidate(&f->providers[i], NULL));
    f->any = (struct peri_candidates){ list, count, PERI_STR(""), false };
    return PERI_OK;
}

static struct peri_candidates *find_folded(const struct peri_fleet *f, struct peri_str name) {
    char folded[FOLDED_MAX];
    if (f->by_folded.count == 0 || name.n > sizeof folded) return NULL;
    fold(folded, name);
    return peri_map_get(&f->by_folded, (struct peri_str){ folded, name.n });
}

static struct peri_candidates *find(const struct peri_fleet *f, struct peri_str name) {
    struct peri_candidates *c = peri_map_get(&f->by_model, name);
    return c != NULL ? c : find_folded(f, name);
}

/* Other names for listed models. An alias of a model that nobody lists goes to whoever takes every model. */
static enum peri_err put_alias(struct peri_fleet *f, const struct peri_config_alias *alias) {
    struct peri_candidates *c = find(f, alias->model);
    if (peri_map_get(&f->by_model, alias->name) != NULL) return PERI_OK;
    if (c == NULL) {
        if (f->any.count == 0) return PERI_OK; /* nobody would answer to either name */
        c = peri_arena_alloc(&f->arena, sizeof *c);
        if (c == NULL) return PERI_ENOMEM;
        *c = (struct peri_candidates){ f->any.at, f->any.count, alias->model, false };
    }
    struct peri_str folded = dup_folded(&f->arena, alias->name);
    if (folded.p == NULL) return PERI_ENOMEM;
    enum peri_err err = peri_map_add(&f->by_folded, folded, c);
    if (err == PERI_OK || err == PERI_EEXIST) err = peri_map_add(&f->by_model, alias->name, c);
    return err;
}

enum peri_err peri_fleet_index(struct peri_fleet *f) {
    struct groups all = { .end = &all.first };
    peri_arena_init(&all.arena, 0);
    peri_map_init(&all.by_folded);
    size_t most = 0;
    for (size_t i = 0; i < f->provider_count; i++) most += f->providers[i].model_count;
    struct peri_str *names = peri_arena_alloc(&f->arena, (most + 1) * sizeof *names);
    f->models = names;
    enum peri_err err = names == NULL ? PERI_ENOMEM : put_any(f);
    if (err == PERI_OK) err = gather(&all, f);
    for (const struct group *g = all.first; g != NULL && err == PERI_OK; g = g->next)
        err = put_group(f, g, names);
    for (size_t i = 0; i < f->config->alias_count && err == PERI_OK; i++)
        err = put_alias(f, &f->config->aliases[i]);
    peri_map_done(&all.by_folded);
    peri_arena_done(&all.arena);
    return err;
}

struct peri_candidates peri_fleet_find(const struct peri_fleet *f, struct peri_str model) {
    const struct peri_candidates *c = find(f, model);
    if (c != NULL) return *c;
    return (struct peri_candidates){ f->any.at, f->any.count, { NULL, 0 }, false };
}

struct peri_candidate peri_fleet_candidate(const struct peri_fleet *f,
                                           const struct peri_provider *p, struct peri_str model) {
    struct peri_candidates all = peri_fleet_find(f, model);
    for (size_t i = 0; i < all.count; i++)
        if (all.at[i].provider == p) return all.at[i];
    return (struct peri_candidate){ .provider = NULL };
}
