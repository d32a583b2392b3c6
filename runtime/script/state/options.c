#include "script/state/options.h"

#include <string.h>

#include "base/nearest.h"
#include "script/state/frozen.h"

#define HINT_DISTANCE 3 /* edits: as for the options of the configuration */

static void refuse_name(lua_State *L, const char *function, const struct peri_option *options,
                        size_t count) {
    const char *name = luaL_tolstring(L, -1, NULL);
    struct peri_nearest n = peri_nearest_to(peri_str_of(name), HINT_DISTANCE);
    for (size_t i = 0; i < count; i++)
        if (peri_str_distance(n.word, peri_str_of(options[i].name), HINT_DISTANCE) <
            strlen(options[i].name)) /* sharing no letter is no nearness */
            peri_nearest_offer(&n, options[i].name);
    if (n.name == NULL) luaL_error(L, "%s has no option '%s'", function, name);
    luaL_error(L, "%s has no option '%s', did you mean '%s'?", function, name, n.name);
}

/* stack: … name; each must be one of ours */
static void check_names(lua_State *L, int table, const char *function,
                        const struct peri_option *options, size_t count) {
    for (lua_pushnil(L); lua_next(L, table) != 0;) {
        lua_pop(L, 1);
        size_t i = 0;
        if (lua_type(L, -1) != LUA_TSTRING)
            i = count;
        else
            while (i < count && strcmp(lua_tostring(L, -1), options[i].name) != 0) i++;
        if (i == count) refuse_name(L, function, options, count);
    }
}

/* The value on the top. Texts may be long or a stranger's: their type is all that is said of them. */
static void refuse_value(lua_State *L, const char *function, const struct peri_option *o,
                         const char *expected) {
    bool is_number = lua_type(L, -1) == LUA_TNUMBER;
    const char *got = is_number ? luaL_tolstring(L, -1, NULL) : luaL_typename(L, -1);
    luaL_error(L, "%s: '%s' must be %s, got %s%s", function, o->name, expected,
               is_number ? "" : "a ", got);
}

/* The value on the top. An integer given as 5.0 becomes 5. */
static void check_integer(lua_State *L, const char *function, const struct peri_option *o) {
    int is_integer = 0, at = lua_gettop(L);
    lua_Integer value = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &is_integer) : 0;
    if (!is_integer || value < o->least || value > o->most) {
        const char *expected = lua_pushfstring(L, "an integer from %I to %I", (LUAI_UACINT)o->least,
                                               (LUAI_UACINT)o->most);
        if (o->most == LUA_MAXINTEGER)
            expected = lua_pushfstring(L, "an integer from %I on", (LUAI_UACINT)o->least);
        lua_pushvalue(L, at);
        refuse_value(L, function, o, expected);
    }
    lua_pop(L, 1);
    lua_pushinteger(L, value);
}

static void check_value(lua_State *L, const char *function, const struct peri_option *o) {
    static const struct {
        int type;
        const char *expected;
    } kinds[] = { [PERI_OPTION_TEXT] = { LUA_TSTRING, "a string" },
                  [PERI_OPTION_FLAG] = { LUA_TBOOLEAN, "true or false" },
                  [PERI_OPTION_TABLE] = { LUA_TTABLE, "a table" },
                  [PERI_OPTION_FUNCTION] = { LUA_TFUNCTION, "a function" } };
    if (o->kind == PERI_OPTION_INTEGER) {
        check_integer(L, function, o);
    } else if (o->kind != PERI_OPTION_ANY && lua_type(L, -1) != kinds[o->kind].type) {
        refuse_value(L, function, o, kinds[o->kind].expected);
    }
}

void peri_options_take(lua_State *L, int index, const char *function,
                       const struct peri_option *options, size_t count) {
    luaL_checkstack(L, 8, NULL);
    lua_newtable(L);
    int taken = lua_gettop(L);
    if (!lua_isnil(L, index)) {
        if (!lua_istable(L, index))
            luaL_error(L, "%s takes a table of options, got a %s", function,
                       luaL_typename(L, index));
        lua_pushvalue(L, index);
        peri_frozen_open(L, -1);
        check_names(L, taken + 1, function, options, count);
        lua_settop(L, taken);
        for (size_t i = 0; i < count; i++) {
            if (lua_getfield(L, index, options[i].name) != LUA_TNIL)
                check_value(L, function, &options[i]);
            lua_setfield(L, taken, options[i].name);
        }
    }
    lua_replace(L, index);
}

bool peri_options_has(lua_State *L, int index, const char *name) {
    bool is_given = lua_getfield(L, index, name) != LUA_TNIL;
    lua_pop(L, 1);
    return is_given;
}

lua_Integer peri_options_integer(lua_State *L, int index, const char *name, lua_Integer fallback) {
    lua_Integer value = lua_getfield(L, index, name) == LUA_TNIL ? fallback : lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

bool peri_options_flag(lua_State *L, int index, const char *name, bool fallback) {
    bool value = lua_getfield(L, index, name) == LUA_TNIL ? fallback : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

struct peri_str peri_options_text(lua_State *L, int index, const char *name) {
    struct peri_str s = { NULL, 0 };
    if (lua_getfield(L, index, name) == LUA_TSTRING) s.p = lua_tolstring(L, -1, &s.n);
    lua_pop(L, 1);
    return s;
}
