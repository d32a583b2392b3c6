/* The engine: walks a record of the table and a tree side by side, fills the struct, and says what is wrong.
 * A wrong value leaves its default behind, so that one mistake is reported once. */
#include "core/options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "core/options_reader.h"

#define NEAR_ENOUGH 3 /* edits between an unknown key and the name it may have meant */

size_t peri_reader_push(struct peri_reader *r, struct peri_str name) {
    size_t before = r->path_n;
    int n = snprintf(r->path + before, sizeof r->path - before, "%s%.*s", before > 0 ? "." : "",
                     PERI_STR_ARGS(name));
    if (n > 0) r->path_n += (size_t)n;
    if (r->path_n >= sizeof r->path) r->path_n = sizeof r->path - 1;
    return before;
}

size_t peri_reader_push_index(struct peri_reader *r, size_t index) {
    size_t before = r->path_n;
    int n = snprintf(r->path + before, sizeof r->path - before, "[%zu]", index);
    if (n > 0) r->path_n += (size_t)n;
    if (r->path_n >= sizeof r->path) r->path_n = sizeof r->path - 1;
    return before;
}

void peri_reader_pop(struct peri_reader *r, size_t path_n) {
    r->path_n = path_n;
    r->path[path_n] = '\0';
}

void peri_reader_fault(struct peri_reader *r, const struct peri_node *node, const char *format,
                       ...) {
    static const struct peri_where nowhere = { .origin = PERI_ORIGIN_DEFAULT };
    char text[480];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    peri_fault_list_add(r->faults, node != NULL ? &node->where : &nowhere, "'%s' %s", r->path,
                        text);
}

void peri_reader_expected(struct peri_reader *r, const struct peri_node *node,
                          const char *expected) {
    char shown[64];
    peri_reader_fault(r, node, "must be %s, got %s", expected, peri_node_show(node, shown));
}

void *peri_reader_alloc(struct peri_reader *r, size_t n) {
    void *p = peri_arena_zalloc(r->arena, n);
    if (p == NULL) r->err = PERI_ENOMEM;
    return p;
}

struct peri_str peri_reader_dup(struct peri_reader *r, struct peri_str s) {
    struct peri_str copy = peri_arena_dup(r->arena, s);
    if (copy.p == NULL) r->err = PERI_ENOMEM;
    return copy;
}

void peri_reader_note(struct peri_reader *r, const struct peri_node *node, struct peri_str json) {
    static const struct peri_where by_default = { .origin = PERI_ORIGIN_DEFAULT };
    struct peri_dump *dump = r->context->dump;
    if (dump == NULL) return;
    const struct peri_where *where = node != NULL ? &node->where : &by_default;
    if (peri_dump_add(dump, peri_str_of(r->path), json, where) != PERI_OK) r->err = PERI_ENOMEM;
}

void peri_reader_note_str(struct peri_reader *r, const struct peri_node *node,
                          struct peri_str text) {
    if (r->context->dump == NULL) return;
    struct peri_buf json;
    peri_buf_init(&json, 0);
    if (peri_buf_add_json(&json, text) == PERI_OK)
        peri_reader_note(r, node, peri_buf_str(&json));
    else
        r->err = PERI_ENOMEM;
    peri_buf_done(&json);
}

void peri_reader_note_secret(struct peri_reader *r, const struct peri_node *node) {
    struct peri_str shown = PERI_STR("secret, written out");
    char text[PERI_WHERE_MAX];
    if (node->kind == PERI_NODE_SECRET) {
        snprintf(text, sizeof text, "secret %.*s", PERI_STR_ARGS(node->text));
        shown = peri_str_of(text);
    }
    peri_reader_note_str(r, node, shown);
}

/* ---- single values ---- */

bool peri_reader_string(struct peri_reader *r, const struct peri_node *node, const char *expected,
                        struct peri_str *out) {
    bool is_clean =
        node->kind == PERI_NODE_STRING && memchr(node->text.p, '\0', node->text.n) == NULL;
    if (!is_clean) {
        peri_reader_expected(r, node, expected);
        return false;
    }
    *out = peri_reader_dup(r, node->text);
    return out->p != NULL;
}

