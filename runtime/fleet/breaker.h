/* A circuit breaker: whether one thing (a provider, one of its models, endpoints or keys, a network) is asked.
 *
 *   CLOSED      it is asked
 *   OPEN        it rests until `until_ms`; the next request after that becomes the trial
 *   HALF_OPEN   the trial is under way, and the others wait for its result
 *   HELD        an operator wants it left alone, until that order is taken back; nothing else changes it
 *
 * A trial ends in exactly one of three ways: peri_breaker_succeed, peri_breaker_fail or _open, peri_breaker_cancel.
 * A failed trial makes the next rest that failures cause twice as long, up to eight times; many requests that fail at
 * once are one failure.
 * Everything is atomic and nothing is locked. Reason, status and time are written one after the other: a reader in
 * between may see the reason of one failure with the time of another.
 *
 * Source: M. Nygard, "Release It!" (the three states); Envoy's outlier detection (in a row, or a ratio).
 */
#ifndef PERI_FLEET_BREAKER_H
#define PERI_FLEET_BREAKER_H

#include <stdatomic.h>

#include "base/str.h"

enum peri_breaker_state {
    PERI_BREAKER_CLOSED,
    PERI_BREAKER_OPEN,
    PERI_BREAKER_HALF_OPEN,
    PERI_BREAKER_HELD
};

struct peri_breaker {
    atomic_int state;    /* enum peri_breaker_state */
    atomic_int reason;   /* enum peri_err that opened it */
    atomic_int status;   /* of the answer that opened it; 0: none came */
    atomic_bool is_told; /* the time is what the other side asked for, not our own */
    atomic_uint streak;  /* failures in a row */
    atomic_uint trips;   /* trials in a row that failed */
    atomic_uint pauses;  /* in a row */
    atomic_uint opened;  /* how often it went from closed to open */
    atomic_uint_fast64_t until_ms, since_ms; /* monotonic */
    atomic_uint_fast64_t early_ms;           /* end of a pause */
    atomic_uint_fast64_t window; /* results counted lately: second it began, good ones, bad ones */
};

/* When failures open it, and for how long. */
struct peri_breaker_rule {
    unsigned failures; /* so many in a row; at least 1 */
    unsigned percent;  /* or so many in a hundred results within window_ms; 0: not looked at */
    uint64_t window_ms;
    uint64_t rest_ms; /* the first rest */
};

#define PERI_BREAKER_RESULTS_MIN 20 /* fewer within a window are no ratio */

struct peri_breaker_failure {
    enum peri_err reason;
    int status;       /* 0: no answer came */
    uint64_t now_ms;  /* monotonic */
    uint64_t told_ms; /* what the other side asks for, which opens at once; 0: nothing */
    bool is_trial;
};

/* Whether a request may go now; changes nothing.
 *   wait_ms   out, may be NULL: how long it is closed; 0: it is not */
bool peri_breaker_admits(const struct peri_breaker *b, uint64_t now_ms, uint64_t *wait_ms);

enum peri_breaker_pass { PERI_BREAKER_REFUSED, PERI_BREAKER_PASSED, PERI_BREAKER_TRIAL };

/* Called when a request is about to be sent. When a rest has just run out only one caller becomes the trial.
 *   is_last   there is nobody else to ask: the request passes an open breaker. While a time that the other side asked for
 *             has not passed, such requests go one at a time, and none goes in a pause */
PERI_MUST_USE enum peri_breaker_pass peri_breaker_enter(struct peri_breaker *b, uint64_t now_ms,
                                                        bool is_last);

/* Whether even a request that has nobody else to ask must wait. */
bool peri_breaker_forbids(const struct peri_breaker *b, uint64_t now_ms);

/* gives true when it closed just now. A request that began before the breaker opened does not close it; while a trial is
 * out, any good answer is as good as the trial's own. */
bool peri_breaker_succeed(struct peri_breaker *b, const struct peri_breaker_rule *rule,
                          uint64_t now_ms, bool is_trial);
/* Count a failure. gives true when it opened just now, from closed */
bool peri_breaker_fail(struct peri_breaker *b, const struct peri_breaker_rule *rule,
                       const struct peri_breaker_failure *f);
/* Open at once, for rest_ms or what the other side asks for; a longer rest that has begun stays. gives as peri_breaker_fail */
bool peri_breaker_open(struct peri_breaker *b, const struct peri_breaker_failure *f,
                       uint64_t rest_ms);
/* A request that passed because there was nobody else failed as it had been told it would: none passes so for a second,
 * after the next one two, up to 32. Providers count what they refuse. */
void peri_breaker_pause(struct peri_breaker *b, uint64_t now_ms);
/* The trial found nothing out (its client left): the next request may try. */
void peri_breaker_cancel(struct peri_breaker *b);
/* Closed, unless it is held, with nothing remembered but the counter (an operator's order). */
void peri_breaker_reset(struct peri_breaker *b);
/* Held, or held no longer: then it is closed, and what it knew before is over. */
void peri_breaker_hold(struct peri_breaker *b, bool is_held);

#endif
