#include "net/server/http.h"

#include <http_parser.h>

#include "base/mem.h"
#include "net/server/http_parts.h"

#define FIRST_CAP    2048 /* most heads with a small body fit, and an idle connection may keep it */
#define BODY_AT_ONCE 65536 /* room made for an announced body before its bytes are seen */
#define READ_DIRECT  16384 /* a body with more missing is read into place */
#define LINE_SLACK   64    /* of a request line, beside its target */
#define BLANK_MAX    2 /* empty lines before a request line that are overlooked (RFC 9112, 2.2) */

void peri_http_init(struct peri_http *h, const struct peri_http_limits *limits) {
    *h = (struct peri_http){ .limits = limits };
}

void peri_http_done(struct peri_http *h) {
    peri_free(h->p);
    h->p = NULL;
    h->cap = 0;
}

void peri_http_reset(struct peri_http *h, size_t keep) {
    char *p = h->p;
    size_t cap = h->cap;
    if (cap > keep) {
        peri_free(p);
        p = NULL;
        cap = 0;
    }
    *h = (struct peri_http){ .limits = h->limits, .p = p, .cap = cap };
}

void peri_http_fail(struct peri_http *h, int status, const char *why) {
    h->state = PERI_HTTP_FAILED;
    h->status = (uint16_t)status;
    h->why = why;
}

bool peri_http_reserve(struct peri_http *h, size_t need, size_t hint) {
    need += PERI_HTTP_PADDING;
    hint += PERI_HTTP_PADDING;
    if (need <= h->cap) return true;
    size_t cap = h->cap < FIRST_CAP ? FIRST_CAP : h->cap * 2;
    if (cap > hint && hint > need) cap = hint;
    if (cap < need) cap = need;
    char *p = peri_realloc(h->p, cap);
    if (p == NULL) {
        peri_http_fail(h, 503, "out of memory");
        return false;
    }
    h->p = p;
    h->cap = cap;
    return true;
}

void peri_http_finish(struct peri_http *h) {
    if (!peri_http_reserve(h, h->n, 0)) return;
    memset(h->p + h->n, 0, PERI_HTTP_PADDING);
    h->state = PERI_HTTP_DONE;
}

/* Head: what http-parser finds in it. Everything is there when it runs, so each callback sees a whole part. */

struct tokens {
    struct peri_http *h;
    struct peri_http_field *fields;
    size_t count, max;
    struct peri_str host;
    bool has_host, has_length, is_chunked, is_complete;
};

static int on_name(http_parser *parser, const char *at, size_t n) {
    struct tokens *t = parser->data;
    if (t->count == t->max) return -1;
    t->fields[t->count].name = (struct peri_http_span){ (uint32_t)(at - t->h->p), (uint32_t)n };
    return 0;
}

static int refuse(struct tokens *t, int status, const char *why) {
    peri_http_fail(t->h, status, why);
    return -1;
}

static int take_host(struct tokens *t, struct peri_str value) {
    if (t->has_host) return refuse(t, 400, "more than one Host header");
    if (!peri_http_is_authority(value)) return refuse(t, 400, "the Host header is malformed");
    t->has_host = true;
    t->host = value;
    return 0;
}

/* Exactly one number without a sign, a list or leading zeros: two readers must not find two lengths. */
static int take_length(struct tokens *t, struct peri_str value) {
    struct peri_http *h = t->h;
    bool is_padded = value.n > 1 && value.p[0] == '0';
    if (t->has_length) return refuse(t, 400, "more than one Content-Length header");
    if (is_padded || peri_str_to_u64(&h->left, value) != PERI_OK)
        return refuse(t, 400, "Content-Length is not a number");
    t->has_length = true;
    return 0;
}

static int take_coding(struct tokens *t, struct peri_str value) {
    if (t->is_chunked) return refuse(t, 400, "more than one Transfer-Encoding header");
    if (t->h->minor == 0) return refuse(t, 400, "Transfer-Encoding in an HTTP/1.0 request");
    if (!peri_str_eq_nocase(value, PERI_STR("chunked")))
        return refuse(t, peri_http_is_token(value) ? 501 : 400,
                      "the only transfer coding served here is chunked");
    t->is_chunked = true;
    return 0;
}

static int take_expectation(struct tokens *t, struct peri_str value) {
    if (t->h->minor == 0) return 0; /* RFC 9110, 10.1.1: ignored */
    if (!peri_str_eq_nocase(value, PERI_STR("100-continue")))
        return refuse(t, 417, "the only expectation served here is 100-continue");
    t->h->expects_continue = true;
    return 0;
}

/* Names with "_" for "-" mean the same to CGI-like readers behind us. */
static bool is_named(struct peri_str name, struct peri_str want, bool *is_disguised) {
    if (name.n != want.n) return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c == '_') *is_disguised = true, c = '-';
        if (c >= 'A' && c <= 'Z') c |= 32;
        if (c != want.p[i]) return false;
    }
    return true;
}

