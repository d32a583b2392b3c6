/* Tells a URL of the operator's what changed in a network: a POST of JSON for each change of its epoch or its hosts.
 *
 *   { "id": "evt_…", "type": "epoch_changed", "network": "gonka", "old_epoch": 41, "new_epoch": 42,
 *     "added": ["gonka1…"], "removed": […], "changed": […], "at": "2026-01-31T23:59:59.123Z" }
 *
 * `network` is the id of the configured provider; `old_epoch` is null when nothing was known before. An answer of 2xx
 * takes it. Failures to reach the receiver, 408, 425, 429 and 5xx are tried again, five times in all, after pauses that
 * double from a second on; what else is answered is final. A receiver may so get one event twice: the id tells.
 *
 * Changes are told one after the other, in their order. While one is being told at most PERI_EPOCH_WEBHOOK_QUEUE wait; beyond that
 * the oldest that waits goes, so the newest is always told. Nothing here holds a refresh or a request up. Everything
 * runs on the control thread; what was not delivered when the configuration goes is counted in the log. The URL is a secret
 * like the key: many receivers know their senders by it.
 */
#ifndef PERI_GONKA_EPOCH_WEBHOOK_H
#define PERI_GONKA_EPOCH_WEBHOOK_H

#include "base/log.h"
#include "config/config.h"
#include "gonka/chain/gonka_set.h"
#include "net/client/client.h"

#define PERI_EPOCH_WEBHOOK_QUEUE 16

struct peri_epoch_webhook;

struct peri_epoch_webhook_env {
    struct peri_loop *loop; /* the control thread's */
    struct peri_client *client;
    struct peri_log *log;
    const struct peri_clock *clock;
    uint64_t seed; /* of the configuration */
};

/*   provider  with network "gonka"; must outlive the webhook
 *   gives     PERI_OK, with NULL in `out` when none is configured · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_epoch_webhook_new(struct peri_epoch_webhook **out,
                                                   const struct peri_config_provider *provider,
                                                   const struct peri_epoch_webhook_env *env);
/* On the control thread, or after it has ended. Takes NULL. */
void peri_epoch_webhook_free(struct peri_epoch_webhook *w);

/* On the control thread: sent later, never in this call.
 *   before  NULL: nothing was known */
void peri_epoch_webhook_tell(struct peri_epoch_webhook *w, const struct peri_gonka_diff *diff,
                             const struct peri_gonka_set *before,
                             const struct peri_gonka_set *after);

#endif
