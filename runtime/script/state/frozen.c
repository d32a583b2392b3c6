/* In every view the table behind it stands under `raw_key` and its name under `name_key`. Their addresses are light
 * userdata, which no script can make, so a script neither reads nor replaces them; the views' own `next` and `pairs`
 * walk the table behind. */
#include "script/state/frozen.h"

static const char raw_key, name_key;
static const char deep_key;  /* registry: the metatable of deep views */
static const char views_key; /* registry: deep views by the table behind, weak */

/* Push the table behind a view. gives false, with nothing pushed, for any other value */
static bool push_raw(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return false;
    lua_pop(L, 1);
    index = lua_absindex(L, index);
    if (lua_rawgetp(L, index, &raw_key) == LUA_TTABLE) return true;
    lua_pop(L, 1);
    return false;
}

void peri_frozen_open(lua_State *L, int index) {
    index = lua_absindex(L, index);
    if (push_raw(L, index)) lua_replace(L, index);
}

static bool is_deep(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &deep_key);
    bool is_it = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_it;
}

static int refuse_write(lua_State *L) {
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    lua_rawgetp(L, 1, &name_key);
    const char *name = lua_tostring(L, -1);
    if (name == NULL || *name == '\0')
        return luaL_error(L, "cannot set global '%s': globals are read-only, use a local", key);
    return luaL_error(L, "cannot set '%s.%s': it is read-only", name, key);
}

/* stack: table. Push an empty one that will be its view, filled. */
static void push_blank(lua_State *L, const char *name) {
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, &raw_key);
    lua_pushstring(L, name);
    lua_rawsetp(L, -2, &name_key);
}

/* ---- Deep views ---- */

/* The value on the top was read from the view at 1: a table becomes its view. */
static void cover(lua_State *L, int key) {
    int value = lua_gettop(L);
    if (!lua_istable(L, value)) return;
    luaL_checkstack(L, 8, NULL);
    if (push_raw(L, value)) { /* a view already */
        lua_settop(L, value);
        return;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &views_key);
    lua_pushvalue(L, value);
    if (lua_rawget(L, -2) != LUA_TTABLE) {
        lua_rawgetp(L, 1, &name_key);
        const char *name = lua_tostring(L, -1);
        if (lua_type(L, key) == LUA_TSTRING)
            name = lua_pushfstring(L, "%s.%s", name, lua_tostring(L, key));
        else
            name = lua_pushfstring(L, "%s[…]", name);
        lua_pushvalue(L, value);
        peri_frozen_deep(L, name);
    }
    lua_replace(L, value);
    lua_settop(L, value);
}

/* view[key], through the table's own metatable where it has one */
static int deep_index(lua_State *L) {
    lua_settop(L, 2);
    if (!push_raw(L, 1)) return 0;
    lua_pushvalue(L, 2);
    lua_gettable(L, 3);
    cover(L, 2);
    return 1;
}

static int deep_eq(lua_State *L) {
    peri_frozen_open(L, 1);
    peri_frozen_open(L, 2);
    lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPEQ));
    return 1;
}

static int called(lua_State *L, int status, lua_KContext context) {
    (void)status, (void)context;
    return lua_gettop(L);
}

/* A module's function may wait, so this one lets it. */
static int deep_call(lua_State *L) {
    peri_frozen_open(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, called);
    return called(L, LUA_OK, 0);
}

static int deep_tostring(lua_State *L) {
    peri_frozen_open(L, 1);
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* ---- Walking ---- */

/* next(table [, key]) */
static int view_next(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    bool is_view = push_raw(L, 1);
    if (!is_view) lua_pushvalue(L, 1);
    lua_pushvalue(L, 2); /* stack: table key raw key */
    if (!lua_next(L, 3)) {
        lua_pushnil(L);
        return 1;
    }
    if (is_view && is_deep(L, 1)) cover(L, 4);
    return 2;
}

static int view_pairs(lua_State *L) {
    lua_pushcfunction(L, view_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int view_len(lua_State *L) {
    peri_frozen_open(L, 1);
    lua_pushinteger(L, luaL_len(L, 1));
    return 1;
}

static int view_rawget(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    bool is_view = push_raw(L, 1);
    if (!is_view) lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, 3);
    if (is_view && is_deep(L, 1)) cover(L, 2);
    return 1;
}

static int view_rawlen(lua_State *L) {
    luaL_argexpected(L, lua_istable(L, 1) || lua_isstring(L, 1), 1, "table or string");
    peri_frozen_open(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

void peri_frozen_set_functions(lua_State *L) {
    static const luaL_Reg functions[] = {
        { "next", view_next }, { "rawget", view_rawget }, { "rawlen", view_rawlen }, { NULL, NULL }
    };
    luaL_setfuncs(L, functions, 0);
}

/* ---- Making them ---- */

static const luaL_Reg any_view[] = {
    { "__newindex", refuse_write }, { "__pairs", view_pairs }, { "__len", view_len }, { NULL, NULL }
};

void peri_frozen_init(lua_State *L) {
    static const luaL_Reg deep[] = { { "__index", deep_index },
                                     { "__eq", deep_eq },
                                     { "__call", deep_call },
                                     { "__tostring", deep_tostring },
                                     { NULL, NULL } };
    lua_createtable(L, 0, 8);
    luaL_setfuncs(L, any_view, 0);
    luaL_setfuncs(L, deep, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &deep_key);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &views_key);
}

void peri_frozen_shallow(lua_State *L, const char *name) {
    if (push_raw(L, -1)) { /* a view already: one of it would show what stands behind it */
        lua_pop(L, 1);
        return;
    }
    luaL_checkstack(L, 5, NULL);
    push_blank(L, name);
    lua_createtable(L, 0, 5); /* stack: table view metatable */
    luaL_setfuncs(L, any_view, 0);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

void peri_frozen_deep(lua_State *L, const char *name) {
    if (peri_frozen_is_view(L, -1)) return;
    luaL_checkstack(L, 6, NULL);
    push_blank(L, name);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &deep_key);
    lua_setmetatable(L, -2); /* stack: table view */
    lua_rawgetp(L, LUA_REGISTRYINDEX, &views_key);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    lua_remove(L, -2);
}

bool peri_frozen_is_view(lua_State *L, int index) {
    if (!push_raw(L, index)) return false;
    lua_pop(L, 1);
    return true;
}
