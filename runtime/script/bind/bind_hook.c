#include "script/bind/bind_hook.h"

#include "base/json_edit.h"
#include "base/json_text.h"
#include "router/worker.h"
#include "script/bind/bind_header.h"
#include "script/bind/bind_json.h"
#include "script/bind/bind_provider.h"
#include "script/bind/bind_request.h"
#include "script/state/lua_str.h"
#include "script/state/self.h"

#define ATTEMPT "perilune.attempt"
#define EVENT   "perilune.event"
#define ANSWER  "perilune.whole_answer"

/* `what`: "the event" */
static void *check(lua_State *L, const char *type, const char *what) {
    void **box = peri_check_self(L, type, what + sizeof "the " - 1);
    if (*box == NULL) luaL_error(L, "%s is over", what);
    return *box;
}

/* Methods first, then fields: the method table is upvalue 2, `get` answers the rest. */
static int index_with(lua_State *L, int (*get)(lua_State *L, const char *key)) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
    return get(L, luaL_checkstring(L, 2));
}

/* The proxy of a document that this object owns, made once. */
static int push_document(lua_State *L, struct peri_json *j) {
    if (lua_getiuservalue(L, 1, 1) == LUA_TUSERDATA) return 1;
    peri_bind_json_push(L, j);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 1);
    return 1;
}

/* ---- attempt ---- */

static struct peri_attempt *check_attempt(lua_State *L) { return check(L, ATTEMPT, "the attempt"); }

static int header_result(lua_State *L, const struct peri_attempt *a, enum peri_err err) {
    if (err != PERI_OK) return luaL_error(L, "header: %s", peri_err_text(err));
    peri_bind_request_charge(L, a->request->task);
    return 0;
}

static int attempt_set_header(lua_State *L) {
    struct peri_attempt *a = check_attempt(L);
    struct peri_header h = peri_check_header(L, 2, 3);
    peri_refuse_header(L, h.name, peri_attempt_header_fault(a, h));
    return header_result(L, a, peri_attempt_set_header(a, h.name, h.value));
}

static int attempt_set_answer_header(lua_State *L) {
    struct peri_attempt *a = check_attempt(L);
    struct peri_header h = peri_check_header(L, 2, 3);
    peri_refuse_header(L, h.name, peri_answer_header_fault(h));
    return header_result(L, a, peri_attempt_set_answer_header(a, h.name, h.value));
}

static int attempt_expect_content(lua_State *L) {
    peri_attempt_expect_content(check_attempt(L));
    return 0;
}

static int attempt_refuse(lua_State *L) {
    struct peri_attempt *a = check_attempt(L);
    lua_Integer status = luaL_checkinteger(L, 2);
    luaL_argcheck(L, status >= 400 && status <= 599, 2, "a status from 400 to 599 expected");
    struct peri_str message = peri_check_str(L, 3), code = { NULL, 0 }, param = { NULL, 0 };
    if (!lua_isnoneornil(L, 4)) code = peri_check_str(L, 4);
    if (!lua_isnoneornil(L, 5)) param = peri_check_str(L, 5);
    enum peri_err err = peri_attempt_refuse(a, (int)status, message, param, code);
    if (err != PERI_OK) return luaL_error(L, "refuse: %s", peri_err_text(err));
    peri_bind_request_charge(L, a->request->task);
    return 0;
}

/* `attempt.headers["x-name"] = value` */
static int headers_newindex(lua_State *L) {
    if (!lua_isstring(L, 3))
        return luaL_error(L, "a member of attempt.headers must be a string, got %s",
                          luaL_typename(L, 3));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_replace(L, 1);
    return attempt_set_header(L);
}

static int headers_index(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_replace(L, 1);
    struct peri_attempt *a = check_attempt(L);
    struct peri_str name = peri_check_str(L, 2);
    for (size_t i = 0; i < a->header_count; i++)
        if (peri_str_eq_nocase(a->headers[i].name, name))
            return peri_push_str(L, a->headers[i].value);
    return 0;
}

static int push_headers(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    peri_state_push(L, peri_state_of(L));
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, headers_index, 2);
    lua_setfield(L, -2, "__index");
    peri_state_push(L, peri_state_of(L));
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, headers_newindex, 2);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "headers");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    return 1;
}

