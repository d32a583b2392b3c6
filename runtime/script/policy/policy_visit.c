/* The hooks that may not wait: `attempt`, `event`, `answer`, `done`, `epoch`. They are called through the chain. */
#include "base/err.h"
#include "base/json_edit.h"
#include "script/bind/bind_hook.h"
#include "script/policy/policy_parts.h"

struct visit {
    struct peri_policy_lua *set;
    struct peri_request *request;
    enum peri_hook hook;
    void *object;
    const struct peri_provider
        *provider;   /* whose attempt, event or answer it is; NULL: it is over */
    bool is_refused; /* a policy has failed that the request may not do without */
    size_t bytes;    /* of the event or answer */
};

/* Does a policy want to see this? One for certain networks hears of the end only of requests it has met. */
static bool asks_for(const struct visit *v, const struct peri_link *link, size_t i) {
    if (link->hooks[v->hook] == LUA_NOREF) return false;
    if (!link->is_guard && peri_policy_is_out(v->set, i, v->request->task)) return false;
    if (link->network_count == 0) return true;
    if (v->provider == NULL) {
        const struct peri_lua_request *known = v->request->task;
        return known != NULL && (known->asked & peri_link_bit(i)) != 0;
    }
    for (size_t k = 0; k < link->network_count; k++)
        if (peri_str_eq(link->networks[k], v->provider->network)) return true;
    return false;
}

/* Does any? If not, Lua is left alone. */
static bool is_asked_for(const struct visit *v) {
    if (v->set->hooking == NULL) peri_policy_settle(v->set);
    for (size_t i = 0; i < v->set->count; i++)
        if (asks_for(v, &v->set->links[i], i)) return true;
    return false;
}

/* ---- Savepoints ---- */

struct event_mark {
    struct peri_json_mark json;
    bool has_json, is_dropped, is_replaced;
    size_t added;
    enum peri_err err;
};

/* What the hooks before this one have made of the request and of the object. */
struct mark {
    struct peri_policy_mark request;
    union {
        struct peri_attempt_mark attempt;
        struct event_mark event;
        struct peri_json_mark answer;
    };
};

static struct event_mark mark_event(const struct peri_hook_event *e) {
    struct event_mark mark = { .has_json = e->json != NULL,
                               .is_dropped = e->is_dropped,
                               .is_replaced = e->is_replaced,
                               .added = e->out->n,
                               .err = e->out->err };
    if (mark.has_json) mark.json = peri_json_mark(e->json);
    return mark;
}

static void roll_event_back(struct peri_hook_event *e, const struct event_mark *mark) {
    if (e->json != NULL) peri_json_rollback(e->json, mark->has_json ? mark->json : e->unshaped);
    e->is_dropped = mark->is_dropped;
    e->is_replaced = mark->is_replaced;
    e->out->n = mark->added;
    e->out->err = mark->err;
}

static void take_mark(struct mark *mark, const struct visit *v) {
    mark->request = peri_policy_mark(v->request->task);
    switch (v->hook) {
    case PERI_ON_ATTEMPT: mark->attempt = peri_attempt_mark(v->object); break;
    case PERI_ON_EVENT: mark->event = mark_event(v->object); break;
    case PERI_ON_ANSWER:
        mark->answer = peri_json_mark(((const struct peri_hook_answer *)v->object)->json);
        break;
    default: break; /* it can change nothing */
    }
}

static void roll_back(const struct visit *v, const struct mark *mark) {
    peri_policy_rollback(v->request->task, &mark->request);
    switch (v->hook) {
    case PERI_ON_ATTEMPT: peri_attempt_rollback(v->object, &mark->attempt); break;
    case PERI_ON_EVENT: roll_event_back(v->object, &mark->event); break;
    case PERI_ON_ANSWER:
        peri_json_rollback(((struct peri_hook_answer *)v->object)->json, mark->answer);
        break;
    default: break;
    }
}

/* ---- Calling ---- */

/* gives where the object points from; NULL for a plain table */
static void **push_object(lua_State *L, const struct visit *v) {
    switch (v->hook) {
    case PERI_ON_ATTEMPT: return peri_bind_attempt_push(L, v->object);
    case PERI_ON_EVENT: return peri_bind_event_push(L, v->object);
    case PERI_ON_ANSWER: return peri_bind_answer_push(L, v->object);
    default: peri_bind_outcome_push(L, v->object); return NULL;
    }
}

/* For each link: hook(req, object). Each is called protected: what it changed before it failed is taken back, and the
 * others are asked as if it were not there. The object is empty afterwards: a script may keep it, what it stands for goes
 * away. Once it is pushed nothing below raises. stack: visit */
