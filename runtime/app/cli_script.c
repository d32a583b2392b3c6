/* Verbs that are Lua. */
#include "app/cli.h"
#include "base/err.h"
#include "script/run.h"

int peri_cli_script(const char *verb, const char *path, int argc, char **argv) {
    static const char *const search[] = { PERI_LUA_DIR, NULL };
    struct peri_script script = {
        .path = path, .search = search, .argc = argc - 1, .argv = argv + 1
    };
    struct peri_fault fault = { .text = "" };
    int result;
    if (peri_script_run(&script, &result, &fault) == PERI_OK) return result;
    fprintf(stderr, "perilune %s: %s\n", verb, fault.text);
    return PERI_EXIT_FAILED;
}
