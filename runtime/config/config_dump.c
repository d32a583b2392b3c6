#include "config/config_dump.h"

#define DUMP_BYTES_MAX (64u << 20)
#define COLUMNS        56 /* where origins start, when the line leaves room */

void peri_dump_init(struct peri_dump *d) {
    *d = (struct peri_dump){ 0 };
    peri_arena_init(&d->arena, DUMP_BYTES_MAX);
}

void peri_dump_done(struct peri_dump *d) { peri_arena_done(&d->arena); }

static struct peri_str origin_text(struct peri_dump *d, const struct peri_where *where) {
    char at[PERI_WHERE_MAX];
    peri_where_text(at, where);
    const char *kind = where->origin == PERI_ORIGIN_ENV    ? "environment "
                       : where->origin == PERI_ORIGIN_FLAG ? "flag "
                                                           : "";
    return peri_arena_printf(&d->arena, "%s%s", kind, at);
}

enum peri_err peri_dump_add(struct peri_dump *d, struct peri_str path, struct peri_str value,
                            const struct peri_where *where) {
    struct peri_dump_entry *e = peri_arena_zalloc(&d->arena, sizeof *e);
    if (e == NULL) return PERI_ENOMEM;
    e->path = peri_arena_dup(&d->arena, path);
    e->value = peri_arena_dup(&d->arena, value);
    e->origin = origin_text(d, where);
    if (e->path.p == NULL || e->value.p == NULL || e->origin.p == NULL) return PERI_ENOMEM;
    if (d->last == NULL)
        d->first = e;
    else
        d->last->next = e;
    d->last = e;
    return PERI_OK;
}

void peri_dump_text(const struct peri_dump *d, struct peri_buf *out) {
    for (const struct peri_dump_entry *e = d->first; e != NULL; e = e->next) {
        size_t start = out->n;
        peri_buf_addf(out, "%.*s = %.*s", PERI_STR_ARGS(e->path), PERI_STR_ARGS(e->value));
        size_t used = out->n - start;
        peri_buf_addf(out, "%*s  %.*s\n", used < COLUMNS ? (int)(COLUMNS - used) : 0, "",
                      PERI_STR_ARGS(e->origin));
    }
}

void peri_dump_json(const struct peri_dump *d, struct peri_buf *out) {
    peri_buf_add_char(out, '[');
    for (const struct peri_dump_entry *e = d->first; e != NULL; e = e->next) {
        peri_buf_add(out, e == d->first ? PERI_STR("\n  {\"path\":") : PERI_STR(",\n  {\"path\":"));
        peri_buf_add_json(out, e->path);
        peri_buf_add(out, PERI_STR(",\"value\":"));
        peri_buf_add(out, e->value);
        peri_buf_add(out, PERI_STR(",\"origin\":"));
        peri_buf_add_json(out, e->origin);
        peri_buf_add_char(out, '}');
    }
    peri_buf_add(out, PERI_STR("\n]\n"));
}
