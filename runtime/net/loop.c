/* One uv loop with one uv timer: the heap's earliest time is handed to it just before each wait. */
#include "net/loop.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/loop_uv.h"

/* A watcher that is new is told to the kernel by the next step only: one look that finds nothing proves nothing. */
#define CALM_STEPS 3

struct watched_signal {
    uv_signal_t handle;
    void (*run)(int signum, void *arg);
    void *arg;
};

struct peri_loop {
    uv_loop_t uv;
    uv_timer_t alarm;
    uv_prepare_t before_wait;
    uv_async_t wake;
    bool is_stopping, is_fake;
    uint64_t fake_ms, alarm_ms;
    struct peri_timer **heap; /* heap[1..count]: a binary heap by queued_ms */
    size_t count, capacity;
    struct peri_list turns;
    pthread_mutex_t lock;
    struct peri_message *inbox, **inbox_end; /* under lock */
};

uv_loop_t *peri_loop_uv(struct peri_loop *loop) { return &loop->uv; }

uint64_t peri_loop_now_ms(const struct peri_loop *loop) {
    return loop->is_fake ? loop->fake_ms : uv_now(&loop->uv);
}

uint64_t peri_loop_now_ns(const struct peri_loop *loop) {
    return peri_loop_now_ms(loop) * 1000000u;
}

uint64_t peri_loop_clock_ns(struct peri_loop *loop) {
    return loop->is_fake ? loop->fake_ms * 1000000u : uv_hrtime();
}

/* Heap. A timer that is armed again for later stays where it is and sinks when its old time comes: an idle
 * timer that every chunk pushes back costs one store. */

static void set_place(struct peri_loop *loop, size_t place, struct peri_timer *t) {
    loop->heap[place] = t;
    t->place = place;
}

static void rise(struct peri_loop *loop, size_t place) {
    struct peri_timer *t = loop->heap[place];
    while (place > 1 && loop->heap[place / 2]->queued_ms > t->queued_ms) {
        set_place(loop, place, loop->heap[place / 2]);
        place /= 2;
    }
    set_place(loop, place, t);
}

static void sink(struct peri_loop *loop, size_t place) {
    struct peri_timer *t = loop->heap[place];
    for (size_t child; (child = place * 2) <= loop->count; place = child) {
        if (child < loop->count && loop->heap[child + 1]->queued_ms < loop->heap[child]->queued_ms)
            child++;
        if (loop->heap[child]->queued_ms >= t->queued_ms) break;
        set_place(loop, place, loop->heap[child]);
    }
    set_place(loop, place, t);
}

void peri_timer_init(struct peri_timer *t, struct peri_loop *loop, void (*fire)(void *arg),
                     void *arg) {
    *t = (struct peri_timer){ .loop = loop, .fire = fire, .arg = arg };
}

enum peri_err peri_timer_start(struct peri_timer *t, uint64_t ms) {
    struct peri_loop *loop = t->loop;
    t->due_ms = peri_loop_now_ms(loop) + ms;
    if (t->place != 0) {
        if (t->due_ms < t->queued_ms) {
            t->queued_ms = t->due_ms;
            rise(loop, t->place);
        }
        return PERI_OK;
    }
    if (loop->count + 1 >= loop->capacity) {
        size_t capacity = loop->capacity == 0 ? 64 : loop->capacity * 2;
        struct peri_timer **heap = peri_realloc(loop->heap, capacity * sizeof *heap);
        if (heap == NULL) return PERI_ENOMEM;
        loop->heap = heap;
        loop->capacity = capacity;
    }
    t->queued_ms = t->due_ms;
    set_place(loop, ++loop->count, t);
    rise(loop, loop->count);
    return PERI_OK;
}

void peri_timer_stop(struct peri_timer *t) {
    if (t->place == 0) return;
    struct peri_loop *loop = t->loop;
    size_t place = t->place;
    struct peri_timer *last = loop->heap[loop->count--];
    t->place = 0;
    if (last == t) return;
    set_place(loop, place, last);
    rise(loop, place);
    sink(loop, last->place);
}

