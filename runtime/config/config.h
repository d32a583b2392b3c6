/* The checked configuration: what the option table (config/options.c) makes of a configuration file, the
 * environment and flags. Plain data in one arena; nobody changes it after it was built, so a snapshot of it may
 * be read by every thread.
 *
 * Where a value came from is kept aside for `perilune check --dump`; secrets are held in memory that wipes itself
 * and appear in no text.
 */
#ifndef PERI_CONFIG_CONFIG_H
#define PERI_CONFIG_CONFIG_H

#include <stdatomic.h>

#include "base/arena.h"
#include "config/component.h"
#include "net/server/server.h"

struct peri_secret_zone;

/* Wiped when the configuration goes. Empty when not given. */
struct peri_secret {
    char *p;
    size_t n;
};

enum peri_auth { PERI_AUTH_NONE, PERI_AUTH_BEARER, PERI_AUTH_HEADER };

/* What an answer that says nothing is: a failure of its provider, or an answer. */
enum peri_empty { PERI_EMPTY_FAILS, PERI_EMPTY_PASSES };

/* One model of one provider: what clients call it here, what the provider calls it. */
struct peri_config_model {
    struct peri_str name;       /* public model name */
    struct peri_str upstream;   /* the provider's name for it; the same when not given */
    uint64_t context_tokens;    /* 0: unknown */
    uint64_t max_output_tokens; /* 0: unknown */
    const struct peri_str
        *capabilities; /* "chat", "tools", "vision", "reasoning", …; none: unknown */
    size_t capability_count;
    unsigned
        lacks; /* bits of enum peri_ability (dialect/ability.h): what it is known not to take */
    uint64_t price_input_micros,
        price_output_micros; /* millionths of a currency unit per million tokens */
};

struct peri_config_timeouts {
    uint64_t connect_ms;     /* 5000 */
    uint64_t first_byte_ms;  /* to the head of the answer, 60000 */
    uint64_t first_token_ms; /* to the first content token, 120000 */
    uint64_t idle_ms;        /* between bytes of an answer, 60000 */
    uint64_t total_ms;       /* whole request with every attempt, 600000 */
};

/* Trying a request again at a provider where it failed, when nobody else can be asked. */
struct peri_config_retry {
    uint32_t attempts;   /* at most so often, 2 */
    uint64_t backoff_ms; /* before the first of them, 200; twice as long before each next one */
    uint32_t jitter;     /* percent of that which is drawn, 50 */
    uint64_t
        wait_ms; /* longest time that a provider may ask for, 2000: one that asks for more is not waited for */
    const uint32_t
        *statuses; /* of the answers after which it is tried; NULL: those of bad moments */
    size_t status_count;
};

/* How chain weights become shares: as they are, their square root, their logarithm, or all the same. */
enum peri_damping { PERI_DAMPING_NONE, PERI_DAMPING_SQRT, PERI_DAMPING_LOG, PERI_DAMPING_EQUAL };

/* What holds for a host, by its address, or for one model at each host. */
struct peri_config_number {
    struct peri_str name;
    uint32_t value;
    bool is_address;
};

/* network_options of a provider with network "gonka". The provider's own tier, weight and timeouts hold for
 * every host found; its `sources` are discovery URLs, its `endpoints` static "url;address" pairs. */
