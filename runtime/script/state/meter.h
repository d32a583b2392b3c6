/* What each hook of each policy costs, for a sample run (script/policy/sample.h): calls, CPU time and memory. A state has a meter
 * or, in service, none.
 */
#ifndef PERI_SCRIPT_STATE_METER_H
#define PERI_SCRIPT_STATE_METER_H

#include "script/state/state.h"

#define PERI_METER_ROWS 448 /* 64 policies with 7 hooks */

struct peri_meter_row {
    char policy[160]; /* its file */
    const char *hook;
    unsigned calls;
    uint64_t cpu_ns; /* without what ran while it waited, and without hooks that ran inside it */
    size_t bytes;    /* that Lua took for it, garbage too */
};

struct peri_meter {
    struct peri_meter_row rows[PERI_METER_ROWS];
    size_t count;
    uint64_t ran_ns,
        began_ns; /* the task that runs: its turns before this one, and when this one began */
    bool is_in_task;
    uint64_t
        inner_ns; /* of the hooks that have ended: those that began meanwhile stood inside another */
    size_t inner_bytes;
};

/* Around every turn of a task. */
void peri_meter_enter(struct peri_meter *m);
void peri_meter_leave(struct peri_meter *m);
/* Replace the hook on the top by one that is measured. The collector stops, so that memory shows. */
PERI_RAISES void peri_meter_wrap(lua_State *L, struct peri_state *s, const char *policy,
                                 const char *hook);

#endif
