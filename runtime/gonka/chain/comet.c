#include "gonka/chain/comet.h"

#include "base/mem.h"
#include "crypto/sign.h"
#include "gonka/chain/gonka_proto.h"

/* Messages are written into a small buffer; its errors stick, so they are looked at once. */

static void put_varint(struct peri_buf *b, uint64_t value) {
    unsigned char bytes[10];
    size_t n = peri_proto_put_varint(bytes, value);
    peri_buf_add(b, (struct peri_str){ (char *)bytes, n });
}

static void put_tag(struct peri_buf *b, unsigned number, enum peri_proto_wire wire) {
    put_varint(b, number << 3 | wire);
}

/* proto3: a number that is zero and bytes that are empty are not written. */
static void put_number(struct peri_buf *b, unsigned number, uint64_t value) {
    if (value == 0) return;
    put_tag(b, number, PERI_PROTO_VARINT);
    put_varint(b, value);
}

static void put_fixed64(struct peri_buf *b, unsigned number, uint64_t value) {
    if (value == 0) return;
    put_tag(b, number, PERI_PROTO_FIXED64);
    for (int i = 0; i < 8; i++) peri_buf_add_char(b, (char)(value >> (8 * i)));
}

/* A message, which is written even when empty. */
static void put_message(struct peri_buf *b, unsigned number, struct peri_str bytes) {
    put_tag(b, number, PERI_PROTO_BYTES);
    put_varint(b, bytes.n);
    peri_buf_add(b, bytes);
}

static void put_bytes(struct peri_buf *b, unsigned number, struct peri_str bytes) {
    if (bytes.n > 0) put_message(b, number, bytes);
}

static void put_time(struct peri_buf *b, const struct peri_comet_time *time) {
    put_number(b, 1, (uint64_t)time->seconds);
    put_number(b, 2, (uint64_t)time->nanos);
}

static void put_block_id(struct peri_buf *b, struct peri_buf *scratch,
                         const struct peri_comet_block_id *id) {
    peri_buf_clear(scratch);
    put_number(scratch, 1, id->parts_total);
    put_bytes(scratch, 2, id->parts_hash);
    put_bytes(b, 1, id->hash);
    put_message(b, 2, peri_buf_str(scratch));
    if (scratch->err != PERI_OK) b->err = scratch->err;
}

/* RFC 6962's tree: leaves and inner nodes are told apart by a first byte, and n leaves are split at the largest
 * power of two below n. */
static enum peri_err merkle(unsigned char out[32], struct peri_hasher *h,
                            const unsigned char (*leaves)[32], size_t n) {
    unsigned char left[32], right[32];
    if (n == 0) return peri_sha256(h, out, PERI_STR(""));
    if (n == 1) {
        memcpy(out, leaves[0], 32);
        return PERI_OK;
    }
    size_t split = 1;
    while (split * 2 < n) split *= 2;
    enum peri_err err = merkle(left, h, leaves, split);
    if (err == PERI_OK) err = merkle(right, h, leaves + split, n - split);
    if (err != PERI_OK) return err;
    const struct peri_str parts[] = { PERI_STR_INIT("\x01"),
                                      { (char *)left, 32 },
                                      { (char *)right, 32 } };
    return peri_sha256_parts(h, out, parts, 3);
}

static enum peri_err leaf_hash(unsigned char out[32], struct peri_hasher *h,
                               const struct peri_buf *leaf) {
    const struct peri_str parts[] = { PERI_STR_INIT("\0"), peri_buf_str(leaf) };
    return leaf->err != PERI_OK ? leaf->err : peri_sha256_parts(h, out, parts, 2);
}

#define HEADER_FIELDS 14

static void put_header_field(struct peri_buf *b, struct peri_buf *scratch,
                             const struct peri_comet_header *header, int field) {
    const struct peri_str hashes[] = {
        header->last_commit_hash,     header->data_hash,      header->validators_hash,
        header->next_validators_hash, header->consensus_hash, header->app_hash,
        header->last_results_hash,    header->evidence_hash,  header->proposer_address,
    };
    switch (field) {
    case 0:
        put_number(b, 1, header->version_block);
        put_number(b, 2, header->version_app);
        break;
    case 1: put_bytes(b, 1, header->chain_id); break;
    case 2: put_number(b, 1, (uint64_t)header->height); break;
    case 3: put_time(b, &header->time); break;
    case 4: put_block_id(b, scratch, &header->last_block_id); break;
    default: put_bytes(b, 1, hashes[field - 5]); break;
    }
}

enum peri_err peri_comet_header_hash(unsigned char out[32], struct peri_hasher *h,
                                     const struct peri_comet_header *header) {
    unsigned char leaves[HEADER_FIELDS][32];
    struct peri_buf b, scratch;
    enum peri_err err = PERI_OK;
    peri_buf_init(&b, 4096);
    peri_buf_init(&scratch, 4096);
    for (int i = 0; i < HEADER_FIELDS && err == PERI_OK; i++) {
        peri_buf_clear(&b);
        put_header_field(&b, &scratch, header, i);
        err = leaf_hash(leaves[i], h, &b);
    }
    if (err == PERI_OK) err = merkle(out, h, (const unsigned char(*)[32])leaves, HEADER_FIELDS);
    peri_buf_done(&b);
    peri_buf_done(&scratch);
    return err;
}

