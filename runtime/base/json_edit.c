#include "base/json_edit.h"

#include "base/err.h"
#include "base/json_index.h"
#include "base/json_list.h"
#include "base/json_text.h"
#include "base/mem.h"

/* Offsets of edits stay clear of the 32 bits they are kept in. */
#define BASE_MAX 0xF0000000u

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static uint32_t depth_of(const struct peri_json *j, uint32_t node) {
    uint32_t depth = 0;
    for (; node != PERI_JSON_NONE; node = peri_json_cell_parent(&j->cells[node])) depth++;
    return depth;
}

static enum peri_err say(struct peri_fault *fault, enum peri_err err) {
    return peri_fault_set(fault, err, "%s", peri_err_text(err));
}

/* Our own copy of an edit's text, with offsets of its own.
 *   copy   in: the text; out: the copy */
static enum peri_err add_piece(struct peri_json *j, uint32_t *base, struct peri_str *text) {
    if (text->n >= BASE_MAX - j->next_base) return PERI_ETOOBIG;
    void *pieces = j->pieces;
    if (!peri_json_has_room(j, &pieces, &j->piece_cap, j->piece_count, sizeof *j->pieces))
        return peri_json_no_room(j);
    j->pieces = pieces;
    char *twin = peri_json_alloc(j, text->n + 1);
    if (twin == NULL) return peri_json_no_room(j);
    if (text->n > 0) memcpy(twin, text->p, text->n);
    twin[text->n] = '\0';
    *base = j->next_base;
    text->p = twin;
    j->pieces[j->piece_count++] = (struct peri_json_piece){ *base, twin };
    j->next_base += (uint32_t)text->n + 1; /* an empty text still has an offset of its own */
    return PERI_OK;
}

/* A value for a place inside `parent`, scanned and not yet linked. */
static enum peri_err make_value(uint32_t *out, struct peri_json *j, uint32_t parent,
                                struct peri_str json, struct peri_fault *fault) {
    uint32_t base = 0, depth = parent == PERI_JSON_NONE ? 0 : depth_of(j, parent);
    enum peri_err err = add_piece(j, &base, &json);
    if (err != PERI_OK) return say(fault, err);
    err = peri_json_scan_onto(out, j, json, base,
                              parent == PERI_JSON_NONE ? PERI_JSON_NO_PARENT : parent,
                              j->depth - depth, NULL, fault);
    return err;
}

/* The cell of a new member's name. */
static enum peri_err make_name(uint32_t *out, struct peri_json *j, uint32_t object,
                               struct peri_str name) {
    char room[256];
    struct peri_buf b = { .p = room, .cap = sizeof room, .max = SIZE_MAX / 2 };
    bool is_short = name.n * 6 + 2 <= sizeof room; /* every byte as \u00XX */
    if (!is_short) peri_buf_init(&b, 0);
    enum peri_err err = peri_buf_add_json(&b, name);
    if (err == PERI_OK) err = make_value(out, j, object, peri_buf_str(&b), NULL);
    if (!is_short) peri_buf_done(&b);
    return err;
}

/* The place of the last member of that name in an open object; PERI_JSON_NONE. */
static uint32_t last_of(struct peri_json *j, uint32_t object, const struct peri_json_list *list,
                        struct peri_str name) {
    uint32_t place;
    if (peri_json_index_name(j, &place, object, name)) return place;
    return peri_json_index_earlier(j, object, list->count, name);
}

static enum peri_err check(const struct peri_json *j, uint32_t node, enum peri_json_kind kind) {
    if (!peri_json_is_live(j, node)) return PERI_ENOTFOUND;
    return peri_json_is_a(j, node, kind) ? PERI_OK : PERI_EINVAL;
}

