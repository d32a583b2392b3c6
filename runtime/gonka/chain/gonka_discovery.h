/* From what Gonka nodes and operators write to a set of participants.
 *
 * `GET {source}/v1/epochs/{current or number}/participants` has had three shapes: numbers with zero left out (to v0.2.14),
 * everything as strings, and numbers again; the list of excluded ones came with v0.2.5. All are read.
 * Nothing said here is proven; gonka_proof.h reads the same document for those who want proof.
 *
 * Source: decentralized-api/internal/server/public/get_participants_handler.go, common/queryapi/models.go,
 * gonka-openai {python,go,typescript} for what clients do with it.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_DISCOVERY_H
#define PERI_GONKA_CHAIN_GONKA_DISCOVERY_H

#include "base/json.h"
#include "gonka/chain/gonka_set.h"

#define PERI_GONKA_DOCUMENT_MAX (32u << 20) /* bytes of one answer; mainnet's is 0.1 MB */
#define PERI_GONKA_LIST_MAX     10000       /* addresses of an allow-list, endpoints */

/* Read a participants document. Entries that are no objects are passed over; what is wrong with the others
 * shows as their verdict after peri_gonka_set_apply.
 *
 *   out      yours, release with peri_gonka_set_free; not yet judged
 *   gives    PERI_OK · PERI_EMALFORMED not JSON, or no `active_participants` · PERI_ENOTFOUND an empty list ·
 *            PERI_ETOOBIG · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_set_read(struct peri_gonka_set **out, struct peri_str text,
                                                struct peri_fault *fault);

/* A set of configured endpoints, each "url;address": split at the first semicolon, trimmed. Every one has weight 1
 * and serves every model.
 *
 *   list     one entry each; an entry may itself hold several, separated by commas (GONKA_ENDPOINTS); empty
 *            ones are passed over
 *   gives    PERI_OK · PERI_EINVAL an entry without semicolon, with an empty side, an address that is none of
 *            Gonka's or a URL that is none (fault names the entry) · PERI_ENOTFOUND no entry · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_set_of_endpoints(struct peri_gonka_set **out,
                                                        const struct peri_str *list, size_t count,
                                                        struct peri_fault *fault);

/* What is used of `GET {node}/chain-api/productscience/inference/inference/params`. An absent member reads as
 * empty or 0. */
struct peri_gonka_params {
    const struct peri_str *agents; /* transfer_agent_access_params.allowed_transfer_addresses */
    size_t agent_count;
    const struct peri_str *developers; /* developer_access_params.allowed_developer_addresses */
    size_t developer_count;
    int64_t developers_until_height;
    int64_t stamp_expiration_s, stamp_advance_s; /* validation_params */
    const struct peri_str *escrow_creators; /* devshard_escrow_params.allowed_creator_addresses */
    size_t escrow_creator_count;
    bool has_devshard_requests;
};

/*   a       takes the texts
 *   gives   PERI_OK · PERI_EMALFORMED · PERI_ETOOBIG · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_params_read(struct peri_gonka_params *out,
                                                   struct peri_arena *a, struct peri_str text,
                                                   struct peri_fault *fault);

/* Somebody a node lets be called in its place. */
struct peri_gonka_delegate {
    struct peri_str url, address;
};

/* The delegates of `GET {node}` PERI_GONKA_IDENTITY_PATH, member `data.delegate_ta` ({url: address}).
 *
 *   node     out: the node's own account, `data.address`; empty when it does not say
 *   a        takes the texts
 *   gives    PERI_OK (also with none) · PERI_EMALFORMED · PERI_ETOOBIG · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_delegates_read(const struct peri_gonka_delegate **out,
                                                      size_t *count, struct peri_str *node,
                                                      struct peri_arena *a, struct peri_str text,
                                                      struct peri_fault *fault);

#define PERI_GONKA_IDENTITY_PATH "/v1/identity"

/* Put the first delegate that will do in the node's place: its URL and its account, with the node's models and weight.
 * Requests are then signed for the delegate's account, because nodes check signatures against their own; the official
 * client signs for the node that delegated, which the delegate's check refuses.
 * Both texts are the node's say. A URL that is none, or leads into a private network, an account that is none of Gonka's
 * and one that is in the set anyway will not do; everything else is judged when the rules are applied.
 *
 *   set      not yet judged
 *   gives    false: nothing was changed: no such node in the set, no delegate that will do, or no memory */
bool peri_gonka_delegate_apply(struct peri_gonka_set *set, struct peri_str node,
                               const struct peri_gonka_delegate *list, size_t count,
                               bool allows_private);

#endif
