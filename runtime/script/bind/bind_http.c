/* A fetch is a userdata that the waiting function keeps on its stack. It owns the call and the bytes that came;
 * fetch_stop gives both back, and runs when the answer was pushed, when the task is cancelled and when Lua
 * collects the fetch. The client's callbacks only fill the fetch and resume its task: Lua objects are made by the
 * continuation, where raising is caught.
 *
 * stack of a waiting fetch: options fetch on_chunk|nil */
#include "script/bind/bind_http.h"

#include <string.h>

#include "base/err.h"
#include "net/client/client.h"
#include "net/header.h"
#include "net/reach.h"
#include "net/server/http.h"
#include "script/bind/bind_header.h"
#include "script/state/frozen.h"
#include "script/state/options.h"
#include "script/state/task.h"

#define FETCH_TYPE       "perilune.fetch"
#define FETCHER_TYPE     "perilune.fetcher"
#define HEADERS_MAX      64
#define TIMEOUT_MS       10000
#define TIMEOUT_MAX_MS   86400000
#define POLICY_MAX_MS    60000
#define BYTES_MAX        (64u << 20)
#define POLICY_BYTES     (1u << 20)
#define POLICY_BYTES_MAX (8u << 20)
#define READ_BYTES       16384

/* The client of a state; a userdata in the registry. */
struct fetcher {
    struct peri_client *client;
    struct peri_list fetches; /* with an open call */
    size_t held;              /* bytes of answers that no script has yet */
    size_t held_max;          /* 0: no cap */
};

struct fetch {
    struct peri_list link;
    struct fetcher *fetcher;
    struct peri_task *task; /* while it waits here; NULL otherwise */
    struct peri_call *call; /* NULL once it is over */
    struct peri_buf headers, body;
    size_t max_bytes, taken;
    int status;
    bool is_streamed, is_over;
    enum peri_err err;
    char why[160];
};

static const char fetcher_key;

/* Ends. */

static void close_call(struct fetch *f) {
    if (f->call != NULL) peri_call_cancel(f->call);
    f->call = NULL;
    peri_list_remove(&f->link);
}

static void fetch_stop(struct fetch *f) {
    close_call(f);
    f->fetcher->held -= f->body.n;
    peri_buf_done(&f->body);
    peri_buf_done(&f->headers);
    peri_buf_init(&f->body, 0);
    peri_buf_init(&f->headers, 0);
}

static int fetch_gc(lua_State *L) {
    fetch_stop(lua_touserdata(L, 1));
    return 0;
}

/* The interpreter closes, and fetches may be left whose tasks are cancelled after this. */
static int fetcher_gc(lua_State *L) {
    struct fetcher *fr = lua_touserdata(L, 1);
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &fr->fetches) close_call(peri_list_entry(at, struct fetch, link));
    peri_client_free(fr->client);
    fr->client = NULL;
    return 0;
}

static void on_task_canceled(void *work) {
    struct fetch *f = work;
    f->task = NULL;
    fetch_stop(f);
}

/* From the loop. What is resumed may free everything here: it is the last thing that is done. */

static void go_on(struct fetch *f) {
    struct peri_task *t = f->task;
    f->task = NULL;
    if (t != NULL) peri_task_resume(t);
}

static void give_up(struct fetch *f, enum peri_err err, const char *why) {
    close_call(f);
    f->is_over = true;
    f->err = err;
    snprintf(f->why, sizeof f->why, "%s", why);
}

/* As "name\nvalue\n" each: neither can hold a line end. */
static void on_head(void *arg, struct peri_call *call, int status,
                    const struct peri_header *headers, size_t count) {
    struct fetch *f = arg;
    (void)call;
    f->status = status;
    for (size_t i = 0; i < count; i++) {
        peri_buf_add(&f->headers, headers[i].name);
        peri_buf_add_char(&f->headers, '\n');
        peri_buf_add(&f->headers, headers[i].value);
        peri_buf_add_char(&f->headers, '\n');
    }
    if (f->headers.err == PERI_OK) return;
    give_up(f, PERI_ENOMEM, peri_err_text(PERI_ENOMEM));
    go_on(f);
}