enum peri_err peri_json_set(struct peri_json *j, uint32_t object, struct peri_str name,
                            struct peri_str json, struct peri_fault *fault) {
    uint32_t value = PERI_JSON_NONE, name_node = PERI_JSON_NONE;
    struct peri_json_mark before = peri_json_mark(j);
    enum peri_err err = check(j, object, PERI_JSON_OBJECT);
    if (err == PERI_OK)
        err = make_value(&value, j, object, json, fault);
    else
        say(fault, err);
    if (err != PERI_OK) return err;
    struct peri_json_list *list = peri_json_list_open(j, object);
    if (list == NULL) goto no_memory;
    uint32_t place = last_of(j, object, list, name);
    if (place == PERI_JSON_NONE) {
        err = make_name(&name_node, j, object, name);
        if (err != PERI_OK || !peri_json_list_insert(j, list, list->count, name_node, value))
            goto no_memory;
        peri_json_index_add(j, object, list->count - 1);
        return PERI_OK;
    }
    if (!peri_json_list_change(j, list, place, value)) goto no_memory;
    while ((place = peri_json_index_earlier(j, object, place, name)) != PERI_JSON_NONE)
        if (!peri_json_list_change(j, list, place, PERI_JSON_NONE)) goto no_memory;
    return PERI_OK;

no_memory:
    peri_json_rollback(j, before);
    return say(fault, err != PERI_OK ? err : peri_json_no_room(j));
}

enum peri_err peri_json_set_string(struct peri_json *j, uint32_t object, struct peri_str name,
                                   struct peri_str text) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    enum peri_err err = peri_buf_add_json(&b, text);
    if (err == PERI_OK) err = peri_json_set(j, object, name, peri_buf_str(&b), NULL);
    peri_buf_done(&b);
    return err;
}

enum peri_err peri_json_set_int(struct peri_json *j, uint32_t object, struct peri_str name,
                                int64_t value) {
    char text[PERI_JSON_INT_MAX];
    return peri_json_set(j, object, name, peri_json_int_text(text, value), NULL);
}

enum peri_err peri_json_unset(struct peri_json *j, uint32_t object, struct peri_str name) {
    enum peri_err err = check(j, object, PERI_JSON_OBJECT);
    if (err != PERI_OK || peri_json_get(j, object, name) == PERI_JSON_NONE) return err;
    struct peri_json_mark before = peri_json_mark(j);
    struct peri_json_list *list = peri_json_list_open(j, object);
    uint32_t place = list == NULL ? PERI_JSON_NONE : last_of(j, object, list, name);
    bool is_done = list != NULL;
    while (is_done && place != PERI_JSON_NONE) {
        is_done = peri_json_list_change(j, list, place, PERI_JSON_NONE);
        place = peri_json_index_earlier(j, object, place, name);
    }
    if (is_done) return PERI_OK;
    peri_json_rollback(j, before);
    return peri_json_no_room(j);
}

enum peri_err peri_json_insert(struct peri_json *j, uint32_t array, size_t index,
                               struct peri_str json, struct peri_fault *fault) {
    uint32_t value = PERI_JSON_NONE;
    enum peri_err err = check(j, array, PERI_JSON_ARRAY);
    if (err == PERI_OK)
        err = make_value(&value, j, array, json, fault);
    else
        say(fault, err);
    if (err != PERI_OK) return err;
    struct peri_json_list *list = peri_json_list_open(j, array);
    bool is_done = list != NULL;
    if (is_done) {
        uint32_t rank = index < list->live ? (uint32_t)index : list->live;
        is_done = peri_json_list_insert(j, list, rank, PERI_JSON_NONE, value);
    }
    return is_done ? PERI_OK : say(fault, peri_json_no_room(j));
}

/* The step to a child in the list of its container: the one that was looked at last is known. */
static uint32_t step_to(const struct peri_json_list *list, uint32_t hint, uint32_t node) {
    uint32_t steps = peri_json_list_steps(list);
    if (hint < steps && list->entries[peri_json_list_place(list, hint)].value == node) return hint;
    for (uint32_t i = 0; i < steps; i++)
        if (list->entries[peri_json_list_place(list, i)].value == node) return i;
    peri_bug("a live value stands in its container");
}

