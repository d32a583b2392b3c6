#include "request/request_rig.h"

/* A request that waits for the test to decide: attempts are started by hand. */
static void wait_for_the_test(void *self, struct peri_request *r) {
    struct rig *rig = self;
    rig->deciding = r;
}

static const struct peri_policy_ops by_hand = { .decide = wait_for_the_test };

/* What a try led to. */
struct tried {
    int count;
    enum peri_err err;
    struct peri_attempt *attempt;
};

static void note_tried(void *arg, struct peri_attempt *a, enum peri_err err) {
    struct tried *t = arg;
    t->count++;
    t->err = err;
    t->attempt = a;
}

struct bed {
    struct rig rig;
    struct client client;
    struct tried a, b;
    struct peri_attempt *attempt; /* the newest that was started */
};

static void bed_open(struct bed *b, const char *settings, const struct peri_policy_ops *policy,
                     const char *body) {
    rig_open(&b->rig, settings, "", policy);
    b->a = b->b = (struct tried){ 0 };
    b->client = client_of(&b->rig, body);
    b->rig.a.answer = b->rig.b.answer = say_nothing;
    client_ask(&b->client);
    if (b->client.request == NULL || b->rig.deciding == NULL) abort();
}

static enum peri_err try(struct bed *b, const char *id, struct tried *tried) {
    return peri_request_try(&b->attempt, b->rig.deciding, peri_str_of(id), NULL, note_tried, tried);
}

/* Ask a provider, and see it asked. */
static struct peri_attempt *ask(struct bed *b, struct upstream *up, struct tried *tried) {
    const char *id = up == &b->rig.a ? "a" : "b";
    int before = up->requests;
    CHECK_EQ(try(b, id, tried), PERI_OK);
    CHECK_EQ(b->attempt->state, PERI_ATTEMPT_ASKING);
    CHECK_EQ(rig_in_flight(&b->rig, id), 1);
    CHECK_EQ(tried->count, 0);
    RIG_UNTIL(&b->rig, up->requests > before);
    return b->attempt;
}

static void say(struct bed *b, struct upstream *up, const char *text) {
    line_send(up->last, text);
    for (int i = 0; i < 20; i++) rig_step(&b->rig);
}

static void hang_up(struct bed *b, struct upstream *up) {
    line_close(up->last);
    for (int i = 0; i < 20; i++) rig_step(&b->rig);
}

/* What is left undecided is answered by the policy itself. */
static void bed_close(struct bed *b) {
    if (!client_is_over(&b->client)) peri_request_reply(b->rig.deciding, 200, PERI_STR("{}"));
    client_close(&b->client);
    rig_close(&b->rig);
}

TEST(attempt_asks_is_ready_serves_and_is_over) {
    struct bed b;
    bed_open(&b, "", &by_hand, ASK_STREAM);
    struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
    say(&b, &b.rig.a, SSE ROLE);
    CHECK_EQ(a->state, PERI_ATTEMPT_ASKING);
    CHECK_EQ(a->held.n, strlen(ROLE));
    say(&b, &b.rig.a, WORD);
    CHECK_EQ(a->state, PERI_ATTEMPT_READY);
    CHECK_EQ(b.a.count, 1);
    CHECK_EQ(b.a.err, PERI_OK);
    CHECK_EQ(b.client.heads, 0); /* nobody has decided that it is the answer */
    CHECK_EQ(rig_in_flight(&b.rig, "a"), 1);
    peri_request_serve(b.rig.deciding, a);
    CHECK_EQ(a->state, PERI_ATTEMPT_SERVING);
    CHECK_STR(peri_buf_str(&b.client.got), ROLE WORD);
    CHECK(client_has(&b.client, "x-perilune-provider: a\n"));
    say(&b, &b.rig.a, WORD STOP DONE);
    hang_up(&b, &b.rig.a);
    CHECK_EQ(b.client.ends, 1);
    CHECK_STR(peri_buf_str(&b.client.got), ROLE WORD WORD STOP DONE);
    CHECK_EQ(b.a.count, 1);
    CHECK_EQ(rig_in_flight(&b.rig, "a"), 0);
    bed_close(&b);
}

