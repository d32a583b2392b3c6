/* For tests of whole requests: a router that the test turns, asked from C, and two providers on a loop of their own. */
#ifndef PERI_ROUTER_RIG_TEST_H
#define PERI_ROUTER_RIG_TEST_H

#include "net/client/upstream_test.h"
#include "router/router.h"

#define SSE  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define ROLE "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"
#define WORD "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n"
#define STOP "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"

/* Says its script once, closes after it unless `stays`. */
static void say_script(struct line *l, int request) {
    (void)request;
    line_send(l, l->up->script);
    line_close_after_writing(l);
}

__attribute__((unused)) static void say_and_stay(struct line *l, int request) {
    (void)request;
    line_send(l, l->up->script);
}

struct rig {
    struct peri_loop *outside; /* the providers' */
    struct upstream a, b;
    struct peri_router *router;
    struct peri_worker *worker;
    struct peri_buf got;
    int heads, ends, status;
    char headers[1024]; /* of the answer, a line each */
    enum peri_err err;
};

static void on_head(void *arg, int status, const struct peri_header *headers, size_t count) {
    struct rig *r = arg;
    size_t at = 0;
    for (size_t i = 0; i < count && at < sizeof r->headers; i++)
        at += (size_t)snprintf(r->headers + at, sizeof r->headers - at, "%.*s: %.*s\n",
                               PERI_STR_ARGS(headers[i].name), PERI_STR_ARGS(headers[i].value));
    r->heads++;
    r->status = status;
}

static bool on_bytes(void *arg, struct peri_str bytes) {
    struct rig *r = arg;
    long fails = test_fail_from;
    test_fail_from = -1; /* what the test keeps is not what is tested */
    peri_buf_add(&r->got, bytes);
    test_fail_from = fails;
    return true;
}

static void on_end(void *arg, enum peri_err err) {
    struct rig *r = arg;
    r->ends++;
    r->err = err;
}

static const struct peri_answer_ops answer_ops = {
    .size = sizeof answer_ops, .head = on_head, .bytes = on_bytes, .end = on_end
};

/* `settings`: members of the configuration; `a`: further members of the first provider; `self`: of the policy. */
__attribute__((unused)) static void rig_open_with(struct rig *r, const char *settings,
                                                  const char *a,
                                                  const struct peri_policy_ops *policy,
                                                  void *self) {
    struct peri_fault fault;
    char json[2048];
    memset(r, 0, sizeof *r);
    peri_buf_init(&r->got, 0);
    if (peri_loop_new(&r->outside) != PERI_OK) abort();
    upstream_open(&r->a, r->outside, SSE ROLE WORD STOP DONE);
    upstream_open(&r->b, r->outside, SSE ROLE WORD STOP DONE);
    r->a.answer = r->b.answer = say_script;
    snprintf(json, sizeof json,
             "{\"listen\":\"127.0.0.1:0\",\"log\":{\"level\":\"off\"}%s,\"providers\":["
             "{\"id\":\"a\",\"url\":\"%s\",\"tier\":1%s},"
             "{\"id\":\"b\",\"url\":\"%s\",\"tier\":2}]}",
             settings, r->a.url, a, r->b.url);
    struct peri_policy_ops sized = { 0 };
    if (policy != NULL) sized = *policy;
    sized.size = sizeof sized;
    struct peri_router_options options = { .size = sizeof options,
                                           .config_json = json,
                                           .workers = 1,
                                           .policy = policy == NULL ? NULL : &sized,
                                           .policy_self = self };
    if (peri_router_new(&r->router, &options, &fault) != PERI_OK) {
        fprintf(stderr, "%s\n", fault.text);
        abort();
    }
    r->worker = r->router->runtime->workers[0];
    peri_loop_use_fake_time(r->worker->env.loop);
}

__attribute__((unused)) static void rig_open(struct rig *r, const char *settings, const char *a,
                                             const struct peri_policy_ops *policy) {
    rig_open_with(r, settings, a, policy, NULL);
}

__attribute__((unused)) static void rig_step(struct rig *r) {
    long fails = test_fail_from;
    test_fail_from = -1;
    peri_loop_step(r->outside, false);
    test_fail_from = fails;
    peri_router_step(r->router, false);
}

#define RIG_UNTIL(r, claim)                                                                        \
    do {                                                                                           \
        alarm(60);                                                                                 \
        while (!(claim)) rig_step(r);                                                              \
    } while (0)

__attribute__((unused)) static enum peri_err rig_send(struct rig *r, const char *body) {
    peri_buf_clear(&r->got);
    r->heads = r->ends = 0;
    return peri_router_send(NULL, r->router, "/v1/chat/completions", peri_str_of(body), &answer_ops,
                            r);
}

__attribute__((unused)) static unsigned in_flight(struct rig *r, const char *id) {
    return atomic_load(
        &peri_fleet_provider(r->worker->env.fleet, peri_str_of(id))->vitals->in_flight);
}

__attribute__((unused)) static void rig_close(struct rig *r) {
    CHECK_EQ(in_flight(r, "a"), 0);
    CHECK_EQ(in_flight(r, "b"), 0);
    CHECK_EQ(r->worker->env.request_count, 0);
    CHECK_EQ(r->worker->env.queued, 0);
    CHECK_EQ(peri_client_open_calls(r->worker->env.client), 0);
    peri_router_free(r->router);
    upstream_close(&r->a);
    upstream_close(&r->b);
    peri_loop_free(r->outside);
    peri_buf_done(&r->got);
}

#endif