static bool on_body(void *arg, struct peri_call *call, struct peri_str bytes) {
    struct fetch *f = arg;
    struct fetcher *fr = f->fetcher;
    (void)call;
    f->taken += bytes.n;
    if (f->taken > f->max_bytes)
        give_up(f, PERI_ETOOBIG, "the answer is larger than max_bytes");
    else if (fr->held_max != 0 && fr->held + bytes.n > fr->held_max)
        give_up(f, PERI_ETOOBIG, "the answers under way are larger than what policies may hold");
    else if (peri_buf_add(&f->body, bytes) != PERI_OK)
        give_up(f, PERI_ENOMEM, peri_err_text(PERI_ENOMEM));
    else
        fr->held += bytes.n;
    if (f->is_streamed && !f->is_over) peri_call_pause(call); /* until the script has taken it */
    if (f->is_streamed || f->is_over) go_on(f);
    return true;
}

static void on_done(void *arg, struct peri_call *call, const struct peri_call_report *report) {
    struct fetch *f = arg;
    (void)call;
    f->call = NULL;
    give_up(f, report->err, report->detail);
    go_on(f);
}

static const struct peri_call_ops ops = { on_head, on_body, on_done };

/* The answer. */

/* A header that stands several times is one list (RFC 9110, 5.3). */
static void push_headers(lua_State *L, const struct fetch *f) {
    struct peri_str rest = peri_buf_str(&f->headers), name, value;
    lua_newtable(L);
    while (peri_str_cut(&name, &rest, '\n') && peri_str_cut(&value, &rest, '\n'))
        peri_add_header(L, (struct peri_header){ name, value });
}

static int push_answer(lua_State *L, struct fetch *f) {
    if (f->err != PERI_OK) {
        fetch_stop(f);
        return peri_push_fault(L, f->err, f->why);
    }
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, f->status);
    lua_setfield(L, -2, "status");
    push_headers(L, f);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, f->body.p, f->body.n);
    lua_setfield(L, -2, "body");
    fetch_stop(f);
    return 1;
}

static int after_chunk(lua_State *L, int status, lua_KContext context);

static int give_chunk(lua_State *L, struct fetch *f, lua_KContext context) {
    lua_pushvalue(L, 3);
    lua_pushlstring(L, f->body.p, f->body.n);
    f->fetcher->held -= f->body.n;
    peri_buf_clear(&f->body);
    return after_chunk(L, lua_pcallk(L, 1, 1, 0, context, after_chunk), context);
}

/* Once more whenever something has come. */
static int go_on_fetching(lua_State *L, int status, lua_KContext context) {
    struct fetch *f = (struct fetch *)context; /* NOLINT: Lua's own way to carry a pointer */
    (void)status;
    if (f->is_streamed && f->body.n > 0) return give_chunk(L, f, context);
    if (f->is_over) return push_answer(L, f);
    f->task = peri_task_of(L);
    peri_call_resume(f->call);
    return peri_task_wait(L, f->task, on_task_canceled, f, go_on_fetching);
}

/* It gave false: that was enough. It raised: so do we, and the request is over now, not when it is collected. */
static int after_chunk(lua_State *L, int status, lua_KContext context) {
    struct fetch *f = (struct fetch *)context; /* NOLINT */
    if (status != LUA_OK && status != LUA_YIELD) {
        fetch_stop(f);
        return lua_error(L);
    }
    bool is_enough = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
    lua_settop(L, 3);
    if (!is_enough) return go_on_fetching(L, status, context);
    close_call(f);
    f->err = PERI_OK;
    return push_answer(L, f);
}

/* Options. */

struct wanted {
    struct peri_call_spec spec;
    struct peri_header headers[HEADERS_MAX];
    struct peri_str url;
    struct peri_header
        refused; /* one that can not be sent, `why` says; the caller may have it from elsewhere */
    const char *why;
};

#define MS(name)                                                                                   \
    { name, PERI_OPTION_INTEGER, 0, TIMEOUT_MAX_MS }

