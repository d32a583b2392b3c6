#include "script/state/budget.h"

#include <sched.h>
#include <time.h>

#include "script/state/testing.h"

/* Thread time: other programs on the machine must not fail these tests. */
static double thread_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* What a body takes at most: the budget and as much again. A sanitizer makes single calls many times as dear. */
#ifdef __SANITIZE_ADDRESS__
#define LEAVES_MS 5000
#else
#define LEAVES_MS 100
#endif

/* Run a body as a task with 50 ms and 16 MiB; it must leave within 50 ms more and keep its heap. gives the
 * outcome */
static enum peri_task_status contain(const char *body, struct script *script) {
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    double began = thread_ms();
    enum peri_task_status status = script_run(s, script, body);
    double took = thread_ms() - began;
    if (took >= LEAVES_MS) printf("%.1f ms: %s\n", took, body);
    CHECK(took < LEAVES_MS);
    CHECK(s->heap_peak <= script_options.heap_max);
    CHECK(status != PERI_TASK_WAITING);
    CHECK_STR(script_says(s, "return leak"), "nil"); /* the state is as it was, and usable */
    CHECK_STR(script_says(s, "return ('x'):upper()"), "X");
    peri_state_free(s);
    return status;
}

static void check_stopped(const char *const *bodies, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct script script;
        enum peri_task_status status = contain(bodies[i], &script);
        if (status != PERI_TASK_FAILED || script.fault.err != PERI_EBUDGET)
            printf("%s: %s\n", bodies[i], script.fault.text);
        CHECK_EQ(status, PERI_TASK_FAILED);
        CHECK_EQ(script.fault.err, PERI_EBUDGET);
    }
}

#define STOPPED(bodies) check_stopped(bodies, sizeof bodies / sizeof *bodies)

TEST(no_protected_call_outlasts_the_budget) {
    static const char *const bodies[] = {
        "while true do end",
        "repeat local ok = pcall(function() repeat until false end) until false",
        "local function again() while true do xpcall(again, again) end end again()",
        "while true do xpcall(error, function() while true do end end) end",
        "local f = coroutine.wrap(function() for i = 1, math.huge do end end) f()",
        "while true do local c = coroutine.create(function() while true do end end)\n"
        "  coroutine.resume(c) end",
        "local function deep(n) return pcall(n > 0 and deep or function() while true do end end, "
        "n - 1)\nend deep(150)",
        "local t = setmetatable({}, { __index = function() while true do end end })\n"
        "while true do pcall(function() return t.x end) end",
        "return pcall(pcall, pcall, function() while true do end end)",
    };
    STOPPED(bodies);
}

/* Each takes more than two microseconds an instruction on average, or changes coroutines before a count is full. */
TEST(no_loop_is_too_slow_to_be_stopped) {
    static const char *const bodies[] = {
        "for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end",
        "while true do coroutine.wrap(function() end)() end",
        "while true do coroutine.resume(coroutine.create(function() end)) end",
        "local s = ('7'):rep(1000000) while true do tonumber(s, 10) end",
        "local s = ('7'):rep(1000000) while true do local n = s + 1 end",
        "local s, peri = '[' .. ('0,'):rep(200000) .. '0]', require 'perilune'\n"
        "while true do pcall(peri.json.document, s) end",
        "local a, b = ('x'):rep(4000000) .. 'a', ('x'):rep(4000000) .. 'b'\n"
        "while true do local is_less = a < b end",
        "local a, b = ('x'):rep(4000000) .. 'a', ('x'):rep(4000000) .. 'b'\n"
        "while true do local is_same = a == b end",
        "local s = ('x'):rep(1000000) while true do local t = s .. s end",
        "local members = {} for i = 1, 3000 do members[i] = ('\"m%d\":1'):format(i) end\n"
        "local document = require('perilune').json.document('{' .. table.concat(members, ',') .. "
        "'}')\n"
        "while true do local none = document.none end",
        "local t = {} for i = 1, 100000 do t[i] = i end for i = 1, 100000 do t[i] = nil end\n"
        "while true do next(t) end",
        "local t = table.pack(('x'):rep(100000):byte(1, -1))\n"
        "while true do select(-1, table.unpack(t)) end",
    };
    STOPPED(bodies);
}

