/* The `req` object. `req:try` is where a policy waits; task.h tells how. */
#include "script/bind/bind_request.h"

#include "base/json_text.h"
#include "base/name.h"
#include "dialect/error.h"
#include "router/worker.h"
#include "script/bind/bind_header.h"
#include "script/bind/bind_json.h"
#include "script/bind/bind_provider.h"
#include "script/policy/policy_lua.h"
#include "script/state/lua_str.h"
#include "script/state/self.h"
#include "script/state/options.h"

#define REQUEST "perilune.request"
#define ANSWER  "perilune.answer"

#define TRY_MAX_MS 86400000

/* What `req:try` gives on success; only `route`'s return value makes use of it. Its user value is the `req` object, which
 * tells whose it is: addresses are used again, objects that somebody holds are not. */
struct answer {
    struct peri_attempt *attempt;
    int status;
};

static const char objects; /* its address names the registry table of `req` objects */

/* To be looked at: `done` hooks do so when all is over but the object itself. */
static struct peri_lua_request *check_known(lua_State *L) {
    struct peri_lua_request **box = peri_check_self(L, REQUEST, "req");
    if (*box == NULL) luaL_error(L, "request is finished");
    return *box;
}

/* An arena up to this is what any request may need: ten thousand of them at a time are nobody's fault. */
#define UNCHARGED_BYTES 65536

void peri_bind_request_charge(lua_State *L, struct peri_lua_request *r) {
    struct peri_state *s = r->set->state;
    size_t used = r->request->arena.used, max = s->options.heap_max;
    size_t now = used > UNCHARGED_BYTES ? used - UNCHARGED_BYTES : 0;
    s->native_used += now - r->charged;
    r->charged = now;
    if (now > 0 && max != 0 && s->native_used > max)
        luaL_error(L, "the requests of these policies hold more than %I bytes", (LUAI_UACINT)max);
}

static void check_room(lua_State *L, struct peri_lua_request *r, size_t n) {
    if (!peri_request_may_write(r->request, n))
        luaL_error(L, "policies took more for this request than 'limits.request_memory' allows");
}

/* To be acted on. */
static struct peri_lua_request *check_request(lua_State *L) {
    struct peri_lua_request *r = check_known(L);
    if (r->request->phase == PERI_ENDED) luaL_error(L, "request is finished");
    return r;
}

static int push_str_or_nil(lua_State *L, struct peri_str s) {
    if (s.p == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, s.p, s.n);
    return 1;
}

/* ---- Fields ---- */

#define FIELD(name) static int get_##name(lua_State *L, struct peri_lua_request *r)

FIELD(id) { return push_str_or_nil(L, peri_request_id(r->request)); }
FIELD(model) { return push_str_or_nil(L, r->request->model); }

FIELD(stream) {
    lua_pushboolean(L, r->request->is_stream);
    return 1;
}

FIELD(endpoint) { return push_str_or_nil(L, peri_request_endpoint(r->request)); }

FIELD(attempts) {
    lua_pushinteger(L, r->request->attempt_count);
    return 1;
}

FIELD(elapsed_ms) {
    lua_pushnumber(L, (double)(peri_loop_clock_ns(r->request->env->loop) - r->request->began_ns) /
                          1e6);
    return 1;
}

FIELD(key) { return r->request->key == NULL ? 0 : push_str_or_nil(L, r->request->key->id); }

FIELD(body) {
    if (r->request->body == NULL) return 0; /* it was no JSON, and its end is being told */
    if (lua_getiuservalue(L, 1, 1) == LUA_TUSERDATA) return 1;
    static const struct peri_json_guard guards[] = {
        { "model", "req.body.model can not be changed: set req.model, or give req:try the option "
                   "'model'" },
        { "stream", "req.body.stream can not be changed: whether the answer is streamed is the "
                    "client's choice" },
        { NULL, NULL },
    };
    peri_bind_json_push(L, r->request->body);
    peri_bind_json_guard(L, -1, guards);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 1);
    return 1;
}

static int headers_index(lua_State *L) {
    struct peri_lua_request **box = lua_touserdata(L, lua_upvalueindex(2));
    if (*box == NULL) return luaL_error(L, "request is finished");
    return push_str_or_nil(L, peri_request_header((*box)->request, peri_check_str(L, 2)));
}

/* A table that looks names up when asked: most policies read one header or none. */
FIELD(headers) {
    (void)r;
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    peri_state_push(L, peri_state_of(L));
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, headers_index, 2);
    lua_setfield(L, -2, "__index");
    peri_state_push(L, peri_state_of(L));
    lua_pushliteral(L, "req.headers");
    lua_pushliteral(L, "req:set_header is for the answer, attempt.headers for a provider");
    lua_pushcclosure(L, peri_refuse_member, 3);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "headers");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    return 1;
}

