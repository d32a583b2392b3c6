#include "fleet/vitals.h"

#include <pthread.h>

#include "base/map.h"
#include "base/mem.h"

struct peri_vitals_table {
    pthread_mutex_t lock; /* taken when a fleet is built, never on the request path */
    struct peri_map by_id;
};

enum peri_err peri_vitals_table_new(struct peri_vitals_table **out) {
    struct peri_vitals_table *t = peri_calloc(1, sizeof *t);
    if (t == NULL) return PERI_ENOMEM;
    pthread_mutex_init(&t->lock, NULL);
    peri_map_init(&t->by_id);
    *out = t;
    return PERI_OK;
}

void peri_vitals_unref(struct peri_vitals *v) {
    if (v == NULL || atomic_fetch_sub(&v->refs, 1) > 1) return;
    peri_free((char *)v->id.p);
    peri_free(v);
}

void peri_vitals_table_free(struct peri_vitals_table *t) {
    if (t == NULL) return;
    for (size_t i = 0; i < t->by_id.capacity; i++) peri_vitals_unref(t->by_id.slots[i].value);
    peri_map_done(&t->by_id);
    pthread_mutex_destroy(&t->lock);
    peri_free(t);
}

static struct peri_vitals *make(struct peri_vitals_table *t, struct peri_str id) {
    struct peri_vitals *v = peri_calloc(1, sizeof *v);
    char *copy = peri_malloc(id.n + 1);
    if (v == NULL || copy == NULL) goto fail;
    memcpy(copy, id.p, id.n);
    copy[id.n] = '\0';
    v->id = (struct peri_str){ copy, id.n };
    atomic_init(&v->refs, 1); /* the table's own */
    if (peri_map_add(&t->by_id, v->id, v) != PERI_OK) goto fail;
    return v;
fail:
    peri_free(copy);
    peri_free(v);
    return NULL;
}

struct peri_vitals *peri_vitals_get(struct peri_vitals_table *t, struct peri_str id) {
    pthread_mutex_lock(&t->lock);
    struct peri_vitals *v = peri_map_get(&t->by_id, id);
    if (v == NULL) v = make(t, id);
    if (v != NULL) {
        atomic_fetch_add(&v->refs, 1);
        v->alone_since_ms = 0;
    }
    pthread_mutex_unlock(&t->lock);
    return v;
}

/* Only the table hands out references, under its lock: a set that it holds alone stays so while we look. */
static bool is_over(struct peri_vitals *v, uint64_t now_ms) {
    if (atomic_load(&v->refs) > 1) {
        v->alone_since_ms = 0;
    } else if (v->alone_since_ms == 0) {
        v->alone_since_ms = now_ms > 0 ? now_ms : 1;
    } else {
        return now_ms - v->alone_since_ms >= PERI_VITALS_LIFE_MS;
    }
    return false;
}

/* The table without those; without memory for another one everybody stays until the next time. */
static void keep_others(struct peri_vitals_table *t, uint64_t now_ms) {
    struct peri_map kept;
    enum peri_err err = PERI_OK;
    peri_map_init(&kept);
    for (size_t i = 0; i < t->by_id.capacity && err == PERI_OK; i++) {
        struct peri_vitals *v = t->by_id.slots[i].value;
        if (v != NULL && !is_over(v, now_ms)) err = peri_map_add(&kept, v->id, v);
    }
    if (err != PERI_OK) {
        peri_map_done(&kept);
        return;
    }
    for (size_t i = 0; i < t->by_id.capacity; i++) {
        struct peri_vitals *v = t->by_id.slots[i].value;
        if (v != NULL && is_over(v, now_ms)) peri_vitals_unref(v);
    }
    peri_map_done(&t->by_id);
    t->by_id = kept;
}

void peri_vitals_sweep(struct peri_vitals_table *t, uint64_t now_ms) {
    bool has_any = false;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->by_id.capacity; i++) {
        struct peri_vitals *v = t->by_id.slots[i].value;
        has_any |= v != NULL && is_over(v, now_ms);
    }
    if (has_any) keep_others(t, now_ms);
    pthread_mutex_unlock(&t->lock);
}

size_t peri_vitals_count(struct peri_vitals_table *t) {
    pthread_mutex_lock(&t->lock);
    size_t count = t->by_id.count;
    pthread_mutex_unlock(&t->lock);
    return count;
}

bool peri_vitals_take(struct peri_vitals *v, uint32_t max) {
    unsigned n = atomic_load_explicit(&v->in_flight, memory_order_relaxed);
    do {
        if (max != 0 && n >= max) return false;
    } while (!atomic_compare_exchange_weak(&v->in_flight, &n, n + 1));
    return true;
}

void peri_vitals_release(struct peri_vitals *v) { atomic_fetch_sub(&v->in_flight, 1); }

