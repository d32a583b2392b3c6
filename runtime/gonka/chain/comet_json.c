#include "gonka/chain/comet_json.h"

/* A reading remembers its first failure, so that a struct is read member by member and looked at once. */
struct reading {
    struct peri_json *j;
    struct peri_arena *a;
    const char *what; /* the member that could not be read; NULL while all is well */
};

static uint32_t member(struct reading *r, uint32_t object, const char *name) {
    return peri_json_get(r->j, object, peri_str_of(name));
}

static void read_int(int64_t *out, struct reading *r, uint32_t object, const char *name) {
    uint32_t node = member(r, object, name);
    *out = 0;
    if (node != PERI_JSON_NONE && !peri_gonka_int(out, r->j, node)) r->what = name;
}

static void read_bytes(struct peri_str *out, struct reading *r, uint32_t object, const char *name,
                       size_t n) {
    uint32_t node = member(r, object, name);
    *out = (struct peri_str){ "", 0 };
    if (node == PERI_JSON_NONE || peri_json_kind(r->j, node) == PERI_JSON_NULL) return;
    *out = peri_gonka_bytes(r->j, node, n, r->a);
    if (out->p == NULL) r->what = name;
}

static void read_time(struct peri_comet_time *out, struct reading *r, uint32_t object,
                      const char *name) {
    if (!peri_gonka_time(out, r->j, member(r, object, name))) r->what = name;
}

static void read_block_id(struct peri_comet_block_id *out, struct reading *r, uint32_t id) {
    int64_t total;
    uint32_t parts = member(r, id, "parts");
    if (parts == PERI_JSON_NONE) parts = member(r, id, "part_set_header");
    read_bytes(&out->hash, r, id, "hash", 32);
    read_bytes(&out->parts_hash, r, parts, "hash", 32);
    read_int(&total, r, parts, "total");
    if (total < 0 || total > UINT32_MAX) r->what = "total";
    out->parts_total = (uint32_t)total;
}

static enum peri_err verdict(const struct reading *r, const char *thing, struct peri_fault *fault) {
    if (r->what == NULL) return PERI_OK;
    return peri_fault_set(fault, PERI_EMALFORMED, "the %s: '%s' cannot be read", thing, r->what);
}

enum peri_err peri_comet_header_read(struct peri_comet_header *out, struct peri_json *j,
                                     uint32_t node, struct peri_arena *a,
                                     struct peri_fault *fault) {
    struct reading r = { j, a, NULL };
    int64_t block, app;
    if (peri_json_kind(j, node) != PERI_JSON_OBJECT)
        return peri_fault_set(fault, PERI_EMALFORMED, "there is no block header");
    *out = (struct peri_comet_header){ 0 };
    uint32_t version = member(&r, node, "version");
    read_int(&block, &r, version, "block");
    read_int(&app, &r, version, "app");
    out->version_block = (uint64_t)block;
    out->version_app = (uint64_t)app;
    out->chain_id = peri_gonka_text(j, node, "chain_id", a);
    read_int(&out->height, &r, node, "height");
    read_time(&out->time, &r, node, "time");
    read_block_id(&out->last_block_id, &r, member(&r, node, "last_block_id"));
    read_bytes(&out->last_commit_hash, &r, node, "last_commit_hash", 32);
    read_bytes(&out->data_hash, &r, node, "data_hash", 32);
    read_bytes(&out->validators_hash, &r, node, "validators_hash", 32);
    read_bytes(&out->next_validators_hash, &r, node, "next_validators_hash", 32);
    read_bytes(&out->consensus_hash, &r, node, "consensus_hash", 32);
    read_bytes(&out->app_hash, &r, node, "app_hash", 32);
    read_bytes(&out->last_results_hash, &r, node, "last_results_hash", 32);
    read_bytes(&out->evidence_hash, &r, node, "evidence_hash", 32);
    read_bytes(&out->proposer_address, &r, node, "proposer_address", 20);
    return verdict(&r, "block header", fault);
}

static enum peri_comet_flag read_flag(struct reading *r, uint32_t node) {
    static const char *const names[] = { "BLOCK_ID_FLAG_ABSENT", "BLOCK_ID_FLAG_COMMIT",
                                         "BLOCK_ID_FLAG_NIL" };
    int64_t flag;
    for (int i = 0; i < 3; i++)
        if (peri_json_string_is(r->j, node, peri_str_of(names[i])))
            return (enum peri_comet_flag)(i + 1);
    if (peri_gonka_int(&flag, r->j, node) && flag >= PERI_COMET_ABSENT && flag <= PERI_COMET_NIL)
        return (enum peri_comet_flag)flag;
    r->what = "block_id_flag";
    return PERI_COMET_ABSENT;
}

