/* The tape builder: a loop over three questions (a value? a name? what follows a value?) with no recursion; the
 * way back up is the parent in each cell. */
#include "base/err.h"
#include "base/json_tape.h"
#include "base/mem.h"

#define ROUTED_MAX 64

struct builder {
    struct peri_json_scanner s;
    struct peri_json *j;
    uint32_t base;
    uint32_t depth_left;
    enum peri_err err;
    const struct peri_json_options *options; /* NULL: no routed members here */
    uint64_t routed_seen;
    uint32_t routed_in; /* the container whose members are routed */
    uint32_t room; /* cells there is memory for: who asks on the way lets j->cap stand below it */
};

enum peri_err peri_json_fault(struct peri_fault *fault, enum peri_err err, struct peri_str text,
                              size_t offset, const char *why) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < offset && i < text.n; i++) {
        if (text.p[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.p[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    return peri_fault_set(fault, err, "line %zu, column %zu, byte %zu: %s", line, column, offset,
                          why);
}

static void set_cap(struct builder *b) {
    struct peri_json *j = b->j;
    bool asks = b->options != NULL && b->options->may_go_on != NULL;
    uint32_t next = j->count + PERI_JSON_ASK_NODES;
    j->cap = asks && next < b->room ? next : b->room;
}

/* The next cell has no room, or it is time to ask. */
static PERI_JSON_NOINLINE bool grow(struct builder *b, const char *at) {
    struct peri_json *j = b->j;
    bool asks = b->options != NULL && b->options->may_go_on != NULL;
    if (asks && j->count >= PERI_JSON_ASK_NODES && !b->options->may_go_on(b->options->arg)) {
        b->err = PERI_EBUDGET;
        peri_json_refuse(&b->s, at, "there is no time to read more");
        return false;
    }
    if (j->count < b->room) {
        set_cap(b);
        return true;
    }
    if (j->count >= j->max) {
        b->err = PERI_ETOOBIG;
        peri_json_refuse(&b->s, at, "more values than are allowed");
        return false;
    }
    uint32_t cap = b->room > j->max / 2 ? j->max : b->room * 2;
    void *cells = peri_realloc(j->cells, cap * sizeof *j->cells);
    if (cells == NULL) {
        b->err = PERI_ENOMEM;
        return false;
    }
    j->cells = cells;
    b->room = cap;
    set_cap(b);
    return true;
}

/* A cell for what begins at p; NULL when there is no room. */
PERI_JSON_INLINE struct peri_json_cell *add(struct builder *b, const char *p, uint32_t parent,
                                            unsigned kind) {
    struct peri_json *j = b->j;
    if (j->count == j->cap && !grow(b, p)) return NULL;
    struct peri_json_cell *c = &j->cells[j->count++];
    c->start = b->base + (uint32_t)(p - b->s.begin);
    c->link = 0;
    c->meta = parent << PERI_JSON_PARENT | kind;
    return c;
}

/* Names of routed members stand once. */
static bool is_second(struct builder *b, struct peri_str inner, bool is_escaped) {
    size_t n = b->options->routed_count < ROUTED_MAX ? b->options->routed_count : ROUTED_MAX;
    for (size_t i = 0; i < n; i++) {
        struct peri_str routed = b->options->routed[i];
        if (!is_escaped && routed.n != inner.n) continue; /* nearly always */
        if (!peri_json_inner_is(inner, is_escaped, routed)) continue;
        bool is_seen = (b->routed_seen >> i & 1) != 0;
        b->routed_seen |= (uint64_t)1 << i;
        return is_seen;
    }
    return false;
}

/* p at what should be a member's name; gives the position of its value. */
PERI_JSON_INLINE const char *scan_name(struct builder *b, const char *p, uint32_t parent) {
    const char *end = b->s.end, *start = p;
    if (p >= end || *p != '"')
        return peri_json_refuse(&b->s, p, "expected a member's name in quotes");
    struct peri_json_cell *c = add(b, p, parent, PERI_JSON_STRING);
    if (c == NULL) return NULL;
    unsigned flags = 0;
    if ((p = peri_json_skip_string(&b->s, p + 1, &flags)) == NULL) return NULL;
    c->end = b->base + (uint32_t)(p + 1 - b->s.begin);
    c->meta |= flags;
    b->j->flags |= flags;
    if (parent == b->routed_in &&
        is_second(b, (struct peri_str){ start + 1, (size_t)(p - start - 1) }, flags != 0)) {
        b->err = PERI_EEXIST;
        return peri_json_refuse(&b->s, start, "this member stands twice");
    }
    p = peri_json_skip_space(p + 1, end);
    if (p >= end || *p != ':')
        return peri_json_refuse(&b->s, p, "expected ':' after the member's name");
    return peri_json_skip_space(p + 1, end);
}

static const char *build(struct builder *b, const char *p, uint32_t parent) {
    struct peri_json *j = b->j;
    const char *const begin = b->s.begin, *const end = b->s.end;
    const uint32_t base = b->base, top = parent;
    struct peri_json_cell *c;

value:
    if (p >= end) return peri_json_refuse(&b->s, p, "expected a value");
    switch (*p) {
    case '"': {
        unsigned flags = 0;
        if ((c = add(b, p, parent, PERI_JSON_STRING)) == NULL) return NULL;
        if ((p = peri_json_skip_string(&b->s, p + 1, &flags)) == NULL) return NULL;
        p++;
        c->meta |= flags;
        j->flags |= flags;
        break;
    }
    case '{':
    case '[': {
        if (b->depth_left-- == 0) {
            b->err = PERI_ETOOBIG;
            return peri_json_refuse(&b->s, p, "nested too deep");
        }
        bool is_object = *p == '{';
        if (add(b, p, parent, is_object ? PERI_JSON_OBJECT : PERI_JSON_ARRAY) == NULL) return NULL;
        parent = j->count - 1;
        if (top == PERI_JSON_NO_PARENT && b->routed_in == PERI_JSON_NONE && b->options != NULL)
            b->routed_in = parent;
        p = peri_json_skip_space(p + 1, end);
        if (p < end && *p == (is_object ? '}' : ']')) goto close;
        if (!is_object) goto value;
        if ((p = scan_name(b, p, parent)) == NULL) return NULL;
        goto value;
    }
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        if ((c = add(b, p, parent, PERI_JSON_NUMBER)) == NULL) return NULL;
        if ((p = peri_json_skip_number(&b->s, p)) == NULL) return NULL;
        break;
    default: {
        enum peri_json_kind kind;
        const char *start = p;
        if ((p = peri_json_skip_literal(&b->s, p, &kind)) == NULL) return NULL;
        if ((c = add(b, start, parent, kind)) == NULL) return NULL;
        break;
    }
    }
    c->end = base + (uint32_t)(p - begin);

after:
    if (parent == top) return p;
    p = peri_json_skip_space(p, end);
    if (peri_json_cell_kind(&j->cells[parent]) == PERI_JSON_OBJECT) {
        if (p < end && *p == ',') {
            if ((p = scan_name(b, peri_json_skip_space(p + 1, end), parent)) == NULL) return NULL;
            goto value;
        }
        if (p >= end || *p != '}')
            return peri_json_refuse(&b->s, p, "expected ',' or '}' after a member");
    } else {
        if (p < end && *p == ',') {
            p = peri_json_skip_space(p + 1, end);
            goto value;
        }
        if (p >= end || *p != ']')
            return peri_json_refuse(&b->s, p, "expected ',' or ']' after an element");
    }

close:
    p++;
    b->depth_left++;
    c = &j->cells[parent];
    c->end = base + (uint32_t)(p - begin);
    c->link = j->count;
    parent = c->meta >> PERI_JSON_PARENT;
    goto after;
}

enum peri_err peri_json_scan_onto(uint32_t *out, struct peri_json *j, struct peri_str text,
                                  uint32_t base, uint32_t parent, uint32_t depth_left,
                                  const struct peri_json_options *options,
                                  struct peri_fault *fault) {
    struct builder b = {
        .j = j, .base = base, .depth_left = depth_left, .options = options, .room = j->cap
    };
    uint32_t count = j->count;
    unsigned flags = j->flags;
    bool is_padded = options != NULL && (options->is_padded || j->kept != NULL);
    b.routed_in = PERI_JSON_NONE;
    if (text.p == NULL) text = PERI_STR("");
    peri_json_scanner_init(&b.s, text, is_padded, j->is_lenient);
    set_cap(&b);
    const char *p = build(&b, peri_json_skip_space(text.p, b.s.end), parent);
    j->cap = b.room;
    if (p != NULL) {
        p = peri_json_skip_space(p, b.s.end);
        if (p < b.s.end) p = peri_json_refuse(&b.s, p, "nothing may follow the value");
    }
    if (p != NULL) {
        *out = count;
        return PERI_OK;
    }
    j->count = count;
    j->flags = flags;
    if (b.err == PERI_ENOMEM)
        return peri_fault_set(fault, PERI_ENOMEM, "%s", peri_err_text(PERI_ENOMEM));
    return peri_json_fault(fault, b.err == PERI_OK ? PERI_EMALFORMED : b.err, text,
                           (size_t)(b.s.bad - text.p), b.s.why);
}
