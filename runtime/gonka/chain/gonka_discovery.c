#include "gonka/chain/gonka_discovery.h"

#include "base/map.h"
#include "crypto/address.h"
#include "gonka/chain/gonka_json.h"
#include "gonka/chain/gonka_url.h"

static enum peri_err parse(struct peri_json **j, struct peri_str text, const char *what,
                           struct peri_fault *fault) {
    struct peri_fault inner = { PERI_OK, "" };
    const struct peri_json_options options = { .depth = 64, .bytes = PERI_GONKA_DOCUMENT_MAX };
    enum peri_err err = peri_json_parse(j, text, &options, &inner);
    if (err == PERI_OK && peri_json_kind(*j, peri_json_root(*j)) == PERI_JSON_OBJECT)
        return PERI_OK;
    if (err != PERI_OK) return peri_fault_set(fault, err, "%s: %s", what, inner.text);
    peri_json_free(*j);
    *j = NULL;
    return peri_fault_set(fault, PERI_EMALFORMED, "%s: it is no JSON object", what);
}

/* Some machine of a group serves through proof-of-compute: the second of its time slots is true. */
static bool is_group_preserved(struct peri_json *j, uint32_t group) {
    struct peri_json_iter it = peri_json_iter(j, PERI_GONKA_GET(j, group, "ml_nodes"));
    while (peri_json_next(j, &it)) {
        uint32_t slots = PERI_GONKA_GET(j, it.value, "timeslot_allocation");
        if (peri_json_is_true(j, peri_json_at(j, slots, 1))) return true;
    }
    return false;
}

static enum peri_err read_models(struct peri_gonka_participant *p, struct peri_json *j,
                                 uint32_t node, struct peri_arena *a) {
    uint32_t list = PERI_GONKA_GET(j, node, "models");
    size_t count = peri_json_count(j, list);
    if (peri_json_kind(j, list) != PERI_JSON_ARRAY || count == 0) return PERI_OK;
    if (count > PERI_GONKA_MODELS_MAX) return PERI_ETOOBIG;
    struct peri_gonka_model *models = peri_arena_zalloc(a, count * sizeof *models);
    if (models == NULL) return PERI_ENOMEM;
    uint32_t groups = PERI_GONKA_GET(j, node, "ml_nodes");
    struct peri_json_iter it = peri_json_iter(j, list);
    for (size_t i = 0; peri_json_next(j, &it); i++) {
        struct peri_str id = peri_json_string(j, it.value, a);
        if (id.n == 0) continue;
        struct peri_gonka_model *m = &models[p->model_count++];
        m->id = peri_arena_dup(a, id);
        m->is_preserved = m->is_slotted = is_group_preserved(j, peri_json_at(j, groups, i));
        if (m->id.p == NULL) return PERI_ENOMEM;
    }
    p->models = models;
    return PERI_OK;
}

static enum peri_err read_participant(struct peri_gonka_participant *p, struct peri_json *j,
                                      uint32_t node, struct peri_arena *a) {
    p->address = peri_gonka_text(j, node, "index", a);
    p->told_url = peri_gonka_text(j, node, "inference_url", a);
    p->validator_key = peri_gonka_text(j, node, "validator_key", a);
    p->is_weight_guessed = !peri_gonka_int(&p->told_weight, j, PERI_GONKA_GET(j, node, "weight")) ||
                           p->told_weight <= 0;
    if (p->is_weight_guessed) p->told_weight = 1;
    return read_models(p, j, node, a);
}

/* By a map: with as many exclusions as a document has room for, going through ten thousand participants for each keeps the
 * control thread for a minute. */
static enum peri_err mark_excluded(struct peri_gonka_set *set, struct peri_json *j, uint32_t root) {
    struct peri_json_iter it = peri_json_iter(j, PERI_GONKA_GET(j, root, "excluded_participants"));
    struct peri_map accounts;
    struct peri_gonka_participant *p, *end = set->participants + set->count;
    enum peri_err err = PERI_OK;
    peri_map_init(&accounts);
    for (p = set->participants; p < end && err != PERI_ENOMEM; p++)
        if (p->address.n > 0) err = peri_map_add(&accounts, p->address, p);
    while (err != PERI_ENOMEM && peri_json_next(j, &it)) {
        uint32_t address = PERI_GONKA_GET(j, it.value, "address");
        p = peri_map_get(&accounts, peri_json_string(j, address, &set->arena));
        if (p == NULL) continue;
        p->exclusion = peri_gonka_text(j, it.value, "reason", &set->arena);
        if (p->exclusion.p == NULL) p->exclusion = PERI_STR("");
    }
    for (p = set->participants; p < end && err != PERI_ENOMEM; p++) {
        const struct peri_gonka_participant *first = peri_map_get(&accounts, p->address);
        if (first != NULL) p->exclusion = first->exclusion; /* who is listed twice is out twice */
    }
    peri_map_done(&accounts);
    return err == PERI_ENOMEM ? err : PERI_OK;
}

