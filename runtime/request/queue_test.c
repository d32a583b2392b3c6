#include "request/request_rig.h"

/* One slot in all: the second provider is left out, so that requests wait for the first. */
#define ONE_SLOT ",\"max_concurrent\":1,\"models\":[\"m\"]"

struct bed {
    struct rig rig;
    struct client clients[4];
};

static void bed_open(struct bed *b, const char *settings) {
    rig_open(&b->rig, settings, ONE_SLOT, NULL);
    b->rig.env.fleet->any = (struct peri_candidates){ 0 };
    struct peri_candidates *m = peri_map_get(&b->rig.env.fleet->by_model, PERI_STR("m"));
    m->count = 1; /* a alone: b takes every model */
    b->rig.a.answer = say_nothing;
    for (int i = 0; i < 4; i++) b->clients[i] = client_of(&b->rig, ASK_STREAM);
}

static void ask(struct bed *b, int count) {
    for (int i = 0; i < count; i++) client_ask(&b->clients[i]);
}

/* The provider answers the one that it was asked last. */
static void answer(struct bed *b, int requests) {
    RIG_UNTIL(&b->rig, b->rig.a.requests == requests);
    line_send(b->rig.a.last, SSE WORD STOP DONE);
    line_close_after_writing(b->rig.a.last);
}

static void bed_close(struct bed *b, int count) {
    for (int i = 0; i < count; i++) client_close(&b->clients[i]);
    rig_close(&b->rig);
}

TEST(queue_serves_those_that_wait_in_their_order) {
    struct bed b;
    bed_open(&b, ",\"queue\":{\"max\":8,\"wait\":\"60s\"}");
    ask(&b, 3);
    CHECK_EQ(b.rig.env.queued, 2);
    CHECK_EQ(atomic_load(&b.rig.waiting), 2);
    for (int i = 0; i < 3; i++) {
        answer(&b, i + 1);
        RIG_UNTIL(&b.rig, client_is_over(&b.clients[i]));
        for (int k = 0; k < 3; k++) CHECK_EQ(client_is_over(&b.clients[k]), k <= i);
        CHECK(client_got(&b.clients[i], DONE));
        rig_step(&b.rig);
        CHECK_EQ(b.rig.env.queued, i == 0 ? 1 : 0);
    }
    bed_close(&b, 3);
}

TEST(queue_lets_a_request_wait_its_time_and_no_longer) {
    struct bed b;
    bed_open(&b, ",\"queue\":{\"max\":8,\"wait\":\"2s\"}");
    ask(&b, 2);
    rig_pass(&b.rig, 1000);
    client_ask(&b.clients[2]);
    rig_pass(&b.rig, 999);
    CHECK(!client_is_over(&b.clients[1]));
    rig_pass(&b.rig, 1);
    CHECK_EQ(b.clients[1].status, 503);
    CHECK(client_got(&b.clients[1], "capacity_exceeded"));
    CHECK(client_has(&b.clients[1], "retry-after: 1\n"));
    CHECK(!client_is_over(&b.clients[2]));
    CHECK_EQ(b.rig.env.queued, 1);
    rig_pass(&b.rig, 1000);
    CHECK_EQ(b.clients[2].status, 503);
    answer(&b, 1);
    RIG_UNTIL(&b.rig, client_is_over(&b.clients[0]));
    CHECK(client_got(&b.clients[0], DONE));
    bed_close(&b, 3);
}

TEST(queue_has_room_for_so_many_and_none_while_the_worker_drains) {
    struct bed b;
    bed_open(&b, ",\"queue\":{\"max\":1,\"wait\":\"60s\"}");
    ask(&b, 3);
    CHECK_EQ(b.rig.env.queued, 1);
    CHECK_EQ(b.clients[2].status, 503);
    CHECK(client_got(&b.clients[2], "capacity_exceeded"));
    peri_request_abandon(b.clients[1].request, PERI_ECANCELED);
    CHECK_EQ(b.rig.env.queued, 0);
    b.rig.env.is_draining = true;
    client_ask(&b.clients[3]);
    CHECK_EQ(b.clients[3].status, 503);
    answer(&b, 1);
    RIG_UNTIL(&b.rig, client_is_over(&b.clients[0]));
    bed_close(&b, 4);
}

/* Waking is a hint: a slot that somebody else took leaves the others where they were. */
TEST(queue_keeps_place_and_time_of_what_finds_no_slot) {
    struct bed b;
    bed_open(&b, ",\"queue\":{\"max\":8,\"wait\":\"2s\"}");
    ask(&b, 3);
    rig_pass(&b.rig, 1500);
    peri_queue_wake(&b.rig.env);
    CHECK_EQ(b.rig.env.queued, 2);
    rig_pass(&b.rig, 500);
    CHECK_EQ(b.rig.env.queued, 0);
    CHECK_EQ(b.clients[1].status, 503);
    CHECK_EQ(b.clients[2].status, 503);
    answer(&b, 1);
    RIG_UNTIL(&b.rig, client_is_over(&b.clients[0]));
    bed_close(&b, 3);
}

TEST(queue_gives_up_its_request_at_the_deadline) {
    struct bed b;
    bed_open(&b, ",\"queue\":{\"max\":8,\"wait\":\"60s\"},\"timeouts\":{\"total\":\"3s\"}");
    ask(&b, 2);
    RIG_UNTIL(&b.rig, b.rig.a.requests == 1);
    rig_pass(&b.rig, 3000);
    CHECK_EQ(b.rig.env.queued, 0);
    CHECK(client_got(&b.clients[0], "within the request's 3000 ms: provider 'a' was being asked"));
    CHECK(client_got(&b.clients[1], "no answer within the request's 3000 ms\""));
    CHECK_EQ(b.clients[1].status, 504);
    bed_close(&b, 2);
}
