/* Fetches of policies: where they may go, how much they may take, and that they end with their task. */
#include "net/client/upstream_test.h"
#include "script/state/testing.h"

struct policy {
    struct peri_loop *loop;
    struct upstream up;
    struct peri_state *state;
    struct script script;
    char text[1024];
    struct peri_task *task;
};

static int last_right = PERI_FETCH_PUBLIC;

static enum peri_fetch_right right_of(void *host, struct peri_str url_host, unsigned port) {
    CHECK_EQ(port, *(unsigned *)host);
    CHECK_STR(url_host, "127.0.0.1");
    return last_right;
}

static void policy_open(struct policy *p, const char *answer, enum peri_fetch_right right) {
    memset(p, 0, sizeof *p);
    if (peri_loop_new(&p->loop) != PERI_OK) abort();
    peri_loop_use_fake_time(p->loop);
    upstream_open(&p->up, p->loop, answer);
    struct peri_state_options options = script_options;
    options.loop = p->loop;
    options.host = &p->up.port;
    if (right != PERI_FETCH_PUBLIC) options.fetch_right = right_of;
    last_right = right;
    if (peri_state_new(&p->state, &options) != PERI_OK) abort();
}

static void policy_close(struct policy *p) {
    peri_state_free(p->state);
    upstream_close(&p->up);
    peri_loop_free(p->loop);
}

/* `return …` of one fetch: its answer's status and body, or its error's name. */
static enum peri_task_status policy_start(struct policy *p, const char *options) {
    snprintf(p->text, sizeof p->text,
             "local a, why, code = require 'perilune'.http.fetch { url = '%s'%s } "
             "return a and a.status .. ' ' .. a.body or code",
             p->up.url, options);
    memset(&p->script, 0, sizeof p->script);
    p->script.text = p->text;
    return peri_task_start(&p->task, p->state, &script_ops, &p->script, &p->script.fault);
}

static const char *policy_run(struct policy *p, const char *options) {
    enum peri_task_status status = policy_start(p, options);
    if (status == PERI_TASK_WAITING) UNTIL(p->loop, p->script.done_calls == 1);
    if (status == PERI_TASK_FAILED || p->script.done_err != PERI_OK) return p->script.fault.text;
    return p->script.result;
}

TEST(a_policy_does_not_reach_this_machine) {
    struct policy p;
    policy_open(&p, OK_5, PERI_FETCH_PUBLIC);
    CHECK_STR(peri_str_of(policy_run(&p, "")), "EDENIED");
    CHECK_EQ(p.up.accepts, 0);
    policy_close(&p);
}

TEST(a_policy_does_not_reach_what_the_operator_forbids) {
    struct policy p;
    policy_open(&p, OK_5, PERI_FETCH_NOWHERE);
    CHECK_STR(peri_str_of(policy_run(&p, "")), "EDENIED");
    CHECK_EQ(p.script.done_calls, 0); /* answered at once */
    policy_close(&p);
}

TEST(a_policy_reaches_what_the_operator_allows) {
    struct policy p;
    policy_open(&p, OK_5, PERI_FETCH_ANYWHERE);
    CHECK_STR(peri_str_of(policy_run(&p, "")), "200 hello");
    CHECK_STR(peri_str_of(policy_run(&p, ", method = 'POST', body = '{}'")), "200 hello");
    CHECK_EQ(p.up.accepts, 1);
    policy_close(&p);
}

TEST(a_policy_has_no_options_that_weaken_tls_or_leave_the_network) {
    static const char *const options[] = { ", insecure = true", ", ca_file = 'x'", ", unix = '/x'",
                                           ", on_chunk = print" };
    struct policy p;
    policy_open(&p, OK_5, PERI_FETCH_ANYWHERE);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        CHECK(strstr(policy_run(&p, options[i]), "peri.http.fetch has no option") != NULL);
    CHECK(strstr(policy_run(&p, ", timeout_ms = 60001"), "'timeout_ms' must be") != NULL);
    CHECK(strstr(policy_run(&p, ", max_bytes = 8388609"), "'max_bytes' must be") != NULL);
    policy_close(&p);
}

static void send_two_megabytes(struct line *l, int request) {
    static char block[65536];
    (void)request;
    line_send(l, "HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n");
    for (int i = 0; i < 32; i++) line_send_n(l, block, sizeof block);
}

