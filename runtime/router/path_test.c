#include "router/path.h"

#include "base/test.h"

#define CHAT PERI_STR("/v1/chat/completions")

static bool is_chat(const char *path) { return peri_path_is(peri_str_of(path), CHAT); }

TEST(path_is_the_same_with_any_base_url) {
    static const char *const same[] = { "/v1/chat/completions",   "/v1//chat/completions",
                                        "//v1/chat/completions",  "/chat/completions",
                                        "/v1/chat/completions/",  "//chat//completions//",
                                        "/v1/v1/chat/completions" };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) CHECK(is_chat(same[i]));
}

TEST(path_that_differs_is_another) {
    static const char *const others[] = { "",
                                          "/",
                                          "/v1",
                                          "/v1/chat",
                                          "/v1/completions",
                                          "/v1/chat/completions/x",
                                          "/v2/chat/completions",
                                          "/chat/v1/completions",
                                          "/v1/Chat/completions",
                                          "/v1/chat/completions.",
                                          "/v1/chatcompletions" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) CHECK(!is_chat(others[i]));
}

TEST(path_behind_keeps_what_the_client_wrote) {
    static const struct {
        const char *path, *rest;
    } rows[] = { { "/v1/models/org/m", "org/m" },
                 { "/v1/models/a%2Fb/", "a%2Fb/" },
                 { "//models/m", "m" },
                 { "/models//m", "/m" },
                 { "/v1/models", NULL },
                 { "/v1/models/", NULL },
                 { "/v1/model/m", NULL },
                 { "/v1/modelsm", NULL },
                 { "/v1/models/models", "models" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peri_str rest = peri_path_behind(peri_str_of(rows[i].path), PERI_STR("/v1/models"));
        CHECK_EQ(rest.p == NULL, rows[i].rest == NULL);
        CHECK_STR(rest, rows[i].rest);
    }
}

TEST(path_decodes_escapes_and_nothing_else) {
    static const struct {
        const char *from, *to;
    } rows[] = { { "a%2Fb%2f%3A+c", "a/b/:+c" }, { "%", "%" },        { "%2", "%2" },
                 { "%zz%25", "%zz%" },           { "m%C3%B6", "mö" }, { "", "" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[32];
        size_t n;
        CHECK(peri_path_decode(out, sizeof out, &n, peri_str_of(rows[i].from)));
        CHECK_STR(((struct peri_str){ out, n }), rows[i].to);
    }
    char out[2];
    size_t n;
    CHECK(peri_path_decode(out, sizeof out, &n, PERI_STR("%41%42")));
    CHECK(!peri_path_decode(out, sizeof out, &n, PERI_STR("%41%42c")));
}

TEST(path_distance_knows_no_version) {
    CHECK_EQ(peri_path_distance(PERI_STR("/chat/completion"), CHAT, 5), 1);
    CHECK_EQ(peri_path_distance(PERI_STR("/v1/chat/completion"), CHAT, 5), 1);
    CHECK_EQ(peri_path_distance(PERI_STR("/favicon.ico"), CHAT, 5), 6);
}
