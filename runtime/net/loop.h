/* One thread's event loop: timers, messages from other threads, signals, the turn's end.
 *
 * Everything here is called from the loop's own thread, except peri_loop_post and peri_loop_hand.
 * Timers are ours, on one heap, so that arming again is cheap and cancelling is immediate: when
 * peri_timer_stop returns, the callback will not run and the memory may go. With a fake clock (tests) time
 * moves only by peri_loop_advance.
 */
#ifndef PERI_NET_LOOP_H
#define PERI_NET_LOOP_H

#include "base/clock.h"
#include "base/list.h"
#include "perilune.h"

struct peri_loop;

/* gives PERI_OK · PERI_ENOMEM · PERI_EIO (out of descriptors) */
PERI_MUST_USE enum peri_err peri_loop_new(struct peri_loop **out);
/* Closes what is left and lets its close callbacks run. Takes NULL. */
void peri_loop_free(struct peri_loop *loop);

/* Turn until peri_loop_stop. */
void peri_loop_run(struct peri_loop *loop);
/* One turn: what is ready now; with `may_wait`, first sleep until something is. */
void peri_loop_step(struct peri_loop *loop, bool may_wait);
/* End peri_loop_run after this turn. */
void peri_loop_stop(struct peri_loop *loop);
/* For a host's own loop: readable when a step has work; how long a wait may last (-1: no limit). */
int peri_loop_fd(const struct peri_loop *loop);
int peri_loop_wait_ms(struct peri_loop *loop);

/* Monotonic time of this turn, milliseconds and nanoseconds: read once a turn. */
uint64_t peri_loop_now_ms(const struct peri_loop *loop);
uint64_t peri_loop_now_ns(const struct peri_loop *loop);
/* Monotonic time right now. */
uint64_t peri_loop_clock_ns(struct peri_loop *loop);

/* Hand a function to the loop's thread, from any thread; run once, in order.
 *   gives   PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_loop_post(struct peri_loop *loop, void (*run)(void *arg),
                                           void *arg);

/* The same with memory of the caller's, so that it can not fail: `m` is the loop's until `run` is called, which may free it. */
struct peri_message {
    struct peri_message *next;
    void (*run)(void *arg);
    void *arg;
    bool is_callers;
};
void peri_loop_hand(struct peri_loop *loop, struct peri_message *m, void (*run)(void *arg),
                    void *arg);

/* Run what was posted and not run yet: before what it looks at goes, on a loop that will not turn again. */
void peri_loop_drain(struct peri_loop *loop);

/* Run at the end of every turn, just before the loop may sleep (flush a log, pick up a snapshot). */
struct peri_turn {
    struct peri_list link;
    void (*run)(void *arg);
    void *arg;
};
void peri_loop_on_turn(struct peri_loop *loop, struct peri_turn *turn, void (*run)(void *arg),
                       void *arg);
void peri_loop_off_turn(struct peri_turn *turn);

/* Timers: in place, idle after init. Arming an armed timer moves it. */
struct peri_timer {
    struct peri_loop *loop;
    void (*fire)(void *arg);
    void *arg;
    uint64_t due_ms;    /* when it is to fire */
    uint64_t queued_ms; /* where it stands in the heap: never later than due_ms */
    size_t place;       /* in the heap, from 1; 0 when idle */
};
void peri_timer_init(struct peri_timer *t, struct peri_loop *loop, void (*fire)(void *arg),
                     void *arg);
/* Fire once, `ms` milliseconds after this turn's time. gives PERI_OK · PERI_ENOMEM */
enum peri_err peri_timer_start(struct peri_timer *t, uint64_t ms);
void peri_timer_stop(struct peri_timer *t);
static inline bool peri_timer_is_armed(const struct peri_timer *t) { return t->place != 0; }

/* Signals, on the loop of one thread of the process. */
PERI_MUST_USE enum peri_err peri_loop_on_signal(struct peri_loop *loop, int signum,
                                                void (*run)(int signum, void *arg), void *arg);

/* Tests: time stands still from now on and moves only here; due timers fire in order. */
void peri_loop_use_fake_time(struct peri_loop *loop);
void peri_loop_advance(struct peri_loop *loop, uint64_t ms);
/* With a fake clock: turn until nothing is ready any more, however often that makes something else ready. */
void peri_loop_settle(struct peri_loop *loop);
/* Milliseconds until the first timer is looked at, which may find that it is due later; UINT64_MAX: none is armed. */
uint64_t peri_loop_next_ms(const struct peri_loop *loop);

#endif
