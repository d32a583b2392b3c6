/* For tests of one request without a router: the environment a worker would be (request/env.h), on a loop whose time the
 * test moves; two providers "a" (tier 1) and "b" (tier 2) on a loop of their own, which say exactly what they are told to;
 * and clients that take notes and can be slow, full or gone. No thread, no sleep. */
#ifndef PERI_REQUEST_REQUEST_RIG_H
#define PERI_REQUEST_REQUEST_RIG_H

#include "base/err.h"
#include "config/config_json.h"
#include "config/options.h"
#include "net/client/upstream_test.h"
#include "request/admission.h"
#include "request/attempt.h"
#include "request/queue.h"

#define SSE  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
#define ROLE "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"
#define WORD "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n"
#define STOP "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define COMPLETION                                                                                 \
    "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"          \
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}"
#define REFUSAL(status)                                                                            \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"           \
    "{\"error\":{\"message\":\"simulated\",\"type\":\"t\",\"param\":null,\"code\":null}}"

#define ASK_WHOLE  "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"
#define ASK_STREAM "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"

#define RIG_LOOKS_MAX 4

struct rig {
    struct peri_loop *outside; /* the providers' */
    struct upstream a, b;
    struct peri_request_env env;
    struct peri_turn turn;
    struct peri_vitals_table *vitals;
    struct peri_fleet *next_fleet; /* the next refresh picks it up */
    struct peri_policy policy;
    struct peri_request *deciding; /* of `rig_keep` */
    atomic_uint waiting;
    int freed, log_fd;
    bool is_freed;
};

/* One client: what it got, and how it takes more. */
struct client {
    struct rig *rig;
    struct peri_request *request; /* NULL: none, or it has ended */
    struct peri_buf got;
    char headers[2048]; /* of the answer, a line each */
    const char *body;
    int heads, flushes, ends, aborts, releases, status;
    size_t full_at;      /* from so many bytes on a write says PERI_EFULL; 0: never */
    enum peri_err gives; /* what a write says otherwise */
};

/* ---- The client ---- */

static void client_start(void *self, int status, const struct peri_header *headers, size_t count,
                         uint64_t length) {
    struct client *c = self;
    size_t at = 0;
    (void)length;
    c->heads++;
    c->status = status;
    c->headers[0] = '\0';
    for (size_t i = 0; i < count && at < sizeof c->headers; i++)
        at += (size_t)snprintf(c->headers + at, sizeof c->headers - at, "%.*s: %.*s\n",
                               PERI_STR_ARGS(headers[i].name), PERI_STR_ARGS(headers[i].value));
}

static enum peri_err client_write(void *self, struct peri_str bytes) {
    struct client *c = self;
    if (c->gives != PERI_OK) return c->gives;
    long fails = test_fail_from;
    test_fail_from = -1; /* what the test keeps is not what is tested */
    peri_buf_add(&c->got, bytes);
    test_fail_from = fails;
    return c->full_at > 0 && c->got.n >= c->full_at ? PERI_EFULL : PERI_OK;
}

static void client_flush(void *self) { ((struct client *)self)->flushes++; }
static void client_end(void *self) { ((struct client *)self)->ends++; }
static void client_abort(void *self) { ((struct client *)self)->aborts++; }

static void client_release(void *self) {
    struct client *c = self;
    c->releases++;
    c->request = NULL;
}

static const struct peri_sink_ops client_ops = { client_start, client_write, client_flush,
                                                 client_end, client_abort };

__attribute__((unused)) static struct client client_of(struct rig *r, const char *body) {
    struct client c = { .rig = r, .body = body };
    peri_buf_init(&c.got, 0);
    return c;
}

__attribute__((unused)) static void client_ask(struct client *c) {
    peri_request_begin_direct(&c->request, &c->rig->env, &peri_dialect_chat, peri_str_of(c->body),
                              (struct peri_sink){ &client_ops, c }, client_release);
}

/* It was told an end, once, and its request is gone. */
__attribute__((unused)) static bool client_is_over(const struct client *c) {
    return c->ends + c->aborts > 0;
}

__attribute__((unused)) static bool client_got(const struct client *c, const char *text) {
    return peri_str_find(peri_buf_str(&c->got), peri_str_of(text)) >= 0;
}
__attribute__((unused)) static bool client_has(const struct client *c, const char *line) {
    return strstr(c->headers, line) != NULL;
}

/* ---- The providers ---- */

__attribute__((unused)) static void say_script(struct line *l, int request) {
    (void)request;
    line_send(l, l->up->script);
    line_close_after_writing(l);
}

/* ---- The environment ---- */

static struct rig *rig_of(struct peri_request_env *env) {
    return peri_list_entry(env, struct rig, env);
}

static void rig_refresh(struct peri_request_env *env) {
    struct rig *r = rig_of(env);
    if (r->next_fleet == NULL) return;
    peri_fleet_unref(env->fleet);
    env->fleet = r->next_fleet;
    r->next_fleet = NULL;
}

static void rig_slot_freed(struct peri_request_env *env) {
    rig_of(env)->freed++;
    rig_of(env)->is_freed = true;
}

static enum peri_err rig_refresh_networks(struct peri_request_env *env) {
    (void)env;
    return PERI_OK;
}

static const struct peri_request_env_ops rig_env_ops = { rig_refresh, rig_slot_freed,
                                                         rig_refresh_networks };

static void rig_on_turn(void *arg) { peri_request_env_sweep(&((struct rig *)arg)->env); }
static void rig_policy_free(struct peri_policy *p) { (void)p; }

