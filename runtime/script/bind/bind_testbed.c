/* peri.testbed: a router in a world of its own (router/testbed.h) for perilune.testing, and a time limit for what a
 * user wrote. The bed's events go to one Lua function, called under whichever method turns the bed; an error it raises
 * is raised again by that method. */
#include "base/err.h"
#include "net/server/server.h"
#include "router/testbed.h"
#include "script/bind/bind_header.h"
#include "script/open.h"
#include "script/state/lua_str.h"
#include "script/state/sandbox.h"
#include "script/state/self.h"

#define BED_TYPE     "perilune.testbed"
#define HEADERS_MAX  64
#define LIMIT_MAX_MS 3600000

struct bed {
    struct peri_state *state;
    struct peri_testbed *bed; /* NULL once closed */
    lua_State *L;             /* whose method turns it; NULL: none does */
    int handler;              /* registry: the function that is told */
    int error;                /* registry: what it raised; LUA_NOREF: nothing */
    int status;               /* Lua's, of that */
};

/* ---- Events ---- */

struct telling {
    struct bed *bed;
    const struct peri_bed_event *event;
    bool answer;
};

static void set_str(lua_State *L, const char *name, struct peri_str s) {
    if (s.p == NULL) return;
    lua_pushlstring(L, s.p, s.n);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

/* { name =, value = } appended to the list below the top's table. stack: …, list */
static void add_header(lua_State *L, struct peri_header h) {
    lua_createtable(L, 0, 2);
    set_str(L, "name", h.name);
    set_str(L, "value", h.value);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static void set_request(lua_State *L, const struct peri_exchange *x) {
    set_str(L, "method", peri_exchange_method(x));
    set_str(L, "path", peri_exchange_path(x));
    set_str(L, "query", peri_exchange_query(x));
    peri_push_str(L, peri_exchange_body(x));
    lua_setfield(L, -2, "body");
    lua_newtable(L);
    for (size_t i = 0; i < peri_exchange_header_count(x); i++)
        add_header(L, peri_exchange_header_at(x, i));
    lua_setfield(L, -2, "headers");
}

static int tell(lua_State *L) { /* protected */
    static const char *const kinds[] = {
        "dial", "request", "gone", "head", "bytes", "done", "due"
    };
    struct telling *t = lua_touserdata(L, 1);
    const struct peri_bed_event *e = t->event;
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->bed->handler);
    lua_createtable(L, 0, 8);
    lua_pushstring(L, kinds[e->kind]);
    lua_setfield(L, -2, "kind");
    set_integer(L, "id", (lua_Integer)e->id);
    set_integer(L, "port", e->port);
    set_str(L, "peer", e->peer);
    set_str(L, "bytes", e->bytes);
    if (e->exchange != NULL) set_request(L, e->exchange);
    if (e->kind == PERI_BED_HEAD) {
        set_integer(L, "status", e->status);
        lua_newtable(L);
        for (size_t i = 0; i < e->header_count; i++) add_header(L, e->headers[i]);
        lua_setfield(L, -2, "headers");
    }
    if (e->report != NULL && e->report->err != PERI_OK) {
        set_str(L, "why", peri_str_of(e->report->detail));
        set_str(L, "code", peri_str_of(peri_err_name(e->report->err)));
    }
    lua_call(L, 1, 1);
    t->answer = lua_toboolean(L, -1);
    return 0;
}

static bool on_event(void *arg, const struct peri_bed_event *event) {
    struct bed *b = arg;
    struct telling t = { b, event, false };
    lua_State *L = b->L;
    if (L == NULL || b->error != LUA_NOREF || !lua_checkstack(L, 4)) return false;
    lua_pushcfunction(L, tell);
    lua_pushlightuserdata(L, &t);
    b->status = lua_pcall(L, 1, 0, 0);
    if (b->status == LUA_OK) return t.answer;
    b->error = luaL_ref(L, LUA_REGISTRYINDEX);
    return false;
}

/* ---- Methods ---- */

static struct bed *check_bed(lua_State *L) {
    struct bed *b = peri_check_self(L, BED_TYPE, "bed");
    if (b->bed == NULL) luaL_error(L, "the test bed is closed");
    return b;
}

static uint64_t check_ms(lua_State *L, int i) {
    lua_Number ms = luaL_checknumber(L, i);
    luaL_argcheck(L, ms >= 0 && ms <= 1e12, i, "milliseconds, not negative");
    return (uint64_t)ms;
}

static uint64_t check_id(lua_State *L) {
    (void)check_bed(L); /* argument 1 before argument 2, whatever order C evaluates in */
    return (uint64_t)luaL_checkinteger(L, 2);
}

/* Whatever the handler raised meanwhile is raised here. */
static int turned(lua_State *L, struct bed *b) {
    b->L = NULL;
    if (b->error == LUA_NOREF) return 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, b->error);
    luaL_unref(L, LUA_REGISTRYINDEX, b->error);
    b->error = LUA_NOREF;
    peri_budget_check(&b->state->budget, L, b->status);
    return lua_error(L);
}

