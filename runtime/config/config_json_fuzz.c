/* Any text as a configuration: read, checked, dumped. The secret it may name appears in no fault, warning or dump. */
#include <stdlib.h>

#include "config/config_json.h"
#include "config/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char canary[] = "canary-9f86d081884c7d65";

static const char *get(void *arg, const char *name) {
    (void)arg;
    return strcmp(name, "K") == 0 ? canary : NULL;
}
static const struct peri_env env = { .get = get };

static void look(struct peri_str text, bool may_have) {
    if (!may_have && peri_str_find(text, PERI_STR("canary-9f86d081884c7d65")) >= 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct peri_str text = { (const char *)data, size };
    struct peri_fault_list faults = { 0 };
    struct peri_config *config = NULL;
    struct peri_node *root = NULL;
    struct peri_arena tree;
    struct peri_dump dump;
    peri_arena_init(&tree, 64 << 20);
    peri_dump_init(&dump);
    struct peri_secret_box *box = peri_secret_box_new(&env);
    struct peri_options_context context = { .box = box, .dump = &dump };
    enum peri_err err = peri_config_json_read(&root, &tree, text, PERI_STR("f"), &faults);
    if (err == PERI_OK) err = peri_options_read(&config, root, &context, &faults);
    if ((err == PERI_OK) != (config != NULL) || (err == PERI_ECONFIG) != (faults.count > 0))
        abort();
    bool may_have = peri_str_find(text, PERI_STR("canary")) >= 0;
    for (size_t i = 0; i < faults.count; i++) look(peri_str_of(faults.faults[i].text), may_have);
    for (size_t i = 0; i < faults.warning_count; i++)
        look(peri_str_of(faults.warnings[i].text), may_have);
    for (const struct peri_dump_entry *e = dump.first; e != NULL; e = e->next)
        look(e->value, may_have);
    peri_config_unref(config);
    peri_secret_box_free(box);
    peri_dump_done(&dump);
    peri_arena_done(&tree);
    return 0;
}
