/* Wallets, life and signing. The refresh is gonka_refresh.c, what it leads to gonka_current.c, the hosts that come of it
 * gonka_hosts.c. */
#include "gonka/gonka_network.h"

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "gonka/chain/gonka_discovery.h"
#include "gonka/gonka_network_parts.h"

#define LOOK_REST_MS   10000  /* between two refreshes that hosts' answers ask for */
#define WALLET_REST_MS 600000 /* an account without money is looked at again after this */

/* ---- Signing ---- */

static enum peri_err sign(struct peri_network_signed *out, struct peri_network *network,
                          struct peri_signers *signers, struct peri_str body,
                          struct peri_str address, uint64_t now_ms) {
    struct peri_gonka_network *n = peri_gonka_network_of(network);
    bool verifies = n->options->verifies_signatures;
    if (signers->by_verifying[verifies] == NULL) {
        enum peri_err err = peri_signers_init(signers, verifies);
        if (err != PERI_OK) return err;
    }
    size_t first = atomic_fetch_add_explicit(&n->turn, 1, memory_order_relaxed);
    for (size_t i = 0; i < n->wallet_count; i++) {
        size_t at = (first + i) % n->wallet_count;
        const struct peri_gonka_wallet *wallet = &n->wallets[at].wallet;
        if (atomic_load_explicit(&n->wallets[at].rests_until_ms, memory_order_relaxed) > now_ms)
            continue;
        uint64_t stamp = peri_stamp(n->env.stamps, peri_gonka_skew_now_ns(&n->skew, n->env.clock));
        struct peri_gonka_signed *values = (struct peri_gonka_signed *)(void *)out->text;
        _Static_assert(sizeof *values <= sizeof out->text, "signed values fit");
        _Static_assert(PERI_GONKA_HEADERS <= sizeof out->headers / sizeof *out->headers, "fit");
        enum peri_err err =
            peri_gonka_sign(values, signers->hasher, signers->by_verifying[verifies], wallet,
                            n->options->is_legacy_signing ? PERI_GONKA_RAW_BODY : PERI_GONKA_HASHED,
                            body, stamp, address);
        out->wallet = at;
        out->header_count = PERI_GONKA_HEADERS;
        peri_gonka_headers(out->headers, values, wallet);
        return err;
    }
    return PERI_EAUTH;
}

static struct peri_str account(const struct peri_network *network, size_t i) {
    const struct peri_gonka_network *n = peri_gonka_network_of_const(network);
    return i < n->wallet_count ? peri_str_of(n->wallets[i].wallet.address) : PERI_STR("");
}

bool peri_gonka_rest_wallet(struct peri_gonka_network *n, size_t wallet, struct peri_str node,
                            uint64_t now_ms) {
    struct peri_gonka_wallet_state *w = &n->wallets[wallet];
    uint64_t says = peri_str_hash(node) | 1;
    uint64_t since = atomic_exchange(&w->doubted_ms, now_ms);
    uint64_t before = atomic_exchange(&w->doubted_by, says);
    if (before == 0 || before == says || now_ms - since > WALLET_REST_MS) return false;
    atomic_store(&w->doubted_by, 0);
    atomic_store(&w->rests_until_ms, now_ms + WALLET_REST_MS);
    return true;
}

static bool may_refresh(struct peri_network *network, uint64_t now_ms) {
    struct peri_gonka_network *n = peri_gonka_network_of(network);
    if (!n->options->is_refreshing) return false;
    uint_fast64_t last = atomic_load(&n->looked_ms);
    return (last == 0 || now_ms >= last + LOOK_REST_MS) &&
           atomic_compare_exchange_strong(&n->looked_ms, &last, now_ms | 1);
}

/* ---- Life ---- */

