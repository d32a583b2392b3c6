#include "router/config_load.h"

#include <errno.h>
#include <stdio.h>

#include "base/file.h"
#include "config/config_env.h"
#include "config/config_json.h"
#include "router/language.h"

#define TREE_BYTES_MAX (256u << 20)
#define JSON_BYTES_MAX (1u << 20)

static struct peri_str folder_of(struct peri_str path) {
    size_t n = path.n;
    while (n > 0 && path.p[n - 1] != '/') n--;
    if (n > 1) n--; /* "/" stays */
    return (struct peri_str){ path.p, n };
}

/* A flag given again adds to the list that the first one began. */
static enum peri_err put_flag(struct peri_arena *a, struct peri_node *root,
                              const struct peri_config_flag *f, const struct peri_option *o,
                              bool is_again) {
    struct peri_where where = { .origin = PERI_ORIGIN_FLAG, .name = f->name };
    struct peri_node *n = peri_config_text_node(a, o, where, f->text);
    if (n == NULL) return PERI_ENOMEM;
    struct peri_node *list = is_again ? peri_node_get(root, f->path) : NULL;
    if (list == NULL || list->kind != PERI_NODE_TABLE || n->kind != PERI_NODE_TABLE)
        return peri_node_put(a, root, f->path, n);
    for (struct peri_node *i = n->first, *next; i != NULL; i = next) {
        next = i->next;
        peri_node_add(list, (struct peri_str){ NULL, 0 }, i);
    }
    return PERI_OK;
}

/* A key on the command line is visible to everyone on the machine. */
static enum peri_err put_upstream(struct peri_arena *a, struct peri_node *providers,
                                  const struct peri_config_flag *f,
                                  struct peri_fault_list *faults) {
    struct peri_where where = { .origin = PERI_ORIGIN_FLAG, .name = f->name };
    if (peri_str_find_char(f->text, ';') < 0)
        return peri_config_add_upstream(a, providers, where, f->text);
    peri_fault_list_add(faults, &where,
                        "has a key, which every process could read: expected the URL alone and the "
                        "key in PERILUNE_UPSTREAM (\"URL;key\") or a configuration file");
    return PERI_OK;
}

static bool was_given(const struct peri_config_source *source, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (peri_str_eq(source->flags[k].path, source->flags[i].path)) return true;
    return false;
}

static enum peri_err apply_flags(struct peri_arena *a, struct peri_node *root,
                                 const struct peri_config_source *source,
                                 struct peri_fault_list *faults) {
    struct peri_node *providers = NULL;
    enum peri_err err = PERI_OK;
    for (size_t i = 0; i < source->flag_count && err == PERI_OK; i++) {
        const struct peri_config_flag *f = &source->flags[i];
        struct peri_where where = { .origin = PERI_ORIGIN_FLAG, .name = f->name };
        const struct peri_option *o = peri_options_find(f->path);
        if (peri_str_eq(f->path, PERI_STR("upstream"))) {
            if (providers == NULL) {
                providers = peri_node_new(a, PERI_NODE_TABLE, where);
                if (providers == NULL) return PERI_ENOMEM;
                err = peri_node_put(a, root, PERI_STR("providers"), providers);
            }
            if (err == PERI_OK) err = put_upstream(a, providers, f, faults);
        } else if (o == NULL || o->type == PERI_OPTION_GROUP || o->type == PERI_OPTION_RECORDS ||
                   o->type == PERI_OPTION_CUSTOM) {
            peri_fault_list_add(faults, &where, "'%.*s' is no option that a flag can set",
                                PERI_STR_ARGS(f->path));
        } else {
            err = put_flag(a, root, f, o, was_given(source, i));
        }
    }
    return err;
}

static enum peri_err read_json(struct peri_node **root, struct peri_arena *a, struct peri_str path,
                               struct peri_fault_list *faults) {
    struct peri_where where = { .origin = PERI_ORIGIN_FILE, .name = path };
    size_t n = JSON_BYTES_MAX + 1;
    char *p = peri_arena_alloc(a, n);
    if (p == NULL) return PERI_ENOMEM;
    if (peri_file_read_into(p, &n, path.p) != PERI_OK)
        peri_fault_list_add(faults, &where, "can not be read: %s", strerror(errno));
    else if (n > JSON_BYTES_MAX)
        peri_fault_list_add(faults, &where, "is larger than 1 MiB");
    else
        return peri_config_json_read(root, a, (struct peri_str){ p, n }, path, faults);
    return PERI_ECONFIG;
}

static enum peri_err read_file(struct peri_node **root, struct peri_arena *a,
                               const struct peri_config_source *source,
                               struct peri_fault_list *faults) {
    struct peri_str path = peri_arena_dup(a, source->file);
    if (path.p == NULL) return PERI_ENOMEM;
    if (peri_str_has_suffix(path, PERI_STR(".json"))) return read_json(root, a, path, faults);
    return peri_language_lua.read_config(root, a, path, folder_of(path), source->box, faults);
}

static enum peri_err load(struct peri_config **out, struct peri_arena *a,
                          const struct peri_config_source *source, struct peri_fault_list *faults) {
    struct peri_where nowhere = { .origin = PERI_ORIGIN_ENV, .name = PERI_STR("environment") };
    struct peri_node *root = NULL;
    enum peri_err err = PERI_OK;
    if (source->file.n > 0)
        err = read_file(&root, a, source, faults);
    else
        root = peri_node_new(a, PERI_NODE_TABLE, nowhere);
    if (root != NULL && root->kind != PERI_NODE_TABLE) {
        peri_fault_list_add(faults, &root->where,
                            "the configuration must be a table with named members");
        return PERI_ECONFIG;
    }
    /* A tree that came with faults is still checked, so that all of them are said at once. */
    if (root == NULL) return err != PERI_OK ? err : PERI_ENOMEM;
    if (err == PERI_ENOMEM) return err;
    if ((err = peri_config_env_apply(root, a, source->box, faults)) != PERI_OK) return err;
    if ((err = apply_flags(a, root, source, faults)) != PERI_OK) return err;
    struct peri_options_context context = { folder_of(source->file), source->box, source->dump };
    return peri_options_read(out, root, &context, faults);
}

enum peri_err peri_config_load(struct peri_config **out, const struct peri_config_source *source,
                               struct peri_fault_list *faults) {
    struct peri_arena tree;
    peri_arena_init(&tree, TREE_BYTES_MAX);
    enum peri_err err = load(out, &tree, source, faults);
    peri_fault_list_sort(faults);
    peri_arena_wipe(&tree);
    peri_arena_done(&tree);
    return err;
}

enum peri_err peri_config_load_json(struct peri_config **out, struct peri_str text,
                                    struct peri_str name, struct peri_secret_box *box,
                                    struct peri_fault_list *faults) {
    struct peri_options_context context = { .box = box };
    struct peri_node *root = NULL;
    struct peri_arena tree;
    peri_arena_init(&tree, TREE_BYTES_MAX);
    enum peri_err err = peri_config_json_read(&root, &tree, text, name, faults);
    if (err == PERI_OK) err = peri_options_read(out, root, &context, faults);
    peri_fault_list_sort(faults);
    peri_arena_wipe(&tree);
    peri_arena_done(&tree);
    return err;
}
