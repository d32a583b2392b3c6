#include "router/networks.h"

#include "gonka/gonka_network.h"

/* Another kind of network is one more line here. */
static const struct peri_network_ops *const kinds[] = { &peri_gonka_network_ops };

const struct peri_network_ops *peri_networks_find(struct peri_str network) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (peri_str_eq(peri_str_of(kinds[i]->name), network)) return kinds[i];
    return NULL;
}