TEST(a_policy_takes_a_megabyte_unless_it_asks_for_more) {
    struct policy p;
    policy_open(&p, OK_5, PERI_FETCH_ANYWHERE);
    p.up.answer = send_two_megabytes;
    CHECK_STR(peri_str_of(policy_run(&p, "")), "ETOOBIG");
    CHECK(peri_str_has_prefix(peri_str_of(policy_run(&p, ", max_bytes = 2097152")),
                              PERI_STR("200 ")));
    policy_close(&p);
}

TEST(a_fetch_without_a_time_of_its_own_ends_all_the_same) {
    struct policy p;
    policy_open(&p, OK_5, PERI_FETCH_ANYWHERE);
    p.up.answer = say_nothing;
    CHECK_EQ(policy_start(&p, ", timeout_ms = 0"), PERI_TASK_WAITING);
    UNTIL(p.loop, p.up.requests == 1);
    peri_loop_advance(p.loop, 59999);
    CHECK_EQ(p.script.done_calls, 0);
    peri_loop_advance(p.loop, 1);
    CHECK_EQ(p.script.done_calls, 1);
    CHECK_STR(peri_str_of(p.script.result), "ETIMEOUT");
    policy_close(&p);
}

TEST(a_cancelled_task_closes_its_fetch_at_once) {
    for (int phase = 0; phase < 3; phase++) {
        struct policy p;
        policy_open(&p, HALF, PERI_FETCH_ANYWHERE);
        CHECK_EQ(policy_start(&p, ""), PERI_TASK_WAITING);
        if (phase > 0) UNTIL(p.loop, p.up.requests == 1);
        if (phase > 1) TURNS(p.loop, 5);
        peri_task_cancel(p.task);
        TURNS(p.loop, 3);
        CHECK_EQ(p.up.gone, p.up.accepts);
        CHECK_EQ(p.script.done_calls, 0);
        policy_close(&p);
    }
}

struct ending {
    struct script script; /* first: script_push reads it */
    struct peri_state *state;
};

static void free_state(void *arg, enum peri_err err, const struct peri_fault *fault) {
    struct ending *e = arg;
    script_done(&e->script, err, fault);
    peri_state_free(e->state);
    e->state = NULL;
}

TEST(the_state_may_go_as_soon_as_the_task_is_done) {
    static const struct peri_task_ops ending_ops = { script_push, script_take, free_state };
    struct policy p;
    policy_open(&p, OK_5, PERI_FETCH_ANYWHERE);
    struct ending e = { .state = p.state };
    snprintf(p.text, sizeof p.text, "return require 'perilune'.http.fetch { url = '%s' }",
             p.up.url);
    e.script.text = p.text;
    CHECK_EQ(peri_task_start(&p.task, p.state, &ending_ops, &e, NULL), PERI_TASK_WAITING);
    UNTIL(p.loop, e.script.done_calls == 1);
    CHECK(e.state == NULL);
    p.state = NULL;
    policy_close(&p);
}

TEST(more_fetches_than_a_policy_may_have_are_refused) {
    struct policy p;
    struct script scripts[65];
    policy_open(&p, HALF, PERI_FETCH_ANYWHERE);
    policy_start(&p, "");
    for (int i = 0; i < 64; i++) {
        scripts[i] = (struct script){ .text = p.text };
        enum peri_task_status status =
            peri_task_start(NULL, p.state, &script_ops, &scripts[i], &scripts[i].fault);
        CHECK_EQ(status, i < 63 ? PERI_TASK_WAITING : PERI_TASK_DONE);
    }
    CHECK_STR(peri_str_of(scripts[63].result), "EFULL");
    peri_state_cancel_all(p.state);
    policy_close(&p);
}

TEST(a_fetch_that_memory_runs_out_on_fails_and_leaks_nothing) {
    const char *said = "";
    struct policy p;
    policy_open(&p, OK_5, PERI_FETCH_ANYWHERE);
    TEST_EACH_FAILING_ALLOCATION {
        enum peri_task_status status = policy_start(&p, "");
        if (status != PERI_TASK_WAITING) continue;
        long from = test_fail_from;
        test_fail_from = -1; /* the provider is not to fail */
        UNTIL(p.loop, p.script.done_calls == 1);
        test_fail_from = from;
        said = p.script.result;
    }
    CHECK_STR(peri_str_of(said), "200 hello");
    policy_close(&p);
}
