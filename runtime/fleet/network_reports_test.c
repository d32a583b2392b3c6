#include "fleet/network_reports.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/test.h"

static struct peri_network_reports *reports_of(uint64_t epoch) {
    struct peri_network_reports *b = peri_calloc(1, sizeof *b + sizeof *b->networks);
    if (b == NULL) abort();
    atomic_init(&b->refs, 1);
    b->count = 1;
    b->networks[0].epoch = epoch;
    return b;
}

static void put_reports(struct peri_network_inbox *inbox, uint64_t epoch) {
    struct peri_network_reports *b = reports_of(epoch);
    peri_network_inbox_put(inbox, b);
    peri_network_reports_unref(b);
}

TEST(an_inbox_shows_the_newest_reports_and_keeps_them) {
    struct peri_network_inbox inbox = { .seen = NULL };
    CHECK(peri_network_inbox_read(&inbox) == NULL);
    put_reports(&inbox, 1);
    put_reports(&inbox, 2);
    CHECK_EQ(peri_network_inbox_read(&inbox)->networks[0].epoch, 2);
    CHECK_EQ(peri_network_inbox_read(&inbox)->networks[0].epoch, 2);
    put_reports(&inbox, 3);
    CHECK_EQ(inbox.seen->networks[0].epoch, 2); /* until it looks */
    CHECK_EQ(peri_network_inbox_read(&inbox)->networks[0].epoch, 3);
    put_reports(&inbox, 4);
    peri_network_inbox_done(
        &inbox); /* what was not looked at goes, too: the leak checker says so */
}

#define INBOXES 3
#define REPORTS 20000

struct reader {
    struct peri_network_inbox inbox;
    pthread_t thread;
};

/* Never an older one after a newer one. */
static void *look_until_last(void *arg) {
    struct reader *r = arg;
    uint64_t last = 0;
    while (last < REPORTS) {
        const struct peri_network_reports *b = peri_network_inbox_read(&r->inbox);
        if (b == NULL) continue;
        if (b->networks[0].epoch < last) return arg;
        last = b->networks[0].epoch;
    }
    return NULL;
}

TEST(reports_reach_every_thread_in_order_and_are_freed_once) {
    struct reader readers[INBOXES] = { { .thread = 0 } };
    for (int i = 0; i < INBOXES; i++)
        if (pthread_create(&readers[i].thread, NULL, look_until_last, &readers[i]) != 0) abort();
    for (uint64_t epoch = 1; epoch <= REPORTS; epoch++) {
        struct peri_network_reports *b = reports_of(epoch);
        for (int i = 0; i < INBOXES; i++) peri_network_inbox_put(&readers[i].inbox, b);
        peri_network_reports_unref(b);
    }
    for (int i = 0; i < INBOXES; i++) {
        void *went_back;
        pthread_join(readers[i].thread, &went_back);
        CHECK(went_back == NULL);
        peri_network_inbox_done(&readers[i].inbox);
    }
}
