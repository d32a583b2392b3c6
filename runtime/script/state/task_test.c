#include "script/state/task.h"

#include "script/state/testing.h"

static struct peri_state *new_state(struct peri_loop **loop) {
    struct peri_state_options options = script_options;
    struct peri_state *s = NULL;
    CHECK_EQ(peri_loop_new(loop), PERI_OK);
    peri_loop_use_fake_time(*loop);
    options.loop = *loop;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    return s;
}

static void free_state(struct peri_state *s, struct peri_loop *loop) {
    peri_state_free(s);
    peri_loop_free(loop);
}

TEST(a_function_that_does_not_wait_is_over_at_once) {
    struct peri_loop *loop;
    struct peri_state *s = new_state(&loop);
    struct script script;
    CHECK_EQ(script_run(s, &script, "return 1 + 1, 'two'"), PERI_TASK_DONE);
    CHECK_STR(peri_str_of(script.result), "2");
    CHECK_EQ(script.count, 2);
    CHECK_EQ(script.done_calls, 0);
    free_state(s, loop);
}

TEST(an_error_gives_its_text_and_its_place) {
    struct peri_loop *loop;
    struct peri_state *s = new_state(&loop);
    struct script script;
    CHECK_EQ(script_run(s, &script, "\nlocal function f() error('no such model') end f()"),
             PERI_TASK_FAILED);
    CHECK_EQ(script.fault.err, PERI_EPOLICY);
    CHECK_STR(peri_str_of(script.fault.text), "test.lua:2: no such model");
    CHECK(strstr(s->trace, "test.lua:2: in local 'f'") != NULL);
    CHECK_STR(script_says(s, "error({})"), "!error was called with a table, expected a text");
    CHECK_STR(
        script_says(s, "error(setmetatable({}, {__tostring = function() return 'mine' end}))"),
        "!mine");
    CHECK_STR(script_says(s, "error()"), "!nil");
    free_state(s, loop);
}

TEST(a_waiting_task_is_resumed_and_done_once) {
    struct peri_loop *loop;
    struct peri_state *s = new_state(&loop);
    struct script script;
    CHECK_EQ(
        script_run(s, &script,
                   "local peri = require 'perilune'\n"
                   "local before = peri.clock.now_ms()\n"
                   "peri.sleep(30) local ok, n = pcall(function() peri.sleep(20) return 5 end)\n"
                   "return peri.clock.now_ms() - before .. ' ' .. n"),
        PERI_TASK_WAITING);
    peri_loop_advance(loop, 49);
    CHECK_EQ(script.done_calls, 0);
    CHECK_EQ(s->waiting_count, 1);
    peri_loop_advance(loop, 1);
    CHECK_EQ(script.done_calls, 1);
    CHECK_EQ(script.done_err, PERI_OK);
    CHECK_STR(peri_str_of(script.result), "50 5");
    CHECK_EQ(s->waiting_count, 0);
    free_state(s, loop);
}

TEST(a_task_that_fails_after_waiting_says_so_through_done) {
    struct peri_loop *loop;
    struct peri_state *s = new_state(&loop);
    struct script script;
    CHECK_EQ(script_run(s, &script, "require('perilune').sleep(1) error('late', 0)"),
             PERI_TASK_WAITING);
    peri_loop_advance(loop, 1);
    CHECK_EQ(script.done_calls, 1);
    CHECK_EQ(script.done_err, PERI_EPOLICY);
    CHECK_STR(peri_str_of(script.fault.text), "late");
    free_state(s, loop);
}

TEST(a_cancelled_task_never_goes_on) {
    struct peri_loop *loop;
    struct peri_state *s = new_state(&loop);
    for (int i = 0; i < 1000; i++) {
        struct script script = { .text = "require('perilune').sleep(5) error('ran')" };
        struct peri_task *t;
        CHECK_EQ(peri_task_start(&t, s, &script_ops, &script, NULL), PERI_TASK_WAITING);
        peri_task_cancel(t);
        peri_loop_advance(loop, 10);
        CHECK_EQ(script.done_calls, 0);
    }
    CHECK_EQ(s->waiting_count, 0);
    free_state(s, loop);
}

