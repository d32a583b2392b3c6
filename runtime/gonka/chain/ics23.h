/* Existence proofs of ICS-23, of the two trees a Cosmos chain has: the IAVL tree of one store, and the simple
 * Merkle tree over all stores whose root is the app hash.
 *
 * Only what these trees can produce is accepted: SHA-256 throughout, the tree's own leaf and inner prefixes,
 * one sibling per step, nothing unknown in the message. What is looser in the general format (other hashes,
 * other prefixes) is where forged proofs come from.
 *
 * Source: cosmos/ics23 proofs.proto, and the IAVL and Tendermint specifications in its go/ops.go, go/proof.go.
 */
#ifndef PERI_GONKA_CHAIN_ICS23_H
#define PERI_GONKA_CHAIN_ICS23_H

#include "base/err.h"
#include "crypto/hash.h"

#define PERI_ICS23_STEPS_MAX 128

enum peri_ics23_tree { PERI_ICS23_IAVL, PERI_ICS23_SIMPLE };

struct peri_ics23 {
    struct peri_str key, value; /* views of the proof's bytes */
    unsigned char root[32];     /* the root under which the proof puts them */
    size_t steps;
};

/* Read a CommitmentProof (protobuf) that says one key has one value, and compute the root it leads to. Whether that
 * is the right root, key and value is the caller's to compare.
 *
 *   gives   PERI_OK · PERI_EMALFORMED not such a message · PERI_EDENIED: a message, but not of a proof this tree
 *           can produce · PERI_ETOOBIG over PERI_ICS23_STEPS_MAX steps · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err peri_ics23_existence(struct peri_ics23 *out, struct peri_hasher *h,
                                                 enum peri_ics23_tree tree, struct peri_str proof);

#endif
