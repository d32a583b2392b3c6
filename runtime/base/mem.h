/* The allocator's front door: NULL is the only failure, and sizes that overflow count as one. */
#ifndef PERI_BASE_MEM_H
#define PERI_BASE_MEM_H

#include <stdlib.h>

#include "perilune.h"

static inline void *peri_malloc(size_t n) { return malloc(n == 0 ? 1 : n); }
static inline void *peri_calloc(size_t count, size_t size) {
    return calloc(count == 0 ? 1 : count, size);
}
static inline void *peri_realloc(void *p, size_t n) { return realloc(p, n == 0 ? 1 : n); }
static inline void peri_free(void *p) { free(p); }

/* Overwrite bytes in a way that the compiler may not leave out. */
void peri_wipe(void *p, size_t n);

#endif
