/* One request from its body to its last byte, and everything made on its behalf.
 *
 *   DECIDING  the policy (or the built-in route) tries providers; nothing has been sent to the client, except
 *             perhaps keep-alive comments (request/relay.h)
 *   SERVING   one attempt is past the commit point and its bytes go to the client
 *   ENDED     answered, failed or abandoned: only peri_request_free is left
 *
 * Every end (done, failed, client gone, deadline) leaves through peri_request_free: attempts are cancelled, slots
 * released, the policy told to forget, the record written, the arena given back.
 */
#ifndef PERI_REQUEST_REQUEST_H
#define PERI_REQUEST_REQUEST_H

#include "base/json_edit.h"
#include "base/list.h"
#include "fleet/fleet.h"
#include "request/env.h"
#include "fleet/route.h"
#include "request/relay.h"

struct peri_attempt;

enum peri_phase { PERI_DECIDING, PERI_SERVING, PERI_ENDED };

#define PERI_REQUEST_ID_BYTES 28 /* "req_" and 24 hexadecimal digits */

struct peri_request {
    struct peri_list link; /* in env->requests, ->ended or ->spare_requests */
    struct peri_request_env *env;
    struct peri_arena arena;
    struct peri_relay relay;
    struct peri_exchange *exchange; /* NULL when the request was made from C */
    void (*release)(void *sink);    /* of a request made from C */
    enum peri_phase phase;
    const struct peri_dialect *dialect; /* of the client */
    char id[PERI_REQUEST_ID_BYTES];
    uint64_t began_ns;

    struct peri_json *body;   /* lossless document; edits of policies are made in it */
    size_t body_bytes;        /* as the client sent it, unpacked */
    struct peri_buf unpacked; /* a body that came packed; empty: it did not */
    struct peri_str model;    /* public name: as listed, else as the client wrote it */
    bool is_stream;
    const struct peri_config_key *key; /* NULL: no key was asked for */

    struct peri_fleet *fleet;   /* referenced */
    struct peri_policy *policy; /* referenced; NULL: none is configured */
    struct peri_config *config; /* referenced */
    bool is_known;              /* the policy has met it: `forget` is owed */
    void *task;                 /* the policy's own */
    struct peri_str guard;      /* name of the one that failed and may not be done without */
    struct peri_candidates
        candidates; /* who serves the model: peri_request_fit says who can serve this */
    struct peri_candidates fit;
    bool has_fit; /* it holds as long as the body is not edited */
    bool *tried;  /* by provider index */
    struct peri_list attempts;
    unsigned attempt_count;
    struct peri_attempt *serving;
    struct peri_attempt *last; /* the failed one that the client may be told of */
    uint64_t waited_ns;        /* spent waiting for providers before the answer began */
    uint64_t waiting_since_ns; /* 0: not waiting */

    struct peri_timer deadline, queue_timer, retry_timer;
    struct peri_list queue_link; /* in env->queue */
    bool is_undiscovered;        /* it waits in the queue for its model, not for a slot */
    bool is_timed;               /* its deadline runs */
    uint64_t total_ms;           /* that the deadline was set to; 0: none */
    bool is_queued;
    bool is_retrying; /* it waits to be tried again where it failed */
    unsigned retry_count;
    struct peri_header *extra_headers; /* set by policies for the answer; in the arena */
    size_t extra_header_count;
    struct peri_outcome outcome;
};

/* A new request that nothing is known of yet: the newest snapshots, its timers, its identity.
 *   gives   NULL: memory ran out */
struct peri_request *peri_request_open(struct peri_request_env *env,
                                       const struct peri_dialect *dialect, struct peri_sink sink);

/* The client left, or the router stops: cancel everything. r is gone afterwards. */
void peri_request_abandon(struct peri_request *r, enum peri_err why);
/* The router stops, and the request's time to end is over: an error. r is gone afterwards. */
void peri_request_stop(struct peri_request *r);
/* The answer's queue to the client drained. */
void peri_request_drained(struct peri_request *r);

/* body.c: undo the content-encoding of the client's body, which the document will borrow.
 *   text    in: as it came; out: what it stands for
 *   gives   false when the request has ended with an error for it */
bool peri_request_unpack(struct peri_request *r, struct peri_str *text);

/* Answer with an error of the OpenAI shape, or with an error frame when the stream's head is out already.
 * `code` NULL: the error's own. r is gone afterwards. */
void peri_request_fail(struct peri_request *r, enum peri_err err, int status, const char *code,
                       const char *format, ...) PERI_PRINTF(5, 6);
/* The same with every member of the error said; `code` and `param` NULL write null. `headers` go with a whole answer. */
void peri_request_send_error(struct peri_request *r, enum peri_err err, int status,
                             const char *type, const char *code, const char *param,
                             struct peri_str message, const struct peri_header *headers,
                             size_t count);
