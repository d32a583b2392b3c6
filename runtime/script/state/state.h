/* One Lua state and what its C functions reach through it: the loop, the log, the clock, the host.
 *
 * A state belongs to one thread at a time. There are three ways to have one: a sandboxed state for policies
 * (script/state/sandbox.h says what is in it), a trusted state with all of Lua for tools and simulations, and a
 * state attached to an interpreter that somebody else started (`require "perilune"` in lua5.4).
 *
 * A C function for Lua finds its state with peri_state_of(L): it is upvalue 1 of every function registered
 * with peri_state_set_functions.
 */
#ifndef PERI_SCRIPT_STATE_STATE_H
#define PERI_SCRIPT_STATE_STATE_H

#include <lauxlib.h>
#include <lua.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/rand.h"
#include "net/loop.h"
#include "script/state/budget.h"

#define PERI_SOURCE_MAX 262144 /* bytes of one Lua file: the parser is not to be fed more */

struct peri_task;
struct peri_shared;
struct peri_meter;

enum peri_fetch_right { PERI_FETCH_PUBLIC, PERI_FETCH_NOWHERE, PERI_FETCH_ANYWHERE };

/* What the owner of a state gives one entry by a task. */
struct peri_allowance {
    uint32_t more_ms; /* beside options.entry: for what it has to look at */
    uint32_t
        left_ms; /* of what all entries together may use; they end there although the entry has more */
};

struct peri_state_options {
    bool is_trusted;                 /* all of Lua and of ours, no budget unless one is given */
    size_t heap_max;                 /* bytes Lua may hold; 0: no cap */
    struct peri_budget_limits entry; /* for each entry by a task */
    struct peri_budget_limits load;  /* for each peri_state_call and peri_state_load */
    /* Before and after each entry by a task, with the task's argument; NULL: options.entry for each. */
    struct peri_allowance (*allow)(void *host, void *arg);
    void (*settle)(void *host, void *arg, uint64_t spent_ns);
    struct peri_loop *loop;         /* all borrowed for the life of the state; any may be NULL, */
    struct peri_log *log;           /*   and what needs it then raises */
    const struct peri_clock *clock; /* NULL: peri_clock_real */
    struct peri_shared *shared;
    void *host;                /* anything of the owner's, for its own bindings */
    const char *const *search; /* directories `require` looks in, ended by NULL; may be NULL */
    struct peri_meter *meter;  /* of hooks; NULL: nothing is measured */
    uint64_t seed;             /* of random numbers; 0: from the operating system */
    /* Where this sandboxed state's peri.http.fetch may connect to; NULL: PERI_FETCH_PUBLIC for every host. */
    enum peri_fetch_right (*fetch_right)(void *host, struct peri_str url_host, unsigned port);
    /* Leads what it fetches elsewhere, in a simulation (net/client/client.h). NULL: nothing is. */
    int (*dial)(void *arg, struct sockaddr *address, socklen_t *length);
    void *dial_arg;
};

struct peri_state {
    lua_State *L; /* used by us alone: no script runs on it except while loading */
    struct peri_state_options options;
    struct peri_loop *loop;
    struct peri_log *log;
    const struct peri_clock *clock;
    struct peri_shared *shared;
    unsigned
        share; /* of `shared`, that what the running script stores counts to; a task keeps its own while it waits */
    void *host;
    const char **search; /* what options.search points to */
    struct peri_rand rand;
    struct peri_budget budget;
    struct peri_task *task; /* the one that runs at this moment, NULL between entries */
    struct peri_list waiting, idle, spawned; /* spawned: by peri.spawn, not yet accounted for */
    size_t waiting_count, idle_count;
    size_t heap_used, heap_peak;
    size_t
        native_used; /* bytes outside Lua's heap that requests hold for its scripts: bind_request.c */
    uint32_t more_ms; /* for the next peri_state_call, beside options.load; then 0 again */
    bool
        is_last_entry; /* this one had less than an entry has, as little was left for all of them */
    bool is_tending;
    bool is_over_cap; /* an allocation of this entry was refused by the cap, not by the machine */
    bool is_attached, is_running; /* is_running: peri.run turns the loop */
    char trace[2048];             /* where the last failed task stood: for the log only */
};