TEST(waiting_is_refused_where_nothing_could_resume_it) {
    struct peri_loop *loop;
    struct peri_state *s = new_state(&loop);
    CHECK_STR(script_says(s, "coroutine.wrap(function() require('perilune').sleep(1) end)()"),
              "!test.lua:1: test.lua:1: nothing can wait inside a coroutine of the script's own");
    CHECK_STR(script_says(s, "table.sort({2, 1}, function() require('perilune').sleep(1) end)"),
              "!test.lua:1: nothing can wait in a function that table.sort, string.gsub … call");
    CHECK_STR(script_says(s, "coroutine.yield()"),
              "!test.lua:1: attempt to yield from outside a coroutine");
    CHECK_EQ(s->waiting_count, 0);
    free_state(s, loop);
}

TEST(a_thousand_tasks_wait_side_by_side) {
    struct peri_loop *loop;
    struct peri_state *s = new_state(&loop);
    static struct script scripts[1000];
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(script_run(s, &scripts[i], "require('perilune').sleep(3) return 'x'"),
                 PERI_TASK_WAITING);
    CHECK_EQ(s->waiting_count, 1000);
    peri_loop_advance(loop, 3);
    for (int i = 0; i < 1000; i++) CHECK_EQ(scripts[i].done_calls, 1);
    CHECK_EQ(s->idle_count, PERI_TASK_POOL_MAX);
    free_state(s, loop);
}

TEST(a_state_that_goes_takes_what_waits_in_it) {
    struct peri_loop *loop;
    struct peri_state *s = new_state(&loop);
    struct script script;
    CHECK_EQ(script_run(s, &script, "require('perilune').sleep(3) return 'x'"), PERI_TASK_WAITING);
    peri_state_free(s);
    peri_loop_advance(loop, 3);
    CHECK_EQ(script.done_calls, 0);
    peri_loop_free(loop);
}

TEST(no_memory_to_start_is_an_answer_and_nothing_leaks) {
    struct peri_loop *loop;
    CHECK_EQ(peri_loop_new(&loop), PERI_OK);
    peri_loop_use_fake_time(loop);
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_state_options options = script_options;
        struct peri_state *s;
        struct script script = { .text = "require('perilune').sleep(1) return ('x'):rep(100)" };
        struct peri_task *t = NULL;
        options.loop = loop;
        enum peri_err err = peri_state_new(&s, &options);
        CHECK(err == PERI_OK || (err == PERI_ENOMEM && !test_torture_done));
        if (err != PERI_OK) continue;
        enum peri_task_status status = peri_task_start(&t, s, &script_ops, &script, &script.fault);
        if (status == PERI_TASK_FAILED) CHECK_EQ(script.fault.err, PERI_ENOMEM);
        if (status == PERI_TASK_WAITING) peri_loop_advance(loop, 1);
        if (test_torture_done) CHECK_EQ(script.done_err, PERI_OK);
        if (test_torture_done) CHECK_EQ(script.done_calls, 1);
        peri_state_free(s);
    }
    peri_loop_free(loop);
}

static int make_table(lua_State *L) {
    lua_createtable(L, 1 << 15, 0);
    return 0;
}

TEST(a_full_heap_stops_scripts_and_not_housekeeping) {
    struct peri_state_options options = { .heap_max = 1u << 20 };
    struct peri_state *s;
    struct script script;
    int ref;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    CHECK_EQ(peri_state_load(s, &ref, "hog.lua",
                             PERI_STR("local t = {} return t, pcall(function()\n"
                                      "  while true do t[#t + 1] = ('x'):rep(100) .. #t end end)"),
                             NULL),
             PERI_OK);
    CHECK_EQ(script_run(s, &script, "return #('y'):rep(1 << 18)"), PERI_TASK_FAILED);
    CHECK_EQ(script.fault.err, PERI_EBUDGET);
    CHECK_EQ(peri_state_call(s, make_table, NULL, NULL), PERI_EBUDGET);
    CHECK_EQ(peri_state_tend(s, make_table, NULL), PERI_OK);
    luaL_unref(s->L, LUA_REGISTRYINDEX, ref);
    CHECK_STR(script_says(s, "return #('y'):rep(1 << 18)"), "262144");
    peri_state_free(s);
}

