#include "gonka/chain/gonka_trust.h"

#include "base/mem.h"
#include "gonka/chain/comet_json.h"
#include "gonka/chain/gonka_discovery.h"

#define PAGES_MAX 100

static enum peri_err denied(struct peri_fault *fault, const char *what) {
    return peri_fault_set(fault, PERI_EDENIED, "the block can not be trusted: %s", what);
}

static enum peri_err parse(struct peri_json **j, struct peri_str text, const char *what,
                           struct peri_fault *fault) {
    struct peri_fault inner = { PERI_OK, "" };
    const struct peri_json_options options = { .depth = 64, .bytes = PERI_GONKA_DOCUMENT_MAX };
    enum peri_err err = peri_json_parse(j, text, &options, &inner);
    return err == PERI_OK ? err : peri_fault_set(fault, err, "%s: %s", what, inner.text);
}

/* JSON-RPC wraps its answer; some proxies unwrap it. */
static uint32_t result_of(struct peri_json *j) {
    uint32_t root = peri_json_root(j), result = PERI_GONKA_GET(j, root, "result");
    return result == PERI_JSON_NONE ? root : result;
}

struct reading {
    struct peri_gonka_trusted *t;
    struct peri_hasher *h;
    struct peri_fault *fault;
    struct peri_comet_header header;
    struct peri_comet_commit commit;
};

static enum peri_err read_commit(struct reading *r, struct peri_str text) {
    struct peri_json *j = NULL;
    enum peri_err err = parse(&j, text, "commit", r->fault);
    if (err != PERI_OK) return err;
    uint32_t both = PERI_GONKA_GET(j, result_of(j), "signed_header");
    struct peri_arena *a = &r->t->arena;
    err = peri_comet_header_read(&r->header, j, PERI_GONKA_GET(j, both, "header"), a, r->fault);
    if (err == PERI_OK)
        err = peri_comet_commit_read(&r->commit, j, PERI_GONKA_GET(j, both, "commit"), a, r->fault);
    peri_json_free(j);
    return err;
}

static enum peri_err read_page(struct reading *r, struct peri_comet_validators *page,
                               struct peri_str text) {
    struct peri_json *j = NULL;
    enum peri_err err = parse(&j, text, "validators", r->fault);
    if (err != PERI_OK) return err;
    err = peri_comet_validators_read(page, j, PERI_GONKA_GET(j, result_of(j), "validators"), r->h,
                                     &r->t->arena, r->fault);
    peri_json_free(j);
    return err;
}

static enum peri_err read_validators(struct reading *r, const struct peri_gonka_block *block) {
    struct peri_comet_validators pages[PAGES_MAX];
    size_t total = 0, at = 0;
    if (block->page_count == 0 || block->page_count > PAGES_MAX)
        return peri_fault_set(r->fault, PERI_ETOOBIG, "validators: %zu pages", block->page_count);
    for (size_t i = 0; i < block->page_count; i++) {
        enum peri_err err = read_page(r, &pages[i], block->validators[i]);
        if (err != PERI_OK) return err;
        total += pages[i].count;
    }
    if (total > PERI_COMET_VALIDATORS_MAX)
        return peri_fault_set(r->fault, PERI_ETOOBIG, "there are %zu validators", total);
    struct peri_comet_validator *all = peri_arena_alloc(&r->t->arena, total * sizeof *all);
    if (all == NULL) return PERI_ENOMEM;
    for (size_t i = 0; i < block->page_count; i++) {
        if (pages[i].count > 0) memcpy(all + at, pages[i].v, pages[i].count * sizeof *all);
        at += pages[i].count;
    }
    r->t->validators = (struct peri_comet_validators){ all, total };
    return PERI_OK;
}

/* What must hold of any block, whoever vouches for it: header, commit and set belong together, and the set
 * signed. */
