/* From the text of a policy's file to its hooks: run it, check what it returned, settle its options. */
#ifndef PERI_SCRIPT_POLICY_POLICY_LOAD_H
#define PERI_SCRIPT_POLICY_POLICY_LOAD_H

#include "script/policy/policy_lua.h"

/* Fill what a link has of its text, inside set->state.
 *   gives   PERI_OK · PERI_EPOLICY, PERI_EBUDGET, PERI_ENOMEM: `fault` says file, line, what, what was expected */
PERI_MUST_USE enum peri_err peri_policy_load(struct peri_policy_lua *set, struct peri_link *link,
                                             const struct peri_policy_file *file,
                                             const struct peri_config *config,
                                             struct peri_fault *fault);

#endif
