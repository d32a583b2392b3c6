/* Private to gonka_network.c, gonka_hosts.c, gonka_refresh.c and gonka_current.c. */
#ifndef PERI_GONKA_GONKA_NETWORK_PARTS_H
#define PERI_GONKA_GONKA_NETWORK_PARTS_H

#include "base/rand.h"
#include "gonka/chain/gonka_epoch.h"
#include "gonka/chain/gonka_follow.h"
#include "gonka/chain/gonka_set.h"
#include "gonka/epoch_webhook.h"
#include "gonka/gonka_network.h"
#include "gonka/gonka_sign.h"
#include "gonka/gonka_skew.h"
#include "net/client/fetch.h"

struct peri_gonka_wallet_state {
    struct peri_gonka_wallet wallet;
    atomic_uint_fast64_t rests_until_ms;
    atomic_uint_fast64_t doubted_by,
        doubted_ms; /* hash of the host that said it can not pay; 0: nobody */
};

struct peri_gonka_network {
    struct peri_network network; /* first: what the rest of the router knows of it */
    struct peri_config *config;
    const struct peri_config_gonka *options;
    struct peri_network_env env;
    struct peri_keyring *ring;
    struct peri_gonka_wallet_state *wallets;
    size_t wallet_count;
    atomic_size_t turn; /* whose turn it is to sign */
    struct peri_gonka_skew skew;
    atomic_uint_fast64_t looked_ms; /* when a host's answer asked for a refresh last; 0: never */

    /* The control thread's. */
    struct peri_timer timer;
    struct peri_rand rand;
    struct peri_fetch *fetch; /* the step under way */
    size_t source;            /* which one is asked */
    unsigned failures;        /* in a row */
    bool is_ordered;          /* once more when the refresh under way ends */
    bool has_started, is_running, has_epoch, is_phase_known;
    uint64_t checked; /* epoch checks since the participants were fetched last */
    struct peri_gonka_epoch epoch;
    int64_t sent_ns;      /* wall clock when the step under way began */
    int64_t disputed_ns;  /* a difference that the chain did not bear out */
    int64_t suspected_ns; /* how far the clock seems to be off: the chain is asked */
    int64_t safe_ns;      /* how far it may be off */
    int64_t preserved;    /* the window whose snapshot the current set was marked by; 0: none */
    struct peri_gonka_set *set;         /* the current one */
    struct peri_gonka_set *fixed;       /* of the configured endpoints, not judged yet */
    struct peri_gonka_set *next;        /* fetched, waiting for the rest of the refresh */
    struct peri_gonka_follow *follow;   /* under way */
    struct peri_gonka_trusted *trusted; /* how far the chain was followed; NULL: not begun */
    char base[1024];                    /* the present source, without /v1 */
    struct peri_buf document;           /* what `next` was read from, until it is current */
    struct peri_arena arena;            /* of the chain's parameters */
    struct peri_str *agents;
    size_t agent_count;
    struct peri_network_status status;  /* what refreshes count */
    struct peri_epoch_webhook *webhook; /* NULL: none is configured */
};

static inline struct peri_gonka_network *peri_gonka_network_of(struct peri_network *n) {
    return (struct peri_gonka_network *)(void *)n;
}
static inline const struct peri_gonka_network *
peri_gonka_network_of_const(const struct peri_network *n) {
    return (const struct peri_gonka_network *)(const void *)n;
}

/* Hold a set against the configured rules and the chain's allow-list.
 *   is_fixed  it is the operator's own word: neither the allow-list nor the ban on private hosts holds for it */
void peri_gonka_judge(struct peri_gonka_network *n, struct peri_gonka_set *set, bool is_fixed);
/* Take a judged set over.
 *   gives   PERI_OK · PERI_ENOTFOUND nobody in it is usable: the current set stays · PERI_ENOMEM; when it fails the
 *           set is still the caller's */
PERI_MUST_USE enum peri_err peri_gonka_make_current(struct peri_gonka_network *n,
                                                    struct peri_gonka_set *set);
/* n->document on disk, for the next start; when there is none, nothing. */
void peri_gonka_keep(struct peri_gonka_network *n);
/* Make current what is known without a network. */
enum peri_err peri_gonka_refresh_begin(struct peri_gonka_network *n);
void peri_gonka_refresh_due(void *arg);

/* Operations of struct peri_network_ops. */
void peri_gonka_start(struct peri_network *n);
void peri_gonka_refresh(struct peri_network *n);
void peri_gonka_close(struct peri_network *n);
bool peri_gonka_inherit(struct peri_network *n, struct peri_network *old);
enum peri_err peri_gonka_hosts(const struct peri_network *n, struct peri_host_list *out);
peri_judge peri_gonka_judge_host, peri_gonka_judge_broker;
/* A host says that the wallet can not pay. Hosts may lie, and one that does would else take the whole network away: the
 * wallet rests for a while once a second host has said the same.
 *   node    the host's account
 *   gives   true when it is believed */
bool peri_gonka_rest_wallet(struct peri_gonka_network *n, size_t wallet, struct peri_str node,
                            uint64_t now_ms);

#endif
