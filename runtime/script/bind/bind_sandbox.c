/* peri.sandbox.run: a piece of Lua in a policy's sandbox, from a script that is trusted. For specs and for trying
 * out what a policy may do. */
#include "base/err.h"
#include "base/mem.h"
#include "script/open.h"
#include "script/state/task.h"
#include "script/state/options.h"
#include "script/state/lua_str.h"

#define SEARCH_MAX 16

/* A userdata: whatever raises, its __gc gives the state back. */
struct trial {
    struct peri_state *state;
    struct peri_str source;
    const char *search[SEARCH_MAX + 1];
    int type; /* of the first result, Lua's */
    bool boolean;
    lua_Integer integer;
    lua_Number number;
    struct peri_str text; /* ours */
    bool is_integer;
};

static int trial_gc(lua_State *L) {
    struct trial *t = lua_touserdata(L, 1);
    peri_state_free(t->state);
    peri_free((char *)t->text.p);
    t->state = NULL;
    t->text.p = NULL;
    return 0;
}

static struct trial *push_trial(lua_State *L) {
    struct trial *t = lua_newuserdatauv(L, sizeof *t, 0);
    *t = (struct trial){ .type = LUA_TNIL };
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, trial_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return t;
}

static int trial_push(lua_State *L, void *arg) {
    struct trial *t = arg;
    peri_push_chunk(L, "sandbox.lua", t->source);
    return 0;
}

static void trial_take(lua_State *L, int count, void *arg) {
    struct trial *t = arg;
    if (count == 0) return;
    t->type = lua_type(L, 1);
    t->boolean = lua_toboolean(L, 1);
    t->is_integer = lua_isinteger(L, 1);
    t->integer = lua_tointeger(L, 1);
    t->number = lua_tonumber(L, 1);
    if (t->type != LUA_TSTRING) return;
    const char *text = lua_tolstring(L, 1, &t->text.n);
    char *copy = peri_malloc(t->text.n);
    if (copy == NULL) luaL_error(L, "%s", peri_err_text(PERI_ENOMEM));
    memcpy(copy, text, t->text.n);
    t->text.p = copy;
}

static int push_result(lua_State *L, const struct trial *t) {
    switch (t->type) {
    case LUA_TNIL: lua_pushnil(L); break;
    case LUA_TBOOLEAN: lua_pushboolean(L, t->boolean); break;
    case LUA_TSTRING: lua_pushlstring(L, t->text.p, t->text.n); break;
    case LUA_TNUMBER:
        if (t->is_integer)
            lua_pushinteger(L, t->integer);
        else
            lua_pushnumber(L, t->number);
        break;
    default: return luaL_error(L, "a sandbox gives no %s back", lua_typename(L, t->type));
    }
    return 1;
}

/* The directories stay the strings of the options table, which is an argument. */
static void read_search(lua_State *L, struct trial *t) {
    if (lua_getfield(L, 2, "search") == LUA_TNIL) return;
    lua_Integer n = luaL_len(L, -1);
    if (n > SEARCH_MAX) luaL_error(L, "option 'search': at most %d directories", SEARCH_MAX);
    for (int i = 0; i < (int)n; i++) {
        if (lua_rawgeti(L, -1, i + 1) != LUA_TSTRING) luaL_error(L, "option 'search': texts only");
        t->search[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
}

static int sandbox_run(lua_State *L) {
    struct peri_str source = peri_check_str(L, 1);
    lua_settop(L, 2);
    static const struct peri_option known[] = {
        { "cpu_ms", PERI_OPTION_INTEGER, 0, UINT32_MAX },
        { "steps", PERI_OPTION_INTEGER, 0, LUA_MAXINTEGER },
        { "heap_bytes", PERI_OPTION_INTEGER, 0, (lua_Integer)1 << 40 },
        { "search", PERI_OPTION_TABLE, 0, 0 },
        { "seed", PERI_OPTION_INTEGER, 0, LUA_MAXINTEGER }
    };
    peri_options_take(L, 2, "peri.sandbox.run", known, sizeof known / sizeof *known);
    static const struct peri_task_ops ops = { trial_push, trial_take, NULL };
    struct peri_state *s = peri_state_of(L);
    struct peri_fault fault = { PERI_OK, "" };
    struct peri_budget_limits limits = {
        .cpu_ms = (uint32_t)peri_options_integer(L, 2, "cpu_ms", 50),
        .steps = (uint64_t)peri_options_integer(L, 2, "steps", 0),
    };
    limits.is_counted = limits.steps != 0;
    struct trial *t = push_trial(L);
    read_search(L, t);
    t->source = source;
    struct peri_state_options options = { .heap_max = (size_t)peri_options_integer(
                                              L, 2, "heap_bytes", 16 << 20),
                                          .entry = limits,
                                          .load = limits,
                                          .log = s->log,
                                          .clock = s->clock,
                                          .shared = s->shared,
                                          .search = t->search,
                                          .seed = (uint64_t)peri_options_integer(L, 2, "seed", 0) };
    enum peri_err err = peri_state_new(&t->state, &options);
    if (err != PERI_OK) return peri_push_failure(L, err);
    if (peri_task_start(NULL, t->state, &ops, t, &fault) != PERI_TASK_DONE)
        return peri_push_fault(L, fault.err, fault.text);
    return push_result(L, t);
}

void peri_bind_sandbox_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "run", sandbox_run }, { NULL, NULL } };
    lua_newtable(L);
    peri_state_set_functions(L, s, functions);
}
