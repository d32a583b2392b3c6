/* What a kind of network provides: hosts that become providers, signatures for their requests, and what their refusals
 * mean. The rest of the router knows a network by this interface alone.
 *
 * The control thread owns what changes in a network. Workers call `sign`, `judge` and `may_refresh`, through the provider
 * that the network found.
 */
#ifndef PERI_FLEET_NETWORK_H
#define PERI_FLEET_NETWORK_H

#include <stdatomic.h>

#include "base/log.h"
#include "crypto/signers.h"
#include "crypto/stamps.h"
#include "fleet/fleet.h"

struct peri_network_ops;

/* The first member of each kind's own struct. */
struct peri_network {
    const struct peri_network_ops *ops;
    atomic_int refs;
    const struct peri_config_provider *provider; /* of the configuration */
};

struct peri_network_env {
    struct peri_loop *loop; /* the control thread's */
    struct peri_client *client;
    struct peri_log *log;
    const struct peri_clock *clock;
    struct peri_stamps *stamps; /* one for all networks of a router */
    struct peri_str state_dir;  /* where the last good lists of hosts are kept; empty: nowhere */
    /* Said on the control thread when what `hosts` gives has changed.
     *   change   good until this returns; NULL when nobody came, went or changed and the epoch is the same */
    void (*changed)(void *arg, struct peri_network *n, const struct peri_epoch_change *change);
    /* Said on the control thread after each refresh, whatever came of it: the status is another one. May be NULL. */
    void (*refreshed)(void *arg);
    void *arg;
};

/* Hosts that become providers, with the memory for what they point to. */
struct peri_host_list {
    struct peri_fleet_host *at;
    size_t count, room;
    struct peri_arena arena;
};
void peri_host_list_init(struct peri_host_list *l);
/* Copied; one whose id is in the list already is left out. gives PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_host_list_add(struct peri_host_list *l,
                                               const struct peri_fleet_host *host);
void peri_host_list_done(struct peri_host_list *l);

#define PERI_NETWORK_ID_MAX 128 /* of a configured provider, as the configuration allows */

/* How a network stands, for status pages and policies. */
struct peri_network_status {
    char id[PERI_NETWORK_ID_MAX + 1]; /* of the configured provider */
    uint64_t epoch, refreshes, failures;
    const char *phase; /* static; "" when not known */
    int64_t height;    /* of the newest block heard of; 0: none */
    size_t usable, listed;
    bool is_pending; /* its first list of hosts is still to come */
    bool is_proven;
    uint64_t last_ok_ms, next_ms; /* monotonic; 0: never, none planned */
    int64_t clock_offset_ms;      /* what is added to this machine's clock in signatures */
    char last_error[200];
};

#define PERI_NETWORK_HEADERS_MAX 4

/* The headers that sign one attempt. They are views into `text` and into the network: a signature is not copied. */
struct peri_network_signed {
    struct peri_header headers[PERI_NETWORK_HEADERS_MAX];
    size_t header_count;
    size_t wallet; /* the wallet that signed, counted from 0 */
    char text[128];
};

/* The narrowest thing that explains a refusal. */
enum peri_refusal {
    PERI_REFUSAL_OF_STATUS,  /* the status alone tells */
    PERI_REFUSAL_OF_REQUEST, /* the request is wrong: the client gets the answer */
    PERI_REFUSAL_OF_MOMENT, /* another try may go well, there as elsewhere: no fault of the provider's */
    PERI_REFUSAL_OF_LOAD,     /* the provider rests a while */
    PERI_REFUSAL_OF_HOST,     /* the provider failed */
    PERI_REFUSAL_OF_MODEL,    /* the provider lacks the model: the network wants a refresh */
    PERI_REFUSAL_OF_WALLET,   /* the wallet can not pay and rests: no fault of the provider's */
    PERI_REFUSAL_OF_PROVIDER, /* the provider takes no requests of ours */
    PERI_REFUSAL_OF_NETWORK,  /* nobody on the network does: all its hosts rest */
};

