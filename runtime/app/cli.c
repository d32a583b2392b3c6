#include "app/cli.h"

#include "base/nearest.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_VARIABLE "PERILUNE_CONFIG"

const struct peri_command peri_commands[] = {
    { "serve", "run the router",
      "perilune serve [configuration flags]\n"
      "\n"
      "Listens until SIGTERM or SIGINT, which lets requests under way finish; a second one ends at "
      "once.\n"
      "SIGHUP reads the configuration and the policies again; changed policy files are noticed "
      "anyway.\n"
      "SIGUSR1 opens the log file anew, after its rotation.\n",
      peri_cmd_serve },
    { "check", "look at a configuration without running it",
      "perilune check [configuration flags] [--no-sample | --dump[=json] | --schema | --reference "
      "| "
      "--stub]\n"
      "       perilune check --cases FILE [--profile emulate|repair] [--states FILE]\n"
      "       perilune check --request FILE [--model NAME]\n"
      "\n"
      "Says everything that is wrong with a configuration, each with file and line. Runs each hook "
      "of the policies\n"
      "once on sample requests, with providers that are not real, and says what it costs: the mean "
      "of its calls in\n"
      "µs of processor time and bytes of memory.\n"
      "\n"
      "  --no-sample   without that\n"
      "  --dump        every option with its value and where it was written\n"
      "  --dump=json   the same as a JSON array\n"
      "  --schema      the JSON Schema of configurations\n"
      "  --reference   the reference page, in Markdown\n"
      "  --stub        the types for editors (lua/perilune/_meta/config.lua)\n"
      "\n"
      "What the Gonka network makes of requests, and how gonka_rules and tool_ids change them:\n"
      "\n"
      "  --cases FILE    recorded outcomes, one JSON object a line; says where ours differ\n"
      "  --states FILE   what cases do not say of the network's state: lines of {id, state}\n"
      "  --profile NAME  emulate (the default): as the network does; repair: repair, then ask it\n"
      "  --request FILE  one request as JSON; - for standard input\n"
      "  --model NAME    the model it goes to, instead of the one it names\n",
      peri_cmd_check },
    { "test", "run tests of policies, with scripted providers",
      "perilune test [flags] [FILE | FOLDER]…\n"
      "\n"
      "Runs every test of the files, and of each *_test.lua in the folders (.). A test has a real "
      "router of its\n"
      "own, providers that answer as it says, a clock that it moves, and no network: see "
      "perilune.testing.\n"
      "Each file runs in a process of its own: a test that ends or blocks it fails, and the others "
      "run.\n"
      "\n"
      "  --filter PATTERN  only tests whose name matches this Lua pattern\n"
      "  --seed N          of every random choice; 1 when not given\n"
      "  --format NAME     text, tap, or json: one object a line\n"
      "  --budget MS       of processor time for one test before it is stopped; 10000\n"
      "  --timeout MS      of real time for one test before its process is killed; 60000\n"
      "\n"
      "Exit codes: 0 all passed, 1 a test failed or there was none, 2 wrong usage.\n",
      peri_cmd_test },
    { "simnet", "run simulated providers and networks",
      "perilune simnet [--providers N] [--gonka HOSTS] [--gateway N] [flags]\n"
      "\n"
      "Prints one JSON line for each thing it started, with its URL, and serves until it is "
      "ended.\n"
      "\n"
      "  --providers N       OpenAI-compatible providers; 1 when nothing else is asked for\n"
      "  --gonka HOSTS       a Gonka network of so many hosts that check every signature\n"
      "  --gateway N         gateways or brokers in front of such a network, which take keys\n"
      "  --port N            of the first provider, the next ones follow; of the network's node "
      "when "
      "only a\n"
      "                      network is asked for; any when not given or 0\n"
      "  --model NAME        what they serve, sim-model; may be given again\n"
      "  --key KEY           what providers and gateways want to see as bearer token; nothing when "
      "not "
      "given\n"
      "  --default BEHAVIOUR how all of them behave, such as \"tokens=24;token_ms=40\"\n"
      "\n"
      "Of a Gonka network:\n"
      "\n"
      "  --wallet FILE       an account of that network with money; a new key is written when "
      "there is none;\n"
      "                      may be given again\n"
      "  --shape NAME        how its documents are written: numbers (v0.2.3 to v0.2.14, the "
      "default), strings,\n"
      "                      golden (v0.2.15), early (2025)\n"
      "  --scheme NAME       what its hosts want signed: hashed (since v0.2.6, the default), "
      "raw_body, body_only\n"
      "\n"
      "While it runs it takes orders, each a POST of JSON: /sim/script and /sim/quit on a "
      "provider or a host;\n"
      "/sim/gateway on a gateway; "
      "/sim/epoch, phase, confirmation, chain, account, host, node, quit on a network's node. "
      "GET /sim/ledger on\n"
      "a provider or a host tells what it was asked, GET /sim/network on a node how the network "
      "stands.\n"
      "lua/perilune/simnet says what each order may hold.\n",
      peri_cmd_simnet },
    { "keygen", "make a private key in a file",
      "perilune keygen [--out FILE]\n"
      "\n"
      "Writes a new private key to a new file of mode 0600 (perilune.key) and prints its Gonka "
      "address.\n",
      peri_cmd_keygen },
    { "address", "print the Gonka address of a private key",
      "perilune address [--key SOURCE] [--public]\n"
      "\n"
      "  --key SOURCE        file:PATH, env:NAME or cred:NAME; env:GONKA_PRIVATE_KEY when not "
      "given\n"
      "  --public            the compressed public key on a second line, in hexadecimal\n",
      peri_cmd_address },
    { "sign", "print the signed headers of one request to a Gonka node",
      "perilune sign --node ADDRESS [--key SOURCE] [--body FILE] [--timestamp NS] [--scheme NAME]\n"
      "\n"
      "  --node ADDRESS      account of the node that is called, gonka1…\n"
      "  --key SOURCE        file:PATH, env:NAME or cred:NAME; env:GONKA_PRIVATE_KEY when not "
      "given\n"
      "  --body FILE         exactly the bytes that are sent; standard input when not given\n"
      "  --timestamp NS      nanoseconds since 1970; now when not given\n"
      "  --scheme NAME       hashed (nodes since v0.2.6), raw_body, body_only\n",
      peri_cmd_sign },
    { "version", "print the version", "perilune version\n", peri_cmd_version },
};
const size_t peri_command_count = sizeof peri_commands / sizeof peri_commands[0];