struct peri_config_gonka {
    const struct peri_secret
        *keys; /* one a wallet: 64 hex digits, no prefix, a valid scalar's form */
    size_t key_count;
    struct peri_str address;         /* requester address to send; empty: derived from the key */
    struct peri_str prefix;          /* of the provider ids made, "gonka:" */
    uint32_t default_max_concurrent; /* of one host, 0: no limit */
    const struct peri_config_number *limits; /* others; 0: none */
    size_t limit_count;
    const struct peri_config_number *weights; /* by address: instead of the chain's */
    size_t weight_count;
    bool verify_proofs;
    uint64_t
        trust_height; /* of trust_block: the chain is followed from there; 0: it is the block itself */
    struct peri_str trust_block;      /* hash of a block that proofs may lead to, hexadecimal */
    struct peri_str trust_validators; /* file with a validator set that is trusted */
    struct peri_str trust_chain;      /* chain id, "gonka-mainnet" */
    bool is_refreshing;               /* true */
    uint64_t refresh_ms;              /* 60000 */
    enum peri_damping damping;
    const struct peri_str *allow; /* addresses; none: every one */
    size_t allow_count;
    const struct peri_str *deny;
    size_t deny_count;
    bool is_legacy_signing;     /* the formula of servers before v0.2.6 */
    bool verifies_signatures;   /* each one before it is sent */
    bool may_read_files;        /* sources may be file:// (development) */
    bool may_use_private_hosts; /* hosts in private networks may be called (test networks) */
    struct peri_secret epoch_webhook, epoch_webhook_key; /* a URL; a bearer key. Empty: none */
};

/* network_options of a provider with network "0g": `sources` are chain RPC URLs, `endpoints` provider
 * addresses "0x…" or "0x…;priority". */
struct peri_config_zerog {
    const struct peri_secret *keys; /* one a wallet, as above */
    size_t key_count;
    uint64_t chain_id;      /* 0: asked of the RPC */
    struct peri_str ledger; /* contract addresses, empty: by chain id */
    struct peri_str inference;
    struct peri_str prefix; /* of the provider ids made, "0g:" */
    uint64_t refresh_ms;    /* 60000 */
};

#define PERI_PROVIDER_KEYS_MAX 8 /* of one provider */

struct peri_config_provider {
    struct peri_str id;
    struct peri_str url;         /* base, such as https://api.openai.com/v1; no trailing slash */
    enum peri_auth auth;         /* BEARER when a key is given and no header is named */
    struct peri_str auth_header; /* for PERI_AUTH_HEADER: "x-api-key" */
    struct peri_secret key;
    const struct peri_secret
        *keys; /* several, of a plain provider: `key` is the first of them. 0: `key` alone */
    size_t key_count;
    const struct peri_header *headers; /* sent with every request */
    size_t header_count;
    const struct peri_config_model *models; /* none: every model goes */
    size_t model_count;
    bool discovers_models;                /* its list of models is read, from time to time anew */
    bool is_list_open;                    /* what that list lacks is asked for all the same */
    uint64_t discover_ms;                 /* 600000 */
    uint32_t tier;                        /* 1 is tried first */
    uint32_t weight;                      /* share among equals, positive, 100 */
    uint32_t max_concurrent;              /* 0: no limit */
    bool is_adaptive;                     /* it gives way to what the provider takes */
    struct peri_config_timeouts timeouts; /* the general ones where not given */
    struct peri_config_retry retry;       /* the same */
    bool use_http2, is_insecure;
    enum peri_empty empty_answers;
    struct peri_str ca_file;
    struct peri_str broker;  /* "", "gonka": a network whose answers the plain provider sells */
    struct peri_str network; /* "", "gonka", "0g": expands to many providers; url is empty then */
    const struct peri_str *sources; /* discovery URLs, in order of preference */
    size_t source_count;
    const struct peri_str *endpoints; /* "url;address" */
    size_t endpoint_count;
    struct peri_str tags;        /* free text a policy may look at */
    const void *network_options; /* struct peri_config_gonka, _zerog; NULL for plain providers */
};

struct peri_config_policy {
    struct peri_str file; /* as written, relative to the configuration file */
    struct peri_str path; /* where it is */
    struct peri_str
        options; /* JSON object: what the policy's `options` table takes; "{}" when none */
};

struct peri_config_key {
    struct peri_str id; /* for logs and headers: "key-1" when not named */
    struct peri_secret secret;
};

/* Another name clients may use for a public model. */
struct peri_config_alias {
    struct peri_str name, model;
};

