/* Readers of options that are more than one value or one record: models, headers, policies, keys. */
#include <stdio.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/name.h"
#include "config/model_pattern.h"
#include "config/options_reader.h"
#include "dialect/ability.h"
#include "net/header.h"

#define SHORT_KEY_BYTES 16 /* below it a client key can be guessed: warn */

static void set_list(const struct peri_option *o, void *at, const void *items, size_t count) {
    *(const void **)(void *)((char *)at + o->at) = items;
    *(size_t *)((char *)at + o->count_at) = count;
}

static bool is_model_name(struct peri_reader *r, const struct peri_node *n, struct peri_str name) {
    const char *fault = peri_name_fault(name);
    ptrdiff_t star = peri_str_find_char(name, '*');
    if (fault == NULL && star >= 0 &&
        peri_str_find_char(peri_str_from(name, (size_t)star + 1), '*') >= 0)
        fault = "has more than one '*'";
    if (fault != NULL) peri_reader_fault(r, n, "names a model, and the name %s", fault);
    return fault == NULL;
}

/* ---- models of a provider ---- */

static bool read_model(struct peri_reader *r, const struct peri_node *n,
                       struct peri_read_model *m) {
    if (n->key.p == NULL) {
        if (!peri_reader_string(r, n, "the name of a model", &m->out.name) ||
            !is_model_name(r, n, m->out.name))
            return false;
        m->out.upstream = m->out.name;
        peri_reader_note_str(r, n, m->out.name);
        return true;
    }
    m->out.name = m->out.upstream = peri_reader_dup(r, n->key);
    if (!is_model_name(r, n, m->out.name)) return false;
    if (n->kind == PERI_NODE_STRING) {
        if (!peri_reader_string(r, n, "a string", &m->out.upstream)) return false;
        size_t path = peri_reader_push(r, PERI_STR("upstream"));
        peri_reader_note_str(r, n, m->out.upstream);
        peri_reader_pop(r, path);
        return true;
    }
    if (!peri_node_is_map(n)) {
        peri_reader_expected(r, n, "the provider's name for it, or a table with named members");
        return false;
    }
    if (n->member_count == 0) peri_reader_note(r, n, PERI_STR("{}"));
    peri_reader_record(r, &peri_record_model, n, m);
    if (m->out.capability_count > 0) m->out.lacks = PERI_TAKES_ALL;
    for (size_t i = 0; i < m->out.capability_count; i++)
        m->out.lacks &= ~peri_ability_of(m->out.capabilities[i]);
    return true;
}

/* A name with a star is sent as the client wrote it, or as what the star stands for. */
static bool is_pattern_right(struct peri_reader *r, const struct peri_node *n,
                             const struct peri_config_model *m) {
    if (!peri_is_pattern(m->name) || peri_str_eq(m->upstream, m->name) ||
        peri_str_eq(m->upstream, PERI_STR("*")))
        return true;
    peri_reader_fault(r, n,
                      "names models with a '*' and one of the provider's: expected none, or \"*\" "
                      "for what the star stands for");
    return false;
}

/* `models` are those of one provider, and `by_name` finds them. */
static bool add_model(struct peri_reader *r, const struct peri_node *n, struct peri_map *by_name,
                      struct peri_config_model *models, const struct peri_config_model *model,
                      struct peri_str name) {
    size_t count = by_name->count;
    enum peri_err err = peri_map_add(by_name, name, &models[count]);
    if (err == PERI_EEXIST)
        peri_reader_fault(r, n, "names the model '%.*s' again, expected each public name once",
                          PERI_STR_ARGS(name));
    else if (err != PERI_OK)
        r->err = err;
    if (err != PERI_OK) return false;
    models[count] = *model;
    models[count].name = name;
    return true;
}

void peri_read_models(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *at) {
    if (node->kind != PERI_NODE_TABLE) {
        peri_reader_expected(r, node, "a list of names, or a table of public names");
        return;
    }
    size_t total = 0, index = 0;
    struct peri_map by_name;
    struct peri_read_model *read =
        peri_reader_alloc(r, (node->item_count + node->member_count) * sizeof *read);
    if (read == NULL) return;
    for (const struct peri_node *n = node->first; n != NULL; n = n->next, index++) {
        size_t path =
            n->key.p == NULL ? peri_reader_push_index(r, index + 1) : peri_reader_push(r, n->key);
        if (!read_model(r, n, &read[index]) || !is_pattern_right(r, n, &read[index].out))
            read[index].out.name.p = NULL;
        else
            total += 1 + read[index].alias_count;
        peri_reader_pop(r, path);
    }
    struct peri_config_model *models = peri_reader_alloc(r, total * sizeof *models);
    if (models == NULL || r->err != PERI_OK) return;
    index = 0;
    peri_map_init(&by_name);
    for (const struct peri_node *n = node->first; n != NULL; n = n->next, index++) {
        const struct peri_read_model *m = &read[index];
        if (m->out.name.p == NULL) continue;
        if (!add_model(r, n, &by_name, models, &m->out, m->out.name)) continue;
        for (size_t i = 0; i < m->alias_count; i++)
            if (is_model_name(r, n, m->aliases[i]))
                add_model(r, n, &by_name, models, &m->out, m->aliases[i]);
    }
    set_list(o, at, models, by_name.count);
    peri_map_done(&by_name);
}

