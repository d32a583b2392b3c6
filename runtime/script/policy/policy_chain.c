/* The hooks `request` and `route` of all policies: one coroutine a request, as they may wait. Each is called protected,
 * and what it changed before it failed is taken back: the chain goes on with what the others have made of the request. */
#include <stdio.h>

#include "base/err.h"
#include "script/policy/policy_parts.h"
#include "script/state/task.h"

static struct peri_lua_request *owner(lua_State *L) { return peri_task_arg(peri_task_of(L)); }

/* What `route` returned stands at the top.
 *   gives   PERI_OK, taken or nil · PERI_EPOLICY: it is nothing to serve */
static enum peri_err take_route(lua_State *L, struct peri_lua_request *r, size_t link,
                                struct peri_fault *fault) {
    if (lua_isnil(L, -1)) return PERI_OK;
    struct peri_attempt *a = peri_bind_answer_attempt(L, -1, r->request);
    if (a == NULL)
        return peri_fault_set(
            fault, PERI_EPOLICY,
            "policy '%.*s': route must return what req:try gave, or nil, got a %s",
            PERI_STR_ARGS(r->set->links[link].name), luaL_typename(L, -1));
    r->decision = PERI_SERVE;
    r->serve = a;
    return PERI_OK;
}

/* A provider has answered, and the hook did not return that: most likely a `return` is missing, or it stands in the
 * wrong hook. The provider is let go; the author is told, once. */
static void drop_answer(struct peri_lua_request *r) {
    struct peri_link *link = &r->set->links[r->link];
    enum peri_hook hook = r->hook;
    struct peri_log *log = &r->set->worker->env.logs.of[PERI_COMPONENT_POLICY];
    if (!peri_bind_request_drop_answer(r) || link->has_told[hook]) return;
    link->has_told[hook] = true;
    if (!peri_log_begin(log, PERI_LOG_WARN, "policy threw an answer away")) return;
    char detail[400];
    snprintf(detail, sizeof detail,
             "%.200s:%d: a provider answered req:try, and `%s` did not return that%s", link->file.p,
             link->lines[hook], peri_hook_names[hook],
             hook == PERI_ON_REQUEST ? ": answers are chosen in `route`" : "");
    peri_log_str(log, "request_id", peri_request_id(r->request));
    peri_log_str(log, "policy", link->name);
    peri_log_str(log, "hook", peri_str_of(peri_hook_names[hook]));
    peri_log_str(log, "detail", peri_str_of(detail));
    peri_log_end(log);
}

/* A hook has returned, at once or after waiting, or failed; its result or its error stands at the top.
 *   gives   false when nothing is left to be asked */
static bool conclude_hook(lua_State *L, struct peri_lua_request *r, int status) {
    struct peri_policy_lua *set = r->set;
    size_t link = r->link;
    enum peri_hook hook = r->hook;
    struct peri_fault fault = { .err = PERI_OK };
    enum peri_err err = PERI_OK;
    if (status != LUA_OK && status != LUA_YIELD)
        err = peri_state_explain(set->state, L, status, &fault);
    else if (hook == PERI_ON_ROUTE && r->decision == PERI_UNDECIDED)
        err = take_route(L, r, link, &fault);
    if (err != PERI_OK) {
        peri_policy_rollback(r, &r->before);
        r->answered = NULL;
        bool may_go_on = peri_policy_failed(set, link, hook, r->request, &fault);
        may_go_on &= peri_policy_spend_entry(r);
        if (peri_policy_renew_budget(set, L)) r->settled_ns = 0;
        return may_go_on;
    }
    if (r->generation == set->links[link].generation) peri_policy_worked(set, link, hook);
    /* Of an only policy the end of the entry is early enough. */
    bool is_spent = peri_budget_end(&set->state->budget) != PERI_BUDGET_LEFT;
    if ((set->count > 1 || is_spent) && !peri_policy_spend_entry(r)) return false;
    if (peri_policy_renew_budget(set, L)) r->settled_ns = 0;
    if (r->decision != PERI_UNDECIDED)
        r->routed_by = link;
    else if (r->answered != NULL)
        drop_answer(r);
    return r->decision == PERI_UNDECIDED && !r->is_refused;
}

/* Step i is the `request` hook of link i, for i < count; then step count + i its `route` hook. The context of a hook
 * that waits is the number of the step after it. */
