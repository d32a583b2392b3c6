/* From the text of policy files to a chain of hooks: run each file, check what it returned, settle its options. */
#ifndef PERI_SCRIPT_POLICY_LOAD_H
#define PERI_SCRIPT_POLICY_LOAD_H

#include "script/policy_lua.h"

/* Fill set->links from a program, inside set->state.
 *   gives   PERI_OK · PERI_EPOLICY, PERI_EBUDGET, PERI_ENOMEM: `fault` says file, line, what, what was expected */
PERI_MUST_USE enum peri_err peri_policy_load(struct peri_policy_lua *set,
                                             const struct peri_policy_program *program,
                                             const struct peri_config *config,
                                             struct peri_fault *fault);

#endif
