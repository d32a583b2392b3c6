#include "net/loop.h"

#include <pthread.h>

#include "base/test.h"

struct seen {
    struct peri_timer timers[300];
    int order[400], n;
    struct peri_loop *loop;
};

struct one {
    struct seen *seen;
    int id;
};

static void note(void *arg) {
    struct one *o = arg;
    o->seen->order[o->seen->n++] = o->id;
}

TEST(timers_fire_in_the_order_of_their_times) {
    struct seen s = { .n = 0 };
    struct one ids[300];
    CHECK_EQ(peri_loop_new(&s.loop), PERI_OK);
    peri_loop_use_fake_time(s.loop);
    for (int i = 0; i < 300; i++) {
        ids[i] = (struct one){ &s, i * 37 % 300 };
        peri_timer_init(&s.timers[i], s.loop, note, &ids[i]);
        peri_timer_start(&s.timers[i], (uint64_t)(i * 37 % 300) + 1);
    }
    peri_loop_advance(s.loop, 150);
    CHECK_EQ(s.n, 150);
    peri_loop_advance(s.loop, 150);
    CHECK_EQ(s.n, 300);
    for (int i = 0; i < s.n; i++) CHECK_EQ(s.order[i], i);
    peri_loop_free(s.loop);
}

TEST(a_timer_armed_again_fires_once_at_the_later_time) {
    struct seen s = { .n = 0 };
    struct one id = { &s, 1 };
    CHECK_EQ(peri_loop_new(&s.loop), PERI_OK);
    peri_loop_use_fake_time(s.loop);
    peri_timer_init(&s.timers[0], s.loop, note, &id);
    peri_timer_start(&s.timers[0], 10);
    peri_loop_advance(s.loop, 9);
    peri_timer_start(&s.timers[0], 10);
    peri_loop_advance(s.loop, 9);
    CHECK_EQ(s.n, 0);
    peri_loop_advance(s.loop, 1);
    CHECK_EQ(s.n, 1);
    CHECK(!peri_timer_is_armed(&s.timers[0]));
    peri_loop_free(s.loop);
}

TEST(a_stopped_timer_does_not_fire_and_others_keep_their_order) {
    struct seen s = { .n = 0 };
    struct one ids[40];
    CHECK_EQ(peri_loop_new(&s.loop), PERI_OK);
    peri_loop_use_fake_time(s.loop);
    for (int i = 0; i < 40; i++) {
        ids[i] = (struct one){ &s, i };
        peri_timer_init(&s.timers[i], s.loop, note, &ids[i]);
        peri_timer_start(&s.timers[i], (uint64_t)(i * 7 % 40));
    }
    for (int i = 0; i < 40; i += 2) peri_timer_stop(&s.timers[i]);
    peri_loop_advance(s.loop, 100);
    CHECK_EQ(s.n, 20);
    for (int i = 1; i < s.n; i++) CHECK(s.order[i - 1] * 7 % 40 < s.order[i] * 7 % 40);
    peri_loop_free(s.loop);
}

static void stop(void *arg) { peri_loop_stop(arg); }

static void *post_from_elsewhere(void *arg) {
    struct peri_loop *loop = arg;
    CHECK_EQ(peri_loop_post(loop, stop, loop), PERI_OK);
    return NULL;
}

TEST(a_message_of_the_callers_needs_no_memory_and_keeps_its_place) {
    struct seen s = { .n = 0 };
    struct one ids[3] = { { &s, 0 }, { &s, 1 }, { &s, 2 } };
    struct peri_message handed, never;
    CHECK_EQ(peri_loop_new(&s.loop), PERI_OK);
    CHECK_EQ(peri_loop_post(s.loop, note, &ids[0]), PERI_OK);
    test_fail_from = 0;
    CHECK_EQ(peri_loop_post(s.loop, note, &ids[2]), PERI_ENOMEM);
    peri_loop_hand(s.loop, &handed, note, &ids[1]);
    test_fail_from = -1;
    CHECK_EQ(peri_loop_post(s.loop, note, &ids[2]), PERI_OK);
    peri_loop_step(s.loop, false);
    CHECK_EQ(s.n, 3);
    for (int i = 0; i < s.n; i++) CHECK_EQ(s.order[i], i);
    peri_loop_hand(s.loop, &never, note, &ids[0]); /* a loop that goes leaves it alone */
    peri_loop_free(s.loop);
    CHECK_EQ(s.n, 3);
}

TEST(a_message_from_another_thread_wakes_the_loop) {
    struct peri_loop *loop;
    pthread_t thread;
    CHECK_EQ(peri_loop_new(&loop), PERI_OK);
    pthread_create(&thread, NULL, post_from_elsewhere, loop);
    peri_loop_run(loop);
    pthread_join(thread, NULL);
    peri_loop_free(loop);
}

TEST(a_real_timer_ends_a_real_wait) {
    struct peri_loop *loop;
    struct peri_timer t;
    CHECK_EQ(peri_loop_new(&loop), PERI_OK);
    peri_timer_init(&t, loop, stop, loop);
    peri_timer_start(&t, 2);
    peri_loop_run(loop);
    peri_loop_free(loop);
}

struct chain {
    struct peri_loop *loop;
    struct peri_timer timer;
    int left;
    bool is_posted;
};

static void on_posted(void *arg) {
    struct chain *c = arg;
    c->is_posted = true;
}

static void on_link(void *arg) {
    struct chain *c = arg;
    if (--c->left > 0)
        peri_timer_start(&c->timer, 0);
    else
        CHECK_EQ(peri_loop_post(c->loop, on_posted, c), PERI_OK);
}

TEST(settling_runs_whatever_becomes_ready_and_no_time_passes) {
    struct chain c = { .left = 20 };
    CHECK_EQ(peri_loop_new(&c.loop), PERI_OK);
    peri_loop_use_fake_time(c.loop);
    uint64_t before = peri_loop_now_ms(c.loop);
    CHECK_EQ(peri_loop_next_ms(c.loop), UINT64_MAX);
    peri_timer_init(&c.timer, c.loop, on_link, &c);
    peri_timer_start(&c.timer, 0);
    peri_loop_settle(c.loop);
    CHECK_EQ(c.left, 0);
    CHECK(c.is_posted);
    CHECK_EQ(peri_loop_now_ms(c.loop), before);
    c.left = 2;
    peri_timer_start(&c.timer, 30);
    peri_loop_settle(c.loop);
    CHECK_EQ(c.left, 2);
    CHECK_EQ(peri_loop_next_ms(c.loop), 30);
    peri_loop_advance(c.loop, 30);
    CHECK_EQ(c.left, 0);
    peri_loop_free(c.loop);
}
