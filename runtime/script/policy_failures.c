/* What is said of a hook that failed. */
#include "base/err.h"
#include "core/worker.h"
#include "script/policy_parts.h"

const char *const peri_hook_names[PERI_HOOK_COUNT] = { "request", "route", "attempt", "event",
                                                       "answer",  "done",  "epoch" };

void peri_policy_report(struct peri_policy_lua *set, struct peri_request *r, enum peri_hook hook,
                        const struct peri_fault *f) {
    struct peri_log *log = &set->worker->logs.of[PERI_COMPONENT_POLICY];
    r->outcome.has_policy_error = true;
    if (!peri_log_begin(log, PERI_LOG_ERROR, "policy failed")) return;
    peri_log_str(log, "request_id", peri_request_id(r));
    peri_log_str(log, "hook", peri_str_of(peri_hook_names[hook]));
    peri_log_str(log, "error", peri_str_of(peri_err_name(f->err)));
    peri_log_str(log, "detail", peri_str_of(f->text));
    peri_log_int(log, "generation", (int64_t)set->policy.generation);
    peri_log_end(log);
}
