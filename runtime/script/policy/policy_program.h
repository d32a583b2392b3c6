/* Policy files, read once: what every worker makes its own Lua state of. Immutable after peri_policy_program_read, but
 * for how its policies fare (script/policy/policy_standing.h).
 */
#ifndef PERI_SCRIPT_POLICY_POLICY_PROGRAM_H
#define PERI_SCRIPT_POLICY_POLICY_PROGRAM_H

#include "base/buf.h"
#include "config/config.h"
#include "script/policy/policy_standing.h"

struct peri_policy_program {
    size_t count;
    struct peri_policy_standing *files[]; /* in the order of the configuration */
};

/*   current     the current program, whose files that did not change fare on as they did; NULL: none
 *   generation  that this one will be
 *   gives       PERI_OK (`out` NULL when the configuration names no policy) · PERI_EIO, PERI_ENOTFOUND, PERI_ETOOBIG with
 *               the file's name · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_policy_program_read(struct peri_policy_program **out,
                                                     const struct peri_config *config,
                                                     const struct peri_policy_program *current,
                                                     uint64_t generation, struct peri_fault *fault);
/* How each policy stands, as a JSON array: file, name, state ("current", "fell_back", "out", or "refuses" for one that is
 * out and may not be done without), generation of the text that runs or was the last to run, and for one that fell since
 * (seconds since 1970), hook, at, error, detail. Any thread. */
void peri_policy_program_list(const struct peri_policy_program *p, struct peri_buf *out);
/* Takes NULL. */
void peri_policy_program_free(struct peri_policy_program *p);

#endif
