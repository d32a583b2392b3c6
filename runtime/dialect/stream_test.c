#include "dialect/stream.h"

#include <stdio.h>
#include <time.h>

#include "base/test.h"

static const char *const kind_names[] = { "lifecycle", "progress", "content",  "finish",
                                          "usage",     "done",     "error",    "reset",
                                          "whole",     "empty",    "internal", "broken" };

static enum peri_stream_kind read_one(struct peri_stream_state *s, const char *data) {
    size_t n = strlen(data);
    char *p = test_guarded(data, n);
    enum peri_stream_kind kind = peri_stream_read(s, PERI_STR(""), (struct peri_str){ p, n });
    test_guarded_free(p, n);
    return kind;
}

#define DELTA(inner) "{\"choices\":[{\"index\":0,\"delta\":{" inner "},\"finish_reason\":null}]}"

TEST(stream_tells_what_an_event_decides) {
    static const struct {
        enum peri_stream_kind kind;
        const char *data;
    } cases[] = {
        { PERI_STREAM_LIFECYCLE, DELTA("\"role\":\"assistant\",\"content\":\"\"") },
        { PERI_STREAM_LIFECYCLE, DELTA("\"role\":\"assistant\",\"content\":null") },
        { PERI_STREAM_LIFECYCLE, DELTA("\"content\":null,\"tool_calls\":[],\"reasoning\":\"\"") },
        { PERI_STREAM_LIFECYCLE, DELTA("") },
        { PERI_STREAM_LIFECYCLE, "{\"choices\":[]}" },
        { PERI_STREAM_LIFECYCLE, "{\"choices\":[],\"usage\":null}" },
        { PERI_STREAM_LIFECYCLE,
          "{\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}" },
        { PERI_STREAM_LIFECYCLE, "{\"choices\":null}" },
        { PERI_STREAM_LIFECYCLE, "{\"error\":null,\"choices\":[{\"delta\":{}}]}" },
        { PERI_STREAM_INTERNAL, "{\"devshard_receipt\":{\"nonce\":7}}" },
        { PERI_STREAM_INTERNAL, "{\"devshard_meta\":{\"mempool\":[\"AA==\"]}}" },
        { PERI_STREAM_INTERNAL, "{\"devshard_stream_reset\":false}" },
        { PERI_STREAM_LIFECYCLE,
          "{\"choices\":[{\"text\":\"\",\"index\":0,\"finish_reason\":null}]}" },
        { PERI_STREAM_LIFECYCLE, "{\"choices\":\"content\"}" },
        { PERI_STREAM_PROGRESS,
          "{\"choices\":[{\"delta\":{\"content\":null}}],\"prompt_progress\":{\"total\":9}}" },
        { PERI_STREAM_PROGRESS, "{\"choices\":[],\"prompt_progress\":{\"total\":9}}" },
        { PERI_STREAM_LIFECYCLE, "{\"choices\":[],\"prompt_progress\":null}" },
        { PERI_STREAM_LIFECYCLE, "{\"choices\":[],\"x\":{\"prompt_progress\":{\"total\":9}}}" },
        { PERI_STREAM_CONTENT, "{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],"
                               "\"prompt_progress\":{\"total\":9}}" },
        { PERI_STREAM_CONTENT, DELTA("\"content\":\"Hi\"") },
        { PERI_STREAM_CONTENT, DELTA("\"content\":\" \"") },
        { PERI_STREAM_CONTENT, DELTA("\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}]") },
        { PERI_STREAM_CONTENT, DELTA("\"reasoning_content\":\"Hm\"") },
        { PERI_STREAM_CONTENT, DELTA("\"reasoning\":\"Hm\"") },
        { PERI_STREAM_CONTENT, DELTA("\"reasoning_details\":[{\"text\":\"Hm\"}]") },
        { PERI_STREAM_CONTENT, DELTA("\"refusal\":\"no\"") },
        { PERI_STREAM_CONTENT, DELTA("\"role\":\"assistant\",\"reasoning_text\":\"Hm\"") },
        { PERI_STREAM_CONTENT, DELTA("\"content\":\"\", \"thinking\" : \"Hm\"") },
        { PERI_STREAM_CONTENT, DELTA("\"a\":{\"b\":\"}\\\"\"},\"n\":1,\"thought\":\"\\\"\"") },
        { PERI_STREAM_CONTENT, DELTA("\"a\":true,\"name\":\"x\",\"summary\":\"Hm\"") },
        { PERI_STREAM_LIFECYCLE,
          DELTA("\"role\":\"assistant\",\"name\":\"x\",\"channel\":\"final\"") },
        { PERI_STREAM_LIFECYCLE,
          DELTA("\"thinking\":\"\",\"thought\":null,\"x\":[\"a\"],\"y\":{\"z\":\"a\"}") },
        { PERI_STREAM_LIFECYCLE, DELTA("\"x\":true,\"y\":1.5e3") },
        { PERI_STREAM_LIFECYCLE, "{\"error\":{ },\"choices\":[{\"delta\":{}}]}" },
        { PERI_STREAM_LIFECYCLE, "{\"error\":\"\",\"choices\":[{\"delta\":{}}]}" },
        { PERI_STREAM_LIFECYCLE, "{\"error\":false,\"choices\":[{\"delta\":{},\"error\":{}}]}" },
        { PERI_STREAM_ERROR, "{\"error\":true,\"choices\":[{\"delta\":{}}]}" },
        { PERI_STREAM_ERROR, "{\"choices\":[{\"delta\":{},\"error\":{\"code\":502}}]}" },
        { PERI_STREAM_ERROR, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}" },
        { PERI_STREAM_ERROR, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"network_error\"}]}" },
        { PERI_STREAM_ERROR, "{\"choices\":[{\"message\":{\"content\":\"\"},"
                             "\"finish_reason\":\"insufficient_system_resource\"}]}" },
        { PERI_STREAM_CONTENT,
          "{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"error\"}]}" },
        { PERI_STREAM_CONTENT,
          DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}}]") },
        { PERI_STREAM_CONTENT, DELTA("\"function_call\":{\"name\":\"f\"}") },
        { PERI_STREAM_CONTENT, DELTA("\"audio\":{\"id\":\"a\"}") },
        { PERI_STREAM_CONTENT,
          "{\"choices\":[{\"text\":\"Hi\",\"index\":0,\"finish_reason\":null}]}" },
        { PERI_STREAM_CONTENT, "{\"choices\":[{\"index\":0,\"delta\":{}},{\"index\":1,\"delta\":{"
                               "\"content\":\"x\"}}]}" },
        { PERI_STREAM_CONTENT,
          "{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}" },
        { PERI_STREAM_FINISH,
          "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}" },
        { PERI_STREAM_FINISH, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}],"
                              "\"usage\":{\"prompt_tokens\":1,"
                              "\"completion_tokens\":1}}" },
        { PERI_STREAM_USAGE,
          "{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}" },
        { PERI_STREAM_DONE, "[DONE]" },
        { PERI_STREAM_DONE, "[DONE] " },
        { PERI_STREAM_ERROR, "{\"error\":{\"message\":\"overloaded\"}}" },
        { PERI_STREAM_ERROR, "{\"error\":\"overloaded\"}" },
        { PERI_STREAM_ERROR, "{\"object\":\"error\",\"message\":\"no\",\"code\":400}" },
        { PERI_STREAM_ERROR,
          "{\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"error\":{\"code\":502}}" },
        { PERI_STREAM_RESET, "{\"devshard_stream_reset\":true}" },
        { PERI_STREAM_WHOLE, "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
                             "\"message\":{\"role\":\"assistant\","
                             "\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}" },
        { PERI_STREAM_EMPTY, "" },
        { PERI_STREAM_EMPTY, " " },
        { PERI_STREAM_BROKEN, "{\"choices\":[{\"delta\":{\"content\":\"H" },
        { PERI_STREAM_BROKEN, "{\"choices\":[]}}" },
        { PERI_STREAM_BROKEN, "{\"choices\":[],}" },
        { PERI_STREAM_BROKEN, "{\"a\":\"\xff\"}" },
        { PERI_STREAM_BROKEN, "error: upstream reset" },
        { PERI_STREAM_BROKEN, "[]" },
        { PERI_STREAM_BROKEN, "null" },
        { PERI_STREAM_BROKEN, "[DON" },
        { PERI_STREAM_BROKEN, "<html>" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_stream_state s = { 0 };
        enum peri_stream_kind kind = read_one(&s, cases[i].data);
        if (kind != cases[i].kind)
            fprintf(stderr, "%s: %s instead of %s\n", cases[i].data, kind_names[kind],
                    kind_names[cases[i].kind]);
        CHECK_EQ(kind, cases[i].kind);
        CHECK_EQ(s.saw_content, kind == PERI_STREAM_CONTENT || kind == PERI_STREAM_WHOLE);
    }
}