TEST(the_message_says_where_it_stood) {
    static const struct {
        const char *body, *place;
    } cases[] = {
        { "local n = 0\nwhile true do\n  n = n + 1\nend", "test.lua:" },
        { "\n\nreturn ('a'):rep(5000):find('.-.-.-.-.-b')", "test.lua:3: " },
        { "\npcall(function()\n\n  while true do end\nend)", "test.lua:4: " },
        { "\nlocal f = coroutine.wrap(function()\n  while true do end\nend)\nf()", "test.lua:3: " },
        { "\ntable.sort({ 1, 2 }, function() while true do end end)", "test.lua:2: " },
        { "local t = {}\nwhile true do\n  t[#t + 1] = {} end", "test.lua:3: " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script script;
        CHECK_EQ(contain(cases[i].body, &script), PERI_TASK_FAILED);
        CHECK_EQ(script.fault.err, PERI_EBUDGET);
        struct peri_str said = peri_str_of(script.fault.text);
        if (!peri_str_has_prefix(said, peri_str_of(cases[i].place)))
            printf("%s: %s\n", cases[i].body, script.fault.text);
        CHECK(peri_str_has_prefix(said, peri_str_of(cases[i].place)));
    }
}

/* Three threads share one core for the time of this test: each waits for it twice as long as it runs. */
static void *turn_a_core(void *arg) {
    atomic_bool *is_over = arg;
    while (!atomic_load(is_over)) {}
    return NULL;
}

TEST(waiting_for_a_core_is_not_charged) {
    cpu_set_t before, one;
    CHECK_EQ(pthread_getaffinity_np(pthread_self(), sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK_EQ(pthread_setaffinity_np(pthread_self(), sizeof one, &one), 0);
    pthread_t others[2];
    atomic_bool is_over = false;
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&others[i], NULL, turn_a_core, &is_over), 0);
    struct script script;
    double began = thread_ms();
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_EQ(script_run(s, &script, "while true do end"), PERI_TASK_FAILED);
    double took = thread_ms() - began;
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++) pthread_join(others[i], NULL);
    pthread_setaffinity_np(pthread_self(), sizeof before, &before);
    CHECK_EQ(script.fault.err, PERI_EBUDGET);
    if (took < 40) printf("stopped after %.1f ms of CPU time\n", took);
    CHECK(took >= 40); /* of 50; by the wall's clock it would have had 17 */
    peri_state_free(s);
}

TEST(c_loops_are_counted) {
    static const char *const bodies[] = {
        "return ('a'):rep(5000):find('.-.-.-.-.-b')",
        "return ('a'):rep(30000):match('.-b.-c.-d') or ('a'):rep(60):match(('a?'):rep(60) .. 'c')",
        "return ('a'):rep(5000):gsub('.-.-.-.-c', '')",
        "for _ in ('('):rep(200000):gmatch('%b()') do end",
        "while true do local s = ('xy'):rep(7000000) end",
        "while true do local s = (''):rep(1 << 60, 'abc'):len() end",
        "return ('a'):rep(1000000):rep(1 << 50)", /* refused at once: see below */
        "local t = setmetatable({}, { __len = function() return 1 << 60 end })\n"
        "table.insert(t, 1, 1)",
        "local t = setmetatable({}, { __len = function() return 1 << 60 end })\n"
        "table.remove(t, 1)",
        "table.move({}, 1, 1 << 60, 2)",
        "local t = setmetatable({}, { __index = function(_, i) return 'x' end })\n"
        "return table.concat(t, '', 1, 1 << 40)",
        "local t = {} for i = 1, 200000 do t[i] = i * 7919 % 200003 end\n"
        "while true do table.sort(t) table.sort(t, rawequal) end",
        "local t = {} for i = 1, 100000 do t[i] = 'y' end\n"
        "while true do table.concat(t, ', ') end",
        "while true do table.unpack({}, 1, 900000) end",
        "local s = ('x'):rep(5000000) while true do s = s:upper() s = s:lower() s = s:reverse() "
        "end",
        "while true do string.format('%99.99f', 1e300) end",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct script script;
        CHECK_EQ(contain(bodies[i], &script), PERI_TASK_FAILED);
    }
}

TEST(memory_is_capped_and_catching_that_does_not_help) {
    static const char *const bodies[] = {
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = {} end",
        "while true do pcall(string.rep, 'x', 1 << 24) end",
        "while true do pcall(function() local t = {} while true do t = { t, ('y'):rep(5000) } end\n"
        "end) end",
        "local function f() return 1 + f() end f()",
        "while true do coroutine.resume(coroutine.create(function() local t = {}\n"
        "while true do t[#t + 1] = ('z'):rep(99) .. #t end end)) end",
    };
    STOPPED(bodies);
}

