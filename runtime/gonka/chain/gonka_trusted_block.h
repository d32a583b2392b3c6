/* The block that proofs of a Gonka network lead to: what the operator configured, and nothing a node says.
 *
 *   trust_block       hash of a block (64 hexadecimal digits): with trust_height the one the chain is followed from
 *                     (gonka_follow.h), without it the very block whose header carries the record's app hash
 *   trust_validators  a file with the JSON of `/chain-rpc/validators`, fetched once from a node one trusts
 *
 * With neither, a proof is refused: it would only show that one answer agrees with itself.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_TRUSTED_BLOCK_H
#define PERI_GONKA_CHAIN_GONKA_TRUSTED_BLOCK_H

#include "base/log.h"
#include "config/config.h"
#include "gonka/chain/comet.h"
#include "gonka/chain/gonka_set.h"

/* The configured hash. gives PERI_OK · PERI_ECONFIG */
PERI_MUST_USE enum peri_err peri_gonka_trusted_block_hash(unsigned char out[32],
                                                          const struct peri_config_gonka *options,
                                                          struct peri_fault *fault);

/* Prove a participants document; says in the log which trusted block or validators the proof leads to.
 *   followed the validators of the record's block when the chain was followed to it; NULL: what is configured holds
 *   commit   JSON of `/chain-rpc/commit` of the block, may be empty
 *   gives    PERI_OK, *set is yours · as peri_gonka_prove · PERI_ECONFIG what is configured can not be read */
PERI_MUST_USE enum peri_err
peri_gonka_trusted_block_prove(struct peri_gonka_set **set, const struct peri_config_gonka *options,
                               const struct peri_comet_validators *followed,
                               struct peri_str document, struct peri_str commit,
                               struct peri_log *log, struct peri_fault *fault);

#endif