TEST(stream_takes_an_error_event_by_its_name) {
    struct peri_stream_state s = { 0 };
    CHECK_EQ(peri_stream_read(&s, PERI_STR("error"), PERI_STR("boom")), PERI_STREAM_ERROR);
    CHECK(s.saw_error);
    CHECK(!peri_stream_is_complete(&s));
}

TEST(stream_is_complete_when_each_choice_has_finished) {
    struct peri_stream_state s = { 0 };
    CHECK(!peri_stream_is_complete(&s));
    read_one(&s, "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}},{\"index\":1,\"delta\":"
                 "{\"content\":\"b\"}}]}");
    read_one(&s, "{\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}");
    CHECK(s.saw_finish);
    CHECK(!peri_stream_is_complete(&s));
    read_one(&s, "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}");
    CHECK(peri_stream_is_complete(&s));
    CHECK_STR(peri_str_of(s.finish_reason), "length");
    CHECK_EQ(s.content_chunks, 1);
    CHECK_EQ(s.frames, 3);

    struct peri_stream_state done = { 0 };
    read_one(&done, DELTA("\"content\":\"a\""));
    CHECK(!peri_stream_is_complete(&done));
    read_one(&done, "[DONE]");
    CHECK(peri_stream_is_complete(&done));
    read_one(&done, "{\"error\":{\"message\":\"late\"}}");
    CHECK(!peri_stream_is_complete(&done));
}

