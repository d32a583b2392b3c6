#include "app/cli.h"

int peri_cmd_version(int argc, char **argv) {
    if (argc > 1) return peri_cli_usage("version", "takes nothing, got '%s'", argv[1]);
    printf("perilune %s\n", peri_version());
    return PERI_EXIT_OK;
}
