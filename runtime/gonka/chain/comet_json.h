/* Headers, commits and validator sets from the JSON of CometBFT's RPC, of the Cosmos SDK and of Gonka nodes, which
 * differ in hexadecimal or base64, numbers or strings, `parts` or `part_set_header`, and how a key is wrapped.
 *
 * Texts are copied into the arena. Members that are absent read as zero or empty; ones that are there and cannot
 * be read are an error.
 */
#ifndef PERI_GONKA_CHAIN_COMET_JSON_H
#define PERI_GONKA_CHAIN_COMET_JSON_H

#include "gonka/chain/gonka_json.h"

/* gives PERI_OK · PERI_EMALFORMED (fault) · PERI_ENOMEM, here and below */
PERI_MUST_USE enum peri_err peri_comet_header_read(struct peri_comet_header *out,
                                                   struct peri_json *j, uint32_t node,
                                                   struct peri_arena *a, struct peri_fault *fault);

PERI_MUST_USE enum peri_err peri_comet_commit_read(struct peri_comet_commit *out,
                                                   struct peri_json *j, uint32_t node,
                                                   struct peri_arena *a, struct peri_fault *fault);

/* `node` is the array of validators. Addresses are computed from the keys; one that is given must agree.
 *   gives   besides: PERI_ETOOBIG over PERI_COMET_VALIDATORS_MAX · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err peri_comet_validators_read(struct peri_comet_validators *out,
                                                       struct peri_json *j, uint32_t node,
                                                       struct peri_hasher *h, struct peri_arena *a,
                                                       struct peri_fault *fault);

#endif
