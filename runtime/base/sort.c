#include "base/sort.h"

#include <string.h>

/* Runs of this length are sorted by insertion. */
#define RUN 8

static void insert_all(char *items, size_t count, size_t size, char *spare,
                       int (*compare)(const void *, const void *)) {
    for (size_t i = 1; i < count; i++) {
        size_t at = i;
        while (at > 0 && compare(items + (at - 1) * size, items + i * size) > 0) at--;
        if (at == i) continue;
        memcpy(spare, items + i * size, size);
        memmove(items + (at + 1) * size, items + at * size, (i - at) * size);
        memcpy(items + at * size, spare, size);
    }
}

void peri_sort(void *items, void *room, size_t count, size_t size,
               int (*compare)(const void *, const void *), struct peri_pace *pace) {
    char *from = items, *to = room;
    for (size_t i = 0; i < count; i += RUN) {
        insert_all(from + i * size, count - i < RUN ? count - i : RUN, size, to, compare);
        peri_pace_add(pace, RUN);
    }
    for (size_t run = RUN; run < count; run *= 2) {
        for (size_t low = 0; low < count; low += 2 * run) {
            size_t middle = low + run < count ? low + run : count;
            size_t high = low + 2 * run < count ? low + 2 * run : count;
            size_t left = low, right = middle;
            for (size_t k = low; k < high; k++) {
                peri_pace_add(pace, 1);
                size_t next = right == high || (left < middle && compare(from + left * size,
                                                                         from + right * size) <= 0)
                                  ? left++
                                  : right++;
                memcpy(to + k * size, from + next * size, size);
            }
        }
        char *other = from;
        from = to;
        to = other;
    }
    if (from != items) memcpy(items, from, count * size);
}
