#include "config/config_env.h"

#include "base/nearest.h"

#include <ctype.h>
#include <stdio.h>

#include "config/config_keys.h"

#define NAME_BYTES 128

struct env_reader {
    struct peri_arena *arena;
    struct peri_node *root;
    struct peri_secret_box *box;
    struct peri_fault_list *faults;
    bool is_out_of_memory;
};

static struct peri_where where_of(const char *name) {
    return (struct peri_where){ .origin = PERI_ORIGIN_ENV, .name = peri_str_of(name) };
}

static bool look(struct env_reader *e, const char *name, struct peri_str *value) {
    if (!peri_secret_box_peek(e->box, peri_str_of(name), value)) return false;
    *value = peri_str_trim(*value);
    return value->n > 0;
}

static struct peri_node *need(struct env_reader *e, struct peri_node *n) {
    if (n == NULL) e->is_out_of_memory = true;
    return n;
}

static struct peri_node *add(struct env_reader *e, struct peri_node *table, const char *key,
                             struct peri_node *n) {
    if (table != NULL && need(e, n) != NULL)
        peri_node_add(table, key == NULL ? (struct peri_str){ NULL, 0 } : peri_str_of(key), n);
    return n;
}

static void add_text(struct env_reader *e, struct peri_node *table, const char *key,
                     struct peri_where where, struct peri_str text) {
    add(e, table, key, peri_node_text(e->arena, PERI_NODE_STRING, where, text));
}

/* A secret in a variable, or in one item of it. */
static struct peri_node *add_secret(struct env_reader *e, struct peri_node *table, const char *key,
                                    const char *variable, uint32_t list_item) {
    struct peri_str source = peri_arena_printf(e->arena, "env:%s", variable);
    if (source.p == NULL) {
        e->is_out_of_memory = true;
        return NULL;
    }
    struct peri_node *n = peri_node_text(e->arena, PERI_NODE_SECRET, where_of(variable), source);
    if (n != NULL) n->list_item = list_item;
    return add(e, table, key, n);
}

static struct peri_node *add_table(struct env_reader *e, struct peri_node *table, const char *key,
                                   struct peri_where where) {
    return add(e, table, key, peri_node_new(e->arena, PERI_NODE_TABLE, where));
}

/* ---- PERILUNE_<GROUP>_<OPTION> ---- */

static bool truth(struct peri_str text, bool *out) {
    static const char *const yes[] = { "1", "true", "yes", "on" }, *const no[] = { "0", "false",
                                                                                   "no", "off" };
    for (size_t i = 0; i < 4; i++) {
        if (peri_str_eq_nocase(text, peri_str_of(yes[i]))) return *out = true, true;
        if (peri_str_eq_nocase(text, peri_str_of(no[i]))) return *out = false, true;
    }
    return false;
}

static struct peri_node *list_node(struct peri_arena *a, struct peri_where where,
                                   struct peri_str text) {
    struct peri_node *list = peri_node_new(a, PERI_NODE_TABLE, where);
    struct peri_str part, rest = text;
    while (list != NULL && peri_str_cut(&part, &rest, ',')) {
        part = peri_str_trim(part);
        if (part.n == 0) continue;
        struct peri_node *item = peri_node_text(a, PERI_NODE_STRING, where, part);
        if (item == NULL) return NULL;
        peri_node_add(list, (struct peri_str){ NULL, 0 }, item);
    }
    return list;
}

struct peri_node *peri_config_text_node(struct peri_arena *a, const struct peri_option *o,
                                        struct peri_where where, struct peri_str text) {
    struct peri_node *n = NULL;
    uint64_t number;
    bool is_true;
    bool is_list = o->type == PERI_OPTION_LISTEN || o->type == PERI_OPTION_STRINGS ||
                   o->type == PERI_OPTION_URLS;
    if (is_list) return list_node(a, where, text);
    if (o->type == PERI_OPTION_BOOL && truth(text, &is_true)) {
        n = peri_node_new(a, PERI_NODE_BOOL, where);
        if (n != NULL) n->is_true = is_true;
        return n;
    }
    bool is_number = o->type == PERI_OPTION_INT || o->type == PERI_OPTION_DURATION ||
                     o->type == PERI_OPTION_SIZE;
    if (is_number && peri_str_to_u64(&number, text) == PERI_OK && number <= INT64_MAX) {
        n = peri_node_new(a, PERI_NODE_INT, where);
        if (n != NULL) n->integer = (int64_t)number;
        return n;
    }
    return peri_node_text(a, PERI_NODE_STRING, where, text);
}

