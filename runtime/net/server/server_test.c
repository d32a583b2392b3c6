/* What a client of the server sees on the wire. */
#include "net/server/server_rig.h"

#include "base/buf.h"
#include "base/log.h"

TEST(server_answers_a_request) {
    struct rig r;
    rig_open(&r, ANSWER_AT_ONCE, NULL);
    int fd = dial(&r);
    CHECK_EQ(peri_server_connections(r.server), 1);
    say(&r, fd, GET_A);
    const char *answer = hear(&r, fd);
    CHECK(has(answer, "HTTP/1.1 200 OK\r\ndate: "));
    CHECK(has(answer, " GMT\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n/a"));
    CHECK(!has(answer, "connection:"));
    CHECK(!heard_end);
    CHECK_EQ(peri_server_exchanges(r.server), 0);
    close(fd);
    TURN_UNTIL(&r, peri_server_connections(r.server) == 0);
    CHECK_EQ(r.gone, 0);
    rig_close(&r);
}

TEST(server_keeps_connections_and_the_order_of_pipelined_requests) {
    struct rig r;
    rig_open(&r, ANSWER_AT_ONCE, NULL);
    int fd = dial(&r);
    char many[16384] = "", want[8192] = "";
    for (int i = 0; i < 100; i++) {
        sprintf(many + strlen(many),
                "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n%03d", i, i);
        sprintf(want + strlen(want), "POST /%d %03d\n", i, i);
    }
    say(&r, fd, many);
    CHECK_EQ(r.requests, 100);
    CHECK_EQ(count(hear(&r, fd), "200 OK"), 100);
    CHECK(strncmp(want, r.seen, sizeof r.seen - 200) == 0);
    say(&r, fd, GET_A);
    CHECK(has(hear(&r, fd), "\r\n\r\n/a"));
    close(fd);
    rig_close(&r);
}

TEST(server_waits_with_the_next_request_until_the_first_is_answered) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A GET_B);
    say(&r, fd, GET_A);
    CHECK_EQ(r.requests, 1);
    for (int i = 1; i <= 3; i++) {
        peri_exchange_answer(r.held, 200, NULL, 0, PERI_STR("ok"));
        CHECK_EQ(r.requests, i); /* never from inside the owner's call */
        turn(&r);
        CHECK_EQ(r.requests, i < 3 ? i + 1 : 3);
    }
    CHECK_STR(peri_str_of(r.seen), "GET /a \nGET /b \nGET /a \n");
    CHECK_EQ(count(hear(&r, fd), "200 OK"), 3);
    CHECK_EQ(peri_server_exchanges(r.server), 0);
    close(fd);
    rig_close(&r);
}

TEST(server_reads_requests_that_come_byte_by_byte) {
    struct rig r;
    rig_open(&r, ANSWER_AT_ONCE, NULL);
    int fd = dial(&r);
    const char *text =
        "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (; *text != '\0'; text++) say_n(&r, fd, text, 1);
    CHECK_STR(peri_str_of(r.seen), "POST /x abc\n");
    CHECK(has(hear(&r, fd), "200 OK"));
    close(fd);
    rig_close(&r);
}

TEST(server_closes_when_asked_and_after_http_1_0) {
    static const struct {
        const char *request;
        bool goes_on;
        const char *header;
    } cases[] = {
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false, "connection: close" },
        { "GET / HTTP/1.0\r\n\r\n", false, "connection: close" },
        { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "connection: keep-alive" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r;
        rig_open(&r, ANSWER_AT_ONCE, NULL);
        int fd = dial(&r);
        say(&r, fd, cases[i].request);
        CHECK(has(hear(&r, fd), cases[i].header));
        CHECK_EQ(heard_end, !cases[i].goes_on);
        close(fd);
        rig_close(&r);
    }
}

TEST(server_sends_no_body_to_head) {
    struct rig r;
    rig_open(&r, ANSWER_AT_ONCE, NULL);
    int fd = dial(&r);
    say(&r, fd, "HEAD /abc HTTP/1.1\r\nHost: h\r\n\r\n" GET_A);
    const char *answer = hear(&r, fd);
    CHECK(has(answer, "content-length: 4\r\n\r\nHTTP/1.1 200 OK"));
    close(fd);
    rig_close(&r);
}

