/* A validator set to trust, and how that trust follows the chain.
 *
 * Gonka's validators change every epoch, so a set that was pinned yesterday signs nothing today. Trust starts at a
 * block whose hash the operator pins and moves from there as CometBFT's light client moves it ("skipping"): a later
 * block is believed when more than a third of the trusted power signed it, and more than two thirds of its own set,
 * whose hash its header carries. More than a third of the old power can not all be dishonest while its stake is
 * locked; so a step may span no more than the trusting period. When the sets have changed too much for one step, a
 * block in between is taken first.
 *
 * The documents are those of `/chain-rpc/commit?height=N` and `/chain-rpc/validators?height=N&per_page=100&page=P`,
 * from any node: nothing in them is believed before it is checked.
 *
 * Source: CometBFT spec/light-client/verification, light/verifier.go.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_TRUST_H
#define PERI_GONKA_CHAIN_GONKA_TRUST_H

#include "gonka/chain/comet.h"

/* Two weeks: two thirds of the three weeks stake stays locked on Cosmos chains by default. */
#define PERI_GONKA_TRUSTING_S INT64_C(1209600)

struct peri_gonka_trusted {
    struct peri_arena arena; /* holds all below */
    struct peri_str chain_id;
    int64_t height;
    struct peri_comet_time time; /* of the block */
    unsigned char block_hash[32];
    struct peri_comet_validators validators; /* the block's own set */
    struct peri_comet_tally own,
        old; /* who signed it: of its own set, and of the set trusted before */
};

/* A block as it comes from a node. */
struct peri_gonka_block {
    struct peri_str commit;            /* one document */
    const struct peri_str *validators; /* one document a page, in order; at most 100 */
    size_t page_count;
};

/* Begin at a block whose hash is pinned.
 *
 *   out      yours, release with peri_gonka_trusted_free
 *   gives    PERI_OK · PERI_EDENIED something does not hold (fault says what) · PERI_EMALFORMED · PERI_ETOOBIG ·
 *            PERI_ENOMEM · PERI_ECRYPTO; the same below */
PERI_MUST_USE enum peri_err
peri_gonka_trusted_start(struct peri_gonka_trusted **out, struct peri_hasher *h,
                         const struct peri_gonka_block *block, struct peri_str chain_id,
                         const unsigned char block_hash[32], struct peri_fault *fault);

/* Go on to a later block. `from` stays as it is, and stays yours.
 *
 *   now_s      wall clock, seconds since 1970
 *   gives      PERI_EDENIED too when `from` is older than `trusting_s` at `now_s`, when the block is not later, or more
 *              than a minute ahead of now_s */
PERI_MUST_USE enum peri_err
peri_gonka_trusted_step(struct peri_gonka_trusted **out, struct peri_hasher *h,
                        const struct peri_gonka_trusted *from, const struct peri_gonka_block *block,
                        int64_t now_s, int64_t trusting_s, struct peri_fault *fault);

/* Takes NULL. */
void peri_gonka_trusted_free(struct peri_gonka_trusted *t);

#endif
