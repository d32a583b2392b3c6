/* The hosts of a Gonka network in one epoch: who they are, where they answer, what they serve, how much of the
 * traffic they get, and why some get none.
 *
 * A set is read from a node's JSON (gonka_discovery.h), from the bytes a proof covers (gonka_proof.h) or from
 * configured endpoints. Reading judges nothing; peri_gonka_set_apply then holds every participant against the
 * rules and leaves a verdict on each. All of it lies in the set's own arena; after `apply` it is only read.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_SET_H
#define PERI_GONKA_CHAIN_GONKA_SET_H

#include "base/arena.h"
#include "base/err.h"

#define PERI_GONKA_PARTICIPANTS_MAX 10000
#define PERI_GONKA_MODELS_MAX       256 /* of one participant */
#define PERI_GONKA_SET_BYTES        (64u << 20)

/* Whether it gets requests, and why it gets none. */
enum peri_gonka_verdict {
    PERI_GONKA_USABLE,
    PERI_GONKA_NO_ADDRESS,
    PERI_GONKA_BAD_ADDRESS, /* of its account: a wrong checksum, or of another network */
    PERI_GONKA_NO_URL,
    PERI_GONKA_BAD_URL,     /* not one of an http server on the internet */
    PERI_GONKA_PRIVATE_URL, /* it leads into a private network */
    PERI_GONKA_EXCLUDED,    /* by the network, from this epoch */
    PERI_GONKA_NOT_ALLOWED, /* the chain's list of transfer agents does not have it */
    PERI_GONKA_NOT_CHOSEN,  /* the configured allow list does not have it */
    PERI_GONKA_DENIED,      /* the configured deny list has it */
    PERI_GONKA_DUPLICATE,   /* an earlier entry has the same account */
};

struct peri_gonka_model {
    struct peri_str id;
    bool is_preserved; /* some machine keeps serving it while the others compute proofs */
    bool is_slotted;   /* the same as the list itself has it: holds where no snapshot says more */
};

struct peri_gonka_participant {
    struct peri_str address;       /* gonka1…, the account a signature names */
    struct peri_str told_url;      /* as the chain has it */
    struct peri_str url;           /* after `apply`: one spelling, no /v1; empty when BAD_URL */
    struct peri_str validator_key; /* base64 */
    struct peri_gonka_model *models;
    size_t model_count;  /* none: every model */
    int64_t told_weight; /* 1 when it was missing, not a number or not positive */
    bool is_weight_guessed;
    uint32_t weight;                 /* after `apply`: damped, at least 1; 0 unless USABLE */
    bool shares_url;                 /* after `apply`: another usable account has the same URL */
    enum peri_gonka_verdict verdict; /* after `apply` */
    struct peri_str exclusion;       /* the network's reason, when it gave one */
};

struct peri_gonka_set {
    struct peri_arena arena;
    uint64_t epoch; /* 0: not told */
    uint64_t group;
    int64_t poc_start_height, effective_height, created_height;
    struct peri_gonka_participant *participants; /* in the chain's order */
    size_t count;
    size_t usable_count; /* after `apply` */
    bool is_proven;      /* read from bytes whose proof held */
};

/* gives PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_set_new(struct peri_gonka_set **out);
/* Takes NULL. */
void peri_gonka_set_free(struct peri_gonka_set *set);

/* How stake becomes share of traffic. Stakes on mainnet span a factor of 250. */
enum peri_gonka_damping {
    PERI_GONKA_DAMP_NONE,  /* in proportion */
    PERI_GONKA_DAMP_POWER, /* stake to the power of `damping_factor`, 0.5 when 0 */
    PERI_GONKA_DAMP_LOG,   /* logarithm of 1 + stake */
    PERI_GONKA_DAMP_CAP /* in proportion, but nobody over the share `damping_factor`, 0.2 when 0 */
};

struct peri_gonka_rules {
    /* The chain's transfer_agent_access_params; empty means, as it does to nodes, no restriction. */
    const struct peri_str *agents;
    size_t agent_count;
    /* The operator's: addresses, or URLs in any spelling. An empty `allow` allows everyone. */
    const struct peri_str *allow, *deny;
    size_t allow_count, deny_count;
    bool allows_private; /* URLs in private networks pass: a network of one's own */
    enum peri_gonka_damping damping;
    double damping_factor;
};

/* Judge every participant and share out the weights.
 *   gives   PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_set_apply(struct peri_gonka_set *set,
                                                 const struct peri_gonka_rules *rules);

/* What a change of the set means for those who route. Participants are the same when their address is; only
 * USABLE ones count. */
enum peri_gonka_change {
    PERI_GONKA_KEPT,
    PERI_GONKA_CHANGED,
    PERI_GONKA_ADDED,
    PERI_GONKA_REMOVED
};

struct peri_gonka_delta {
    enum peri_gonka_change change;
    const struct peri_gonka_participant *before, *after; /* NULL when ADDED, when REMOVED */
    bool has_new_url, has_new_weight, has_new_models;    /* of CHANGED */
};

struct peri_gonka_diff {
    const struct peri_gonka_delta *deltas; /* in the order of `after`, the removed ones last */
    size_t count;
    size_t counts[4]; /* by enum peri_gonka_change */
};

/*   a       takes the deltas; they point into both sets
 *   before  may be NULL: everything is added
 *   gives   PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_set_diff(struct peri_gonka_diff *out, struct peri_arena *a,
                                                const struct peri_gonka_set *before,
                                                const struct peri_gonka_set *after);

#endif
