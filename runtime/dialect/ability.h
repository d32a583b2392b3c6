/* What a model can take beside text, as bits, and the words for it: those of `capabilities` in the configuration and
 * those that providers write in their lists of models. */
#ifndef PERI_DIALECT_ABILITY_H
#define PERI_DIALECT_ABILITY_H

#include "base/str.h"

/* What a model may be unable to take; bits of peri_config_model.lacks. */
enum peri_ability {
    PERI_TAKES_TOOLS = 1,
    PERI_TAKES_IMAGES = 2,
    PERI_TAKES_AUDIO = 4,
    PERI_TAKES_VIDEO = 8,
    PERI_TAKES_FILES = 16
};
#define PERI_TAKES_MEDIA                                                                           \
    (PERI_TAKES_IMAGES | PERI_TAKES_AUDIO | PERI_TAKES_VIDEO | PERI_TAKES_FILES)
#define PERI_TAKES_ALL (PERI_TAKES_TOOLS | PERI_TAKES_MEDIA)

/* The ability that a word of `capabilities`, or of a provider's list of modalities, stands for; 0: none of these. */
unsigned peri_ability_of(struct peri_str word);

/* The word of `capabilities` for the i-th ability, and which it is; NULL behind the last. */
const char *peri_ability_word(size_t i, unsigned *ability);
/* What error messages call it: "images". NULL behind the last. */
const char *peri_ability_plural(size_t i);

#endif