static void fire_due(struct peri_loop *loop) {
    uint64_t now = peri_loop_now_ms(loop);
    /* Only as many as stand here now: a timer that arms itself for at once waits for the next turn. */
    for (size_t most = loop->count; most > 0 && loop->count > 0; most--) {
        struct peri_timer *t = loop->heap[1];
        if (t->queued_ms > now) return;
        if (t->due_ms > now) {
            t->queued_ms = t->due_ms;
            sink(loop, 1);
            continue;
        }
        peri_timer_stop(t);
        t->fire(t->arg);
    }
}

static void on_alarm(uv_timer_t *alarm) {
    struct peri_loop *loop = alarm->data;
    loop->alarm_ms = 0;
    fire_due(loop);
}

static void end_turn(struct peri_loop *loop) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &loop->turns) {
        struct peri_turn *turn = peri_list_entry(at, struct peri_turn, link);
        turn->run(turn->arg);
    }
}

static void on_before_wait(uv_prepare_t *prepare) {
    struct peri_loop *loop = prepare->data;
    end_turn(loop);
    if (loop->is_fake || loop->count == 0) {
        if (loop->alarm_ms != 0) uv_timer_stop(&loop->alarm);
        loop->alarm_ms = 0;
        return;
    }
    uint64_t due = loop->heap[1]->queued_ms, now = uv_now(&loop->uv);
    if (due == 0) due = 1;
    if (due == loop->alarm_ms) return;
    loop->alarm_ms = due;
    uv_timer_start(&loop->alarm, on_alarm, due > now ? due - now : 0, 0);
}

static void on_wake(uv_async_t *wake) {
    struct peri_loop *loop = wake->data;
    pthread_mutex_lock(&loop->lock);
    struct peri_message *m = loop->inbox;
    loop->inbox = NULL;
    loop->inbox_end = &loop->inbox;
    pthread_mutex_unlock(&loop->lock);
    while (m != NULL) {
        struct peri_message *next = m->next, *ours = m->is_callers ? NULL : m;
        m->run(m->arg);
        peri_free(ours);
        m = next;
    }
}

void peri_loop_drain(struct peri_loop *loop) { on_wake(&loop->wake); }

static void append(struct peri_loop *loop, struct peri_message *m) {
    pthread_mutex_lock(&loop->lock);
    *loop->inbox_end = m;
    loop->inbox_end = &m->next;
    pthread_mutex_unlock(&loop->lock);
    uv_async_send(&loop->wake);
}

enum peri_err peri_loop_post(struct peri_loop *loop, void (*run)(void *arg), void *arg) {
    struct peri_message *m = peri_malloc(sizeof *m);
    if (m == NULL) return PERI_ENOMEM;
    *m = (struct peri_message){ NULL, run, arg, false };
    append(loop, m);
    return PERI_OK;
}

void peri_loop_hand(struct peri_loop *loop, struct peri_message *m, void (*run)(void *arg),
                    void *arg) {
    *m = (struct peri_message){ NULL, run, arg, true };
    append(loop, m);
}

void peri_loop_on_turn(struct peri_loop *loop, struct peri_turn *turn, void (*run)(void *arg),
                       void *arg) {
    turn->run = run;
    turn->arg = arg;
    peri_list_insert(&loop->turns, &turn->link);
}

void peri_loop_off_turn(struct peri_turn *turn) { peri_list_remove(&turn->link); }

static void on_signal(uv_signal_t *handle, int signum) {
    struct watched_signal *w = peri_list_entry(handle, struct watched_signal, handle);
    w->run(signum, w->arg);
}

enum peri_err peri_loop_on_signal(struct peri_loop *loop, int signum,
                                  void (*run)(int signum, void *arg), void *arg) {
    struct watched_signal *w = peri_calloc(1, sizeof *w);
    if (w == NULL) return PERI_ENOMEM;
    w->run = run;
    w->arg = arg;
    if (uv_signal_init(&loop->uv, &w->handle) != 0) {
        peri_free(w);
        return PERI_EIO;
    }
    w->handle.data = w;
    if (uv_signal_start(&w->handle, on_signal, signum) != 0)
        return PERI_EIO; /* freed with the loop */
    uv_unref((uv_handle_t *)&w->handle);
    return PERI_OK;
}

