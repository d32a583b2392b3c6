/* The engine: walks a record of the table and a tree side by side, fills the struct, and says what is wrong.
 * A wrong value leaves its default behind, so that one mistake is reported once. */
#include "config/options.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/map.h"
#include "base/nearest.h"
#include "config/options_reader.h"

#define NEAR_ENOUGH 3 /* edits between an unknown key and the name it may have meant */

/* ---- single values ---- */

static void store(const struct peri_option *o, void *at, uint64_t value) {
    char *field = (char *)at + o->at;
    if (o->width == sizeof(uint64_t))
        memcpy(field, &value, sizeof value);
    else
        memcpy(field, &(uint32_t){ (uint32_t)value }, sizeof(uint32_t));
}

static void note_number(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, uint64_t value) {
    char text[48];
    if (o->type == PERI_OPTION_PRICE)
        snprintf(text, sizeof text, "%.6g", (double)value / 1e6);
    else
        snprintf(text, sizeof text, "%" PRIu64, value);
    peri_reader_note(r, node, peri_str_of(text));
}

static void read_number(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, void *at) {
    uint64_t value;
    if (!peri_reader_number(r, o, node, &value)) return;
    store(o, at, value);
}

static void read_bool(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *at) {
    if (node->kind != PERI_NODE_BOOL)
        peri_reader_expected(r, node, "true or false");
    else
        *(bool *)((char *)at + o->at) = node->is_true;
}

static void read_word(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *at) {
    struct peri_str word, rest = peri_str_of(o->words);
    for (uint32_t i = 0; node->kind == PERI_NODE_STRING && peri_str_cut(&word, &rest, ' '); i++) {
        if (!peri_str_eq(word, node->text)) continue;
        if (o->width == sizeof word)
            *(struct peri_str *)((char *)at + o->at) = word;
        else
            store(o, at, i);
        return;
    }
    char expected[160] = "one of";
    rest = peri_str_of(o->words);
    for (const char *before = " "; peri_str_cut(&word, &rest, ' '); before = ", ") {
        size_t n = strlen(expected);
        snprintf(expected + n, sizeof expected - n, "%s%.*s", before, PERI_STR_ARGS(word));
    }
    peri_reader_expected(r, node, expected);
}

/* ---- lists of single values ---- */

size_t peri_node_item_count(const struct peri_node *node) {
    return node->kind == PERI_NODE_TABLE ? node->item_count : 1;
}

const struct peri_node *peri_node_first_item(const struct peri_node *node) {
    return node->kind == PERI_NODE_TABLE ? node->first : node;
}

static bool read_listen(struct peri_reader *r, const struct peri_node *node, struct peri_str *out) {
    bool is_loopback;
    const char *expected = "an address such as \"127.0.0.1:9000\"";
    if (node->kind == PERI_NODE_STRING) expected = peri_option_listen(node->text, &is_loopback);
    if (expected == NULL) return peri_reader_string(r, node, "a string", out);
    peri_reader_expected(r, node, expected);
    return false;
}

/* Whether files are taken is decided when the whole provider is read. */
static bool read_source(struct peri_reader *r, const struct peri_node *node, struct peri_str *out) {
    bool is_file =
        node->kind == PERI_NODE_STRING && peri_str_has_prefix(node->text, PERI_STR("file://"));
    return is_file ? peri_reader_string(r, node, "a URL", out) : peri_reader_url(r, node, out);
}

static bool read_item(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *out) {
    switch (o->type) {
    case PERI_OPTION_LISTEN: return read_listen(r, node, out);
    case PERI_OPTION_URLS: return read_source(r, node, out);
    case PERI_OPTION_SECRETS: return peri_reader_secret(r, node, out);
    default: return peri_reader_string(r, node, "a string", out);
    }
}

/* struct peri_str and struct peri_secret have one size, so one loop serves both. */
_Static_assert(sizeof(struct peri_str) == sizeof(struct peri_secret), "lists hold either");