struct peri_judgement {
    enum peri_refusal refusal;
    bool is_outdated;  /* what is known of the network does not hold any more: it wants a refresh */
    const char *event; /* of the log line; NULL: nothing was recognised, no line is written */
    const char *code;  /* stable, for programs and metrics: "gonka_api_closed" */
    const char *action;   /* what is done about it: "drop_endpoint" */
    const char *sentence; /* for the operator, with the remedy; static */
};

struct peri_network_ops {
    const char *name; /* `network` of a configured provider: "gonka" */
    /* `config` is referenced; `provider` is one of its. Hosts that are known without asking anybody are current when
     * this returns.
     *   gives   PERI_OK · PERI_ECONFIG a key or an endpoint is wrong · PERI_ENOMEM · PERI_ECRYPTO */
    enum peri_err (*create)(struct peri_network **out, struct peri_config *config,
                            const struct peri_config_provider *provider,
                            const struct peri_network_env *env, struct peri_fault *fault);
    /* Any thread: the last reference is gone. Half-made networks come here, too. */
    void (*free)(struct peri_network *n);
    /* On the control thread: first refresh at once, then at intervals, until closed. */
    void (*start)(struct peri_network *n);
    void (*close)(struct peri_network *n);
    /* On the control thread: refresh now; when a refresh is under way, once more after it. */
    void (*refresh)(struct peri_network *n);
    /* Over a reload: go on with what the network of the same id knew, so that a source that is down just then takes no
     * host away.
     *   n       of the same kind as `old`, not started yet
     *   old     will not be started again; its thread does not run
     *   gives   true: its hosts are current here */
    bool (*inherit)(struct peri_network *n, struct peri_network *old);
    /* On the control thread: add the current hosts. gives PERI_OK · PERI_ENOMEM */
    enum peri_err (*hosts)(const struct peri_network *n, struct peri_host_list *out);
    /* On the control thread, or before it runs. */
    void (*status)(const struct peri_network *n, struct peri_network_status *out);
    /* Any thread: the account of the i-th wallet, borrowed from the network; empty behind the last one. */
    struct peri_str (*account)(const struct peri_network *n, size_t i);
    /* True for the text of an address of a host of this kind of network. */
    bool (*is_address)(struct peri_str text);
    /* True for the name of a header that `sign` makes: nobody else sets it. */
    bool (*is_signature_header)(struct peri_str name);
    /* A worker's thread: sign one attempt with the next wallet that does not rest.
     *   body      the exact bytes that are sent
     *   address   of the host
     *   gives     PERI_OK · PERI_EAUTH every wallet rests · PERI_ENOMEM · PERI_ECRYPTO, also a signature that does not
     *             hold, where each is checked */
    enum peri_err (*sign)(struct peri_network_signed *out, struct peri_network *n,
                          struct peri_signers *signers, struct peri_str body,
                          struct peri_str address, uint64_t now_ms);
    /* A worker's thread: of a refusal of one of its hosts. */
    peri_judge *judge;
    /* A worker's thread: of a refusal of a plain provider that sells this network's answers (`broker`), which hands the
     * words of the network's servers on. What none of these servers says is left to its status. */
    peri_judge *judge_broker;
    /* Any thread: an answer was outdated.
     *   gives   true: the caller is to have the networks refreshed. The next such answers within a while change nothing,
     *           nor does any when the network is not followed. */
    bool (*may_refresh)(struct peri_network *n, uint64_t now_ms);
};

/* For `create`. */
void peri_network_init(struct peri_network *n, const struct peri_network_ops *ops,
                       const struct peri_config_provider *provider);
struct peri_network *peri_network_ref(struct peri_network *n);
/* Any thread; the last reference frees. Takes NULL. */
void peri_network_unref(struct peri_network *n);
/* As the operations of that name. */
bool peri_network_inherit(struct peri_network *n, struct peri_network *old);
void peri_network_status(const struct peri_network *n, struct peri_network_status *out);

#endif