const char peri_cli_config_help[] =
    "\nConfiguration flags:\n"
    "  --config FILE       a .lua or .json file; without it ./perilune.lua, else the environment "
    "alone\n"
    "  --listen ADDRESS    such as 127.0.0.1:9000; may be given again\n"
    "  --upstream URL      a provider, instead of all others; may be given again\n"
    "  --workers NUMBER    --log-level LEVEL    --default-model NAME\n"
    "  --set OPTION=VALUE  any single option, such as limits.body_bytes=64MiB\n";

const struct peri_command *peri_command_find(const char *name) {
    for (size_t i = 0; i < peri_command_count; i++)
        if (strcmp(peri_commands[i].name, name) == 0) return &peri_commands[i];
    return NULL;
}

static void print_overview(FILE *to) {
    fputs("perilune: a programmable inference router\n\nusage: perilune VERB [flags]\n\n", to);
    for (size_t i = 0; i < peri_command_count; i++)
        fprintf(to, "  %-9s %s\n", peri_commands[i].name, peri_commands[i].summary);
    fputs("  help      print this, or the help of a verb: perilune help VERB\n"
          "\nExit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration.\n",
          to);
}

static bool is_help(const char *text) {
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0 || strcmp(text, "help") == 0;
}

static int print_help(const struct peri_command *c) {
    fputs("usage: ", stdout);
    fputs(c->help, stdout);
    if (strstr(c->help, "configuration flags") != NULL) fputs(peri_cli_config_help, stdout);
    return PERI_EXIT_OK;
}

static int unknown_verb(const char *name) {
    struct peri_nearest n = peri_nearest_to(peri_str_of(name), 2);
    for (size_t i = 0; i < peri_command_count; i++) peri_nearest_offer(&n, peri_commands[i].name);
    if (n.name != NULL)
        return peri_cli_usage(NULL, "no verb '%s', did you mean '%s'?", name, n.name);
    return peri_cli_usage(NULL, "no verb '%s', `perilune help` lists them", name);
}

int peri_cli_run(int argc, char **argv) {
    if (argc < 2) {
        print_overview(stderr);
        return PERI_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) return peri_cmd_version(1, argv + 1);
    if (is_help(argv[1]) && argc == 2) {
        print_overview(stdout);
        return PERI_EXIT_OK;
    }
    const char *verb = is_help(argv[1]) ? argv[2] : argv[1];
    const struct peri_command *c = peri_command_find(verb);
    if (c == NULL) return unknown_verb(verb);
    if (is_help(argv[1]) ||
        (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)))
        return print_help(c);
    return c->run(argc - 1, argv + 1);
}

int peri_cli_usage(const char *verb, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "perilune%s%s: ", verb != NULL ? " " : "", verb != NULL ? verb : "");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return PERI_EXIT_USAGE;
}

/* ---- configuration flags ---- */

enum peri_err peri_cli_config_init(struct peri_cli_config *c) {
    *c = (struct peri_cli_config){ .box = peri_secret_box_new(&peri_env_process) };
    return c->box == NULL ? PERI_ENOMEM : PERI_OK;
}

