/* Which value every option has, and where it was written: `perilune check --dump`. Secrets appear by their source
 * only. */
#ifndef PERI_CONFIG_CONFIG_DUMP_H
#define PERI_CONFIG_CONFIG_DUMP_H

#include "config/config_tree.h"

struct peri_dump_entry {
    struct peri_dump_entry *next;
    struct peri_str path;  /* "providers[1].url" */
    struct peri_str value; /* JSON */
    struct peri_str origin;
};

struct peri_dump {
    struct peri_arena arena;
    struct peri_dump_entry *first, *last;
};

void peri_dump_init(struct peri_dump *d);
void peri_dump_done(struct peri_dump *d);
/* Texts are copied. gives PERI_OK · PERI_ENOMEM */
enum peri_err peri_dump_add(struct peri_dump *d, struct peri_str path, struct peri_str value,
                            const struct peri_where *where);
/* One line a value, `path = value    origin`; or one JSON array of {"path","value","origin"}. */
void peri_dump_text(const struct peri_dump *d, struct peri_buf *out);
void peri_dump_json(const struct peri_dump *d, struct peri_buf *out);

#endif
