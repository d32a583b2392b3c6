#include "core/gonka_network.h"

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
    struct peri_gonka_network *networks[2];
};

static char digits[] = "1111111111111111111111111111111111111111111111111111111111111111";

static void on_changed(void *arg, struct peri_gonka_network *network,
                       const struct peri_gonka_diff *diff, const struct peri_gonka_set *before,
                       const struct peri_gonka_set *after) {
    (void)arg, (void)network, (void)diff, (void)before, (void)after;
}

static void rig_open(struct rig *r) {
    *r = (struct rig){ .endpoint = PERI_STR("http://1.2.3.4;" HOST), .key = { digits, 64 } };
    CHECK_EQ(peri_loop_new(&r->loop), PERI_OK);
    CHECK_EQ(peri_client_new(&r->client, r->loop, NULL), PERI_OK);
    r->config = peri_config_new();
    peri_stamps_init(&r->stamps, 1);
    peri_log_init(&r->log, 2, PERI_LOG_OFF, &peri_clock_real);
    struct peri_gonka_env env = { .loop = r->loop,
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
        CHECK_EQ(peri_gonka_network_new(&r->networks[i], r->config, &r->providers[i], &env, NULL),
                 PERI_OK);
    }
}

static void rig_close(struct rig *r) {
    for (int i = 0; i < 2; i++) {
        peri_gonka_network_close(r->networks[i]);
        peri_gonka_network_unref(r->networks[i]);
    }
    peri_client_free(r->client);
    peri_loop_free(r->loop);
    peri_log_done(&r->log);
    peri_config_unref(r->config);
}

static enum peri_err sign(struct peri_gonka_network *n, struct peri_signers *signers,
                          struct peri_gonka_signed *out) {
    const struct peri_gonka_wallet *by;
    size_t wallet;
    return peri_gonka_network_sign(out, &wallet, &by, n, signers, PERI_STR("{}"), PERI_STR(HOST),
                                   0);
}

/* The same signers serve both networks, as a worker's do. */
TEST(a_network_checks_its_signatures_when_that_is_configured) {
    struct rig r;
    struct peri_signers signers = { .hasher = NULL };
    struct peri_gonka_signed out;
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
    struct peri_gonka_signed out;
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
