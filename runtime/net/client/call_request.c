/* What a call asks of libcurl: the options of its handle. */
#include "base/mem.h"
#include "net/client/client_parts.h"
#include "net/header.h"

#define READ_BYTES 4096

/* A host of the caller's own is sent: tests of servers, and simulations, ask for others than the URL's. */
static bool is_sendable(struct peri_header header) {
    if (peri_header_is_framing(header.name) && !peri_str_eq_nocase(header.name, PERI_STR("host")))
        return false;
    return peri_header_fault(header) == NULL;
}

bool peri_call_spec_is_valid(const struct peri_call_spec *spec) {
    if (spec->url == NULL || spec->method.n > 16 || !peri_http_is_token(spec->method)) return false;
    for (size_t i = 0; i < spec->header_count; i++)
        if (!is_sendable(spec->headers[i])) return false;
    return true;
}

static bool is_method(const struct peri_call_spec *spec, const char *name) {
    return peri_str_eq(spec->method, peri_str_of(name));
}

bool peri_call_sends_body(const struct peri_call_spec *spec) {
    return spec->body.n > 0 || is_method(spec, "POST") || is_method(spec, "PUT") ||
           is_method(spec, "PATCH");
}

static CURLcode set_method(struct peri_easy *e, const struct peri_call_spec *spec) {
    bool is_head = is_method(spec, "HEAD"), is_post = is_method(spec, "POST");
    bool has_body = peri_call_sends_body(spec);
    bool is_custom = !is_head && !is_post && (has_body || !is_method(spec, "GET"));
    int shape = is_head ? PERI_EASY_HEAD : has_body ? PERI_EASY_POST : PERI_EASY_GET;
    CURLcode code = CURLE_OK;
    if (shape != (int)e->shape) {
        CURLoption option = is_head ? CURLOPT_NOBODY : has_body ? CURLOPT_POST : CURLOPT_HTTPGET;
        if (e->shape == PERI_EASY_HEAD) code = curl_easy_setopt(e->easy, CURLOPT_NOBODY, 0L);
        if (code == CURLE_OK) code = curl_easy_setopt(e->easy, option, 1L);
        e->shape = shape;
    }
    if (code == CURLE_OK && (is_custom || e->has_custom_method)) {
        char name[20];
        snprintf(name, sizeof name, "%.*s", PERI_STR_ARGS(spec->method));
        code = curl_easy_setopt(e->easy, CURLOPT_CUSTOMREQUEST, is_custom ? name : NULL);
        e->has_custom_method = is_custom;
    }
    if (code == CURLE_OK && shape == PERI_EASY_POST) {
        const char *body = spec->body.n > 0 ? spec->body.p : "";
        code = curl_easy_setopt(e->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)spec->body.n);
        if (code == CURLE_OK) code = curl_easy_setopt(e->easy, CURLOPT_POSTFIELDS, body);
    }
    return code;
}

/* Only what differs from the handle's last request: options cost, and most calls look alike. */
static CURLcode set_manner(struct peri_easy *e, const struct peri_call_spec *spec) {
    CURL *h = e->easy;
    CURLcode code = CURLE_OK;
    bool use_http2 = spec->use_http2 && peri_url_is_tls(spec->url);
    size_t read_bytes = spec->read_bytes == 0 ? READ_BYTES : spec->read_bytes;
    if (use_http2 != e->use_http2) {
        long version = use_http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
        code = curl_easy_setopt(h, CURLOPT_HTTP_VERSION, version);
        e->use_http2 = use_http2;
    }
    if (code == CURLE_OK && spec->is_insecure != e->is_insecure) {
        code = curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, spec->is_insecure ? 0L : 1L);
        if (code == CURLE_OK)
            code = curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, spec->is_insecure ? 0L : 2L);
        e->is_insecure = spec->is_insecure;
    }
    if (code == CURLE_OK && read_bytes != e->read_bytes) {
        code = curl_easy_setopt(h, CURLOPT_BUFFERSIZE, (long)read_bytes);
        e->read_bytes = read_bytes;
    }
    if (code == CURLE_OK && (spec->unix_path.n > 0 || e->has_unix_path)) {
        code = curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH,
                                spec->unix_path.n > 0 ? spec->unix_path.p : NULL);
        e->has_unix_path = spec->unix_path.n > 0;
    }
    return code;
}

/* One's own file replaces the system's authorities, it does not add to them. */
static CURLcode set_authorities(struct peri_easy *e, const struct peri_client *c,
                                const struct peri_call_spec *spec) {
    bool has_file = spec->ca_file.n > 0;
    if (!has_file && !e->has_ca_file) return CURLE_OK;
    CURLcode code =
        curl_easy_setopt(e->easy, CURLOPT_CAINFO, has_file ? spec->ca_file.p : c->authorities.file);
    if (code == CURLE_OK)
        code = curl_easy_setopt(e->easy, CURLOPT_CAPATH, has_file ? NULL : c->authorities.dir);
    e->has_ca_file = has_file;
    return code;
}

enum peri_err peri_call_prepare(struct peri_call *call, const struct peri_call_spec *spec) {
    enum peri_err err = peri_easy_take(&call->easy, call->client);
    if (err != PERI_OK) return err;
    struct peri_easy *e = call->easy;
    e->call = call;
    CURLcode code = set_method(e, spec);
    if (code == CURLE_OK) code = set_manner(e, spec);
    if (code == CURLE_OK) code = set_authorities(e, call->client, spec);
    if (code == CURLE_OK) code = curl_easy_setopt(e->easy, CURLOPT_CURLU, peri_url_curl(call->url));
    if (code == CURLE_OK) code = curl_easy_setopt(e->easy, CURLOPT_HTTPHEADER, call->lines);
    if (code == CURLE_OK && (call->target != NULL || e->has_target)) {
        code = curl_easy_setopt(e->easy, CURLOPT_REQUEST_TARGET, call->target);
        e->has_target = call->target != NULL;
    }
    return code == CURLE_OK ? PERI_OK : PERI_ENOMEM;
}
