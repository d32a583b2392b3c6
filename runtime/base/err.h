/* Errors of the runtime. The table itself is in perilune.h, because host programs see it. */
#ifndef PERI_BASE_ERR_H
#define PERI_BASE_ERR_H

#include "perilune.h"

/* Fill a fault: printf-style text, cut at the end of the buffer, never empty. `fault` may be NULL.
 *   gives   err, so that a caller can write `return peri_fault_set(fault, PERI_ECONFIG, "…", …);` */
enum peri_err peri_fault_set(struct peri_fault *fault, enum peri_err err, const char *format, ...)
    PERI_PRINTF(3, 4);

/* An invariant of ours is broken: say what was believed, and stop the process. */
_Noreturn void peri_bug(const char *believed);

#endif
