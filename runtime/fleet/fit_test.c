#include "fleet/fit.h"

#include "base/json_edit.h"
#include "base/test.h"

/* One candidate with `context` tokens that lacks `lacks`; unlimited: nothing is known of it. */
static struct peri_config_model small_model, large_model;
static const struct peri_candidate small_one = { .model = &small_model };
static struct peri_candidate trio[3];

static struct peri_candidates candidates(uint64_t small_context, unsigned small_lacks,
                                         uint64_t large_context, unsigned large_lacks) {
    small_model =
        (struct peri_config_model){ .context_tokens = small_context, .lacks = small_lacks };
    large_model =
        (struct peri_config_model){ .context_tokens = large_context, .lacks = large_lacks };
    trio[0] = small_one;
    trio[1] = (struct peri_candidate){ .model = &large_model };
    trio[2] = (struct peri_candidate){ .model = NULL };
    return (struct peri_candidates){ trio, 2, PERI_STR("m"), true };
}

static struct peri_need need_of(const char *text, enum peri_dialect_id dialect,
                                struct peri_candidates from, size_t *fitting) {
    struct peri_json *j;
    struct peri_arena a;
    struct peri_need need = { 0 };
    peri_arena_init(&a, 0);
    CHECK_EQ(peri_json_parse(&j, peri_str_of(text), NULL, NULL), PERI_OK);
    struct peri_candidates c = peri_fit_select(&need, from, j, peri_dialect(dialect), &a);
    if (fitting != NULL) *fitting = c.count;
    peri_json_free(j);
    peri_arena_done(&a);
    return need;
}

static uint64_t words_of(const char *messages) {
    char text[2048];
    snprintf(text, sizeof text, "{\"messages\":[%s]}", messages);
    return need_of(text, PERI_DIALECT_CHAT, candidates(1, 0, 1000, 0), NULL).tokens;
}

TEST(fit_counts_words_behind_white_space) {
    CHECK_EQ(words_of("{\"role\":\"user\",\"content\":\"one two  three\"}"), 3);
    CHECK_EQ(words_of("{\"role\":\"user\",\"content\":\"one\\ntwo\\tthree\\r\\nfour\"}"), 4);
    CHECK_EQ(words_of("{\"role\":\"user\",\"content\":\"a-b_c.d e\\\"f\"}"), 2);
    CHECK_EQ(words_of("{\"role\":\"user\",\"content\":\"\"}"), 0);
    CHECK_EQ(words_of("{\"role\":\"user\",\"content\":\"12 34 -- == \\u00e9t\\u00e9 \\\\n x\"}"),
             1);
}

TEST(fit_counts_no_turn_of_the_models_own) {
    CHECK_EQ(
        words_of(
            "{\"role\":\"assistant\",\"content\":\"one two three\"},"
            "{\"role\":\"tool\",\"content\":\"four\"},{\"role\":\"system\",\"content\":\"five\"}"),
        2);
}

TEST(fit_counts_no_word_that_joining_parts_may_swallow) {
    CHECK_EQ(words_of("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one two\"},"
                      "{\"type\":\"text\",\"text\":\"three four five\"}]}"),
             3);
}

TEST(fit_looks_at_nothing_that_is_odd) {
    static const char *const texts[] = {
        "{}",
        "{\"messages\":null}",
        "{\"messages\":{}}",
        "{\"messages\":[1,null,\"x\",[]]}",
        "{\"messages\":[{\"content\":7},{\"content\":[1,\"image_url\",{\"type\":7,\"text\":[]}]}]}",
        "{\"tools\":7}",
        "{\"tools\":[]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct peri_need need =
            need_of(texts[i], PERI_DIALECT_CHAT, candidates(1, PERI_TAKES_ALL, 1, 0), NULL);
        CHECK_EQ(need.abilities, 0);
        CHECK_EQ(need.tokens, 0);
    }
}

TEST(fit_knows_the_parts_of_content) {
    static const struct {
        const char *type;
        unsigned ability;
    } parts[] = { { "text", 0 },
                  { "image_url", PERI_TAKES_IMAGES },
                  { "input_image", PERI_TAKES_IMAGES },
                  { "image", PERI_TAKES_IMAGES },
                  { "input_audio", PERI_TAKES_AUDIO },
                  { "video_url", PERI_TAKES_VIDEO },
                  { "file", PERI_TAKES_FILES } };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"messages\":[{\"content\":\"x\"},{\"content\":[{\"type\":\"%s\"}]}]}",
                 parts[i].type);
        struct peri_candidates c = candidates(0, PERI_TAKES_MEDIA, 0, 0);
        CHECK_EQ(need_of(text, PERI_DIALECT_CHAT, c, NULL).abilities, parts[i].ability);
    }
    struct peri_candidates c = candidates(0, PERI_TAKES_TOOLS, 0, 0);
    CHECK_EQ(need_of("{\"tools\":[{}]}", PERI_DIALECT_CHAT, c, NULL).abilities, PERI_TAKES_TOOLS);
}

