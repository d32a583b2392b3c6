/* Two thousand streams at once whose owners pause, resume and cancel as they like, from a provider that now and then
 * hangs up: every call ends once or is cancelled, no body is taken for whole that is not, nothing is left behind. */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#include "net/client/upstream_test.h"

#define STREAMS_MAX 2000
#define CALLS       6000
#define BODY_BYTES  9000

struct crowd;

struct stream {
    struct crowd *crowd;
    struct peri_call *call; /* NULL: between two */
    size_t at;
    int heads;
    bool is_paused;
};

struct crowd {
    struct bench b;
    struct stream streams[STREAMS_MAX];
    size_t count;
    int started, ended, cancelled, broken;
    uint64_t seed;
};

static char script[BODY_BYTES * 2];
static char body[BODY_BYTES];
static struct crowd *talked_to;

static unsigned draw(struct crowd *c, unsigned below) {
    c->seed ^= c->seed << 13;
    c->seed ^= c->seed >> 7;
    c->seed ^= c->seed << 17;
    return (unsigned)(c->seed % below);
}

static void write_script(void) {
    char *at = script;
    for (size_t i = 0; i < sizeof body; i++) body[i] = (char)('a' + i * 7 % 23);
    at += sprintf(at, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < sizeof body; i += 90) at += sprintf(at, "5a\r\n%.90s\r\n", body + i);
    sprintf(at, "0\r\n\r\n");
}

static void answer_in_its_way(struct line *l, int request) {
    struct crowd *c = talked_to;
    size_t n = strlen(script);
    (void)request;
    switch (draw(c, 20)) {
    case 0: line_reset(l); return;
    case 1: line_close(l); return;
    case 2: /* the front of it, and then the end */
        line_send_n(l, script, draw(c, (unsigned)n));
        line_close_after_writing(l);
        return;
    default: line_send_in_pieces(l, script, n, 100 + draw(c, 4000));
    }
}

static void next(struct stream *s);

static void leave(struct stream *s) {
    peri_call_cancel(s->call);
    s->call = NULL;
    s->crowd->cancelled++;
}

static void stream_head(void *arg, struct peri_call *call, int status,
                        const struct peri_header *headers, size_t count) {
    struct stream *s = arg;
    CHECK(call == s->call);
    CHECK_EQ(status, 200);
    CHECK_EQ(++s->heads, 1);
    (void)headers, (void)count;
    if (draw(s->crowd, 50) != 0) return;
    leave(s);
    next(s);
}

static bool stream_body(void *arg, struct peri_call *call, struct peri_str bytes) {
    struct stream *s = arg;
    struct crowd *c = s->crowd;
    CHECK(call == s->call);
    CHECK_EQ(s->heads, 1);
    CHECK(!s->is_paused);
    bool fits = bytes.n <= sizeof body - s->at;
    CHECK(fits);
    if (fits) CHECK(memcmp(body + s->at, bytes.p, bytes.n) == 0);
    s->at += bytes.n;
    struct stream *other = &c->streams[draw(c, (unsigned)c->count)];
    switch (draw(c, 24)) {
    case 0: /* itself, and on with another */
        leave(s);
        next(s);
        return true;
    case 1: /* a neighbour */
        if (other == s || other->call == NULL) return true;
        leave(other);
        next(other);
        return true;
    case 2:
    case 3:
    case 4:
    case 5: s->is_paused = true; return false;
    default: return true;
    }
}

static void stream_done(void *arg, struct peri_call *call, const struct peri_call_report *report) {
    struct stream *s = arg;
    CHECK(call == s->call);
    CHECK_EQ(report->received_bytes, s->at);
    CHECK(report->was_sent);
    if (report->err == PERI_OK)
        CHECK_EQ(s->at, sizeof body);
    else
        CHECK_EQ(report->err, s->heads > 0 ? PERI_ETRUNCATED : PERI_ECLOSED);
    s->crowd->ended++;
    s->crowd->broken += report->err != PERI_OK;
    s->call = NULL;
    next(s);
}

static void next(struct stream *s) {
    static const struct peri_call_ops ops = { stream_head, stream_body, stream_done };
    struct crowd *c = s->crowd;
    s->at = 0;
    s->heads = 0;
    s->is_paused = false;
    if (c->started == CALLS) return;
    c->started++;
    CHECK_EQ(peri_call_start(&s->call, c->b.client, &c->b.spec, &ops, s), PERI_OK);
}

/* Some of those who wait go on, and some have waited long enough. */
static void stir(struct crowd *c) {
    for (size_t i = 0; i < c->count; i++) {
        struct stream *s = &c->streams[i];
        if (!s->is_paused || s->call == NULL || draw(c, 3) != 0) continue;
        s->is_paused = false;
        if (draw(c, 40) == 0) {
            leave(s);
            next(s);
        } else {
            peri_call_resume(s->call);
        }
    }
}

static int open_files(void) {
    int count = 0;
    DIR *files = opendir("/proc/self/fd");
    if (files == NULL) abort();
    while (readdir(files) != NULL) count++;
    closedir(files);
    return count;
}

TEST_BOTH_WAYS(a_crowd_of_streams_comes_and_goes) {
    static struct crowd c;
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN); /* the provider writes to those who have left */
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    memset(&c, 0, sizeof c);
    c.seed = 20261121;
    /* Two ends each are ours, and a call that is cancelled leaves one behind for a turn. */
    c.count = files.rlim_max / 5 < STREAMS_MAX ? files.rlim_max / 5 : STREAMS_MAX;
    write_script();
    talked_to = &c;
    bench_open(&c.b, NULL); /* what the first loop of a process opens, it keeps */
    bench_close(&c.b);
    int before = open_files();
    bench_open(&c.b, NULL);
    c.b.up.answer = answer_in_its_way;
    for (size_t i = 0; i < c.count; i++) {
        c.streams[i] = (struct stream){ .crowd = &c };
        next(&c.streams[i]);
    }
    alarm(120);
    while (peri_client_open_calls(c.b.client) > 0) {
        peri_loop_step(c.b.loop, false);
        stir(&c);
    }
    CHECK_EQ(c.started, CALLS);
    CHECK_EQ(c.ended + c.cancelled, CALLS);
    CHECK(c.broken > CALLS / 50);
    CHECK(c.cancelled > CALLS / 20);
    CHECK(c.ended - c.broken > CALLS / 4);
    bench_close(&c.b);
    CHECK_EQ(open_files(), before);
}
