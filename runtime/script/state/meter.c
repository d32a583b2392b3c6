#include "script/state/meter.h"

#include <stdio.h>

/* One call that is being measured; on the stack of the coroutine, as the hook may wait. */
struct span {
    struct peri_meter_row *row;
    uint64_t began_ns, inner_ns;
    size_t began_bytes, inner_bytes;
};

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t ran_ns(const struct peri_meter *m) {
    return m->is_in_task ? m->ran_ns + cpu_ns() - m->began_ns : cpu_ns();
}

void peri_meter_enter(struct peri_meter *m) {
    m->is_in_task = true;
    m->began_ns = cpu_ns();
}

void peri_meter_leave(struct peri_meter *m) {
    m->ran_ns = ran_ns(m);
    m->is_in_task = false;
}

/* The hook has returned; its results stand above the span. */
static int measured(lua_State *L, int status, lua_KContext context) {
    const struct span *span = (const struct span *)context; /* NOLINT: Lua's own way to carry it */
    struct peri_state *s = peri_state_of(L);
    struct peri_meter *m = s->options.meter;
    (void)status;
    uint64_t ns = ran_ns(m) - span->began_ns - (m->inner_ns - span->inner_ns);
    size_t used = s->heap_used < span->began_bytes ? 0 : s->heap_used - span->began_bytes;
    size_t inner = m->inner_bytes - span->inner_bytes, bytes = used < inner ? 0 : used - inner;
    m->inner_ns += ns;
    m->inner_bytes += bytes;
    span->row->cpu_ns += ns;
    span->row->bytes += bytes;
    return lua_gettop(L) - 1;
}

/* Upvalues: the state, the hook, its row. */
static int measure(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    struct peri_meter *m = s->options.meter;
    struct span *span = lua_newuserdatauv(L, sizeof *span, 0);
    lua_insert(L, 1);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 2); /* stack: span hook arguments … */
    *span = (struct span){ .row = &m->rows[lua_tointeger(L, lua_upvalueindex(3))],
                           .began_ns = ran_ns(m),
                           .inner_ns = m->inner_ns,
                           .began_bytes = s->heap_used,
                           .inner_bytes = m->inner_bytes };
    span->row->calls++;
    lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, (lua_KContext)span, measured);
    return measured(L, LUA_OK, (lua_KContext)span);
}

void peri_meter_wrap(lua_State *L, struct peri_state *s, const char *policy, const char *hook) {
    struct peri_meter *m = s->options.meter;
    if (m->count == PERI_METER_ROWS) return;
    struct peri_meter_row *row = &m->rows[m->count];
    *row = (struct peri_meter_row){ .hook = hook };
    snprintf(row->policy, sizeof row->policy, "%s", policy);
    lua_gc(L, LUA_GCSTOP);
    peri_state_push(L, s);
    lua_insert(L, -2);
    lua_pushinteger(L, (lua_Integer)m->count++);
    lua_pushcclosure(L, measure, 3);
}
