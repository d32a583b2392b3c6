#include "core/control.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/admin.h"
#include "core/catalog.h"
#include "core/epoch_webhook.h"
#include "core/runtime.h"
#include "crypto/selftest.h"

#define NETWORKS_MAX 16

struct peri_control {
    struct peri_runtime *runtime;
    struct peri_config *config;
    struct peri_loop *loop;
    struct peri_client *client;
    struct peri_logs logs;
    struct peri_gonka_network *networks[NETWORKS_MAX];
    struct peri_epoch_webhook *webhooks[NETWORKS_MAX]; /* NULL: nobody is told but policies */
    size_t count;
    struct peri_catalog **catalogs; /* by provider of the configuration; NULL: it is not asked */
    size_t catalog_count;           /* of those that are */
    uint64_t began_ms;
    struct peri_admin *admin; /* NULL: it is not configured */
    pthread_t thread;
    atomic_bool is_running;
};

/* ---- Hosts ---- */

struct hosts {
    struct peri_fleet_host *at;
    size_t count, room;
    struct peri_arena arena;
};

static bool room_for_one(struct hosts *h) {
    if (h->count < h->room) return true;
    size_t room = h->room == 0 ? 64 : h->room * 2;
    struct peri_fleet_host *at = peri_realloc(h->at, room * sizeof *at);
    if (at == NULL) return false;
    h->at = at;
    h->room = room;
    return true;
}

static bool has_host(const struct hosts *h, struct peri_str id) {
    for (size_t i = 0; i < h->count; i++)
        if (peri_str_eq(h->at[i].id, id)) return true;
    return false;
}

/* While proofs are computed only machines set aside for it go on serving, each its model.
 *   by_model   out: room for p's models
 *   gives      true: none of them serves any */
static bool is_reduced(bool *by_model, const struct peri_gonka_network *n,
                       const struct peri_gonka_participant *p) {
    const struct peri_gonka_epoch *e = peri_gonka_network_epoch(n);
    bool serves_all = e == NULL || peri_gonka_service(e) == PERI_GONKA_SERVES_ALL;
    bool is_whole = !serves_all;
    for (size_t i = 0; i < p->model_count; i++) {
        by_model[i] = !serves_all && !p->models[i].is_preserved;
        is_whole = is_whole && by_model[i];
    }
    return is_whole;
}

/* The host's own, else the default. */
static uint32_t limit_of(const struct peri_config_gonka *o, struct peri_str address) {
    for (size_t i = 0; i < o->limit_count; i++)
        if (o->limits[i].is_address && peri_str_eq_nocase(o->limits[i].name, address))
            return o->limits[i].value;
    return o->default_max_concurrent;
}

static enum peri_err add_host(struct hosts *h, struct peri_gonka_network *n,
                              const struct peri_gonka_participant *p, uint64_t total,
                              bool is_fixed) {
    const struct peri_config_provider *of = peri_gonka_network_provider(n);
    const struct peri_config_gonka *o = peri_gonka_network_options(n);
    struct peri_str *models = peri_arena_alloc(&h->arena, (p->model_count + 1) * sizeof *models);
    struct peri_str id = peri_arena_printf(&h->arena, "%.*s%.*s", PERI_STR_ARGS(o->prefix),
                                           PERI_STR_ARGS(p->address));
    bool *reduced = peri_arena_alloc(&h->arena, (p->model_count + 1) * sizeof *reduced);
    if (models == NULL || id.p == NULL || reduced == NULL || !room_for_one(h)) return PERI_ENOMEM;
    if (has_host(h, id)) return PERI_OK;
    for (size_t i = 0; i < p->model_count; i++) models[i] = p->models[i].id;
    uint64_t share =
        (uint64_t)((double)of->weight * PERI_SHARE_UNIT * (double)p->weight / (double)total);
    h->at[h->count++] = (struct peri_fleet_host){
        .of = of,
        .gonka = n,
        .id = id,
        .url = p->url,
        .address = p->address,
        .models = models,
        .model_count = p->model_count,
        .weight = p->weight,
        .share = share > 0 ? share : 1,
        .max_concurrent = limit_of(o, p->address),
        .limits = o->limits,
        .limit_count = o->limit_count,
        .is_reduced = is_reduced(reduced, n, p),
        .reduced = reduced,
        .is_public_only = !is_fixed && !o->may_use_private_hosts,
    };
    return PERI_OK;
}

static enum peri_err add_set(struct hosts *h, struct peri_gonka_network *n,
                             const struct peri_gonka_set *set, bool is_fixed) {
    uint64_t total = 0;
    if (set == NULL) return PERI_OK;
    for (size_t i = 0; i < set->count; i++) total += set->participants[i].weight;
    for (size_t i = 0; i < set->count; i++) {
        const struct peri_gonka_participant *p = &set->participants[i];
        if (p->verdict != PERI_GONKA_USABLE) continue;
        enum peri_err err = add_host(h, n, p, total, is_fixed);
        if (err != PERI_OK) return err;
    }
    return PERI_OK;
}

