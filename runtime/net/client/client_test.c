#include "net/client/upstream_test.h"

TEST_BOTH_WAYS(a_plain_answer_arrives_with_its_head_its_body_and_a_report) {
    struct bench b;
    bench_open(&b, OK_5);
    bench_run(&b);
    CHECK_EQ(b.seen.heads, 1);
    CHECK_EQ(b.seen.status, 200);
    CHECK_STR(peri_str_of(b.seen.headers), "Content-Type=text/plain;Content-Length=5;");
    CHECK_STR(peri_buf_str(&b.seen.body), "hello");
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_STR(peri_str_of(b.seen.report.detail), "");
    CHECK_EQ(b.seen.report.status, 200);
    CHECK_EQ(b.seen.report.sent_bytes, 2);
    CHECK_EQ(b.seen.report.received_bytes, 5);
    CHECK(b.seen.report.was_sent);
    CHECK(!b.seen.report.is_reused);
    bench_close(&b);
}

/* libcurl's own version stands behind our user-agent; see call_head.c. */
static void check_request(struct bench *b, const char *format) {
    char want[1024], line[64];
    snprintf(line, sizeof line, "127.0.0.1:%u", b->up.port);
    bench_run(b);
    CHECK_EQ(b->seen.report.err, PERI_OK);
    snprintf(want, sizeof want, format, line, is_through_libcurl ? " HTTP/1.1" : "");
    CHECK_STR(peri_str_of(b->up.head), want);
}

TEST_BOTH_WAYS(the_request_is_exactly_this) {
    struct bench b;
    struct peri_header headers[] = { { PERI_STR("Authorization"), PERI_STR("  Bearer k ") },
                                     { PERI_STR("x-empty"), PERI_STR("") } };
    bench_open(&b, OK_5);
    b.spec.headers = headers;
    b.spec.header_count = 2;
    check_request(&b, "POST /v1 HTTP/1.1\r\nhost: %s\r\nAuthorization: Bearer k\r\nx-empty: \r\n"
                      "content-length: 2\r\nuser-agent: perilune%s\r\n\r\n{}");
    b.spec.method = PERI_STR("GET");
    b.spec.body = PERI_STR("");
    b.spec.header_count = 0;
    check_request(&b, "GET /v1 HTTP/1.1\r\nhost: %s\r\nuser-agent: perilune%s\r\n\r\n");
    b.spec.method = PERI_STR("PUT");
    check_request(&b, "PUT /v1 HTTP/1.1\r\nhost: %s\r\ncontent-length: 0\r\n"
                      "user-agent: perilune%s\r\n\r\n");
    CHECK_EQ(b.up.accepts, 1);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_user_agent_and_a_host_of_the_callers_are_kept_as_they_are) {
    struct bench b;
    struct peri_header headers[] = { { PERI_STR("user-agent"), PERI_STR("mine/1.0") },
                                     { PERI_STR("accept"), PERI_STR("text/x") },
                                     { PERI_STR("x-empty"), PERI_STR("") } };
    struct peri_header host = { PERI_STR("Host"), PERI_STR("h.test") };
    bench_open(&b, OK_5);
    b.spec.headers = headers;
    b.spec.header_count = 3;
    check_request(&b, is_through_libcurl
                          ? "POST /v1 HTTP/1.1\r\nHost: %s\r\nuser-agent: mine/1.0\r\n"
                            "accept: text/x\r\nx-empty:\r\nContent-Length: 2\r\n\r\n{}"
                          : "POST /v1 HTTP/1.1\r\nhost: %s\r\nuser-agent: mine/1.0\r\n"
                            "accept: text/x\r\nx-empty: \r\ncontent-length: 2\r\n\r\n{}");
    b.spec.headers = &host;
    b.spec.header_count = 1;
    check_request(&b, "POST /v1 HTTP/1.1\r\nHost: h.test\r\ncontent-length: 2\r\n"
                      "user-agent: perilune%2$s\r\n\r\n{}");
    b.spec.header_count = 0;
    check_request(&b, "POST /v1 HTTP/1.1\r\nhost: %s\r\ncontent-length: 2\r\n"
                      "user-agent: perilune%s\r\n\r\n{}");
    CHECK_EQ(b.up.accepts, 1);
    bench_close(&b);
}

