#include "gonka/chain/gonka_proof.h"

#include "crypto/encode.h"
#include "gonka/chain/comet_json.h"
#include "gonka/chain/gonka_discovery.h"
#include "gonka/chain/gonka_proto.h"

#define KEY_PREFIX "ActiveParticipants/value/"

static enum peri_err denied(struct peri_fault *fault, const char *what) {
    return peri_fault_set(fault, PERI_EDENIED, "the proof does not hold: %s", what);
}

/* "ActiveParticipants/value/", the epoch as 8 bytes big endian, "/". */
static bool read_key(uint64_t *epoch, struct peri_str key) {
    size_t at = sizeof KEY_PREFIX - 1;
    if (key.n != at + 9 || !peri_str_has_prefix(key, PERI_STR(KEY_PREFIX)) || key.p[at + 8] != '/')
        return false;
    *epoch = 0;
    for (size_t i = 0; i < 8; i++) *epoch = *epoch << 8 | (unsigned char)key.p[at + i];
    return true;
}

enum peri_err peri_gonka_prove_record(unsigned char app_hash[32], uint64_t *epoch, size_t *steps,
                                      struct peri_hasher *h, struct peri_str record,
                                      struct peri_str iavl, struct peri_str simple,
                                      struct peri_fault *fault) {
    struct peri_ics23 in_store, in_app;
    enum peri_err err = peri_ics23_existence(&in_store, h, PERI_ICS23_IAVL, iavl);
    if (err != PERI_OK)
        return peri_fault_set(fault, err, "the proof in the store: %s", peri_err_text(err));
    if (!peri_str_eq(in_store.value, record))
        return denied(fault, "it is about other bytes than the record's");
    if (!read_key(epoch, in_store.key))
        return denied(fault, "its key is not that of a record of active participants");
    err = peri_ics23_existence(&in_app, h, PERI_ICS23_SIMPLE, simple);
    if (err != PERI_OK)
        return peri_fault_set(fault, err, "the proof of the store: %s", peri_err_text(err));
    if (!peri_str_eq(in_app.key, PERI_STR("inference")))
        return denied(fault, "it is about another store than 'inference'");
    if (!peri_str_eq(in_app.value, (struct peri_str){ (char *)in_store.root, 32 }))
        return denied(fault, "the store's root is not the one the state has");
    memcpy(app_hash, in_app.root, 32);
    *steps = in_store.steps + in_app.steps;
    return PERI_OK;
}

/* Everything a check needs; the document's parts live in the arena. */
struct proof {
    struct peri_hasher *h;
    const struct peri_gonka_trust *trust;
    struct peri_gonka_proof_report *report;
    struct peri_fault *fault;
    struct peri_arena arena;
    struct peri_json *document, *commit;
    struct peri_str record, keys[2], ops[2];
    struct peri_gonka_set *set;
    struct peri_comet_header header;
    uint32_t block; /* in `document` */
};

static enum peri_err parse(struct peri_json **j, struct peri_str text, const char *what,
                           struct peri_fault *fault) {
    struct peri_fault inner = { PERI_OK, "" };
    const struct peri_json_options options = { .depth = 64, .bytes = PERI_GONKA_DOCUMENT_MAX };
    enum peri_err err = peri_json_parse(j, text, &options, &inner);
    return err == PERI_OK ? err : peri_fault_set(fault, err, "%s: %s", what, inner.text);
}

static enum peri_err read_record(struct proof *p) {
    struct peri_json *j = p->document;
    uint32_t node = PERI_GONKA_GET(j, peri_json_root(j), "active_participants_bytes");
    struct peri_str hex = peri_json_string(j, node, &p->arena);
    unsigned char *bytes = hex.n == 0 ? NULL : peri_arena_alloc(&p->arena, hex.n / 2 + 1);
    if (hex.n == 0) return denied(p->fault, "the answer carries no 'active_participants_bytes'");
    if (bytes == NULL) return PERI_ENOMEM;
    enum peri_err err = peri_hex_decode(bytes, hex.n / 2, &p->record.n, hex);
    p->record.p = (char *)bytes;
    if (err == PERI_OK && p->record.n > 0) return PERI_OK;
    return denied(p->fault, "'active_participants_bytes' is not hexadecimal");
}

