/* `perilune simnet`: simulated networks, which are Lua (lua/perilune/simnet). */
#include "app/cli.h"

int peri_cmd_simnet(int argc, char **argv) {
    return peri_cli_script("simnet", PERI_LUA_DIR "/perilune/cli/simnet.lua", argc, argv);
}
