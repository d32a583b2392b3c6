/* What one entry into Lua may use: steps and CPU time, counted so that no script outlasts them.
 *
 * A count hook slows every Lua instruction by half, so normally there is none. A one-shot timer, delivered
 * as a signal to the very thread that runs Lua, looks at the time: when the CPU time of an entry is used up, it hooks
 * the running thread of Lua so that the next instruction raises, however slow instructions are. Only an entry with a
 * limit of steps that overruns its first slice is counted by a hook of PERI_BUDGET_HOOK_STEPS; a hook that is set is
 * never set again, as that would start its count anew. One timer serves many entries: it is armed by the first and
 * looks, when it fires, whether the entry of that moment is long; a quiet state has none. So an entry costs one clock
 * reading and a busy thread one timer in two milliseconds.
 *
 * The time is the thread's CPU time: a thread that waits for a core spends none. Reading it is a system call, so an
 * entry is first measured on the monotonic clock, which is never behind, and counts as a whole slice once it has
 * overrun one; from there on the CPU time is read.
 *
 * A budget that is used up stays used up until the entry is left: the hook then fires at every instruction, the timer
 * sets it again each slice, and what protects calls (pcall, xpcall, coroutine.*) asks peri_budget_check afterwards,
 * which raises again. C loops charge what they do with peri_budget_charge in pieces of at most a millisecond, since no
 * hook sees into C.
 *
 * What neither sees is one instruction of Lua's own on long texts, and one look of C at a long text that is not made in
 * pieces. The memory cap bounds both, and the entry ends at the next instruction. Measured with 64 MiB, so with texts of
 * 30 MiB (November 2026): `==` 3 ms, `<` 5 ms, but 260 ms for texts of NULs alone, which the C library compares one by
 * one; joining 40 ms; a text as a number 23 ms, 38 ms when it is hexadecimal or blank. A document's text after edits is
 * written in 7 ms a MiB, one of its strings read in 4 ms a MiB. Nothing hooks `<`, and no rule for what is made would keep
 * texts of NULs out, as concatenation has none either; a client's body of 10 MiB of \u0000 is one text of 1.7 MiB, which is
 * compared in 14 ms. (Reading a document asks on the way: base/json.h.)
 *
 * Where there is no timer to be had, and under a thread sanitizer, which holds signals back, the hook counts from the
 * start and reads the clock.
 */
#ifndef PERI_SCRIPT_STATE_BUDGET_H
#define PERI_SCRIPT_STATE_BUDGET_H

#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "perilune.h"

/* Marks what may raise a Lua error: to be called only from inside a protected call. */
#define PERI_RAISES

/* What starting or resuming a coroutine is charged. */
#define PERI_BUDGET_SWITCH_STEPS 64
/* Time an entry runs before its CPU time is read and its instructions are counted. */
#define PERI_BUDGET_SLICE_NS 2000000u
/* Instructions between two looks of a counting hook. */
#define PERI_BUDGET_HOOK_STEPS 1000
/* Bytes of "file:line". */
#define PERI_BUDGET_WHERE_MAX 256
/* Failures for want of memory that one entry may catch. */
#define PERI_BUDGET_MEMORY_ERRORS 3

struct peri_budget_limits {
    /* Lua instructions and units of work in C; 0: no limit. Instructions of the first slice are not counted
     * unless is_counted. */
    uint64_t steps;
    uint32_t cpu_ms; /* of CPU time inside Lua, per entry; 0: no limit */
    bool is_counted; /* the hook is set from the start: slower, and the same on every run */
};

enum peri_budget_end { PERI_BUDGET_LEFT, PERI_BUDGET_STEPS, PERI_BUDGET_CPU, PERI_BUDGET_MEMORY };

