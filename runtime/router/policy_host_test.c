/* Policies in C, through a whole router that the test turns: what perilune.h promises them. */
#include "router/rig_test.h"

#define ASK                                                                                        \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"caf\\u00e9\"}], \"n\": 1.0}"
#define STREAM "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"
#define WHOLE                                                                                      \
    "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}"
#define JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" WHOLE

static bool says(const char *text, const char *what) { return strstr(text, what) != NULL; }

static bool got_says(const struct rig *r, const char *what) {
    return peri_str_find(peri_buf_str(&r->got), peri_str_of(what)) >= 0;
}

static void ask(struct rig *r, const char *body) {
    CHECK_EQ(rig_send(r, body), PERI_OK);
    RIG_UNTIL(r, r->ends > 0);
    CHECK_EQ(r->ends, 1);
}

/* ---- The request and the attempt ---- */

static void decide_edited(void *self, struct peri_request *r) {
    struct peri_json *body = peri_request_body(r);
    uint32_t root = peri_json_root(body),
             messages = peri_json_get(body, root, PERI_STR("messages"));
    (void)self;
    CHECK_STR(peri_request_endpoint(r), "chat");
    CHECK_EQ(peri_json_kind(body, messages), PERI_JSON_ARRAY);
    CHECK_EQ(peri_json_count(body, messages), 1);
    uint32_t first = peri_json_at(body, messages, 0);
    CHECK_STR(peri_json_string_view(body, peri_json_get(body, first, PERI_STR("content"))),
              "caf\xc3\xa9");
    CHECK_EQ(peri_json_set_int(body, root, PERI_STR("max_tokens"), 7), PERI_OK);
    CHECK_EQ(peri_json_insert(body, messages, 0, PERI_STR("{\"role\":\"system\"}"), NULL), PERI_OK);
    CHECK_EQ(peri_json_set(body, root, PERI_STR("n"), PERI_STR("{"), NULL), PERI_EMALFORMED);
    CHECK_EQ(peri_request_set_header(r, PERI_STR("x-seen"), PERI_STR("yes")), PERI_OK);
    CHECK_EQ(peri_request_set_header(r, PERI_STR("x-request-id"), PERI_STR("1")), PERI_EINVAL);
    CHECK_EQ(peri_request_set_header(r, PERI_STR("x-a"), PERI_STR("1\r\nx-b: 2")), PERI_EINVAL);
    CHECK_EQ(peri_request_set_model(r, PERI_STR("m\n")), PERI_EINVAL);
    peri_request_default(r);
}

static enum peri_err shape(void *self, struct peri_request *r, struct peri_attempt *a) {
    struct peri_json *body = peri_attempt_body(a);
    (void)self, (void)r;
    if (body == NULL) return PERI_ENOMEM;
    CHECK_STR(peri_attempt_upstream_model(a), "m");
    peri_json_set_string(body, peri_json_root(body), PERI_STR("user"), peri_attempt_provider(a));
    CHECK_EQ(peri_attempt_set_header(a, PERI_STR("x-tenant"), PERI_STR("blue")), PERI_OK);
    CHECK_EQ(peri_attempt_set_header(a, PERI_STR("content-length"), PERI_STR("1")), PERI_EINVAL);
    CHECK_EQ(peri_attempt_set_answer_header(a, PERI_STR("x-from"), peri_attempt_provider(a)),
             PERI_OK);
    return PERI_OK;
}

static bool has_header(const struct rig *r, const char *line) { return says(r->headers, line); }

TEST(policy_host_edits_what_is_sent_and_the_rest_stays_as_it_came) {
    static const struct peri_policy_ops ops = { .decide = decide_edited, .attempt = shape };
    struct rig r;
    rig_open(&r, "", "", &ops);
    r.b.script = r.a.script = JSON;
    r.a.script = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    ask(&r, ASK);
    CHECK_EQ(r.status, 200);
    CHECK(says(r.a.head, "\"user\":\"a\""));
    CHECK(says(r.b.head, "x-tenant: blue\r\n"));
    CHECK(says(r.b.head,
               "{\"model\":\"m\",\"messages\":[{\"role\":\"system\"},{\"role\":\"user\","
               "\"content\":\"caf\\u00e9\"}], \"n\": 1.0,\"max_tokens\":7,\"user\":\"b\"}"));
    CHECK(has_header(&r, "x-seen: yes\n"));
    CHECK(has_header(&r, "x-from: b\n"));
    CHECK(!has_header(&r, "x-from: a\n"));
    rig_close(&r);
}

static enum peri_err make_a_stream_of_it(void *self, struct peri_request *r,
                                         struct peri_attempt *a) {
    struct peri_json *body = peri_attempt_body(a);
    (void)self, (void)r;
    return peri_json_set(body, peri_json_root(body), PERI_STR("stream"), PERI_STR("true"), NULL);
}

TEST(policy_host_can_not_change_whether_the_answer_is_streamed) {
    static const struct peri_policy_ops ops = { .attempt = make_a_stream_of_it };
    struct rig r;
    rig_open(&r, "", "", &ops);
    ask(&r, ASK);
    CHECK_EQ(r.status, 500);
    CHECK(got_says(&r, "policy_failed"));
    CHECK_EQ(r.a.requests + r.b.requests, 0);
    rig_step(&r);
    rig_close(&r);
}

