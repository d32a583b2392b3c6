#include "gonka/chain/gonka_follow.h"

#include "crypto/encode.h"
#include "crypto/test_vectors.h"
#include "gonka/gonka_network.h"
#include "net/server/server.h"

#define VECTORS "spec/vectors/gonka-proof.json"
#define NOW_S   INT64_C(1700003060) /* a little after the later blocks of the vectors */

/* A node on the same loop: it serves the blocks of the vectors and counts what it was asked. */
struct node {
    struct vectors v;
    struct peri_loop *loop;
    struct peri_client *client;
    struct peri_server *server;
    char base[64];
    unsigned asked;
    bool lies; /* the later block's commit is the first one's */
    /* what came of a walk */
    bool is_over;
    enum peri_err err;
    struct peri_gonka_trusted *trusted;
    char why[256];
};

static const char *block_at(struct peri_str height, struct peri_str query) {
    (void)query;
    if (peri_str_eq(height, PERI_STR("1235"))) return "";
    if (peri_str_eq(height, PERI_STR("1734"))) return "later";
    if (peri_str_eq(height, PERI_STR("1735"))) return "stranger";
    return NULL;
}

static struct peri_str parameter(struct peri_str query, const char *name) {
    struct peri_str part;
    while (peri_str_cut(&part, &query, '&')) {
        struct peri_str key;
        if (peri_str_cut(&key, &part, '=') && peri_str_eq(key, peri_str_of(name))) return part;
    }
    return PERI_STR("");
}

static void answer_validators(struct node *n, struct peri_exchange *x, uint32_t object,
                              bool is_first) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    peri_buf_addf(&b, "{\"jsonrpc\":\"2.0\",\"result\":{\"validators\":");
    peri_buf_add(&b, is_first ? peri_json_raw(n->v.j, v_get(&n->v, object, "validators"))
                              : PERI_STR("[]"));
    peri_buf_addf(&b, "}}");
    peri_exchange_answer(x, 200, NULL, 0, peri_buf_str(&b));
    peri_buf_done(&b);
}

static void on_request(void *arg, struct peri_exchange *x) {
    struct node *n = arg;
    struct peri_str path = peri_exchange_path(x), query = peri_exchange_query(x);
    const char *part = block_at(parameter(query, "height"), query);
    n->asked++;
    if (peri_str_eq(path, PERI_STR("/v1/epochs/current/participants"))) {
        peri_exchange_answer(x, 200, NULL, 0,
                             peri_json_raw(n->v.j, v_get(&n->v, n->v.root, "participants")));
        return;
    }
    if (part == NULL) {
        peri_exchange_answer(x, 404, NULL, 0, PERI_STR("{}"));
        return;
    }
    uint32_t object = part[0] == '\0' ? n->v.root : v_get(&n->v, n->v.root, part);
    if (peri_str_eq(path, PERI_STR("/chain-rpc/commit"))) {
        uint32_t from = n->lies ? n->v.root : object;
        peri_exchange_answer(x, 200, NULL, 0, peri_json_raw(n->v.j, v_get(&n->v, from, "commit")));
    } else {
        answer_validators(n, x, object, peri_str_eq(parameter(query, "page"), PERI_STR("1")));
    }
}

static void on_gone(void *arg, struct peri_exchange *x) { (void)arg, (void)x; }

static uint64_t no_time(void *arg) {
    (void)arg;
    return 0;
}
static uint64_t vectors_time(void *arg) {
    (void)arg;
    return (uint64_t)NOW_S * 1000000000u;
}
static const struct peri_clock then = { no_time, vectors_time, NULL };

static void node_open(struct node *n) {
    static const struct peri_server_ops ops = { on_request, on_gone, NULL, NULL };
    memset(n, 0, sizeof *n);
    CHECK(vectors_open(&n->v, VECTORS));
    CHECK_EQ(peri_loop_new(&n->loop), PERI_OK);
    CHECK_EQ(peri_client_new(&n->client, n->loop, NULL), PERI_OK);
    CHECK_EQ(peri_server_open(&n->server, n->loop, PERI_STR("127.0.0.1:0"), false,
                              &(struct peri_server_limits){ 0 }, &ops, n, NULL),
             PERI_OK);
    snprintf(n->base, sizeof n->base, "http://127.0.0.1:%u", peri_server_port(n->server));
}

static void node_close(struct node *n) {
    peri_gonka_trusted_free(n->trusted);
    peri_client_free(n->client);
    peri_server_close(n->server);
    peri_loop_free(n->loop);
    vectors_close(&n->v);
}

static void on_followed(void *arg, enum peri_err err, struct peri_gonka_trusted *trusted,
                        struct peri_str commit, const char *why) {
    struct node *n = arg;
    CHECK(err != PERI_OK || commit.n > 0);
    n->is_over = true;
    n->err = err;
    n->trusted = trusted;
    snprintf(n->why, sizeof n->why, "%s", why);
}

