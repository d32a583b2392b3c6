#include "router/api.h"

#include <stdio.h>

#include "base/json_text.h"
#include "dialect/error.h"
#include "fleet/circuit.h"
#include "request/admission.h"
#include "router/client_key.h"
#include "router/cors.h"
#include "router/path.h"
#include "router/runtime.h"

#define NO_HEADER ((struct peri_header){ { NULL, 0 }, { NULL, 0 } })

/* Every answer can be named, those that no request comes to be of as well. */
static void answer(struct peri_worker *w, struct peri_exchange *x, int status,
                   struct peri_header more, struct peri_buf *body) {
    char id[PERI_REQUEST_ID_BYTES];
    peri_request_make_id(id, &w->env.rand);
    struct peri_header headers[] = {
        { PERI_STR("content-type"), PERI_STR("application/json") },
        { PERI_STR("x-request-id"), { id, sizeof id } },
        { PERI_STR("request-id"), { id, sizeof id } },
        more,
    };
    peri_exchange_answer(x, status, headers, more.name.p != NULL ? 4 : 3, peri_buf_str(body));
    peri_buf_done(body);
}

static void refuse(struct peri_worker *w, struct peri_exchange *x, int status,
                   struct peri_header more, struct peri_str code, struct peri_str message) {
    struct peri_buf body;
    peri_buf_init(&body, 65536);
    peri_error_body(&body, message, PERI_STR("invalid_request_error"), (struct peri_str){ NULL, 0 },
                    code);
    answer(w, x, status, more, &body);
}

/* ---- Keys ---- */

/* gives false when it answered 401 itself */
static bool admit(struct peri_worker *w, struct peri_exchange *x,
                  const struct peri_config_key **key) {
    const struct peri_config *c = w->env.config;
    *key = NULL;
    if (c->key_count == 0) return true;
    struct peri_str given[PERI_CLIENT_KEYS_MAX];
    size_t count = peri_client_keys(given, x);
    for (size_t i = 0; i < c->key_count; i++)
        for (size_t g = 0; g < count; g++)
            if (peri_client_key_is(given[g], &c->keys[i].secret)) *key = &c->keys[i];
    if (*key != NULL) return true;
    struct peri_header challenge = { PERI_STR("www-authenticate"),
                                     PERI_STR(PERI_CLIENT_KEY_CHALLENGE) };
    refuse(w, x, 401, challenge, PERI_STR("invalid_api_key"),
           count > 0 ? PERI_STR("the API key is not valid")
                     : PERI_STR("no API key was given: " PERI_CLIENT_KEY_HOW));
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
    size_t count = w->env.fleet->model_count + w->env.fleet->alias_count;
    for (size_t i = 0; i < count; i++) put_model(&b, w->env.fleet, w->env.fleet->models[i]);
    peri_json_put_close(&b, ']');
    peri_json_put_close(&b, '}');
    answer(w, x, 200, NO_HEADER, &b);
}

/* The name as it is listed: an alias is shown under its own. n 0: there is no such model. */
static struct peri_str find_escaped(struct peri_worker *w, char id[PERI_NAME_MAX],
                                    struct peri_str text) {
    struct peri_str name = { id, 0 };
    if (!peri_path_decode(id, PERI_NAME_MAX, &name.n, text) || peri_name_fault(name) != NULL)
        return (struct peri_str){ NULL, 0 };
    struct peri_candidates c = peri_fleet_find(w->env.fleet, name);
    bool is_listed = peri_map_get(&w->env.fleet->by_model, name) != NULL;
    return c.model.n > 0 && is_listed ? name : c.model;
}

/* Public names hold slashes and colons, which many clients escape. A slash at the end is the client's base URL's. */
static struct peri_str find_model(struct peri_worker *w, char id[PERI_NAME_MAX],
                                  struct peri_str text) {
    struct peri_str name = find_escaped(w, id, text);
    if (name.n > 0 || text.n < 2 || text.p[text.n - 1] != '/') return name;
    return find_escaped(w, id, (struct peri_str){ text.p, text.n - 1 });
}

