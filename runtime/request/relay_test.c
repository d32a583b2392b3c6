#include "request/request_rig.h"

/* A request that has a relay and nothing else. */
struct bare_request {
    struct rig rig;
    struct client client;
    struct peri_request request;
};

static void bare_request_open(struct bare_request *b, const char *settings) {
    rig_open(&b->rig, settings, "", NULL);
    b->client = client_of(&b->rig, "");
    b->request = (struct peri_request){ .env = &b->rig.env,
                                        .config = b->rig.env.config,
                                        .fleet = b->rig.env.fleet,
                                        .dialect = &peri_dialect_chat,
                                        .is_stream = true };
    peri_arena_init(&b->request.arena, 0);
    peri_relay_init(&b->request, (struct peri_sink){ &client_ops, &b->client });
}

static void bare_request_close(struct bare_request *b) {
    peri_timer_stop(&b->request.relay.keepalive);
    peri_arena_done(&b->request.arena);
    peri_buf_done(&b->client.got);
    rig_close(&b->rig);
}

static void start(struct bare_request *b) {
    peri_relay_start(&b->request, 200, NULL, 0, PERI_LENGTH_UNKNOWN);
}
static void put(struct bare_request *b, const char *text) {
    peri_relay_put(&b->request, peri_str_of(text));
}

TEST(relay_is_held_until_its_head_and_sends_that_once) {
    struct bare_request b;
    bare_request_open(&b, "");
    put(&b, "too early");
    peri_relay_tell(&b.request, PERI_STR("too early, too"));
    CHECK_EQ(b.request.relay.state, PERI_RELAY_HELD);
    CHECK_EQ(b.client.heads, 0);
    start(&b);
    start(&b);
    CHECK_EQ(b.client.heads, 1);
    CHECK_EQ(b.request.relay.state, PERI_RELAY_OPEN);
    put(&b, "one ");
    put(&b, "");
    put(&b, "two");
    CHECK_STR(peri_buf_str(&b.client.got), "one two");
    CHECK_EQ(b.request.outcome.body_bytes, 7);
    peri_relay_close(&b.request);
    CHECK_EQ(b.client.ends, 1);
    peri_relay_cut(&b.request, false);
    CHECK_EQ(b.client.aborts, 0);
    bare_request_close(&b);
}

TEST(relay_takes_some_more_than_full_and_is_open_when_drained) {
    struct bare_request b;
    bare_request_open(&b, "");
    start(&b);
    CHECK(!peri_relay_drained(&b.request));
    b.client.gives = PERI_EFULL;
    put(&b, ""); /* nothing is not asked for room */
    b.client.gives = PERI_OK;
    b.client.full_at = 1;
    CHECK_EQ(b.request.relay.state, PERI_RELAY_OPEN);
    put(&b, "x");
    CHECK_EQ(b.request.relay.state, PERI_RELAY_FULL);
    put(&b, "yz");
    CHECK_EQ(b.request.relay.state, PERI_RELAY_FULL);
    CHECK_EQ(b.request.relay.overlooked, 2);
    CHECK_STR(peri_buf_str(&b.client.got), "xyz");
    b.client.full_at = 0;
    CHECK(peri_relay_drained(&b.request));
    CHECK(!peri_relay_drained(&b.request));
    put(&b, "!");
    CHECK_EQ(b.request.relay.state, PERI_RELAY_OPEN);
    CHECK_EQ(b.request.relay.overlooked, 0);
    bare_request_close(&b);
}

/* What is lost may be in the middle: nothing that follows it may reach the client but an error. */
TEST(relay_that_lost_bytes_sends_nothing_more_but_an_error) {
    for (int way = 0; way < 2; way++) {
        struct bare_request b;
        static char block[700 << 10];
        memset(block, 'x', sizeof block);
        bare_request_open(&b, "");
        start(&b);
        if (way == 0) { /* more on top of a full queue than it is given */
            b.client.full_at = 1;
            put(&b, "x");
            peri_relay_put(&b.request, (struct peri_str){ block, sizeof block });
            CHECK_EQ(b.request.relay.state, PERI_RELAY_FULL);
            peri_relay_put(&b.request, (struct peri_str){ block, sizeof block });
        } else { /* the queue itself says so */
            b.client.gives = PERI_ETOOBIG;
            put(&b, "x");
            b.client.gives = PERI_OK;
        }
        CHECK_EQ(b.request.relay.state, PERI_RELAY_LOSSY);
        size_t before = b.client.got.n;
        CHECK(!peri_relay_drained(&b.request));
        put(&b, "after the gap");
        CHECK_EQ(b.client.got.n, before);
        peri_relay_tell(&b.request, PERI_STR("sorry"));
        CHECK_EQ(b.request.relay.state, PERI_RELAY_TOLD);
        CHECK_EQ(b.client.got.n, before + 5);
        peri_relay_close(&b.request);
        CHECK_EQ(b.client.ends, 1);
        bare_request_close(&b);
    }
}

