#include "router/control.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "crypto/selftest.h"
#include "fleet/catalog.h"
#include "router/admin.h"
#include "router/networks.h"
#include "router/runtime.h"

#define NETWORKS_MAX 16

struct peri_control {
    struct peri_runtime *runtime;
    struct peri_config *config;
    struct peri_loop *loop;
    struct peri_client *client;
    struct peri_logs logs;
    struct peri_network *networks[NETWORKS_MAX];
    size_t count;
    struct peri_catalog **catalogs; /* by provider of the configuration; NULL: it is not asked */
    size_t catalog_count;           /* of those that are */
    uint64_t began_ms;
    struct peri_admin *admin; /* NULL: it is not configured */
    struct peri_turn turn;    /* end of a loop turn: flush the log */
    pthread_t thread;
    bool owns_loop;
    bool has_thread; /* false where the loop is another's */
    atomic_bool is_running;
};

/* ---- Fleet ---- */

/* Words of a network that come through a broker are read as the network reads them. */
static void set_broker_judges(struct peri_fleet *fleet) {
    for (size_t i = 0; i < fleet->provider_count; i++) {
        const struct peri_network_ops *ops = peri_networks_find(fleet->providers[i].broker);
        if (ops != NULL) fleet->providers[i].judge = ops->judge_broker;
    }
}

/* What the first network that tells its epoch says, and whether there are hosts to wait for. */
static void describe_networks(const struct peri_control *c, struct peri_fleet *fleet) {
    for (size_t i = 0; i < c->count; i++) {
        struct peri_network_status status;
        peri_network_status(c->networks[i], &status);
        if (status.is_pending) fleet->pending_until_ms = c->began_ms + c->config->discovery_wait_ms;
        if (fleet->epoch != 0) continue;
        fleet->epoch = status.epoch;
        if (status.phase[0] != '\0') fleet->phase = status.phase;
    }
}

enum peri_err peri_control_fleet(struct peri_control *c, struct peri_fleet **out,
                                 struct peri_fault *fault) {
    struct peri_host_list hosts;
    peri_host_list_init(&hosts);
    enum peri_err err = PERI_OK;
    for (size_t i = 0; i < c->count && err == PERI_OK; i++)
        err = c->networks[i]->ops->hosts(c->networks[i], &hosts);
    uint64_t generation = atomic_load(&c->runtime->fleet_version) + 1;
    struct peri_model_list **lists =
        peri_arena_zalloc(&hosts.arena, (c->config->provider_count + 1) * sizeof *lists);
    if (lists == NULL) err = PERI_ENOMEM;
    for (size_t i = 0; err == PERI_OK && i < c->config->provider_count; i++)
        if (c->catalogs[i] != NULL) lists[i] = peri_catalog_list(c->catalogs[i]);
    if (err == PERI_OK)
        err = peri_fleet_new(out, c->config, hosts.at, hosts.count, lists, c->runtime->vitals,
                             generation, fault);
    if (err == PERI_ENOMEM) peri_fault_set(fault, err, "out of memory");
    if (err == PERI_OK) {
        set_broker_judges(*out);
        describe_networks(c, *out);
    }
    peri_host_list_done(&hosts);
    return err;
}

/* ---- Changes ---- */

/* gives false when what is current stays */
static bool renew_fleet(struct peri_control *c) {
    struct peri_fleet *fleet;
    struct peri_fault fault;
    if (peri_control_fleet(c, &fleet, &fault) != PERI_OK) {
        peri_log_say(&c->logs.of[PERI_COMPONENT_SERVER], PERI_LOG_ERROR,
                     "the fleet could not be renewed: %s", fault.text);
        return false;
    }
    peri_runtime_publish(c->runtime, fleet);
    return true;
}

static void on_changed(void *arg, struct peri_network *n, const struct peri_epoch_change *change) {
    struct peri_control *c = arg;
    (void)n;
    if (!c->is_running) return; /* the first fleet is about to be built anyway */
    if (renew_fleet(c) && change != NULL) peri_runtime_tell_epoch(c->runtime, change);
}

static void on_refreshed(void *arg) {
    struct peri_control *c = arg;
    struct peri_network_reports *reports = peri_network_reports_new(c->networks, c->count);
    if (reports == NULL) return; /* the next one says it all */
    peri_runtime_post_reports(c->runtime, reports);
    peri_network_reports_unref(reports);
}

