#include "gonka/gonka_network_parts.h"

#include "base/test.h"

/* A machine whose signatures do not hold while `is_faulty`; this definition stands before libsecp256k1's own. */
static bool is_faulty;
static unsigned verified;
int secp256k1_ecdsa_verify(const void *context, const void *signature, const void *digest,
                           const void *key);
int secp256k1_ecdsa_verify(const void *context, const void *signature, const void *digest,
                           const void *key) {
    (void)context, (void)signature, (void)digest, (void)key;
    verified++;
    return !is_faulty;
}

#define HOST "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"

struct rig {
    struct peri_loop *loop;
    struct peri_client *client;
    struct peri_config *config;
    struct peri_log log;
    struct peri_stamps stamps;
    struct peri_str endpoint;
    struct peri_secret key;
    struct peri_config_gonka options[2]; /* as usual, and checking */
    struct peri_config_provider providers[2];
    struct peri_network *networks[2];
};

static char digits[] = "1111111111111111111111111111111111111111111111111111111111111111";

static void on_changed(void *arg, struct peri_network *network,
                       const struct peri_epoch_change *change) {
    (void)arg, (void)network, (void)change;
}

static void rig_open(struct rig *r) {
    *r = (struct rig){ .endpoint = PERI_STR("http://1.2.3.4;" HOST), .key = { digits, 64 } };
    CHECK_EQ(peri_loop_new(&r->loop), PERI_OK);
    CHECK_EQ(peri_client_new(&r->client, r->loop, NULL), PERI_OK);
    r->config = peri_config_new();
    peri_stamps_init(&r->stamps, 1);
    peri_log_init(&r->log, 2, PERI_LOG_OFF, &peri_clock_real);
    struct peri_network_env env = { .loop = r->loop,
                                    .client = r->client,
                                    .log = &r->log,
                                    .clock = &peri_clock_real,
                                    .stamps = &r->stamps,
                                    .changed = on_changed };
    for (int i = 0; i < 2; i++) {
        r->options[i] = (struct peri_config_gonka){ .keys = &r->key,
                                                    .key_count = 1,
                                                    .prefix = PERI_STR("gonka:"),
                                                    .verifies_signatures = i == 1 };
        r->providers[i] = (struct peri_config_provider){ .id = PERI_STR("g"),
                                                         .weight = 1,
                                                         .endpoints = &r->endpoint,
                                                         .endpoint_count = 1,
                                                         .network_options = &r->options[i] };
        CHECK_EQ(
            peri_gonka_network_ops.create(&r->networks[i], r->config, &r->providers[i], &env, NULL),
            PERI_OK);
    }
}

static void rig_close(struct rig *r) {
    for (int i = 0; i < 2; i++) {
        r->networks[i]->ops->close(r->networks[i]);
        peri_network_unref(r->networks[i]);
    }
    peri_client_free(r->client);
    peri_loop_free(r->loop);
    peri_log_done(&r->log);
    peri_config_unref(r->config);
}

static enum peri_err sign(struct peri_network *n, struct peri_signers *signers,
                          struct peri_network_signed *out) {
    return n->ops->sign(out, n, signers, PERI_STR("{}"), PERI_STR(HOST), 0);
}

/* The same signers serve both networks, as a worker's do. */
TEST(a_network_checks_its_signatures_when_that_is_configured) {
    struct rig r;
    struct peri_signers signers = { .hasher = NULL };
    struct peri_network_signed out;
    rig_open(&r);
    for (int round = 0; round < 2; round++) {
        is_faulty = round == 1;
        verified = 0;
        CHECK_EQ(sign(r.networks[0], &signers, &out), PERI_OK);
        CHECK_EQ(verified, 0);
        CHECK_EQ(sign(r.networks[1], &signers, &out), is_faulty ? PERI_ECRYPTO : PERI_OK);
        CHECK_EQ(verified, 1);
    }
    peri_signers_done(&signers);
    rig_close(&r);
}

TEST(signers_that_memory_fails_can_be_used_again) {
    struct rig r;
    struct peri_network_signed out;
    is_faulty = false;
    rig_open(&r);
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_signers signers = { .hasher = NULL };
        enum peri_err err = sign(r.networks[1], &signers, &out);
        CHECK(err == PERI_OK || err == PERI_ENOMEM || err == PERI_ECRYPTO);
        peri_signers_done(&signers);
    }
    rig_close(&r);
}

/* Hosts may lie: one that says the account is empty is set aside itself, and is believed with the second. */
TEST(a_wallet_rests_when_a_second_host_says_that_it_can_not_pay) {
    const char *empty = "{\"error\":\"spendable balance 0 is smaller than 5: insufficient funds\"}";
    struct rig r;
    struct peri_signers signers = { .hasher = NULL };
    struct peri_network_signed out;
    is_faulty = false;
    rig_open(&r);
    struct peri_network *n = r.networks[0];
    struct peri_provider first = { .found_by = n, .address = PERI_STR("one") };
    struct peri_provider second = { .found_by = n, .address = PERI_STR("two") };
    for (int i = 0; i < 2; i++)
        CHECK_EQ(n->ops->judge(&first, 0, 402, peri_str_of(empty), 1).refusal,
                 PERI_REFUSAL_OF_HOST);
    CHECK_EQ(sign(n, &signers, &out), PERI_OK);
    CHECK_EQ(n->ops->judge(&second, 0, 402, peri_str_of(empty), 1).refusal, PERI_REFUSAL_OF_WALLET);
    CHECK_EQ(sign(n, &signers, &out), PERI_EAUTH);
    /* A gateway's wallet is its own: the status tells what follows. */
    struct peri_judgement j =
        peri_gonka_judge_broker(&first, 0, 402, PERI_STR("devshard: insufficient funds"), 1);
    CHECK_EQ(j.refusal, PERI_REFUSAL_OF_STATUS);
    CHECK(peri_gonka_judge_broker(&first, 0, 500, PERI_STR("out of order"), 1).event == NULL);
    peri_signers_done(&signers);
    rig_close(&r);
}
