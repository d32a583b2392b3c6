/* `perilune check`: what is wrong with a configuration, and what all its values are. */
#include <string.h>

#include "app/cli.h"
#include "script/router.h"

enum output { NOTHING, DUMP, DUMP_JSON, SCHEMA, REFERENCE, STUB };

static int parse(struct peri_cli_config *c, enum output *what, int argc, char **argv) {
    static const struct {
        const char *flag;
        enum output what;
    } rows[] = { { "--dump", DUMP },     { "--dump=text", DUMP },      { "--dump=json", DUMP_JSON },
                 { "--schema", SCHEMA }, { "--reference", REFERENCE }, { "--stub", STUB } };
    for (int i = 1; i < argc;) {
        int taken = peri_cli_config_take(c, argc, argv, &i);
        if (taken < 0) return PERI_EXIT_USAGE;
        if (taken > 0) continue;
        size_t k = 0, count = sizeof rows / sizeof rows[0];
        while (k < count && strcmp(rows[k].flag, argv[i]) != 0) k++;
        if (k == count)
            return peri_cli_usage("check", "unknown argument '%s', see `perilune help check`",
                                  argv[i]);
        *what = rows[k].what;
        i++;
    }
    return PERI_EXIT_OK;
}

static int print(struct peri_buf *text) {
    bool is_whole = text->err == PERI_OK && fwrite(text->p, 1, text->n, stdout) == text->n &&
                    fflush(stdout) == 0;
    if (!is_whole) fprintf(stderr, "perilune check: the output could not be written\n");
    return is_whole ? PERI_EXIT_OK : PERI_EXIT_FAILED;
}

static int print_table(enum output what) {
    struct peri_buf text;
    peri_buf_init(&text, 0);
    if (what == SCHEMA)
        peri_options_schema(&text);
    else if (what == REFERENCE)
        peri_options_reference(&text);
    else
        peri_options_stub(&text);
    int code = print(&text);
    peri_buf_done(&text);
    return code;
}

static int print_dump(const struct peri_dump *dump, enum output what) {
    struct peri_buf text;
    peri_buf_init(&text, 0);
    if (what == DUMP)
        peri_dump_text(dump, &text);
    else
        peri_dump_json(dump, &text);
    int code = print(&text);
    peri_buf_done(&text);
    return code;
}

/* What serve would find wrong later: policies that do not load, keys that are none, endpoints nobody can reach. */
static int check_deeply(struct peri_config *config) {
    struct peri_fault fault;
    struct peri_router *router;
    enum peri_err err = peri_router_new_with(&router, config,
                                             &(struct peri_router_options){ .workers = 1 }, &fault);
    if (err == PERI_OK) {
        peri_router_free(router);
        return PERI_EXIT_OK;
    }
    fprintf(stderr, "%s\n", fault.text);
    return PERI_EXIT_CONFIG;
}

static int check(struct peri_cli_config *c, enum output what) {
    struct peri_config *config = NULL;
    struct peri_dump dump;
    peri_dump_init(&dump);
    int code = peri_cli_config_load(c, &config, what == NOTHING ? NULL : &dump);
    if (code == PERI_EXIT_OK) code = check_deeply(config);
    if (code == PERI_EXIT_OK && what != NOTHING)
        code = print_dump(&dump, what);
    else if (code == PERI_EXIT_OK)
        printf("%.*s: ok, %zu providers, %zu policies\n",
               PERI_STR_ARGS(config->file.n > 0 ? config->file : PERI_STR("environment")),
               config->provider_count, config->policy_count);
    peri_config_unref(config);
    peri_dump_done(&dump);
    return code;
}

/* Requests instead of a configuration: that part is Lua. */
static bool is_about_requests(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--cases", 7) == 0 || strncmp(argv[i], "--request", 9) == 0)
            return true;
    return false;
}

int peri_cmd_check(int argc, char **argv) {
    if (is_about_requests(argc, argv))
        return peri_cli_script("check", PERI_LUA_DIR "/perilune/rules/program.lua", argc, argv);
    struct peri_cli_config c;
    enum output what = NOTHING;
    if (peri_cli_config_init(&c) != PERI_OK) return PERI_EXIT_FAILED;
    int code = parse(&c, &what, argc, argv);
    if (code == PERI_EXIT_OK) code = what >= SCHEMA ? print_table(what) : check(&c, what);
    peri_cli_config_done(&c);
    return code;
}
