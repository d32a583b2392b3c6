#include "gonka/gonka_skew.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/test.h"
#include "gonka/gonka_network.h"
#include "net/server/server.h"

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)

TEST(skew_is_safe_within_a_third_of_the_hosts_window) {
    CHECK_EQ(peri_gonka_skew_safe_ns(60, 30), PERI_GONKA_SKEW_SAFE_NS);
    CHECK_EQ(peri_gonka_skew_safe_ns(0, 0), PERI_GONKA_SKEW_SAFE_NS);
    CHECK_EQ(peri_gonka_skew_safe_ns(12, 30), 4 * SECOND);
    CHECK_EQ(peri_gonka_skew_safe_ns(60, 0), 10 * SECOND / 3);
    CHECK_EQ(peri_gonka_skew_safe_ns(INT64_MAX, INT64_MAX), 28800 * SECOND);
}

TEST(skew_takes_what_may_be_within_safety_as_nothing) {
    const int64_t now = 1700000000 * SECOND, safe = 10 * SECOND;
    CHECK_EQ(peri_gonka_skew_of(now, now, now, safe), 0);
    CHECK_EQ(peri_gonka_skew_of(now + 10 * SECOND, now, now, safe), 0);
    CHECK_EQ(peri_gonka_skew_of(now - 11 * SECOND, now, now, safe), 0); /* cut to whole seconds */
    CHECK_EQ(peri_gonka_skew_of(now + 60 * SECOND, now, now + 55 * SECOND, safe), 0);
    CHECK_EQ(peri_gonka_skew_of(now + 60 * SECOND, now, now, safe), 60 * SECOND + SECOND / 2);
    CHECK_EQ(peri_gonka_skew_of(now - 60 * SECOND, now, now, safe), -60 * SECOND + SECOND / 2);
}