TEST_BOTH_WAYS(methods_follow_each_other_on_one_handle_without_traces) {
    static const struct {
        const char *method, *body, *line;
        bool has_length;
    } cases[] = { { "POST", "{}", "POST /v1 ", true },    { "GET", "", "GET /v1 ", false },
                  { "HEAD", "", "HEAD /v1 ", false },     { "POST", "", "POST /v1 ", true },
                  { "DELETE", "", "DELETE /v1 ", false }, { "PUT", "x", "PUT /v1 ", true },
                  { "GET", "", "GET /v1 ", false },       { "HEAD", "", "HEAD /v1 ", false },
                  { "GET", "", "GET /v1 ", false } };
    struct bench b;
    bench_open(&b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        b.spec.method = peri_str_of(cases[i].method);
        b.spec.body = peri_str_of(cases[i].body);
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, PERI_OK);
        CHECK_EQ(b.seen.status, 200);
        CHECK(peri_str_has_prefix(peri_str_of(b.up.head), peri_str_of(cases[i].line)));
        CHECK_EQ(strstr(b.up.head, "content-length") != NULL, cases[i].has_length);
    }
    CHECK_EQ(b.up.accepts, 3); /* an answer to HEAD ends its connection */
    bench_close(&b);
}

TEST_BOTH_WAYS(a_chunked_stream_arrives_whole_however_it_is_cut) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "5\r\nhello\r\n1;x=y\r\n,\r\n6\r\n world\r\n0\r\nx-t: 1\r\n\r\n";
    struct bench b;
    bench_open(&b, answer);
    for (size_t piece = 1; piece < sizeof answer; piece++) {
        b.up.piece = piece;
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, PERI_OK);
        CHECK_STR(peri_buf_str(&b.seen.body), "hello, world");
    }
    CHECK_EQ(b.up.accepts, 1);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_connection_is_used_again) {
    struct bench b;
    bench_open(&b, OK_5);
    for (int i = 0; i < 5; i++) {
        bench_run(&b);
        CHECK_EQ(b.seen.report.is_reused, i > 0);
    }
    CHECK_EQ(b.up.accepts, 1);
    CHECK_EQ(b.up.requests, 5);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_connection_the_provider_closes_is_not_used_again) {
    struct bench b;
    bench_open(&b, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    bench_run(&b);
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_EQ(b.up.accepts, 2);
    bench_close(&b);
}

TEST_BOTH_WAYS(an_answer_may_be_there_before_the_request_is_sent) {
    struct bench b;
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    char text[64];
    struct peri_url *u;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), line;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        abort();
    snprintf(text, sizeof text, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    CHECK_EQ(peri_url_parse(&u, peri_str_of(text), NULL), PERI_OK);
    bench_open(&b, OK_5);
    b.spec.url = u;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    line = accept(listener, NULL, NULL);
    CHECK_EQ(write(line, OK_5, sizeof OK_5 - 1), sizeof OK_5 - 1);
    UNTIL(b.loop, b.seen.dones > 0); /* connected, sent and answered in one go */
    CHECK_EQ(b.seen.report.err, PERI_OK);
    seen_clear(&b.seen);
    CHECK_EQ(write(line, OK_5, sizeof OK_5 - 1), sizeof OK_5 - 1);
    TURNS(b.loop, 3); /* and what came unasked ended the connection */
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    TURNS(b.loop, 3);
    CHECK_EQ(b.seen.dones, 0);
    peri_call_cancel(b.seen.call);
    close(line);
    close(listener);
    peri_url_unref(u);
    bench_close(&b);
}

static void answer_then_hang_up(struct line *l, int request) {
    if (request == 1)
        line_send(l, OK_5);
    else
        line_close(l);
}

TEST_BOTH_WAYS(a_connection_that_died_as_we_wrote_is_replaced_once_and_unseen) {
    struct bench b;
    bench_open(&b, OK_5);
    b.up.answer = answer_then_hang_up;
    for (int i = 0; i < 4; i++) {
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, PERI_OK);
        CHECK_STR(peri_buf_str(&b.seen.body), "hello");
    }
    CHECK_EQ(b.up.accepts, 4);
    CHECK_EQ(b.up.requests, 7);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_connection_that_was_closed_while_idle_is_not_used) {
    struct bench b;
    bench_open(&b, OK_5);
    bench_run(&b);
    line_close(b.up.last);
    TURNS(b.loop, 3);
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK(!b.seen.report.is_reused);
    CHECK_EQ(b.up.requests, 2);
    bench_close(&b);
}