static enum peri_err read_ops(struct proof *p) {
    static const struct peri_str types[] = { PERI_STR_INIT("ics23:iavl"),
                                             PERI_STR_INIT("ics23:simple") };
    struct peri_json *j = p->document;
    uint32_t list = PERI_GONKA_GET(j, PERI_GONKA_GET(j, peri_json_root(j), "proof_ops"), "ops");
    if (peri_json_kind(j, list) != PERI_JSON_ARRAY || peri_json_count(j, list) != 2)
        return denied(p->fault, "'proof_ops' must hold two steps, ics23:iavl and ics23:simple");
    for (size_t i = 0; i < 2; i++) {
        uint32_t op = peri_json_at(j, list, i);
        if (!peri_json_string_is(j, PERI_GONKA_GET(j, op, "type"), types[i]))
            return denied(p->fault, "its steps must be of the types ics23:iavl and ics23:simple");
        p->keys[i] = peri_gonka_bytes(j, PERI_GONKA_GET(j, op, "key"), 0, &p->arena);
        p->ops[i] = peri_gonka_bytes(j, PERI_GONKA_GET(j, op, "data"), 0, &p->arena);
        if (p->keys[i].n == 0 || p->ops[i].n == 0)
            return denied(p->fault, "a step's key or data is not base64");
    }
    return PERI_OK;
}

/* The keys stand a second time beside the proofs; nodes that let them differ are not to be believed. */
static enum peri_err check_keys(struct proof *p) {
    struct peri_ics23 in_store;
    enum peri_err err = peri_ics23_existence(&in_store, p->h, PERI_ICS23_IAVL, p->ops[0]);
    if (err != PERI_OK) return err;
    if (!peri_str_eq(in_store.key, p->keys[0]) || !peri_str_eq(PERI_STR("inference"), p->keys[1]))
        return denied(p->fault, "a step's key is not the one its proof is about");
    return PERI_OK;
}

static enum peri_err prove_record(struct proof *p) {
    struct peri_gonka_proof_report *r = p->report;
    enum peri_err err = peri_gonka_prove_record(r->app_hash, &r->epoch, &r->steps, p->h, p->record,
                                                p->ops[0], p->ops[1], p->fault);
    if (err == PERI_OK) err = check_keys(p);
    if (err == PERI_OK) err = peri_gonka_set_decode(&p->set, p->record, p->fault);
    if (err != PERI_OK) return err;
    if (p->set->created_height < 1 || p->set->created_height == INT64_MAX)
        return denied(p->fault, "the record says no height at which it was written");
    if (p->set->epoch != r->epoch)
        return denied(p->fault, "the record is of another epoch than its key");
    if (p->trust->epoch != 0 && p->trust->epoch != r->epoch)
        return peri_fault_set(p->fault, PERI_EDENIED,
                              "the proof is of epoch %llu, asked for was epoch %llu",
                              (unsigned long long)r->epoch, (unsigned long long)p->trust->epoch);
    return PERI_OK;
}

/* The header of block created + 1: from the commit when one was given, else from the answer, whose `block` may
 * be one block or several. */
