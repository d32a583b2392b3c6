#include "gonka/chain/gonka_set.h"

#include <math.h>

#include "base/map.h"
#include "base/mem.h"
#include "crypto/address.h"
#include "gonka/chain/gonka_url.h"

enum peri_err peri_gonka_set_new(struct peri_gonka_set **out) {
    struct peri_gonka_set *set = peri_calloc(1, sizeof *set);
    if (set == NULL) return PERI_ENOMEM;
    peri_arena_init(&set->arena, PERI_GONKA_SET_BYTES);
    *out = set;
    return PERI_OK;
}

void peri_gonka_set_free(struct peri_gonka_set *set) {
    if (set == NULL) return;
    peri_arena_done(&set->arena);
    peri_free(set);
}

/* A list of addresses and URLs. Addresses are compared without case; URLs in their one spelling. */
static bool is_listed(struct peri_arena *a, const struct peri_str *list, size_t count,
                      const struct peri_gonka_participant *p) {
    for (size_t i = 0; i < count; i++) {
        struct peri_str entry = peri_str_trim(list[i]), url;
        if (peri_str_eq_nocase(entry, p->address)) return true;
        if (p->url.n > 0 && peri_str_find(entry, PERI_STR("://")) >= 0 &&
            peri_gonka_url(&url, a, entry) != PERI_GONKA_URL_BAD && peri_str_eq(url, p->url))
            return true;
    }
    return false;
}

/* Bech32 may come in capitals; nodes sign and compare the lower-case text. */
static struct peri_str lower_case(struct peri_arena *a, struct peri_str text) {
    char *copy = peri_arena_alloc(a, text.n + 1);
    if (copy == NULL) return text;
    for (size_t i = 0; i < text.n; i++)
        copy[i] = (char)(text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] + 32 : text.p[i]);
    copy[text.n] = '\0';
    return (struct peri_str){ copy, text.n };
}

static enum peri_gonka_verdict judge_place(struct peri_gonka_participant *p, struct peri_arena *a,
                                           const struct peri_gonka_rules *rules) {
    enum peri_gonka_url_verdict url = peri_gonka_url(&p->url, a, p->told_url);
    if (p->address.n == 0) return PERI_GONKA_NO_ADDRESS;
    if (!peri_address_is_gonka(p->address)) return PERI_GONKA_BAD_ADDRESS;
    if (p->address.p[0] == 'G') p->address = lower_case(a, p->address);
    if (peri_str_trim(p->told_url).n == 0) return PERI_GONKA_NO_URL;
    if (url == PERI_GONKA_URL_BAD) return PERI_GONKA_BAD_URL;
    if (url == PERI_GONKA_URL_PRIVATE && !rules->allows_private) return PERI_GONKA_PRIVATE_URL;
    return PERI_GONKA_USABLE;
}

static enum peri_gonka_verdict judge(struct peri_gonka_participant *p, struct peri_arena *a,
                                     const struct peri_gonka_rules *rules) {
    enum peri_gonka_verdict verdict = judge_place(p, a, rules);
    if (verdict != PERI_GONKA_USABLE) return verdict;
    if (p->exclusion.p != NULL) return PERI_GONKA_EXCLUDED;
    if (rules->agent_count > 0 && !is_listed(a, rules->agents, rules->agent_count, p))
        return PERI_GONKA_NOT_ALLOWED;
    if (is_listed(a, rules->deny, rules->deny_count, p)) return PERI_GONKA_DENIED;
    if (rules->allow_count > 0 && !is_listed(a, rules->allow, rules->allow_count, p))
        return PERI_GONKA_NOT_CHOSEN;
    return PERI_GONKA_USABLE;
}

/* Of one account the first entry counts. Two accounts at one URL both stay: either may be the host's own, and
 * the one that is not shows by its refusals. */
static enum peri_err find_doubles(struct peri_gonka_set *set) {
    struct peri_map accounts, urls;
    enum peri_err err = PERI_OK;
    peri_map_init(&accounts);
    peri_map_init(&urls);
    for (size_t i = 0; i < set->count && err == PERI_OK; i++) {
        struct peri_gonka_participant *p = &set->participants[i], *first;
        if (p->verdict != PERI_GONKA_USABLE) continue;
        err = peri_map_add(&accounts, p->address, p);
        if (err == PERI_EEXIST) {
            p->verdict = PERI_GONKA_DUPLICATE;
            err = PERI_OK;
            continue;
        }
        if (err == PERI_OK) err = peri_map_add(&urls, p->url, p);
        if (err != PERI_EEXIST) continue;
        first = peri_map_get(&urls, p->url);
        first->shares_url = p->shares_url = true;
        err = PERI_OK;
    }
    peri_map_done(&accounts);
    peri_map_done(&urls);
    return err;
}

