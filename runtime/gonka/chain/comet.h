/* What a light client of a CometBFT chain must know: the hash of a header, of a validator set, of a commit, and
 * whether enough of the validators signed a block.
 *
 * Everything is checked that is given: one bad signature refuses a commit, even when the others would suffice,
 * since honest nodes hand out none. Validators sign with ed25519; keys of other kinds are refused.
 *
 * OpenSSL verifies as RFC 8032 has it, CometBFT as ZIP-215, which also takes a few odd encodings. A validator
 * who makes those makes our check fail, never pass.
 *
 * Source: CometBFT spec/core/data_structures.md, types/canonical.go, types/validation.go, crypto/merkle.
 */
#ifndef PERI_GONKA_CHAIN_COMET_H
#define PERI_GONKA_CHAIN_COMET_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "crypto/hash.h"

#define PERI_COMET_VALIDATORS_MAX 10000

struct peri_comet_time {
    int64_t seconds; /* since 1970, may be negative */
    int32_t nanos;   /* 0 to 999999999 */
};

struct peri_comet_block_id {
    struct peri_str hash, parts_hash;
    uint32_t parts_total;
};

struct peri_comet_header {
    uint64_t version_block, version_app;
    struct peri_str chain_id;
    int64_t height;
    struct peri_comet_time time;
    struct peri_comet_block_id last_block_id;
    struct peri_str last_commit_hash, data_hash, validators_hash, next_validators_hash,
        consensus_hash, app_hash, last_results_hash, evidence_hash, proposer_address;
};

struct peri_comet_validator {
    unsigned char public_key[32];
    unsigned char
        address[20]; /* the head of SHA-256 of the key; filled by the builder of the set */
    int64_t power;
};

struct peri_comet_validators {
    const struct peri_comet_validator *v;
    size_t count;
};

enum peri_comet_flag { PERI_COMET_ABSENT = 1, PERI_COMET_COMMIT = 2, PERI_COMET_NIL = 3 };

struct peri_comet_signature {
    enum peri_comet_flag flag;
    struct peri_str address, signature;
    struct peri_comet_time time;
};

struct peri_comet_commit {
    int64_t height;
    int32_t round;
    struct peri_comet_block_id block_id;
    const struct peri_comet_signature *signatures;
    size_t count;
};

struct peri_comet_tally {
    int64_t signed_power, total_power;
    size_t signers;
};

/* Hashes. gives PERI_OK · PERI_ENOMEM · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err peri_comet_header_hash(unsigned char out[32], struct peri_hasher *h,
                                                   const struct peri_comet_header *header);
PERI_MUST_USE enum peri_err peri_comet_validators_hash(unsigned char out[32], struct peri_hasher *h,
                                                       const struct peri_comet_validators *set);
PERI_MUST_USE enum peri_err peri_comet_commit_hash(unsigned char out[32], struct peri_hasher *h,
                                                   const struct peri_comet_commit *commit);
/* The address of a validator's 32-byte key. */
PERI_MUST_USE enum peri_err peri_comet_address(unsigned char out[20], struct peri_hasher *h,
                                               const unsigned char public_key[32]);

/* The bytes validator i signed, appended to `out`. */
enum peri_err peri_comet_sign_bytes(struct peri_buf *out, const struct peri_comet_commit *commit,
                                    size_t i, struct peri_str chain_id);

/* Whether more than two thirds of a set, known to be the block's own, signed it: signatures stand in the set's
 * order, one place for each validator.
 *   gives   PERI_OK · PERI_EDENIED not enough power, a bad signature, a place that is another's (fault) ·
 *           PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_comet_verify(struct peri_comet_tally *tally,
                                              const struct peri_comet_commit *commit,
                                              const struct peri_comet_validators *set,
                                              struct peri_str chain_id, struct peri_fault *fault);

/* Whether more than a third of a set trusted from an earlier height signed a later block: the step by which trust
 * moves over changes of the set. As more than a third of the power is taken to be honest within the unbonding time, one
 * of them is, and the block is the chain's. Validators are found by address; the set of the later block
 * must be checked with peri_comet_verify besides.
 *   gives   as peri_comet_verify */
PERI_MUST_USE enum peri_err peri_comet_verify_trusting(struct peri_comet_tally *tally,
                                                       const struct peri_comet_commit *commit,
                                                       const struct peri_comet_validators *trusted,
                                                       struct peri_str chain_id,
                                                       struct peri_fault *fault);

#endif
