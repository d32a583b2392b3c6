/* One Gonka network as a source of providers: its wallets, its hosts of the present epoch, and the refresh that keeps
 * them true.
 *
 * The control thread owns everything here that changes: sources are asked in order, the answer is judged
 * (gonka_set.h), and when it differs from what is in force a new snapshot of the fleet is published. What failed leaves
 * the last good set in force, on disk too when there is a place for it. Workers read only what a provider of the fleet
 * points to: the wallets, and the host's address.
 *
 * States of a refresh: idle → phase (…/epochs/latest) → clock (only when the answer's time is far from ours: the newest
 * block's time must bear it out before signatures follow it, gonka_skew.h) → participants
 * (…/epochs/current/participants) → commit (only with proofs) → params (the chain's allow-list) → identity (not with
 * proofs: whom the source has called in its place) → preserved (only while proofs are computed: who goes on serving) →
 * idle. The steps from participants to identity are left out while the epoch is the one in force, except now and then. A
 * failure on the way ends it, and the next source's turn comes after a pause that doubles up to the refresh interval;
 * clock, params, identity and preserved may fail, what is known without them holds then. So may phase, unless it is
 * not answered in time and there is another source.
 */
#ifndef PERI_CORE_GONKA_NETWORK_H
#define PERI_CORE_GONKA_NETWORK_H

#include "base/log.h"
#include "core/config.h"
#include "core/gonka_epoch.h"
#include "core/gonka_set.h"
#include "core/gonka_sign.h"
#include "crypto/signers.h"
#include "crypto/stamps.h"
#include "net/client.h"

struct peri_gonka_network;
struct peri_runtime;

/* Said on the control thread when the set of hosts in force has changed. `before` may be NULL. */
typedef void (*peri_gonka_changed)(void *arg, struct peri_gonka_network *n,
                                   const struct peri_gonka_diff *diff,
                                   const struct peri_gonka_set *before,
                                   const struct peri_gonka_set *after);
/* Said on the control thread after each look at the network, whatever came of it: its status is another one. */
typedef void (*peri_gonka_looked)(void *arg);

struct peri_gonka_env {
    struct peri_loop *loop; /* the control thread's */
    struct peri_client *client;
    struct peri_log *log;
    const struct peri_clock *clock;
    struct peri_stamps *stamps; /* one for the whole process of routers */
    struct peri_str state_dir;  /* where last good sets are kept; empty: nowhere */
    peri_gonka_changed changed;
    peri_gonka_looked looked; /* NULL: nobody wants to know */
    void *arg;
};

/* `config` is referenced; `provider` is one of its, with network "gonka". Static endpoints and the set kept on disk are
 * in force when this returns.
 *   gives   PERI_OK · PERI_ECONFIG a key or an endpoint is wrong · PERI_ENOMEM · PERI_ECRYPTO */
PERI_MUST_USE enum peri_err peri_gonka_network_new(struct peri_gonka_network **out,
                                                   struct peri_config *config,
                                                   const struct peri_config_provider *provider,
                                                   const struct peri_gonka_env *env,
                                                   struct peri_fault *fault);
struct peri_gonka_network *peri_gonka_network_ref(struct peri_gonka_network *n);
/* Any thread; the last reference frees. Takes NULL. */
void peri_gonka_network_unref(struct peri_gonka_network *n);

/* On the control thread: first refresh at once, then at jittered intervals, until closed. */
void peri_gonka_network_start(struct peri_gonka_network *n);
void peri_gonka_network_close(struct peri_gonka_network *n);
/* Over a reload: go on with what the network that had this one's id knew, so that a source that is down just then takes no
 * host away. Its hosts are judged by the rules of now. Nothing is taken where no source is asked that was asked before,
 * nor what was not proven in the way that is asked for now.
 *   n        not started yet
 *   old      will not be started again; no thread of its own runs
 *   gives    true: its hosts are in force here */
PERI_MUST_USE bool peri_gonka_network_inherit(struct peri_gonka_network *n,
                                              struct peri_gonka_network *old);
/* Refresh now, whatever the timer says; when a refresh is under way, once more after it: what it has fetched so far may
 * be older than the order. */
void peri_gonka_network_refresh(struct peri_gonka_network *n);

/* Any thread: a host's answer shows that what is known of the network is not true any more.
 *   gives   true: whoever asked is to have it refreshed; the next such answers within ten seconds change nothing, nor
 *           does any when the network is not to be followed */
PERI_MUST_USE bool peri_gonka_network_may_look(struct peri_gonka_network *n, uint64_t now_ms);

/* On the control thread: what is in force. NULL: nothing yet. */
const struct peri_gonka_set *peri_gonka_network_set(const struct peri_gonka_network *n);
/* Configured endpoints that stand beside what is discovered. NULL: none. */
const struct peri_gonka_set *peri_gonka_network_fixed(const struct peri_gonka_network *n);
const struct peri_gonka_epoch *peri_gonka_network_epoch(const struct peri_gonka_network *n);
const struct peri_config_provider *peri_gonka_network_provider(const struct peri_gonka_network *n);
const struct peri_config_gonka *peri_gonka_network_options(const struct peri_gonka_network *n);

#define PERI_GONKA_ID_MAX 128 /* of a configured provider, as the configuration allows */

/* How it stands, for status pages and `peri.gonka`. */
struct peri_gonka_status {
    char id[PERI_GONKA_ID_MAX + 1]; /* of the configured provider */
    uint64_t epoch, refreshes, failures;
    const char *phase; /* static; "" when not known */
    int64_t height;    /* of the newest block heard of; 0: none */
    size_t usable, listed;
    bool is_proven;
    uint64_t last_ok_ms, next_ms; /* monotonic; 0: never, none planned */
    int64_t clock_offset_ms;      /* what is added to this machine's clock in signatures */
    char last_error[200];
};
void peri_gonka_network_status(const struct peri_gonka_network *n, struct peri_gonka_status *out);

/* A worker's thread: sign one attempt with the next wallet that is not resting.
 *   wallet   out: which one, for peri_gonka_network_rest
 *   gives    PERI_OK · PERI_EAUTH every wallet rests · PERI_ECRYPTO, also a signature that does not hold, where
 *            each is checked */
PERI_MUST_USE enum peri_err peri_gonka_network_sign(struct peri_gonka_signed *out, size_t *wallet,
                                                    const struct peri_gonka_wallet **by,
                                                    struct peri_gonka_network *n,
                                                    struct peri_signers *signers,
                                                    struct peri_str body, struct peri_str node,
                                                    uint64_t now_ms);
/* Any thread: the account of the i-th wallet, borrowed from the network; empty behind the last one. */
struct peri_str peri_gonka_network_account(const struct peri_gonka_network *n, size_t i);
/* Any thread: a host says that the wallet can not pay. Hosts may lie, and one that does would else take the whole
 * network away: the wallet rests for a while once a second host has said the same.
 *   node    the host's account
 *   gives   true when it is believed */
bool peri_gonka_network_rest(struct peri_gonka_network *n, size_t wallet, struct peri_str node,
                             uint64_t now_ms);

#endif
