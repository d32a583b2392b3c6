#include "base/json_edit.h"

#include "base/err.h"
#include "base/json_tape.h"
#include "base/json_text.h"
#include "base/mem.h"

/* Offsets of edits stay clear of the 32 bits they are kept in. */
#define BASE_MAX 0xF0000000u
/* More than there can be nodes. */
#define COUNT_MAX 32000000u

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/* Room for one more in an array of the arena: it doubles, what it outgrows stays behind. */
static bool has_room(struct peri_json *j, void **array, uint32_t *cap, uint32_t count,
                     size_t size) {
    if (count < *cap) return true;
    if (count >= COUNT_MAX) return false;
    uint32_t more = *cap == 0 ? 4 : *cap * 2;
    void *p = peri_arena_alloc(&j->arena, more * size);
    if (p == NULL) return false;
    if (count > 0) memcpy(p, *array, count * size);
    *array = p;
    *cap = more;
    return true;
}

/* All ancestors must be written piece by piece from now on.
 *   gives   the first that had to be already; PERI_JSON_NONE */
static uint32_t mark_dirty(struct peri_json *j, uint32_t node) {
    while (node != PERI_JSON_NONE && !(j->cells[node].meta & PERI_JSON_DIRTY)) {
        j->cells[node].meta |= PERI_JSON_DIRTY;
        node = peri_json_cell_parent(&j->cells[node]);
    }
    return node;
}

/* Write down how to take back the change that is made next.
 *   gives   false when memory ran out */
static bool add_undo(struct peri_json *j, struct peri_json_undo undo) {
    void *undos = j->undos;
    if (!has_room(j, &undos, &j->undo_cap, j->undo_count, sizeof *j->undos)) return false;
    j->undos = undos;
    j->undos[j->undo_count++] = undo;
    return true;
}

static uint32_t number_of(const struct peri_json *j, const struct peri_json_list *list) {
    return (uint32_t)(list - j->lists);
}

/* The list of a container, made from the tape when it is not open yet; NULL when memory ran out. */
static struct peri_json_list *open_list(struct peri_json *j, uint32_t node) {
    struct peri_json_list *list = peri_json_list_of(j, node);
    if (list != NULL) return list;
    void *lists = j->lists;
    if (!has_room(j, &lists, &j->list_cap, j->list_count, sizeof *list)) return NULL;
    j->lists = lists;
    list = &j->lists[j->list_count];
    *list = (struct peri_json_list){ .after = j->cells[node].link };
    bool is_object = peri_json_cell_kind(&j->cells[node]) == PERI_JSON_OBJECT;
    list->cap = (uint32_t)peri_json_count(j, node) + 4;
    list->entries = peri_arena_alloc(&j->arena, list->cap * sizeof *list->entries);
    if (list->entries == NULL) return NULL;
    if (!add_undo(j, (struct peri_json_undo){ PERI_JSON_UNDO_OPEN, .list = node })) return NULL;
    for (uint32_t at = node + 1; at < list->after; at = peri_json_after(j, at)) {
        uint32_t name = is_object ? at++ : PERI_JSON_NONE;
        list->entries[list->count++] = (struct peri_json_entry){ name, at, at };
    }
    list->live = list->count;
    j->cells[node].link = j->list_count++;
    j->cells[node].meta |= PERI_JSON_OPEN;
    j->cursor.array = PERI_JSON_NONE;
    j->undos[j->undo_count - 1].value = mark_dirty(j, node);
    j->is_edited = true;
    return list;
}

static uint32_t depth_of(const struct peri_json *j, uint32_t node) {
    uint32_t depth = 0;
    for (; node != PERI_JSON_NONE; node = peri_json_cell_parent(&j->cells[node])) depth++;
    return depth;
}

/* Why the arena gave nothing: its blocks are at most 64 KiB or what was asked. */
static enum peri_err no_room(const struct peri_json *j, size_t n) {
    return n + 65536 > j->arena.max - j->arena.used ? PERI_ETOOBIG : PERI_ENOMEM;
}

static enum peri_err say(struct peri_fault *fault, enum peri_err err) {
    return peri_fault_set(fault, err, "%s", peri_err_text(err));
}

/* Our own copy of an edit's text, with offsets of its own.
 *   copy   in: the text; out: the copy */
static enum peri_err add_piece(struct peri_json *j, uint32_t *base, struct peri_str *text) {
    if (text->n >= BASE_MAX - j->next_base) return PERI_ETOOBIG;
    void *pieces = j->pieces;
    if (!has_room(j, &pieces, &j->piece_cap, j->piece_count, sizeof *j->pieces))
        return no_room(j, 0);
    j->pieces = pieces;
    struct peri_str twin = peri_arena_dup(&j->arena, *text);
    if (twin.p == NULL) return no_room(j, text->n);
    *base = j->next_base;
    *text = twin;
    j->pieces[j->piece_count++] = (struct peri_json_piece){ *base, twin.p };
    j->next_base += (uint32_t)text->n + 1; /* an empty text still has an offset of its own */
    return PERI_OK;
}

