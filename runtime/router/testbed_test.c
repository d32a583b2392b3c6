/* The bed itself: what is under way when it goes, and that time stands still. */
#include "router/testbed.h"

#include "base/test.h"
#include "net/server/server.h"

#define WHOLE                                                                                      \
    "{\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":"          \
    "{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}"
#define CONFIG                                                                                     \
    "{\"providers\":[{\"id\":\"a\",\"discover_models\":false,\"url\":\"http://192.0.2.1:1/"        \
    "v1\"}],\"log\":{\"level\":\"info\"}}"

#define LIST "{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\"}]}"
#define FOLLOWED                                                                                   \
    "{\"providers\":[{\"id\":\"a\",\"url\":\"http://192.0.2.1:1/v1\",\"discover_models\":true,"    \
    "\"discover_interval\":\"60s\"}],\"admin\":{\"listen\":\"127.0.0.1:0\"},\"seed\":1}"

struct rig {
    struct peri_testbed *bed;
    struct peri_buf got;
    uint64_t asked, due;
    int dials, requests, gone, heads, dones, dues, status;
    bool must_answer, must_refuse;
    int lists; /* of models that were read */
};

static bool on_event(void *arg, const struct peri_bed_event *e) {
    static const struct peri_header json[] = { { PERI_STR_INIT("content-type"),
                                                 PERI_STR_INIT("application/json") } };
    struct rig *r = arg;
    switch (e->kind) {
    case PERI_BED_DIAL:
        r->dials++;
        CHECK_EQ(e->port, 1);
        CHECK(e->peer.n > 0);
        return !r->must_refuse;
    case PERI_BED_REQUEST:
        r->requests++;
        if (peri_str_eq(peri_exchange_path(e->exchange), PERI_STR("/v1/models"))) {
            r->lists++;
            peri_testbed_ended(r->bed, e->id);
            peri_exchange_answer(e->exchange, 200, json, 1, PERI_STR(LIST));
            break;
        }
        CHECK(e->exchange == peri_testbed_exchange(r->bed, e->id));
        if (r->must_answer) {
            peri_testbed_ended(r->bed, e->id);
            peri_exchange_answer(e->exchange, 200, json, 1, PERI_STR(WHOLE));
        }
        break;
    case PERI_BED_GONE: r->gone++; break;
    case PERI_BED_HEAD:
        r->heads++;
        r->status = e->status;
        break;
    case PERI_BED_BYTES: peri_buf_add(&r->got, e->bytes); break;
    case PERI_BED_DONE:
        r->dones++;
        CHECK_EQ(e->id, r->asked);
        break;
    case PERI_BED_DUE:
        r->dues++;
        CHECK_EQ(e->id, r->due);
        break;
    }
    return false;
}

static void rig_open_with(struct rig *r, const char *config) {
    struct peri_fault fault;
    *r = (struct rig){ .must_answer = true };
    peri_buf_init(&r->got, 0);
    if (peri_testbed_new(&r->bed, config, on_event, r, &fault) != PERI_OK) {
        fprintf(stderr, "%s\n", fault.text);
        abort();
    }
}

static void rig_open(struct rig *r) { rig_open_with(r, CONFIG); }

static void rig_close(struct rig *r) {
    peri_testbed_free(r->bed);
    peri_buf_done(&r->got);
}

static void ask(struct rig *r) {
    static const struct peri_header json[] = { { PERI_STR_INIT("content-type"),
                                                 PERI_STR_INIT("application/json") } };
    CHECK_EQ(peri_testbed_ask(r->bed, &r->asked, PERI_STR("POST"), PERI_STR("/v1/chat/completions"),
                              PERI_STR("{\"model\":\"m\",\"messages\":[]}"), json, 1),
             PERI_OK);
    peri_testbed_settle(r->bed);
}

TEST(testbed_routes_a_request_while_time_stands_still) {
    struct rig r;
    struct peri_buf log;
    rig_open(&r);
    ask(&r);
    CHECK_EQ(r.dones, 1);
    CHECK_EQ(r.status, 200);
    CHECK_STR(peri_buf_str(&r.got), WHOLE);
    CHECK_EQ(r.dials, 1);
    CHECK_EQ(r.gone, 0);
    CHECK_EQ(peri_testbed_now_ms(r.bed), 0);
    peri_buf_init(&log, 0);
    CHECK_EQ(peri_testbed_log(r.bed, &log), PERI_OK);
    peri_buf_add_char(&log, '\0');
    CHECK(strstr(log.p, "{\"ts\":\"2026-01-01T00:00:00.000Z\"") == log.p);
    CHECK(strstr(log.p, "\"provider\":\"a\"") != NULL);
    peri_buf_done(&log);
    rig_close(&r);
}

TEST(testbed_tells_the_router_that_nobody_answers) {
    struct rig r;
    rig_open(&r);
    r.must_refuse = true;
    ask(&r);
    CHECK_EQ(r.dones, 0); /* it is tried again in a while */
    peri_testbed_advance(r.bed, 2000);
    CHECK_EQ(r.dones, 1);
    CHECK_EQ(r.requests, 0);
    CHECK(r.status >= 500);
    rig_close(&r);
}

