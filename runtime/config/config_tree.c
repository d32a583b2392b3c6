#include "config/config_tree.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

struct peri_node *peri_node_new(struct peri_arena *a, enum peri_node_kind kind,
                                struct peri_where where) {
    struct peri_node *n = peri_arena_zalloc(a, sizeof *n);
    if (n == NULL) return NULL;
    n->kind = kind;
    n->where = where;
    return n;
}

struct peri_node *peri_node_text(struct peri_arena *a, enum peri_node_kind kind,
                                 struct peri_where where, struct peri_str text) {
    struct peri_node *n = peri_node_new(a, kind, where);
    if (n == NULL) return NULL;
    n->text = peri_arena_dup(a, text);
    return n->text.p == NULL ? NULL : n;
}

static void count(struct peri_node *table, const struct peri_node *child, int by) {
    if (child->key.p == NULL)
        table->item_count += (size_t)by;
    else
        table->member_count += (size_t)by;
}

void peri_node_add(struct peri_node *table, struct peri_str key, struct peri_node *child) {
    child->key = key;
    child->next = NULL;
    if (table->last == NULL)
        table->first = child;
    else
        table->last->next = child;
    table->last = child;
    count(table, child, 1);
}

struct peri_node *peri_node_get(const struct peri_node *table, struct peri_str key) {
    if (table == NULL || table->kind != PERI_NODE_TABLE) return NULL;
    for (struct peri_node *n = table->first; n != NULL; n = n->next)
        if (n->key.p != NULL && peri_str_eq(n->key, key)) return n;
    return NULL;
}

void peri_node_remove(struct peri_node *table, struct peri_node *child) {
    struct peri_node *before = NULL;
    for (struct peri_node *n = table->first; n != child; n = n->next) before = n;
    if (before == NULL)
        table->first = child->next;
    else
        before->next = child->next;
    if (table->last == child) table->last = before;
    count(table, child, -1);
}

enum peri_err peri_node_put(struct peri_arena *a, struct peri_node *root, struct peri_str path,
                            struct peri_node *value) {
    struct peri_str part, rest = path;
    while (peri_str_cut(&part, &rest, '.')) {
        struct peri_node *at = peri_node_get(root, part);
        bool is_leaf = rest.n == 0;
        if (at != NULL && !is_leaf && at->kind == PERI_NODE_TABLE) {
            root = at;
            continue;
        }
        if (at != NULL) peri_node_remove(root, at);
        struct peri_node *next = is_leaf ? value : peri_node_new(a, PERI_NODE_TABLE, value->where);
        struct peri_str key = peri_arena_dup(a, part);
        if (next == NULL || key.p == NULL) return PERI_ENOMEM;
        peri_node_add(root, key, next);
        root = next;
    }
    return PERI_OK;
}

/* A quoted string for a message: printable ASCII as it is, the rest as '?', at most `room` characters. */
static void show_text(struct peri_str s, char *out, size_t room) {
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < s.n && n < room - 5; i++) {
        unsigned char c = (unsigned char)s.p[i];
        out[n++] = c < 0x20 || c > 0x7e ? '?' : (char)c;
    }
    bool is_cut = s.n > room - 6;
    snprintf(out + n, room - n, is_cut ? "…\"" : "\"");
}

/* A key put into the wrong place must not end up in a log: long and without any punctuation of prose or paths. */
static bool may_be_secret(struct peri_str s) {
    for (size_t i = 0; i < s.n; i++)
        if (memchr(" ./:,;", s.p[i], 6) != NULL) return false;
    return s.n >= 20;
}

const char *peri_node_show(const struct peri_node *n, char out[64]) {
    switch (n->kind) {
    case PERI_NODE_NULL: return "null";
    case PERI_NODE_BOOL: return n->is_true ? "true" : "false";
    case PERI_NODE_INT: snprintf(out, 64, "%" PRId64, n->integer); return out;
    case PERI_NODE_FLOAT: snprintf(out, 64, "%.14g", n->number); return out;
    case PERI_NODE_STRING:
        if (may_be_secret(n->text))
            snprintf(out, 64, "text of %zu characters", n->text.n);
        else
            show_text(n->text, out, 48);
        return out;
    case PERI_NODE_SECRET: return "a secret";
    case PERI_NODE_TABLE: break;
    }
    if (n->item_count + n->member_count == 0)
        return n->shape == PERI_SHAPE_LIST ? "an empty list" : "an empty table";
    if (n->item_count > 0 && n->member_count > 0) return "a table with items and named members";
    return n->item_count > 0 ? "a list" : "a table with named members";
}

static enum peri_err table_to_json(const struct peri_node *n, struct peri_buf *out,
                                   const struct peri_node **bad) {
    bool is_list = n->item_count > 0 || n->shape == PERI_SHAPE_LIST;
    if (n->item_count > 0 && n->member_count > 0) {
        *bad = n;
        return PERI_EINVAL;
    }
    peri_buf_add_char(out, is_list ? '[' : '{');
    for (const struct peri_node *at = n->first; at != NULL; at = at->next) {
        if (at != n->first) peri_buf_add_char(out, ',');
        if (!is_list) {
            peri_buf_add_json(out, at->key);
            peri_buf_add_char(out, ':');
        }
        enum peri_err err = peri_node_to_json(at, out, bad);
        if (err != PERI_OK) return err;
    }
    peri_buf_add_char(out, is_list ? ']' : '}');
    return out->err;
}

enum peri_err peri_node_to_json(const struct peri_node *n, struct peri_buf *out,
                                const struct peri_node **bad) {
    switch (n->kind) {
    case PERI_NODE_NULL: return peri_buf_add(out, PERI_STR("null"));
    case PERI_NODE_BOOL:
        return peri_buf_add(out, n->is_true ? PERI_STR("true") : PERI_STR("false"));
    case PERI_NODE_INT: return peri_buf_addf(out, "%" PRId64, n->integer);
    case PERI_NODE_STRING: return peri_buf_add_json(out, n->text);
    case PERI_NODE_TABLE: return table_to_json(n, out, bad);
    case PERI_NODE_FLOAT:
        if (isfinite(n->number)) return peri_buf_addf(out, "%.17g", n->number);
        break;
    case PERI_NODE_SECRET: break;
    }
    *bad = n;
    return PERI_EINVAL;
}
