/* States of a task: idle (in the pool) → running ⇄ waiting → idle. Its coroutine runs task_main, a C function
 * that lets the owner push the function, calls it and lets the owner take the results: so everything that may
 * raise happens inside the coroutine, and one lua_resume is the only way in. */
#include "script/state/task.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "script/state/meter.h"

struct peri_task {
    struct peri_list link; /* in its state's `idle` or `waiting`; stays first */
    struct peri_state *state;
    lua_State *co;  /* anchored in the registry under its own address */
    unsigned share; /* the state's, while it waits */
    bool is_waiting;
    bool is_given_out; /* a script holds the coroutine: it is not used for another task */
    const struct peri_task_ops *ops;
    void *arg;
    void (*cancel)(void *work);
    void *work;
};

lua_State *peri_task_thread(const struct peri_task *t) { return t->co; }
void *peri_task_arg(const struct peri_task *t) { return t->arg; }
const struct peri_task_ops *peri_task_ops(const struct peri_task *t) { return t->ops; }

/* The pool. */

/* The anchor says at the same time whose coroutine it is (peri_task_owns), and to take it away can not raise: the key
 * is there. */
static int make_coroutine(lua_State *L) { /* protected */
    struct peri_task *t = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, co); /* an anchor first, then the pointer it keeps alive */
    t->co = co;
    return 0;
}

static void drop_coroutine(struct peri_task *t) {
    lua_State *L = t->state->L;
    /* Without room for one value, which a stack always has, it would stay to the end of the state. */
    if (!lua_checkstack(L, 1)) return;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t->co);
}

bool peri_task_owns(lua_State *L, struct peri_state *s, lua_State *co) {
    bool is_owned = lua_rawgetp(L, LUA_REGISTRYINDEX, co) == LUA_TTHREAD;
    lua_pop(L, 1);
    return is_owned || co == s->L;
}

void peri_task_give_out(struct peri_task *t) { t->is_given_out = true; }

static struct peri_task *task_new(struct peri_state *s, struct peri_fault *fault) {
    struct peri_task *t = peri_calloc(1, sizeof *t);
    if (t == NULL) {
        peri_fault_set(fault, PERI_ENOMEM, "out of memory");
        return NULL;
    }
    t->state = s;
    peri_list_init(&t->link);
    if (peri_state_call(s, make_coroutine, t, fault) == PERI_OK) return t;
    peri_free(t);
    return NULL;
}

static struct peri_task *acquire(struct peri_state *s, struct peri_fault *fault) {
    if (s->idle_count == 0) return task_new(s, fault);
    struct peri_task *t = peri_list_entry(s->idle.prev, struct peri_task, link);
    peri_list_remove(&t->link);
    s->idle_count--;
    return t;
}

static void stop_waiting(struct peri_task *t) {
    if (t->is_waiting) t->state->waiting_count--;
    t->is_waiting = false;
    peri_list_remove(&t->link);
}

/* Back to the pool, when it returned, there is room and no script has its coroutine. Every other coroutine ends here
 * and now: what still stands on its stack, a continuation with its work, is nothing that a script which kept the
 * coroutine may go on with. A policy's closers are none that could run then (script/state/metatables.c); a trusted
 * script's do. */
static void release(struct peri_task *t, bool has_returned) {
    struct peri_state *s = t->state;
    stop_waiting(t);
    t->ops = NULL;
    t->arg = t->work = NULL;
    t->cancel = NULL;
    if (has_returned && !t->is_given_out && s->idle_count < PERI_TASK_POOL_MAX) {
        peri_list_insert(&s->idle, &t->link);
        s->idle_count++;
        return;
    }
    lua_resetthread(t->co);
    lua_settop(t->co,
               0); /* the error's value: a coroutine with a value on its stack seems to be new */
    drop_coroutine(t);
    peri_free(t);
}

/* Running. */

static int task_end(lua_State *L, int status, lua_KContext context) {
    struct peri_task *t =
        (struct peri_task *)context; /* NOLINT: Lua's own way to carry a pointer */
    (void)status;
    if (t->ops->take != NULL) t->ops->take(L, lua_gettop(L), t->arg);
    lua_settop(L, 0);
    return 0;
}

static int task_main(lua_State *L) {
    struct peri_task *t = lua_touserdata(L, 1);
    lua_settop(L, 0);
    int count = t->ops->push(L, t->arg);
    lua_callk(L, count, LUA_MULTRET, (lua_KContext)t, task_end);
    return task_end(L, LUA_OK, (lua_KContext)t);
}

static int write_trace(lua_State *L) { /* protected */
    struct peri_task *t = lua_touserdata(L, 1);
    luaL_traceback(L, t->co, NULL, 0);
    snprintf(t->state->trace, sizeof t->state->trace, "%s", lua_tostring(L, -1));
    return 0;
}