/* Nothing has reached the client, so whatever it was another provider may be asked. */
TEST(attempt_that_fails_before_the_commit_point_is_told_once_and_shows_nothing) {
    static const struct {
        const char *script, *body;
        enum peri_err err;
    } cases[] = {
        { "", ASK_STREAM, PERI_ECLOSED },
        { REFUSAL("500 Oh"), ASK_STREAM, PERI_EUPSTREAM },
        { REFUSAL("429 Slow"), ASK_STREAM, PERI_ERATELIMIT },
        { REFUSAL("400 Bad"), ASK_STREAM, PERI_EREJECTED },
        { "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", ASK_STREAM, PERI_EPROTO },
        { "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", ASK_WHOLE, PERI_EPROTO },
        { SSE ROLE, ASK_WHOLE, PERI_ETRUNCATED },
        { SSE ROLE, ASK_STREAM, PERI_ETRUNCATED },
        { SSE ROLE DONE, ASK_STREAM, PERI_EEMPTY },
        { SSE "data: {nonsense\n\n", ASK_STREAM, PERI_EMALFORMED },
        { SSE "data: {\"error\":{\"message\":\"no\"}}\n\n", ASK_STREAM, PERI_EUPSTREAM },
        { SSE "event: error\ndata: no\n\n", ASK_STREAM, PERI_EUPSTREAM },
        { JSON "{\"error\":{\"message\":\"no\",\"code\":429}}", ASK_WHOLE, PERI_ERATELIMIT },
        { JSON "{}", ASK_WHOLE, PERI_EPROTO },
        { JSON "{\"choices\":", ASK_WHOLE, PERI_EMALFORMED },
        { JSON "{\"choices\":[{}]}", ASK_STREAM, PERI_EEMPTY },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bed b;
        bed_open(&b, "", &by_hand, cases[i].body);
        struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
        line_send(b.rig.a.last, cases[i].script);
        line_close_after_writing(b.rig.a.last);
        if (cases[i].script[0] == '\0') line_close(b.rig.a.last);
        RIG_UNTIL(&b.rig, b.a.count > 0);
        if (b.a.err != cases[i].err) printf("case %zu: %s\n", i, a->detail);
        CHECK_EQ(b.a.err, cases[i].err);
        CHECK_EQ(a->state, PERI_ATTEMPT_OVER);
        CHECK(a->detail[0] != '\0');
        CHECK_EQ(rig_in_flight(&b.rig, "a"), 0);
        CHECK_EQ(b.client.heads, 0);
        CHECK(b.rig.deciding->last == a);
        ask(&b, &b.rig.b, &b.b);
        bool is_stream = strcmp(cases[i].body, ASK_STREAM) == 0;
        say(&b, &b.rig.b, is_stream ? SSE WORD : JSON COMPLETION);
        hang_up(&b, &b.rig.b);
        CHECK_EQ(b.b.err, PERI_OK);
        CHECK_EQ(b.a.count, 1);
        bed_close(&b);
    }
}

TEST(attempt_waits_so_long_for_the_first_token) {
    struct bed b;
    bed_open(&b, ",\"timeouts\":{\"first_token\":\"200ms\"}", &by_hand, ASK_STREAM);
    struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
    say(&b, &b.rig.a, SSE ROLE);
    rig_pass(&b.rig, 199);
    CHECK_EQ(a->state, PERI_ATTEMPT_ASKING);
    rig_pass(&b.rig, 1);
    CHECK_EQ(b.a.err, PERI_ETIMEOUT);
    CHECK_EQ(a->state, PERI_ATTEMPT_OVER);
    CHECK_EQ(rig_in_flight(&b.rig, "a"), 0);
    bed_close(&b);
}

