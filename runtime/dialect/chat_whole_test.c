#include "dialect/chat_whole.h"

#include "base/test.h"
#include "dialect/stream.h"
#include "net/sse.h"

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
    struct peri_buf b, scratch;
    peri_buf_init(&b, 0);
    peri_buf_init(&scratch, 0);
    CHECK_EQ(peri_chat_stream_of_whole(&b, peri_str_of(completion)), PERI_OK);
    struct peri_sse sse;
    struct peri_sse_event event;
    struct peri_stream_state state = { .frames = 0 };
    peri_sse_init(&sse, 0, &scratch);
    struct peri_str in = peri_buf_str(&b);
    ptrdiff_t n;
    int frames = 0;
    while ((n = peri_sse_next(&sse, &event, in)) > 0) {
        enum peri_stream_kind kind = peri_stream_read(&state, event.name, event.data);
        CHECK(kind == (frames == 0 ? PERI_STREAM_CONTENT : PERI_STREAM_USAGE));
        if (frames == 0) CHECK(peri_str_find(event.data, PERI_STR("\"index\":1}")) > 0);
        in = peri_str_from(in, (size_t)n);
        frames++;
    }
    CHECK_EQ(frames, 2);
    CHECK(peri_stream_is_complete(&state));
    CHECK(state.usage.is_known);
    CHECK_EQ(state.usage.total_tokens, 3);
    peri_buf_done(&b);
    peri_buf_done(&scratch);
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
