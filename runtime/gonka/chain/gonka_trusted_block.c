#include "gonka/chain/gonka_trusted_block.h"

#include "base/err.h"
#include "base/file.h"
#include "crypto/encode.h"
#include "gonka/chain/comet_json.h"
#include "gonka/chain/gonka_discovery.h"
#include "gonka/chain/gonka_proof.h"

static enum peri_err read_validators(struct peri_gonka_trust *trust, struct peri_arena *a,
                                     struct peri_hasher *h, struct peri_str path,
                                     struct peri_fault *fault) {
    struct peri_buf text;
    struct peri_json *json = NULL;
    peri_buf_init(&text, PERI_GONKA_DOCUMENT_MAX);
    enum peri_err err = peri_file_read(&text, path, fault);
    if (err == PERI_OK) err = peri_json_parse(&json, peri_buf_str(&text), NULL, fault);
    if (err == PERI_OK) {
        uint32_t root = peri_json_root(json), inner = peri_json_get(json, root, PERI_STR("result"));
        if (inner != PERI_JSON_NONE) root = inner;
        err = peri_comet_validators_read(&trust->validators, json,
                                         peri_json_get(json, root, PERI_STR("validators")), h, a,
                                         fault);
    }
    peri_json_free(json);
    peri_buf_done(&text);
    return err;
}

static void log_report(struct peri_log *log, const struct peri_gonka_proof_report *report) {
    if (!peri_log_begin(log, PERI_LOG_INFO, "gonka proof holds")) return;
    peri_log_int(log, "epoch", (int64_t)report->epoch);
    peri_log_int(log, "height", report->height);
    peri_log_str(log, "trusts",
                 report->is_pinned ? PERI_STR("pinned block") : PERI_STR("validator set"));
    peri_log_int(log, "signed_power", report->commit.signed_power);
    peri_log_int(log, "total_power", report->commit.total_power);
    peri_log_end(log);
}

enum peri_err peri_gonka_trusted_block_hash(unsigned char out[32],
                                            const struct peri_config_gonka *options,
                                            struct peri_fault *fault) {
    size_t n = 0;
    if (peri_hex_decode(out, 32, &n, options->trust_block) == PERI_OK && n == 32) return PERI_OK;
    return peri_fault_set(fault, PERI_ECONFIG, "trust_block must be 64 hexadecimal digits");
}

enum peri_err peri_gonka_trusted_block_prove(struct peri_gonka_set **set,
                                             const struct peri_config_gonka *options,
                                             const struct peri_comet_validators *followed,
                                             struct peri_str document, struct peri_str commit,
                                             struct peri_log *log, struct peri_fault *fault) {
    struct peri_gonka_trust trust = { .chain_id = options->trust_chain, .commit = commit };
    struct peri_gonka_proof_report report;
    struct peri_hasher *h = NULL;
    struct peri_arena a;
    peri_arena_init(&a, 16u << 20);
    enum peri_err err = peri_hasher_new(&h);
    if (followed != NULL)
        trust.validators = *followed;
    else if (err == PERI_OK && options->trust_block.n > 0) {
        err = peri_gonka_trusted_block_hash(trust.block_hash, options, fault);
        trust.has_block_hash = err == PERI_OK;
    }
    if (err == PERI_OK && followed == NULL && options->trust_validators.n > 0)
        err = read_validators(&trust, &a, h, options->trust_validators, fault);
    if (err == PERI_OK) err = peri_gonka_prove(set, &report, h, document, &trust, fault);
    if (err == PERI_OK) log_report(log, &report);
    peri_hasher_free(h);
    peri_arena_done(&a);
    return err;
}