/* Once the client has read some of it, no other provider can answer, and no end may look clean. */
TEST(attempt_that_breaks_off_while_it_serves_ends_in_an_error_and_no_end_frame) {
    static const struct {
        const char *rest, *says;
    } cases[] = {
        { "", "upstream_truncated" },
        { "data: {nonsense\n\n", "upstream_malformed" },
        { "data: {\"error\":{\"message\":\"no\",\"type\":\"t\",\"param\":null,\"code\":\"c\"}}\n\n",
          "\"code\":\"c\"" },
        { "event: error\ndata: {\"message\":\"boom\"}\n\n", "boom" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bed b;
        bed_open(&b, "", &by_hand, ASK_STREAM);
        struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
        say(&b, &b.rig.a, SSE WORD);
        peri_request_serve(b.rig.deciding, a);
        line_send(b.rig.a.last, cases[i].rest);
        hang_up(&b, &b.rig.a);
        CHECK_EQ(b.client.ends, 1);
        CHECK(client_got(&b.client, cases[i].says));
        CHECK(!client_got(&b.client, "[DONE]"));
        size_t errors = 0;
        struct peri_str rest = peri_buf_str(&b.client.got), line;
        while (peri_str_cut(&line, &rest, '\n'))
            errors += peri_str_find(line, PERI_STR("error")) >= 0;
        CHECK_EQ(errors, 1);
        CHECK_EQ(b.a.count, 1);
        bed_close(&b);
    }
}

TEST(attempt_that_stalls_while_it_serves_has_failed) {
    struct bed b;
    bed_open(&b, ",\"timeouts\":{\"idle\":\"300ms\"}", &by_hand, ASK_STREAM);
    struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
    say(&b, &b.rig.a, SSE WORD);
    peri_request_serve(b.rig.deciding, a);
    rig_pass(&b.rig, 299);
    CHECK_EQ(a->state, PERI_ATTEMPT_SERVING);
    say(&b, &b.rig.a, WORD);
    rig_pass(&b.rig, 299);
    CHECK_EQ(a->state, PERI_ATTEMPT_SERVING);
    rig_pass(&b.rig, 10);
    CHECK_EQ(b.client.ends, 1);
    CHECK(client_got(&b.client, "upstream_stalled"));
    bed_close(&b);
}

/* While a policy thinks, what comes is kept and judged when it is served. */
TEST(attempt_that_ends_before_it_is_decided_is_served_as_it_ended) {
    static const struct {
        const char *script;
        bool is_whole;
    } cases[] = { { SSE WORD WORD STOP DONE, true },
                  { SSE WORD WORD STOP, true },
                  { SSE WORD WORD, false },
                  { JSON COMPLETION, true } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bed b;
        bed_open(&b, "", &by_hand, ASK_STREAM);
        struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
        line_send(b.rig.a.last, cases[i].script);
        hang_up(&b, &b.rig.a);
        CHECK_EQ(a->state, PERI_ATTEMPT_READY);
        CHECK_EQ(b.client.heads, 0);
        peri_request_serve(b.rig.deciding, a);
        for (int k = 0; k < 20; k++) rig_step(&b.rig);
        rig_pass(&b.rig, 250); /* for the connection to close behind the end */
        CHECK_EQ(b.client.ends, 1);
        CHECK(client_got(&b.client, "hi"));
        CHECK_EQ(client_got(&b.client, DONE), cases[i].is_whole);
        CHECK_EQ(client_got(&b.client, "upstream_truncated"), !cases[i].is_whole);
        CHECK_EQ(b.a.count, 1);
        bed_close(&b);
    }
}

TEST(attempt_that_is_cancelled_frees_its_slot_and_tells_nobody) {
    for (int is_ready = 0; is_ready < 2; is_ready++) {
        struct bed b;
        bed_open(&b, "", &by_hand, ASK_STREAM);
        struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
        if (is_ready) say(&b, &b.rig.a, SSE WORD);
        int freed = b.rig.freed;
        peri_attempt_cancel(a, PERI_ECANCELED);
        peri_attempt_cancel(a, PERI_ECANCELED);
        CHECK_EQ(b.rig.freed, freed + 1);
        CHECK_EQ(a->state, PERI_ATTEMPT_OVER);
        CHECK_EQ(a->err, PERI_ECANCELED);
        CHECK_EQ(b.a.count, is_ready);
        CHECK_EQ(rig_in_flight(&b.rig, "a"), 0);
        peri_request_serve(b.rig.deciding, a);
        CHECK_EQ(b.client.heads, 0);
        bed_close(&b);
    }
}

/* Two are asked at once: the relay takes the frames of the one that serves, and the other is let go. */
TEST(attempts_may_race_and_the_one_that_serves_is_the_answer) {
    struct bed b;
    bed_open(&b, "", &by_hand, ASK_STREAM);
    struct peri_attempt *first = ask(&b, &b.rig.a, &b.a);
    struct peri_attempt *second = ask(&b, &b.rig.b, &b.b);
    say(&b, &b.rig.a, SSE ROLE);
    say(&b, &b.rig.b, SSE WORD);
    CHECK_EQ(b.a.count, 0);
    CHECK_EQ(b.b.err, PERI_OK);
    peri_request_serve(b.rig.deciding, second);
    CHECK_EQ(first->state, PERI_ATTEMPT_OVER);
    CHECK_EQ(first->err, PERI_ECANCELED);
    CHECK_EQ(rig_in_flight(&b.rig, "a"), 0);
    peri_request_serve(b.rig.deciding, first);
    say(&b, &b.rig.b, STOP DONE);
    hang_up(&b, &b.rig.b);
    CHECK_STR(peri_buf_str(&b.client.got), WORD STOP DONE);
    CHECK(client_has(&b.client, "x-perilune-provider: b\n"));
    CHECK(client_has(&b.client, "x-perilune-attempts: 2\n"));
    CHECK_EQ(b.a.count, 0);
    bed_close(&b);
}

static enum peri_err refuse_all(void *self, struct peri_request *r, struct peri_attempt *a) {
    (void)self, (void)r;
    return peri_attempt_refuse(a, 422, PERI_STR("not here"), PERI_STR(""), PERI_STR("c"));
}

TEST(attempt_that_a_hook_refuses_is_not_sent) {
    static const struct peri_policy_ops ops = { .decide = wait_for_the_test,
                                                .attempt = refuse_all };
    struct bed b;
    bed_open(&b, "", &ops, ASK_STREAM);
    CHECK_EQ(try(&b, "a", &b.a), PERI_EREJECTED);
    struct peri_attempt *a = b.rig.deciding->last;
    CHECK_EQ(a->state, PERI_ATTEMPT_UNSENT);
    CHECK(a->refusal != NULL);
    CHECK_EQ(b.a.count, 0);
    CHECK_EQ(rig_in_flight(&b.rig, "a"), 0);
    CHECK_EQ(peri_request_attempts(b.rig.deciding), 0);
    bed_close(&b);
}

static enum peri_err end_the_request(void *self, struct peri_request *r, struct peri_attempt *a) {
    (void)self, (void)a;
    peri_request_reply(r, 200, PERI_STR("{\"mine\":true}"));
    return PERI_OK;
}

TEST(attempt_whose_hook_ends_the_request_is_not_sent) {
    static const struct peri_policy_ops ops = { .decide = wait_for_the_test,
                                                .attempt = end_the_request };
    struct bed b;
    bed_open(&b, "", &ops, ASK_WHOLE);
    CHECK_EQ(try(&b, "a", &b.a), PERI_EINVAL);
    CHECK_EQ(b.a.count, 0);
    CHECK_STR(peri_buf_str(&b.client.got), "{\"mine\":true}");
    for (int i = 0; i < 20; i++) rig_step(&b.rig);
    CHECK_EQ(b.rig.a.requests, 0);
    bed_close(&b);
}

static enum peri_verdict break_words(void *self, struct peri_request *r, const struct peri_event *e,
                                     struct peri_buf *out) {
    int *left = self;
    (void)r, (void)e, (void)out;
    return --*left < 0 ? PERI_HOOK_BREAK : PERI_HOOK_KEEP;
}

/* A policy that can not say what is to be sent in place of an event makes a failure of it: before the commit point one
 * that another provider may mend, behind it an error. */
TEST(attempt_whose_event_a_policy_breaks_has_failed) {
    static const struct peri_policy_ops ops = { .decide = wait_for_the_test, .event = break_words };
    for (int kept = 0; kept < 2; kept++) {
        struct bed b;
        int left = kept;
        bed_open(&b, "", &ops, ASK_STREAM);
        b.rig.policy.self = &left;
        struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
        say(&b, &b.rig.a, SSE WORD);
        CHECK_EQ(b.a.err, kept ? PERI_OK : PERI_ETOOBIG);
        if (!kept) {
            CHECK_EQ(a->state, PERI_ATTEMPT_OVER);
        } else {
            peri_request_serve(b.rig.deciding, a);
            say(&b, &b.rig.a, WORD);
            CHECK(client_got(&b.client, "upstream_oversize"));
            CHECK(!client_got(&b.client, "[DONE]"));
        }
        bed_close(&b);
    }
}

/* The provider is not read while the client is slow, however much it has to say. */
TEST(attempt_pauses_its_provider_while_the_client_is_slow) {
    struct bed b;
    static char many[1 << 20];
    size_t n = 0, word = strlen(WORD);
    while (n + word < sizeof many) memcpy(many + n, WORD, word), n += word;
    bed_open(&b, ",\"timeouts\":{\"idle\":\"300ms\"}", &by_hand, ASK_STREAM);
    struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
    say(&b, &b.rig.a, SSE WORD);
    b.client.full_at = 1;
    peri_request_serve(b.rig.deciding, a);
    CHECK_EQ(a->input, PERI_INPUT_PAUSED);
    line_send_n(b.rig.a.last, many, n);
    for (int i = 0; i < 200; i++) rig_step(&b.rig);
    size_t before = b.client.got.n;
    CHECK(before < 200000); /* one read, which may have been under way */
    rig_pass(&b.rig, 5000); /* it is not the provider who is slow */
    CHECK_EQ(a->state, PERI_ATTEMPT_SERVING);
    for (int drains = 0; b.client.got.n < n; drains++) {
        if (drains > 1000) abort();
        peri_request_drained(b.client.request);
        for (int i = 0; i < 200; i++) rig_step(&b.rig);
    }
    b.client.full_at = 0;
    peri_request_drained(b.client.request);
    CHECK_EQ(a->input, PERI_INPUT_FLOWING);
    say(&b, &b.rig.a, STOP DONE);
    hang_up(&b, &b.rig.a);
    CHECK_EQ(b.client.got.n, word + n + strlen(STOP DONE));
    CHECK_EQ(b.client.ends, 1);
    bed_close(&b);
}

/* The end event is the end, whatever the connection does. */
TEST(attempt_is_whole_with_its_end_event_though_the_connection_stays) {
    struct bed b;
    bed_open(&b, "", &by_hand, ASK_STREAM);
    struct peri_attempt *a = ask(&b, &b.rig.a, &b.a);
    say(&b, &b.rig.a, SSE WORD);
    peri_request_serve(b.rig.deciding, a);
    say(&b, &b.rig.a, STOP DONE);
    CHECK_EQ(b.client.ends, 0);
    rig_pass(&b.rig, 200);
    say(&b, &b.rig.a, DONE); /* a second one moves nothing */
    rig_pass(&b.rig, 50);
    CHECK_EQ(b.client.ends, 1);
    CHECK(!client_got(&b.client, "error"));
    bed_close(&b);
}
