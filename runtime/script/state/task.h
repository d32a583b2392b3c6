/* One piece of Lua that may wait: a function run in a coroutine of its own, under the state's budget.
 *
 * A task runs as soon as it is started and either ends at once or waits. A function called by Lua that waits
 * does three things: take the task, start the work, yield.
 *
 *     static int sleep_ms(lua_State *L) {
 *         struct peri_task *t = peri_task_of(L);            raises where waiting is impossible
 *         … check the arguments, start the work with t …
 *         return peri_task_wait(L, t, on_cancel, work, sleep_done);
 *     }
 *
 * When the work has completed, its callback, run by the loop, calls peri_task_resume(t), and the continuation
 * (`sleep_done`, inside the coroutine, free to raise) builds the results from `work`. If the task is
 * cancelled instead, on_cancel(work) stops the work, so that it never completes, and frees it.
 *
 * A task that waits ends exactly once: by `done`, or by peri_task_cancel and then without `done`.
 *
 * A script can get hold of the coroutine it runs in (coroutine.running). Only the loop resumes it: what resumes or
 * closes coroutines for scripts asks peri_task_owns first and refuses. When the task is over, a coroutine that was
 * given out is dead for good.
 */
#ifndef PERI_SCRIPT_STATE_TASK_H
#define PERI_SCRIPT_STATE_TASK_H

#include "script/state/state.h"

#define PERI_TASK_POOL_MAX 64 /* coroutines kept for the next tasks; one holds about 1 KB */

enum peri_task_status { PERI_TASK_DONE, PERI_TASK_FAILED, PERI_TASK_WAITING };

struct peri_task_ops {
    /* Inside the coroutine: push a function and its arguments, and nothing below them. gives the number of arguments */
    PERI_RAISES int (*push)(lua_State *L, void *arg);
    /* Inside the coroutine: the function returned and its results are 1 … count of the stack. To raise here
     * fails the task. NULL: results do not matter. */
    PERI_RAISES void (*take)(lua_State *L, int count, void *arg);
    /* From the loop, once, and only for a task that peri_task_start left waiting: it is over and its memory
     * is gone. err PERI_OK: `take` was called. Otherwise `fault` says why, good until this returns. */
    void (*done)(void *arg, enum peri_err err, const struct peri_fault *fault);
};

/* Run a function until it returns, fails or waits. Not while Lua runs in this state.
 *   out     the waiting task, yours to cancel until `done`; NULL unless it waits
 *   ops     borrowed until the task is over
 *   fault   for FAILED: PERI_EPOLICY, PERI_EBUDGET or PERI_ENOMEM and a sentence; may be NULL
 *   gives   DONE results are taken · FAILED · WAITING `done` follows */
enum peri_task_status peri_task_start(struct peri_task **out, struct peri_state *s,
                                      const struct peri_task_ops *ops, void *arg,
                                      struct peri_fault *fault);
/* End a waiting task now, from the loop or from another task: what it waits for is cancelled, `done` is not called. */
void peri_task_cancel(struct peri_task *t);
/* What it waited for is there: go on. From the loop only, once per peri_task_wait. It may be over, and `done`
 * called, when this returns. */
void peri_task_resume(struct peri_task *t);

/* The task that runs the calling function. Raises where it cannot wait: outside a task, in a coroutine that
 * the script made, and below a C function that does not yield (table.sort, string.gsub). */
PERI_RAISES struct peri_task *peri_task_of(lua_State *L);
/* Yield: the last thing a waiting function does, `return peri_task_wait(…)`.
 *   cancel  called with `work` if the task is cancelled before it is resumed; then `next` never runs
 *   next    continuation: gets `work` as its context; the function's arguments are still on the stack */
PERI_RAISES int peri_task_wait(lua_State *L, struct peri_task *t, void (*cancel)(void *work),
                               void *work, lua_KFunction next);

/* Is `co` resumed by the runtime alone: a task's coroutine, or the state's own thread? Pushes and leaves nothing. */
bool peri_task_owns(lua_State *L, struct peri_state *s, lua_State *co);
/* What scripts are told then. */
#define PERI_TASK_OWNED_TEXT "this coroutine belongs to a request: only the router resumes it"
/* A script gets the coroutine of this task: it is not used for another one afterwards. */
void peri_task_give_out(struct peri_task *t);

/* The limits of the entry that runs, asked of the owner again (options.allow): they count from the next time that the
 * budget is entered.
 *   gives   false when nothing is left: an entry is not to begin */
bool peri_task_allow(struct peri_state *s, void *arg);

/* Its coroutine. */
lua_State *peri_task_thread(const struct peri_task *t);
/* The owner's argument, as given to peri_task_start: for bindings that belong to that owner. */
void *peri_task_arg(const struct peri_task *t);
/* Which owner: compare with its own table before trusting peri_task_arg. */
const struct peri_task_ops *peri_task_ops(const struct peri_task *t);
/* Cancel every task that waits in the state. */
void peri_state_cancel_all(struct peri_state *s);

#endif
