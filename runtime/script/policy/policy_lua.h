/* Lua policies: one sandboxed state a worker and generation, holding the chain of configured policies. Implements
 * struct peri_policy_ops with coroutines.
 *
 * Order: every policy's `request` hook in the order configured; then `route` hooks until one returns an answer; then,
 * if none did, the built-in route. `attempt`, `event`, `answer` and `done` run through all of the chain.
 *
 * Each hook is protected alone, and has a budget of its own, also an `attempt` hook that a `req:try` calls. When one
 * fails or overruns its budget, what it changed in that call is taken back (edits of documents, headers, a reply, a
 * refusal, what it made of an event), what the others changed stays, and the chain goes on. The failure is logged with policy, hook, file and line, and the request is marked policy_error. A policy that says
 * `on_failure = "refuse"` ends the request instead: 500 `policy_failed`, or an error frame behind the commit point. Only
 * what hooks did outside of the request (peri.shared, log lines, requests of their own) is done.
 *
 * The line is "policy failed": policy, hook, at (file:line), error (EPOLICY, EBUDGET, ENOMEM), detail, generation of the
 * text that failed, request_id, and held_back when lines of this hook were left out since the last. Without a policy the
 * hooks could not be called at all. The request's own line has policy_error, but not for `done`, which it is written before.
 *
 * A policy that fails five times in a row and has not worked before (script/policy/policy_standing.h) goes back to its last
 * text that worked; without one it is left out, or, with "refuse", nothing goes on until its file changes. Every worker loads
 * that text into its state before the next hook it calls from the loop. Modules that it requires are those of the set.
 * An edit of req.body that an `attempt` hook makes while a `route` waits for its `req:try` belongs to that route's call.
 *
 * A policy may name the networks it is for (`policy.networks`). Then Lua is not even entered for the attempts, events
 * and answers of other providers.
 */
#ifndef PERI_SCRIPT_POLICY_POLICY_LUA_H
#define PERI_SCRIPT_POLICY_POLICY_LUA_H

#include "request/policy.h"
#include "router/language.h"
#include "router/runtime.h"
#include "script/policy/policy_program.h"
#include "script/state/state.h"

/* What was written of one hook's failures: see peri_policy_failed. */
struct peri_policy_said {
    uint64_t since_ms; /* of this second's first line; 0: none was written yet */
    uint64_t hash;     /* of the newest line's text */
    unsigned lines, held;
};

/* One policy of the chain. */
struct peri_link {
    unsigned share;             /* of peri.shared: what it stores counts to it */
    struct peri_str name;       /* the policy's own, or its file's */
    int hooks[PERI_HOOK_COUNT]; /* registry references; LUA_NOREF: absent */
    int lines[PERI_HOOK_COUNT]; /* where each begins */
    struct peri_str file;       /* as configured */
    struct peri_str *networks;  /* whose attempts, events and answers it asks for */
    size_t network_count;       /* 0: those of every provider */
    bool is_guard;              /* on_failure = "refuse": nothing goes on without it */
    bool is_closed;             /* a guard that is out: what comes to it is refused */
    int table;                  /* registry reference of what the file returned */
    struct peri_policy_standing *standing;
    enum peri_policy_state state; /* of the standing, when this was loaded */
    uint64_t generation;          /* of the text that runs */
    struct peri_policy_said said[PERI_HOOK_COUNT];
    bool has_told[PERI_ON_ROUTE + 1];    /* that its hook threw an answer away */
    uint64_t second_ns, second_spent_ns; /* CPU time in the second that began then */
    uint64_t out_until_ns;               /* it used up that second's budget; 0: never */
};

/* All links after the 63rd share one bit: they are asked once too often rather than not at all. */
static inline uint64_t peri_link_bit(size_t link) { return UINT64_C(1) << (link < 63 ? link : 63); }

/* What entries may use altogether, from the configuration. */
struct peri_policy_limits {
    uint64_t entry_ms, mib_ms, request_ms, second_ms;
};

struct peri_policy_lua {
    struct peri_policy policy;  /* ops, counting */
    struct peri_policy_ops ops; /* only the hooks that some policy of the chain has */
    struct peri_worker *worker;
    struct peri_state *state;
    struct peri_arena arena;
    struct peri_link *links;
    size_t count;
    struct peri_policy_home *home;
    unsigned falls_seen;            /* of home->falls, when the links were looked at last */
    const struct peri_link *closed; /* a guard that is out and asks for every request; NULL: none */
    struct peri_policy_limits spending;
    int on_error;    /* registry reference of the message handler */
    char place[256]; /* "file:line" of the newest error that it saw; "": none */
    lua_State *
        hooking; /* where `attempt` hooks run when a `req:try` starts the attempt; NULL otherwise */
};

/* The source that a runtime loads its policies from. */
struct peri_policy_source peri_policy_lua_source(struct peri_policy_home *home);

#endif