/* Hash of a list whose items `put` writes one by one. */
static enum peri_err list_hash(unsigned char out[32], struct peri_hasher *h, size_t count,
                               void (*put)(struct peri_buf *, struct peri_buf *, const void *,
                                           size_t),
                               const void *list) {
    struct peri_buf b, scratch;
    unsigned char(*leaves)[32] = peri_calloc(count, sizeof *leaves);
    enum peri_err err = leaves == NULL ? PERI_ENOMEM : PERI_OK;
    peri_buf_init(&b, 4096);
    peri_buf_init(&scratch, 4096);
    for (size_t i = 0; i < count && err == PERI_OK; i++) {
        peri_buf_clear(&b);
        peri_buf_clear(&scratch);
        put(&b, &scratch, list, i);
        err = scratch.err != PERI_OK ? scratch.err : leaf_hash(leaves[i], h, &b);
    }
    if (err == PERI_OK) err = merkle(out, h, (const unsigned char(*)[32])leaves, count);
    peri_free(leaves);
    peri_buf_done(&b);
    peri_buf_done(&scratch);
    return err;
}

static void put_validator(struct peri_buf *b, struct peri_buf *scratch, const void *list,
                          size_t i) {
    const struct peri_comet_validator *v = (const struct peri_comet_validator *)list + i;
    put_bytes(scratch, 1,
              (struct peri_str){ (const char *)v->public_key, 32 }); /* PublicKey.ed25519 */
    put_message(b, 1, peri_buf_str(scratch));
    put_number(b, 2, (uint64_t)v->power);
}

enum peri_err peri_comet_validators_hash(unsigned char out[32], struct peri_hasher *h,
                                         const struct peri_comet_validators *set) {
    return list_hash(out, h, set->count, put_validator, set->v);
}

static void put_signature(struct peri_buf *b, struct peri_buf *scratch, const void *list,
                          size_t i) {
    const struct peri_comet_signature *s = (const struct peri_comet_signature *)list + i;
    put_time(scratch, &s->time);
    put_number(b, 1, s->flag);
    put_bytes(b, 2, s->address);
    put_message(b, 3, peri_buf_str(scratch));
    put_bytes(b, 4, s->signature);
}

enum peri_err peri_comet_commit_hash(unsigned char out[32], struct peri_hasher *h,
                                     const struct peri_comet_commit *commit) {
    return list_hash(out, h, commit->count, put_signature, commit->signatures);
}

enum peri_err peri_comet_address(unsigned char out[20], struct peri_hasher *h,
                                 const unsigned char public_key[32]) {
    unsigned char digest[32];
    enum peri_err err = peri_sha256(h, digest, (struct peri_str){ (const char *)public_key, 32 });
    if (err == PERI_OK) memcpy(out, digest, 20);
    return err;
}

/* CanonicalVote; type 2 is a precommit. Without a block id it is a vote for no block. */
static void put_vote(struct peri_buf *b, struct peri_buf *scratch, struct peri_buf *inner,
                     const struct peri_comet_commit *commit, size_t i, struct peri_str chain_id) {
    const struct peri_comet_signature *s = &commit->signatures[i];
    put_number(b, 1, 2);
    put_fixed64(b, 2, (uint64_t)commit->height);
    put_fixed64(b, 3, (uint64_t)commit->round);
    if (s->flag == PERI_COMET_COMMIT) {
        put_block_id(inner, scratch, &commit->block_id);
        put_message(b, 4, peri_buf_str(inner));
    }
    peri_buf_clear(scratch);
    put_time(scratch, &s->time);
    put_message(b, 5, peri_buf_str(scratch));
    put_bytes(b, 6, chain_id);
}

enum peri_err peri_comet_sign_bytes(struct peri_buf *out, const struct peri_comet_commit *commit,
                                    size_t i, struct peri_str chain_id) {
    struct peri_buf vote, scratch, inner;
    peri_buf_init(&vote, 4096);
    peri_buf_init(&scratch, 4096);
    peri_buf_init(&inner, 4096);
    put_vote(&vote, &scratch, &inner, commit, i, chain_id);
    enum peri_err err = vote.err != PERI_OK    ? vote.err
                        : inner.err != PERI_OK ? inner.err
                                               : scratch.err;
    if (err == PERI_OK) {
        put_varint(out, vote.n);
        peri_buf_add(out, peri_buf_str(&vote));
        err = out->err;
    }
    peri_buf_done(&vote);
    peri_buf_done(&scratch);
    peri_buf_done(&inner);
    return err;
}