struct peri_config {
    atomic_uint refs; /* peri_config_ref and peri_config_unref */
    struct peri_arena arena;
    struct peri_secret_zone *secrets; /* the memory of every peri_secret here */
    struct peri_str file;             /* where it was read from; empty: environment only */
    const struct peri_str *listen;
    size_t listen_count;
    uint32_t workers;                                 /* 0: one a core */
    struct peri_str log_level;                        /* "info" */
    struct peri_str log_levels[PERI_COMPONENT_COUNT]; /* empty: as log_level */
    struct peri_str log_file;                         /* "" or "-": stderr */
    struct peri_server_limits limits;
    size_t answer_bytes;   /* of a whole, non-streamed answer, 67108864 */
    size_t request_memory; /* bytes policies may take for one request, beside its body, 33554432 */
    struct peri_config_timeouts timeouts;
    struct peri_str state_dir; /* where what was learnt is kept over a restart; empty: nowhere */
    uint64_t drain_ms;         /* at SIGTERM, 30000 */
    uint64_t
        keepalive_ms; /* quiet time before a `: keepalive` comment to a streaming client, 0: never */
    uint32_t max_attempts; /* of one request, 3 */
    struct peri_config_retry retry;
    uint64_t rate_limit_cooldown_ms; /* 60000 */
    uint64_t failure_cooldown_ms;    /* 15000 */
    uint64_t quarantine_ms; /* after 401, 402 and models and endpoints that are not there, 300000 */
    uint32_t failures;      /* in a row until something rests, 3 */
    uint32_t failure_percent;   /* of the results within failure_window_ms, 50; 0: not looked at */
    uint64_t failure_window_ms; /* 30000 */
    uint32_t queue_max;         /* requests waiting for a slot, 1000 */
    uint64_t queue_ms;          /* how long one waits, 10000 */
    uint64_t discovery_wait_ms; /* how long after a start one waits for networks, 10000 */
    bool overflow; /* a lower tier takes requests that the tiers above have no slot for, true */
    struct peri_str default_model; /* for requests without one; empty: an error */
    const struct peri_config_alias *aliases;
    size_t alias_count;
    const struct peri_config_provider *providers;
    size_t provider_count;
    const struct peri_config_policy *policies;
    size_t policy_count;
    uint64_t policy_budget_ms;    /* CPU time of one entry into a policy, 50 */
    uint64_t policy_mib_ms;       /* added to it for each MiB of bodies, 25 */
    uint64_t policy_request_ms;   /* of all entries into one policy for a request, 500 */
    uint64_t policy_second_ms;    /* of those in a second of a worker, 250 */
    uint64_t policy_instructions; /* of one entry, 10000000 */
    size_t policy_memory_bytes;   /* of one worker's policies, 67108864 */
    uint32_t policy_failures;     /* in a row, after which one is left out; 0: it never is, 5 */
    bool watch_policies;          /* reload when a file changes, true */
    const struct peri_config_key *keys; /* bearer keys of clients; none: anyone, on loopback only */
    size_t key_count;
    const struct peri_str *cors_origins; /* pages of these may ask; "*": of all. None: of none */
    size_t cors_origin_count;
    bool cors_credentials;               /* with what the browser keeps for us, false */
    const struct peri_str *admin_listen; /* none: no admin API */
    size_t admin_listen_count;
    struct peri_secret admin_key; /* empty: anyone on this machine */
    uint64_t seed;                /* of random choices, 0: from the system */
};

/* What one configuration may take in memory, secrets aside. */
#define PERI_CONFIG_BYTES_MAX (64u << 20)

/* Empty: not even the defaults. With one reference, yours; NULL when memory ran out. Tests that need a filled one
 * read it (config/options.h) or set the fields themselves, with memory from its arena. */
struct peri_config *peri_config_new(void);
struct peri_config *peri_config_ref(struct peri_config *c);
/* Wipes the secrets and frees with the last reference. Takes NULL. */
void peri_config_unref(struct peri_config *c);

#endif
