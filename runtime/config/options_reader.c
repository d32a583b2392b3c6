/* What readers of options share: the path they are at, faults, the dump, and single values. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "config/options_reader.h"
#include "net/header.h"

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
    const struct peri_where *where = node != NULL ? &node->where : &nowhere;
    if (r->path_n == 0)
        peri_fault_list_add(r->faults, where, "the configuration %s", text);
    else
        peri_fault_list_add(r->faults, where, "'%s' %s", r->path, text);
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

/* "env:NAME" where a secret is asked for is taken as its source: nobody's key looks like that. */
static bool is_source(const struct peri_node *node) {
    if (node->kind != PERI_NODE_STRING) return node->kind == PERI_NODE_SECRET;
    return peri_str_has_prefix(node->text, PERI_STR("env:")) ||
           peri_str_has_prefix(node->text, PERI_STR("file:")) ||
           peri_str_has_prefix(node->text, PERI_STR("cred:"));
}

void peri_reader_note_secret(struct peri_reader *r, const struct peri_node *node) {
    struct peri_str shown = PERI_STR("secret, written out");
    char text[PERI_WHERE_MAX];
    if (is_source(node)) {
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

static bool take_secret(struct peri_reader *r, const struct peri_node *node,
                        struct peri_secret *out) {
    struct peri_fault fault = { 0 };
    if (node->kind == PERI_NODE_STRING && !is_source(node)) {
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
    if (!is_source(node)) {
        peri_reader_expected(r, node, "a secret such as secret \"env:NAME\"");
        return false;
    }
    if (node->bytes.p != NULL) {
        if (peri_secret_zone_dup(r->config->secrets, out, node->bytes) == PERI_OK) return true;
        r->err = PERI_ENOMEM;
        return false;
    }
    enum peri_err err = peri_secret_read(out, r->config->secrets, r->context->box, node->text,
                                         r->context->folder, &fault);
    if (err == PERI_ENOMEM) {
        r->err = err;
        return false;
    }
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

/* Secrets travel in headers, whichever way they came here. What is wrong with one is not shown. */
bool peri_reader_secret(struct peri_reader *r, const struct peri_node *node,
                        struct peri_secret *out) {
    static const struct peri_str name = PERI_STR_INIT("authorization");
    if (!take_secret(r, node, out)) return false;
    struct peri_header header = { name, { out->p, out->n } };
    bool is_long = out->n > PERI_HEADER_VALUE_MAX - sizeof "Bearer";
    if (!is_long && peri_header_fault(header) == NULL) return true;
    peri_reader_fault(r, node,
                      is_long ? "must be a secret, got one that is longer than 8185 bytes"
                              : "must be a secret of one line without control characters");
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