static void read_numbers(struct peri_gonka_set *set, struct peri_json *j, uint32_t active) {
    struct {
        const char *name;
        int64_t value;
    } m[] = { { "epoch_id", 0 },
              { "epoch_group_id", 0 },
              { "poc_start_block_height", 0 },
              { "effective_block_height", 0 },
              { "created_at_block_height", 0 } };
    for (size_t i = 0; i < sizeof m / sizeof *m; i++)
        if (!peri_gonka_int(&m[i].value, j, peri_json_get(j, active, peri_str_of(m[i].name))) ||
            m[i].value < 0)
            m[i].value = 0;
    set->epoch = (uint64_t)m[0].value;
    set->group = (uint64_t)m[1].value;
    set->poc_start_height = m[2].value;
    set->effective_height = m[3].value;
    set->created_height = m[4].value;
}

static enum peri_err read_set(struct peri_gonka_set *set, struct peri_json *j,
                              struct peri_fault *fault) {
    uint32_t active = PERI_GONKA_GET(j, peri_json_root(j), "active_participants");
    if (peri_json_kind(j, active) != PERI_JSON_OBJECT)
        return peri_fault_set(fault, PERI_EMALFORMED, "the answer has no 'active_participants'");
    uint32_t list = PERI_GONKA_GET(j, active, "participants");
    size_t count = peri_json_count(j, list);
    if (peri_json_kind(j, list) != PERI_JSON_ARRAY || count == 0)
        return peri_fault_set(fault, PERI_ENOTFOUND, "the answer lists no participants");
    if (count > PERI_GONKA_PARTICIPANTS_MAX)
        return peri_fault_set(fault, PERI_ETOOBIG, "the answer lists %zu participants", count);
    set->participants = peri_arena_zalloc(&set->arena, count * sizeof *set->participants);
    if (set->participants == NULL) return PERI_ENOMEM;
    read_numbers(set, j, active);
    struct peri_json_iter it = peri_json_iter(j, list);
    while (peri_json_next(j, &it)) {
        if (peri_json_kind(j, it.value) != PERI_JSON_OBJECT) continue;
        enum peri_err err =
            read_participant(&set->participants[set->count++], j, it.value, &set->arena);
        if (err != PERI_OK)
            return peri_fault_set(fault, err, "participant %zu: %s", set->count,
                                  peri_err_text(err));
    }
    return mark_excluded(set, j, peri_json_root(j));
}

enum peri_err peri_gonka_set_read(struct peri_gonka_set **out, struct peri_str text,
                                  struct peri_fault *fault) {
    struct peri_json *j = NULL;
    struct peri_gonka_set *set = NULL;
    enum peri_err err = parse(&j, text, "participants", fault);
    if (err == PERI_OK) err = peri_gonka_set_new(&set);
    if (err == PERI_OK) err = read_set(set, j, fault);
    peri_json_free(j);
    if (err != PERI_OK) {
        peri_gonka_set_free(set);
        return err;
    }
    *out = set;
    return PERI_OK;
}

static enum peri_err bad_endpoint(struct peri_str entry, const char *why,
                                  struct peri_fault *fault) {
    return peri_fault_set(fault, PERI_EINVAL, "endpoint '%.*s': %s",
                          entry.n > 200 ? 200 : (int)entry.n, entry.p, why);
}

static enum peri_err read_endpoint(struct peri_gonka_participant *p, struct peri_arena *a,
                                   struct peri_str entry, struct peri_fault *fault) {
    struct peri_str url, address, spelling;
    ptrdiff_t semicolon = peri_str_find_char(entry, ';');
    if (semicolon < 0) return bad_endpoint(entry, "it must be written 'url;address'", fault);
    url = peri_str_trim((struct peri_str){ entry.p, (size_t)semicolon });
    address = peri_str_trim(peri_str_from(entry, (size_t)semicolon + 1));
    if (address.n == 0) return bad_endpoint(entry, "the account address is missing", fault);
    if (!peri_address_is_gonka(address))
        return bad_endpoint(entry, "the part after ';' is not the address of a Gonka account",
                            fault);
    if (peri_gonka_url(&spelling, a, url) == PERI_GONKA_URL_BAD)
        return bad_endpoint(entry, "the part before ';' must be an http or https URL", fault);
    *p = (struct peri_gonka_participant){ .told_weight = 1 };
    p->address = peri_arena_dup(a, address);
    p->told_url = peri_arena_dup(a, url);
    return p->address.p == NULL || p->told_url.p == NULL ? PERI_ENOMEM : PERI_OK;
}

