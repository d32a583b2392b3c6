#include "fleet/model_list.h"

#include "base/test.h"
#include "dialect/ability.h"

static struct peri_model_list *read_list(const char *text) {
    struct peri_model_list *l;
    struct peri_fault fault = { .text = "" };
    enum peri_err err = peri_model_list_read(&l, peri_str_of(text), &fault);
    if (err == PERI_OK) return l;
    fprintf(stderr, "%s: %s\n", text, fault.text);
    CHECK_EQ(err, PERI_OK);
    return NULL;
}

/* What one entry with these members says. */
static struct peri_config_model entry(const char *members) {
    char text[1024];
    snprintf(text, sizeof text, "{\"object\":\"list\",\"data\":[{\"id\":\"m\",%s}]}", members);
    struct peri_model_list *l = read_list(text);
    struct peri_config_model m = l->models[0];
    peri_model_list_unref(l);
    return m;
}

TEST(model_list_reads_every_shape) {
    static const char *const texts[] = {
        "{\"object\":\"list\",\"data\":[{\"id\":\"a\"},{\"id\":\"B\"}]}",
        "{\"models\":[{\"id\":\"a\"},{\"id\":\"B\"}]}",
        "[{\"id\":\"a\"},{\"id\":\"B\"}]",
        "{\"models\":7,\"data\":[{\"id\":\"a\"},7,{\"id\":\"B\"},{\"id\":\"a\"},{\"id\":1},{}]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct peri_model_list *l = read_list(texts[i]);
        CHECK_EQ(l->count, 2);
        CHECK_STR(l->models[0].name, "a");
        CHECK_STR(l->models[1].upstream, "B");
        CHECK(peri_model_list_find(l, PERI_STR("b")) == &l->models[1]);
        CHECK(peri_model_list_find(l, PERI_STR("c")) == NULL);
        peri_model_list_unref(l);
    }
}

TEST(model_list_reads_what_others_say_of_tokens) {
    struct peri_config_model m = entry("\"max_model_len\":131072"); /* vLLM */
    CHECK_EQ(m.context_tokens, 131072);
    CHECK_EQ(m.max_output_tokens, 0);
    m = entry("\"context_length\":262144,\"top_provider\":{\"max_completion_tokens\":32768}");
    CHECK_EQ(m.context_tokens, 262144); /* OpenRouter */
    CHECK_EQ(m.max_output_tokens, 32768);
    m = entry(
        "\"model_info\":{\"max_input_tokens\":128000,\"max_output_tokens\":4096}"); /* LiteLLM */
    CHECK_EQ(m.context_tokens, 128000);
    CHECK_EQ(m.max_output_tokens, 4096);
    m = entry("\"context_length\":240000,\"max_output_length\":16000"); /* a Gonka node */
    CHECK_EQ(m.context_tokens, 240000);
    CHECK_EQ(m.max_output_tokens, 16000);
    m = entry("\"context_length\":4096,\"max_completion_tokens\":4096"); /* Gonka's gateway */
    CHECK_EQ(m.context_tokens, 0);
    CHECK_EQ(m.max_output_tokens, 4096);
    m = entry("\"context_length\":null,\"max_model_len\":\"8192\",\"context_window\":-1,"
              "\"max_context_length\":1e99,\"max_input_tokens\":1.5");
    CHECK_EQ(m.context_tokens, 0);
}

TEST(model_list_reads_what_others_say_of_abilities) {
    CHECK_EQ(entry("\"x\":1").lacks, 0);
    CHECK_EQ(entry("\"input_modalities\":[\"text\"]").lacks, PERI_TAKES_MEDIA);
    CHECK_EQ(entry("\"architecture\":{\"input_modalities\":[\"text\",\"image\",\"file\"]}").lacks,
             PERI_TAKES_AUDIO | PERI_TAKES_VIDEO);
    CHECK_EQ(entry("\"architecture\":{\"input_modalities\":[]},\"input_modalities\":7").lacks, 0);
    CHECK_EQ(entry("\"supported_parameters\":[\"temperature\"]").lacks, PERI_TAKES_TOOLS);
    CHECK_EQ(entry("\"supported_parameters\":[\"tools\",\"temperature\"]").lacks, 0);
    CHECK_EQ(entry("\"capabilities\":{\"vision\":false,\"function_calling\":true}").lacks,
             PERI_TAKES_IMAGES);
    CHECK_EQ(entry("\"supports_function_calling\":false").lacks, PERI_TAKES_TOOLS);
    CHECK_EQ(entry("\"supports_vision\":null").lacks, 0);
}

