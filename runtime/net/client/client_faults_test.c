/* Providers that refuse, hang up, stall, lie about lengths and flood. */
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "net/client/resolver_test.h"

static const char *bad_answer;
static size_t bad_answer_n;
static bool then_hang_up;

static void answer_badly_once(struct line *l, int request) {
    if (l->up->requests == 1) {
        line_send_n(l, bad_answer, bad_answer_n);
        if (then_hang_up) line_close_after_writing(l);
    } else {
        (void)request;
        line_send(l, OK_5);
    }
}

/* One bad answer, its end, and a good request after it that must not meet its remains. */
static void expect(const char *what, const char *answer, size_t n, bool hang_up, enum peri_err want,
                   const char *body) {
    struct bench b;
    bench_open(&b, OK_5);
    bad_answer = answer;
    bad_answer_n = n;
    then_hang_up = hang_up;
    b.up.answer = answer_badly_once;
    int before = test_failures;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, want);
    CHECK_EQ(b.seen.report.detail[0] == '\0', want == PERI_OK);
    CHECK_STR(peri_buf_str(&b.seen.body), body);
    TURNS(b.loop, 3);
    bool is_closed = b.up.gone == 1 || hang_up;
    CHECK(is_closed || want == PERI_OK);
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_STR(peri_buf_str(&b.seen.body), "hello");
    CHECK(want == PERI_OK || !b.seen.report.is_reused);
    if (before != test_failures)
        fprintf(stderr, "  … that was: %s (%s, %s)\n", what, peri_err_name(b.seen.report.err),
                b.seen.report.detail);
    bench_close(&b);
}

#define HTTP    "HTTP/1.1 200 OK\r\n"
#define CHUNKED HTTP "Transfer-Encoding: chunked\r\n\r\n"
#define EXPECT(answer, hang_up, want, body)                                                        \
    expect(answer, answer, sizeof(answer) - 1, hang_up, want, body)

TEST_BOTH_WAYS(an_answer_that_ends_early_is_truncated) {
    EXPECT(HTTP "Content-Length: 9\r\n\r\nhello", true, PERI_ETRUNCATED, "hello");
    EXPECT(HTTP "Content-Length: 9\r\n\r\n", true, PERI_ETRUNCATED, "");
    EXPECT(CHUNKED "5\r\nhello\r\n", true, PERI_ETRUNCATED, "hello");
    EXPECT(CHUNKED "5\r\nhel", true, PERI_ETRUNCATED, "hel");
    EXPECT(CHUNKED "5\r\nhello\r\n0\r\n", true, PERI_ETRUNCATED, "hello");
    EXPECT(CHUNKED, true, PERI_ETRUNCATED, "");
}

TEST_BOTH_WAYS(an_answer_whose_head_ends_early_is_a_closed_connection) {
    EXPECT("", true, PERI_ECLOSED, "");
    EXPECT(HTTP, true, PERI_ECLOSED, "");
    EXPECT("HTTP/1.1 100 Continue\r\n\r\n", true, PERI_ECLOSED, "");
}

TEST_BOTH_WAYS(a_body_that_ends_with_the_connection_is_whole) {
    EXPECT(HTTP "\r\nhello", true, PERI_OK, "hello");
    EXPECT("HTTP/1.0 200 OK\r\n\r\nhello", true, PERI_OK, "hello");
}

TEST_BOTH_WAYS(a_length_nobody_can_rely_on_breaks_the_protocol) {
    EXPECT(HTTP "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Content-Length: 5, 5\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Content-Length: -5\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Content-Length: +5\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Content-Length: 0x5\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Content-Length: 5a\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Content-Length:\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Content-Length: 99999999999999999999\r\n\r\nhello", false, PERI_EPROTO, "");
}

TEST_BOTH_WAYS(an_encoding_nobody_can_rely_on_breaks_the_protocol) {
    EXPECT(HTTP "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false,
           PERI_EPROTO, "");
    EXPECT(HTTP "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", false,
           PERI_EPROTO, "");
    EXPECT(HTTP "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP "Transfer-Encoding: identity\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false,
           PERI_EPROTO, "");
    EXPECT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, PERI_EPROTO,
           "");
}

