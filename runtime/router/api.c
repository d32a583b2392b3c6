#include "router/api.h"

#include <stdio.h>

#include "base/json_text.h"
#include "dialect/error.h"
#include "router/bearer.h"
#include "router/runtime.h"

/* `allow` NULL: no such header. Every answer can be named, those that no request comes to be of as well. */
static void answer(struct peri_worker *w, struct peri_exchange *x, int status, const char *allow,
                   struct peri_buf *body) {
    char id[PERI_REQUEST_ID_BYTES];
    peri_request_make_id(id, &w->env.rand);
    struct peri_header headers[] = {
        { PERI_STR("content-type"), PERI_STR("application/json") },
        { PERI_STR("x-request-id"), { id, sizeof id } },
        { PERI_STR("allow"), peri_str_of(allow) },
    };
    peri_exchange_answer(x, status, headers, allow != NULL ? 3 : 2, peri_buf_str(body));
    peri_buf_done(body);
}

static void refuse(struct peri_worker *w, struct peri_exchange *x, int status, struct peri_str type,
                   struct peri_str code, struct peri_str message) {
    struct peri_buf body;
    peri_buf_init(&body, 65536);
    peri_error_body(&body, message, type, (struct peri_str){ NULL, 0 }, code);
    answer(w, x, status, NULL, &body);
}

/* ---- Keys ---- */

/* gives false when it answered 401 itself */
static bool admit(struct peri_worker *w, struct peri_exchange *x,
                  const struct peri_config_key **key) {
    const struct peri_config *c = w->env.config;
    *key = NULL;
    if (c->key_count == 0) return true;
    struct peri_str given;
    bool has_bearer = peri_bearer_of(&given, x);
    for (size_t i = 0; has_bearer && i < c->key_count; i++)
        if (peri_bearer_is(given, &c->keys[i].secret)) *key = &c->keys[i];
    if (*key != NULL) return true;
    refuse(w, x, 401, PERI_STR("invalid_request_error"), PERI_STR("invalid_api_key"),
           has_bearer ? PERI_STR("the API key is not valid")
                      : PERI_STR("no API key was given: send 'Authorization: Bearer KEY'"));
    return false;
}

/* ---- Models ---- */

static void put_known(struct peri_buf *b, const char *name, uint64_t tokens) {
    if (tokens == 0) return;
    peri_json_put_name(b, name);
    peri_json_put_int(b, (int64_t)tokens);
}

/* The limits are those of the provider with the largest: a request that only that one can take goes there. */
static void put_limits(struct peri_buf *b, struct peri_candidates c) {
    uint64_t context = 0, output = 0;
    for (size_t i = 0; i < c.count; i++) {
        const struct peri_config_model *m = c.at[i].model;
        if (m == NULL) continue;
        if (m->context_tokens > context) context = m->context_tokens;
        if (m->max_output_tokens > output) output = m->max_output_tokens;
    }
    put_known(b, "context_length", context);
    put_known(b, "max_output_tokens", output);
}

static void put_model(struct peri_buf *b, const struct peri_fleet *f, struct peri_str id) {
    struct peri_candidates c = peri_fleet_find(f, id);
    peri_json_put_open(b, '{');
    peri_json_put_name(b, "id");
    peri_json_put_string(b, id);
    peri_json_put_name(b, "object");
    peri_json_put_string(b, PERI_STR("model"));
    peri_json_put_name(b, "created");
    peri_json_put_int(b, (int64_t)f->created);
    peri_json_put_name(b, "owned_by");
    peri_json_put_string(b, c.count > 0 ? c.at[0].provider->id : PERI_STR("perilune"));
    put_limits(b, c);
    peri_json_put_close(b, '}');
}

static void list_models(struct peri_worker *w, struct peri_exchange *x) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    peri_json_put_open(&b, '{');
    peri_json_put_name(&b, "object");
    peri_json_put_string(&b, PERI_STR("list"));
    peri_json_put_name(&b, "data");
    peri_json_put_open(&b, '[');
    for (size_t i = 0; i < w->env.fleet->model_count; i++)
        put_model(&b, w->env.fleet, w->env.fleet->models[i]);
    peri_json_put_close(&b, ']');
    peri_json_put_close(&b, '}');
    answer(w, x, 200, NULL, &b);
}