static size_t count_endpoints(const struct peri_str *list, size_t count) {
    size_t n = 0;
    struct peri_str entry;
    for (size_t i = 0; i < count; i++)
        for (struct peri_str rest = list[i]; peri_str_cut(&entry, &rest, ',');)
            if (peri_str_trim(entry).n > 0) n++;
    return n;
}

static enum peri_err read_endpoints(struct peri_gonka_set *set, const struct peri_str *list,
                                    size_t count, struct peri_fault *fault) {
    size_t room = count_endpoints(list, count);
    struct peri_str entry;
    if (room == 0) return peri_fault_set(fault, PERI_ENOTFOUND, "there are no endpoints");
    if (room > PERI_GONKA_LIST_MAX)
        return peri_fault_set(fault, PERI_ETOOBIG, "there are %zu endpoints", room);
    set->participants = peri_arena_zalloc(&set->arena, room * sizeof *set->participants);
    if (set->participants == NULL) return PERI_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        for (struct peri_str rest = list[i]; peri_str_cut(&entry, &rest, ',');) {
            entry = peri_str_trim(entry);
            if (entry.n == 0) continue;
            enum peri_err err =
                read_endpoint(&set->participants[set->count++], &set->arena, entry, fault);
            if (err != PERI_OK) return err;
        }
    }
    return PERI_OK;
}

enum peri_err peri_gonka_set_of_endpoints(struct peri_gonka_set **out, const struct peri_str *list,
                                          size_t count, struct peri_fault *fault) {
    struct peri_gonka_set *set = NULL;
    enum peri_err err = peri_gonka_set_new(&set);
    if (err == PERI_OK) err = read_endpoints(set, list, count, fault);
    if (err != PERI_OK) {
        peri_gonka_set_free(set);
        return err;
    }
    *out = set;
    return PERI_OK;
}

/* An array of strings; other elements are passed over. */
static enum peri_err read_list(const struct peri_str **out, size_t *count, struct peri_json *j,
                               uint32_t object, const char *name, struct peri_arena *a) {
    uint32_t list = peri_json_get(j, object, peri_str_of(name));
    size_t room = peri_json_count(j, list);
    *out = NULL;
    *count = 0;
    if (peri_json_kind(j, list) != PERI_JSON_ARRAY) return PERI_OK;
    if (room > PERI_GONKA_LIST_MAX) return PERI_ETOOBIG;
    struct peri_str *texts = peri_arena_alloc(a, (room + 1) * sizeof *texts);
    if (texts == NULL) return PERI_ENOMEM;
    struct peri_json_iter it = peri_json_iter(j, list);
    while (peri_json_next(j, &it)) {
        struct peri_str text = peri_json_string(j, it.value, a);
        if (text.p == NULL) continue;
        texts[*count] = peri_arena_dup(a, text);
        if (texts[*count].p == NULL) return PERI_ENOMEM;
        ++*count;
    }
    *out = texts;
    return PERI_OK;
}

static void read_int_or_zero(int64_t *out, struct peri_json *j, uint32_t object, const char *name) {
    if (!peri_gonka_int(out, j, peri_json_get(j, object, peri_str_of(name)))) *out = 0;
}