static enum peri_err refuse_first(void *self, struct peri_request *r, struct peri_attempt *a) {
    bool *refuses_all = self;
    (void)r;
    if (!*refuses_all && !peri_str_eq(peri_attempt_provider(a), PERI_STR("a"))) return PERI_OK;
    CHECK_EQ(peri_attempt_refuse(a, 200, PERI_STR("no"), PERI_STR(""), PERI_STR("")), PERI_EINVAL);
    return peri_attempt_refuse(a, 422, PERI_STR("not \"here\""), PERI_STR("messages"),
                               PERI_STR("unsupported"));
}

TEST(policy_host_refuses_one_provider_and_another_is_asked) {
    static const struct peri_policy_ops ops = { .attempt = refuse_first };
    bool refuses_all = false;
    struct rig r;
    rig_open_with(&r, "", "", &ops, &refuses_all);
    r.b.script = JSON;
    ask(&r, ASK);
    CHECK_EQ(r.status, 200);
    CHECK_EQ(r.a.requests, 0);
    refuses_all = true;
    ask(&r, ASK);
    CHECK_EQ(r.status, 422);
    CHECK_STR(peri_buf_str(&r.got),
              "{\"error\":{\"message\":\"not \\\"here\\\"\",\"type\":\"invalid_request_error\","
              "\"param\":\"messages\",\"code\":\"unsupported\"}}");
    rig_step(&r);
    rig_close(&r);
}

/* ---- Providers ---- */

static void decide_by_what_is_known(void *self, struct peri_request *r) {
    struct peri_provider_info info = { .size = sizeof info };
    int *asked = self;
    ++*asked;
    CHECK_EQ(peri_request_provider(&info, r, PERI_STR("a")), PERI_OK);
    CHECK_STR(info.id, "a");
    CHECK_EQ(info.tier, 1);
    CHECK_EQ(info.max_concurrent, 3);
    CHECK_EQ(info.in_flight, 0);
    CHECK(info.is_healthy);
    CHECK(info.is_admissible);
    CHECK_EQ(info.succeeded, *asked == 1 ? 0 : 1);
    CHECK_STR(info.upstream_model, "m");
    CHECK_EQ(peri_request_provider(&info, r, PERI_STR("nobody")), PERI_ENOTFOUND);
    /* A program that was built when there were fewer fields has no room for the others. */
    char after[64];
    memset(&info, 'x', sizeof info);
    memcpy(after, &info.network, sizeof after);
    info.size = offsetof(struct peri_provider_info, network);
    CHECK_EQ(peri_request_provider(&info, r, PERI_STR("a")), PERI_OK);
    CHECK_STR(info.id, "a");
    CHECK(memcmp(after, &info.network, sizeof after) == 0);
    info.size = sizeof info + 1;
    CHECK_EQ(peri_request_provider(&info, r, PERI_STR("a")), PERI_EINVAL);
    peri_request_default(r);
}

TEST(policy_host_reads_what_is_known_of_a_provider) {
    static const struct peri_policy_ops ops = { .decide = decide_by_what_is_known };
    int asked = 0;
    struct rig r;
    rig_open_with(&r, "", ",\"max_concurrent\":3", &ops, &asked);
    ask(&r, STREAM);
    rig_step(&r);
    ask(&r, STREAM);
    CHECK_EQ(asked, 2);
    rig_step(&r);
    rig_close(&r);
}

/* ---- Events and answers ---- */

static enum peri_verdict shout(void *self, struct peri_request *r, const struct peri_event *e,
                               struct peri_buf *out) {
    struct peri_json *j;
    (void)self, (void)r;
    if (peri_str_find(e->data, PERI_STR("\"hi\"")) < 0) return PERI_HOOK_KEEP;
    if (peri_json_read(&j, e->data, NULL) != PERI_OK) return PERI_HOOK_BREAK;
    uint32_t choice = peri_json_at(j, peri_json_get(j, peri_json_root(j), PERI_STR("choices")), 0);
    uint32_t delta = peri_json_get(j, choice, PERI_STR("delta"));
    enum peri_err err = peri_json_set_string(j, delta, PERI_STR("content"), PERI_STR("HI"));
    if (err == PERI_OK) err = peri_event_add_json(out, e->name, j);
    if (err == PERI_OK) err = peri_event_add(out, PERI_STR(""), PERI_STR("{\"choices\":[]}"));
    peri_json_free(j);
    return err == PERI_OK ? PERI_HOOK_REPLACE : PERI_HOOK_BREAK;
}

TEST(policy_host_edits_an_event_whose_data_stands_on_several_lines) {
    static const struct peri_policy_ops ops = { .event = shout };
    struct rig r;
    rig_open(&r, "", "", &ops);
    r.a.script =
        SSE ROLE "event: chunk\ndata: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":"
                 "\"hi\"}}]}\n\n" STOP DONE;
    ask(&r, STREAM);
    CHECK_EQ(r.err, PERI_OK);
    CHECK_STR(peri_buf_str(&r.got),
              ROLE "event: chunk\ndata: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":"
                   "\"HI\"}}]}\n\ndata: {\"choices\":[]}\n\n" STOP DONE);
    rig_step(&r);
    rig_close(&r);
}