static enum peri_err find_header(struct proof *p, uint32_t *commit) {
    struct peri_json *j = p->document;
    int64_t wanted = p->set->created_height + 1;
    *commit = PERI_JSON_NONE;
    if (p->commit != NULL) {
        uint32_t root = peri_json_root(p->commit);
        uint32_t result = PERI_GONKA_GET(p->commit, root, "result");
        if (result != PERI_JSON_NONE) root = result;
        uint32_t both = PERI_GONKA_GET(p->commit, root, "signed_header");
        *commit = PERI_GONKA_GET(p->commit, both, "commit");
        return peri_comet_header_read(
            &p->header, p->commit, PERI_GONKA_GET(p->commit, both, "header"), &p->arena, p->fault);
    }
    p->block = PERI_GONKA_GET(j, peri_json_root(j), "block");
    if (peri_json_kind(j, p->block) == PERI_JSON_ARRAY) {
        struct peri_json_iter it = peri_json_iter(j, p->block);
        p->block = PERI_JSON_NONE;
        while (peri_json_next(j, &it)) {
            int64_t height;
            uint32_t header = PERI_GONKA_GET(j, it.value, "header");
            if (peri_gonka_int(&height, j, PERI_GONKA_GET(j, header, "height")) && height == wanted)
                p->block = it.value;
        }
    }
    return peri_comet_header_read(&p->header, j, PERI_GONKA_GET(j, p->block, "header"), &p->arena,
                                  p->fault);
}

static enum peri_err check_header(struct proof *p) {
    const struct peri_comet_header *header = &p->header;
    struct peri_str chain =
        p->trust->chain_id.n > 0 ? p->trust->chain_id : PERI_STR("gonka-mainnet");
    if (!peri_str_eq(header->chain_id, chain))
        return denied(p->fault, "the block is of another chain");
    if (header->height != p->set->created_height + 1)
        return denied(p->fault, "the block is not the one after the record was written");
    if (!peri_str_eq(header->app_hash, (struct peri_str){ (char *)p->report->app_hash, 32 }))
        return denied(p->fault, "the block's app hash is not the one the record leads to");
    p->report->height = header->height;
    p->report->time = header->time;
    return peri_comet_header_hash(p->report->block_hash, p->h, header);
}

static enum peri_err check_pin(struct proof *p) {
    if (!p->trust->has_block_hash) return PERI_OK;
    if (memcmp(p->trust->block_hash, p->report->block_hash, 32) != 0)
        return denied(p->fault, "the block is not the pinned one");
    p->report->is_pinned = true;
    return PERI_OK;
}

static enum peri_err check_set_hash(struct proof *p, const struct peri_comet_validators *set) {
    unsigned char hash[32];
    enum peri_err err = peri_comet_validators_hash(hash, p->h, set);
    if (err != PERI_OK) return err;
    if (!peri_str_eq(p->header.validators_hash, (struct peri_str){ (char *)hash, 32 }))
        return denied(p->fault, "the block's validators are not the trusted ones");
    return PERI_OK;
}

static enum peri_err check_commit(struct proof *p, uint32_t node) {
    struct peri_comet_commit commit;
    const struct peri_comet_validators *set = &p->trust->validators;
    if (set->count == 0) return PERI_OK;
    enum peri_err err = check_set_hash(p, set);
    if (err != PERI_OK || node == PERI_JSON_NONE) return err;
    err = peri_comet_commit_read(&commit, p->commit, node, &p->arena, p->fault);
    if (err != PERI_OK) return err;
    if (commit.height != p->header.height ||
        !peri_str_eq(commit.block_id.hash, (struct peri_str){ (char *)p->report->block_hash, 32 }))
        return denied(p->fault, "the commit is of another block");
    return peri_comet_verify(&p->report->commit, &commit, set, p->header.chain_id, p->fault);
}

/* The commit of the block before, when the answer has it: it must be the one the header names, and when the
 * validators are known by the header's own hash, their signatures must hold. */
