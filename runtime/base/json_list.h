/* The children of open containers: private to the files json_*.c.
 *
 * Entries have a *place*, their number in the array of entries, and children have a *rank*, how many stand before
 * them. Members keep their places, and their order is that of the places. Elements move, so that place and rank are the
 * same; where that would move many of them, the list gets an order of its own first (json_order.h), and elements keep
 * their places from then on, too. Every change leaves its undo in the journal.
 */
#ifndef PERI_BASE_JSON_LIST_H
#define PERI_BASE_JSON_LIST_H

#include "base/json_tape.h"

/* The list of a container, made from the tape when it is not open yet; NULL when memory ran out. */
struct peri_json_list *peri_json_list_open(struct peri_json *j, uint32_t node);

/* Another value for an entry, or PERI_JSON_NONE: then a member goes with its name.
 *   gives   false, nothing changed, when memory ran out; as the functions below */
bool peri_json_list_change(struct peri_json *j, struct peri_json_list *list, uint32_t place,
                           uint32_t value);
/* A child at a rank; a member only behind all others. */
bool peri_json_list_insert(struct peri_json *j, struct peri_json_list *list, uint32_t rank,
                           uint32_t name, uint32_t value);
/* The element of a rank. */
bool peri_json_list_remove(struct peri_json *j, struct peri_json_list *list, uint32_t rank);

/* Write down how to take back the change that is made next. */
bool peri_json_add_undo(struct peri_json *j, struct peri_json_undo undo);

/* A list is copied with `list->entries` and `list->order` of the original into the arena of j. */
bool peri_json_list_copy(struct peri_json *j, struct peri_json_list *list);

/* Steps of a loop over all children: ranks where there is an order, else places, of which some may be empty. */
static inline uint32_t peri_json_list_steps(const struct peri_json_list *list) {
    return list->order != NULL ? list->live : list->count;
}
/* The place of a step; a valid rank of an array is one, too. */
uint32_t peri_json_list_place(const struct peri_json_list *list, uint32_t step);

/* Bytes of the arena. NULL: peri_json_no_room says why. */
void *peri_json_alloc(struct peri_json *j, size_t n);
enum peri_err peri_json_no_room(const struct peri_json *j);

/* Room for one more in an array of the arena: it doubles, what it outgrows stays behind. */
bool peri_json_has_room(struct peri_json *j, void **array, uint32_t *cap, uint32_t count,
                        size_t size);

#endif
