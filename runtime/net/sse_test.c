#include "net/sse.h"

#include <time.h>

#include "base/test.h"
#include "base/utf8.h"

/* Events in the shape of the case file, as text, so that two readings can be compared and printed. */
struct reading {
    struct peri_buf events; /* JSON-like: [name,data,id] */
    struct peri_buf raw;
    struct peri_buf id;
    uint64_t retry_ms;
    bool has_retry;
    ptrdiff_t err;
    long frames;
};

static void reading_init(struct reading *r) {
    *r = (struct reading){ 0 };
    peri_buf_init(&r->events, 0);
    peri_buf_init(&r->raw, 0);
    peri_buf_init(&r->id, 0);
}

static void reading_done(struct reading *r) {
    peri_buf_done(&r->events);
    peri_buf_done(&r->raw);
    peri_buf_done(&r->id);
}

static void note_event(struct reading *r, struct peri_str name, struct peri_str data,
                       struct peri_str id) {
    peri_buf_addf(&r->events, "[%.*s|%.*s|", PERI_STR_ARGS(name), PERI_STR_ARGS(id));
    peri_buf_add(&r->events, data);
    peri_buf_add(&r->events, PERI_STR("]\n"));
}

static void note_frame(struct reading *r, const struct peri_sse_event *event) {
    r->frames++;
    peri_buf_add(&r->raw, event->raw);
    if (event->has_id) {
        peri_buf_clear(&r->id);
        peri_buf_add(&r->id, event->id);
    }
    if (event->has_retry) {
        r->retry_ms = event->retry_ms;
        r->has_retry = true;
    }
    if (event->has_data)
        note_event(r, event->name.n > 0 ? event->name : PERI_STR("message"), event->data,
                   peri_buf_str(&r->id));
}

/* Feed `in` in pieces of `step` bytes (0: whole), each lying against an unreadable page. */
static void read_stream(struct reading *r, struct peri_str in, size_t step, size_t max) {
    struct peri_buf scratch;
    struct peri_sse s;
    peri_buf_init(&scratch, 0);
    peri_sse_init(&s, max, &scratch);
    size_t front = 0, have = 0;
    while (have < in.n && r->err == 0) {
        have = step == 0 || have + step > in.n ? in.n : have + step;
        char *bytes = test_guarded(in.p + front, have - front);
        struct peri_str rest = { bytes, have - front };
        struct peri_sse_event event;
        ptrdiff_t n;
        while ((n = peri_sse_next(&s, &event, rest)) > 0) {
            note_frame(r, &event);
            rest = peri_str_from(rest, (size_t)n);
        }
        test_guarded_free(bytes, have - front);
        front = have - rest.n;
        r->err = n;
    }
    peri_buf_done(&scratch);
}

/* The text a browser would show: each maximal ill-formed part becomes one U+FFFD (WHATWG Encoding). */
static void add_replaced(struct peri_buf *out, struct peri_str s) {
    while (s.n > 0) {
        size_t step = peri_utf8_length(s);
        if (step > 0) {
            peri_buf_add(out, (struct peri_str){ s.p, step });
        } else {
            char padded[4];
            step = 1;
            /* A part is ill-formed but cut short when some tail would complete it. */
            for (size_t n = 2; n <= 3 && n <= s.n; n++) {
                memset(padded, (char)0x80, sizeof padded);
                memcpy(padded, s.p, n);
                if (peri_utf8_length((struct peri_str){ padded, 4 }) > n) step = n;
            }
            peri_buf_add(out, PERI_STR("\xef\xbf\xbd"));
        }
        s = peri_str_from(s, step);
    }
}

/* --- the case file, written by a program: just enough JSON to read that --- */

static const char *at;

static bool next_is(const char *text) {
    at += strspn(at, " \n,:");
    if (strncmp(at, text, strlen(text)) != 0) return false;
    at += strlen(text);
    return true;
}

static uint32_t read_hex4(void) {
    char digits[5] = { at[0], at[1], at[2], at[3], 0 };
    at += 4;
    return (uint32_t)strtoul(digits, NULL, 16);
}