static struct peri_usage usage_of(const char *first, const char *second) {
    struct peri_stream_state s = { 0 };
    char text[512];
    snprintf(text, sizeof text, "{\"choices\":[],\"usage\":%s}", first);
    read_one(&s, text);
    if (second != NULL) {
        snprintf(text, sizeof text, "{\"choices\":[],\"usage\":%s}", second);
        read_one(&s, text);
    }
    return s.usage;
}

TEST(stream_takes_the_last_usage_that_can_be_true) {
    struct peri_usage u =
        usage_of("{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13,\"prompt_"
                 "tokens_details\":"
                 "{\"cached_tokens\":4},\"completion_tokens_details\":{\"reasoning_tokens\":2}}",
                 NULL);
    CHECK(u.is_known && !u.is_absurd);
    CHECK_EQ(u.prompt_tokens, 10);
    CHECK_EQ(u.completion_tokens, 3);
    CHECK_EQ(u.total_tokens, 13);
    CHECK_EQ(u.cached_tokens, 4);
    CHECK_EQ(u.reasoning_tokens, 2);

    u = usage_of("{\"prompt_tokens\":10,\"completion_tokens\":1}",
                 "{\"prompt_tokens\":10,\"completion_tokens\":9}");
    CHECK_EQ(u.completion_tokens, 9);
    CHECK_EQ(u.total_tokens, 19);
    u = usage_of("{\"prompt_tokens\":10,\"completion_tokens\":1}", "null");
    CHECK_EQ(u.completion_tokens, 1);
    CHECK(!u.is_absurd);

    static const char *const absurd[] = {
        "{\"prompt_tokens\":-1,\"completion_tokens\":5}",
        "{\"prompt_tokens\":7,\"completion_tokens\":99999999999}",
        "{\"prompt_tokens\":7,\"completion_tokens\":99999999999999999999999}",
        "{\"prompt_tokens\":\"7\",\"completion_tokens\":5}",
        "{\"prompt_tokens\":7.5,\"completion_tokens\":5}",
        "{}",
        "{\"total_tokens\":5}",
    };
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        u = usage_of(absurd[i], NULL);
        CHECK(!u.is_known && u.is_absurd);
        u = usage_of("{\"prompt_tokens\":10,\"completion_tokens\":1}", absurd[i]);
        CHECK(u.is_known && u.is_absurd);
        CHECK_EQ(u.prompt_tokens, 10);
    }
    u = usage_of("{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":3}", NULL);
    CHECK(u.is_known && u.is_absurd);
    CHECK_EQ(u.total_tokens, 15);
    u = usage_of("{\"prompt_tokens\":10,\"total_tokens\":10}", NULL);
    CHECK(u.is_known && !u.is_absurd);
    CHECK_EQ(u.completion_tokens, 0);
    u = usage_of("{\"prompt_tokens\":1,\"completion_tokens\":1,\"prompt_tokens_details\":null}",
                 NULL);
    CHECK(u.is_known && !u.is_absurd);
    u = usage_of("{\"prompt_tokens\":1,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_"
                 "tokens\":5}}",
                 NULL);
    CHECK(u.is_absurd);
    CHECK_EQ(u.cached_tokens, 0);
}

