#include "fleet/model_list.h"

#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "dialect/ability.h"

#define TOKENS_MAX 1000000000 /* more than this is no number of tokens */
#define DEPTH_MAX  32
#define NODES_MAX  1000000

struct peri_model_list *peri_model_list_ref(struct peri_model_list *l) {
    atomic_fetch_add(&l->refs, 1);
    return l;
}

void peri_model_list_unref(struct peri_model_list *l) {
    if (l == NULL || atomic_fetch_sub(&l->refs, 1) > 1) return;
    peri_arena_done(&l->arena);
    peri_free(l);
}

/* ---- One entry ---- */

/* The first of the names (ended by NULL) that holds a number of tokens; 0 when none does. */
static uint64_t tokens(struct peri_json *j, uint32_t object, const char *const *names) {
    for (; *names != NULL; names++) {
        int64_t n;
        uint32_t node = peri_json_get(j, object, peri_str_of(*names));
        if (peri_json_kind(j, node) == PERI_JSON_NUMBER && peri_json_int(&n, j, node) == PERI_OK &&
            n > 0 && n <= TOKENS_MAX)
            return (uint64_t)n;
    }
    return 0;
}

static void read_tokens(struct peri_config_model *m, struct peri_json *j, uint32_t entry) {
    static const char *const context[] = { "context_length",   "max_model_len",
                                           "context_window",   "max_context_length",
                                           "max_input_tokens", NULL };
    static const char *const output[] = { "max_output_tokens", "max_completion_tokens",
                                          "max_output_length", NULL };
    uint32_t info = peri_json_get(j, entry, PERI_STR("model_info"));
    uint32_t top = peri_json_get(j, entry, PERI_STR("top_provider"));
    m->context_tokens = tokens(j, entry, context);
    if (m->context_tokens == 0) m->context_tokens = tokens(j, info, context);
    m->max_output_tokens = tokens(j, entry, output);
    if (m->max_output_tokens == 0) m->max_output_tokens = tokens(j, info, output);
    if (m->max_output_tokens == 0) m->max_output_tokens = tokens(j, top, output);
    if (m->context_tokens <= m->max_output_tokens) m->context_tokens = 0;
}

/* Abilities among the words of a list; `is_said`: it holds words at all. */
static unsigned named(struct peri_json *j, uint32_t list, bool *is_said) {
    unsigned abilities = 0;
    *is_said = false;
    if (peri_json_kind(j, list) != PERI_JSON_ARRAY) return 0;
    struct peri_json_iter it = peri_json_iter(j, list);
    struct peri_arena a;
    peri_arena_init(&a, 0);
    while (peri_json_next(j, &it)) {
        struct peri_str word = peri_json_string(j, it.value, &a);
        if (word.p == NULL) continue;
        *is_said = true;
        abilities |= peri_ability_of(word);
    }
    peri_arena_done(&a);
    return abilities;
}

static bool is_denied(struct peri_json *j, uint32_t object, const char *name) {
    uint32_t node = peri_json_get(j, object, peri_str_of(name));
    return peri_json_kind(j, node) == PERI_JSON_BOOL && !peri_json_is_true(j, node);
}

static void read_lacks(struct peri_config_model *m, struct peri_json *j, uint32_t entry) {
    bool is_said;
    uint32_t shape = peri_json_get(j, entry, PERI_STR("architecture"));
    uint32_t can = peri_json_get(j, entry, PERI_STR("capabilities"));
    uint32_t info = peri_json_get(j, entry, PERI_STR("model_info"));
    unsigned takes = named(j, peri_json_get(j, entry, PERI_STR("input_modalities")), &is_said);
    if (!is_said) takes = named(j, peri_json_get(j, shape, PERI_STR("input_modalities")), &is_said);
    if (is_said) m->lacks |= PERI_TAKES_MEDIA & ~takes;
    takes = named(j, peri_json_get(j, entry, PERI_STR("supported_parameters")), &is_said);
    if (is_said) m->lacks |= PERI_TAKES_TOOLS & ~takes;
    if (is_denied(j, can, "vision") || is_denied(j, entry, "supports_vision") ||
        is_denied(j, info, "supports_vision"))
        m->lacks |= PERI_TAKES_IMAGES;
    if (is_denied(j, can, "function_calling") || is_denied(j, entry, "supports_tools") ||
        is_denied(j, entry, "supports_function_calling") ||
        is_denied(j, info, "supports_function_calling"))
        m->lacks |= PERI_TAKES_TOOLS;
}