static void variable_name(char out[NAME_BYTES], const char *group, const char *option) {
    snprintf(out, NAME_BYTES, "PERILUNE_%s%s%s", group, group[0] != '\0' ? "_" : "", option);
    for (char *p = out; *p != '\0'; p++) *p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
}

static bool is_single(const struct peri_option *o) {
    return o->type != PERI_OPTION_GROUP && o->type != PERI_OPTION_RECORDS &&
           o->type != PERI_OPTION_CUSTOM && o->type != PERI_OPTION_SECRET &&
           o->type != PERI_OPTION_SECRETS;
}

static void apply_option(struct env_reader *e, const char *group, const struct peri_option *o) {
    char name[NAME_BYTES];
    struct peri_str value, kept, path;
    variable_name(name, group, o->name);
    if (!look(e, name, &value)) return;
    kept = peri_arena_dup(e->arena, peri_str_of(name));
    path = peri_arena_printf(e->arena, "%s%s%s", group, group[0] != '\0' ? "." : "", o->name);
    struct peri_where where = { .origin = PERI_ORIGIN_ENV, .name = kept };
    struct peri_node *n = peri_config_text_node(e->arena, o, where, value);
    if (kept.p == NULL || path.p == NULL || n == NULL ||
        peri_node_put(e->arena, e->root, path, n) != PERI_OK)
        e->is_out_of_memory = true;
}

/* Calls `visit` for each single option of the root and of its groups. */
static void each_option(void (*visit)(void *arg, const char *group, const struct peri_option *o),
                        void *arg) {
    for (size_t i = 0; i < peri_options.count; i++) {
        const struct peri_option *o = &peri_options.options[i];
        if (is_single(o)) visit(arg, "", o);
        for (size_t k = 0; o->type == PERI_OPTION_GROUP && k < o->record->count; k++)
            if (is_single(&o->record->options[k])) visit(arg, o->name, &o->record->options[k]);
    }
}

static void visit_apply(void *arg, const char *group, const struct peri_option *o) {
    apply_option(arg, group, o);
}

/* ---- variables that are nearly ours ---- */

struct nearest_variable {
    struct peri_nearest nearest;
    char name[NAME_BYTES]; /* options' names are put together, so the nearest is kept here */
};

static void compare(struct nearest_variable *n, const char *known) {
    if (!peri_nearest_offer(&n->nearest, known)) return;
    snprintf(n->name, sizeof n->name, "%s", known);
    n->nearest.name = n->name;
}

static void visit_compare(void *arg, const char *group, const struct peri_option *o) {
    char name[NAME_BYTES];
    variable_name(name, group, o->name);
    compare(arg, name);
}

/* Only near misses: Kubernetes sets PERILUNE_SERVICE_HOST and its like for a service of our name. */
static void warn_about_misspelt(struct env_reader *e) {
    const struct peri_env *env = peri_secret_box_env(e->box);
    const char *entry;
    for (size_t i = 0; env->entry != NULL && (entry = env->entry(env->arg, i)) != NULL; i++) {
        struct peri_str rest = peri_str_of(entry), variable;
        (void)peri_str_cut(&variable, &rest, '=');
        if (!peri_str_has_prefix(variable, PERI_STR("PERILUNE_"))) continue;
        struct nearest_variable n = { .nearest = peri_nearest_to(variable, 2) };
        each_option(visit_compare, &n);
        compare(&n, "PERILUNE_UPSTREAM");
        compare(&n, "PERILUNE_CONFIG");
        compare(&n, "PERILUNE_BUILD");
        if (n.nearest.name == NULL || n.nearest.distance == 0) continue;
        struct peri_where where = { .origin = PERI_ORIGIN_ENV, .name = variable };
        peri_fault_list_warn(e->faults, &where, "unknown variable, did you mean %s?", n.name);
    }
}