bool peri_reader_url(struct peri_reader *r, const struct peri_node *node, struct peri_str *out) {
    struct peri_str url;
    if (node->kind != PERI_NODE_STRING) {
        peri_reader_expected(r, node, "a URL such as \"https://api.openai.com/v1\"");
        return false;
    }
    const char *expected = peri_option_url(node->text, &url);
    /* Not repeated: what is wrong with a URL is often the password in it. */
    if (expected != NULL)
        peri_reader_fault(r, node, "must be %s", expected);
    else
        *out = peri_reader_dup(r, url);
    return expected == NULL && out->p != NULL;
}

/* What a node means by a secret, out of everything its source holds. */
static bool slice(struct peri_str *s, const struct peri_node *node) {
    struct peri_str part = *s, rest = *s;
    for (uint32_t i = 0; i < node->list_item; i++)
        if (!peri_str_cut(&part, &rest, ',')) return false;
    ptrdiff_t after = node->after == 0 ? -1 : peri_str_find_char(part, node->after);
    if (node->after != 0 && after < 0) return false;
    part = peri_str_from(part, (size_t)(after + 1));
    ptrdiff_t before = node->before == 0 ? -1 : peri_str_find_char(part, node->before);
    if (before >= 0) part.n = (size_t)before;
    *s = peri_str_trim(part);
    return s->n > 0;
}

bool peri_reader_secret(struct peri_reader *r, const struct peri_node *node,
                        struct peri_secret *out) {
    struct peri_fault fault = { 0 };
    if (node->kind == PERI_NODE_STRING) {
        peri_fault_list_warn(
            r->faults, &node->where,
            "'%s' is written out here, expected secret \"env:NAME\", \"file:PATH\" or "
            "\"cred:NAME\"",
            r->path);
        if (node->text.n > 0 && memchr(node->text.p, '\0', node->text.n) == NULL &&
            peri_str_find_char(node->text, '\n') < 0 && peri_str_find_char(node->text, '\r') < 0) {
            if (peri_secret_zone_dup(r->config->secrets, out, node->text) == PERI_OK) return true;
            r->err = PERI_ENOMEM;
            return false;
        }
        peri_reader_fault(r, node, "must be a secret of one line, got an empty or broken one");
        return false;
    }
    if (node->kind != PERI_NODE_SECRET) {
        peri_reader_expected(r, node, "a secret such as secret \"env:NAME\"");
        return false;
    }
    enum peri_err err = peri_secret_read(out, r->config->secrets, r->context->box, node->text,
                                         r->context->folder, &fault);
    if (err == PERI_ENOMEM) r->err = err;
    if (err != PERI_OK) {
        peri_reader_fault(r, node, "can not be had: %s", fault.text);
        return false;
    }
    struct peri_str part = { out->p, out->n };
    if (node->list_item == 0 && node->after == 0 && node->before == 0) return true;
    if (slice(&part, node)) {
        *out = (struct peri_secret){ (char *)part.p, part.n };
        return true;
    }
    peri_reader_fault(r, node, "must be a secret, got an empty item");
    return false;
}

static const char *bounds(const struct peri_option *o, char out[128]) {
    const char *unit = o->unit != NULL ? o->unit : "";
    const char *space = o->unit != NULL ? " " : "";
    switch (o->type) {
    case PERI_OPTION_DURATION:
        snprintf(out, 128,
                 "a duration such as 500 (milliseconds), \"30s\" or \"2m\", %s%" PRIu64 " ms",
                 o->least > 0 ? "at least " : "at most ", o->least > 0 ? o->least : o->most);
        break;
    case PERI_OPTION_SIZE:
        snprintf(out, 128,
                 "a size from %" PRIu64 " to %" PRIu64
                 " bytes such as 65536, \"64KiB\" or \"32MiB\"",
                 o->least, o->most);
        break;
    case PERI_OPTION_PRICE:
        snprintf(out, 128, "a price such as 0.15, at most %" PRIu64, o->most);
        break;
    default:
        snprintf(out, 128, "a whole number%s%s from %" PRIu64 " to %" PRIu64, space, unit, o->least,
                 o->most);
    }
    return out;
}

