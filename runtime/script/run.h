/* Running a Lua file that is no policy: `perilune simnet` and other tools made of Lua. */
#ifndef PERI_SCRIPT_RUN_H
#define PERI_SCRIPT_RUN_H

#include "base/log.h"

struct peri_script {
    const char *path;          /* the file */
    const char *const *search; /* directories of modules, ended by NULL; may be NULL */
    int argc;                  /* the file gets them as `...` and, with its path at 0, as `arg` */
    char *const *argv;
    struct peri_log *log; /* may be NULL */
};

/* Run it in a trusted state on a loop of its own until it has ended; it may wait (peri.sleep and the like).
 *   result  what the file returned, when that is an integer; else 0
 *   gives   PERI_OK · PERI_ENOTFOUND, PERI_EIO, PERI_ETOOBIG the file · PERI_EPOLICY it raised · PERI_ENOMEM;
 *           `fault` says why */
PERI_MUST_USE enum peri_err peri_script_run(const struct peri_script *script, int *result,
                                            struct peri_fault *fault);

#endif
