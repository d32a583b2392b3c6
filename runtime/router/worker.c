#include "router/worker.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/reach.h"
#include "request/attempt.h"
#include "router/api.h"
#include "router/runtime.h"

#define FLUSH_MS 1000 /* after the drain time, for clients to take the error they are told */

/* ---- The loop's turn ---- */

void peri_worker_refresh(struct peri_worker *w) {
    uint64_t version = atomic_load(&w->runtime->fleet_version);
    if (version == w->fleet_seen) return;
    struct peri_fleet *fleet = peri_runtime_fleet(w->runtime);
    peri_fleet_unref(w->env.fleet);
    peri_config_unref(w->env.config);
    w->env.fleet = fleet;
    w->env.config = peri_config_ref(fleet->config);
    w->fleet_seen = version;
}

/* Connections, not exchanges: an answer is over for us before its last byte has left. */
static struct peri_worker *worker_of(struct peri_request_env *env) {
    return peri_list_entry(env, struct peri_worker, env);
}
static void on_refresh(struct peri_request_env *env) { peri_worker_refresh(worker_of(env)); }
static void on_slot_freed(struct peri_request_env *env) {
    peri_runtime_slot_freed(worker_of(env)->runtime);
}
static enum peri_err on_refresh_networks(struct peri_request_env *env) {
    return peri_runtime_refresh_networks(worker_of(env)->runtime);
}
static const struct peri_request_env_ops env_ops = { on_refresh, on_slot_freed,
                                                     on_refresh_networks };

static void end_when_idle(struct peri_worker *w) {
    if (!w->env.is_draining || w->env.request_count > 0) return;
    for (size_t i = 0; i < w->server_count; i++)
        if (!w->is_overdue && peri_server_connections(w->servers[i]) > 0) return;
    w->is_done = true;
    peri_loop_stop(w->env.loop);
}

static void on_turn(void *arg) {
    struct peri_worker *w = arg;
    peri_request_env_sweep(&w->env);
    peri_worker_refresh(w);
    end_when_idle(w);
    peri_log_flush(&w->env.logs.whole);
}

static void on_flush_over(void *arg) {
    struct peri_worker *w = arg;
    w->is_overdue = true;
}

static void on_drain_over(void *arg) {
    struct peri_worker *w = arg;
    struct peri_list *at, *spare;
    peri_timer_init(&w->drain, w->env.loop, on_flush_over, w);
    peri_timer_start(&w->drain, FLUSH_MS);
    peri_list_each(at, spare, &w->env.requests)
        peri_request_stop(peri_list_entry(at, struct peri_request, link));
}

void peri_worker_drain(struct peri_worker *w) {
    if (w->env.is_draining) return;
    w->env.is_draining = true;
    for (size_t i = 0; i < w->server_count; i++) peri_server_drain(w->servers[i]);
    if (w->adopted != NULL) peri_server_drain(w->adopted);
    peri_timer_start(&w->drain, w->env.config->drain_ms);
}

/* ---- Life ---- */

static void on_request(void *arg, struct peri_exchange *x) { peri_api_request(arg, x); }

static void on_gone(void *arg, struct peri_exchange *x) {
    (void)arg;
    struct peri_request *r = peri_exchange_user(x);
    if (r != NULL) peri_request_abandon(r, PERI_ECANCELED);
}

static void on_drain(void *arg, struct peri_exchange *x) {
    (void)arg;
    struct peri_request *r = peri_exchange_user(x);
    if (r != NULL) peri_request_drained(r);
}

static void on_misuse(void *arg, struct peri_exchange *x, const char *what, struct peri_str name) {
    struct peri_worker *w = arg;
    const struct peri_request *r = peri_exchange_user(x);
    peri_server_log_misuse(&w->env.logs.of[PERI_COMPONENT_REQUEST],
                           r != NULL ? peri_request_id(r) : PERI_STR(""), what, name);
}

static const struct peri_server_ops server_ops = { on_request, on_gone, on_drain, on_misuse };

enum peri_err peri_worker_listen(struct peri_worker *w, struct peri_fault *fault) {
    for (size_t i = 0; i < w->env.config->listen_count; i++) {
        if (w->server_count == PERI_LISTEN_MAX)
            return peri_fault_set(fault, PERI_ECONFIG, "more than %d addresses to listen on",
                                  PERI_LISTEN_MAX);
        enum peri_err err = peri_server_open(&w->servers[w->server_count], w->env.loop,
                                             w->env.config->listen[i], w->runtime->worker_count > 1,
                                             &w->env.config->limits, &server_ops, w, fault);
        if (err != PERI_OK) return err;
        w->server_count++;
    }
    return PERI_OK;
}

enum peri_err peri_worker_adopt(struct peri_worker *w, int fd, const struct peri_addr *peer) {
    enum peri_err err = PERI_OK;
    if (w->adopted == NULL)
        err = peri_server_new(&w->adopted, w->env.loop, &w->env.config->limits, &server_ops, w);
    if (err == PERI_OK) return peri_server_adopt(w->adopted, fd, peer);
    close(fd);
    return err;
}

enum peri_err peri_worker_new(struct peri_worker **out, struct peri_runtime *rt, unsigned index,
                              struct peri_fault *fault) {
    struct peri_worker *w = peri_calloc(1, sizeof *w);
    if (w == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    w->runtime = rt;
    w->index = index;
    peri_request_env_init(&w->env);
    w->env.ops = &env_ops;
    w->env.clock = rt->clock;
    w->env.waiting = &rt->waiting;
    peri_runtime_open_log(rt, &w->env.logs, rt->config);
    peri_rand_seed_as(&w->env.rand, rt->config->seed == 0 ? 0 : rt->config->seed + index);
    enum peri_err err = PERI_OK;
    w->env.loop = rt->world.loop;
    w->owns_loop = w->env.loop == NULL;
    if (w->owns_loop) err = peri_loop_new(&w->env.loop);
    if (err == PERI_OK)
        err = peri_client_new(&w->env.client, w->env.loop,
                              &(struct peri_client_options){ .may_connect = peri_reach_may_connect,
                                                             .dial = rt->world.dial,
                                                             .is_simulated = rt->world.dial != NULL,
                                                             .arg = rt->world.arg });
    if (err != PERI_OK) {
        peri_worker_free(w);
        return peri_fault_set(fault, err, "a worker could not start: %s", peri_err_text(err));
    }
    peri_loop_on_turn(w->env.loop, &w->turn, on_turn, w);
    peri_timer_init(&w->drain, w->env.loop, on_drain_over, w);
    peri_worker_refresh(w);
    *out = w;
    return PERI_OK;
}

void peri_worker_free(struct peri_worker *w) {
    if (w == NULL) return;
    w->env.is_draining = true;
    if (w->env.loop != NULL) peri_loop_drain(w->env.loop); /* news that came after its last turn */
    for (size_t i = 0; i < w->server_count; i++) peri_server_close(w->servers[i]);
    peri_server_close(w->adopted);
    peri_request_env_done(&w->env);
    peri_client_free(w->env.client);
    peri_network_inbox_done(&w->reports);
    if (w->turn.run != NULL) {
        peri_loop_off_turn(&w->turn);
        peri_timer_stop(&w->drain);
    }
    if (w->owns_loop) peri_loop_free(w->env.loop);
    peri_logs_done(&w->env.logs);
    peri_free(w);
}