static uint32_t whole(double weight) {
    return !(weight >= 1) ? 1 : weight > UINT32_MAX ? UINT32_MAX : (uint32_t)llround(weight);
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The weight above which stakes are cut so that nobody's share exceeds `share`: cutting the k heaviest to
 * level c makes c = share * (k * c + rest), hence c = share * rest / (1 - k * share). With too few participants for such
 * a share, all are equal. */
static enum peri_err level_of(double *level, const struct peri_gonka_set *set, double share) {
    double *sorted = peri_malloc(set->count * sizeof *sorted), rest = 0;
    size_t n = 0;
    if (sorted == NULL) return PERI_ENOMEM;
    for (size_t i = 0; i < set->count; i++)
        if (set->participants[i].verdict == PERI_GONKA_USABLE)
            rest += sorted[n++] = (double)set->participants[i].told_weight;
    qsort(sorted, n, sizeof *sorted, descending);
    *level = n > 0 ? sorted[n - 1] : 1;
    for (size_t k = 0; k < n; k++) {
        double room = 1 - (double)k * share;
        if (room <= 0) break;
        double c = share * rest / room;
        if (sorted[k] <= c) {
            *level = c;
            break;
        }
        rest -= sorted[k];
    }
    peri_free(sorted);
    return PERI_OK;
}

/* A damped stake times this is the weight, so that rounding to whole numbers loses little. */
#define DAMPED_SCALE 1000

static enum peri_err share_out(struct peri_gonka_set *set, const struct peri_gonka_rules *rules) {
    double factor = rules->damping_factor, level = 0;
    if (rules->damping == PERI_GONKA_DAMP_POWER && factor <= 0) factor = 0.5;
    if (rules->damping == PERI_GONKA_DAMP_CAP) {
        if (factor <= 0) factor = 0.2;
        enum peri_err err = level_of(&level, set, factor);
        if (err != PERI_OK) return err;
    }
    set->usable_count = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct peri_gonka_participant *p = &set->participants[i];
        double stake = (double)p->told_weight;
        p->weight = 0;
        if (p->verdict != PERI_GONKA_USABLE) continue;
        set->usable_count++;
        switch (rules->damping) {
        case PERI_GONKA_DAMP_POWER: stake = DAMPED_SCALE * pow(stake, factor); break;
        case PERI_GONKA_DAMP_LOG: stake = DAMPED_SCALE * log2(1 + stake); break;
        case PERI_GONKA_DAMP_CAP: stake = fmin(stake, level); break;
        case PERI_GONKA_DAMP_NONE: break;
        }
        p->weight = whole(stake);
    }
    return PERI_OK;
}

enum peri_err peri_gonka_set_apply(struct peri_gonka_set *set,
                                   const struct peri_gonka_rules *rules) {
    for (size_t i = 0; i < set->count; i++) {
        struct peri_gonka_participant *p = &set->participants[i];
        p->shares_url = false;
        p->verdict = judge(p, &set->arena, rules);
    }
    enum peri_err err = find_doubles(set);
    return err == PERI_OK ? share_out(set, rules) : err;
}

static const struct peri_gonka_model *find_model(const struct peri_gonka_participant *p,
                                                 struct peri_str model) {
    for (size_t i = 0; i < p->model_count; i++)
        if (peri_str_eq(p->models[i].id, model)) return &p->models[i];
    return NULL;
}

static bool same_models(const struct peri_gonka_participant *a,
                        const struct peri_gonka_participant *b) {
    if (a->model_count != b->model_count) return false;
    for (size_t i = 0; i < a->model_count; i++)
        if (find_model(b, a->models[i].id) == NULL) return false;
    return true;
}

static struct peri_gonka_delta compare(const struct peri_gonka_participant *before,
                                       const struct peri_gonka_participant *after) {
    struct peri_gonka_delta d = { .before = before, .after = after };
    if (before == NULL) {
        d.change = PERI_GONKA_ADDED;
        return d;
    }
    d.has_new_url = !peri_str_eq(before->url, after->url);
    d.has_new_weight = before->weight != after->weight;
    d.has_new_models = !same_models(before, after);
    d.change = d.has_new_url || d.has_new_weight || d.has_new_models ? PERI_GONKA_CHANGED
                                                                     : PERI_GONKA_KEPT;
    return d;
}

static enum peri_err index_usable(struct peri_map *map, const struct peri_gonka_set *set) {
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        struct peri_gonka_participant *p = &set->participants[i];
        if (p->verdict != PERI_GONKA_USABLE) continue;
        enum peri_err err = peri_map_add(map, p->address, p);
        if (err != PERI_OK) return err;
    }
    return PERI_OK;
}

enum peri_err peri_gonka_set_diff(struct peri_gonka_diff *out, struct peri_arena *a,
                                  const struct peri_gonka_set *before,
                                  const struct peri_gonka_set *after) {
    struct peri_map old, now;
    size_t room = after->usable_count + (before == NULL ? 0 : before->usable_count);
    struct peri_gonka_delta *deltas = peri_arena_alloc(a, room * sizeof *deltas);
    *out = (struct peri_gonka_diff){ .deltas = deltas };
    peri_map_init(&old);
    peri_map_init(&now);
    enum peri_err err = deltas == NULL ? PERI_ENOMEM : index_usable(&old, before);
    if (err == PERI_OK) err = index_usable(&now, after);
    for (size_t i = 0; err == PERI_OK && i < after->count; i++) {
        const struct peri_gonka_participant *p = &after->participants[i];
        if (p->verdict == PERI_GONKA_USABLE)
            deltas[out->count++] = compare(peri_map_get(&old, p->address), p);
    }
    for (size_t i = 0; err == PERI_OK && before != NULL && i < before->count; i++) {
        const struct peri_gonka_participant *p = &before->participants[i];
        if (p->verdict == PERI_GONKA_USABLE && peri_map_get(&now, p->address) == NULL)
            deltas[out->count++] =
                (struct peri_gonka_delta){ .change = PERI_GONKA_REMOVED, .before = p };
    }
    for (size_t i = 0; i < out->count; i++) out->counts[deltas[i].change]++;
    peri_map_done(&old);
    peri_map_done(&now);
    return err;
}