TEST(server_streams_in_chunks) {
    struct rig r;
    rig_open(&r, STREAM, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    CHECK_STR(peri_str_of(hear(&r, fd)), ""); /* the head is held for the first bytes */
    CHECK_EQ(peri_exchange_write(r.held, PERI_STR("hello")), PERI_OK);
    const char *first = hear(&r, fd);
    CHECK(has(first, "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"));
    CHECK_EQ(peri_exchange_write(r.held, PERI_STR("")), PERI_OK);
    CHECK_EQ(peri_exchange_write(r.held, PERI_STR("0123456789abcdef")), PERI_OK);
    CHECK_EQ(peri_exchange_sent(r.held), 21);
    CHECK_EQ(peri_exchange_queued(r.held), 0);
    peri_exchange_end(r.held);
    CHECK_STR(peri_str_of(hear(&r, fd)), "10\r\n0123456789abcdef\r\n0\r\n\r\n");
    CHECK(!heard_end);
    say(&r, fd, GET_B);
    peri_exchange_flush(r.held);
    CHECK(has(hear(&r, fd), "chunked\r\n\r\n"));
    peri_exchange_end(r.held);
    CHECK_STR(peri_str_of(hear(&r, fd)), "0\r\n\r\n");
    close(fd);
    rig_close(&r);
}

TEST(server_streams_to_http_1_0_until_the_close) {
    struct rig r;
    rig_open(&r, STREAM, NULL);
    int fd = dial(&r);
    say(&r, fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    peri_exchange_write(r.held, PERI_STR("hello"));
    peri_exchange_end(r.held);
    const char *answer = hear(&r, fd);
    CHECK(has(answer, "connection: close\r\n\r\nhello") && !has(answer, "chunked"));
    CHECK(heard_end);
    close(fd);
    rig_close(&r);
}

TEST(server_cuts_what_is_aborted) {
    struct rig r;
    rig_open(&r, STREAM, NULL);
    int fd = dial(&r), old = dial(&r), reset = dial(&r);
    say(&r, fd, GET_A);
    peri_exchange_write(r.held, PERI_STR("hello"));
    peri_exchange_abort(r.held);
    const char *answer = hear(&r, fd);
    CHECK(has(answer, "hello\r\n") && !has(answer, "\r\n0\r\n"));
    CHECK(heard_end);
    /* Where a close would look like the end, only a reset says that it is not. */
    say(&r, old, "GET / HTTP/1.0\r\n\r\n");
    peri_exchange_write(r.held, PERI_STR("hello"));
    peri_exchange_abort(r.held);
    hear(&r, old);
    CHECK(heard_reset);
    say(&r, reset, GET_A);
    peri_exchange_write(r.held, PERI_STR("hello"));
    peri_exchange_reset(r.held);
    hear(&r, reset);
    CHECK(heard_reset);
    CHECK_EQ(r.gone, 0);
    CHECK_EQ(peri_server_connections(r.server), 0);
    CHECK_EQ(peri_server_exchanges(r.server), 0);
    close(fd), close(old), close(reset);
    rig_close(&r);
}

TEST(server_leaves_out_headers_that_can_not_be_sent) {
    static const struct peri_header headers[] = {
        { PERI_STR_INIT("x-a"), PERI_STR_INIT("1") },
        { PERI_STR_INIT("x-b"), PERI_STR_INIT("b\r\nx-injected: 1") },
        { PERI_STR_INIT("date"), PERI_STR_INIT("now\1") },
        { PERI_STR_INIT("a(b)"), PERI_STR_INIT("c") },
        { PERI_STR_INIT("x-c"), PERI_STR_INIT("3") },
    };
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    peri_exchange_answer(r.held, 200, headers, 5, PERI_STR("hello"));
    const char *answer = hear(&r, fd);
    CHECK(has(answer, "\r\nx-a: 1\r\nx-c: 3\r\n") && has(answer, "hello"));
    CHECK(!has(answer, "x-b") && !has(answer, "injected") && !has(answer, "now"));
    CHECK(has(answer, " GMT\r\n"));
    CHECK_EQ(r.misuses, 3);
    CHECK_STR(peri_str_of(r.misused),
              "a header's name is not made of letters, digits and !#$%&'*+-.^_`|~ a(b)");
    close(fd);
    rig_close(&r);
}

TEST(server_makes_the_best_of_an_owner_that_is_wrong) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r), cut = dial(&r), twice = dial(&r);
    say(&r, fd, GET_A);
    CHECK_EQ(peri_exchange_write(r.held, PERI_STR("early")), PERI_EINVAL);
    peri_exchange_start(r.held, 42, NULL, 0, PERI_LENGTH_UNKNOWN);
    peri_exchange_start(r.held, 200, plain, 1, 3);
    CHECK_EQ(r.misuses, 3);
    peri_exchange_write(r.held, PERI_STR("hello"));
    peri_exchange_end(r.held);
    const char *answer = hear(&r, fd);
    CHECK(has(answer, "HTTP/1.1 500 ") && has(answer, "hello") && !has(answer, "text/plain"));
    say(&r, cut, GET_A);
    peri_exchange_end(r.held); /* never started: nothing to say */
    CHECK_STR(peri_str_of(hear(&r, cut)), "");
    CHECK(heard_end);
    say(&r, twice, GET_A);
    peri_exchange_start(r.held, 200, plain, 1, PERI_LENGTH_UNKNOWN);
    peri_exchange_answer(r.held, 200, plain, 1, PERI_STR("hello"));
    CHECK(!has(hear(&r, twice), "hello"));
    CHECK(heard_end);
    CHECK_EQ(r.misuses, 5);
    CHECK_EQ(peri_server_exchanges(r.server), 0);
    close(fd), close(cut), close(twice);
    rig_close(&r);
}