/* RFC 9110, 5.6.3: white space is spaces and tabs. */
TEST_BOTH_WAYS(tabs_stand_before_values_as_spaces_do) {
    EXPECT(HTTP "Content-Length:\t5\r\n\r\nhello", false, PERI_OK, "hello");
    EXPECT(HTTP "Content-Length: \t 5\r\n\r\nhello", false, PERI_OK, "hello");
    EXPECT(HTTP "Transfer-Encoding:\tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, PERI_OK,
           "hello");
    EXPECT(HTTP "Transfer-Encoding: \tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, PERI_OK,
           "hello");
    EXPECT(HTTP "Content-Length:\t+5\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Content-Length:\t5\r\nContent-Length: 5\r\n\r\nhello", false, PERI_EPROTO, "");
    EXPECT(HTTP "Transfer-Encoding:\tgzip, chunked\r\n\r\n0\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP "Transfer-Encoding:\tchunked\r\nContent-Length:\t5\r\n\r\n0\r\n\r\n", false,
           PERI_EPROTO, "");
}

TEST_BOTH_WAYS(a_chunk_nobody_can_read_breaks_the_protocol) {
    EXPECT(CHUNKED "5\r\nhello\r\nxyz\r\n", false, PERI_EPROTO, "hello");
    EXPECT(CHUNKED "5\r\nhello!!\r\n", false, PERI_EPROTO, "hello");
    EXPECT(CHUNKED "-5\r\nhello\r\n", false, PERI_EPROTO, "");
    EXPECT(CHUNKED "fffffffffffffffff\r\nhello\r\n", false, PERI_EPROTO, "");
}

