/* Documents: life, navigation, reading. The scanner is json_scan.c, edits are json_edit.c. */
#include "base/json.h"

#include "base/err.h"
#include "base/json_index.h"
#include "base/json_list.h"
#include "base/json_text.h"
#include "base/mem.h"

static size_t or_default(size_t value, size_t otherwise, size_t most) {
    if (value == 0) return otherwise;
    return value < most ? value : most;
}

enum peri_err peri_json_parse(struct peri_json **out, struct peri_str text,
                              const struct peri_json_options *options, struct peri_fault *fault) {
    static const struct peri_json_options none = { 0 };
    if (options == NULL) options = &none;
    size_t bytes = or_default(options->bytes, 67108864, (size_t)1 << 31);
    if (text.n > bytes)
        return peri_fault_set(fault, PERI_ETOOBIG, "%zu bytes of JSON are more than %zu", text.n,
                              bytes);
    struct peri_json *j = peri_calloc(1, sizeof *j);
    if (j == NULL) goto no_memory;
    j->max = (uint32_t)or_default(options->nodes, 2097152, 16000000);
    j->depth = (uint32_t)or_default(options->depth, PERI_JSON_DEPTH, 1000);
    j->is_lenient = options->lenient_utf8;
    j->cursor.container = PERI_JSON_NONE;
    peri_arena_init(&j->arena, or_default(options->edit_bytes, 67108864, (size_t)1 << 30));
    peri_list_init(&j->watches);
    /* Chat bodies have one value in about 30 bytes when short, far fewer when long. */
    size_t cap = text.n / 24 + 16;
    j->cap = cap > 4096 ? 4096 : (uint32_t)cap;
    if (j->cap > j->max) j->cap = j->max;
    j->cells = peri_malloc(j->cap * sizeof *j->cells);
    if (j->cells == NULL) goto no_memory;
    if (options->keeps_text) {
        j->kept = peri_malloc(text.n + PERI_JSON_PADDING);
        if (j->kept == NULL) goto no_memory;
        if (text.n > 0) memcpy(j->kept, text.p, text.n);
        memset(j->kept + text.n, 0, PERI_JSON_PADDING);
        text.p = j->kept;
    }
    j->text = text;
    j->next_base = (uint32_t)text.n;
    enum peri_err err =
        peri_json_scan_onto(&j->root, j, text, 0, PERI_JSON_NO_PARENT, j->depth, options, fault);
    if (err != PERI_OK) {
        peri_json_free(j);
        return err;
    }
    *out = j;
    return PERI_OK;

no_memory:
    peri_json_free(j);
    return peri_fault_set(fault, PERI_ENOMEM, "%s", peri_err_text(PERI_ENOMEM));
}

enum peri_err peri_json_read(struct peri_json **out, struct peri_str text,
                             struct peri_fault *fault) {
    return peri_json_parse(out, text, &(struct peri_json_options){ .keeps_text = true }, fault);
}

void peri_json_free(struct peri_json *j) {
    if (j == NULL) return;
    while (j->watches.next != NULL && !peri_list_is_empty(&j->watches)) {
        struct peri_json_watch *w = peri_list_entry(j->watches.next, struct peri_json_watch, link);
        peri_list_remove(&w->link);
        w->on_end(w);
    }
    peri_json_index_done(j);
    peri_arena_done(&j->arena);
    peri_free(j->cells);
    peri_free(j->kept);
    peri_free(j);
}

/* `n` bytes of p in the arena; NULL when memory ran out. */
static void *copy(struct peri_arena *a, const void *p, size_t n) {
    void *twin = peri_arena_alloc(a, n);
    if (twin != NULL && n > 0) memcpy(twin, p, n);
    return twin;
}

static bool copy_edits(struct peri_json *f, const struct peri_json *j) {
    f->lists = copy(&f->arena, j->lists, j->list_count * sizeof *j->lists);
    f->pieces = copy(&f->arena, j->pieces, j->piece_count * sizeof *j->pieces);
    f->list_cap = j->list_count;
    f->piece_cap = j->piece_count;
    if (f->lists == NULL || f->pieces == NULL) return false;
    for (uint32_t i = 0; i < f->list_count; i++)
        if (!peri_json_list_copy(f, &f->lists[i])) return false;
    return true;
}

enum peri_err peri_json_fork(struct peri_json **out, const struct peri_json *j) {
    struct peri_json *f = peri_malloc(sizeof *f);
    if (f == NULL) return PERI_ENOMEM;
    *f = *j;
    f->kept = NULL;
    f->cap = j->count + 8;
    peri_list_init(&f->watches);
    peri_arena_init(&f->arena, j->arena.max);
    f->undos = NULL; /* marks of the one are not marks of the other */
    f->undo_count = f->undo_cap = 0;
    f->indexes = NULL;
    f->cells = peri_malloc(f->cap * sizeof *f->cells);
    /* Edits that were rolled back have left their arrays behind, with room in them that is the original's to write to. */
    bool has_arrays = j->list_cap > 0 || j->piece_cap > 0;
    if (f->cells == NULL || (has_arrays && !copy_edits(f, j))) {
        peri_json_free(f);
        return PERI_ENOMEM;
    }
    memcpy(f->cells, j->cells, j->count * sizeof *j->cells);
    *out = f;
    return PERI_OK;
}

