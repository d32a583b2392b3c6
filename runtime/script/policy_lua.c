#include "script/policy_lua.h"

#include "base/err.h"
#include "base/json_edit.h"
#include "base/mem.h"
#include "script/bind_hook.h"
#include "script/bind_provider.h"
#include "script/bind_request.h"
#include "script/policy_load.h"
#include "script/task.h"

#define EVENT_ADD_MAX 1048576 /* bytes that hooks may make of one event */

/* ---- Failures ---- */

static void report(struct peri_policy_lua *set, struct peri_request *r, const char *hook,
                   const struct peri_fault *f) {
    struct peri_log *log = &set->worker->logs.of[PERI_COMPONENT_POLICY];
    r->outcome.has_policy_error = true;
    if (!peri_log_begin(log, PERI_LOG_ERROR, "policy failed")) return;
    peri_log_str(log, "request_id", peri_request_id(r));
    peri_log_str(log, "hook", peri_str_of(hook));
    peri_log_str(log, "error", peri_str_of(peri_err_name(f->err)));
    peri_log_str(log, "detail", peri_str_of(f->text));
    peri_log_int(log, "generation", (int64_t)set->policy.generation);
    peri_log_end(log);
}

/* ---- request and route: one coroutine ---- */

/* Step 2·i is the `request` hook of link i, for i < count; then step 2·count + i its `route` hook: one number says
 * where the chain stands when a hook has waited. */
static int chain(lua_State *L, int status, lua_KContext step);

static int call_hook(lua_State *L, struct peri_policy_lua *set, size_t link, enum peri_hook hook,
                     lua_KContext step) {
    /* stack: req */
    lua_settop(L, 1);
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
        report(r->set, r->request, "route", fault);
        r->decision = PERI_UNDECIDED;
    }
    carry_out(r);
}

static const struct peri_task_ops chain_ops = { push_chain, NULL, on_chain_done };

