/* One request in the hands of Lua: what was asked, and the answer's methods.
 *
 * The object is a userdata; a reference in the registry keeps it while its handler runs. The exchange is open only
 * while the handler runs: whichever way that ends, handler_over ends the exchange. When the client leaves first,
 * `x` becomes NULL, what the handler waits for in a method of ours ends at once, and every later method gives
 * `nil, sentence, "ECLOSED"`. */
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "dialect/error.h"
#include "net/server/http.h"
#include "net/server/server.h"
#include "script/bind/bind_header.h"
#include "script/bind/bind_server.h"
#include "script/state/task.h"
#include "script/state/options.h"
#include "script/state/lua_str.h"
#include "script/state/self.h"

#define WAIT_MAX_MS 86400000

struct request {
    struct peri_lua_server *server;
    struct peri_exchange *x;  /* NULL: it was ended, or the client left */
    struct peri_task *waiter; /* the handler's task while it waits in one of our methods */
    struct peri_timer timer;
    int self_ref, gone_ref;
    bool is_gone, is_ended;
};

/* Making one. stack of a request's fields: method path query body peer headers */

struct making {
    struct peri_lua_server *server;
    struct peri_exchange *x;
    struct request *made;
};

static void set_text(lua_State *L, const char *name, struct peri_str value) {
    lua_pushlstring(L, value.p, value.n);
    lua_setfield(L, -2, name);
}

/* A header that stands several times is one list (RFC 9110, 5.3). */
static void push_headers(lua_State *L, const struct peri_exchange *x) {
    lua_newtable(L);
    for (size_t i = 0; i < peri_exchange_header_count(x); i++)
        peri_add_header(L, peri_exchange_header_at(x, i));
}

static void on_waited(void *arg);

static int make_request(lua_State *L) { /* protected */
    struct making *m = lua_touserdata(L, 1);
    struct peri_state *s = peri_lua_server_state(m->server);
    struct request *r = lua_newuserdatauv(L, sizeof *r, 1);
    *r = (struct request){ .server = m->server, .self_ref = LUA_NOREF, .gone_ref = LUA_NOREF };
    peri_timer_init(&r->timer, s->loop, on_waited, r);
    lua_newtable(L); /* stack: making request fields */
    set_text(L, "method", peri_exchange_method(m->x));
    set_text(L, "path", peri_exchange_path(m->x));
    set_text(L, "query", peri_exchange_query(m->x));
    set_text(L, "body", peri_exchange_body(m->x));
    set_text(L, "peer", peri_exchange_peer(m->x));
    push_headers(L, m->x);
    lua_setfield(L, -2, "headers");
    lua_setiuservalue(L, 2, 1);
    luaL_setmetatable(L, PERI_EXCHANGE_TYPE);
    r->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    r->x = m->x;
    m->made = r;
    return 0;
}

/* Ends. */

static void answer_failure(struct peri_exchange *x, int status, const char *why) {
    static const struct peri_header json[] = { { PERI_STR_INIT("content-type"),
                                                 PERI_STR_INIT("application/json") } };
    struct peri_buf b;
    peri_buf_init(&b, 4096);
    if (peri_error_body(&b, peri_str_of(why), PERI_STR("server_error"),
                        (struct peri_str){ NULL, 0 }, PERI_STR("handler_failed")) == PERI_OK)
        peri_exchange_answer(x, status, json, 1, peri_buf_str(&b));
    else
        peri_exchange_abort(x);
    peri_buf_done(&b);
}

/* The handler has returned or failed: nobody else will end the exchange. */
static void handler_over(void *arg, enum peri_err err, const struct peri_fault *fault) {
    struct request *r = arg;
    struct peri_exchange *x = r->x;
    struct peri_state *s = peri_lua_server_state(r->server);
    if (err != PERI_OK && s->log != NULL)
        peri_log_say(s->log, PERI_LOG_WARN, "a server's handler failed: %s", fault->text);
    r->x = NULL;
    r->is_ended = true;
    if (x != NULL && !peri_exchange_is_started(x))
        answer_failure(x, 500,
                       err != PERI_OK ? fault->text : "the handler returned without an answer");
    else if (x != NULL && err != PERI_OK)
        peri_exchange_abort(x);
    else if (x != NULL)
        peri_exchange_end(x);
    luaL_unref(s->L, LUA_REGISTRYINDEX, r->gone_ref);
    luaL_unref(s->L, LUA_REGISTRYINDEX, r->self_ref); /* may be collected from here on */
}

