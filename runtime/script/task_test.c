#include "script/task.h"

#include "script/testing.h"

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
    CHECK(peri_str_has_prefix(script_says(s, "error({})"), PERI_STR("!table: ")));
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
              "!test.lua:1: nothing can wait below a function that does not yield");
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