static void show_model(struct peri_worker *w, struct peri_exchange *x, struct peri_str id) {
    char decoded[PERI_NAME_MAX];
    struct peri_str name = find_model(w, decoded, id);
    if (name.n == 0) {
        char text[300];
        int n = snprintf(text, sizeof text, "the model '%.*s' does not exist here",
                         (int)(id.n < 200 ? id.n : 200), id.p);
        refuse(w, x, 404, NO_HEADER, PERI_STR("model_not_found"),
               (struct peri_str){ text, (size_t)n });
        return;
    }
    struct peri_buf b;
    peri_buf_init(&b, 0);
    put_model(&b, w->env.fleet, name);
    answer(w, x, 200, NO_HEADER, &b);
}

/* ---- Health ---- */

static void answer_state(struct peri_worker *w, struct peri_exchange *x, int status,
                         const char *word) {
    struct peri_buf b;
    peri_buf_init(&b, 256);
    peri_buf_addf(&b, "{\"status\":\"%s\"}", word);
    answer(w, x, status, NO_HEADER, &b);
}

/* A provider without a free slot answers; one that rests, or was drained, does not. */
static size_t count_resting(const struct peri_worker *w) {
    uint64_t now_ms = peri_loop_now_ms(w->env.loop);
    size_t resting = 0;
    for (size_t i = 0; i < w->env.fleet->provider_count; i++)
        resting += peri_circuit_rest_ms(&w->env.fleet->providers[i], now_ms) > 0;
    return resting;
}

static void answer_health(struct peri_worker *w, struct peri_exchange *x) {
    uint64_t now = peri_loop_now_ms(w->env.loop);
    size_t open = 0, resting = count_resting(w), count = w->env.fleet->provider_count;
    for (size_t i = 0; i < count; i++)
        open += peri_provider_admits(&w->env.fleet->providers[i], now);
    struct peri_buf b;
    peri_buf_init(&b, 512);
    peri_buf_addf(&b,
                  "{\"status\":\"%s\",\"models\":%zu,\"api_keys\":%zu,\"providers\":%zu,"
                  "\"available\":%zu,\"resting\":%zu}",
                  resting == 0      ? "ok"
                  : resting < count ? "degraded"
                                    : "down",
                  w->env.fleet->model_count, w->env.config->key_count, count, open, resting);
    answer(w, x, 200, NO_HEADER, &b);
}

static void answer_live(struct peri_worker *w, struct peri_exchange *x) {
    answer_state(w, x, 200, "ok");
}

static void answer_ready(struct peri_worker *w, struct peri_exchange *x) {
    if (w->env.is_draining)
        answer_state(w, x, 503, "draining");
    else if (w->env.fleet->provider_count == 0)
        answer_state(w, x, 503, "no providers");
    else if (count_resting(w) == w->env.fleet->provider_count)
        answer_state(w, x, 503, "every provider rests or is drained");
    else
        answer_state(w, x, 200, "ok");
}

/* ---- Paths ---- */

struct path {
    struct peri_str path;
    void (*get)(struct peri_worker *w, struct peri_exchange *x);
    const struct peri_dialect *dialect; /* POST of this path is a request to route; NULL: none */
    bool needs_key;
};

static const struct path read_paths[] = {
    { PERI_STR_INIT("/v1/models"), list_models, NULL, true },
    { PERI_STR_INIT("/health"), answer_health, NULL, false },
    { PERI_STR_INIT("/livez"), answer_live, NULL, false },
    { PERI_STR_INIT("/readyz"), answer_ready, NULL, false },
};

#define PATH_COUNT (PERI_DIALECT_COUNT + sizeof read_paths / sizeof *read_paths)

