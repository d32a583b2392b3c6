/* Memory for secrets: pages of their own, kept out of swap where the system allows it and out of core dumps,
 * and wiped before they go back. Secrets are taken one by one and released all at once. */
#ifndef PERI_CONFIG_SECRET_ZONE_H
#define PERI_CONFIG_SECRET_ZONE_H

#include "config/config.h"

/* NULL when memory ran out. */
struct peri_secret_zone *peri_secret_zone_new(void);
/* Wipes everything. Takes NULL. */
void peri_secret_zone_free(struct peri_secret_zone *z);
/* n bytes and a NUL behind them, cleared; NULL when memory ran out. Yours until the zone goes. */
char *peri_secret_zone_alloc(struct peri_secret_zone *z, size_t n);
/* A copy of bytes. gives PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_secret_zone_dup(struct peri_secret_zone *z,
                                                 struct peri_secret *out, struct peri_str bytes);

#endif