TEST_BOTH_WAYS(a_head_nobody_can_read_breaks_the_protocol) {
    EXPECT("hello\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT("ICY 200 OK\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT("HTTP/1.1 OK\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT("HTTP/1.1 2000 OK\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT("HTTP/3 200\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT("HTTP/1.2 200 OK\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT("HTTP/1.1 200 O\0K\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP "no colon\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP "a b: c\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP "a : c\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP ": c\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP "a: b\r\n folded\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP " a: b\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP "a: b\0c\r\n\r\n", false, PERI_EPROTO, "");
    EXPECT(HTTP "a: b\rc\r\n\r\n", false, PERI_EPROTO, "");
}

TEST_BOTH_WAYS(a_trailer_nobody_can_read_breaks_the_protocol) {
    EXPECT(CHUNKED "5\r\nhello\r\n0\r\na: b\0c\r\n\r\n", false, PERI_EPROTO, "hello");
    EXPECT(CHUNKED "5\r\nhello\r\n0\r\na: b\rc\r\n\r\n", false, PERI_EPROTO, "hello");
    EXPECT(CHUNKED "5\r\nhello\r\n0\r\nHEAD 1\r\n\r\n", false, PERI_EPROTO, "hello");
    EXPECT(CHUNKED "5\r\nhello\r\n0\r\na: b\r\n c\r\n\r\n", false, PERI_EPROTO, "hello");
}

/* libcurl 7.88 takes it for more of a line of the answer before, whose memory is gone. */
TEST_BOTH_WAYS(a_folded_first_line_continues_nothing) {
    struct bench b;
    bench_open(&b, OK_5);
    for (int i = 0; i < 6; i++) {
        b.up.script = i % 2 == 0 ? OK_5 : HTTP " a: b\r\nContent-Length: 0\r\n\r\n";
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, i % 2 == 0 ? PERI_OK : PERI_EPROTO);
    }
    bench_close(&b);
}

TEST_BOTH_WAYS(more_than_the_announced_length_is_not_delivered_and_breaks_the_protocol) {
    EXPECT(HTTP "Content-Length: 5\r\n\r\nhello, world", false, PERI_EPROTO, "hello");
}

TEST_BOTH_WAYS(a_body_where_none_may_be_is_dropped_with_its_connection) {
    EXPECT("HTTP/1.1 204 No Content\r\n\r\nhello", false, PERI_OK, "");
    EXPECT("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", false, PERI_OK, "");
}

/* libcurl drops what follows the last chunk in the same read; what comes later closes the connection. */
TEST_BOTH_WAYS(bytes_behind_the_last_chunk_go_nowhere) {
    EXPECT(CHUNKED "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\npoison", false, PERI_OK, "hello");
}

static const char error_413[] = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";

static void answer_early(struct line *l) { line_send(l, error_413); }

TEST_BOTH_WAYS(an_answer_that_comes_before_the_request_is_sent_is_an_answer) {
    struct bench b;
    char *body = peri_calloc(1, 16u << 20);
    bench_open(&b, OK_5);
    b.up.greet = answer_early;
    b.spec.body = (struct peri_str){ body, 16u << 20 };
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_EQ(b.seen.status, 413);
    CHECK_STR(peri_buf_str(&b.seen.body), "no");
    CHECK(b.seen.report.sent_bytes < b.spec.body.n);
    peri_free(body);
    bench_close(&b);
}

static char *flood(const char *before, const char *line, int times, const char *after, size_t *n) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    peri_buf_add(&b, peri_str_of(before));
    for (int i = 0; i < times; i++) peri_buf_add(&b, peri_str_of(line));
    peri_buf_add(&b, peri_str_of(after));
    *n = b.n;
    return b.p;
}

TEST_BOTH_WAYS(floods_in_the_head_are_cut_off) {
    static const struct {
        const char *what, *before, *line, *after;
        int times;
        enum peri_err want;
    } cases[] = {
        { "1,000 lines", HTTP, "x: y\r\n", "Content-Length: 0\r\n\r\n", 1000, PERI_ETOOBIG },
        { "70 KB of lines", HTTP,
          "x: 0123456789012345678901234567890123456789012345678901234567"
          "8901234567890123456789012345678901234567890123456789012345678"
          "9012345678901234567890123456789012345678901234567890123456789"
          "0123456789012345678901234567890123456789012345678901234567890"
          "1234567890123456789012345678901234567890123456789012345678901"
          "2345678901234567890123456789012345678901234567890\r\n",
          "\r\n", 230, PERI_ETOOBIG },
        { "one line of 70 KB", HTTP "x: ", "0123456789", "\r\n\r\n", 7000, PERI_ETOOBIG },
        { "one line of 400 KB", HTTP "x: ", "0123456789", "\r\n\r\n", 40000, PERI_ETOOBIG },
        { "a status line of 400 KB", "HTTP/1.1 200 ", "0123456789", "\r\n\r\n", 40000,
          PERI_ETOOBIG },
        { "1,000 interim answers", "", "HTTP/1.1 100 Continue\r\n\r\n", OK_5, 1000, PERI_EPROTO },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n;
        char *answer = flood(cases[i].before, cases[i].line, cases[i].times, cases[i].after, &n);
        expect(cases[i].what, answer, n, false, cases[i].want, "");
        peri_free(answer);
    }
}

TEST_BOTH_WAYS(thirty_two_interim_answers_are_borne) {
    size_t n;
    char *answer = flood("", "HTTP/1.1 102 Processing\r\n\r\n", 32, OK_5, &n);
    expect("32 interim answers", answer, n, false, PERI_OK, "hello");
    peri_free(answer);
}

TEST_BOTH_WAYS(a_refused_connection_says_so) {
    struct bench b;
    bench_open(&b, OK_5);
    struct peri_url *closed = NULL;
    struct upstream other;
    upstream_open(&other, b.loop, OK_5);
    closed = peri_url_ref(other.parsed);
    upstream_close(&other);
    TURNS(b.loop, 2);
    b.spec.url = closed;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_ECONNECT);
    CHECK(strstr(b.seen.report.detail, "refused") != NULL);
    CHECK(!b.seen.report.was_sent);
    CHECK_EQ(b.seen.heads, 0);
    peri_url_unref(closed);
    bench_close(&b);
}

static void reset_at_once(struct line *l, int request) {
    (void)request;
    line_reset(l);
}

TEST_BOTH_WAYS(a_reset_before_the_head_is_a_closed_connection_that_had_the_request) {
    struct bench b;
    bench_open(&b, OK_5);
    b.up.answer = reset_at_once;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_ECLOSED);
    CHECK(b.seen.report.was_sent);
    CHECK_EQ(b.up.accepts, 1);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_reset_in_the_body_truncates) {
    struct bench b;
    bench_open(&b, HALF);
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.seen.bodies == 1);
    line_reset(b.up.last);
    UNTIL(b.loop, b.seen.dones == 1);
    CHECK_EQ(b.seen.report.err, PERI_ETRUNCATED);
    CHECK_EQ(b.seen.report.status, 200);
    bench_close(&b);
}