static int on_value(http_parser *parser, const char *at, size_t n) {
    struct tokens *t = parser->data;
    struct peri_str value = peri_str_trim((struct peri_str){ at, n });
    if (value.n == 0) value.p = at;
    struct peri_str name = peri_http_view(t->h, t->fields[t->count].name);
    t->fields[t->count++].value =
        (struct peri_http_span){ (uint32_t)(value.p - t->h->p), (uint32_t)value.n };
    bool is_disguised = false;
    int (*take)(struct tokens *, struct peri_str) = NULL;
    if (is_named(name, PERI_STR("host"), &is_disguised))
        take = take_host;
    else if (is_named(name, PERI_STR("expect"), &is_disguised))
        take = take_expectation;
    else if (is_named(name, PERI_STR("content-length"), &is_disguised))
        take = take_length;
    else if (is_named(name, PERI_STR("transfer-encoding"), &is_disguised))
        take = take_coding;
    if (take == NULL) return 0;
    if (is_disguised) return refuse(t, 400, "a header name is spelled with '_' for '-'");
    return take(t, value);
}

static int on_head_complete(http_parser *parser) {
    struct tokens *t = parser->data;
    unsigned close = parser->flags & F_CONNECTION_CLOSE,
             keep = parser->flags & F_CONNECTION_KEEP_ALIVE;
    t->h->keeps_alive = close == 0 && (t->h->minor == 1 || keep != 0);
    t->is_complete = true;
    return 0;
}

static const http_parser_settings settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head_complete,
};

static void refuse_parsed(struct peri_http *h, enum http_errno err) {
    if (h->state == PERI_HTTP_FAILED) return;
    if (err == HPE_INVALID_METHOD)
        peri_http_fail(h, 501, "this method is not known here");
    else if (err == HPE_HEADER_OVERFLOW)
        peri_http_fail(h, 431, "the request's head is too large");
    else
        peri_http_fail(h, 400,
                       err == HPE_OK ? "the request's head is malformed"
                                     : http_errno_description(err));
}

static bool is_host_settled(const struct tokens *t) {
    struct peri_str authority = peri_http_view(t->h, t->h->authority);
    if (!t->has_host) return t->h->minor == 0;
    return authority.n == 0 || peri_str_eq_nocase(authority, t->host);
}

static void begin_body(struct peri_http *h, const struct tokens *t) {
    h->n = h->body_at;
    if (t->has_length && t->is_chunked) {
        peri_http_fail(h, 400, "both Content-Length and Transfer-Encoding");
    } else if (!is_host_settled(t)) {
        peri_http_fail(h, 400,
                       t->has_host ? "Host differs from the target's authority" : "no Host header");
    } else if (h->left > h->limits->body_bytes) {
        peri_http_fail(h, 413, "the request's body is too large");
    } else if (t->is_chunked) {
        h->state = PERI_HTTP_CHUNKS;
    } else if (h->left > 0) {
        h->state = PERI_HTTP_BODY;
    } else
        peri_http_finish(h);
}

static void end_head(struct peri_http *h) {
    h->head_n = (uint32_t)h->n;
    h->fields_at = (h->n + 15) & ~(size_t)15;
    h->body_at =
        (h->fields_at + (h->lines - 1u) * sizeof(struct peri_http_field) + 15) & ~(size_t)15;
    if (!peri_http_reserve(h, h->body_at, 0)) return;
    struct tokens t = { .h = h, .max = h->lines - 1u };
    t.fields = (struct peri_http_field *)(void *)(h->p + h->fields_at);
    http_parser parser;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &t;
    size_t taken = http_parser_execute(&parser, &settings, h->p, h->head_n);
    if (!t.is_complete || taken != h->head_n || t.count != t.max || h->state == PERI_HTTP_FAILED) {
        refuse_parsed(h, HTTP_PARSER_ERRNO(&parser));
        return;
    }
    h->field_count = (uint16_t)t.count;
    begin_body(h, &t);
    if (h->state == PERI_HTTP_DONE) h->expects_continue = false;
}

/* Head: gathering lines. */

static void end_line(struct peri_http *h) {
    struct peri_str name, line = { h->p + h->line, h->n - h->line - 1 };
    if (line.n == 0 || line.p[line.n - 1] != '\r') {
        peri_http_fail(h, 400, "a line of the head does not end with CRLF");
        return;
    }
    line.n--;
    if (line.n == 0 && h->lines == 0) {
        if (++h->blank_lines > BLANK_MAX)
            peri_http_fail(h, 400, "empty lines instead of a request");
        h->n = 0;
        return;
    }
    if (line.n == 0) {
        end_head(h);
        return;
    }
    if (h->lines > h->limits->header_lines) {
        peri_http_fail(h, 431, "the request has too many header lines");
        return;
    }
    bool is_good = h->lines == 0 ? peri_http_check_request_line(h, line)
                                 : peri_http_check_line(h, line, &name);
    if (!is_good) return;
    h->lines++;
    h->line = h->n;
}

