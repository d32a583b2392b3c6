#include "router/cors.h"

#define EXPOSED                                                                                    \
    "x-request-id, request-id, retry-after, x-perilune-provider, x-perilune-model, "               \
    "x-perilune-attempts, x-perilune-route, x-perilune-overhead-ms"
#define MAX_AGE "7200" /* seconds that a browser keeps a leave; more is cut to this by most */

struct heads {
    struct peri_header at[7];
    size_t n;
};

static void put(struct heads *h, const char *name, struct peri_str value) {
    h->at[h->n++] = (struct peri_header){ peri_str_of(name), value };
}

static bool takes_all(const struct peri_config *c) {
    for (size_t i = 0; i < c->cors_origin_count; i++)
        if (peri_str_eq(c->cors_origins[i], PERI_STR("*"))) return true;
    return false;
}

/* Scheme and host have no case. */
static bool is_named(const struct peri_config *c, struct peri_str origin) {
    for (size_t i = 0; i < c->cors_origin_count; i++)
        if (peri_str_eq_nocase(c->cors_origins[i], origin)) return true;
    return false;
}

/* Methods and headers that were asked about. `*` would not stand for Authorization. */
static void put_leave(struct heads *h, const struct peri_exchange *x) {
    struct peri_str wanted = peri_exchange_header(x, PERI_STR("access-control-request-headers"));
    put(h, "access-control-allow-methods", PERI_STR("GET, HEAD, POST, OPTIONS"));
    if (wanted.n > 0) put(h, "access-control-allow-headers", wanted);
    put(h, "access-control-max-age", PERI_STR(MAX_AGE));
}

enum peri_cors peri_cors_take(const struct peri_config *c, struct peri_exchange *x) {
    if (c->cors_origin_count == 0) return PERI_CORS_NONE;
    struct peri_str origin = peri_exchange_header(x, PERI_STR("origin"));
    bool is_open = takes_all(c), may_read = origin.n > 0 && (is_open || is_named(c, origin));
    bool is_question = origin.n > 0 && peri_str_eq(peri_exchange_method(x), PERI_STR("OPTIONS"));
    struct heads h = { .n = 0 };
    if (is_question)
        put(&h, "vary", PERI_STR("origin, access-control-request-headers"));
    else if (!is_open) /* what a page of one origin may read, another's may not take from a cache */
        put(&h, "vary", PERI_STR("origin"));
    if (may_read) {
        put(&h, "access-control-allow-origin", is_open ? PERI_STR("*") : origin);
        if (c->cors_credentials) put(&h, "access-control-allow-credentials", PERI_STR("true"));
        if (is_question)
            put_leave(&h, x);
        else
            put(&h, "access-control-expose-headers", PERI_STR(EXPOSED));
    }
    peri_exchange_add_headers(x, h.at, h.n);
    if (!is_question) return PERI_CORS_NONE;
    if (!may_read) return PERI_CORS_REFUSED;
    peri_exchange_answer(x, 204, NULL, 0, PERI_STR(""));
    return PERI_CORS_ANSWERED;
}
