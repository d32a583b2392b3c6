/* Names of models with a star in them: "claude-*", "*-preview". The star stands for any text, also for none;
 * case makes no difference, as with names of models elsewhere (fleet/fleet.h).
 */
#ifndef PERI_CONFIG_MODEL_PATTERN_H
#define PERI_CONFIG_MODEL_PATTERN_H

#include "base/str.h"

static inline bool peri_is_pattern(struct peri_str name) {
    return peri_str_find_char(name, '*') >= 0;
}

/* Both are patterns with one star, or plain names.
 *   star    what the star stands for in `name`; may be NULL */
bool peri_pattern_matches(struct peri_str pattern, struct peri_str name, struct peri_str *star);
/* Whatever `narrow` matches, `wide` matches as well. */
bool peri_pattern_covers(struct peri_str wide, struct peri_str narrow);

#endif