/* ---- providers ---- */

/* "http://host:8000" means its "/v1". */
static struct peri_str with_version(struct peri_arena *a, struct peri_str url) {
    ptrdiff_t mark = peri_str_find(url, PERI_STR("://"));
    struct peri_str rest = peri_str_from(url, mark < 0 ? 0 : (size_t)mark + 3);
    ptrdiff_t slash = peri_str_find_char(rest, '/');
    if (mark < 0 || (slash >= 0 && (size_t)slash + 1 < rest.n)) return url;
    if (slash >= 0) url.n--;
    struct peri_str whole = peri_arena_printf(a, "%.*s/v1", PERI_STR_ARGS(url));
    return whole.p == NULL ? url : whole;
}

static struct peri_node *add_provider(struct env_reader *e, struct peri_node *providers,
                                      struct peri_where where, struct peri_str id,
                                      struct peri_str url) {
    struct peri_node *p = add_table(e, providers, NULL, where);
    add_text(e, p, "id", where, id);
    add_text(e, p, "url", where, with_version(e->arena, url));
    return p;
}

static struct peri_str numbered(struct env_reader *e, const char *name, size_t number) {
    struct peri_str id = number == 1 ? peri_arena_dup(e->arena, peri_str_of(name))
                                     : peri_arena_printf(e->arena, "%s-%zu", name, number);
    if (id.p == NULL) e->is_out_of_memory = true;
    return id;
}

static struct peri_str cut_key(struct peri_str item, bool *has_key) {
    ptrdiff_t semicolon = peri_str_find_char(item, ';');
    *has_key = semicolon >= 0 && peri_str_trim(peri_str_from(item, (size_t)semicolon + 1)).n > 0;
    if (semicolon >= 0) item.n = (size_t)semicolon;
    return peri_str_trim(item);
}

static void add_upstreams(struct env_reader *e, struct peri_node *providers, struct peri_str list) {
    struct peri_where where = where_of("PERILUNE_UPSTREAM");
    struct peri_str item, rest = list;
    for (uint32_t i = 1; peri_str_cut(&item, &rest, ','); i++) {
        bool has_key;
        struct peri_str url = cut_key(item, &has_key);
        if (url.n == 0) continue;
        struct peri_node *p = add_provider(e, providers, where,
                                           numbered(e, "upstream", providers->item_count + 1), url);
        struct peri_node *key =
            p != NULL && has_key ? add_secret(e, p, "key", "PERILUNE_UPSTREAM", i) : NULL;
        if (key != NULL) key->after = ';';
    }
}

enum peri_err peri_config_add_upstream(struct peri_arena *a, struct peri_node *providers,
                                       struct peri_where where, struct peri_str text) {
    struct env_reader e = { .arena = a };
    add_provider(&e, providers, where, numbered(&e, "upstream", providers->item_count + 1), text);
    return e.is_out_of_memory ? PERI_ENOMEM : PERI_OK;
}

/* "[id=]URL". An id has no ':' in it, so "=" inside a URL is not mistaken for one. */
static struct peri_str cut_id(struct env_reader *e, struct peri_str *item, const char *name,
                              size_t number) {
    ptrdiff_t equals = peri_str_find_char(*item, '='), colon = peri_str_find_char(*item, ':');
    if (equals <= 0 || (colon >= 0 && colon < equals)) return numbered(e, name, number);
    struct peri_str id = { item->p, (size_t)equals };
    *item = peri_str_trim(peri_str_from(*item, (size_t)equals + 1));
    return peri_str_trim(id);
}

static struct peri_node *zerog_provider(struct env_reader *e, struct peri_node *providers,
                                        struct peri_where where, struct peri_node **endpoints) {
    struct peri_node *p = add_table(e, providers, NULL, where);
    add_text(e, p, "id", where, PERI_STR("0g"));
    add_text(e, p, "network", where, PERI_STR("0g"));
    *endpoints = add_table(e, p, "endpoints", where);
    return p;
}

