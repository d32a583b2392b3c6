/* Chunked bodies, byte by byte where the framing is and by memcpy where the data is. The framing is exactly that
 * of RFC 9112, 7.1, without the optional white space in extensions that nobody sends: what a laxer reader in
 * front of us or behind us could read otherwise is refused. Extensions and trailers are checked and dropped. */
#include "net/http_parts.h"

#define DIGITS_MAX 16 /* of a chunk's size: 64 bits */
#define EXTENSIONS_MAX                                                                             \
    16384 /* bytes in all chunks of a body: they cost the sender nothing and us everything */

enum {
    SIZE,
    EXT_START,
    EXT_NAME,
    EXT_IS,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER
};

static const char bad_size[] = "a chunk's size is malformed";
static const char bad_extension[] = "a chunk's extension is malformed";

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void end_of_size(struct peri_http *h, char c, const char *why) {
    if (c == '\r' && h->chunk_digits > 0)
        h->chunk_state = SIZE_LF;
    else if (c == ';' && h->chunk_digits > 0)
        h->chunk_state = EXT_START;
    else
        peri_http_fail(h, 400, why);
}

static void take_size(struct peri_http *h, char c) {
    int digit = digit_value(c);
    if (digit < 0) {
        end_of_size(h, c, bad_size);
    } else if (h->chunk_digits == DIGITS_MAX) {
        peri_http_fail(h, 400, bad_size);
    } else {
        h->chunk_digits++;
        h->left = h->left << 4 | (unsigned)digit;
    }
}

static void take_extension(struct peri_http *h, char c) {
    bool is_token = peri_http_is_token((struct peri_str){ &c, 1 });
    bool is_text = peri_http_is_value((struct peri_str){ &c, 1 });
    int next = -1;
    if (++h->chunk_overhead > EXTENSIONS_MAX) is_token = is_text = false;
    switch (h->chunk_state) {
    case EXT_START: next = is_token ? EXT_NAME : -1; break;
    case EXT_NAME: next = is_token ? EXT_NAME : c == '=' ? EXT_IS : -1; break;
    case EXT_IS: next = is_token ? EXT_VALUE : c == '"' ? EXT_QUOTED : -1; break;
    case EXT_VALUE: next = is_token ? EXT_VALUE : -1; break;
    case EXT_QUOTED:
        next = c == '"' ? EXT_END : c == '\\' ? EXT_ESCAPED : is_text ? EXT_QUOTED : -1;
        break;
    case EXT_ESCAPED: next = is_text ? EXT_QUOTED : -1; break;
    default: break;
    }
    bool may_end =
        h->chunk_state == EXT_NAME || h->chunk_state == EXT_VALUE || h->chunk_state == EXT_END;
    if (next >= 0)
        h->chunk_state = (uint8_t)next;
    else if (may_end)
        end_of_size(h, c, bad_extension);
    else
        peri_http_fail(h, 400, bad_extension);
}

static void begin_chunk(struct peri_http *h, char c) {
    size_t have = h->n - h->body_at;
    h->chunk_digits = 0;
    if (c != '\n') {
        peri_http_fail(h, 400, bad_size);
    } else if (h->left == 0) {
        h->chunk_state = TRAILER;
        h->chunk_overhead = 0;
        h->lines = 1;
        h->line = h->n;
    } else if (h->left > h->limits->body_bytes - have) {
        peri_http_fail(h, 413, "the request's body is too large");
    } else
        h->chunk_state = DATA;
}

static size_t take_data(struct peri_http *h, struct peri_str in) {
    size_t n = h->left < in.n ? (size_t)h->left : in.n;
    if (!peri_http_reserve(h, h->n + n, 0)) return n;
    memcpy(h->p + h->n, in.p, n);
    h->n += n;
    h->left -= n;
    if (h->left == 0) h->chunk_state = DATA_CR;
    return n;
}

static void expect(struct peri_http *h, char got, char want, uint8_t next) {
    if (got == want)
        h->chunk_state = next;
    else
        peri_http_fail(h, 400, "a chunk does not end where its size says");
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
    if (n > h->limits->header_bytes - h->chunk_overhead) {
        peri_http_fail(h, 431, "the trailers are too large");
        return n;
    }
    h->chunk_overhead += (uint32_t)n;
    if (!peri_http_reserve(h, h->n + n, 0)) return n;
    memcpy(h->p + h->n, in.p, n);
    h->n += n;
    if (newline != NULL) end_trailer(h);
    return n;
}

static void take_framing(struct peri_http *h, char c) {
    switch (h->chunk_state) {
    case SIZE: take_size(h, c); break;
    case SIZE_LF: begin_chunk(h, c); break;
    case DATA_CR: expect(h, c, '\r', DATA_LF); break;
    case DATA_LF: expect(h, c, '\n', SIZE); break;
    default: take_extension(h, c);
    }
}

size_t peri_http_take_chunks(struct peri_http *h, struct peri_str in) {
    size_t at = 0;
    while (at < in.n && h->state == PERI_HTTP_CHUNKS) {
        struct peri_str rest = peri_str_from(in, at);
        if (h->chunk_state == DATA)
            at += take_data(h, rest);
        else if (h->chunk_state == TRAILER)
            at += take_trailer(h, rest);
        else
            take_framing(h, in.p[at++]);
    }
    return at;
}
