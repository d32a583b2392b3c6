/* The provider's half of an answer: one provider asked once, its body and headers, its call, and what it says. A request
 * has many attempts, and the relay (request/relay.h) takes the frames of the one that serves.
 *
 *      send             commit point       serve
 *   NEW ──→ ASKING ──────────────→ READY ──────────→ SERVING
 *    │         │ fail, cancel        │ cancel           │ complete, fail, cancel
 *    ↓         └─────────────────────┴──────────────────┴──────→ OVER
 *   UNSENT
 *
 *   NEW       it holds its slot; hooks shape what is sent
 *   ASKING    sent: waiting for the head, then for the first content token (frames so far are held) or the whole answer
 *   READY     at the commit point: `tried` has run with PERI_OK, and nothing was sent to the client yet
 *   SERVING   its frames go to the relay, those held first
 *   OVER      failed, cancelled or complete: the slot is free
 *   UNSENT    over before it was sent: a hook refused it, or it could not be sent
 *
 * Beside it stands how its bytes come in: FLOWING; PAUSED, until the policy has decided or while the client is slow; or
 * ENDED before the policy had decided, with `err` as what is to be said of it once it serves.
 *
 * Promises: `tried` runs exactly once unless the attempt is cancelled, never from inside peri_attempt_start. The slot is
 * taken before anything is sent and released exactly once.
 */
#ifndef PERI_REQUEST_ATTEMPT_H
#define PERI_REQUEST_ATTEMPT_H

#include "base/json_edit.h"
#include "dialect/stream.h"
#include "dialect/upstream_error.h"
#include "fleet/circuit.h"
#include "net/body_kind.h"
#include "net/sse.h"
#include "request/request.h"

/* Longest a provider may send us away; official clients obey as much. */
#define PERI_HINT_MAX_MS 60000

enum peri_attempt_state {
    PERI_ATTEMPT_NEW,
    PERI_ATTEMPT_ASKING,
    PERI_ATTEMPT_READY,
    PERI_ATTEMPT_SERVING,
    PERI_ATTEMPT_OVER,
    PERI_ATTEMPT_UNSENT
};

enum peri_attempt_input { PERI_INPUT_FLOWING, PERI_INPUT_PAUSED, PERI_INPUT_ENDED };

/* What an `attempt` hook says instead of sending. */
struct peri_hook_refusal {
    int status;
    struct peri_str json, message;
};

struct peri_attempt {
    struct peri_list link;      /* in request->attempts */
    struct peri_list over_link; /* in env->over: its buffers go at the end of the turn */
    struct peri_request *request;
    struct peri_candidate candidate;
    const struct peri_dialect *dialect; /* of the provider */
    enum peri_attempt_state state;
    struct peri_try_options options;
    struct peri_str model; /* public name of the one the provider is asked for */
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

    struct peri_call *call; /* NULL: not sent, or over */
    enum peri_attempt_input input;
    enum peri_body_kind label, kind; /* as the head says, and as the first bytes show */
    int status;
    /* To the first token; then to the next event; after the end event to the end of the call. */
    struct peri_timer patience;
    bool expects_content; /* an empty answer is a failure */
    bool is_reading;      /* take_frames is further up the stack, and goes on when it returns */
    bool is_progress;     /* what is passed on is for the client at once, ahead of what is held */
    bool is_waiting;      /* what is left in `in` waits for the client */
    /* Bytes were lost, or a policy could not say what is to be sent: the answer must not seem whole. */
    bool is_broken;
    bool is_whole;               /* one event of a stream that is folded was the whole answer */
    bool is_cut;                 /* a refusal with a longer body than is read */
    struct peri_str location;    /* where a 3xx leads, as it was written */
    size_t wallet;               /* that signed it */
    struct peri_circuit circuit; /* that it goes through */
    bool is_excused;             /* its failure says nothing about the provider's health */
    bool is_judged; /* scope and rest_ms were read from a refusal; else the kind of failure tells */
    enum peri_scope scope; /* what its failure is about */
    uint64_t rest_ms;      /* that scope's, at once; 0: after several failures */
    uint64_t hint_ms;      /* what retry-after and its kin asked for */
    uint64_t started_ns, first_token_ns, ended_ns; /* ended 0: with its request */
    uint64_t body_bytes;                           /* of its answer, as they came */
    struct peri_buf in;      /* bytes not consumed yet: a frame's beginning, or a whole answer */
    struct peri_buf held;    /* frames that wait for the commit point */
    struct peri_buf scratch; /* of the event reader */
    struct peri_sse sse;
    struct peri_stream_state stream;
    enum peri_err err;
    char detail[400]; /* for people and the log: nothing that a provider put into words */
    struct peri_str
        words; /* which it did, for the client alone: they may repeat the prompt. In the arena; may be empty */
    const char *
        remedy; /* of a refusal that is understood: what the operator can do about it; static, or NULL */
};

