/* Requests from C that their host cancels or holds back, and what else a host program says to a router. */
#include <pthread.h>

#include "router/rig_test.h"

#define STREAM "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"
#define ASK    "{\"model\":\"m\",\"messages\":[]}"
#define WHOLE                                                                                      \
    "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}"
#define JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" WHOLE

#define CONFIG                                                                                     \
    "{\"listen\":\"127.0.0.1:0\",\"workers\":1,\"providers\":[{\"id\":\"a\",\"url\":\"http://"     \
    "127.0.0.1:1\"}]}"

struct host {
    struct rig rig;
    struct peri_sending *sending;
    struct peri_buf got;
    int takes; /* pieces that are taken before it asks for a pause */
    int heads, ends;
    enum peri_err err;
};

static void host_head(void *arg, int status, const struct peri_header *headers, size_t count) {
    struct host *h = arg;
    (void)status, (void)headers, (void)count;
    h->heads++;
}

static bool host_bytes(void *arg, struct peri_str bytes) {
    struct host *h = arg;
    long fails = test_fail_from;
    test_fail_from = -1;
    peri_buf_add(&h->got, bytes);
    test_fail_from = fails;
    CHECK(h->takes > 0);
    return --h->takes > 0;
}

static void host_end(void *arg, enum peri_err err) {
    struct host *h = arg;
    h->ends++;
    h->err = err;
}

static const struct peri_answer_ops host_ops = {
    .size = sizeof host_ops, .head = host_head, .bytes = host_bytes, .end = host_end
};

static enum peri_err host_send(struct host *h, const char *body) {
    peri_buf_clear(&h->got);
    h->heads = h->ends = 0;
    h->takes = 1000000;
    return peri_router_send(&h->sending, h->rig.router, "/v1/chat/completions", peri_str_of(body),
                            &host_ops, h);
}

static void host_open(struct host *h) {
    memset(h, 0, sizeof *h);
    peri_buf_init(&h->got, 0);
    rig_open(&h->rig, "", "", NULL);
}

static void host_close(struct host *h) {
    rig_step(&h->rig);
    rig_close(&h->rig);
    peri_buf_done(&h->got);
}

static void turn(struct host *h, int turns) {
    for (int i = 0; i < turns; i++) rig_step(&h->rig);
}

TEST(sending_that_is_cancelled_frees_its_provider_in_any_phase) {
    static const char *const phases[] = { "", SSE, SSE ROLE, SSE ROLE WORD };
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        struct host h;
        host_open(&h);
        h.rig.a.script = phases[i];
        h.rig.a.answer = say_and_stay;
        CHECK_EQ(host_send(&h, STREAM), PERI_OK);
        RIG_UNTIL(&h.rig, h.rig.a.requests > 0);
        turn(&h, 20);
        CHECK_EQ(peri_sending_cancel(h.sending), PERI_OK);
        CHECK_EQ(h.ends, 0); /* not from inside */
        RIG_UNTIL(&h.rig, h.ends > 0 && h.rig.a.gone > 0);
        CHECK_EQ(h.err, PERI_ECANCELED);
        CHECK_EQ(in_flight(&h.rig, "a"), 0);
        CHECK_EQ(peri_sending_cancel(h.sending), PERI_OK);
        turn(&h, 5);
        CHECK_EQ(h.ends, 1);
        peri_sending_free(h.sending);
        host_close(&h);
    }
}

TEST(sending_holds_the_provider_back_while_its_host_is_slow) {
    static char script[8 << 20];
    size_t n = (size_t)snprintf(script, sizeof script, "%s%s", SSE, ROLE), words = 0;
    while (n + sizeof WORD + sizeof STOP + sizeof DONE < sizeof script) {
        n += (size_t)snprintf(script + n, sizeof script - n, "%s", WORD);
        words++;
    }
    snprintf(script + n, sizeof script - n, "%s%s", STOP, DONE);
    struct host h;
    host_open(&h);
    h.rig.a.script = script;
    CHECK_EQ(host_send(&h, STREAM), PERI_OK);
    h.takes = 1;
    RIG_UNTIL(&h.rig, h.got.n > 0);
    size_t before = h.got.n;
    turn(&h, 300);
    CHECK_EQ(h.got.n, before);
    CHECK_EQ(h.ends, 0);
    CHECK(h.rig.a.last != NULL); /* most of it is still to be sent: the provider could not close */
    int pauses = 1;
    while (h.ends == 0 && pauses < 100000) {
        if (h.takes == 0) {
            h.takes = 3;
            pauses++;
            CHECK_EQ(peri_sending_resume(h.sending), PERI_OK);
        }
        rig_step(&h.rig);
    }
    CHECK(pauses > 10);
    CHECK_EQ(h.err, PERI_OK);
    CHECK_EQ(h.got.n, strlen(ROLE) + words * strlen(WORD) + strlen(STOP DONE));
    peri_sending_free(h.sending);
    host_close(&h);
}

