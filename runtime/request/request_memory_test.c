/* Requests that run out of memory, at every place where they can: for each scenario every allocation fails from the k-th
 * on, for each k until the request needs fewer. Whatever it meets, the request ends once; the client gets the whole answer,
 * or what it can tell from one; and every slot, place in the queue and reference is given back. */
#include "base/json_text.h"
#include "request/request_rig.h"

struct scenario;

struct run {
    struct rig rig;
    struct client client, other; /* other: holds the one slot, where the scenario has it so */
    const struct scenario *scenario;
    int steps;
};

struct scenario {
    const char *name, *settings, *a_settings, *body;
    const char *a, *b; /* what the providers say; NULL: nothing */
    const struct peri_policy_ops *policy;
    void (*at_step)(struct run *run);
    bool has_other;
    const char *whole; /* the answer when memory lasts; NULL: an error */
};

/* ---- Policies ---- */

static void by_hand_tried(void *arg, struct peri_attempt *a, enum peri_err err) {
    struct peri_request *r = arg;
    if (err == PERI_OK)
        peri_request_serve(r, a);
    else
        peri_request_reply(r, 503, PERI_STR("{\"error\":\"policy\"}"));
}

static void decide_by_hand(void *self, struct peri_request *r) {
    struct peri_attempt *a;
    (void)self;
    if (peri_request_try(&a, r, PERI_STR("a"), NULL, by_hand_tried, r) != PERI_OK)
        peri_request_reply(r, 503, PERI_STR("{\"error\":\"policy\"}"));
}

static enum peri_err shape(void *self, struct peri_request *r, struct peri_attempt *a) {
    (void)self;
    struct peri_json *body = peri_attempt_body(a);
    if (body == NULL) return PERI_ENOMEM;
    enum peri_err err =
        peri_json_set(body, peri_json_root(body), PERI_STR("extra"), PERI_STR("[1,2]"), NULL);
    if (err == PERI_OK) err = peri_attempt_set_header(a, PERI_STR("x-a"), PERI_STR("b"));
    if (err == PERI_OK) err = peri_attempt_set_answer_header(a, PERI_STR("x-c"), PERI_STR("d"));
    if (err == PERI_OK) err = peri_request_set_header(r, PERI_STR("x-e"), PERI_STR("f"));
    return err;
}

static enum peri_verdict replace_event(void *self, struct peri_request *r,
                                       const struct peri_event *e, struct peri_buf *out) {
    (void)self, (void)r;
    if (peri_event_add(out, e->name, e->data) != PERI_OK) return PERI_HOOK_BREAK;
    return PERI_HOOK_REPLACE;
}

static enum peri_verdict replace_answer(void *self, struct peri_request *r, struct peri_str json,
                                        struct peri_buf *out) {
    (void)self, (void)r;
    return peri_buf_add(out, json) == PERI_OK ? PERI_HOOK_REPLACE : PERI_HOOK_BREAK;
}

static enum peri_err refuse_sending(void *self, struct peri_request *r, struct peri_attempt *a) {
    (void)self, (void)r;
    return peri_attempt_refuse(a, 422, PERI_STR("not here"), PERI_STR("p"), PERI_STR("c"));
}

static enum peri_err fail_sending(void *self, struct peri_request *r, struct peri_attempt *a) {
    (void)self, (void)r, (void)a;
    return PERI_EPOLICY;
}

static void look_at_records(void *self, struct peri_request *r, const struct peri_outcome *o) {
    (void)self, (void)r;
    CHECK(o->tried_count == 0 || o->tried_count == o->attempts);
    for (size_t i = 0; i < o->tried_count; i++) CHECK(o->tried[i]->provider.n == 1);
}

static const struct peri_policy_ops editing = { .decide = decide_by_hand,
                                                .attempt = shape,
                                                .event = replace_event,
                                                .answer = replace_answer,
                                                .done = look_at_records };
static const struct peri_policy_ops refusing = { .attempt = refuse_sending };
static const struct peri_policy_ops failing = { .attempt = fail_sending };

/* ---- What happens meanwhile ---- */

static void leave_when_asked(struct run *run) {
    bool is_asked = run->rig.a.requests > 0 && run->client.request != NULL;
    if (is_asked) peri_request_abandon(run->client.request, PERI_ECANCELED);
}

