/* What is known about one provider beyond any snapshot: slots in use, what rests, averages. All atomics, shared
 * by every worker, found by provider id and carried over from snapshot to snapshot, so that an epoch change or a
 * reload keeps what was learnt about the hosts that stay.
 *
 * What rests is kept by circuit breakers, one for each thing that a failure can be about: the provider, its endpoints, its
 * keys, its models. fleet/circuit.h reads them together.
 */
#ifndef PERI_FLEET_VITALS_H
#define PERI_FLEET_VITALS_H

#include <stdatomic.h>

#include "base/str.h"
#include "config/config.h"
#include "dialect/dialect.h"
#include "fleet/breaker.h"

#define PERI_MODEL_BREAKERS                                                                        \
    16 /* models of one provider that rest at a time: the newest are known */
#define PERI_MODEL_LABEL_MAX 63 /* bytes of a model's name that are kept for people */

/* A model, at one endpoint, that failed at this provider. */
struct peri_model_breaker {
    atomic_uint_fast64_t key; /* of name and endpoint; 0: this one is free; 1: it is being taken */
    struct peri_breaker breaker;
    atomic_int endpoint;
    atomic_uint_fast64_t name[(PERI_MODEL_LABEL_MAX + 1) / 8]; /* cut, NUL behind it */
};

struct peri_vitals {
    struct peri_str id; /* owned */
    uint64_t secret[2]; /* of its table: clients choose names of models, and must not choose keys */
    atomic_int refs;
    uint64_t
        alone_since_ms; /* under the table's lock: nobody but the table has held it since; 0: not seen so */
    atomic_uint in_flight;              /* slots taken: one an attempt, released exactly once */
    atomic_uint learned_limit;          /* of those, at once; 0: nothing learned (fleet/slots.h) */
    atomic_uint learned_successes;      /* since it was learned */
    atomic_uint_fast64_t overloaded_ms; /* when the limit was last halved; 0: never */
    struct peri_breaker breaker;        /* of the provider as a whole */
    struct peri_breaker endpoints[PERI_DIALECT_COUNT];
    struct peri_breaker keys[PERI_PROVIDER_KEYS_MAX]; /* by place in the configuration */
    atomic_uint_fast64_t
        key_marks[PERI_PROVIDER_KEYS_MAX]; /* hash of each key; 0: there was none */
    atomic_uint next_key;                  /* whose turn it is */
    atomic_bool has_models;                /* one failed, ever */
    struct peri_model_breaker models[PERI_MODEL_BREAKERS];
    atomic_uint_fast64_t success, rate_limited, failed, canceled;
    atomic_uint_fast64_t
        first_token_us;            /* moving average, weight 1/8 for the newest; 0: never seen */
    atomic_uint_fast64_t total_us; /* of whole answers, the same way */
};

struct peri_vitals_table;

PERI_MUST_USE enum peri_err peri_vitals_table_new(struct peri_vitals_table **out);
/* References that fleets still hold stay valid. Takes NULL. */
void peri_vitals_table_free(struct peri_vitals_table *t);
/* The vitals of that id, made when there are none yet. Any thread; release with peri_vitals_unref.
 *   gives   NULL when memory ran out */
struct peri_vitals *peri_vitals_get(struct peri_vitals_table *t, struct peri_str id);
void peri_vitals_unref(struct peri_vitals *v);

#define PERI_VITALS_LIFE_MS UINT64_C(21600000) /* six hours: a quarter of a mainnet epoch */

/* Drop what nobody has held for PERI_VITALS_LIFE_MS: of providers that left, whose requests are over. One that comes back
 * before keeps what was learnt. Any thread but those that serve requests; called when a fleet is published, so a
 * time begins when the first one finds it alone. */
void peri_vitals_sweep(struct peri_vitals_table *t, uint64_t now_ms);
/* How many there are. */
size_t peri_vitals_count(struct peri_vitals_table *t);

/* Take one slot of `max` (0: no limit). gives false, and takes nothing, when all are taken. */
PERI_MUST_USE bool peri_vitals_take(struct peri_vitals *v, uint32_t max);
void peri_vitals_release(struct peri_vitals *v);

/* Forget what rests and the limits that were learned (an operator's order). */
void peri_vitals_reset(struct peri_vitals *v);

/* The i-th key is this one from now on: one that was changed is asked with at once. */
void peri_vitals_set_key(struct peri_vitals *v, size_t i, struct peri_str key);

/* The breaker of that model at that endpoint; NULL: it never failed, or others failed since. */
struct peri_breaker *peri_vitals_model(struct peri_vitals *v, struct peri_str model,
                                       enum peri_dialect_id endpoint);
/* The same, made when there is none: in the place of the one whose rest ends first. NULL: another thread takes that place
 * just now, and nothing is remembered. */
struct peri_breaker *peri_vitals_make_model(struct peri_vitals *v, struct peri_str model,
                                            enum peri_dialect_id endpoint);
/* The cut name of a model breaker, for people. gives false when it is free or changes just now */
bool peri_vitals_model_name(char out[PERI_MODEL_LABEL_MAX + 1], const struct peri_model_breaker *m);

/* Moving averages; `us` 0 is ignored. */
void peri_vitals_saw_first_token(struct peri_vitals *v, uint64_t us);
void peri_vitals_saw_total(struct peri_vitals *v, uint64_t us);

#endif
