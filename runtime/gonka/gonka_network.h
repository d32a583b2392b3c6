/* The Gonka network as a source of providers: its wallets, its hosts of the present epoch, and the refresh that keeps
 * them true.
 *
 * The control thread owns everything here that changes: sources are asked in order, the answer is judged
 * (gonka_set.h), and when it differs from the current set a new snapshot of the fleet is published. What failed leaves
 * the last good set current, on disk too when there is a place for it. Workers read only what a provider of the fleet
 * points to: the wallets, and the host's address.
 *
 * States of a refresh: idle → phase (…/epochs/latest) → clock (only when the answer's time is far from ours: the newest
 * block's time must bear it out before signatures follow it, gonka_skew.h) → participants
 * (…/epochs/current/participants) → commit (only with proofs) → params (the chain's allow-list) → identity (not with
 * proofs: whom the source has called in its place) → preserved (only while proofs are computed: who goes on serving) →
 * idle. The steps from participants to identity are left out while the epoch is the current one, except now and then. A
 * failure on the way ends it, and the next source's turn comes after a pause that doubles up to the refresh interval;
 * clock, params, identity and preserved may fail, what is known without them holds then. So may phase, unless it is
 * not answered in time and there is another source.
 */
#ifndef PERI_GONKA_GONKA_NETWORK_H
#define PERI_GONKA_GONKA_NETWORK_H

#include "fleet/network.h"

extern const struct peri_network_ops peri_gonka_network_ops;

#endif