static enum peri_err check_itself(struct reading *r, struct peri_str chain_id) {
    struct peri_gonka_trusted *t = r->t;
    unsigned char hash[32];
    struct peri_str view = { (char *)hash, sizeof hash };
    if (!peri_str_eq(r->header.chain_id, chain_id))
        return denied(r->fault, "it is of another chain");
    enum peri_err err = peri_comet_validators_hash(hash, r->h, &t->validators);
    if (err != PERI_OK) return err;
    if (!peri_str_eq(r->header.validators_hash, view))
        return denied(r->fault, "its header names other validators");
    err = peri_comet_header_hash(t->block_hash, r->h, &r->header);
    if (err != PERI_OK) return err;
    if (r->commit.height != r->header.height ||
        !peri_str_eq(r->commit.block_id.hash, (struct peri_str){ (char *)t->block_hash, 32 }))
        return denied(r->fault, "the commit is of another block");
    t->chain_id = r->header.chain_id;
    t->height = r->header.height;
    t->time = r->header.time;
    return peri_comet_verify(&t->own, &r->commit, &t->validators, chain_id, r->fault);
}

static enum peri_err begin(struct reading *r, struct peri_hasher *h,
                           const struct peri_gonka_block *block, struct peri_str chain_id,
                           struct peri_fault *fault) {
    *r = (struct reading){ .h = h, .fault = fault };
    r->t = peri_calloc(1, sizeof *r->t);
    if (r->t == NULL) return PERI_ENOMEM;
    peri_arena_init(&r->t->arena, 2 * (size_t)PERI_GONKA_DOCUMENT_MAX);
    enum peri_err err = read_commit(r, block->commit);
    if (err == PERI_OK) err = read_validators(r, block);
    return err == PERI_OK ? check_itself(r, chain_id) : err;
}

static enum peri_err finish(struct peri_gonka_trusted **out, struct reading *r, enum peri_err err) {
    if (err == PERI_OK)
        *out = r->t;
    else
        peri_gonka_trusted_free(r->t);
    return err;
}

enum peri_err peri_gonka_trusted_start(struct peri_gonka_trusted **out, struct peri_hasher *h,
                                       const struct peri_gonka_block *block,
                                       struct peri_str chain_id, const unsigned char block_hash[32],
                                       struct peri_fault *fault) {
    struct reading r;
    enum peri_err err = begin(&r, h, block, chain_id, fault);
    if (err == PERI_OK && memcmp(block_hash, r.t->block_hash, 32) != 0)
        err = denied(fault, "it is not the pinned one");
    return finish(out, &r, err);
}

static enum peri_err check_order(const struct reading *r, const struct peri_gonka_trusted *from,
                                 int64_t now_s, int64_t trusting_s) {
    const struct peri_comet_time *then = &from->time, *time = &r->t->time;
    if (r->t->height <= from->height)
        return denied(r->fault, "it is not later than the trusted one");
    if (time->seconds < then->seconds ||
        (time->seconds == then->seconds && time->nanos <= then->nanos))
        return denied(r->fault, "its time is not later than the trusted one's");
    if (time->seconds > now_s + 60) return denied(r->fault, "its time is in the future");
    if (now_s - then->seconds > trusting_s)
        return denied(r->fault, "the trusted block is too old: pin a newer one");
    return PERI_OK;
}

enum peri_err peri_gonka_trusted_step(struct peri_gonka_trusted **out, struct peri_hasher *h,
                                      const struct peri_gonka_trusted *from,
                                      const struct peri_gonka_block *block, int64_t now_s,
                                      int64_t trusting_s, struct peri_fault *fault) {
    struct reading r;
    enum peri_err err = begin(&r, h, block, from->chain_id, fault);
    if (err == PERI_OK) err = check_order(&r, from, now_s, trusting_s);
    if (err == PERI_OK)
        err = peri_comet_verify_trusting(&r.t->old, &r.commit, &from->validators, from->chain_id,
                                         fault);
    return finish(out, &r, err);
}

void peri_gonka_trusted_free(struct peri_gonka_trusted *t) {
    if (t == NULL) return;
    peri_arena_done(&t->arena);
    peri_free(t);
}