static enum peri_err check_signature(const struct peri_comet_commit *commit, size_t i,
                                     const struct peri_comet_validator *v, struct peri_str chain_id,
                                     struct peri_fault *fault) {
    struct peri_buf bytes;
    peri_buf_init(&bytes, 8192);
    enum peri_err err = peri_comet_sign_bytes(&bytes, commit, i, chain_id);
    if (err == PERI_OK &&
        !peri_ed25519_verify(commit->signatures[i].signature, peri_buf_str(&bytes),
                             (struct peri_str){ (const char *)v->public_key, 32 }))
        err = peri_fault_set(fault, PERI_EDENIED,
                             "block %lld: the signature of validator %zu of %zu does not hold",
                             (long long)commit->height, i + 1, commit->count);
    peri_buf_done(&bytes);
    return err;
}

static enum peri_err total_of(int64_t *out, const struct peri_comet_validators *set,
                              struct peri_fault *fault) {
    *out = 0;
    for (size_t i = 0; i < set->count; i++) {
        /* CometBFT's own bound, MaxTotalVotingPower: 2^63 / 8. */
        if (set->v[i].power <= 0 || set->v[i].power > INT64_MAX / 8 - *out)
            return peri_fault_set(fault, PERI_EDENIED, "validator %zu has an impossible power",
                                  i + 1);
        *out += set->v[i].power;
    }
    if (set->count > 0) return PERI_OK;
    return peri_fault_set(fault, PERI_EDENIED, "the set of validators is empty");
}

static enum peri_err not_enough(const struct peri_comet_tally *tally, int64_t height,
                                const char *share, struct peri_fault *fault) {
    return peri_fault_set(
        fault, PERI_EDENIED, "block %lld: signed by %lld of %lld voting power, more than %s needed",
        (long long)height, (long long)tally->signed_power, (long long)tally->total_power, share);
}

static bool is_sound_absence(const struct peri_comet_signature *s) {
    return s->flag == PERI_COMET_ABSENT && s->address.n == 0 && s->signature.n == 0;
}

static bool is_by(const struct peri_comet_signature *s, const struct peri_comet_validator *v) {
    return (s->flag == PERI_COMET_COMMIT || s->flag == PERI_COMET_NIL) &&
           peri_str_eq(s->address, (struct peri_str){ (const char *)v->address, 20 });
}

enum peri_err peri_comet_verify(struct peri_comet_tally *tally,
                                const struct peri_comet_commit *commit,
                                const struct peri_comet_validators *set, struct peri_str chain_id,
                                struct peri_fault *fault) {
    *tally = (struct peri_comet_tally){ 0 };
    enum peri_err err = total_of(&tally->total_power, set, fault);
    if (err != PERI_OK) return err;
    if (commit->count != set->count)
        return peri_fault_set(fault, PERI_EDENIED, "block %lld: %zu signatures of %zu validators",
                              (long long)commit->height, commit->count, set->count);
    for (size_t i = 0; i < commit->count; i++) {
        const struct peri_comet_signature *s = &commit->signatures[i];
        if (is_sound_absence(s)) continue;
        if (!is_by(s, &set->v[i]))
            return peri_fault_set(fault, PERI_EDENIED,
                                  "block %lld: signature %zu is not its validator's",
                                  (long long)commit->height, i + 1);
        err = check_signature(commit, i, &set->v[i], chain_id, fault);
        if (err != PERI_OK) return err;
        if (s->flag != PERI_COMET_COMMIT) continue;
        tally->signed_power += set->v[i].power;
        tally->signers++;
    }
    if (tally->signed_power > tally->total_power * 2 / 3) return PERI_OK;
    return not_enough(tally, commit->height, "two thirds", fault);
}

static const struct peri_comet_validator *find(const struct peri_comet_validators *set,
                                               const struct peri_comet_signature *s) {
    for (size_t i = 0; i < set->count; i++)
        if (is_by(s, &set->v[i])) return &set->v[i];
    return NULL;
}

enum peri_err peri_comet_verify_trusting(struct peri_comet_tally *tally,
                                         const struct peri_comet_commit *commit,
                                         const struct peri_comet_validators *trusted,
                                         struct peri_str chain_id, struct peri_fault *fault) {
    *tally = (struct peri_comet_tally){ 0 };
    enum peri_err err = total_of(&tally->total_power, trusted, fault);
    bool *has_signed = peri_calloc(trusted->count, sizeof *has_signed);
    if (err == PERI_OK && has_signed == NULL) err = PERI_ENOMEM;
    for (size_t i = 0; i < commit->count && err == PERI_OK; i++) {
        const struct peri_comet_signature *s = &commit->signatures[i];
        if (s->flag != PERI_COMET_COMMIT) continue;
        const struct peri_comet_validator *v = find(trusted, s);
        if (v == NULL) continue;
        if (has_signed[v - trusted->v])
            err = peri_fault_set(fault, PERI_EDENIED, "block %lld: one validator signed twice",
                                 (long long)commit->height);
        else
            err = check_signature(commit, i, v, chain_id, fault);
        if (err != PERI_OK) break;
        has_signed[v - trusted->v] = true;
        tally->signed_power += v->power;
        tally->signers++;
    }
    peri_free(has_signed);
    if (err == PERI_OK && tally->signed_power <= tally->total_power / 3)
        err = not_enough(tally, commit->height, "one third", fault);
    return err;
}
