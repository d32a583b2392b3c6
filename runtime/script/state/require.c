/* `require` for policies: text modules, each file run once per state, its table frozen through and through. A policy
 * looks in its own folder first, so every folder has globals of its own, with a `require` that knows the folder. */
#include <ctype.h>
#include <string.h>

#include "base/err.h"
#include "script/open.h"
#include "script/state/frozen.h"
#include "script/state/sandbox.h"

#define NAME_MAX_BYTES 100

/* Words of letters, digits and '_', joined by single dots: no way to say a path. */
static bool is_module_name(const char *name, size_t n) {
    bool is_word = false;
    if (n > NAME_MAX_BYTES) return false;
    for (size_t i = 0; i < n; i++) {
        bool is_dot = name[i] == '.';
        if (is_dot ? !is_word : !isalnum((unsigned char)name[i]) && name[i] != '_') return false;
        is_word = !is_dot;
    }
    return is_word;
}

static const char modules_key; /* registry: what modules gave, by path; `false` while one runs */
static const char globals_key; /* registry: globals by folder */

enum { NAMES = 2, FOLDER = 3 }; /* upvalues of `require`, behind the state */

static void push_path(lua_State *L, const char *folder, const char *slashed, size_t form) {
    static const char *const forms[] = { "%s/%s.lua", "%s/%s/init.lua" };
    lua_pushfstring(L, forms[form], folder, slashed);
}

/* Push a module's path and, unless it is known already, its chunk; nothing when the folder has none.
 *   gives   what was pushed */
static int push_found(lua_State *L, const char *folder, const char *slashed) {
    for (size_t form = 0; form < 2; form++) {
        push_path(L, folder, slashed, form);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
        lua_pushvalue(L, -2);
        bool is_known = lua_rawget(L, -2) != LUA_TNIL;
        lua_pop(L, 2);
        if (is_known) return 1;
        const char *path = lua_tostring(L, -1);
        enum peri_err err = peri_push_file(L, path);
        if (err == PERI_OK) return 2;
        if (err != PERI_ENOTFOUND) luaL_error(L, "%s: %s", path, peri_err_text(err));
        lua_pop(L, 1);
    }
    return 0;
}

/* The requirer's own folder first: its modules look there, too. Then the folders that are everybody's. */
static int push_module(lua_State *L, const char *name) {
    const char *slashed = luaL_gsub(L, name, ".", "/");
    if (lua_isstring(L, lua_upvalueindex(FOLDER))) {
        const char *folder = lua_tostring(L, lua_upvalueindex(FOLDER));
        int pushed = push_found(L, folder, slashed);
        if (pushed == 2) {
            peri_require_push_globals(L, peri_state_of(L), folder);
            lua_setupvalue(L, -2, 1); /* _ENV */
        }
        if (pushed > 0) return pushed;
    }
    for (const char *const *at = peri_state_of(L)->options.search; at != NULL && *at != NULL;
         at++) {
        int pushed = push_found(L, *at, slashed);
        if (pushed > 0) return pushed;
    }
    return luaL_error(L, "module '%s' not found", name);
}

/* Runs the chunk on the top; leaves the module's value, or the error value. gives Lua's status */
static int run_module(lua_State *L, const char *name) {
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 1, 1, 0);
    if (status != LUA_OK || lua_isfunction(L, -1)) return status;
    if (!lua_istable(L, -1)) {
        lua_pushfstring(L, "module '%s' must return a table or a function, not a %s", name,
                        luaL_typename(L, -1));
        return LUA_ERRRUN;
    }
    if (!peri_frozen_is_view(L, -1)) peri_frozen_deep(L, name);
    return LUA_OK;
}

static int require(lua_State *L) {
    size_t n;
    const char *name = luaL_checklstring(L, 1, &n);
    luaL_argcheck(L, is_module_name(name, n), 1, "not a module's name");
    lua_settop(L, 1);
    if (lua_getfield(L, lua_upvalueindex(NAMES), name) != LUA_TNIL) return 1;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
    int pushed = push_module(L, name), modules = 3;
    int path = lua_gettop(L) - pushed + 1; /* stack: name nil modules … path [chunk] */
    if (pushed == 1) {
        lua_pushvalue(L, path);
        if (lua_rawget(L, modules) == LUA_TBOOLEAN)
            return luaL_error(L, "module '%s' requires itself", name);
    } else {
        lua_pushvalue(L, path);
        lua_pushboolean(L, 0);
        lua_rawset(L, modules);
        int status = run_module(L, name);
        lua_pushvalue(L, path);
        if (status == LUA_OK)
            lua_pushvalue(L, -2);
        else
            lua_pushnil(L);
        lua_rawset(L, modules);
        peri_budget_check(&peri_state_of(L)->budget, L, status);
        if (status != LUA_OK) return lua_error(L);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, lua_upvalueindex(NAMES), name);
    return 1;
}

/* Into the table on the top; `module` is where `require "perilune"` stands, `folder` 0 for none. */
static void set_require(lua_State *L, struct peri_state *s, int module, int folder) {
    peri_state_push(L, s);
    lua_newtable(L);
    lua_pushvalue(L, module);
    lua_setfield(L, -2, "perilune");
    if (folder != 0)
        lua_pushvalue(L, folder);
    else
        lua_pushnil(L);
    lua_pushcclosure(L, require, 3);
    lua_setfield(L, -2, "require");
}

void peri_require_open(lua_State *L, struct peri_state *s) {
    int globals = lua_gettop(L);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
    lua_newtable(L);
    peri_open_module(L, s, PERI_LIB_POLICY);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "perilune"); /* no path is spelled so: they end in .lua */
    lua_insert(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
    int module = lua_gettop(L);
    lua_pushvalue(L, globals);
    set_require(L, s, module, 0);
    lua_settop(L, globals);
}

void peri_require_push_globals(lua_State *L, struct peri_state *s, const char *folder) {
    luaL_checkstack(L, 12, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
    lua_pushstring(L, folder);
    int made = lua_gettop(L) - 1, key = made + 1;
    lua_pushvalue(L, key);
    if (lua_rawget(L, made) == LUA_TNIL) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
        lua_getfield(L, -1, "perilune");
        int module = lua_gettop(L);
        lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        peri_frozen_open(L, -1);
        int any = lua_gettop(L);
        lua_newtable(L);
        for (lua_pushnil(L); lua_next(L, any) != 0;) { /* stack: … any own name value */
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, any + 1);
        }
        set_require(L, s, module, key);
        lua_pushvalue(L, -1);
        peri_frozen_shallow(L, ""); /* stack: … own view */
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "_G");
        lua_pushvalue(L, key);
        lua_pushvalue(L, -2);
        lua_rawset(L, made);
    }
    lua_replace(L, made);
    lua_settop(L, made);
}