TEST(relay_tells_one_error_as_the_last_thing) {
    struct bare_request b;
    bare_request_open(&b, "");
    start(&b);
    peri_relay_tell(&b.request, PERI_STR("first"));
    peri_relay_tell(&b.request, PERI_STR("second"));
    put(&b, "third");
    CHECK_STR(peri_buf_str(&b.client.got), "first");
    CHECK_EQ(b.request.outcome.body_bytes, 5);
    bare_request_close(&b);
}

TEST(relay_is_torn_where_the_error_finds_no_room) {
    struct bare_request b;
    bare_request_open(&b, "");
    start(&b);
    b.client.gives = PERI_ETOOBIG;
    peri_relay_tell(&b.request, PERI_STR("sorry"));
    CHECK_EQ(b.request.relay.state, PERI_RELAY_TORN);
    peri_relay_close(&b.request);
    CHECK_EQ(b.client.ends, 0);
    CHECK_EQ(b.client.aborts, 1);
    bare_request_close(&b);
}

TEST(relay_of_a_client_that_is_gone_leaves_its_sink_alone) {
    struct bare_request b;
    bare_request_open(&b, "");
    start(&b);
    peri_relay_cut(&b.request, true);
    put(&b, "late");
    peri_relay_tell(&b.request, PERI_STR("late"));
    CHECK_EQ(b.client.got.n, 0);
    CHECK_EQ(b.client.aborts + b.client.ends, 0);
    bare_request_close(&b);
    bare_request_open(&b, "");
    peri_relay_cut(&b.request, false);
    peri_relay_cut(&b.request, false);
    CHECK_EQ(b.client.aborts, 1);
    bare_request_close(&b);
}

TEST(relay_keeps_a_quiet_stream_alive_until_it_is_answered) {
    struct bare_request b;
    bare_request_open(&b, ",\"keepalive\":\"100ms\"");
    peri_relay_keep_alive(&b.request);
    peri_loop_advance(b.rig.env.loop, 99);
    CHECK_EQ(b.client.heads, 0);
    peri_loop_advance(b.rig.env.loop, 1);
    CHECK_EQ(b.client.heads, 1);
    CHECK(client_has(&b.client, "content-type: text/event-stream"));
    peri_loop_advance(b.rig.env.loop, 100);
    CHECK_STR(peri_buf_str(&b.client.got), ": keepalive\n\n: keepalive\n\n");
    peri_request_start_stream(&b.request, NULL); /* the answer */
    CHECK_EQ(b.client.heads, 1);
    peri_loop_advance(b.rig.env.loop, 1000);
    CHECK_EQ(b.client.got.n, 26);
    bare_request_close(&b);
}

TEST(relay_keeps_nothing_alive_that_is_no_stream_or_decided) {
    for (int way = 0; way < 2; way++) {
        struct bare_request b;
        bare_request_open(&b, ",\"keepalive\":\"100ms\"");
        b.request.is_stream = way == 1;
        b.request.phase = way == 0 ? PERI_DECIDING : PERI_SERVING;
        peri_relay_keep_alive(&b.request);
        peri_loop_advance(b.rig.env.loop, 1000);
        CHECK_EQ(b.client.heads, 0);
        bare_request_close(&b);
    }
}

/* The head of an answer, its end, or a client that must go: no comment is sent after it. */
TEST(relay_keeps_nothing_alive_that_has_started_or_ended) {
    for (int way = 0; way < 3; way++) {
        struct bare_request b;
        bare_request_open(&b, ",\"keepalive\":\"100ms\"");
        peri_relay_keep_alive(&b.request);
        if (way == 0) start(&b);
        if (way == 1) peri_relay_close(&b.request);
        if (way == 2) peri_relay_cut(&b.request, false);
        peri_loop_advance(b.rig.env.loop, 1000);
        CHECK_EQ(b.client.got.n, 0);
        CHECK_EQ(b.client.heads, way == 0);
        bare_request_close(&b);
    }
}