/* ---- other names for public models ---- */

static void add_alias(struct peri_reader *r, const struct peri_node *n, struct peri_map *by_name,
                      struct peri_config_alias *aliases, struct peri_str model) {
    struct peri_str name;
    if (!peri_reader_string(r, n, "another name for the model", &name)) return;
    if (!is_model_name(r, n, name)) return;
    struct peri_config_alias *alias = &aliases[by_name->count];
    enum peri_err err = peri_map_add(by_name, name, alias);
    if (err == PERI_EEXIST) {
        const struct peri_config_alias *other = peri_map_get(by_name, name);
        peri_reader_fault(r, n, "gives '%.*s' to a second model, it stands for '%.*s' already",
                          PERI_STR_ARGS(name), PERI_STR_ARGS(other->model));
    } else if (err != PERI_OK) {
        r->err = err;
    } else {
        *alias = (struct peri_config_alias){ .name = name, .model = model };
        peri_reader_note_str(r, n, name);
    }
}

void peri_read_aliases(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at) {
    if (!peri_node_is_map(node)) {
        peri_reader_expected(r, node, "a table from a public model name to its other names");
        return;
    }
    size_t total = 0;
    struct peri_map by_name;
    for (const struct peri_node *n = node->first; n != NULL; n = n->next)
        total += peri_node_item_count(n);
    struct peri_config_alias *aliases = peri_reader_alloc(r, total * sizeof *aliases);
    if (aliases == NULL) return;
    peri_map_init(&by_name);
    for (const struct peri_node *n = node->first; n != NULL; n = n->next) {
        size_t path = peri_reader_push(r, n->key), index = 0;
        struct peri_str model = peri_reader_dup(r, n->key);
        if (!is_model_name(r, n, model)) {
            peri_reader_pop(r, path);
            continue;
        }
        if (n->kind == PERI_NODE_TABLE && !peri_node_is_list(n)) {
            peri_reader_expected(r, n, "a name or a list of names");
        } else {
            for (const struct peri_node *i = peri_node_first_item(n); i != NULL; i = i->next) {
                size_t inner = peri_reader_push_index(r, ++index);
                add_alias(r, i, &by_name, aliases, model);
                peri_reader_pop(r, inner);
                if (i == n) break;
            }
        }
        peri_reader_pop(r, path);
    }
    set_list(o, at, aliases, by_name.count);
    peri_map_done(&by_name);
}

/* ---- headers sent to a provider ---- */

bool peri_option_is_header_name(struct peri_str name) {
    return !peri_header_is_framing(name) && !peri_str_eq_nocase(name, PERI_STR("content-type")) &&
           peri_header_fault((struct peri_header){ name, PERI_STR("") }) == NULL;
}

static bool read_header(struct peri_reader *r, const struct peri_node *n, struct peri_header *h) {
    struct peri_secret secret;
    if (!peri_option_is_header_name(n->key)) {
        peri_reader_fault(
            r, n, "can not be sent, expected a header name that the router does not set itself");
        return false;
    }
    h->name = peri_reader_dup(r, n->key);
    if (n->kind == PERI_NODE_SECRET) {
        if (!peri_reader_secret(r, n, &secret)) return false;
        h->value = (struct peri_str){ secret.p, secret.n };
        peri_reader_note_secret(r, n);
        return true;
    }
    if (!peri_reader_string(r, n, "text or a secret", &h->value)) return false;
    if (peri_header_fault(*h) != NULL) {
        peri_reader_fault(r, n,
                          h->value.n > PERI_HEADER_VALUE_MAX
                              ? "is longer than 8192 bytes"
                              : "must be one line without control characters");
        return false;
    }
    peri_reader_note_str(r, n, h->value);
    return true;
}

void peri_read_headers(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at) {
    if (!peri_node_is_map(node)) {
        peri_reader_expected(r, node, "a table from header names to their values");
        return;
    }
    struct peri_header *headers = peri_reader_alloc(r, node->member_count * sizeof *headers);
    size_t count = 0;
    if (headers == NULL) return;
    for (const struct peri_node *n = node->first; n != NULL; n = n->next) {
        size_t path = peri_reader_push(r, n->key);
        if (read_header(r, n, &headers[count])) count++;
        peri_reader_pop(r, path);
    }
    set_list(o, at, headers, count);
}

