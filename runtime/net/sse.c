/* Two passes over a frame: the first looks only for line ends, sixteen bytes at a time, and can stop and resume
 * anywhere; the second reads the fields of a frame known to be whole. So no field is ever half read. */
#include "net/sse.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Offset of the first CR or LF; n when there is none. */
static size_t line_end(const char *p, size_t n) {
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
    for (; i + 16 <= n; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        int hits =
            _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, cr), _mm_cmpeq_epi8(bytes, lf)));
        if (hits != 0) return i + (size_t)__builtin_ctz((unsigned)hits);
    }
#endif
    while (i < n && p[i] != '\r' && p[i] != '\n') i++;
    return i;
}

void peri_sse_init(struct peri_sse *s, size_t max, struct peri_buf *scratch) {
    *s = (struct peri_sse){ .max = max == 0 ? PERI_SSE_MAX : max, .scratch = scratch };
}

/* A byte order mark is skipped at the very start of a stream and nowhere else.
 *   gives   false while it can not be told yet */
static bool skip_bom(struct peri_sse *s, struct peri_str in) {
    static const char bom[] = { (char)0xEF, (char)0xBB, (char)0xBF };
    size_t n = in.n < sizeof bom ? in.n : sizeof bom;
    bool is_like_bom = memcmp(in.p, bom, n) == 0;
    if (is_like_bom && n < sizeof bom) return false;
    if (is_like_bom) s->start = s->line = s->scanned = sizeof bom;
    s->is_begun = true;
    return true;
}

/* Look on for the blank line.
 *   gives   its offset; in.n when it has not come yet */
static size_t find_blank_line(struct peri_sse *s, struct peri_str in) {
    while (s->line < in.n) {
        if (s->after_cr && in.p[s->line] == '\n') {
            if (s->line == s->start) s->start++;
            s->scanned = ++s->line;
        }
        s->after_cr = false;
        size_t end = s->scanned + line_end(in.p + s->scanned, in.n - s->scanned);
        s->scanned = end;
        if (end == in.n) break;
        if (end == s->line) return end;
        s->after_cr = in.p[end] == '\r';
        s->line = s->scanned = end + 1;
    }
    return in.n;
}

static void read_retry(struct peri_sse_event *event, struct peri_str value) {
    enum peri_err err = peri_str_to_u64(&event->retry_ms, value);
    if (err == PERI_ETOOBIG) event->retry_ms = UINT64_MAX;
    if (err == PERI_OK || err == PERI_ETOOBIG) event->has_retry = true;
}

static enum peri_err add_data(struct peri_sse *s, struct peri_sse_event *event,
                              struct peri_str value, bool *is_joined) {
    if (!event->has_data) {
        event->has_data = true;
        event->data = value;
        return PERI_OK;
    }
    if (!*is_joined) {
        peri_buf_clear(s->scratch);
        peri_buf_add(s->scratch, event->data);
        *is_joined = true;
    }
    peri_buf_add_char(s->scratch, '\n');
    peri_buf_add(s->scratch, value);
    event->data = peri_buf_str(s->scratch);
    return s->scratch->err;
}

static enum peri_err read_field(struct peri_sse *s, struct peri_sse_event *event,
                                struct peri_str line, bool *is_joined) {
    ptrdiff_t colon = line.n >= 5 && line.p[4] == ':' && memcmp(line.p, "data", 4) == 0
                          ? 4
                          : peri_str_find_char(line, ':');
    struct peri_str name = colon < 0 ? line : (struct peri_str){ line.p, (size_t)colon };
    struct peri_str value = colon < 0 ? (struct peri_str){ line.p + line.n, 0 }
                                      : peri_str_from(line, (size_t)colon + 1);
    if (value.n > 0 && value.p[0] == ' ') value = peri_str_from(value, 1);
    if (peri_str_eq(name, PERI_STR("data"))) return add_data(s, event, value, is_joined);
    if (peri_str_eq(name, PERI_STR("event"))) {
        event->name = value;
    } else if (peri_str_eq(name, PERI_STR("id"))) {
        if (peri_str_find_char(value, '\0') >= 0) return PERI_OK;
        event->id = value;
        event->has_id = true;
    } else if (peri_str_eq(name, PERI_STR("retry"))) {
        read_retry(event, value);
    }
    return PERI_OK;
}

static enum peri_err read_fields(struct peri_sse *s, struct peri_sse_event *event,
                                 struct peri_str lines) {
    bool is_joined = false;
    while (lines.n > 0) {
        size_t end = line_end(lines.p, lines.n);
        struct peri_str line = { lines.p, end };
        if (end > 0 && line.p[0] != ':') {
            event->is_comment_only = false;
            enum peri_err err = read_field(s, event, line, &is_joined);
            if (err != PERI_OK) return err;
        }
        /* Of CRLF only the CR is stepped over: the LF then reads as an empty line, which says nothing here. */
        lines = peri_str_from(lines, end + 1);
    }
    return PERI_OK;
}

ptrdiff_t peri_sse_next(struct peri_sse *s, struct peri_sse_event *event, struct peri_str in) {
    if (in.n == 0 || (!s->is_begun && !skip_bom(s, in))) return 0;
    size_t blank = find_blank_line(s, in);
    size_t end = blank == in.n ? in.n : blank + 1;
    bool is_cr = blank < in.n && in.p[blank] == '\r';
    if (is_cr && end < in.n && in.p[end] == '\n') end++;
    if (blank - s->start > s->max) return -(ptrdiff_t)PERI_ETOOBIG;
    if (blank == in.n) return 0;

    /* A byte order mark is not part of the frame; the second half of a CRLF is, or it would be lost. */
    bool has_bom = s->start >= 3;
    *event = (struct peri_sse_event){
        .raw = peri_str_from((struct peri_str){ in.p, end }, has_bom ? 3 : 0),
        .is_comment_only = true,
    };
    enum peri_err err =
        read_fields(s, event, (struct peri_str){ in.p + s->start, blank - s->start });
    if (err != PERI_OK) return -(ptrdiff_t)err;
    s->start = s->line = s->scanned = 0;
    /* A CR is enough to end the frame: waiting for an LF that may never come would hold the frame back. */
    s->after_cr = is_cr && end == blank + 1;
    return (ptrdiff_t)end;
}

static size_t line_length(struct peri_str s) {
    size_t n = 0;
    while (n < s.n && s.p[n] != '\n' && s.p[n] != '\r') n++;
    return n;
}

enum peri_err peri_sse_add(struct peri_buf *out, struct peri_str name, struct peri_str data) {
    if (line_length(name) < name.n) return PERI_EINVAL;
    if (name.n > 0) {
        peri_buf_add(out, PERI_STR("event: "));
        peri_buf_add(out, name);
        peri_buf_add_char(out, '\n');
    }
    for (;;) {
        size_t n = line_length(data);
        peri_buf_add(out, PERI_STR("data: "));
        peri_buf_add(out, (struct peri_str){ data.p, n });
        peri_buf_add_char(out, '\n');
        if (n == data.n) break;
        bool is_pair = data.p[n] == '\r' && n + 1 < data.n && data.p[n + 1] == '\n';
        data = peri_str_from(data, n + 1 + is_pair);
    }
    return peri_buf_add_char(out, '\n');
}