static void decide(void *self, struct peri_request *q) {
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

/* ---- The other hooks: called through, may not wait ---- */

struct visit {
    struct peri_policy_lua *set;
    struct peri_request *request;
    enum peri_hook hook;
    void *object;
    const struct peri_provider
        *provider; /* whose attempt, event or answer it is; NULL: it is over */
};

/* All links after the 63rd share one bit: they are asked once too often rather than not at all. */
static uint64_t bit_of(size_t link) { return UINT64_C(1) << (link < 63 ? link : 63); }

/* Does a policy want to see this? One for certain networks hears of the end only of requests it has met. */
static bool asks_for(const struct visit *v, const struct peri_link *link, size_t i) {
    if (link->hooks[v->hook] == LUA_NOREF) return false;
    if (link->network_count == 0) return true;
    if (v->provider == NULL) {
        const struct peri_lua_request *known = v->request->task;
        return known != NULL && (known->asked & bit_of(i)) != 0;
    }
    for (size_t k = 0; k < link->network_count; k++)
        if (peri_str_eq(link->networks[k], v->provider->network)) return true;
    return false;
}

/* Does any? If not, Lua is left alone. */
static bool is_asked_for(const struct visit *v) {
    for (size_t i = 0; i < v->set->count; i++)
        if (asks_for(v, &v->set->links[i], i)) return true;
    return false;
}

/* stack: object; for each link: hook(req, object) */
static void call_each(lua_State *L, struct visit *v) {
    int object = lua_gettop(L);
    struct peri_lua_request *known = v->request->task;
    for (size_t i = 0; i < v->set->count; i++) {
        const struct peri_link *link = &v->set->links[i];
        if (!asks_for(v, link, i)) continue;
        if (known != NULL && v->provider != NULL) known->asked |= bit_of(i);
        lua_rawgeti(L, LUA_REGISTRYINDEX, link->hooks[v->hook]);
        if (v->request->task != NULL)
            peri_bind_request_push(L, v->request->task);
        else
            lua_pushnil(L);
        lua_pushvalue(L, object);
        lua_call(L, 2, 0);
    }
}

static int call_hooks(lua_State *L) { /* stack: visit, object */
    call_each(L, lua_touserdata(L, 1));
    return 0;
}

/* Whatever becomes of the hooks, the object they got is empty afterwards: a script may keep it, what it stands for
 * goes away. stack: …, object */
static int lend(lua_State *L, struct visit *v, void **box) {
    lua_pushcfunction(L, call_hooks);
    lua_pushlightuserdata(L, v);
    lua_pushvalue(L, -3);
    int status = lua_pcall(L, 2, 0, 0);
    *box = NULL;
    return status == LUA_OK ? 0 : lua_error(L);
}

static int visit_attempt(lua_State *L) {
    struct visit *v = lua_touserdata(L, 1);
    return lend(L, v, peri_bind_attempt_push(L, v->object));
}

static int visit_event(lua_State *L) {
    struct visit *v = lua_touserdata(L, 1);
    return lend(L, v, peri_bind_event_push(L, v->object));
}

static int visit_answer(lua_State *L) {
    struct visit *v = lua_touserdata(L, 1);
    return lend(L, v, peri_bind_answer_push(L, v->object));
}

static int visit_done(lua_State *L) {
    struct visit *v = lua_touserdata(L, 1);
    peri_bind_outcome_push(L, v->object);
    call_each(L, v);
    return 0;
}

/* The `req` object for hooks of a request that no coroutine was made for. */
static bool make_known(struct peri_policy_lua *set, struct peri_request *q) {
    if (q->task != NULL) return true;
    struct peri_lua_request *r = peri_arena_zalloc(&q->arena, sizeof *r);
    if (r == NULL) return false;
    r->set = set;
    r->request = q;
    q->task = r;
    q->is_known = true;
    return true;
}

static const char *const hook_names[] = { "request", "route", "attempt", "event",
                                          "answer",  "done",  "epoch" };

static enum peri_err visit(struct visit v, lua_CFunction run) {
    struct peri_fault fault = { .err = PERI_OK };
    if (!make_known(v.set, v.request)) return PERI_ENOMEM;
    enum peri_err err = peri_state_call(v.set->state, run, &v, &fault);
    if (err != PERI_OK) report(v.set, v.request, hook_names[v.hook], &fault);
    return err;
}

static enum peri_err on_attempt(void *self, struct peri_request *r, struct peri_attempt *a) {
    struct peri_policy_lua *set = self;
    struct visit v = { set, r, PERI_ON_ATTEMPT, a, a->candidate.provider };
    if (!is_asked_for(&v)) return PERI_OK;
    if (set->hooking == NULL) return visit(v, visit_attempt);
    /* A `req:try` is under way: the hooks run inside its coroutine, under its budget. */
    lua_State *L = set->hooking;
    if (!lua_checkstack(L, 8)) return PERI_ENOMEM;
    peri_state_push(L, set->state);
    lua_pushcclosure(L, visit_attempt, 1);
    lua_pushlightuserdata(L, &v);
    int status = lua_pcall(L, 1, 0, 0);
    if (status == LUA_OK) return PERI_OK;
    struct peri_fault fault;
    enum peri_err err = peri_state_explain(set->state, L, status, &fault);
    lua_pop(L, 1);
    report(set, r, hook_names[PERI_ON_ATTEMPT], &fault);
    return err;
}

static enum peri_verdict on_event(void *self, struct peri_request *r,
                                  const struct peri_event *event, struct peri_buf *out) {
    struct peri_hook_event e = { .event = event, .out = out };
    enum peri_verdict verdict = PERI_KEEP;
    struct visit v = { self, r, PERI_ON_EVENT, &e, event->attempt->candidate.provider };
    if (!is_asked_for(&v)) return PERI_KEEP;
    if (visit(v, visit_event) == PERI_OK) {
        if (e.is_replaced)
            verdict = PERI_REPLACE;
        else if (e.is_dropped)
            verdict = PERI_DROP;
        else if (e.json != NULL && peri_json_is_edited(e.json)) {
            struct peri_buf text;
            peri_buf_init(&text, EVENT_ADD_MAX);
            struct peri_str data = peri_json_text(e.json, &text);
            peri_buf_add(out, PERI_STR("data: "));
            peri_buf_add(out, data);
            verdict = data.p != NULL && peri_buf_add(out, PERI_STR("\n\n")) == PERI_OK
                          ? PERI_REPLACE
                          : PERI_BREAK; /* what was taken out of it must not go on */
            peri_buf_done(&text);
        }
    }
    peri_json_free(e.json);
    return verdict;
}

static enum peri_verdict on_answer(void *self, struct peri_request *r, struct peri_str json,
                                   struct peri_buf *out) {
    struct peri_hook_answer a = { .status = 200 };
    struct visit v = { self, r, PERI_ON_ANSWER, &a, r->serving->candidate.provider };
    if (!is_asked_for(&v)) return PERI_KEEP;
    if (peri_json_parse(&a.json, json, NULL, NULL) != PERI_OK) return PERI_KEEP;
    enum peri_verdict verdict = PERI_KEEP;
    if (visit(v, visit_answer) == PERI_OK && peri_json_is_edited(a.json))
        verdict = peri_json_text(a.json, out).p != NULL ? PERI_REPLACE : PERI_BREAK;
    peri_json_free(a.json);
    return verdict;
}

static void on_done(void *self, struct peri_request *r, const struct peri_outcome *outcome) {
    struct peri_outcome copy = *outcome;
    struct visit v = { self, r, PERI_ON_DONE, &copy, NULL };
    if (!is_asked_for(&v)) return;
    enum peri_err err = visit(v, visit_done);
    (void)err; /* reported; there is nothing to fall back to */
}

struct epoch_visit {
    struct peri_policy_lua *set;
    const struct peri_epoch_change *change;
};

static void push_addresses(lua_State *L, const char *name, const struct peri_str *list,
                           size_t count) {
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, list[i].p, list[i].n);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, name);
}