/* ---- files ---- */

/* Where a path that the configuration names really is; p is NULL after a fault. */
static struct peri_str resolve(struct peri_reader *r, const struct peri_node *n,
                               struct peri_str file) {
    struct peri_str folder = r->context->folder;
    struct peri_str path =
        file.p[0] == '/' || folder.n == 0
            ? peri_reader_dup(r, file)
            : peri_arena_printf(r->arena, "%.*s/%.*s", PERI_STR_ARGS(folder), PERI_STR_ARGS(file));
    if (path.p == NULL)
        r->err = PERI_ENOMEM;
    else if (access(path.p, R_OK) != 0) {
        peri_reader_fault(r, n, "names the file '%.*s', which can not be read",
                          PERI_STR_ARGS(path));
        path.p = NULL;
    }
    return path;
}

void peri_read_ca_file(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at) {
    struct peri_str file, path;
    if (!peri_reader_string(r, node, "the path of a PEM file", &file)) return;
    if (file.n == 0) {
        peri_reader_expected(r, node, "the path of a PEM file");
        return;
    }
    path = resolve(r, node, file);
    if (path.p == NULL) return;
    *(struct peri_str *)(void *)((char *)at + o->at) = path;
    peri_reader_note_str(r, node, path);
}

/* ---- policies ---- */

static bool read_policy_options(struct peri_reader *r, const struct peri_node *n,
                                struct peri_str *out) {
    const struct peri_node *bad = NULL;
    struct peri_buf json;
    if (!peri_node_is_map(n)) {
        peri_reader_expected(r, n, "a table with named members");
        return false;
    }
    peri_buf_init(&json, 1 << 20);
    /* An empty table of Lua is the empty object here, whatever it might have been. */
    enum peri_err err = n->member_count == 0 ? peri_buf_add(&json, PERI_STR("{}"))
                                             : peri_node_to_json(n, &json, &bad);
    if (err == PERI_OK)
        *out = peri_reader_dup(r, peri_buf_str(&json));
    else if (bad != NULL)
        peri_reader_fault(
            r, bad,
            "must be plain data for the policy (no secrets, no table that is list and "
            "named members at once)");
    else if (err == PERI_ETOOBIG)
        peri_reader_fault(r, n, "is larger than 1 MiB");
    else
        r->err = err;
    peri_buf_done(&json);
    return err == PERI_OK;
}

static bool read_policy(struct peri_reader *r, const struct peri_node *n,
                        struct peri_config_policy *p) {
    static const char expected[] = "the path of a Lua file, or { file = \"…\", options = { … } }";
    const struct peri_node *file = n, *options = NULL;
    if (peri_node_is_map(n) && n->member_count > 0) {
        file = peri_node_get(n, PERI_STR("file"));
        options = peri_node_get(n, PERI_STR("options"));
        for (const struct peri_node *m = n->first; m != NULL; m = m->next)
            if (m != file && m != options)
                peri_reader_fault(r, m, "has an unknown key '%.*s', expected 'file' and 'options'",
                                  PERI_STR_ARGS(m->key));
    }
    p->options = PERI_STR("{}");
    if (file == NULL || file->kind != PERI_NODE_STRING || file->text.n == 0) {
        peri_reader_expected(r, file != NULL ? file : n, expected);
        return false;
    }
    if (options != NULL && !read_policy_options(r, options, &p->options)) return false;
    if (!peri_reader_string(r, file, expected, &p->file)) return false;
    if (!peri_http_is_value(p->file)) { /* it is the policy's name where that has none of its own */
        peri_reader_fault(r, file, "must be a path without control characters");
        return false;
    }
    p->path = resolve(r, file, p->file);
    if (p->path.p == NULL) return false;
    peri_reader_note_str(r, file, p->file);
    size_t path = peri_reader_push(r, PERI_STR("options"));
    if (options != NULL) peri_reader_note(r, options, p->options);
    peri_reader_pop(r, path);
    return true;
}

void peri_read_policies(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, void *at) {
    if (!peri_node_is_list(node)) {
        peri_reader_expected(r, node, "a list of Lua files");
        return;
    }
    struct peri_config_policy *policies = peri_reader_alloc(r, node->item_count * sizeof *policies);
    size_t count = 0, index = 0;
    if (policies == NULL) return;
    for (const struct peri_node *n = node->first; n != NULL; n = n->next) {
        size_t path = peri_reader_push_index(r, ++index);
        if (read_policy(r, n, &policies[count])) count++;
        peri_reader_pop(r, path);
    }
    set_list(o, at, policies, count);
}

/* ---- client keys ---- */

