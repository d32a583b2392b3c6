/* What only the wires do: addresses learnt from libcurl, sizes padded by old servers, ends of kept connections. What
 * holds for both ways a call can go is in client_test.c and client_faults_test.c. */
#include "net/client/resolver_test.h"

static int lookups;

static int look_up(const char *node, struct sockaddr_in *found) {
    (void)node;
    lookups++;
    return uv_ip4_addr("127.0.0.1", 0, found);
}

/* Only libcurl's heads end with its version. */
static bool went_through_libcurl(const struct bench *b) {
    return strstr(b->up.head, "user-agent: perilune HTTP/1.1\r\n") != NULL;
}

TEST(a_name_goes_through_libcurl_once_and_then_straight_to_its_address) {
    struct bench b;
    bench_open(&b, OK_5);
    struct peri_url *u = url_of(&b.up, "host.test");
    b.spec.url = u;
    lookups = 0;
    bench_run(&b);
    CHECK(went_through_libcurl(&b));
    for (int i = 0; i < 3; i++) {
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, PERI_OK);
        CHECK_STR(peri_buf_str(&b.seen.body), "hello");
        CHECK(!went_through_libcurl(&b));
    }
    CHECK_EQ(lookups, 1);
    CHECK_EQ(b.up.accepts, 2); /* libcurl's and ours, which is kept */
    peri_url_unref(u);
    bench_close(&b);
}

TEST(an_address_is_believed_for_a_minute_and_a_kept_connection_longer) {
    struct bench b;
    bench_open(&b, OK_5);
    struct peri_url *u = url_of(&b.up, "host.test");
    b.spec.url = u;
    bench_run(&b);
    bench_run(&b);
    peri_loop_advance(b.loop, 60001);
    bench_run(&b);
    CHECK(!went_through_libcurl(&b));
    CHECK(b.seen.report.is_reused);
    line_close(b.up.last);
    TURNS(b.loop, 3);
    bench_run(&b);
    CHECK(went_through_libcurl(&b));
    peri_url_unref(u);
    bench_close(&b);
}

TEST(an_address_that_does_not_answer_is_forgotten) {
    struct bench b;
    struct upstream other;
    bench_open(&b, OK_5);
    upstream_open(&other, b.loop, OK_5);
    struct peri_url *u = url_of(&other, "host.test");
    b.spec.url = u;
    lookups = 0;
    bench_run(&b);
    upstream_close(&other);
    TURNS(b.loop, 3);
    bench_run(&b); /* over a wire, to the address that is known */
    CHECK_EQ(b.seen.report.err, PERI_ECONNECT);
    CHECK(strstr(b.seen.report.detail, "refused") != NULL);
    CHECK_EQ(peri_client_origins(b.client), 0);
    bench_run(&b); /* through libcurl, which may find another */
    CHECK_EQ(b.seen.report.err, PERI_ECONNECT);
    peri_url_unref(u);
    bench_close(&b);
}

TEST(a_connection_that_was_idle_too_long_is_not_used) {
    struct bench b;
    bench_open(&b, OK_5);
    bench_run(&b);
    peri_loop_advance(b.loop, 109999);
    bench_run(&b);
    CHECK(b.seen.report.is_reused);
    peri_loop_advance(b.loop, 110000);
    bench_run(&b);
    CHECK(!b.seen.report.is_reused);
    CHECK_EQ(b.up.accepts, 2);
    bench_close(&b);
}

TEST(a_dead_connection_is_replaced_once_only) {
    struct bench b;
    bench_open(&b, OK_5);
    bench_run(&b);
    b.up.script = "";
    seen_clear(&b.seen);
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.up.requests == 2);
    line_reset(b.up.last);
    UNTIL(b.loop, b.up.requests == 3);
    CHECK_EQ(b.up.accepts, 2);
    line_reset(b.up.last);
    UNTIL(b.loop, b.seen.dones == 1);
    CHECK_EQ(b.seen.report.err, PERI_ECLOSED);
    CHECK(b.seen.report.was_sent);
    CHECK_EQ(b.up.accepts, 2);
    bench_close(&b);
}

TEST(the_end_of_a_used_connection_is_no_reason_to_ask_twice) {
    struct bench b;
    bench_open(&b, OK_5);
    bench_run(&b);
    b.up.script = "HTTP/1.1 2";
    seen_clear(&b.seen);
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.up.requests == 2);
    TURNS(b.loop, 3);
    line_reset(b.up.last);
    UNTIL(b.loop, b.seen.dones == 1);
    CHECK_EQ(b.seen.report.err, PERI_ECLOSED);
    CHECK_EQ(b.up.requests, 2);
    bench_close(&b);
}

TEST(sizes_of_chunks_may_be_padded_and_extended) {
    struct bench b;
    bench_open(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "5   \r\nhello\r\n7;a=\"b\"\r\n, world\r\n0 \r\nx-after: all\r\n\r\n");
    for (size_t piece = 0; piece < 12; piece++) {
        b.up.piece = piece;
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, PERI_OK);
        CHECK_STR(peri_buf_str(&b.seen.body), "hello, world");
    }
    CHECK_EQ(b.up.accepts, 1);
    bench_close(&b);
}

TEST(a_flood_of_trailers_or_paddings_is_cut_off) {
    static char answer[200000];
    for (int kind = 0; kind < 2; kind++) {
        struct bench b;
        char *at = answer;
        at += sprintf(at, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s",
                      kind == 0 ? "0\r\n" : "5");
        for (int i = 0; i < 15000; i++) at += sprintf(at, "%s", kind == 0 ? "a: b\r\n" : "     ");
        bench_open(&b, answer);
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, kind == 0 ? PERI_ETOOBIG : PERI_EPROTO);
        bench_close(&b);
    }
}

