/* Memory that is given back all at once: what one request takes, or one configuration. */
#ifndef PERI_BASE_ARENA_H
#define PERI_BASE_ARENA_H

#include "base/str.h"

struct peri_arena_block;

struct peri_arena {
    struct peri_arena_block *blocks; /* newest first */
    char *at, *end;                  /* free room in the newest block */
    size_t used, max;                /* bytes taken from the system, and how many may be */
};

/* In place; allocates nothing yet. `max` 0 means no cap. */
void peri_arena_init(struct peri_arena *a, size_t max);
void peri_arena_done(struct peri_arena *a);
/* Overwrite everything it holds: before peri_arena_done, when secrets may be in it. */
void peri_arena_wipe(struct peri_arena *a);
/* Empty again, but the first block is kept for the next round. */
void peri_arena_reset(struct peri_arena *a);

/* n bytes aligned for anything; NULL when memory or the cap is exhausted. Not cleared. */
void *peri_arena_alloc(struct peri_arena *a, size_t n);
/* The same, cleared. */
void *peri_arena_zalloc(struct peri_arena *a, size_t n);
/* A copy that ends in NUL (not counted in n); p is NULL when memory ran out. */
struct peri_str peri_arena_dup(struct peri_arena *a, struct peri_str s);
struct peri_str peri_arena_printf(struct peri_arena *a, const char *format, ...) PERI_PRINTF(2, 3);

#endif