TEST_BOTH_WAYS(bytes_nobody_asked_for_are_not_taken_for_the_next_answer) {
    struct bench b;
    bench_open(&b, OK_5);
    bench_run(&b);
    line_send(b.up.last, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    TURNS(b.loop, 4);
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_STR(peri_buf_str(&b.seen.body), "hello");
    CHECK_EQ(b.up.accepts, 2);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_redirect_is_an_answer_like_any_other) {
    struct bench b;
    bench_open(&b,
               "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_EQ(b.seen.status, 302);
    CHECK_EQ(b.up.requests, 1);
    bench_close(&b);
}

TEST_BOTH_WAYS(interim_answers_are_skipped) {
    struct bench b;
    bench_open(&b,
               "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" OK_5);
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_EQ(b.seen.heads, 1);
    CHECK_EQ(b.seen.status, 200);
    CHECK_EQ(b.seen.header_count, 2);
    bench_close(&b);
}

TEST_BOTH_WAYS(requests_that_would_change_the_framing_are_refused) {
    char spaces[8193];
    memset(spaces, ' ', sizeof spaces);
    const struct {
        const char *name, *value;
        size_t value_n;
    } bad[] = { { "x-a", "b\r\nc: d", 7 },
                { "x-a", "b\nc", 3 },
                { "x-a", "b\0c", 3 },
                { "x-a\r\nb", "c", 1 },
                { "x a", "b", 1 },
                { "", "b", 1 },
                { "x-a:", "b", 1 },
                { "Content-Length", "9", 1 },
                { "transfer-encoding", "chunked", 7 },
                { "Connection", "close", 5 },
                { "Proxy-Connection", "close", 5 },
                { "x-long", spaces, 8193 } };
    struct bench b;
    bench_open(&b, OK_5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct peri_header header = { peri_str_of(bad[i].name), { bad[i].value, bad[i].value_n } };
        b.spec.headers = &header;
        b.spec.header_count = 1;
        CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_EINVAL);
    }
    b.spec.header_count = 0;
    b.spec.method = PERI_STR("GET /x HTTP/1.1\r\n");
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_EINVAL);
    CHECK_EQ(b.up.accepts, 0);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_large_body_is_sent_whole) {
    struct bench b;
    char *body = peri_malloc(3000000);
    memset(body, 'x', 3000000);
    bench_open(&b, OK_5);
    b.spec.body = (struct peri_str){ body, 3000000 };
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_EQ(b.seen.report.sent_bytes, 3000000);
    CHECK_EQ(b.up.requests, 1);
    CHECK(strstr(b.up.head, "Expect") == NULL);
    peri_free(body);
    bench_close(&b);
}

static void send_megabytes(struct line *l, int request) {
    static char block[65536];
    (void)request;
    memset(block, 'y', sizeof block);
    line_send(l, "HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n");
    for (int i = 0; i < 256; i++) line_send_n(l, block, sizeof block);
}

TEST_BOTH_WAYS(a_paused_call_holds_the_provider_back_and_loses_nothing) {
    struct bench b;
    bench_open(&b, OK_5);
    b.up.answer = send_megabytes;
    b.seen.pause_in_body = true;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.seen.bodies > 0);
    TURNS(b.loop, 50);
    CHECK_EQ(b.seen.bodies, 1);
    size_t still_queued = uv_stream_get_write_queue_size((uv_stream_t *)&b.up.last->tcp);
    CHECK(still_queued > 4u << 20);
    while (b.seen.dones == 0) {
        int before = b.seen.bodies;
        peri_call_resume(b.seen.call);
        CHECK_EQ(b.seen.bodies, before);
        UNTIL(b.loop, b.seen.bodies > before || b.seen.dones > 0);
        if (b.seen.bodies == 20) b.seen.pause_in_body = false;
    }
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_EQ(b.seen.body.n, 16777216);
    CHECK_EQ(b.seen.report.received_bytes, 16777216);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_call_paused_before_its_body_gets_none) {
    struct bench b;
    bench_open(&b, OK_5);
    b.seen.pause_in_head = true;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.seen.heads > 0);
    TURNS(b.loop, 10);
    CHECK_EQ(b.seen.bodies + b.seen.dones, 0);
    peri_call_resume(b.seen.call);
    UNTIL(b.loop, b.seen.dones > 0);
    CHECK_STR(peri_buf_str(&b.seen.body), "hello");
    seen_clear(&b.seen);

    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    peri_call_pause(b.seen.call);
    UNTIL(b.loop, b.seen.heads > 0);
    TURNS(b.loop, 10);
    CHECK_EQ(b.seen.bodies + b.seen.dones, 0);
    peri_call_resume(b.seen.call);
    UNTIL(b.loop, b.seen.dones > 0);
    CHECK_STR(peri_buf_str(&b.seen.body), "hello");
    bench_close(&b);
}