static int push_handler(lua_State *L, void *arg) {
    const struct request *r = arg;
    peri_lua_server_push_handler(L, r->server);
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->self_ref);
    return 1;
}

static const struct peri_task_ops handler_ops = { push_handler, NULL, handler_over };

void peri_lua_exchange_begin(struct peri_lua_server *server, struct peri_exchange *x) {
    struct making m = { server, x, NULL };
    struct peri_state *s = peri_lua_server_state(server);
    struct peri_fault fault;
    if (peri_state_call(s, make_request, &m, &fault) != PERI_OK) {
        answer_failure(x, 503, fault.text);
        return;
    }
    peri_exchange_set_user(x, m.made);
    enum peri_task_status status = peri_task_start(NULL, s, &handler_ops, m.made, &fault);
    if (status != PERI_TASK_WAITING)
        handler_over(m.made, status == PERI_TASK_DONE ? PERI_OK : fault.err, &fault);
}

/* The client left. */

static int push_gone(lua_State *L, void *arg) {
    const struct request *r = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->gone_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->self_ref);
    return 1;
}

static void note_gone_failure(struct peri_state *s, const struct peri_fault *fault) {
    if (s->log != NULL)
        peri_log_say(s->log, PERI_LOG_WARN, "a function given to on_gone failed: %s", fault->text);
}

/* It may wait, but nobody hears of its end then. */
static const struct peri_task_ops gone_ops = { push_gone, NULL, NULL };

static void wake(struct request *r) {
    struct peri_task *t = r->waiter;
    peri_timer_stop(&r->timer);
    r->waiter = NULL;
    if (t != NULL) peri_task_resume(t);
}

static void on_waited(void *arg) { wake(arg); }

void peri_lua_exchange_gone(struct peri_exchange *x, bool is_closing) {
    struct request *r = peri_exchange_user(x);
    if (r == NULL) return;
    struct peri_state *s = peri_lua_server_state(r->server);
    struct peri_fault fault;
    r->x = NULL;
    r->is_gone = true;
    if (is_closing) return;
    if (r->gone_ref != LUA_NOREF &&
        peri_task_start(NULL, s, &gone_ops, r, &fault) == PERI_TASK_FAILED)
        note_gone_failure(s, &fault);
    wake(r); /* last: the handler may end in here, and the request with it */
}

void peri_lua_exchange_drained(struct peri_exchange *x) {
    struct request *r = peri_exchange_user(x);
    if (r != NULL && !peri_timer_is_armed(&r->timer)) wake(r);
}

/* Methods. */

static struct request *check_request(lua_State *L) {
    return peri_check_self(L, PERI_EXCHANGE_TYPE, "exchange");
}

/* gives NULL when the client left: then answer with push_gone_failure */
static struct peri_exchange *check_open(lua_State *L, struct request *r) {
    if (r->x == NULL && !r->is_gone) luaL_error(L, "this exchange is over");
    return r->x;
}

static int push_gone_failure(lua_State *L) {
    return peri_push_fault(L, PERI_ECLOSED, "the client left");
}

static int push_true(lua_State *L) {
    lua_pushboolean(L, true);
    return 1;
}

static int answer_result(lua_State *L, enum peri_err err) {
    return err == PERI_OK || err == PERI_EFULL ? push_true(L) : peri_push_failure(L, err);
}

static void check_header(lua_State *L, struct peri_header *header, int name, int value) {
    if (lua_type(L, name) != LUA_TSTRING ||
        (lua_type(L, value) != LUA_TSTRING && lua_type(L, value) != LUA_TNUMBER))
        luaL_argerror(L, 3, "headers are name = text");
    *header = peri_check_header(L, name, value);
}

/* Headers of argument 3: { name = value, … }. Their bytes are kept by a table that is left on the stack with the
 * array, because a number's text would belong to nobody. */
static const struct peri_header *check_headers(lua_State *L, size_t *count) {
    size_t n = 0;
    *count = 0;
    if (lua_isnoneornil(L, 3)) return NULL;
    luaL_checktype(L, 3, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 3) != 0; lua_pop(L, 1)) n++;
    lua_newtable(L);
    int kept = lua_gettop(L);
    struct peri_header *headers = lua_newuserdatauv(L, (n + 1) * sizeof *headers, 0);
    for (lua_pushnil(L); lua_next(L, 3) != 0 && *count < n; lua_pop(L, 1)) {
        check_header(L, &headers[*count], -2, -1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, kept, (lua_Integer)++ * count);
    }
    return headers;
}

