#include "gonka/chain/gonka_epoch.h"

#include "base/map.h"
#include "gonka/chain/gonka_json.h"

#define DOCUMENT_MAX (8u << 20)

static const char *const phase_names[] = { "Inference", "PoCGenerate", "PoCGenerateWindDown",
                                           "PoCValidate", "PoCValidateWindDown" };

const char *peri_gonka_phase_name(enum peri_gonka_phase phase) { return phase_names[phase]; }

static enum peri_err parse(struct peri_json **j, struct peri_str text, const char *what,
                           struct peri_fault *fault) {
    struct peri_fault inner = { PERI_OK, "" };
    const struct peri_json_options options = { .depth = 64, .bytes = DOCUMENT_MAX };
    enum peri_err err = peri_json_parse(j, text, &options, &inner);
    return err == PERI_OK ? err : peri_fault_set(fault, err, "%s: %s", what, inner.text);
}

/* Heights are counted with; this is far above any, and sums of a few stay far below 64 bits. */
#define HEIGHT_MAX (INT64_C(1) << 53)

static int64_t number(struct peri_json *j, uint32_t object, const char *name) {
    int64_t value;
    bool is_told = peri_gonka_int(&value, j, peri_json_get(j, object, peri_str_of(name)));
    return is_told && value >= 0 && value <= HEIGHT_MAX ? value : 0;
}

static void read_stages(struct peri_gonka_stages *s, struct peri_json *j, uint32_t node) {
    s->poc_start = number(j, node, "poc_start");
    s->generation_wind_down = number(j, node, "poc_generation_wind_down");
    s->generation_end = number(j, node, "poc_generation_end");
    s->validation_start = number(j, node, "poc_validation_start");
    s->validation_wind_down = number(j, node, "poc_validation_wind_down");
    s->validation_end = number(j, node, "poc_validation_end");
    s->set_new_validators = number(j, node, "set_new_validators");
    s->next_poc_start = number(j, node, "next_poc_start");
}

enum peri_gonka_phase peri_gonka_phase_at(const struct peri_gonka_stages *s, int64_t height) {
    if (s->poc_start <= 0 || height < s->poc_start || height >= s->validation_end)
        return PERI_GONKA_PHASE_INFERENCE;
    if (height < s->generation_wind_down) return PERI_GONKA_PHASE_POC_GENERATE;
    if (height < s->validation_start) return PERI_GONKA_PHASE_POC_GENERATE_WIND_DOWN;
    if (height < s->validation_wind_down) return PERI_GONKA_PHASE_POC_VALIDATE;
    return PERI_GONKA_PHASE_POC_VALIDATE_WIND_DOWN;
}

static enum peri_gonka_phase read_phase(struct peri_json *j, uint32_t root,
                                        const struct peri_gonka_epoch *e) {
    uint32_t node = PERI_GONKA_GET(j, root, "phase");
    for (size_t i = 0; i < sizeof phase_names / sizeof *phase_names; i++)
        if (peri_json_string_is(j, node, peri_str_of(phase_names[i])))
            return (enum peri_gonka_phase)i;
    return peri_gonka_phase_at(&e->stages, e->height);
}

/* A number, or a name of the protocol buffers' enumeration. */
static enum peri_gonka_confirmation read_confirmation(struct peri_json *j, uint32_t event) {
    static const char *const long_names[] = {
        "CONFIRMATION_POC_INACTIVE", "CONFIRMATION_POC_GRACE_PERIOD", "CONFIRMATION_POC_GENERATION",
        "CONFIRMATION_POC_VALIDATION", "CONFIRMATION_POC_COMPLETED"
    };
    int64_t value;
    uint32_t node = PERI_GONKA_GET(j, event, "phase");
    for (size_t i = 0; i < sizeof long_names / sizeof *long_names; i++)
        if (peri_json_string_is(j, node, peri_str_of(long_names[i])))
            return (enum peri_gonka_confirmation)i;
    if (peri_gonka_int(&value, j, node) && value >= 0 && value <= PERI_GONKA_CONFIRMATION_COMPLETED)
        return (enum peri_gonka_confirmation)value;
    return PERI_GONKA_CONFIRMATION_NONE;
}

static void read_event(struct peri_gonka_epoch *e, struct peri_json *j, uint32_t root) {
    uint32_t event = PERI_GONKA_GET(j, root, "active_confirmation_poc_event");
    e->has_confirmation =
        peri_json_is_true(j, PERI_GONKA_GET(j, root, "is_confirmation_poc_active"));
    if (!e->has_confirmation || peri_json_kind(j, event) != PERI_JSON_OBJECT) return;
    e->confirmation = read_confirmation(j, event);
    e->confirmation_trigger = number(j, event, "trigger_height");
}

static void read_length(struct peri_gonka_epoch *e, struct peri_json *j, uint32_t root) {
    uint32_t params = PERI_GONKA_GET(j, root, "epoch_params");
    uint32_t inner = PERI_GONKA_GET(j, params, "epoch_params");
    e->length = number(j, inner == PERI_JSON_NONE ? params : inner, "epoch_length");
    if (e->length <= 0 && e->stages.next_poc_start > e->stages.poc_start)
        e->length = e->stages.next_poc_start - e->stages.poc_start;
}

