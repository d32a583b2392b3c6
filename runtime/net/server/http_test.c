#include "net/server/http.h"

#include "base/test.h"

#define HEAD    "POST /v1/x?a=1 HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

static const struct peri_http_limits small = {
    .header_bytes = 512, .header_lines = 6, .uri_bytes = 64, .body_bytes = 64
};

/* status 0: a request, with this body and with `rest` bytes left over */
struct sample {
    const char *text;
    int status;
    const char *body;
    size_t rest;
};

static size_t feed_guarded(struct peri_http *h, const char *p, size_t n) {
    char *copy = test_guarded(p, n);
    size_t taken = peri_http_feed(h, (struct peri_str){ copy, n });
    test_guarded_free(copy, n);
    return taken;
}

static void check_verdict(const struct sample *s, struct peri_http *h, size_t taken, size_t n) {
    int before = test_failures;
    if (s->status != 0) {
        CHECK_EQ(h->state, PERI_HTTP_FAILED);
        CHECK_EQ(h->status, s->status);
        CHECK(h->why != NULL);
    } else {
        CHECK_EQ(h->state, PERI_HTTP_DONE);
        CHECK_EQ(n - taken, s->rest);
        if (h->state == PERI_HTTP_DONE) {
            CHECK_STR(peri_http_body(h), s->body);
            for (int i = 0; i < PERI_HTTP_PADDING; i++) CHECK_EQ(h->p[h->n + (size_t)i], 0);
        }
    }
    if (test_failures != before)
        fprintf(stderr, "  in state %d status %d %s\n  of: %s\n", h->state, h->status,
                h->why ? h->why : "", s->text);
}

/* Whole, in two pieces at every place, and byte by byte. */
static void check_sample(const struct sample *s) {
    size_t n = strlen(s->text);
    for (size_t split = 0; split <= n + 1; split++) {
        struct peri_http h;
        peri_http_init(&h, &small);
        size_t taken = 0;
        if (split <= n) {
            taken = feed_guarded(&h, s->text, split);
            if (taken == split) taken += feed_guarded(&h, s->text + split, n - split);
        } else {
            while (taken < n && feed_guarded(&h, s->text + taken, 1) == 1) taken++;
        }
        check_verdict(s, &h, taken, n);
        peri_http_done(&h);
    }
}

#define EACH(samples)                                                                              \
    for (size_t i = 0; i < sizeof(samples) / sizeof *(samples); i++) check_sample(&(samples)[i])