enum peri_err peri_gonka_params_read(struct peri_gonka_params *out, struct peri_arena *a,
                                     struct peri_str text, struct peri_fault *fault) {
    struct peri_json *j = NULL;
    *out = (struct peri_gonka_params){ 0 };
    enum peri_err err = parse(&j, text, "chain parameters", fault);
    if (err != PERI_OK) return err;
    uint32_t params = PERI_GONKA_GET(j, peri_json_root(j), "params");
    uint32_t developers = PERI_GONKA_GET(j, params, "developer_access_params");
    uint32_t validation = PERI_GONKA_GET(j, params, "validation_params");
    uint32_t escrow = PERI_GONKA_GET(j, params, "devshard_escrow_params");
    if (peri_json_kind(j, params) != PERI_JSON_OBJECT)
        err = peri_fault_set(fault, PERI_EMALFORMED, "chain parameters: there is no 'params'");
    if (err == PERI_OK)
        err = read_list(&out->agents, &out->agent_count, j,
                        PERI_GONKA_GET(j, params, "transfer_agent_access_params"),
                        "allowed_transfer_addresses", a);
    if (err == PERI_OK)
        err = read_list(&out->developers, &out->developer_count, j, developers,
                        "allowed_developer_addresses", a);
    if (err == PERI_OK)
        err = read_list(&out->escrow_creators, &out->escrow_creator_count, j, escrow,
                        "allowed_creator_addresses", a);
    read_int_or_zero(&out->developers_until_height, j, developers, "until_block_height");
    read_int_or_zero(&out->stamp_expiration_s, j, validation, "timestamp_expiration");
    read_int_or_zero(&out->stamp_advance_s, j, validation, "timestamp_advance");
    out->has_devshard_requests =
        peri_json_is_true(j, PERI_GONKA_GET(j, escrow, "devshard_requests_enabled"));
    peri_json_free(j);
    return err;
}

enum peri_err peri_gonka_delegates_read(const struct peri_gonka_delegate **out, size_t *count,
                                        struct peri_str *node, struct peri_arena *a,
                                        struct peri_str text, struct peri_fault *fault) {
    struct peri_json *j = NULL;
    *node = (struct peri_str){ NULL, 0 };
    *out = NULL;
    *count = 0;
    enum peri_err err = parse(&j, text, "identity", fault);
    if (err != PERI_OK) return err;
    uint32_t data = PERI_GONKA_GET(j, peri_json_root(j), "data");
    uint32_t map = PERI_GONKA_GET(j, data, "delegate_ta");
    *node = peri_arena_dup(a, peri_gonka_text(j, data, "address", a));
    if (node->p == NULL) err = PERI_ENOMEM;
    size_t room = peri_json_kind(j, map) == PERI_JSON_OBJECT ? peri_json_count(j, map) : 0;
    struct peri_gonka_delegate *list = NULL;
    if (room > PERI_GONKA_LIST_MAX) err = PERI_ETOOBIG;
    if (err == PERI_OK && room > 0) list = peri_arena_alloc(a, room * sizeof *list);
    if (err == PERI_OK && room > 0 && list == NULL) err = PERI_ENOMEM;
    struct peri_json_iter it = peri_json_iter(j, map);
    while (err == PERI_OK && room > 0 && peri_json_next(j, &it)) {
        struct peri_str address = peri_json_string(j, it.value, a);
        struct peri_str url = peri_json_string(j, it.name, a);
        if (address.n == 0 || url.n == 0) continue;
        struct peri_gonka_delegate *d = &list[(*count)++];
        d->url = peri_arena_dup(a, url);
        d->address = peri_arena_dup(a, address);
        if (d->url.p == NULL || d->address.p == NULL) err = PERI_ENOMEM;
    }
    peri_json_free(j);
    *out = list;
    return err;
}

static struct peri_gonka_participant *find_account(struct peri_gonka_set *set,
                                                   struct peri_str address) {
    for (size_t i = 0; i < set->count; i++)
        if (peri_str_eq_nocase(set->participants[i].address, address)) return &set->participants[i];
    return NULL;
}

static bool will_do(struct peri_gonka_set *set, const struct peri_gonka_delegate *d,
                    bool allows_private) {
    struct peri_str url;
    enum peri_gonka_url_verdict verdict = peri_gonka_url(&url, &set->arena, d->url);
    return (verdict == PERI_GONKA_URL_OK ||
            (verdict == PERI_GONKA_URL_PRIVATE && allows_private)) &&
           peri_address_is_gonka(d->address) && find_account(set, d->address) == NULL;
}

bool peri_gonka_delegate_apply(struct peri_gonka_set *set, struct peri_str node,
                               const struct peri_gonka_delegate *list, size_t count,
                               bool allows_private) {
    struct peri_gonka_participant *p = node.n > 0 ? find_account(set, node) : NULL;
    for (size_t i = 0; p != NULL && i < count; i++) {
        if (!will_do(set, &list[i], allows_private)) continue;
        struct peri_str url = peri_arena_dup(&set->arena, list[i].url);
        struct peri_str address = peri_arena_dup(&set->arena, list[i].address);
        if (url.p == NULL || address.p == NULL) return false;
        p->told_url = url;
        p->address = address;
        return true;
    }
    return false;
}