static const struct {
    const char *name;
    int (*get)(lua_State *L, struct peri_lua_request *r);
} fields[] = {
    { "body", get_body },         { "model", get_model },       { "id", get_id },
    { "stream", get_stream },     { "headers", get_headers },   { "key", get_key },
    { "endpoint", get_endpoint }, { "attempts", get_attempts }, { "elapsed_ms", get_elapsed_ms },
};

/* Methods first: they stand in the table that is upvalue 2. */
static int request_index(lua_State *L) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
    struct peri_lua_request *r = check_known(L);
    const char *key = luaL_checkstring(L, 2);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(key, fields[i].name) == 0) return fields[i].get(L, r);
    return luaL_error(L, "a request has no '%s'", key);
}

static void check_model(lua_State *L, struct peri_str model) {
    const char *fault = peri_name_fault(model);
    if (fault != NULL) luaL_error(L, "the name of a model %s", fault);
}

/* req.model = name */
static int set_model(lua_State *L) {
    struct peri_lua_request *r = check_request(L);
    if (lua_type(L, 3) != LUA_TSTRING)
        return luaL_error(L, "req.model must be a string, got a %s", luaL_typename(L, 3));
    struct peri_str model = peri_check_str(L, 3);
    check_model(L, model);
    enum peri_err err = peri_request_set_model(r->request, model);
    if (err == PERI_ENOMODEL) return luaL_error(L, "no provider serves the model '%s'", model.p);
    if (err == PERI_EINVAL)
        return luaL_error(L,
                          "req.model can be set until an answer is chosen, in request and route");
    if (err != PERI_OK) return luaL_error(L, "%s", peri_err_text(err));
    return 0;
}

static int request_newindex(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "model") == 0)
        return set_model(L);
    return luaL_error(L, "'%s' of a request can not be set: edit req.body, or use a method",
                      luaL_tolstring(L, 2, NULL));
}

static int request_tostring(lua_State *L) {
    struct peri_lua_request **box = luaL_checkudata(L, 1, REQUEST);
    if (*box == NULL)
        lua_pushliteral(L, "request (finished)");
    else
        push_str_or_nil(L, peri_request_id((*box)->request));
    return 1;
}

/* ---- Choosing ---- */

