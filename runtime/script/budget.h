/* What one entry into Lua may use: steps and wall time, counted so that no script outlasts them.
 *
 * A count hook slows every Lua instruction by half, so normally there is none. A one-shot timer, delivered
 * as a signal to the very thread that runs Lua, finds out that an entry has overrun its first slice; from then
 * on the hook counts. One timer serves many entries: it is armed by the first and looks, when it fires,
 * whether the entry of that moment is long; a quiet state has none. So an entry costs two clock readings and a
 * busy thread one timer in two milliseconds.
 *
 * A budget that is used up stays used up until the entry is left: the hook then fires at every instruction,
 * and what protects calls (pcall, xpcall, coroutine.*) asks peri_budget_check afterwards, which raises again.
 * C loops charge what they do with peri_budget_charge, since no hook sees into C.
 */
#ifndef PERI_SCRIPT_BUDGET_H
#define PERI_SCRIPT_BUDGET_H

#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "perilune.h"

/* Marks what may raise a Lua error: to be called only from inside a protected call. */
#define PERI_RAISES

/* Time an entry runs before its instructions are counted. */
#define PERI_BUDGET_SLICE_NS 2000000u
/* Failures for want of memory that one entry may catch. */
#define PERI_BUDGET_MEMORY_ERRORS 3

struct peri_budget_limits {
    /* Lua instructions and units of work in C; 0: no limit. Instructions of the first slice are not counted
     * unless is_counted. */
    uint64_t steps;
    uint32_t wall_ms; /* inside Lua, per entry; 0: no limit */
    bool is_counted;  /* the hook is set from the start: slower, and the same on every run */
};

enum peri_budget_end { PERI_BUDGET_LEFT, PERI_BUDGET_STEPS, PERI_BUDGET_WALL, PERI_BUDGET_MEMORY };

struct peri_budget {
    struct peri_budget_limits limits;
    uint64_t steps_left, unchecked; /* `unchecked`: steps since the clock was last read */
    unsigned memory_errors;
    bool has_timer;
    timer_t timer;
    pid_t owner;              /* the thread that the timer signals */
    pthread_t _Atomic thread; /* the same as pthreads know it: cheap to compare at each entry */
    /* Shared with the signal handler, which runs on the same thread. */
    lua_State *_Atomic running; /* NULL outside Lua */
    _Atomic uint64_t began_ns, armed_ns;
    _Atomic bool is_armed, is_hooked;
    _Atomic int end; /* enum peri_budget_end */
};

/* In place. With neither limit a budget does nothing and costs nothing. */
void peri_budget_init(struct peri_budget *b, struct peri_budget_limits limits);
/* Once per Lua state, protected: lets the hook find its budget. */
PERI_RAISES void peri_budget_anchor(struct peri_budget *b, lua_State *L);
/* On the thread that entered last, or when that thread has ended. */
void peri_budget_done(struct peri_budget *b);

/* Around every entry into Lua from outside: L is the thread of Lua that is to run. */
void peri_budget_enter(struct peri_budget *b, lua_State *L);
void peri_budget_leave(struct peri_budget *b);
/* Another thread of Lua runs from now on (a coroutine is resumed or has come back).
 *   gives   the one that ran before: switch back to it afterwards */
lua_State *peri_budget_switch(struct peri_budget *b, lua_State *co);

static inline enum peri_budget_end peri_budget_end(const struct peri_budget *b) {
    return (enum peri_budget_end)atomic_load_explicit(&b->end, memory_order_relaxed);
}

/* Take `steps` off the budget: about one for what one Lua instruction does. Reads the clock now and then. */
PERI_RAISES void peri_budget_charge(struct peri_budget *b, lua_State *L, uint64_t steps);
/* After any protected call made for a script, with its status: raises again when the budget is used up. */
PERI_RAISES void peri_budget_check(struct peri_budget *b, lua_State *L, int status);

#endif