TEST(recursion_ends_in_an_ordinary_error) {
    static const char *const bodies[] = {
        "local function f() string.gsub('a', 'a', f) end f()",
        "local function f() coroutine.wrap(f)() end f()",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct script script;
        CHECK_EQ(contain(bodies[i], &script), PERI_TASK_FAILED);
        CHECK_EQ(script.fault.err, PERI_EPOLICY);
    }
}

TEST(steps_are_the_same_on_every_run_when_counted) {
    struct peri_state_options options = { .entry = { .steps = 100000, .is_counted = true } };
    struct peri_state *s;
    struct script script;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STR(script_says(s, "for i = 1, 30000 do local x = i end return 'enough'"), "enough");
        CHECK_EQ(script_run(s, &script, "for i = 1, 300000 do local x = i end"), PERI_TASK_FAILED);
        CHECK_EQ(script.fault.err, PERI_EBUDGET);
        CHECK_STR(peri_str_of(script.fault.text),
                  "test.lua:1: stopped: it used up its budget of 100000 instructions");
    }
    peri_state_free(s);
}

TEST(every_entry_has_a_whole_budget_and_waiting_costs_none) {
    struct peri_state_options options = { .entry = { .steps = 100000, .is_counted = true } };
    struct peri_state *s;
    struct script script;
    CHECK_EQ(peri_loop_new(&options.loop), PERI_OK);
    peri_loop_use_fake_time(options.loop);
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    CHECK_EQ(script_run(s, &script,
                        "for round = 1, 20 do\n"
                        "  for i = 1, 30000 do local x = i end\n"
                        "  require('perilune').sleep(1000)\n"
                        "end return 'through'"),
             PERI_TASK_WAITING);
    peri_loop_advance(options.loop, 20000);
    CHECK_EQ(script.done_calls, 1);
    CHECK_STR(peri_str_of(script.result), "through");
    peri_state_free(s);
    peri_loop_free(options.loop);
}

TEST(what_is_stopped_while_it_starts_to_wait_is_cancelled) {
    struct peri_state_options options = { .entry = { .steps = 2000, .is_counted = true } };
    struct peri_state *s;
    struct script script;
    CHECK_EQ(peri_loop_new(&options.loop), PERI_OK);
    peri_loop_use_fake_time(options.loop);
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    CHECK_EQ(script_run(s, &script,
                        "local peri = require 'perilune'\n"
                        "pcall(function() while true do end end) peri.sleep(1)"),
             PERI_TASK_FAILED);
    CHECK_EQ(s->waiting_count, 0);
    peri_state_free(s);
    peri_loop_free(options.loop);
}

static void *run_elsewhere(void *arg) {
    struct script script;
    CHECK_EQ(script_run(arg, &script, "while true do end"), PERI_TASK_FAILED);
    CHECK_EQ(script.fault.err, PERI_EBUDGET);
    return NULL;
}

struct outer {
    struct peri_state *state;
    const char *body;
};

/* `inner` burns so many milliseconds under a budget of its own, in the midst of an entry that goes on. */
static int call_inner(lua_State *L) {
    struct peri_budget *b =
        &((struct outer *)lua_touserdata(L, lua_upvalueindex(1)))->state->budget;
    lua_Number ms = luaL_checknumber(L, 1);
    struct peri_budget_pause paused = peri_budget_pause(b);
    b->limits.cpu_ms = 1000;
    peri_budget_enter(b, L);
    double until = thread_ms() + ms;
    while (thread_ms() < until) peri_budget_charge(b, L, 1);
    peri_budget_leave(b);
    peri_budget_resume(b, L, &paused);
    return 0;
}

static int push_inner(lua_State *L, void *arg) {
    peri_push_chunk(L, "test.lua", peri_str_of(((struct outer *)arg)->body));
    lua_pushlightuserdata(L, arg);
    lua_pushcclosure(L, call_inner, 1);
    return 1;
}