static int check_status(lua_State *L) {
    lua_Integer status = luaL_checkinteger(L, 2);
    luaL_argcheck(L, status >= 200 && status <= 999, 2, "a status from 200 to 999");
    return (int)status;
}

static void check_unstarted(lua_State *L, const struct peri_exchange *x) {
    if (peri_exchange_is_started(x)) luaL_error(L, "the answer has started already");
}

static void check_started(lua_State *L, const struct peri_exchange *x) {
    if (!peri_exchange_is_started(x)) luaL_error(L, "the answer has not started: call start first");
}

static void over(struct request *r) {
    r->x = NULL;
    r->is_ended = true;
}

static int exchange_reply(lua_State *L) {
    struct request *r = check_request(L);
    int status = check_status(L);
    lua_settop(L, 4);
    struct peri_str body = lua_isnil(L, 4) ? PERI_STR("") : peri_check_str(L, 4);
    size_t count;
    const struct peri_header *headers = check_headers(L, &count);
    struct peri_exchange *x = check_open(L, r);
    if (x == NULL) return push_gone_failure(L);
    check_unstarted(L, x);
    over(r);
    peri_exchange_answer(x, status, headers, count, body);
    return push_true(L);
}

static int exchange_start(lua_State *L) {
    struct request *r = check_request(L);
    int status = check_status(L);
    lua_Integer length = luaL_optinteger(L, 4, -1);
    lua_settop(L, 4);
    size_t count;
    const struct peri_header *headers = check_headers(L, &count);
    struct peri_exchange *x = check_open(L, r);
    if (x == NULL) return push_gone_failure(L);
    check_unstarted(L, x);
    peri_exchange_start(x, status, headers, count,
                        length < 0 ? PERI_LENGTH_UNKNOWN : (uint64_t)length);
    return push_true(L);
}

/* Waiting. */

static void on_wait_canceled(void *work) {
    struct request *r = work;
    peri_timer_stop(&r->timer);
    r->waiter = NULL;
    if (r->x == NULL) return;
    struct peri_exchange *x = r->x;
    over(r);
    peri_exchange_abort(x); /* the handler was cancelled: nobody is left to answer */
}

static int wait_done(lua_State *L, int status, lua_KContext context) {
    const struct request *r =
        (const struct request *)context; /* NOLINT: Lua's own way to carry a pointer */
    (void)status;
    return r->is_gone ? push_gone_failure(L) : push_true(L);
}

static int wait_in(lua_State *L, struct request *r, struct peri_task *t) {
    r->waiter = t;
    return peri_task_wait(L, t, on_wait_canceled, r, wait_done);
}

/* The handler's own task, and nobody else, may wait here. */
static struct peri_task *check_task(lua_State *L, const struct request *r) {
    struct peri_task *t = peri_task_of(L);
    if (peri_task_ops(t) != &handler_ops || peri_task_arg(t) != r)
        luaL_error(L, "only the exchange's own handler may wait for it");
    return t;
}

static int exchange_write(lua_State *L) {
    struct request *r = check_request(L);
    struct peri_str bytes = peri_check_str(L, 2);
    struct peri_task *t = check_task(L, r);
    struct peri_exchange *x = check_open(L, r);
    if (x == NULL) return push_gone_failure(L);
    check_started(L, x);
    enum peri_err err = peri_exchange_write(x, bytes);
    return err == PERI_EFULL ? wait_in(L, r, t) : answer_result(L, err);
}

static int exchange_raw(lua_State *L) {
    struct request *r = check_request(L);
    struct peri_str bytes = peri_check_str(L, 2);
    struct peri_task *t = check_task(L, r);
    struct peri_exchange *x = check_open(L, r);
    if (x == NULL) return push_gone_failure(L);
    enum peri_err err = peri_exchange_raw(x, bytes);
    return err == PERI_EFULL ? wait_in(L, r, t) : answer_result(L, err);
}