static void read_list(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *at) {
    if (node->kind == PERI_NODE_TABLE && !peri_node_is_list(node)) {
        peri_reader_expected(r, node, "one value or a list of them");
        return;
    }
    struct peri_str *items = peri_reader_alloc(r, peri_node_item_count(node) * sizeof *items);
    if (items == NULL) return;
    size_t count = 0, index = 0;
    for (const struct peri_node *n = peri_node_first_item(node); n != NULL; n = n->next) {
        size_t path = peri_node_is_list(node) ? peri_reader_push_index(r, ++index) : r->path_n;
        if (read_item(r, o, n, &items[count])) count++;
        peri_reader_pop(r, path);
        if (n == node) break; /* the single value has neighbours of its own */
    }
    *(const void **)(void *)((char *)at + o->at) = items;
    *(size_t *)((char *)at + o->count_at) = count;
}

static void read_records(struct peri_reader *r, const struct peri_option *o,
                         const struct peri_node *node, void *at) {
    const struct peri_record *record = o->record;
    size_t kept = record->kept > 0 ? record->kept : record->size, count = 0;
    if (!peri_node_is_list(node)) {
        peri_reader_expected(r, node, "a list of tables");
        return;
    }
    char *items = peri_reader_alloc(r, node->item_count * kept);
    void *one = peri_reader_alloc(r, record->size);
    if (items == NULL || one == NULL) return;
    for (const struct peri_node *n = node->first; n != NULL; n = n->next, count++) {
        size_t path = peri_reader_push_index(r, count + 1);
        memset(one, 0, record->size);
        peri_reader_record(r, record, n, one);
        memcpy(items + count * kept, one, kept);
        peri_reader_pop(r, path);
    }
    *(const void **)(void *)((char *)at + o->at) = items;
    *(size_t *)((char *)at + o->count_at) = count;
}

/* ---- options and records ---- */

static void read_value(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at) {
    void *field = (char *)at + o->at;
    switch (o->type) {
    case PERI_OPTION_BOOL: read_bool(r, o, node, at); break;
    case PERI_OPTION_INT:
    case PERI_OPTION_DURATION:
    case PERI_OPTION_SIZE:
    case PERI_OPTION_PRICE: read_number(r, o, node, at); break;
    case PERI_OPTION_STRING: (void)peri_reader_string(r, node, "a string", field); break;
    case PERI_OPTION_WORD: read_word(r, o, node, at); break;
    case PERI_OPTION_URL: peri_read_base_url(r, node, field); break;
    case PERI_OPTION_SECRET: (void)peri_reader_secret(r, node, field); break;
    case PERI_OPTION_LISTEN:
    case PERI_OPTION_STRINGS:
    case PERI_OPTION_URLS:
    case PERI_OPTION_SECRETS: read_list(r, o, node, at); break;
    case PERI_OPTION_RECORDS: read_records(r, o, node, at); break;
    case PERI_OPTION_GROUP:
    case PERI_OPTION_CUSTOM: break;
    }
}

/* A default goes through the same reading as a value somebody wrote. */
static void read_default(struct peri_reader *r, const struct peri_option *o, void *at) {
    struct peri_node node = { .kind = PERI_NODE_STRING, .text = peri_str_of(o->fallback) };
    uint64_t number;
    if (o->type == PERI_OPTION_BOOL) {
        node.kind = PERI_NODE_BOOL;
        node.is_true = o->fallback[0] == 't';
    } else if (peri_str_to_u64(&number, node.text) == PERI_OK) {
        node.kind = PERI_NODE_INT;
        node.integer = (int64_t)number;
    }
    read_value(r, o, &node, at);
}

static void note_list(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, const void *at) {
    const struct peri_str *items =
        *(const struct peri_str *const *)(const void *)((const char *)at + o->at);
    size_t count = *(const size_t *)(const void *)((const char *)at + o->count_at);
    for (size_t i = 0; i < count; i++) {
        size_t path = peri_reader_push_index(r, i + 1);
        peri_reader_note_str(r, node, items[i]);
        peri_reader_pop(r, path);
    }
}

static void note_secrets(struct peri_reader *r, const struct peri_node *node) {
    size_t index = 0;
    for (const struct peri_node *n = peri_node_first_item(node); n != NULL; n = n->next) {
        size_t path = peri_reader_push_index(r, ++index);
        peri_reader_note_secret(r, n);
        peri_reader_pop(r, path);
        if (n == node) break;
    }
}