/* ---- Coroutines of tasks in the hands of scripts ---- */

#define OWNED "this coroutine belongs to a request: only the router resumes it"

/* One chunk, whose functions share what they keep, and which of them a task runs. */
struct kept {
    int ref;
    const char *name;
    char said[256];
};

static int push_kept(lua_State *L, void *arg) {
    const struct kept *k = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, k->ref);
    lua_getfield(L, -1, k->name);
    lua_remove(L, -2);
    return 0;
}

static void take_kept(lua_State *L, int count, void *arg) {
    struct kept *k = arg;
    k->said[0] = '\0';
    for (int i = 1; i <= count; i++) {
        size_t n = strlen(k->said);
        const char *text = luaL_tolstring(L, i, NULL);
        snprintf(k->said + n, sizeof k->said - n, "%s%s", i > 1 ? " " : "", text);
        lua_pop(L, 1);
    }
}

static const struct peri_task_ops kept_ops = { push_kept, take_kept, NULL };

static struct peri_state *new_kept(struct peri_loop **loop, struct kept *k) {
    struct peri_state *s = new_state(loop);
    struct peri_fault fault;
    enum peri_err err = peri_state_load(
        s, &k->ref, "kept.lua",
        PERI_STR(
            "local peri, kept, went_on = require 'perilune', nil, 0\n"
            "return {\n"
            "  wait = function() kept = coroutine.running() peri.sleep(5) went_on = went_on + 1 "
            "return 'slept' end,\n"
            "  fail = function() kept = coroutine.running() peri.sleep(5) error {} end,\n"
            "  pass = function() kept = coroutine.running() return 'passed' end,\n"
            "  other = function() peri.sleep(5) return 'other' end,\n"
            "  steal = function() return coroutine.resume(kept) end,\n"
            "  wrapped = function() return coroutine.wrap(function() return "
            "coroutine.resume(kept) end)() end,\n"
            "  caught = function() return pcall(coroutine.resume, kept, 1, 2) end,\n"
            "  own = function() return coroutine.resume(coroutine.running()) end,\n"
            "  status = function() return coroutine.status(kept), went_on end,\n"
            "}"),
        &fault);
    CHECK_EQ(err, PERI_OK);
    return s;
}

static const char *kept_says(struct peri_state *s, struct kept *k, const char *name) {
    k->name = name;
    if (peri_task_start(NULL, s, &kept_ops, k, NULL) == PERI_TASK_FAILED) return "failed";
    return k->said;
}

#define CHECK_SAYS(s, k, name, want) CHECK_STR(peri_str_of(kept_says(s, k, name)), want)

TEST(a_waiting_coroutine_is_resumed_by_nobody_but_the_loop) {
    struct peri_loop *loop;
    struct kept victim, thief;
    struct peri_state *s = new_kept(&loop, &victim);
    thief = victim;
    victim.name = "wait";
    CHECK_EQ(peri_task_start(NULL, s, &kept_ops, &victim, NULL), PERI_TASK_WAITING);
    for (int i = 0; i < 3; i++) {
        CHECK_SAYS(s, &thief, "steal", "false " OWNED);
        CHECK_SAYS(s, &thief, "wrapped", "false " OWNED);
        CHECK_SAYS(s, &thief, "caught", "true false " OWNED);
        CHECK_SAYS(s, &thief, "own", "false " OWNED);
        CHECK_SAYS(s, &thief, "status", "suspended 0");
    }
    peri_loop_advance(loop, 5);
    CHECK_STR(peri_str_of(victim.said), "slept");
    CHECK_EQ(s->waiting_count, 0);
    free_state(s, loop);
}