enum peri_err peri_json_replace(struct peri_json *j, uint32_t node, struct peri_str json,
                                struct peri_fault *fault) {
    uint32_t value = PERI_JSON_NONE;
    if (!peri_json_is_live(j, node)) return say(fault, PERI_ENOTFOUND);
    uint32_t parent = peri_json_cell_parent(&j->cells[node]), hint = j->cursor.rank;
    enum peri_err err = make_value(&value, j, parent, json, fault);
    if (err != PERI_OK) return err;
    if (parent == PERI_JSON_NONE) {
        if (!peri_json_add_undo(j, (struct peri_json_undo){ PERI_JSON_UNDO_ROOT, .value = node }))
            return say(fault, peri_json_no_room(j));
        j->root = value;
        j->is_edited = true;
        peri_json_set_gone(j, node, true);
        return PERI_OK;
    }
    struct peri_json_list *list = peri_json_list_open(j, parent);
    if (list == NULL) return say(fault, peri_json_no_room(j));
    uint32_t step = step_to(list, hint, node);
    bool is_done = peri_json_list_change(j, list, peri_json_list_place(list, step), value);
    return is_done ? PERI_OK : say(fault, peri_json_no_room(j));
}

enum peri_err peri_json_remove(struct peri_json *j, uint32_t node) {
    if (!peri_json_is_live(j, node)) return PERI_ENOTFOUND;
    uint32_t parent = peri_json_cell_parent(&j->cells[node]), hint = j->cursor.rank;
    if (parent == PERI_JSON_NONE) return PERI_EINVAL;
    struct peri_json_list *list = peri_json_list_open(j, parent);
    if (list == NULL) return peri_json_no_room(j);
    uint32_t step = step_to(list, hint, node);
    bool is_done = peri_json_cell_kind(&j->cells[parent]) == PERI_JSON_ARRAY
                       ? peri_json_list_remove(j, list, step)
                       : peri_json_list_change(j, list, step, PERI_JSON_NONE);
    return is_done ? PERI_OK : peri_json_no_room(j);
}

bool peri_json_is_edited(const struct peri_json *j) { return j->is_edited; }

/* Bytes on their way out: ranges that follow each other in memory leave as one. */
struct splice {
    struct peri_buf *out;
    struct peri_str run;
};

static void put(struct splice *s, struct peri_str bytes) {
    if (bytes.n == 0) return;
    if (s->run.n > 0 && s->run.p + s->run.n == bytes.p) {
        s->run.n += bytes.n;
        return;
    }
    if (s->run.n > 0) peri_buf_add(s->out, s->run);
    s->run = bytes;
}

/* After a child. One more byte can always be looked at: inside a container at least the bracket follows, and a
 * NUL follows the text of an edit. */
static void put_comma(struct splice *s) {
    if (s->run.p[s->run.n] == ',')
        s->run.n++;
    else
        put(s, PERI_STR(","));
}

static void put_value(struct splice *s, const struct peri_json *j, uint32_t node);

/* White space in front of a child that stood here from the beginning. */
static struct peri_str space_before(const char *start) {
    const char *p = start;
    while (is_space(p[-1])) p--;
    return (struct peri_str){ p, (size_t)(start - p) };
}

static struct peri_str space_after(const char *end) {
    const char *p = end;
    while (is_space(*p)) p++;
    return (struct peri_str){ end, (size_t)(p - end) };
}

/* One child with what surrounds it. The white space next to the brackets belongs to the brackets, all other to
 * the child: so whatever is removed, first, last or all between, what stays keeps its look. */