static struct bed *check_still(lua_State *L) {
    struct bed *b = check_bed(L);
    if (b->L != NULL) luaL_error(L, "the test bed is turning already");
    return b;
}

static int bed_settle(lua_State *L) {
    struct bed *b = check_still(L);
    b->L = L;
    peri_testbed_settle(b->bed);
    return turned(L, b);
}

static int bed_advance(lua_State *L) {
    struct bed *b = check_still(L);
    uint64_t ms = check_ms(L, 2);
    b->L = L;
    peri_testbed_advance(b->bed, ms);
    return turned(L, b);
}

static int bed_next_ms(lua_State *L) {
    uint64_t ms = peri_testbed_next_ms(check_bed(L)->bed);
    if (ms == UINT64_MAX)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)ms);
    return 1;
}

static int bed_now_ms(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)peri_testbed_now_ms(check_bed(L)->bed));
    return 1;
}

static int bed_after(lua_State *L) {
    struct bed *b = check_bed(L);
    uint64_t id, ms = check_ms(L, 2);
    enum peri_err err = peri_testbed_after(b->bed, &id, ms);
    if (err != PERI_OK) return luaL_error(L, "%s", peri_err_text(err));
    lua_pushinteger(L, (lua_Integer)id);
    return 1;
}

/* A list of { name =, value = } at `at`, into `headers`. The views are good while that table is. */
static size_t read_headers(lua_State *L, int at, struct peri_header headers[HEADERS_MAX]) {
    size_t n = 0;
    if (lua_isnoneornil(L, at)) return 0;
    luaL_checktype(L, at, LUA_TTABLE);
    lua_Integer count = luaL_len(L, at);
    luaL_argcheck(L, count <= HEADERS_MAX, at, "at most 64 headers");
    for (lua_Integer i = 1; i <= count; i++, n++) {
        lua_rawgeti(L, at, i);
        luaL_argexpected(L, lua_istable(L, -1), at, "list of headers");
        if (lua_getfield(L, -1, "name") != LUA_TSTRING ||
            lua_getfield(L, -2, "value") != LUA_TSTRING)
            luaL_error(L, "a header has a name and a value, both texts");
        headers[n] = peri_check_header(L, -2, -1);
        lua_pop(L, 3);
    }
    return n;
}

static int bed_ask(lua_State *L) {
    struct bed *b = check_bed(L);
    struct peri_str path = peri_check_str(L, 2), body = peri_check_str(L, 3), method;
    struct peri_header headers[HEADERS_MAX];
    uint64_t id;
    size_t count = read_headers(L, 4, headers);
    method.p = luaL_optlstring(L, 5, "POST", &method.n);
    enum peri_err err = peri_testbed_ask(b->bed, &id, method, path, body, headers, count);
    if (err != PERI_OK) return luaL_error(L, "cannot ask for %s: %s", path.p, peri_err_text(err));
    lua_pushinteger(L, (lua_Integer)id);
    return 1;
}

static int bed_hang_up(lua_State *L) {
    peri_testbed_hang_up(check_bed(L)->bed, check_id(L));
    return 0;
}

/* The exchange of argument 2; NULL: it is over, the router has left it perhaps. */
static struct peri_exchange *exchange_of(lua_State *L) {
    return peri_testbed_exchange(check_bed(L)->bed, check_id(L));
}

static int push_whether(lua_State *L, bool is_so) {
    lua_pushboolean(L, is_so);
    return 1;
}

static int bed_start(lua_State *L) {
    struct peri_exchange *x = exchange_of(L);
    struct peri_header headers[HEADERS_MAX];
    lua_Integer status = luaL_checkinteger(L, 3);
    luaL_argcheck(L, status >= 200 && status <= 999, 3, "a final status, 200 to 999");
    lua_Integer length = luaL_optinteger(L, 5, -1);
    size_t count = read_headers(L, 4, headers);
    if (x == NULL || peri_exchange_is_started(x)) return push_whether(L, false);
    peri_exchange_start(x, (int)status, headers, count,
                        length < 0 ? PERI_LENGTH_UNKNOWN : (uint64_t)length);
    peri_exchange_flush(x);
    return push_whether(L, true);
}

static int bed_write(lua_State *L) {
    struct peri_exchange *x = exchange_of(L);
    struct peri_str bytes = peri_check_str(L, 3);
    if (x == NULL || !peri_exchange_is_started(x)) return push_whether(L, false);
    enum peri_err err = peri_exchange_write(x, bytes);
    return push_whether(L, err == PERI_OK || err == PERI_EFULL);
}

static int end_exchange(lua_State *L, void (*end)(struct peri_exchange *x)) {
    struct peri_exchange *x = exchange_of(L);
    if (x == NULL) return push_whether(L, false);
    peri_testbed_ended(check_bed(L)->bed, check_id(L));
    end(x);
    return push_whether(L, true);
}

static void finish(struct peri_exchange *x) {
    if (peri_exchange_is_started(x))
        peri_exchange_end(x);
    else
        peri_exchange_abort(x);
}