enum peri_err peri_gonka_epoch_read(struct peri_gonka_epoch *out, struct peri_str text,
                                    struct peri_fault *fault) {
    struct peri_json *j = NULL;
    *out = (struct peri_gonka_epoch){ 0 };
    enum peri_err err = parse(&j, text, "epoch", fault);
    if (err != PERI_OK) return err;
    uint32_t root = peri_json_root(j), latest = PERI_GONKA_GET(j, root, "latest_epoch");
    if (peri_json_kind(j, latest) != PERI_JSON_OBJECT)
        err = peri_fault_set(fault, PERI_EMALFORMED, "epoch: there is no 'latest_epoch'");
    else if ((out->height = number(j, root, "block_height")) == 0)
        err = peri_fault_set(fault, PERI_EMALFORMED, "epoch: there is no 'block_height'");
    if (err == PERI_OK) {
        if (!peri_gonka_uint(&out->index, j, PERI_GONKA_GET(j, latest, "index"))) out->index = 0;
        read_stages(&out->stages, j, PERI_GONKA_GET(j, root, "epoch_stages"));
        read_stages(&out->next, j, PERI_GONKA_GET(j, root, "next_epoch_stages"));
        if (out->stages.poc_start == 0)
            out->stages.poc_start = number(j, latest, "poc_start_block_height");
        out->phase = read_phase(j, root, out);
        read_event(out, j, root);
        read_length(out, j, root);
    }
    peri_json_free(j);
    return err;
}

enum peri_gonka_service peri_gonka_service(const struct peri_gonka_epoch *e) {
    switch (e->phase) {
    case PERI_GONKA_PHASE_POC_GENERATE:
    case PERI_GONKA_PHASE_POC_GENERATE_WIND_DOWN: return PERI_GONKA_SERVES_PRESERVED;
    case PERI_GONKA_PHASE_POC_VALIDATE:
    case PERI_GONKA_PHASE_POC_VALIDATE_WIND_DOWN: return PERI_GONKA_SERVES_SOME;
    case PERI_GONKA_PHASE_INFERENCE: break;
    }
    if (e->confirmation == PERI_GONKA_CONFIRMATION_GENERATION) return PERI_GONKA_SERVES_PRESERVED;
    if (e->confirmation == PERI_GONKA_CONFIRMATION_VALIDATION) return PERI_GONKA_SERVES_SOME;
    return PERI_GONKA_SERVES_ALL;
}

int64_t peri_gonka_window(const struct peri_gonka_epoch *e) {
    if (peri_gonka_service(e) == PERI_GONKA_SERVES_ALL) return 0;
    return e->phase == PERI_GONKA_PHASE_INFERENCE ? e->confirmation_trigger : e->stages.poc_start;
}

/* One model of a snapshot, and the accounts that keep serving it. */
static void mark_model(const struct peri_map *accounts, struct peri_json *j, uint32_t entry,
                       struct peri_arena *a) {
    struct peri_str model = peri_json_string(j, PERI_GONKA_GET(j, entry, "model_id"), a);
    struct peri_json_iter it = peri_json_iter(j, PERI_GONKA_GET(j, entry, "participants"));
    while (peri_json_next(j, &it)) {
        if (peri_json_count(j, PERI_GONKA_GET(j, it.value, "node_ids")) == 0) continue;
        struct peri_str account =
            peri_json_string(j, PERI_GONKA_GET(j, it.value, "participant_id"), a);
        struct peri_gonka_participant *p = peri_map_get(accounts, account);
        for (size_t i = 0; p != NULL && i < p->model_count; i++)
            if (peri_str_eq(p->models[i].id, model)) p->models[i].is_preserved = true;
    }
}

static enum peri_err index_accounts(struct peri_map *accounts, struct peri_gonka_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        struct peri_gonka_participant *p = &set->participants[i];
        if (p->verdict != PERI_GONKA_USABLE) continue;
        enum peri_err err = peri_map_add(accounts, p->address, p);
        /* Of an account that is listed twice the first entry counts, judged or not. */
        if (err != PERI_OK && err != PERI_EEXIST) return err;
    }
    return PERI_OK;
}

static void clear_marks(struct peri_gonka_set *set) {
    for (size_t i = 0; i < set->count; i++)
        for (size_t k = 0; k < set->participants[i].model_count; k++)
            set->participants[i].models[k].is_preserved = false;
}

void peri_gonka_preserved_forget(struct peri_gonka_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        struct peri_gonka_model *models = set->participants[i].models;
        for (size_t k = 0; k < set->participants[i].model_count; k++)
            models[k].is_preserved = models[k].is_slotted;
    }
}

enum peri_err peri_gonka_preserved_apply(bool *applies, struct peri_gonka_set *set,
                                         const struct peri_gonka_epoch *e, struct peri_str text,
                                         struct peri_fault *fault) {
    struct peri_json *j = NULL;
    struct peri_map accounts;
    struct peri_arena a;
    *applies = false;
    enum peri_err err = parse(&j, text, "preserved nodes", fault);
    if (err != PERI_OK) return err;
    uint32_t root = peri_json_root(j), snapshot = PERI_GONKA_GET(j, root, "snapshot");
    peri_map_init(&accounts);
    peri_arena_init(&a, DOCUMENT_MAX);
    if (peri_json_kind(j, root) != PERI_JSON_OBJECT)
        err = peri_fault_set(fault, PERI_EMALFORMED, "preserved nodes: it is no JSON object");
    else if (peri_json_is_true(j, PERI_GONKA_GET(j, root, "found")) && peri_gonka_window(e) > 0 &&
             number(j, snapshot, "episode_anchor_height") == peri_gonka_window(e))
        err = index_accounts(&accounts, set);
    *applies = err == PERI_OK && accounts.count > 0;
    if (*applies) {
        clear_marks(set);
        struct peri_json_iter it =
            peri_json_iter(j, PERI_GONKA_GET(j, snapshot, "model_preserved_nodes"));
        while (peri_json_next(j, &it)) mark_model(&accounts, j, it.value, &a);
    }
    peri_map_done(&accounts);
    peri_arena_done(&a);
    peri_json_free(j);
    return err;
}
