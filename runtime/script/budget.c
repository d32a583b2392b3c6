/* The signal handler may run between any two instructions of the same thread, never beside it; lua_sethook is
 * made to be called from there. What it misses (a coroutine being switched at that moment) it sees one slice
 * later, because it arms the timer again for as long as the entry lasts. */
#include "script/budget.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#define HOOK_STEPS        1000 /* instructions between two looks at the clock */
#define CLOCK_STEPS       4096 /* steps in C between two looks at the clock */
#define LATE_NS           100000000u /* an armed timer silent for so long belongs to a thread that ended */
#define get(field)        atomic_load_explicit(&(field), memory_order_relaxed)
#define set(field, value) atomic_store_explicit(&(field), value, memory_order_relaxed)

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool is_limited(const struct peri_budget *b) {
    return b->limits.steps != 0 || b->limits.wall_ms != 0;
}

static uint64_t slice_ns(const struct peri_budget *b) {
    uint64_t wall = (uint64_t)b->limits.wall_ms * 1000000u;
    return wall != 0 && wall < PERI_BUDGET_SLICE_NS ? wall : PERI_BUDGET_SLICE_NS;
}

/* The end of a budget. */

static void on_count(lua_State *L, lua_Debug *ar);

static void hook(struct peri_budget *b, lua_State *L) {
    lua_sethook(L, on_count, LUA_MASKCOUNT, get(b->end) != PERI_BUDGET_LEFT ? 1 : HOOK_STEPS);
}

static void end(struct peri_budget *b, enum peri_budget_end how) {
    if (get(b->end) == PERI_BUDGET_LEFT) set(b->end, how);
    set(b->is_hooked, true);
    lua_State *L = get(b->running);
    if (L != NULL) hook(b, L);
}

/* The error itself needs no memory. What it means is in `end`, where the entry is left. */
static void raise_end(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&on_count);
    lua_error(L);
}

static void look_at_clock(struct peri_budget *b) {
    b->unchecked = 0;
    uint64_t wall = (uint64_t)b->limits.wall_ms * 1000000u;
    if (wall != 0 && now_ns() - get(b->began_ns) >= wall) end(b, PERI_BUDGET_WALL);
}

static void take(struct peri_budget *b, uint64_t steps) {
    if (b->limits.steps != 0) {
        if (steps > b->steps_left) end(b, PERI_BUDGET_STEPS);
        b->steps_left -= steps < b->steps_left ? steps : b->steps_left;
    }
    b->unchecked += steps;
    if (b->unchecked >= CLOCK_STEPS) look_at_clock(b);
}

/* The budget stands in the registry under this file's own address: a hook has no argument. */
static const char registry_key;

static void on_count(lua_State *L, lua_Debug *ar) {
    (void)ar;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    struct peri_budget *b = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (b == NULL || get(b->running) == NULL) return;
    if (get(b->end) == PERI_BUDGET_LEFT) {
        take(b, HOOK_STEPS);
        look_at_clock(b);
    }
    if (get(b->end) != PERI_BUDGET_LEFT) raise_end(L);
}

void peri_budget_anchor(struct peri_budget *b, lua_State *L) {
    lua_pushlightuserdata(L, b);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}

void peri_budget_charge(struct peri_budget *b, lua_State *L, uint64_t steps) {
    if (!is_limited(b) || get(b->running) == NULL) return;
    take(b, steps);
    if (get(b->end) != PERI_BUDGET_LEFT) raise_end(L);
}

void peri_budget_check(struct peri_budget *b, lua_State *L, int status) {
    if (!is_limited(b)) return;
    if (status == LUA_ERRMEM) { /* a whole collection went before it, in which no hook looked */
        if (++b->memory_errors > PERI_BUDGET_MEMORY_ERRORS) end(b, PERI_BUDGET_MEMORY);
        look_at_clock(b);
    }
    if (get(b->end) != PERI_BUDGET_LEFT) raise_end(L);
}

/* The timer. */

static void arm(struct peri_budget *b, uint64_t ns) {
    struct itimerspec once = { .it_value = { (time_t)(ns / 1000000000u),
                                             (long)(ns % 1000000000u) } };
    timer_settime(b->timer, 0, &once, NULL);
}

