#include "dialect/fold.h"

#include "base/json.h"
#include "base/test.h"

static void check(bool is_chat, const char *events, const char *want) {
    struct peri_buf out;
    size_t n = strlen(events);
    char *p = test_guarded(events, n);
    peri_buf_init(&out, 0);
    enum peri_err err = is_chat ? peri_chat_whole_of_stream(&out, (struct peri_str){ p, n })
                                : peri_completions_whole_of_stream(&out, (struct peri_str){ p, n });
    CHECK_EQ(err == PERI_OK, want != NULL);
    if (err == PERI_OK) {
        struct peri_json *json;
        CHECK_EQ(peri_json_parse(&json, peri_buf_str(&out), NULL, NULL), PERI_OK);
        peri_json_free(json);
        CHECK_STR(peri_buf_str(&out), want);
    }
    peri_buf_done(&out);
    test_guarded_free(p, n);
}

#define HEAD "\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","

TEST(fold_puts_texts_together) {
    check(true,
          "[{" HEAD
          "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]},"
          "{" HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"fi\\ud83d\"}}]},"
          "{" HEAD
          "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ude00ne\",\"reasoning\":\"hm\"},"
          "\"finish_reason\":null}]},"
          "{" HEAD "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]},"
          "{" HEAD "\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}]",
          "{\"object\":\"chat.completion\",\"id\":\"c\",\"created\":1,\"model\":\"m\",\"choices\":["
          "{\"index\":"
          "0,\"message\":{\"role\":\"assistant\",\"content\":\"fi\\ud83d\\ude00ne\",\"reasoning\":"
          "\"hm\"},"
          "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}");
}

TEST(fold_puts_calls_and_choices_together_by_index) {
    check(
        true,
        "[{\"choices\":[{\"index\":1,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"type\":"
        "\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}]}}]},"
        "{\"choices\":[{\"index\":1,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\","
        "\"function\":{\"name\":"
        "\"f\",\"arguments\":\"{}\"}},{\"index\":1,\"function\":{\"name\":\"g\",\"arguments\":\"}"
        "\"}}]}}]},"
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]},"
        "{\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}]",
        "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
        "\"assistant\","
        "\"content\":\"x\"},\"finish_reason\":\"stop\"},{\"index\":1,\"message\":{\"role\":"
        "\"assistant\","
        "\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
        "\"{}\"}},"
        "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
        "\"finish_reason\":\"tool_calls\"}]}");
}

TEST(fold_keeps_what_it_does_not_know) {
    check(true,
          "[{\"choices\":[{\"delta\":{\"content\":null,\"audio\":{\"id\":\"a\",\"data\":\"AA\"}},"
          "\"logprobs\":{\"content\":[{\"token\":\"x\"}]}}],\"citations\":[\"u\"]},"
          "{\"choices\":[{\"delta\":{\"audio\":{\"data\":\"BB\",\"expires_at\":5}},\"logprobs\":{"
          "\"content\":"
          "[{\"token\":\"y\"}]}}],\"citations\":[\"u\",\"v\"]}]",
          "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
          "\"assistant\","
          "\"content\":null,\"audio\":{\"id\":\"a\",\"data\":\"AABB\",\"expires_at\":5}},"
          "\"logprobs\":{\"content\":"
          "[{\"token\":\"x\"},{\"token\":\"y\"}]},\"finish_reason\":null}],\"citations\":[\"u\","
          "\"v\"]}");
}

TEST(fold_of_a_prompts_completion) {
    check(false,
          "[{\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_"
          "reason\":null}]},"
          "{\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_"
          "reason\":\"length\"}]"
          "}]",
          "{\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"ab\",\"finish_"
          "reason\":"
          "\"length\"}]}");
}

TEST(fold_refuses_what_is_no_answer) {
    check(true, "[]", NULL);
    check(true, "[{\"id\":\"x\"}]", NULL);
    check(true, "[{\"choices\":{}}]", NULL);
    check(true, "[{\"choices\":[{\"delta\":{}}]},{\"choices\":7}]", NULL);
    check(true, "[{", NULL);
}

/* Looking for one place among many others, for each event, would keep the loop. */
TEST(fold_refuses_more_places_than_an_answer_has) {
    static const struct {
        const char *head, *one, *tail;
    } rows[] = { { "[{\"choices\":[", "{\"index\":%d}", "]}]" },
                 { "[{\"choices\":[{\"delta\":{", "\"k%d\":1", "}}]}]" },
                 { "[{\"choices\":[{\"delta\":{\"tool_calls\":[", "{\"index\":%d}", "]}}]}]" },
                 { "[{\"choices\":[{\"delta\":{}}],", "\"k%d\":1", "}]" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int count = 120; count <= 130; count += 10) {
            char events[4096];
            struct peri_buf out;
            size_t n = (size_t)snprintf(events, sizeof events, "%s", rows[i].head);
            for (int k = 0; k < count; k++) {
                if (k > 0) events[n++] = ',';
                n += (size_t)snprintf(events + n, sizeof events - n, rows[i].one, k);
            }
            n += (size_t)snprintf(events + n, sizeof events - n, "%s", rows[i].tail);
            peri_buf_init(&out, 0);
            enum peri_err err = peri_chat_whole_of_stream(&out, (struct peri_str){ events, n });
            CHECK_EQ(err, count > 128 ? PERI_EPROTO : PERI_OK);
            peri_buf_done(&out);
        }
    }
}

TEST(fold_out_of_memory_is_an_error_and_nothing_leaks) {
    struct peri_str events =
        PERI_STR("[{\"choices\":[{\"delta\":{\"content\":\"a\"}}]},{\"choices\":[{\"delta\":"
                 "{\"content\":\"b\"}}]}]");
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_buf out;
        peri_buf_init(&out, 0);
        enum peri_err err = peri_chat_whole_of_stream(&out, events);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        if (test_torture_done) CHECK_EQ(err, PERI_OK);
        peri_buf_done(&out);
    }
}
