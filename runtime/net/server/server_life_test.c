/* When connections end, who is told, and what happens when time, room, memory or descriptors run out. */
#include "net/server/server_rig.h"

TEST(server_times_out_slow_heads_bodies_and_idlers) {
    struct peri_server_limits limits = {
        .header_ms = 100, .body_ms = 200, .idle_ms = 300, .body_rate = 10
    };
    struct rig r;
    rig_open(&r, ANSWER_AT_ONCE, &limits);
    int idle = dial(&r), head = dial(&r), body = dial(&r), slow = dial(&r);
    say(&r, head, "GET /");
    say(&r, body, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    say(&r, slow, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    peri_loop_advance(r.loop, 99);
    say(&r, head, "a");
    CHECK_STR(peri_str_of(hear(&r, head)), "");
    peri_loop_advance(r.loop, 1);
    CHECK(has(hear(&r, head), "HTTP/1.1 408 "));
    say(&r, body, "x");
    say(&r, slow, "x"); /* buys 100 ms: 200 + 100 from the beginning */
    peri_loop_advance(r.loop, 199);
    CHECK_STR(peri_str_of(hear(&r, body)), "");
    say(&r, slow, "x");
    peri_loop_advance(r.loop, 1);
    CHECK(has(hear(&r, body), "HTTP/1.1 408 "));
    hear(&r, idle);
    CHECK(heard_end);
    CHECK_STR(peri_str_of(hear(&r, slow)), "");
    peri_loop_advance(r.loop, 100); /* a byte now and then is not enough */
    CHECK(has(hear(&r, slow), "HTTP/1.1 408 "));
    peri_loop_advance(r.loop, 2000);
    CHECK_EQ(peri_server_connections(r.server), 0);
    close(idle), close(head), close(body), close(slow);
    rig_close(&r);
}

TEST(server_idles_anew_after_each_request) {
    struct peri_server_limits limits = { .idle_ms = 300 };
    struct rig r;
    rig_open(&r, ANSWER_AT_ONCE, &limits);
    int fd = dial(&r);
    for (int i = 0; i < 3; i++) {
        peri_loop_advance(r.loop, 299);
        say(&r, fd, GET_A);
        CHECK(has(hear(&r, fd), "200 OK"));
    }
    peri_loop_advance(r.loop, 300);
    hear(&r, fd);
    CHECK(heard_end);
    close(fd);
    rig_close(&r);
}

TEST(server_lets_the_owner_think_as_long_as_it_likes) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    peri_loop_advance(r.loop, 10000000);
    CHECK_EQ(r.gone, 0);
    peri_exchange_answer(r.held, 200, NULL, 0, PERI_STR("late"));
    CHECK(has(hear(&r, fd), "late"));
    peri_loop_advance(r.loop, 75000);
    hear(&r, fd);
    CHECK(heard_end);
    close(fd);
    rig_close(&r);
}

TEST(server_tells_that_a_client_left) {
    enum {
        SILENT_FIN,
        SILENT_RESET,
        STREAMING_FIN,
        STREAMING_RESET,
        HALF_CLOSED,
        PIPELINED_FULL,
        PHASES
    };
    for (int phase = 0; phase < PHASES; phase++) {
        struct rig r;
        bool is_streaming = phase == STREAMING_FIN || phase == STREAMING_RESET;
        rig_open(&r, is_streaming ? STREAM : HOLD, NULL);
        int fd = dial(&r);
        say(&r, fd, GET_A);
        CHECK_EQ(peri_server_exchanges(r.server), 1);
        if (is_streaming) {
            peri_exchange_write(r.held, PERI_STR("token"));
            hear(&r, fd);
        }
        if (phase == PIPELINED_FULL) {
            static char fill[65536];
            memset(fill, 'G', sizeof fill);
            say_n(&r, fd, fill, sizeof fill);
            send(fd, fill, 1000, MSG_NOSIGNAL); /* stays in the kernel: reading is paused */
            turn(&r);
        }
        CHECK_EQ(r.gone, 0);
        if (phase == SILENT_RESET || phase == STREAMING_RESET) {
            struct linger at_once = { 1, 0 };
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        if (phase == HALF_CLOSED)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        turn(&r);
        CHECK_EQ(r.gone, 1);
        CHECK_EQ(peri_server_exchanges(r.server), 0);
        CHECK_EQ(peri_server_connections(r.server), 0);
        if (phase == HALF_CLOSED) close(fd);
        rig_close(&r);
    }
}

TEST(server_tells_after_the_call_that_met_a_dead_connection) {
    struct rig r;
    rig_open(&r, STREAM, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    struct linger at_once = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    CHECK_EQ(peri_exchange_write(r.held, PERI_STR("x")), PERI_ECLOSED);
    CHECK_EQ(r.gone, 0);
    CHECK_EQ(peri_exchange_write(r.held, PERI_STR("x")), PERI_ECLOSED);
    turn(&r);
    CHECK_EQ(r.gone, 1);
    rig_close(&r);
}

TEST(server_ends_quietly_when_the_owner_ends_a_dead_connection_first) {
    struct rig r;
    rig_open(&r, STREAM, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    struct linger at_once = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    peri_exchange_write(r.held, PERI_STR("x"));
    peri_exchange_end(r.held);
    turn(&r);
    CHECK_EQ(r.gone, 0);
    CHECK_EQ(peri_server_connections(r.server), 0);
    rig_close(&r);
}

TEST(server_serves_half_closed_clients_when_told_to) {
    struct rig r;
    struct peri_server_limits limits = { .allow_half_close = true };
    rig_open(&r, STREAM, &limits);
    int fd = dial(&r), leaver = dial(&r);
    say(&r, fd, GET_A);
    shutdown(fd, SHUT_WR);
    turn(&r);
    CHECK_EQ(r.gone, 0);
    peri_exchange_write(r.held, PERI_STR("still here"));
    peri_exchange_end(r.held);
    CHECK(has(hear(&r, fd), "still here\r\n0\r\n\r\n"));
    CHECK(heard_end);
    say(&r, leaver, GET_A);
    shutdown(leaver, SHUT_WR);
    turn(&r);
    close(leaver);
    turn(&r);
    peri_exchange_write(r.held, PERI_STR("to nobody"));
    turn(&r);
    CHECK(r.gone == 1 || peri_exchange_write(r.held, PERI_STR("again")) == PERI_ECLOSED);
    turn(&r);
    CHECK_EQ(r.gone, 1);
    close(fd);
    rig_close(&r);
}

static char block[32768];

TEST(server_pushes_back_when_a_client_stops_reading) {
    struct rig r;
    rig_open(&r, STREAM, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    enum peri_err err;
    uint64_t written = 0;
    while ((err = peri_exchange_write(r.held, (struct peri_str){ block, sizeof block })) ==
           PERI_OK) {
        written += sizeof block;
        if (written > 64u << 20) break;
        peri_loop_step(r.loop, false);
    }
    CHECK_EQ(err, PERI_EFULL);
    CHECK(peri_exchange_queued(r.held) >= 262144);
    CHECK(peri_exchange_queued(r.held) < 262144 + sizeof block + 64);
    CHECK_EQ(r.drains, 0);
    while (r.drains == 0 && peri_exchange_queued(r.held) > 0) hear(&r, fd);
    CHECK(peri_exchange_queued(r.held) <= 65536);
    CHECK_EQ(r.drains, 1);
    while (peri_exchange_queued(r.held) > 0) hear(&r, fd);
    CHECK_EQ(r.drains, 1);
    peri_exchange_end(r.held);
    hear(&r, fd);
    close(fd);
    rig_close(&r);
}

TEST(server_gives_up_a_client_that_never_reads) {
    struct rig r;
    struct peri_server_limits limits = { .write_ms = 1000 };
    rig_open(&r, STREAM, &limits);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    while (peri_exchange_write(r.held, (struct peri_str){ block, sizeof block }) == PERI_OK)
        turn(&r);
    peri_loop_advance(r.loop, 999);
    CHECK_EQ(r.gone, 0);
    peri_loop_advance(r.loop, 1);
    CHECK_EQ(r.gone, 1);
    CHECK_EQ(peri_server_connections(r.server), 0);
    close(fd);
    rig_close(&r);
}

TEST(server_refuses_an_owner_that_overlooks_back_pressure) {
    struct rig r;
    rig_open(&r, STREAM, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    enum peri_err err = PERI_OK;
    for (int i = 0; i < 2000 && err != PERI_ETOOBIG; i++)
        err = peri_exchange_write(r.held, (struct peri_str){ block, sizeof block });
    CHECK_EQ(err, PERI_ETOOBIG);
    CHECK(peri_exchange_queued(r.held) < 262144 + 1048576 + 2 * sizeof block);
    close(fd);
    turn(&r);
    CHECK_EQ(r.gone, 1);
    rig_close(&r);
}

TEST(server_finishes_a_long_answer_after_the_owner_has_ended_it) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r);
    enum { SIZE = 8000000 };
    char *body = calloc(1, SIZE);
    memset(body, 'z', SIZE);
    say(&r, fd, GET_A GET_B);
    peri_exchange_answer(r.held, 200, NULL, 0, (struct peri_str){ body, SIZE });
    CHECK_EQ(peri_server_exchanges(r.server), 0);
    turn(&r);
    CHECK_EQ(r.requests, 1); /* the next one waits for the kernel to take the first answer */
    size_t got = 0;
    for (int i = 0; i < 2000 && got < SIZE; i++) got += (size_t)count(hear(&r, fd), "z");
    CHECK_EQ(got, SIZE);
    CHECK_EQ(r.requests, 2);
    peri_exchange_answer(r.held, 204, NULL, 0, PERI_STR(""));
    CHECK(has(hear(&r, fd), "HTTP/1.1 204 No Content\r\n"));
    CHECK(!has(heard_text, "content-length"));
    free(body);
    close(fd);
    rig_close(&r);
}

TEST(server_drains) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int busy = dial(&r), idle = dial(&r);
    say(&r, busy, GET_A);
    peri_server_drain(r.server);
    turn(&r);
    hear(&r, idle);
    CHECK(heard_end);
    CHECK_EQ(peri_server_connections(r.server), 1);
    peri_exchange_answer(r.held, 200, NULL, 0, PERI_STR("bye"));
    CHECK(has(hear(&r, busy), "connection: close\r\n\r\nbye"));
    CHECK(heard_end);
    CHECK_EQ(peri_server_connections(r.server), 0);
    close(busy), close(idle);
    rig_close(&r);
}

TEST(server_answers_what_came_before_it_drained) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r);
    turn(&r);
    CHECK_EQ(peri_server_connections(r.server), 1);
    CHECK(send(fd, GET_A, sizeof GET_A - 1, 0) > 0); /* and no turn in which it is read */
    peri_server_drain(r.server);
    turn(&r);
    CHECK_EQ(r.requests, 1);
    peri_exchange_answer(r.held, 200, NULL, 0, PERI_STR("bye"));
    CHECK(has(hear(&r, fd), "connection: close\r\n\r\nbye"));
    CHECK(heard_end);
    close(fd);
    rig_close(&r);
}

TEST(server_tells_owners_when_it_closes) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r);
    say(&r, fd, GET_A);
    peri_server_close(r.server);
    CHECK_EQ(r.gone, 1);
    peri_loop_free(r.loop);
    close(fd);
}

