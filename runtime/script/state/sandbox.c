/* Builds the globals of a policy from an allow-list. Lua's own libraries are opened first, what is allowed is
 * copied from them, and the originals are forgotten; what scripts see is frozen (script/state/frozen.h). */
#include "script/state/sandbox.h"

#include <ctype.h>
#include <string.h>

#include <lualib.h>

#include "base/err.h"
#include "base/log.h"
#include "script/open.h"
#include "script/state/frozen.h"

#define DIGITS_PIECE 16384 /* digits between two looks at the budget */
#define DATE_MAX     1000  /* bytes of os.date's format: a conversion takes half a microsecond */

/* The allow-list. */

static const char *const base_names[] = { "_VERSION", "assert", "error",    "ipairs", "pairs",
                                          "rawequal", "select", "tostring", "type",   NULL };
static const char *const coroutine_names[] = { "isyieldable", "status", NULL };
static const char *const math_names[] = {
    "abs",  "acos", "asin", "atan", "ceil",       "cos",  "deg",        "exp",  "floor",
    "fmod", "huge", "log",  "max",  "maxinteger", "min",  "mininteger", "modf", "pi",
    "rad",  "sin",  "sqrt", "tan",  "tointeger",  "type", "ult",        NULL
};
static const char *const os_names[] = { "clock", "difftime", NULL };
static const char *const string_names[] = { "byte", "char", "format", "len", "sub", NULL };
static const char *const table_names[] = { "sort", NULL };
static const char *const utf8_names[] = { "char", "charpattern", "codepoint", "codes", NULL };

/* From the table at `from` into the one on the top. */
static void copy_names(lua_State *L, int from, const char *const *names) {
    for (; *names != NULL; names++) {
        if (lua_getfield(L, from, *names) == LUA_TNIL)
            peri_bug("Lua's libraries have what we allow");
        lua_setfield(L, -2, *names);
    }
}

/* Functions of ours that need no file of their own. */

static int base_print(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    int count = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= count; i++) {
        if (i > 1) luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    if (s->log != NULL && peri_log_begin(s->log, PERI_LOG_INFO, lua_tostring(L, -1)))
        peri_log_end(s->log);
    return 0;
}

/* The digits of a numeral in base 2 … 36 between white space; false when there is anything else. */
static bool read_digits(lua_State *L, lua_Integer *value, struct peri_str text, int base) {
    static const char spaces[] = " \f\n\r\t\v";
    lua_Unsigned sum = 0;
    size_t i = strspn(text.p, spaces), first;
    bool is_negative = text.p[i] == '-';
    if (is_negative || text.p[i] == '+') i++;
    for (first = i; isalnum((unsigned char)text.p[i]); i++) {
        int c = toupper((unsigned char)text.p[i]), digit = isdigit(c) ? c - '0' : c - 'A' + 10;
        if (digit >= base) return false;
        sum = sum * (lua_Unsigned)base + (lua_Unsigned)digit;
        if (i % DIGITS_PIECE == 0) peri_budget_charge(&peri_state_of(L)->budget, L, DIGITS_PIECE);
    }
    if (i == first) return false;
    *value = (lua_Integer)(is_negative ? 0u - sum : sum);
    return i + strspn(text.p + i, spaces) == text.n;
}

/* As Lua's own, with the digits of a numeral in a base counted. */
static int base_tonumber(lua_State *L) {
    struct peri_str text;
    lua_Integer base, value;
    if (lua_isnoneornil(L, 2)) {
        luaL_checkany(L, 1);
        lua_settop(L, 1);
        if (lua_type(L, 1) == LUA_TNUMBER) return 1;
        const char *s = lua_tolstring(L, 1, &text.n);
        if (s != NULL && lua_stringtonumber(L, s) == text.n + 1) return 1;
        lua_pushnil(L);
        return 1;
    }
    base = luaL_checkinteger(L, 2);
    luaL_checktype(L, 1, LUA_TSTRING);
    text.p = lua_tolstring(L, 1, &text.n);
    luaL_argcheck(L, 2 <= base && base <= 36, 2, "base out of range");
    if (read_digits(L, &value, text, (int)base))
        lua_pushinteger(L, value);
    else
        lua_pushnil(L);
    return 1;
}