static void add_listed(struct env_reader *e, struct peri_node *providers, const char *variable,
                       const char *name, struct peri_str list, bool has_keys) {
    struct peri_where where = where_of(variable);
    struct peri_node *endpoints = NULL;
    struct peri_str item, rest = list, keys, key;
    if (!has_keys || !look(e, "KEYS", &keys)) keys = (struct peri_str){ "", 0 };
    size_t number = 0;
    for (uint32_t i = 1; peri_str_cut(&item, &rest, ','); i++) {
        if (!peri_str_cut(&key, &keys, ',')) key = (struct peri_str){ "", 0 };
        item = peri_str_trim(item);
        if (item.n == 0) continue;
        if (peri_str_has_prefix(item, PERI_STR("0x"))) {
            if (endpoints == NULL) zerog_provider(e, providers, where, &endpoints);
            add_text(e, endpoints, NULL, where, item);
            continue;
        }
        struct peri_str id = cut_id(e, &item, name, ++number);
        struct peri_node *p = add_provider(e, providers, where, id, item);
        if (p != NULL && peri_str_trim(key).n > 0) add_secret(e, p, "key", "KEYS", i);
    }
    if (keys.n > 0) {
        where = where_of("KEYS");
        peri_fault_list_add(e->faults, &where,
                            "has more items than PROVIDERS, expected one key for each at most");
    }
}

static void add_openai(struct env_reader *e, struct peri_node *providers) {
    struct peri_str key, url;
    bool has_key = look(e, "OPENAI_API_KEY", &key), has_url = look(e, "OPENAI_BASE_URL", &url);
    if (!has_key && !has_url) return;
    struct peri_where where = where_of(has_url ? "OPENAI_BASE_URL" : "OPENAI_API_KEY");
    struct peri_node *p = add_provider(e, providers, where, PERI_STR("openai"),
                                       has_url ? url : PERI_STR("https://api.openai.com/v1"));
    if (p != NULL && has_key) add_secret(e, p, "key", "OPENAI_API_KEY", 0);
}

/* The two spellings of one variable: the one its README had, the one its code read. */
static void add_vllm(struct env_reader *e, struct peri_node *providers) {
    static const char *const names[] = { "GONKA_VLLM_BASE_URL", "GONKA_VLLM_URL" };
    struct peri_str url;
    for (size_t i = 0; i < 2; i++) {
        if (!look(e, names[i], &url)) continue;
        add_provider(e, providers, where_of(names[i]), PERI_STR("vllm"), url);
        return;
    }
}

static void add_gonka(struct env_reader *e, struct peri_node *providers) {
    static const char *const names[] = { "GONKA_SOURCE_URL", "GONKA_ENDPOINTS", "GONKA_ENDPOINT",
                                         "GONKA_PRIVATE_KEY", "GONKA_WALLETS" };
    struct peri_str value;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!look(e, names[i], &value)) continue;
        struct peri_node *p = add_table(e, providers, NULL, where_of(names[i]));
        add_text(e, p, "id", where_of(names[i]), PERI_STR("gonka"));
        add_text(e, p, "network", where_of(names[i]), PERI_STR("gonka"));
        return; /* fill_gonka does the rest */
    }
}

static void add_providers(struct env_reader *e, bool has_others) {
    struct peri_str list;
    bool has_upstream = look(e, "PERILUNE_UPSTREAM", &list);
    if (has_others && !has_upstream) return;
    struct peri_where where = where_of(has_upstream ? "PERILUNE_UPSTREAM" : "environment");
    struct peri_node *providers = need(e, peri_node_new(e->arena, PERI_NODE_TABLE, where));
    if (providers == NULL) return;
    if (has_upstream) add_upstreams(e, providers, list);
    if (!has_others) {
        add_openai(e, providers);
        if (look(e, "PROVIDERS", &list))
            add_listed(e, providers, "PROVIDERS", "provider", list, true);
        if (look(e, "DIRECT_ENDPOINTS", &list))
            add_listed(e, providers, "DIRECT_ENDPOINTS", "direct", list, false);
        add_vllm(e, providers);
        add_gonka(e, providers);
    }
    if (providers->item_count == 0) return;
    if (peri_node_put(e->arena, e->root, PERI_STR("providers"), providers) != PERI_OK)
        e->is_out_of_memory = true;
}

