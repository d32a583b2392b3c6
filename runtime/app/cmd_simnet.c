/* `perilune simnet`: simulated networks, which are Lua (lua/perilune/simnet). */
#include "app/cli.h"
#include "base/err.h"
#include "script/run.h"

int peri_cmd_simnet(int argc, char **argv) {
    static const char *const search[] = { PERI_LUA_DIR, NULL };
    struct peri_script script = { .path = PERI_LUA_DIR "/perilune/simnet/program.lua",
                                  .search = search,
                                  .argc = argc - 1,
                                  .argv = argv + 1 };
    struct peri_fault fault = { .text = "" };
    int result;
    if (peri_script_run(&script, &result, &fault) == PERI_OK) return result;
    fprintf(stderr, "perilune simnet: %s\n", fault.text);
    return PERI_EXIT_FAILED;
}
