/* The list of models of one plain provider, kept up to date: brokers change theirs without telling anybody.
 *
 * On the control thread: GET …/models at once, then at jittered intervals, with the headers and the key that requests to
 * the provider carry, and over the same trust in its certificate. What fails (no such endpoint, no list, too large) is
 * logged and tried again after a pause that doubles up to the interval; the last good list stays, and as long as there was
 * none the provider is as it is configured. A failure says nothing about the provider's health: many serve requests well
 * and have no list.
 */
#ifndef PERI_FLEET_CATALOG_H
#define PERI_FLEET_CATALOG_H

#include "base/log.h"
#include "fleet/fleet.h"

struct peri_catalog;

struct peri_catalog_env {
    struct peri_loop *loop; /* the control thread's */
    struct peri_client *client;
    struct peri_log *log;
    uint64_t seed; /* of the configuration */
    /* The current fleet, referenced: the provider's headers are read there. */
    struct peri_fleet *(*fleet)(void *arg);
    void (*changed)(void *arg); /* another list than before */
    void *arg;
};

/*   provider  with discovers_models; must outlive the catalogue
 *   known     what it said to a catalogue before this one, referenced by the caller's fleet; NULL: nothing
 *   gives     PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_catalog_new(struct peri_catalog **out,
                                             const struct peri_config_provider *provider,
                                             struct peri_model_list *known,
                                             const struct peri_catalog_env *env);
/* After its thread has ended, or on it. Takes NULL. */
void peri_catalog_free(struct peri_catalog *c);

/* On the control thread: look now, and from now on. */
void peri_catalog_start(struct peri_catalog *c);
/* On the control thread, or before it runs: the last good list, borrowed until the next one; NULL: none yet. */
struct peri_model_list *peri_catalog_list(const struct peri_catalog *c);

#endif
