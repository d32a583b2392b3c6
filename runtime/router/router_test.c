/* Whole requests, made from C, through a router that the test turns, to providers on a loop of their own. */
#include "request/queue.h"
#include "router/rig_test.h"

#define BUSY                                                                                       \
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: "       \
    "2\r\n\r\n{}"

#define STREAM "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"

TEST(router_tells_a_stream_as_it_came) {
    struct rig r;
    rig_open(&r, "", "", NULL);
    CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
    RIG_UNTIL(&r, r.ends > 0);
    CHECK_EQ(r.status, 200);
    CHECK_EQ(r.err, PERI_OK);
    CHECK_EQ(r.heads, 1);
    CHECK_STR(peri_buf_str(&r.got), ROLE WORD STOP DONE);
    rig_close(&r);
}

TEST(router_asks_another_before_content_and_nobody_sees) {
    static const char *const failures[] = { BUSY, SSE, SSE ROLE, SSE ROLE DONE,
                                            SSE "data: {\"error\":{\"message\":\"no\"}}\n\n" };
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        struct rig r;
        rig_open(&r, "", "", NULL);
        r.a.script = failures[i];
        CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
        RIG_UNTIL(&r, r.ends > 0);
        CHECK_EQ(r.a.requests, 1);
        CHECK_EQ(r.b.requests, 1);
        CHECK_EQ(r.err, PERI_OK);
        CHECK_STR(peri_buf_str(&r.got), ROLE WORD STOP DONE);
        rig_close(&r);
    }
}

TEST(router_says_so_when_a_stream_breaks_after_content) {
    struct rig r;
    rig_open(&r, "", "", NULL);
    r.a.script = SSE ROLE WORD;
    CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
    RIG_UNTIL(&r, r.ends > 0);
    CHECK_EQ(r.b.requests, 0);
    CHECK_EQ(r.err, PERI_ETRUNCATED);
    CHECK(peri_str_has_prefix(peri_buf_str(&r.got), PERI_STR(ROLE WORD "data: {\"error\":")));
    CHECK(peri_str_find(peri_buf_str(&r.got), PERI_STR("[DONE]")) < 0);
    rig_close(&r);
}

TEST(router_ends_a_request_at_its_deadline) {
    struct rig r;
    rig_open(&r, ",\"timeouts\":{\"total\":\"5s\"}", "", NULL);
    r.a.script = SSE ROLE;
    r.a.answer = say_and_stay;
    CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
    RIG_UNTIL(&r, r.a.requests > 0);
    peri_loop_advance(r.worker->env.loop, 4999);
    CHECK_EQ(r.ends, 0);
    peri_loop_advance(r.worker->env.loop, 1);
    CHECK_EQ(r.ends, 1);
    CHECK_EQ(r.status, 504);
    RIG_UNTIL(&r, r.a.gone > 0);
    rig_close(&r);
}

TEST(router_freed_in_any_phase_ends_every_request_once) {
    static const char *const phases[] = { "", SSE, SSE ROLE, SSE ROLE WORD };
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        struct rig r;
        rig_open(&r, "", "", NULL);
        r.a.script = phases[i];
        r.a.answer = say_and_stay;
        CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
        RIG_UNTIL(&r, r.a.requests > 0);
        for (int turn = 0; turn < 20; turn++) rig_step(&r);
        CHECK_EQ(in_flight(&r, "a"), 1);
        CHECK_EQ(r.ends, 0);
        peri_router_free(r.router);
        CHECK_EQ(r.ends, 1);
        CHECK(r.err != PERI_OK);
        upstream_close(&r.a);
        upstream_close(&r.b);
        peri_loop_free(r.outside);
        peri_buf_done(&r.got);
    }
}

TEST(router_lets_who_waits_have_the_slot_that_becomes_free) {
    struct rig r, waiting;
    rig_open(&r, ",\"route\":{\"overflow\":false}", ",\"max_concurrent\":1", NULL);
    memset(&waiting, 0, sizeof waiting);
    peri_buf_init(&waiting.got, 0);
    r.a.script = SSE ROLE WORD;
    r.a.answer = say_and_stay;
    CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
    RIG_UNTIL(&r, r.got.n > 0);
    CHECK_EQ(peri_router_send(NULL, r.router, "/v1/chat/completions", PERI_STR(STREAM), &answer_ops,
                              &waiting),
             PERI_OK);
    CHECK_EQ(r.worker->env.queued, 1);
    CHECK_EQ(atomic_load(&r.router->runtime->waiting), 1);
    r.a.answer = say_script;
    line_send(r.a.last, STOP DONE);
    line_close_after_writing(r.a.last);
    r.a.script = SSE ROLE WORD STOP DONE;
    RIG_UNTIL(&r, r.ends > 0 && waiting.ends > 0);
    CHECK_EQ(waiting.err, PERI_OK);
    CHECK_STR(peri_buf_str(&waiting.got), ROLE WORD STOP DONE);
    CHECK_EQ(r.b.requests, 0);
    peri_buf_done(&waiting.got);
    rig_close(&r);
}