TEST(server_makes_room_by_closing_the_longest_idle) {
    struct rig r;
    struct peri_server_limits limits = { .connections = 2 };
    rig_open(&r, HOLD, &limits);
    int first = dial(&r), second = dial(&r), third = dial(&r);
    hear(&r, first);
    CHECK(heard_end);
    CHECK_EQ(peri_server_connections(r.server), 2);
    say(&r, second, GET_A);
    struct peri_exchange *held = r.held;
    say(&r, third, GET_A);
    struct peri_exchange *thirds = r.held;
    int fourth = dial(&r); /* nobody is idle: it waits in the kernel */
    say(&r, fourth, GET_B);
    CHECK_EQ(r.requests, 2);
    peri_exchange_answer(held, 200, NULL, 0, PERI_STR(""));
    turn(&r);
    CHECK_EQ(r.requests, 3);
    CHECK_EQ(peri_server_connections(r.server), 2);
    peri_exchange_answer(r.held, 200, NULL, 0, PERI_STR(""));
    peri_exchange_answer(thirds, 200, NULL, 0, PERI_STR(""));
    close(first), close(second), close(third), close(fourth);
    rig_close(&r);
}

TEST(server_pauses_when_descriptors_run_out) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int busy = dial(&r);
    say(&r, busy, GET_A);
    int fd = socket(AF_INET, SOCK_STREAM, 0), fill[64], filled = 0;
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)peri_server_port(r.server)) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct rlimit before, tight;
    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    tight.rlim_cur = (rlim_t)fd + 8;
    setrlimit(RLIMIT_NOFILE, &tight);
    while (filled < 64 && (fill[filled] = dup(fd)) >= 0) filled++;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) abort();
    turn(&r);
    CHECK_EQ(peri_server_connections(r.server), 1);
    /* Not spinning: the listener is readable, and yet nothing wakes the loop. */
    struct pollfd loop_fd = { .fd = peri_loop_fd(r.loop), .events = POLLIN };
    CHECK_EQ(poll(&loop_fd, 1, 0), 0);
    while (filled > 0) close(fill[--filled]);
    setrlimit(RLIMIT_NOFILE, &before);
    peri_loop_advance(r.loop, 100);
    turn(&r);
    CHECK_EQ(peri_server_connections(r.server), 2);
    close(fd), close(busy);
    rig_close(&r);
}

