/* peri.run and peri.spawn: how a script that is no policy (a spec, a simulation, a tool) uses functions that
 * wait. A run turns the loop until its function has ended. Then what was spawned and still waits is cancelled,
 * and what has failed without anybody having waited for it is an error of the run. */
#include "base/err.h"
#include "script/open.h"
#include "script/state/task.h"
#include "script/state/self.h"

#define TASK_TYPE "perilune.task"

/* A function in a task, and its outcome: results, or the error's own value (specs raise tables). For `run` it
 * stands on the C stack; for `spawn` it is a userdata, held in the registry (`self`) until it is accounted for,
 * whose user value is first the function and its arguments, then the outcome. */
struct job {
    struct peri_list link; /* spawn: in the state's `spawned` */
    struct peri_state *state;
    lua_State
        *from; /* run: the function and its arguments are its stack, the outcome goes on top */
    struct peri_task *task, *waiter;
    int self;
    int status, count; /* Lua's status of the call; how many values the outcome has */
    unsigned posts;    /* messages of the loop that will name the job */
    bool is_over, is_seen, is_canceled;
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
    if (err != PERI_OK && fault != &j->fault) j->fault = *fault;
}

/* Start a job's task; gives true when it is over already. */
static bool start(struct job *j, const struct peri_task_ops *ops) {
    switch (peri_task_start(&j->task, j->state, ops, j, &j->fault)) {
    case PERI_TASK_WAITING: return false;
    case PERI_TASK_DONE: note_over(j, PERI_OK, NULL); break;
    case PERI_TASK_FAILED: note_over(j, j->fault.err, &j->fault); break;
    }
    return true;
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

/* spawn */

static void push_self(lua_State *L, struct job *j) { lua_rawgeti(L, LUA_REGISTRYINDEX, j->self); }

static int spawn_push(lua_State *L, void *arg) {
    struct job *j = arg;
    luaL_checkstack(L, j->count + 3, NULL);
    push_self(L, j);
    lua_getiuservalue(L, -1, 1); /* stack: job values */
    lua_pushcfunction(L, call_caught);
    for (int i = 1; i <= j->count; i++) lua_rawgeti(L, 2, i);
    lua_remove(L, 1);
    lua_remove(L, 1);
    return j->count;
}

static void keep_values(lua_State *L, int first, int count, int job) {
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushvalue(L, first + i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setiuservalue(L, job, 1);
}

static void spawn_take(lua_State *L, int count, void *arg) {
    struct job *j = arg;
    luaL_checkstack(L, 4, NULL);
    j->status = (int)lua_tointeger(L, 1);
    j->count = count - 1;
    push_self(L, j);
    keep_values(L, 2, j->count, count + 1);
}

/* Nobody needs the job but its handle, if the script still has it; and a message that is under way. */
static void let_go(struct job *j) {
    peri_list_remove(&j->link);
    if (j->posts > 0) return;
    luaL_unref(j->state->L, LUA_REGISTRYINDEX, j->self);
    j->self = LUA_NOREF;
}

static bool has_failed(const struct job *j) {
    return !j->is_canceled && (j->err != PERI_OK || j->status != LUA_OK);
}

static void conclude(struct job *j) {
    struct peri_task *waiter = j->waiter;
    j->waiter = NULL;
    if (waiter != NULL) j->is_seen = true;
    if (waiter == NULL && !has_failed(j)) let_go(j);
    if (waiter != NULL) peri_task_resume(waiter); /* its continuation lets go */
}

static void spawn_done(void *arg, enum peri_err err, const struct peri_fault *fault) {
    note_over(arg, err, fault);
    conclude(arg);
}

static const struct peri_task_ops run_ops = { run_push, run_take, run_done };
static const struct peri_task_ops spawn_ops = { spawn_push, spawn_take, spawn_done };

static void on_start(void *arg) {
    struct job *j = arg;
    j->posts--;
    if (j->is_over || start(j, &spawn_ops)) conclude(j);
}

static void on_canceled(void *arg) {
    struct job *j = arg;
    j->posts--;
    conclude(j);
}

/* Go on from the loop: not now, as Lua runs. */
static void post(lua_State *L, struct job *j, void (*run)(void *arg)) {
    enum peri_err err = peri_loop_post(peri_state_loop(L, j->state), run, j);
    if (err != PERI_OK) luaL_error(L, "%s", peri_err_text(err));
    j->posts++;
}

static int base_spawn(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (!s->is_running) return luaL_error(L, "peri.spawn works inside peri.run only");
    int count = lua_gettop(L);
    struct job *j = lua_newuserdatauv(L, sizeof *j, 1);
    *j = (struct job){ .state = s, .count = count };
    peri_list_init(&j->link);
    luaL_setmetatable(L, TASK_TYPE);
    keep_values(L, 1, count, count + 1);
    lua_pushvalue(L, -1);
    j->self =
        luaL_ref(L, LUA_REGISTRYINDEX); /* if posting raises, it stays to the end of the state */
    post(L, j, on_start);
    peri_list_insert(&s->spawned, &j->link);
    return 1;
}

static int push_outcome(lua_State *L, struct job *j) {
    if (j->self != LUA_NOREF) let_go(j);
    if (j->is_canceled) return luaL_error(L, "the task was cancelled");
    if (j->err != PERI_OK) return luaL_error(L, "%s", j->fault.text);
    luaL_checkstack(L, j->count + 1, "too many results");
    lua_getiuservalue(L, 1, 1);
    int values = lua_gettop(L);
    for (int i = 1; i <= j->count; i++) lua_rawgeti(L, values, i);
    return j->status == LUA_OK ? j->count : lua_error(L);
}

static int wait_done(lua_State *L, int status, lua_KContext context) {
    (void)status;
    return push_outcome(L, (struct job *)context); /* NOLINT: Lua's own way to carry a pointer */
}

static void on_wait_canceled(void *work) {
    struct job *j = work;
    j->waiter = NULL;
}

/* `task` is not known yet during the first entry. */
static bool runs_now(const struct job *j) {
    const struct peri_task *t = j->state->task;
    return t != NULL && peri_task_ops(t) == &spawn_ops && peri_task_arg(t) == j;
}

static int task_wait(lua_State *L) {
    struct job *j = peri_check_self(L, TASK_TYPE, "task");
    lua_settop(L, 1);
    if (j->is_over) return push_outcome(L, j);
    struct peri_task *t = peri_task_of(L);
    if (runs_now(j)) return luaL_error(L, "a task cannot wait for itself");
    if (j->waiter != NULL) return luaL_error(L, "somebody waits for this task already");
    j->waiter = t;
    return peri_task_wait(L, t, on_wait_canceled, j, wait_done);
}

/* Over first: closing its coroutine runs the script's closers, and one of those may cancel it again. */
static void cancel(struct job *j) {
    struct peri_task *task = j->task;
    j->is_canceled = true;
    note_over(j, PERI_OK, NULL);
    if (task != NULL) peri_task_cancel(task);
}

static int task_cancel(lua_State *L) {
    struct job *j = peri_check_self(L, TASK_TYPE, "task");
    if (j->is_over) return 0;
    if (runs_now(j)) return luaL_error(L, "a task cannot cancel itself");
    if (j->task != NULL)
        post(L, j, on_canceled); /* otherwise on_start finds it over, and concludes */
    cancel(j);
    return 0;
}

/* The end of a run. */

static void cancel_spawned(struct peri_state *s) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &s->spawned) {
        struct job *j = peri_list_entry(at, struct job, link);
        if (!j->is_over) cancel(j);
    }
}

