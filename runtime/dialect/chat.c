/* Chat completions. Source: OpenAI's API description 2.3.0 (CreateChatCompletionRequest and its answers). */
#include "dialect/chat_whole.h"
#include "dialect/dialect.h"
#include "dialect/error.h"
#include "dialect/fold.h"

static const struct peri_str routed[] = {
    PERI_STR_INIT("model"),      PERI_STR_INIT("stream"),
    PERI_STR_INIT("messages"),   PERI_STR_INIT("stream_options"),
    PERI_STR_INIT("max_tokens"), PERI_STR_INIT("max_completion_tokens"),
    PERI_STR_INIT("tools"),      PERI_STR_INIT("n")
};

static void read_need(struct peri_need *need, struct peri_json *body,
                      const struct peri_need_limits *limits) {
    peri_need_of_tools(need, body, limits);
    peri_need_of_messages(need, body, limits);
}

const struct peri_dialect peri_dialect_chat = {
    .id = PERI_DIALECT_CHAT,
    .name = PERI_STR_INIT("chat"),
    .path = PERI_STR_INIT("/v1/chat/completions"),
    .url_path = PERI_STR_INIT("/chat/completions"),
    .has_streams = true,
    .end_data = PERI_STR_INIT(PERI_STREAM_END),
    .end_frame = PERI_STR_INIT(PERI_STREAM_END_FRAME),
    .routed = routed,
    .routed_count = sizeof routed / sizeof *routed,
    .read_need = read_need,
    .read_event = peri_stream_read,
    .read_answer = peri_answer_read,
    .stream_of_whole = peri_chat_stream_of_whole,
    .whole_of_stream = peri_chat_whole_of_stream,
    .error_body = peri_error_body,
    .error_frame = peri_error_frame,
    .write_error = peri_error_write,
    .write_error_frame = peri_error_write_frame,
};
