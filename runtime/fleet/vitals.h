/* What is known about one provider beyond any snapshot: slots in use, cool-downs, averages. All atomics, shared
 * by every worker, found by provider id and carried over from snapshot to snapshot, so that an epoch change or a
 * reload keeps what was learnt about the hosts that stay.
 */
#ifndef PERI_FLEET_VITALS_H
#define PERI_FLEET_VITALS_H

#include <stdatomic.h>

#include "base/str.h"

/* OPEN: takes requests. COOLING: not before cool_until_ms. PROBING: its time is over, and one request is finding
 * out whether it is well again; the others wait for that verdict. */
enum peri_condition { PERI_OPEN, PERI_COOLING, PERI_PROBING };

/* A model that a provider said it does not have, though it is listed with it. */
struct peri_lack {
    atomic_uint_fast64_t model; /* hash of the public name; 0: none */
    atomic_uint_fast64_t until_ms;
};
#define PERI_LACKS_MAX 8

struct peri_vitals {
    struct peri_str id; /* owned */
    atomic_int refs;
    uint64_t
        alone_since_ms; /* under the table's lock: nobody but the table has held it since; 0: not seen so */
    atomic_uint in_flight;              /* slots taken: one an attempt, released exactly once */
    atomic_uint learned_limit;          /* of those, at once; 0: nothing learned (fleet/slots.h) */
    atomic_uint learned_successes;      /* since it was learned */
    atomic_int condition;               /* enum peri_condition */
    atomic_int reason;                  /* enum peri_err that closed it */
    atomic_uint_fast64_t cool_until_ms; /* monotonic */
    atomic_uint strikes;  /* probes in a row that failed: each doubles the next cool-down */
    atomic_uint failures; /* in a row */
    atomic_uint_fast64_t success, rate_limited, failed, canceled;
    atomic_uint_fast64_t
        first_token_us;            /* moving average, weight 1/8 for the newest; 0: never seen */
    atomic_uint_fast64_t total_us; /* of whole answers, the same way */
    atomic_bool lacks;             /* there was one, ever */
    struct peri_lack lacking[PERI_LACKS_MAX];
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

/* Whether a request may be sent now; changes nothing. `wait_ms`, when not NULL, gets how long it is closed. */
bool peri_vitals_admits(const struct peri_vitals *v, uint64_t now_ms, uint64_t *wait_ms);
/* Called by who is about to send: when a cool-down has just run out, only one caller becomes the probe.
 *   gives   false: somebody else is probing, or it is still closed
 *   is_probe  out: this request's outcome decides (peri_vitals_well, _cool or _unknown) */
PERI_MUST_USE bool peri_vitals_enter(struct peri_vitals *v, uint64_t now_ms, bool *is_probe);
/* It answered as it should: open again, count a success. */
void peri_vitals_well(struct peri_vitals *v);
/* Closed for `ms` for that reason; a longer cool-down in force stays. */
void peri_vitals_cool(struct peri_vitals *v, enum peri_err reason, uint64_t now_ms, uint64_t ms);
/* The probe found nothing out (its client left): the next request may probe. */
void peri_vitals_unknown(struct peri_vitals *v);
/* Forget cool-downs, lacking models and learned limits (an operator's order). */
void peri_vitals_reset(struct peri_vitals *v);

/* It does not have that model: not to be asked for it for `ms`, and for its others as before. The newest
 * PERI_LACKS_MAX are known. */
void peri_vitals_lack(struct peri_vitals *v, struct peri_str model, uint64_t now_ms, uint64_t ms);
/* How long it is not to be asked for that model; 0: it may be. */
uint64_t peri_vitals_lacks_ms(const struct peri_vitals *v, struct peri_str model, uint64_t now_ms);

/* Moving averages; `us` 0 is ignored. */
void peri_vitals_saw_first_token(struct peri_vitals *v, uint64_t us);
void peri_vitals_saw_total(struct peri_vitals *v, uint64_t us);

#endif