static int run_chain(lua_State *L, int status, lua_KContext context) {
    struct peri_lua_request *r = owner(L);
    struct peri_policy_lua *set = r->set;
    size_t step = (size_t)context;
    bool has_run = step > 0; /* a hook, in this entry */
    if (step > 0 && !conclude_hook(L, r, status)) return 0;
    for (; step < 2 * set->count; step++) {
        const struct peri_link *link = &set->links[step % set->count];
        enum peri_hook hook = step >= set->count ? PERI_ON_ROUTE : PERI_ON_REQUEST;
        if (link->hooks[hook] == LUA_NOREF) continue;
        bool is_out = peri_policy_is_out(set, step % set->count, r);
        if (link->is_closed || (is_out && link->is_guard)) {
            peri_policy_refuse(link, r->request);
            return 0;
        }
        if (is_out) continue;
        r->link = step % set->count;
        r->hook = hook;
        r->generation = link->generation;
        if (has_run && set->count > 1) peri_policy_next_budget(r, L);
        has_run = true;
        r->before = peri_policy_mark(r);
        set->state->share = link->share;
        lua_settop(L, 1); /* stack: req */
        lua_rawgeti(L, LUA_REGISTRYINDEX, set->on_error);
        lua_rawgeti(L, LUA_REGISTRYINDEX, link->hooks[hook]);
        lua_pushvalue(L, 1);
        status = lua_pcallk(L, 1, 1, 2, (lua_KContext)step + 1, run_chain);
        if (!conclude_hook(L, r, status)) break;
    }
    return 0;
}

static int begin_chain(lua_State *L) { return run_chain(L, LUA_OK, 0); }

static int push_chain(lua_State *L, void *arg) {
    peri_state_push(L, ((struct peri_lua_request *)arg)->set->state);
    lua_pushcclosure(L, begin_chain, 1);
    peri_bind_request_push(L, arg);
    return 1;
}

static void carry_out(struct peri_lua_request *r) {
    struct peri_request *q = r->request;
    struct peri_policy_lua *set = r->set;
    if (r->is_refused) {
        peri_request_refuse(q);
        return;
    }
    if (r->decision != PERI_UNDECIDED) {
        const struct peri_link *link = &set->links[r->routed_by];
        struct peri_str name = peri_arena_printf(&q->arena, "%.*s@%llu", PERI_STR_ARGS(link->name),
                                                 (unsigned long long)link->generation);
        if (name.p != NULL) q->outcome.route = name;
    }
    switch (r->decision) {
    case PERI_SERVE: peri_request_serve(q, r->serve); return;
    case PERI_REPLY: peri_request_reply(q, r->status, r->reply); return;
    case PERI_UNDECIDED: peri_request_default(q); return;
    }
}

/* An error here is none of a hook's: the coroutine itself could not be run. */
static void on_chain_done(void *arg, enum peri_err err, const struct peri_fault *fault) {
    struct peri_lua_request *r = arg;
    r->task = NULL;
    if (err != PERI_OK) {
        r->decision = PERI_UNDECIDED;
        peri_policy_failed_all(r->set, r->hook, r->request, fault);
    }
    carry_out(r);
}

static const struct peri_task_ops chain_ops = { push_chain, NULL, on_chain_done };

void peri_policy_decide(void *self, struct peri_request *q) {
    struct peri_lua_request *r = peri_arena_zalloc(&q->arena, sizeof *r);
    if (r == NULL) {
        struct peri_fault fault;
        peri_fault_set(&fault, PERI_ENOMEM, "out of memory");
        if (peri_policy_failed_all(self, PERI_ON_REQUEST, q, &fault))
            peri_request_default(q);
        else
            peri_request_refuse(q);
        return;
    }
    r->set = self;
    r->request = q;
    if (q->body != NULL) r->body_bytes = peri_json_raw(q->body, peri_json_root(q->body)).n;
    q->task = r;
    peri_policy_settle(r->set);
    if (r->set->closed != NULL) {
        peri_policy_refuse(r->set->closed, q);
        peri_request_refuse(q);
        return;
    }
    struct peri_fault fault;
    struct peri_task *task;
    switch (peri_task_start(&task, r->set->state, &chain_ops, r, &fault)) {
    case PERI_TASK_DONE: carry_out(r); return;
    case PERI_TASK_FAILED: on_chain_done(r, fault.err, &fault); return;
    case PERI_TASK_WAITING: r->task = task; return;
    }
}