TEST(stream_reads_usage_of_every_shape_seen) {
    static const struct {
        const char *frame;
        uint64_t in, out, cached, reasoning;
    } cases[] = {
        { "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":10,"
          "\"completion_tokens\":5,\"cached_tokens\":3}}]}",
          10, 5, 3, 0 },
        { "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"id\":\"r\","
          "\"usage\":"
          "{\"prompt_tokens\":10,\"completion_tokens\":5}}}",
          10, 5, 0, 0 },
        { "{\"choices\":[],\"x_groq\":{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}}",
          10, 5, 0, 0 },
        { "{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_"
          "tokens\":22,"
          "\"completion_tokens_details\":{\"reasoning_tokens\":7}}}",
          10, 12, 0, 7 },
        { "{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_"
          "tokens\":15,"
          "\"reasoning_tokens\":4,\"prompt_cache_hit_tokens\":8,\"prompt_cache_miss_tokens\":2}}",
          10, 5, 8, 4 },
        { "{\"choices\":[],\"usage\":{\"input_tokens\":10,\"output_tokens\":5,"
          "\"output_tokens_details\":{\"reasoning_tokens\":2},\"input_tokens_details\":{\"cached_"
          "tokens\":1}}}",
          10, 5, 1, 2 },
        { "{\"choices\":[],\"usage\":{\"input_tokens\":10,\"output_tokens\":5,"
          "\"cache_read_input_tokens\":90}}",
          100, 5, 90, 0 },
        { "{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"
          "\"total_tokens\":15,\"cached_tokens\":0}}",
          10, 5, 0, 0 },
        { "{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"
          "\"total_tokens\":15,\"cached_tokens\":9}}",
          10, 5, 9, 0 },
        { "{\"choices\":[],\"usage\":{\"prompt_tokens\":10.0,\"completion_tokens\":5e0}}", 10, 5, 0,
          0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_stream_state s = { 0 };
        read_one(&s, cases[i].frame);
        if (!s.usage.is_known || s.usage.is_absurd) printf("%s\n", cases[i].frame);
        CHECK(s.usage.is_known && !s.usage.is_absurd);
        CHECK_EQ(s.usage.prompt_tokens, cases[i].in);
        CHECK_EQ(s.usage.completion_tokens, cases[i].out);
        CHECK_EQ(s.usage.cached_tokens, cases[i].cached);
        CHECK_EQ(s.usage.reasoning_tokens, cases[i].reasoning);
    }
}

TEST(an_answer_is_void_that_said_nothing_at_all) {
    static const struct {
        bool is_void;
        const char *message, *reason;
    } cases[] = {
        { true, "\"content\":null", "stop" },
        { true, "\"content\":\"\",\"tool_calls\":[]", "stop" },
        { false, "\"content\":\"\"", "length" },
        { false, "\"content\":null", "content_filter" },
        { false, "\"content\":\"a\"", "stop" },
        { false, "\"content\":null,\"reasoning\":\"hm\"", "length" },
        { false, "\"content\":null,\"reasoning_text\":\"hm\"", "length" },
        { false, "\"content\":null,\"tool_calls\":[{\"id\":\"a\"}]", "tool_calls" },
        { false, "\"content\":null,\"refusal\":\"no\"", "stop" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        struct peri_stream_state s;
        snprintf(text, sizeof text, "{\"choices\":[{\"message\":{%s},\"finish_reason\":\"%s\"}]}",
                 cases[i].message, cases[i].reason);
        CHECK_EQ(peri_answer_read(&s, peri_str_of(text)), PERI_OK);
        CHECK_EQ(peri_stream_is_void(&s), cases[i].is_void);
    }
    struct peri_stream_state list, burnt;
    CHECK_EQ(peri_answer_read(&burnt, PERI_STR("{\"choices\":[{\"finish_reason\":\"length\"}],"
                                               "\"usage\":{\"completion_tokens\":9}}")),
             PERI_OK);
    CHECK(peri_stream_is_void(&burnt));
    CHECK_EQ(peri_answer_read_list(&list, PERI_STR("{\"data\":[]}")), PERI_OK);
    CHECK(!peri_stream_is_void(&list));
}

#define ARGS(index, text)                                                                          \
    DELTA("\"tool_calls\":[{\"index\":" #index ",\"function\":{\"arguments\":\"" text "\"}}]")

TEST(stream_knows_tool_arguments_that_were_cut_off) {
    struct peri_stream_state s = { 0 };
    read_one(&s, ARGS(0, ""));
    CHECK(!peri_stream_has_open_tool_args(&s));
    read_one(&s, ARGS(0, "{\\\"city\\\": \\\"Par"));
    CHECK(peri_stream_has_open_tool_args(&s));
    read_one(&s, ARGS(0, "is}\\\\\\\""));
    CHECK(peri_stream_has_open_tool_args(&s));
    read_one(&s, ARGS(0, "\\u0022\\u007d"));
    CHECK(!peri_stream_has_open_tool_args(&s));
    read_one(&s, ARGS(1, "{\\\"a\\\":[1,{}"));
    CHECK(peri_stream_has_open_tool_args(&s));
    read_one(&s, ARGS(1, "]}"));
    CHECK(!peri_stream_has_open_tool_args(&s));
    read_one(&s, DELTA("\"tool_calls\":[{\"index\":2,\"function\":{\"arguments\":\"{}\"}},"
                       "{\"index\":3,\"function\":{\"arguments\":\"{\"}}]"));
    CHECK(peri_stream_has_open_tool_args(&s));
    read_one(&s, ARGS(3, "}"));
    CHECK(!peri_stream_has_open_tool_args(&s));
    read_one(&s, ARGS(-5, "{}"));
    read_one(&s, ARGS(99999999999999999999, "{}"));
    CHECK(!peri_stream_has_open_tool_args(&s));
}

TEST(answer_is_judged_whole) {
    static const struct {
        enum peri_err err;
        const char *body;
    } cases[] = {
        { PERI_OK,
          "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"content\":"
          "\"Hi\"},"
          "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}" },
        { PERI_OK, " {\"choices\":[{\"text\":\"Hi\",\"finish_reason\":\"stop\"}]}\n" },
        { PERI_EUPSTREAM, "{\"error\":{\"message\":\"no response data\"}}" },
        { PERI_EUPSTREAM, "{\"object\":\"error\",\"message\":\"x\"}" },
        { PERI_EUPSTREAM,
          "{\"choices\":[{\"message\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}" },
        { PERI_OK, "{\"choices\":[{\"message\":{\"content\":\"x\"},\"error\":{\"code\":502}}]}" },
        { PERI_OK, "\r\n\n\t {\"error\":{},\"choices\":[{\"message\":{\"content\":\"x\"}}]}" },
        { PERI_EPROTO, "{\"choices\":[]}" },
        { PERI_EPROTO, "{\"object\":\"list\",\"data\":[{\"embedding\":[0.5]}]}" },
        { PERI_EPROTO, "{\"choices\":[null]}" },
        { PERI_EPROTO, "{}" },
        { PERI_EMALFORMED, "" },
        { PERI_EMALFORMED, "<html></html>" },
        { PERI_EMALFORMED, "[]" },
        { PERI_EMALFORMED, "{\"choices\":[{\"message\":{\"content\":\"H" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_stream_state s;
        enum peri_err err = peri_answer_read(&s, peri_str_of(cases[i].body));
        if (err != cases[i].err) fprintf(stderr, "%s\n", cases[i].body);
        CHECK_EQ(err, cases[i].err);
        CHECK_EQ(peri_stream_is_complete(&s), err == PERI_OK);
    }
    struct peri_stream_state s;
    CHECK_EQ(peri_answer_read(&s, peri_str_of(cases[0].body)), PERI_OK);
    CHECK(s.saw_content && s.saw_finish && s.usage.is_known);
    CHECK_EQ(s.usage.total_tokens, 7);
    CHECK_STR(peri_str_of(s.finish_reason), "stop");
    CHECK_EQ(
        peri_answer_read(
            &s,
            PERI_STR("{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":["
                     "{\"function\":{\"arguments\":\"{}\"}},{\"function\":{\"arguments\":\"{\"}}]},"
                     "\"finish_reason\":\"length\"}]}")),
        PERI_OK);
    CHECK(s.saw_content);
    CHECK(peri_stream_has_open_tool_args(&s));
}

TEST(a_list_is_read_as_an_answer_where_one_is_asked_for) {
    static const struct {
        enum peri_err err;
        const char *body;
    } cases[] = {
        { PERI_OK, "{\"object\":\"list\",\"data\":[{\"embedding\":[0.5]}],\"usage\":{\"prompt_"
                   "tokens\":3}}" },
        { PERI_OK, "{\"data\":[]}" },
        { PERI_EPROTO, "{\"data\":{}}" },
        { PERI_EPROTO, "{\"choices\":[{\"message\":{\"content\":\"Hi\"}}]}" },
        { PERI_EUPSTREAM, "{\"error\":{\"message\":\"no\"},\"data\":[]}" },
        { PERI_EMALFORMED, "[]" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_stream_state s;
        CHECK_EQ(peri_answer_read_list(&s, peri_str_of(cases[i].body)), cases[i].err);
        CHECK_EQ(peri_stream_is_complete(&s), cases[i].err == PERI_OK);
        if (i == 0) CHECK_EQ(s.usage.prompt_tokens, 3);
    }
}

/* The streams Gonka's nodes and gateways send, with what must be seen in each: one letter an event. */
TEST(stream_reads_the_gonka_networks_own_shapes) {
    static const struct {
        const char *file, *kinds;
        bool is_complete;
    } streams[] = {
        { "sse-classic", "lccfud", true },
        { "sse-devshard-host", "ilccfudi", true },
        { "sse-gateway-ok", "lccfud", true },
        { "sse-gateway-host-error", "ed", false },
        { "sse-gateway-midstream-error", "lce", false },
        { "sse-gateway-stream-reset", "lcrlccfud", true },
    };
    int read = 0;
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        char path[128], kinds[64] = "";
        size_t size;
        snprintf(path, sizeof path, "../shared/data/gonka/%s.synthetic.txt", streams[i].file);
        char *text = test_read_file(path, &size);
        if (text == NULL) continue;
        struct peri_stream_state s = { 0 };
        struct peri_str in = { text, size }, name = PERI_STR(""), line;
        size_t count = 0;
        while (peri_str_cut(&line, &in, '\n') && count + 1 < sizeof kinds) {
            if (peri_str_has_prefix(line, PERI_STR("event:")))
                name = peri_str_trim(peri_str_from(line, 6));
            if (line.n == 0) name = PERI_STR("");
            if (!peri_str_has_prefix(line, PERI_STR("data:"))) continue;
            struct peri_str data = peri_str_trim(peri_str_from(line, 5));
            kinds[count++] = kind_names[peri_stream_read(&s, name, data)][0];
        }
        CHECK_STR(peri_str_of(kinds), streams[i].kinds);
        CHECK_EQ(peri_stream_is_complete(&s), streams[i].is_complete);
        if (streams[i].is_complete) CHECK_EQ(s.usage.total_tokens, 13);
        free(text);
        read++;
    }
    if (read == 0) printf("skipped: ../shared/data/gonka is not here\n");
}

TEST(an_answer_is_empty_that_spent_tokens_on_nothing) {
    static const struct {
        bool is_empty;
        const char *message, *reason, *usage;
    } cases[] = {
        { true, "\"content\":null", "length", "{\"completion_tokens\":9}" },
        { true, "\"content\":\"\"", "stop", "{\"completion_tokens\":1}" },
        { true, "\"content\":\" \\n\\t\"", "stop", "{\"completion_tokens\":9}" },
        { true, "\"content\":null,\"reasoning\":\"hm\"", "length", "{\"completion_tokens\":9}" },
        { true, "\"content\":null,\"tool_calls\":[]", "tool_calls", "{\"completion_tokens\":9}" },
        { true, "\"content\":null", "length", "null" },
        { false, "\"content\":null", "stop", "null" },
        { false, "\"content\":null", "length", "{\"completion_tokens\":0}" },
        { false, "\"content\":null", "content_filter", "{\"completion_tokens\":9}" },
        { false, "\"content\":\" \\\\n\"", "stop", "{\"completion_tokens\":9}" },
        { false, "\"content\":\"a\"", "stop", "{\"completion_tokens\":9}" },
        { false, "\"content\":\"\\n\",\"tool_calls\":[{}]", "stop", "{\"completion_tokens\":9}" },
        { false, "\"content\":null,\"refusal\":\"no\"", "stop", "{\"completion_tokens\":9}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        struct peri_stream_state s;
        snprintf(
            text, sizeof text,
            "{\"choices\":[{\"index\":0,\"message\":{%s},\"finish_reason\":\"%s\"}],\"usage\":%s}",
            cases[i].message, cases[i].reason, cases[i].usage);
        CHECK_EQ(peri_answer_read(&s, peri_str_of(text)), PERI_OK);
        if (peri_stream_is_empty(&s) != cases[i].is_empty) printf("case %zu: %s\n", i, text);
        CHECK_EQ(peri_stream_is_empty(&s), cases[i].is_empty);
    }
    struct peri_stream_state list;
    struct peri_str text = PERI_STR("{\"data\":[],\"usage\":{\"prompt_tokens\":3}}");
    CHECK_EQ(peri_answer_read_list(&list, text), PERI_OK);
    CHECK(!peri_stream_is_empty(&list));
}

TEST(stream_survives_running_out_of_memory) {
    const char *two =
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}},{\"index\":1,\"delta\":{}}]}";
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_stream_state s = { 0 };
        enum peri_stream_kind kind = peri_stream_read(&s, PERI_STR(""), peri_str_of(two));
        CHECK(kind == PERI_STREAM_CONTENT || kind == PERI_STREAM_BROKEN);
        if (test_torture_done) CHECK_EQ(kind, PERI_STREAM_CONTENT);
        struct peri_stream_state a;
        enum peri_err err = peri_answer_read(&a, peri_str_of(two));
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
    }
}

TEST(stream_allocates_nothing_for_a_usual_frame) {
    struct peri_stream_state s = { 0 };
    test_fail_from = 0;
    enum peri_stream_kind kind = read_one(&s, DELTA("\"content\":\"Hi\""));
    test_fail_from = -1;
    CHECK_EQ(kind, PERI_STREAM_CONTENT);
}

/* A figure to watch: what reading one usual frame costs. */
TEST(stream_prints_its_cost_per_frame) {
    const struct peri_str data =
        PERI_STR("{\"id\":\"chatcmpl-CPnQ3mVbZ8\",\"object\":\"chat.completion.chunk\",\"created\":"
                 "1765000001,"
                 "\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_560af6e559\","
                 "\"choices\":[{\"index\":0,"
                 "\"delta\":{\"content\":\" there\"},\"logprobs\":null,\"finish_reason\":null}]}");
    struct peri_stream_state s = { 0 };
    enum { TURNS = 200000 };
    clock_t began = clock();
    for (int i = 0; i < TURNS; i++) peri_stream_read(&s, PERI_STR(""), data);
    double ns = (double)(clock() - began) * 1e9 / CLOCKS_PER_SEC / TURNS;
    printf("%.0f ns a frame of %zu bytes\n", ns, data.n);
    CHECK_EQ(s.content_chunks, TURNS);
}