static int call_hooks(lua_State *L) {
    struct visit *v = lua_touserdata(L, 1);
    struct peri_policy_lua *set = v->set;
    struct peri_lua_request *known = v->request->task;
    /* An outcome is a plain table: what one policy does with it is no other's business. */
    bool is_shared = v->hook != PERI_ON_DONE;
    peri_bind_request_push(L, known);
    void **box = is_shared ? push_object(L, v) : NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, set->on_error); /* stack: visit req [object] on_error */
    int on_error = lua_gettop(L);
    struct peri_budget *budget = &set->state->budget;
    uint64_t before = 0, spent;
    if (v->hook == PERI_ON_EVENT) known->events++;
    for (size_t i = 0; i < set->count && !v->is_refused; i++) {
        const struct peri_link *link = &set->links[i];
        struct mark mark;
        if (!asks_for(v, link, i)) continue;
        if (v->provider != NULL) known->asked |= peri_link_bit(i);
        bool is_closed = link->is_closed || peri_policy_is_out(set, i, known);
        if (is_closed && v->hook == PERI_ON_DONE) continue;
        if (is_closed) {
            v->is_refused = true;
            peri_policy_refuse(link, v->request);
            break;
        }
        take_mark(&mark, v);
        set->state->share = link->share;
        lua_rawgeti(L, LUA_REGISTRYINDEX, link->hooks[v->hook]);
        lua_pushvalue(L, 2);
        if (is_shared)
            lua_pushvalue(L, 3);
        else
            push_object(L, v);
        int status = lua_pcall(L, 2, 0, on_error);
        struct peri_fault fault;
        if (status == LUA_OK) {
            peri_policy_worked(set, i, v->hook);
        } else {
            peri_state_explain(set->state, L, status, &fault);
            lua_settop(L, on_error);
            roll_back(v, &mark);
            v->is_refused = !peri_policy_failed(set, i, v->hook, v->request, &fault);
        }
        spent = peri_budget_spent_ns(budget);
        if (!peri_policy_spend(set, i, v->hook, known, spent - before)) v->is_refused = true;
        before = spent;
        if (status == LUA_OK) {
            peri_budget_renew(budget, L, spent);
            before = 0;
        } else if (peri_policy_renew_budget(set, L)) {
            before = 0;
        }
    }
    if (box != NULL) *box = NULL;
    return 0;
}

/* The `req` object for hooks of a request that no coroutine was made for. */
static bool make_known(struct peri_policy_lua *set, struct peri_request *q) {
    if (q->task != NULL) return true;
    struct peri_lua_request *r = peri_arena_zalloc(&q->arena, sizeof *r);
    if (r == NULL) return false;
    r->set = set;
    r->request = q;
    if (q->body != NULL) r->body_bytes = peri_json_raw(q->body, peri_json_root(q->body)).n;
    q->task = r;
    q->is_known = true;
    return true;
}

/* Inside the coroutine of a `req:try` that is under way, whose budget is paused. Between it and the hooks stands the
 * request path, which no error may jump over: what is pushed here takes no memory. */
static enum peri_err call_inside(lua_State *L, struct visit *v, struct peri_fault *fault) {
    struct peri_state *s = v->set->state;
    struct peri_lua_request *known = v->request->task;
    enum peri_err err = PERI_OK;
    if (!lua_checkstack(L, 4)) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    if (!peri_policy_spend_entry(known)) v->is_refused = true; /* the route has used so much */
    bool is_last_entry = s->is_last_entry, is_over_cap = s->is_over_cap;
    struct peri_budget_pause paused = peri_budget_pause(&s->budget);
    s->budget.limits =
        peri_state_limits(s->options.entry, peri_policy_more_ms(v->set, known, v->bytes));
    s->is_last_entry = s->is_over_cap = false;
    peri_budget_enter(&s->budget, L);
    lua_pushcfunction(L, call_hooks);
    lua_pushlightuserdata(L, v);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) {
        err = peri_state_explain(s, L, status, fault);
        lua_pop(L, 1);
    }
    peri_budget_leave(&s->budget);
    s->is_last_entry = is_last_entry;
    s->is_over_cap = is_over_cap;
    peri_budget_resume(&s->budget, L, &paused);
    return err;
}

/* gives false when a policy failed that the request may not do without */
static bool visit(struct visit *v) {
    struct peri_policy_lua *set = v->set;
    struct peri_fault fault = { .err = PERI_OK };
    enum peri_err err = PERI_ENOMEM;
    unsigned share = set->state->share; /* of the `route` hook that tries; else 0 */
    if (!make_known(set, v->request))
        peri_fault_set(&fault, err, "out of memory");
    else if (set->hooking != NULL)
        err = call_inside(set->hooking, v, &fault);
    else {
        set->state->more_ms = peri_policy_more_ms(set, v->request->task, v->bytes);
        err = peri_state_call(set->state, call_hooks, v, &fault);
    }
    set->state->share = share;
    if (err != PERI_OK) v->is_refused |= !peri_policy_failed_all(set, v->hook, v->request, &fault);
    return !v->is_refused;
}