static void leave_when_served(struct run *run) {
    if (run->client.got.n > 0 && run->client.request != NULL)
        peri_request_abandon(run->client.request, PERI_ECANCELED);
}

static void drain_when_full(struct run *run) {
    run->client.full_at = 1;
    if (run->client.request != NULL && run->steps % 3 == 0)
        peri_request_drained(run->client.request);
}

static void let_time_pass(struct run *run) {
    if (run->steps > 20) peri_loop_advance(run->rig.env.loop, 100);
}

static void stop_when_asked(struct run *run) {
    bool is_asked = run->rig.a.requests > 0 && run->client.request != NULL;
    if (is_asked) peri_request_stop(run->client.request);
}

/* ---- The scenarios ---- */

#define STREAM ROLE WORD STOP DONE

static const struct scenario scenarios[] = {
    { .name = "a whole answer", .body = ASK_WHOLE, .a = JSON COMPLETION, .whole = COMPLETION },
    { .name = "a stream", .body = ASK_STREAM, .a = SSE STREAM, .whole = STREAM },
    { .name = "a whole answer told as a stream", .body = ASK_STREAM, .a = JSON COMPLETION },
    { .name = "a stream that breaks off", .body = ASK_STREAM, .a = SSE ROLE WORD },
    { .name = "failing over",
      .body = ASK_STREAM,
      .a = REFUSAL("500 Oh"),
      .b = SSE STREAM,
      .whole = STREAM },
    { .name = "nobody answers",
      .body = ASK_WHOLE,
      .a = REFUSAL("500 Oh"),
      .b = REFUSAL("503 Later") },
    { .name = "refused as it is", .body = ASK_WHOLE, .a = REFUSAL("400 Bad") },
    { .name = "an error inside 200",
      .body = ASK_WHOLE,
      .a = JSON "{\"error\":{\"message\":\"no\",\"code\":400}}" },
    { .name = "the client leaves while a provider is asked",
      .body = ASK_STREAM,
      .at_step = leave_when_asked },
    { .name = "the client leaves while it is served",
      .body = ASK_STREAM,
      .a = SSE ROLE WORD,
      .at_step = leave_when_served },
    { .name = "the client is slow",
      .body = ASK_STREAM,
      .a = SSE STREAM,
      .at_step = drain_when_full,
      .whole = STREAM },
    { .name = "the deadline",
      .settings = ",\"timeouts\":{\"total\":\"1s\"}",
      .body = ASK_WHOLE,
      .at_step = let_time_pass },
    { .name = "no first token",
      .settings = ",\"timeouts\":{\"first_token\":\"1s\"}",
      .body = ASK_STREAM,
      .b = SSE STREAM,
      .at_step = let_time_pass,
      .whole = STREAM },
    { .name = "a keep-alive, then an error",
      .settings = ",\"keepalive\":\"500ms\",\"timeouts\":{\"total\":\"2s\"}",
      .body = ASK_STREAM,
      .at_step = let_time_pass },
    { .name = "the router stops", .body = ASK_STREAM, .at_step = stop_when_asked },
    { .name = "waiting for a slot in vain",
      .settings = ",\"queue\":{\"max\":4,\"wait\":\"1s\"}",
      .a_settings = ",\"max_concurrent\":1",
      .body = ASK_STREAM,
      .at_step = let_time_pass,
      .has_other = true },
    { .name = "a policy that edits, a stream",
      .body = ASK_STREAM,
      .a = SSE STREAM,
      .policy = &editing,
      .whole = STREAM },
    { .name = "a policy that edits, a whole answer",
      .body = ASK_WHOLE,
      .a = JSON COMPLETION,
      .policy = &editing,
      .whole = COMPLETION },
    { .name = "a hook that refuses", .body = ASK_WHOLE, .policy = &refusing },
    { .name = "a hook that fails", .body = ASK_WHOLE, .policy = &failing },
    { .name = "no JSON", .body = "{" },
    { .name = "no model", .body = "{\"model\":7}" },
};

/* ---- A run ---- */