TEST(server_never_ends_cleanly_what_is_short) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    peri_exchange_start(r.held, 200, NULL, 0, 10);
    CHECK_EQ(peri_exchange_write(r.held, PERI_STR("12345")), PERI_OK);
    CHECK_EQ(peri_exchange_write(r.held, PERI_STR("678901")), PERI_ETOOBIG);
    peri_exchange_end(r.held);
    CHECK(has(hear(&r, fd), "\r\n\r\n12345"));
    CHECK(heard_end);
    close(fd);
    rig_close(&r);
}

TEST(server_sends_raw_bytes) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    peri_exchange_raw(r.held, PERI_STR("HTTP/1.1 200 OK\r\ncontent-length: zz\r\n\r\n"));
    peri_exchange_end(r.held);
    CHECK_STR(peri_str_of(hear(&r, fd)), "HTTP/1.1 200 OK\r\ncontent-length: zz\r\n\r\n");
    CHECK(heard_end);
    close(fd);
    rig_close(&r);
}

TEST(server_answers_expectations) {
    struct rig r;
    struct peri_server_limits limits = { .body_bytes = 10 };
    rig_open(&r, ANSWER_AT_ONCE, &limits);
    int fd = dial(&r), large = dial(&r), unknown = dial(&r), old = dial(&r);
    say(&r, fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    CHECK_STR(peri_str_of(hear(&r, fd)), "HTTP/1.1 100 Continue\r\n\r\n");
    say(&r, fd, "hel");
    say(&r, fd, "lo");
    CHECK_EQ(count(hear(&r, fd), "HTTP/1.1 "), 1);
    CHECK_STR(peri_str_of(r.seen), "POST / hello\n");
    say(&r, fd,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi");
    CHECK(!has(hear(&r, fd), "100 Continue"));
    say(&r, large,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    CHECK(has(hear(&r, large), "HTTP/1.1 413 "));
    CHECK(heard_end);
    say(&r, unknown, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: more\r\n\r\n");
    CHECK(has(hear(&r, unknown), "HTTP/1.1 417 "));
    say(&r, old, "POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    CHECK_STR(peri_str_of(hear(&r, old)), "");
    CHECK_EQ(r.requests, 2);
    close(fd), close(large), close(unknown), close(old);
    rig_close(&r);
}

TEST(server_refuses_with_json_and_lingers) {
    struct rig r;
    rig_open(&r, ANSWER_AT_ONCE, NULL);
    int fd = dial(&r);
    say(&r, fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello");
    const char *answer = hear(&r, fd);
    CHECK(has(answer, "HTTP/1.1 400 Bad Request\r\n"));
    CHECK(has(answer, "content-type: application/json\r\n"));
    CHECK(has(answer, "connection: close\r\n"));
    CHECK(has(answer,
              "{\"error\":{\"message\":\"invalid character in content-length header\",\"type\":"
              "\"invalid_request_error\",\"param\":null,\"code\":\"bad_request\"}}"));
    CHECK(heard_end);
    say(&r, fd, "what it still sends is thrown away rather than answered with a reset");
    hear(&r, fd);
    CHECK(heard_end && !heard_reset);
    CHECK_EQ(peri_server_connections(r.server), 1);
    peri_loop_advance(r.loop, 2000);
    CHECK_EQ(peri_server_connections(r.server), 0);
    CHECK_EQ(r.requests, 0);
    close(fd);
    rig_close(&r);
}

TEST(server_refuses_what_follows_and_can_not_be_a_request) {
    struct rig r;
    rig_open(&r, ANSWER_AT_ONCE, NULL);
    int fd = dial(&r);
    say(&r, fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nX");
    CHECK(has(hear(&r, fd), "HTTP/1.1 400 "));
    CHECK_EQ(r.requests, 0);
    close(fd);
    rig_close(&r);
}

TEST(server_limits_are_its_own) {
    struct peri_server_limits limits = {
        .header_bytes = 200, .uri_bytes = 50, .header_lines = 3, .body_bytes = 10
    };
    static const struct {
        const char *request, *status;
    } cases[] = {
        { "GET /0123456789012345678901234567890123456789012345678 HTTP/1.1\r\nHost: h\r\n\r\n",
          "200" },
        { "GET /01234567890123456789012345678901234567890123456789 HTTP/1.1\r\nHost: h\r\n\r\n",
          "414" },
        { "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 1\r\n\r\n", "200" },
        { "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n", "431" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789", "200" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", "413" },
        { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n", "413" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r;
        rig_open(&r, ANSWER_AT_ONCE, &limits);
        int fd = dial(&r);
        say(&r, fd, cases[i].request);
        CHECK(strncmp(hear(&r, fd) + 9, cases[i].status, 3) == 0);
        close(fd);
        rig_close(&r);
    }
}

TEST(server_that_listens_nowhere_serves_connections_it_is_given) {
    struct rig r;
    int ends[2];
    struct peri_addr peer;
    rig_open(&r, ANSWER_AT_ONCE, NULL);
    peri_server_close(r.server);
    CHECK_EQ(peri_server_new(&r.server, r.loop, NULL, &ops, &r), PERI_OK);
    CHECK_EQ(peri_addr_parse(&peer, PERI_STR("10.0.0.1:77"), NULL), PERI_OK);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    CHECK_EQ(peri_server_adopt(r.server, ends[1], &peer), PERI_OK);
    CHECK_EQ(peri_server_connections(r.server), 1);
    say(&r, ends[0], GET_A);
    CHECK(has(hear(&r, ends[0]), "200 OK"));
    peri_server_drain(r.server);
    hear(&r, ends[0]);
    CHECK(heard_end);
    CHECK_EQ(peri_server_connections(r.server), 0);
    close(ends[0]);
    rig_close(&r);
}

static void keep_line(void *arg, enum peri_log_level level, struct peri_str line) {
    struct peri_buf *seen = arg;
    peri_buf_addf(seen, "%d %.*s", (int)level, PERI_STR_ARGS(line));
}

TEST(server_logs_what_an_owner_did_wrong) {
    struct peri_log log;
    struct peri_buf seen;
    peri_buf_init(&seen, 0);
    peri_log_init(&log, -1, PERI_LOG_ERROR, &peri_clock_real);
    log.on_line = keep_line;
    log.arg = &seen;
    peri_server_log_misuse(NULL, PERI_STR("r1"), "what", PERI_STR("x-a"));
    peri_server_log_misuse(&log, PERI_STR("r1"), "what", PERI_STR("x-a"));
    peri_buf_add_char(&seen, '\0');
    CHECK(seen.p[0] - '0' == PERI_LOG_ERROR);
    CHECK(has(seen.p, "\"msg\":\"what\",\"request_id\":\"r1\",\"header\":\"x-a\"}"));
    seen.n = 0;
    peri_server_log_misuse(&log, PERI_STR(""), "what", PERI_STR(""));
    peri_buf_add_char(&seen, '\0');
    CHECK(has(seen.p, "\"msg\":\"what\"}") && !has(seen.p, "request_id"));
    peri_buf_done(&seen);
    peri_log_done(&log);
}