static void keep_trace(struct peri_task *t) {
    lua_State *L = t->state->L;
    t->state->trace[0] = '\0';
    if (!lua_checkstack(L, 3)) return;
    lua_pushcfunction(L, write_trace);
    lua_pushlightuserdata(L, t);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* One entry has ended with `status`, and not by waiting. Still inside the budget, as an error value may have a
 * __tostring. */
static enum peri_err conclude(struct peri_task *t, int status, struct peri_fault *fault) {
    struct peri_state *s = t->state;
    enum peri_err err = PERI_OK;
    if (status == LUA_YIELD && !t->is_waiting)
        err = peri_fault_set(fault, PERI_EPOLICY, "yielded where nothing resumes it");
    else if (status != LUA_OK)
        err = peri_state_explain(s, t->co, status, fault);
    if (err == PERI_OK) return PERI_OK;
    keep_trace(t);
    if (t->is_waiting && t->cancel != NULL) t->cancel(t->work);
    return err;
}

bool peri_task_allow(struct peri_state *s, void *arg) {
    s->budget.limits = s->options.entry;
    s->is_last_entry = false;
    if (s->options.allow == NULL) return true;
    struct peri_allowance a = s->options.allow(s->host, arg);
    s->budget.limits = peri_state_limits(s->options.entry, a.more_ms);
    s->is_last_entry = a.left_ms < s->budget.limits.cpu_ms;
    if (s->is_last_entry) s->budget.limits.cpu_ms = a.left_ms > 0 ? a.left_ms : 1;
    return a.left_ms > 0;
}

static enum peri_task_status run(struct peri_task *t, int count, struct peri_fault *fault) {
    struct peri_state *s = t->state;
    int results = 0;
    s->task = t;
    s->share = t->share;
    s->is_over_cap = false;
    bool has_time = peri_task_allow(s, t->arg);
    peri_budget_enter(&s->budget, t->co);
    if (!has_time) peri_budget_expire(&s->budget); /* short entries would else go on for ever */
    if (s->options.meter != NULL) peri_meter_enter(s->options.meter);
    int status = lua_resume(t->co, s->L, count, &results);
    if (s->options.meter != NULL) peri_meter_leave(s->options.meter);
    enum peri_err err = PERI_OK;
    /* A budget that ends behind the last instruction which could be stopped, as work is started or on the way out, ends
     * nothing: an entry that follows is stopped inside the script, where it can be said whose it is. */
    bool is_waiting = status == LUA_YIELD && t->is_waiting;
    if (!is_waiting) err = conclude(t, status, fault);
    uint64_t spent = s->options.settle != NULL ? peri_budget_spent_ns(&s->budget) : 0;
    peri_budget_leave(&s->budget);
    s->task = NULL;
    s->share = 0;
    if (s->options.settle != NULL) s->options.settle(s->host, t->arg, spent);
    if (is_waiting) return PERI_TASK_WAITING;
    release(t, err == PERI_OK);
    return err == PERI_OK ? PERI_TASK_DONE : PERI_TASK_FAILED;
}

enum peri_task_status peri_task_start(struct peri_task **out, struct peri_state *s,
                                      const struct peri_task_ops *ops, void *arg,
                                      struct peri_fault *fault) {
    if (out != NULL) *out = NULL;
    if (s->task != NULL) peri_bug("Lua is entered from the loop, not from inside Lua");
    struct peri_task *t = acquire(s, fault);
    if (t == NULL) return PERI_TASK_FAILED;
    if (!lua_checkstack(t->co, 3)) {
        release(t, true);
        peri_fault_set(fault, PERI_ENOMEM, "out of memory");
        return PERI_TASK_FAILED;
    }
    t->ops = ops;
    t->arg = arg;
    t->share = 0;
    lua_pushcfunction(t->co, task_main);
    lua_pushlightuserdata(t->co, t);
    enum peri_task_status status = run(t, 1, fault);
    if (status == PERI_TASK_WAITING && out != NULL) *out = t;
    return status;
}

void peri_task_resume(struct peri_task *t) {
    if (!t->is_waiting || t->state->task != NULL)
        peri_bug("only a waiting task is resumed, from the loop");
    const struct peri_task_ops *ops = t->ops;
    void *arg = t->arg;
    struct peri_fault fault = { PERI_OK, "" };
    stop_waiting(t);
    t->cancel = NULL;
    if (run(t, 0, &fault) != PERI_TASK_WAITING && ops->done != NULL)
        ops->done(arg, fault.err, &fault);
}

void peri_task_cancel(struct peri_task *t) {
    if (!t->is_waiting) peri_bug("only a waiting task is cancelled");
    stop_waiting(t);
    if (t->cancel != NULL) t->cancel(t->work);
    release(t, false);
}

void peri_state_cancel_all(struct peri_state *s) {
    while (!peri_list_is_empty(&s->waiting))
        peri_task_cancel(peri_list_entry(s->waiting.next, struct peri_task, link));
}

/* Waiting. */

struct peri_task *peri_task_of(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    struct peri_task *t = s->task;
    if (t == NULL)
        luaL_error(L, "nothing can wait here: only `request`, `route` and what peri.run runs may");
    if (t->co != L) luaL_error(L, "nothing can wait inside a coroutine of the script's own");
    if (!lua_isyieldable(L))
        luaL_error(L, "nothing can wait in a function that table.sort, string.gsub … call");
    return t;
}

int peri_task_wait(lua_State *L, struct peri_task *t, void (*cancel)(void *work), void *work,
                   lua_KFunction next) {
    t->cancel = cancel;
    t->work = work;
    t->share = t->state->share;
    t->is_waiting = true;
    t->state->waiting_count++;
    peri_list_insert(&t->state->waiting, &t->link);
    return lua_yieldk(L, 0, (lua_KContext)work, next);
}
