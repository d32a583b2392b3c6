/* The owner's side of an exchange: what was asked, and the answer's bytes. */
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "dialect/error.h"
#include "net/header.h"
#include "net/server/conn.h"

#define HEAD_SLACK 256 /* status line and the headers we add */
#define OVERLOOKED_MAX                                                                             \
    1048576 /* bytes queued past write_high before an owner that ignores it is refused */

struct peri_str peri_exchange_method(const struct peri_exchange *x) {
    const struct peri_http *h = &peri_conn_of(x)->http;
    return peri_http_view(h, h->method);
}

struct peri_str peri_exchange_path(const struct peri_exchange *x) {
    const struct peri_http *h = &peri_conn_of(x)->http;
    return peri_http_view(h, h->path);
}

struct peri_str peri_exchange_query(const struct peri_exchange *x) {
    const struct peri_http *h = &peri_conn_of(x)->http;
    return peri_http_view(h, h->query);
}

struct peri_str peri_exchange_body(const struct peri_exchange *x) {
    return peri_http_body(&peri_conn_of(x)->http);
}

size_t peri_exchange_header_count(const struct peri_exchange *x) {
    return peri_conn_of(x)->http.field_count;
}

struct peri_header peri_exchange_header_at(const struct peri_exchange *x, size_t i) {
    return peri_http_header_at(&peri_conn_of(x)->http, i);
}

struct peri_str peri_exchange_header(const struct peri_exchange *x, struct peri_str name) {
    return peri_http_header(&peri_conn_of(x)->http, name);
}

/* Spelled only when asked for: most requests never are. */
struct peri_str peri_exchange_peer(const struct peri_exchange *x) {
    struct peri_conn *c = peri_conn_of(x);
    if (c->peer_text[0] == '\0') {
        struct peri_addr addr = { .n = sizeof c->peer };
        char text[PERI_ADDR_TEXT_MAX];
        memcpy(&addr.sa, &c->peer, sizeof c->peer);
        if (addr.sa.any.sa_family != AF_INET && addr.sa.any.sa_family != AF_INET6)
            addr.sa.any.sa_family = AF_UNIX;
        size_t n = peri_addr_format(text, &addr);
        memcpy(c->peer_text, text, n < sizeof c->peer_text ? n + 1 : 0);
    }
    return peri_str_of(c->peer_text);
}

uint64_t peri_exchange_began_ns(const struct peri_exchange *x) { return x->began_ns; }
void peri_exchange_set_user(struct peri_exchange *x, void *user) { x->user = user; }
void *peri_exchange_user(const struct peri_exchange *x) { return x->user; }
bool peri_exchange_is_started(const struct peri_exchange *x) { return x->is_started; }
size_t peri_exchange_queued(const struct peri_exchange *x) { return peri_conn_of(x)->queued; }
uint64_t peri_exchange_sent(const struct peri_exchange *x) { return x->sent; }

const char *peri_http_reason(int status) {
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 499: return "Client Closed Request";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    case 529: return "Site Overloaded";
    default: return "Status";
    }
}

/* The answer's head. */

static char *put(char *at, struct peri_str s) {
    if (s.n > 0) memcpy(at, s.p, s.n);
    return at + s.n;
}

static char *put_number(char *at, uint64_t value) {
    char digits[20];
    size_t n = 0;
    do digits[n++] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    while (n > 0) *at++ = digits[--n];
    return at;
}

static char *put_header(char *at, struct peri_str name, struct peri_str value) {
    at = put(at, name);
    at = put(at, PERI_STR(": "));
    at = put(at, value);
    return put(at, PERI_STR("\r\n"));
}

