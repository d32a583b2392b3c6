/* Strings of Lua as views, which are good while they stand on the stack. */
#ifndef PERI_SCRIPT_STATE_LUA_STR_H
#define PERI_SCRIPT_STATE_LUA_STR_H

#include "script/state/state.h"

/* An argument; raises for one that is neither a string nor a number, which becomes its text. */
PERI_RAISES static inline struct peri_str peri_check_str(lua_State *L, int arg) {
    struct peri_str s;
    s.p = luaL_checklstring(L, arg, &s.n);
    return s;
}

/* A value; p NULL when it is neither a string nor a number, which becomes its text. */
PERI_RAISES static inline struct peri_str peri_to_str(lua_State *L, int index) {
    struct peri_str s;
    s.p = lua_tolstring(L, index, &s.n);
    return s;
}

/* gives 1, the number of values pushed; a view of nothing is the empty string */
PERI_RAISES static inline int peri_push_str(lua_State *L, struct peri_str s) {
    lua_pushlstring(L, s.n == 0 ? "" : s.p, s.n);
    return 1;
}

#endif
