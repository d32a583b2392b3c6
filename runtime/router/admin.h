/* The operator's side of HTTP, on listeners of its own, served by the control thread: nothing here is on the way of a
 * request.
 *
 *   GET  /admin/networks           how each network stands: epoch, phase, hosts, how old that knowledge is
 *   GET  /admin/policies           which text of each policy runs, and for one that is out since when, where and why
 *   GET  /admin/providers          how each provider stands with its keys, models and endpoints: why it rests and for how
 *                                  long yet, requests under way, counters (router/admin_providers.h)
 *   POST /admin/providers/ID/ORDER reset: what rests is asked again · drain: no request goes there · enable: they do again
 *   POST /admin/networks/refresh   look at every network now: 202, the outcome shows in the list
 *
 * With `admin.key` every call carries it as bearer token. Without one the listeners are on loopback or unix sockets
 * (the configuration is refused otherwise), and a call must name this machine as its host and have no origin: a page in
 * somebody's browser can reach loopback, too.
 */
#ifndef PERI_ROUTER_ADMIN_H
#define PERI_ROUTER_ADMIN_H

#include "base/log.h"
#include "config/config.h"
#include "fleet/network.h"

struct peri_admin;
struct peri_runtime;

struct peri_admin_env {
    struct peri_loop *loop; /* the control thread's */
    struct peri_config *config;
    struct peri_log *log;
    struct peri_runtime *runtime; /* whose policies they are */
    struct peri_network *const *networks;
    size_t network_count;
    bool is_adopting; /* listen nowhere: connections come through peri_admin_adopt */
};

/* Listen where the configuration says; what `env` points to is borrowed until close. Every address may be listened on
 * by the control thread that goes and the one that comes at the same time.
 *   gives   PERI_OK · PERI_EIO an address is taken, with the reason in `fault` · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_admin_open(struct peri_admin **out,
                                            const struct peri_admin_env *env,
                                            struct peri_fault *fault);
/* Log where it listens. On its loop's thread, once that turns. */
void peri_admin_announce(const struct peri_admin *a);
/* A connection that came from nowhere, of an API that listens nowhere. As peri_server_adopt. */
PERI_MUST_USE enum peri_err peri_admin_adopt(struct peri_admin *a, int fd,
                                             const struct peri_addr *peer);
/* Takes NULL. */
void peri_admin_close(struct peri_admin *a);

#endif
