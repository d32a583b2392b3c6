/* Chunked bodies of requests: chunked.h reads the framing, the data is gathered here, trailers are checked and
 * dropped. */
#include "net/server/http_parts.h"

/* A run of data. The cap is held against all that its chunk announces, before any of it is kept. */
static void take_data(struct peri_http *h, struct peri_str data) {
    size_t room = h->limits->body_bytes - (h->n - h->body_at);
    if (data.n > room || h->chunked.left > room - data.n) {
        peri_http_fail(h, 413, "the request's body is too large");
        return;
    }
    if (data.n == 0 || !peri_http_reserve(h, h->n + data.n, 0)) return;
    memcpy(h->p + h->n, data.p, data.n);
    h->n += data.n;
}

static void end_trailer(struct peri_http *h) {
    struct peri_str name, line = { h->p + h->line, h->n - h->line - 1 };
    if (line.n == 0 || line.p[line.n - 1] != '\r') {
        peri_http_fail(h, 400, "a trailer line does not end with CRLF");
        return;
    }
    line.n--;
    h->n = h->line;
    if (line.n == 0) {
        peri_http_finish(h);
        return;
    }
    if (++h->lines > h->limits->header_lines) {
        peri_http_fail(h, 431, "too many trailer lines");
        return;
    }
    if (!peri_http_check_line(h, line, &name)) return;
    if (peri_str_eq_nocase(name, PERI_STR("content-length")) ||
        peri_str_eq_nocase(name, PERI_STR("host")) ||
        peri_str_eq_nocase(name, PERI_STR("transfer-encoding")))
        peri_http_fail(h, 400, "a trailer may not say how the message is framed or routed");
}

/* A trailer line stands behind the body while it is gathered. */
static size_t take_trailer(struct peri_http *h, struct peri_str in) {
    const char *newline = memchr(in.p, '\n', in.n);
    size_t n = newline == NULL ? in.n : (size_t)(newline - in.p) + 1;
    if (n > h->limits->header_bytes - h->trailer_bytes) {
        peri_http_fail(h, 431, "the trailers are too large");
        return n;
    }
    h->trailer_bytes += (uint32_t)n;
    if (!peri_http_reserve(h, h->n + n, 0)) return n;
    memcpy(h->p + h->n, in.p, n);
    h->n += n;
    if (newline != NULL) end_trailer(h);
    return n;
}

static void begin_trailer(struct peri_http *h) {
    h->trailer_bytes = 0;
    h->lines = 1;
    h->line = h->n;
}

size_t peri_http_take_chunks(struct peri_http *h, struct peri_str in) {
    size_t at = 0;
    while (at < in.n && h->state == PERI_HTTP_CHUNKS) {
        struct peri_str rest = peri_str_from(in, at), data;
        if (h->chunked.is_trailer) {
            at += take_trailer(h, rest);
            continue;
        }
        at += peri_chunked_next(&h->chunked, &data, rest);
        take_data(h, data);
        if (h->chunked.why != NULL && h->state != PERI_HTTP_FAILED)
            peri_http_fail(h, 400, h->chunked.why);
        if (h->chunked.is_trailer) begin_trailer(h);
    }
    return at;
}
