/* Every function that a policy's sandbox holds, found by walking it, with the dearest call that this test knows: the
 * budget ends it plain, in pcall and in a coroutine, within twice its CPU time. A function without a row fails. */
#include "base/shared.h"
#include "script/state/reach_test.h"
#include "script/state/testing.h"

#define BUDGET_MS 10
#define LEAVES_MS (REACH_IS_EXACT ? 2 * BUDGET_MS : 2000)

/* What one call is: the clock starts when its setup is done. */
struct trial {
    struct peri_state *state;
    const char *body;
    double began;
};

static int start_clock(lua_State *L) {
    struct trial *t = lua_touserdata(L, lua_upvalueindex(1));
    struct peri_budget *b = &t->state->budget;
    peri_budget_leave(b);
    b->limits.cpu_ms = BUDGET_MS;
    peri_budget_enter(b, L);
    t->began = reach_clock_ms();
    return 0;
}

static int push_trial(lua_State *L, void *arg) {
    struct trial *t = arg;
    peri_push_chunk(L, "test.lua", peri_str_of(t->body));
    lua_pushlightuserdata(L, t);
    lua_pushcclosure(L, start_clock, 1);
    return 1;
}

static void check_row(struct peri_state *s, const struct reach_row *row, const char *form) {
    static const struct peri_task_ops ops = { push_trial, NULL, NULL };
    char call[1000], body[4000];
    struct peri_fault fault = { PERI_OK, "" };
    struct trial t = { .state = s, .body = body };
    snprintf(call, sizeof call, form, row->call);
    snprintf(body, sizeof body,
             "local begin = ...\nlocal peri = require 'perilune'\n" REACH_NAMES "%s%s\nbegin()\n%s",
             reach_prelude, row->setup, call);
    enum peri_task_status status = peri_task_start(NULL, s, &ops, &t, &fault);
    double took = reach_clock_ms() - t.began;
    bool is_good = status == PERI_TASK_FAILED && fault.err == PERI_EBUDGET && t.began != 0 &&
                   took < LEAVES_MS &&
                   peri_str_has_prefix(peri_str_of(fault.text), PERI_STR("test.lua:"));
    if (!is_good) printf("%s: %s: %.1f ms: %s\n", row->name, call, took, fault.text);
    CHECK(is_good);
}

static struct peri_state *new_state(struct peri_shared *shared) {
    struct peri_state_options options = { .heap_max = 64u << 20,
                                          .entry = { .cpu_ms = 1000 },
                                          .load = { .cpu_ms = 1000 },
                                          .shared = shared,
                                          .seed = 1 };
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    return s;
}

static const struct reach_row *find_row(struct peri_str name) {
    for (size_t i = 0; i < REACH_ROWS; i++)
        if (peri_str_eq(peri_str_of(reach_rows[i].name), name)) return &reach_rows[i];
    return NULL;
}

TEST(every_function_of_the_sandbox_is_ended_by_the_budget) {
    struct peri_shared *shared;
    CHECK_EQ(peri_shared_new(&shared, 0, &peri_clock_real), PERI_OK);
    struct peri_state *s = new_state(shared);
    static char names[16384];
    struct script script;
    bool is_walked = script_run(s, &script, reach_walk) == PERI_TASK_DONE;
    if (!is_walked) printf("%s\n", script.fault.text);
    CHECK(is_walked);
    CHECK(strlen(script.result) + 1 < sizeof script.result);
    snprintf(names, sizeof names, "%s", script.result);
    peri_state_free(s);
    struct peri_str rest = peri_str_of(names), name;
    size_t count = 0;
    while (rest.n > 0 && peri_str_cut(&name, &rest, '\n')) {
        const struct reach_row *row = find_row(name);
        count++;
        if (row == NULL) printf("no row for %.*s\n", PERI_STR_ARGS(name));
        CHECK(row != NULL);
        for (size_t f = 0; row != NULL && f < REACH_FORMS; f++) {
            s = new_state(shared);
            check_row(s, row, reach_forms[f]);
            peri_state_free(s);
        }
    }
    CHECK_EQ(count, REACH_ROWS);
    peri_shared_free(shared);
}
