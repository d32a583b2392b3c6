#include "script/state/self.h"

void *peri_check_self(lua_State *L, const char *type, const char *variable) {
    void *box = luaL_testudata(L, 1, type);
    if (box != NULL) return box;
    lua_Debug call = { .name = NULL };
    bool is_named = lua_getstack(L, 0, &call) && lua_getinfo(L, "n", &call) && call.name != NULL;
    const char *got = luaL_getmetafield(L, 1, "__name") == LUA_TSTRING ? lua_tostring(L, -1)
                                                                       : luaL_typename(L, 1);
    if (!is_named) /* through pcall, which does not know it */
        luaL_error(L,
                   "a method of '%s' is called with a colon, or with it as first argument: got %s",
                   variable, got);
    luaL_error(L, "'%s' is called as %s:%s(…), with a colon: got %s in its place", call.name,
               variable, call.name, got);
    return NULL;
}

int peri_refuse_member(lua_State *L) {
    return luaL_error(L, "'%s' of %s can not be set: %s", luaL_tolstring(L, 2, NULL),
                      lua_tostring(L, lua_upvalueindex(2)), lua_tostring(L, lua_upvalueindex(3)));
}