/* Numbers of Lua and JSON that are whole count as whole: 1e6, 30.0. */
static bool whole(const struct peri_node *node, uint64_t *out) {
    if (node->kind == PERI_NODE_INT && node->integer >= 0) {
        *out = (uint64_t)node->integer;
        return true;
    }
    if (node->kind != PERI_NODE_FLOAT || !(node->number >= 0 && node->number <= 9007199254740992.0))
        return false;
    *out = (uint64_t)node->number;
    return (double)*out == node->number;
}

static bool price(const struct peri_node *node, uint64_t *micros) {
    double units = node->kind == PERI_NODE_INT ? (double)node->integer : node->number;
    if (node->kind != PERI_NODE_INT && node->kind != PERI_NODE_FLOAT) return false;
    if (!(units >= 0 && units <= 1e9)) return false;
    *micros = (uint64_t)(units * 1e6 + 0.5);
    return true;
}

static uint64_t limit_of(const struct peri_option *o) {
    return o->type == PERI_OPTION_PRICE ? o->most * 1000000 : o->most;
}

bool peri_reader_number(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, uint64_t *out) {
    char text[128];
    bool is_text = node->kind == PERI_NODE_STRING, is_right;
    if (o->type == PERI_OPTION_PRICE)
        is_right = price(node, out);
    else if (is_text && o->type == PERI_OPTION_DURATION)
        is_right = peri_option_duration(node->text, out);
    else if (is_text && o->type == PERI_OPTION_SIZE)
        is_right = peri_option_size(node->text, out);
    else
        is_right = whole(node, out);
    if (is_right && *out >= o->least && *out <= limit_of(o)) return true;
    peri_reader_expected(r, node, bounds(o, text));
    return false;
}

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
    char expected[160];
    snprintf(expected, sizeof expected, "one of %s", o->words);
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

static bool read_item(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *out) {
    switch (o->type) {
    case PERI_OPTION_LISTEN: return read_listen(r, node, out);
    case PERI_OPTION_URLS: return peri_reader_url(r, node, out);
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
    size_t count = 0;
    for (const struct peri_node *n = peri_node_first_item(node); n != NULL; n = n->next) {
        size_t path = peri_node_is_list(node) ? peri_reader_push_index(r, count + 1) : r->path_n;
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
    case PERI_OPTION_URL: (void)peri_reader_url(r, node, field); break;
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
    const char *nearest = NULL;
    unsigned best = NEAR_ENOUGH + 1;
    for (size_t i = 0; i < record->count; i++) {
        unsigned d = peri_str_distance(n->key, peri_str_of(record->options[i].name), NEAR_ENOUGH);
        if (d < best) best = d, nearest = record->options[i].name;
    }
    /* A name that shares nothing but its length with the key would be a strange thing to suggest. */
    if (nearest != NULL && best * 2 > n->key.n) nearest = NULL;
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
    for (const struct peri_node *n = node->first; n != NULL; n = n->next) {
        const struct peri_node *same = peri_node_get(node, n->key);
        if (peri_record_find(record, n->key) == NULL)
            unknown(r, record, n);
        else if (same != n)
            peri_fault_list_add(r->faults, &n->where, "'%.*s' is given twice, first in line %u",
                                PERI_STR_ARGS(n->key), same->where.line);
    }
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
        peri_fault_list_add(r->faults, &n->where,
                            "'%s.%s' is an option of network \"%s\", this provider's is \"%.*s\"",
                            r->path, o->name, o->network, PERI_STR_ARGS(r->network));
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
