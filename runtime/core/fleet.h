/* All providers there are, as one immutable snapshot. The control thread builds and publishes it; workers pick it
 * up between turns of their loop, and a request keeps the one it started with.
 *
 * Look-up by public model name gives the candidates in tier order. A provider that lists no models takes every
 * name; so for a name nobody lists the candidates are just those.
 */
#ifndef PERI_CORE_FLEET_H
#define PERI_CORE_FLEET_H

#include "base/map.h"
#include "core/config.h"
#include "core/vitals.h"
#include "net/client.h"

enum peri_endpoint { PERI_CHAT, PERI_COMPLETIONS, PERI_EMBEDDINGS, PERI_ENDPOINT_COUNT };

struct peri_signer; /* of a network's own module: makes an attempt's signed headers */

struct peri_provider {
    struct peri_str id;
    struct peri_url *urls[PERI_ENDPOINT_COUNT];
    struct peri_str url;               /* base, for people */
    const struct peri_header *headers; /* fixed ones, credentials included: never shown */
    size_t header_count;
    struct peri_str credential; /* the value among them that ends with the key; empty: no key */
    const struct peri_config_model *models;
    size_t model_count;
    uint32_t tier, weight, max_concurrent;
    struct peri_config_timeouts timeouts;
    bool use_http2, is_insecure;
    struct peri_str ca_file, tags;
    struct peri_str network; /* "" for a plain provider */
    struct peri_str address; /* the host's address on that network */
    struct peri_vitals *vitals;
    size_t index; /* in its fleet */
};

/* One provider that can serve a model, and the model's name there. */
struct peri_candidate {
    const struct peri_provider *provider;
    const struct peri_config_model *model; /* NULL: the provider takes every name */
    struct peri_str upstream;              /* empty: send the name as the client wrote it */
};

struct peri_candidates {
    const struct peri_candidate *at; /* ascending tier */
    size_t count;
    struct peri_str model; /* the public name as it is listed; empty when nobody lists it */
};

struct peri_fleet {
    atomic_int refs;
    uint64_t generation;
    struct peri_config *config; /* referenced: the names above point into it */
    struct peri_arena arena;
    struct peri_provider *providers;
    size_t provider_count;
    struct peri_map by_id, by_model; /* → struct peri_provider, struct peri_candidates */
    struct peri_candidates any;      /* providers that take every model */
    const struct peri_str *models;   /* public names, in order of first mention */
    size_t model_count;
    uint64_t created; /* wall clock, seconds: what /v1/models says */
};

/* Build from a configuration's plain providers.
 *   gives   PERI_OK · PERI_ECONFIG with the reason · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_fleet_new(struct peri_fleet **out, struct peri_config *config,
                                           struct peri_vitals_table *vitals, uint64_t generation,
                                           struct peri_fault *fault);
struct peri_fleet *peri_fleet_ref(struct peri_fleet *f);
void peri_fleet_unref(struct peri_fleet *f);

/* Who can serve that public model: exactly as written, else without case. */
struct peri_candidates peri_fleet_find(const struct peri_fleet *f, struct peri_str model);
const struct peri_provider *peri_fleet_provider(const struct peri_fleet *f, struct peri_str id);
/* What `p` calls that public model; p unfit gives a NULL provider. */
struct peri_candidate peri_fleet_candidate(const struct peri_fleet *f,
                                           const struct peri_provider *p, struct peri_str model);

#endif