/* Those of the dialects, then those that are read. */
static struct path path_at(size_t i) {
    if (i >= PERI_DIALECT_COUNT) return read_paths[i - PERI_DIALECT_COUNT];
    const struct peri_dialect *d = peri_dialect((enum peri_dialect_id)i);
    return (struct path){ d->path, NULL, d, true };
}

static void wrong_method(struct peri_worker *w, struct peri_exchange *x, const char *allowed) {
    char text[64];
    int n = snprintf(text, sizeof text, "this path takes %s only", allowed);
    struct peri_header allow = { PERI_STR("allow"), peri_str_of(allowed) };
    refuse(w, x, 405, allow, PERI_STR("method_not_allowed"), (struct peri_str){ text, (size_t)n });
}

/* A slip in a base URL is seen at once when its nearest path is named. */
static void wrong_path(struct peri_worker *w, struct peri_exchange *x, struct peri_str path) {
    struct peri_str nearest = { NULL, 0 }, shown = { path.p, path.n < 200 ? path.n : 200 };
    struct peri_buf text;
    peri_buf_init(&text, 1024);
    unsigned best = 9; /* one word more or less: "/v1/embeddings/create" is 7 away */
    for (size_t i = 0; i < PATH_COUNT; i++) {
        struct peri_str known = path_at(i).path;
        unsigned d = peri_path_distance(path, known, best);
        if (d < best && 2 * d <= known.n) best = d, nearest = known;
    }
    peri_buf_addf(&text, "there is nothing on '%.*s'", PERI_STR_ARGS(shown));
    if (nearest.p != NULL)
        peri_buf_addf(&text, "; the nearest path is '%.*s'", PERI_STR_ARGS(nearest));
    for (size_t i = 0; i <= PERI_DIALECT_COUNT && nearest.p == NULL; i++)
        peri_buf_addf(&text, "%s%.*s",
                      i == 0                    ? ": served are "
                      : i == PERI_DIALECT_COUNT ? " and "
                                                : ", ",
                      PERI_STR_ARGS(path_at(i).path));
    refuse(w, x, 404, NO_HEADER, PERI_STR("not_found"), peri_buf_str(&text));
    peri_buf_done(&text);
}

/* gives false when there is none */
static bool find_path(struct path *out, struct peri_str path) {
    for (size_t i = 0; i < PATH_COUNT; i++)
        if (peri_str_eq((*out = path_at(i)).path, path)) return true;
    for (size_t i = 0; i < PATH_COUNT; i++)
        if (peri_path_is(path, (*out = path_at(i)).path)) return true;
    return false;
}

void peri_api_request(struct peri_worker *w, struct peri_exchange *x) {
    peri_worker_refresh(w); /* keys, models and health are those of now, too */
    struct peri_str path = peri_exchange_path(x), method = peri_exchange_method(x);
    bool is_get = peri_str_eq(method, PERI_STR("GET")) || peri_str_eq(method, PERI_STR("HEAD"));
    bool is_post = peri_str_eq(method, PERI_STR("POST"));
    const struct peri_config_key *key;
    struct path p;
    enum peri_cors cors = peri_cors_take(w->env.config, x);
    if (cors == PERI_CORS_REFUSED)
        refuse(w, x, 403, NO_HEADER, PERI_STR("origin_not_allowed"),
               PERI_STR("pages of this origin may not ask here: 'cors.origins' does not name it"));
    if (cors != PERI_CORS_NONE) return;
    if (find_path(&p, path)) {
        if (p.needs_key && !admit(w, x, &key)) return;
        if (p.dialect != NULL && is_post)
            peri_request_begin(&w->env, x, p.dialect, key);
        else if (p.get != NULL && is_get)
            p.get(w, x);
        else
            wrong_method(w, x, p.get != NULL ? "GET" : "POST");
        return;
    }
    struct peri_str id = peri_path_behind(path, PERI_STR("/v1/models"));
    if (is_get && id.p != NULL) {
        if (admit(w, x, &key)) show_model(w, x, id);
        return;
    }
    wrong_path(w, x, path);
}