TEST(router_does_not_keep_waiting_past_the_queues_time) {
    struct rig r, waiting;
    rig_open(&r, ",\"route\":{\"overflow\":false},\"queue\":{\"wait\":\"700ms\"}",
             ",\"max_concurrent\":1", NULL);
    memset(&waiting, 0, sizeof waiting);
    peri_buf_init(&waiting.got, 0);
    r.a.script = SSE ROLE WORD;
    r.a.answer = say_and_stay;
    CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
    RIG_UNTIL(&r, r.got.n > 0);
    CHECK_EQ(peri_router_send(NULL, r.router, "/v1/chat/completions", PERI_STR(STREAM), &answer_ops,
                              &waiting),
             PERI_OK);
    for (int i = 0; i < 6; i++) {
        peri_loop_advance(r.worker->env.loop, 100);
        peri_queue_wake(&r.worker->env); /* woken in vain: its time goes on */
    }
    CHECK_EQ(waiting.ends, 0);
    peri_loop_advance(r.worker->env.loop, 100);
    CHECK_EQ(waiting.ends, 1);
    CHECK_EQ(waiting.status, 503);
    peri_buf_done(&waiting.got);
    line_send(r.a.last, STOP DONE);
    RIG_UNTIL(&r, peri_buf_str(&r.got).n == strlen(ROLE WORD STOP DONE));
    peri_loop_advance(r.worker->env.loop, 1000);
    RIG_UNTIL(&r, r.ends > 0);
    rig_step(&r);
    rig_close(&r);
}

/* ---- A policy in C ---- */

static void reply_with_a_probe_under_way(void *self, struct peri_request *r) {
    struct peri_attempt *a;
    (void)self;
    if (peri_request_try(&a, r, PERI_STR("a"), NULL, NULL, NULL) != PERI_OK) abort();
    peri_request_reply(r, 200, PERI_STR("{\"choices\":[]}"));
}

TEST(router_answered_by_a_policy_leaves_no_probe_behind) {
    static const struct peri_policy_ops ops = { .decide = reply_with_a_probe_under_way };
    struct rig r;
    rig_open(&r, "", "", &ops);
    struct peri_vitals *v = peri_fleet_provider(r.worker->env.fleet, PERI_STR("a"))->vitals;
    uint64_t now = peri_loop_now_ms(r.worker->env.loop);
    struct peri_breaker_failure failure = { .reason = PERI_EUPSTREAM, .now_ms = now - 1 };
    peri_breaker_open(&v->breaker, &failure, 1);
    CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
    CHECK_EQ(r.ends, 1);
    CHECK_STR(peri_buf_str(&r.got), "{\"choices\":[]}");
    CHECK(peri_breaker_admits(&v->breaker, now, NULL));
    rig_step(&r);
    rig_close(&r);
}

static enum peri_verdict shout(void *self, struct peri_request *r, const struct peri_event *e,
                               struct peri_buf *out) {
    (void)self, (void)r;
    if (peri_attempt_provider(e->attempt).n == 0) abort();
    if (peri_str_find(e->data, PERI_STR("role")) >= 0) return PERI_HOOK_DROP;
    if (peri_str_find(e->data, PERI_STR("hi")) < 0) return PERI_HOOK_KEEP;
    return peri_buf_add(out, PERI_STR("data: HI\n\n")) == PERI_OK ? PERI_HOOK_REPLACE
                                                                  : PERI_HOOK_KEEP;
}

TEST(router_lets_a_policy_drop_and_replace_events) {
    static const struct peri_policy_ops ops = { .event = shout };
    struct rig r;
    rig_open(&r, "", "", &ops);
    CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
    RIG_UNTIL(&r, r.ends > 0);
    CHECK_STR(peri_buf_str(&r.got), "data: HI\n\n" STOP DONE);
    rig_close(&r);
}

static enum peri_err end_it(void *self, struct peri_request *r, struct peri_attempt *a) {
    (void)self, (void)a;
    peri_request_reply(r, 418, PERI_STR("{}"));
    return PERI_OK;
}