TEST(sending_keeps_the_end_until_its_host_goes_on) {
    static const char *const bodies[] = { STREAM, ASK };
    for (size_t i = 0; i < 2; i++) {
        struct host h;
        host_open(&h);
        h.rig.a.script = i == 0 ? SSE ROLE WORD STOP DONE : JSON;
        CHECK_EQ(host_send(&h, bodies[i]), PERI_OK);
        h.takes = 1;
        RIG_UNTIL(&h.rig, h.got.n > 0);
        turn(&h, 50);
        peri_loop_advance(h.rig.worker->env.loop, 1000);
        CHECK_EQ(h.ends, 0);
        while (h.ends == 0) {
            h.takes = 1;
            CHECK_EQ(peri_sending_resume(h.sending), PERI_OK);
            turn(&h, 5);
        }
        CHECK_EQ(h.ends, 1);
        CHECK_EQ(h.err, PERI_OK);
        CHECK_STR(peri_buf_str(&h.got), i == 0 ? ROLE WORD STOP DONE : WHOLE);
        peri_sending_free(h.sending);
        host_close(&h);
    }
}

/* The host took one piece of its answer, and the sending waits for it. */
static void open_waiting(struct host *h) {
    host_open(h);
    h->rig.a.script = JSON;
    CHECK_EQ(host_send(h, ASK), PERI_OK);
    h->takes = 1;
    RIG_UNTIL(&h->rig, h->got.n > 0);
    turn(h, 5);
}

TEST(sending_that_waits_for_its_host_can_be_cancelled) {
    struct host h;
    open_waiting(&h);
    CHECK_EQ(peri_sending_cancel(h.sending), PERI_OK);
    turn(&h, 5);
    CHECK_EQ(h.ends, 1);
    CHECK_EQ(h.err, PERI_ECANCELED);
    peri_sending_free(h.sending);
    host_close(&h);
}

TEST(sending_that_its_host_left_while_it_waited_ends_with_the_router) {
    struct host h;
    open_waiting(&h);
    peri_sending_free(h.sending);
    CHECK_EQ(h.ends, 0);
    host_close(&h);
    CHECK_EQ(h.ends, 1);
    CHECK_EQ(h.err, PERI_ESTOPPING);
}

TEST(sending_under_way_ends_with_the_router_and_none_begins_after) {
    struct host h;
    host_open(&h);
    h.rig.a.answer = say_and_stay;
    h.rig.a.script = SSE ROLE WORD;
    CHECK_EQ(host_send(&h, STREAM), PERI_OK);
    RIG_UNTIL(&h.rig, h.got.n > 0);
    struct peri_sending *first = h.sending;
    peri_router_stop(h.rig.router);
    CHECK_EQ(peri_router_send(&h.sending, h.rig.router, "/v1/chat/completions", PERI_STR(ASK),
                              &host_ops, &h),
             PERI_ESTOPPING);
    peri_router_free(h.rig.router);
    CHECK_EQ(h.ends, 1);
    CHECK_EQ(h.err, PERI_ESTOPPING);
    peri_sending_free(first);
    upstream_close(&h.rig.a);
    upstream_close(&h.rig.b);
    peri_loop_free(h.rig.outside);
    peri_buf_done(&h.rig.got);
    peri_buf_done(&h.got);
}

TEST(sending_out_of_memory_ends_once_and_keeps_nothing) {
    struct host h;
    host_open(&h);
    for (int i = 0; i < 2; i++) { /* connections and spare memory first */
        CHECK_EQ(host_send(&h, STREAM), PERI_OK);
        RIG_UNTIL(&h.rig, h.ends > 0);
        peri_sending_free(h.sending);
        turn(&h, 2);
    }
    TEST_EACH_FAILING_ALLOCATION {
        peri_vitals_reset(peri_fleet_provider(h.rig.worker->env.fleet, PERI_STR("a"))->vitals);
        peri_vitals_reset(peri_fleet_provider(h.rig.worker->env.fleet, PERI_STR("b"))->vitals);
        enum peri_err err = host_send(&h, STREAM);
        h.takes = 1;
        for (int turns = 1; err == PERI_OK && h.ends == 0 && turns <= 2000; turns++) {
            rig_step(&h.rig);
            if (h.takes == 0 && peri_sending_resume(h.sending) == PERI_OK) h.takes = 1;
            if (turns % 100 == 0) peri_loop_advance(h.rig.worker->env.loop, 1000);
            if (turns == 1900) test_fail_from = -1; /* what could not be told to go on is */
        }
        if (err == PERI_OK) CHECK_EQ(h.ends, 1);
        if (err == PERI_OK) peri_sending_free(h.sending);
        turn(&h, 2);
        CHECK_EQ(h.rig.worker->env.request_count, 0);
    }
    CHECK_EQ(h.err, PERI_OK);
    host_close(&h);
}