static void walk_to(struct node *n, int64_t target) {
    struct peri_gonka_follow *f;
    struct peri_gonka_walk walk = { .client = n->client,
                                    .clock = &then,
                                    .base = peri_str_of(n->base),
                                    .chain_id = v_text(&n->v, n->v.root, "chain_id"),
                                    .pin = { .height = 1235 },
                                    .target = target };
    memcpy(walk.pin.hash, u8(v_hex(&n->v, n->v.root, "block_hash")), 32);
    CHECK_EQ(peri_gonka_follow_start(&f, &walk, on_followed, n, NULL), PERI_OK);
    for (int turns = 0; !n->is_over && turns < 10000; turns++) peri_loop_step(n->loop, true);
    CHECK(n->is_over);
}

TEST(the_chain_is_followed_from_the_pin_to_a_later_block) {
    struct node n;
    node_open(&n);
    walk_to(&n, 1734);
    CHECK_EQ(n.err, PERI_OK);
    CHECK_STR(peri_str_of(n.why), "");
    CHECK_EQ(n.trusted->height, 1734);
    CHECK_EQ(n.asked, 4); /* two blocks, each a commit and one page */
    node_close(&n);
}

TEST(the_pinned_block_itself_needs_no_step) {
    struct node n;
    node_open(&n);
    walk_to(&n, 1235);
    CHECK_EQ(n.err, PERI_OK);
    CHECK_EQ(n.trusted->height, 1235);
    node_close(&n);
}

TEST(a_block_of_strangers_makes_it_look_half_way_and_end_there) {
    struct node n;
    node_open(&n);
    walk_to(&n, 1735);
    CHECK_EQ(n.err, PERI_EUPSTREAM);
    CHECK_STR(peri_str_of(n.why), "commit of block 1485: answered 404");
    CHECK(n.trusted == NULL);
    node_close(&n);
}

TEST(a_node_that_lies_is_not_believed) {
    struct node n;
    node_open(&n);
    n.lies = true;
    walk_to(&n, 1734);
    CHECK(n.err != PERI_OK);
    CHECK(n.trusted == NULL);
    node_close(&n);
}

/* ---- A whole refresh with proof ---- */

static void on_changed(void *arg, struct peri_network *net,
                       const struct peri_epoch_change *change) {
    struct node *n = arg;
    struct peri_network_status status;
    (void)change;
    peri_network_status(net, &status);
    n->is_over = status.is_proven;
}

static void refresh(struct node *n, struct peri_str hash, uint64_t height) {
    char digits[] = "1111111111111111111111111111111111111111111111111111111111111111";
    struct peri_secret secret = { digits, 64 };
    struct peri_str source = peri_str_of(n->base);
    struct peri_config_gonka o = { .keys = &secret,
                                   .key_count = 1,
                                   .prefix = PERI_STR("gonka:"),
                                   .verify_proofs = true,
                                   .trust_height = height,
                                   .trust_block = hash,
                                   .trust_chain = v_text(&n->v, n->v.root, "chain_id"),
                                   .refresh_ms = 60000 };
    struct peri_config_provider p = { .id = PERI_STR("g"),
                                      .weight = 100,
                                      .sources = &source,
                                      .source_count = 1,
                                      .network_options = &o };
    struct peri_config *config = peri_config_new();
    struct peri_log log;
    struct peri_stamps stamps;
    peri_stamps_init(&stamps, 1);
    peri_log_init(&log, 2, PERI_LOG_OFF, &peri_clock_real);
    struct peri_network_env env = { .loop = n->loop,
                                    .client = n->client,
                                    .log = &log,
                                    .clock = &then,
                                    .stamps = &stamps,
                                    .changed = on_changed,
                                    .arg = n };
    struct peri_network *net;
    struct peri_network_status status = { .failures = 0 };
    CHECK_EQ(peri_gonka_network_ops.create(&net, config, &p, &env, NULL), PERI_OK);
    net->ops->start(net);
    for (int turns = 0; !n->is_over && status.failures == 0 && turns < 10000; turns++) {
        peri_loop_step(n->loop, true);
        peri_network_status(net, &status);
    }
    snprintf(n->why, sizeof n->why, "%s", status.last_error);
    net->ops->close(net);
    peri_network_unref(net);
    peri_log_done(&log);
    peri_config_unref(config);
}

TEST(hosts_become_current_when_their_proof_leads_to_the_pin) {
    struct node n;
    node_open(&n);
    refresh(&n, v_text(&n.v, n.v.root, "block_hash"), 1235);
    CHECK(n.is_over);
    node_close(&n);
}

TEST(hosts_stay_out_when_the_pin_is_another_block) {
    struct node n;
    node_open(&n);
    refresh(&n, PERI_STR("00000000000000000000000000000000000000000000000000000000000000ff"), 1235);
    CHECK(!n.is_over);
    CHECK(strstr(n.why, "following the chain") != NULL);
    node_close(&n);
}

TEST(hosts_stay_out_when_nothing_is_trusted) {
    struct node n;
    node_open(&n);
    refresh(&n, PERI_STR(""), 0);
    CHECK(!n.is_over);
    CHECK(strstr(n.why, "proof") != NULL);
    node_close(&n);
}
