/* The hooks that may not wait: `attempt`, `event`, `answer`, `done`, `epoch`. They are called through the chain. */
#include "base/err.h"
#include "base/json_edit.h"
#include "script/bind_hook.h"
#include "script/policy_parts.h"

#define EVENT_ADD_MAX 1048576 /* bytes that hooks may make of one event */

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
        v->set->state->share = link->share;
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

static enum peri_err visit(struct visit v, lua_CFunction run) {
    struct peri_fault fault = { .err = PERI_OK };
    if (!make_known(v.set, v.request)) return PERI_ENOMEM;
    enum peri_err err = peri_state_call(v.set->state, run, &v, &fault);
    v.set->state->share = 0;
    if (err != PERI_OK) peri_policy_report(v.set, v.request, v.hook, &fault);
    return err;
}

enum peri_err peri_policy_on_attempt(void *self, struct peri_request *r, struct peri_attempt *a) {
    struct peri_policy_lua *set = self;
    struct visit v = { set, r, PERI_ON_ATTEMPT, a, a->candidate.provider };
    if (!is_asked_for(&v)) return PERI_OK;
    if (set->hooking == NULL) return visit(v, visit_attempt);
    /* A `req:try` is under way: the hooks run inside its coroutine, under its budget. Between it and them stands the
     * request path, which no error may jump over: what is pushed here takes no memory. */
    lua_State *L = set->hooking;
    unsigned share = set->state->share; /* of the `route` hook that tries */
    if (!lua_checkstack(L, 4)) return PERI_ENOMEM;
    lua_pushcfunction(L, visit_attempt);
    lua_pushlightuserdata(L, &v);
    int status = lua_pcall(L, 1, 0, 0);
    set->state->share = share;
    if (status == LUA_OK) return PERI_OK;
    struct peri_fault fault;
    enum peri_err err = peri_state_explain(set->state, L, status, &fault);
    lua_pop(L, 1);
    peri_policy_report(set, r, PERI_ON_ATTEMPT, &fault);
    return err;
}

enum peri_verdict peri_policy_on_event(void *self, struct peri_request *r,
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

enum peri_verdict peri_policy_on_answer(void *self, struct peri_request *r, struct peri_str json,
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

void peri_policy_on_done(void *self, struct peri_request *r, const struct peri_outcome *outcome) {
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
        v->set->state->share = v->set->links[i].share;
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

void peri_policy_on_epoch(void *self, const struct peri_epoch_change *change) {
    struct epoch_visit v = { self, change };
    struct peri_fault fault;
    enum peri_err err = peri_state_call(v.set->state, visit_epoch, &v, &fault);
    v.set->state->share = 0;
    if (err == PERI_OK) return;
    peri_log_say(&v.set->worker->logs.of[PERI_COMPONENT_POLICY], PERI_LOG_ERROR,
                 "policy failed in epoch: %s", fault.text);
}