TEST(fit_does_not_look_at_what_no_limit_asks_for) {
    const char *text = "{\"tools\":[{}],\"messages\":[{\"content\":[{\"type\":\"image_url\"}]},"
                       "{\"content\":\"one two three\"}]}";
    struct peri_need need = need_of(text, PERI_DIALECT_CHAT, candidates(0, 0, 0, 0), NULL);
    CHECK_EQ(need.abilities, 0);
    CHECK_EQ(need.tokens, 0);
    /* fewer bytes than tokens: it fits, whatever the words are */
    CHECK_EQ(need_of(text, PERI_DIALECT_CHAT, candidates(strlen(text), 0, 0, 0), NULL).tokens, 0);
    CHECK_EQ(need_of(text, PERI_DIALECT_CHAT, candidates(strlen(text) - 1, 0, 0, 0), NULL).tokens,
             3);
}

TEST(fit_leaves_out_who_can_not_take_it) {
    size_t n;
    const char *image = "{\"messages\":[{\"content\":[{\"type\":\"image_url\"}]}]}";
    need_of(image, PERI_DIALECT_CHAT, candidates(0, PERI_TAKES_IMAGES, 0, PERI_TAKES_TOOLS), &n);
    CHECK_EQ(n, 1);
    need_of(image, PERI_DIALECT_CHAT, candidates(0, PERI_TAKES_IMAGES, 0, PERI_TAKES_IMAGES), &n);
    CHECK_EQ(n, 0);
    const char *four = "{\"messages\":[{\"content\":\"one two three four\"}]}";
    need_of(four, PERI_DIALECT_CHAT, candidates(3, 0, 4, 0), &n);
    CHECK_EQ(n, 1);
    need_of(four, PERI_DIALECT_CHAT, candidates(3, 0, 0, 0),
            &n); /* of the second nothing is known */
    CHECK_EQ(n, 1);
    need_of(four, PERI_DIALECT_CHAT, candidates(4, 0, 4, 0), &n);
    CHECK_EQ(n, 2);
    struct peri_candidates all = candidates(3, 0, 3, 0);
    all.count = 3; /* with one that takes every name */
    need_of(four, PERI_DIALECT_CHAT, all, &n);
    CHECK_EQ(n, 1);
}

TEST(fit_judges_prompts_and_leaves_embeddings_alone) {
    size_t n;
    need_of("{\"prompt\":\"one two three four\"}", PERI_DIALECT_COMPLETIONS, candidates(3, 0, 4, 0),
            &n);
    CHECK_EQ(n, 1);
    need_of("{\"prompt\":[1,2,3]}", PERI_DIALECT_COMPLETIONS, candidates(1, 0, 1, 0), &n);
    CHECK_EQ(n, 2);
    need_of("{\"input\":\"one two three four\"}", PERI_DIALECT_EMBEDDINGS, candidates(3, 0, 3, 0),
            &n);
    CHECK_EQ(n, 2);
}

TEST(fit_lets_a_provider_cut_what_it_may_cut) {
    size_t n;
    need_of("{\"transforms\":[\"middle-out\"],\"messages\":[{\"content\":\"one two three four\"}]}",
            PERI_DIALECT_CHAT, candidates(3, 0, 3, 0), &n);
    CHECK_EQ(n, 2);
}

/* Stops counting one word beyond what anybody takes, and looks at edits as they now stand. */
TEST(fit_reads_edited_documents) {
    struct peri_json *j;
    struct peri_arena a;
    struct peri_need need;
    peri_arena_init(&a, 0);
    CHECK_EQ(peri_json_parse(&j, PERI_STR("{\"messages\":[{\"content\":\"x\"}]}"), NULL, NULL),
             PERI_OK);
    struct peri_candidates c = candidates(3, 0, 4, 0);
    uint32_t message =
        peri_json_at(j, peri_json_get(j, peri_json_root(j), PERI_STR("messages")), 0);
    CHECK_EQ(peri_json_set_string(j, message, PERI_STR("content"), PERI_STR("a b c d e f g h")),
             PERI_OK);
    CHECK_EQ(peri_fit_select(&need, c, j, &peri_dialect_chat, &a).count, 0);
    CHECK_EQ(need.tokens, 5);
    CHECK_EQ(peri_json_set_string(j, message, PERI_STR("content"), PERI_STR("a b c d")), PERI_OK);
    CHECK_EQ(peri_fit_select(&need, c, j, &peri_dialect_chat, &a).count, 1);
    peri_json_free(j);
    peri_arena_done(&a);
}

TEST(fit_says_why) {
    struct peri_misfit why;
    struct peri_candidates c = candidates(3, PERI_TAKES_IMAGES, 4, 0);
    peri_fit_say(&why, c, &(struct peri_need){ .tokens = 5 }, PERI_STR("m"));
    CHECK_STR(peri_str_of(why.code), "context_length_exceeded");
    CHECK(strstr(why.message, "maximum context length is 4 tokens") != NULL);
    c = candidates(0, PERI_TAKES_ALL, 0, PERI_TAKES_IMAGES);
    struct peri_need both = { .abilities = PERI_TAKES_IMAGES | PERI_TAKES_TOOLS };
    peri_fit_say(&why, c, &both, PERI_STR("m"));
    CHECK_STR(peri_str_of(why.message),
              "no provider of the model 'm' takes tools and images, and the request has them");
    CHECK_STR(peri_str_of(why.code), "unsupported_content");
    both.abilities = PERI_TAKES_TOOLS;
    c = candidates(0, PERI_TAKES_TOOLS, 0, PERI_TAKES_TOOLS);
    peri_fit_say(&why, c, &both, PERI_STR("m"));
    CHECK_STR(peri_str_of(why.code), "unsupported_parameter");
    CHECK_STR(peri_str_of(why.param), "tools");
}
