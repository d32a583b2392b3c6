#include "fleet/vitals.h"

#include <pthread.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/siphash.h"

struct peri_vitals_table {
    pthread_mutex_t lock; /* taken when a fleet is built, never on the request path */
    uint64_t secret[2];
    struct peri_map by_id;
};

enum peri_err peri_vitals_table_new(struct peri_vitals_table **out) {
    struct peri_vitals_table *t = peri_calloc(1, sizeof *t);
    if (t == NULL) return PERI_ENOMEM;
    struct peri_rand rand;
    peri_rand_seed_os(&rand);
    for (size_t i = 0; i < 2; i++) t->secret[i] = peri_rand_next(&rand);
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

static struct peri_vitals *make_vitals(struct peri_vitals_table *t, struct peri_str id) {
    struct peri_vitals *v = peri_calloc(1, sizeof *v);
    char *copy = peri_malloc(id.n + 1);
    if (v == NULL || copy == NULL) goto fail;
    memcpy(copy, id.p, id.n);
    copy[id.n] = '\0';
    v->id = (struct peri_str){ copy, id.n };
    memcpy(v->secret, t->secret, sizeof v->secret);
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
    if (v == NULL) v = make_vitals(t, id);
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

void peri_vitals_reset(struct peri_vitals *v) {
    atomic_store(&v->learned_limit, 0);
    peri_breaker_reset(&v->breaker);
    for (size_t i = 0; i < PERI_DIALECT_COUNT; i++) peri_breaker_reset(&v->endpoints[i]);
    for (size_t i = 0; i < PERI_PROVIDER_KEYS_MAX; i++) peri_breaker_reset(&v->keys[i]);
    for (size_t i = 0; i < PERI_MODEL_BREAKERS; i++) peri_breaker_reset(&v->models[i].breaker);
}

void peri_vitals_set_key(struct peri_vitals *v, size_t i, struct peri_str key) {
    uint64_t mark = peri_siphash(v->secret, key) | 1;
    if (atomic_exchange(&v->key_marks[i], mark) != mark) peri_breaker_reset(&v->keys[i]);
}

/* ---- Models ---- */

enum { FREE, TAKEN, KEY_MIN };

static uint64_t key_of(const struct peri_vitals *v, struct peri_str model,
                       enum peri_dialect_id endpoint) {
    uint64_t key = peri_siphash(v->secret, model) + (uint64_t)endpoint;
    return key < KEY_MIN ? key + KEY_MIN : key;
}

struct peri_breaker *peri_vitals_model(struct peri_vitals *v, struct peri_str model,
                                       enum peri_dialect_id endpoint) {
    if (!atomic_load_explicit(&v->has_models, memory_order_relaxed)) return NULL;
    uint64_t key = key_of(v, model, endpoint);
    for (size_t i = 0; i < PERI_MODEL_BREAKERS; i++)
        if (atomic_load_explicit(&v->models[i].key, memory_order_acquire) == key)
            return &v->models[i].breaker;
    return NULL;
}

static void write_name(struct peri_model_breaker *m, struct peri_str model) {
    char text[PERI_MODEL_LABEL_MAX + 1] = { 0 };
    memcpy(text, model.p, model.n < PERI_MODEL_LABEL_MAX ? model.n : PERI_MODEL_LABEL_MAX);
    for (size_t i = 0; i < sizeof text / 8; i++) {
        uint64_t word;
        memcpy(&word, text + i * 8, 8);
        atomic_store_explicit(&m->name[i], word, memory_order_relaxed);
    }
}

/* A request that found the breaker of the model that was here before may count one result for the new one. */
struct peri_breaker *peri_vitals_make_model(struct peri_vitals *v, struct peri_str model,
                                            enum peri_dialect_id endpoint) {
    struct peri_breaker *found = peri_vitals_model(v, model, endpoint);
    if (found != NULL) return found;
    struct peri_model_breaker *m = &v->models[0];
    for (size_t i = 1; i < PERI_MODEL_BREAKERS; i++)
        if (atomic_load(&v->models[i].breaker.until_ms) < atomic_load(&m->breaker.until_ms))
            m = &v->models[i];
    uint_fast64_t old = atomic_load(&m->key);
    if (old == TAKEN || !atomic_compare_exchange_strong(&m->key, &old, TAKEN)) return NULL;
    peri_breaker_reset(&m->breaker);
    atomic_store(&m->endpoint, (int)endpoint);
    write_name(m, model);
    atomic_store_explicit(&m->key, key_of(v, model, endpoint), memory_order_release);
    atomic_store(&v->has_models, true);
    return &m->breaker;
}

bool peri_vitals_model_name(char out[PERI_MODEL_LABEL_MAX + 1],
                            const struct peri_model_breaker *m) {
    uint64_t key = atomic_load(&m->key);
    if (key < KEY_MIN) return false;
    for (size_t i = 0; i < (PERI_MODEL_LABEL_MAX + 1) / 8; i++) {
        uint64_t word = atomic_load_explicit(&m->name[i], memory_order_relaxed);
        memcpy(out + i * 8, &word, 8);
    }
    return atomic_load(&m->key) == key;
}

static void add_sample(atomic_uint_fast64_t *mean, uint64_t us) {
    if (us == 0) return;
    /* A lost update between two workers costs one sample of a mean: not worth a loop. */
    uint64_t old = atomic_load_explicit(mean, memory_order_relaxed);
    uint64_t next = old == 0 ? us : old - old / 8 + us / 8;
    atomic_store_explicit(mean, next, memory_order_relaxed);
}

void peri_vitals_saw_first_token(struct peri_vitals *v, uint64_t us) {
    add_sample(&v->first_token_us, us);
}
void peri_vitals_saw_total(struct peri_vitals *v, uint64_t us) { add_sample(&v->total_us, us); }
