/* Following the chain: from a block that is trusted to a later one, with documents of any node.
 *
 * Each block takes its commit and its validators (several pages). When a step to the target is refused because too
 * many validators changed in between, the block half-way is taken first. Nothing is believed before gonka_trust.h has
 * checked it; a node that answers nonsense ends the walk.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_FOLLOW_H
#define PERI_GONKA_CHAIN_GONKA_FOLLOW_H

#include "base/clock.h"
#include "gonka/chain/gonka_trust.h"
#include "net/client/fetch.h"

struct peri_gonka_follow;

struct peri_gonka_pin {
    int64_t height;
    unsigned char hash[32]; /* of the block at that height */
};

struct peri_gonka_walk {
    struct peri_client *client;
    const struct peri_clock *clock;
    struct peri_str base;     /* node's URL without /v1; must stay valid until `done` */
    struct peri_str chain_id; /* the same */
    const struct peri_gonka_trusted *from; /* NULL: begin at the pin. Must stay until `done` */
    struct peri_gonka_pin pin;
    int64_t target; /* height; not below `from` or the pin */
};

/* What came of it, once and last.
 *   trusted   the target block, yours, when err is PERI_OK; NULL when `from` already was at the target
 *   commit    its commit document, good until the callback returns */
typedef void (*peri_gonka_followed)(void *arg, enum peri_err err,
                                    struct peri_gonka_trusted *trusted, struct peri_str commit,
                                    const char *why);

/* gives PERI_OK · PERI_EINVAL · PERI_ENOMEM · PERI_ECRYPTO. `done` never runs before this returns. */
PERI_MUST_USE enum peri_err peri_gonka_follow_start(struct peri_gonka_follow **out,
                                                    const struct peri_gonka_walk *walk,
                                                    peri_gonka_followed done, void *arg,
                                                    struct peri_fault *fault);
/* End it; `done` does not run. Takes NULL. */
void peri_gonka_follow_cancel(struct peri_gonka_follow *f);

#endif