TEST(router_sends_nothing_for_a_request_that_a_hook_has_ended) {
    static const struct peri_policy_ops ops = { .attempt = end_it };
    struct rig r;
    rig_open(&r, "", "", &ops);
    CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
    CHECK_EQ(r.ends, 1);
    CHECK_EQ(r.status, 418);
    for (int turn = 0; turn < 20; turn++) rig_step(&r);
    CHECK_EQ(r.a.accepts + r.b.accepts, 0);
    rig_close(&r);
}

/* The client names the status, in place of a model. */
static void reply_as_asked(void *self, struct peri_request *r) {
    (void)self;
    peri_request_reply(r, atoi(peri_request_model(r).p), PERI_STR("{}"));
}

TEST(router_answers_500_for_a_policy_whose_status_is_none) {
    static const struct peri_policy_ops ops = { .decide = reply_as_asked };
    static const char *const statuses[] = { "42", "0", "-1", "199", "600", "1000" };
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        char body[64];
        struct rig r;
        rig_open(&r, "", "", &ops);
        snprintf(body, sizeof body, "{\"model\":\"%s\",\"messages\":[]}", statuses[i]);
        CHECK_EQ(rig_send(&r, body), PERI_OK);
        CHECK_EQ(r.ends, 1);
        CHECK_EQ(r.status, 500);
        CHECK(peri_str_find(peri_buf_str(&r.got), PERI_STR("which is not 200 to 599")) >= 0);
        rig_step(&r);
        rig_close(&r);
    }
}

TEST(router_refuses_a_model_that_can_not_be_named_without_http_too) {
    struct rig r;
    rig_open(&r, "", "", NULL);
    CHECK_EQ(rig_send(&r, "{\"model\":\"m\\u0001\",\"messages\":[]}"), PERI_OK);
    CHECK_EQ(r.ends, 1);
    CHECK_EQ(r.status, 400);
    CHECK(peri_str_find(peri_buf_str(&r.got), PERI_STR("holds a control character")) >= 0);
    rig_step(&r);
    rig_close(&r);
}

/* ---- What the control thread does elsewhere ---- */

static void serve_list(struct line *l, int request) {
    (void)request;
    line_send(l, "HTTP/1.1 200 OK\r\ncontent-length: 47\r\n\r\n"
                 "{\"object\":\"list\",\"data\":[{\"id\":\"of-the-list\"}]}");
}

TEST(router_that_the_host_turns_reads_lists_of_models_in_its_turns) {
    struct rig r;
    struct peri_fault fault;
    rig_open(&r, "", ",\"discover_models\":true,\"discover_interval\":\"60s\"", NULL);
    r.a.answer = serve_list;
    CHECK_EQ(peri_router_open(r.router, &fault), PERI_OK);
    CHECK_EQ(r.a.requests, 0); /* not before the host turns it */
    RIG_UNTIL(&r, r.worker->env.fleet->model_count == 1);
    CHECK_STR(r.worker->env.fleet->models[0], "of-the-list");
    CHECK_EQ(r.a.requests, 1);
    peri_loop_advance(r.worker->env.loop, 90000);
    RIG_UNTIL(&r, r.a.requests == 2);
    rig_close(&r);
}

/* ---- Memory ---- */

TEST(router_out_of_memory_ends_the_request_and_keeps_nothing) {
    struct rig r;
    rig_open(&r, "", "", NULL);
    for (int i = 0; i < 2; i++) { /* connections and spare memory first */
        CHECK_EQ(rig_send(&r, STREAM), PERI_OK);
        RIG_UNTIL(&r, r.ends > 0);
        rig_step(&r);
    }
    TEST_EACH_FAILING_ALLOCATION {
        peri_vitals_reset(peri_fleet_provider(r.worker->env.fleet, PERI_STR("a"))->vitals);
        peri_vitals_reset(peri_fleet_provider(r.worker->env.fleet, PERI_STR("b"))->vitals);
        enum peri_err err = rig_send(&r, STREAM);
        int turns = 0;
        while (err == PERI_OK && r.ends == 0 && turns++ < 2000) {
            rig_step(&r);
            if (turns % 100 == 0) peri_loop_advance(r.worker->env.loop, 1000);
        }
        if (err == PERI_OK) CHECK_EQ(r.ends, 1);
        rig_step(&r);
        CHECK_EQ(in_flight(&r, "a") + in_flight(&r, "b"), 0);
        CHECK_EQ(r.worker->env.request_count, 0);
    }
    CHECK_EQ(r.err, PERI_OK);
    rig_close(&r);
}
