/* Proof that a set of participants is the chain's own.
 *
 * A node's answer carries, beside readable JSON, the record as the chain stores it, a proof that leads from the
 * record to an app hash, and the block whose header carries that hash. None of it binds anybody unless the
 * header is bound to the chain; a node that lies can make all of it. So here every link must hold, and the last one is
 * linked to something the operator trusts:
 *
 *   record -(iavl proof)-> store "inference" -(simple proof)-> app hash -> header of block created + 1
 *     -> either a pinned hash of that block,
 *        or a commit of that block, signed by more than two thirds of a trusted validator set
 *
 * The block in the answer holds the commit of the block before it; those signatures do not cover the app hash
 * and are no substitute. A commit of the right block comes from any node's `/chain-rpc/commit?height=N`. The set
 * that is returned is decoded from the proven bytes, never from the readable JSON. What is missing or unknown
 * refuses the proof.
 *
 * Source: gonka-ai/gonka decentralized-api merkleproof; cosmos/ics23; CometBFT light client specification.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_PROOF_H
#define PERI_GONKA_CHAIN_GONKA_PROOF_H

#include "gonka/chain/comet.h"
#include "gonka/chain/gonka_set.h"
#include "gonka/chain/ics23.h"

struct peri_gonka_trust {
    struct peri_str chain_id; /* empty: "gonka-mainnet" */
    uint64_t epoch;           /* the epoch asked for; 0: whichever the record says */
    bool has_block_hash;
    unsigned char block_hash[32]; /* pinned: the hash of block created + 1 */
    /* Trusted set, whose hash the header must carry and whose commit must cover the header. count 0: none. */
    struct peri_comet_validators validators;
    /* JSON of `/chain-rpc/commit?height=N` for block created + 1, from wherever; may be empty. */
    struct peri_str commit;
};

struct peri_gonka_proof_report {
    uint64_t epoch;
    int64_t height; /* of the block whose header carries the app hash */
    struct peri_comet_time time;
    unsigned char block_hash[32], app_hash[32];
    size_t steps;                   /* of both paths */
    bool is_pinned;                 /* the block's hash is the pinned one */
    struct peri_comet_tally commit; /* signers of the block; all zero when only pinned */
    struct peri_comet_tally
        parent; /* signers of the block before, from the answer; zero when not given or
                                        not checkable */
};

/* Check a participants document and give the set it proves.
 *
 *   set     yours; is_proven; the network's exclusions, which no proof covers, are taken over from the JSON
 *           because they can only take traffic away
 *   report  filled as far as the check got; may not be NULL
 *   gives   PERI_OK · PERI_EDENIED some link does not hold, or nothing was given to link it to (fault says
 *           which) · PERI_EMALFORMED · PERI_ETOOBIG · PERI_ENOMEM · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err peri_gonka_prove(struct peri_gonka_set **set,
                                             struct peri_gonka_proof_report *report,
                                             struct peri_hasher *h, struct peri_str document,
                                             const struct peri_gonka_trust *trust,
                                             struct peri_fault *fault);

/* The middle part alone: that `record` stands in the chain state with that app hash. For records and proofs
 * that did not come in a participants document.
 *
 *   iavl, simple   the two CommitmentProof messages
 *   gives          as above; *epoch is the one in the record's key */
PERI_MUST_USE enum peri_err peri_gonka_prove_record(unsigned char app_hash[32], uint64_t *epoch,
                                                    size_t *steps, struct peri_hasher *h,
                                                    struct peri_str record, struct peri_str iavl,
                                                    struct peri_str simple,
                                                    struct peri_fault *fault);

#endif
