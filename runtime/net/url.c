/* libcurl's own parser does the work, so that what we check is what will be connected to. */
#include "net/url.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/url_curl.h"

#define URL_MAX 8192

struct peri_url {
    atomic_size_t refs;
    CURLU *parsed;
    char *text, *host, *path; /* owned by libcurl */
    char *authority;
    struct peri_str target; /* in text */
    unsigned port;
    bool is_tls;
};

static const char *reason(CURLUcode code) {
    switch (code) {
    case CURLUE_UNSUPPORTED_SCHEME: return "the scheme must be http or https";
    case CURLUE_USER_NOT_ALLOWED: return "user name and password do not belong in a URL";
    case CURLUE_BAD_PORT_NUMBER: return "the port must be a number from 1 to 65535";
    case CURLUE_NO_HOST: return "the host is missing";
    default: return curl_url_strerror(code);
    }
}

static enum peri_err refuse(struct peri_fault *fault, struct peri_str text, const char *why) {
    size_t shown = text.n > 200 ? 200 : text.n;
    /* What cannot be parsed may hold a password: then nothing of it is repeated. */
    if (peri_str_find_char(text, '@') >= 0)
        return peri_fault_set(fault, PERI_EINVAL, "not a usable URL: %s", why);
    return peri_fault_set(fault, PERI_EINVAL, "not a usable URL: %s: '%.*s'", why, (int)shown,
                          text.p);
}

static bool is_plain(struct peri_str text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
            return false; /* char is signed or not: both refuse */
    return true;
}

static void free_url(struct peri_url *u) {
    if (u == NULL) return;
    curl_url_cleanup(u->parsed);
    curl_free(u->text);
    curl_free(u->host);
    curl_free(u->path);
    peri_free(u->authority);
    peri_free(u);
}

