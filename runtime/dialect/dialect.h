/* One kind of request and answer: what a request may not say twice and what it needs, what an event and a whole answer
 * say, and how an error, the end of a stream, and a whole answer told as a stream are written.
 *
 * A client speaks one dialect and a provider is asked in one: the request and each of its attempts have a field for it,
 * and the two are equal until there is a translator. What a provider sends is read by the attempt's dialect, what the
 * router writes itself is written by the client's. Nothing else in the request path knows how an API looks; paths, the
 * URLs of providers and the names that policies see follow from the table behind peri_dialect().
 *
 * Every dialect reads into the same struct peri_stream_state (dialect/stream.h). So these hold for each of them: the
 * first event of kind PERI_STREAM_CONTENT is the commit point, peri_stream_is_complete says whether an answer may end,
 * peri_stream_is_empty whether it said anything.
 *
 * A dialect more is a file that defines one of these, an enumerator, and a line in dialect.c.
 */
#ifndef PERI_DIALECT_DIALECT_H
#define PERI_DIALECT_DIALECT_H

#include "dialect/need.h"
#include "dialect/stream.h"

enum peri_dialect_id {
    PERI_DIALECT_CHAT,
    PERI_DIALECT_COMPLETIONS,
    PERI_DIALECT_EMBEDDINGS,
    PERI_DIALECT_COUNT
};

struct peri_dialect {
    enum peri_dialect_id id;   /* its place in tables of other modules */
    struct peri_str name;      /* `req.endpoint` of policies: "chat" */
    struct peri_str path;      /* clients POST its requests there: "/v1/chat/completions" */
    struct peri_str url_path;  /* the same behind a provider's URL: "/chat/completions" */
    bool has_streams;          /* false: `stream` in a request means nothing */
    struct peri_str end_data;  /* of a stream's last event; empty: streams have none */
    struct peri_str end_frame; /* that event as it is sent */

    /* Members of a request that the router or its policies read. Their second occurrence is refused: it would let the
     * router judge one request and send another. */
    const struct peri_str *routed;
    size_t routed_count;
    /* What a request needs. NULL: nothing keeps it from any model. */
    void (*read_need)(struct peri_need *need, struct peri_json *body,
                      const struct peri_need_limits *limits);

    /* One event of a provider's stream; as peri_stream_read. */
    enum peri_stream_kind (*read_event)(struct peri_stream_state *s, struct peri_str name,
                                        struct peri_str data);
    /* A provider's whole answer; as peri_answer_read. */
    enum peri_err (*read_answer)(struct peri_stream_state *s, struct peri_str body);

    /* Write a whole answer as the frames of a stream, without its end; as peri_chat_stream_of_whole. NULL: whole
     * answers can not be told so. */
    enum peri_err (*stream_of_whole)(struct peri_buf *frames, struct peri_str answer);
    /* The mirror: the events of a stream, a JSON array of their data, written as a whole answer; as
     * peri_chat_whole_of_stream. NULL: a stream is taken only where one of its events is the whole answer. */
    enum peri_err (*whole_of_stream)(struct peri_buf *answer, struct peri_str events);
    /* Write an error as a body, and as an event in a stream; as peri_error_body and peri_error_frame. */
    enum peri_err (*error_body)(struct peri_buf *b, struct peri_str message, struct peri_str type,
                                struct peri_str param, struct peri_str code);
    enum peri_err (*error_frame)(struct peri_buf *b, struct peri_str message, struct peri_str type,
                                 struct peri_str param, struct peri_str code);
    /* The same two with no memory but `to`; as peri_error_write. */
    struct peri_str (*write_error)(char *to, size_t room, const char *message, const char *type,
                                   const char *code);
    struct peri_str (*write_error_frame)(char *to, size_t room, const char *message,
                                         const char *type, const char *code);
};

/* gives the dialect, static; never NULL for an id below PERI_DIALECT_COUNT */
const struct peri_dialect *peri_dialect(enum peri_dialect_id id);
/* gives the dialect whose requests clients send to that path; NULL: none */
const struct peri_dialect *peri_dialect_of_path(struct peri_str path);

/* Write a whole answer as the frames of a stream.
 *   gives   as stream_of_whole · PERI_EPROTO too where the dialect can not tell it so */
static inline enum peri_err peri_dialect_stream_of_whole(const struct peri_dialect *d,
                                                         struct peri_buf *frames,
                                                         struct peri_str answer) {
    return d->stream_of_whole != NULL ? d->stream_of_whole(frames, answer) : PERI_EPROTO;
}

/* Write the events of a stream as a whole answer.
 *   gives   as whole_of_stream · PERI_EPROTO too where the dialect has no streams */
static inline enum peri_err peri_dialect_whole_of_stream(const struct peri_dialect *d,
                                                         struct peri_buf *answer,
                                                         struct peri_str events) {
    return d->whole_of_stream != NULL ? d->whole_of_stream(answer, events) : PERI_EPROTO;
}

/* chat.c, completions.c, embeddings.c */
extern const struct peri_dialect peri_dialect_chat, peri_dialect_completions,
    peri_dialect_embeddings;

#endif
