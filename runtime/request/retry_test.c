#include "request/retry.h"

#include "request/request_rig.h"

/* A request on the built-in route, and what its end said. Provider b is held at first. */
struct bed {
    struct rig rig;
    struct client client;
    enum peri_err err;
    uint64_t overhead_us;
};

static void note_done(void *self, struct peri_request *r, const struct peri_outcome *o) {
    struct bed *b = self;
    (void)r;
    b->err = o->err;
    b->overhead_us = o->overhead_us;
}

static const struct peri_policy_ops watching = { .done = note_done };

static void hold_b(struct bed *b, bool is_held) {
    const struct peri_provider *p = peri_fleet_provider(b->rig.env.fleet, PERI_STR("b"));
    peri_breaker_hold(&p->vitals->breaker, is_held);
}

/* `retry`: members of `route.retry`; `a`: more of provider a, each with a comma in front. */
static void bed_open(struct bed *b, const char *retry, const char *a) {
    char settings[512];
    snprintf(settings, sizeof settings,
             ",\"timeouts\":{\"first_byte\":\"30s\"},"
             "\"route\":{\"failures\":100,\"failure_percent\":0,\"rate_limit_cooldown\":\"100ms\","
             "\"max_attempts\":20,"
             "\"retry\":{%s}}",
             retry);
    rig_open(&b->rig, settings, a, &watching);
    b->rig.policy.self = b;
    b->client = client_of(&b->rig, ASK_STREAM);
    hold_b(b, true);
}

static bool is_waiting(const struct bed *b) {
    return b->client.request != NULL && b->client.request->is_retrying;
}

/* The request has ended, or waits to be tried again. */
static void until_settled(struct bed *b) {
    RIG_UNTIL(&b->rig, client_is_over(&b->client) || is_waiting(b));
}

static void bed_close(struct bed *b) {
    client_close(&b->client);
    rig_close(&b->rig);
}

static void reset(struct line *l, int request) {
    (void)request;
    line_reset(l);
}