/* Writes more than there is room for, and does not look whether it worked. */
static enum peri_verdict flood(void *self, struct peri_request *r, const struct peri_event *e,
                               struct peri_buf *out) {
    static char mebibyte[1 << 20];
    (void)self, (void)r, (void)e;
    memset(mebibyte, 'x', sizeof mebibyte);
    for (int i = 0; i < 9; i++) peri_buf_add(out, (struct peri_str){ mebibyte, sizeof mebibyte });
    return PERI_HOOK_REPLACE;
}

static enum peri_verdict flood_answer(void *self, struct peri_request *r, struct peri_str json,
                                      struct peri_buf *out) {
    (void)json;
    while (flood(self, r, NULL, out), peri_buf_add(out, PERI_STR("x")) == PERI_OK) continue;
    return PERI_HOOK_REPLACE;
}

TEST(policy_host_that_writes_too_much_breaks_the_answer_and_no_half_of_it_is_sent) {
    static const struct peri_policy_ops ops = { .event = flood, .answer = flood_answer };
    struct rig r;
    rig_open(&r, ",\"limits\":{\"answer_bytes\":\"8MiB\"}", "", &ops);
    ask(&r, STREAM);
    CHECK_EQ(r.status, 502);
    CHECK(!got_says(&r, "xxx"));
    r.a.script = r.b.script = JSON;
    ask(&r, ASK);
    CHECK_EQ(r.status, 502);
    CHECK(!got_says(&r, "xxx"));
    rig_step(&r);
    rig_close(&r);
}

/* ---- What it remembers ---- */

struct memory {
    int met, done, forgotten;
};

static enum peri_err meet(void *self, struct peri_request *r, struct peri_attempt *a) {
    struct memory *m = self;
    (void)a;
    CHECK(peri_request_user(r) == NULL);
    peri_request_set_user(r, &m->met);
    m->met++;
    return PERI_OK;
}

static void note_done(void *self, struct peri_request *r, const struct peri_outcome *o) {
    struct memory *m = self;
    CHECK_EQ(o->err, PERI_OK);
    CHECK(peri_request_user(r) == &m->met);
    m->done++;
}

static void forget(void *self, struct peri_request *r) {
    struct memory *m = self;
    CHECK(peri_request_user(r) == &m->met);
    m->forgotten++;
}

TEST(policy_host_is_told_to_forget_what_it_remembered) {
    static const struct peri_policy_ops ops = { .attempt = meet,
                                                .done = note_done,
                                                .forget = forget };
    struct memory m = { 0 };
    struct rig r;
    rig_open_with(&r, "", "", &ops, &m);
    ask(&r, STREAM);
    CHECK_EQ(m.met, 1);
    CHECK_EQ(m.done, 1);
    CHECK_EQ(m.forgotten, 1);
    rig_step(&r);
    rig_close(&r);
}

/* ---- Memory ---- */

static enum peri_err shape_or_fail(void *self, struct peri_request *r, struct peri_attempt *a) {
    struct peri_json *body = peri_attempt_body(a);
    (void)self;
    if (body == NULL) return PERI_ENOMEM;
    enum peri_err err =
        peri_json_set_string(body, peri_json_root(body), PERI_STR("user"), peri_request_id(r));
    if (err == PERI_OK) err = peri_attempt_set_header(a, PERI_STR("x-t"), PERI_STR("blue"));
    if (err == PERI_OK) err = peri_attempt_set_answer_header(a, PERI_STR("x-f"), PERI_STR("a"));
    return err;
}

TEST(policy_host_out_of_memory_gets_errors_and_the_request_ends) {
    static const struct peri_policy_ops ops = { .attempt = shape_or_fail, .event = shout };
    struct rig r;
    rig_open(&r, "", "", &ops);
    for (int i = 0; i < 2; i++) { /* connections and spare memory first */
        ask(&r, STREAM);
        rig_step(&r);
    }
    TEST_EACH_FAILING_ALLOCATION {
        peri_vitals_reset(peri_fleet_provider(r.worker->env.fleet, PERI_STR("a"))->vitals);
        peri_vitals_reset(peri_fleet_provider(r.worker->env.fleet, PERI_STR("b"))->vitals);
        enum peri_err err = rig_send(&r, STREAM);
        for (int turns = 1; err == PERI_OK && r.ends == 0 && turns <= 2000; turns++) {
            rig_step(&r);
            if (turns % 100 == 0) peri_loop_advance(r.worker->env.loop, 1000);
        }
        if (err == PERI_OK) CHECK_EQ(r.ends, 1);
        rig_step(&r);
        CHECK_EQ(in_flight(&r, "a") + in_flight(&r, "b"), 0);
        CHECK_EQ(r.worker->env.request_count, 0);
    }
    CHECK_EQ(r.err, PERI_OK);
    CHECK(got_says(&r, "\"HI\""));
    rig_close(&r);
}
