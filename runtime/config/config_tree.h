/* A configuration as it was written, before anybody asked whether it makes sense: a tree of values that know
 * where they stand. The Lua front end, the JSON front end, the environment and the flags all build this, and the
 * checker (config/options.h) reads nothing else.
 *
 * Nodes live in an arena and are never freed one by one. Secrets are not in the tree, only where to read them.
 */
#ifndef PERI_CONFIG_CONFIG_TREE_H
#define PERI_CONFIG_CONFIG_TREE_H

#include "base/arena.h"
#include "base/buf.h"
#include "config/fault_list.h"

enum peri_node_kind {
    PERI_NODE_NULL,
    PERI_NODE_BOOL,
    PERI_NODE_INT,
    PERI_NODE_FLOAT,
    PERI_NODE_STRING,
    PERI_NODE_SECRET, /* text: where it is, such as "env:OPENAI_API_KEY" */
    PERI_NODE_TABLE
};

/* Lua has one empty table where JSON has two. */
enum peri_node_shape { PERI_SHAPE_EITHER, PERI_SHAPE_LIST, PERI_SHAPE_MAP };

struct peri_node {
    struct peri_node *next;         /* in its table */
    struct peri_node *first, *last; /* of a table, in the order written where that is known */
    struct peri_str key;            /* name in its table; p is NULL for an item of a list */
    struct peri_where where;
    enum peri_node_kind kind;
    enum peri_node_shape shape;
    size_t item_count, member_count; /* of a table: without a name, with one */
    struct peri_str text;            /* STRING, SECRET */
    int64_t integer;                 /* INT */
    double number;                   /* FLOAT */
    bool is_true;                    /* BOOL */
    /* A SECRET in a variable that holds more: the item of a comma-separated list (from 1; 0: everything), and of
     * that only what follows the first `after` and precedes the first `before` (0: no such cut). */
    uint32_t list_item;
    char after, before;
    struct peri_str
        bytes; /* a SECRET that was read already, in the memory of a secret box; else p is NULL */
};

/* NULL when memory ran out, as everywhere below. */
struct peri_node *peri_node_new(struct peri_arena *a, enum peri_node_kind kind,
                                struct peri_where where);
/* The text is copied. */
struct peri_node *peri_node_text(struct peri_arena *a, enum peri_node_kind kind,
                                 struct peri_where where, struct peri_str text);
/* `key` with p NULL adds an item. The key is borrowed. */
void peri_node_add(struct peri_node *table, struct peri_str key, struct peri_node *child);
/* The member of that name; NULL when absent, or when `table` is NULL or no table. */
struct peri_node *peri_node_get(const struct peri_node *table, struct peri_str key);
void peri_node_remove(struct peri_node *table, struct peri_node *child);
/* Put a value at a path such as "log.level", making the tables on the way and replacing what was there; a value
 * on the way that is no table is replaced, too. gives PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_node_put(struct peri_arena *a, struct peri_node *root,
                                          struct peri_str path, struct peri_node *value);

static inline bool peri_node_is_list(const struct peri_node *n) {
    return n->kind == PERI_NODE_TABLE && n->member_count == 0 && n->shape != PERI_SHAPE_MAP;
}
static inline bool peri_node_is_map(const struct peri_node *n) {
    return n->kind == PERI_NODE_TABLE && n->item_count == 0 && n->shape != PERI_SHAPE_LIST;
}

/* For messages: `"four"`, `-1`, `true`, `a list`, `a secret`; long strings are cut. Gives `out`. */
const char *peri_node_show(const struct peri_node *n, char out[64]);
/* As JSON text; a table that is neither list nor map, or a secret, is PERI_EINVAL with the node in `bad`. */
enum peri_err peri_node_to_json(const struct peri_node *n, struct peri_buf *out,
                                const struct peri_node **bad);

#endif
