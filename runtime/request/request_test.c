#include "request/request_rig.h"

#define RECORDS 4

/* What `done` and `forget` saw. */
struct ended {
    int dones, forgets, tried;
    enum peri_err err, errs[RECORDS];
    int status;
    bool served[RECORDS];
    char provider[16], providers[RECORDS][16];
};

struct bed {
    struct rig rig;
    struct client client;
    struct ended ended;
};

static void note(char to[16], struct peri_str s) { snprintf(to, 16, "%.*s", PERI_STR_ARGS(s)); }

static void note_done(void *self, struct peri_request *r, const struct peri_outcome *o) {
    struct ended *e = self;
    (void)r;
    e->dones++;
    e->err = o->err;
    e->status = o->status;
    e->tried = (int)o->tried_count;
    note(e->provider, o->provider);
    CHECK_EQ(o->attempts, o->tried_count);
    for (size_t i = 0; i < o->tried_count && i < RECORDS; i++) {
        e->errs[i] = o->tried[i]->err;
        e->served[i] = o->tried[i]->is_served;
        note(e->providers[i], o->tried[i]->provider);
    }
}

static void decide_default(void *self, struct peri_request *r) {
    (void)self;
    peri_request_default(r);
}

static void note_forget(void *self, struct peri_request *r) {
    struct ended *e = self;
    (void)r;
    CHECK_EQ(e->dones, e->forgets + 1); /* after `done` */
    e->forgets++;
}

static const struct peri_policy_ops watching = { .decide = decide_default,
                                                 .done = note_done,
                                                 .forget = note_forget };

static void bed_open(struct bed *b, const char *settings, const char *body) {
    rig_open(&b->rig, settings, "", &watching);
    b->ended = (struct ended){ 0 };
    b->rig.policy.self = &b->ended;
    b->client = client_of(&b->rig, body);
}

static void until_over(struct bed *b) { RIG_UNTIL(&b->rig, client_is_over(&b->client)); }

/* Every end is heard of once. */
static void bed_close(struct bed *b) {
    client_close(&b->client);
    CHECK_EQ(b->ended.dones, 1);
    CHECK_EQ(b->ended.forgets, 1);
    rig_close(&b->rig);
}

TEST(request_is_answered_whole_and_recorded) {
    struct bed b;
    bed_open(&b, "", ASK_WHOLE);
    b.rig.a.script = JSON COMPLETION;
    client_ask(&b.client);
    until_over(&b);
    CHECK_EQ(b.client.status, 200);
    CHECK_STR(peri_buf_str(&b.client.got), COMPLETION);
    CHECK_EQ(b.client.heads, 1);
    CHECK(b.client.flushes > 0);
    CHECK_EQ(b.ended.err, PERI_OK);
    CHECK_EQ(b.ended.tried, 1);
    CHECK_EQ(b.ended.errs[0], PERI_OK);
    CHECK(b.ended.served[0]);
    bed_close(&b);
}

TEST(request_fails_over_and_names_who_served) {
    struct bed b;
    bed_open(&b, "", ASK_STREAM);
    b.rig.a.script = REFUSAL("500 Oh");
    client_ask(&b.client);
    until_over(&b);
    CHECK_STR(peri_buf_str(&b.client.got), ROLE WORD STOP DONE);
    CHECK(client_has(&b.client, "x-perilune-provider: b\n"));
    CHECK_STR(peri_str_of(b.ended.provider), "b");
    CHECK_EQ(b.ended.tried, 2);
    CHECK_EQ(b.ended.errs[0], PERI_EUPSTREAM);
    CHECK(!b.ended.served[0]);
    CHECK_EQ(b.ended.errs[1], PERI_OK);
    CHECK(b.ended.served[1]);
    bed_close(&b);
}

TEST(request_that_nobody_answers_says_what_the_last_one_said) {
    struct bed b;
    bed_open(&b, ",\"route\":{\"retry\":{\"attempts\":0}}", ASK_WHOLE);
    b.rig.a.script = REFUSAL("500 Oh");
    b.rig.b.script = REFUSAL("503 Later");
    client_ask(&b.client);
    until_over(&b);
    CHECK_EQ(b.client.status, 502);
    CHECK(client_got(&b.client, "provider 'b'"));
    CHECK_STR(peri_str_of(b.ended.provider), "b");
    CHECK_EQ(b.ended.tried, 2);
    bed_close(&b);
}

