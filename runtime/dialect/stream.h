/* What an answer of the chat/completions family says, frame by frame or whole.
 *
 * The relay asks one question about every event of a stream: may the client see it, and does it decide anything? The
 * first event of kind CONTENT is the commit point: before it any failure is answered by another provider, after it
 * nothing is retried. Life-cycle frames (a role alone, empty deltas, empty choices, what decentralised networks add)
 * decide nothing; they are held back until then, but for the progress of a prompt that the client asked to see.
 *
 * An event that is not one JSON object is BROKEN and must not be forwarded: the official clients raise a SyntaxError
 * on it and show half an answer.
 *
 * Source: OpenAI's API description 2.3.0 (CreateChatCompletionStreamResponse, CreateCompletionResponse); behaviour of
 * clients measured with openai 7.55.
 */
#ifndef PERI_DIALECT_STREAM_H
#define PERI_DIALECT_STREAM_H

#include "dialect/usage.h"

/* The data of the event that ends a stream, and that event. */
#define PERI_STREAM_END       "[DONE]"
#define PERI_STREAM_END_FRAME "data: " PERI_STREAM_END "\n\n"

/* How far the arguments of one tool call have come: enough of a JSON reader to know whether they are closed. */
struct peri_tool_args {
    uint32_t depth;
    bool is_begun, in_string, is_escaped;
};

#define PERI_STREAM_TOOLS 32

/* Zero-initialised at the start of an answer. */
struct peri_stream_state {
    struct peri_usage usage;
    uint32_t frames;         /* events read */
    uint32_t content_chunks; /* of them with content */
    bool saw_content, saw_finish, saw_done, saw_error;
    bool saw_answer; /* content that is neither reasoning nor blank */
    bool
        saw_failure; /* the last finish reason names a failure of the provider: "error", "network_error", … */
    uint64_t choices_seen,
        choices_finished;   /* a bit for each choice index; 63 and above share one */
    char finish_reason[32]; /* the last one, cut */
    struct peri_tool_args tools[PERI_STREAM_TOOLS]; /* by tool index, of all choices */
};

enum peri_stream_kind {
    PERI_STREAM_LIFECYCLE, /* decides nothing */
    PERI_STREAM_PROGRESS, /* decides nothing, and says how far the prompt was read (llama.cpp's prompt_progress) */
    PERI_STREAM_CONTENT, /* text, reasoning, refusal, tool call: the commit point; may finish a choice, too */
    PERI_STREAM_FINISH, /* a finish reason without content */
    PERI_STREAM_USAGE,  /* usage and no choices: the frame that only clients who asked for it get */
    PERI_STREAM_DONE,   /* PERI_STREAM_END */
    PERI_STREAM_ERROR, /* an error inside the stream; peri_upstream_error_read tells what it says */
    PERI_STREAM_RESET, /* a Gonka gateway starts the answer again from its beginning: drop what came, or fail */
    PERI_STREAM_WHOLE, /* a whole completion where a chunk should stand */
    PERI_STREAM_EMPTY, /* no data: do not forward, clients would try to parse it */
    PERI_STREAM_INTERNAL, /* what a Gonka gateway's hosts tell each other (devshard_…): not for clients */
    PERI_STREAM_BROKEN /* not JSON, or no object: never forward */
};

/* Read one event that has data.
 *   name    the event field, empty when there was none; "error" makes it an error whatever its data
 *   data    its data; nothing is kept of it */
enum peri_stream_kind peri_stream_read(struct peri_stream_state *s, struct peri_str name,
                                       struct peri_str data);

/* The answer may end here: [DONE] came, or every choice that was begun has its finish reason. Otherwise an end of the
 * stream, however clean, is a cut. */
bool peri_stream_is_complete(const struct peri_stream_state *s);

/* An answer that came to its end said nothing at all: no text, no reasoning, no call. One that a filter held back is
 * said, and so is one whose output limit was reached with no token spent: the client allowed none. A list is no such
 * answer. */
bool peri_stream_is_void(const struct peri_stream_state *s);

/* An answer that came to its end said nothing, and tokens were spent on that: the model thought until its budget was
 * gone, or ended its turn at once. Reasoning and blanks are nothing; an answer that a filter held back is an answer.
 * Without usage only the reason "length" tells that tokens were spent.
 *
 * Source: facts on Gonka gateways ("model burn" of Kimi: empty output with completion_tokens above 0). */
bool peri_stream_is_empty(const struct peri_stream_state *s);

/* Arguments of some tool call were begun and not closed: cut off by the output limit, or malformed. */
bool peri_stream_has_open_tool_args(const struct peri_stream_state *s);

/* Read a whole, non-streamed answer with status 200: a completion with choices.
 *   s       zeroed first, then filled as by a stream that ended
 *   gives   PERI_OK · PERI_EUPSTREAM an error inside 200 · PERI_EMALFORMED not a JSON object · PERI_EPROTO an object,
 *           but no answer · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_answer_read(struct peri_stream_state *s, struct peri_str body);
/* The same for an answer that is a list in `data`: embeddings. */
PERI_MUST_USE enum peri_err peri_answer_read_list(struct peri_stream_state *s,
                                                  struct peri_str body);

#endif
