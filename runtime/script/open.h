/* The module table: what `require "perilune"` gives, in a policy and in an interpreter.
 *
 * A binding is one file, bind_<name>.c, with one function that builds its part. To add one: declare its
 * function here, give it a line in the table of open.c, describe it in lua/perilune/_meta/, and mention it in
 * a spec (spec/architecture_spec.lua asks for both).
 */
#ifndef PERI_SCRIPT_OPEN_H
#define PERI_SCRIPT_OPEN_H

#include "script/state/state.h"

/* Who gets a library: policies, which decide; trusted scripts, which may also listen, dial and start tasks. */
enum { PERI_LIB_POLICY = 1, PERI_LIB_TRUSTED = 2, PERI_LIB_BOTH = 3 };

struct peri_lib {
    /* The member of the module table; NULL: `open` finds the module table on the top and adds to it. */
    const char *name;
    /* Pushes the member's value. The state is upvalue 1 of what peri_state_set_functions registers. */
    PERI_RAISES void (*open)(lua_State *L, struct peri_state *s);
    int where;
};

/* Push the module table for one kind of state. In a sandbox its parts are frozen. */
PERI_RAISES void peri_open_module(lua_State *L, struct peri_state *s, int where);

/* `require "perilune"` in an interpreter. */
PERI_API int luaopen_perilune(lua_State *L);

/* An attached state's interpreter closes: whatever its tasks wait for is cancelled. */
void peri_open_detach(struct peri_state *s);

/* The bindings. */
PERI_RAISES void peri_bind_base_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_bind_hash_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_bind_log_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_bind_sandbox_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_bind_shared_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_bind_policy_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_bind_testbed_open(lua_State *L, struct peri_state *s);
/* Into the table on the top. */
PERI_RAISES void peri_bind_isolate_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_bind_run_open(lua_State *L, struct peri_state *s);

#endif
