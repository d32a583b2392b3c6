/* How far this machine's clock is from a Gonka network's, and the time that signatures carry.
 *
 * Hosts refuse a signature whose stamp is more than a minute older or half a minute newer than their newest block, so a
 * machine whose clock is off by minutes could not use the network at all. What nodes say of the time during discovery
 * corrects the stamps, and nothing else: a clock that is off by little is left alone, and so is everything that does not go
 * to the network. While stamps are corrected they run on the monotonic clock, so setting the wall clock right, or
 * wrong, makes no difference until the next look.
 */
#ifndef PERI_GONKA_GONKA_SKEW_H
#define PERI_GONKA_GONKA_SKEW_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/str.h"

#define PERI_GONKA_SKEW_SAFE_NS INT64_C(10000000000) /* by mainnet's parameters: 60 s and 30 s */

#define PERI_GONKA_TIME_MAX_S INT64_C(4102444800) /* 2100: what is told beyond it is no time */

struct peri_gonka_skew {
    _Atomic int64_t
        ahead_ns; /* of the network's time over the monotonic clock; 0: the wall clock is used */
};

/* How much a clock may be off unheeded: a third of the smaller side of the hosts' window, which leaves the rest to the
 * way there and to nodes that lag behind the chain. Seconds of the chain's parameters; 0: not told. */
int64_t peri_gonka_skew_safe_ns(int64_t expiration_s, int64_t advance_s);

/* What is to be added to the wall clock, as far as one answer tells.
 *   told_ns    the time in the answer, cut to whole seconds
 *   sent_ns, received_ns   the wall clock around the exchange: the answer was made in between
 *   gives      0 when the two clocks may be within `safe_ns` of each other */
int64_t peri_gonka_skew_of(int64_t told_ns, int64_t sent_ns, int64_t received_ns, int64_t safe_ns);

/* The time of the newest block in `GET {node}` PERI_GONKA_CHAIN_STATUS_PATH.
 *   gives   false: it does not say, or the node is still catching up with the chain */
bool peri_gonka_block_time(int64_t *out_ns, struct peri_str text);

#define PERI_GONKA_CHAIN_STATUS_PATH "/chain-rpc/status"

/* Have stamps carry the wall clock plus that; 0: the wall clock itself. */
void peri_gonka_skew_set(struct peri_gonka_skew *s, const struct peri_clock *clock,
                         int64_t offset_ns);
/* What is added to the wall clock just now; 0: nothing. */
int64_t peri_gonka_skew_applied(const struct peri_gonka_skew *s, const struct peri_clock *clock);
/* Any thread: the time for a stamp, nanoseconds since 1970. */
uint64_t peri_gonka_skew_now_ns(const struct peri_gonka_skew *s, const struct peri_clock *clock);

#endif
