/* The signal handler may run between any two instructions of the same thread, never beside it; lua_sethook is
 * made to be called from there. What it misses (a coroutine being switched at that moment, a frame that is being made)
 * it sees one slice later, because it arms the timer again for as long as the entry lasts. */
#include "script/state/budget.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#define CLOCK_STEPS       4096 /* steps in C between two looks at the clock, where no timer looks */
#define LATE_NS           100000000u /* an armed timer silent for so long belongs to a thread that ended */
#define SOON_NS           50000u /* a timer is not armed for less */
#define PLACES_MAX        64     /* frames of C that are looked through for one of Lua */
#define get(field)        atomic_load_explicit(&(field), memory_order_relaxed)
#define set(field, value) atomic_store_explicit(&(field), value, memory_order_relaxed)

/* A thread sanitizer keeps a signal until the next call of the C library, which a loop in Lua may never make. */
#if defined(__SANITIZE_THREAD__)
#define HOLDS_SIGNALS true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOLDS_SIGNALS true
#endif
#endif
#ifndef HOLDS_SIGNALS
#define HOLDS_SIGNALS false
#endif

static uint64_t read_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

static bool is_limited(const struct peri_budget *b) {
    return b->limits.steps != 0 || b->limits.cpu_ms != 0;
}

static uint64_t limit_ns(const struct peri_budget *b) {
    return (uint64_t)b->limits.cpu_ms * 1000000u;
}

static uint64_t slice_ns(const struct peri_budget *b) {
    uint64_t limit = limit_ns(b);
    return limit != 0 && limit < PERI_BUDGET_SLICE_NS ? limit : PERI_BUDGET_SLICE_NS;
}

/* CPU time that the entry has used, as a whole slice when it has overrun the first; for one that has not, 0. */
static uint64_t spent_ns(struct peri_budget *b, uint64_t now) {
    uint64_t slice = slice_ns(b);
    if (now - get(b->began_ns) < slice) return 0;
    uint64_t cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);
    if (get(b->base_ns) == 0) set(b->base_ns, cpu > slice ? cpu - slice : 1);
    return cpu - get(b->base_ns);
}

uint64_t peri_budget_spent_ns(struct peri_budget *b) {
    if (get(b->running) == NULL) return 0;
    if (get(b->base_ns) != 0) return read_clock(CLOCK_THREAD_CPUTIME_ID) - get(b->base_ns);
    uint64_t now = now_ns(), wall = now - get(b->began_ns);
    return wall < slice_ns(b) ? wall : spent_ns(b, now);
}

/* The end of a budget. */

static void on_count(lua_State *L, lua_Debug *ar);

static void hook(struct peri_budget *b, lua_State *L) {
    int steps = get(b->end) != PERI_BUDGET_LEFT ? 1
                : get(b->is_counting)           ? PERI_BUDGET_HOOK_STEPS
                                                : 0;
    if (steps != 1 && lua_gethookcount(L) == steps)
        return; /* setting it would start its count anew */
    lua_sethook(L, steps == 0 ? NULL : on_count, steps == 0 ? 0 : LUA_MASKCOUNT, steps);
}

static void end(struct peri_budget *b, enum peri_budget_end how) {
    if (get(b->end) == PERI_BUDGET_LEFT) set(b->end, how);
    lua_State *L = get(b->running);
    if (L != NULL) hook(b, L);
}

void peri_budget_expire(struct peri_budget *b) { end(b, PERI_BUDGET_CPU); }

void peri_budget_note_place(struct peri_budget *b, lua_State *L) {
    lua_Debug at;
    for (int level = 0; b->where[0] == '\0' && level < PLACES_MAX; level++) {
        if (lua_getstack(L, level, &at) == 0 || lua_getinfo(L, "Sl", &at) == 0) return;
        if (at.currentline <= 0) continue;
        const char *name = at.source[0] == '@' ? at.source + 1 : at.short_src;
        snprintf(b->where, sizeof b->where, "%.200s:%d", name, at.currentline);
    }
}

/* The error itself needs no memory. What it means is in `end`, where the entry is left. */
static void raise_end(struct peri_budget *b, lua_State *L) {
    peri_budget_note_place(b, L);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&on_count);
    lua_error(L);
}

static void look_at_clock(struct peri_budget *b) {
    uint64_t limit = limit_ns(b);
    b->unchecked = 0;
    if (limit != 0 && spent_ns(b, now_ns()) >= limit) end(b, PERI_BUDGET_CPU);
}

static void take(struct peri_budget *b, uint64_t steps) {
    if (b->limits.steps != 0) {
        if (steps > b->steps_left) end(b, PERI_BUDGET_STEPS);
        b->steps_left -= steps < b->steps_left ? steps : b->steps_left;
    }
    b->unchecked += steps;
    if (b->unchecked >= CLOCK_STEPS && !get(b->is_armed)) look_at_clock(b);
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
        take(b, PERI_BUDGET_HOOK_STEPS);
        if (!get(b->is_armed)) look_at_clock(b);
    }
    if (get(b->end) != PERI_BUDGET_LEFT) raise_end(b, L);
}

void peri_budget_attach(struct peri_budget *b, lua_State *L) {
    lua_pushlightuserdata(L, b);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}

bool peri_budget_take(struct peri_budget *b, uint64_t steps) {
    if (get(b->running) == NULL) return true;
    take(b, steps);
    return get(b->end) == PERI_BUDGET_LEFT;
}

void peri_budget_charge(struct peri_budget *b, lua_State *L, uint64_t steps) {
    if (get(b->running) == NULL) return;
    take(b, steps);
    if (get(b->end) != PERI_BUDGET_LEFT) raise_end(b, L);
}

