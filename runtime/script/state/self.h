/* The object that a method is called on. Forgetting the colon is the commonest mistake there is, so it is said as that. */
#ifndef PERI_SCRIPT_STATE_SELF_H
#define PERI_SCRIPT_STATE_SELF_H

#include "script/state/state.h"

/* Argument 1 as luaL_checkudata gives it; raises "'try' is called as req:try(…), with a colon: got string in its place".
 *   variable  what scripts call such an object: "req" */
PERI_RAISES void *peri_check_self(lua_State *L, const char *type, const char *variable);
/* A __newindex: members of the object can not be set. Upvalues: the state, "an event", and what to do instead. */
PERI_RAISES int peri_refuse_member(lua_State *L);

#endif