/* RFC 9110, 5.6.7; made once a second. */
static struct peri_str date_of(struct peri_server *s) {
    static const char days[] = "SunMonTueWedThuFriSat",
                      months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t now = (uint64_t)time(NULL);
    if (now != s->date_s) {
        time_t seconds = (time_t)now;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        s->date_s = now;
        snprintf(s->date, sizeof s->date, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
                 days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100u, months + 3 * tm.tm_mon,
                 (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)tm.tm_hour % 100u,
                 (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
    }
    return (struct peri_str){ s->date, 29 };
}

/* What the owner does wrong is the owner's to tell; the client gets the best answer that can be made of it. */
static void tell_misuse(struct peri_exchange *x, const char *what, struct peri_str name) {
    const struct peri_server *s = peri_conn_of(x)->server;
    if (s->ops->on_misuse != NULL) s->ops->on_misuse(s->arg, x, what, name);
}

/* The given one, else the time. */
static struct peri_str date_for(struct peri_server *s, const struct peri_header *headers,
                                size_t count) {
    for (size_t i = 0; i < count; i++)
        if (peri_str_eq_nocase(headers[i].name, PERI_STR("date")) &&
            peri_header_fault(headers[i]) == NULL)
            return headers[i].value;
    return date_of(s);
}

/* Headers that are ours to write. */
static bool is_ours(struct peri_conn *c, const struct peri_header *header) {
    struct peri_str name = header->name;
    switch (name.n) {
    case 4: return peri_str_eq_nocase(name, PERI_STR("date"));
    case 10:
        if (!peri_str_eq_nocase(name, PERI_STR("connection"))) return false;
        if (peri_str_eq_nocase(header->value, PERI_STR("close"))) c->must_close = true;
        return true;
    case 14: return peri_str_eq_nocase(name, PERI_STR("content-length"));
    case 17: return peri_str_eq_nocase(name, PERI_STR("transfer-encoding"));
    default: return false;
    }
}

/*   is_clean   every header can be sent; the others have been told of */
static size_t head_size(bool *is_clean, struct peri_exchange *x, const struct peri_header *headers,
                        size_t count) {
    size_t n = HEAD_SLACK;
    *is_clean = true;
    for (size_t i = 0; i < count; i++) {
        const char *fault = peri_header_fault(headers[i]);
        n += headers[i].name.n + headers[i].value.n + 4;
        if (fault == NULL) continue;
        *is_clean = false;
        tell_misuse(x, fault, headers[i].name);
    }
    return n;
}

void peri_exchange_drop_headers(struct peri_exchange *x) {
    peri_free(x->more);
    x->more = NULL;
    x->more_n = 0;
}

void peri_exchange_add_headers(struct peri_exchange *x, const struct peri_header *headers,
                               size_t count) {
    size_t n = 0;
    peri_exchange_drop_headers(x);
    for (size_t i = 0; i < count; i++) n += headers[i].name.n + headers[i].value.n + 4;
    x->more = n == 0 ? NULL : peri_malloc(n);
    if (x->more == NULL) return;
    char *at = x->more;
    for (size_t i = 0; i < count; i++)
        if (peri_header_fault(headers[i]) == NULL)
            at = put_header(at, headers[i].name, headers[i].value);
    x->more_n = (size_t)(at - x->more);
}

/* Was said by peri_exchange_add_headers. */
static bool is_said(const struct peri_exchange *x, struct peri_str name) {
    struct peri_str cors = PERI_STR("access-control-");
    return x->more != NULL && name.n > cors.n &&
           peri_str_eq_nocase((struct peri_str){ name.p, cors.n }, cors);
}

static void decide_framing(struct peri_conn *c, int status, uint64_t length) {
    struct peri_exchange *x = &c->x;
    x->length = length;
    x->is_bodiless = c->http.is_head || status == 204 || status == 304;
    x->is_chunked =
        length == PERI_LENGTH_UNKNOWN && c->http.minor == 1 && status != 204 && status != 304;
    bool ends_by_close = length == PERI_LENGTH_UNKNOWN && !x->is_chunked && !x->is_bodiless;
    if (ends_by_close || c->server->is_draining) c->must_close = true;
}

static char *put_framing(char *at, const struct peri_conn *c, int status) {
    const struct peri_exchange *x = &c->x;
    if (x->is_chunked) {
        at = put(at, PERI_STR("transfer-encoding: chunked\r\n"));
    } else if (x->length != PERI_LENGTH_UNKNOWN && status != 204 && status != 304) {
        at = put(at, PERI_STR("content-length: "));
        at = put(put_number(at, x->length), PERI_STR("\r\n"));
    }
    if (c->must_close)
        at = put(at, PERI_STR("connection: close\r\n"));
    else if (c->http.minor == 0)
        at = put(at, PERI_STR("connection: keep-alive\r\n"));
    return put(at, PERI_STR("\r\n"));
}

void peri_exchange_start(struct peri_exchange *x, int status, const struct peri_header *headers,
                         size_t header_count, uint64_t length) {
    struct peri_conn *c = peri_conn_of(x);
    bool is_clean;
    if (x->is_started) {
        tell_misuse(x, "an answer was started twice", PERI_STR(""));
        return;
    }
    if (status < 200 || status > 999) {
        tell_misuse(x, "an answer was started with a status that is not 200 to 999", PERI_STR(""));
        status = 500;
    }
    x->is_started = true;
    size_t size = head_size(&is_clean, x, headers, header_count);
    decide_framing(c, status, length);
    if (c->is_broken) return;
    bool is_first = c->queued == 0;
    struct peri_block *b = peri_conn_block(c, size + x->more_n);
    if (b == NULL) {
        peri_conn_break(c);
        return;
    }
    char *at = put(b->data, PERI_STR("HTTP/1.1 "));
    at = put_number(at, (unsigned)status);
    *at++ = ' ';
    at = put(at, peri_str_of(peri_http_reason(status)));
    at = put(at, PERI_STR("\r\n"));
    at = put_header(at, PERI_STR("date"), date_for(c->server, headers, header_count));
    for (size_t i = 0; i < header_count; i++) {
        if (!is_clean && peri_header_fault(headers[i]) != NULL) continue;
        if (is_ours(c, &headers[i]) || is_said(x, headers[i].name)) continue;
        at = put_header(at, headers[i].name, headers[i].value);
    }
    at = put(at, (struct peri_str){ x->more, x->more_n });
    peri_exchange_drop_headers(x);
    at = put_framing(at, c, status);
    b->n = (uint32_t)(at - b->data);
    c->queued += b->n;
    c->is_held = is_first;
}

/* The answer's body. */

static enum peri_err send_parts(struct peri_conn *c, const struct peri_str *parts, size_t count) {
    enum peri_err err = peri_conn_send(c, parts, count);
    peri_conn_settle(c);
    if (err != PERI_OK || c->queued < c->server->limits.write_high) return err;
    c->x.is_full = true;
    return PERI_EFULL;
}

static enum peri_err check_room(struct peri_conn *c) {
    if (c->is_broken) return PERI_ECLOSED;
    return c->queued > c->server->limits.write_high + OVERLOOKED_MAX ? PERI_ETOOBIG : PERI_OK;
}

/* "1f\r\n" into `out`; every streamed token passes here. Gives the length. */
static size_t put_chunk_size(char *out, size_t n) {
    static const char digits[] = "0123456789abcdef";
    size_t count = 1;
    for (size_t rest = n >> 4; rest > 0; rest >>= 4) count++;
    for (size_t i = count; i > 0; i--, n >>= 4) out[i - 1] = digits[n & 15];
    out[count] = '\r';
    out[count + 1] = '\n';
    return count + 2;
}

enum peri_err peri_exchange_write(struct peri_exchange *x, struct peri_str bytes) {
    struct peri_conn *c = peri_conn_of(x);
    char size[20];
    if (!x->is_started) {
        tell_misuse(x, "an answer's body was written before its head", PERI_STR(""));
        return PERI_EINVAL;
    }
    enum peri_err err = check_room(c);
    if (err != PERI_OK) return err;
    if (x->length != PERI_LENGTH_UNKNOWN && bytes.n > x->length - x->sent) return PERI_ETOOBIG;
    x->sent += bytes.n;
    if (bytes.n == 0 || x->is_bodiless) return PERI_OK;
    if (!x->is_chunked) return send_parts(c, &bytes, 1);
    size_t n = put_chunk_size(size, bytes.n);
    struct peri_str parts[] = { { size, n }, bytes, PERI_STR("\r\n") };
    return send_parts(c, parts, 3);
}

enum peri_err peri_exchange_raw(struct peri_exchange *x, struct peri_str bytes) {
    struct peri_conn *c = peri_conn_of(x);
    enum peri_err err = check_room(c);
    if (err != PERI_OK) return err;
    c->must_close = true;
    x->is_started = x->is_bodiless = true;
    return send_parts(c, &bytes, 1);
}

void peri_exchange_flush(struct peri_exchange *x) {
    struct peri_conn *c = peri_conn_of(x);
    if (c->is_held && !c->is_broken) send_parts(c, NULL, 0);
}

/* Ends. */

static bool is_open(const struct peri_conn *c) { return c->phase == PERI_CONN_BUSY; }

static void close_exchange(struct peri_conn *c) {
    c->server->exchange_count--;
    c->phase = PERI_CONN_FLUSHING;
    if (c->queued == 0) peri_conn_finished(c);
    peri_conn_settle(c);
}

void peri_exchange_abort(struct peri_exchange *x) {
    struct peri_conn *c = peri_conn_of(x);
    if (!is_open(c)) return;
    bool ends_by_close =
        x->is_started && x->length == PERI_LENGTH_UNKNOWN && !x->is_chunked && !x->is_bodiless;
    c->must_close = true;
    c->must_reset = ends_by_close;
    if (c->is_held) peri_conn_send(c, NULL, 0);
    close_exchange(c);
}

void peri_exchange_reset(struct peri_exchange *x) {
    struct peri_conn *c = peri_conn_of(x);
    if (!is_open(c)) return;
    c->must_reset = true;
    c->phase = PERI_CONN_FLUSHING;
    c->server->exchange_count--;
    peri_conn_close(c);
}

void peri_exchange_end(struct peri_exchange *x) {
    struct peri_conn *c = peri_conn_of(x);
    if (!is_open(c)) return;
    if (!x->is_started) {
        tell_misuse(x, "an answer was ended before it was started", PERI_STR(""));
        peri_exchange_abort(x);
        return;
    }
    bool is_short = x->length != PERI_LENGTH_UNKNOWN && x->sent < x->length && !x->is_bodiless;
    if (is_short) {
        peri_exchange_abort(x);
        return;
    }
    struct peri_str last = PERI_STR("0\r\n\r\n");
    if (x->is_chunked && !x->is_bodiless)
        peri_conn_send(c, &last, 1);
    else if (c->is_held)
        peri_conn_send(c, NULL, 0);
    close_exchange(c);
}

void peri_exchange_answer(struct peri_exchange *x, int status, const struct peri_header *headers,
                          size_t header_count, struct peri_str body) {
    if (x->is_started) {
        tell_misuse(x, "an answer was started twice", PERI_STR(""));
        peri_exchange_abort(x);
        return;
    }
    peri_exchange_start(x, status, headers, header_count, body.n);
    peri_exchange_write(x, body);
    peri_exchange_end(x);
}

static const char *code_of(int status) {
    switch (status) {
    case 408: return "request_timeout";
    case 413: return "body_too_large";
    case 414: return "uri_too_long";
    case 417: return "expectation_failed";
    case 431: return "headers_too_large";
    case 501: return "not_implemented";
    case 503: return "out_of_memory";
    case 505: return "http_version_not_supported";
    default: return "bad_request";
    }
}

void peri_conn_refuse(struct peri_conn *c, int status, const char *why) {
    char body[512];
    const char *type = status == 503 ? "server_error" : "invalid_request_error";
    struct peri_str error = peri_error_write(body, sizeof body, why, type, code_of(status));
    struct peri_header headers[] = { { PERI_STR("content-type"), PERI_STR("application/json") } };
    peri_list_remove(&c->idle);
    c->phase = PERI_CONN_BUSY;
    c->server->exchange_count++;
    c->must_close = c->must_linger = true;
    c->x.is_started = c->x.is_full = false;
    c->x.sent = 0;
    peri_exchange_answer(&c->x, status, headers, 1, error);
}
