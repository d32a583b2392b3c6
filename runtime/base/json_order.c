#include "base/json_order.h"

static uint32_t size_of(const struct peri_json_order *o, uint32_t place) {
    return place == PERI_JSON_NONE ? 0 : o->nodes[place].size;
}

/* An even number below `bound` (xorshift64*, Marsaglia 2003). */
static uint32_t draw(struct peri_json_order *o, uint32_t bound) {
    o->chance ^= o->chance >> 12;
    o->chance ^= o->chance << 25;
    o->chance ^= o->chance >> 27;
    return (uint32_t)(((o->chance * 2685821657736338717u) >> 32) * bound >> 32);
}

static uint32_t fill(struct peri_json_order *o, uint32_t low, uint32_t high) {
    if (low == high) return PERI_JSON_NONE;
    uint32_t middle = low + (high - low) / 2;
    o->nodes[middle] = (struct peri_json_order_node){ fill(o, low, middle),
                                                      fill(o, middle + 1, high), high - low };
    return middle;
}

void peri_json_order_fill(struct peri_json_order *o, uint32_t count) {
    o->chance = 0x9E3779B97F4A7C15u;
    o->root = fill(o, 0, count);
}

uint32_t peri_json_order_find(const struct peri_json_order *o, uint32_t rank) {
    for (uint32_t at = o->root;;) {
        uint32_t before = size_of(o, o->nodes[at].left);
        if (rank == before) return at;
        if (rank < before) {
            at = o->nodes[at].left;
        } else {
            at = o->nodes[at].right;
            rank -= before + 1;
        }
    }
}

/* Two trees of one: the first `rank` nodes, and the others. */
static void split(struct peri_json_order *o, uint32_t at, uint32_t rank, uint32_t *left,
                  uint32_t *right) {
    while (at != PERI_JSON_NONE) {
        struct peri_json_order_node *n = &o->nodes[at];
        uint32_t before = size_of(o, n->left);
        if (rank <= before) { /* it and all behind it are among the others */
            n->size -= rank;
            *right = at;
            right = &n->left;
            at = n->left;
        } else {
            n->size = rank;
            *left = at;
            left = &n->right;
            at = n->right;
            rank -= before + 1;
        }
    }
    *left = *right = PERI_JSON_NONE;
}

/* One tree of two that follow each other; chosen as if one of all nodes had been drawn for the root. */
static uint32_t join(struct peri_json_order *o, uint32_t left, uint32_t right) {
    uint32_t root, *link = &root;
    while (left != PERI_JSON_NONE && right != PERI_JSON_NONE) {
        struct peri_json_order_node *l = &o->nodes[left], *r = &o->nodes[right];
        uint32_t size = l->size + r->size;
        if (draw(o, size) < l->size) {
            l->size = size;
            *link = left;
            link = &l->right;
            left = l->right;
        } else {
            r->size = size;
            *link = right;
            link = &r->left;
            right = r->left;
        }
    }
    *link = left != PERI_JSON_NONE ? left : right;
    return root;
}

void peri_json_order_insert(struct peri_json_order *o, uint32_t rank, uint32_t place) {
    uint32_t *link = &o->root;
    while (*link != PERI_JSON_NONE) {
        struct peri_json_order_node *n = &o->nodes[*link];
        if (draw(o, n->size + 1) == 0) break;
        uint32_t before = size_of(o, n->left);
        n->size++;
        if (rank <= before) {
            link = &n->left;
        } else {
            link = &n->right;
            rank -= before + 1;
        }
    }
    struct peri_json_order_node *mine = &o->nodes[place];
    uint32_t below = *link;
    mine->size = size_of(o, below) + 1;
    split(o, below, rank, &mine->left, &mine->right);
    *link = place;
}

uint32_t peri_json_order_remove(struct peri_json_order *o, uint32_t rank) {
    uint32_t *link = &o->root;
    for (;;) {
        struct peri_json_order_node *n = &o->nodes[*link];
        uint32_t before = size_of(o, n->left);
        if (rank == before) break;
        n->size--;
        if (rank < before) {
            link = &n->left;
        } else {
            link = &n->right;
            rank -= before + 1;
        }
    }
    uint32_t place = *link;
    *link = join(o, o->nodes[place].left, o->nodes[place].right);
    return place;
}
