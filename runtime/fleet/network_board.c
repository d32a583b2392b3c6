#include "fleet/network_board.h"

#include "base/mem.h"

struct peri_network_board *peri_network_board_new(struct peri_network *const *networks,
                                                  size_t count) {
    struct peri_network_board *b = peri_calloc(1, sizeof *b + count * sizeof *b->networks);
    if (b == NULL) return NULL;
    atomic_init(&b->refs, 1);
    b->count = count;
    for (size_t i = 0; i < count; i++) peri_network_status(networks[i], &b->networks[i]);
    return b;
}

void peri_network_board_unref(struct peri_network_board *b) {
    if (b != NULL && atomic_fetch_sub(&b->refs, 1) == 1) peri_free(b);
}

void peri_network_board_put(struct peri_network_board_box *box, struct peri_network_board *b) {
    atomic_fetch_add(&b->refs, 1);
    peri_network_board_unref(atomic_exchange(&box->fresh, b));
}

const struct peri_network_board *peri_network_board_look(struct peri_network_board_box *box) {
    struct peri_network_board *b = atomic_exchange(&box->fresh, NULL);
    if (b != NULL) {
        peri_network_board_unref(box->seen);
        box->seen = b;
    }
    return box->seen;
}

void peri_network_board_done(struct peri_network_board_box *box) {
    peri_network_board_unref(atomic_exchange(&box->fresh, NULL));
    peri_network_board_unref(box->seen);
    box->seen = NULL;
}
