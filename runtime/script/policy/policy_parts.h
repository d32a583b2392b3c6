/* Private to policy_lua.c, policy_chain.c, policy_visit.c and policy_failures.c: the hooks of a chain of Lua policies as
 * struct peri_policy_ops names them. */
#ifndef PERI_SCRIPT_POLICY_POLICY_PARTS_H
#define PERI_SCRIPT_POLICY_POLICY_PARTS_H

#include "router/worker.h"
#include "script/bind/bind_request.h"
#include "script/policy/policy_lua.h"

/* policy_lua.c: links whose standing has changed get the text that is current now. From the loop only. */
void peri_policy_settle_changed(struct peri_policy_lua *set);
static inline void peri_policy_settle(struct peri_policy_lua *set) {
    if (atomic_load_explicit(&set->home->falls, memory_order_relaxed) != set->falls_seen)
        peri_policy_settle_changed(set);
}

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

/* policy_spending.c: CPU time of one policy over many entries. */
/* What an entry may use beside options.load for the request's body and so many bytes more. */
uint32_t peri_policy_more_ms(const struct peri_policy_lua *set, const struct peri_lua_request *r,
                             size_t bytes);
/* It has used up the budget of this request or of this second. */
bool peri_policy_is_out(const struct peri_policy_lua *set, size_t link,
                        const struct peri_lua_request *r);
/* A hook has run for so long. What is too much is said once, and fails that hook for this request; it makes no row of
 * failures, since the hook has returned.
 *   r       NULL: of no request, so the second alone is bounded
 *   gives   false when the request may not go on without that policy */
bool peri_policy_spend(struct peri_policy_lua *set, size_t link, enum peri_hook hook,
                       struct peri_lua_request *r, uint64_t spent_ns);
/* The same for the hook of the chain's coroutine that runs, by what this entry has used since the last call. */
bool peri_policy_spend_entry(struct peri_lua_request *r);
/* The next hook of the chain's coroutine in the same entry, r->link's, has a budget of its own. */
void peri_policy_next_budget(struct peri_lua_request *r, lua_State *L);
/* For struct peri_state_options. */
struct peri_allowance peri_policy_allow(void *host, void *arg);
void peri_policy_settle_entry(void *host, void *arg, uint64_t spent_ns);

/* policy_failures.c: what a hook that failed means. */
extern const char *const peri_hook_names[PERI_HOOK_COUNT];

struct peri_policy_mark peri_policy_mark(const struct peri_lua_request *r);
/* Take back what a hook made of the request since; answers that it tried for and nobody decided on are let go. */
void peri_policy_rollback(struct peri_lua_request *r, const struct peri_policy_mark *mark);

/* The message handler of every hook's call, set->on_error: keeps in set->place where the error was raised. */
int peri_policy_keep_place(lua_State *L);
/* One hook returned. */
static inline void peri_policy_worked(struct peri_policy_lua *set, size_t link,
                                      enum peri_hook hook) {
    const struct peri_link *l = &set->links[link];
    peri_policy_standing_worked(l->standing, hook, l->state);
}
/* A hook of a guard that is out: q->guard names it. */
void peri_policy_refuse(const struct peri_link *link, struct peri_request *q);
/* A standing has changed: once, at error level.
 *   hook   which failed last; PERI_HOOK_COUNT: the text could not be loaded */
void peri_policy_say_fall(struct peri_policy_lua *set, const struct peri_link *link,
                          enum peri_hook hook, const struct peri_fault *fault);
/* One hook failed: reported, and counted, unless it waited and its text is not the current one any more. The first
 * line of a hook says it in full; then one a second does, and up to eight that say something else, with the number of
 * those that were held back since.
 *   q       whose hook it was; NULL: no request's
 *   gives   false when the request may not go on without that policy: q->guard names it */
bool peri_policy_failed(struct peri_policy_lua *set, size_t link, enum peri_hook hook,
                        struct peri_request *q, const struct peri_fault *fault);
/* What calls the hooks failed (memory ran out): nobody knows whose did not run.
 *   gives   as peri_policy_failed, for all of them */
bool peri_policy_failed_all(struct peri_policy_lua *set, enum peri_hook hook,
                            struct peri_request *q, const struct peri_fault *fault);
/* After a hook: when it used the budget up, the rest of this entry has one of its own.
 *   gives   whether it has */
bool peri_policy_renew_budget(struct peri_policy_lua *set, lua_State *L);

#endif