static void on_models(void *arg) { renew_fleet(arg); }

static struct peri_fleet *fleet_of(void *arg) {
    return peri_runtime_fleet(((struct peri_control *)arg)->runtime);
}

/* ---- Life ---- */

/* What the providers that stay said before this configuration holds until they are asked again. */
static enum peri_err make_catalogs(struct peri_control *c) {
    struct peri_catalog_env env = { .loop = c->loop,
                                    .client = c->client,
                                    .log = &c->logs.of[PERI_COMPONENT_CATALOG],
                                    .seed = c->config->seed,
                                    .fleet = fleet_of,
                                    .changed = on_models,
                                    .arg = c };
    c->catalogs = peri_calloc(c->config->provider_count + 1, sizeof *c->catalogs);
    if (c->catalogs == NULL) return PERI_ENOMEM;
    struct peri_fleet *before = peri_runtime_fleet(c->runtime);
    enum peri_err err = PERI_OK;
    for (size_t i = 0; i < c->config->provider_count && err == PERI_OK; i++) {
        const struct peri_config_provider *p = &c->config->providers[i];
        if (!p->discovers_models) continue;
        const struct peri_provider *old =
            before == NULL ? NULL : peri_fleet_provider(before, p->id);
        bool is_same = old != NULL && peri_str_eq(old->url, p->url);
        err = peri_catalog_new(&c->catalogs[i], p, is_same ? old->list : NULL, &env);
        c->catalog_count++;
    }
    peri_fleet_unref(before);
    return err;
}

static enum peri_err make_networks(struct peri_control *c, struct peri_fault *fault) {
    struct peri_network_env env = { .loop = c->loop,
                                    .client = c->client,
                                    .log = &c->logs.of[PERI_COMPONENT_NETWORK],
                                    .clock = c->runtime->clock,
                                    .stamps = &c->runtime->stamps,
                                    .state_dir = c->config->state_dir,
                                    .changed = on_changed,
                                    .refreshed = on_refreshed,
                                    .arg = c };
    for (size_t i = 0; i < c->config->provider_count; i++) {
        const struct peri_config_provider *p = &c->config->providers[i];
        const struct peri_network_ops *ops = peri_networks_find(p->network);
        if (ops == NULL) continue;
        if (c->count == NETWORKS_MAX)
            return peri_fault_set(fault, PERI_ECONFIG, "more than %d networks are configured",
                                  NETWORKS_MAX);
        enum peri_err err = ops->create(&c->networks[c->count], c->config, p, &env, fault);
        if (err != PERI_OK) return err;
        c->count++;
    }
    return PERI_OK;
}

static enum peri_err open_admin(struct peri_control *c, struct peri_fault *fault) {
    if (c->config->admin_listen_count == 0) return PERI_OK;
    struct peri_admin_env env = { .loop = c->loop,
                                  .config = c->config,
                                  .log = &c->logs.of[PERI_COMPONENT_ADMIN],
                                  .runtime = c->runtime,
                                  .is_adopting = c->runtime->world.dial != NULL,
                                  .networks = c->networks,
                                  .network_count = c->count };
    return peri_admin_open(&c->admin, &env, fault);
}

static void on_turn(void *arg) { peri_log_flush(&((struct peri_control *)arg)->logs.whole); }

static enum peri_err open_loop(struct peri_control *c) {
    const struct peri_world *world = &c->runtime->world;
    struct peri_client_options options = { .dial = world->dial,
                                           .is_simulated = world->dial != NULL,
                                           .arg = world->arg };
    enum peri_err err = PERI_OK;
    c->loop = world->loop;
    c->owns_loop = c->loop == NULL;
    if (c->owns_loop) err = peri_loop_new(&c->loop);
    if (err == PERI_OK) err = peri_client_new(&c->client, c->loop, &options);
    if (err != PERI_OK) return err;
    c->began_ms = peri_loop_now_ms(c->loop);
    peri_loop_on_turn(c->loop, &c->turn, on_turn, c);
    return PERI_OK;
}