/* Let go of every job; gives one that failed unseen, on the top of L, or NULL. */
static struct job *account_for_spawned(lua_State *L, struct peri_state *s) {
    struct job *failed = NULL;
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &s->spawned) {
        struct job *j = peri_list_entry(at, struct job, link);
        if (failed == NULL && has_failed(j) && !j->is_seen) {
            failed = j;
            push_self(L, j);
        }
        let_go(j);
    }
    return failed;
}

static int base_run(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (s->task != NULL || s->is_running) return luaL_error(L, "peri.run is running already");
    struct peri_loop *loop = peri_state_loop(L, s);
    luaL_checkstack(L, lua_gettop(L) + 4, NULL);
    struct job job = { .state = s, .from = L };
    s->is_running = true;
    peri_loop_step(loop,
                   false); /* the loop's time is that of its last turn, which may be long ago */
    start(&job, &run_ops);
    while (!job.is_over) peri_loop_step(loop, true);
    cancel_spawned(s);
    peri_state_cancel_all(s);
    s->is_running = false;
    struct job *failed = account_for_spawned(L, s);
    if (job.err != PERI_OK) return luaL_error(L, "%s", job.fault.text);
    if (failed != NULL && job.status == LUA_OK) {
        lua_insert(L, 1); /* where the outcome is looked for */
        return push_outcome(L, failed);
    }
    if (failed != NULL) lua_pop(L, 1);
    return job.status == LUA_OK ? job.count : lua_error(L);
}

void peri_bind_run_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "run", base_run },
                                          { "spawn", base_spawn },
                                          { NULL, NULL } };
    static const luaL_Reg methods[] = { { "wait", task_wait },
                                        { "cancel", task_cancel },
                                        { NULL, NULL } };
    luaL_newmetatable(L, TASK_TYPE);
    lua_newtable(L);
    peri_state_set_functions(L, s, methods);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, TASK_TYPE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    peri_state_set_functions(L, s, functions);
}
