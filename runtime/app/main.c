#include "app/cli.h"

/* libcurl brings GnuTLS along for protocols that are never spoken here. Its constructor would set up ciphers and
 * smart cards before main runs: a megabyte of resident memory and some milliseconds of every start. It asks this
 * function first (GNUTLS_SKIP_GLOBAL_INIT in gnutls.h). */
__attribute__((visibility("default"))) int _gnutls_global_init_skip(void);
int _gnutls_global_init_skip(void) { return 1; }

int main(int argc, char **argv) { return peri_cli_run(argc, argv); }