/* hook({ network =, old =, new =, added =, removed =, changed = }) */
static int visit_epoch(lua_State *L) {
    struct epoch_visit *v = lua_touserdata(L, 1);
    const struct peri_epoch_change *c = v->change;
    for (size_t i = 0; i < v->set->count; i++) {
        if (v->set->links[i].hooks[PERI_ON_EPOCH] == LUA_NOREF) continue;
        lua_rawgeti(L, LUA_REGISTRYINDEX, v->set->links[i].hooks[PERI_ON_EPOCH]);
        lua_createtable(L, 0, 6);
        lua_pushlstring(L, c->network.p, c->network.n);
        lua_setfield(L, -2, "network");
        lua_pushinteger(L, (lua_Integer)c->old_epoch);
        lua_setfield(L, -2, "old");
        lua_pushinteger(L, (lua_Integer)c->new_epoch);
        lua_setfield(L, -2, "new");
        push_addresses(L, "added", c->added, c->added_count);
        push_addresses(L, "removed", c->removed, c->removed_count);
        push_addresses(L, "changed", c->changed, c->changed_count);
        lua_call(L, 1, 0);
    }
    return 0;
}

static void on_epoch(void *self, const struct peri_epoch_change *change) {
    struct epoch_visit v = { self, change };
    struct peri_fault fault;
    if (peri_state_call(v.set->state, visit_epoch, &v, &fault) == PERI_OK) return;
    peri_log_say(&v.set->worker->logs.of[PERI_COMPONENT_POLICY], PERI_LOG_ERROR,
                 "policy failed in epoch: %s", fault.text);
}

static int forget_in_lua(lua_State *L) {
    peri_bind_request_forget(L, lua_touserdata(L, 1));
    return 0;
}

static void forget(void *self, struct peri_request *q) {
    struct peri_policy_lua *set = self;
    struct peri_lua_request *r = q->task;
    if (r == NULL) return;
    struct peri_task *task = r->task;
    r->task = NULL;
    if (task != NULL) peri_task_cancel(task);
    enum peri_err err = peri_state_tend(set->state, forget_in_lua, r);
    if (err != PERI_OK) peri_bug("an object that exists can be forgotten");
    q->task = NULL;
}

/* ---- Life ---- */

static void free_set(void *self) {
    struct peri_policy_lua *set = self;
    if (set->state != NULL) peri_state_cancel_all(set->state);
    peri_state_free(set->state);
    peri_arena_done(&set->arena);
    peri_free(set);
}

static void free_policy(struct peri_policy *p) { free_set(p->self); }

static bool has_hook(const struct peri_policy_lua *set, enum peri_hook hook) {
    for (size_t i = 0; i < set->count; i++)
        if (set->links[i].hooks[hook] != LUA_NOREF) return true;
    return false;
}

static int open_bindings(lua_State *L) {
    struct peri_state *s = lua_touserdata(L, 1);
    peri_bind_provider_open(L, s);
    peri_bind_request_open(L, s);
    peri_bind_hook_open(L, s);
    return 0;
}

