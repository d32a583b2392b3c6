#include "request/request_rig.h"

/* What a policy saw of the one request that was admitted. */
struct admitted {
    int count;
    char model[64];
    bool is_stream;
};

static void note_admitted(void *self, struct peri_request *r) {
    struct admitted *seen = self;
    struct peri_str model = peri_request_model(r);
    seen->count++;
    seen->is_stream = peri_request_is_stream(r);
    snprintf(seen->model, sizeof seen->model, "%.*s", PERI_STR_ARGS(model));
    peri_request_reply(r, 200, PERI_STR("{\"admitted\":true}"));
}

static const struct peri_policy_ops noting = { .decide = note_admitted };

/* Ask once.
 *   dialect   NULL: chat */
static struct admitted ask(struct client *c, struct rig *r, const char *settings, const char *a,
                           const struct peri_dialect *dialect, const char *body) {
    struct admitted seen = { 0 };
    rig_open(r, settings, a, &noting);
    r->policy.self = &seen;
    *c = client_of(r, body);
    peri_request_begin_direct(&c->request, &r->env, dialect != NULL ? dialect : &peri_dialect_chat,
                              peri_str_of(body), (struct peri_sink){ &client_ops, c },
                              client_release);
    CHECK(c->request == NULL); /* it was over before that returned */
    client_close(c);
    CHECK_EQ(r->a.requests + r->b.requests, 0);
    rig_close(r);
    return seen;
}