static void read_string(struct peri_buf *out) {
    peri_buf_clear(out);
    if (!next_is("\"")) abort();
    for (; *at != '"'; at++) {
        if (*at != '\\') {
            peri_buf_add_char(out, *at);
            continue;
        }
        at++;
        const char *known = strchr("n\nr\rt\tb\bf\f\"\"\\\\//", *at);
        if (*at != 'u') {
            peri_buf_add_char(out, known[1]);
            continue;
        }
        at++;
        uint32_t code = read_hex4();
        if (code >= 0xD800 && code < 0xDC00) {
            at += 2;
            code = 0x10000 + ((code - 0xD800) << 10) + (read_hex4() - 0xDC00);
        }
        char utf8[4];
        peri_buf_add(out, (struct peri_str){ utf8, peri_utf8_encode(utf8, code) });
        at--;
    }
    at++;
}

static void read_key(const char *key) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    if (!next_is(quoted)) abort();
}

static void decode_base64(struct peri_buf *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned count = 0;
    size_t n = 0;
    for (size_t i = 0; i < text->n && text->p[i] != '='; i++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, text->p[i]) - digits);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        text->p[n++] = (char)(bits >> count);
    }
    text->n = n;
}

static bool case_agrees(struct peri_str in, const struct reading *want, size_t step) {
    struct reading got;
    struct peri_buf shown;
    reading_init(&got);
    peri_buf_init(&shown, 0);
    read_stream(&got, in, step, 0);
    add_replaced(&shown, peri_buf_str(&got.events));
    bool agrees = got.err == 0 && peri_str_eq(peri_buf_str(&shown), peri_buf_str(&want->events)) &&
                  got.has_retry == want->has_retry && got.retry_ms == want->retry_ms;
    if (!agrees)
        fprintf(stderr, "in pieces of %zu got\n%.*swant\n%.*s", step, (int)shown.n, shown.p,
                (int)want->events.n, want->events.p);
    peri_buf_done(&shown);
    reading_done(&got);
    return agrees;
}

TEST(sse_agrees_with_the_standards_cases_in_every_chunking) {
    static const size_t steps[] = { 0, 1, 2, 3, 7 };
    size_t size;
    char *text = test_read_file("../shared/data/sse/event-stream-cases.json", &size);
    if (text == NULL) {
        printf("skipped: ../shared/data/sse/event-stream-cases.json is not here\n");
        return;
    }
    struct peri_buf name, in, field[3];
    peri_buf_init(&name, 0);
    peri_buf_init(&in, 0);
    for (int i = 0; i < 3; i++) peri_buf_init(&field[i], 0);
    int cases = 0, agreed = 0;
    at = strstr(text, "\"cases\"");
    read_key("cases");
    for (next_is("["); next_is("{"); next_is("}")) {
        struct reading want;
        reading_init(&want);
        read_key("name");
        read_string(&name);
        read_key("input_b64");
        read_string(&in);
        decode_base64(&in);
        read_key("events");
        for (next_is("["); next_is("{"); next_is("}")) {
            static const char *const keys[] = { "event", "data", "id" };
            for (int i = 0; i < 3; i++) {
                read_key(keys[i]);
                read_string(&field[i]);
            }
            note_event(&want, peri_buf_str(&field[0]), peri_buf_str(&field[1]),
                       peri_buf_str(&field[2]));
        }
        next_is("]");
        read_key("retry");
        if (!next_is("null")) {
            char *end;
            want.has_retry = true;
            next_is("");
            want.retry_ms = strtoull(at, &end, 10); /* gives UINT64_MAX when it is beyond 64 bits */
            at = end;
        }
        cases++;
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            bool agrees = case_agrees(peri_buf_str(&in), &want, steps[i]);
            if (!agrees) fprintf(stderr, "case %.*s disagrees\n", (int)name.n, name.p);
            CHECK(agrees);
            agreed += agrees;
        }
        reading_done(&want);
    }
    printf("%d cases, %d of %d chunkings agree\n", cases, agreed, cases * 5);
    CHECK(cases > 0);
    for (int i = 0; i < 3; i++) peri_buf_done(&field[i]);
    peri_buf_done(&in);
    peri_buf_done(&name);
    free(text);
}