static void run_open(struct run *run, const struct scenario *s) {
    *run = (struct run){ .scenario = s };
    rig_open(&run->rig, s->settings != NULL ? s->settings : "",
             s->a_settings != NULL ? s->a_settings : "", s->policy);
    run->rig.a.answer = s->a != NULL ? say_script : say_nothing;
    run->rig.b.answer = s->b != NULL ? say_script : say_nothing;
    if (s->a != NULL) run->rig.a.script = s->a;
    if (s->b != NULL) run->rig.b.script = s->b;
    run->client = client_of(&run->rig, s->body);
    run->other = client_of(&run->rig, s->body);
    if (!s->has_other) return;
    struct peri_fleet *f = run->rig.env.fleet; /* b is not there: a has the only slot */
    *(size_t *)&f->any.count = 1;
    client_ask(&run->other);
    RIG_UNTIL(&run->rig, run->rig.a.requests == 1);
}

static bool is_json(struct peri_str text) {
    return peri_json_scan(NULL, text, NULL, 0, NULL) == PERI_OK;
}

/* Whole frames, each with JSON but for comments and the end. */
static bool is_frames(struct peri_str text) {
    struct peri_str line;
    if (text.n < 2 || memcmp(text.p + text.n - 2, "\n\n", 2) != 0) return false;
    while (peri_str_cut(&line, &text, '\n')) {
        if (line.n == 0 || line.p[0] == ':') continue;
        if (!peri_str_has_prefix(line, PERI_STR("data: "))) return false;
        line = peri_str_from(line, 6);
        if (!peri_str_eq(line, PERI_STR(PERI_STREAM_END)) && !is_json(line)) return false;
    }
    return true;
}

/* What a client makes of it: the whole answer, an error, or a connection that broke. */
static void check_client(const struct client *c, bool has_memory) {
    const struct run *run = (const struct run *)(const void *)c->rig;
    const struct scenario *s = run->scenario;
    struct peri_str got = peri_buf_str(&c->got);
    bool is_stream = strstr(c->headers, "text/event-stream") != NULL;
    CHECK_EQ(c->ends + c->aborts, 1);
    if (c->ends == 1) {
        CHECK_EQ(c->heads, 1);
        CHECK(is_stream ? is_frames(got) : is_json(got));
        bool is_error = client_got(c, "\"error\":");
        bool is_whole = is_stream ? client_got(c, DONE) : c->status == 200;
        CHECK(is_error != is_whole);
        CHECK(!client_got(c, "\"message\":\"\""));
        if (is_whole && s->whole != NULL) CHECK_STR(got, s->whole);
    }
    if (has_memory && s->whole != NULL) CHECK_STR(got, s->whole);
}

static void run_scenario(const struct scenario *s) {
    long runs = 0;
    TEST_EACH_FAILING_ALLOCATION {
        struct run run;
        long fails = test_fail_from;
        int before = test_failures;
        test_fail_from = -1;
        run_open(&run, s);
        test_fail_from = fails;
        client_ask(&run.client);
        for (run.steps = 1; run.steps < 400 && !client_is_over(&run.client); run.steps++) {
            rig_step(&run.rig);
            if (s->at_step != NULL) s->at_step(&run);
            if (run.steps > 300) peri_loop_advance(run.rig.env.loop, 1000);
        }
        long needed = test_allocations;
        test_fail_from = -1;
        CHECK(client_is_over(&run.client));
        if (run.client.request != NULL) peri_request_abandon(run.client.request, PERI_ECANCELED);
        if (run.other.request != NULL) peri_request_abandon(run.other.request, PERI_ECANCELED);
        rig_step(&run.rig);
        check_client(&run.client, test_torture_done);
        CHECK_EQ(run.client.releases, 1);
        peri_buf_done(&run.client.got);
        peri_buf_done(&run.other.got);
        rig_close(&run.rig);
        if (test_failures > before) {
            fprintf(stderr, "%s, from allocation %ld on: status %d, %d heads, \"%s\"\n", s->name,
                    fails, run.client.status, run.client.heads, run.client.headers);
            return;
        }
        test_allocations = needed;
        runs++;
    }
    printf("%ld runs: %s\n", runs, s->name);
    CHECK(runs > 1);
}

TEST(request_ends_cleanly_whatever_allocation_fails) {
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) run_scenario(&scenarios[i]);
}
