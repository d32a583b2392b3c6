/* A stable sort that can be watched while it works, and left: it holds nothing. */
#ifndef PERI_BASE_SORT_H
#define PERI_BASE_SORT_H

#include <stddef.h>

/* Told of work while it is done, each time some thousand units (comparisons, values, 32 bytes of text) came together. It
 * may leave by longjmp: the function that takes a pace says what has to be freed then. */
struct peri_pace {
    void (*on_work)(struct peri_pace *pace, size_t units);
    size_t units; /* not told yet */
};

#define PERI_PACE_UNITS 4096

/* `pace` may be NULL. */
static inline void peri_pace_add(struct peri_pace *pace, size_t units) {
    if (pace == NULL || (pace->units += units) < PERI_PACE_UNITS) return;
    units = pace->units;
    pace->units = 0;
    pace->on_work(pace, units);
}

/* Merge sort.
 *   room     as large as the items
 *   compare  as for qsort
 *   pace     may leave; then the items are in no order */
void peri_sort(void *items, void *room, size_t count, size_t size,
               int (*compare)(const void *, const void *), struct peri_pace *pace);

#endif
