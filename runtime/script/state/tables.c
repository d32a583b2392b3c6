/* The table library for the sandbox: as Lua's own, through metamethods, but every element moved is charged, so
 * that a table that claims a length of 2^60 does not hold the loop. */
#include <limits.h>

#include "script/state/sandbox.h"

static void charge(lua_State *L, lua_Integer steps) {
    peri_budget_charge(&peri_state_of(L)->budget, L, (uint64_t)steps);
}

enum { READ = 1, WRITE = 2, LENGTH = 4 };

static bool has_metafield(lua_State *L, int i, const char *name) {
    if (luaL_getmetafield(L, i, name) == LUA_TNIL) return false;
    lua_pop(L, 1);
    return true;
}

/* A table, or something that behaves as one. */
static void check_table(lua_State *L, int i, int use) {
    if (lua_istable(L, i)) return;
    bool is_like = ((use & READ) == 0 || has_metafield(L, i, "__index")) &&
                   ((use & WRITE) == 0 || has_metafield(L, i, "__newindex")) &&
                   ((use & LENGTH) == 0 || has_metafield(L, i, "__len"));
    if (!is_like) luaL_checktype(L, i, LUA_TTABLE);
}

static lua_Integer check_length(lua_State *L, int i, int use) {
    check_table(L, i, use | LENGTH);
    return luaL_len(L, i);
}

/* Move first … last of the table at `from` to `target` … of the table at `to`, from the end that does not overwrite
 * what is still to move. Positions are added up unsigned: their distance may be more than an integer holds. */
static void move(lua_State *L, int from, int to, lua_Integer first, lua_Integer last,
                 lua_Integer target, bool is_upwards) {
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first + 1u;
    for (lua_Unsigned i = 0; i < count; i++) {
        lua_Unsigned at = is_upwards ? i : count - 1u - i;
        charge(L, 1);
        lua_geti(L, from, (lua_Integer)((lua_Unsigned)first + at));
        lua_seti(L, to, (lua_Integer)((lua_Unsigned)target + at));
    }
}

static int tables_insert(lua_State *L) {
    lua_Integer end = (lua_Integer)((lua_Unsigned)check_length(L, 1, READ | WRITE) + 1u), at = end;
    if (lua_gettop(L) == 3) {
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, (lua_Unsigned)at - 1u < (lua_Unsigned)end, 2, "position out of bounds");
        if (at < end) move(L, 1, 1, at, end - 1, at + 1, false);
    } else if (lua_gettop(L) != 2) {
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

static int tables_remove(lua_State *L) {
    lua_Integer n = check_length(L, 1, READ | WRITE), at = luaL_optinteger(L, 2, n);
    if (at != n)
        luaL_argcheck(L, (lua_Unsigned)at - 1u <= (lua_Unsigned)n, 2, "position out of bounds");
    lua_geti(L, 1, at);
    if (at < n) {
        move(L, 1, 1, at + 1, n, at, true);
        at = n;
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

static int tables_move(lua_State *L) {
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
    lua_Integer to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    check_table(L, 1, READ);
    check_table(L, target, WRITE);
    if (last >= first) {
        luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3,
                      "too many elements to move");
        luaL_argcheck(L, to <= LUA_MAXINTEGER - (last - first), 4, "destination wrap around");
        bool is_same = target == 1 || lua_compare(L, 1, 5, LUA_OPEQ);
        bool is_upwards = to > last || to <= first || !is_same;
        move(L, 1, target, first, last, to, is_upwards);
    }
    lua_pushvalue(L, target);
    return 1;
}

static void add_element(lua_State *L, luaL_Buffer *b, lua_Integer i) {
    lua_geti(L, 1, i);
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid value (%s) at index %I in table for 'concat'", luaL_typename(L, -1),
                   (LUAI_UACINT)i);
    charge(L, 1 + (lua_Integer)(lua_rawlen(L, -1) / 64));
    luaL_addvalue(b);
}

static int tables_concat(lua_State *L) {
    lua_Integer n = check_length(L, 1, READ);
    size_t separator_n;
    const char *separator = luaL_optlstring(L, 2, "", &separator_n);
    lua_Integer i = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, n);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (; i < last; i++) {
        add_element(L, &b, i);
        luaL_addlstring(&b, separator, separator_n);
    }
    if (i == last) add_element(L, &b, i);
    luaL_pushresult(&b);
    return 1;
}

static int tables_pack(lua_State *L) {
    int n = lua_gettop(L);
    lua_createtable(L, n, 1);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--) lua_seti(L, 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, 1, "n");
    return 1;
}

static int tables_unpack(lua_State *L) {
    lua_Integer first = luaL_optinteger(L, 2, 1);
    lua_Integer last = luaL_opt(L, luaL_checkinteger, 3, luaL_len(L, 1));
    if (first > last) return 0;
    lua_Unsigned n = (lua_Unsigned)last - (lua_Unsigned)first; /* one less than their number */
    if (n >= INT_MAX || !lua_checkstack(L, (int)(n + 1)))
        return luaL_error(L, "too many results to unpack");
    for (; first < last; first++) {
        charge(L, 1);
        lua_geti(L, 1, first);
    }
    lua_geti(L, 1, last);
    return (int)n + 1;
}

/* sort is Lua's own (upvalue 2) with a comparison that charges: it compares at every step. A Lua function needs
 * no such help, as the hook sees into it. */

static int compare(lua_State *L) {
    charge(L, 2);
    lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLT));
    return 1;
}

static int compare_with(lua_State *L) {
    charge(L, 2);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int tables_sort(lua_State *L) {
    check_table(L, 1, READ | WRITE | LENGTH);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        peri_state_push(L, peri_state_of(L));
        lua_pushcclosure(L, compare, 1);
        lua_replace(L, 2);
    } else if (lua_iscfunction(L, 2)) {
        peri_state_push(L, peri_state_of(L));
        lua_insert(L, 2);
        lua_pushcclosure(L, compare_with, 2);
    }
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, 2, 0);
    return 0;
}

void peri_tables_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "concat", tables_concat },
                                          { "insert", tables_insert },
                                          { "move", tables_move },
                                          { "pack", tables_pack },
                                          { "remove", tables_remove },
                                          { "unpack", tables_unpack },
                                          { NULL, NULL } };
    peri_state_push(L, s);
    lua_getfield(L, -2, "sort"); /* Lua's own, put there by sandbox.c */
    lua_pushcclosure(L, tables_sort, 2);
    lua_setfield(L, -2, "sort");
    peri_state_set_functions(L, s, functions);
}
