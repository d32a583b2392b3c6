/* A server in Lua over loopback sockets: who ends an exchange, and what a handler learns of its client. */
#include "net/server/server_rig.h"
#include "script/state/state.h"
#include "script/state/task.h"

struct lua_rig {
    struct rig net;
    struct peri_state *state;
};

static int read_port(lua_State *L) {
    unsigned *port = lua_touserdata(L, 1);
    lua_getglobal(L, "server");
    lua_getfield(L, -1, "port");
    *port = (unsigned)lua_tointeger(L, -1);
    return 0;
}

#define PREFIX                                                                                     \
    "local peri = require 'perilune' said = '' "                                                   \
    "local function handler(x) "
#define SUFFIX " end server = assert(peri.http.serve { listen = '127.0.0.1:0', handler = handler })"

static bool lua_rig_open(struct lua_rig *r, const char *handler) {
    char text[4096];
    struct peri_fault fault;
    int ref;
    *r = (struct lua_rig){ .state = NULL };
    if (peri_loop_new(&r->net.loop) != PERI_OK) return false;
    peri_loop_use_fake_time(r->net.loop);
    struct peri_state_options options = { .is_trusted = true, .loop = r->net.loop, .seed = 1 };
    snprintf(text, sizeof text, PREFIX "%s" SUFFIX, handler);
    if (peri_state_new(&r->state, &options) != PERI_OK) return false;
    if (peri_state_load(r->state, &ref, "test.lua", peri_str_of(text), &fault) == PERI_OK &&
        peri_state_call(r->state, read_port, &r->net.port, &fault) == PERI_OK)
        return true;
    if (test_fail_from < 0) fprintf(stderr, "%s\n", fault.text);
    return false;
}

static void lua_rig_close(struct lua_rig *r) {
    if (r->state != NULL) peri_state_cancel_all(r->state);
    peri_state_free(r->state);
    if (r->net.loop != NULL) peri_loop_free(r->net.loop);
}

static int read_said(lua_State *L) {
    struct peri_buf *out = lua_touserdata(L, 1);
    lua_getglobal(L, "said");
    peri_buf_add(out, peri_str_of(lua_tostring(L, -1)));
    return 0;
}

static void check_said(struct lua_rig *r, const char *want) {
    struct peri_buf said;
    peri_buf_init(&said, 4096);
    CHECK_EQ(peri_state_call(r->state, read_said, &said, NULL), PERI_OK);
    CHECK_STR(peri_buf_str(&said), want);
    peri_buf_done(&said);
}

/* One request to a fresh server; gives the answer, good until the next. */
static const char *answer_of(const char *handler, const char *request) {
    struct lua_rig r;
    CHECK(lua_rig_open(&r, handler));
    int fd = dial(&r.net);
    say(&r.net, fd, request);
    const char *answer = hear(&r.net, fd);
    close(fd);
    lua_rig_close(&r);
    return answer;
}

TEST(lua_server_shows_what_was_asked) {
    const char *answer = answer_of(
        "x:reply(200, nil, table.concat({ x.method, x.path, x.query, x.body, x:header('x-ONE'), "
        "x.headers.host,"
        " x.peer:match('^[%d.]+'), tostring(x.nothing == nil) }, ' '))",
        "POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nX-One: 2\r\nContent-Length: 4\r\n\r\nbody");
    CHECK(has(answer, "500 Internal Server Error") && has(answer, "an exchange has no 'nothing'"));
    answer = answer_of(
        "x:reply(200, { a = 1, b = 'two' }, table.concat({ x.method, x.path, x.query, x.body, "
        "x:header('x-ONE'), x.headers.host, x.peer:match('^[%d.]+') }, ' '))",
        "POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nX-One: 2\r\nContent-Length: 4\r\n\r\nbody");
    CHECK(has(answer, "200 OK") && has(answer, "a: 1\r\n") && has(answer, "b: two\r\n"));
    CHECK(has(answer, "\r\n\r\nPOST /a b=c body 1, 2 h 127.0.0.1"));
}

