/* Embeddings. Source: OpenAI's API description 2.3.0 (CreateEmbeddingRequest, CreateEmbeddingResponse). They are never
 * streamed, and servers cut texts that are too long: no request is kept from a model. */
#include "dialect/dialect.h"
#include "dialect/error.h"

static const struct peri_str routed[] = { PERI_STR_INIT("model"), PERI_STR_INIT("stream"),
                                          PERI_STR_INIT("input") };

const struct peri_dialect peri_dialect_embeddings = {
    .id = PERI_DIALECT_EMBEDDINGS,
    .name = PERI_STR_INIT("embeddings"),
    .path = PERI_STR_INIT("/v1/embeddings"),
    .url_path = PERI_STR_INIT("/embeddings"),
    .routed = routed,
    .routed_count = sizeof routed / sizeof *routed,
    .read_event = peri_stream_read,
    .read_answer = peri_answer_read_list,
    .error_body = peri_error_body,
    .error_frame = peri_error_frame,
    .write_error = peri_error_write,
    .write_error_frame = peri_error_write_frame,
};