/* Its first discovery is still to come. */
static bool is_pending(const struct peri_gonka_network *n) {
    return peri_gonka_network_set(n) == NULL && peri_gonka_network_provider(n)->source_count > 0;
}

enum peri_err peri_control_fleet(struct peri_control *c, struct peri_fleet **out,
                                 struct peri_fault *fault) {
    struct hosts h = { NULL, 0, 0, { 0 } };
    peri_arena_init(&h.arena, 0);
    enum peri_err err = PERI_OK;
    for (size_t i = 0; i < c->count && err == PERI_OK; i++) {
        err = add_set(&h, c->networks[i], peri_gonka_network_set(c->networks[i]),
                      peri_gonka_network_provider(c->networks[i])->source_count == 0);
        if (err == PERI_OK)
            err = add_set(&h, c->networks[i], peri_gonka_network_fixed(c->networks[i]), true);
    }
    uint64_t generation = atomic_load(&c->runtime->fleet_version) + 1;
    struct peri_model_list **lists =
        peri_arena_zalloc(&h.arena, (c->config->provider_count + 1) * sizeof *lists);
    if (lists == NULL) err = PERI_ENOMEM;
    for (size_t i = 0; err == PERI_OK && i < c->config->provider_count; i++)
        if (c->catalogs[i] != NULL) lists[i] = peri_catalog_list(c->catalogs[i]);
    if (err == PERI_OK)
        err = peri_fleet_new(out, c->config, h.at, h.count, lists, c->runtime->vitals, generation,
                             fault);
    if (err == PERI_ENOMEM) peri_fault_set(fault, err, "out of memory");
    for (size_t i = 0; err == PERI_OK && i < c->count; i++)
        if (is_pending(c->networks[i]))
            (*out)->pending_until_ms = c->began_ms + c->config->discovery_wait_ms;
    for (size_t i = 0; err == PERI_OK && i < c->count && (*out)->epoch == 0; i++) {
        const struct peri_gonka_set *set = peri_gonka_network_set(c->networks[i]);
        const struct peri_gonka_epoch *e = peri_gonka_network_epoch(c->networks[i]);
        (*out)->epoch = set != NULL ? set->epoch : 0;
        if (e != NULL) (*out)->phase = peri_gonka_phase_name(e->phase);
    }
    peri_arena_done(&h.arena);
    peri_free(h.at);
    return err;
}

/* ---- Changes ---- */