static int exchange_wait(lua_State *L) {
    struct request *r = check_request(L);
    lua_Number ms = luaL_checknumber(L, 2);
    luaL_argcheck(L, ms >= 0 && ms <= WAIT_MAX_MS, 2, "milliseconds, 0 to 86400000");
    struct peri_task *t = check_task(L, r);
    if (check_open(L, r) == NULL) return push_gone_failure(L);
    enum peri_err err = peri_timer_start(&r->timer, (uint64_t)ms);
    return err == PERI_OK ? wait_in(L, r, t) : peri_push_failure(L, err);
}

static int exchange_flush(lua_State *L) {
    struct peri_exchange *x = check_open(L, check_request(L));
    if (x == NULL) return push_gone_failure(L);
    peri_exchange_flush(x);
    return push_true(L);
}

static int exchange_finish(lua_State *L) {
    struct request *r = check_request(L);
    struct peri_exchange *x = check_open(L, r);
    if (x == NULL) return push_gone_failure(L);
    check_started(L, x);
    over(r);
    peri_exchange_end(x);
    return push_true(L);
}

static int exchange_cut(lua_State *L) {
    struct request *r = check_request(L);
    static const struct peri_option options[] = { { "reset", PERI_OPTION_FLAG, 0, 0 } };
    lua_settop(L, 2);
    peri_options_take(L, 2, "exchange:cut", options, 1);
    bool is_reset = peri_options_flag(L, 2, "reset", false);
    struct peri_exchange *x = check_open(L, r);
    if (x == NULL) return push_gone_failure(L);
    over(r);
    if (is_reset)
        peri_exchange_reset(x);
    else
        peri_exchange_abort(x);
    return push_true(L);
}

static int exchange_on_gone(lua_State *L) {
    struct request *r = check_request(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (check_open(L, r) == NULL) return push_gone_failure(L);
    lua_settop(L, 2);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_unref(L, LUA_REGISTRYINDEX, r->gone_ref);
    r->gone_ref = ref;
    return push_true(L);
}

/* stack: exchange name fields headers */
static int exchange_header(lua_State *L) {
    check_request(L);
    struct peri_str name = peri_check_str(L, 2);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, 1);
    lua_getfield(L, 3, "headers");
    peri_push_lower(L, name);
    lua_rawget(L, 4);
    return 1;
}

static int exchange_index(lua_State *L) {
    const struct request *r = check_request(L);
    const char *key = luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1; /* a method */
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL) return 1;
    if (strcmp(key, "is_gone") == 0)
        lua_pushboolean(L, r->is_gone);
    else if (strcmp(key, "is_over") == 0)
        lua_pushboolean(L, r->is_ended || r->is_gone);
    else if (strcmp(key, "sent") == 0)
        lua_pushinteger(L, r->x == NULL ? 0 : (lua_Integer)peri_exchange_sent(r->x));
    else
        return luaL_error(L, "an exchange has no '%s'", key);
    return 1;
}

static int exchange_tostring(lua_State *L) {
    check_request(L);
    lua_getiuservalue(L, 1, 1);
    lua_getfield(L, -1, "method");
    lua_getfield(L, -2, "path");
    lua_pushfstring(L, "exchange: %s %s", lua_tostring(L, -2), lua_tostring(L, -1));
    return 1;
}

/* Only when the interpreter closes can an exchange still be open here. */
static int exchange_gc(lua_State *L) {
    struct request *r = check_request(L);
    peri_timer_stop(&r->timer);
    if (r->x != NULL) peri_exchange_set_user(r->x, NULL);
    r->x = NULL;
    return 0;
}

void peri_lua_exchange_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg methods[] = { { "reply", exchange_reply },
                                        { "start", exchange_start },
                                        { "write", exchange_write },
                                        { "raw", exchange_raw },
                                        { "flush", exchange_flush },
                                        { "finish", exchange_finish },
                                        { "cut", exchange_cut },
                                        { "wait", exchange_wait },
                                        { "on_gone", exchange_on_gone },
                                        { "header", exchange_header },
                                        { NULL, NULL } };
    static const luaL_Reg events[] = { { "__gc", exchange_gc },
                                       { "__tostring", exchange_tostring },
                                       { NULL, NULL } };
    luaL_newmetatable(L, PERI_EXCHANGE_TYPE);
    peri_state_set_functions(L, s, events);
    peri_state_push(L, s);
    lua_newtable(L);
    peri_state_set_functions(L, s, methods);
    lua_pushcclosure(L, exchange_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
