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

/* Whether memory that is over may be kept for its next use. The address sanitizer can tell only of what was freed, so under it
 * nothing is: 1 elsewhere. */
#ifdef __has_feature
#define PERI_IS_CHECKED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define PERI_IS_CHECKED 1
#else
#define PERI_IS_CHECKED 0
#endif
#define PERI_KEEPS_MEMORY (!PERI_IS_CHECKED)

/* Overwrite bytes in a way that the compiler may not leave out. */
void peri_wipe(void *p, size_t n);

#endif