TEST_BOTH_WAYS(a_cancelled_call_is_gone_for_the_provider_in_the_same_turn) {
    for (int phase = 0; phase < 4; phase++) {
        struct bench b;
        bench_open(&b, HALF);
        b.seen.cancel_in_head = phase == 2;
        b.seen.cancel_in_body = phase == 3;
        if (phase == 0) b.up.answer = say_nothing;
        CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
        if (phase == 0) UNTIL(b.loop, b.up.requests == 1);
        if (phase == 1) UNTIL(b.loop, b.seen.bodies == 1);
        if (phase < 2) peri_call_cancel(b.seen.call);
        if (phase == 2) UNTIL(b.loop, b.seen.heads == 1);
        if (phase == 3) UNTIL(b.loop, b.seen.bodies == 1);
        CHECK_EQ(peri_client_open_calls(b.client), 0);
        TURNS(b.loop, 2);
        CHECK_EQ(b.up.gone, 1);
        CHECK_EQ(b.seen.dones, 0);
        CHECK_EQ(b.seen.bodies, phase == 1 || phase == 3);
        bench_close(&b);
    }
}

TEST_BOTH_WAYS(a_call_may_be_cancelled_before_it_is_connected) {
    struct bench b;
    bench_open(&b, OK_5);
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    peri_call_cancel(b.seen.call);
    TURNS(b.loop, 5);
    CHECK_EQ(b.seen.heads + b.seen.dones, 0);
    CHECK_EQ(b.up.requests, 0);
    bench_close(&b);
}

TEST_BOTH_WAYS(one_call_may_cancel_another_from_inside_its_callback) {
    struct bench b;
    struct seen second = { .loop = NULL };
    bench_open(&b, HALF);
    CHECK_EQ(seen_start(&second, b.client, &b.spec), PERI_OK);
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    b.seen.other = second.call;
    UNTIL(b.loop, b.seen.bodies == 1);
    CHECK_EQ(peri_client_open_calls(b.client), 1);
    TURNS(b.loop, 2);
    CHECK_EQ(b.up.gone, 1);
    CHECK_EQ(second.dones, 0);
    peri_call_cancel(b.seen.call);
    seen_clear(&second);
    bench_close(&b);
}

struct chain {
    struct bench *b;
    int left;
};

static void chain_next(void *arg, struct peri_call *call, const struct peri_call_report *report);
static void chain_head(void *arg, struct peri_call *call, int status,
                       const struct peri_header *headers, size_t count) {
    (void)arg, (void)call, (void)status, (void)headers, (void)count;
}
static bool chain_body(void *arg, struct peri_call *call, struct peri_str bytes) {
    (void)arg, (void)call, (void)bytes;
    return true;
}
static const struct peri_call_ops chain_ops = { chain_head, chain_body, chain_next };

static void chain_next(void *arg, struct peri_call *call, const struct peri_call_report *report) {
    struct chain *chain = arg;
    CHECK_EQ(report->err, PERI_OK);
    if (--chain->left > 0)
        CHECK_EQ(peri_call_start(&call, chain->b->client, &chain->b->spec, &chain_ops, chain),
                 PERI_OK);
}

TEST_BOTH_WAYS(the_end_of_one_call_may_start_the_next) {
    struct bench b;
    struct peri_call *call;
    bench_open(&b, OK_5);
    struct chain chain = { &b, 50 };
    CHECK_EQ(peri_call_start(&call, b.client, &b.spec, &chain_ops, &chain), PERI_OK);
    UNTIL(b.loop, chain.left == 0);
    CHECK_EQ(b.up.requests, 50);
    CHECK_EQ(b.up.accepts, 1);
    bench_close(&b);
}