static void put_child(struct splice *s, const struct peri_json *j, const struct peri_json_entry *e,
                      bool is_first, bool is_last) {
    struct peri_str name = { NULL, 0 };
    if (e->name != PERI_JSON_NONE) name = peri_json_cell_text(j, &j->cells[e->name]);
    if (e->slot == PERI_JSON_NONE) {
        put(s, name);
        if (name.p != NULL) put(s, PERI_STR(":"));
        put_value(s, j, e->value);
        return;
    }
    struct peri_str old = peri_json_cell_text(j, &j->cells[e->slot]);
    const char *start = name.p != NULL ? name.p : old.p;
    struct peri_str before = space_before(start), after = space_after(old.p + old.n);
    if (!is_first && before.p[-1] == ',') put(s, before);
    put(s, (struct peri_str){ start, (size_t)(old.p - start) });
    put_value(s, j, e->value);
    if (!is_last && after.p[after.n] == ',') put(s, after);
}

static void put_open(struct splice *s, const struct peri_json *j, uint32_t node) {
    const struct peri_json_list *list = peri_json_list_of(j, node);
    struct peri_str text = peri_json_cell_text(j, &j->cells[node]);
    uint32_t left = list->live;
    bool is_first = true, was_empty = list->after == node + 1;
    if (left == 0 && was_empty) {
        put(s, text);
        return;
    }
    put(s, (struct peri_str){ text.p, 1 });
    if (left > 0) put(s, space_after(text.p + 1));
    for (uint32_t i = 0, steps = peri_json_list_steps(list); i < steps; i++) {
        const struct peri_json_entry *e = &list->entries[peri_json_list_place(list, i)];
        if (e->value == PERI_JSON_NONE) continue;
        if (!is_first) put_comma(s);
        put_child(s, j, e, is_first, --left == 0);
        is_first = false;
    }
    if (!is_first) put(s, space_before(text.p + text.n - 1));
    put(s, (struct peri_str){ text.p + text.n - 1, 1 });
}

/* Children still on the tape: ranges between those that changed. */
static void put_dirty(struct splice *s, const struct peri_json *j, uint32_t node) {
    const struct peri_json_cell *c = &j->cells[node];
    struct peri_str text = peri_json_cell_text(j, c);
    uint32_t end = peri_json_after(j, node), from = c->start;
    bool is_object = peri_json_cell_kind(c) == PERI_JSON_OBJECT;
    for (uint32_t at = node + 1; at < end; at = peri_json_after(j, at)) {
        if (is_object) at++;
        const struct peri_json_cell *child = &j->cells[at];
        if (!(child->meta & PERI_JSON_DIRTY)) continue;
        put(s, (struct peri_str){ text.p + (from - c->start), child->start - from });
        put_value(s, j, at);
        from = child->end;
    }
    put(s, (struct peri_str){ text.p + (from - c->start), c->end - from });
}

static void put_value(struct splice *s, const struct peri_json *j, uint32_t node) {
    const struct peri_json_cell *c = &j->cells[node];
    if (c->meta & PERI_JSON_OPEN)
        put_open(s, j, node);
    else if (c->meta & PERI_JSON_DIRTY)
        put_dirty(s, j, node);
    else
        put(s, peri_json_cell_text(j, c));
}

enum peri_err peri_json_add_node(struct peri_buf *out, const struct peri_json *j, uint32_t node) {
    struct splice s = { .out = out };
    if (!peri_json_is_live(j, node)) return PERI_ENOTFOUND;
    put_value(&s, j, node);
    return peri_buf_add(out, s.run);
}

struct peri_str peri_json_text(const struct peri_json *j, struct peri_buf *out) {
    if (!j->is_edited) return j->text;
    /* where the root stood from the beginning: space may surround it */
    const struct peri_json_cell *first = &j->cells[0];
    struct splice s = { .out = out };
    peri_buf_clear(out);
    /* One allocation in nearly every case: edits that grow a text a lot are rare. */
    if (peri_buf_reserve(out, j->text.n + 256) != PERI_OK) peri_buf_clear(out);
    put(&s, (struct peri_str){ j->text.p, first->start });
    put_value(&s, j, j->root);
    put(&s, peri_str_from(j->text, first->end));
    peri_buf_add(out, s.run);
    if (out->err != PERI_OK) return (struct peri_str){ NULL, 0 };
    return peri_buf_str(out);
}