static void on_timer(int signum, siginfo_t *info, void *context) {
    (void)signum;
    (void)context;
    struct peri_budget *b = info->si_value.sival_ptr;
    if (info->si_code != SI_TIMER || b == NULL) return;
    if (!pthread_equal(get(b->thread), pthread_self())) return; /* the state has moved on */
    lua_State *L = get(b->running);
    if (L == NULL) { /* nothing runs: the next entry arms it again */
        set(b->is_armed, false);
        return;
    }
    uint64_t slice = slice_ns(b), now = now_ns(), spent = now - get(b->began_ns);
    set(b->armed_ns, now);
    if (spent < slice) {
        arm(b, slice - spent);
        return;
    }
    set(b->is_hooked, true);
    hook(b, L);
    arm(b, slice);
}

/* A real-time signal that is ours or nobody's. Handlers belong to the process: two routers share one, which is
 * harmless, as the handler knows its budget by the timer alone.
 *   gives   0 when every one is taken */
static int claim_signal(void) {
    for (int signum = SIGRTMAX - 2; signum > SIGRTMIN; signum--) {
        struct sigaction old,
            ours = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART };
        if (sigaction(signum, NULL, &old) != 0) continue;
        if ((old.sa_flags & SA_SIGINFO) != 0 && old.sa_sigaction == on_timer) return signum;
        if (old.sa_handler != SIG_DFL) continue;
        sigemptyset(&ours.sa_mask);
        if (sigaction(signum, &ours, NULL) == 0) return signum;
    }
    return 0;
}

static bool open_timer(struct peri_budget *b, pid_t thread) {
    int signum = claim_signal();
    if (signum == 0) return false;
    sigset_t unblock;
    sigemptyset(&unblock);
    sigaddset(&unblock, signum);
    pthread_sigmask(SIG_UNBLOCK, &unblock, NULL);
    struct sigevent how;
    memset(&how, 0, sizeof how);
    how.sigev_notify = SIGEV_THREAD_ID;
    how.sigev_signo = signum;
    how.sigev_value.sival_ptr = b;
    how._sigev_un._tid = thread; /* glibc before 2.38 gives this member no other name */
    if (timer_create(CLOCK_MONOTONIC, &how, &b->timer) != 0) return false;
    b->owner = thread;
    b->has_timer = true;
    return true;
}

static void close_timer(struct peri_budget *b) {
    if (b->has_timer) timer_delete(b->timer);
    b->has_timer = false;
    set(b->is_armed, false);
}

void peri_budget_init(struct peri_budget *b, struct peri_budget_limits limits) {
    memset(b, 0, sizeof *b);
    b->limits = limits;
}

void peri_budget_done(struct peri_budget *b) { close_timer(b); }

/* Make sure that a timer of this very thread is armed. The system's number of the thread is asked for only here:
 * a new thread may be given the pthread_t of one that has ended. */
static void watch(struct peri_budget *b, uint64_t now) {
    pid_t thread = gettid();
    if (b->has_timer && b->owner != thread) close_timer(b);
    set(b->thread, pthread_self());
    if (!b->has_timer && !open_timer(b, thread)) {
        set(b->is_hooked, true); /* no timer to be had: count from the start */
        return;
    }
    set(b->armed_ns, now);
    set(b->is_armed, true);
    arm(b, slice_ns(b));
}

void peri_budget_enter(struct peri_budget *b, lua_State *L) {
    b->steps_left = b->limits.steps;
    b->unchecked = 0;
    b->memory_errors = 0;
    set(b->end, PERI_BUDGET_LEFT);
    if (!is_limited(b)) return;
    uint64_t now = now_ns();
    set(b->is_hooked, b->limits.is_counted);
    set(b->began_ns, now);
    set(b->running, L);
    bool is_here = pthread_equal(get(b->thread), pthread_self());
    if (!get(b->is_armed) || !is_here || now - get(b->armed_ns) > LATE_NS) watch(b, now);
    peri_budget_switch(b, L);
}

lua_State *peri_budget_switch(struct peri_budget *b, lua_State *co) {
    lua_State *before = get(b->running);
    if (!is_limited(b)) return before;
    set(b->running, co);
    if (get(b->is_hooked))
        hook(b, co);
    else if (lua_gethookmask(co) != 0)
        lua_sethook(co, NULL, 0, 0);
    return before;
}

void peri_budget_leave(struct peri_budget *b) {
    if (!is_limited(b)) return;
    set(b->running, (lua_State *)NULL);
}