TEST(many_calls_fill_the_multis_first_to_last) {
    enum { MANY = 300 };
    static struct seen seen[MANY];
    struct bench b;
    is_through_libcurl = true;
    bench_open(&b, HALF);
    is_through_libcurl = false;
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(seen_start(&seen[i], b.client, &b.spec), PERI_OK);
        CHECK_EQ(peri_client_multis(b.client), i / 32 + 1);
    }
    for (int i = 0; i < MANY; i++) UNTIL(b.loop, seen[i].bodies == 1);
    CHECK_EQ(b.up.accepts, MANY);
    for (int i = 0; i < MANY; i += 2) peri_call_cancel(seen[i].call);
    for (int i = 0; i < MANY; i += 2) {
        seen_clear(&seen[i]);
        CHECK_EQ(seen_start(&seen[i], b.client, &b.spec), PERI_OK);
    }
    CHECK_EQ(peri_client_multis(b.client), (MANY + 31) / 32);
    CHECK_EQ(peri_client_open_calls(b.client), MANY);
    for (int i = 0; i < MANY; i++) {
        peri_call_cancel(seen[i].call);
        seen_clear(&seen[i]);
    }
    bench_close(&b);
}

TEST_BOTH_WAYS(more_calls_than_every_multi_holds_are_refused) {
    struct bench b;
    struct seen seen[5] = { { .loop = NULL } };
    struct peri_client *small;
    struct peri_client_options options = { .transfers_per_multi = 2, .multis = 2 };
    bench_open(&b, HALF);
    small = client_with(b.loop, options);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(seen_start(&seen[i], small, &b.spec), i < 4 ? PERI_OK : PERI_EFULL);
    peri_call_cancel(seen[1].call);
    CHECK_EQ(seen_start(&seen[4], small, &b.spec), PERI_OK);
    CHECK_EQ(peri_client_multis(small), is_through_libcurl ? 2 : 0);
    for (int i = 0; i < 5; i++)
        if (i != 1) peri_call_cancel(seen[i].call);
    peri_client_free(small);
    bench_close(&b);
}

TEST_BOTH_WAYS(after_a_peak_idle_connections_go_down_to_their_cap) {
    enum { MANY = 40 };
    static struct seen seen[MANY];
    struct bench b;
    struct peri_client *small;
    struct peri_client_options options = { .transfers_per_multi = 4, .idle_connections = 8 };
    bench_open(&b, OK_5);
    small = client_with(b.loop, options);
    for (int i = 0; i < MANY; i++) CHECK_EQ(seen_start(&seen[i], small, &b.spec), PERI_OK);
    for (int i = 0; i < MANY; i++) {
        UNTIL(b.loop, seen[i].dones == 1);
        CHECK_EQ(seen[i].report.err, PERI_OK);
        seen_clear(&seen[i]);
    }
    TURNS(b.loop, 3);
    CHECK(b.up.accepts - b.up.gone <= 8);
    CHECK(b.up.accepts - b.up.gone >= 1);
    peri_client_free(small);
    bench_close(&b);
}

struct last {
    struct peri_client *client;
    int ends, kind;
};

static void free_head(void *arg, struct peri_call *call, int status,
                      const struct peri_header *headers, size_t count) {
    struct last *last = arg;
    (void)status, (void)headers, (void)count;
    if (last->kind != 0) return;
    last->ends++;
    peri_call_cancel(call);
    peri_client_free(last->client);
}

static bool free_body(void *arg, struct peri_call *call, struct peri_str bytes) {
    struct last *last = arg;
    (void)bytes;
    if (last->kind != 1) return true;
    last->ends++;
    peri_call_cancel(call);
    peri_client_free(last->client);
    return true;
}

static void free_done(void *arg, struct peri_call *call, const struct peri_call_report *report) {
    struct last *last = arg;
    (void)call, (void)report;
    last->ends++;
    peri_client_free(last->client);
}

TEST_BOTH_WAYS(more_busy_connections_than_may_be_idle_end_well) {
    enum { MANY = 30 };
    static struct seen seen[MANY];
    struct bench b;
    struct peri_client *small;
    struct peri_client_options options = { .idle_connections = 2 };
    bench_open(&b, OK_5);
    small = client_with(b.loop, options);
    for (int i = 0; i < MANY; i++) CHECK_EQ(seen_start(&seen[i], small, &b.spec), PERI_OK);
    for (int i = 0; i < MANY; i++) {
        UNTIL(b.loop, seen[i].dones == 1);
        CHECK_EQ(seen[i].report.err, PERI_OK);
        seen_clear(&seen[i]);
    }
    peri_client_free(small);
    bench_close(&b);
}

