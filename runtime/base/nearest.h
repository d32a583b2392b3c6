/* The name that somebody may have meant: "did you mean". Offer the names there are, one after the other; of names at the
 * same distance the first is kept. Distances are those of peri_str_distance.
 */
#ifndef PERI_BASE_NEAREST_H
#define PERI_BASE_NEAREST_H

#include "base/str.h"

struct peri_nearest {
    struct peri_str word;
    unsigned limit;
    const char *name;  /* the nearest so far; NULL: none within the limit */
    unsigned distance; /* its own; limit + 1 without one */
};

static inline struct peri_nearest peri_nearest_to(struct peri_str word, unsigned limit) {
    return (struct peri_nearest){ word, limit, NULL, limit + 1 };
}

/*   name    borrowed for as long as `n` is used
 *   gives   whether it is the nearest so far */
static inline bool peri_nearest_offer(struct peri_nearest *n, const char *name) {
    unsigned distance = peri_str_distance(n->word, peri_str_of(name), n->limit);
    if (distance >= n->distance) return false;
    n->name = name;
    n->distance = distance;
    return true;
}

#endif
