#include "dialect/dialect.h"

static const struct peri_dialect *const dialects[PERI_DIALECT_COUNT] = {
    [PERI_DIALECT_CHAT] = &peri_dialect_chat,
    [PERI_DIALECT_COMPLETIONS] = &peri_dialect_completions,
    [PERI_DIALECT_EMBEDDINGS] = &peri_dialect_embeddings,
};

const struct peri_dialect *peri_dialect(enum peri_dialect_id id) { return dialects[id]; }

const struct peri_dialect *peri_dialect_of_path(struct peri_str path) {
    for (size_t i = 0; i < PERI_DIALECT_COUNT; i++)
        if (peri_str_eq(dialects[i]->path, path)) return dialects[i];
    return NULL;
}