/* Lua's own interface over the state's numbers, so that a seed repeats a run. */
static int math_random(lua_State *L) {
    struct peri_rand *r = &peri_state_of(L)->rand;
    lua_Integer low = 1, high;
    switch (lua_gettop(L)) {
    case 0: lua_pushnumber(L, peri_rand_unit(r)); return 1;
    case 1:
        high = luaL_checkinteger(L, 1);
        if (high == 0) {
            lua_pushinteger(L, (lua_Integer)peri_rand_next(r));
            return 1;
        }
        break;
    case 2:
        low = luaL_checkinteger(L, 1);
        high = luaL_checkinteger(L, 2);
        break;
    default: return luaL_error(L, "wrong number of arguments");
    }
    luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
    uint64_t count = (uint64_t)high - (uint64_t)low + 1; /* 0: every integer */
    uint64_t drawn = count == 0 ? peri_rand_next(r) : peri_rand_below(r, count);
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + drawn));
    return 1;
}

static lua_Integer wall_seconds(lua_State *L) {
    return (lua_Integer)(peri_clock_wall_ns(peri_state_of(L)->clock) / 1000000000u);
}

/* os.time and os.date are Lua's own (upvalue 2), told the time by the state's clock. */
static int os_time(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_pushinteger(L, wall_seconds(L));
        return 1;
    }
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int os_date(lua_State *L) {
    size_t n;
    const char *format = luaL_optlstring(L, 1, "%c", &n);
    luaL_argcheck(L, n <= DATE_MAX, 1, "a format of at most 1000 bytes");
    lua_Integer time = lua_isnoneornil(L, 2) ? wall_seconds(L) : luaL_checkinteger(L, 2);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushstring(L, format);
    lua_pushinteger(L, time);
    lua_call(L, 2, 1);
    return 1;
}

static void wrap(lua_State *L, struct peri_state *s, int from, const char *name,
                 lua_CFunction function) {
    peri_state_push(L, s);
    lua_getfield(L, from, name);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, name);
}

/* Assembling. Each of these leaves one table on the top. */

static void push_library(lua_State *L, const char *name, lua_CFunction open,
                         const char *const *names) {
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    lua_newtable(L);
    copy_names(L, lua_gettop(L) - 1, names);
    lua_remove(L, -2);
}

static void push_string(lua_State *L, struct peri_state *s) {
    push_library(L, "string", luaopen_string, string_names);
    peri_strings_open(L, s);
    lua_pushliteral(L, "");
    lua_getmetatable(L,
                     -1); /* Lua's own, with arithmetic on numerals; stack: string "" metatable */
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

static void push_os(lua_State *L, struct peri_state *s) {
    lua_pushcfunction(L, luaopen_os);
    lua_call(L, 0, 1);
    int from = lua_gettop(L);
    lua_newtable(L);
    copy_names(L, from, os_names);
    wrap(L, s, from, "time", os_time);
    wrap(L, s, from, "date", os_date);
    lua_remove(L, from);
}

static void set_frozen(lua_State *L, const char *name) {
    peri_frozen_shallow(L, name);
    lua_setfield(L, -2, name);
}

static void add_libraries(lua_State *L, struct peri_state *s) {
    static const luaL_Reg random[] = { { "random", math_random }, { NULL, NULL } };
    push_string(L, s);
    set_frozen(L, "string");
    push_library(L, "table", luaopen_table, table_names);
    peri_tables_open(L, s);
    set_frozen(L, "table");
    push_library(L, "coroutine", luaopen_coroutine, coroutine_names);
    peri_guard_open_coroutine(L, s);
    set_frozen(L, "coroutine");
    push_library(L, "math", luaopen_math, math_names);
    peri_state_set_functions(L, s, random);
    set_frozen(L, "math");
    push_library(L, "utf8", luaopen_utf8, utf8_names);
    peri_utf8s_open(L, s);
    set_frozen(L, "utf8");
    push_os(L, s);
    set_frozen(L, "os");
}

void peri_sandbox_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg ours[] = { { "print", base_print },
                                     { "tonumber", base_tonumber },
                                     { NULL, NULL } };
    push_library(L, "_G", luaopen_base, base_names);
    peri_frozen_init(L);
    peri_frozen_set_functions(L);
    peri_guard_open(L, s);
    peri_metatables_open(L, s);
    peri_state_set_functions(L, s, ours);
    add_libraries(L, s);
    peri_require_open(L, s);
    lua_pushvalue(L, -1);
    peri_frozen_shallow(L, ""); /* stack: globals view */
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "_G");
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pop(L, 1);
}
