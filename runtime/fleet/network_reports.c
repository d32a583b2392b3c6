#include "fleet/network_reports.h"

#include "base/mem.h"

struct peri_network_reports *peri_network_reports_new(struct peri_network *const *networks,
                                                      size_t count) {
    struct peri_network_reports *r = peri_calloc(1, sizeof *r + count * sizeof *r->networks);
    if (r == NULL) return NULL;
    atomic_init(&r->refs, 1);
    r->count = count;
    for (size_t i = 0; i < count; i++) peri_network_status(networks[i], &r->networks[i]);
    return r;
}

void peri_network_reports_unref(struct peri_network_reports *r) {
    if (r != NULL && atomic_fetch_sub(&r->refs, 1) == 1) peri_free(r);
}

void peri_network_inbox_put(struct peri_network_inbox *inbox, struct peri_network_reports *r) {
    atomic_fetch_add(&r->refs, 1);
    peri_network_reports_unref(atomic_exchange(&inbox->fresh, r));
}

const struct peri_network_reports *peri_network_inbox_read(struct peri_network_inbox *inbox) {
    struct peri_network_reports *r = atomic_exchange(&inbox->fresh, NULL);
    if (r != NULL) {
        peri_network_reports_unref(inbox->seen);
        inbox->seen = r;
    }
    return inbox->seen;
}

void peri_network_inbox_done(struct peri_network_inbox *inbox) {
    peri_network_reports_unref(atomic_exchange(&inbox->fresh, NULL));
    peri_network_reports_unref(inbox->seen);
    inbox->seen = NULL;
}
