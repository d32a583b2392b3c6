/* Policy files, read once: what every worker makes its own Lua state of. Immutable after peri_policy_program_read.
 */
#ifndef PERI_SCRIPT_POLICY_PROGRAM_H
#define PERI_SCRIPT_POLICY_PROGRAM_H

#include "core/config.h"

struct peri_policy_file {
    struct peri_str name;    /* as configured: what messages show */
    struct peri_str source;  /* text */
    struct peri_str options; /* JSON object */
    const char *folder;      /* where its own modules stand */
};

struct peri_policy_program {
    struct peri_arena arena;
    struct peri_policy_file *files;
    size_t count;
};

/* gives PERI_OK (`out` NULL when the configuration names no policy) · PERI_EIO, PERI_ENOTFOUND, PERI_ETOOBIG with the
 * file's name · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_policy_program_read(struct peri_policy_program **out,
                                                     const struct peri_config *config,
                                                     struct peri_fault *fault);
/* Takes NULL. */
void peri_policy_program_free(struct peri_policy_program *p);

#endif
