#include "config/model_pattern.h"

#include "base/test.h"

TEST(model_pattern_star_stands_for_any_text) {
    static const struct {
        const char *pattern, *name, *star; /* star NULL: no match */
    } rows[] = { { "claude-*", "claude-3", "3" },
                 { "claude-*", "Claude-3", "3" },
                 { "claude-*", "claude-", "" },
                 { "claude-*", "claude", NULL },
                 { "claude-*", "my-claude-3", NULL },
                 { "openai/*", "openai/gpt/4", "gpt/4" },
                 { "*", "", "" },
                 { "*", "x", "x" },
                 { "*-preview", "o1-preview", "o1" },
                 { "*-preview", "preview", NULL },
                 { "a*a", "a", NULL },
                 { "a*a", "aa", "" },
                 { "a*a", "aXa", "X" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peri_str star = { NULL, 0 };
        bool is_match =
            peri_pattern_matches(peri_str_of(rows[i].pattern), peri_str_of(rows[i].name), &star);
        CHECK_EQ(is_match, rows[i].star != NULL);
        if (is_match) CHECK_STR(star, rows[i].star);
    }
    CHECK(peri_pattern_matches(PERI_STR("m"), PERI_STR("M"), NULL));
    CHECK(!peri_pattern_matches(PERI_STR("m"), PERI_STR("mm"), NULL));
}

TEST(model_pattern_covers_what_is_narrower) {
    static const struct {
        bool covers;
        const char *wide, *narrow;
    } rows[] = { { true, "*", "claude-*" },
                 { true, "*", "x" },
                 { true, "claude-*", "CLAUDE-*" },
                 { true, "c*", "claude-*-x" },
                 { true, "c*x", "claude-*-x" },
                 { false, "c*y", "claude-*-x" },
                 { false, "claude-*", "c*" },
                 { false, "claude-*", "*" },
                 { false, "x", "*" },
                 { true, "claude-*", "claude-3" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_EQ(peri_pattern_covers(peri_str_of(rows[i].wide), peri_str_of(rows[i].narrow)),
                 rows[i].covers);
}