static int attempt_get(lua_State *L, const char *key) {
    static const struct peri_json_guard guards[] = {
        { "stream", "attempt.body.stream can not be changed: whether the answer is streamed is the "
                    "client's choice" },
        { NULL, NULL },
    };
    struct peri_attempt *a = check_attempt(L);
    struct peri_request *r = a->request;
    if (strcmp(key, "body") == 0) {
        struct peri_json *j = peri_attempt_body(a);
        if (j == NULL) return luaL_error(L, "out of memory");
        push_document(L, j);
        peri_bind_json_guard(L, -1, guards);
        return 1;
    }
    if (strcmp(key, "headers") == 0) return push_headers(L);
    if (strcmp(key, "provider") == 0) {
        peri_bind_provider_push(L, r->fleet, a->candidate.provider);
        return 1;
    }
    if (strcmp(key, "model") == 0) return peri_push_str(L, peri_attempt_upstream_model(a));
    if (strcmp(key, "number") == 0) {
        lua_pushinteger(L, (lua_Integer)r->attempt_count + 1);
        return 1;
    }
    if (strcmp(key, "previous") == 0) {
        enum peri_err err = peri_attempt_previous(a);
        if (err == PERI_OK) return 0;
        lua_pushstring(L, peri_err_name(err));
        return 1;
    }
    if (strcmp(key, "context_tokens") == 0) {
        if (a->candidate.model == NULL || a->candidate.model->context_tokens == 0) return 0;
        lua_pushinteger(L, (lua_Integer)a->candidate.model->context_tokens);
        return 1;
    }
    if (strcmp(key, "max_output_tokens") == 0) {
        if (a->candidate.model == NULL || a->candidate.model->max_output_tokens == 0) return 0;
        lua_pushinteger(L, (lua_Integer)a->candidate.model->max_output_tokens);
        return 1;
    }
    return luaL_error(L, "an attempt has no '%s'", key);
}

static int attempt_index(lua_State *L) { return index_with(L, attempt_get); }

/* ---- event ---- */

static struct peri_hook_event *check_event(lua_State *L) { return check(L, EVENT, "the event"); }

/* Clients read each event's data as JSON, but for the last. What a provider sent is not looked at here. */
static void check_event_text(lua_State *L, int arg, struct peri_str text, struct peri_str end) {
    struct peri_fault fault;
    if (peri_str_find_char(text, '\n') >= 0 || peri_str_find_char(text, '\r') >= 0)
        luaL_argerror(L, arg, "one line expected: the data of one event");
    if (end.n > 0 && peri_str_eq(text, end)) return;
    if (peri_json_scan(NULL, text, NULL, 0, &fault) != PERI_OK)
        luaL_argerror(L, arg, lua_pushfstring(L, "not the text of valid JSON: %s", fault.text));
}

/* A frame of whatever stands at `arg`: text goes as it is, tables and documents as JSON. */
static void add_frame(lua_State *L, struct peri_hook_event *e, int arg) {
    struct peri_buf *out = e->out;
    if (lua_type(L, arg) == LUA_TSTRING) {
        check_event_text(L, arg, peri_check_str(L, arg),
                         e->event->attempt->request->dialect->end_data);
    } else {
        luaL_checkany(L, arg);
        peri_bind_json_encode(L, arg);
        lua_replace(L, arg);
    }
    struct peri_str text = peri_check_str(L, arg);
    peri_buf_add(out, PERI_STR("data: "));
    peri_buf_add(out, text);
    if (peri_buf_add(out, PERI_STR("\n\n")) != PERI_OK)
        luaL_error(L, "too much added to one event");
}

static int event_drop(lua_State *L) {
    check_event(L)->is_dropped = true;
    return 0;
}

static int event_replace(lua_State *L) {
    struct peri_hook_event *e = check_event(L);
    add_frame(L, e, 2);
    e->is_replaced = true;
    return 0;
}

static int event_get(lua_State *L, const char *key) {
    struct peri_hook_event *e = check_event(L);
    if (strcmp(key, "data") == 0) return peri_push_str(L, e->event->data);
    if (strcmp(key, "name") == 0) return peri_push_str(L, e->event->name);
    if (strcmp(key, "json") == 0) {
        if (e->json == NULL) {
            if (peri_json_parse(&e->json, e->event->data, NULL, NULL) != PERI_OK) return 0;
            e->unshaped = peri_json_mark(e->json);
        }
        return push_document(L, e->json);
    }
    return luaL_error(L, "an event has no '%s'", key);
}

static int event_index(lua_State *L) { return index_with(L, event_get); }

/* ---- answer ---- */

static int answer_get(lua_State *L, const char *key) {
    struct peri_hook_answer *a = check(L, ANSWER, "the answer");
    if (strcmp(key, "body") == 0) return push_document(L, a->json);
    if (strcmp(key, "status") == 0) {
        lua_pushinteger(L, a->status);
        return 1;
    }
    return luaL_error(L, "an answer has no '%s'", key);
}

static int answer_index(lua_State *L) { return index_with(L, answer_get); }

/* ---- Life ---- */

