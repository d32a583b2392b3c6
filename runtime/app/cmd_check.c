/* `perilune check`: what is wrong with a configuration, and what all its values are. */
#include <string.h>

#include "app/cli.h"
#include "base/err.h"
#include "base/mem.h"
#include "router/router.h"
#include "script/policy/sample.h"

enum output { NOTHING, DUMP, DUMP_JSON, SCHEMA, REFERENCE, STUB };

static int parse(struct peri_cli_config *c, enum output *what, bool *has_samples, int argc,
                 char **argv) {
    static const struct {
        const char *flag;
        enum output what;
    } rows[] = { { "--dump", DUMP },     { "--dump=text", DUMP },      { "--dump=json", DUMP_JSON },
                 { "--schema", SCHEMA }, { "--reference", REFERENCE }, { "--stub", STUB } };
    for (int i = 1; i < argc;) {
        int taken = peri_cli_config_take(c, argc, argv, &i);
        if (taken < 0) return PERI_EXIT_USAGE;
        if (taken > 0) continue;
        if (strcmp(argv[i], "--no-sample") == 0) {
            *has_samples = false;
            i++;
            continue;
        }
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

/* Each hook once, on sample requests: what fails there would fail in service. */
static int try_policies(const struct peri_config *config, struct peri_meter *meter) {
    struct peri_buf faults;
    struct peri_fault fault = { .text = "" };
    peri_buf_init(&faults, 0);
    enum peri_err err = peri_sample_run(config, meter, &faults, &fault);
    if (err !=
        PERI_OK) /* they load, as was seen before, so it is the sample that does not suit them */
        fprintf(stderr, "warning: the policies were not tried on samples: %s\n",
                fault.text[0] != '\0' ? fault.text : peri_err_text(err));
    struct peri_str rest = peri_buf_str(&faults), line;
    while (peri_str_cut(&line, &rest, '\n'))
        fprintf(stderr, "failed on a sample request, in %.*s\n", PERI_STR_ARGS(line));
    int code = faults.n == 0 ? PERI_EXIT_OK : PERI_EXIT_CONFIG;
    peri_buf_done(&faults);
    return code;
}

static void print_costs(const struct peri_meter *meter) {
    for (size_t i = 0; i < meter->count; i++) {
        const struct peri_meter_row *row = &meter->rows[i];
        if (row->calls == 0)
            printf("  %s: %s was not run by the samples\n", row->policy, row->hook);
        else
            printf("  %s: %s %.1f µs, %zu bytes (mean of %u)\n", row->policy, row->hook,
                   (double)row->cpu_ns / 1e3 / row->calls, row->bytes / row->calls, row->calls);
    }
}

/* What serve would find wrong later: policies that do not load, keys that are none, endpoints nobody can reach. */
static int check_deeply(struct peri_config *config) {
    struct peri_fault fault;
    struct peri_router *router;
    enum peri_err err = peri_router_new_with(
        &router, config,
        &(struct peri_router_options){ .size = sizeof(struct peri_router_options), .workers = 1 },
        &fault);
    if (err == PERI_OK) {
        peri_router_free(router);
        return PERI_EXIT_OK;
    }
    fprintf(stderr, "%s\n", fault.text);
    return PERI_EXIT_CONFIG;
}

static int check(struct peri_cli_config *c, enum output what, bool has_samples) {
    struct peri_config *config = NULL;
    struct peri_dump dump;
    struct peri_meter *meter = peri_calloc(1, sizeof *meter);
    if (meter == NULL) return PERI_EXIT_FAILED;
    peri_dump_init(&dump);
    int code = peri_cli_config_load(c, &config, what == NOTHING ? NULL : &dump);
    if (code == PERI_EXIT_OK) code = check_deeply(config);
    if (code == PERI_EXIT_OK && what == NOTHING && has_samples) code = try_policies(config, meter);
    if (code == PERI_EXIT_OK && what != NOTHING) {
        code = print_dump(&dump, what);
    } else if (code == PERI_EXIT_OK) {
        printf("%.*s: ok, %zu providers, %zu policies\n",
               PERI_STR_ARGS(config->file.n > 0 ? config->file : PERI_STR("environment")),
               config->provider_count, config->policy_count);
        print_costs(meter);
    }
    peri_config_unref(config);
    peri_dump_done(&dump);
    peri_free(meter);
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
        return peri_cli_script("check", PERI_LUA_DIR "/perilune/cli/check.lua", argc, argv);
    struct peri_cli_config c;
    enum output what = NOTHING;
    bool has_samples = true;
    if (peri_cli_config_init(&c) != PERI_OK) return PERI_EXIT_FAILED;
    int code = parse(&c, &what, &has_samples, argc, argv);
    if (code == PERI_EXIT_OK)
        code = what >= SCHEMA ? print_table(what) : check(&c, what, has_samples);
    peri_cli_config_done(&c);
    return code;
}
