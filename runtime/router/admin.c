#include "router/admin.h"

#include "base/err.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "dialect/error.h"
#include "router/admin_providers.h"
#include "router/client_key.h"
#include "router/path.h"
#include "router/runtime.h"

#define LISTEN_MAX  8
#define BODY_MAX    65536 /* no call has a body yet */
#define CONNECTIONS 64

struct peri_admin {
    struct peri_admin_env env;
    struct peri_server_limits limits;
    struct peri_server *servers[LISTEN_MAX];
    size_t server_count;
};

static void answer_json(struct peri_exchange *x, int status, const char *allow,
                        struct peri_buf *body) {
    const struct peri_header headers[] = {
        { PERI_STR("content-type"), PERI_STR("application/json") },
        { PERI_STR("cache-control"), PERI_STR("no-store") },
        { PERI_STR("allow"), peri_str_of(allow) },
    };
    const struct peri_header challenge[] = {
        headers[0],
        headers[1],
        { PERI_STR("www-authenticate"), PERI_STR(PERI_CLIENT_KEY_CHALLENGE) },
    };
    char spare[256];
    struct peri_str error =
        peri_error_write(spare, sizeof spare, "out of memory", "server_error", "internal_error");
    bool is_whole = body->err == PERI_OK, is_401 = is_whole && status == 401;
    peri_exchange_answer(x, is_whole ? status : 500, is_401 ? challenge : headers,
                         is_401 || (allow != NULL && is_whole) ? 3 : 2,
                         is_whole ? peri_buf_str(body) : error);
    peri_buf_done(body);
}

static void refuse(struct peri_exchange *x, int status, const char *allow, const char *code,
                   const char *message) {
    struct peri_buf body;
    peri_buf_init(&body, 4096);
    peri_error_body(&body, peri_str_of(message), PERI_STR("invalid_request_error"),
                    (struct peri_str){ NULL, 0 }, peri_str_of(code));
    answer_json(x, status, allow, &body);
}

static void refuse_method(struct peri_exchange *x, const char *allow) {
    refuse(x, 405, allow, "method_not_allowed", "this path takes another method: see 'allow'");
}

/* ---- Who may ---- */

/* Names that lead here from this machine alone; a page that resolves its own name to loopback uses that name. */
static bool names_this_machine(struct peri_str host) {
    static const struct peri_str names[] = { PERI_STR_INIT("localhost"), PERI_STR_INIT("[::1]"),
                                             PERI_STR_INIT("127.0.0.1") };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct peri_str rest = peri_str_from(host, host.n < names[i].n ? host.n : names[i].n);
        bool is_name = peri_str_eq_nocase((struct peri_str){ host.p, host.n - rest.n }, names[i]);
        if (is_name && (rest.n == 0 || rest.p[0] == ':')) return true;
    }
    return false;
}

/* gives false when it answered itself */
static bool admit_operator(const struct peri_admin *a, struct peri_exchange *x) {
    const struct peri_secret *key = &a->env.config->admin_key;
    struct peri_str given[PERI_CLIENT_KEYS_MAX];
    if (key->n > 0) {
        size_t count = peri_client_keys(given, x);
        for (size_t i = 0; i < count; i++)
            if (peri_client_key_is(given[i], key)) return true;
        refuse(x, 401, NULL, "invalid_api_key",
               count > 0 ? "the admin key is not valid"
                         : "no admin key was given: " PERI_CLIENT_KEY_HOW);
        return false;
    }
    bool is_page = peri_exchange_header(x, PERI_STR("origin")).p != NULL;
    if (!is_page && names_this_machine(peri_exchange_header(x, PERI_STR("host")))) return true;
    refuse(
        x, 403, NULL, "forbidden",
        "without 'admin.key' calls come from this machine, to 127.0.0.1, [::1] or localhost, and "
        "from no web page");
    return false;
}

/* ---- Networks ---- */

static void put_age(struct peri_buf *b, const struct peri_network_status *s, uint64_t now_ms) {
    peri_json_put_name(b, "age_ms");
    if (s->last_ok_ms > 0)
        peri_json_put_int(b, (int64_t)(now_ms - s->last_ok_ms));
    else
        peri_buf_add(b, PERI_STR("null"));
    peri_json_put_name(b, "next_ms");
    if (s->next_ms > now_ms)
        peri_json_put_int(b, (int64_t)(s->next_ms - now_ms));
    else
        peri_buf_add(b, PERI_STR("null"));
}