enum peri_err peri_policy_on_attempt(void *self, struct peri_request *r, struct peri_attempt *a) {
    struct visit v = { self, r, PERI_ON_ATTEMPT, a, a->candidate.provider, false, 0 };
    if (!is_asked_for(&v)) return PERI_OK;
    if (!visit(&v)) return PERI_EPOLICY;
    bool is_spent = peri_budget_end(&v.set->state->budget) != PERI_BUDGET_LEFT;
    return v.set->hooking != NULL && is_spent ? PERI_EBUDGET : PERI_OK;
}

/* What the event is to be, when hooks have edited its JSON: what was taken out of it must not go on. */
static enum peri_verdict write_event(const struct peri_event *event, const struct peri_json *json,
                                     struct peri_buf *out) {
    return peri_event_add_json(out, event->name, json) == PERI_OK ? PERI_HOOK_REPLACE
                                                                  : PERI_HOOK_BREAK;
}

enum peri_verdict peri_policy_on_event(void *self, struct peri_request *r,
                                       const struct peri_event *event, struct peri_buf *out) {
    struct peri_hook_event e = { .event = event, .out = out };
    enum peri_verdict verdict = PERI_HOOK_KEEP;
    struct visit v = {
        self, r, PERI_ON_EVENT, &e, event->attempt->candidate.provider, false, event->data.n
    };
    if (!is_asked_for(&v)) return PERI_HOOK_KEEP;
    if (!visit(&v))
        verdict = PERI_HOOK_REFUSE;
    else if (e.is_replaced)
        verdict = PERI_HOOK_REPLACE;
    else if (e.is_dropped)
        verdict = PERI_HOOK_DROP;
    else if (e.json != NULL && peri_json_is_edited(e.json))
        verdict = write_event(event, e.json, out);
    peri_json_free(e.json);
    return verdict;
}

enum peri_verdict peri_policy_on_answer(void *self, struct peri_request *r, struct peri_str json,
                                        struct peri_buf *out) {
    struct peri_hook_answer a = { .status = 200 };
    struct visit v = { self, r, PERI_ON_ANSWER, &a, r->serving->candidate.provider, false, json.n };
    if (!is_asked_for(&v)) return PERI_HOOK_KEEP;
    struct peri_fault fault;
    if (peri_json_parse(&a.json, json, NULL, &fault) != PERI_OK)
        return peri_policy_failed_all(v.set, v.hook, r, &fault) ? PERI_HOOK_KEEP : PERI_HOOK_REFUSE;
    enum peri_verdict verdict = PERI_HOOK_KEEP;
    if (!visit(&v))
        verdict = PERI_HOOK_REFUSE;
    else if (peri_json_is_edited(a.json))
        verdict = peri_json_text(a.json, out).p != NULL ? PERI_HOOK_REPLACE : PERI_HOOK_BREAK;
    peri_json_free(a.json);
    return verdict;
}

void peri_policy_on_done(void *self, struct peri_request *r, const struct peri_outcome *outcome) {
    struct peri_outcome copy = *outcome;
    struct visit v = { self, r, PERI_ON_DONE, &copy, NULL, false, 0 };
    if (is_asked_for(&v)) visit(&v); /* a failure is reported; there is nothing to fall back to */
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

static void push_change(lua_State *L, const struct peri_epoch_change *c) {
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
}

/* For each link: hook({ network =, old =, new =, added =, removed =, changed = }). stack: visit */
static int visit_epoch(lua_State *L) {
    struct epoch_visit *v = lua_touserdata(L, 1);
    struct peri_policy_lua *set = v->set;
    lua_rawgeti(L, LUA_REGISTRYINDEX, set->on_error); /* stack: visit on_error */
    uint64_t before = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct peri_link *link = &set->links[i];
        struct peri_fault fault;
        if (link->hooks[PERI_ON_EPOCH] == LUA_NOREF || link->is_closed) continue;
        if (peri_policy_is_out(set, i, NULL)) continue;
        lua_rawgeti(L, LUA_REGISTRYINDEX, link->hooks[PERI_ON_EPOCH]);
        set->state->share = link->share;
        push_change(L, v->change);
        int status = lua_pcall(L, 1, 0, 2);
        if (status == LUA_OK) {
            peri_policy_worked(set, i, PERI_ON_EPOCH);
        } else {
            peri_state_explain(set->state, L, status, &fault);
            lua_settop(L, 2);
            peri_policy_failed(set, i, PERI_ON_EPOCH, NULL, &fault);
        }
        uint64_t spent = peri_budget_spent_ns(&set->state->budget);
        peri_policy_spend(set, i, PERI_ON_EPOCH, NULL, spent - before);
        before = spent;
        if (status != LUA_OK && peri_policy_renew_budget(set, L)) before = 0;
    }
    return 0;
}

void peri_policy_on_epoch(void *self, const struct peri_epoch_change *change) {
    struct epoch_visit v = { self, change };
    struct peri_fault fault;
    peri_policy_settle(v.set);
    enum peri_err err = peri_state_call(v.set->state, visit_epoch, &v, &fault);
    v.set->state->share = 0;
    if (err != PERI_OK) peri_policy_failed_all(v.set, PERI_ON_EPOCH, NULL, &fault);
}
