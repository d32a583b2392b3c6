/* All providers there are, as one immutable snapshot. The control thread builds and publishes it; workers pick it
 * up between turns of their loop, and a request keeps the one it started with.
 *
 * Look-up by public model name gives the candidates in the order of their ranks. A provider that lists no models takes every
 * name; so for a name nobody lists the candidates are just those.
 *
 * A name with a star stands for every model of that form; the longest one counts, behind names that are listed.
 *
 * Brokers spell one model in different cases ("moonshotai/Kimi-K2.6", "moonshotai/kimi-k2.6"). Names that differ in
 * nothing else are one public model, listed as it was mentioned first, and each provider is sent its own spelling.
 * Only when one provider lists two such names are they models of their own: there the client's very spelling counts.
 */
#ifndef PERI_FLEET_FLEET_H
#define PERI_FLEET_FLEET_H

#include "base/map.h"
#include "config/config.h"
#include "config/model_pattern.h"
#include "dialect/dialect.h"
#include "fleet/model_list.h"
#include "fleet/vitals.h"
#include "net/client/client.h"

#define PERI_SHARE_UNIT 65536u /* the share that weight 1 of a plain provider is */

struct peri_judgement;
struct peri_model_slots;
struct peri_network;
struct peri_provider;

/* What a refusal of a provider's means (fleet/network.h).
 *   wallet   that signed the attempt
 *   status   of the answer
 *   body     its first kilobytes, of any kind; may be empty */
typedef struct peri_judgement peri_judge(const struct peri_provider *p, size_t wallet, int status,
                                         struct peri_str body, uint64_t now_ms);

struct peri_provider {
    struct peri_str id;
    struct peri_url *urls[PERI_DIALECT_COUNT]; /* by peri_dialect.id */
    struct peri_str url;                       /* base, for people */
    const struct peri_header *headers;         /* fixed ones, credentials included: never shown */
    size_t header_count;
    struct peri_str credential; /* the value among them that ends with the key; empty: no key */
    const struct peri_config_model *models;
    size_t model_count;
    struct peri_model_list
        *list;           /* what it said it serves, referenced; NULL: not asked, or not known */
    bool takes_any;      /* every name goes, whatever it lists */
    bool has_credential; /* the last of the headers */
    const struct peri_str
        *keys;        /* values of that header, one a key; the header has the first of them */
    size_t key_count; /* each has a breaker of its own; 0: it is asked without a key */
    uint32_t tier, weight, max_concurrent;
    uint64_t
        share; /* of the requests of its rank: weights of networks and of plain providers on one scale */
    struct peri_config_timeouts timeouts;
    const struct peri_config_retry *retry;
    bool use_http2, is_insecure;
    bool passes_empty; /* an answer that says nothing is one */
    bool
        is_public_only; /* a stranger told us where it is: it must not lead into a private network */
    bool is_reduced;    /* serves little of anything just now */
    const bool *reduced; /* by model; NULL: is_reduced for every one */
    bool is_limited;     /* max_concurrent, is_adaptive or model_slots is set: see fleet/slots.h */
    bool is_adaptive;    /* max_concurrent gives way to what it was found to take */
    const struct peri_model_slots *model_slots; /* by model; NULL: none has a limit of its own */
    struct peri_str ca_file, tags;
    struct peri_str broker;        /* the network whose answers a plain provider sells; "" */
    struct peri_str network;       /* "" for a plain provider */
    struct peri_str address;       /* the host's address on that network */
    struct peri_network *found_by; /* referenced; signs attempts. NULL: a plain provider */
    peri_judge *judge;             /* reads its refusals; NULL: their status alone tells */
    struct peri_vitals *vitals;
    struct peri_vitals
        *network_vitals; /* of found_by, shared by its hosts; NULL: a plain provider */
    size_t index;        /* in its fleet */
};

/* One provider that can serve a model, and the model's name there. */
struct peri_candidate {
    const struct peri_provider *provider;
    const struct peri_config_model *model; /* NULL: the provider takes every name */
    struct peri_str upstream;              /* empty: send the name as the client wrote it */
    /* What the choice goes by: the tier; and behind all tiers, again by tier, the hosts that serve the model little just
     * now. A tier of other providers is better than a host whose machines compute proofs. */
    uint32_t rank;
    bool is_reduced; /* the provider serves this model little just now */
    bool is_last;    /* it rests, and so does everybody else: it is asked all the same */
};

