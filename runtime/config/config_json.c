#include "config/config_json.h"

#include "base/json.h"

#define DEPTH_MAX 32      /* of containers: the table is not a quarter as deep */
#define NODES_MAX 1000000 /* values and names */
#define BYTES_MAX (16u << 20)

struct json_reader {
    struct peri_arena *arena;
    struct peri_json *json;
    struct peri_where where;
    const char *counted; /* up to here the lines are counted */
};

/* The line of a value or name. Nodes come in the order of the text, so every newline is counted once. */
static struct peri_where where_of(struct json_reader *r, uint32_t value) {
    struct peri_str raw = peri_json_raw(r->json, value);
    while (raw.p != NULL && r->counted < raw.p) r->where.line += *r->counted++ == '\n';
    return r->where;
}

static struct peri_node *node(struct json_reader *r, uint32_t value, struct peri_where where);

static struct peri_node *number_node(struct json_reader *r, uint32_t value,
                                     struct peri_where where) {
    struct peri_node *n = peri_node_new(r->arena, PERI_NODE_INT, where);
    if (n == NULL || peri_json_int(&n->integer, r->json, value) == PERI_OK) return n;
    n->kind = PERI_NODE_FLOAT;
    /* Beyond a double it is an infinity, which every option refuses. */
    enum peri_err err = peri_json_double(&n->number, r->json, value);
    return err == PERI_EINVAL ? NULL : n;
}

/* {"secret": "env:NAME"} and nothing else in it. */
static struct peri_node *secret_node(struct json_reader *r, uint32_t value,
                                     struct peri_where where) {
    uint32_t source = peri_json_get(r->json, value, PERI_STR("secret"));
    if (peri_json_count(r->json, value) != 1 || peri_json_kind(r->json, source) != PERI_JSON_STRING)
        return NULL;
    struct peri_str text = peri_json_string(r->json, source, r->arena);
    return text.p == NULL ? NULL : peri_node_text(r->arena, PERI_NODE_SECRET, where, text);
}

static struct peri_node *table_node(struct json_reader *r, uint32_t value,
                                    struct peri_where where) {
    bool is_object = peri_json_kind(r->json, value) == PERI_JSON_OBJECT;
    struct peri_node *secret = is_object ? secret_node(r, value, where) : NULL;
    if (secret != NULL) return secret;
    struct peri_node *n = peri_node_new(r->arena, PERI_NODE_TABLE, where);
    if (n == NULL) return NULL;
    n->shape = is_object ? PERI_SHAPE_MAP : PERI_SHAPE_LIST;
    struct peri_json_iter it = peri_json_iter(r->json, value);
    while (peri_json_next(r->json, &it)) {
        struct peri_str key = { NULL, 0 };
        if (is_object) {
            key = peri_json_string(r->json, it.name, r->arena);
            key = key.p == NULL ? key : peri_arena_dup(r->arena, key);
            if (key.p == NULL) return NULL;
        }
        struct peri_where at = where_of(r, is_object ? it.name : it.value);
        struct peri_node *child = node(r, it.value, at);
        if (child == NULL) return NULL;
        peri_node_add(n, key, child);
    }
    return n;
}

static struct peri_node *node(struct json_reader *r, uint32_t value, struct peri_where where) {
    struct peri_node *n;
    struct peri_str text;
    switch (peri_json_kind(r->json, value)) {
    case PERI_JSON_NULL: return peri_node_new(r->arena, PERI_NODE_NULL, where);
    case PERI_JSON_BOOL:
        n = peri_node_new(r->arena, PERI_NODE_BOOL, where);
        if (n != NULL) n->is_true = peri_json_is_true(r->json, value);
        return n;
    case PERI_JSON_NUMBER: return number_node(r, value, where);
    case PERI_JSON_STRING:
        text = peri_json_string(r->json, value, r->arena);
        return text.p == NULL ? NULL : peri_node_text(r->arena, PERI_NODE_STRING, where, text);
    case PERI_JSON_ARRAY:
    case PERI_JSON_OBJECT: break;
    }
    return table_node(r, value, where);
}

/* "line 2, column 7, byte 31: what was expected" becomes a fault of line 2. */
static void take_error(struct peri_where where, const char *text, struct peri_fault_list *faults) {
    struct peri_str part, rest = peri_str_of(text);
    uint64_t line;
    if (peri_str_has_prefix(rest, PERI_STR("line ")) && peri_str_cut(&part, &rest, ',') &&
        peri_str_to_u64(&line, peri_str_from(part, 5)) == PERI_OK)
        where.line = (uint32_t)line;
    else
        rest = peri_str_of(text);
    rest = peri_str_trim(rest);
    peri_fault_list_add(faults, &where, "not JSON: %.*s", PERI_STR_ARGS(rest));
}

enum peri_err peri_config_json_read(struct peri_node **root, struct peri_arena *a,
                                    struct peri_str text, struct peri_str name,
                                    struct peri_fault_list *faults) {
    static const struct peri_json_options options = { .depth = DEPTH_MAX,
                                                      .nodes = NODES_MAX,
                                                      .bytes = BYTES_MAX };
    struct json_reader r = { .arena = a, .counted = text.p };
    struct peri_fault fault = { 0 };
    r.where = (struct peri_where){ .origin = PERI_ORIGIN_FILE, .name = name, .line = 1 };
    enum peri_err err = peri_json_parse(&r.json, text, &options, &fault);
    if (err == PERI_ENOMEM) return err;
    if (err != PERI_OK) {
        take_error(r.where, fault.text, faults);
        return PERI_ECONFIG;
    }
    *root = node(&r, peri_json_root(r.json), where_of(&r, peri_json_root(r.json)));
    peri_json_free(r.json);
    return *root == NULL ? PERI_ENOMEM : PERI_OK;
}