/* In each of its phases: waiting for a head, holding frames, serving, and paused. */
TEST(request_whose_client_leaves_ends_at_once_in_every_phase) {
    for (int phase = 0; phase < 4; phase++) {
        struct bed b;
        bed_open(&b, "", ASK_STREAM);
        b.rig.a.script = REFUSAL("500 Oh");
        b.rig.b.answer = say_nothing;
        if (phase == 3) b.client.full_at = 1;
        client_ask(&b.client);
        RIG_UNTIL(&b.rig, b.rig.b.requests == 1);
        if (phase > 0) line_send(b.rig.b.last, SSE ROLE);
        if (phase > 1) line_send(b.rig.b.last, WORD);
        TURNS(b.rig.outside, 5);
        for (int i = 0; i < 20; i++) rig_step(&b.rig);
        CHECK_EQ(b.client.heads, phase > 1);
        peri_request_abandon(b.client.request, PERI_ECANCELED);
        CHECK_EQ(b.client.aborts, 1);
        CHECK_EQ(rig_in_flight(&b.rig, "b"), 0);
        RIG_UNTIL(&b.rig, b.rig.b.gone == 1); /* the provider sees it */
        CHECK_EQ(b.ended.status, 499);
        CHECK_EQ(b.ended.err, PERI_ECANCELED);
        CHECK_STR(peri_str_of(b.ended.provider), "b");
        CHECK_EQ(b.ended.tried, 2);
        CHECK_EQ(b.ended.errs[1], PERI_ECANCELED);
        CHECK_EQ(b.ended.served[1], phase > 1);
        bed_close(&b);
    }
}

TEST(request_ends_at_its_deadline_and_names_who_was_asked) {
    for (int is_served = 0; is_served < 2; is_served++) {
        struct bed b;
        bed_open(&b, ",\"timeouts\":{\"total\":\"5s\",\"idle\":\"1h\",\"first_token\":\"1h\"}",
                 ASK_STREAM);
        b.rig.a.answer = say_nothing;
        client_ask(&b.client);
        RIG_UNTIL(&b.rig, b.rig.a.requests == 1);
        if (is_served) {
            line_send(b.rig.a.last, SSE WORD);
            RIG_UNTIL(&b.rig, b.client.heads == 1);
        }
        rig_pass(&b.rig, 4999);
        CHECK(!client_is_over(&b.client));
        rig_pass(&b.rig, 1);
        CHECK_EQ(b.client.ends, 1);
        CHECK_EQ(b.client.status, is_served ? 200 : 504);
        CHECK(client_got(&b.client, is_served ? "5000 ms: provider 'a' was answering"
                                              : "5000 ms: provider 'a' was being asked"));
        CHECK(!client_got(&b.client, "[DONE]"));
        CHECK(client_has(&b.client, "x-perilune-provider: a\n"));
        CHECK_EQ(b.ended.err, PERI_EDEADLINE);
        CHECK_EQ(b.ended.errs[0], PERI_EDEADLINE);
        CHECK_STR(peri_str_of(b.ended.provider), "a");
        bed_close(&b);
    }
}

TEST(request_is_told_that_the_router_stops) {
    struct bed b;
    bed_open(&b, "", ASK_WHOLE);
    b.rig.a.answer = say_nothing;
    client_ask(&b.client);
    RIG_UNTIL(&b.rig, b.rig.a.requests == 1);
    peri_request_stop(b.client.request);
    CHECK_EQ(b.client.status, 503);
    CHECK(client_got(&b.client, "shutting_down"));
    CHECK_EQ(b.ended.err, PERI_ESTOPPING);
    CHECK_EQ(b.ended.errs[0], PERI_ESTOPPING);
    bed_close(&b);
}