static int request_providers(lua_State *L) {
    struct peri_lua_request *r = check_request(L);
    struct peri_candidates c = peri_request_fit(r->request);
    lua_createtable(L, (int)c.count, 0);
    for (size_t i = 0; i < c.count; i++) {
        peri_bind_provider_push(L, r->request->fleet, c.at[i].provider);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int request_pick(lua_State *L) {
    struct peri_lua_request *r = check_request(L);
    struct peri_request *q = r->request;
    bool overflow = q->config->overflow;
    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        static const struct peri_option options[] = { { "overflow", PERI_OPTION_FLAG, 0, 0 } };
        peri_options_take(L, 2, "req:pick", options, 1);
        overflow = peri_options_flag(L, 2, "overflow", overflow);
    }
    struct peri_route_report report;
    struct peri_route_ask ask = {
        .from = peri_request_fit(q),
        .model = q->model,
        .endpoint = q->dialect->id,
        .tried = q->tried,
        .overflow = overflow,
        .now_ms = peri_loop_now_ms(q->env->loop),
    };
    struct peri_candidate pick = peri_route_pick(&ask, &q->env->rand, &report);
    if (report.candidates == 0) return peri_push_failure(L, PERI_EUNFIT);
    if (pick.provider == NULL)
        return peri_push_failure(L, report.full > 0 ? PERI_EFULL : PERI_ENOPROVIDER);
    peri_bind_provider_push(L, q->fleet, pick.provider);
    return 1;
}

/* ---- Trying ---- */

static void on_tried(void *arg, struct peri_attempt *a, enum peri_err err) {
    struct peri_lua_request *r = arg;
    r->tried = err;
    r->trying = a;
    peri_task_resume(r->task);
}

static void cancel_try(void *work) {
    struct peri_lua_request *r = work;
    peri_attempt_cancel(r->trying, PERI_ECANCELED);
}

static int try_done(lua_State *L, int status, lua_KContext ctx) {
    struct peri_lua_request *r = (struct peri_lua_request *)ctx;
    struct peri_attempt *a = r->trying;
    (void)status;
    if (r->tried == PERI_OK) {
        r->answered = a;
        struct answer *answer = lua_newuserdatauv(L, sizeof *answer, 1);
        *answer = (struct answer){ a, a->status };
        luaL_setmetatable(L, ANSWER);
        peri_bind_request_push(L, r);
        lua_setiuservalue(L, -2, 1);
        return 1;
    }
    lua_pushnil(L);
    push_str_or_nil(L, a->candidate.provider->id);
    lua_pushfstring(L, "provider %s %s", lua_tostring(L, -1), a->detail);
    lua_remove(L, -2);
    lua_pushstring(L, peri_err_name(r->tried));
    lua_pushinteger(L, a->status);
    return 4;
}

/* The options of a try. The name of a model stays in the request's memory. */
static struct peri_try_options check_try_options(lua_State *L, struct peri_lua_request *r) {
    static const struct peri_option known[] = {
        { "first_token_ms", PERI_OPTION_INTEGER, 1, TRY_MAX_MS },
        { "total_ms", PERI_OPTION_INTEGER, 1, TRY_MAX_MS },
        { "model", PERI_OPTION_TEXT, 0, 0 },
    };
    struct peri_try_options options = { .size = sizeof options };
    peri_options_take(L, 3, "req:try", known, sizeof known / sizeof *known);
    options.first_token_ms = (uint64_t)peri_options_integer(L, 3, "first_token_ms", 0);
    options.total_ms = (uint64_t)peri_options_integer(L, 3, "total_ms", 0);
    struct peri_str model = peri_options_text(L, 3, "model");
    if (model.p == NULL) return options;
    check_model(L, model);
    options.model = peri_arena_dup(&r->request->arena, model);
    if (options.model.p == NULL) luaL_error(L, "out of memory");
    return options;
}

/* stack: req provider options */
static int push_no_candidate(lua_State *L, const struct peri_provider *p, struct peri_str model) {
    if (p == NULL) {
        const char *id = luaL_tolstring(L, 2, NULL);
        return peri_push_fault(L, PERI_ENOMODEL,
                               lua_pushfstring(L, "no provider has the id '%s'", id));
    }
    lua_pushlstring(L, p->id.p, p->id.n);
    lua_pushlstring(L, model.p, model.n);
    return peri_push_fault(L, PERI_ENOMODEL,
                           lua_pushfstring(L, "provider '%s' does not serve the model '%s'",
                                           lua_tostring(L, -2), lua_tostring(L, -1)));
}

static int request_try(lua_State *L) {
    struct peri_lua_request *r = check_request(L);
    struct peri_task *t = peri_task_of(L);
    if (peri_task_arg(t) != r) return luaL_error(L, "a request is tried by its own hooks only");
    const struct peri_provider *p = peri_bind_provider_check(L, 2, r->request->fleet);
    struct peri_try_options options = { .size = sizeof options };
    lua_settop(L, 3);
    if (!lua_isnil(L, 3)) options = check_try_options(L, r);
    struct peri_candidate c = { .provider = NULL };
    struct peri_str model = options.model.n > 0 ? options.model : r->request->model;
    if (p != NULL) c = peri_fleet_candidate(r->request->fleet, p, model);
    if (c.provider == NULL) return push_no_candidate(L, p, model);
    if (r->is_refused) return peri_push_failure(L, PERI_EPOLICY); /* it ends when this hook does */
    peri_bind_request_charge(L, r);
    r->set->hooking = L; /* the `attempt` hooks run here, inside this coroutine */
    enum peri_err err = peri_attempt_start(&r->trying, r->request, c, &options, on_tried, r);
    r->set->hooking = NULL;
    if (err != PERI_OK) { return peri_push_failure(L, err); }
    r->task = t;
    return peri_task_wait(L, t, cancel_try, r, try_done);
}

/* ---- Answering ---- */

static int check_status(lua_State *L, int arg) {
    lua_Integer status = luaL_checkinteger(L, arg);
    luaL_argcheck(L, status >= 200 && status <= 599, arg, "a status from 200 to 599 expected");
    return (int)status;
}

static int decide_reply(lua_State *L, struct peri_lua_request *r, int status,
                        struct peri_str json) {
    struct peri_str copy = peri_arena_dup(&r->request->arena, json);
    if (copy.p == NULL) return luaL_error(L, "out of memory");
    peri_bind_request_charge(L, r);
    r->reply = copy;
    r->status = status;
    r->decision = PERI_REPLY;
    return 0;
}

static int request_reply(lua_State *L) {
    struct peri_lua_request *r = check_request(L);
    int status = check_status(L, 2);
    if (lua_type(L, 3) != LUA_TSTRING) {
        luaL_checkany(L, 3);
        peri_bind_json_encode(L, 3);
        lua_replace(L, 3);
    }
    struct peri_str text = peri_check_str(L, 3);
    if (peri_json_scan(NULL, text, NULL, 0, NULL) != PERI_OK)
        return luaL_argerror(L, 3, "a table, or the text of valid JSON, expected");
    check_room(L, r, text.n);
    return decide_reply(L, r, status, text);
}

static int request_fail(lua_State *L) {
    struct peri_lua_request *r = check_request(L);
    int status = check_status(L, 2);
    struct peri_str message = peri_check_str(L, 3), code = { NULL, 0 }, param = { NULL, 0 };
    if (!lua_isnoneornil(L, 4)) code = peri_check_str(L, 4);
    if (!lua_isnoneornil(L, 5)) param = peri_check_str(L, 5);
    luaL_argcheck(L, message.n <= 8192, 3, "a message of at most 8192 bytes expected");
    check_room(L, r, message.n + param.n + code.n);
    struct peri_str json = peri_request_error_json(r->request, status, message, param, code);
    if (json.p == NULL) return luaL_error(L, "out of memory");
    return decide_reply(L, r, status, json);
}

static int request_set_header(lua_State *L) {
    struct peri_lua_request *r = check_request(L);
    struct peri_header h = peri_check_header(L, 2, 3);
    peri_refuse_header(L, h.name, peri_answer_header_fault(h));
    enum peri_err err = peri_request_set_header(r->request, h.name, h.value);
    if (err != PERI_OK) return luaL_error(L, "header: %s", peri_err_text(err));
    peri_bind_request_charge(L, r);
    return 0;
}

static int request_header(lua_State *L) {
    return push_str_or_nil(L, peri_request_header(check_known(L)->request, peri_check_str(L, 2)));
}

/* Whose answer stands at that index; NULL: of a request that is over. */
static struct peri_lua_request *answer_owner(lua_State *L, int index) {
    lua_getiuservalue(L, index, 1);
    struct peri_lua_request **box = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return box == NULL ? NULL : *box; /* no box: memory ran out while the answer was made */
}

static int answer_index(lua_State *L) {
    struct answer *a = luaL_checkudata(L, 1, ANSWER);
    const char *key = luaL_checkstring(L, 2);
    if (answer_owner(L, 1) == NULL) return luaL_error(L, "request is finished");
    if (strcmp(key, "status") != 0)
        return luaL_error(L, "what a try gives has no '%s': return it from route", key);
    lua_pushinteger(L, a->status);
    return 1;
}

/* A script may have kept an answer of an earlier request. */
struct peri_attempt *peri_bind_answer_attempt(lua_State *L, int index,
                                              const struct peri_request *r) {
    const struct answer *a = luaL_testudata(L, index, ANSWER);
    if (a == NULL || r->task == NULL || answer_owner(L, index) != r->task) return NULL;
    for (struct peri_list *at = r->attempts.next; at != &r->attempts; at = at->next) {
        struct peri_attempt *mine = peri_list_entry(at, struct peri_attempt, link);
        if (mine == a->attempt) return mine->state == PERI_ATTEMPT_READY ? mine : NULL;
    }
    return NULL;
}

bool peri_bind_request_drop_answer(struct peri_lua_request *r) {
    struct peri_attempt *a = r->answered;
    r->answered = NULL;
    if (a == NULL || a->state != PERI_ATTEMPT_READY) return false;
    peri_attempt_cancel(a, PERI_ECANCELED);
    return true;
}

/* ---- Life ---- */

void peri_bind_request_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg methods[] = {
        { "try", request_try },
        { "providers", request_providers },
        { "pick", request_pick },
        { "reply", request_reply },
        { "fail", request_fail },
        { "header", request_header },
        { "set_header", request_set_header },
        { NULL, NULL },
    };
    static const luaL_Reg meta[] = { { "__newindex", request_newindex },
                                     { "__tostring", request_tostring },
                                     { NULL, NULL } };
    static const luaL_Reg answer_meta[] = { { "__index", answer_index }, { NULL, NULL } };
    luaL_newmetatable(L, REQUEST);
    peri_state_set_functions(L, s, meta);
    peri_state_push(L, s);
    lua_newtable(L);
    peri_state_set_functions(L, s, methods);
    lua_pushcclosure(L, request_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "request");
    lua_setfield(L, -2, "__metatable");
    luaL_newmetatable(L, ANSWER);
    peri_state_set_functions(L, s, answer_meta);
    lua_pushliteral(L, "answer");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &objects);
}

void peri_bind_request_push(lua_State *L, struct peri_lua_request *r) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &objects);
    if (lua_rawgetp(L, -1, r) == LUA_TUSERDATA) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    struct peri_lua_request **box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = r;
    luaL_setmetatable(L, REQUEST);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, r);
    lua_remove(L, -2);
}

void peri_bind_request_forget(lua_State *L, struct peri_lua_request *r) {
    r->set->state->native_used -= r->charged;
    r->charged = 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &objects);
    if (lua_rawgetp(L, -1, r) == LUA_TUSERDATA) {
        *(struct peri_lua_request **)lua_touserdata(L, -1) = NULL;
        lua_pushnil(L);
        lua_rawsetp(L, -3, r);
    }
    lua_pop(L, 2);
}