static enum peri_err make_wallets(struct peri_gonka_network *n, struct peri_fault *fault) {
    struct peri_signers signers = { .hasher = NULL };
    enum peri_err err = peri_signers_init(&signers, false);
    if (err == PERI_OK) err = peri_keyring_new(&n->ring);
    n->wallets = err == PERI_OK ? peri_calloc(n->options->key_count + 1, sizeof *n->wallets) : NULL;
    if (err == PERI_OK && n->wallets == NULL) err = PERI_ENOMEM;
    for (size_t i = 0; i < n->options->key_count && err == PERI_OK; i++) {
        const struct peri_secret *secret = &n->options->keys[i];
        const struct peri_key *key;
        err = peri_keyring_add_hex(&key, n->ring, (struct peri_str){ secret->p, secret->n }, fault);
        if (err == PERI_OK)
            err = peri_gonka_wallet_init(&n->wallets[i].wallet, signers.hasher,
                                         signers.by_verifying[0], key,
                                         i == 0 ? n->options->address : PERI_STR(""), fault);
        if (err == PERI_OK) n->wallet_count++;
        if (err == PERI_OK && n->wallets[i].wallet.is_foreign)
            peri_log_say(n->env.log, PERI_LOG_WARN,
                         "gonka: the configured address is not the one of the configured key");
    }
    peri_signers_done(&signers);
    if (err == PERI_OK && n->wallet_count == 0)
        return peri_fault_set(fault, PERI_ECONFIG,
                              "provider '%.*s': network \"gonka\" needs a private key",
                              PERI_STR_ARGS(n->network.provider->id));
    return err == PERI_EINVAL ? PERI_ECONFIG : err;
}

static enum peri_err make_webhook(struct peri_gonka_network *n) {
    struct peri_epoch_webhook_env env = {
        .loop = n->env.loop,
        .client = n->env.client,
        .log = n->env.log,
        .clock = n->env.clock,
        .seed = n->config->seed,
    };
    return peri_epoch_webhook_new(&n->webhook, n->network.provider, &env);
}

static enum peri_err create(struct peri_network **out, struct peri_config *config,
                            const struct peri_config_provider *provider,
                            const struct peri_network_env *env, struct peri_fault *fault) {
    struct peri_gonka_network *n = peri_calloc(1, sizeof *n);
    if (n == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    peri_network_init(&n->network, &peri_gonka_network_ops, provider);
    n->config = peri_config_ref(config);
    n->options = provider->network_options;
    n->env = *env;
    peri_timer_init(&n->timer, env->loop, peri_gonka_refresh_due, n);
    peri_arena_init(&n->arena, 0);
    peri_rand_seed_as(&n->rand, config->seed);
    n->safe_ns = PERI_GONKA_SKEW_SAFE_NS;
    enum peri_err err = make_wallets(n, fault);
    if (err == PERI_OK && provider->endpoint_count > 0)
        err = peri_gonka_set_of_endpoints(&n->fixed, provider->endpoints, provider->endpoint_count,
                                          fault);
    if (err == PERI_OK) err = make_webhook(n);
    if (err == PERI_OK) err = peri_gonka_refresh_begin(n);
    if (err != PERI_OK) {
        peri_gonka_close(&n->network);
        peri_network_unref(&n->network);
        return err;
    }
    *out = &n->network;
    return PERI_OK;
}

static void free_network(struct peri_network *network) {
    struct peri_gonka_network *n = peri_gonka_network_of(network);
    peri_gonka_set_free(n->set);
    peri_gonka_set_free(n->fixed);
    peri_gonka_set_free(n->next);
    peri_gonka_trusted_free(n->trusted);
    peri_arena_done(&n->arena);
    peri_free(n->wallets);
    peri_keyring_free(n->ring);
    peri_config_unref(n->config);
    peri_free(n);
}

static void put_status(const struct peri_network *network, struct peri_network_status *out) {
    const struct peri_gonka_network *n = peri_gonka_network_of_const(network);
    const struct peri_gonka_set *set = n->set;
    *out = n->status;
    out->epoch = set != NULL ? set->epoch : 0;
    out->usable = set != NULL ? set->usable_count : 0;
    out->listed = set != NULL ? set->count : 0;
    out->is_pending = set == NULL && network->provider->source_count > 0;
    out->is_proven = set != NULL && set->is_proven;
    out->phase = n->has_epoch ? peri_gonka_phase_name(n->epoch.phase) : "";
    out->height = n->has_epoch ? n->epoch.height : 0;
    out->clock_offset_ms = peri_gonka_skew_applied(&n->skew, n->env.clock) / 1000000;
}

const struct peri_network_ops peri_gonka_network_ops = {
    .name = "gonka",
    .create = create,
    .free = free_network,
    .start = peri_gonka_start,
    .close = peri_gonka_close,
    .refresh = peri_gonka_refresh,
    .inherit = peri_gonka_inherit,
    .hosts = peri_gonka_hosts,
    .status = put_status,
    .account = account,
    .is_address = peri_address_is_gonka,
    .is_signature_header = peri_gonka_is_header,
    .sign = sign,
    .judge = peri_gonka_judge_host,
    .judge_broker = peri_gonka_judge_broker,
    .may_refresh = may_refresh,
};
