#include "fleet/network_board.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/test.h"

static struct peri_network_board *board_of(uint64_t epoch) {
    struct peri_network_board *b = peri_calloc(1, sizeof *b + sizeof *b->networks);
    if (b == NULL) abort();
    atomic_init(&b->refs, 1);
    b->count = 1;
    b->networks[0].epoch = epoch;
    return b;
}

static void put(struct peri_network_board_box *box, uint64_t epoch) {
    struct peri_network_board *b = board_of(epoch);
    peri_network_board_put(box, b);
    peri_network_board_unref(b);
}

TEST(a_board_box_shows_the_newest_and_keeps_showing_it) {
    struct peri_network_board_box box = { .seen = NULL };
    CHECK(peri_network_board_look(&box) == NULL);
    put(&box, 1);
    put(&box, 2);
    CHECK_EQ(peri_network_board_look(&box)->networks[0].epoch, 2);
    CHECK_EQ(peri_network_board_look(&box)->networks[0].epoch, 2);
    put(&box, 3);
    CHECK_EQ(box.seen->networks[0].epoch, 2); /* until it looks */
    CHECK_EQ(peri_network_board_look(&box)->networks[0].epoch, 3);
    put(&box, 4);
    peri_network_board_done(&box); /* what was not looked at goes, too: the leak checker says so */
}

#define BOXES  3
#define BOARDS 20000

struct reader {
    struct peri_network_board_box box;
    pthread_t thread;
};

/* Never an older one after a newer one. */
static void *look_until_last(void *arg) {
    struct reader *r = arg;
    uint64_t last = 0;
    while (last < BOARDS) {
        const struct peri_network_board *b = peri_network_board_look(&r->box);
        if (b == NULL) continue;
        if (b->networks[0].epoch < last) return arg;
        last = b->networks[0].epoch;
    }
    return NULL;
}

TEST(boards_reach_every_thread_in_order_and_are_freed_once) {
    struct reader readers[BOXES] = { { .thread = 0 } };
    for (int i = 0; i < BOXES; i++)
        if (pthread_create(&readers[i].thread, NULL, look_until_last, &readers[i]) != 0) abort();
    for (uint64_t epoch = 1; epoch <= BOARDS; epoch++) {
        struct peri_network_board *b = board_of(epoch);
        for (int i = 0; i < BOXES; i++) peri_network_board_put(&readers[i].box, b);
        peri_network_board_unref(b);
    }
    for (int i = 0; i < BOXES; i++) {
        void *went_back;
        pthread_join(readers[i].thread, &went_back);
        CHECK(went_back == NULL);
        peri_network_board_done(&readers[i].box);
    }
}