TEST(admission_refuses_what_is_no_request) {
    static const struct {
        const char *body, *says;
    } cases[] = {
        { "", "invalid_json" },
        { "{", "invalid_json" },
        { "{\"model\":\"m\",}", "invalid_json" },
        { "{\"model\":\"m\"} x", "invalid_json" },
        { "{\"model\":\"m\",\"model\":\"n\"}", "invalid_json" },
        { "{\"model\":\"m\",\"messages\":[],\"messages\":[]}", "invalid_json" },
        { "{\"model\":\"m\",\"tools\":[],\"\\u0074ools\":[]}", "invalid_json" },
        { "[]", "invalid_type" },
        { "\"m\"", "invalid_type" },
        { "null", "invalid_type" },
        { "{\"model\":7}", "invalid_type" },
        { "{\"model\":null,\"stream\":1}", "invalid_type" },
        { "{\"model\":\"m\",\"stream\":\"yes\"}", "invalid_type" },
        { "{}", "model_required" },
        { "{\"model\":\"\"}", "model_required" },
        { "{\"model\":\"a\\u0000b\"}", "invalid_model" },
        { "{\"model\":\"a\\nb\"}", "invalid_model" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r;
        struct client c;
        rig_open(&r, "", "", &noting);
        c = client_of(&r, cases[i].body);
        struct admitted seen = { 0 };
        r.policy.self = &seen;
        client_ask(&c);
        if (!client_got(&c, cases[i].says)) printf("case %zu: %.*s\n", i, (int)c.got.n, c.got.p);
        CHECK(client_got(&c, cases[i].says));
        CHECK_EQ(c.status, 400);
        CHECK_EQ(seen.count, 0);
        CHECK(client_got(&c, "\"param\":"));
        client_close(&c);
        rig_close(&r);
    }
}

TEST(admission_finds_the_model_as_it_is_listed) {
    static const struct {
        const char *settings, *a, *body, *model;
    } cases[] = {
        { "", "", "{\"model\":\"m\"}", "m" },
        { "", ",\"models\":[\"Vendor/Big\"]", "{\"model\":\"vendor/big\"}", "Vendor/Big" },
        { "", ",\"models\":[\"Vendor/Big\"]", "{\"model\":\"auto\"}", "Vendor/Big" },
        { ",\"default_model\":\"d\"", "", "{}", "d" },
        { ",\"default_model\":\"d\"", "", "{\"model\":null}", NULL },
        { ",\"default_model\":\"d\"", "", "{\"model\":\"placeholder\"}", "d" },
        { ",\"default_model\":\"d\"", "", "{\"model\":\"m\"}", "m" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r;
        struct client c;
        struct admitted seen = ask(&c, &r, cases[i].settings, cases[i].a, NULL, cases[i].body);
        CHECK_EQ(seen.count, cases[i].model != NULL);
        if (cases[i].model == NULL) continue;
        CHECK_STR(peri_str_of(seen.model), cases[i].model);
        CHECK(!seen.is_stream);
        CHECK_EQ(c.status, 200);
    }
}

TEST(admission_reads_stream_where_the_dialect_has_streams) {
    static const char body[] = "{\"model\":\"m\",\"stream\":true}";
    struct rig r;
    struct client c;
    CHECK(ask(&c, &r, "", "", &peri_dialect_chat, body).is_stream);
    CHECK(ask(&c, &r, "", "", &peri_dialect_completions, body).is_stream);
    CHECK(!ask(&c, &r, "", "", &peri_dialect_embeddings, body).is_stream);
    CHECK(!ask(&c, &r, "", "", NULL, "{\"model\":\"m\",\"stream\":null}").is_stream);
}

/* Each dialect has members of its own whose second occurrence is refused; those of the others are the provider's to judge. */
TEST(admission_refuses_a_second_member_that_the_dialect_reads) {
    static const struct {
        const char *body;
        bool is_refused_by[PERI_DIALECT_COUNT];
    } cases[] = {
        { "{\"model\":\"m\",\"prompt\":\"a\",\"prompt\":\"b\"}", { false, true, false } },
        { "{\"model\":\"m\",\"input\":\"a\",\"input\":\"b\"}", { false, false, true } },
        { "{\"model\":\"m\",\"messages\":[],\"messages\":[]}", { true, false, false } },
        { "{\"model\":\"m\",\"user\":\"a\",\"user\":\"b\"}", { false, false, false } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t d = 0; d < PERI_DIALECT_COUNT; d++) {
            struct rig r;
            struct client c;
            struct admitted seen =
                ask(&c, &r, "", "", peri_dialect((enum peri_dialect_id)d), cases[i].body);
            CHECK_EQ(seen.count, !cases[i].is_refused_by[d]);
        }
}

/* Providers that list their models, so that some model is nobody's. */
static void open_listed(struct rig *r) {
    rig_open(r, ",\"queue\":{\"max\":2}", ",\"models\":[\"m\"]", &noting);
    struct peri_fleet *f = r->env.fleet; /* only b takes everything */
    f->any = (struct peri_candidates){ 0 };
}

TEST(admission_says_that_nobody_serves_a_model) {
    struct rig r;
    struct admitted seen = { 0 };
    open_listed(&r);
    r.policy.self = &seen;
    struct client c = client_of(&r, "{\"model\":\"other\"}");
    client_ask(&c);
    CHECK_EQ(c.status, 404);
    CHECK(client_got(&c, "model_not_found"));
    CHECK(client_got(&c, "\"param\":\"model\""));
    CHECK_EQ(seen.count, 0);
    client_close(&c);
    rig_close(&r);
}

/* A network's hosts are not known yet: the model may be theirs. */
static void await_hosts(struct rig *r, uint64_t ms) {
    open_listed(r);
    r->env.fleet->pending_until_ms = peri_loop_now_ms(r->env.loop) + ms;
}

TEST(admission_waits_for_a_networks_hosts_as_long_as_that_is_reasonable) {
    struct rig r;
    struct admitted seen = { 0 };
    await_hosts(&r, 500);
    r.policy.self = &seen;
    struct client c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = client_of(&r, "{\"model\":\"other\"}");
        client_ask(&c[i]);
    }
    CHECK_EQ(r.env.queued, 2); /* `queue.max` */
    CHECK_EQ(c[2].status, 503);
    CHECK(client_got(&c[2], "discovery_under_way"));
    rig_pass(&r, 499);
    CHECK_EQ(c[0].status, 0);
    rig_pass(&r, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(c[i].status, 503);
        CHECK(client_has(&c[i], "retry-after: 2\n"));
        client_close(&c[i]);
    }
    CHECK_EQ(seen.count, 0);
    rig_close(&r);
}

TEST(admission_goes_on_with_the_fleet_that_has_the_model) {
    struct rig r;
    struct admitted seen = { 0 };
    struct peri_fault fault;
    await_hosts(&r, 60000);
    r.policy.self = &seen;
    struct client c = client_of(&r, "{\"model\":\"other\"}");
    client_ask(&c);
    CHECK_EQ(r.env.queued, 1);
    peri_queue_wake(&r.env); /* the same fleet: it waits on */
    CHECK_EQ(r.env.queued, 1);
    CHECK_EQ(peri_fleet_new(&r.next_fleet, r.env.config, NULL, 0, NULL, r.vitals, 2, &fault),
             PERI_OK);
    rig_refresh(&r.env);
    peri_queue_wake(&r.env);
    CHECK_EQ(seen.count, 1);
    CHECK_STR(peri_str_of(seen.model), "other");
    CHECK_EQ(c.status, 200);
    client_close(&c);
    rig_close(&r);
}

TEST(admission_of_a_client_that_leaves_while_it_waits_leaves_no_place_behind) {
    struct rig r;
    struct admitted seen = { 0 };
    await_hosts(&r, 60000);
    r.policy.self = &seen;
    struct client c = client_of(&r, "{\"model\":\"other\"}");
    client_ask(&c);
    peri_request_abandon(c.request, PERI_ECANCELED);
    CHECK_EQ(r.env.queued, 0);
    client_close(&c);
    CHECK_EQ(c.aborts, 1);
    rig_close(&r);
}
