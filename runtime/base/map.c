#include "base/map.h"

#include "base/mem.h"

void peri_map_init(struct peri_map *m) { *m = (struct peri_map){ 0 }; }

void peri_map_done(struct peri_map *m) {
    peri_free(m->slots);
    peri_map_init(m);
}

static struct peri_map_slot *find(const struct peri_map *m, struct peri_str key, uint64_t hash) {
    size_t mask = m->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct peri_map_slot *slot = &m->slots[i];
        if (slot->value == NULL || (slot->hash == hash && peri_str_eq(slot->key, key))) return slot;
    }
}

void *peri_map_get(const struct peri_map *m, struct peri_str key) {
    return m->capacity == 0 ? NULL : find(m, key, peri_str_hash(key))->value;
}

static enum peri_err grow(struct peri_map *m) {
    struct peri_map bigger = { .capacity = m->capacity == 0 ? 16 : m->capacity * 2,
                               .count = m->count };
    bigger.slots = peri_calloc(bigger.capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL) return PERI_ENOMEM;
    for (size_t i = 0; i < m->capacity; i++) {
        struct peri_map_slot *old = &m->slots[i];
        if (old->value != NULL) *find(&bigger, old->key, old->hash) = *old;
    }
    peri_free(m->slots);
    *m = bigger;
    return PERI_OK;
}

enum peri_err peri_map_add(struct peri_map *m, struct peri_str key, void *value) {
    if ((m->count + 1) * 2 > m->capacity) {
        enum peri_err err = grow(m);
        if (err != PERI_OK) return err;
    }
    uint64_t hash = peri_str_hash(key);
    struct peri_map_slot *slot = find(m, key, hash);
    if (slot->value != NULL) return PERI_EEXIST;
    *slot = (struct peri_map_slot){ key, value, hash };
    m->count++;
    return PERI_OK;
}