static const char sample[] =
    "\xEF\xBB\xBF: hello\r\n\r\nevent: error\rdata: {\"a\":1}\r\rdata: one\ndata:two\r\n"
    "id: 7\n\n\n:\n\nretry: 5\ndata\n\ndata: [DONE]\n\n";

TEST(sse_gives_the_same_at_every_split_point) {
    struct peri_str in = { sample, sizeof sample - 1 };
    struct reading whole;
    reading_init(&whole);
    read_stream(&whole, in, 0, 0);
    CHECK_EQ(whole.frames, 7);
    CHECK_EQ(whole.err, 0);
    for (size_t step = 1; step < in.n; step++) {
        struct reading pieces;
        reading_init(&pieces);
        read_stream(&pieces, in, step, 0);
        CHECK(peri_str_eq(peri_buf_str(&pieces.events), peri_buf_str(&whole.events)));
        CHECK(peri_str_eq(peri_buf_str(&pieces.raw), peri_buf_str(&whole.raw)));
        CHECK_EQ(pieces.frames, whole.frames);
        reading_done(&pieces);
    }
    /* Every frame is forwarded byte for byte; only the byte order mark stays behind. */
    CHECK(peri_str_eq(peri_buf_str(&whole.raw), peri_str_from(in, 3)));
    reading_done(&whole);
}

TEST(sse_points_into_the_input_unless_it_must_join) {
    struct peri_buf scratch;
    struct peri_sse s;
    struct peri_sse_event event;
    peri_buf_init(&scratch, 0);
    peri_sse_init(&s, 0, &scratch);
    struct peri_str in = PERI_STR("event: x\ndata: {}\n\ndata: a\ndata: b\n\n: still here\n\n");
    ptrdiff_t n = peri_sse_next(&s, &event, in);
    CHECK_EQ(n, 19);
    CHECK(event.data.p == in.p + 15);
    CHECK_STR(event.name, "x");
    CHECK_STR(event.raw, "event: x\ndata: {}\n\n");
    CHECK(!event.is_comment_only);
    CHECK(scratch.p == NULL);
    in = peri_str_from(in, (size_t)n);
    n = peri_sse_next(&s, &event, in);
    CHECK_STR(event.data, "a\nb");
    CHECK(event.data.p == scratch.p);
    in = peri_str_from(in, (size_t)n);
    n = peri_sse_next(&s, &event, in);
    CHECK_EQ(n, in.n);
    CHECK(event.is_comment_only);
    CHECK(!event.has_data);
    CHECK_EQ(peri_sse_next(&s, &event, peri_str_from(in, (size_t)n)), 0);
    peri_buf_done(&scratch);
}

TEST(sse_refuses_a_frame_beyond_its_limit_in_every_chunking) {
    struct peri_str fits =
        PERI_STR("data: 0123\n\ndata: 4567\n\n"); /* 11 bytes before the blank line */
    struct peri_str outgrows = PERI_STR("data: 0123\n\ndata: 45678\n\n");
    for (size_t step = 0; step < 14; step++) {
        struct reading r;
        reading_init(&r);
        read_stream(&r, fits, step, 11);
        CHECK_EQ(r.err, 0);
        CHECK_EQ(r.frames, 2);
        reading_done(&r);
        reading_init(&r);
        read_stream(&r, outgrows, step, 11);
        CHECK_EQ(r.err, -(ptrdiff_t)PERI_ETOOBIG);
        CHECK_EQ(r.frames, 1);
        reading_done(&r);
    }
}