TEST(model_list_leaves_out_names_that_are_none) {
    char text[1024], name[300];
    memset(name, 'n', sizeof name);
    snprintf(text, sizeof text,
             "[{\"id\":\"\"},{\"id\":\"a\\nb\"},{\"id\":\"a\\u0000b\"},{\"id\":\"%.257s\"},"
             "{\"id\":\"%.256s\"},{\"id\":\"\\u043c\"}]",
             name, name);
    struct peri_model_list *l = read_list(text);
    CHECK_EQ(l->count, 2);
    CHECK_EQ(l->models[0].name.n, 256);
    CHECK_STR(l->models[1].name, "\xd0\xbc");
    peri_model_list_unref(l);
}

TEST(model_list_refuses_what_is_no_list) {
    static const struct {
        const char *text;
        enum peri_err err;
    } cases[] = { { "", PERI_EMALFORMED },
                  { "<html>", PERI_EMALFORMED },
                  { "7", PERI_EMALFORMED },
                  { "{\"data\":{}}", PERI_EMALFORMED },
                  { "{\"error\":{\"message\":\"no\"}}", PERI_EMALFORMED },
                  { "{\"data\":[]}", PERI_ENOTFOUND },
                  { "{\"data\":[{\"name\":\"m\"}]}", PERI_ENOTFOUND } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_model_list *l;
        struct peri_fault fault = { .text = "" };
        CHECK_EQ(peri_model_list_read(&l, peri_str_of(cases[i].text), &fault), cases[i].err);
        CHECK(fault.text[0] != '\0');
    }
}

TEST(model_list_refuses_more_models_than_its_limit) {
    size_t n = 0, room = (PERI_MODEL_LIST_MAX + 1) * 24;
    char *text = malloc(room);
    struct peri_model_list *l;
    struct peri_fault fault = { .text = "" };
    for (int i = 0; i <= PERI_MODEL_LIST_MAX; i++)
        n += (size_t)snprintf(text + n, room - n, "%c{\"id\":\"m%d\"}", i == 0 ? '[' : ',', i);
    text[n++] = ']';
    CHECK_EQ(peri_model_list_read(&l, (struct peri_str){ text, n }, &fault), PERI_ETOOBIG);
    free(text);
}

TEST(model_list_knows_when_it_says_the_same) {
    static const char *const texts[] = { "[{\"id\":\"a\"}]", "[{\"id\":\"A\"}]",
                                         "[{\"id\":\"a\"},{\"id\":\"b\"}]",
                                         "[{\"id\":\"a\",\"max_model_len\":5}]",
                                         "[{\"id\":\"a\",\"supports_vision\":false}]" };
    size_t count = sizeof texts / sizeof *texts;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            struct peri_model_list *a = read_list(texts[i]), *b = read_list(texts[k]);
            CHECK(peri_model_list_equal(a, b) == (i == k));
            peri_model_list_unref(a);
            peri_model_list_unref(b);
        }
}

TEST(model_list_out_of_memory_is_an_error_and_nothing_leaks) {
    struct peri_fault fault;
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_model_list *l = NULL;
        enum peri_err err = peri_model_list_read(
            &l, PERI_STR("[{\"id\":\"\\u0061\",\"input_modalities\":[\"te\\u0078t\"]}]"), &fault);
        if (err == PERI_OK) peri_model_list_unref(l);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
    }
}