enum peri_err peri_control_new(struct peri_control **out, struct peri_runtime *rt,
                               struct peri_config *config, struct peri_fault *fault) {
    struct peri_control *c = peri_calloc(1, sizeof *c);
    if (c == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    c->runtime = rt;
    c->config = peri_config_ref(config);
    peri_runtime_open_log(rt, &c->logs, config);
    struct peri_fault own = { .text = "" };
    bool signs = false;
    for (size_t i = 0; i < config->provider_count; i++) signs |= config->providers[i].network.n > 0;
    enum peri_err err = signs ? peri_crypto_selftest(&own) : PERI_OK;
    if (err == PERI_OK) err = open_loop(c);
    if (err == PERI_OK) err = make_networks(c, &own);
    if (err == PERI_OK) err = make_catalogs(c);
    if (err == PERI_OK) err = open_admin(c, &own);
    if (err != PERI_OK) {
        peri_fault_set(fault, err, "%s", own.text[0] != '\0' ? own.text : peri_err_text(err));
        peri_control_free(c);
        return err;
    }
    *out = c;
    return PERI_OK;
}

static void stop_loop(void *arg) { peri_loop_stop(((struct peri_control *)arg)->loop); }

static void stop_thread(struct peri_control *c) {
    if (c->has_thread) {
        while (peri_loop_post(c->loop, stop_loop, c) != PERI_OK) {}
        pthread_join(c->thread, NULL);
        c->has_thread = false;
    } else if (c->is_running) {
        peri_loop_drain(c->loop); /* the start and orders to refresh, which name c */
    }
    c->is_running = false;
}

bool peri_control_take_over(struct peri_control *c, struct peri_control *old) {
    bool has_any = false;
    stop_thread(old);
    for (size_t i = 0; i < c->count; i++)
        for (size_t k = 0; k < old->count; k++)
            has_any |= peri_network_inherit(c->networks[i], old->networks[k]);
    return has_any;
}

void peri_control_free(struct peri_control *c) {
    if (c == NULL) return;
    stop_thread(c);
    peri_admin_close(c->admin);
    for (size_t i = 0; i < c->count; i++) {
        c->networks[i]->ops->close(c->networks[i]);
        peri_network_unref(c->networks[i]);
    }
    for (size_t i = 0; c->catalogs != NULL && i < c->config->provider_count; i++)
        peri_catalog_free(c->catalogs[i]);
    peri_free(c->catalogs);
    peri_client_free(c->client);
    if (c->turn.run != NULL) peri_loop_off_turn(&c->turn);
    if (c->owns_loop) peri_loop_free(c->loop);
    peri_logs_done(&c->logs);
    peri_config_unref(c->config);
    peri_free(c);
}

static void start_networks(void *arg) {
    struct peri_control *c = arg;
    for (size_t i = 0; i < c->count; i++) c->networks[i]->ops->start(c->networks[i]);
    for (size_t i = 0; i < c->config->provider_count; i++)
        if (c->catalogs[i] != NULL) peri_catalog_start(c->catalogs[i]);
    if (c->admin != NULL) peri_admin_announce(c->admin);
    peri_log_flush(&c->logs.whole);
}

bool peri_control_is_needed(const struct peri_control *c) {
    return c->count + c->catalog_count > 0 || c->admin != NULL;
}

static void *run_thread(void *arg) {
    struct peri_control *c = arg;
    start_networks(arg);
    peri_loop_run(c->loop);
    return NULL;
}

enum peri_err peri_control_start(struct peri_control *c, struct peri_fault *fault) {
    on_refreshed(c); /* nobody has looked: but who there is is known */
    if (!peri_control_is_needed(c)) return PERI_OK; /* no thread */
    c->is_running = true;
    if (!c->owns_loop) return peri_loop_post(c->loop, start_networks, c);
    c->has_thread = pthread_create(&c->thread, NULL, run_thread, c) == 0;
    if (c->has_thread) return PERI_OK;
    c->is_running = false;
    return peri_fault_set(fault, PERI_EIO, "the control thread could not be started");
}

static void refresh_networks(void *arg) {
    struct peri_control *c = arg;
    for (size_t i = 0; i < c->count; i++) c->networks[i]->ops->refresh(c->networks[i]);
}

enum peri_err peri_control_refresh(struct peri_control *c) {
    return c->is_running ? peri_loop_post(c->loop, refresh_networks, c) : PERI_OK;
}

enum peri_err peri_control_adopt(struct peri_control *c, int fd, const struct peri_addr *peer) {
    if (c->admin != NULL) return peri_admin_adopt(c->admin, fd, peer);
    close(fd);
    return PERI_ENOTFOUND;
}
