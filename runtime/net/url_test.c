#include "net/url.h"

#include "base/test.h"

static struct peri_url *parse(const char *text) {
    struct peri_url *u = NULL;
    struct peri_fault fault = { PERI_OK, "" };
    enum peri_err err = peri_url_parse(&u, peri_str_of(text), &fault);
    CHECK_EQ(err, PERI_OK);
    if (err != PERI_OK) fprintf(stderr, "%s\n", fault.text);
    return u;
}

TEST(a_url_gives_its_parts) {
    struct peri_url *u = parse("https://API.Example.com:8443/v1/?x=1");
    CHECK_STR(peri_url_text(u), "https://API.Example.com:8443/v1/?x=1");
    CHECK_STR(peri_url_host(u), "api.example.com");
    CHECK_EQ(peri_url_port(u), 8443);
    CHECK(peri_url_is_tls(u));
    peri_url_unref(u);
}

TEST(a_url_gives_what_a_request_says_of_it) {
    static const struct {
        const char *url, *target, *authority;
    } cases[] = {
        { "http://H.example", "/", "h.example" },
        { "https://h:443/v1?a=/b", "/v1?a=/b", "h" },
        { "https://h:80/", "/", "h:80" },
        { "http://h:8000?x", "/?x", "h:8000" },
        { "http://[2001:DB8::1]:65535/a", "/a", "[2001:db8::1]:65535" },
        { "http://[::1]/", "/", "[::1]" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_url *u = parse(cases[i].url);
        CHECK_STR(peri_url_target(u), cases[i].target);
        CHECK_STR(peri_url_authority(u), cases[i].authority);
        peri_url_unref(u);
    }
}

TEST(the_port_is_the_schemes_own_when_none_is_written) {
    struct peri_url *u = parse("http://h"), *s = parse("https://[::1]/");
    CHECK_EQ(peri_url_port(u), 80);
    CHECK(!peri_url_is_tls(u));
    CHECK_STR(peri_url_text(u), "http://h/");
    CHECK_EQ(peri_url_port(s), 443);
    CHECK_STR(peri_url_host(s), "::1");
    peri_url_unref(u);
    peri_url_unref(s);
}

TEST(odd_spellings_of_an_address_become_the_address) {
    const char *spellings[] = { "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/",
                                "http://127.1/" };
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct peri_url *u = parse(spellings[i]);
        CHECK_STR(peri_url_host(u), "127.0.0.1");
        peri_url_unref(u);
    }
}

TEST(what_does_not_belong_in_a_url_is_refused_with_a_reason) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "empty" },
        { "example.com/v1", "scheme" },
        { "file:///etc/passwd", "scheme" },
        { "ftp://h/", "scheme" },
        { "unix:/run/x", "scheme" },
        { "http://user:secret@h/", "user name" },
        { "http://user@h/", "user name" },
        { "http:///path", "host" },
        { "http://h:0/", "port" },
        { "http://h:65536/", "port" },
        { "http://h:x/", "port" },
        { "http://h/#f", "fragment" },
        { "http://h/a b", "space" },
        { "http://h/\r\nx: y", "control" },
        { "http://h\xc3\xa9/", "non-ASCII" },
        { "http://[::1/", "IPv6" },
        { "http://a_%00b/", "host" },
        { "http://a%0d%0ab/", "host" },
        { "http://a%20b/", "host" },
        { "http://a%c3%a9b/", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_url *u = NULL;
        struct peri_fault fault = { PERI_OK, "" };
        CHECK_EQ(peri_url_parse(&u, peri_str_of(cases[i].text), &fault), PERI_EINVAL);
        if (strstr(fault.text, cases[i].says) == NULL)
            fprintf(stderr, "%s: %s\n", cases[i].text, fault.text);
        CHECK(strstr(fault.text, cases[i].says) != NULL);
        CHECK(strstr(fault.text, "secret") == NULL);
        peri_url_unref(u);
    }
}

TEST(a_path_goes_behind_the_path_and_before_the_query) {
    static const struct {
        const char *base, *path, *want;
    } cases[] = {
        { "https://h/v1", "/chat/completions", "https://h/v1/chat/completions" },
        { "https://h/v1/", "/chat/completions", "https://h/v1/chat/completions" },
        { "https://h", "/models", "https://h/models" },
        { "https://h/o?k=1", "/models", "https://h/o/models?k=1" },
        { "https://h/o?k=1", "/models?limit=2", "https://h/o/models?k=1&limit=2" },
        { "https://h/o", "/models?limit=2", "https://h/o/models?limit=2" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_url *base = parse(cases[i].base), *joined = NULL;
        CHECK_EQ(peri_url_join(&joined, base, peri_str_of(cases[i].path)), PERI_OK);
        CHECK_STR(peri_url_text(joined), cases[i].want);
        peri_url_unref(base);
        peri_url_unref(joined);
    }
}

TEST(a_join_cannot_lead_to_another_host) {
    struct peri_url *base = parse("http://h"), *joined = NULL;
    CHECK_EQ(peri_url_join(&joined, base, PERI_STR(".evil.example/")), PERI_EINVAL);
    CHECK_EQ(peri_url_join(&joined, base, PERI_STR("@evil.example/")), PERI_EINVAL);
    CHECK_EQ(peri_url_join(&joined, base, PERI_STR("")), PERI_EINVAL);
    CHECK_EQ(peri_url_join(&joined, base, PERI_STR("//evil.example/")), PERI_OK);
    CHECK_STR(peri_url_host(joined), "h");
    peri_url_unref(joined);
    peri_url_unref(base);
}

TEST(a_url_lives_as_long_as_its_last_reference) {
    struct peri_url *u = parse("http://h/"), *again = peri_url_ref(u);
    peri_url_unref(u);
    CHECK_STR(peri_url_host(again), "h");
    peri_url_unref(again);
    peri_url_unref(NULL);
}

TEST(a_url_that_memory_runs_out_on_is_an_error_and_leaks_nothing) {
    enum peri_err err = PERI_OK;
    long failed = 0;
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_url *u = NULL;
        err = peri_url_parse(&u, PERI_STR("http://h/v1"), NULL);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        CHECK((u != NULL) == (err == PERI_OK));
        failed += err != PERI_OK;
        peri_url_unref(u);
    }
    CHECK_EQ(err, PERI_OK);
    CHECK(failed > 0);
}
