/* Signing one request to a Gonka node, in the classic scheme: exact body bytes, a time stamp nobody used before
 * and the account of the node that is called, under one signature.
 *
 * The body is hashed as it goes on the wire: sign last, and send those bytes. The signature becomes the inference's
 * id at the node, so every attempt (a retry, another node) takes a new stamp and a new signature.
 *
 * Source: gonka-ai/gonka inference-chain/x/inference/calculations/signature_validate.go and
 * decentralized-api/internal/server/public/utils.go, as of v0.2.6 to v0.2.13.
 */
#ifndef PERI_GONKA_GONKA_SIGN_H
#define PERI_GONKA_GONKA_SIGN_H

#include "crypto/address.h"
#include "crypto/sign.h"

/* What the signature covers. A node accepts one of them only. */
enum peri_gonka_scheme {
    PERI_GONKA_HASHED,   /* hex(SHA-256(body)), stamp, node account: nodes since v0.2.6 */
    PERI_GONKA_RAW_BODY, /* body, stamp, node account: July 2025 to v0.2.5 */
    PERI_GONKA_BODY_ONLY /* body: the clients of May 2025 */
};

/* The account that pays. Built once, then only read. */
struct peri_gonka_wallet {
    const struct peri_key *key;
    unsigned char public_key[PERI_PUBLIC_BYTES];
    char address[PERI_ADDRESS_MAX]; /* sent as X-Requester-Address */
    bool is_foreign;                /* the configured address is not the key's own */
};

/*   key      borrowed: its ring outlives the wallet
 *   address  what to send instead of the key's own address (GONKA_ADDRESS); empty: none
 *   gives    PERI_OK · PERI_EINVAL the address is none of Gonka's (fault) · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err
peri_gonka_wallet_init(struct peri_gonka_wallet *w, struct peri_hasher *h,
                       const struct peri_signer *s, const struct peri_key *key,
                       struct peri_str address, struct peri_fault *fault);

/* The signed values of one attempt. */
struct peri_gonka_signed {
    char authorization[89]; /* base64 of 64 bytes, NUL */
    char stamp[21];         /* decimal nanoseconds, NUL */
};

/* Sign one attempt.
 *
 *   body      the exact bytes that will be sent; may be empty
 *   stamp_ns  of peri_stamp, fresh for this attempt
 *   node      the account (`index`) of the node that is called
 *   gives     PERI_OK · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err peri_gonka_sign(struct peri_gonka_signed *out, struct peri_hasher *h,
                                            const struct peri_signer *s,
                                            const struct peri_gonka_wallet *w,
                                            enum peri_gonka_scheme scheme, struct peri_str body,
                                            uint64_t stamp_ns, struct peri_str node);

/* The headers to send beside Content-Type; views of `values` and `w`. The signature stands alone in
 * Authorization, without a scheme word. */
#define PERI_GONKA_HEADERS 3
void peri_gonka_headers(struct peri_header out[PERI_GONKA_HEADERS],
                        const struct peri_gonka_signed *values, const struct peri_gonka_wallet *w);

/* Is it the name of one of those? Compared without case. */
bool peri_gonka_is_header(struct peri_str name);

/* The node's side: whether a signature is one a node would accept for this body, stamp and account. Simulated
 * networks and tests ask it.
 *
 *   authorization  base64 text as received
 *   stamp          the text of X-Timestamp
 *   public_key     the payer's, 33 or 65 bytes */
PERI_MUST_USE bool peri_gonka_check(struct peri_hasher *h, enum peri_gonka_scheme scheme,
                                    struct peri_str authorization, struct peri_str body,
                                    struct peri_str stamp, struct peri_str node,
                                    struct peri_str public_key);

#endif