struct peri_candidates {
    const struct peri_candidate *at; /* ascending rank */
    size_t count;
    struct peri_str model; /* the public name as it is listed; empty when nobody lists it */
    bool has_limits; /* some are known not to take every request: fleet/fit.h leaves those out */
};

/* A name with a star, and who serves what it stands for. */
struct peri_fleet_pattern {
    struct peri_str name;
    struct peri_candidates candidates; /* model empty: each name stands for itself */
};

struct peri_fleet {
    atomic_int refs;
    uint64_t generation;
    struct peri_config *config; /* referenced: the names above point into it */
    struct peri_arena arena;
    struct peri_provider *providers;
    size_t provider_count;
    struct peri_map by_id;               /* → struct peri_provider */
    struct peri_map by_model, by_folded; /* → struct peri_candidates; folded: in lower case */
    struct peri_candidates any;          /* providers that take every model */
    const struct peri_str *models;       /* public names, in order of first mention */
    size_t model_count;
    size_t
        alias_count; /* of the configuration's other names, which stand behind them in `models` */
    struct peri_fleet_pattern *patterns; /* longest first */
    size_t pattern_count;
    uint64_t epoch;    /* of the first network; 0: there is none, or it is not known */
    const char *phase; /* of it: "Inference"; "" when not known */
    /* Not 0: the hosts of a network are not known yet, and requests for models that nobody has wait until then,
     * monotonic. */
    uint64_t pending_until_ms;
    uint64_t created; /* wall clock, seconds: what /v1/models says */
};

/* A host that a network found, to become a provider. Everything is copied. */
struct peri_fleet_host {
    const struct peri_config_provider *of; /* whose tier, timeouts, headers and model names hold */
    struct peri_network *found_by;
    struct peri_str id, url, address; /* url: without /v1 */
    const struct peri_str *models;    /* none: every model */
    size_t model_count;
    uint32_t weight, max_concurrent;
    const struct peri_config_number *limits; /* those of addresses are left out */
    size_t limit_count;
    uint64_t share;
    bool is_public_only;
    bool is_reduced;     /* serves little just now: asked when nobody else can be */
    const bool *reduced; /* the same by model; NULL: is_reduced for every one */
};

/* Build from a configuration's plain providers, and from the hosts that its networks found.
 *   lists   what plain providers said they serve, by their place in the configuration; NULL where that is not known.
 *           A provider without configured models serves its list; one with them gets the list's spellings, and its
 *           limits where none are configured. `lists` itself NULL: nothing is known.
 *   gives   PERI_OK · PERI_ECONFIG with the reason · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_fleet_new(struct peri_fleet **out, struct peri_config *config,
                                           const struct peri_fleet_host *hosts, size_t host_count,
                                           struct peri_model_list *const *lists,
                                           struct peri_vitals_table *vitals, uint64_t generation,
                                           struct peri_fault *fault);
struct peri_fleet *peri_fleet_ref(struct peri_fleet *f);
void peri_fleet_unref(struct peri_fleet *f);

/* Who can serve that public model: exactly as written, else without case. */
struct peri_candidates peri_fleet_find(const struct peri_fleet *f, struct peri_str model);
const struct peri_provider *peri_fleet_provider(const struct peri_fleet *f, struct peri_str id);
/* The name that a candidate is sent for a public one: its own, what the star stands for, or the public one. */
static inline struct peri_str peri_candidate_upstream(const struct peri_candidate *c,
                                                      struct peri_str name) {
    if (c->upstream.n > 0) return c->upstream;
    if (c->model != NULL && peri_str_eq(c->model->upstream, PERI_STR("*")))
        (void)peri_pattern_matches(c->model->name, name, &name);
    return name;
}
/* What `p` calls that public model; p unfit gives a NULL provider. */
struct peri_candidate peri_fleet_candidate(const struct peri_fleet *f,
                                           const struct peri_provider *p, struct peri_str model);

#endif
