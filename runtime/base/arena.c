#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

/* A request that edits nothing fits into the first block. */
#define FIRST_BLOCK   2560
#define LARGEST_BLOCK 65536

struct peri_arena_block {
    struct peri_arena_block *next;
    size_t size;
    alignas(max_align_t) char bytes[];
};

void peri_arena_init(struct peri_arena *a, size_t max) {
    *a = (struct peri_arena){ .max = max == 0 ? SIZE_MAX : max };
}

void peri_arena_done(struct peri_arena *a) {
    for (struct peri_arena_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        peri_free(b);
    }
    peri_arena_init(a, a->max);
}

void peri_arena_reset(struct peri_arena *a) {
    struct peri_arena_block *b = a->blocks;
    if (b == NULL) return;
    for (struct peri_arena_block *next; (next = b->next) != NULL; b = next) peri_free(b);
    a->blocks = b;
    a->at = b->bytes;
    a->end = b->bytes + b->size;
    a->used = b->size;
}

void peri_arena_wipe(struct peri_arena *a) {
    for (struct peri_arena_block *b = a->blocks; b != NULL; b = b->next)
        peri_wipe(b->bytes, b->size);
}

static bool grow(struct peri_arena *a, size_t n) {
    size_t size = a->blocks == NULL ? FIRST_BLOCK : a->blocks->size * 2;
    if (size > LARGEST_BLOCK) size = LARGEST_BLOCK;
    if (size < n) size = n;
    if (size > SIZE_MAX / 2 || size > a->max - a->used) return false;
    struct peri_arena_block *b = peri_malloc(sizeof *b + size);
    if (b == NULL) return false;
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    a->at = b->bytes;
    a->end = b->bytes + size;
    a->used += size;
    return true;
}

void *peri_arena_alloc(struct peri_arena *a, size_t n) {
    if (n > SIZE_MAX / 2) return NULL;
    if (n == 0) n = 1; /* nothing is something, too: NULL means failure only */
    n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (n > (size_t)(a->end - a->at) && !grow(a, n)) return NULL;
    void *p = a->at;
    a->at += n;
    return p;
}

void *peri_arena_zalloc(struct peri_arena *a, size_t n) {
    void *p = peri_arena_alloc(a, n);
    if (p != NULL) memset(p, 0, n);
    return p;
}

struct peri_str peri_arena_dup(struct peri_arena *a, struct peri_str s) {
    char *p = peri_arena_alloc(a, s.n + 1);
    if (p == NULL) return (struct peri_str){ NULL, 0 };
    if (s.n > 0) memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct peri_str){ p, s.n };
}

struct peri_str peri_arena_printf(struct peri_arena *a, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *p = n < 0 ? NULL : peri_arena_alloc(a, (size_t)n + 1);
    if (p != NULL) vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return (struct peri_str){ p, p == NULL ? 0 : (size_t)n };
}