static CURLUcode fill(struct peri_url *u, const char *text) {
    char *port = NULL, *fragment = NULL, *scheme = NULL;
    CURLUcode code = curl_url_set(u->parsed, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (code == CURLUE_OK) code = curl_url_get(u->parsed, CURLUPART_SCHEME, &scheme, 0);
    if (code == CURLUE_OK) {
        u->is_tls = strcmp(scheme, "https") == 0;
        if (!u->is_tls && strcmp(scheme, "http") != 0) code = CURLUE_UNSUPPORTED_SCHEME;
    }
    if (code == CURLUE_OK &&
        curl_url_get(u->parsed, CURLUPART_FRAGMENT, &fragment, 0) != CURLUE_NO_FRAGMENT)
        code = CURLUE_BAD_FRAGMENT;
    if (code == CURLUE_OK)
        code = curl_url_get(u->parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    if (code == CURLUE_OK) {
        u->port = (unsigned)strtoul(port, NULL, 10);
        if (u->port == 0) code = CURLUE_BAD_PORT_NUMBER;
    }
    if (code == CURLUE_OK) code = curl_url_get(u->parsed, CURLUPART_HOST, &u->host, 0);
    if (code == CURLUE_OK) code = curl_url_get(u->parsed, CURLUPART_PATH, &u->path, 0);
    if (code == CURLUE_OK) code = curl_url_get(u->parsed, CURLUPART_URL, &u->text, 0);
    curl_free(scheme);
    curl_free(fragment);
    curl_free(port);
    return code;
}

/* Host names are compared with allow-lists: one spelling for all of them. */
static void lower(char *host) {
    for (; *host != '\0'; host++)
        if (*host >= 'A' && *host <= 'Z') *host = (char)(*host - 'A' + 'a');
}

static void strip_brackets(char *host) {
    size_t n = strlen(host);
    if (n < 2 || host[0] != '[' || host[n - 1] != ']') return;
    memmove(host, host + 1, n - 2);
    host[n - 2] = '\0';
}

/* What goes into a request's head: it must be as plain as what was given, whatever libcurl has made of that. */
static CURLUcode fill_request(struct peri_url *u) {
    const size_t room = strlen(u->host) + sizeof "[]:65535";
    bool is_ipv6 = strchr(u->host, ':') != NULL, is_default = u->port == (u->is_tls ? 443 : 80);
    u->target = peri_url_text(u);
    u->target = peri_str_from(u->target, (size_t)peri_str_find(u->target, PERI_STR("://")) + 3);
    u->target = peri_str_from(u->target, (size_t)peri_str_find_char(u->target, '/'));
    if (!is_plain(peri_url_text(u)) || !is_plain(peri_url_host(u))) return CURLUE_MALFORMED_INPUT;
    u->authority = peri_malloc(room);
    if (u->authority == NULL) return CURLUE_OUT_OF_MEMORY;
    int n = snprintf(u->authority, room, is_ipv6 ? "[%s]" : "%s", u->host);
    if (!is_default) snprintf(u->authority + n, room - (size_t)n, ":%u", u->port);
    return CURLUE_OK;
}

enum peri_err peri_url_parse(struct peri_url **out, struct peri_str text,
                             struct peri_fault *fault) {
    if (text.n == 0) return refuse(fault, text, "it is empty");
    if (text.n > URL_MAX) return refuse(fault, text, "it is longer than 8192 bytes");
    if (!is_plain(text))
        return refuse(fault, PERI_STR("…"), "it has a space, a control or a non-ASCII character");
    char *copy = peri_malloc(text.n + 1);
    struct peri_url *u = peri_calloc(1, sizeof *u);
    enum peri_err err = PERI_ENOMEM;
    if (copy == NULL || u == NULL || (u->parsed = curl_url()) == NULL) goto fail;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    /* libcurl forgives a third slash, and takes the first part of the path for the host. */
    const char *slashes = strstr(copy, "://");
    CURLUcode code = fill(u, copy);
    if (code == CURLUE_OK && slashes != NULL && slashes[3] == '/') code = CURLUE_NO_HOST;
    if (code == CURLUE_OK) {
        strip_brackets(u->host);
        lower(u->host);
        code = fill_request(u);
    }
    if (code != CURLUE_OK) {
        if (code != CURLUE_OUT_OF_MEMORY) err = refuse(fault, text, reason(code));
        goto fail;
    }
    peri_free(copy);
    atomic_init(&u->refs, 1);
    *out = u;
    return PERI_OK;
fail:
    if (err == PERI_ENOMEM) peri_fault_set(fault, err, "%s", peri_err_text(err));
    peri_free(copy);
    free_url(u);
    return err;
}

enum peri_err peri_url_join(struct peri_url **out, const struct peri_url *base,
                            struct peri_str path) {
    if (path.n == 0 || path.p[0] != '/') return PERI_EINVAL;
    struct peri_str before, base_query = peri_url_text(base), own, path_query = path;
    struct peri_buf text;
    peri_str_cut(&before, &base_query, '?');
    peri_str_cut(&own, &path_query, '?');
    while (before.n > 0 && before.p[before.n - 1] == '/') before.n--;
    peri_buf_init(&text, URL_MAX);
    peri_buf_add(&text, before);
    peri_buf_add(&text, own);
    if (base_query.n + path_query.n > 0) peri_buf_add_char(&text, '?');
    peri_buf_add(&text, base_query);
    if (base_query.n > 0 && path_query.n > 0) peri_buf_add_char(&text, '&');
    peri_buf_add(&text, path_query);
    enum peri_err err = text.err == PERI_OK        ? peri_url_parse(out, peri_buf_str(&text), NULL)
                        : text.err == PERI_ETOOBIG ? PERI_EINVAL
                                                   : text.err;
    peri_buf_done(&text);
    return err;
}

struct peri_url *peri_url_ref(const struct peri_url *u) {
    struct peri_url *own = (struct peri_url *)u; /* only the count is written */
    atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
    return own;
}

void peri_url_unref(struct peri_url *u) {
    if (u != NULL && atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) == 1) free_url(u);
}

CURLU *peri_url_curl(const struct peri_url *u) { return u->parsed; }
struct peri_str peri_url_text(const struct peri_url *u) {
    return peri_str_of(u->text);
}
struct peri_str peri_url_host(const struct peri_url *u) {
    return peri_str_of(u->host);
}
struct peri_str peri_url_target(const struct peri_url *u) {
    return u->target;
}
struct peri_str peri_url_authority(const struct peri_url *u) {
    return peri_str_of(u->authority);
}
unsigned peri_url_port(const struct peri_url *u) { return u->port; }
bool peri_url_is_tls(const struct peri_url *u) { return u->is_tls; }
