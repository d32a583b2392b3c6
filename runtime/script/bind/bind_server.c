/* The listening side. A server is a userdata that anchors itself in the registry while it is open: only close(), or
 * the interpreter's end, ends it. Closing happens in the next loop turn, because it wakes handlers that wait. */
#include "script/bind/bind_server.h"

#include "base/err.h"
#include "net/server/server.h"
#include "script/state/task.h"
#include "script/state/options.h"
#include "script/state/self.h"

struct peri_lua_server {
    struct peri_state *state;
    struct peri_server *server; /* NULL once closed */
    struct peri_loop *loop;
    int self_ref, handler_ref;
    unsigned port;
    bool is_closing, is_over; /* is_over: the interpreter closes, Lua is not entered any more */
};

struct peri_state *peri_lua_server_state(const struct peri_lua_server *server) {
    return server->state;
}

void peri_lua_server_push_handler(lua_State *L, const struct peri_lua_server *server) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, server->handler_ref);
}

/* From the loop. */

static void on_request(void *arg, struct peri_exchange *x) { peri_lua_exchange_begin(arg, x); }

static void on_gone(void *arg, struct peri_exchange *x) {
    const struct peri_lua_server *sv = arg;
    peri_lua_exchange_gone(x, sv->is_over);
}

static void on_drain(void *arg, struct peri_exchange *x) {
    (void)arg;
    peri_lua_exchange_drained(x);
}

static void on_misuse(void *arg, struct peri_exchange *x, const char *what, struct peri_str name) {
    const struct peri_lua_server *sv = arg;
    (void)x;
    peri_server_log_misuse(sv->state->log, PERI_STR(""), what, name);
}

static const struct peri_server_ops ops = { on_request, on_gone, on_drain, on_misuse };

static void close_now(struct peri_lua_server *sv) {
    struct peri_server *server = sv->server;
    sv->server = NULL;
    peri_server_close(server);
}

static void on_close_due(void *arg) {
    struct peri_lua_server *sv = arg;
    lua_State *L = sv->state->L;
    close_now(sv);
    luaL_unref(L, LUA_REGISTRYINDEX, sv->handler_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, sv->self_ref);
}

/* Methods. */

static struct peri_lua_server *check_server(lua_State *L) {
    return peri_check_self(L, PERI_SERVER_TYPE, "server");
}

static int server_close(lua_State *L) {
    struct peri_lua_server *sv = check_server(L);
    if (sv->is_closing) return 0;
    enum peri_err err = peri_loop_post(sv->loop, on_close_due, sv);
    if (err != PERI_OK) return peri_push_failure(L, err);
    sv->is_closing = true;
    peri_server_drain(sv->server);
    lua_pushboolean(L, true);
    return 1;
}

static int server_gc(lua_State *L) {
    struct peri_lua_server *sv = check_server(L);
    sv->is_over = true;
    if (sv->server != NULL) close_now(sv);
    return 0;
}

static int server_index(lua_State *L) {
    struct peri_lua_server *sv = check_server(L);
    const char *key = luaL_checkstring(L, 2);
    bool is_open = sv->server != NULL;
    if (strcmp(key, "port") == 0)
        lua_pushinteger(L, (lua_Integer)sv->port);
    else if (strcmp(key, "connections") == 0)
        lua_pushinteger(L, is_open ? (lua_Integer)peri_server_connections(sv->server) : 0);
    else if (strcmp(key, "exchanges") == 0)
        lua_pushinteger(L, is_open ? (lua_Integer)peri_server_exchanges(sv->server) : 0);
    else if (strcmp(key, "close") == 0)
        lua_pushvalue(L, lua_upvalueindex(2));
    else
        return luaL_error(L, "a server has port, connections, exchanges and close(), but no '%s'",
                          key);
    return 1;
}

static int server_tostring(lua_State *L) {
    lua_pushfstring(L, "http server on port %d", (int)check_server(L)->port);
    return 1;
}

/* serve. */

/* What is not given is 0: the server's own default. */
static size_t take_number(lua_State *L, const char *name) {
    return (size_t)peri_options_integer(L, 1, name, 0);
}

