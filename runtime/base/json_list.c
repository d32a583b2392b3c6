#include "base/json_list.h"

#include "base/json_index.h"
#include "base/json_order.h"

/* More than there can be nodes. */
#define COUNT_MAX 32000000u
/* Elements that an edit may move: 3 KiB, as quick to move as a path through the order is to follow. */
#define MOVES_MAX 256

/* What the arena takes at once when it is given less. */
#define BLOCK 65536

void *peri_json_alloc(struct peri_json *j, size_t n) {
    void *p = peri_arena_alloc(&j->arena, n);
    if (p == NULL) j->refused = n < BLOCK ? BLOCK : n;
    return p;
}

enum peri_err peri_json_no_room(const struct peri_json *j) {
    return j->refused > j->arena.max - j->arena.used ? PERI_ETOOBIG : PERI_ENOMEM;
}

bool peri_json_has_room(struct peri_json *j, void **array, uint32_t *cap, uint32_t count,
                        size_t size) {
    if (count < *cap) return true;
    if (count >= COUNT_MAX) return false;
    uint32_t more = *cap == 0 ? 4 : *cap * 2;
    void *p = peri_json_alloc(j, more * size);
    if (p == NULL) return false;
    if (count > 0) memcpy(p, *array, count * size);
    *array = p;
    *cap = more;
    return true;
}

