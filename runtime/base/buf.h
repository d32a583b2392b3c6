/* A growing run of bytes with a cap. Errors are sticky: after one failed append every later one fails too,
 * so a caller may write a whole message and look once. peri_buf_add and peri_buf_add_json are declared in perilune.h. */
#ifndef PERI_BASE_BUF_H
#define PERI_BASE_BUF_H

#include "base/str.h"

struct peri_buf {
    char *p;
    size_t n;          /* bytes in use */
    size_t cap;        /* bytes allocated */
    size_t max;        /* bytes it may grow to */
    enum peri_err err; /* the first failure: PERI_ENOMEM or PERI_ETOOBIG */
};

/* In place; allocates nothing yet. `max` 0 means no cap. */
void peri_buf_init(struct peri_buf *b, size_t max);
void peri_buf_done(struct peri_buf *b);
/* Empty again, error forgotten, memory kept. */
void peri_buf_clear(struct peri_buf *b);

/* Room for n more bytes at b->p + b->n; the caller adds to b->n what it wrote. */
PERI_MUST_USE enum peri_err peri_buf_reserve(struct peri_buf *b, size_t n);
enum peri_err peri_buf_add_char(struct peri_buf *b, char c);
/* A number in decimal: what addf does for "%" PRIu64, at a twentieth of its cost. */
enum peri_err peri_buf_add_u64(struct peri_buf *b, uint64_t value);
enum peri_err peri_buf_addf(struct peri_buf *b, const char *format, ...) PERI_PRINTF(2, 3);
/* Drop n bytes from the front. */
void peri_buf_drop(struct peri_buf *b, size_t n);

static inline struct peri_str peri_buf_str(const struct peri_buf *b) {
    return (struct peri_str){ b->p, b->n };
}

#endif
