/* One provider asked once: its body and headers, its call, and its answer up to the commit point and beyond.
 *
 *   ASKING    sent; waiting for the head, then for the first content token (frames so far are held) or the whole
 *             JSON answer
 *   READY     at the commit point: `tried` has run with PERI_OK; nothing was sent to the client yet
 *   SERVING   held and later frames go to the client (relay)
 *   OVER      failed, cancelled or complete; its slot is free
 *
 * Promises: `tried` runs exactly once unless the attempt is cancelled, never from inside peri_attempt_start. The
 * slot is taken before anything is sent and released exactly once.
 */
#ifndef PERI_REQUEST_ATTEMPT_H
#define PERI_REQUEST_ATTEMPT_H

#include "base/json_edit.h"
#include "dialect/stream.h"
#include "net/sse.h"
#include "request/request.h"

enum peri_attempt_state {
    PERI_ATTEMPT_ASKING,
    PERI_ATTEMPT_READY,
    PERI_ATTEMPT_SERVING,
    PERI_ATTEMPT_OVER
};

/* What an `attempt` hook says instead of sending. */
struct peri_hook_refusal {
    int status;
    struct peri_str json, message;
};

struct peri_attempt {
    struct peri_list link;      /* in request->attempts */
    struct peri_list over_link; /* in worker->over: its buffers go at the end of the turn */
    struct peri_request *request;
    struct peri_candidate candidate;
    const struct peri_dialect *dialect; /* of the provider */
    enum peri_attempt_state state;
    struct peri_try_options options;
    peri_tried tried;
    void *arg;

    struct peri_json *own_body;     /* this provider's version of the body; NULL: the request's */
    struct peri_json_mark unshaped; /* of own_body, as it was made */
    struct peri_buf body_text;      /* its text, when not the client's own bytes */
    struct peri_header *headers;    /* set by policies, in the request's arena */
    size_t header_count;
    struct peri_header
        *answer_headers; /* the same, for the client when this attempt's is the answer */
    size_t answer_header_count;
    const struct peri_hook_refusal *refusal; /* in the request's arena; NULL: it may be sent */

    struct peri_call *call;
    struct peri_timer
        patience; /* to the first token; then to the next event; after the end event to the end */
    int status;
    bool is_sse, is_json, has_slot, is_probe, is_paused, is_feeding, is_ending;
    bool is_refused;      /* by a hook of ours: nothing was sent */
    bool expects_content; /* an empty answer is a failure */
    bool is_full;         /* the client's queue is; `overlooked` bytes were put on top of it */
    bool is_lossy;        /* bytes of the answer found no room: it must not seem whole */
    bool is_cut;     /* the answer ended before it was decided, or its error frame is already out */
    size_t wallet;   /* that signed it */
    bool is_excused; /* its failure says nothing about the provider's health */
    size_t overlooked;
    uint64_t hint_ms;                              /* what retry-after and its kin asked for */
    uint64_t started_ns, first_token_ns, ended_ns; /* ended 0: with its request */
    uint64_t body_bytes;                           /* of its answer, as they came */
    bool was_sent;
    struct peri_buf in;      /* bytes not consumed yet: a frame's beginning, or a whole answer */
    struct peri_buf held;    /* frames that wait for the commit point */
    struct peri_buf scratch; /* of the event reader */
    struct peri_sse sse;
    struct peri_stream_state stream;
    enum peri_err err;
    char detail[200];   /* for people and the log */
    const char *remedy; /* of a refusal that is understood: what to do about it; static, or NULL */
};

/* The public name of the model that the provider is asked for. */
static inline struct peri_str peri_attempt_model(const struct peri_attempt *a) {
    return a->options.model.n > 0 ? a->options.model : a->request->model;
}

/* Take a slot, run the `attempt` hooks, send.
 *   gives   as peri_request_try */
PERI_MUST_USE enum peri_err peri_attempt_start(struct peri_attempt **out, struct peri_request *r,
                                               struct peri_candidate candidate,
                                               const struct peri_try_options *options,
                                               peri_tried tried, void *arg);
/* End it at once; `tried` does not run. Its memory stays with the request. */
void peri_attempt_cancel(struct peri_attempt *a, enum peri_err why);
/* Its request ends first: as peri_attempt_cancel, and the attempt's record says why. One that does not serve becomes the
 * request's last.
 *   gives   false: it was over already */
bool peri_attempt_cut(struct peri_attempt *a, enum peri_err why);
/* What is known of it now, for the record of its request. */
void peri_attempt_report(const struct peri_attempt *a, struct peri_attempt_record *out);
/* Free what does not live in the request's arena. */
void peri_attempt_done(struct peri_attempt *a);
/* It is over and nothing further down the stack uses it: free its body and buffers, but not what the client may be told
 * of it. A policy may try again for as long as the request lives. */
void peri_attempt_trim(struct peri_attempt *a);

/* Why a policy's header can not be sent to this provider: not at all (net/header.h), or it is one of those that say how
 * the body is framed, carried and encoded, or part of a signature. NULL: it can. Static text. */
const char *peri_attempt_header_fault(const struct peri_attempt *a, struct peri_header header);
/* What hooks have made of it so far, and the way back to that. Good until a rollback to an earlier one. */
struct peri_attempt_mark {
    struct peri_json_mark body;
    bool has_body, expects_content;
    struct peri_header *headers, *answer_headers;
    size_t header_count, answer_header_count;
    const struct peri_hook_refusal *refusal;
};
struct peri_attempt_mark peri_attempt_mark(const struct peri_attempt *a);
void peri_attempt_rollback(struct peri_attempt *a, const struct peri_attempt_mark *mark);

/* attempt_stream.c: the bytes of a streamed answer. */
void peri_attempt_serve_stream(struct peri_attempt *a);
bool peri_attempt_feed(struct peri_attempt *a, struct peri_str bytes); /* false: pause */
void peri_attempt_stream_ended(struct peri_attempt *a, enum peri_err err);
void peri_attempt_resume(struct peri_attempt *a);
/* A whole completion where a stream was asked for: its frames, the end included, wait with those held; the `event`
 * hooks see them like any other.
 *   gives   as peri_dialect.stream_of_whole */
PERI_MUST_USE enum peri_err peri_attempt_hold_whole(struct peri_attempt *a,
                                                    struct peri_str completion);

/* attempt_shape.c: the provider's own name for the model, and what the `attempt` hooks make of body and headers.
 *   gives   PERI_OK · PERI_EREJECTED a hook refused, is_refused · PERI_EPOLICY · PERI_ENOMEM · PERI_ETOOBIG */
PERI_MUST_USE enum peri_err peri_attempt_shape(struct peri_attempt *a);
/* The bytes that are sent. gives PERI_OK · PERI_ENOMEM · PERI_ETOOBIG */
PERI_MUST_USE enum peri_err peri_attempt_text(struct peri_attempt *a, struct peri_str *out);

/* attempt_judge.c: its status and body, `in`, are a refusal. It fails, and what the refusal is about rests. */
void peri_attempt_end_refusal(struct peri_attempt *a);

/* For attempt_stream.c: the two ways out of ASKING. */
void peri_attempt_fail(struct peri_attempt *a, enum peri_err err, const char *format, ...)
    PERI_PRINTF(3, 4);
void peri_attempt_ready(struct peri_attempt *a);
void peri_attempt_fail_empty(struct peri_attempt *a);
/* The provider's 200 holds an error instead of content: judged as the status it names, if it names one. */
void peri_attempt_fail_inside(struct peri_attempt *a, struct peri_str error);

#endif