TEST(testbed_moves_time_to_the_router_s_own_limits) {
    struct rig r;
    rig_open(&r);
    r.must_answer = false;
    ask(&r);
    CHECK_EQ(r.requests, 1);
    CHECK_EQ(r.dones, 0);
    while (r.dones == 0) peri_testbed_advance(r.bed, peri_testbed_next_ms(r.bed));
    CHECK_EQ(r.gone, 1);
    CHECK_EQ(r.status, 504);
    CHECK(peri_testbed_now_ms(r.bed) >= 10000);
    rig_close(&r);
}

TEST(testbed_fires_what_was_set_when_its_time_has_come) {
    struct rig r;
    rig_open(&r);
    CHECK_EQ(peri_testbed_after(r.bed, &r.due, 50), PERI_OK);
    peri_testbed_advance(r.bed, 49);
    CHECK_EQ(r.dues, 0);
    peri_testbed_advance(r.bed, 1);
    CHECK_EQ(r.dues, 1);
    CHECK_EQ(peri_testbed_now_ms(r.bed), 50);
    rig_close(&r);
}

TEST(testbed_lets_a_client_leave) {
    struct rig r;
    rig_open(&r);
    r.must_answer = false;
    ask(&r);
    peri_testbed_hang_up(r.bed, r.asked);
    peri_testbed_hang_up(r.bed, r.asked);
    peri_testbed_settle(r.bed);
    CHECK_EQ(r.gone, 1);
    CHECK_EQ(r.dones, 0);
    rig_close(&r);
}

TEST(testbed_has_lists_of_models_read_while_its_time_passes) {
    struct rig r;
    rig_open_with(&r, FOLLOWED);
    CHECK_EQ(r.lists, 0);
    peri_testbed_settle(r.bed);
    CHECK_EQ(r.lists, 1);
    peri_testbed_advance(r.bed, 50000);
    CHECK_EQ(r.lists, 1);
    peri_testbed_advance(r.bed, 600000);
    CHECK(r.lists >= 10 && r.lists <= 13); /* the interval, give or take its jitter */
    ask(&r);
    CHECK_EQ(r.status, 200);
    rig_close(&r);
}

TEST(testbed_lets_the_operator_ask) {
    struct rig r;
    rig_open_with(&r, FOLLOWED);
    CHECK_EQ(peri_testbed_ask(r.bed, &r.asked, PERI_STR("GET"), PERI_STR("/admin/networks"),
                              PERI_STR(""), NULL, 0),
             PERI_OK);
    peri_testbed_settle(r.bed);
    CHECK_EQ(r.status, 200);
    CHECK_STR(peri_buf_str(&r.got), "{\"object\":\"list\",\"data\":[]}");
    rig_close(&r);
    rig_open(&r); /* no admin API is configured */
    CHECK_EQ(peri_testbed_ask(r.bed, &r.asked, PERI_STR("GET"), PERI_STR("/admin/networks"),
                              PERI_STR(""), NULL, 0),
             PERI_OK);
    peri_testbed_settle(r.bed);
    CHECK_EQ(r.dones, 1);
    CHECK_EQ(r.status, 0);
    rig_close(&r);
}

TEST(testbed_goes_while_everything_is_under_way) {
    struct rig r;
    rig_open(&r);
    r.must_answer = false;
    CHECK_EQ(peri_testbed_after(r.bed, &r.due, 50), PERI_OK);
    ask(&r);
    ask(&r);
    CHECK_EQ(r.requests, 2);
    rig_close(&r);
    CHECK_EQ(r.gone + r.dones + r.dues, 0);
}

TEST(testbed_says_what_is_wrong_with_a_configuration) {
    struct peri_testbed *bed;
    struct peri_fault fault;
    CHECK_EQ(peri_testbed_new(&bed, "{\"provider\":[]}", on_event, NULL, &fault), PERI_ECONFIG);
    CHECK(strstr(fault.text, "providers") != NULL);
}

TEST(testbed_fails_cleanly_when_memory_runs_out) {
    TEST_EACH_FAILING_ALLOCATION {
        struct rig r = { .must_answer = true };
        struct peri_fault fault;
        enum peri_err err = peri_testbed_new(&r.bed, FOLLOWED, on_event, &r, &fault);
        if (err != PERI_OK) {
            CHECK(fault.text[0] != '\0');
            continue;
        }
        static const struct peri_header json[] = { { PERI_STR_INIT("content-type"),
                                                     PERI_STR_INIT("application/json") } };
        peri_buf_init(&r.got, 0);
        err = peri_testbed_after(r.bed, &r.due, 5);
        if (err == PERI_OK)
            err = peri_testbed_ask(r.bed, &r.asked, PERI_STR("POST"),
                                   PERI_STR("/v1/chat/completions"),
                                   PERI_STR("{\"model\":\"m\",\"messages\":[]}"), json, 1);
        if (err == PERI_OK) peri_testbed_advance(r.bed, 5);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        rig_close(&r);
    }
}