static void make(lua_State *L, struct peri_state *s, const char *type, const char *name,
                 const char *instead, lua_CFunction index, const luaL_Reg *methods) {
    luaL_newmetatable(L, type);
    peri_state_push(L, s);
    lua_newtable(L);
    peri_state_set_functions(L, s, methods);
    lua_pushcclosure(L, index, 2);
    lua_setfield(L, -2, "__index");
    peri_state_push(L, s);
    lua_pushfstring(L, "an %s", name);
    lua_pushstring(L, instead);
    lua_pushcclosure(L, peri_refuse_member, 3);
    lua_setfield(L, -2, "__newindex");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void peri_bind_hook_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg attempt_methods[] = { { "set_header", attempt_set_header },
                                                { "set_answer_header", attempt_set_answer_header },
                                                { "refuse", attempt_refuse },
                                                { "expect_content", attempt_expect_content },
                                                { NULL, NULL } };
    static const luaL_Reg event_methods[] = { { "drop", event_drop },
                                              { "replace", event_replace },
                                              { NULL, NULL } };
    static const luaL_Reg answer_methods[] = { { NULL, NULL } };
    make(L, s, ATTEMPT, "attempt", "edit attempt.body or attempt.headers, or use a method",
         attempt_index, attempt_methods);
    make(L, s, EVENT, "event", "edit event.json, or use a method", event_index, event_methods);
    make(L, s, ANSWER, "answer", "edit answer.body", answer_index, answer_methods);
}

static void **push(lua_State *L, void *object, const char *type) {
    void **box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = object;
    luaL_setmetatable(L, type);
    return box;
}

void **peri_bind_attempt_push(lua_State *L, struct peri_attempt *a) { return push(L, a, ATTEMPT); }
void **peri_bind_event_push(lua_State *L, struct peri_hook_event *e) { return push(L, e, EVENT); }
void **peri_bind_answer_push(lua_State *L, struct peri_hook_answer *a) {
    return push(L, a, ANSWER);
}

static void set_ms(lua_State *L, const char *name, uint64_t us) {
    lua_pushnumber(L, (double)us / 1000);
    lua_setfield(L, -2, name);
}

static void set_count(lua_State *L, const char *name, uint64_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

static void set_str(lua_State *L, const char *name, struct peri_str s) {
    peri_push_str(L, s);
    lua_setfield(L, -2, name);
}

static void push_attempt(lua_State *L, const struct peri_attempt_record *t) {
    lua_createtable(L, 0, 12);
    set_str(L, "provider", t->provider);
    set_str(L, "model", t->model);
    if (t->account.n > 0) set_str(L, "account", t->account);
    if (t->key > 0) set_count(L, "key", t->key);
    if (t->status != 0) set_count(L, "status", (uint64_t)t->status);
    lua_pushstring(L, peri_err_name(t->err));
    lua_setfield(L, -2, "err");
    lua_pushboolean(L, t->is_served);
    lua_setfield(L, -2, "served");
    set_ms(L, "started_ms", t->started_us);
    if (t->first_token_us > 0) set_ms(L, "first_token_ms", t->first_token_us);
    set_ms(L, "total_ms", t->total_us);
    set_count(L, "bytes", t->body_bytes);
    if (!t->has_usage) return;
    set_count(L, "input_tokens", t->input_tokens);
    set_count(L, "output_tokens", t->output_tokens);
    set_count(L, "cached_tokens", t->cached_tokens);
    set_count(L, "reasoning_tokens", t->reasoning_tokens);
}

void peri_bind_outcome_push(lua_State *L, const struct peri_outcome *o) {
    lua_createtable(L, 0, 16);
    set_count(L, "status", (uint64_t)o->status);
    lua_pushstring(L, peri_err_name(o->err));
    lua_setfield(L, -2, "err");
    set_str(L, "provider", o->provider);
    set_str(L, "model", o->model);
    set_str(L, "route", o->route);
    lua_createtable(L, (int)o->tried_count, 0);
    for (size_t i = 0; i < o->tried_count; i++) {
        push_attempt(L, o->tried[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "attempts");
    lua_pushboolean(L, o->is_stream);
    lua_setfield(L, -2, "stream");
    if (o->first_token_us > 0) set_ms(L, "first_token_ms", o->first_token_us);
    set_ms(L, "total_ms", o->total_us);
    set_ms(L, "overhead_ms", o->overhead_us);
    set_count(L, "bytes", o->body_bytes);
    if (o->has_cut_tool_args) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, "cut_tool_args");
    }
    if (o->discarded_input_tokens > 0 || o->discarded_output_tokens > 0) {
        set_count(L, "discarded_input_tokens", o->discarded_input_tokens);
        set_count(L, "discarded_output_tokens", o->discarded_output_tokens);
    }
    if (!o->has_usage) return;
    set_count(L, "input_tokens", o->input_tokens);
    set_count(L, "output_tokens", o->output_tokens);
    set_count(L, "cached_tokens", o->cached_tokens);
    set_count(L, "reasoning_tokens", o->reasoning_tokens);
}