static int bed_finish(lua_State *L) { return end_exchange(L, finish); }
static int bed_cut(lua_State *L) { return end_exchange(L, peri_exchange_abort); }

static int bed_log(lua_State *L) {
    struct bed *b = check_bed(L);
    struct peri_buf text;
    peri_buf_init(&text, 0);
    enum peri_err err = peri_testbed_log(b->bed, &text);
    if (err == PERI_OK) lua_pushlstring(L, text.n > 0 ? text.p : "", text.n);
    peri_buf_done(&text);
    return err == PERI_OK ? 1 : luaL_error(L, "the log: %s", peri_err_text(err));
}

static int bed_close(lua_State *L) {
    struct bed *b = peri_check_self(L, BED_TYPE, "bed");
    if (b->L != NULL) return luaL_error(L, "the test bed is turning");
    peri_testbed_free(b->bed);
    b->bed = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, b->handler);
    b->handler = LUA_NOREF;
    return 0;
}

static int testbed_open(lua_State *L) {
    const char *config = luaL_checkstring(L, 1);
    struct peri_fault fault;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct bed *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (struct bed){ .state = peri_state_of(L), .handler = LUA_NOREF, .error = LUA_NOREF };
    luaL_setmetatable(L, BED_TYPE);
    lua_pushvalue(L, 2);
    b->handler = luaL_ref(L, LUA_REGISTRYINDEX);
    enum peri_err err = peri_testbed_new(&b->bed, config, on_event, b, &fault);
    return err == PERI_OK ? 1 : peri_push_fault(L, err, fault.text);
}

/* ---- Time limits ---- */

/* The message handler of one limited call: the error stays what it is, where it was raised goes to upvalue 1. */
static int keep_trace(lua_State *L) {
    luaL_traceback(L, L, NULL, 1);
    lua_replace(L, lua_upvalueindex(1));
    return 1;
}

/* What protects calls must not outlast the limit. */
static void guard_globals(lua_State *L, struct peri_state *s) {
    lua_pushglobaltable(L);
    peri_guard_open(L, s);
    luaL_getsubtable(L, -1, "coroutine");
    peri_guard_open_coroutine(L, s);
    lua_pop(L, 2);
}

/* limit(ms, fn, …): true and what it returned, or false, the error, a trace of where, and a code. */
static int testbed_limit(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    lua_Integer ms = luaL_checkinteger(L, 1);
    luaL_argcheck(L, ms >= 1 && ms <= LIMIT_MAX_MS, 1, "milliseconds, 1 to 3600000");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (s->budget.limits.cpu_ms != 0) return luaL_error(L, "there is a time limit already");
    guard_globals(L, s);
    peri_budget_attach(&s->budget, L);
    lua_pushnil(L);
    lua_pushcclosure(L, keep_trace, 1);
    lua_replace(L, 1);
    lua_pushvalue(L, 1);
    lua_insert(L, 2); /* stack: handler handler fn … */
    s->budget.limits = (struct peri_budget_limits){ .cpu_ms = (uint32_t)ms };
    peri_budget_enter(&s->budget, L);
    int status = lua_pcall(L, lua_gettop(L) - 3, LUA_MULTRET, 2);
    enum peri_budget_end end = peri_budget_end(&s->budget);
    peri_budget_leave(&s->budget);
    lua_sethook(L, NULL, 0, 0);
    s->budget.limits = (struct peri_budget_limits){ 0 };
    peri_budget_enter(&s->budget, L); /* without a limit: what was used up counts for nobody else */
    peri_budget_done(&s->budget);
    if (status == LUA_OK && end == PERI_BUDGET_LEFT) {
        lua_pushboolean(L, 1);
        lua_replace(L, 2);
        return lua_gettop(L) - 1;
    }
    if (status == LUA_OK) lua_settop(L, 2); /* it came back, but too late */
    lua_settop(L, 3);                       /* stack: handler handler error */
    lua_pushboolean(L, 0);
    lua_insert(L, 3); /* stack: handler handler false error */
    if (lua_getupvalue(L, 1, 1) == NULL) lua_pushnil(L);
    lua_pushstring(L, end != PERI_BUDGET_LEFT ? "EBUDGET" : "EPOLICY");
    return 4;
}

void peri_bind_testbed_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "open", testbed_open },
                                          { "limit", testbed_limit },
                                          { NULL, NULL } };
    static const luaL_Reg methods[] = { { "ask", bed_ask },         { "hang_up", bed_hang_up },
                                        { "start", bed_start },     { "write", bed_write },
                                        { "finish", bed_finish },   { "cut", bed_cut },
                                        { "after", bed_after },     { "settle", bed_settle },
                                        { "advance", bed_advance }, { "next_ms", bed_next_ms },
                                        { "now_ms", bed_now_ms },   { "log", bed_log },
                                        { "close", bed_close },     { NULL, NULL } };
    luaL_newmetatable(L, BED_TYPE);
    lua_newtable(L);
    peri_state_set_functions(L, s, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, bed_close);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_newtable(L);
    peri_state_set_functions(L, s, functions);
    peri_bind_isolate_open(L, s);
}
