/* Where a Gonka network stands: its epoch, its phase, and the windows in which most of its machines compute proofs
 * instead of answering.
 *
 * `GET {node}/v1/epochs/latest` has had two shapes: flat parameters as numbers (to v0.2.14) and nested ones as strings
 * (v0.2.15). Heights count blocks; one takes about 5.6 s on mainnet. The epoch that is "latest" is the one whose proof
 * phase began last; its participants become current at its `set_new_validators` height or just after.
 *
 * Source: inference-chain/x/inference/types/epoch_context.go, epoch_params.go, confirmation_poc_event.go.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_EPOCH_H
#define PERI_GONKA_CHAIN_GONKA_EPOCH_H

#include "gonka/chain/gonka_set.h"

enum peri_gonka_phase {
    PERI_GONKA_PHASE_INFERENCE,
    PERI_GONKA_PHASE_POC_GENERATE,
    PERI_GONKA_PHASE_POC_GENERATE_WIND_DOWN,
    PERI_GONKA_PHASE_POC_VALIDATE,
    PERI_GONKA_PHASE_POC_VALIDATE_WIND_DOWN
};

/* Of a confirmation, which comes at random inside the inference phase. */
enum peri_gonka_confirmation {
    PERI_GONKA_CONFIRMATION_NONE,
    PERI_GONKA_CONFIRMATION_GRACE,
    PERI_GONKA_CONFIRMATION_GENERATION,
    PERI_GONKA_CONFIRMATION_VALIDATION,
    PERI_GONKA_CONFIRMATION_COMPLETED
};

/* Heights; 0: not told. */
struct peri_gonka_stages {
    int64_t poc_start, generation_wind_down, generation_end;
    int64_t validation_start, validation_wind_down, validation_end;
    int64_t set_new_validators, next_poc_start;
};

struct peri_gonka_epoch {
    uint64_t index;
    int64_t height; /* of the block the answer was made at */
    enum peri_gonka_phase phase;
    struct peri_gonka_stages stages, next;
    int64_t length; /* blocks; 0: not told */
    bool has_confirmation;
    enum peri_gonka_confirmation confirmation;
    int64_t confirmation_trigger; /* block */
};

/* gives PERI_OK · PERI_EMALFORMED no such document (fault) · PERI_ETOOBIG · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_epoch_read(struct peri_gonka_epoch *out,
                                                  struct peri_str text, struct peri_fault *fault);

/* The phase at a height, from the stages: what the chain itself computes. `poc_start` 0 (epoch 0 has no proofs) is
 * always inference. */
enum peri_gonka_phase peri_gonka_phase_at(const struct peri_gonka_stages *stages, int64_t height);

const char *peri_gonka_phase_name(enum peri_gonka_phase phase); /* "PoCGenerate" */

/* Who serves now. */
enum peri_gonka_service {
    PERI_GONKA_SERVES_ALL,       /* inference, and the grace period before a confirmation */
    PERI_GONKA_SERVES_PRESERVED, /* proofs are generated: machines set aside for serving only */
    PERI_GONKA_SERVES_SOME       /* proofs are validated: those, and machines that can do both */
};
enum peri_gonka_service peri_gonka_service(const struct peri_gonka_epoch *e);

/* The block that the present window of proofs is known by: where the epoch's own proofs begin, or where the confirmation
 * was triggered. 0: everybody serves. */
int64_t peri_gonka_window(const struct peri_gonka_epoch *e);

#define PERI_GONKA_PRESERVED_PATH                                                                  \
    "/chain-api/productscience/inference/inference/preserved_nodes_snapshot"

/* `GET {node}` PERI_GONKA_PRESERVED_PATH: which accounts keep serving which model. It replaces what the time slots of
 * the participants say, when its anchor is the present window's.
 *
 *   set     already judged; its models' is_preserved are rewritten when the snapshot applies
 *   e       the present epoch
 *   *applies  false: there is no snapshot, or it is of another window; nothing was changed
 *   gives   PERI_OK · PERI_EMALFORMED · PERI_ETOOBIG · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_preserved_apply(bool *applies, struct peri_gonka_set *set,
                                                       const struct peri_gonka_epoch *e,
                                                       struct peri_str text,
                                                       struct peri_fault *fault);

/* What snapshots said is over: the participants' own time slots hold again. */
void peri_gonka_preserved_forget(struct peri_gonka_set *set);

#endif
