/* Whole pages from the system, never from the heap: what the heap frees stays readable until it is reused,
 * and advice about core dumps and swap works on pages. */
#include "config/secret_zone.h"

#include <sys/mman.h>

#include "base/mem.h"

#define PAGES_BYTES 16384 /* of one run; a larger secret gets a run of its own */

struct run {
    struct run *next;
    size_t size, used; /* of the whole run, this head included */
};

struct peri_secret_zone {
    struct run *runs; /* newest first */
};

struct peri_secret_zone *peri_secret_zone_new(void) {
    return peri_calloc(1, sizeof(struct peri_secret_zone));
}

void peri_secret_zone_free(struct peri_secret_zone *z) {
    if (z == NULL) return;
    for (struct run *r = z->runs, *next; r != NULL; r = next) {
        next = r->next;
        size_t size = r->size;
        peri_wipe(r, size);
        munmap(r, size);
    }
    peri_free(z);
}

static struct run *add_run(struct peri_secret_zone *z, size_t room) {
    size_t size = (sizeof(struct run) + room + PAGES_BYTES - 1) / PAGES_BYTES * PAGES_BYTES;
    struct run *r = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r == MAP_FAILED) return NULL;
    /* Best effort: a small RLIMIT_MEMLOCK must not keep a router with many client keys from starting. */
    (void)mlock(r, size);
    (void)madvise(r, size, MADV_DONTDUMP);
    *r = (struct run){ .next = z->runs, .size = size, .used = sizeof *r };
    z->runs = r;
    return r;
}

char *peri_secret_zone_alloc(struct peri_secret_zone *z, size_t n) {
    if (n > SIZE_MAX / 4) return NULL;
    struct run *r = z->runs;
    if (r == NULL || r->size - r->used < n + 1) r = add_run(z, n + 1);
    if (r == NULL) return NULL;
    char *p = (char *)r + r->used;
    r->used += n + 1;
    return p;
}

enum peri_err peri_secret_zone_dup(struct peri_secret_zone *z, struct peri_secret *out,
                                   struct peri_str bytes) {
    char *p = peri_secret_zone_alloc(z, bytes.n);
    if (p == NULL) return PERI_ENOMEM;
    if (bytes.n > 0) memcpy(p, bytes.p, bytes.n);
    *out = (struct peri_secret){ p, bytes.n };
    return PERI_OK;
}