/* Provider a answers with the script once: is it asked again? Its next answer is good. */
TEST(retry_is_for_what_a_moment_brought) {
    static const struct {
        const char *script, *retry;
        bool is_again;
    } cases[] = {
        { NULL, "", true }, /* a reset */
        { "", "", true },
        { "no HTTP\r\n\r\n", "", true },
        { SSE ROLE, "", true },
        { SSE "data: {oops\n\n", "", true },
        { JSON "{\"error\":{\"message\":\"x\",\"type\":\"server_error\"}}", "", true },
        { JSON "{\"error\":{\"message\":\"x\"}}", "", true },
        { REFUSAL("408 No"), "", true },
        { REFUSAL("409 No"), "", true },
        { REFUSAL("425 No"), "", true },
        { REFUSAL("429 No"), "", true },
        { REFUSAL("500 No"), "", true },
        { REFUSAL("529 No"), "", true },
        { REFUSAL("407 No"), "", false },
        { REFUSAL("400 No"), "", false },
        { REFUSAL("401 No"), "", false },
        { REFUSAL("404 No"), "", false },
        { REFUSAL("503 No"), ",\"retry\":{\"statuses\":[500,503]}", true },
        { REFUSAL("502 No"), ",\"retry\":{\"statuses\":[500,503]}", false },
        { REFUSAL("500 No"), ",\"retry\":{\"statuses\":[]}", false },
        { SSE ROLE, ",\"retry\":{\"statuses\":[500,503]}", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bed b;
        bed_open(&b, "\"attempts\":1,\"backoff\":\"100ms\",\"jitter\":0", cases[i].retry);
        b.rig.a.script = cases[i].script;
        if (cases[i].script == NULL) b.rig.a.answer = reset;
        client_ask(&b.client);
        until_settled(&b);
        CHECK_EQ(is_waiting(&b), cases[i].is_again);
        if (is_waiting(&b) != cases[i].is_again) fprintf(stderr, "case %zu\n", i);
        CHECK_EQ(b.rig.a.requests, 1);
        b.rig.a.answer = say_script;
        b.rig.a.script = SSE WORD STOP DONE;
        if (is_waiting(&b)) rig_pass(&b.rig, 100);
        RIG_UNTIL(&b.rig, client_is_over(&b.client));
        CHECK_EQ(b.rig.a.requests, 1 + cases[i].is_again);
        CHECK_EQ(client_got(&b.client, DONE), cases[i].is_again);
        CHECK_EQ(b.rig.b.requests, 0);
        bed_close(&b);
    }
}

TEST(retry_is_not_for_a_provider_that_took_its_time) {
    struct bed b;
    bed_open(&b, "\"attempts\":3", "");
    b.rig.a.answer = say_nothing;
    client_ask(&b.client);
    RIG_UNTIL(&b.rig, b.rig.a.requests == 1);
    rig_pass(&b.rig, 30000);
    until_settled(&b);
    CHECK(!is_waiting(&b));
    CHECK_EQ(b.client.status, 504);
    bed_close(&b);
}

TEST(retry_waits_twice_as_long_each_time_and_ends_after_its_attempts) {
    static const uint64_t waits_ms[] = { 100, 200, 400 };
    struct bed b;
    bed_open(&b, "\"attempts\":3,\"backoff\":\"100ms\",\"jitter\":0", "");
    b.rig.a.script = REFUSAL("500 No");
    client_ask(&b.client);
    for (int i = 0; i < 3; i++) {
        until_settled(&b);
        CHECK_EQ(b.rig.a.requests, i + 1);
        rig_pass(&b.rig, waits_ms[i] - 1);
        CHECK(is_waiting(&b));
        rig_pass(&b.rig, 1);
        CHECK(!is_waiting(&b));
    }
    until_settled(&b);
    CHECK(!is_waiting(&b));
    CHECK_EQ(b.rig.a.requests, 4);
    CHECK_EQ(b.err, PERI_EUPSTREAM);
    CHECK(b.overhead_us < 100000); /* the waits are no work of the router's */
    bed_close(&b);
}

TEST(retry_draws_a_part_of_its_wait) {
    enum { ROUNDS = 20 };
    struct bed b;
    int early = 0;
    bed_open(&b, "\"attempts\":1,\"backoff\":\"100ms\",\"jitter\":50", "");
    b.rig.a.script = REFUSAL("500 No");
    for (int i = 0; i < ROUNDS; i++) {
        struct client c = client_of(&b.rig, ASK_STREAM);
        client_ask(&c);
        RIG_UNTIL(&b.rig, c.request->is_retrying);
        rig_pass(&b.rig, 49);
        CHECK(c.request->is_retrying);
        rig_pass(&b.rig, 26);
        early += !c.request->is_retrying;
        rig_pass(&b.rig, 25);
        CHECK(c.request == NULL || !c.request->is_retrying);
        RIG_UNTIL(&b.rig, client_is_over(&c));
        client_close(&c);
    }
    CHECK(early > 0 && early < ROUNDS);
    peri_buf_done(&b.client.got);
    rig_close(&b.rig);
}

#define LATER(ms)                                                                                  \
    "HTTP/1.1 429 No\r\nRetry-After-Ms: " ms "\r\nContent-Length: 2\r\n"                           \
    "Connection: close\r\n\r\n{}"

TEST(retry_waits_as_long_as_it_is_told_up_to_its_limit) {
    for (int is_longer = 0; is_longer < 2; is_longer++) {
        struct bed b;
        bed_open(&b, "\"backoff\":\"10ms\",\"jitter\":0,\"wait\":\"300ms\"", "");
        b.rig.a.script = is_longer ? LATER("301") : LATER("300");
        client_ask(&b.client);
        until_settled(&b);
        CHECK_EQ(is_waiting(&b), !is_longer);
        b.rig.a.script = SSE WORD STOP DONE;
        if (is_waiting(&b)) {
            rig_pass(&b.rig, 299);
            CHECK(is_waiting(&b));
            rig_pass(&b.rig, 1);
            RIG_UNTIL(&b.rig, client_is_over(&b.client));
        }
        CHECK_EQ(client_got(&b.client, DONE), !is_longer);
        CHECK_EQ(b.rig.a.requests, 2 - is_longer);
        bed_close(&b);
    }
}

TEST(retry_asks_the_provider_that_is_back_first) {
    for (int way = 0; way < 2; way++) {
        struct bed b;
        bed_open(&b, "\"backoff\":\"10ms\",\"jitter\":0", "");
        hold_b(&b, false);
        b.rig.a.script = way == 0 ? LATER("500") : LATER("200");
        b.rig.b.script = way == 0 ? LATER("200") : LATER("500");
        client_ask(&b.client);
        until_settled(&b);
        CHECK_EQ(b.rig.a.requests + b.rig.b.requests, 2);
        b.rig.a.script = b.rig.b.script = SSE WORD STOP DONE;
        rig_pass(&b.rig, 199);
        CHECK(is_waiting(&b));
        rig_pass(&b.rig, 1);
        RIG_UNTIL(&b.rig, client_is_over(&b.client));
        CHECK_EQ(b.rig.a.requests, 1 + way);
        CHECK_EQ(b.rig.b.requests, 2 - way);
        bed_close(&b);
    }
}

TEST(retry_counts_the_attempts_at_each_provider) {
    struct bed b;
    bed_open(&b, "\"attempts\":1,\"backoff\":\"10ms\",\"jitter\":0", "");
    hold_b(&b, false);
    b.rig.a.script = b.rig.b.script = REFUSAL("500 No");
    client_ask(&b.client);
    for (until_settled(&b); is_waiting(&b); until_settled(&b)) rig_pass(&b.rig, 10);
    CHECK_EQ(b.rig.a.requests, 2);
    CHECK_EQ(b.rig.b.requests, 2);
    bed_close(&b);
}

TEST(retry_of_a_client_that_leaves_is_over) {
    struct bed b;
    bed_open(&b, "\"backoff\":\"100ms\"", "");
    b.rig.a.script = REFUSAL("500 No");
    client_ask(&b.client);
    until_settled(&b);
    CHECK(is_waiting(&b));
    peri_request_abandon(b.client.request, PERI_ECANCELED);
    CHECK_EQ(b.client.aborts, 1);
    rig_pass(&b.rig, 1000);
    CHECK_EQ(b.rig.a.requests, 1);
    CHECK_EQ(b.err, PERI_ECANCELED);
    bed_close(&b);
}
