/* Completions of a prompt. Source: OpenAI's API description 2.3.0 (CreateCompletionRequest, CreateCompletionResponse).
 * Their frames and whole answers differ from those of chats in little: a choice has `text`, and the same reader reads
 * both. */
#include "dialect/dialect.h"
#include "dialect/error.h"
#include "dialect/fold.h"

static const struct peri_str routed[] = { PERI_STR_INIT("model"),  PERI_STR_INIT("stream"),
                                          PERI_STR_INIT("prompt"), PERI_STR_INIT("stream_options"),
                                          PERI_STR_INIT("tools"),  PERI_STR_INIT("max_tokens"),
                                          PERI_STR_INIT("n") };

static void read_need(struct peri_need *need, struct peri_json *body,
                      const struct peri_need_limits *limits) {
    peri_need_of_tools(need, body, limits);
    peri_need_of_prompt(need, body, limits);
}

/* A chunk has the members of a whole answer: one event says it all. Its reader joins the lines again. */
static enum peri_err stream_of_whole(struct peri_buf *frames, struct peri_str answer) {
    struct peri_str line;
    while (peri_str_cut(&line, &answer, '\n')) {
        if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
        peri_buf_add(frames, PERI_STR("data: "));
        peri_buf_add(frames, line);
        peri_buf_add_char(frames, '\n');
    }
    return peri_buf_add_char(frames, '\n');
}

const struct peri_dialect peri_dialect_completions = {
    .id = PERI_DIALECT_COMPLETIONS,
    .name = PERI_STR_INIT("completions"),
    .path = PERI_STR_INIT("/v1/completions"),
    .url_path = PERI_STR_INIT("/completions"),
    .has_streams = true,
    .end_data = PERI_STR_INIT(PERI_STREAM_END),
    .end_frame = PERI_STR_INIT(PERI_STREAM_END_FRAME),
    .routed = routed,
    .routed_count = sizeof routed / sizeof *routed,
    .read_need = read_need,
    .read_event = peri_stream_read,
    .read_answer = peri_answer_read,
    .stream_of_whole = stream_of_whole,
    .whole_of_stream = peri_completions_whole_of_stream,
    .error_body = peri_error_body,
    .error_frame = peri_error_frame,
    .write_error = peri_error_write,
    .write_error_frame = peri_error_write_frame,
};
