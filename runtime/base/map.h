/* From names to pointers: configuration-sized tables that are built once and then only read. */
#ifndef PERI_BASE_MAP_H
#define PERI_BASE_MAP_H

#include "base/str.h"

struct peri_map {
    struct peri_map_slot *slots;
    size_t count, capacity;
};

/* In place; allocates nothing yet. Keys are borrowed: they must outlive the map. */
void peri_map_init(struct peri_map *m);
void peri_map_done(struct peri_map *m);
/* NULL when absent. */
void *peri_map_get(const struct peri_map *m, struct peri_str key);
/* gives PERI_OK · PERI_EEXIST (nothing changed) · PERI_ENOMEM. `value` must not be NULL. */
PERI_MUST_USE enum peri_err peri_map_add(struct peri_map *m, struct peri_str key, void *value);

struct peri_map_slot {
    struct peri_str key;
    void *value;
    uint64_t hash;
};

#endif
