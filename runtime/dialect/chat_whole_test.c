#include "dialect/chat_whole.h"

#include "base/test.h"
#include "dialect/stream.h"

static const char completion[] =
    "{ \"id\":\"c1\", "
    "\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
    "\"message\":{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\",\"tool_"
    "calls\":["
    "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
    "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
    "\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,"
    "\"total_tokens\":3}}";

TEST(a_whole_completion_reads_as_a_stream_that_ended) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    CHECK_EQ(peri_chat_stream_of_whole(&b, peri_str_of(completion)), PERI_OK);
    struct peri_stream_state state = { .frames = 0 };
    struct peri_str in = peri_buf_str(&b), field = PERI_STR("data: "), data;
    int frames = 0;
    while (peri_str_cut(&data, &in, '\n')) { /* a frame is one line of data and an empty one */
        CHECK(peri_str_has_prefix(data, field));
        data = peri_str_from(data, field.n);
        enum peri_stream_kind kind = peri_stream_read(&state, PERI_STR(""), data);
        CHECK(kind == (frames == 0 ? PERI_STREAM_CONTENT : PERI_STREAM_USAGE));
        if (frames == 0) CHECK(peri_str_find(data, PERI_STR("\"index\":1}")) > 0);
        CHECK(in.n > 0 && in.p[0] == '\n');
        in = peri_str_from(in, 1);
        frames++;
    }
    CHECK_EQ(frames, 2);
    CHECK(peri_stream_is_complete(&state));
    CHECK(state.usage.is_known);
    CHECK_EQ(state.usage.total_tokens, 3);
    peri_buf_done(&b);
}

TEST(what_is_no_completion_is_refused) {
    static const char *const bad[] = { "{}",
                                       "[]",
                                       "{\"choices\":[]}",
                                       "{\"choices\":[{}]}",
                                       "{\"choices\":[{\"message\":1}]}",
                                       "{\"choices\":[{\"message\":{\"tool_calls\":[1]}}]}",
                                       "nonsense" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct peri_buf b;
        peri_buf_init(&b, 0);
        CHECK_EQ(peri_chat_stream_of_whole(&b, peri_str_of(bad[i])), PERI_EPROTO);
        peri_buf_done(&b);
    }
}

TEST(running_out_of_memory_anywhere_is_told) {
    enum peri_err err = PERI_OK;
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_buf b;
        peri_buf_init(&b, 0);
        err = peri_chat_stream_of_whole(&b, peri_str_of(completion));
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        peri_buf_done(&b);
    }
    CHECK_EQ(err, PERI_OK);
}