/* Nobody serves its model, but there is a network whose hosts are not known. */
void peri_request_give_up_undiscovered(struct peri_request *r);
/* Nobody is left to ask: say what the last attempt said, or why nobody was asked. */
void peri_request_give_up(struct peri_request *r, const struct peri_route_report *report);
/* Write a whole body of our own; peri_request_ended follows. */
void peri_request_answer(struct peri_request *r, int status, const struct peri_header *headers,
                         size_t count, struct peri_str body);

/* "req_" and 24 digits, without a NUL. */
void peri_request_make_id(char id[PERI_REQUEST_ID_BYTES], struct peri_rand *rand);

/* At the end of the loop's turn, when nothing below on the stack can still hold r. */
void peri_request_free(struct peri_request *r);

/* Headers of policies in one answer: of the request, and of the attempt that answers. */
#define PERI_ANSWER_HEADERS_MAX 12
#define PERI_HEADER_IS_OURS     "the router sets it itself"
/* Why a policy's header can not stand in an answer: it can not be sent at all (net/header.h), or the router writes the
 * header of that name itself. NULL: it can. Static text. */
const char *peri_answer_header_fault(struct peri_header header);
/* What hooks have made of it so far, and the way back to that. Good until a rollback to an earlier one. */
struct peri_request_mark {
    struct peri_json_mark body;
    struct peri_header *extra_headers;
    size_t extra_header_count;
    struct peri_candidates candidates; /* of the model that is asked for */
};
struct peri_request_mark peri_request_mark(const struct peri_request *r);
void peri_request_rollback(struct peri_request *r, const struct peri_request_mark *mark);
/* A policy has failed that this request may not do without (`on_failure = "refuse"`), r->guard: 500 policy_failed, or an
 * error frame. r is gone afterwards. */
void peri_request_refuse(struct peri_request *r);

/* An error body of the OpenAI shape, in the request's arena; p NULL when memory ran out. */
struct peri_str peri_request_error_json(struct peri_request *r, int status, struct peri_str message,
                                        struct peri_str param, struct peri_str code);

/* The answer's head with our own headers; nothing where it is out already.
 *   a   whose answer it is; NULL: nobody's */
void peri_request_start_answer(struct peri_request *r, const struct peri_attempt *a, int status,
                               struct peri_str content_type, uint64_t length,
                               const struct peri_header *more, size_t more_count);
/* The same for a stream. */
void peri_request_start_stream(struct peri_request *r, const struct peri_attempt *a);
/* For the attempt that serves: its answer has ended. */
void peri_request_complete(struct peri_request *r, enum peri_err err);
/* The answer was written: leave, and close the client's end. */
void peri_request_ended(struct peri_request *r, enum peri_err err);
void peri_request_wait_begins(struct peri_request *r);
void peri_request_wait_ends(struct peri_request *r);

/* The candidates that the request, as it now stands, fits (fleet/fit.h). */
struct peri_candidates peri_request_find_fit(struct peri_request *r);
static inline struct peri_candidates peri_request_fit(struct peri_request *r) {
    return r->candidates.has_limits ? peri_request_find_fit(r) : r->candidates;
}

/* The built-in choice among those (fleet/route.h).
 *   tried         by provider index: not those; NULL: all are looked at
 *   may_disturb   one that rests is the choice when all do */
struct peri_candidate peri_request_pick(struct peri_request *r, const bool *tried, bool may_disturb,
                                        struct peri_route_report *report);

/* Room for n more bytes that policies cause? Beyond `limits.request_memory` only the answer is still made. */
static inline bool peri_request_has_room(const struct peri_request *r, size_t n) {
    size_t max = r->config->request_memory;
    return n <= max && r->arena.used <= max - n;
}
/* The same for n bytes that a hook writes. Some room is kept from hooks: a request that goes on without the policy that
 * wrote too much still needs its attempts. */
#define PERI_ATTEMPTS_ROOM ((size_t)128 << 10)
static inline bool peri_request_may_write(const struct peri_request *r, size_t n) {
    size_t quarter = r->config->request_memory / 4;
    size_t kept = quarter < PERI_ATTEMPTS_ROOM ? quarter : PERI_ATTEMPTS_ROOM;
    return n <= SIZE_MAX - kept && peri_request_has_room(r, n + kept);
}

bool peri_provider_admits(const struct peri_provider *p, uint64_t now_ms);
/* Put a header on a list in an arena; the newest of a name wins.
 *   gives   PERI_OK · PERI_EINVAL for what may not stand in a header · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_header_put(struct peri_arena *arena, struct peri_header **headers,
                                            size_t *count, struct peri_str name,
                                            struct peri_str value);

/* The built-in route (request/route_default.c): weighted choice, tiers, fail-over, queue. */
void peri_route_default(struct peri_request *r);
/* Try the providers that are left.
 *   gives   false: only slots are missing, and there is room to wait for one */
bool peri_route_retry(struct peri_request *r);

#endif