/* A value for a place inside `parent`, scanned and not yet linked. */
static enum peri_err make_value(uint32_t *out, struct peri_json *j, uint32_t parent,
                                struct peri_str json, struct peri_fault *fault) {
    uint32_t base, depth = parent == PERI_JSON_NONE ? 0 : depth_of(j, parent);
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

static bool is_name(const struct peri_json *j, const struct peri_json_entry *e,
                    struct peri_str name) {
    return e->value != PERI_JSON_NONE && peri_json_name_is(j, e->name, name);
}

/* Another value for an entry, or PERI_JSON_NONE: then a member goes with its name.
 *   gives   false, nothing changed, when memory ran out */
static bool change_entry(struct peri_json *j, struct peri_json_list *list, uint32_t index,
                         uint32_t value) {
    struct peri_json_entry *e = &list->entries[index];
    const struct peri_json_undo undo = { PERI_JSON_UNDO_CHANGE, .list = number_of(j, list),
                                         .index = index, .value = e->value };
    if (!add_undo(j, undo)) return false;
    peri_json_set_gone(j, e->value, true);
    e->value = value;
    if (value != PERI_JSON_NONE) return true;
    peri_json_set_gone(j, e->name, true);
    list->live--;
    return true;
}

/* Room for one more entry, and how to take it back. NULL when memory ran out. */
static struct peri_json_entry *new_entry(struct peri_json *j, struct peri_json_list *list,
                                         uint32_t index) {
    const struct peri_json_undo undo = { PERI_JSON_UNDO_INSERT, .list = number_of(j, list),
                                         .index = index };
    void *entries = list->entries;
    if (!has_room(j, &entries, &list->cap, list->count, sizeof *list->entries)) return NULL;
    list->entries = entries;
    if (!add_undo(j, undo)) return NULL;
    struct peri_json_entry *e = &list->entries[index];
    memmove(e + 1, e, (list->count - index) * sizeof *e);
    list->count++;
    list->live++;
    return e;
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
    struct peri_json_list *list = open_list(j, object);
    if (list == NULL) goto no_memory;
    bool is_placed = false;
    for (uint32_t i = list->count; i-- > 0;) {
        if (!is_name(j, &list->entries[i], name)) continue;
        if (!change_entry(j, list, i, is_placed ? PERI_JSON_NONE : value)) goto no_memory;
        is_placed = true;
    }
    if (is_placed) return PERI_OK;
    err = make_name(&name_node, j, object, name);
    struct peri_json_entry *place = err == PERI_OK ? new_entry(j, list, list->count) : NULL;
    if (place == NULL) goto no_memory;
    *place = (struct peri_json_entry){ name_node, value, PERI_JSON_NONE };
    return PERI_OK;

no_memory:
    peri_json_rollback(j, before);
    return say(fault, err != PERI_OK ? err : no_room(j, 0));
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
    struct peri_json_list *list = open_list(j, object);
    bool is_done = list != NULL;
    for (uint32_t i = 0; is_done && i < list->count; i++)
        if (is_name(j, &list->entries[i], name)) is_done = change_entry(j, list, i, PERI_JSON_NONE);
    if (is_done) return PERI_OK;
    peri_json_rollback(j, before);
    return no_room(j, 0);
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
    struct peri_json_list *list = open_list(j, array);
    if (list == NULL) return say(fault, no_room(j, 0));
    uint32_t at = index < list->count ? (uint32_t)index : list->count;
    struct peri_json_entry *place = new_entry(j, list, at);
    if (place == NULL) return say(fault, no_room(j, 0));
    *place = (struct peri_json_entry){ PERI_JSON_NONE, value, PERI_JSON_NONE };
    return PERI_OK;
}

/* Where a child stands in the list of its container. */
static uint32_t place_of(const struct peri_json_list *list, uint32_t node) {
    for (uint32_t i = 0; i < list->count; i++)
        if (list->entries[i].value == node) return i;
    peri_bug("a live value stands in its container");
}

enum peri_err peri_json_replace(struct peri_json *j, uint32_t node, struct peri_str json,
                                struct peri_fault *fault) {
    uint32_t value = PERI_JSON_NONE;
    if (!peri_json_is_live(j, node)) return say(fault, PERI_ENOTFOUND);
    uint32_t parent = peri_json_cell_parent(&j->cells[node]);
    enum peri_err err = make_value(&value, j, parent, json, fault);
    if (err != PERI_OK) return err;
    if (parent == PERI_JSON_NONE) {
        if (!add_undo(j, (struct peri_json_undo){ PERI_JSON_UNDO_ROOT, .value = node }))
            return say(fault, no_room(j, 0));
        j->root = value;
        j->is_edited = true;
        peri_json_set_gone(j, node, true);
        return PERI_OK;
    }
    struct peri_json_list *list = open_list(j, parent);
    bool is_done = list != NULL && change_entry(j, list, place_of(list, node), value);
    return is_done ? PERI_OK : say(fault, no_room(j, 0));
}

/* Elements behind it move up. */
static bool remove_element(struct peri_json *j, struct peri_json_list *list, uint32_t index) {
    struct peri_json_entry *e = &list->entries[index];
    const struct peri_json_undo undo = { PERI_JSON_UNDO_REMOVE, .list = number_of(j, list),
                                         .index = index, .value = e->value, .slot = e->slot };
    if (!add_undo(j, undo)) return false;
    peri_json_set_gone(j, e->value, true);
    memmove(e, e + 1, (list->count - index - 1) * sizeof *e);
    list->count--;
    list->live--;
    return true;
}

enum peri_err peri_json_remove(struct peri_json *j, uint32_t node) {
    if (!peri_json_is_live(j, node)) return PERI_ENOTFOUND;
    uint32_t parent = peri_json_cell_parent(&j->cells[node]);
    if (parent == PERI_JSON_NONE) return PERI_EINVAL;
    struct peri_json_list *list = open_list(j, parent);
    if (list == NULL) return no_room(j, 0);
    uint32_t at = place_of(list, node);
    bool is_done = list->entries[at].name == PERI_JSON_NONE
                       ? remove_element(j, list, at)
                       : change_entry(j, list, at, PERI_JSON_NONE);
    return is_done ? PERI_OK : no_room(j, 0);
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
    for (uint32_t i = 0; i < list->count; i++) {
        const struct peri_json_entry *e = &list->entries[i];
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
