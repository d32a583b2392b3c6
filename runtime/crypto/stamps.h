/* Time stamps for signatures that are never given twice, one object for all threads of a router.
 *
 * A stamp is wall-clock nanoseconds whose lowest ten bits are the era. Within an era each is greater than the one
 * before, however often and from however many threads it is asked. When the wall clock is set back by less than
 * PERI_STAMP_LEAD_NS the stamps run on. When it is set back by more, running on would make nodes refuse every request
 * as "in the future" (Gonka's allow 30 s), so stamps follow the clock and a new era begins: the low bits differ from
 * every stamp of the old era, so none can repeat. A restart begins an era at random for the same reason: a
 * repetition takes a clock that was set back, the same microsecond, and one chance in 1024.
 */
#ifndef PERI_CRYPTO_STAMPS_H
#define PERI_CRYPTO_STAMPS_H

#include <stdatomic.h>
#include <stdint.h>

struct peri_stamps {
    _Atomic uint64_t last;
};

#define PERI_STAMP_LEAD_NS UINT64_C(20000000000)

void peri_stamps_init(struct peri_stamps *stamps, uint64_t random);
/* Any thread.
 *   now_ns   the time it is to tell, since 1970: the wall clock, or what a network says it should be */
uint64_t peri_stamp(struct peri_stamps *stamps, uint64_t now_ns);

#endif