TEST(an_answer_to_a_head_request_has_no_body_whatever_it_says) {
    struct bench b;
    bench_open(&b, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    b.spec.method = PERI_STR("HEAD");
    b.spec.body = PERI_STR("");
    for (int i = 0; i < 2; i++) {
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, PERI_OK);
        CHECK_EQ(b.seen.report.received_bytes, 0);
    }
    bench_close(&b);
}

TEST(a_name_is_asked_for_again_when_its_connection_was_idle_too_long) {
    struct bench b;
    bench_open(&b, OK_5);
    struct peri_url *u = url_of(&b.up, "host.test");
    b.spec.url = u;
    lookups = 0;
    bench_run(&b);
    bench_run(&b);
    CHECK(!went_through_libcurl(&b));
    for (int i = 2; i < 5; i++) {
        peri_loop_advance(b.loop, 120000);
        bench_run(&b);
        CHECK(went_through_libcurl(&b));
        bench_run(&b);
        CHECK(!went_through_libcurl(&b));
    }
    /* What libcurl connected to learn the address is not kept. */
    CHECK_EQ(b.up.accepts - b.up.gone, 1);
    peri_url_unref(u);
    bench_close(&b);
}

/* fe80::1 on one network is not fe80::1 on another, and which one is meant is not in the address. */
TEST(an_address_that_needs_a_zone_is_libcurls) {
    struct bench b;
    bench_open(&b, OK_5);
    struct peri_url *u;
    CHECK_EQ(peri_url_parse(&u, PERI_STR("http://[fe80::1%25lo]:9/"), NULL), PERI_OK);
    b.spec.url = u;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    CHECK_EQ(peri_client_multis(b.client), 1);
    peri_call_cancel(b.seen.call);
    peri_url_unref(u);
    bench_close(&b);
}

TEST(padding_is_counted_by_the_chunk) {
    struct peri_buf answer;
    struct bench b;
    peri_buf_init(&answer, 0);
    peri_buf_add(&answer, PERI_STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 9000; i++) peri_buf_add(&answer, PERI_STR("1   \r\nx\r\n"));
    peri_buf_add(&answer, PERI_STR("0\r\n\r\n"));
    peri_buf_add_char(&answer, '\0');
    bench_open(&b, answer.p);
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_EQ(b.seen.body.n, 9000);
    bench_close(&b);
    peri_buf_done(&answer);
}

static void reset_it(void *arg, struct peri_call *call, int status,
                     const struct peri_header *headers, size_t count) {
    (void)call, (void)status, (void)headers, (void)count;
    bare_reset(arg);
}

static bool go_on(void *arg, struct peri_call *call, struct peri_str bytes) {
    (void)arg, (void)call, (void)bytes;
    return true;
}

static void ignore_end(void *arg, struct peri_call *call, const struct peri_call_report *report) {
    (void)arg, (void)call, (void)report;
}

/* The first to hear of a reset is whoever uses the socket next: when that is the sender, the reader finds an end that
 * looks like any other. */
TEST(an_end_that_only_the_sender_saw_as_a_reset_truncates) {
    static const struct peri_call_ops reset_ops = { reset_it, go_on, ignore_end };
    static char waste[1 << 20];
    struct bench b;
    struct bare early, other;
    struct peri_call *call;
    size_t size = 64u << 20;
    char *body = peri_calloc(1, size);
    bench_open(&b, OK_5);
    bare_open(&early);
    bare_open(&other);
    struct peri_call_spec spec = b.spec;
    spec.url = early.url;
    spec.body = (struct peri_str){ body, size };
    CHECK_EQ(seen_start(&b.seen, b.client, &spec), PERI_OK);
    CHECK(bare_accept(&early));
    bare_say(&early, "HTTP/1.1 200 OK\r\n\r\nhalf");
    UNTIL(b.loop, b.seen.bodies == 1);
    spec.url = other.url;
    spec.body = PERI_STR("");
    CHECK_EQ(peri_call_start(&call, b.client, &spec, &reset_ops, &early), PERI_OK);
    CHECK(bare_accept(&other));
    TURNS(b.loop, 20); /* all that the kernel takes is sent: from now on the sender waits */
    /* In one turn first the other's answer is handed over, then the sender may go on: to a socket that was reset. */
    bare_say(&other, OK_5);
    for (int quiet = 0; quiet < 3;)
        quiet = recv(early.line, waste, sizeof waste, MSG_DONTWAIT) > 0 ? 0 : quiet + 1;
    UNTIL(b.loop, b.seen.dones == 1);
    CHECK_EQ(early.line, -1);
    CHECK_EQ(b.seen.report.err, PERI_ETRUNCATED);
    CHECK(b.seen.report.sent_bytes < size);
    UNTIL(b.loop, peri_client_open_calls(b.client) == 0);
    bare_close(&early);
    bare_close(&other);
    peri_free(body);
    bench_close(&b);
}

TEST(names_nobody_uses_are_not_remembered_without_end) {
    struct bench b;
    bench_open(&b, OK_5);
    for (int i = 0; i < 600; i++) {
        char text[64];
        struct peri_url *u;
        snprintf(text, sizeof text, "http://h%d.test:%u/v1", i, b.up.port);
        CHECK_EQ(peri_url_parse(&u, peri_str_of(text), NULL), PERI_OK);
        b.spec.url = u;
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, PERI_OK);
        peri_url_unref(u);
    }
    CHECK(peri_client_origins(b.client) <= 257);
    b.spec.url = b.up.parsed;
    bench_close(&b);
}