/* gives PERI_OK · PERI_ENOMEM (also when the cap is too small for the libraries) */
PERI_MUST_USE enum peri_err peri_state_new(struct peri_state **out,
                                           const struct peri_state_options *options);
/* Tasks that wait in it are cancelled. Takes NULL. */
void peri_state_free(struct peri_state *s);

/* The state of the interpreter that calls; made on the first call, gone with the interpreter. Pushes
 * nothing. The loop is made when first asked for with peri_state_loop. */
PERI_RAISES struct peri_state *peri_state_attach(lua_State *L);

/* The state of the C function that is running: its upvalue 1. */
static inline struct peri_state *peri_state_of(lua_State *L) {
    return lua_touserdata(L, lua_upvalueindex(1));
}
/* Its loop; raises when there is none. An attached state makes its own. */
PERI_RAISES struct peri_loop *peri_state_loop(lua_State *L, struct peri_state *s);
/* Push what upvalue 1 of a C function has to be. */
void peri_state_push(lua_State *L, struct peri_state *s);
/* luaL_setfuncs into the table on the top, with the state as upvalue 1. */
PERI_RAISES void peri_state_set_functions(lua_State *L, struct peri_state *s,
                                          const luaL_Reg *functions);
/* `nil, sentence, name`: how a C function of ours answers that the world failed. Gives 3. */
PERI_RAISES int peri_push_failure(lua_State *L, enum peri_err err);
/* The same with a sentence of its own. */
PERI_RAISES int peri_push_fault(lua_State *L, enum peri_err err, const char *text);

/* Enter Lua from outside, protected and under the load budget; not while Lua runs. `run` may raise; it finds
 * `arg` as a light userdata at index 1 and leaves nothing behind.
 *   gives   PERI_OK · PERI_EPOLICY, PERI_EBUDGET, PERI_ENOMEM: `fault` says why */
PERI_MUST_USE enum peri_err peri_state_call(struct peri_state *s, lua_CFunction run, void *arg,
                                            struct peri_fault *fault);

/* Enter for our own housekeeping, which runs no script: beyond the memory cap and without a budget, so that a
 * script that filled its heap cannot stand in its way. Also while Lua runs.
 *   gives   PERI_OK · PERI_ENOMEM the machine has none · PERI_EPOLICY `run` raised */
PERI_MUST_USE enum peri_err peri_state_tend(struct peri_state *s, lua_CFunction run, void *arg);

/* Compile a text chunk and run it with the state's globals; keep its first result.
 *   ref     where the result is in the registry: release with luaL_unref
 *   name    a file's path, for messages: "policies/steady.lua"
 *   gives   as peri_state_call; PERI_ETOOBIG beyond PERI_SOURCE_MAX */
PERI_MUST_USE enum peri_err peri_state_load(struct peri_state *s, int *ref, const char *name,
                                            struct peri_str source, struct peri_fault *fault);
/* The same for a policy in a folder: its `require` looks there first. */
PERI_MUST_USE enum peri_err peri_state_load_in(struct peri_state *s, int *ref, const char *folder,
                                               const char *name, struct peri_str source,
                                               struct peri_fault *fault);

/* Inside Lua: compile a text chunk and push it as a function. In a sandbox its globals are the frozen ones.
 * Raises what is wrong with it as "path:line: …". */
PERI_RAISES void peri_push_chunk(lua_State *L, const char *path, struct peri_str source);
/* Inside Lua: the same from a file.
 *   gives   PERI_OK, pushed · PERI_ENOTFOUND, PERI_EIO, PERI_ETOOBIG: nothing pushed */
PERI_RAISES enum peri_err peri_push_file(lua_State *L, const char *path);

/* What an entry may use with `more_ms` beside its limits: its steps grow alike. */
struct peri_budget_limits peri_state_limits(struct peri_budget_limits limits, uint32_t more_ms);

/* For task.c: what stopped the entry on `co`, with the error value on its top; status is Lua's. */
enum peri_err peri_state_explain(struct peri_state *s, lua_State *co, int status,
                                 struct peri_fault *fault);

#endif