TEST_BOTH_WAYS(no_connection_in_time_is_a_timeout_to_the_millisecond) {
    struct bench b;
    bench_open(&b, OK_5);
    b.spec.connect_ms = 200;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    peri_loop_advance(b.loop, 199);
    CHECK_EQ(b.seen.dones, 0);
    peri_loop_advance(b.loop, 1);
    CHECK_EQ(b.seen.dones, 1);
    CHECK_EQ(b.seen.report.err, PERI_ETIMEOUT);
    CHECK(strstr(b.seen.report.detail, "connection") != NULL);
    CHECK(!b.seen.report.was_sent);
    bench_close(&b);
}

TEST_BOTH_WAYS(no_head_in_time_is_a_timeout_and_interim_answers_do_not_help) {
    struct bench b;
    bench_open(&b, "HTTP/1.1 102 Processing\r\n\r\n");
    b.spec.first_byte_ms = 1000;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.up.requests == 1);
    peri_loop_advance(b.loop, 500);
    TURNS(b.loop, 3);
    peri_loop_advance(b.loop, 499);
    CHECK_EQ(b.seen.dones, 0);
    peri_loop_advance(b.loop, 1);
    CHECK_EQ(b.seen.report.err, PERI_ETIMEOUT);
    CHECK_EQ(b.seen.report.status, 0);
    CHECK(b.seen.report.was_sent);
    CHECK_EQ(b.seen.report.total_us, 1000000);
    TURNS(b.loop, 2);
    CHECK_EQ(b.up.gone, 1);
    bench_close(&b);
}

TEST_BOTH_WAYS(silence_in_the_body_is_a_stall_and_every_byte_puts_it_off) {
    struct bench b;
    bench_open(&b, HALF);
    b.spec.idle_ms = 100;
    b.spec.first_byte_ms = 50;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.seen.bodies == 1);
    for (int i = 2; i < 10; i++) {
        peri_loop_advance(b.loop, 99);
        CHECK_EQ(b.seen.dones, 0);
        line_send(b.up.last, "1\r\nx\r\n");
        UNTIL(b.loop, b.seen.bodies == i);
    }
    peri_loop_advance(b.loop, 100);
    CHECK_EQ(b.seen.report.err, PERI_ESTALL);
    CHECK_EQ(b.seen.report.received_bytes, 10);
    TURNS(b.loop, 2);
    CHECK_EQ(b.up.gone, 1);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_pause_of_ours_is_no_stall) {
    struct bench b;
    bench_open(&b, HALF);
    b.spec.idle_ms = 100;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.seen.bodies == 1);
    peri_call_pause(b.seen.call);
    peri_loop_advance(b.loop, 1000);
    CHECK_EQ(b.seen.dones, 0);
    peri_call_resume(b.seen.call);
    peri_loop_advance(b.loop, 99);
    CHECK_EQ(b.seen.dones, 0);
    peri_loop_advance(b.loop, 1);
    CHECK_EQ(b.seen.report.err, PERI_ESTALL);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_trickle_ends_at_the_total_time_even_when_paused) {
    for (int paused = 0; paused < 2; paused++) {
        struct bench b;
        bench_open(&b, HALF);
        b.spec.idle_ms = 100;
        b.spec.total_ms = 500;
        CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
        UNTIL(b.loop, b.seen.bodies == 1);
        for (int i = 2; i <= 6; i++) {
            peri_loop_advance(b.loop, 90);
            line_send(b.up.last, "1\r\nx\r\n");
            UNTIL(b.loop, b.seen.bodies == i);
        }
        if (paused) peri_call_pause(b.seen.call);
        CHECK_EQ(b.seen.dones, 0);
        peri_loop_advance(b.loop, 50);
        CHECK_EQ(b.seen.dones, 1);
        CHECK_EQ(b.seen.report.err, PERI_ETIMEOUT);
        bench_close(&b);
    }
}