void peri_json_watch(struct peri_json *j, struct peri_json_watch *watch) {
    peri_list_insert(&j->watches, &watch->link);
}

struct peri_json_watch *peri_json_watcher(const struct peri_json *j, const void *of,
                                          bool (*is_of)(const struct peri_json_watch *watch,
                                                        const void *of)) {
    for (struct peri_list *at = j->watches.next; at != &j->watches; at = at->next) {
        struct peri_json_watch *w = peri_list_entry(at, struct peri_json_watch, link);
        if (is_of(w, of)) return w;
    }
    return NULL;
}

size_t peri_json_memory(const struct peri_json *j) {
    return sizeof *j + j->cap * sizeof *j->cells + j->arena.used + peri_json_index_memory(j) +
           (j->kept == NULL ? 0 : j->text.n + PERI_JSON_PADDING);
}

uint32_t peri_json_root(const struct peri_json *j) { return j->root; }

bool peri_json_is_live(const struct peri_json *j, uint32_t node) {
    return node < j->count && !(j->cells[node].meta & PERI_JSON_GONE);
}

bool peri_json_is_a(const struct peri_json *j, uint32_t node, enum peri_json_kind kind) {
    return peri_json_is_live(j, node) && peri_json_cell_kind(&j->cells[node]) == kind;
}

uint32_t peri_json_parent(const struct peri_json *j, uint32_t node) {
    return peri_json_is_live(j, node) ? peri_json_cell_parent(&j->cells[node]) : PERI_JSON_NONE;
}

enum peri_json_kind peri_json_kind(const struct peri_json *j, uint32_t node) {
    return peri_json_is_live(j, node) ? peri_json_cell_kind(&j->cells[node]) : PERI_JSON_NULL;
}

const char *peri_json_kind_name(enum peri_json_kind kind) {
    static const char *const names[] = { "null", "boolean", "number", "string", "array", "object" };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "nothing";
}

struct peri_str peri_json_cell_text(const struct peri_json *j, const struct peri_json_cell *c) {
    if (c->start < j->text.n) return (struct peri_str){ j->text.p + c->start, c->end - c->start };
    uint32_t low = 0, high = j->piece_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (j->pieces[middle].base <= c->start)
            low = middle;
        else
            high = middle;
    }
    return (struct peri_str){ j->pieces[low].p + (c->start - j->pieces[low].base),
                              c->end - c->start };
}

struct peri_str peri_json_raw(const struct peri_json *j, uint32_t node) {
    if (!peri_json_is_live(j, node) || j->cells[node].meta & (PERI_JSON_OPEN | PERI_JSON_DIRTY))
        return (struct peri_str){ NULL, 0 };
    return peri_json_cell_text(j, &j->cells[node]);
}

bool peri_json_name_is(const struct peri_json *j, uint32_t name, struct peri_str want) {
    const struct peri_json_cell *c = &j->cells[name];
    size_t n = c->end - c->start - 2;
    bool is_escaped = (c->meta & PERI_JSON_ESCAPED) != 0;
    if (n < want.n || (!is_escaped && n != want.n)) return false;
    struct peri_str raw = peri_json_cell_text(j, c);
    return peri_json_inner_is((struct peri_str){ raw.p + 1, n }, is_escaped, want);
}

size_t peri_json_count(struct peri_json *j, uint32_t container) {
    if (!peri_json_is_live(j, container) || !peri_json_is_container(&j->cells[container])) return 0;
    const struct peri_json_list *list = peri_json_list_of(j, container);
    if (list != NULL) return list->live;
    uint32_t count = peri_json_index_count(j, container);
    if (count != PERI_JSON_NONE) return count;
    bool is_object = peri_json_cell_kind(&j->cells[container]) == PERI_JSON_OBJECT;
    uint32_t end = peri_json_after(j, container);
    count = 0;
    for (uint32_t at = container + 1; at < end; at = peri_json_after(j, at + is_object)) count++;
    peri_json_index_note(j, container, count);
    return count;
}

/* By going through all members on the tape. */
static uint32_t search_tape(struct peri_json *j, uint32_t object, struct peri_str name) {
    uint32_t found = PERI_JSON_NONE, end = peri_json_after(j, object), count = 0;
    for (uint32_t at = object + 1; at < end; at = peri_json_after(j, at + 1), count++)
        if (peri_json_name_is(j, at, name)) found = at + 1;
    peri_json_index_note(j, object, count);
    return found;
}

uint32_t peri_json_get(struct peri_json *j, uint32_t object, struct peri_str name) {
    uint32_t place;
    if (!peri_json_is_a(j, object, PERI_JSON_OBJECT)) return PERI_JSON_NONE;
    const struct peri_json_list *list = peri_json_list_of(j, object);
    if (list == NULL) {
        if (j->indexes == NULL || !peri_json_index_name(j, &place, object, name))
            return search_tape(j, object, name);
        return place == PERI_JSON_NONE ? place : place + 1;
    }
    if (!peri_json_index_name(j, &place, object, name))
        place = peri_json_index_earlier(j, object, list->count, name);
    return place == PERI_JSON_NONE ? place : list->entries[place].value;
}

