/* The circuit breakers on the way of one attempt, read together: of the network, the provider, its endpoint, its key, and
 * the model at that endpoint.
 *
 * An attempt enters all of them or none. Its end is told once: what it was about fails, and what is wider has shown
 * that it answers.
 */
#ifndef PERI_FLEET_CIRCUIT_H
#define PERI_FLEET_CIRCUIT_H

#include "fleet/fleet.h"
#include "fleet/scope.h"

/* The way of an attempt. */
struct peri_circuit {
    struct peri_breaker *at[PERI_SCOPE_COUNT]; /* NULL: there is none */
    unsigned trials;                           /* bits of scopes: this attempt is their trial */
    size_t key; /* which of the provider's keys; 0 when it has none */
};

/* Why a provider is not asked. */
struct peri_rest {
    enum peri_scope scope;
    enum peri_err reason;
    uint64_t wait_ms;
    bool is_forbidden; /* not even a request that has nobody else to ask may go */
};

/* Whether a request for that model may go to that provider; changes nothing.
 *   model   as the client is told it
 *   why     out, may be NULL, set when it may not: of the rest that ends last */
bool peri_circuit_admits(const struct peri_provider *p, struct peri_str model,
                         enum peri_dialect_id endpoint, uint64_t now_ms, struct peri_rest *why);

/* How long nothing at all is sent there: the provider, its network or every key of it rests. 0: it is asked. */
uint64_t peri_circuit_rest_ms(const struct peri_provider *p, uint64_t now_ms);

/* Called when the attempt is about to be sent.
 *   c         blank
 *   is_last   nobody else can be asked: see peri_breaker_enter
 *   gives     false: something rests; nothing was entered */
PERI_MUST_USE bool peri_circuit_enter(struct peri_circuit *c, const struct peri_provider *p,
                                      struct peri_str model, enum peri_dialect_id endpoint,
                                      uint64_t now_ms, bool is_last);

/* It answered as it should. gives the bits of the scopes that are asked again because of it */
unsigned peri_circuit_succeed(struct peri_circuit *c, const struct peri_config *config,
                              uint64_t now_ms);
/* It failed, and `scope` is what the failure is about: what is wider has answered, where an answer came.
 *   at_once_ms   the rest of what no other try will mend; 0: it rests after several failures
 *   gives        true when that scope began to rest just now */
bool peri_circuit_fail(struct peri_circuit *c, const struct peri_config *config,
                       enum peri_scope scope, const struct peri_breaker_failure *f,
                       uint64_t at_once_ms);
/* It ended without showing anything about them. */
void peri_circuit_cancel(struct peri_circuit *c);

/* For failures about a model: the breaker is made when there is none yet. */
void peri_circuit_add_model(struct peri_circuit *c, const struct peri_provider *p,
                            struct peri_str model, enum peri_dialect_id endpoint);

#endif
