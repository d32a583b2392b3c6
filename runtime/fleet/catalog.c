#include "fleet/catalog.h"

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/client/fetch.h"

#define LOOK_MS    30000
#define BACKOFF_MS 2000 /* after the first failure; doubles */

struct peri_catalog {
    struct peri_catalog_env env;
    const struct peri_config_provider *provider;
    struct peri_model_list *list; /* referenced; NULL: none yet */
    struct peri_fetch *fetch;
    struct peri_timer timer;
    struct peri_rand rand;
    unsigned failures; /* in a row */
};

struct peri_model_list *peri_catalog_list(const struct peri_catalog *c) {
    return c->list;
}

static void plan_look(struct peri_catalog *c, uint64_t ms) {
    uint64_t jitter = ms / 5; /* a fleet of routers must not ask a broker in step */
    ms = ms - jitter / 2 + peri_rand_below(&c->rand, jitter + 1);
    if (peri_timer_start(&c->timer, ms) != PERI_OK)
        peri_log_say(c->env.log, PERI_LOG_ERROR, "models: %s is not looked at again: out of memory",
                     c->provider->id.p);
}

/* Nobody asked for the list of a provider that is looked at by default, and many have none. */
static void note_failure(struct peri_catalog *c, const char *why) {
    enum peri_log_level level = !c->provider->is_list_open ? PERI_LOG_WARN
                                : c->failures == 0         ? PERI_LOG_INFO
                                                           : PERI_LOG_DEBUG;
    peri_log_say(c->env.log, level, "models of %s could not be read: %s", c->provider->id.p, why);
    peri_log_flush(c->env.log);
    uint64_t pause = BACKOFF_MS << (c->failures < 20 ? c->failures : 20);
    c->failures++;
    plan_look(c, pause < c->provider->discover_ms ? pause : c->provider->discover_ms);
}

/* One of the names before it is the same: several public names may stand for one model. */
static bool is_repeated(const struct peri_config_provider *p, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (peri_str_eq(p->models[k].upstream, p->models[i].upstream)) return true;
    return false;
}

/* A configured model that is not on the list may be a slip, or the list lags: the operator is told, no more. A name with a
 * star is no model, and on no list. */
static void say_missing(struct peri_catalog *c) {
    for (size_t i = 0; i < c->provider->model_count; i++) {
        struct peri_str name = c->provider->models[i].upstream;
        if (peri_str_find_char(name, '*') >= 0 || peri_model_list_find(c->list, name) != NULL ||
            is_repeated(c->provider, i))
            continue;
        if (!peri_log_begin(c->env.log, PERI_LOG_WARN, "model not on the provider's list"))
            continue;
        peri_log_str(c->env.log, "provider", c->provider->id);
        peri_log_str(c->env.log, "model", name);
        peri_log_end(c->env.log);
    }
}

static void take_list(struct peri_catalog *c, struct peri_model_list *list) {
    c->failures = 0;
    plan_look(c, c->provider->discover_ms);
    if (c->list != NULL && peri_model_list_equal(c->list, list)) {
        peri_model_list_unref(list);
        return;
    }
    peri_model_list_unref(c->list);
    c->list = list;
    if (peri_log_begin(c->env.log, PERI_LOG_INFO, "models read")) {
        peri_log_str(c->env.log, "provider", c->provider->id);
        peri_log_int(c->env.log, "models", (int64_t)list->count);
        peri_log_end(c->env.log);
    }
    say_missing(c);
    peri_log_flush(c->env.log);
    c->env.changed(c->env.arg);
}

static void on_fetched(void *arg, const struct peri_fetched *got) {
    struct peri_catalog *c = arg;
    struct peri_fault fault = { .text = "" };
    struct peri_model_list *list;
    enum peri_err err = got->err;
    c->fetch = NULL;
    if (err != PERI_OK)
        snprintf(fault.text, sizeof fault.text, "%s", got->detail);
    else if (got->status != 200)
        err = peri_fault_set(&fault, PERI_EUPSTREAM, "answered %d", got->status);
    else
        err = peri_model_list_read(&list, got->body, &fault);
    if (err == PERI_OK)
        take_list(c, list);
    else
        note_failure(c, fault.text[0] != '\0' ? fault.text : peri_err_text(err));
}

/* Headers are copied when the call starts, so the fleet they are in is not kept. */
static enum peri_err ask_provider(struct peri_catalog *c, const struct peri_provider *p) {
    struct peri_url *base = NULL, *url = NULL;
    enum peri_err err = peri_url_parse(&base, p->url, NULL);
    if (err == PERI_OK) err = peri_url_join(&url, base, PERI_STR("/models"));
    struct peri_call_spec spec = { .url = url,
                                   .method = PERI_STR("GET"),
                                   .headers = p->headers,
                                   .header_count = p->header_count,
                                   .connect_ms = p->timeouts.connect_ms,
                                   .total_ms = LOOK_MS,
                                   .use_http2 = p->use_http2,
                                   .is_insecure = p->is_insecure,
                                   .ca_file = p->ca_file };
    if (err == PERI_OK)
        err = peri_fetch_call(&c->fetch, c->env.client, &spec, PERI_MODEL_LIST_BYTES_MAX,
                              on_fetched, c);
    peri_url_unref(url);
    peri_url_unref(base);
    return err;
}

static void on_due(void *arg) {
    struct peri_catalog *c = arg;
    if (c->fetch != NULL) return;
    struct peri_fleet *fleet = c->env.fleet(c->env.arg);
    const struct peri_provider *p =
        fleet == NULL ? NULL : peri_fleet_provider(fleet, c->provider->id);
    enum peri_err err = p == NULL ? PERI_ENOTFOUND : ask_provider(c, p);
    peri_fleet_unref(fleet);
    if (err == PERI_OK) return;
    c->fetch = NULL;
    note_failure(c, peri_err_text(err));
}

void peri_catalog_start(struct peri_catalog *c) { on_due(c); }

enum peri_err peri_catalog_new(struct peri_catalog **out,
                               const struct peri_config_provider *provider,
                               struct peri_model_list *known, const struct peri_catalog_env *env) {
    struct peri_catalog *c = peri_calloc(1, sizeof *c);
    if (c == NULL) return PERI_ENOMEM;
    c->env = *env;
    c->provider = provider;
    if (known != NULL) c->list = peri_model_list_ref(known);
    peri_rand_seed_as(&c->rand, env->seed);
    peri_timer_init(&c->timer, env->loop, on_due, c);
    *out = c;
    return PERI_OK;
}

void peri_catalog_free(struct peri_catalog *c) {
    if (c == NULL) return;
    peri_timer_stop(&c->timer);
    peri_fetch_cancel(c->fetch);
    peri_model_list_unref(c->list);
    peri_free(c);
}
