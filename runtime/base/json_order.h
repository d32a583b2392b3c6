/* The order of the elements of a long array that is edited in its middle: private to the files json_*.c.
 *
 * A binary tree over the places of a list. Each node knows how many are below it, so an element is found, put in and
 * taken out by its rank, in steps that grow with the logarithm of the length. It is balanced by chance (randomized
 * binary search trees, Martinez and Roura 1998), which needs neither rotations nor recursion, and putting back what was
 * taken out needs no memory.
 */
#ifndef PERI_BASE_JSON_ORDER_H
#define PERI_BASE_JSON_ORDER_H

#include "base/json_tape.h"

struct peri_json_order_node {
    uint32_t left, right; /* places; PERI_JSON_NONE */
    uint32_t size;        /* this one and all below */
};

struct peri_json_order {
    struct peri_json_order_node *nodes; /* one a place */
    uint32_t cap, root;
    uint64_t chance;
    /* the entries before they had an order, for the way back */
    struct peri_json_entry *flat;
    uint32_t flat_count, flat_cap;
};

/* Places 0 to count - 1, in this order. */
void peri_json_order_fill(struct peri_json_order *o, uint32_t count);
uint32_t peri_json_order_find(const struct peri_json_order *o, uint32_t rank);
void peri_json_order_insert(struct peri_json_order *o, uint32_t rank, uint32_t place);
/* gives   the place that stood there */
uint32_t peri_json_order_remove(struct peri_json_order *o, uint32_t rank);

#endif