static void note_value(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, const void *at) {
    const void *field = (const char *)at + o->at;
    switch (o->type) {
    case PERI_OPTION_BOOL:
        peri_reader_note(r, node, *(const bool *)field ? PERI_STR("true") : PERI_STR("false"));
        break;
    case PERI_OPTION_INT:
    case PERI_OPTION_DURATION:
    case PERI_OPTION_SIZE:
    case PERI_OPTION_PRICE: {
        uint64_t value = 0;
        if (o->width == sizeof value)
            memcpy(&value, field, sizeof value);
        else
            value = *(const uint32_t *)field;
        note_number(r, o, node, value);
        break;
    }
    case PERI_OPTION_WORD:
        if (o->width != sizeof(struct peri_str)) {
            struct peri_str word = PERI_STR(""), rest = peri_str_of(o->words);
            for (uint32_t i = 0; i <= *(const uint32_t *)field; i++)
                (void)peri_str_cut(&word, &rest, ' ');
            peri_reader_note_str(r, node, word);
            break;
        } /* fall through */
    case PERI_OPTION_STRING:
    case PERI_OPTION_URL: peri_reader_note_str(r, node, *(const struct peri_str *)field); break;
    case PERI_OPTION_SECRET: peri_reader_note_secret(r, node); break;
    case PERI_OPTION_LISTEN:
    case PERI_OPTION_STRINGS:
    case PERI_OPTION_URLS: note_list(r, o, node, at); break;
    case PERI_OPTION_SECRETS: note_secrets(r, node); break;
    case PERI_OPTION_GROUP:
    case PERI_OPTION_RECORDS:
    case PERI_OPTION_CUSTOM: break;
    }
}

void peri_reader_option(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, void *at) {
    if (o->type == PERI_OPTION_GROUP) {
        peri_reader_record(r, o->record, node, at);
        return;
    }
    if (node == NULL && o->is_required) return; /* said by the record, at its own line */
    if (node == NULL && o->fallback == NULL && o->type != PERI_OPTION_CUSTOM) return;
    size_t faults = r->faults->count + r->faults->beyond;
    if (o->type == PERI_OPTION_CUSTOM) {
        if (node != NULL) o->read(r, o, node, at);
        return;
    }
    if (o->fallback != NULL) read_default(r, o, at);
    if (node != NULL) read_value(r, o, node, at);
    if (r->context->dump != NULL && r->faults->count + r->faults->beyond == faults)
        note_value(r, o, node, at);
}

const struct peri_option *peri_record_find(const struct peri_record *record, struct peri_str name) {
    for (size_t i = 0; i < record->count; i++) {
        const struct peri_option *o = &record->options[i];
        if (peri_str_eq(peri_str_of(o->name), name)) return o;
        if (o->also != NULL && peri_str_eq(peri_str_of(o->also), name)) return o;
    }
    return NULL;
}

const struct peri_option *peri_options_find(struct peri_str path) {
    const struct peri_record *record = &peri_options;
    const struct peri_option *o = NULL;
    struct peri_str part, rest = path;
    while (peri_str_cut(&part, &rest, '.')) {
        o = record == NULL ? NULL : peri_record_find(record, part);
        if (o == NULL) return NULL;
        record = o->type == PERI_OPTION_GROUP ? o->record : NULL;
    }
    return o;
}

static void unknown(struct peri_reader *r, const struct peri_record *record,
                    const struct peri_node *n) {
    struct peri_nearest near = peri_nearest_to(n->key, NEAR_ENOUGH);
    for (size_t i = 0; i < record->count; i++) {
        const struct peri_option *o = &record->options[i];
        bool is_known = o->elsewhere != NULL && peri_str_eq(n->key, peri_str_of(o->elsewhere));
        if (is_known) near.name = o->name, near.distance = 0;
        peri_nearest_offer(&near, o->name);
    }
    const char *nearest = near.name;
    /* A name that shares nothing but its length with the key would be a strange thing to suggest. */
    if (near.distance * 2 > n->key.n) nearest = NULL;
    char in[PERI_OPTION_PATH_MAX + 8] = "";
    if (r->path_n > 0) snprintf(in, sizeof in, " in '%s'", r->path);
    if (nearest != NULL)
        peri_fault_list_add(r->faults, &n->where, "unknown key '%.*s'%s, did you mean '%s'?",
                            (int)(n->key.n < 64 ? n->key.n : 64), n->key.p, in, nearest);
    else
        peri_fault_list_add(
            r->faults, &n->where,
            "unknown key '%.*s'%s, expected one that `perilune check --reference` lists",
            (int)(n->key.n < 64 ? n->key.n : 64), n->key.p, in);
}