/* What still stands on its stack is a continuation with work that is gone. */
TEST(a_coroutine_that_was_given_out_is_dead_once_its_task_is_over) {
    static const char *const ways[] = { "wait", "fail", "pass", "cancel" };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct peri_loop *loop;
        struct kept victim, other, thief;
        struct peri_state *s = new_kept(&loop, &victim);
        struct peri_task *t;
        thief = other = victim;
        bool is_cancelled = strcmp(ways[i], "cancel") == 0;
        victim.name = is_cancelled ? "wait" : ways[i];
        peri_task_start(&t, s, &kept_ops, &victim, NULL);
        if (is_cancelled) peri_task_cancel(t);
        peri_loop_advance(loop, 5);
        /* the next task runs in no coroutine that an earlier one gave away */
        other.name = "other";
        CHECK_EQ(peri_task_start(NULL, s, &kept_ops, &other, NULL), PERI_TASK_WAITING);
        CHECK_SAYS(s, &thief, "steal", "false cannot resume dead coroutine");
        CHECK_SAYS(s, &thief, "wrapped", "false cannot resume dead coroutine");
        CHECK(peri_str_has_prefix(peri_str_of(kept_says(s, &thief, "status")), PERI_STR("dead ")));
        peri_loop_advance(loop, 5);
        CHECK_STR(peri_str_of(other.said), "other");
        free_state(s, loop);
    }
}

TEST(a_coroutine_that_nobody_asked_for_is_used_again) {
    struct peri_loop *loop;
    struct peri_state *s = new_state(&loop);
    CHECK_STR(script_says(s, "return 1"), "1");
    CHECK_EQ(s->idle_count, 1);
    CHECK_STR(script_says(s, "return type(coroutine.running())"), "thread");
    CHECK_EQ(s->idle_count, 0);
    free_state(s, loop);
}

static int run_trusted(lua_State *L) { /* protected */
    const char *text = lua_touserdata(L, 1);
    peri_push_chunk(L, "trusted.lua", peri_str_of(text));
    lua_call(L, 0, 1);
    const char *said = luaL_checkstring(L, -1);
    CHECK_STR(peri_str_of(said), "false " OWNED ", false " OWNED ", suspended, slept, true 7");
    return 0;
}

TEST(trusted_scripts_leave_coroutines_of_tasks_alone_too) {
    struct peri_state_options options = { .is_trusted = true };
    struct peri_state *s;
    struct peri_fault fault = { .text = "" };
    CHECK_EQ(peri_loop_new(&options.loop), PERI_OK);
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    static char text[] =
        "local peri, kept, say = require 'perilune', nil, {}\n"
        "local function note(...) say[#say + 1] = table.concat({ ... }, ' ') end\n"
        "peri.run(function()\n"
        "  local task = peri.spawn(function()\n"
        "    kept = coroutine.running() peri.sleep(5) return 'slept'\n"
        "  end)\n"
        "  peri.sleep(1)\n"
        "  local ok, why = coroutine.resume(kept) note(tostring(ok), why)\n"
        "  ok, why = pcall(coroutine.close, kept) note(tostring(ok), why)\n"
        "  note(coroutine.status(kept))\n"
        "  note(task:wait())\n"
        "  local own = coroutine.create(function(n) return coroutine.yield(n + 1) end)\n"
        "  coroutine.resume(own, 1)\n"
        "  ok, why = coroutine.resume(own, 7) note(tostring(ok), why)\n"
        "  coroutine.close(own)\n"
        "end)\n"
        "return table.concat(say, ', ')\n";
    CHECK_EQ(peri_state_call(s, run_trusted, text, &fault), PERI_OK);
    CHECK_STR(peri_str_of(fault.text), "");
    free_state(s, options.loop);
}