static enum peri_err check_parent(struct proof *p) {
    struct peri_json *j = p->document;
    struct peri_comet_commit parent;
    struct peri_comet_validators set = p->trust->validators;
    struct peri_fault unread = { PERI_OK, "" };
    unsigned char hash[32];
    uint32_t node = PERI_GONKA_GET(j, p->block, "last_commit");
    if (peri_json_kind(j, node) != PERI_JSON_OBJECT) return PERI_OK;
    enum peri_err err = peri_comet_commit_read(&parent, j, node, &p->arena, p->fault);
    if (err == PERI_OK) err = peri_comet_commit_hash(hash, p->h, &parent);
    if (err != PERI_OK) return err;
    if (!peri_str_eq(p->header.last_commit_hash, (struct peri_str){ (char *)hash, 32 }) ||
        parent.height != p->header.height - 1 ||
        !peri_str_eq(parent.block_id.hash, p->header.last_block_id.hash) ||
        !peri_str_eq(parent.block_id.parts_hash, p->header.last_block_id.parts_hash) ||
        parent.block_id.parts_total != p->header.last_block_id.parts_total)
        return denied(p->fault, "the last commit is not the one the block names");
    if (set.count == 0) {
        /* Nodes give the first thirty only, so a list that is not the block's own proves nothing. */
        uint32_t list = PERI_GONKA_GET(j, peri_json_root(j), "validators");
        err = peri_comet_validators_read(&set, j, list, p->h, &p->arena, &unread);
        if (err == PERI_ENOMEM || err == PERI_ECRYPTO) return err;
        if (err != PERI_OK) return PERI_OK;
        err = peri_comet_validators_hash(hash, p->h, &set);
        if (err != PERI_OK) return err;
        if (!peri_str_eq(p->header.validators_hash, (struct peri_str){ (char *)hash, 32 }))
            return PERI_OK;
    }
    /* The block before may have had another set, by its size at the least. */
    if (set.count != parent.count) return PERI_OK;
    return peri_comet_verify(&p->report->parent, &parent, &set, p->header.chain_id, p->fault);
}

static enum peri_err check(struct proof *p, struct peri_str document) {
    uint32_t commit;
    enum peri_err err = parse(&p->document, document, "participants", p->fault);
    if (err == PERI_OK && p->trust->commit.n > 0)
        err = parse(&p->commit, p->trust->commit, "commit", p->fault);
    if (err == PERI_OK) err = read_record(p);
    if (err == PERI_OK) err = read_ops(p);
    if (err == PERI_OK) err = prove_record(p);
    if (err == PERI_OK) err = find_header(p, &commit);
    if (err == PERI_OK) err = check_header(p);
    if (err == PERI_OK) err = check_pin(p);
    if (err == PERI_OK) err = check_commit(p, commit);
    if (err == PERI_OK) err = check_parent(p);
    if (err != PERI_OK) return err;
    if (!p->report->is_pinned && p->report->commit.signers == 0)
        return denied(
            p->fault,
            "nothing fastens the block to the chain: it needs a pinned block hash, or trusted "
            "validators and a commit of the block");
    return PERI_OK;
}

/* Exclusions stand beside the record; they only take away. */
static void take_exclusions(struct peri_gonka_set *set, struct peri_str document) {
    struct peri_gonka_set *told;
    if (peri_gonka_set_read(&told, document, NULL) != PERI_OK) return;
    for (size_t i = 0; i < told->count; i++) {
        if (told->participants[i].exclusion.p == NULL) continue;
        for (size_t k = 0; k < set->count; k++)
            if (peri_str_eq(set->participants[k].address, told->participants[i].address)) {
                struct peri_str reason = told->participants[i].exclusion;
                set->participants[k].exclusion = peri_arena_dup(&set->arena, reason);
            }
    }
    peri_gonka_set_free(told);
}

enum peri_err peri_gonka_prove(struct peri_gonka_set **set, struct peri_gonka_proof_report *report,
                               struct peri_hasher *h, struct peri_str document,
                               const struct peri_gonka_trust *trust, struct peri_fault *fault) {
    struct proof p = {
        .h = h, .trust = trust, .report = report, .fault = fault, .block = PERI_JSON_NONE
    };
    *report = (struct peri_gonka_proof_report){ 0 };
    peri_arena_init(&p.arena, 4 * (size_t)PERI_GONKA_DOCUMENT_MAX);
    enum peri_err err = check(&p, document);
    if (err == PERI_OK) {
        p.set->is_proven = true;
        take_exclusions(p.set, document);
        *set = p.set;
    } else {
        peri_gonka_set_free(p.set);
    }
    peri_json_free(p.document);
    peri_json_free(p.commit);
    peri_arena_done(&p.arena);
    return err;
}