enum peri_err peri_loop_new(struct peri_loop **out) {
    struct peri_loop *loop = peri_calloc(1, sizeof *loop);
    if (loop == NULL) return PERI_ENOMEM;
    loop->inbox_end = &loop->inbox;
    peri_list_init(&loop->turns);
    if (uv_loop_init(&loop->uv) != 0) {
        peri_free(loop);
        return PERI_EIO;
    }
    pthread_mutex_init(&loop->lock, NULL);
    uv_timer_init(&loop->uv, &loop->alarm);
    uv_prepare_init(&loop->uv, &loop->before_wait);
    loop->alarm.data = loop->before_wait.data = loop->wake.data = loop;
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
        peri_loop_free(loop);
        return PERI_EIO;
    }
    uv_prepare_start(&loop->before_wait, on_before_wait);
    *out = loop;
    return PERI_OK;
}

static void on_signal_closed(uv_handle_t *handle) { peri_free(handle->data); }

static void close_handle(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, handle->type == UV_SIGNAL ? on_signal_closed : NULL);
}

void peri_loop_free(struct peri_loop *loop) {
    if (loop == NULL) return;
    uv_walk(&loop->uv, close_handle, NULL);
    while (uv_run(&loop->uv, UV_RUN_NOWAIT) != 0) {}
    if (uv_loop_close(&loop->uv) != 0)
        peri_bug("every handle of a loop is closed when the loop goes");
    for (struct peri_message *m = loop->inbox, *next; m != NULL; m = next) {
        next = m->next;
        if (!m->is_callers) peri_free(m);
    }
    pthread_mutex_destroy(&loop->lock);
    peri_free(loop->heap);
    peri_free(loop);
}

void peri_loop_run(struct peri_loop *loop) {
    loop->is_stopping = false;
    while (!loop->is_stopping) uv_run(&loop->uv, UV_RUN_ONCE);
}

void peri_loop_step(struct peri_loop *loop, bool may_wait) {
    uv_run(&loop->uv, may_wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    end_turn(
        loop); /* the caller may sleep now: what this step brought must not wait for the next one */
}

void peri_loop_stop(struct peri_loop *loop) {
    loop->is_stopping = true;
    uv_stop(&loop->uv);
}

int peri_loop_fd(const struct peri_loop *loop) { return uv_backend_fd(&loop->uv); }

int peri_loop_wait_ms(struct peri_loop *loop) {
    uv_update_time(&loop->uv);
    int wait = uv_backend_timeout(&loop->uv);
    if (loop->is_fake || loop->count == 0) return wait;
    uint64_t due = loop->heap[1]->queued_ms, now = uv_now(&loop->uv);
    uint64_t ours = due > now ? due - now : 0;
    return wait < 0 || ours < (uint64_t)wait ? (int)ours : wait;
}

void peri_loop_use_fake_time(struct peri_loop *loop) {
    loop->is_fake = true;
    loop->fake_ms = uv_now(&loop->uv);
}

void peri_loop_advance(struct peri_loop *loop, uint64_t ms) {
    uint64_t target = loop->fake_ms + ms;
    while (loop->count > 0 && loop->heap[1]->queued_ms <= target) {
        if (loop->heap[1]->queued_ms > loop->fake_ms) loop->fake_ms = loop->heap[1]->queued_ms;
        fire_due(loop);
    }
    loop->fake_ms = target;
}

static bool is_busy(struct peri_loop *loop) {
    struct pollfd ready = { .fd = uv_backend_fd(&loop->uv), .events = POLLIN };
    return uv_backend_timeout(&loop->uv) == 0 || poll(&ready, 1, 0) > 0;
}

void peri_loop_settle(struct peri_loop *loop) {
    for (int calm = 0; calm < CALM_STEPS;) {
        peri_loop_advance(loop, 0);
        peri_loop_step(loop, false);
        calm = is_busy(loop) || peri_loop_next_ms(loop) == 0 ? 0 : calm + 1;
    }
}

uint64_t peri_loop_next_ms(const struct peri_loop *loop) {
    if (loop->count == 0) return UINT64_MAX;
    uint64_t due = loop->heap[1]->queued_ms, now = peri_loop_now_ms(loop);
    return due > now ? due - now : 0;
}