TEST_BOTH_WAYS(a_client_may_be_freed_from_inside_every_callback) {
    static const struct peri_call_ops free_ops = { free_head, free_body, free_done };
    for (int kind = 0; kind < 4; kind++) {
        struct bench b;
        struct peri_call *call;
        bench_open(&b, kind == 3 ? "" : OK_5);
        struct last last = { .kind = kind };
        b.spec.total_ms = 50;
        last.client = client_with(b.loop, (struct peri_client_options){ .arg = NULL });
        CHECK_EQ(peri_call_start(&call, last.client, &b.spec, &free_ops, &last), PERI_OK);
        if (kind == 3) peri_loop_advance(b.loop, 50);
        UNTIL(b.loop, last.ends == 1);
        bench_close(&b);
    }
}

TEST_BOTH_WAYS(a_start_that_memory_runs_out_on_is_an_error_and_leaks_nothing) {
    struct bench b;
    enum peri_err err = PERI_OK;
    long failed = 0;
    bench_open(&b, OK_5);
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_client *fresh = NULL;
        struct seen seen = { .loop = b.loop };
        struct peri_client_options options = { .is_all_libcurl = is_through_libcurl };
        err = peri_client_new(&fresh, b.loop, &options);
        if (err == PERI_OK) err = seen_start(&seen, fresh, &b.spec);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        failed += err != PERI_OK;
        if (err == PERI_OK) peri_call_cancel(seen.call);
        peri_client_free(fresh);
    }
    CHECK_EQ(err, PERI_OK);
    CHECK(failed > 5);
    bench_close(&b);
}

/* One answer, with allocations failing as the test has arranged, none of them the provider's. Gives whether it was
 * whole. */
static bool answer_without_memory(struct bench *b, struct bare *p, size_t piece,
                                  const char *answer) {
    struct seen seen = { .loop = b->loop };
    struct peri_client_options options = { .is_all_libcurl = is_through_libcurl };
    struct peri_client *fresh = NULL;
    while (bare_accept(p)) bare_hang_up(p); /* of runs that ended as soon as they had connected */
    enum peri_err err = peri_client_new(&fresh, b->loop, &options);
    if (err == PERI_OK) {
        err = peri_call_start(&seen.call, fresh, &b->spec, &seen_ops, &seen);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
    }
    size_t n = strlen(answer), at = 0;
    seen.body = (struct peri_buf){ .p = __real_malloc(4096), .cap = 4096, .max = 4096 };
    for (int turn = 0; turn < 1000 && err == PERI_OK && seen.dones == 0; turn++) {
        peri_loop_step(b->loop, false);
        if (p->line < 0 && !bare_accept(p)) continue;
        size_t next = n - at < piece ? n - at : piece;
        if (next > 0 && send(p->line, answer + at, next, MSG_NOSIGNAL) > 0) at += next;
    }
    if (err == PERI_OK) {
        CHECK_EQ(seen.dones, 1);
        err = seen.report.err;
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
    }
    if (err == PERI_OK) CHECK_STR(peri_buf_str(&seen.body), "hello");
    if (seen.dones == 0 && seen.call != NULL) peri_call_cancel(seen.call);
    bare_hang_up(p);
    peri_buf_done(&seen.body);
    peri_client_free(fresh);
    return err == PERI_OK;
}

TEST_BOTH_WAYS(an_answer_that_memory_runs_out_on_is_never_taken_for_whole) {
    static const char *const answers[] = {
        OK_5,
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2\r\nhe\r\n3\r\nllo\r\n0\r\na: b\r\n\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    };
    struct bench b;
    struct bare p;
    bench_open(&b, OK_5);
    bare_open(&p);
    b.spec.url = p.url;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        for (size_t piece = 1; piece < 1000; piece = piece * 7 + 1) {
            bool is_whole = false;
            long failed = 0;
            TEST_EACH_FAILING_ALLOCATION {
                is_whole = answer_without_memory(&b, &p, piece, answers[i]);
                failed += !is_whole;
            }
            CHECK(is_whole);
            CHECK(failed > 7);
        }
    bare_close(&p);
    bench_close(&b);
}