void peri_cli_config_done(struct peri_cli_config *c) { peri_secret_box_free(c->box); }

/* "--name=value", or "--name" with the value behind it; NULL when it is another flag. */
static const char *value_of(const char *name, int argc, char **argv, int *i) {
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0) return NULL;
    if (argv[*i][n] == '=') return argv[(*i)++] + n + 1;
    if (argv[*i][n] != '\0') return NULL;
    *i += 1;
    return *i < argc ? argv[(*i)++] : "";
}

static int add_flag(struct peri_cli_config *c, const char *name, struct peri_str path,
                    struct peri_str text) {
    if (c->flag_count == PERI_CLI_FLAGS_MAX) {
        (void)peri_cli_usage(NULL, "more than %d flags", PERI_CLI_FLAGS_MAX);
        return -1;
    }
    c->flags[c->flag_count++] = (struct peri_config_flag){ peri_str_of(name), path, text };
    return 1;
}

static int take_set(struct peri_cli_config *c, const char *text) {
    struct peri_str path, rest = peri_str_of(text);
    if (!peri_str_cut(&path, &rest, '=') || path.n == strlen(text)) {
        (void)peri_cli_usage(NULL, "--set takes OPTION=VALUE, got '%s'", text);
        return -1;
    }
    return add_flag(c, "--set", path, rest);
}

int peri_cli_config_take(struct peri_cli_config *c, int argc, char **argv, int *i) {
    static const struct {
        const char *flag, *path;
    } rows[] = { { "--listen", "listen" },
                 { "--upstream", "upstream" },
                 { "--workers", "workers" },
                 { "--log-level", "log.level" },
                 { "--default-model", "default_model" } };
    const char *value = value_of("--config", argc, argv, i);
    if (value != NULL) {
        c->file = value;
        if (value[0] != '\0') return 1;
        (void)peri_cli_usage(NULL, "--config takes a file");
        return -1;
    }
    if ((value = value_of("--set", argc, argv, i)) != NULL) return take_set(c, value);
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        if ((value = value_of(rows[k].flag, argc, argv, i)) == NULL) continue;
        if (value[0] != '\0')
            return add_flag(c, rows[k].flag, peri_str_of(rows[k].path), peri_str_of(value));
        (void)peri_cli_usage(NULL, "%s takes a value", rows[k].flag);
        return -1;
    }
    return 0;
}

static void say_faults(const struct peri_fault_list *faults) {
    for (size_t i = 0; i < faults->warning_count; i++)
        fprintf(stderr, "warning: %s\n", faults->warnings[i].text);
    for (size_t i = 0; i < faults->count; i++) fprintf(stderr, "%s\n", faults->faults[i].text);
    if (faults->beyond > 0) fprintf(stderr, "and %zu more\n", faults->beyond);
}

static enum peri_err load_config(const struct peri_cli_config *c, struct peri_config **out,
                                 struct peri_dump *dump, struct peri_fault_list *faults) {
    struct peri_config_source source = {
        .flags = c->flags, .flag_count = c->flag_count, .box = c->box, .dump = dump
    };
    struct peri_str named;
    if (c->file != NULL)
        source.file = peri_str_of(c->file);
    else if (peri_secret_box_peek(c->box, PERI_STR(CONFIG_VARIABLE), &named))
        source.file = named;
    else if (access(PERI_CONFIG_FILE, F_OK) == 0)
        source.file = PERI_STR(PERI_CONFIG_FILE);
    return peri_config_load(out, &source, faults);
}

int peri_cli_config_load(const struct peri_cli_config *c, struct peri_config **out,
                         struct peri_dump *dump) {
    struct peri_fault_list faults = { 0 };
    enum peri_err err = load_config(c, out, dump, &faults);
    say_faults(&faults);
    if (err == PERI_OK) return PERI_EXIT_OK;
    if (err != PERI_ECONFIG) fprintf(stderr, "perilune: %s\n", peri_err_text(err));
    return err == PERI_ECONFIG ? PERI_EXIT_CONFIG : PERI_EXIT_FAILED;
}

enum peri_err peri_cli_config_reload(const struct peri_cli_config *c, struct peri_config **out,
                                     struct peri_log *log, struct peri_fault *fault) {
    struct peri_fault_list faults = { 0 };
    enum peri_err err = load_config(c, out, NULL, &faults);
    for (size_t i = 0; i < faults.warning_count; i++)
        peri_log_say(log, PERI_LOG_WARN, "%s", faults.warnings[i].text);
    for (size_t i = 1; i < faults.count; i++)
        peri_log_say(log, PERI_LOG_ERROR, "%s", faults.faults[i].text);
    if (err == PERI_OK) return PERI_OK;
    if (faults.count > 0)
        *fault = faults.faults[0];
    else
        (void)peri_fault_set(fault, err, "%s", peri_err_text(err));
    return err;
}