static enum peri_task_status run_inner_with(const struct peri_state_options *options,
                                            const char *body, struct peri_fault *fault) {
    static const struct peri_task_ops ops = { push_inner, NULL, NULL };
    struct outer o = { NULL, body };
    CHECK_EQ(peri_state_new(&o.state, options), PERI_OK);
    enum peri_task_status status = peri_task_start(NULL, o.state, &ops, &o, fault);
    peri_state_free(o.state);
    return status;
}

static enum peri_task_status run_inner(const char *body, struct peri_fault *fault) {
    return run_inner_with(&script_options, body, fault);
}

/* The entry has 50 ms, of which it uses 12; what it calls uses 120. */
TEST(a_budget_in_the_midst_of_an_entry_takes_nothing_of_the_entrys) {
    struct peri_fault fault = { PERI_OK, "" };
    enum peri_task_status status = run_inner("local inner = ...\n"
                                             "for i = 1, 3 do\n"
                                             "  inner(40)\n"
                                             "  local t = os.clock()\n"
                                             "  while os.clock() - t < 0.004 do end\n"
                                             "end",
                                             &fault);
    if (status != PERI_TASK_DONE) printf("%s\n", fault.text);
    CHECK_EQ(status, PERI_TASK_DONE);
    CHECK_EQ(run_inner("local inner = ... while true do inner(0) end", &fault), PERI_TASK_FAILED);
    CHECK_EQ(fault.err, PERI_EBUDGET);
    CHECK_EQ(run_inner("local inner = ... inner(5) while true do pcall(error) end", &fault),
             PERI_TASK_FAILED);
    CHECK_EQ(fault.err, PERI_EBUDGET);
}

TEST(a_budget_in_the_midst_of_an_entry_gives_the_entry_no_steps) {
    static const struct peri_state_options counted = {
        .entry = { .steps = 100000, .is_counted = true, .cpu_ms = 10000 }
    };
    struct peri_fault fault = { PERI_OK, "" };
    CHECK_EQ(run_inner_with(&counted, "local inner = ... while true do inner(0) end", &fault),
             PERI_TASK_FAILED);
    CHECK_STR(peri_str_of(fault.text),
              "test.lua:1: stopped: it used up its budget of 100000 instructions");
}

TEST(a_state_built_on_one_thread_is_stopped_on_another) {
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        run_elsewhere(s);
        CHECK_EQ(pthread_create(&thread, NULL, run_elsewhere, s), 0);
        pthread_join(thread, NULL);
    }
    peri_state_free(s);
}

/* A limit within the first slice is one of CPU time from the start: to wait for a core is free, and what was said to be
 * used is never taken back. */
TEST(spent_time_of_a_short_budget_is_cpu_time) {
    struct peri_budget b;
    lua_State *L = luaL_newstate();
    peri_budget_init(&b, (struct peri_budget_limits){ .cpu_ms = 2 });
    peri_budget_enter(&b, L);
    struct timespec nap = { 0, 1500000 };
    nanosleep(&nap, NULL);
    CHECK(peri_budget_spent_ns(&b) < 1000000);
    peri_budget_leave(&b);
    peri_budget_done(&b);
    lua_close(L);
}

/* The cases of ../shared/data are other people's: read where they are, and said when they are not. */

static char *next_case(char **at, char **name) {
    char *p = strstr(*at, "\"name\": \""), *body, *out;
    if (p == NULL) return NULL;
    *name = p + 9;
    body = strstr(p, "\"lua\": \"");
    if (body == NULL) return NULL;
    body += 8;
    out = body;
    char *in = body;
    for (; *in != '"'; in++) *out++ = *in == '\\' ? *++in : *in; /* only \" and \\ occur */
    *at = in + 1;
    *out = '\0';
    *strchr(*name, '"') = '\0';
    return body;
}

TEST(every_hostile_policy_of_the_shared_cases_is_contained) {
    size_t n;
    char *json = test_read_file("../shared/data/lua/policy-containment-cases.json", &n);
    if (json == NULL) {
        printf("skipped: ../shared/data/lua is not here\n");
        return;
    }
    int count = 0;
    for (char *at = json, *name, *body; (body = next_case(&at, &name)) != NULL; count++) {
        struct script script;
        int before = test_failures;
        enum peri_task_status status = contain(body, &script);
        printf("  %-26s %s\n", name, status == PERI_TASK_DONE ? "returned" : script.fault.text);
        if (test_failures != before) printf("  NOT CONTAINED: %s\n", name);
    }
    CHECK(count >= 30);
    free(json);
}
