/* A client whose connections are led elsewhere. */
#include <arpa/inet.h>
#include <errno.h>

#include "net/client/upstream_test.h"

struct leader {
    unsigned port; /* where to; 0: nowhere */
    unsigned asked_port;
    int dials;
};

static int refuse(void *arg, struct sockaddr *address, socklen_t *length) {
    (void)arg, (void)address, (void)length;
    errno = EACCES;
    return -1;
}

static int lead(void *arg, struct sockaddr *address, socklen_t *length) {
    struct leader *l = arg;
    struct sockaddr_in *to = (struct sockaddr_in *)(void *)address;
    CHECK_EQ(*length, sizeof *to);
    l->dials++;
    l->asked_port = ntohs(to->sin_port);
    if (l->port == 0) return -1;
    to->sin_port = htons((in_port_t)l->port);
    to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool is_never_asked(void *arg, const struct sockaddr *address, bool is_restricted) {
    (void)arg, (void)address, (void)is_restricted;
    return false;
}

/* 192.0.2.1 is nobody's (RFC 5737): what reaches a provider was led there. */
static void ask(struct bench *b, struct leader *l) {
    struct peri_url *url;
    peri_client_free(b->client);
    b->client = client_with(b->loop, (struct peri_client_options){ .dial = lead, .arg = l });
    CHECK_EQ(peri_url_parse(&url, PERI_STR("http://192.0.2.1:9/v1"), NULL), PERI_OK);
    b->spec.url = url;
    bench_run(b);
    peri_url_unref(url);
}

TEST_BOTH_WAYS(client_connects_where_it_is_led) {
    struct bench b;
    bench_open(&b, OK_5);
    struct leader l = { .port = peri_url_port(b.up.parsed) };
    ask(&b, &l);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_STR(peri_buf_str(&b.seen.body), "hello");
    CHECK_EQ(l.dials, 1);
    CHECK_EQ(l.asked_port, 9);
    bench_close(&b);
}

TEST_BOTH_WAYS(client_is_refused_where_nobody_answers) {
    struct bench b;
    bench_open(&b, OK_5);
    struct leader l = { .port = 0 };
    ask(&b, &l);
    CHECK_EQ(b.seen.report.err, PERI_ECONNECT);
    CHECK_EQ(b.seen.heads, 0);
    CHECK(l.dials > 0);
    bench_close(&b);
}

TEST(client_that_simulates_needs_neither_tls_nor_a_resolver) {
    struct bench b;
    bench_open(&b, OK_5);
    struct leader l = { .port = peri_url_port(b.up.parsed) };
    struct peri_url *url;
    peri_client_free(b.client);
    b.client = client_with(
        b.loop, (struct peri_client_options){
                    .may_connect = is_never_asked, .dial = lead, .is_simulated = true, .arg = &l });
    CHECK_EQ(peri_url_parse(&url, PERI_STR("https://nobody.invalid/v1"), NULL), PERI_OK);
    b.spec.url = url;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_OK);
    CHECK_STR(peri_buf_str(&b.seen.body), "hello");
    CHECK_EQ(l.asked_port, 443);
    peri_url_unref(url);
    CHECK_EQ(peri_url_parse(&url, PERI_STR("http://10.0.0.1/v1"), NULL), PERI_OK);
    b.spec.url = url;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_EDENIED); /* an address is asked about here, too */
    CHECK_EQ(l.dials, 1);
    peri_url_unref(url);
    bench_close(&b);
}

static int run_short(void *arg, struct sockaddr *address, socklen_t *length) {
    (void)arg, (void)address, (void)length;
    errno = EMFILE;
    return -1;
}

/* What is missing here says nothing about the provider, with and without libcurl. */
TEST(client_says_that_it_has_no_descriptor_left) {
    static const char *const urls[] = { "http://127.0.0.1:9/v1", "https://127.0.0.1:9/v1" };
    for (size_t i = 0; i < 2; i++) {
        struct bench b;
        struct peri_url *url;
        bench_open(&b, OK_5);
        peri_client_free(b.client);
        b.client = client_with(
            b.loop, (struct peri_client_options){ .dial = run_short, .is_simulated = true });
        CHECK_EQ(peri_url_parse(&url, peri_str_of(urls[i]), NULL), PERI_OK);
        b.spec.url = url;
        bench_run(&b);
        CHECK_EQ(b.seen.report.err, PERI_EBUSY);
        CHECK(strstr(b.seen.report.detail, ": Too many open files") != NULL);
        peri_url_unref(url);
        bench_close(&b);
    }
}

TEST(client_says_where_it_may_not_call) {
    struct bench b;
    struct peri_url *url;
    bench_open(&b, OK_5);
    peri_client_free(b.client);
    b.client =
        client_with(b.loop, (struct peri_client_options){ .dial = refuse, .is_simulated = true });
    CHECK_EQ(peri_url_parse(&url, PERI_STR("https://nobody.invalid/v1"), NULL), PERI_OK);
    b.spec.url = url;
    bench_run(&b);
    CHECK_EQ(b.seen.report.err, PERI_EDENIED);
    peri_url_unref(url);
    bench_close(&b);
}