static bool read_key_table(struct peri_reader *r, const struct peri_node *n,
                           struct peri_config_key *k) {
    const struct peri_node *id = peri_node_get(n, PERI_STR("id"));
    const struct peri_node *secret = peri_node_get(n, PERI_STR("secret"));
    for (const struct peri_node *m = n->first; m != NULL; m = m->next)
        if (m != id && m != secret)
            peri_reader_fault(r, m, "has an unknown key '%.*s', expected 'id' and 'secret'",
                              PERI_STR_ARGS(m->key));
    if (secret == NULL) {
        peri_reader_fault(r, n, "lacks 'secret': what the client sends behind \"Bearer \"");
        return false;
    }
    if (id != NULL && !peri_reader_string(r, id, "a string", &k->id)) return false;
    if (id != NULL && !peri_option_is_id(k->id)) {
        peri_reader_expected(r, id, PERI_OPTION_ID_EXPECTED);
        return false;
    }
    return peri_reader_secret(r, secret, &k->secret);
}

static bool read_key(struct peri_reader *r, const struct peri_node *n, struct peri_config_key *k,
                     size_t index) {
    bool is_table = peri_node_is_map(n) && n->member_count > 0;
    if (is_table ? !read_key_table(r, n, k) : !peri_reader_secret(r, n, &k->secret)) return false;
    if (k->id.p == NULL) k->id = peri_arena_printf(r->arena, "key-%zu", index);
    if (k->id.p == NULL) r->err = PERI_ENOMEM;
    if (k->secret.n < SHORT_KEY_BYTES)
        peri_fault_list_warn(r->faults, &n->where,
                             "'%s' is shorter than %d characters, it can be guessed", r->path,
                             SHORT_KEY_BYTES);
    peri_reader_note_secret(r, is_table ? peri_node_get(n, PERI_STR("secret")) : n);
    return r->err == PERI_OK;
}

/* Keys that were read, by what each must have alone. */
struct known_keys {
    struct peri_map by_id, by_secret;
};

static bool is_new_key(struct peri_reader *r, const struct peri_node *n, struct known_keys *known,
                       struct peri_config_key *k) {
    struct peri_str secret = { k->secret.p, k->secret.n };
    const struct peri_config_key *other = peri_map_get(&known->by_secret, secret);
    enum peri_err err = PERI_OK;
    if (peri_map_get(&known->by_id, k->id) != NULL)
        peri_reader_fault(r, n, "has the id '%.*s' of another key, expected each id once",
                          PERI_STR_ARGS(k->id));
    else if (other != NULL)
        peri_reader_fault(r, n, "is the same secret as that of '%.*s'", PERI_STR_ARGS(other->id));
    else if ((err = peri_map_add(&known->by_id, k->id, k)) == PERI_OK &&
             (err = peri_map_add(&known->by_secret, secret, k)) == PERI_OK)
        return true;
    if (err != PERI_OK) r->err = err;
    return false;
}

void peri_read_keys(struct peri_reader *r, const struct peri_option *o,
                    const struct peri_node *node, void *at) {
    if (!peri_node_is_list(node)) {
        peri_reader_expected(r, node, "a list of secrets");
        return;
    }
    struct peri_config_key *keys = peri_reader_alloc(r, node->item_count * sizeof *keys);
    size_t count = 0, index = 0;
    struct known_keys known;
    if (keys == NULL) return;
    peri_map_init(&known.by_id);
    peri_map_init(&known.by_secret);
    for (const struct peri_node *n = node->first; n != NULL && r->err == PERI_OK; n = n->next) {
        size_t path = peri_reader_push_index(r, ++index);
        keys[count] = (struct peri_config_key){ 0 };
        if (read_key(r, n, &keys[count], index) && is_new_key(r, n, &known, &keys[count])) count++;
        peri_reader_pop(r, path);
    }
    set_list(o, at, keys, count);
    peri_map_done(&known.by_id);
    peri_wipe(known.by_secret.slots, known.by_secret.capacity * sizeof *known.by_secret.slots);
    peri_map_done(&known.by_secret);
}

void peri_cors_check(struct peri_reader *r, const struct peri_node *node, void *at) {
    const struct peri_config *c = at;
    const struct peri_node *origins =
        node == NULL ? NULL : peri_node_get(node, PERI_STR("origins"));
    bool takes_all = false;
    for (size_t i = 0; i < c->cors_origin_count; i++) {
        struct peri_str origin = c->cors_origins[i];
        takes_all = takes_all || peri_str_eq(origin, PERI_STR("*"));
        if (origins == NULL || peri_option_is_origin(origin)) continue;
        peri_reader_fault(r, origins,
                          "has \"%.*s\" in 'origins', expected an origin without a path, such as "
                          "\"https://app.example.com\", or \"*\"",
                          PERI_STR_ARGS(origin));
    }
    if (takes_all && c->cors_credentials && node != NULL)
        peri_reader_fault(
            r, node, "has 'credentials' with \"*\" in 'origins', expected the origins by name");
}