/* ---- what the networks' variables add to providers ---- */

static bool lacks(const struct peri_node *p, const char *a, const char *b, const char *c) {
    return peri_node_get(p, peri_str_of(a)) == NULL &&
           (b == NULL || peri_node_get(p, peri_str_of(b)) == NULL) &&
           (c == NULL || peri_node_get(p, peri_str_of(c)) == NULL);
}

static void fill_list(struct env_reader *e, struct peri_node *p, const char *key,
                      const char *variable, struct peri_str value) {
    add(e, p, key, list_node(e->arena, where_of(variable), value));
}

static void fill_wallets(struct env_reader *e, struct peri_node *p) {
    struct peri_str value, item, rest;
    if (!lacks(p, "key", "private_key", "keys")) return;
    if (look(e, "GONKA_WALLETS", &value)) {
        struct peri_node *keys = add_table(e, p, "private_key", where_of("GONKA_WALLETS"));
        rest = value;
        for (uint32_t i = 1; keys != NULL && peri_str_cut(&item, &rest, ','); i++) {
            struct peri_node *n =
                peri_str_trim(item).n > 0 ? add_secret(e, keys, NULL, "GONKA_WALLETS", i) : NULL;
            if (n != NULL) n->before = ':';
        }
    } else if (look(e, "GONKA_PRIVATE_KEY", &value)) {
        add_secret(e, p, "private_key", "GONKA_PRIVATE_KEY", 0);
    }
}

/* Static endpoints, wherever they are written, beat a source in the environment. */
static void fill_hosts(struct env_reader *e, struct peri_node *p) {
    struct peri_str value, address;
    if (!lacks(p, "sources", "source", "endpoints")) return;
    if (look(e, "GONKA_ENDPOINTS", &value)) {
        fill_list(e, p, "endpoints", "GONKA_ENDPOINTS", value);
    } else if (look(e, "GONKA_ENDPOINT", &value) && (look(e, "GONKA_PROVIDER_ADDRESS", &address) ||
                                                     look(e, "GONKA_TRANSFER_ADDRESS", &address))) {
        struct peri_str pair =
            peri_arena_printf(e->arena, "%.*s;%.*s", PERI_STR_ARGS(value), PERI_STR_ARGS(address));
        if (pair.p == NULL)
            e->is_out_of_memory = true;
        else
            fill_list(e, p, "endpoints", "GONKA_ENDPOINT", pair);
    } else if (look(e, "GONKA_SOURCE_URL", &value)) {
        fill_list(e, p, "sources", "GONKA_SOURCE_URL", value);
    }
}

static void fill_gonka(struct env_reader *e, struct peri_node *p) {
    struct peri_str value;
    bool is_true;
    fill_wallets(e, p);
    fill_hosts(e, p);
    if (lacks(p, "address", NULL, NULL) && look(e, "GONKA_ADDRESS", &value))
        add_text(e, p, "address", where_of("GONKA_ADDRESS"), value);
    if (lacks(p, "verify_proofs", NULL, NULL) && look(e, "GONKA_VERIFY_PROOF", &value)) {
        struct peri_where where = where_of("GONKA_VERIFY_PROOF");
        if (!truth(value, &is_true)) {
            peri_fault_list_add(e->faults, &where, "must be one of 1, true, yes, 0, false, no");
            return;
        }
        struct peri_node *n = need(e, peri_node_new(e->arena, PERI_NODE_BOOL, where));
        if (n != NULL) n->is_true = is_true;
        add(e, p, "verify_proofs", n);
    }
}