static inline bool peri_attempt_is_over(const struct peri_attempt *a) {
    return a->state >= PERI_ATTEMPT_OVER;
}

/* The value of the header that carries the key it is sent with: what an answer must not repeat. Empty: none is sent. */
static inline struct peri_str peri_attempt_secret(const struct peri_attempt *a) {
    const struct peri_provider *p = a->candidate.provider;
    return p->key_count > 0 ? p->keys[a->circuit.key] : p->credential;
}

/* The public name of the model that the provider is asked for. The request may go on to another one. */
static inline struct peri_str peri_attempt_model(const struct peri_attempt *a) { return a->model; }

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

/* attempt_stream.c: the events of a streamed answer. */
/* Bytes of it, cut anywhere. gives false: the call is to pause */
bool peri_attempt_feed(struct peri_attempt *a, struct peri_str bytes);
/* No more will come; err tells how the call ended. */
void peri_attempt_stream_ended(struct peri_attempt *a, enum peri_err err);
/* READY becomes SERVING: what was held goes to the relay, and what follows. */
void peri_attempt_serve_stream(struct peri_attempt *a);
/* The client is not slow any more. */
void peri_attempt_resume(struct peri_attempt *a);
/* A whole completion where a stream was asked for: its frames, the end included, wait with those held; the `event`
 * hooks see them like any other.
 *   gives   as peri_dialect.stream_of_whole */
PERI_MUST_USE enum peri_err peri_attempt_hold_whole(struct peri_attempt *a,
                                                    struct peri_str completion);

/* attempt_answer.c: what comes back of the call; the argument is the attempt. */
extern const struct peri_call_ops peri_attempt_call_ops;
/* `in` is the whole answer. */
void peri_attempt_end_whole(struct peri_attempt *a);

/* attempt_fold.c: a stream where none was asked for; its events wait in `held` until they are a whole answer. */
void peri_attempt_fold(struct peri_attempt *a, struct peri_str bytes);
void peri_attempt_fold_ended(struct peri_attempt *a, enum peri_err err);

/* The last event of a stream without its blank line, when it is one: some providers end so. Put the blank line behind
 * `in`. gives false: what is left there is no whole event */
PERI_MUST_USE bool peri_attempt_close_event(struct peri_attempt *a);
/* The answer has come to its end, and says less than its request may be answered with: it fails.
 *   gives   false: it may be served */
bool peri_attempt_fail_unsaid(struct peri_attempt *a);

/* attempt_shape.c: the provider's own name for the model, and what the `attempt` hooks make of body and headers.
 *   gives   PERI_OK · PERI_EREJECTED a hook refused, `refusal` · PERI_EPOLICY · PERI_ENOMEM · PERI_ETOOBIG */
PERI_MUST_USE enum peri_err peri_attempt_shape(struct peri_attempt *a);
/* The bytes that are sent. gives PERI_OK · PERI_ENOMEM · PERI_ETOOBIG */
PERI_MUST_USE enum peri_err peri_attempt_text(struct peri_attempt *a, struct peri_str *out);

/* attempt_judge.c: its status and body, `in`, are a refusal. It fails, and what the refusal is about rests. */
void peri_attempt_end_refusal(struct peri_attempt *a);
/* What a log may say of a provider's error: words for programs, " (type …, code …)". Its sentence, which may repeat the
 * prompt, is kept apart in `words`. */
void peri_attempt_describe(struct peri_attempt *a, const struct peri_upstream_error *told,
                           char out[160]);

/* attempt_health.c: one of the three is called for each attempt that was entered, exactly once before it is over: it answered
 * as it should, it failed, or its end shows nothing. */
void peri_attempt_went_well(struct peri_attempt *a);
void peri_attempt_went_wrong(struct peri_attempt *a, enum peri_err err);
void peri_attempt_left_open(struct peri_attempt *a);

/* For attempt_stream.c: the two ways out of ASKING. */
void peri_attempt_fail(struct peri_attempt *a, enum peri_err err, const char *format, ...)
    PERI_PRINTF(3, 4);
void peri_attempt_ready(struct peri_attempt *a);
/* The provider's 200 holds an error instead of content: judged as the status it names, if it names one. */
void peri_attempt_fail_inside(struct peri_attempt *a, struct peri_str error);

#endif