/* In a simulated world there is nobody to fetch from. */
static enum peri_fetch_right fetch_nowhere(void *host, struct peri_str url_host, unsigned port) {
    (void)host, (void)url_host, (void)port;
    return PERI_FETCH_NOWHERE;
}

static enum peri_err open_set(struct peri_policy_home *home, struct peri_policy **out,
                              struct peri_policy_program *program, struct peri_worker *w,
                              uint64_t generation, struct peri_fault *fault) {
    struct peri_policy_lua *set = peri_calloc(1, sizeof *set);
    if (set == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    peri_arena_init(&set->arena, 0);
    set->worker = w;
    const char *search[2 + 64] = { home->lua_dir };
    size_t searched = home->lua_dir != NULL ? 1 : 0;
    for (size_t i = 0; i < program->count && searched < 64; i++)
        search[searched++] = program->files[i].folder;
    const struct peri_config *c = home->config;
    struct peri_budget_limits limits = { .steps = c->policy_instructions,
                                         .wall_ms = (uint32_t)c->policy_budget_ms };
    struct peri_state_options options = {
        .heap_max = c->policy_memory_bytes,
        .entry = limits,
        .load = limits,
        .loop = w == NULL ? NULL : w->loop,
        .log = w == NULL ? NULL : &w->logs.of[PERI_COMPONENT_POLICY],
        .shared = home->shared,
        .host = set,
        .search = search,
        .seed = c->seed == 0 || w == NULL ? 0 : c->seed + w->index,
        .clock = w == NULL ? NULL : w->runtime->clock,
        .fetch_right = w != NULL && w->runtime->world.dial != NULL ? fetch_nowhere : NULL,
    };
    enum peri_err err = peri_state_new(&set->state, &options);
    if (err != PERI_OK)
        peri_fault_set(fault, err, "the policies' memory limit of %zu bytes is too small",
                       options.heap_max);
    if (err == PERI_OK) err = peri_state_call(set->state, open_bindings, set->state, fault);
    if (err == PERI_OK) err = peri_policy_load(set, program, c, fault);
    if (err != PERI_OK) {
        free_set(set);
        return err;
    }
    bool decides = has_hook(set, PERI_ON_REQUEST) || has_hook(set, PERI_ON_ROUTE);
    set->ops = (struct peri_policy_ops){
        .decide = decides ? decide : NULL,
        .attempt = has_hook(set, PERI_ON_ATTEMPT) ? on_attempt : NULL,
        .event = has_hook(set, PERI_ON_EVENT) ? on_event : NULL,
        .answer = has_hook(set, PERI_ON_ANSWER) ? on_answer : NULL,
        .done = has_hook(set, PERI_ON_DONE) ? on_done : NULL,
        .epoch = has_hook(set, PERI_ON_EPOCH) ? on_epoch : NULL,
        .forget = forget,
    };
    set->policy = (struct peri_policy){ .ops = &set->ops,
                                        .self = set,
                                        .free = free_policy,
                                        .name = set->links[0].name,
                                        .generation = generation,
                                        .refs = 1 };
    *out = &set->policy;
    return PERI_OK;
}

static enum peri_err source_load(void *arg, void **out, struct peri_fault *fault) {
    struct peri_policy_home *home = arg;
    struct peri_policy_program *program = NULL;
    enum peri_err err = peri_policy_program_read(&program, home->config, fault);
    *out = program;
    return err;
}

static enum peri_err source_open(void *arg, struct peri_policy **out, void *program,
                                 struct peri_worker *w, uint64_t generation,
                                 struct peri_fault *fault) {
    return open_set(arg, out, program, w, generation, fault);
}

static void source_drop(void *arg, void *program) {
    (void)arg;
    peri_policy_program_free(program);
}

struct peri_policy_source peri_policy_lua_source(struct peri_policy_home *home) {
    return (struct peri_policy_source){ source_load, source_open, source_drop, home };
}

enum peri_err peri_policy_lua_check(struct peri_policy_home *home, struct peri_fault *fault) {
    void *program;
    enum peri_err err = source_load(home, &program, fault);
    if (err != PERI_OK || program == NULL) return err;
    struct peri_policy *policy;
    err = open_set(home, &policy, program, NULL, 0, fault);
    if (err == PERI_OK) peri_policy_unref(policy);
    peri_policy_program_free(program);
    return err;
}