/* What keeps a client from giving up fixes the status, not the answer: failing over goes on, and an error is an event. */
TEST(request_kept_alive_still_fails_over_and_fails_in_its_stream) {
    for (int is_answered = 0; is_answered < 2; is_answered++) {
        struct bed b;
        bed_open(&b, ",\"keepalive\":\"1s\",\"route\":{\"retry\":{\"attempts\":0}}", ASK_STREAM);
        b.rig.a.answer = say_nothing;
        if (!is_answered) b.rig.b.script = REFUSAL("500 Oh");
        client_ask(&b.client);
        RIG_UNTIL(&b.rig, b.rig.a.requests == 1);
        rig_pass(&b.rig, 1000);
        CHECK_STR(peri_buf_str(&b.client.got), ": keepalive\n\n");
        line_close(b.rig.a.last);
        until_over(&b);
        CHECK_EQ(b.client.heads, 1);
        CHECK_EQ(b.client.status, 200);
        CHECK_EQ(client_got(&b.client, DONE), is_answered);
        CHECK_EQ(client_got(&b.client, "data: {\"error\":"), !is_answered);
        bed_close(&b);
    }
}

/* A reply of a policy's own in each form that the head leaves open. */
static void reply_late(void *arg) {
    struct rig *r = arg;
    peri_request_reply(r->deciding, 200, PERI_STR(COMPLETION));
}

static void wait_for_the_test(void *self, struct peri_request *r) {
    struct rig *rig = self;
    rig->deciding = r;
}

TEST(request_kept_alive_is_replied_to_as_a_stream) {
    static const struct peri_policy_ops ops = { .decide = wait_for_the_test };
    struct rig r;
    rig_open(&r, ",\"keepalive\":\"1s\"", "", &ops);
    struct client c = client_of(&r, ASK_STREAM);
    client_ask(&c);
    rig_pass(&r, 1000);
    CHECK_EQ(c.heads, 1);
    reply_late(&r);
    CHECK_EQ(c.ends, 1);
    CHECK(client_got(&c, "\"delta\":{\"role\":\"assistant\",\"content\":\"hi\"}"));
    CHECK(client_got(&c, DONE));
    client_close(&c);
    rig_close(&r);
}

TEST(request_of_a_policy_without_decide_goes_the_built_in_way) {
    static const struct peri_policy_ops none = { .decide = NULL };
    struct rig r;
    rig_open(&r, "", "", &none);
    struct client c = client_of(&r, ASK_STREAM);
    client_ask(&c);
    RIG_UNTIL(&r, client_is_over(&c));
    CHECK(client_got(&c, DONE));
    client_close(&c);
    rig_close(&r);
}

/* Requests that are alive when their environment goes are abandoned with it. */
TEST(requests_end_with_their_environment) {
    struct rig r;
    rig_open(&r, "", "", NULL);
    r.a.answer = say_nothing;
    struct client c = client_of(&r, ASK_STREAM);
    client_ask(&c);
    RIG_UNTIL(&r, r.a.requests == 1);
    CHECK_EQ(r.env.request_count, 1);
    rig_done(&r);
    CHECK_EQ(c.aborts, 1);
    CHECK_EQ(c.releases, 1);
    peri_buf_done(&c.got);
}

/* A quarter of the memory, and 128 KiB at most, is kept from hooks for the attempts. */
TEST(request_has_less_room_for_hooks_than_for_itself) {
    static const struct {
        size_t memory, kept;
    } cases[] = { { 64 << 10, 16 << 10 }, { 512 << 10, 128 << 10 }, { 8 << 20, 128 << 10 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_config config = { .request_memory = cases[i].memory };
        struct peri_request r = { .config = &config, .arena.used = 1000 };
        size_t room = cases[i].memory - 1000, most = room - cases[i].kept;
        CHECK(peri_request_has_room(&r, room));
        CHECK(!peri_request_has_room(&r, room + 1));
        CHECK(!peri_request_has_room(&r, SIZE_MAX));
        CHECK(peri_request_may_write(&r, most));
        CHECK(!peri_request_may_write(&r, most + 1));
        CHECK(!peri_request_may_write(&r, SIZE_MAX));
        CHECK(!peri_request_may_write(&r, SIZE_MAX - cases[i].kept + 1));
        r.arena.used = cases[i].memory - cases[i].kept;
        CHECK(peri_request_may_write(&r, 0));
        CHECK(!peri_request_may_write(&r, 1));
    }
}