TEST(lua_server_ends_what_a_handler_leaves_open) {
    static const struct {
        const char *handler, *answer;
        bool is_cut;
    } cases[] = {
        { "return", "the handler returned without an answer", false },
        { "error('sorry \"you\"')", "test.lua:1: sorry \\\"you\\\"", false },
        { "x:start(200) x:write('abc')", "3\r\nabc\r\n0\r\n\r\n", false },
        { "x:start(200) x:write('abc') error('late')", "3\r\nabc\r\n", true },
        { "x:start(200, nil, 5) x:write('abc')", "content-length: 5\r\n\r\nabc", true },
        { "x:reply(200, { ['bad name'] = '1' })", "a header's name is not made of", false },
        { "x:reply(200, { a = 'b\\r\\nc: d' })", "header 'a': a header's value holds", false },
        { "x:reply(99)", "a status from 200 to 999", false },
        { "x:write('a')", "call start first", false },
        { "x:reply(200) x:reply(200)", "content-length: 0\r\n\r\n", false },
        { "x:raw('bro') x:raw('ken') x:cut()", "broken", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *answer = answer_of(cases[i].handler, GET_A);
        if (!has(answer, cases[i].answer)) fprintf(stderr, "%s\n%s\n", cases[i].handler, answer);
        CHECK(has(answer, cases[i].answer));
        CHECK_EQ(heard_end, cases[i].is_cut);
    }
}

TEST(lua_server_resets_when_told_to) {
    answer_of("x:start(200) x:write('abc') x:cut { reset = true }", GET_A);
    CHECK(heard_reset);
}

TEST(lua_server_tells_handlers_that_the_client_left) {
    struct lua_rig r;
    CHECK(lua_rig_open(
        &r, "x:on_gone(function(y) said = said .. 'gone ' .. tostring(x == y) .. ' ' end) "
            "x:start(200) x:flush() local ok, why, code = x:wait(1000) "
            "said = said .. tostring(ok) .. ' ' .. why .. ' ' .. code "
            "said = said .. ' ' .. select(3, x:write('a')) .. ' ' .. select(3, x:finish()) "
            ".. ' ' .. tostring(x.is_gone) .. ' ' .. x.path"));
    int fd = dial(&r.net);
    say(&r.net, fd, GET_A);
    CHECK(has(hear(&r.net, fd), "200 OK"));
    close(fd);
    turn(&r.net);
    check_said(&r, "gone true nil the client left ECLOSED ECLOSED ECLOSED true /a");
    CHECK_EQ(r.state->waiting_count, 0);
    lua_rig_close(&r);
}

TEST(lua_server_lets_handlers_wait) {
    struct lua_rig r;
    CHECK(lua_rig_open(&r, "x:start(200) x:write('one') assert(x:wait(100)) x:write('two') "
                           "peri.sleep(50) x:write('three')"));
    int fd = dial(&r.net);
    say(&r.net, fd, GET_A);
    CHECK(has(hear(&r.net, fd), "3\r\none\r\n"));
    peri_loop_advance(r.net.loop, 99);
    CHECK_STR(peri_str_of(hear(&r.net, fd)), "");
    peri_loop_advance(r.net.loop, 1);
    CHECK_STR(peri_str_of(hear(&r.net, fd)), "3\r\ntwo\r\n");
    peri_loop_advance(r.net.loop, 50);
    CHECK_STR(peri_str_of(hear(&r.net, fd)), "5\r\nthree\r\n0\r\n\r\n");
    close(fd);
    lua_rig_close(&r);
}

TEST(lua_server_makes_writers_wait_for_slow_clients) {
    struct lua_rig r;
    CHECK(lua_rig_open(&r, "local block = ('z'):rep(65536) x:start(200) "
                           "for i = 1, 400 do x:write(block) said = tostring(i) end said = 'all'"));
    int fd = dial(&r.net);
    say(&r.net, fd, GET_A);
    turn(&r.net);
    CHECK_EQ(r.state->waiting_count, 1);
    size_t got = 0;
    for (int i = 0; i < 20000 && r.state->waiting_count > 0; i++)
        got += (size_t)count(hear(&r.net, fd), "z");
    for (size_t more = 1; more > 0; got += more) more = (size_t)count(hear(&r.net, fd), "z");
    CHECK_EQ(got, 400 * 65536);
    check_said(&r, "all");
    close(fd);
    lua_rig_close(&r);
}

TEST(lua_server_closes_from_inside_a_handler) {
    struct lua_rig r;
    CHECK(lua_rig_open(&r,
                       "if x.path == '/b' then server:close() x:reply(200, nil, 'bye') return end "
                       "x:wait(1000) said = x.is_gone and 'woken' or 'not'"));
    int fd = dial(&r.net), other = dial(&r.net);
    say(&r.net, fd, GET_A);
    say(&r.net, other, GET_B);
    CHECK(has(hear(&r.net, other), "bye"));
    hear(&r.net, fd);
    CHECK(heard_end);
    check_said(&r, "woken");
    close(fd), close(other);
    lua_rig_close(&r);
}

TEST(lua_server_goes_with_its_interpreter) {
    struct lua_rig r;
    CHECK(lua_rig_open(
        &r,
        "x:start(200) x:write('a') if x.path == '/a' then x:wait(1000) else peri.sleep(1000) end"));
    int fd = dial(&r.net), other = dial(&r.net);
    say(&r.net, fd, GET_A);
    say(&r.net, other, GET_B);
    CHECK_EQ(r.state->waiting_count, 2);
    lua_rig_close(&r);
    close(fd), close(other);
}

TEST(lua_server_refuses_bad_options) {
    struct lua_rig r;
    CHECK(lua_rig_open(&r, ""));
    static const struct {
        const char *options, *why;
    } cases[] = {
        { "{ handler = print, listen = '127.0.0.1:0', port = 1 }",
          "peri.http.serve has no option 'port'" },
        { "{ handler = print }", "'listen' must be an address" },
        { "{ listen = '127.0.0.1:0' }", "'handler' must be a function" },
        { "{ handler = print, listen = 'here', }", "is not an address to listen on" },
        { "{ handler = print, listen = '127.0.0.1:0', idle_ms = -1 }",
          "'idle_ms' must be an integer from 0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        struct peri_fault fault = { PERI_OK, "" };
        int ref;
        snprintf(text, sizeof text, "assert(require('perilune').http.serve %s)", cases[i].options);
        CHECK(peri_state_load(r.state, &ref, "test.lua", peri_str_of(text), &fault) != PERI_OK);
        CHECK(has(fault.text, cases[i].why));
    }
    lua_rig_close(&r);
}

/* The client gets an answer or a close, whatever fails, and nothing is left behind. */
TEST(lua_server_survives_running_out_of_memory) {
    int answered = 0;
    for (long k = 0; k < 120; k++) {
        struct lua_rig r;
        CHECK(lua_rig_open(&r,
                           "x:start(200, { a = '1' }) x:write(x.body) x:wait(10) x:write(x.path)"));
        int fd = dial(&r.net);
        test_allocations = 0;
        test_fail_from = k;
        say(&r.net, fd, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        peri_loop_advance(r.net.loop, 10);
        turn(&r.net);
        test_fail_from = -1;
        const char *answer = hear(&r.net, fd);
        bool is_whole = has(answer, "\r\n0\r\n\r\n"), is_refused = has(answer, "HTTP/1.1 50");
        CHECK(is_whole || is_refused || heard_end || heard_reset);
        answered += is_whole;
        close(fd);
        lua_rig_close(&r);
    }
    CHECK(answered > 0);
}
