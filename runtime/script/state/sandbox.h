/* What a policy can reach: an exact list of names, all of them frozen.
 *
 *   globals     _G _VERSION assert error getmetatable ipairs next pairs pcall print rawequal rawget rawlen
 *               require select setmetatable tonumber tostring type xpcall
 *   coroutine   create isyieldable resume running status wrap yield
 *   math        all but randomseed
 *   os          clock date difftime time
 *   string      byte char find format gmatch gsub len lower match rep reverse sub upper
 *   table       concat insert move pack remove sort unpack
 *   utf8        all
 *
 * Nothing of it can be changed: libraries, globals and modules are read through views (script/state/frozen.h), and rawset is
 * not offered. Scripts get no finalisers, closers or weak tables, no byte code, no debug library,
 * no files. A metatable's __call is a function and there before setmetatable; what is written to such a metatable
 * afterwards reaches only the values that are given it later. C loops (patterns, sort, concat, …) charge the budget.
 */
#ifndef PERI_SCRIPT_STATE_SANDBOX_H
#define PERI_SCRIPT_STATE_SANDBOX_H

#include "script/state/state.h"

/* Fill a fresh state. */
PERI_RAISES void peri_sandbox_open(lua_State *L, struct peri_state *s);

/* Parts of the sandbox, each adding functions to the table on the top. */
PERI_RAISES void peri_strings_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_utf8s_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_tables_open(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_guard_open(lua_State *L, struct peri_state *s);      /* pcall … */
PERI_RAISES void peri_metatables_open(lua_State *L, struct peri_state *s); /* setmetatable … */
PERI_RAISES void peri_guard_open_coroutine(lua_State *L, struct peri_state *s);
/* Into the globals of a trusted script: its resume and close leave the runtime's coroutines alone. */
PERI_RAISES void peri_guard_open_trusted(lua_State *L, struct peri_state *s);
PERI_RAISES void peri_require_open(lua_State *L, struct peri_state *s);

/* Push the globals of policies that stand in a folder: as any, but their `require` looks there first, and so does that
 * of the modules it finds there. The same table each time. */
PERI_RAISES void peri_require_push_globals(lua_State *L, struct peri_state *s, const char *folder);

#endif