TEST(skew_reads_the_time_of_the_newest_block) {
    static const struct {
        const char *text;
        int64_t seconds; /* 0: not told */
    } cases[] = {
        { "{\"result\":{\"sync_info\":{\"latest_block_time\":\"2023-11-14T22:13:20Z\"}}}",
          1700000000 },
        { "{\"result\":{\"sync_info\":{\"latest_block_time\":\"2023-11-14T22:13:20Z\","
          "\"catching_up\":true}}}",
          0 },
        { "{\"result\":{\"sync_info\":{\"latest_block_time\":\"9999-11-14T22:13:20Z\"}}}", 0 },
        { "{\"result\":{\"sync_info\":{\"latest_block_time\":1700000000}}}", 0 },
        { "{\"result\":[]}", 0 },
        { "<html>", 0 },
        { "", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = 0;
        bool is_told = peri_gonka_block_time(&ns, peri_str_of(cases[i].text));
        CHECK_EQ(is_told, cases[i].seconds != 0);
        CHECK_EQ(ns, cases[i].seconds * SECOND);
    }
}

/* A machine whose wall clock is off, and may be set meanwhile; its monotonic clock is as good as any. */
static int64_t off_ns;
static uint64_t wrong_wall(void *arg) {
    (void)arg;
    return peri_clock_wall_ns(&peri_clock_real) + (uint64_t)off_ns;
}
static uint64_t right_monotonic(void *arg) {
    (void)arg;
    return peri_clock_monotonic_ns(&peri_clock_real);
}
static const struct peri_clock wrong = { right_monotonic, wrong_wall, NULL };

/* How far a time is from the true one, whole seconds. */
static int64_t error_s(uint64_t ns) {
    int64_t d = (int64_t)(ns - peri_clock_wall_ns(&peri_clock_real));
    return (d < 0 ? d - SECOND / 2 : d + SECOND / 2) / SECOND;
}

TEST(skew_holds_while_the_wall_clock_is_set) {
    struct peri_gonka_skew s = { 0 };
    off_ns = -7 * MINUTE;
    CHECK_EQ(error_s(peri_gonka_skew_now_ns(&s, &wrong)), -420);
    for (int i = 0; i < 100; i++) CHECK_EQ(peri_gonka_skew_applied(&s, &wrong), 0); /* exactly */
    peri_gonka_skew_set(&s, &wrong, 7 * MINUTE);
    CHECK_EQ(error_s(peri_gonka_skew_now_ns(&s, &wrong)), 0);
    CHECK_EQ((peri_gonka_skew_applied(&s, &wrong) + SECOND) / MINUTE, 7);
    off_ns = MINUTE;
    CHECK_EQ(error_s(peri_gonka_skew_now_ns(&s, &wrong)), 0);
    peri_gonka_skew_set(&s, &wrong, 0);
    CHECK_EQ(error_s(peri_gonka_skew_now_ns(&s, &wrong)), 60);
}

/* ---- A network whose node knows the time ---- */

#define HOST "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"

struct net {
    struct peri_loop *loop;
    struct peri_client *client;
    struct peri_server *server;
    struct peri_log log;
    struct peri_stamps stamps;
    struct peri_config *config;
    struct peri_network *network;
    struct peri_str source;
    char base[64];
    const char *block_time; /* NULL: the true one; "": the node does not tell */
    unsigned statuses;      /* how often it was asked */
};

static void answer_status(struct net *n, struct peri_exchange *x) {
    char now[32], text[128];
    time_t seconds = time(NULL);
    struct tm tm;
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    n->statuses++;
    int length =
        snprintf(text, sizeof text, "{\"result\":{\"sync_info\":{\"latest_block_time\":\"%s\"}}}",
                 n->block_time != NULL ? n->block_time : now);
    bool is_told = n->block_time == NULL || n->block_time[0] != '\0';
    peri_exchange_answer(x, is_told ? 200 : 404, NULL, 0,
                         (struct peri_str){ text, (size_t)length });
}

static void on_request(void *arg, struct peri_exchange *x) {
    struct peri_str path = peri_exchange_path(x);
    if (peri_str_eq(path, PERI_STR(PERI_GONKA_CHAIN_STATUS_PATH)))
        answer_status(arg, x);
    else if (peri_str_eq(path, PERI_STR("/v1/epochs/current/participants")))
        peri_exchange_answer(
            x, 200, NULL, 0,
            PERI_STR("{\"active_participants\":{\"participants\":[{\"index\":\"" HOST
                     "\",\"inference_url\":\"http://1.2.3.4\",\"models\":[\"m\"],"
                     "\"weight\":1}],\"epoch_id\":1}}"));
    else
        peri_exchange_answer(x, 404, NULL, 0, PERI_STR("{}"));
}

static void on_gone(void *arg, struct peri_exchange *x) { (void)arg, (void)x; }
static void on_changed(void *arg, struct peri_network *network,
                       const struct peri_epoch_change *change) {
    (void)arg, (void)network, (void)change;
}

static char digits[] = "1111111111111111111111111111111111111111111111111111111111111111";
static struct peri_secret secret = { digits, 64 };
static const struct peri_config_gonka options = {
    .keys = &secret, .key_count = 1, .prefix = PERI_STR_INIT("gonka:"), .refresh_ms = 60000
};

static void net_open(struct net *n, struct peri_config_provider *p) {
    static const struct peri_server_ops ops = { on_request, on_gone, NULL, NULL };
    *n = (struct net){ .block_time = NULL };
    CHECK_EQ(peri_loop_new(&n->loop), PERI_OK);
    CHECK_EQ(peri_client_new(&n->client, n->loop, NULL), PERI_OK);
    CHECK_EQ(
        peri_server_open(&n->server, n->loop, PERI_STR("127.0.0.1:0"), false, NULL, &ops, n, NULL),
        PERI_OK);
    snprintf(n->base, sizeof n->base, "http://127.0.0.1:%u", peri_server_port(n->server));
    n->source = peri_str_of(n->base);
    n->config = peri_config_new();
    peri_stamps_init(&n->stamps, 1);
    peri_log_init(&n->log, 2, PERI_LOG_OFF, &peri_clock_real);
    *p = (struct peri_config_provider){ .id = PERI_STR("g"),
                                        .weight = 1,
                                        .sources = &n->source,
                                        .source_count = 1,
                                        .network_options = &options };
    struct peri_network_env env = { .loop = n->loop,
                                    .client = n->client,
                                    .log = &n->log,
                                    .clock = &wrong,
                                    .stamps = &n->stamps,
                                    .changed = on_changed };
    CHECK_EQ(peri_gonka_network_ops.create(&n->network, n->config, p, &env, NULL), PERI_OK);
    n->network->ops->start(n->network);
}

/* Until so many refreshes are over. */
static struct peri_network_status net_turn(struct net *n, uint64_t refreshes) {
    struct peri_network_status status = { .refreshes = 0 };
    for (int turns = 0; status.refreshes < refreshes && turns < 10000; turns++) {
        peri_loop_step(n->loop, true);
        peri_network_status(n->network, &status);
    }
    CHECK_EQ(status.refreshes, refreshes);
    return status;
}

static int64_t stamp_error_s(struct net *n) {
    struct peri_signers signers = { .hasher = NULL };
    struct peri_network_signed signature;
    uint64_t stamp = 0;
    CHECK_EQ(
        n->network->ops->sign(&signature, n->network, &signers, PERI_STR("{}"), PERI_STR(HOST), 0),
        PERI_OK);
    for (size_t i = 0; i < signature.header_count; i++)
        if (peri_str_eq_nocase(signature.headers[i].name, PERI_STR("x-timestamp")))
            CHECK_EQ(peri_str_to_u64(&stamp, signature.headers[i].value), PERI_OK);
    peri_signers_done(&signers);
    return error_s(stamp);
}

static void net_close(struct net *n) {
    n->network->ops->close(n->network);
    peri_network_unref(n->network);
    peri_server_close(n->server);
    peri_client_free(n->client);
    peri_loop_free(n->loop);
    peri_log_done(&n->log);
    peri_config_unref(n->config);
}

TEST(stamps_follow_the_network_while_the_clock_is_minutes_off) {
    struct net n;
    struct peri_config_provider p;
    for (int sign = -1; sign <= 1; sign += 2) {
        off_ns = sign * 7 * MINUTE;
        net_open(&n, &p);
        CHECK_EQ(stamp_error_s(&n), sign * 420);
        struct peri_network_status status = net_turn(&n, 1);
        CHECK_EQ(n.statuses, 1);
        CHECK(llabs(stamp_error_s(&n)) <= 1);
        CHECK(llabs(status.clock_offset_ms + sign * 420000) <= 1500);
        n.network->ops->refresh(n.network);
        net_turn(&n, 2);
        CHECK_EQ(n.statuses, 1); /* the correction stands: nobody is asked again */
        off_ns = 0;
        CHECK(llabs(stamp_error_s(&n)) <= 1);
        n.network->ops->refresh(n.network);
        status = net_turn(&n, 3);
        CHECK_EQ(status.clock_offset_ms, 0);
        CHECK(llabs(stamp_error_s(&n)) <= 1);
        net_close(&n);
    }
}

TEST(stamps_are_left_alone_when_the_blocks_bear_the_machine_out) {
    struct net n;
    struct peri_config_provider p;
    off_ns = -7 * MINUTE;
    net_open(&n, &p);
    n.block_time = "2001-01-01T00:00:00Z"; /* a chain that stands, or a node that is far behind */
    CHECK_EQ(net_turn(&n, 1).clock_offset_ms, 0);
    CHECK_EQ(n.statuses, 1);
    CHECK_EQ(stamp_error_s(&n), -420);
    net_close(&n);
}

TEST(stamps_follow_the_nodes_clock_where_blocks_are_not_told) {
    struct net n;
    struct peri_config_provider p;
    off_ns = -7 * MINUTE;
    net_open(&n, &p);
    n.block_time = "";
    net_turn(&n, 1);
    CHECK(llabs(stamp_error_s(&n)) <= 1);
    net_close(&n);
}

TEST(stamps_are_left_alone_when_the_clock_is_off_by_little) {
    struct net n;
    struct peri_config_provider p;
    off_ns = -5 * SECOND;
    net_open(&n, &p);
    CHECK_EQ(net_turn(&n, 1).clock_offset_ms, 0);
    CHECK_EQ(n.statuses, 0);
    CHECK_EQ(stamp_error_s(&n), -5);
    net_close(&n);
}
