#include "config/config.h"

#include "base/mem.h"
#include "config/secret_zone.h"

struct peri_config *peri_config_new(void) {
    struct peri_config *c = peri_calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    atomic_init(&c->refs, 1);
    peri_arena_init(&c->arena, PERI_CONFIG_BYTES_MAX);
    c->secrets = peri_secret_zone_new();
    if (c->secrets == NULL) {
        peri_config_unref(c);
        return NULL;
    }
    return c;
}

struct peri_config *peri_config_ref(struct peri_config *c) {
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void peri_config_unref(struct peri_config *c) {
    if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) return;
    peri_secret_zone_free(c->secrets);
    peri_arena_done(&c->arena);
    peri_free(c);
}