bool peri_vitals_admits(const struct peri_vitals *v, uint64_t now_ms, uint64_t *wait_ms) {
    int condition = atomic_load_explicit(&v->condition, memory_order_relaxed);
    if (wait_ms != NULL) *wait_ms = 0;
    if (condition == PERI_OPEN) return true;
    uint64_t until = atomic_load_explicit(&v->cool_until_ms, memory_order_relaxed);
    if (condition == PERI_COOLING && until <= now_ms) return true;
    if (wait_ms != NULL) *wait_ms = until > now_ms ? until - now_ms : 1000;
    return false;
}

bool peri_vitals_enter(struct peri_vitals *v, uint64_t now_ms, bool *is_probe) {
    *is_probe = false;
    int condition = atomic_load_explicit(&v->condition, memory_order_relaxed);
    if (condition == PERI_OPEN) return true;
    if (condition == PERI_PROBING || atomic_load(&v->cool_until_ms) > now_ms) return false;
    *is_probe = atomic_compare_exchange_strong(&v->condition, &condition, PERI_PROBING);
    return *is_probe || condition == PERI_OPEN;
}

void peri_vitals_well(struct peri_vitals *v) {
    if (atomic_load_explicit(&v->strikes, memory_order_relaxed) != 0) atomic_store(&v->strikes, 0);
    atomic_fetch_add_explicit(&v->success, 1, memory_order_relaxed);
    if (atomic_load_explicit(&v->failures, memory_order_relaxed) != 0)
        atomic_store(&v->failures, 0);
    /* A cool-down in force stands; while a probe is out, any good answer is as good as its own. */
    int probing = PERI_PROBING;
    if (atomic_load_explicit(&v->condition, memory_order_relaxed) == PERI_PROBING)
        atomic_compare_exchange_strong(&v->condition, &probing, PERI_OPEN);
}

void peri_vitals_cool(struct peri_vitals *v, enum peri_err reason, uint64_t now_ms, uint64_t ms) {
    atomic_fetch_add(reason == PERI_ERATELIMIT ? &v->rate_limited : &v->failed, 1);
    atomic_fetch_add(&v->failures, 1);
    uint_fast64_t until = now_ms + ms, old = atomic_load(&v->cool_until_ms);
    while (old < until && !atomic_compare_exchange_weak(&v->cool_until_ms, &old, until)) {}
    if (old < until) atomic_store(&v->reason, (int)reason);
    atomic_store(&v->condition, PERI_COOLING);
}

void peri_vitals_unknown(struct peri_vitals *v) {
    int probing = PERI_PROBING;
    atomic_compare_exchange_strong(&v->condition, &probing, PERI_COOLING);
}

void peri_vitals_reset(struct peri_vitals *v) {
    atomic_store(&v->strikes, 0);
    atomic_store(&v->cool_until_ms, 0);
    atomic_store(&v->failures, 0);
    atomic_store(&v->learned_limit, 0);
    atomic_store(&v->condition, PERI_OPEN);
    for (size_t i = 0; i < PERI_LACKS_MAX; i++) atomic_store(&v->lacking[i].until_ms, 0);
}

/* Two threads may take the same place, and a reader may see one's model with the other's time: a model is then asked for
 * once too often, or rests as long as another would have. */
void peri_vitals_lack(struct peri_vitals *v, struct peri_str model, uint64_t now_ms, uint64_t ms) {
    uint64_t hash = peri_str_hash(model) | 1;
    struct peri_lack *at = &v->lacking[0];
    for (size_t i = 0; i < PERI_LACKS_MAX; i++) {
        struct peri_lack *l = &v->lacking[i];
        if (atomic_load(&l->model) == hash) {
            at = l;
            break;
        }
        if (atomic_load(&l->until_ms) < atomic_load(&at->until_ms)) at = l;
    }
    atomic_store(&at->model, hash);
    atomic_store(&at->until_ms, now_ms + ms);
    atomic_store(&v->lacks, true);
}

uint64_t peri_vitals_lacks_ms(const struct peri_vitals *v, struct peri_str model, uint64_t now_ms) {
    if (!atomic_load_explicit(&v->lacks, memory_order_relaxed)) return 0;
    uint64_t hash = peri_str_hash(model) | 1;
    for (size_t i = 0; i < PERI_LACKS_MAX; i++) {
        const struct peri_lack *l = &v->lacking[i];
        if (atomic_load_explicit(&l->model, memory_order_relaxed) != hash) continue;
        uint64_t until = atomic_load_explicit(&l->until_ms, memory_order_relaxed);
        return until > now_ms ? until - now_ms : 0;
    }
    return 0;
}

static void average(atomic_uint_fast64_t *mean, uint64_t us) {
    if (us == 0) return;
    /* A lost update between two workers costs one sample of a mean: not worth a loop. */
    uint64_t old = atomic_load_explicit(mean, memory_order_relaxed);
    uint64_t next = old == 0 ? us : old - old / 8 + us / 8;
    atomic_store_explicit(mean, next, memory_order_relaxed);
}

void peri_vitals_saw_first_token(struct peri_vitals *v, uint64_t us) {
    average(&v->first_token_us, us);
}
void peri_vitals_saw_total(struct peri_vitals *v, uint64_t us) { average(&v->total_us, us); }
