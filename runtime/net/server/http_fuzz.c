/* A request is read the same whether it comes whole or cut, and what is accepted holds what was promised. */
#include "net/server/http.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct peri_http_limits limits = {
    .header_bytes = 4096, .header_lines = 20, .uri_bytes = 512, .body_bytes = 2048
};

static void demand(bool claim) {
    if (!claim) abort();
}

/* In pieces of `step` bytes, each in memory of its own, so that reading past one is seen. */
static size_t feed(struct peri_http *h, const uint8_t *data, size_t n, size_t step) {
    size_t at = 0;
    while (at < n && h->state < PERI_HTTP_DONE) {
        size_t piece = n - at < step ? n - at : step;
        char *copy = malloc(piece);
        memcpy(copy, data + at, piece);
        size_t taken = peri_http_feed(h, (struct peri_str){ copy, piece });
        demand(taken <= piece && (taken == piece || h->state >= PERI_HTTP_DONE));
        at += taken;
        free(copy);
    }
    return at;
}

static void check_accepted(const struct peri_http *h) {
    struct peri_str body = peri_http_body(h);
    demand(body.n <= limits.body_bytes && h->field_count <= limits.header_lines &&
           h->head_n <= limits.header_bytes);
    for (size_t i = 0; i < PERI_HTTP_PADDING; i++) demand(body.p[body.n + i] == 0);
    demand(peri_http_is_token(peri_http_view(h, h->method)));
    demand(h->path.n > 0 && h->path.n <= limits.uri_bytes);
    for (size_t i = 0; i < h->field_count; i++) {
        struct peri_header header = peri_http_header_at(h, i);
        demand(peri_http_is_token(header.name) && peri_http_is_value(header.value));
    }
    demand(h->minor == 0 || peri_http_header(h, PERI_STR("host")).n > 0);
    bool has_length = peri_http_header(h, PERI_STR("content-length")).p != NULL;
    demand(!has_length || peri_http_header(h, PERI_STR("transfer-encoding")).p == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n == 0) return 0;
    size_t step = data[0] + 1u;
    struct peri_http whole, cut;
    peri_http_init(&whole, &limits);
    peri_http_init(&cut, &limits);
    size_t taken = feed(&whole, data + 1, n - 1, n);
    size_t taken_cut = feed(&cut, data + 1, n - 1, step);
    demand(whole.state == cut.state || whole.state == PERI_HTTP_FAILED ||
           cut.state == PERI_HTTP_FAILED);
    if (whole.state == PERI_HTTP_DONE) {
        demand(cut.state == PERI_HTTP_DONE && taken == taken_cut);
        demand(peri_str_eq(peri_http_body(&whole), peri_http_body(&cut)));
        check_accepted(&whole);
    }
    if (whole.state == PERI_HTTP_FAILED && cut.state == PERI_HTTP_FAILED)
        demand(whole.status == cut.status);
    demand((whole.state == PERI_HTTP_FAILED) == (cut.state == PERI_HTTP_FAILED));
    peri_http_done(&whole);
    peri_http_done(&cut);
    return 0;
}
