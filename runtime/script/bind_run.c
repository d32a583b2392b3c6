/* peri.run: how a script that is no policy (a spec, a simulation, a tool) uses functions that wait. */
#include "base/err.h"
#include "script/open.h"
#include "script/task.h"

/* A function in a task, with its outcome: results or the error's own value (specs raise tables). */
struct job {
    struct peri_state *state;
    lua_State *from; /* run: the function is its argument 1, the outcome goes on its stack */
    struct peri_task *task;
    int status, count;
    bool is_over;
    enum peri_err err;
    struct peri_fault fault;
};

static int call_end(lua_State *L, int status, lua_KContext context) {
    (void)context;
    lua_pushinteger(L, status == LUA_YIELD ? LUA_OK : status);
    lua_insert(L, 1);
    return lua_gettop(L);
}

static int call_caught(lua_State *L) {
    return call_end(L, lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 0, call_end), 0);
}

static void note_over(struct job *j, enum peri_err err, const struct peri_fault *fault) {
    j->is_over = true;
    j->task = NULL;
    j->err = err;
    if (err != PERI_OK) j->fault = *fault;
}

/* run */

static int run_push(lua_State *L, void *arg) {
    struct job *j = arg;
    int count = lua_gettop(j->from);
    luaL_checkstack(L, count + 1, NULL);
    lua_pushcfunction(L, call_caught);
    for (int i = 1; i <= count; i++) lua_pushvalue(j->from, i);
    lua_xmove(j->from, L, count);
    return count;
}

static void run_take(lua_State *L, int count, void *arg) {
    struct job *j = arg;
    j->status = (int)lua_tointeger(L, 1);
    j->count = count - 1;
    if (!lua_checkstack(j->from, count)) luaL_error(L, "too many results");
    lua_xmove(L, j->from, count - 1);
}

static void run_done(void *arg, enum peri_err err, const struct peri_fault *fault) {
    note_over(arg, err, fault);
}

static const struct peri_task_ops run_ops = { run_push, run_take, run_done };

static int base_run(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (s->task != NULL || s->is_running) return luaL_error(L, "peri.run is running already");
    struct peri_loop *loop = peri_state_loop(L, s);
    luaL_checkstack(L, lua_gettop(L) + 4, NULL);
    struct job job = { .state = s, .from = L };
    s->is_running = true;
    enum peri_task_status status = peri_task_start(&job.task, s, &run_ops, &job, &job.fault);
    if (status == PERI_TASK_FAILED) note_over(&job, job.fault.err, &job.fault);
    if (status == PERI_TASK_DONE) note_over(&job, PERI_OK, NULL);
    while (!job.is_over) peri_loop_step(loop, true);
    peri_state_cancel_all(s);
    s->is_running = false;
    if (job.err != PERI_OK) return luaL_error(L, "%s", job.fault.text);
    return job.status == LUA_OK ? job.count : lua_error(L);
}

void peri_bind_run_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "run", base_run }, { NULL, NULL } };
    peri_state_set_functions(L, s, functions);
}
