/* Savepoints. The journal has one record for each change of a list or of the root, written before the change is made;
 * a mark is a place in it. Undoing goes backwards, so that each record finds the lists exactly as its change left
 * them: positions are enough, and nothing has to be allocated. */
#include "base/err.h"
#include "base/json_edit.h"
#include "base/json_index.h"
#include "base/json_list.h"
#include "base/json_order.h"

struct peri_json_mark peri_json_mark(const struct peri_json *j) {
    return (struct peri_json_mark){
        .undos = j->undo_count, .nodes = j->count, .flags = j->flags, .is_edited = j->is_edited
    };
}

/* What is inside a container that is open stands where its list says; everything else is one range of the tape, in
 * which nothing was removed before. */
void peri_json_set_gone(struct peri_json *j, uint32_t node, bool is_gone) {
    uint32_t end = peri_json_after(j, node);
    for (uint32_t at = node; at < end;) {
        uint32_t *meta = &j->cells[at].meta;
        *meta = is_gone ? *meta | PERI_JSON_GONE : *meta & ~PERI_JSON_GONE;
        const struct peri_json_list *list =
            peri_json_is_container(&j->cells[at]) ? peri_json_list_of(j, at) : NULL;
        if (list == NULL) {
            at++;
            continue;
        }
        for (uint32_t i = 0; i < list->count; i++) {
            struct peri_json_entry e = list->entries[i];
            if (e.value == PERI_JSON_NONE) continue;
            if (e.name != PERI_JSON_NONE) peri_json_set_gone(j, e.name, is_gone);
            peri_json_set_gone(j, e.value, is_gone);
        }
        at = list->after;
    }
    j->cursor.container = PERI_JSON_NONE;
}

static void undo_open(struct peri_json *j, const struct peri_json_undo *u) {
    uint32_t node = u->list;
    j->cells[node].link = peri_json_after(j, node);
    j->cells[node].meta &= ~PERI_JSON_OPEN;
    for (; node != u->value; node = peri_json_cell_parent(&j->cells[node]))
        j->cells[node].meta &= ~PERI_JSON_DIRTY;
    j->list_count--;
}

/* The old value comes back, to a member that was removed with its name. */
static void undo_change(struct peri_json *j, const struct peri_json_undo *u) {
    struct peri_json_list *list = &j->lists[u->list];
    struct peri_json_entry *e = &list->entries[u->index];
    if (e->value == PERI_JSON_NONE) {
        list->live++;
        peri_json_set_gone(j, e->name, false);
    }
    e->value = u->value;
    peri_json_set_gone(j, e->value, false);
}

static void undo_insert(struct peri_json *j, const struct peri_json_undo *u) {
    struct peri_json_list *list = &j->lists[u->list];
    struct peri_json_entry *e = &list->entries[u->index];
    list->count--;
    list->live--;
    if (list->order != NULL)
        peri_json_order_remove(list->order, u->index); /* its place was the last */
    else
        memmove(e, e + 1, (list->count - u->index) * sizeof *e);
}

static void undo_remove(struct peri_json *j, const struct peri_json_undo *u) {
    struct peri_json_list *list = &j->lists[u->list];
    struct peri_json_entry *e = &list->entries[u->index];
    list->live++;
    if (list->order != NULL) {
        peri_json_order_insert(list->order, u->index, u->slot);
        list->entries[u->slot].value = u->value;
    } else {
        memmove(e + 1, e, (list->count - u->index) * sizeof *e);
        *e = (struct peri_json_entry){ PERI_JSON_NONE, u->value, u->slot };
        list->count++;
    }
    peri_json_set_gone(j, u->value, false);
}

static void undo_order(struct peri_json *j, const struct peri_json_undo *u) {
    struct peri_json_list *list = &j->lists[u->list];
    list->entries = list->order->flat;
    list->count = list->order->flat_count;
    list->cap = list->order->flat_cap;
    list->order = NULL;
}

static void undo_root(struct peri_json *j, const struct peri_json_undo *u) {
    j->root = u->value;
    peri_json_set_gone(j, j->root, false);
}

void peri_json_rollback(struct peri_json *j, struct peri_json_mark mark) {
    if (mark.undos > j->undo_count || mark.nodes > j->count)
        peri_bug("marks are rolled back last first, in the document they were made in");
    while (j->undo_count > mark.undos) {
        const struct peri_json_undo *u = &j->undos[--j->undo_count];
        switch (u->what) {
        case PERI_JSON_UNDO_OPEN: undo_open(j, u); break;
        case PERI_JSON_UNDO_CHANGE: undo_change(j, u); break;
        case PERI_JSON_UNDO_INSERT: undo_insert(j, u); break;
        case PERI_JSON_UNDO_REMOVE: undo_remove(j, u); break;
        case PERI_JSON_UNDO_ORDER: undo_order(j, u); break;
        case PERI_JSON_UNDO_ROOT: undo_root(j, u); break;
        }
    }
    peri_json_index_done(j);
    for (uint32_t at = mark.nodes; at < j->count; at++) j->cells[at].meta |= PERI_JSON_GONE;
    j->flags = mark.flags;
    j->is_edited = mark.is_edited;
    j->cursor.container = PERI_JSON_NONE;
}