static void show_model(struct peri_worker *w, struct peri_exchange *x, struct peri_str id) {
    struct peri_candidates c = peri_fleet_find(w->env.fleet, id);
    if (c.model.n == 0) {
        char text[300];
        int n = snprintf(text, sizeof text, "the model '%.*s' does not exist here",
                         (int)(id.n < 200 ? id.n : 200), id.p);
        refuse(w, x, 404, PERI_STR("invalid_request_error"), PERI_STR("model_not_found"),
               (struct peri_str){ text, (size_t)n });
        return;
    }
    struct peri_buf b;
    peri_buf_init(&b, 0);
    put_model(&b, w->env.fleet, c.model);
    answer(w, x, 200, NULL, &b);
}

/* ---- Health ---- */

static void say(struct peri_worker *w, struct peri_exchange *x, int status, const char *word) {
    struct peri_buf b;
    peri_buf_init(&b, 256);
    peri_buf_addf(&b, "{\"status\":\"%s\"}", word);
    answer(w, x, status, NULL, &b);
}

static void health(struct peri_worker *w, struct peri_exchange *x) {
    uint64_t now = peri_loop_now_ms(w->env.loop);
    size_t open = 0;
    for (size_t i = 0; i < w->env.fleet->provider_count; i++)
        open += peri_provider_admits(&w->env.fleet->providers[i], now);
    struct peri_buf b;
    peri_buf_init(&b, 512);
    peri_buf_addf(
        &b,
        "{\"status\":\"ok\",\"models\":%zu,\"api_keys\":%zu,\"providers\":%zu,\"available\":%zu}",
        w->env.fleet->model_count, w->env.config->key_count, w->env.fleet->provider_count, open);
    answer(w, x, 200, NULL, &b);
}

static void live(struct peri_worker *w, struct peri_exchange *x) { say(w, x, 200, "ok"); }

static void ready(struct peri_worker *w, struct peri_exchange *x) {
    if (w->env.is_draining)
        say(w, x, 503, "stopping");
    else if (w->env.fleet->provider_count == 0)
        say(w, x, 503, "no providers");
    else
        say(w, x, 200, "ok");
}

/* ---- Paths ---- */

struct path {
    struct peri_str path;
    void (*get)(struct peri_worker *w, struct peri_exchange *x);
    int endpoint; /* POST of this path is a request to route; -1: none */
    bool needs_key;
};

static const struct path paths[] = {
    { PERI_STR_INIT("/v1/chat/completions"), NULL, PERI_CHAT, true },
    { PERI_STR_INIT("/v1/completions"), NULL, PERI_COMPLETIONS, true },
    { PERI_STR_INIT("/v1/embeddings"), NULL, PERI_EMBEDDINGS, true },
    { PERI_STR_INIT("/v1/models"), list_models, -1, true },
    { PERI_STR_INIT("/health"), health, -1, false },
    { PERI_STR_INIT("/livez"), live, -1, false },
    { PERI_STR_INIT("/readyz"), ready, -1, false },
};

static void wrong_method(struct peri_worker *w, struct peri_exchange *x, const char *allowed) {
    struct peri_buf body;
    peri_buf_init(&body, 1024);
    char text[64];
    int n = snprintf(text, sizeof text, "this path takes %s only", allowed);
    peri_error_body(&body, (struct peri_str){ text, (size_t)n }, PERI_STR("invalid_request_error"),
                    (struct peri_str){ NULL, 0 }, PERI_STR("method_not_allowed"));
    answer(w, x, 405, allowed, &body);
}

void peri_api_request(struct peri_worker *w, struct peri_exchange *x) {
    peri_worker_refresh(w); /* keys, models and health are those of now, too */
    struct peri_str path = peri_exchange_path(x), method = peri_exchange_method(x);
    bool is_get = peri_str_eq(method, PERI_STR("GET")) || peri_str_eq(method, PERI_STR("HEAD"));
    bool is_post = peri_str_eq(method, PERI_STR("POST"));
    const struct peri_config_key *key;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (!peri_str_eq(paths[i].path, path)) continue;
        if (paths[i].needs_key && !admit(w, x, &key)) return;
        if (paths[i].endpoint >= 0 && is_post)
            peri_request_begin(&w->env, x, (enum peri_endpoint)paths[i].endpoint, key);
        else if (paths[i].get != NULL && is_get)
            paths[i].get(w, x);
        else
            wrong_method(w, x, paths[i].get != NULL ? "GET" : "POST");
        return;
    }
    if (is_get && peri_str_has_prefix(path, PERI_STR("/v1/models/"))) {
        if (admit(w, x, &key)) show_model(w, x, peri_str_from(path, 11));
        return;
    }
    refuse(w, x, 404, PERI_STR("invalid_request_error"), PERI_STR("not_found"),
           PERI_STR("there is nothing on this path"));
}