static void put_network(struct peri_buf *b, const struct peri_network *n, uint64_t now_ms) {
    struct peri_network_status status;
    peri_network_status(n, &status);
    peri_json_put_open(b, '{');
    peri_json_put_text_member(b, "id", peri_str_of(status.id));
    peri_json_put_count_member(b, "epoch", status.epoch);
    peri_json_put_text_member(b, "phase", peri_str_of(status.phase));
    peri_json_put_count_member(b, "height", (uint64_t)status.height);
    peri_json_put_count_member(b, "usable", status.usable);
    peri_json_put_count_member(b, "listed", status.listed);
    peri_json_put_name(b, "proven");
    peri_json_put_bool(b, status.is_proven);
    put_age(b, &status, now_ms);
    peri_json_put_count_member(b, "refreshes", status.refreshes);
    peri_json_put_count_member(b, "failures", status.failures);
    peri_json_put_name(b, "clock_offset_ms");
    peri_json_put_int(b, status.clock_offset_ms);
    peri_json_put_text_member(b, "last_error", peri_str_of(status.last_error));
    peri_json_put_close(b, '}');
}

static void list_networks(struct peri_admin *a, struct peri_exchange *x) {
    struct peri_buf b;
    uint64_t now_ms = peri_loop_now_ms(a->env.loop);
    peri_buf_init(&b, 0);
    peri_json_put_open(&b, '{');
    peri_json_put_text_member(&b, "object", PERI_STR("list"));
    peri_json_put_name(&b, "data");
    peri_json_put_open(&b, '[');
    for (size_t i = 0; i < a->env.network_count; i++) put_network(&b, a->env.networks[i], now_ms);
    peri_json_put_close(&b, ']');
    peri_json_put_close(&b, '}');
    answer_json(x, 200, NULL, &b);
}

static void refresh_networks(struct peri_admin *a, struct peri_exchange *x) {
    struct peri_buf b;
    peri_buf_init(&b, 256);
    for (size_t i = 0; i < a->env.network_count; i++)
        a->env.networks[i]->ops->refresh(a->env.networks[i]);
    peri_buf_addf(&b, "{\"status\":\"refreshing\",\"networks\":%zu}", a->env.network_count);
    answer_json(x, 202, NULL, &b);
}

/* ---- Policies ---- */

static void list_policies(struct peri_admin *a, struct peri_exchange *x) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    peri_buf_add(&b, PERI_STR("{\"object\":\"list\",\"data\":"));
    peri_runtime_list_policies(a->env.runtime, &b);
    peri_buf_add_char(&b, '}');
    answer_json(x, 200, NULL, &b);
}

/* ---- Providers ---- */

static void list_providers(struct peri_admin *a, struct peri_exchange *x) {
    struct peri_buf b;
    struct peri_fleet *f = peri_runtime_fleet(a->env.runtime);
    peri_buf_init(&b, 0);
    peri_buf_add(&b, PERI_STR("{\"object\":\"list\",\"data\":"));
    peri_admin_put_providers(&b, f, peri_loop_now_ms(a->env.loop));
    peri_buf_add_char(&b, '}');
    peri_fleet_unref(f);
    answer_json(x, 200, NULL, &b);
}

static void log_order(const struct peri_admin *a, struct peri_str id, struct peri_str order) {
    if (!peri_log_begin(a->env.log, PERI_LOG_INFO, "provider order")) return;
    peri_log_str(a->env.log, "provider", id);
    peri_log_str(a->env.log, "order", order);
    peri_log_end(a->env.log);
}

/* `rest` is ID/ORDER, and ids may have slashes of their own. */
static void order_provider(struct peri_admin *a, struct peri_exchange *x, struct peri_str rest) {
    char text[512];
    size_t n, cut;
    if (!peri_path_decode(text, sizeof text, &n, rest)) n = 0;
    for (cut = n; cut > 0 && text[cut - 1] != '/'; cut--) {}
    struct peri_str name = { text + cut, n - cut };
    struct peri_str id = { text, cut > 0 ? cut - 1 : 0 };
    enum peri_provider_order order = peri_provider_order_of(name);
    struct peri_fleet *f = peri_runtime_fleet(a->env.runtime);
    const struct peri_provider *p = peri_fleet_provider(f, id);
    if (order == PERI_ORDER_NONE) {
        refuse(x, 404, NULL, "not_found", "an order is 'reset', 'drain' or 'enable'");
    } else if (p == NULL) {
        refuse(x, 404, NULL, "provider_not_found", "no provider has that id");
    } else if (!peri_str_eq(peri_exchange_method(x), PERI_STR("POST"))) {
        refuse_method(x, "POST");
    } else {
        struct peri_buf b;
        peri_buf_init(&b, 0);
        peri_provider_obey(p, order);
        log_order(a, id, name);
        peri_admin_put_provider(&b, p, peri_loop_now_ms(a->env.loop));
        answer_json(x, 200, NULL, &b);
    }
    peri_fleet_unref(f);
}

