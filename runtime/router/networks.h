/* The kinds of networks there are, by the word of the configuration. */
#ifndef PERI_ROUTER_NETWORKS_H
#define PERI_ROUTER_NETWORKS_H

#include "fleet/network.h"

/* NULL: the name is empty, or no kind of that name is built in. */
const struct peri_network_ops *peri_networks_find(struct peri_str network);

#endif