static bool is_of_network(const struct peri_option *o, struct peri_str network) {
    struct peri_str word, rest = peri_str_of(o->network);
    while (peri_str_cut(&word, &rest, ' '))
        if (peri_str_eq(word, network)) return true;
    return false;
}

static void check_names(struct peri_reader *r, const struct peri_record *record,
                        const struct peri_node *node) {
    struct peri_map known; /* members that are options */
    peri_map_init(&known);
    for (struct peri_node *n = node->first; n != NULL; n = n->next) {
        if (peri_record_find(record, n->key) == NULL) {
            unknown(r, record, n);
            continue;
        }
        enum peri_err err = peri_map_add(&known, n->key, n);
        if (err == PERI_EEXIST) {
            const struct peri_node *same = peri_map_get(&known, n->key);
            peri_fault_list_add(r->faults, &n->where, "'%.*s' is given twice, first in line %u",
                                PERI_STR_ARGS(n->key), same->where.line);
        } else if (err != PERI_OK) {
            r->err = err;
        }
    }
    peri_map_done(&known);
    for (size_t i = 0; i < record->count; i++) {
        const struct peri_option *o = &record->options[i];
        if (o->is_required && peri_node_get(node, peri_str_of(o->name)) == NULL)
            peri_fault_list_add(r->faults, &node->where, "'%s' lacks '%s': %s", r->path, o->name,
                                o->help);
    }
}

static const struct peri_node *value_of(struct peri_reader *r, const struct peri_option *o,
                                        const struct peri_node *node) {
    const struct peri_node *n = peri_node_get(node, peri_str_of(o->name));
    const struct peri_node *other =
        o->also == NULL ? NULL : peri_node_get(node, peri_str_of(o->also));
    if (n != NULL && other != NULL)
        peri_fault_list_add(r->faults, &other->where,
                            "'%s' and '%s' are one option, expected only one of them", o->also,
                            o->name);
    if (n == NULL) n = other;
    if (n != NULL && o->network != NULL && !is_of_network(o, r->network)) {
        peri_fault_list_add(
            r->faults, &n->where,
            "'%s.%s' is an option of network \"%s\", this provider has %s%.*s", r->path, o->name,
            o->network, r->network.n > 0 ? "network " : "no network", PERI_STR_ARGS(r->network));
        return NULL;
    }
    return n;
}

void peri_reader_record(struct peri_reader *r, const struct peri_record *record,
                        const struct peri_node *node, void *at) {
    if (node != NULL && !peri_node_is_map(node)) {
        peri_reader_expected(r, node, "a table with named members");
        node = NULL;
    }
    if (record->begin != NULL) record->begin(r, at);
    if (node != NULL) check_names(r, record, node);
    for (size_t i = 0; i < record->count && r->err == PERI_OK; i++) {
        const struct peri_option *o = &record->options[i];
        const struct peri_node *value = value_of(r, o, node);
        if (o->network != NULL && !is_of_network(o, r->network)) continue;
        size_t path = peri_reader_push(r, peri_str_of(o->name));
        peri_reader_option(r, o, value, at);
        peri_reader_pop(r, path);
    }
    if (record->check != NULL && r->err == PERI_OK) record->check(r, node, at);
}

enum peri_err peri_options_read(struct peri_config **out, const struct peri_node *root,
                                const struct peri_options_context *context,
                                struct peri_fault_list *faults) {
    struct peri_config *c = peri_config_new();
    if (c == NULL) return PERI_ENOMEM;
    struct peri_reader r = {
        .config = c, .arena = &c->arena, .context = context, .faults = faults
    };
    peri_reader_record(&r, &peri_options, root, c);
    enum peri_err err = r.err != PERI_OK ? r.err : peri_fault_list_err(faults);
    if (err == PERI_OK)
        *out = c;
    else
        peri_config_unref(c);
    return err;
}