/* Garbage is refused by its first bytes rather than gathered up to the limit. */
static void check_beginning(struct peri_http *h) {
    struct peri_str begun = { h->p, h->n }, method;
    if (h->n == 1 && h->p[0] == '\r') return;
    peri_str_cut(&method, &begun, ' ');
    if (method.n > LINE_SLACK / 2 || !peri_http_is_token(method))
        peri_http_fail(h, 400, "the request line does not begin with a method");
}

static size_t take_head(struct peri_http *h, struct peri_str in) {
    const char *newline = memchr(in.p, '\n', in.n);
    size_t n = newline == NULL ? in.n : (size_t)(newline - in.p) + 1;
    size_t most = h->lines == 0 ? h->limits->uri_bytes + LINE_SLACK : h->limits->header_bytes;
    if (most > h->limits->header_bytes) most = h->limits->header_bytes;
    bool is_over = h->n + n > most;
    if (is_over) n = most + 1 > h->n ? most + 1 - h->n : 1;
    if (!peri_http_reserve(h, h->n + n, 0)) return n;
    memcpy(h->p + h->n, in.p, n);
    h->n += n;
    if (!is_over && newline != NULL) {
        end_line(h);
        return n;
    }
    if (h->lines == 0) check_beginning(h);
    if (is_over && h->state != PERI_HTTP_FAILED)
        peri_http_fail(h, h->lines == 0 ? 414 : 431,
                       h->lines == 0 ? "the request target is too long"
                                     : "the request's head is too large");
    return n;
}

/* Body of a known length. */

static bool make_body_room(struct peri_http *h, size_t at_least) {
    size_t want = h->left < BODY_AT_ONCE ? (size_t)h->left : BODY_AT_ONCE;
    if (want < at_least) want = at_least;
    if (h->n + at_least + PERI_HTTP_PADDING <= h->cap) return true;
    return peri_http_reserve(h, h->n + want, h->n + (size_t)h->left);
}

void peri_http_filled(struct peri_http *h, size_t n) {
    h->n += n;
    h->left -= n;
    if (h->left == 0) peri_http_finish(h);
}

static size_t take_body(struct peri_http *h, struct peri_str in) {
    size_t n = h->left < in.n ? (size_t)h->left : in.n;
    if (!make_body_room(h, n)) return n;
    memcpy(h->p + h->n, in.p, n);
    peri_http_filled(h, n);
    return n;
}

size_t peri_http_room(struct peri_http *h, char **room) {
    if (h->state != PERI_HTTP_BODY || h->left < READ_DIRECT) return 0;
    if (!make_body_room(h, READ_DIRECT)) {
        h->state = PERI_HTTP_BODY; /* the next feed will say so */
        return 0;
    }
    size_t n = h->cap - PERI_HTTP_PADDING - h->n;
    *room = h->p + h->n;
    return n < h->left ? n : (size_t)h->left;
}

size_t peri_http_feed(struct peri_http *h, struct peri_str in) {
    size_t taken = 0;
    while (taken < in.n && h->state < PERI_HTTP_DONE) {
        struct peri_str rest = peri_str_from(in, taken);
        taken += h->state == PERI_HTTP_HEAD   ? take_head(h, rest)
                 : h->state == PERI_HTTP_BODY ? take_body(h, rest)
                                              : peri_http_take_chunks(h, rest);
    }
    return taken;
}

bool peri_http_may_begin(struct peri_str next) {
#define METHOD(number, name, text) PERI_STR_INIT(#text " "),
    static const struct peri_str methods[] = { HTTP_METHOD_MAP(METHOD) };
#undef METHOD
    while (next.n > 0 && (next.p[0] == '\r' || next.p[0] == '\n')) next = peri_str_from(next, 1);
    if (next.n == 0) return true;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = next.n < methods[i].n ? next.n : methods[i].n;
        if (memcmp(next.p, methods[i].p, n) == 0) return true;
    }
    return false;
}

/* What was read. */

struct peri_str peri_http_body(const struct peri_http *h) {
    return (struct peri_str){ h->p + h->body_at, h->n - h->body_at };
}

struct peri_header peri_http_header_at(const struct peri_http *h, size_t i) {
    const struct peri_http_field *field =
        (const struct peri_http_field *)(const void *)(h->p + h->fields_at) + i;
    return (struct peri_header){ peri_http_view(h, field->name), peri_http_view(h, field->value) };
}

struct peri_str peri_http_header(const struct peri_http *h, struct peri_str name) {
    const struct peri_http_field *fields =
        (const struct peri_http_field *)(const void *)(h->p + h->fields_at);
    for (size_t i = 0; i < h->field_count; i++)
        if (fields[i].name.n == name.n &&
            peri_str_eq_nocase(peri_http_view(h, fields[i].name), name))
            return peri_http_view(h, fields[i].value);
    return (struct peri_str){ NULL, 0 };
}