static void take_limits(lua_State *L, struct peri_server_limits *limits) {
    *limits = (struct peri_server_limits){
        .header_bytes = take_number(L, "header_bytes"),
        .header_lines = take_number(L, "header_lines"),
        .uri_bytes = take_number(L, "uri_bytes"),
        .body_bytes = take_number(L, "body_bytes"),
        .connections = take_number(L, "connections"),
        .header_ms = take_number(L, "header_ms"),
        .body_ms = take_number(L, "body_ms"),
        .idle_ms = take_number(L, "idle_ms"),
        .write_ms = take_number(L, "write_ms"),
        .write_high = take_number(L, "write_high"),
        .write_low = take_number(L, "write_low"),
        .allow_half_close = peri_options_flag(L, 1, "allow_half_close", false),
    };
}

#define NUMBER(name)                                                                               \
    { name, PERI_OPTION_INTEGER, 0, UINT32_MAX }

static void check_options(lua_State *L) {
    static const struct peri_option options[] = {
        { "listen", PERI_OPTION_TEXT, 0, 0 },
        { "handler", PERI_OPTION_FUNCTION, 0, 0 },
        { "reuse_port", PERI_OPTION_FLAG, 0, 0 },
        { "allow_half_close", PERI_OPTION_FLAG, 0, 0 },
        NUMBER("header_bytes"),
        NUMBER("header_lines"),
        NUMBER("uri_bytes"),
        NUMBER("body_bytes"),
        NUMBER("connections"),
        NUMBER("header_ms"),
        NUMBER("body_ms"),
        NUMBER("idle_ms"),
        NUMBER("write_ms"),
        NUMBER("write_high"),
        NUMBER("write_low"),
    };
    peri_options_take(L, 1, "peri.http.serve", options, sizeof options / sizeof *options);
}

static int http_serve(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    struct peri_server_limits limits;
    struct peri_fault fault;
    struct peri_str address;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    check_options(L);
    take_limits(L, &limits);
    bool reuse_port = peri_options_flag(L, 1, "reuse_port", false);
    if (lua_getfield(L, 1, "handler") != LUA_TFUNCTION)
        return luaL_error(L, "'handler' must be a function");
    if (lua_getfield(L, 1, "listen") != LUA_TSTRING)
        return luaL_error(L, "'listen' must be an address like \"127.0.0.1:0\"");
    address.p = lua_tolstring(L, 3, &address.n); /* stack: options handler listen */
    struct peri_loop *loop = peri_state_loop(L, s);
    struct peri_lua_server *sv = lua_newuserdatauv(L, sizeof *sv, 0);
    *sv = (struct peri_lua_server){ .state = s, .loop = loop, .is_closing = true };
    luaL_setmetatable(L, PERI_SERVER_TYPE);
    lua_pushvalue(L, 2);
    sv->handler_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 4);
    sv->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    enum peri_err err =
        peri_server_open(&sv->server, loop, address, reuse_port, &limits, &ops, sv, &fault);
    if (err != PERI_OK) {
        luaL_unref(L, LUA_REGISTRYINDEX, sv->handler_ref);
        luaL_unref(L, LUA_REGISTRYINDEX, sv->self_ref);
        return peri_push_fault(L, err, fault.text);
    }
    sv->is_closing = false;
    sv->port = peri_server_port(sv->server);
    return 1;
}

static void register_server(lua_State *L, struct peri_state *s) {
    static const luaL_Reg methods[] = { { "__gc", server_gc },
                                        { "__tostring", server_tostring },
                                        { NULL, NULL } };
    luaL_newmetatable(L, PERI_SERVER_TYPE);
    peri_state_set_functions(L, s, methods);
    peri_state_push(L, s);
    lua_pushcfunction(L, server_close);
    lua_pushcclosure(L, server_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void peri_bind_server_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "serve", http_serve }, { NULL, NULL } };
    register_server(L, s);
    peri_lua_exchange_open(L, s);
    luaL_getsubtable(L, -1, "http");
    peri_state_set_functions(L, s, functions);
    lua_pop(L, 1);
}
