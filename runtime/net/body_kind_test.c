#include "net/body_kind.h"

#include "base/test.h"

TEST(body_kind_is_known_by_the_first_bytes) {
    static const struct {
        enum peri_body_kind kind;
        const char *body;
    } rows[] = { { PERI_BODY_JSON, "{\"a\":1}" },
                 { PERI_BODY_JSON, "\r\n\n\t [1]" },
                 { PERI_BODY_JSON, "\xef\xbb\xbf\n{" },
                 { PERI_BODY_EVENTS, "data: {}" },
                 { PERI_BODY_EVENTS, "\n\ndata:[DONE]" },
                 { PERI_BODY_EVENTS, ": keepalive" },
                 { PERI_BODY_EVENTS, "event: x\n" },
                 { PERI_BODY_EVENTS, "id:1" },
                 { PERI_BODY_EVENTS, "retry: 1" },
                 { PERI_BODY_EVENTS, "\xef\xbb\xbf"
                                     "data: {}" },
                 { PERI_BODY_PAGE, "<html>" },
                 { PERI_BODY_PAGE, " \n<?xml" },
                 { PERI_BODY_OTHER, "data {}" },
                 { PERI_BODY_OTHER, "\"text\"" },
                 { PERI_BODY_OTHER, "Data: x" },
                 { PERI_BODY_OTHER, "not json" },
                 { PERI_BODY_OTHER, "\xef\xbb{}" },
                 { PERI_BODY_OTHER, "0" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t whole = strlen(rows[i].body);
        for (size_t n = 0; n <= whole; n++) {
            char *p = test_guarded(rows[i].body, n);
            enum peri_body_kind kind = peri_body_kind_of((struct peri_str){ p, n });
            /* What is known early is known for good. */
            CHECK(kind == rows[i].kind || (kind == PERI_BODY_UNKNOWN && n < whole));
            test_guarded_free(p, n);
        }
    }
    CHECK_EQ(peri_body_kind_of((struct peri_str){ "\0{", 2 }), PERI_BODY_OTHER);
}

TEST(body_kind_is_the_same_when_blanks_are_not_kept) {
    static const char *const bodies[] = { "  \n\n{",
                                          "\xef\xbb\xbf \n {",
                                          " \n\xef\xbb\xbf{",
                                          "\xef\xbb\xbf{",
                                          "\n\ndata: x",
                                          "\xef\xbb\xbf\n\xef\xbb\xbf{",
                                          "\t\t<",
                                          " x" };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char kept[32];
        size_t n = 0;
        enum peri_body_kind kind = PERI_BODY_UNKNOWN;
        for (const char *p = bodies[i]; *p != '\0' && kind == PERI_BODY_UNKNOWN; p++) {
            kept[n++] = *p;
            kind = peri_body_kind_of((struct peri_str){ kept, n });
            size_t blanks = peri_body_blanks((struct peri_str){ kept, n });
            if (kind == PERI_BODY_UNKNOWN) memmove(kept, kept + blanks, n -= blanks);
        }
        CHECK_EQ(kind, peri_body_kind_of(peri_str_of(bodies[i])));
    }
    CHECK_EQ(peri_body_blanks(PERI_STR("\xef\xbb\xbf \n\n")), 5);
    CHECK_EQ(peri_body_blanks(PERI_STR("\xef\xbb\xbf")), 0);
    CHECK_EQ(peri_body_blanks(PERI_STR("")), 0);
}

TEST(body_kind_of_labels) {
    static const struct {
        enum peri_body_kind kind;
        const char *label;
    } rows[] = { { PERI_BODY_EVENTS, "text/event-stream" },
                 { PERI_BODY_EVENTS, "Text/Event-Stream ; charset=UTF-8" },
                 { PERI_BODY_JSON, "application/json; charset=utf-8" },
                 { PERI_BODY_JSON, "application/problem+JSON" },
                 { PERI_BODY_JSON, "text/json" },
                 { PERI_BODY_UNKNOWN, "application/+json" },
                 { PERI_BODY_UNKNOWN, "text/plain" },
                 { PERI_BODY_UNKNOWN, "application/jsonl" },
                 { PERI_BODY_UNKNOWN, "text/html" },
                 { PERI_BODY_UNKNOWN, "" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_EQ(peri_body_kind_of_label(peri_str_of(rows[i].label)), rows[i].kind);
}