static void fill_zerog(struct env_reader *e, struct peri_node *p) {
    struct peri_str value;
    if (lacks(p, "key", "private_key", "keys") && look(e, "ZG_PRIVATE_KEY", &value))
        add_secret(e, p, "private_key", "ZG_PRIVATE_KEY", 0);
    if (lacks(p, "sources", "source", NULL) && look(e, "ZG_RPC_ENDPOINT", &value))
        fill_list(e, p, "sources", "ZG_RPC_ENDPOINT", value);
}

static void fill_networks(struct env_reader *e) {
    const struct peri_node *providers = peri_node_get(e->root, PERI_STR("providers"));
    if (providers == NULL || providers->kind != PERI_NODE_TABLE) return;
    for (struct peri_node *p = providers->first; p != NULL; p = p->next) {
        const struct peri_node *network = peri_node_get(p, PERI_STR("network"));
        if (network == NULL || network->kind != PERI_NODE_STRING) continue;
        if (peri_str_eq(network->text, PERI_STR("gonka"))) fill_gonka(e, p);
        if (peri_str_eq(network->text, PERI_STR("0g"))) fill_zerog(e, p);
    }
}

/* ---- the gateway's own variables ---- */

static void fill_listen(struct env_reader *e) {
    struct peri_str host, port;
    bool has_host = look(e, "GONKA_GATEWAY_HOST", &host),
         has_port = look(e, "GONKA_GATEWAY_PORT", &port);
    if ((!has_host && !has_port) || peri_node_get(e->root, PERI_STR("listen")) != NULL) return;
    if (!has_host || peri_str_eq(host, PERI_STR("localhost"))) host = PERI_STR("127.0.0.1");
    if (!has_port) port = PERI_STR("9000");
    bool is_v6 = peri_str_find_char(host, ':') >= 0;
    struct peri_str address = peri_arena_printf(e->arena, is_v6 ? "[%.*s]:%.*s" : "%.*s:%.*s",
                                                PERI_STR_ARGS(host), PERI_STR_ARGS(port));
    if (address.p == NULL)
        e->is_out_of_memory = true;
    else
        add_text(e, e->root, "listen",
                 where_of(has_host ? "GONKA_GATEWAY_HOST" : "GONKA_GATEWAY_PORT"), address);
}

static void fill_keys(struct env_reader *e) {
    struct peri_str path;
    struct peri_where where = where_of("GONKA_API_KEYS_FILE");
    struct peri_node *list = NULL;
    if (peri_node_get(e->root, PERI_STR("keys")) != NULL || !look(e, "GONKA_API_KEYS_FILE", &path))
        return;
    enum peri_err err = peri_config_keys_read(&list, e->arena, path, where, e->box, e->faults);
    if (err == PERI_OK) add(e, e->root, "keys", list);
    if (err == PERI_ENOMEM) e->is_out_of_memory = true;
}

/* Known, but of no effect here: better said than silently ignored. */
static void warn_about_unused(struct env_reader *e) {
    static const char *const names[] = { "GONKA_ADMIN_API_KEY",       "GONKA_DEFAULT_RPM",
                                         "GONKA_DEFAULT_TPM",         "GONKA_SESSION_TTL",
                                         "GONKA_SESSION_MAX_HISTORY", "GONKA_MEMORY_BACKEND",
                                         "GONKA_MEMORY_DB",           "GONKA_DATA_DIR" };
    struct peri_str value;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!look(e, names[i], &value)) continue;
        struct peri_where where = where_of(names[i]);
        peri_fault_list_warn(e->faults, &where, "has no effect in this version");
    }
}

enum peri_err peri_config_env_apply(struct peri_node *root, struct peri_arena *a,
                                    struct peri_secret_box *box, struct peri_fault_list *faults) {
    struct env_reader e = { .arena = a, .root = root, .box = box, .faults = faults };
    each_option(visit_apply, &e);
    warn_about_misspelt(&e);
    add_providers(&e, peri_node_get(root, PERI_STR("providers")) != NULL);
    fill_networks(&e);
    fill_listen(&e);
    fill_keys(&e);
    warn_about_unused(&e);
    return e.is_out_of_memory ? PERI_ENOMEM : PERI_OK;
}
