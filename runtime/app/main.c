#include "app/cli.h"

int main(int argc, char **argv) { return peri_cli_run(argc, argv); }
