#include "dialect/ability.h"

/* One word of ours for each ability, then the words of others. */
#define ABILITIES 5
static const struct {
    struct peri_str word;
    unsigned ability;
    const char *plural;
} words[] = {
    { PERI_STR_INIT("tools"), PERI_TAKES_TOOLS, "tools" },
    { PERI_STR_INIT("vision"), PERI_TAKES_IMAGES, "images" },
    { PERI_STR_INIT("audio"), PERI_TAKES_AUDIO, "audio" },
    { PERI_STR_INIT("video"), PERI_TAKES_VIDEO, "video" },
    { PERI_STR_INIT("files"), PERI_TAKES_FILES, "files" },
    { PERI_STR_INIT("tool_calling"), PERI_TAKES_TOOLS, NULL },
    { PERI_STR_INIT("function_calling"), PERI_TAKES_TOOLS, NULL },
    { PERI_STR_INIT("image"), PERI_TAKES_IMAGES, NULL },
    { PERI_STR_INIT("images"), PERI_TAKES_IMAGES, NULL },
    { PERI_STR_INIT("file"), PERI_TAKES_FILES, NULL },
};

unsigned peri_ability_of(struct peri_str word) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (peri_str_eq_nocase(words[i].word, word)) return words[i].ability;
    return 0;
}

const char *peri_ability_word(size_t i, unsigned *ability) {
    if (i >= ABILITIES) return NULL;
    *ability = words[i].ability;
    return words[i].word.p;
}

const char *peri_ability_plural(size_t i) { return i < ABILITIES ? words[i].plural : NULL; }