TEST(server_listens_on_unix_sockets) {
    struct peri_fault fault;
    char address[80], path[64];
    snprintf(path, sizeof path, "/tmp/peri-server-test-%d", (int)getpid());
    snprintf(address, sizeof address, "unix:%s", path);
    struct rig r = { .kind = ANSWER_AT_ONCE };
    if (peri_loop_new(&r.loop) != PERI_OK) abort();
    CHECK_EQ(
        peri_server_open(&r.server, r.loop, peri_str_of(address), false, NULL, &ops, &r, &fault),
        PERI_OK);
    struct peri_server *second;
    CHECK_EQ(peri_server_open(&second, r.loop, peri_str_of(address), false, NULL, &ops, &r, &fault),
             PERI_EIO);
    CHECK(has(fault.text, "cannot listen on unix:"));
    CHECK_EQ(peri_server_port(r.server), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    strcpy(to.sun_path, path);
    CHECK_EQ(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say(&r, fd, GET_A);
    CHECK(has(hear(&r, fd), "200 OK"));
    close(fd);
    rig_close(&r);
    CHECK(access(path, F_OK) != 0);
}

TEST(server_shares_a_port) {
    struct peri_fault fault;
    struct rig r = { .kind = ANSWER_AT_ONCE };
    struct peri_server *second, *third;
    char address[32];
    if (peri_loop_new(&r.loop) != PERI_OK) abort();
    CHECK_EQ(
        peri_server_open(&r.server, r.loop, PERI_STR("127.0.0.1:0"), true, NULL, &ops, &r, &fault),
        PERI_OK);
    snprintf(address, sizeof address, "127.0.0.1:%u", peri_server_port(r.server));
    CHECK_EQ(peri_server_open(&second, r.loop, peri_str_of(address), true, NULL, &ops, &r, &fault),
             PERI_OK);
    CHECK_EQ(peri_server_open(&third, r.loop, peri_str_of(address), false, NULL, &ops, &r, &fault),
             PERI_EIO);
    CHECK_EQ(peri_server_open(&third, r.loop, PERI_STR("nowhere"), false, NULL, &ops, &r, &fault),
             PERI_EINVAL);
    peri_server_close(second);
    rig_close(&r);
}

TEST(server_names_the_peer_and_the_beginning) {
    struct rig r;
    rig_open(&r, HOLD, NULL);
    int fd = dial(&r);
    struct sockaddr_in own;
    socklen_t n = sizeof own;
    getsockname(fd, (struct sockaddr *)&own, &n);
    char want[32];
    snprintf(want, sizeof want, "127.0.0.1:%u", ntohs(own.sin_port));
    uint64_t now = peri_loop_now_ns(r.loop);
    say(&r, fd, "GET /a?b HTTP/1.1\r\n");
    peri_loop_advance(r.loop, 50);
    say(&r, fd, "Host: h\r\nX-Id: 7\r\n\r\n");
    CHECK_STR(peri_exchange_peer(r.held), want);
    CHECK_STR(peri_exchange_query(r.held), "b");
    CHECK_STR(peri_exchange_header(r.held, PERI_STR("x-id")), "7");
    CHECK_EQ(peri_exchange_header_count(r.held), 2);
    CHECK_STR(peri_exchange_header_at(r.held, 0).name, "Host");
    CHECK_EQ(peri_exchange_began_ns(r.held), now);
    peri_exchange_set_user(r.held, want);
    CHECK(peri_exchange_user(r.held) == want);
    close(fd);
    rig_close(&r);
}

/* Every allocation of a request's path fails once: the client gets an answer or a close, the owner one end. */
TEST(server_survives_running_out_of_memory) {
    int answered = 0;
    for (long k = 0; k < 40; k++) {
        struct rig r;
        rig_open(&r, STREAM, NULL);
        test_allocations = 0;
        test_fail_from = k;
        int fd = dial(&r);
        say(&r, fd,
            "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
            "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" GET_B);
        bool was_handed = r.held != NULL;
        if (r.held != NULL) {
            for (int i = 0; i < 200; i++) {
                enum peri_err err =
                    peri_exchange_write(r.held, (struct peri_str){ block, sizeof block });
                if (err == PERI_EFULL || err == PERI_ECLOSED || err == PERI_ENOMEM) break;
            }
            turn(&r);
        }
        test_fail_from = -1;
        answered += was_handed && r.held != NULL;
        peri_loop_advance(r.loop, 200);
        close(fd);
        turn(&r);
        CHECK_EQ(peri_server_exchanges(r.server), 0);
        CHECK(r.held == NULL);
        CHECK_EQ(r.gone, r.requests);
        rig_close(&r);
    }
    CHECK(answered > 0);
    struct rig r = { .kind = HOLD };
    struct peri_fault fault;
    bool is_open = false;
    if (peri_loop_new(&r.loop) != PERI_OK) abort();
    TEST_EACH_FAILING_ALLOCATION {
        is_open = peri_server_open(&r.server, r.loop, PERI_STR("127.0.0.1:0"), false, NULL, &ops,
                                   &r, &fault) == PERI_OK;
        if (is_open) peri_server_close(r.server);
    }
    CHECK(is_open);
    peri_loop_free(r.loop);
}
