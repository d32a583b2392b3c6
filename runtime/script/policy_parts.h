/* Private to policy_lua.c, policy_chain.c, policy_visit.c and policy_failures.c: the hooks of a chain of Lua policies as
 * struct peri_policy_ops names them. */
#ifndef PERI_SCRIPT_POLICY_PARTS_H
#define PERI_SCRIPT_POLICY_PARTS_H

#include "core/worker.h"
#include "script/bind_request.h"
#include "script/policy_lua.h"

/* policy_chain.c */
void peri_policy_decide(void *self, struct peri_request *q);

/* policy_visit.c */
enum peri_err peri_policy_on_attempt(void *self, struct peri_request *r, struct peri_attempt *a);
enum peri_verdict peri_policy_on_event(void *self, struct peri_request *r,
                                       const struct peri_event *event, struct peri_buf *out);
enum peri_verdict peri_policy_on_answer(void *self, struct peri_request *r, struct peri_str json,
                                        struct peri_buf *out);
void peri_policy_on_done(void *self, struct peri_request *r, const struct peri_outcome *outcome);
void peri_policy_on_epoch(void *self, const struct peri_epoch_change *change);

/* policy_failures.c */
extern const char *const peri_hook_names[PERI_HOOK_COUNT];
void peri_policy_report(struct peri_policy_lua *set, struct peri_request *r, enum peri_hook hook,
                        const struct peri_fault *f);

#endif
