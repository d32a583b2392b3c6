/* `require` for policies: text modules from the given directories, each run once per state, its table frozen. */
#include <ctype.h>
#include <string.h>

#include "base/err.h"
#include "script/open.h"
#include "script/sandbox.h"

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

/* Push the chunk of a module from the first directory that has it. Raises when none has. */
static void push_module_chunk(lua_State *L, const char *name) {
    static const char *const forms[] = { "%s/%s.lua", "%s/%s/init.lua" };
    const char *const *dir = peri_state_of(L)->options.search;
    luaL_gsub(L, name, ".", "/");
    for (; dir != NULL && *dir != NULL; dir++)
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
            const char *path = lua_pushfstring(L, forms[i], *dir, lua_tostring(L, -1));
            enum peri_err err = peri_push_file(L, path);
            if (err == PERI_OK) return;
            if (err != PERI_ENOTFOUND) luaL_error(L, "%s: %s", path, peri_err_text(err));
            lua_pop(L, 1);
        }
    luaL_error(L, "module '%s' not found", name);
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
    if (lua_getmetatable(L, -1))
        lua_pop(L, 1); /* it has its own ways; hiding them behind a view would change what it is */
    else
        peri_sandbox_freeze(L, name);
    return LUA_OK;
}

/* Upvalue 2: what is loaded, by name; `false` while a module runs. */
static int require(lua_State *L) {
    size_t n;
    const char *name = luaL_checklstring(L, 1, &n);
    luaL_argcheck(L, is_module_name(name, n), 1, "not a module's name");
    lua_settop(L, 1);
    if (lua_getfield(L, lua_upvalueindex(2), name) != LUA_TNIL) {
        if (lua_isboolean(L, -1)) return luaL_error(L, "module '%s' requires itself", name);
        return 1;
    }
    push_module_chunk(L, name);
    lua_pushboolean(L, 0);
    lua_setfield(L, lua_upvalueindex(2), name);
    int status = run_module(L, name);
    if (status == LUA_OK)
        lua_pushvalue(L, -1);
    else
        lua_pushnil(L);
    lua_setfield(L, lua_upvalueindex(2), name);
    peri_budget_check(&peri_state_of(L)->budget, L, status);
    return status == LUA_OK ? 1 : lua_error(L);
}

void peri_require_open(lua_State *L, struct peri_state *s) {
    peri_state_push(L, s);
    lua_newtable(L);
    peri_open_module(L, s, PERI_LIB_POLICY);
    lua_setfield(L, -2, "perilune");
    lua_pushcclosure(L, require, 2);
    lua_setfield(L, -2, "require");
}