/* ---- The document ---- */

static uint32_t list_of(struct peri_json *j) {
    static const struct peri_str names[] = { PERI_STR_INIT("data"), PERI_STR_INIT("models") };
    uint32_t root = peri_json_root(j);
    if (peri_json_kind(j, root) == PERI_JSON_ARRAY) return root;
    for (size_t i = 0; i < 2; i++) {
        uint32_t list = peri_json_get(j, root, names[i]);
        if (peri_json_kind(j, list) == PERI_JSON_ARRAY) return list;
    }
    return PERI_JSON_NONE;
}

static enum peri_err read_entries(struct peri_model_list *l, struct peri_map *seen,
                                  struct peri_json *j, uint32_t list, struct peri_fault *fault) {
    size_t most = peri_json_count(j, list);
    if (most > PERI_MODEL_LIST_MAX)
        return peri_fault_set(fault, PERI_ETOOBIG, "%zu models are more than %d", most,
                              PERI_MODEL_LIST_MAX);
    struct peri_config_model *models = peri_arena_zalloc(&l->arena, (most + 1) * sizeof *models);
    if (models == NULL) return PERI_ENOMEM;
    struct peri_json_iter it = peri_json_iter(j, list);
    while (peri_json_next(j, &it)) {
        struct peri_config_model *m = &models[l->count];
        uint32_t id = peri_json_get(j, it.value, PERI_STR("id"));
        if (peri_json_kind(j, id) != PERI_JSON_STRING) continue;
        struct peri_str text = peri_json_string(j, id, &l->arena);
        if (text.p == NULL) return PERI_ENOMEM;
        if (peri_name_fault(text) != NULL) continue;
        m->name = m->upstream = peri_arena_dup(&l->arena, text);
        if (m->name.p == NULL) return PERI_ENOMEM;
        enum peri_err err = peri_map_add(seen, m->name, m);
        if (err == PERI_EEXIST) continue;
        if (err != PERI_OK) return err;
        read_tokens(m, j, it.value);
        read_lacks(m, j, it.value);
        l->count++;
    }
    l->models = models;
    return l->count > 0 ? PERI_OK : peri_fault_set(fault, PERI_ENOTFOUND, "it lists no model");
}

enum peri_err peri_model_list_read(struct peri_model_list **out, struct peri_str document,
                                   struct peri_fault *fault) {
    struct peri_json *j = NULL;
    struct peri_json_options options = { .depth = DEPTH_MAX,
                                         .nodes = NODES_MAX,
                                         .bytes = PERI_MODEL_LIST_BYTES_MAX };
    struct peri_map seen;
    peri_map_init(&seen);
    struct peri_model_list *l = peri_calloc(1, sizeof *l);
    if (l == NULL) return PERI_ENOMEM;
    atomic_init(&l->refs, 1);
    peri_arena_init(&l->arena, 0);
    enum peri_err err = peri_json_parse(&j, document, &options, fault);
    uint32_t list = err == PERI_OK ? list_of(j) : PERI_JSON_NONE;
    if (err == PERI_OK && list == PERI_JSON_NONE)
        err = peri_fault_set(fault, PERI_EMALFORMED, "expected a list of models in 'data'");
    if (err == PERI_OK) err = read_entries(l, &seen, j, list, fault);
    peri_map_done(&seen);
    peri_json_free(j);
    if (err != PERI_OK) {
        peri_model_list_unref(l);
        return err;
    }
    *out = l;
    return PERI_OK;
}

/* ---- Looking ---- */

const struct peri_config_model *peri_model_list_find(const struct peri_model_list *l,
                                                     struct peri_str name) {
    const struct peri_config_model *found = NULL;
    for (size_t i = 0; i < l->count; i++) {
        if (peri_str_eq(l->models[i].name, name)) return &l->models[i];
        if (found == NULL && peri_str_eq_nocase(l->models[i].name, name)) found = &l->models[i];
    }
    return found;
}

bool peri_model_list_equal(const struct peri_model_list *a, const struct peri_model_list *b) {
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct peri_config_model *m = &a->models[i], *n = &b->models[i];
        if (!peri_str_eq(m->name, n->name) || m->context_tokens != n->context_tokens ||
            m->max_output_tokens != n->max_output_tokens || m->lacks != n->lacks)
            return false;
    }
    return true;
}