/* A policy's fetch has less time and room, and nothing behind `trusted` below. */
static void check_options(lua_State *L, bool is_trusted) {
    enum { LIMITED = 5, OF_POLICIES = 10 };
    struct peri_option options[] = {
        MS("timeout_ms"),
        MS("connect_ms"),
        MS("first_byte_ms"),
        MS("idle_ms"),
        { "max_bytes", PERI_OPTION_INTEGER, 0, (lua_Integer)1 << 40 },
        { "url", PERI_OPTION_TEXT, 0, 0 },
        { "method", PERI_OPTION_TEXT, 0, 0 },
        { "headers", PERI_OPTION_TABLE, 0, 0 },
        { "body", PERI_OPTION_TEXT, 0, 0 },
        { "http2", PERI_OPTION_FLAG, 0, 0 },
        { "on_chunk", PERI_OPTION_FUNCTION, 0, 0 },
        { "insecure", PERI_OPTION_FLAG, 0, 0 },
        { "ca_file", PERI_OPTION_TEXT, 0, 0 },
        { "unix", PERI_OPTION_TEXT, 0, 0 },
    };
    size_t count = sizeof options / sizeof *options;
    if (!is_trusted) {
        for (size_t i = 0; i < LIMITED; i++) options[i].most = POLICY_MAX_MS;
        options[LIMITED - 1].most = POLICY_BYTES_MAX;
        count = OF_POLICIES;
    }
    peri_options_take(L, 1, "peri.http.fetch", options, count);
    if (!peri_options_has(L, 1, "url")) luaL_error(L, "peri.http.fetch: 'url' must be a string");
}

/* Numbers become strings that stay on the stack until the call has copied them. */
static void take_headers(lua_State *L, struct wanted *w, bool is_trusted) {
    if (lua_getfield(L, 1, "headers") == LUA_TNIL) return;
    int table = lua_gettop(L);
    peri_frozen_open(L, table);
    luaL_checkstack(L, 2 * HEADERS_MAX + 4, NULL);
    lua_pushnil(L);
    while (lua_next(L, table) != 0) { /* stack: … name value */
        if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
            luaL_error(L, "'headers' must map names to strings");
        if (w->spec.header_count == HEADERS_MAX) luaL_error(L, "more than %d headers", HEADERS_MAX);
        struct peri_header *h = &w->headers[w->spec.header_count++];
        h->value.p = lua_tolstring(L, -1, &h->value.n);
        h->name.p = lua_tolstring(L, -2, &h->name.n);
        bool is_host = peri_str_eq_nocase(h->name, PERI_STR("host"));
        const char *why = peri_header_fault(*h);
        if (why == NULL && peri_header_is_framing(h->name) && !(is_host && is_trusted))
            why = "fetch sets it itself";
        if (why != NULL) w->refused = *h, w->why = why;
        lua_pushvalue(L, -2); /* the value stays below the key that lua_next takes */
    }
}

static void take_options(lua_State *L, struct wanted *w, struct fetch *f, bool is_trusted) {
    struct peri_call_spec *spec = &w->spec;
    memset(w, 0, sizeof *w);
    w->url = peri_options_text(L, 1, "url");
    spec->body = peri_options_text(L, 1, "body");
    spec->method = peri_options_text(L, 1, "method");
    if (spec->method.p == NULL)
        spec->method = spec->body.p != NULL ? PERI_STR("POST") : PERI_STR("GET");
    spec->total_ms = (uint64_t)peri_options_integer(L, 1, "timeout_ms", TIMEOUT_MS);
    if (!is_trusted && spec->total_ms == 0) spec->total_ms = POLICY_MAX_MS;
    spec->connect_ms = (uint64_t)peri_options_integer(L, 1, "connect_ms", 0);
    spec->first_byte_ms = (uint64_t)peri_options_integer(L, 1, "first_byte_ms", 0);
    spec->idle_ms = (uint64_t)peri_options_integer(L, 1, "idle_ms", 0);
    spec->use_http2 = peri_options_flag(L, 1, "http2", false);
    spec->is_insecure = peri_options_flag(L, 1, "insecure", false);
    spec->ca_file = peri_options_text(L, 1, "ca_file");
    spec->unix_path = peri_options_text(L, 1, "unix");
    spec->read_bytes = READ_BYTES;
    spec->headers = w->headers;
    f->max_bytes =
        (size_t)peri_options_integer(L, 1, "max_bytes", is_trusted ? BYTES_MAX : POLICY_BYTES);
}

/* fetch */