static uint32_t remember(struct peri_json *j, uint32_t container, size_t rank, uint32_t node) {
    j->cursor.container = container;
    j->cursor.rank = (uint32_t)rank;
    j->cursor.node = node;
    return node;
}

uint32_t peri_json_at(struct peri_json *j, uint32_t array, size_t index) {
    if (!peri_json_is_a(j, array, PERI_JSON_ARRAY)) return PERI_JSON_NONE;
    const struct peri_json_list *list = peri_json_list_of(j, array);
    if (list != NULL) {
        if (index >= list->live) return PERI_JSON_NONE;
        uint32_t place = peri_json_list_place(list, (uint32_t)index);
        return remember(j, array, index, list->entries[place].value);
    }
    uint32_t end = peri_json_after(j, array), at = array + 1;
    size_t i = 0;
    if (j->cursor.container == array && j->cursor.rank <= index) {
        i = j->cursor.rank;
        at = j->cursor.node;
    }
    if (index - i > PERI_JSON_INDEX_MIN && peri_json_index_at(j, &at, array, index))
        return at == PERI_JSON_NONE ? at : remember(j, array, index, at);
    for (; i < index && at < end; i++) at = peri_json_after(j, at);
    return at >= end ? PERI_JSON_NONE : remember(j, array, index, at);
}

struct peri_json_iter peri_json_iter(const struct peri_json *j, uint32_t container) {
    (void)j;
    return (struct peri_json_iter){ container, 0, PERI_JSON_NONE, PERI_JSON_NONE };
}

/* On the tape the last value leads to the next, whatever was looked at in between. Among members places do not shift,
 * so a place is enough to go on from, whatever was edited since; and when the container was opened only now, the list
 * has its children in the order of the tape. */
bool peri_json_next(struct peri_json *j, struct peri_json_iter *it) {
    bool is_object = peri_json_is_a(j, it->container, PERI_JSON_OBJECT);
    if (!is_object && !peri_json_is_a(j, it->container, PERI_JSON_ARRAY)) return false;
    const struct peri_json_list *list = peri_json_list_of(j, it->container);
    if (list == NULL) {
        uint32_t end = peri_json_after(j, it->container), at = it->container + 1;
        bool has_rank = it->place == 0;
        if (it->place > 0) { /* after a rollback the last value may be none, or an edit's */
            if (it->value < at || it->value >= end) return false;
            at = peri_json_after(j, it->value);
            /* and places were counted in a list that had other children */
            has_rank = j->cursor.container == it->container && j->cursor.node == it->value &&
                       j->cursor.rank + 1 == it->place;
        }
        if (at >= end) return false;
        it->name = is_object ? at++ : PERI_JSON_NONE;
        it->value = at;
        if (has_rank) remember(j, it->container, it->place, at);
        it->place++;
        return true;
    }
    for (uint32_t steps = peri_json_list_steps(list); it->place < steps;) {
        const struct peri_json_entry *e = &list->entries[peri_json_list_place(list, it->place++)];
        if (e->value == PERI_JSON_NONE) continue;
        it->name = e->name;
        it->value = remember(j, it->container, it->place - 1, e->value);
        return true;
    }
    return false;
}

static struct peri_str text_of(const struct peri_json *j, uint32_t node, enum peri_json_kind kind) {
    if (!peri_json_is_a(j, node, kind)) return (struct peri_str){ NULL, 0 };
    return peri_json_cell_text(j, &j->cells[node]);
}

struct peri_str peri_json_string(const struct peri_json *j, uint32_t node, struct peri_arena *a) {
    struct peri_str raw = text_of(j, node, PERI_JSON_STRING);
    if (raw.p == NULL) return raw;
    struct peri_str inner = { raw.p + 1, raw.n - 2 };
    if (!(j->cells[node].meta & PERI_JSON_ESCAPED)) return inner;
    char *p = peri_arena_alloc(a, inner.n + 1);
    if (p == NULL) return (struct peri_str){ NULL, 0 };
    return (struct peri_str){ p, peri_json_unescape(p, inner) };
}

struct peri_str peri_json_string_view(struct peri_json *j, uint32_t node) {
    return peri_json_string(j, node, &j->arena);
}

bool peri_json_string_is(const struct peri_json *j, uint32_t node, struct peri_str text) {
    return peri_json_is_a(j, node, PERI_JSON_STRING) && peri_json_name_is(j, node, text);
}

bool peri_json_is_true(const struct peri_json *j, uint32_t node) {
    return text_of(j, node, PERI_JSON_BOOL).n == 4;
}

enum peri_err peri_json_int(int64_t *out, const struct peri_json *j, uint32_t node) {
    return peri_json_raw_int(out, text_of(j, node, PERI_JSON_NUMBER));
}

enum peri_err peri_json_double(double *out, const struct peri_json *j, uint32_t node) {
    return peri_json_raw_double(out, text_of(j, node, PERI_JSON_NUMBER));
}
