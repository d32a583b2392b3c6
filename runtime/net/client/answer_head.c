#include "net/client/answer_head.h"

void peri_answer_head_init(struct peri_answer_head *h) {
    *h = (struct peri_answer_head){ .why = NULL };
    peri_buf_init(&h->lines, 0);
}

void peri_answer_head_done(struct peri_answer_head *h) { peri_buf_done(&h->lines); }

static enum peri_err refuse(struct peri_answer_head *h, enum peri_err err, const char *why) {
    h->why = why;
    return err;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* "HTTP/1.1 200 OK", "HTTP/2 200" */
static enum peri_err take_status(struct peri_answer_head *h, struct peri_str line) {
    struct peri_str rest = line, version = { NULL, 0 };
    peri_str_cut(&version, &rest, ' ');
    bool is_http1 = version.n == 8 && peri_str_has_prefix(version, PERI_STR("HTTP/1.")) &&
                    (version.p[7] == '0' || version.p[7] == '1');
    if (!is_http1 && !peri_str_eq(version, PERI_STR("HTTP/2")))
        return refuse(h, PERI_EPROTO, "the answer does not start with an HTTP version");
    if (rest.n < 3 || rest.p[0] < '1' || rest.p[0] > '9' || !is_digit(rest.p[1]) ||
        !is_digit(rest.p[2]) || (rest.n > 3 && rest.p[3] != ' '))
        return refuse(h, PERI_EPROTO, "the answer has no three-digit status");
    if (!peri_http_is_value(rest))
        return refuse(h, PERI_EPROTO, "the answer's status line has a control character");
    peri_buf_clear(&h->lines);
    h->line_count = 0;
    h->length = 0;
    h->has_length = h->is_chunked = h->is_closing = false;
    h->is_http1_0 = is_http1 && version.p[7] == '0';
    h->is_http1_1 = is_http1 && !h->is_http1_0;
    h->status = (rest.p[0] - '0') * 100 + (rest.p[1] - '0') * 10 + (rest.p[2] - '0');
    return PERI_OK;
}

/* A length that is written twice is refused even when both agree: the next reader may take another one. */
static enum peri_err take_framing(struct peri_answer_head *h, struct peri_str name,
                                  struct peri_str value) {
    uint64_t length;
    if (peri_str_eq_nocase(name, PERI_STR("content-length"))) {
        if (h->has_length) return refuse(h, PERI_EPROTO, "the answer has two content-lengths");
        if (peri_str_to_u64(&length, value) != PERI_OK || length > INT64_MAX)
            return refuse(h, PERI_EPROTO, "the answer's content-length is not a number");
        h->has_length = true;
        h->length = length;
    } else if (peri_str_eq_nocase(name, PERI_STR("transfer-encoding"))) {
        if (h->is_chunked || !peri_str_eq_nocase(value, PERI_STR("chunked")))
            return refuse(h, PERI_EPROTO, "the answer's transfer-encoding is not just 'chunked'");
        h->is_chunked = true;
    } else if (peri_str_eq_nocase(name, PERI_STR("connection"))) {
        struct peri_str option;
        while (peri_str_cut(&option, &value, ','))
            if (peri_str_eq_nocase(peri_str_trim(option), PERI_STR("close"))) h->is_closing = true;
    }
    return PERI_OK;
}

static enum peri_err split(struct peri_answer_head *h, struct peri_str *name,
                           struct peri_str *value, struct peri_str line) {
    ptrdiff_t colon = peri_str_find_char(line, ':');
    if (colon < 0) return refuse(h, PERI_EPROTO, "a header line of the answer has no colon");
    *name = (struct peri_str){ line.p, (size_t)colon };
    *value = peri_str_trim(peri_str_from(line, (size_t)colon + 1));
    if (!peri_http_is_token(*name))
        return refuse(h, PERI_EPROTO, "a header name of the answer is not a token");
    if (!peri_http_is_value(*value))
        return refuse(h, PERI_EPROTO, "a header value of the answer has a control character");
    return PERI_OK;
}

static enum peri_err take_header(struct peri_answer_head *h, struct peri_str line) {
    struct peri_str value, name;
    enum peri_err err = split(h, &name, &value, line);
    if (err != PERI_OK) return err;
    if (++h->line_count > PERI_ANSWER_LINES_MAX)
        return refuse(h, PERI_ETOOBIG, "the answer has too many header lines");
    peri_buf_add(&h->lines, line);
    peri_buf_add_char(&h->lines, '\n');
    if (h->lines.err != PERI_OK) return h->lines.err;
    return take_framing(h, name, value);
}

static enum peri_err take_trailer(struct peri_answer_head *h, struct peri_str line) {
    struct peri_str value, name;
    return line.n == 0 ? PERI_OK : split(h, &name, &value, line);
}

static enum peri_err take_end(struct peri_answer_head *h) {
    if (h->status == 101) return refuse(h, PERI_EPROTO, "the answer switches protocols unasked");
    if (h->status < 200) {
        h->status = 0;
        if (++h->interim_count > PERI_ANSWER_INTERIM_MAX)
            return refuse(h, PERI_EPROTO, "too many interim answers");
        return PERI_OK;
    }
    if (h->is_chunked && h->has_length)
        return refuse(h, PERI_EPROTO, "the answer has content-length and transfer-encoding");
    if (h->is_chunked && h->is_http1_0)
        return refuse(h, PERI_EPROTO, "an HTTP/1.0 answer cannot be chunked");
    h->is_complete = true;
    return PERI_OK;
}

enum peri_err peri_answer_head_line(struct peri_answer_head *h, struct peri_str line,
                                    size_t max_bytes) {
    h->taken += line.n;
    if (h->taken > max_bytes)
        return refuse(h, PERI_ETOOBIG, "the answer's head is larger than its limit");
    if (line.n > 0 && line.p[line.n - 1] == '\n') line.n--;
    if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
    if (h->is_complete) return take_trailer(h, line);
    if (h->status == 0) return take_status(h, line);
    return line.n == 0 ? take_end(h) : take_header(h, line);
}

size_t peri_answer_head_view(const struct peri_answer_head *h, struct peri_header *headers,
                             size_t room) {
    struct peri_str rest = peri_buf_str(&h->lines), line;
    size_t count = 0;
    while (peri_str_cut(&line, &rest, '\n')) {
        struct peri_str value = line, name;
        peri_str_cut(&name, &value, ':');
        if (count < room) headers[count] = (struct peri_header){ name, peri_str_trim(value) };
        count++;
    }
    return count;
}