static struct peri_config *rig_config(const char *json) {
    struct peri_arena tree;
    struct peri_node *root = NULL;
    struct peri_config *config = NULL;
    struct peri_fault_list faults = { .count = 0 };
    struct peri_options_context context = { .box = NULL };
    peri_arena_init(&tree, 0);
    enum peri_err err =
        peri_config_json_read(&root, &tree, peri_str_of(json), PERI_STR("test"), &faults);
    if (err == PERI_OK) err = peri_options_read(&config, root, &context, &faults);
    if (err != PERI_OK) {
        fprintf(stderr, "%s\n%s\n", json, peri_err_name(err));
        abort();
    }
    peri_arena_done(&tree);
    return config;
}

/* `settings`: members of the configuration, each with a comma in front; `a`: the same of provider a. */
static void rig_open(struct rig *r, const char *settings, const char *a,
                     const struct peri_policy_ops *policy) {
    struct peri_fault fault;
    char json[2048];
    memset(r, 0, sizeof *r);
    if (peri_loop_new(&r->outside) != PERI_OK || peri_loop_new(&r->env.loop) != PERI_OK) abort();
    upstream_open(&r->a, r->outside, SSE ROLE WORD STOP DONE);
    upstream_open(&r->b, r->outside, SSE ROLE WORD STOP DONE);
    r->a.answer = r->b.answer = say_script;
    snprintf(json, sizeof json,
             "{\"listen\":\"127.0.0.1:0\",\"log\":{\"level\":\"info\"}%s,\"providers\":["
             "{\"id\":\"a\",\"url\":\"%s\",\"tier\":1%s},"
             "{\"id\":\"b\",\"url\":\"%s\",\"tier\":2}]}",
             settings, r->a.url, a, r->b.url);
    peri_request_env_init(&r->env);
    r->env.ops = &rig_env_ops;
    r->env.clock = &peri_clock_real;
    r->env.waiting = &r->waiting;
    r->env.config = rig_config(json);
    peri_rand_seed(&r->env.rand, 1);
    r->log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    peri_logs_init(&r->env.logs, r->log_fd, r->env.config, &peri_clock_real);
    if (peri_vitals_table_new(&r->vitals) != PERI_OK) abort();
    if (peri_client_new(&r->env.client, r->env.loop, &(struct peri_client_options){ 0 }) != PERI_OK)
        abort();
    if (peri_fleet_new(&r->env.fleet, r->env.config, NULL, 0, NULL, r->vitals, 1, &fault) !=
        PERI_OK) {
        fprintf(stderr, "%s\n", fault.text);
        abort();
    }
    if (policy != NULL) {
        r->policy = (struct peri_policy){
            .ops = policy, .self = r, .free = rig_policy_free, .name = PERI_STR("test"), .refs = 1
        };
        r->env.policy = &r->policy;
    }
    peri_loop_use_fake_time(r->env.loop);
    peri_loop_on_turn(r->env.loop, &r->turn, rig_on_turn, r);
}

__attribute__((unused)) static unsigned rig_in_flight(struct rig *r, const char *id) {
    return atomic_load(&peri_fleet_provider(r->env.fleet, peri_str_of(id))->vitals->in_flight);
}

/* One turn of both loops; slots that were freed in it wake the queue. */
static void rig_step(struct rig *r) {
    long fails = test_fail_from;
    test_fail_from = -1;
    peri_loop_step(r->outside, false);
    test_fail_from = fails;
    peri_loop_step(r->env.loop, false);
    if (!r->is_freed) return;
    r->is_freed = false;
    peri_queue_wake(&r->env);
}

#define RIG_UNTIL(r, claim)                                                                        \
    do {                                                                                           \
        alarm(60);                                                                                 \
        while (!(claim)) rig_step(r);                                                              \
    } while (0)

/* Time passes, and what it brings. */
__attribute__((unused)) static void rig_pass(struct rig *r, uint64_t ms) {
    rig_step(r);
    peri_loop_advance(r->env.loop, ms);
    rig_step(r);
}

/* Whatever ended, nothing of it is left. */
static void rig_check_clean(struct rig *r) {
    CHECK_EQ(rig_in_flight(r, "a"), 0);
    CHECK_EQ(rig_in_flight(r, "b"), 0);
    CHECK_EQ(r->env.request_count, 0);
    CHECK_EQ(r->env.queued, 0);
    CHECK_EQ(atomic_load(&r->waiting), 0);
    CHECK_EQ(peri_client_open_calls(r->env.client), 0);
}

/* Whatever is still alive is abandoned. */
static void rig_done(struct rig *r) {
    peri_loop_off_turn(&r->turn);
    peri_request_env_done(&r->env);
    peri_client_free(r->env.client);
    peri_loop_free(r->env.loop);
    peri_logs_done(&r->env.logs);
    peri_vitals_table_free(r->vitals);
    close(r->log_fd);
    upstream_close(&r->a);
    upstream_close(&r->b);
    peri_loop_free(r->outside);
}

static void rig_close(struct rig *r) {
    rig_step(r);
    rig_check_clean(r);
    if (r->env.policy != NULL) CHECK_EQ(r->policy.refs, 1);
    rig_done(r);
}

/* The end of a client that asked: it was told once, and everything was given back. */
__attribute__((unused)) static void client_close(struct client *c) {
    rig_step(c->rig);
    CHECK_EQ(c->ends + c->aborts, 1);
    CHECK_EQ(c->releases, 1);
    peri_buf_done(&c->got);
}

#endif
