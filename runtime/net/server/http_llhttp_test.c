/* llhttp's own request cases, which Node stands on: what it refuses in its strict mode is never a request here. The
 * cases are Markdown: a fenced `http` block (line ends are CRLF, escapes spelled out) and a `log` block after it. */
#include "net/server/http.h"

#include "base/test.h"

#define CASES "../shared/data/http/llhttp/request/"

static const struct peri_http_limits limits = {
    .header_bytes = 32768, .header_lines = 100, .uri_bytes = 8192, .body_bytes = 1 << 20
};

struct tally {
    int refused, accepted, incomplete;
};

static int hex(char c) {
    const char *digits = "0123456789abcdef", *at = strchr(digits, c | 32);
    return c == '\0' || at == NULL ? 0 : (int)(at - digits);
}

static char escape(char c) {
    return c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c == 'f' ? '\f' : c;
}

/* The bytes of a block, in place. A backslash at the end of a line joins it with the next. */
static size_t spell_out(char *out, const char *from, const char *end) {
    size_t n = 0;
    for (const char *p = from; p < end; p++) {
        if (*p == '\n')
            out[n++] = '\r', out[n++] = '\n';
        else if (*p != '\\')
            out[n++] = *p;
        else if (*++p == '\n')
            continue;
        else if (*p == 'x')
            out[n++] = (char)(hex(p[1]) << 4 | hex(p[2])), p += 2;
        else
            out[n++] = escape(*p);
    }
    return n;
}

/* llhttp does not ask for a Host header; we do, and that is not what the case is about. `bytes` has the room. */
static size_t add_host(char *bytes, size_t n) {
    static const char host[] = "Host: h\r\n";
    bytes[n] = '\0';
    char *line_end = strstr(bytes, "\r\n");
    if (line_end == NULL || strcasestr(bytes, "\nhost:") != NULL) return n;
    char *place = line_end + 2;
    if (place - bytes == 2) return n; /* an empty line first */
    memmove(place + sizeof host - 1, place, n - (size_t)(place - bytes));
    memcpy(place, host, sizeof host - 1);
    return n + sizeof host - 1;
}

static bool has_before(const char *from, const char *end, const char *part) {
    const char *at = strstr(from, part);
    return at != NULL && at < end;
}

static void check_block(struct tally *t, const char *block, const char *block_end, const char *log,
                        const char *log_end) {
    char *bytes = malloc(2 * (size_t)(block_end - block) + 64);
    size_t n = add_host(bytes, spell_out(bytes, block, block_end));
    struct peri_http h;
    peri_http_init(&h, &limits);
    peri_http_feed(&h, (struct peri_str){ bytes, n });
    bool is_refused =
        has_before(log, log_end, "error code=") && !has_before(log, log_end, "Pause on");
    bool is_first =
        !has_before(log, log_end, "message complete"); /* of pipelined ones the first is meant */
    CHECK(!(is_refused && is_first && h.state == PERI_HTTP_DONE));
    if (is_refused && is_first && h.state == PERI_HTTP_DONE)
        fprintf(stderr, "accepted: %.*s\n", (int)n, bytes);
    t->refused += h.state == PERI_HTTP_FAILED;
    t->accepted += h.state == PERI_HTTP_DONE;
    t->incomplete += h.state < PERI_HTTP_DONE;
    peri_http_done(&h);
    free(bytes);
}

/* gives how many strict cases the file holds */
static int check_file(struct tally *t, const char *text) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, "<!-- meta=")) != NULL;) {
        const char *meta_end = strstr(at, "-->");
        bool is_strict = has_before(at, meta_end, "\"request\"");
        const char *block = strstr(meta_end, "```http\n"),
                   *block_end = block == NULL ? NULL : strstr(block, "\n```");
        const char *log = block_end == NULL ? NULL : strstr(block_end, "```log\n");
        const char *log_end = log == NULL ? NULL : strstr(log + 7, "```");
        const char *next = strstr(meta_end, "<!-- meta=");
        at = meta_end;
        if (!is_strict || log_end == NULL || (next != NULL && next < log_end)) continue;
        check_block(t, block + 8, block_end, log, log_end);
        count++;
    }
    return count;
}

TEST(http_llhttp) {
    static const char *const files[] = { "connection", "content-length", "finish",
                                         "invalid",    "method",         "pausing",
                                         "pipelining", "sample",         "transfer-encoding",
                                         "uri" };
    struct tally t = { 0, 0, 0 };
    int count = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        size_t n;
        snprintf(path, sizeof path, CASES "%s.md", files[i]);
        char *text = test_read_file(path, &n);
        if (text == NULL) {
            printf("skipped: %s is not there\n", path);
            continue;
        }
        int here = check_file(&t, text);
        count += here;
        free(text);
    }
    printf("%d cases: %d refused, %d accepted, %d incomplete\n", count, t.refused, t.accepted,
           t.incomplete);
    CHECK_EQ(count, t.refused + t.accepted + t.incomplete);
}
