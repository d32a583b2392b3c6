#include "config/config_keys.h"

#include "base/json_text.h"

struct keys_reader {
    struct peri_arena *arena;
    struct peri_where where;
    struct peri_str source; /* "file:PATH" */
    struct peri_json *json;
    bool is_out_of_memory;
};

static struct peri_node *need(struct keys_reader *r, struct peri_node *n) {
    if (n == NULL) r->is_out_of_memory = true;
    return n;
}

/* The key itself is a view of the box's memory, never a copy: one with escapes would need a copy, and no key that
 * the gateway made has any. */
static bool add_key(struct keys_reader *r, struct peri_node *list, uint32_t entry) {
    uint32_t owner = peri_json_get(r->json, entry, PERI_STR("owner"));
    uint32_t active = peri_json_get(r->json, entry, PERI_STR("active"));
    struct peri_str key =
        peri_json_raw_plain(peri_json_raw(r->json, peri_json_get(r->json, entry, PERI_STR("key"))));
    if (key.p == NULL || key.n == 0) return false;
    bool is_active = active == PERI_JSON_NONE || peri_json_is_true(r->json, active);
    if (!is_active) return true;
    struct peri_node *table = need(r, peri_node_new(r->arena, PERI_NODE_TABLE, r->where));
    struct peri_node *secret =
        need(r, peri_node_text(r->arena, PERI_NODE_SECRET, r->where, r->source));
    if (table == NULL || secret == NULL) return true;
    secret->bytes = key;
    /* One owner may have many keys, ids are one of a kind: number them. */
    struct peri_str name = peri_json_string(r->json, owner, r->arena);
    struct peri_node *id = NULL;
    if (name.p != NULL && name.n > 0) {
        name = peri_arena_printf(r->arena, "%.*s-%zu", PERI_STR_ARGS(name), list->item_count + 1);
        id = name.p == NULL ? NULL : peri_node_text(r->arena, PERI_NODE_STRING, r->where, name);
        if (need(r, id) == NULL) return true;
        peri_node_add(table, PERI_STR("id"), id);
    }
    peri_node_add(table, PERI_STR("secret"), secret);
    peri_node_add(list, (struct peri_str){ NULL, 0 }, table);
    return true;
}

static void add_keys(struct keys_reader *r, struct peri_node *list,
                     struct peri_fault_list *faults) {
    uint32_t keys = peri_json_get(r->json, peri_json_root(r->json), PERI_STR("keys"));
    struct peri_json_iter it = peri_json_iter(r->json, keys);
    size_t index = 0;
    if (peri_json_kind(r->json, keys) != PERI_JSON_ARRAY)
        peri_fault_list_add(faults, &r->where,
                            "has no list 'keys', expected {\"keys\": [{\"key\": …}, …]}");
    while (peri_json_next(r->json, &it)) {
        index++;
        if (!add_key(r, list, it.value))
            peri_fault_list_add(faults, &r->where, "'keys[%zu]' has no plain text 'key'", index);
    }
}

enum peri_err peri_config_keys_read(struct peri_node **list, struct peri_arena *a,
                                    struct peri_str path, struct peri_where where,
                                    struct peri_secret_box *box, struct peri_fault_list *faults) {
    static const struct peri_json_options options = { .depth = 16, .nodes = 100000 };
    struct keys_reader r = { .arena = a, .where = where };
    struct peri_fault fault = { 0 };
    struct peri_str text;
    size_t before = faults->count;
    enum peri_err err = peri_secret_read_document(&text, box, path, &fault);
    if (err == PERI_OK) err = peri_json_parse(&r.json, text, &options, &fault);
    if (err == PERI_ENOMEM) return err;
    if (err != PERI_OK) {
        peri_fault_list_add(faults, &where, "%s", fault.text);
        return PERI_ECONFIG;
    }
    r.source = peri_arena_printf(a, "file:%.*s", PERI_STR_ARGS(path));
    *list = peri_node_new(a, PERI_NODE_TABLE, where);
    if (r.source.p != NULL && *list != NULL)
        add_keys(&r, *list, faults);
    else
        r.is_out_of_memory = true;
    peri_json_free(r.json);
    if (r.is_out_of_memory) return PERI_ENOMEM;
    return faults->count > before ? PERI_ECONFIG : PERI_OK;
}