void peri_budget_check(struct peri_budget *b, lua_State *L, int status) {
    if (get(b->running) == NULL) return;
    if (status == LUA_ERRMEM) { /* a whole collection went before it, in which no hook looked */
        if (++b->memory_errors > PERI_BUDGET_MEMORY_ERRORS) end(b, PERI_BUDGET_MEMORY);
        look_at_clock(b);
    }
    if (get(b->end) != PERI_BUDGET_LEFT) raise_end(b, L);
}

/* The timer. */

static void arm(struct peri_budget *b, uint64_t ns) {
    struct itimerspec once = { .it_value = { (time_t)(ns / 1000000000u),
                                             (long)(ns % 1000000000u) } };
    timer_settime(b->timer, 0, &once, NULL);
}

/* What Lua runs has overrun its first slice: is it over? gives when to look again */
static uint64_t look_at_entry(struct peri_budget *b, lua_State *L, uint64_t now) {
    uint64_t limit = limit_ns(b), slice = slice_ns(b), spent = 0;
    if (limit != 0 && get(b->end) == PERI_BUDGET_LEFT) spent = spent_ns(b, now);
    if (limit != 0 && spent >= limit) set(b->end, PERI_BUDGET_CPU);
    if (b->limits.steps != 0) set(b->is_counting, true);
    hook(b, L);
    if (limit == 0 || get(b->end) != PERI_BUDGET_LEFT || limit - spent > slice) return slice;
    return limit - spent < SOON_NS ? SOON_NS : limit - spent;
}

static void on_timer(int signum, siginfo_t *info, void *context) {
    (void)signum;
    (void)context;
    struct peri_budget *b = info->si_value.sival_ptr;
    int error = errno;
    if (info->si_code != SI_TIMER || b == NULL) return;
    if (!pthread_equal(get(b->thread), pthread_self())) return; /* the state has moved on */
    lua_State *L = get(b->running);
    if (L == NULL) { /* nothing runs: the next entry arms it again */
        set(b->is_armed, false);
        return;
    }
    uint64_t slice = slice_ns(b), now = now_ns(), wall = now - get(b->began_ns);
    set(b->armed_ns, now);
    arm(b, wall < slice ? slice - wall : look_at_entry(b, L, now));
    errno = error;
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
    int signum = HOLDS_SIGNALS ? 0 : claim_signal();
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
        set(b->is_counting, true); /* no timer to be had: count from the start */
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
    b->where[0] = '\0';
    set(b->end, PERI_BUDGET_LEFT);
    if (!is_limited(b)) return;
    uint64_t now = now_ns(), limit = limit_ns(b);
    set(b->is_counting, b->limits.is_counted);
    set(b->began_ns, now);
    /* A limit within the first slice has no time to give away to who waits for a core. */
    set(b->base_ns,
        limit != 0 && limit <= PERI_BUDGET_SLICE_NS ? read_clock(CLOCK_THREAD_CPUTIME_ID) : 0);
    bool is_here = pthread_equal(get(b->thread), pthread_self());
    if (!is_here)
        set(b->thread, pthread_self()); /* the handler of another thread looks there first */
    set(b->running, L);
    if (!get(b->is_armed) || !is_here || now - get(b->armed_ns) > LATE_NS) watch(b, now);
    hook(b, L);
}

lua_State *peri_budget_switch(struct peri_budget *b, lua_State *co) {
    lua_State *before = get(b->running);
    if (before == NULL) return NULL;
    set(b->running, co);
    hook(b, co);
    return before;
}

/* Within its first slice an entry is not counted, so that it begins where it is. */
void peri_budget_renew(struct peri_budget *b, lua_State *L, uint64_t spent_ns) {
    if (get(b->running) == NULL) return;
    if (get(b->end) != PERI_BUDGET_LEFT || get(b->base_ns) != 0 || spent_ns >= slice_ns(b)) {
        peri_budget_leave(b);
        peri_budget_enter(b, L);
        return;
    }
    b->steps_left = b->limits.steps;
    b->unchecked = 0;
    b->memory_errors = 0;
    set(b->began_ns, get(b->began_ns) + spent_ns);
}

struct peri_budget_pause peri_budget_pause(struct peri_budget *b) {
    struct peri_budget_pause paused = { .limits = b->limits,
                                        .steps_left = b->steps_left,
                                        .spent_ns = peri_budget_spent_ns(b),
                                        .memory_errors = b->memory_errors,
                                        .end = peri_budget_end(b),
                                        .is_counting = get(b->is_counting) };
    peri_budget_leave(b);
    return paused;
}

/* The beginning of the entry is moved back by what it had used. */
void peri_budget_resume(struct peri_budget *b, lua_State *L,
                        const struct peri_budget_pause *paused) {
    b->limits = paused->limits;
    peri_budget_enter(b, L);
    if (get(b->running) == NULL) return;
    b->steps_left = paused->steps_left;
    b->memory_errors = paused->memory_errors;
    set(b->began_ns, get(b->began_ns) - paused->spent_ns);
    if (paused->spent_ns >= slice_ns(b) || get(b->base_ns) != 0) {
        uint64_t base = read_clock(CLOCK_THREAD_CPUTIME_ID) - paused->spent_ns;
        set(b->base_ns, base != 0 ? base : 1);
    }
    set(b->is_counting, paused->is_counting);
    set(b->end, paused->end);
    hook(b, L);
}

void peri_budget_leave(struct peri_budget *b) { set(b->running, (lua_State *)NULL); }
