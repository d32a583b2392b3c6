/* Who serves which public model. Built in one walk over all models, because lists that were read from providers hold
 * hundreds of names each: comparing every name with every provider's would take seconds.
 */
#include "fleet/fleet_index.h"

#include "base/err.h"
#include "base/name.h"
#include "config/model_pattern.h"

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
    struct offer *patterns; /* names with a star, in the order of providers */
    struct offer **patterns_end;
    size_t pattern_count;
};

static void fold_case(char *out, struct peri_str s) {
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] - 'A' + 'a') : s.p[i];
}

static struct peri_str dup_folded(struct peri_arena *a, struct peri_str s) {
    struct peri_str folded = peri_arena_dup(a, s);
    if (folded.p != NULL) fold_case((char *)folded.p, s);
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

static enum peri_err add_pattern(struct groups *all, const struct peri_provider *p,
                                 const struct peri_config_model *m) {
    struct offer *o = peri_arena_alloc(&all->arena, sizeof *o);
    if (o == NULL) return PERI_ENOMEM;
    *o = (struct offer){ NULL, p, m };
    *all->patterns_end = o;
    all->patterns_end = &o->next;
    all->pattern_count++;
    return PERI_OK;
}

static enum peri_err add_offer(struct groups *all, struct peri_fleet *f,
                               const struct peri_provider *p, const struct peri_config_model *m) {
    struct group *g;
    if (peri_name_fault(m->name) != NULL) return PERI_OK; /* a chain's word, perhaps */
    enum peri_err err = group_of(&g, all, &f->arena, m->name);
    if (err != PERI_OK) return err;
    struct offer *o = peri_arena_alloc(&all->arena, sizeof *o);
    if (o == NULL) return PERI_ENOMEM;
    *o = (struct offer){ NULL, p, m };
    if (g->last != NULL && g->last->provider == p) g->is_split = true;
    if (g->last != NULL)
        g->last->next = o;
    else
        g->first = o;
    g->last = o;
    g->count++;
    return PERI_OK;
}

static bool has_name(const struct peri_provider *p, struct peri_str name) {
    for (size_t i = 0; i < p->model_count; i++)
        if (peri_str_eq(p->models[i].name, name)) return true;
    return false;
}

/* What the provider's list says of a name with a star: the models that it stands for. */
static enum peri_err add_listed(struct groups *all, struct peri_fleet *f,
                                const struct peri_provider *p,
                                const struct peri_config_model *pattern) {
    bool is_cut = peri_str_eq(pattern->upstream, PERI_STR("*"));
    for (size_t i = 0; p->list != NULL && i < p->list->count; i++) {
        const struct peri_config_model *said = &p->list->models[i];
        if (!is_cut && !peri_pattern_matches(pattern->name, said->name, NULL)) continue;
        struct peri_config_model *m = peri_arena_alloc(&f->arena, sizeof *m);
        if (m == NULL) return PERI_ENOMEM;
        *m = *said;
        if (is_cut) {
            size_t star = (size_t)peri_str_find_char(pattern->name, '*');
            m->name = peri_arena_printf(&f->arena, "%.*s%.*s%.*s", (int)star, pattern->name.p,
                                        PERI_STR_ARGS(said->name),
                                        PERI_STR_ARGS(peri_str_from(pattern->name, star + 1)));
            if (m->name.p == NULL) return PERI_ENOMEM;
        }
        if (has_name(p, m->name)) continue;
        enum peri_err err = add_offer(all, f, p, m);
        if (err != PERI_OK) return err;
    }
    return PERI_OK;
}

static enum peri_err gather_groups(struct groups *all, struct peri_fleet *f) {
    enum peri_err err = PERI_OK;
    for (size_t i = 0; i < f->provider_count && err == PERI_OK; i++) {
        const struct peri_provider *p = &f->providers[i];
        for (size_t m = 0; m < p->model_count && err == PERI_OK; m++) {
            const struct peri_config_model *model = &p->models[m];
            if (!peri_is_pattern(model->name)) {
                err = add_offer(all, f, p, model);
                continue;
            }
            err = add_pattern(all, p, model);
            if (err == PERI_OK) err = add_listed(all, f, p, model);
        }
    }
    return err;
}

#define REDUCED_RANK  1000000u /* behind every tier */
#define UNLISTED_RANK 2000000u /* behind those, too */

/* `model` NULL: the provider takes every name. */
static struct peri_candidate candidate(const struct peri_provider *p,
                                       const struct peri_config_model *model) {
    struct peri_candidate c = { .provider = p, .model = model, .is_reduced = p->is_reduced };
    if (model != NULL && !peri_is_pattern(model->name)) c.upstream = model->upstream;
    if (model != NULL && p->reduced != NULL) c.is_reduced = p->reduced[model - p->models];
    c.rank = p->tier + (c.is_reduced ? REDUCED_RANK : 0);
    return c;
}

/* By rank, and as configured among equals. */
static void insert_candidate(struct peri_candidate *list, size_t count, struct peri_candidate c) {
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

static bool holds_provider(const struct peri_candidate *list, size_t count,
                           const struct peri_provider *p) {
    for (size_t i = 0; i < count; i++)
        if (list[i].provider == p) return true;
    return false;
}

static void note_limits(struct peri_candidates *c) {
    for (size_t i = 0; i < c->count; i++) {
        const struct peri_config_model *m = c->at[i].model;
        if (m != NULL && (m->context_tokens > 0 || m->lacks != 0)) c->has_limits = true;
    }
}

/* Add those whose names with a star stand for `name`, itself one or not; of several that one provider has, the longest. */
static size_t insert_patterns(struct peri_candidate *list, size_t count, const struct groups *all,
                              struct peri_str name) {
    for (const struct offer *o = all->patterns; o != NULL;) {
        const struct peri_provider *p = o->provider;
        const struct offer *best = NULL;
        for (; o != NULL && o->provider == p; o = o->next)
            if (peri_pattern_covers(o->model->name, name) &&
                (best == NULL || o->model->name.n > best->model->name.n))
                best = o;
        if (best != NULL && !holds_provider(list, count, p))
            insert_candidate(list, count++, candidate(p, best->model));
    }
    return count;
}

/* Of several spellings that one provider has, the very one, else the first. */
static enum peri_err collect(struct peri_fleet *f, struct peri_candidates **out,
                             const struct groups *all, const struct group *g,
                             struct peri_str name) {
    struct peri_candidates *c = peri_arena_alloc(&f->arena, sizeof *c);
    struct peri_candidate *list =
        peri_arena_alloc(&f->arena, (g->count + all->pattern_count + f->any.count) * sizeof *list);
    if (c == NULL || list == NULL) return PERI_ENOMEM;
    size_t count = 0;
    for (const struct offer *o = g->first; o != NULL;) {
        const struct offer *own = o;
        const struct peri_provider *p = o->provider;
        for (; o != NULL && o->provider == p; o = o->next)
            if (peri_str_eq(o->model->name, name)) own = o;
        insert_candidate(list, count++, candidate(p, own->model));
    }
    count = insert_patterns(list, count, all, name);
    for (size_t i = 0; i < f->any.count; i++) {
        struct peri_candidate any = f->any.at[i];
        if (holds_provider(list, count, any.provider)) continue;
        /* Lists lag behind: a provider that does not list what others do may have it, and is asked last. */
        if (any.provider->list != NULL) any.rank += UNLISTED_RANK;
        insert_candidate(list, count++, any);
    }
    *c = (struct peri_candidates){ list, count, name, false };
    note_limits(c);
    *out = c;
    return PERI_OK;
}

static enum peri_err put_group(struct peri_fleet *f, const struct groups *all,
                               const struct group *g, struct peri_str *names) {
    struct peri_candidates *c = NULL;
    for (const struct offer *o = g->first; o != NULL; o = o->next) {
        struct peri_str name = o->model->name;
        enum peri_err err = PERI_OK;
        if (peri_map_get(&f->by_model, name) != NULL) continue;
        bool is_first = c == NULL;
        if (is_first || g->is_split) {
            err = collect(f, &c, all, g, name);
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
        if (f->providers[i].takes_any)
            insert_candidate(list, count++, candidate(&f->providers[i], NULL));
    f->any = (struct peri_candidates){ list, count, PERI_STR(""), false };
    return PERI_OK;
}

static struct peri_candidates *find_folded(const struct peri_fleet *f, struct peri_str name) {
    char folded[FOLDED_MAX];
    if (f->by_folded.count == 0 || name.n > sizeof folded) return NULL;
    fold_case(folded, name);
    return peri_map_get(&f->by_folded, (struct peri_str){ folded, name.n });
}

/* The longest name with a star that stands for this one. */
static const struct peri_candidates *find_pattern(const struct peri_fleet *f,
                                                  struct peri_str name) {
    for (size_t i = 0; i < f->pattern_count; i++)
        if (peri_pattern_matches(f->patterns[i].name, name, NULL))
            return &f->patterns[i].candidates;
    return NULL;
}

static const struct peri_candidates *find_candidates(const struct peri_fleet *f,
                                                     struct peri_str name) {
    const struct peri_candidates *c = peri_map_get(&f->by_model, name);
    if (c == NULL) c = find_folded(f, name);
    return c != NULL ? c : find_pattern(f, name);
}

/* Longest first; among equals, as they were added. */
static void add_to_patterns(struct peri_fleet *f, struct peri_fleet_pattern pattern) {
    size_t i = f->pattern_count++;
    for (; i > 0 && f->patterns[i - 1].name.n < pattern.name.n; i--)
        f->patterns[i] = f->patterns[i - 1];
    f->patterns[i] = pattern;
}

static bool is_pattern_known(const struct peri_fleet *f, struct peri_str name) {
    for (size_t i = 0; i < f->pattern_count; i++)
        if (peri_str_eq_nocase(f->patterns[i].name, name)) return true;
    return false;
}

static enum peri_err put_patterns(struct peri_fleet *f, const struct groups *all) {
    f->patterns = peri_arena_alloc(&f->arena, (all->pattern_count + f->config->alias_count + 1) *
                                                  sizeof *f->patterns);
    if (f->patterns == NULL) return PERI_ENOMEM;
    for (const struct offer *o = all->patterns; o != NULL; o = o->next) {
        if (is_pattern_known(f, o->model->name)) continue;
        struct peri_candidate *list =
            peri_arena_alloc(&f->arena, (all->pattern_count + f->any.count) * sizeof *list);
        if (list == NULL) return PERI_ENOMEM;
        size_t count = insert_patterns(list, 0, all, o->model->name);
        for (size_t i = 0; i < f->any.count; i++)
            if (!holds_provider(list, count, f->any.at[i].provider))
                insert_candidate(list, count++, f->any.at[i]);
        struct peri_fleet_pattern pattern = { o->model->name, { list, count, { NULL, 0 }, false } };
        note_limits(&pattern.candidates);
        add_to_patterns(f, pattern);
    }
    return PERI_OK;
}

/* Other names for listed models, listed behind those. An alias of a model that nobody lists goes to providers that take every
 * model; one with a star is known, and not listed. */
static enum peri_err put_alias(struct peri_fleet *f, const struct peri_config_alias *alias,
                               struct peri_str *names) {
    const struct peri_candidates *found = find_candidates(f, alias->model);
    if (peri_map_get(&f->by_model, alias->name) != NULL) return PERI_OK;
    if (found == NULL && f->any.count == 0) return PERI_OK; /* nobody would answer to either name */
    struct peri_candidates of = found != NULL ? *found : f->any;
    if (of.model.n == 0) of.model = alias->model;
    if (peri_is_pattern(alias->name)) {
        if (!is_pattern_known(f, alias->name))
            add_to_patterns(f, (struct peri_fleet_pattern){ alias->name, of });
        return PERI_OK;
    }
    struct peri_candidates *c = peri_arena_alloc(&f->arena, sizeof *c);
    struct peri_str folded = dup_folded(&f->arena, alias->name);
    if (folded.p == NULL || c == NULL) return PERI_ENOMEM;
    *c = of;
    enum peri_err err = peri_map_add(&f->by_folded, folded, c);
    if (err == PERI_OK || err == PERI_EEXIST) err = peri_map_add(&f->by_model, alias->name, c);
    if (err == PERI_OK) names[f->model_count + f->alias_count++] = alias->name;
    return err;
}

enum peri_err peri_fleet_index(struct peri_fleet *f) {
    struct groups all = { .end = &all.first, .patterns_end = &all.patterns };
    peri_arena_init(&all.arena, 0);
    peri_map_init(&all.by_folded);
    enum peri_err err = put_any(f);
    if (err == PERI_OK) err = gather_groups(&all, f);
    size_t most = f->config->alias_count + 1;
    for (const struct group *g = all.first; g != NULL; g = g->next) most += g->count;
    struct peri_str *names = peri_arena_alloc(&f->arena, most * sizeof *names);
    f->models = names;
    if (err == PERI_OK && names == NULL) err = PERI_ENOMEM;
    for (const struct group *g = all.first; g != NULL && err == PERI_OK; g = g->next)
        err = put_group(f, &all, g, names);
    if (err == PERI_OK) err = put_patterns(f, &all);
    for (size_t i = 0; i < f->config->alias_count && err == PERI_OK; i++)
        err = put_alias(f, &f->config->aliases[i], names);
    peri_map_done(&all.by_folded);
    peri_arena_done(&all.arena);
    return err;
}

struct peri_candidates peri_fleet_find(const struct peri_fleet *f, struct peri_str model) {
    const struct peri_candidates *c = find_candidates(f, model);
    if (c != NULL) {
        struct peri_candidates found = *c;
        if (found.model.n == 0) found.model = model; /* a name with a star stands for it */
        return found;
    }
    return (struct peri_candidates){ f->any.at, f->any.count, { NULL, 0 }, false };
}

struct peri_candidate peri_fleet_candidate(const struct peri_fleet *f,
                                           const struct peri_provider *p, struct peri_str model) {
    struct peri_candidates all = peri_fleet_find(f, model);
    for (size_t i = 0; i < all.count; i++)
        if (all.at[i].provider == p) return all.at[i];
    return (struct peri_candidate){ .provider = NULL };
}