/* Addresses */

static bool not_when_restricted(void *arg, const struct sockaddr *address, bool is_restricted) {
    ++*(int *)arg;
    CHECK_EQ(address->sa_family, AF_INET);
    return !is_restricted;
}

TEST_BOTH_WAYS(an_address_that_is_not_allowed_is_never_connected_to) {
    struct bench b;
    int asked = 0;
    struct peri_client_options options = { .may_connect = not_when_restricted, .arg = &asked };
    bench_open(&b, OK_5);
    peri_client_free(b.client);
    b.client = client_with(b.loop, options);
    b.spec.is_restricted = true;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_EDENIED);
    CHECK_EQ(b.up.accepts, 0);
    b.spec.is_restricted = false;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    /* The kept connection was opened for someone who may. */
    b.spec.is_restricted = true;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_EDENIED);
    CHECK_EQ(b.up.requests, 1);
    CHECK_EQ(asked, 3);
    bench_close(&b);
}

/* Names: libcurl's resolver thread calls this one instead of the C library's. */

static sem_t lookup_may_end;
static atomic_int slow_lookups_ended;
static struct sockaddr_in lookup_answer;

static int look_up(const char *node, struct sockaddr_in *found) {
    if (strcmp(node, "slow.test") == 0) {
        sem_wait(&lookup_may_end);
        slow_lookups_ended++;
    }
    *found = lookup_answer;
    return strcmp(node, "nowhere.test") == 0 ? EAI_NONAME : 0;
}

TEST_BOTH_WAYS(a_name_that_does_not_resolve_says_so) {
    struct bench b;
    bench_open(&b, OK_5);
    struct peri_url *u = url_of(&b.up, "nowhere.test");
    b.spec.url = u;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_EDNS);
    CHECK(strstr(b.seen.report.detail, "nowhere.test") != NULL);
    peri_url_unref(u);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_slow_lookup_holds_nobody_up) {
    struct bench b;
    struct seen cancelled = { .loop = NULL };
    bench_open(&b, OK_5);
    sem_init(&lookup_may_end, 0, 0);
    slow_lookups_ended = 0;
    uv_ip4_addr("127.0.0.1", 0, &lookup_answer);
    struct peri_url *slow = url_of(&b.up, "slow.test"), *good = peri_url_ref(b.up.parsed);
    struct peri_call_spec spec = b.spec;
    spec.url = slow;
    spec.connect_ms = 100;
    struct seen timed_out = { .loop = NULL };
    CHECK_EQ(seen_start(&cancelled, b.client, &spec), PERI_OK);
    CHECK_EQ(seen_start(&timed_out, b.client, &spec), PERI_OK);
    bench_run(&b); /* another call is served meanwhile */
    CHECK_EQ(b.seen.report.err, PERI_OK);
    peri_call_cancel(cancelled.call); /* returns although the lookup has not */
    peri_loop_advance(b.loop, 100);
    CHECK_EQ(timed_out.report.err, PERI_ETIMEOUT);
    seen_clear(&b.seen);
    CHECK_EQ(seen_start(&b.seen, b.client, &spec), PERI_OK);
    for (int i = 0; i < 3; i++) sem_post(&lookup_may_end);
    UNTIL(b.loop, b.seen.dones == 1);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    /* None is left that would wait in the next run, and take what is another's. */
    while (slow_lookups_ended < 3) sched_yield();
    seen_clear(&timed_out);
    seen_clear(&cancelled);
    peri_url_unref(slow);
    peri_url_unref(good);
    bench_close(&b);
}
