/* setmetatable and getmetatable for the sandbox, so that no script has finalisers, closers or weak tables. Lua
 * runs finalisers and some closers without hooks, where nothing stops them; and a chain through a weak table in
 * the wrong order makes one step of the collector quadratic: 2.5 MB held the thread for 3 s (measured,
 * Lua 5.4.4).
 *
 * Looking once is not enough, as a metatable may be written to later. So a table that becomes a metatable gets a
 * metatable itself, its guard, which sees every new key. Keys that are there already may be set freely: none of
 * the refused ones is. If such a table has, or is given, a metatable by the script (a class that inherits), the
 * guard is a copy of that with our __newindex in front of its own.
 *
 * Lua calls a value's __call and, if that is no function, the __call of that, without a hook in between. Where such a
 * chain leads back to itself it ends when Lua's stack overflows, which takes minutes, as every step moves all arguments
 * (Lua 5.4.4). So __call must be a function. A script could put something else in its place later, so the metatable of a
 * value with a __call is a copy, which no script sees. */
#include <string.h>

#include "script/state/frozen.h"
#include "script/state/sandbox.h"

static const char *const refused[] = { "__gc", "__close", "__mode" };

/* In a guard, under this key: the script's own metatable, or true when it gave none. */
static const char guard_key;
/* In a copy of a metatable, under this key: the one that the script gave. */
static const char original_key;

static bool is_refused(lua_State *L, int i) {
    if (lua_type(L, i) != LUA_TSTRING) return false;
    const char *key = lua_tostring(L, i);
    for (size_t k = 0; k < sizeof refused / sizeof *refused; k++)
        if (strcmp(key, refused[k]) == 0) return true;
    return false;
}

static void check_refused(lua_State *L, int metatable) {
    for (size_t k = 0; k < sizeof refused / sizeof *refused; k++) {
        lua_pushstring(L, refused[k]);
        if (lua_rawget(L, metatable) != LUA_TNIL)
            luaL_error(L, "a policy's metatable cannot have '%s'", refused[k]);
        lua_pop(L, 1);
    }
}

/* gives whether the metatable has a __call */
static bool check_call(lua_State *L, int metatable) {
    lua_pushliteral(L, "__call");
    int type = lua_rawget(L, metatable);
    if (type != LUA_TNIL && type != LUA_TFUNCTION)
        luaL_error(L, "'__call' of a policy's metatable must be a function, got a %s",
                   luaL_typename(L, -1));
    lua_pop(L, 1);
    return type == LUA_TFUNCTION;
}

/* __newindex of a guard; upvalue 1 is the script's own, or nil. */
static int guard_newindex(lua_State *L) {
    if (is_refused(L, 2) && !lua_isnil(L, 3))
        return luaL_error(L, "a policy's metatable cannot have '%s'", lua_tostring(L, 2));
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "__call") == 0 &&
        !lua_isnil(L, 3))
        return luaL_error(L, "a policy's metatable must have its '__call' before setmetatable");
    switch (lua_type(L, lua_upvalueindex(1))) {
    case LUA_TNIL: lua_rawset(L, 1); return 0;
    case LUA_TFUNCTION:
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_insert(L, 1);
        lua_call(L, 3, 0);
        return 0;
    default:
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_replace(L, 1);
        lua_settable(L, 1);
        return 0;
    }
}

static void push_copy(lua_State *L, int table) {
    lua_newtable(L);
    int copy = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table) != 0;) { /* stack: copy key value */
        peri_budget_charge(&peri_state_of(L)->budget, L, 4);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, copy);
    }
}

/* Push a guard that behaves as the table at `own` (0: none). */
static void push_guard(lua_State *L, int own) {
    if (own != 0)
        push_copy(L, own);
    else
        lua_newtable(L);
    int guard = lua_gettop(L);
    lua_pushliteral(L, "__newindex");
    lua_pushliteral(L, "__newindex");
    lua_rawget(L, guard);
    lua_pushcclosure(L, guard_newindex, 1);
    lua_rawset(L, guard);
    if (own != 0)
        lua_pushvalue(L, own);
    else
        lua_pushboolean(L, 1);
    lua_rawsetp(L, guard, &guard_key);
}

/* Is the table at i guarded? Then what stands in its guard is pushed. */
static bool push_guarded(lua_State *L, int i) {
    if (!lua_getmetatable(L, i)) return false;
    if (lua_rawgetp(L, -1, &guard_key) == LUA_TNIL) {
        lua_pop(L, 2);
        return false;
    }
    lua_remove(L, -2);
    return true;
}

/* The table at i is about to be a metatable. */
static void guard(lua_State *L, int i) {
    if (push_guarded(L, i)) {
        lua_pop(L, 1);
        return;
    }
    int own = lua_getmetatable(L, i) ? lua_gettop(L) : 0;
    push_guard(L, own);
    lua_setmetatable(L, i);
    if (own != 0) lua_pop(L, 1);
}

static int set_metatable(lua_State *L) {
    int type = lua_type(L, 2);
    bool has_call = false;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    lua_settop(L, 2);
    if (peri_frozen_is_view(L, 2))
        return luaL_argerror(L, 2,
                             "a module's table is read-only and no metatable: let a function "
                             "of the module make the object");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (type == LUA_TTABLE) {
        check_refused(L, 2);
        has_call = check_call(L, 2);
        guard(L, 2);
    }
    if (push_guarded(L, 1)) {
        lua_pop(L, 1);
        push_guard(L, type == LUA_TTABLE ? 2 : 0);
    } else if (has_call) {
        push_copy(L, 2);
        lua_pushvalue(L, 2);
        lua_rawsetp(L, -2, &original_key);
    } else {
        lua_pushvalue(L, 2);
    }
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

static int get_metatable(lua_State *L) {
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return 1;
    if (push_guarded(L, 1)) {
        if (lua_isboolean(L, -1)) lua_pushnil(L);
    } else if (!lua_getmetatable(L, 1)) {
        lua_pushnil(L);
    }
    if (lua_istable(L, -1) && lua_rawgetp(L, -1, &original_key) == LUA_TNIL) lua_pop(L, 1);
    return 1;
}

void peri_metatables_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "setmetatable", set_metatable },
                                          { "getmetatable", get_metatable },
                                          { NULL, NULL } };
    peri_state_set_functions(L, s, functions);
}