bool peri_json_add_undo(struct peri_json *j, struct peri_json_undo undo) {
    void *undos = j->undos;
    if (!peri_json_has_room(j, &undos, &j->undo_cap, j->undo_count, sizeof *j->undos)) return false;
    j->undos = undos;
    j->undos[j->undo_count++] = undo;
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

struct peri_json_list *peri_json_list_open(struct peri_json *j, uint32_t node) {
    struct peri_json_list *list = peri_json_list_of(j, node);
    if (list != NULL) return list;
    void *lists = j->lists;
    if (!peri_json_has_room(j, &lists, &j->list_cap, j->list_count, sizeof *list)) return NULL;
    j->lists = lists;
    list = &j->lists[j->list_count];
    *list = (struct peri_json_list){ .after = j->cells[node].link };
    bool is_object = peri_json_cell_kind(&j->cells[node]) == PERI_JSON_OBJECT;
    list->cap = (uint32_t)peri_json_count(j, node) + 4;
    list->entries = peri_json_alloc(j, list->cap * sizeof *list->entries);
    if (list->entries == NULL) return NULL;
    if (!peri_json_add_undo(j, (struct peri_json_undo){ PERI_JSON_UNDO_OPEN, .list = node }))
        return NULL;
    for (uint32_t at = node + 1; at < list->after; at = peri_json_after(j, at)) {
        uint32_t name = is_object ? at++ : PERI_JSON_NONE;
        list->entries[list->count++] = (struct peri_json_entry){ name, at, at };
    }
    list->live = list->count;
    peri_json_index_drop(j, node);
    j->cells[node].link = j->list_count++;
    j->cells[node].meta |= PERI_JSON_OPEN;
    j->undos[j->undo_count - 1].value = mark_dirty(j, node);
    j->is_edited = true;
    return list;
}

uint32_t peri_json_list_place(const struct peri_json_list *list, uint32_t step) {
    return list->order == NULL ? step : peri_json_order_find(list->order, step);
}

static uint32_t number_of(const struct peri_json *j, const struct peri_json_list *list) {
    return (uint32_t)(list - j->lists);
}

bool peri_json_list_change(struct peri_json *j, struct peri_json_list *list, uint32_t place,
                           uint32_t value) {
    struct peri_json_entry *e = &list->entries[place];
    const struct peri_json_undo undo = { PERI_JSON_UNDO_CHANGE, .list = number_of(j, list),
                                         .index = place, .value = e->value };
    if (!peri_json_add_undo(j, undo)) return false;
    peri_json_set_gone(j, e->value, true);
    e->value = value;
    if (value != PERI_JSON_NONE) return true;
    peri_json_set_gone(j, e->name, true);
    list->live--;
    return true;
}

/* Get ready for an edit in front of so many elements. */
static bool has_order(struct peri_json *j, struct peri_json_list *list, uint32_t moves) {
    if (list->order != NULL || moves <= MOVES_MAX) return true;
    struct peri_json_order *o = peri_json_alloc(j, sizeof *o);
    uint32_t cap = list->count + list->count / 2;
    struct peri_json_entry *entries = peri_json_alloc(j, cap * sizeof *entries);
    if (o == NULL || entries == NULL) return false;
    o->nodes = peri_json_alloc(j, cap * sizeof *o->nodes);
    const struct peri_json_undo undo = { PERI_JSON_UNDO_ORDER, .list = number_of(j, list) };
    if (o->nodes == NULL || !peri_json_add_undo(j, undo)) return false;
    memcpy(entries, list->entries, list->count * sizeof *entries);
    *o = (struct peri_json_order){ .nodes = o->nodes,
                                   .cap = cap,
                                   .flat = list->entries,
                                   .flat_count = list->count,
                                   .flat_cap = list->cap };
    peri_json_order_fill(o, list->count);
    list->cap = cap;
    list->entries = entries;
    list->order = o;
    return true;
}

static bool has_entry(struct peri_json *j, struct peri_json_list *list) {
    void *entries = list->entries, *nodes = list->order == NULL ? NULL : list->order->nodes;
    if (!peri_json_has_room(j, &entries, &list->cap, list->count, sizeof *list->entries))
        return false;
    list->entries = entries;
    if (list->order == NULL) return true;
    if (!peri_json_has_room(j, &nodes, &list->order->cap, list->count, sizeof *list->order->nodes))
        return false;
    list->order->nodes = nodes;
    return true;
}

bool peri_json_list_insert(struct peri_json *j, struct peri_json_list *list, uint32_t rank,
                           uint32_t name, uint32_t value) {
    const struct peri_json_undo undo = { PERI_JSON_UNDO_INSERT, .list = number_of(j, list),
                                         .index = rank };
    if (name == PERI_JSON_NONE && !has_order(j, list, list->count - rank)) return false;
    if (!has_entry(j, list) || !peri_json_add_undo(j, undo)) return false;
    uint32_t place = list->order == NULL ? rank : list->count;
    struct peri_json_entry *e = &list->entries[place];
    if (list->order != NULL)
        peri_json_order_insert(list->order, rank, place);
    else
        memmove(e + 1, e, (list->count - rank) * sizeof *e);
    *e = (struct peri_json_entry){ name, value, PERI_JSON_NONE };
    list->count++;
    list->live++;
    return true;
}

bool peri_json_list_remove(struct peri_json *j, struct peri_json_list *list, uint32_t rank) {
    if (!has_order(j, list, list->live - rank)) return false;
    uint32_t place = peri_json_list_place(list, rank);
    struct peri_json_entry *e = &list->entries[place];
    const struct peri_json_undo undo = { PERI_JSON_UNDO_REMOVE, .list = number_of(j, list),
                                         .index = rank, .value = e->value,
                                         .slot = list->order == NULL ? e->slot : place };
    if (!peri_json_add_undo(j, undo)) return false;
    peri_json_set_gone(j, e->value, true);
    if (list->order != NULL) {
        peri_json_order_remove(list->order, rank);
        e->value = PERI_JSON_NONE;
    } else {
        list->count--;
        memmove(e, e + 1, (list->count - rank) * sizeof *e);
    }
    list->live--;
    return true;
}

/* `n` bytes of p in the arena; NULL when memory ran out. */
static void *copy(struct peri_json *j, const void *p, size_t n) {
    void *twin = peri_json_alloc(j, n);
    if (twin != NULL && n > 0) memcpy(twin, p, n);
    return twin;
}

bool peri_json_list_copy(struct peri_json *j, struct peri_json_list *list) {
    list->cap = list->count;
    list->entries = copy(j, list->entries, list->count * sizeof *list->entries);
    if (list->entries == NULL || list->order == NULL) return list->entries != NULL;
    struct peri_json_order *o = list->order = copy(j, list->order, sizeof *list->order);
    if (o == NULL) return false;
    o->cap = list->count;
    o->nodes = copy(j, o->nodes, list->count * sizeof *o->nodes);
    o->flat = NULL; /* the copy has no way back */
    return o->nodes != NULL;
}