/* ---- Paths ---- */

static const struct {
    struct peri_str path;
    const char *method;
    void (*run)(struct peri_admin *a, struct peri_exchange *x);
} paths[] = {
    { PERI_STR_INIT("/admin/networks"), "GET", list_networks },
    { PERI_STR_INIT("/admin/networks/refresh"), "POST", refresh_networks },
    { PERI_STR_INIT("/admin/policies"), "GET", list_policies },
    { PERI_STR_INIT("/admin/providers"), "GET", list_providers },
};

static void on_request(void *arg, struct peri_exchange *x) {
    struct peri_admin *a = arg;
    if (!admit_operator(a, x)) return;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (!peri_str_eq(peri_exchange_path(x), paths[i].path)) continue;
        if (peri_str_eq(peri_exchange_method(x), peri_str_of(paths[i].method)))
            paths[i].run(a, x);
        else
            refuse_method(x, paths[i].method);
        peri_log_flush(a->env.log);
        return;
    }
    static const struct peri_str providers = PERI_STR_INIT("/admin/providers/");
    struct peri_str path = peri_exchange_path(x);
    if (peri_str_has_prefix(path, providers))
        order_provider(a, x, peri_str_from(path, providers.n));
    else
        refuse(x, 404, NULL, "not_found", "there is nothing on this path");
    peri_log_flush(a->env.log);
}

static void on_gone(void *arg, struct peri_exchange *x) {
    (void)arg, (void)x; /* every exchange ends before its on_request returns */
}

static void on_misuse(void *arg, struct peri_exchange *x, const char *what, struct peri_str name) {
    const struct peri_admin *a = arg;
    (void)x;
    peri_server_log_misuse(a->env.log, PERI_STR(""), what, name);
}

static void say_listening(const struct peri_admin *a, size_t i) {
    if (!peri_log_begin(a->env.log, PERI_LOG_INFO, "admin listening")) return;
    peri_log_str(a->env.log, "address", a->env.config->admin_listen[i]);
    peri_log_int(a->env.log, "port", peri_server_port(a->servers[i]));
    peri_log_end(a->env.log);
    peri_log_flush(a->env.log);
}

enum peri_err peri_admin_open(struct peri_admin **out, const struct peri_admin_env *env,
                              struct peri_fault *fault) {
    static const struct peri_server_ops ops = { on_request, on_gone, NULL, on_misuse };
    const struct peri_config *c = env->config;
    struct peri_admin *a = peri_calloc(1, sizeof *a);
    if (a == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    a->env = *env;
    a->limits = c->limits;
    a->limits.body_bytes = BODY_MAX;
    a->limits.connections = CONNECTIONS;
    enum peri_err err = PERI_OK;
    if (env->is_adopting) {
        err = peri_server_new(&a->servers[0], env->loop, &a->limits, &ops, a);
        a->server_count = err == PERI_OK ? 1 : 0;
    }
    for (; !env->is_adopting && a->server_count < c->admin_listen_count; a->server_count++) {
        size_t i = a->server_count;
        err = i == LISTEN_MAX
                  ? peri_fault_set(fault, PERI_ECONFIG, "more than %d addresses for 'admin.listen'",
                                   LISTEN_MAX)
                  : peri_server_open(&a->servers[i], env->loop, c->admin_listen[i], true,
                                     &a->limits, &ops, a, fault);
        if (err != PERI_OK) break;
    }
    if (err == PERI_OK)
        *out = a;
    else
        peri_admin_close(a);
    return err;
}

void peri_admin_announce(const struct peri_admin *a) {
    for (size_t i = 0; !a->env.is_adopting && i < a->server_count; i++) say_listening(a, i);
}

enum peri_err peri_admin_adopt(struct peri_admin *a, int fd, const struct peri_addr *peer) {
    return peri_server_adopt(a->servers[0], fd, peer);
}

void peri_admin_close(struct peri_admin *a) {
    if (a == NULL) return;
    for (size_t i = 0; i < a->server_count; i++) peri_server_close(a->servers[i]);
    peri_free(a);
}