/* gives false when what is in force stays */
static bool renew(struct peri_control *c) {
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

static void on_changed(void *arg, struct peri_gonka_network *n, const struct peri_gonka_diff *diff,
                       const struct peri_gonka_set *before, const struct peri_gonka_set *after) {
    struct peri_control *c = arg;
    if (!c->is_running) return; /* the first fleet is about to be built anyway */
    bool is_news = before == NULL || before->epoch != after->epoch ||
                   diff->counts[PERI_GONKA_KEPT] != diff->count;
    if (!renew(c) || !is_news) return;
    peri_runtime_tell_epoch(c->runtime, peri_gonka_network_provider(n)->id, diff, before, after);
    for (size_t i = 0; i < c->count; i++)
        if (c->networks[i] == n && c->webhooks[i] != NULL)
            peri_epoch_webhook_tell(c->webhooks[i], diff, before, after);
}

static void on_looked(void *arg) {
    struct peri_control *c = arg;
    struct peri_gonka_board *board = peri_gonka_board_new(c->networks, c->count);
    if (board == NULL) return; /* the next one says it all */
    peri_runtime_post_board(c->runtime, board);
    peri_gonka_board_unref(board);
}

static void on_models(void *arg) { renew(arg); }

static struct peri_fleet *fleet_of(void *arg) {
    return peri_runtime_fleet(((struct peri_control *)arg)->runtime);
}

/* ---- Life ---- */

/* What the providers that stay said before this configuration holds until they are asked again. */
static enum peri_err make_catalogs(struct peri_control *c) {
    struct peri_catalog_env env = { .loop = c->loop,
                                    .client = c->client,
                                    .log = &c->logs.of[PERI_COMPONENT_CATALOG],
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
    struct peri_gonka_env env = { .loop = c->loop,
                                  .client = c->client,
                                  .log = &c->logs.of[PERI_COMPONENT_GONKA],
                                  .clock = c->runtime->clock,
                                  .stamps = &c->runtime->stamps,
                                  .state_dir = c->config->state_dir,
                                  .changed = on_changed,
                                  .looked = on_looked,
                                  .arg = c };
    struct peri_epoch_webhook_env webhook_env = { .loop = c->loop,
                                                  .client = c->client,
                                                  .log = &c->logs.of[PERI_COMPONENT_GONKA],
                                                  .clock = c->runtime->clock };
    for (size_t i = 0; i < c->config->provider_count; i++) {
        const struct peri_config_provider *p = &c->config->providers[i];
        if (!peri_str_eq(p->network, PERI_STR("gonka"))) continue;
        if (c->count == NETWORKS_MAX)
            return peri_fault_set(fault, PERI_ECONFIG, "more than %d networks are configured",
                                  NETWORKS_MAX);
        enum peri_err err =
            peri_gonka_network_new(&c->networks[c->count], c->config, p, &env, fault);
        if (err != PERI_OK) return err;
        err = peri_epoch_webhook_new(&c->webhooks[c->count++], p, &webhook_env);
        if (err != PERI_OK) return err;
    }
    return PERI_OK;
}

static enum peri_err open_admin(struct peri_control *c, struct peri_fault *fault) {
    if (c->config->admin_listen_count == 0) return PERI_OK;
    struct peri_admin_env env = { .loop = c->loop,
                                  .config = c->config,
                                  .log = &c->logs.of[PERI_COMPONENT_ADMIN],
                                  .networks = c->networks,
                                  .network_count = c->count };
    return peri_admin_open(&c->admin, &env, fault);
}

enum peri_err peri_control_new(struct peri_control **out, struct peri_runtime *rt,
                               struct peri_config *config, struct peri_fault *fault) {
    struct peri_control *c = peri_calloc(1, sizeof *c);
    if (c == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    c->runtime = rt;
    c->config = peri_config_ref(config);
    peri_logs_init(&c->logs, rt->log_fd, config, rt->clock);
    struct peri_fault own = { .text = "" };
    bool signs = false;
    for (size_t i = 0; i < config->provider_count; i++) signs |= config->providers[i].network.n > 0;
    enum peri_err err = signs ? peri_crypto_selftest(&own) : PERI_OK;
    if (err == PERI_OK) err = peri_loop_new(&c->loop);
    if (err == PERI_OK) err = peri_client_new(&c->client, c->loop, NULL);
    if (err == PERI_OK) c->began_ms = peri_loop_now_ms(c->loop);
    if (err == PERI_OK) err = make_networks(c, &own);
    if (err == PERI_OK) err = make_catalogs(c);
    if (err == PERI_OK && rt->world.dial == NULL) err = open_admin(c, &own);
    if (err != PERI_OK) {
        peri_fault_set(fault, err, "%s", own.text[0] != '\0' ? own.text : peri_err_text(err));
        peri_control_free(c);
        return err;
    }
    *out = c;
    return PERI_OK;
}

static void stop(void *arg) { peri_loop_stop(((struct peri_control *)arg)->loop); }

static void halt(struct peri_control *c) {
    if (!c->is_running) return;
    while (peri_loop_post(c->loop, stop, c) != PERI_OK) {}
    pthread_join(c->thread, NULL);
    c->is_running = false;
}

bool peri_control_take_over(struct peri_control *c, struct peri_control *old) {
    bool has_any = false;
    halt(old);
    for (size_t i = 0; i < c->count; i++)
        for (size_t k = 0; k < old->count; k++)
            has_any |= peri_gonka_network_inherit(c->networks[i], old->networks[k]);
    return has_any;
}

void peri_control_free(struct peri_control *c) {
    if (c == NULL) return;
    halt(c);
    peri_admin_close(c->admin);
    for (size_t i = 0; i < c->count; i++) {
        peri_epoch_webhook_free(c->webhooks[i]);
        peri_gonka_network_close(c->networks[i]);
        peri_gonka_network_unref(c->networks[i]);
    }
    for (size_t i = 0; c->catalogs != NULL && i < c->config->provider_count; i++)
        peri_catalog_free(c->catalogs[i]);
    peri_free(c->catalogs);
    peri_client_free(c->client);
    peri_loop_free(c->loop);
    peri_logs_done(&c->logs);
    peri_config_unref(c->config);
    peri_free(c);
}

static void *run(void *arg) {
    struct peri_control *c = arg;
    for (size_t i = 0; i < c->count; i++) peri_gonka_network_start(c->networks[i]);
    for (size_t i = 0; i < c->config->provider_count; i++)
        if (c->catalogs[i] != NULL) peri_catalog_start(c->catalogs[i]);
    peri_log_flush(&c->logs.whole);
    peri_loop_run(c->loop);
    return NULL;
}

enum peri_err peri_control_start(struct peri_control *c, struct peri_fault *fault) {
    on_looked(c); /* nobody has looked: but who there is is known */
    if (c->count + c->catalog_count == 0 && c->admin == NULL)
        return PERI_OK; /* nothing to follow, nobody to answer: no thread */
    c->is_running = true;
    if (pthread_create(&c->thread, NULL, run, c) == 0) return PERI_OK;
    c->is_running = false;
    return peri_fault_set(fault, PERI_EIO, "the control thread could not be started");
}

static void refresh(void *arg) {
    struct peri_control *c = arg;
    for (size_t i = 0; i < c->count; i++) peri_gonka_network_refresh(c->networks[i]);
}

enum peri_err peri_control_refresh(struct peri_control *c) {
    return c->is_running ? peri_loop_post(c->loop, refresh, c) : PERI_OK;
}
