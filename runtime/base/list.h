/* Doubly linked rings through a member of the things they hold: no allocation, removal without a search. */
#ifndef PERI_BASE_LIST_H
#define PERI_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct peri_list {
    struct peri_list *prev, *next;
};

#define peri_list_entry(link, type, member)                                                        \
    ((type *)(void *)((char *)(link)-offsetof(type, member)))
/* `at` may be removed inside the loop; `spare` is a second cursor of the same type. */
#define peri_list_each(at, spare, head)                                                            \
    for ((at) = (head)->next, (spare) = (at)->next; (at) != (head);                                \
         (at) = (spare), (spare) = (at)->next)

static inline void peri_list_init(struct peri_list *l) { l->prev = l->next = l; }
static inline bool peri_list_is_empty(const struct peri_list *head) { return head->next == head; }

/* Before `place`: at the end, when that is the head. */
static inline void peri_list_insert(struct peri_list *place, struct peri_list *l) {
    l->prev = place->prev;
    l->next = place;
    place->prev->next = l;
    place->prev = l;
}

/* Safe on a link that is in no list, provided it was initialised. */
static inline void peri_list_remove(struct peri_list *l) {
    l->prev->next = l->next;
    l->next->prev = l->prev;
    peri_list_init(l);
}

#endif
