/* The functions that run other functions: after each of them a budget that is used up raises again, so that no
 * number of protected calls outlasts it. */
#include "script/state/sandbox.h"

#include <lualib.h>

#include "script/state/task.h"

static struct peri_budget *budget_of(lua_State *L) { return &peri_state_of(L)->budget; }

static int call_end(lua_State *L, int status, lua_KContext skip) {
    peri_budget_check(budget_of(L), L, status);
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)skip;
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
}

static int guard_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return call_end(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, call_end), 0);
}

/* A handler runs where the error was raised. For one raised by the hook that place has no hooks, so the
 * script's handler is not called then. */
static int handle(lua_State *L) {
    if (peri_budget_end(budget_of(L)) != PERI_BUDGET_LEFT) return 1;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int guard_xpcall(lua_State *L) {
    int count = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    peri_state_push(L, peri_state_of(L));
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handle, 2);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* stack: function handler true function arguments… */
    return call_end(L, lua_pcallk(L, count - 2, LUA_MULTRET, 2, 2, call_end), 2);
}

void peri_guard_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "pcall", guard_pcall },
                                          { "xpcall", guard_xpcall },
                                          { NULL, NULL } };
    peri_state_set_functions(L, s, functions);
}

/* Coroutines: the budget follows whichever thread of Lua runs. */

/* Why `co` can not be resumed, or NULL. Asked before Lua is: lua_resume makes the text of its refusal in `co`, which has
 * no handler, so that for want of memory the process would end. */
static const char *refusal(lua_State *L, lua_State *co) {
    lua_Debug frame;
    if (peri_task_owns(L, peri_state_of(L), co)) return PERI_TASK_OWNED_TEXT;
    switch (lua_status(co)) {
    case LUA_YIELD: return NULL;
    case LUA_OK:
        if (lua_getstack(co, 0, &frame)) return "cannot resume non-suspended coroutine";
        return lua_gettop(co) > 0 ? NULL : "cannot resume dead coroutine";
    default: return "cannot resume dead coroutine";
    }
}

/* Resume `co` with `count` values from the top of L. gives how many results it left on L, or -1 and the error
 * value on the top */
static int resume(lua_State *L, lua_State *co, int count) {
    struct peri_budget *b = budget_of(L);
    int results = 0;
    const char *why = refusal(L, co);
    if (why != NULL) {
        lua_pushstring(L, why);
        return -1;
    }
    if (!lua_checkstack(co, count)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    peri_budget_charge(b, L, PERI_BUDGET_SWITCH_STEPS);
    lua_xmove(L, co, count);
    lua_State *before = peri_budget_switch(b, co);
    int status = lua_resume(co, L, count, &results);
    peri_budget_switch(b, before);
    peri_budget_check(b, L, status == LUA_YIELD ? LUA_OK : status);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, results);
    return results;
}

static lua_State *check_coroutine(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co != NULL, 1, "coroutine");
    return co;
}

static int guard_resume(lua_State *L) {
    lua_State *co = check_coroutine(L);
    int results = resume(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, results >= 0);
    if (results < 0) results = 1;
    lua_insert(L, -(results + 1));
    return results + 1;
}

static int call_wrapped(lua_State *L) {
    lua_State *co = lua_tothread(L, lua_upvalueindex(2));
    int results = resume(L, co, lua_gettop(L));
    if (results >= 0) return results;
    if (lua_type(L, -1) == LUA_TSTRING) { /* say where it was called, as Lua does */
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int guard_create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    peri_budget_charge(budget_of(L), L, PERI_BUDGET_SWITCH_STEPS);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int guard_wrap(lua_State *L) {
    guard_create(L);
    peri_state_push(L, peri_state_of(L));
    lua_insert(L, -2);
    lua_pushcclosure(L, call_wrapped, 2);
    return 1;
}

/* A task's own coroutine is resumed by the loop and for a reason: a plain yield would never come back. */
static int guard_yield(lua_State *L) {
    struct peri_task *t = peri_state_of(L)->task;
    if (t != NULL && peri_task_thread(t) == L)
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

/* Who gets the coroutine of a task may keep it. */
static int guard_running(lua_State *L) {
    struct peri_task *t = peri_state_of(L)->task;
    if (t != NULL && peri_task_thread(t) == L) peri_task_give_out(t);
    lua_pushboolean(L, lua_pushthread(L));
    return 2;
}

/* Texts that Lua itself makes outside every protected call: for coroutines nested too deep, and for errors in the
 * handling of errors. A text that exists already takes no memory. */
static void keep_texts(lua_State *L) {
    static const char *const texts[] = { "C stack overflow", "error in error handling",
                                         "cannot resume dead coroutine",
                                         "cannot resume non-suspended coroutine" };
    lua_newtable(L);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lua_pushstring(L, texts[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, texts);
}

void peri_guard_open_coroutine(lua_State *L, struct peri_state *s) {
    keep_texts(L);
    static const luaL_Reg functions[] = { { "create", guard_create }, { "running", guard_running },
                                          { "resume", guard_resume }, { "wrap", guard_wrap },
                                          { "yield", guard_yield },   { NULL, NULL } };
    peri_state_set_functions(L, s, functions);
}

/* In a trusted script the functions are Lua's own (upvalue 2), asked after the coroutine's owner. */

static int call_original(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static bool is_owned(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    return co != NULL && co != L && peri_task_owns(L, peri_state_of(L), co);
}

static int trusted_resume(lua_State *L) {
    if (!is_owned(L)) return call_original(L);
    lua_pushboolean(L, 0);
    lua_pushliteral(L, PERI_TASK_OWNED_TEXT);
    return 2;
}

static int trusted_close(lua_State *L) {
    return is_owned(L) ? luaL_error(L, PERI_TASK_OWNED_TEXT) : call_original(L);
}

void peri_guard_open_trusted(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "resume", trusted_resume },
                                          { "close", trusted_close } };
    lua_getglobal(L, LUA_COLIBNAME);
    for (size_t i = 0; lua_istable(L, -1) && i < sizeof functions / sizeof *functions; i++) {
        peri_state_push(L, s);
        lua_getfield(L, -2, functions[i].name);
        lua_pushcclosure(L, functions[i].func, 2);
        lua_setfield(L, -2, functions[i].name);
    }
    lua_pop(L, 1);
}
