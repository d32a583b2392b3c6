/* The command line: `perilune VERB …`. A verb is a file cmd_VERB.c with one function, and a row in cli.c. */
#ifndef PERI_APP_CLI_H
#define PERI_APP_CLI_H

#include <stdio.h>

#include "base/log.h"
#include "router/config_load.h"

enum peri_exit {
    PERI_EXIT_OK = 0,
    PERI_EXIT_FAILED = 1,
    PERI_EXIT_USAGE = 2,
    PERI_EXIT_CONFIG = 78
};

struct peri_command {
    const char *name;
    const char *summary; /* one line */
    const char *help;    /* what `perilune help VERB` prints */
    /* argv[0] is the verb. gives an exit code */
    int (*run)(int argc, char **argv);
};

extern const struct peri_command peri_commands[];
extern const size_t peri_command_count;

/* NULL when there is no such verb. */
const struct peri_command *peri_command_find(const char *name);

/* Everything from argv on: finds the verb, and the help for those who ask. gives an exit code */
int peri_cli_run(int argc, char **argv);

/* "perilune VERB: TEXT" on standard error. gives PERI_EXIT_USAGE */
int peri_cli_usage(const char *verb, const char *format, ...) PERI_PRINTF(2, 3);

/* Run a Lua file in a trusted state with what follows argv[0]; what it returns is the exit code. Its failure is said
 * on standard error under the name of the verb. */
int peri_cli_script(const char *verb, const char *path, int argc, char **argv);

/* ---- the flags of verbs that read a configuration ---- */

#define PERI_CLI_FLAGS_MAX 128

struct peri_cli_config {
    const char *file; /* of --config; NULL: the default */
    struct peri_config_flag flags[PERI_CLI_FLAGS_MAX];
    size_t flag_count;
    struct peri_secret_box *box; /* lives as long as configurations may be loaded again */
};

/* For the help of such a verb. */
extern const char peri_cli_config_help[];

/* gives PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_cli_config_init(struct peri_cli_config *c);
void peri_cli_config_done(struct peri_cli_config *c);

/* Take a configuration flag, and its value, at argv[*i]; *i moves past what was taken.
 *   gives   1 taken · 0 not one of these · -1 wrong, said on standard error */
int peri_cli_config_take(struct peri_cli_config *c, int argc, char **argv, int *i);

/* Load the configuration that the flags name, else ./perilune.lua, else the environment alone. Faults and warnings
 * go to standard error, one a line.
 *   gives   PERI_EXIT_OK with *out, yours · PERI_EXIT_CONFIG · PERI_EXIT_FAILED */
int peri_cli_config_load(const struct peri_cli_config *c, struct peri_config **out,
                         struct peri_dump *dump);
/* Read the same again while the program runs: faults and warnings go to the log, as standard error has nobody then.
 *   fault   the first of the faults, which is not logged
 *   gives   PERI_OK with *out, yours · PERI_ECONFIG · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_cli_config_reload(const struct peri_cli_config *c,
                                                   struct peri_config **out, struct peri_log *log,
                                                   struct peri_fault *fault);

/* The verbs. */
int peri_cmd_serve(int argc, char **argv);
int peri_cmd_check(int argc, char **argv);
int peri_cmd_test(int argc, char **argv);
int peri_cmd_simnet(int argc, char **argv);
int peri_cmd_keygen(int argc, char **argv);
int peri_cmd_address(int argc, char **argv);
int peri_cmd_sign(int argc, char **argv);
int peri_cmd_version(int argc, char **argv);

#endif
