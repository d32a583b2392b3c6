/* peri.sleep, peri.rand, peri.rand_below and peri.clock. */
#include "base/err.h"
#include "script/open.h"
#include "script/state/task.h"

#define SLEEP_MAX_MS 86400000 /* a day: longer is a mistake in the unit */

struct sleep {
    struct peri_timer timer;
    struct peri_task *task;
};

static void on_awake(void *arg) {
    struct sleep *w = arg;
    peri_task_resume(w->task);
}

static void on_sleep_canceled(void *work) {
    struct sleep *w = work;
    peri_timer_stop(&w->timer);
}

static int sleep_done(lua_State *L, int status, lua_KContext context) {
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static int base_sleep(lua_State *L) {
    struct peri_task *t = peri_task_of(L);
    lua_Number ms = luaL_checknumber(L, 1);
    luaL_argcheck(L, ms >= 0 && ms <= SLEEP_MAX_MS, 1, "milliseconds, 0 to 86400000");
    struct peri_loop *loop = peri_state_loop(L, peri_state_of(L));
    struct sleep *w = lua_newuserdatauv(L, sizeof *w, 0); /* stays on the stack while it waits */
    w->task = t;
    peri_timer_init(&w->timer, loop, on_awake, w);
    enum peri_err err = peri_timer_start(&w->timer, (uint64_t)ms);
    if (err != PERI_OK) return luaL_error(L, "cannot sleep: %s", peri_err_text(err));
    return peri_task_wait(L, t, on_sleep_canceled, w, sleep_done);
}

static int base_rand(lua_State *L) {
    lua_pushnumber(L, peri_rand_unit(&peri_state_of(L)->rand));
    return 1;
}

static int base_rand_below(lua_State *L) {
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n > 0, 1, "must be positive");
    lua_pushinteger(L, (lua_Integer)peri_rand_below(&peri_state_of(L)->rand, (uint64_t)n));
    return 1;
}

/* The time of this loop turn: all that is decided in one turn sees the same moment. */
static int clock_now_ms(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    uint64_t ms =
        s->loop != NULL ? peri_loop_now_ms(s->loop) : peri_clock_monotonic_ns(s->clock) / 1000000u;
    lua_pushinteger(L, (lua_Integer)ms);
    return 1;
}

static int clock_now_ns(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)peri_clock_monotonic_ns(peri_state_of(L)->clock));
    return 1;
}

static int clock_wall_ns(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)peri_clock_wall_ns(peri_state_of(L)->clock));
    return 1;
}

void peri_bind_base_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg base[] = { { "sleep", base_sleep },
                                     { "rand", base_rand },
                                     { "rand_below", base_rand_below },
                                     { NULL, NULL } };
    static const luaL_Reg clock[] = { { "now_ms", clock_now_ms },
                                      { "now_ns", clock_now_ns },
                                      { "wall_ns", clock_wall_ns },
                                      { NULL, NULL } };
    peri_state_set_functions(L, s, base);
    lua_newtable(L);
    peri_state_set_functions(L, s, clock);
    lua_setfield(L, -2, "clock");
}