TEST(http_reads_requests) {
    static const struct sample samples[] = {
        { "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0, "", 0 },
        { "GET / HTTP/1.0\r\n\r\n", 0, "", 0 },
        { "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 0, "", 0 },
        { "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET", 0, "", 3 },
        { "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 0, "", 0 },
        { "GET http://h:80/ HTTP/1.1\r\nHost: H:80\r\n\r\n", 0, "", 0 },
        { "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", 0, "", 0 },
        { "GET / HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n", 0, "", 0 },
        { "GET / HTTP/1.1\r\nHost: h\r\nX:\r\nY: \t a\tb \r\n\r\n", 0, "", 0 },
        { "GET /%41 HTTP/1.1\r\nHost: h\r\nX: \xc3\xa9\r\n\r\n", 0, "", 0 },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 0, "",
          0 },
        { HEAD "Content-Length: 5\r\n\r\nhelloX", 0, "hello", 1 },
        { HEAD "Content-Length: 0\r\n\r\n", 0, "", 0 },
        { HEAD "\r\n", 0, "", 0 },
        { HEAD "content-length: 64\r\n\r\n"
               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
          0, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 0 },
        { CHUNKED "0\r\n\r\n", 0, "", 0 },
        { CHUNKED "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nG", 0, "hello0123456789", 1 },
        { CHUNKED "5;a\r\nhello\r\n0;x=y;z=\"q\\\"\t\"\r\n\r\n", 0, "hello", 0 },
        { CHUNKED "0005\r\nhello\r\n00\r\nX-Sum: 1\r\nY: 2\r\n\r\n", 0, "hello", 0 },
        { HEAD "Transfer-Encoding: Chunked\r\n\r\n1\r\n\r\r\n0\r\n\r\n", 0, "\r", 0 },
    };
    EACH(samples);
}

/* RFC 9110, 5.6.3: white space is spaces and tabs, in front of a length and a coding as of any other value. */
TEST(http_takes_tabs_before_values) {
    static const struct sample samples[] = {
        { HEAD "Content-Length:\t5\r\n\r\nhelloX", 0, "hello", 1 },
        { HEAD "Content-Length: \t 5\r\n\r\nhello", 0, "hello", 0 },
        { HEAD "Transfer-Encoding:\tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nG", 0, "hello", 1 },
        { HEAD "Transfer-Encoding: \tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0, "hello", 0 },
        { "GET / HTTP/1.1\r\nHost:\th\r\nConnection:\tclose\r\n\r\n", 0, "", 0 },
        { HEAD "Expect:\t100-continue\r\nContent-Length:\t2\r\n\r\nhi", 0, "hi", 0 },
    };
    EACH(samples);
}

TEST(http_refuses_bad_request_lines) {
    static const struct sample samples[] = {
        { "\r\n\r\n\r\n", 400, "", 0 },
        { "\nGET / HTTP/1.1\r\n", 400, "", 0 },
        { " GET / HTTP/1.1\r\n", 400, "", 0 },
        { "   \r\n", 400, "", 0 },
        { "G\x01T / HTTP/1.1\r\n", 400, "", 0 },
        { "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 400, "", 0 },
        { "GET / HTTP/1.1\nHost: h\r\n\r\n", 400, "", 0 },
        { "GET / HTTP/1.1\rHost: h\r\n\r\n", 400, "", 0 },
        { "GET /\r\n", 400, "", 0 },
        { "GET  / HTTP/1.1\r\n", 400, "", 0 },
        { "GET /  HTTP/1.1\r\n", 400, "", 0 },
        { "GET / HTTP/1.1 \r\n", 400, "", 0 },
        { "GET /a b HTTP/1.1\r\n", 400, "", 0 },
        { "GET HTTP/1.1\r\n", 400, "", 0 },
        { "GET x HTTP/1.1\r\n", 400, "", 0 },
        { "GET * HTTP/1.1\r\n", 400, "", 0 },
        { "GET /\xc3\xa9 HTTP/1.1\r\n", 400, "", 0 },
        { "GET /a\\b HTTP/1.1\r\n", 400, "", 0 },
        { "GET /a??b HTTP/1.1\r\n", 400, "", 0 },
        { "GET /a#b HTTP/1.1\r\n", 400, "", 0 },
        { "GET /%00 HTTP/1.1\r\n", 400, "", 0 },
        { "GET /%4 HTTP/1.1\r\n", 400, "", 0 },
        { "GET http:// HTTP/1.1\r\n", 400, "", 0 },
        { "GET http://u@h/ HTTP/1.1\r\n", 400, "", 0 },
        { "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400, "", 0 },
        { "GET / http/1.1\r\n", 400, "", 0 },
        { "GET / HTTP/1\r\n", 400, "", 0 },
        { "GET / HTTP/01.1\r\n", 400, "", 0 },
        { "GET / HTTP/ 1.1\r\n", 400, "", 0 },
        { "GET / HTTP/9.9\r\n", 505, "", 0 },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "", 0 },
        { "CONNECT h:443 HTTP/1.1\r\n", 501, "", 0 },
        { "TRACE / HTTP/1.1\r\n", 501, "", 0 },
        { "get / HTTP/1.1\r\nHost: h\r\n\r\n", 501, "", 0 },
        { "BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501, "", 0 },
    };
    EACH(samples);
}

#define GET "GET / HTTP/1.1\r\n"

TEST(http_refuses_bad_headers) {
    static const struct sample samples[] = {
        { GET "\r\n", 400, "", 0 },
        { GET "Host:\r\n\r\n", 400, "", 0 },
        { GET "Host: \r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nHost: h\r\n\r\n", 400, "", 0 },
        { GET "Host: a, b\r\n\r\n", 400, "", 0 },
        { GET "Host: a/b\r\n\r\n", 400, "", 0 },
        { GET "Host: u@h\r\n\r\n", 400, "", 0 },
        { GET "Host: h:9999999\r\n\r\n", 400, "", 0 },
        { GET "Host: h:8x\r\n\r\n", 400, "", 0 },
        { GET "Host: [::1\r\n\r\n", 400, "", 0 },
        { GET "Host: h\nX: y\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\n X: y\r\n\r\n", 400, "", 0 },
        { GET " \r\nHost: h\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nX: a\r\n\tb\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nX : a\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\n: a\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nNoColon\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nBad[: a\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nX\xc3: a\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nX: a\rb\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nX: a\x01\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nX: 12345678\x7f\r\n\r\n", 400, "", 0 },
        { GET "Host: h\r\nExpect: tea\r\n\r\n", 417, "", 0 },
        { GET "Host: h\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\n\r\n", 431, "", 0 },
    };
    EACH(samples);
}

TEST(http_refuses_a_nul_anywhere_in_the_head) {
    static const char text[] = "GET /abc HTTP/1.1\r\nHost: h\r\nX-Y: value\r\n\r\n";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char copy[sizeof text];
        struct peri_http h;
        memcpy(copy, text, sizeof text);
        copy[i] = '\0';
        peri_http_init(&h, &small);
        peri_http_feed(&h, (struct peri_str){ copy, sizeof text - 1 });
        bool is_last = i == sizeof text - 2; /* the head has not ended, then */
        CHECK_EQ(h.state, is_last ? PERI_HTTP_HEAD : PERI_HTTP_FAILED);
        peri_http_done(&h);
    }
}

TEST(http_refuses_ambiguous_framing) {
    static const struct sample samples[] = {
        { HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: 5, 5\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length:\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: +5\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: -0\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: 05\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: 0x5\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: 1 0\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length:\t+5\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length:\t05\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length:\t\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: 1\t0\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length\t: 5\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length:\t5\r\nContent-Length: 5\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length:\t5\r\nTransfer-Encoding:\tchunked\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding:\tchunked, chunked\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding:\tgzip\r\n\r\n", 501, "", 0 },
        { HEAD "Transfer-Encoding\t: chunked\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding:\r\n\tchunked\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: 18446744073709551616\r\n\r\n", 400, "", 0 },
        { HEAD "Content-Length: 1844674407370955000\r\n\r\n", 413, "", 0 },
        { HEAD "Content-Length: 65\r\n\r\n", 413, "", 0 },
        { HEAD "Content_Length: 5\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer_Encoding: chunked\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding:\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding: gzip\r\n\r\n", 501, "", 0 },
        { HEAD "Transfer-Encoding: identity\r\n\r\n", 501, "", 0 },
        { HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding: , chunked\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "", 0 },
        { HEAD "Transfer-Encoding: \x0b"
               "chunked\r\n\r\n",
          400, "", 0 },
        { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "", 0 },
    };
    EACH(samples);
}

TEST(http_refuses_bad_chunks) {
    static const struct sample samples[] = {
        { CHUNKED "\r\n", 400, "", 0 },
        { CHUNKED " 5\r\nhello\r\n0\r\n\r\n", 400, "", 0 },
        { CHUNKED "5 \r\nhello\r\n0\r\n\r\n", 400, "", 0 },
        { CHUNKED "+5\r\nhello\r\n0\r\n\r\n", 400, "", 0 },
        { CHUNKED "-1\r\n", 400, "", 0 },
        { CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", 400, "", 0 },
        { CHUNKED "1_0\r\n", 400, "", 0 },
        { CHUNKED "XYZ\r\n", 400, "", 0 },
        { CHUNKED "10000000000000005\r\nhello", 400, "", 0 },
        { CHUNKED "FFFFFFFFFFFFFFFF\r\nhello", 413, "", 0 },
        { CHUNKED "41\r\n", 413, "", 0 },
        { CHUNKED "40\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n1\r\n",
          413, "", 0 },
        { CHUNKED "5\nhello\r\n0\r\n\r\n", 400, "", 0 },
        { CHUNKED "5\rhello\r\n0\r\n\r\n", 400, "", 0 },
        { CHUNKED "5\r\nhello\n0\r\n\r\n", 400, "", 0 },
        { CHUNKED "5\r\nhello0\r\n\r\n", 400, "", 0 },
        { CHUNKED "5\r\nhello!!\r\n0\r\n\r\n", 400, "", 0 },
        { CHUNKED "5\r\nhello\r\n0\r\n\n", 400, "", 0 },
        { CHUNKED "5;\r\nhello", 400, "", 0 },
        { CHUNKED "5;a=\r\nhello", 400, "", 0 },
        { CHUNKED "5; a\r\nhello", 400, "", 0 },
        { CHUNKED "5;a b\r\nhello", 400, "", 0 },
        { CHUNKED "5;bad[=x\r\nhello", 400, "", 0 },
        { CHUNKED "5;a\rX\r\nhello", 400, "", 0 },
        { CHUNKED "5;a\n", 400, "", 0 },
        { CHUNKED "5;a=\"b\r\n", 400, "", 0 },
        { CHUNKED "5;a=\"b\"c\r\n", 400, "", 0 },
        { CHUNKED "5;a=\"\\\x01\"\r\n", 400, "", 0 },
        { CHUNKED "0\r\nX y\r\n\r\n", 400, "", 0 },
        { CHUNKED "0\r\nX: y\n\r\n", 400, "", 0 },
        { CHUNKED "0\r\n X: y\r\n\r\n", 400, "", 0 },
        { CHUNKED "0\r\nContent-Length: 5\r\n\r\n", 400, "", 0 },
        { CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "", 0 },
        { CHUNKED "0\r\nhost: evil\r\n\r\n", 400, "", 0 },
        { CHUNKED "0\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\n\r\n", 431, "", 0 },
    };
    EACH(samples);
}

TEST(http_gives_views_of_what_was_read) {
    static const char text[] =
        "PUT http://h:1/a/b?c=d HTTP/1.1\r\nHoSt: h:1\r\nX-One: \t 1 2 \t\r\nx-one: again\r\n"
        "Empty:\r\nContent-Length: 2\r\n\r\nok";
    struct peri_http h;
    peri_http_init(&h, &small);
    CHECK_EQ(peri_http_feed(&h, PERI_STR("")), 0);
    CHECK(!peri_http_has_begun(&h));
    CHECK_EQ(peri_http_feed(&h, (struct peri_str){ text, sizeof text - 1 }), sizeof text - 1);
    CHECK_EQ(h.state, PERI_HTTP_DONE);
    CHECK_STR(peri_http_view(&h, h.method), "PUT");
    CHECK_STR(peri_http_view(&h, h.path), "/a/b");
    CHECK_STR(peri_http_view(&h, h.query), "c=d");
    CHECK_STR(peri_http_header(&h, PERI_STR("x-oNe")), "1 2");
    CHECK_STR(peri_http_header(&h, PERI_STR("empty")), "");
    CHECK(peri_http_header(&h, PERI_STR("empty")).p != NULL);
    CHECK(peri_http_header(&h, PERI_STR("none")).p == NULL);
    CHECK_EQ(h.field_count, 5);
    CHECK_STR(peri_http_header_at(&h, 2).name, "x-one");
    CHECK_STR(peri_http_header_at(&h, 2).value, "again");
    CHECK(h.keeps_alive);
    peri_http_reset(&h, 1 << 20);
    CHECK(!peri_http_has_begun(&h) && h.cap > 0);
    peri_http_reset(&h, 0);
    CHECK(h.p == NULL && h.cap == 0);
    peri_http_done(&h);
}

TEST(http_knows_which_connections_go_on) {
    static const struct {
        const char *head;
        bool keeps_alive;
    } cases[] = {
        { "GET / HTTP/1.1\r\nHost: h\r\n\r\n", true },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE\r\n\r\n", false },
        { "GET / HTTP/1.0\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
        { "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_http h;
        peri_http_init(&h, &small);
        peri_http_feed(&h, peri_str_of(cases[i].head));
        CHECK_EQ(h.state, PERI_HTTP_DONE);
        CHECK_EQ(h.keeps_alive, cases[i].keeps_alive);
        peri_http_done(&h);
    }
}

/* A request whose target, head or number of lines has exactly this size. */
static int status_of(const char *text, size_t n) {
    struct peri_http h;
    peri_http_init(&h, &small);
    peri_http_feed(&h, (struct peri_str){ text, n });
    int status = h.state == PERI_HTTP_FAILED ? h.status : h.state == PERI_HTTP_DONE ? 200 : 0;
    peri_http_done(&h);
    return status;
}

TEST(http_limits_are_exact) {
    char text[2048], fill[1024];
    memset(fill, 'a', sizeof fill);
    for (int over = -1; over <= 1; over++) {
        int n = snprintf(text, sizeof text, "GET /%.*s HTTP/1.1\r\nHost: h\r\n\r\n", 64 - 1 + over,
                         fill);
        CHECK_EQ(status_of(text, (size_t)n), over > 0 ? 414 : 200);
        int bare = snprintf(NULL, 0, "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n");
        n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\nX: %.*s\r\n\r\n",
                     512 - bare + over, fill);
        CHECK_EQ(n, 512 + over);
        CHECK_EQ(status_of(text, (size_t)n), over > 0 ? 431 : 200);
    }
    int n = snprintf(text, sizeof text, "GET /%.*s", 500, fill);
    CHECK_EQ(status_of(text, (size_t)n), 414); /* before the line's end */
}

TEST(http_bounds_the_extensions_of_all_chunks) {
    static const struct peri_http_limits wide = {
        .header_bytes = 512, .header_lines = 6, .uri_bytes = 64, .body_bytes = 1 << 20
    };
    struct peri_http h;
    peri_http_init(&h, &wide);
    peri_http_feed(&h, PERI_STR(CHUNKED));
    size_t chunks = 0;
    while (h.state == PERI_HTTP_CHUNKS) {
        peri_http_feed(&h, PERI_STR("1;abc=defghijklmno\r\nx\r\n"));
        chunks++;
    }
    CHECK_EQ(h.state, PERI_HTTP_FAILED);
    CHECK(chunks > 500 && chunks < 2000);
    peri_http_done(&h);
}

TEST(http_reads_a_large_body_into_place) {
    static const struct peri_http_limits wide = {
        .header_bytes = 512, .header_lines = 6, .uri_bytes = 64, .body_bytes = 1 << 24
    };
    enum { SIZE = 3000000 };
    struct peri_http h;
    peri_http_init(&h, &wide);
    peri_http_feed(&h, PERI_STR(HEAD "Content-Length: 3000000\r\n\r\nab"));
    CHECK(h.cap < 200000); /* memory follows the bytes, not the announcement */
    char *room;
    size_t n, rounds = 0;
    while ((n = peri_http_room(&h, &room)) > 0) {
        memset(room, 'c', n);
        peri_http_filled(&h, n);
        CHECK(++rounds < 100);
    }
    char tail[16384];
    memset(tail, 'c', sizeof tail);
    while (h.state == PERI_HTTP_BODY) peri_http_feed(&h, (struct peri_str){ tail, sizeof tail });
    CHECK_EQ(h.state, PERI_HTTP_DONE);
    CHECK_EQ(peri_http_body(&h).n, SIZE);
    CHECK_EQ(peri_http_body(&h).p[SIZE - 1], 'c');
    CHECK(h.cap < 2 * SIZE);
    peri_http_done(&h);
}

TEST(http_says_what_cannot_begin_a_request) {
    CHECK(peri_http_may_begin(PERI_STR("")));
    CHECK(peri_http_may_begin(PERI_STR("\r\n")));
    CHECK(peri_http_may_begin(PERI_STR("G")));
    CHECK(peri_http_may_begin(PERI_STR("POST /")));
    CHECK(peri_http_may_begin(PERI_STR("\r\nGET / HTTP/1.1")));
    CHECK(!peri_http_may_begin(PERI_STR("X")));
    CHECK(!peri_http_may_begin(PERI_STR("GETTING")));
    CHECK(!peri_http_may_begin(PERI_STR("hello")));
}

TEST(http_survives_running_out_of_memory) {
    static const char text[] = CHUNKED "5\r\nhello\r\n0\r\nX: y\r\n\r\n";
    bool has_succeeded = false;
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_http h;
        peri_http_init(&h, &small);
        peri_http_feed(&h, (struct peri_str){ text, sizeof text - 1 });
        has_succeeded = h.state == PERI_HTTP_DONE;
        CHECK(has_succeeded || (h.state == PERI_HTTP_FAILED && h.status == 503));
        peri_http_done(&h);
    }
    CHECK(has_succeeded);
}
