/* Run the policies of a configuration once on sample requests, in a world of their own (router/testbed.h): a chat, a
 * streamed chat, a chat with tools, parts of content and a tool's result, embeddings, and a change of epoch. Each
 * configured provider is there by its id and answers at once; nobody is called and nothing is opened. A policy that names
 * networks is shown every provider.
 */
#ifndef PERI_SCRIPT_POLICY_SAMPLE_H
#define PERI_SCRIPT_POLICY_SAMPLE_H

#include "base/buf.h"
#include "config/config.h"
#include "script/policy/policy_program.h"
#include "script/state/meter.h"

/*   meter   empty; has the hooks' costs afterwards
 *   faults  gets a line for each hook that failed: "hook: policies/x.lua:3: why"
 *   gives   PERI_OK also when hooks failed · what kept the policies from being tried: `fault` */
PERI_MUST_USE enum peri_err peri_sample_run(const struct peri_config *config,
                                            struct peri_meter *meter, struct peri_buf *faults,
                                            struct peri_fault *fault);

/* Try the texts of a program that `current` has not: a hook that returns is proven (script/policy/policy_standing.h). What
 * fails, or keeps the samples from being run, proves nothing and is not said.
 *   current   the current program; NULL: none */
void peri_sample_prove(const struct peri_config *config, struct peri_policy_program *program,
                       const struct peri_policy_program *current);

#endif
