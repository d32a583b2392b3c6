#include "dialect/upstream_error.h"

#include "base/test.h"
#include "base/utf8.h"

static struct peri_upstream_error read_one(const char *body) {
    struct peri_upstream_error e;
    size_t n = strlen(body);
    char *p = test_guarded(body, n);
    peri_upstream_error_read(&e, (struct peri_str){ p, n }, PERI_STR("abcdef-my-own-key-uvwxyz"));
    test_guarded_free(p, n);
    return e;
}

TEST(an_error_inside_200_may_name_its_status) {
    static const struct {
        int status;
        const char *body;
    } cases[] = {
        { 400, "{\"error\":{\"message\":\"x\",\"code\":400}}" },
        { 503, "{\"error\":{\"message\":\"x\",\"code\":\"503\"}}" },
        { 400, "{\"object\":\"error\",\"message\":\"x\",\"type\":\"BadRequestError\"}" },
        { 429, "{\"error\":{\"message\":\"x\",\"type\":\"BadRequestError\",\"code\":429}}" },
        { 0, "{\"error\":{\"message\":\"x\",\"type\":\"BadReques\",\"code\":200}}" },
        { 0, "{\"error\":{\"message\":\"x\",\"code\":600}}" },
        { 0, "{\"error\":{\"message\":\"x\",\"code\":4.0}}" },
        { 0, "overloaded" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_upstream_error e;
        peri_upstream_error_read(&e, peri_str_of(cases[i].body), PERI_STR(""));
        CHECK_EQ(peri_upstream_error_status(&e), cases[i].status);
    }
}

TEST(upstream_error_reads_every_shape_seen) {
    static const struct {
        const char *body, *message, *type, *code;
    } cases[] = {
        { "{\"error\":{\"message\":\"too "
          "long\",\"type\":\"invalid_request_error\",\"param\":\"messages\",\"code\":"
          "\"context_length_exceeded\"}}",
          "too long", "invalid_request_error", "context_length_exceeded" },
        { "{\"error\":{\"message\":\"too long\",\"type\":\"BadRequestError\",\"code\":400}}",
          "too long", "BadRequestError", "400" },
        { "{\"error\":\"Not Found\"}", "Not Found", "", "" },
        { "{\"error\":\"deprecated\",\"message\":\"use another\"}", "use another", "",
          "deprecated" },
        { "{\"object\":\"error\",\"message\":\"bad\",\"type\":\"BadRequestError\",\"code\":400}",
          "bad", "BadRequestError", "400" },
        { "{\"detail\":\"Not authenticated\"}", "Not authenticated", "", "" },
        { "{\"message\":\"no\"}", "no", "", "" },
        { "{\"error\":{\"message\":null,\"code\":\"x\"}}",
          "{\"error\":{\"message\":null,\"code\":\"x\"}}", "", "x" },
        { "{\"error\":{\"message\":\"%q \\x00\"}}", "{\"error\":{\"message\":\"%q \\x00\"}}", "",
          "" },
        { "service  unavailable\r\n\tlater", "service unavailable later", "", "" },
        { "\n <!DOCTYPE html><html>502", "the provider answered with an HTML page", "", "" },
        { "", "the provider gave no reason", "", "" },
        { " \r\n", "the provider gave no reason", "", "" },
        { "{\"error\":{\"message\":\"a\\u0000b\\nc\"}}", "a b c", "", "" },
        /* lists, and errors inside errors */
        { "[{\"error\":{\"code\":400,\"message\":\"bad\",\"status\":\"INVALID_ARGUMENT\"}}]", "bad",
          "INVALID_ARGUMENT", "400" },
        { "[\"bad\",\"worse\"]", "bad", "", "" },
        { "{\"error\":[{\"message\":\"bad\",\"code\":\"c\"}]}", "bad", "", "c" },
        { "{\"errors\":[{\"code\":7003,\"message\":\"bad\"}],\"success\":false}", "bad", "",
          "7003" },
        { "{\"error\":{\"error\":{\"message\":\"bad\",\"type\":\"t\"}},\"type\":\"u\"}", "bad", "t",
          "" },
        { "{\"error\":{\"message\":\"Provider returned error\",\"code\":400,\"metadata\":{\"raw\":"
          "\"{\\\"error\\\":{\\\"message\\\":\\\"bad tools\\\",\\\"type\\\":\\\"t\\\"}}\"}}}",
          "bad tools", "t", "400" },
        { "{\"error\":{\"message\":\"Provider returned error\",\"metadata\":{\"raw\":\"upstream "
          "busy\"}}}",
          "upstream busy", "", "" },
        { "{\"error\":{\"message\":\"outer\",\"metadata\":{\"raw\":\"\"}}}", "outer", "", "" },
        { "{\"error\":{\"message\":\"{\\\"detail\\\":\\\"bad\\\"}\"}}", "bad", "", "" },
        { "{\"detail\":[{\"loc\":[\"body\",\"messages\",0,\"role\"],\"msg\":\"field required\","
          "\"type\":\"missing\"}]}",
          "messages.0.role: field required", "", "" },
        { "{\"detail\":{\"message\":\"bad\",\"code\":\"c\"}}", "bad", "", "c" },
        { "{\"error\":\"invalid_request\",\"error_description\":\"bad\"}", "bad", "",
          "invalid_request" },
        { "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"bad\"}", "bad", "", "" },
        { "{\"title\":\"Bad Request\",\"status\":400}", "Bad Request", "", "" },
        { "{\"choices\":[{\"delta\":{},\"error\":{\"code\":502,\"message\":\"bad\"}}]}", "bad", "",
          "502" },
        { "{\"choices\":[{\"message\":{},\"finish_reason\":\"network_error\"}]}",
          "the answer ended with finish_reason 'network_error'", "", "" },
        /* other wrappings */
        { "data: {\"error\":{\"message\":\"bad\",\"code\":\"c\"}}\n\ndata: [DONE]\n\n", "bad", "",
          "c" },
        { ": hi\r\nevent: error\r\ndata: {\"message\":\r\ndata: \"bad\"}\r\n\r\n", "bad", "", "" },
        { "data: overloaded", "overloaded", "", "" },
        { "\xef\xbb\xbf\r\n{\"error\":\"bad\"}", "bad", "", "" },
        { "<html><head><TITLE>502 Bad\nGateway</TITLE></head>",
          "the provider answered with an HTML page: 502 Bad Gateway", "", "" },
        { "<h1>Forbidden</h1>", "the provider answered with an HTML page: Forbidden", "", "" },
        { "<title>never closed", "the provider answered with an HTML page", "", "" },
        { "[[[[[[[[[[{\"message\":\"deep\"}]]]]]]]]]]",
          "[[[[[[[[[[{\"message\":\"deep\"}]]]]]]]]]]", "", "" },
        { "bad \xff\xfe bytes \xe2\x82\xac", "bad bytes \xe2\x82\xac", "", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_upstream_error e = read_one(cases[i].body);
        CHECK_STR(peri_str_of(e.message), cases[i].message);
        CHECK_STR(peri_str_of(e.type), cases[i].type);
        CHECK_STR(peri_str_of(e.code), cases[i].code);
    }
    CHECK_STR(peri_str_of(read_one(cases[0].body).param), "messages");
}

TEST(upstream_error_takes_keys_out_of_the_text) {
    static const struct {
        const char *body, *message;
    } cases[] = {
        { "{\"error\":\"Incorrect API key provided: sk-proj-****abcd. See\"}",
          "Incorrect API key provided: [redacted] See" },
        { "key 'abcdef-my-own-key-uvwxyz' is wrong", "key '[redacted]' is wrong" },
        { "key abcdef****** is wrong", "key [redacted] is wrong" },
        { "key ****uvwxyz is wrong", "key [redacted] is wrong" },
        { "Authorization: Bearer abcdef-my-own-key-uvwxyz", "Authorization: Bearer [redacted]" },
        { "a risk-free sk-", "a risk-free sk-" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(peri_str_of(read_one(cases[i].body).message), cases[i].message);
}

TEST(upstream_error_tells_what_may_be_passed_on) {
    static const struct {
        bool is_presentable;
        const char *body;
    } cases[] = {
        { true, "{\"error\":{\"message\":\"no\",\"type\":\"x\",\"param\":null,\"code\":null}}" },
        { true, " {\"error\": "
                "{\"code\":400,\"message\":\"no\",\"param\":\"p\",\"type\":\"x\"},\"more\":1}\n" },
        { false, "{\"error\":{\"message\":\"no\",\"type\":\"x\",\"code\":null}}" },
        { false, "{\"error\":{\"message\":null,\"type\":\"x\",\"param\":null,\"code\":null}}" },
        { false, "{\"error\":\"no\"}" },
        { false, "{\"error\":{\"message\":\"no\",\"type\":\"x\",\"param\":null,\"code\":null}" },
        { false, "" },
        { false,
          "{\"error\":{\"message\":\"key uvwxyz\",\"type\":\"x\",\"param\":null,\"code\":null}}" },
        { false, "{\"error\":{\"message\":\"key "
                 "sk-abcdef\",\"type\":\"x\",\"param\":null,\"code\":null}}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(peri_upstream_error_is_presentable(peri_str_of(cases[i].body),
                                                    PERI_STR("Bearer abcdef-my-own-key-uvwxyz")),
                 cases[i].is_presentable);
    struct peri_upstream_error e;
    peri_upstream_error_read(&e, PERI_STR("a Bearer of news abcdef1"),
                             PERI_STR("Bearer abcdef-uvwxyz"));
    CHECK_STR(peri_str_of(e.message), "a Bearer of news [redacted]");
}

TEST(upstream_error_keeps_what_our_shape_lacks) {
    static const struct {
        const char *body, *told;
    } cases[] = {
        { "{\"error\":{\"message\":\"bad\",\"code\":400,\"metadata\":{\"a\": [1]},\"x\":null}}",
          "{\"error\":{\"message\":\"bad\",\"type\":\"invalid_request_error\",\"param\":null,"
          "\"code\":\"400\",\"metadata\":{\"a\": [1]}}}" },
        { "[{\"error\":{\"message\":\"bad\",\"details\":[{}]}}]",
          "{\"error\":{\"message\":\"bad\",\"type\":\"invalid_request_error\",\"param\":null,"
          "\"code\":\"upstream_rejected\",\"details\":[{}]}}" },
        { "{\"object\":\"error\",\"message\":\"bad\",\"type\":\"t\",\"k\":\"has sk-abcdefgh\"}",
          "{\"error\":{\"message\":\"bad\",\"type\":\"t\",\"param\":null,\"code\":\"upstream_"
          "rejected\"}}" },
        { "no", "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\",\"param\":null,"
                "\"code\":\"upstream_rejected\"}}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_buf told;
        struct peri_upstream_error e = read_one(cases[i].body);
        peri_buf_init(&told, 0);
        CHECK_EQ(peri_upstream_error_write(&told, &e, peri_str_of(cases[i].body), PERI_STR("")),
                 PERI_OK);
        CHECK_STR(peri_buf_str(&told), cases[i].told);
        peri_buf_done(&told);
    }
}

TEST(upstream_error_is_cut_between_characters) {
    char body[8000];
    struct peri_upstream_error e;
    for (size_t i = 0; i + 2 < sizeof body; i += 3) memcpy(body + i, "\xe2\x82\xac", 3);
    peri_upstream_error_read(&e, (struct peri_str){ body, sizeof body - 2 }, PERI_STR(""));
    struct peri_str shown = peri_str_of(e.message);
    CHECK(shown.n >= 2040 && shown.n <= 2048);
    CHECK_EQ(peri_utf8_valid(shown), shown.n);
    memset(body, 'x', sizeof body);
    peri_upstream_error_read(&e, (struct peri_str){ body, sizeof body }, PERI_STR(""));
    CHECK_EQ(strlen(e.message), 2048);
}

TEST(upstream_error_survives_running_out_of_memory) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_upstream_error e;
        peri_upstream_error_read(&e, PERI_STR("{\"error\":{\"message\":\"too long\"}}"),
                                 PERI_STR(""));
        CHECK(e.message[0] != '\0');
        if (test_torture_done) CHECK_STR(peri_str_of(e.message), "too long");
    }
}