struct peri_budget {
    struct peri_budget_limits limits;
    uint64_t steps_left, unchecked; /* `unchecked`: steps since the clock was last read */
    unsigned memory_errors;
    char where[PERI_BUDGET_WHERE_MAX]; /* "file:line" at which it was used up; "": not known */
    bool has_timer;
    timer_t timer;
    pid_t owner;              /* the thread that the timer signals */
    pthread_t _Atomic thread; /* the same as pthreads know it: cheap to compare at each entry */
    /* Shared with the signal handler, which runs on the same thread. */
    lua_State *_Atomic running;          /* NULL outside Lua */
    _Atomic uint64_t began_ns, armed_ns; /* monotonic */
    _Atomic uint64_t base_ns; /* the CPU time at which this entry began; 0: not read yet */
    _Atomic bool is_armed;
    _Atomic bool is_counting; /* a hook counts the instructions of this entry */
    _Atomic int end;          /* enum peri_budget_end */
};

/* In place. With neither limit a budget does nothing and costs nothing. */
void peri_budget_init(struct peri_budget *b, struct peri_budget_limits limits);
/* Once per Lua state, protected: lets the hook find its budget. */
PERI_RAISES void peri_budget_attach(struct peri_budget *b, lua_State *L);
/* On the thread that entered last, or when that thread has ended. */
void peri_budget_done(struct peri_budget *b);

/* Around every entry into Lua from outside: L is the thread of Lua that is to run. */
void peri_budget_enter(struct peri_budget *b, lua_State *L);
void peri_budget_leave(struct peri_budget *b);
/* The next of several hooks in one entry: it has all of the budget, whatever the ones before have used.
 *   spent_ns   what peri_budget_spent_ns has just said */
void peri_budget_renew(struct peri_budget *b, lua_State *L, uint64_t spent_ns);
/* One entry's budget, while another one runs in the midst of it. */
struct peri_budget_pause {
    struct peri_budget_limits limits;
    uint64_t steps_left, spent_ns;
    unsigned memory_errors;
    enum peri_budget_end end;
    bool is_counting;
};
/* What C calls in the midst of an entry has a budget of its own: pause, set b->limits, enter, leave, and resume what was
 * paused, which has then what it had left. Both on the same thread, from inside the entry.
 *   L   the thread of Lua that goes on */
struct peri_budget_pause peri_budget_pause(struct peri_budget *b);
void peri_budget_resume(struct peri_budget *b, lua_State *L,
                        const struct peri_budget_pause *paused);
/* CPU time that the entry has used so far; it never goes back. Within the first slice it is what the monotonic clock
 * says, at least as much, unless the limit itself is no longer than that. */
uint64_t peri_budget_spent_ns(struct peri_budget *b);
/* Another thread of Lua runs from now on (a coroutine is resumed or has come back). Who does that for a script charges
 * PERI_BUDGET_SWITCH_STEPS, as a coroutine that is short has hardly an instruction to be counted.
 *   gives   the one that ran before: switch back to it afterwards */
lua_State *peri_budget_switch(struct peri_budget *b, lua_State *co);

/* The entry that has just begun has no time at all: its first instruction in Lua raises. */
void peri_budget_expire(struct peri_budget *b);

static inline enum peri_budget_end peri_budget_end(const struct peri_budget *b) {
    return (enum peri_budget_end)atomic_load_explicit(&b->end, memory_order_relaxed);
}

/* Take `steps` off the budget: about one for what one Lua instruction does. A loop in C calls it at least once a
 * millisecond. */
PERI_RAISES void peri_budget_charge(struct peri_budget *b, lua_State *L, uint64_t steps);
/* The same where nothing may be raised: after false the caller cleans up, and charges 0 to raise. */
bool peri_budget_take(struct peri_budget *b, uint64_t steps);
/* After any protected call made for a script, with its status: raises again when the budget is used up. */
PERI_RAISES void peri_budget_check(struct peri_budget *b, lua_State *L, int status);
/* Keep in b->where at which line L stands, unless a place is kept already. */
void peri_budget_note_place(struct peri_budget *b, lua_State *L);

#endif