TEST(sse_looks_at_each_trickled_byte_once) {
    /* A line of half a megabyte that comes byte by byte: quadratic work would be 10^11 bytes looked at. */
    size_t n = 512 << 10;
    char *bytes = malloc(n);
    struct peri_sse s;
    struct peri_sse_event event;
    struct peri_buf scratch;
    memset(bytes, 'x', n);
    memcpy(bytes + n - 2, "\n\n", 2);
    peri_buf_init(&scratch, 0);
    peri_sse_init(&s, 0, &scratch);
    for (size_t have = 1; have < n; have++) {
        if (peri_sse_next(&s, &event, (struct peri_str){ bytes, have }) != 0) CHECK(false);
        if (s.scanned != have && have > 3) CHECK_EQ(s.scanned, have);
    }
    CHECK_EQ(peri_sse_next(&s, &event, (struct peri_str){ bytes, n }), n);
    free(bytes);
}

TEST(sse_survives_running_out_of_memory) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_buf scratch;
        struct peri_sse s;
        struct peri_sse_event event;
        struct peri_str in = PERI_STR("data: 1\ndata: 2\n\n");
        peri_buf_init(&scratch, 0);
        peri_sse_init(&s, 0, &scratch);
        ptrdiff_t n = peri_sse_next(&s, &event, in);
        CHECK(n == (ptrdiff_t)in.n || n == -(ptrdiff_t)PERI_ENOMEM);
        if (test_torture_done) CHECK_EQ(n, in.n);
        peri_buf_done(&scratch);
    }
}

TEST(sse_writes_frames_that_are_read_as_they_were_meant) {
    static const struct {
        const char *name, *data, *frame, *read;
    } cases[] = {
        { "", "", "data: \n\n", "" },
        { "", "[DONE]", "data: [DONE]\n\n", "[DONE]" },
        { "chunk", "{}", "event: chunk\ndata: {}\n\n", "{}" },
        { "", "a\nb", "data: a\ndata: b\n\n", "a\nb" },
        { "", "a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n", "a\nb\nc\n" },
        { "", " a", "data:  a\n\n", " a" },
    };
    struct peri_buf out, scratch;
    peri_buf_init(&scratch, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_sse s;
        struct peri_sse_event event;
        peri_buf_init(&out, 0);
        CHECK_EQ(peri_sse_add(&out, peri_str_of(cases[i].name), peri_str_of(cases[i].data)),
                 PERI_OK);
        CHECK_STR(peri_buf_str(&out), cases[i].frame);
        peri_sse_init(&s, 0, &scratch);
        CHECK_EQ(peri_sse_next(&s, &event, peri_buf_str(&out)), (ptrdiff_t)out.n);
        CHECK_STR(event.data, cases[i].read);
        CHECK_STR(event.name, cases[i].name);
        peri_buf_done(&out);
    }
    peri_buf_init(&out, 4);
    CHECK_EQ(peri_sse_add(&out, PERI_STR("a\nb"), PERI_STR("")), PERI_EINVAL);
    CHECK_EQ(out.n, 0);
    CHECK_EQ(peri_sse_add(&out, PERI_STR(""), PERI_STR("x")), PERI_ETOOBIG);
    peri_buf_done(&out);
    peri_buf_done(&scratch);
}

/* Not a fact about the reader but a figure to watch: what one frame of a usual answer costs. */
TEST(sse_prints_its_cost_per_frame) {
    char text[16384];
    size_t n = 0;
    while (n + 200 <= sizeof text) {
        memset(text + n, 'a', 200);
        memcpy(text + n, "data: ", 6);
        memcpy(text + n + 198, "\n\n", 2);
        n += 200;
    }
    struct peri_buf scratch;
    struct peri_sse s;
    struct peri_sse_event event;
    peri_buf_init(&scratch, 0);
    peri_sse_init(&s, 0, &scratch);
    long frames = 0;
    clock_t began = clock();
    for (int turn = 0; turn < 2000; turn++) {
        struct peri_str in = { text, n };
        ptrdiff_t took;
        while ((took = peri_sse_next(&s, &event, in)) > 0) {
            in = peri_str_from(in, (size_t)took);
            frames++;
        }
    }
    double ns = (double)(clock() - began) * 1e9 / CLOCKS_PER_SEC / (double)frames;
    printf("%.1f ns a frame of 200 bytes\n", ns);
    CHECK_EQ(frames, 2000 * (long)(n / 200));
}
