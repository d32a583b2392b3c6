/* How long a provider that limits our rate asks us to stay away.
 *
 * Read, in this order: `retry-after-ms` · `retry-after` (seconds or an HTTP date) · `x-ratelimit-reset-requests` and
 * `x-ratelimit-reset-tokens` (durations as Go prints them, "6m0s" and "12ms", or plain seconds). Of the last two the
 * one whose `x-ratelimit-remaining-…` is 0 counts; where that does not decide, the longer.
 *
 * What can not be read and what is negative ("-1" stands for "unknown" with some providers) says nothing: the next
 * header is tried, and the caller's own cool-down applies when none speaks.
 *
 * Source: RFC 9110, 10.2.3 and 5.6.7; OpenAI's and Azure's rate-limit headers.
 */
#ifndef PERI_NET_RETRY_AFTER_H
#define PERI_NET_RETRY_AFTER_H

#include "base/str.h"
#include "perilune.h"

/* No header says. */
#define PERI_RETRY_UNKNOWN UINT64_MAX

/* Milliseconds, at most `max_ms`, or PERI_RETRY_UNKNOWN.
 *   wall_ns  the wall clock now, since 1970: dates are counted from it, and a past one gives 0 */
uint64_t peri_retry_after(const struct peri_header *headers, size_t count, uint64_t wall_ns,
                          uint64_t max_ms);

/* The same of an error's body, for providers that say it nowhere else: google.rpc.RetryInfo's `retryDelay`, or a sentence
 * ("Please try again in 6m0s", "retry in 1.2s", "retry after 20 seconds"). The first that is found counts.
 *   gives   as peri_retry_after */
uint64_t peri_retry_after_words(struct peri_str body, uint64_t max_ms);

/* An HTTP date in any of its three forms, as seconds since 1970.
 *   gives   PERI_OK · PERI_EMALFORMED */
PERI_MUST_USE enum peri_err peri_http_date(int64_t *out, struct peri_str text);

/* A duration as Go prints it, or plain seconds; fractions and exponents are taken.
 *   out     milliseconds; UINT64_MAX - 1 when it is beyond that
 *   gives   PERI_OK · PERI_EMALFORMED, also for what is negative */
PERI_MUST_USE enum peri_err peri_duration_ms(uint64_t *out, struct peri_str text);

#endif