static struct fetcher *fetcher_of(lua_State *L, struct peri_state *s) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &fetcher_key);
    struct fetcher *fr = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (fr->client != NULL) return fr;
    struct peri_client_options options = { .may_connect = peri_reach_may_connect,
                                           .dial = s->options.dial,
                                           .is_simulated = s->options.dial != NULL,
                                           .arg = s->options.dial_arg };
    if (!s->options.is_trusted) {
        options.multis = 2;
        options.transfers_per_multi = PERI_FETCH_OPEN_MAX / 2;
        options.idle_connections = 16;
        fr->held_max = PERI_FETCH_HELD_MAX;
    }
    enum peri_err err = peri_client_new(&fr->client, peri_state_loop(L, s), &options);
    if (err != PERI_OK) luaL_error(L, "cannot fetch: %s", peri_err_text(err));
    return fr;
}

static enum peri_err start(struct fetch *f, struct peri_state *s, struct wanted *w,
                           struct peri_fault *fault) {
    struct peri_url *url;
    enum peri_fetch_right right = s->options.is_trusted ? PERI_FETCH_ANYWHERE : PERI_FETCH_PUBLIC;
    if (w->why != NULL)
        return peri_fault_set(fault, PERI_EINVAL, "header '%.*s': %s",
                              peri_http_is_token(w->refused.name) ? (int)w->refused.name.n : 0,
                              w->refused.name.p, w->why);
    enum peri_err err = peri_url_parse(&url, w->url, fault);
    if (err != PERI_OK) return err;
    if (!s->options.is_trusted && s->options.fetch_right != NULL)
        right = s->options.fetch_right(s->host, peri_url_host(url), peri_url_port(url));
    w->spec.url = url;
    w->spec.is_restricted = right != PERI_FETCH_ANYWHERE;
    if (right == PERI_FETCH_NOWHERE)
        err = peri_fault_set(fault, PERI_EDENIED, "policies may not fetch from this host");
    else
        err = peri_call_start(&f->call, f->fetcher->client, &w->spec, &ops, f);
    peri_url_unref(url);
    if (err == PERI_EFULL)
        peri_fault_set(fault, err, "%d fetches are open already", PERI_FETCH_OPEN_MAX);
    else if (err == PERI_EINVAL)
        peri_fault_set(fault, err, "the method cannot be sent");
    else if (err != PERI_OK && err != PERI_EDENIED)
        peri_fault_set(fault, err, "%s", peri_err_text(err));
    return err;
}

static int http_fetch(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    struct peri_task *t = peri_task_of(L);
    struct wanted w;
    struct peri_fault fault;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    check_options(L, s->options.is_trusted);
    struct fetcher *fr = fetcher_of(L, s);
    struct fetch *f = lua_newuserdatauv(L, sizeof *f, 1);
    *f = (struct fetch){ .fetcher = fr, .task = t };
    peri_list_init(&f->link);
    peri_buf_init(&f->headers, 0);
    peri_buf_init(&f->body, 0);
    luaL_setmetatable(L, FETCH_TYPE);
    lua_getfield(L, 1, "body");
    lua_setiuservalue(L, 2, 1); /* libcurl reads it for as long as the call is open */
    lua_getfield(L, 1, "on_chunk");
    f->is_streamed = !lua_isnil(L, 3);
    take_options(L, &w, f, s->options.is_trusted);
    take_headers(L, &w, s->options.is_trusted);
    enum peri_err err = start(f, s, &w, &fault);
    if (err != PERI_OK) return peri_push_fault(L, err, fault.text);
    peri_list_insert(&fr->fetches, &f->link);
    lua_settop(L, 3);
    return peri_task_wait(L, t, on_task_canceled, f, go_on_fetching);
}

static void register_type(lua_State *L, const char *name, lua_CFunction gc) {
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void peri_bind_http_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "fetch", http_fetch }, { NULL, NULL } };
    register_type(L, FETCH_TYPE, fetch_gc);
    register_type(L, FETCHER_TYPE, fetcher_gc);
    struct fetcher *fr = lua_newuserdatauv(L, sizeof *fr, 0);
    *fr = (struct fetcher){ .client = NULL };
    peri_list_init(&fr->fetches);
    luaL_setmetatable(L, FETCHER_TYPE);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fetcher_key);
    luaL_getsubtable(L, -1, "http");
    peri_state_set_functions(L, s, functions);
    if (!s->options.is_trusted) {
        peri_frozen_shallow(L, "http");
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "http");
    }
    lua_pop(L, 1);
}
