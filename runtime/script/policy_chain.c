/* The hooks `request` and `route` of all policies: one coroutine a request, as they may wait. */
#include <stdio.h>

#include "base/err.h"
#include "script/policy_parts.h"
#include "script/task.h"

/* Step 2·i is the `request` hook of link i, for i < count; then step 2·count + i its `route` hook: one number says
 * where the chain stands when a hook has waited. */
static int chain(lua_State *L, int status, lua_KContext step);

static int call_hook(lua_State *L, struct peri_policy_lua *set, size_t link, enum peri_hook hook,
                     lua_KContext step) {
    /* stack: req */
    lua_settop(L, 1);
    set->state->share = set->links[link].share;
    lua_rawgeti(L, LUA_REGISTRYINDEX, set->links[link].hooks[hook]);
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 1, step, chain);
    return chain(L, LUA_OK, step);
}

static struct peri_lua_request *owner(lua_State *L) { return peri_task_arg(peri_task_of(L)); }

/* What `route` returned stands at index 2. */
static bool take_route(lua_State *L, struct peri_lua_request *r, size_t link) {
    if (lua_isnil(L, 2)) return false;
    struct peri_attempt *a = peri_bind_answer_attempt(L, 2, r->request);
    if (a == NULL)
        luaL_error(L, "policy '%s': route must return what req:try gave, or nil, got a %s",
                   r->set->links[link].name.p, luaL_typename(L, 2));
    r->decision = PERI_SERVE;
    r->serve = a;
    r->routed_by = link;
    return true;
}

/* A provider has answered, and the hook did not return that: most likely a `return` is missing, or it stands in the
 * wrong hook. The provider is let go; the author is told, once. */
static void drop_answer(lua_State *L, struct peri_lua_request *r, size_t at, enum peri_hook hook) {
    struct peri_link *link = &r->set->links[at];
    struct peri_log *log = &r->set->worker->logs.of[PERI_COMPONENT_POLICY];
    if (!peri_bind_request_drop_answer(r) || link->has_told[hook]) return;
    link->has_told[hook] = true;
    lua_Debug where;
    lua_rawgeti(L, LUA_REGISTRYINDEX, link->hooks[hook]);
    if (lua_getinfo(L, ">S", &where) == 0 ||
        !peri_log_begin(log, PERI_LOG_WARN, "policy threw an answer away"))
        return;
    char detail[sizeof where.short_src + 160];
    snprintf(detail, sizeof detail,
             "%s:%d: a provider answered req:try, and `%s` did not return that%s", where.short_src,
             where.linedefined, peri_hook_names[hook],
             hook == PERI_ON_REQUEST ? ": answers are chosen in `route`" : "");
    peri_log_str(log, "request_id", peri_request_id(r->request));
    peri_log_str(log, "policy", link->name);
    peri_log_str(log, "hook", peri_str_of(peri_hook_names[hook]));
    peri_log_str(log, "detail", peri_str_of(detail));
    peri_log_end(log);
}

static int chain(lua_State *L, int status, lua_KContext step) {
    struct peri_lua_request *r = owner(L);
    struct peri_policy_lua *set = r->set;
    size_t done = (size_t)step; /* hooks that have run, counted over both rounds */
    (void)status;
    if (done > 0) {
        size_t link = (done - 1) % set->count;
        if (r->decision == PERI_REPLY) {
            r->routed_by = link;
            return 0;
        }
        if (done > set->count && lua_gettop(L) >= 2 && take_route(L, r, link)) return 0;
        if (r->answered != NULL)
            drop_answer(L, r, link, done <= set->count ? PERI_ON_REQUEST : PERI_ON_ROUTE);
    }
    for (size_t at = done; at < 2 * set->count; at++) {
        enum peri_hook hook = at < set->count ? PERI_ON_REQUEST : PERI_ON_ROUTE;
        if (set->links[at % set->count].hooks[hook] != LUA_NOREF)
            return call_hook(L, set, at % set->count, hook, (lua_KContext)at + 1);
    }
    return 0;
}

static int begin_chain(lua_State *L) { return chain(L, LUA_OK, 0); }

static int push_chain(lua_State *L, void *arg) {
    peri_state_push(L, ((struct peri_lua_request *)arg)->set->state);
    lua_pushcclosure(L, begin_chain, 1);
    peri_bind_request_push(L, arg);
    return 1;
}

static void carry_out(struct peri_lua_request *r) {
    struct peri_request *q = r->request;
    struct peri_policy_lua *set = r->set;
    if (r->decision != PERI_UNDECIDED) {
        struct peri_str name =
            peri_arena_printf(&q->arena, "%s@%llu", set->links[r->routed_by].name.p,
                              (unsigned long long)set->policy.generation);
        if (name.p != NULL) q->outcome.route = name;
    }
    switch (r->decision) {
    case PERI_SERVE: peri_request_serve(q, r->serve); return;
    case PERI_REPLY: peri_request_reply(q, r->status, r->reply); return;
    case PERI_UNDECIDED: peri_request_default(q); return;
    }
}

static void on_chain_done(void *arg, enum peri_err err, const struct peri_fault *fault) {
    struct peri_lua_request *r = arg;
    r->task = NULL;
    if (err != PERI_OK) {
        peri_policy_report(r->set, r->request, PERI_ON_ROUTE, fault);
        r->decision = PERI_UNDECIDED;
    }
    carry_out(r);
}

static const struct peri_task_ops chain_ops = { push_chain, NULL, on_chain_done };

void peri_policy_decide(void *self, struct peri_request *q) {
    struct peri_lua_request *r = peri_arena_zalloc(&q->arena, sizeof *r);
    if (r == NULL) {
        peri_request_default(q);
        return;
    }
    r->set = self;
    r->request = q;
    q->task = r;
    struct peri_fault fault;
    struct peri_task *task;
    switch (peri_task_start(&task, r->set->state, &chain_ops, r, &fault)) {
    case PERI_TASK_DONE: carry_out(r); return;
    case PERI_TASK_FAILED: on_chain_done(r, fault.err, &fault); return;
    case PERI_TASK_WAITING: r->task = task; return;
    }
}
