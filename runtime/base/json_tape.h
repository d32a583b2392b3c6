/* How a document lies in memory: private to the files json_*.c.
 *
 * The tape is one cell a value, in the order of the text; a member is the cell of its name and the cell of its
 * value. Cells never move and are never reused, so their index is the node. Text that edits bring is a piece
 * with offsets behind all earlier ones, and its cells go to the end of the tape.
 *
 * The first edit of a container *opens* it: its children are written into a list, which from then on is what
 * counts. Its ancestors become *dirty*: their own children still stand on the tape, but some of them must be
 * written piece by piece. A container that is neither is one untouched range of bytes.
 */
#ifndef PERI_BASE_JSON_TAPE_H
#define PERI_BASE_JSON_TAPE_H

#include "base/json_token.h"

#define PERI_JSON_KIND      0x07u
#define PERI_JSON_GONE      0x20u
#define PERI_JSON_OPEN      0x40u
#define PERI_JSON_DIRTY     0x80u
#define PERI_JSON_PARENT    8 /* shift of the parent's index */
#define PERI_JSON_NO_PARENT 0xFFFFFFu

struct peri_json_cell {
    uint32_t start, end; /* offsets of the text */
    uint32_t link;       /* containers: the cell after all that is inside, or the list when open */
    uint32_t meta;       /* kind, flags, parent */
};

/* One child of an open container. `slot` is the value that stood here in the text (the white space around it is
 * kept), PERI_JSON_NONE for what was added. A member that was removed keeps its place, with value NONE, so that
 * places of others do not shift under an iteration. */
struct peri_json_entry {
    uint32_t name, value, slot;
};

struct peri_json_list {
    struct peri_json_entry *entries; /* in the arena */
    struct peri_json_order *order;   /* NULL: that of the entries (json_order.h) */
    uint32_t count, cap;
    uint32_t live;  /* entries that have a value */
    uint32_t after; /* the cell after all that is inside: what `link` was */
};

struct peri_json_piece {
    uint32_t base;
    const char *p;
};

/* How to take one change back; `list` is the number of the list. */
enum peri_json_undo_what {
    PERI_JSON_UNDO_OPEN, /* the container `list` was opened; its ancestors below `value` became dirty */
    PERI_JSON_UNDO_CHANGE, /* the entry at `index` had the value */
    PERI_JSON_UNDO_INSERT, /* an entry came to `index` */
    PERI_JSON_UNDO_REMOVE, /* the element `value` stood at `index`; its slot, or its place where there is an order */
    PERI_JSON_UNDO_ORDER, /* the list got an order */
    PERI_JSON_UNDO_ROOT   /* the root was `value` */
};

struct peri_json_undo {
    enum peri_json_undo_what what;
    uint32_t list, index, value, slot;
};

struct peri_json {
    struct peri_str text;
    struct peri_json_cell *cells;
    uint32_t count, cap, max;
    uint32_t root;
    uint32_t depth;
    bool is_lenient, is_edited;
    unsigned flags; /* of all strings together */
    char *kept;     /* our copy of the text */
    struct {
        uint32_t container, rank, node; /* the child that was looked at last */
    } cursor;
    struct peri_json_indexes *indexes; /* of large containers (json_index.h) */
    struct peri_json_list *lists;
    uint32_t list_count, list_cap;
    struct peri_json_piece *pieces;
    uint32_t piece_count, piece_cap;
    uint32_t next_base;
    struct peri_json_undo *undos; /* the journal of json_undo.c */
    uint32_t undo_count, undo_cap;
    size_t refused;          /* bytes that the arena did not give, the last time */
    struct peri_arena arena; /* texts of edits, lists and their entries, pieces, the journal */
    struct peri_list watches;
};

static inline enum peri_json_kind peri_json_cell_kind(const struct peri_json_cell *c) {
    return (enum peri_json_kind)(c->meta & PERI_JSON_KIND);
}

static inline bool peri_json_is_container(const struct peri_json_cell *c) {
    return (c->meta & PERI_JSON_KIND) >= PERI_JSON_ARRAY;
}

static inline uint32_t peri_json_cell_parent(const struct peri_json_cell *c) {
    uint32_t parent = c->meta >> PERI_JSON_PARENT;
    return parent == PERI_JSON_NO_PARENT ? PERI_JSON_NONE : parent;
}

/* The cell after a value and all that is inside. */
static inline uint32_t peri_json_after(const struct peri_json *j, uint32_t node) {
    const struct peri_json_cell *c = &j->cells[node];
    if (!peri_json_is_container(c)) return node + 1;
    return c->meta & PERI_JSON_OPEN ? j->lists[c->link].after : c->link;
}

static inline struct peri_json_list *peri_json_list_of(const struct peri_json *j, uint32_t node) {
    const struct peri_json_cell *c = &j->cells[node];
    return c->meta & PERI_JSON_OPEN ? &j->lists[c->link] : NULL;
}

/* The bytes of a cell. */
struct peri_str peri_json_cell_text(const struct peri_json *j, const struct peri_json_cell *c);

/* A value and everything inside ends, or lives again. */
void peri_json_set_gone(struct peri_json *j, uint32_t node, bool is_gone);

/* Live and of that kind. */
bool peri_json_is_a(const struct peri_json *j, uint32_t node, enum peri_json_kind kind);

/* Does a name's cell say that? */
bool peri_json_name_is(const struct peri_json *j, uint32_t name, struct peri_str want);

/* What stands between the quotes of a string's text, compared after unescaping. */
bool peri_json_inner_is(struct peri_str inner, bool is_escaped, struct peri_str want);

/* Scan one value (white space around it allowed) onto the end of the tape.
 *   out     its node
 *   base    offset of text.p
 *   parent  PERI_JSON_NO_PARENT for a root
 *   gives   PERI_OK · PERI_EMALFORMED, PERI_ETOOBIG, PERI_EEXIST with a fault · PERI_ENOMEM; then the tape is as
 *           it was */
enum peri_err peri_json_scan_onto(uint32_t *out, struct peri_json *j, struct peri_str text,
                                  uint32_t base, uint32_t parent, uint32_t depth_left,
                                  const struct peri_json_options *options,
                                  struct peri_fault *fault);

#endif