static void read_signature(struct peri_comet_signature *out, struct reading *r, uint32_t node) {
    out->flag = read_flag(r, member(r, node, "block_id_flag"));
    read_bytes(&out->address, r, node, "validator_address", 20);
    read_bytes(&out->signature, r, node, "signature", 64);
    read_time(&out->time, r, node, "timestamp");
}

enum peri_err peri_comet_commit_read(struct peri_comet_commit *out, struct peri_json *j,
                                     uint32_t node, struct peri_arena *a,
                                     struct peri_fault *fault) {
    struct reading r = { j, a, NULL };
    int64_t round;
    uint32_t list = member(&r, node, "signatures");
    if (peri_json_kind(j, node) != PERI_JSON_OBJECT || peri_json_kind(j, list) != PERI_JSON_ARRAY)
        return peri_fault_set(fault, PERI_EMALFORMED, "there is no commit");
    *out = (struct peri_comet_commit){ 0 };
    read_int(&out->height, &r, node, "height");
    read_int(&round, &r, node, "round");
    if (round < 0 || round > INT32_MAX) r.what = "round";
    out->round = (int32_t)round;
    read_block_id(&out->block_id, &r, member(&r, node, "block_id"));
    size_t count = peri_json_count(j, list);
    if (count > PERI_COMET_VALIDATORS_MAX)
        return peri_fault_set(fault, PERI_ETOOBIG, "the commit has %zu signatures", count);
    struct peri_comet_signature *signatures =
        peri_arena_zalloc(a, (count + 1) * sizeof *signatures);
    if (signatures == NULL) return PERI_ENOMEM;
    struct peri_json_iter it = peri_json_iter(j, list);
    while (peri_json_next(j, &it)) read_signature(&signatures[out->count++], &r, it.value);
    out->signatures = signatures;
    return verdict(&r, "commit", fault);
}

/* "base64", {"type":…, "value":"base64"} or {"@type":…, "key":"base64"}. */
static uint32_t key_node(struct reading *r, uint32_t validator) {
    uint32_t node = member(r, validator, "pub_key");
    if (peri_json_kind(r->j, node) != PERI_JSON_OBJECT) return node;
    uint32_t type = member(r, node, "type");
    if (type == PERI_JSON_NONE) type = member(r, node, "@type");
    if (!peri_json_string_is(r->j, type, PERI_STR("tendermint/PubKeyEd25519")) &&
        !peri_json_string_is(r->j, type, PERI_STR("/cosmos.crypto.ed25519.PubKey")))
        r->what = "pub_key";
    uint32_t value = member(r, node, "value");
    return value == PERI_JSON_NONE ? member(r, node, "key") : value;
}

static enum peri_err read_validator(struct peri_comet_validator *out, struct reading *r,
                                    uint32_t node, struct peri_hasher *h) {
    struct peri_str address, key = peri_gonka_bytes(r->j, key_node(r, node), 32, r->a);
    read_bytes(&address, r, node, "address", 20);
    read_int(&out->power, r, node, "voting_power");
    if (key.p == NULL || key.n != 32) r->what = "pub_key";
    if (r->what != NULL) return PERI_OK;
    memcpy(out->public_key, key.p, 32);
    enum peri_err err = peri_comet_address(out->address, h, out->public_key);
    if (address.n > 0 && !peri_str_eq(address, (struct peri_str){ (char *)out->address, 20 }))
        r->what = "address";
    return err;
}

enum peri_err peri_comet_validators_read(struct peri_comet_validators *out, struct peri_json *j,
                                         uint32_t node, struct peri_hasher *h, struct peri_arena *a,
                                         struct peri_fault *fault) {
    struct reading r = { j, a, NULL };
    *out = (struct peri_comet_validators){ NULL, 0 };
    if (peri_json_kind(j, node) != PERI_JSON_ARRAY)
        return peri_fault_set(fault, PERI_EMALFORMED, "there is no list of validators");
    size_t count = peri_json_count(j, node);
    if (count > PERI_COMET_VALIDATORS_MAX)
        return peri_fault_set(fault, PERI_ETOOBIG, "the list has %zu validators", count);
    struct peri_comet_validator *v = peri_arena_zalloc(a, (count + 1) * sizeof *v);
    if (v == NULL) return PERI_ENOMEM;
    struct peri_json_iter it = peri_json_iter(j, node);
    while (peri_json_next(j, &it)) {
        enum peri_err err = read_validator(&v[out->count++], &r, it.value, h);
        if (err != PERI_OK) return err;
    }
    out->v = v;
    return verdict(&r, "list of validators", fault);
}