/* ---- On threads ---- */

struct threaded {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int pieces, ends, lines;
    bool has_level;
    enum peri_err err;
};

static void note(struct threaded *t, int *count) {
    pthread_mutex_lock(&t->lock);
    ++*count;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

static void await(struct threaded *t, const int *count) {
    pthread_mutex_lock(&t->lock);
    while (*count == 0) pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

static bool threaded_bytes(void *arg, struct peri_str bytes) {
    struct threaded *t = arg;
    (void)bytes;
    note(t, &t->pieces);
    return false;
}

static void threaded_end(void *arg, enum peri_err err) {
    struct threaded *t = arg;
    t->err = err;
    note(t, &t->ends);
}

static void threaded_log(void *arg, enum peri_log_level level, struct peri_str line) {
    struct threaded *t = arg;
    if (peri_str_find(line, PERI_STR("\"msg\":\"request\"")) < 0) return;
    CHECK(line.n > 0 && line.p[0] == '{' && line.p[line.n - 1] == '}');
    t->has_level = level == PERI_LOG_INFO;
    note(t, &t->lines);
}

static const struct peri_answer_ops threaded_ops = { .size = sizeof threaded_ops,
                                                     .bytes = threaded_bytes,
                                                     .end = threaded_end };

static void reply_whole(void *self, struct peri_request *r) {
    (void)self;
    peri_request_reply(r, 200, PERI_STR(WHOLE));
}

TEST(sending_is_told_to_go_on_or_to_end_from_another_thread) {
    static const struct peri_policy_ops ops = { .size = sizeof ops, .decide = reply_whole };
    struct threaded t = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, false, 0 };
    struct peri_router_options options = { .size = sizeof options,
                                           .config_json = CONFIG,
                                           .policy = &ops,
                                           .policy_name = "whole",
                                           .workers = 2,
                                           .log = threaded_log,
                                           .log_arg = &t };
    struct peri_router *router;
    struct peri_fault fault;
    alarm(60);
    CHECK_EQ(peri_router_new(&router, &options, &fault), PERI_OK);
    CHECK_EQ(peri_router_start(router, &fault), PERI_OK);
    for (int i = 0; i < 2; i++) {
        struct peri_sending *s;
        t.pieces = t.ends = t.lines = 0;
        CHECK_EQ(
            peri_router_send(&s, router, "/v1/chat/completions", PERI_STR(ASK), &threaded_ops, &t),
            PERI_OK);
        await(&t, &t.pieces);
        CHECK_EQ(i == 0 ? peri_sending_resume(s) : peri_sending_cancel(s), PERI_OK);
        await(&t, &t.ends);
        await(&t, &t.lines);
        CHECK_EQ(t.err, i == 0 ? PERI_OK : PERI_ECANCELED);
        peri_sending_free(s);
    }
    CHECK(t.has_level);
    peri_router_stop(router);
    peri_router_join(router);
    peri_router_free(router);
}

/* ---- Versions ---- */

TEST(router_refuses_structs_that_say_no_size_and_takes_older_ones) {
    struct peri_policy_ops ops = { .decide = reply_whole };
    struct peri_router_options options = { .config_json = CONFIG, .workers = 1, .policy = &ops };
    struct peri_router *router;
    struct peri_fault fault;
    CHECK_STR(peri_str_of(peri_version()), PERI_VERSION);
    CHECK_EQ(peri_router_new(&router, &options, &fault), PERI_EINVAL);
    CHECK(strstr(fault.text, "peri_router_options has no size") != NULL);
    options.size = sizeof options;
    CHECK_EQ(peri_router_new(&router, &options, &fault), PERI_EINVAL);
    CHECK(strstr(fault.text, "peri_policy_ops has no size") != NULL);
    ops.size = offsetof(struct peri_policy_ops, attempt);
    options.policy_name = "";
    CHECK_EQ(peri_router_new(&router, &options, &fault), PERI_EINVAL);
    CHECK(strstr(fault.text, "policy_name must have 1 to 63 bytes") != NULL);
    options.size = offsetof(struct peri_router_options, policy_name);
    CHECK_EQ(peri_router_new(&router, &options, &fault), PERI_OK);
    CHECK_EQ(peri_router_open(router, &fault), PERI_OK);
    struct host h = { .takes = 9 };
    peri_buf_init(&h.got, 0);
    struct peri_answer_ops unsized = { .end = host_end };
    CHECK_EQ(peri_router_send(NULL, router, "/v1/chat/completions", PERI_STR(ASK), &unsized, &h),
             PERI_EINVAL);
    CHECK_EQ(peri_router_send(NULL, router, "/v1/nothing", PERI_STR(ASK), &host_ops, &h),
             PERI_ENOTFOUND);
    peri_router_free(router);
}
