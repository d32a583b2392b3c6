/* Perilune: a programmable inference router, as a C library.
 *
 * This is the one installed header. It names no Lua and no event-library type; every symbol starts with
 * peri_. What is declared here is the contract with host applications; everything else in runtime/ is free
 * to change.
 *
 * Threads: a `struct peri_router` may be stopped from any thread; everything else is called from the thread
 * that created the object it is called on, unless its comment says otherwise.
 *
 * Versions: structs that may grow begin with `size`. The program that hands one over sets it to the struct's sizeof; what the library
 * hands out has it set. New members go to the end, and 0 in them means what there was before them, so a program goes on
 * working with a newer library. With an older one it does as long as it leaves what that does not know at 0; else the
 * call fails with PERI_EINVAL. The other structs (peri_str, peri_header, peri_fault, peri_json_iter) stay as they are.
 */
#ifndef PERILUNE_H
#define PERILUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PERI_MUST_USE     __attribute__((warn_unused_result))
#define PERI_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define PERI_API          __attribute__((visibility("default")))
#else
#define PERI_MUST_USE
#define PERI_PRINTF(f, a)
#define PERI_API
#endif

/* Of this header. A build may name its own: "0.1.0-rc1". */
#ifndef PERI_VERSION
#define PERI_VERSION "0.1.0"
#endif
/* Of the library that runs. Static text. */
PERI_API const char *peri_version(void);

/* A view of bytes: borrowed, never freed, never assumed to end in NUL. */
struct peri_str {
    const char *p;
    size_t n;
};

/* Every error there is: its number, its name for programs, its sentence for people. New ones go at the end:
 * the numbers are part of the ABI. */
#define PERI_ERR_MAP(X)                                                                            \
    X(OK, "no error")                                                                              \
    X(ENOMEM, "out of memory")                                                                     \
    X(EINVAL, "bad argument")                                                                      \
    X(ETOOBIG, "larger than its limit")                                                            \
    X(ETIMEOUT, "time ran out")                                                                    \
    X(ECANCELED, "canceled")                                                                       \
    X(ECLOSED, "the other side closed the connection")                                             \
    X(ECONNECT, "could not connect")                                                               \
    X(EDNS, "the host name did not resolve")                                                       \
    X(ETLS, "the TLS handshake or certificate check failed")                                       \
    X(EPROTO, "the other side broke the protocol")                                                 \
    X(EUPSTREAM, "the provider answered with an error")                                            \
    X(ERATELIMIT, "the provider limits the rate of requests")                                      \
    X(EREJECTED, "the provider refused the request itself")                                        \
    X(EAUTH, "the provider refused our credentials")                                               \
    X(ENOMODEL, "no provider serves that model")                                                   \
    X(ENOPROVIDER, "no provider can take the request now")                                         \
    X(EFULL, "every slot is taken")                                                                \
    X(ESTALL, "the stream stalled")                                                                \
    X(ETRUNCATED, "the answer ended before it was complete")                                       \
    X(EMALFORMED, "not well formed")                                                               \
    X(EPOLICY, "the policy failed")                                                                \
    X(EBUDGET, "the policy used up its budget")                                                    \
    X(ECONFIG, "the configuration is wrong")                                                       \
    X(EIO, "input or output failed")                                                               \
    X(ENOTFOUND, "not found")                                                                      \
    X(EEXIST, "already exists")                                                                    \
    X(EBUSY, "busy")                                                                               \
    X(EDEADLINE, "the request's deadline passed")                                                  \
    X(ECRYPTO, "a cryptographic operation failed")                                                 \
    X(EDENIED, "not allowed")                                                                      \
    X(ESTOPPING, "the router is stopping")                                                         \
    X(EEMPTY, "the model spent its tokens and said nothing")                                       \
    X(EUNFIT, "no provider of the model can take a request like this")

enum peri_err {
#define PERI_ERR_ENUM(name, text) PERI_##name,
    PERI_ERR_MAP(PERI_ERR_ENUM)
#undef PERI_ERR_ENUM
        PERI_ERR_COUNT
};

/* Gives "ETIMEOUT" for PERI_ETIMEOUT; "OK" for none. Static text. */
PERI_API const char *peri_err_name(enum peri_err err);
/* Gives the sentence for people. Static text. */
PERI_API const char *peri_err_text(enum peri_err err);

/* Text for people about one failure: `file:line: what, what was expected`. The caller supplies it, the
 * function that detects the failure fills it; it never holds a secret. */
struct peri_fault {
    enum peri_err err;
    char text[512];
};

struct peri_header {
    struct peri_str name;
    struct peri_str value;
};

/* ---- Text that grows, and JSON ----------------------------------------------------------------------------------
 *
 * For hooks that change what is sent. A document (struct peri_json) keeps every byte that nobody edits: order, white
 * space, the notation of numbers, escapes. A value in it is a node: a number that is good as long as the document, also
 * across edits that do not remove the value. A document belongs to the thread that its request is served on.
 */

/* A text under construction, with a limit. An append that fails leaves the buffer failed: later appends fail too,
 * and what a hook answers with a failed buffer is treated as PERI_HOOK_BREAK. So one check at the end is enough. */
struct peri_buf;
/*   gives   PERI_OK · PERI_ENOMEM · PERI_ETOOBIG beyond its limit */
PERI_API enum peri_err peri_buf_add(struct peri_buf *b, struct peri_str s);
/* A JSON string literal with its quotes. Bytes that are not UTF-8 become U+FFFD. */
PERI_API enum peri_err peri_buf_add_json(struct peri_buf *b, struct peri_str s);

struct peri_json;

enum peri_json_kind {
    PERI_JSON_NULL,
    PERI_JSON_BOOL,
    PERI_JSON_NUMBER,
    PERI_JSON_STRING,
    PERI_JSON_ARRAY,
    PERI_JSON_OBJECT
};

/* No such node. Every function that takes a node takes it, too, and finds nothing. */
#define PERI_JSON_NONE ((uint32_t)-1)

/* Read a text, which is copied. Yours, release with peri_json_free.
 *   gives   PERI_OK · PERI_EMALFORMED · PERI_ETOOBIG (nested deeper than 128, more than 64 MiB, more than 2097152
 *           values) · PERI_ENOMEM; `fault` (may be NULL) says "line 2, column 7, byte 31: what was expected" */
PERI_API PERI_MUST_USE enum peri_err peri_json_read(struct peri_json **out, struct peri_str text,
                                                    struct peri_fault *fault);
/* Only for documents of peri_json_read. Takes NULL. */
PERI_API void peri_json_free(struct peri_json *j);

PERI_API uint32_t peri_json_root(const struct peri_json *j);
/* Still part of the document: false for PERI_JSON_NONE and for what an edit removed. */
PERI_API bool peri_json_is_live(const struct peri_json *j, uint32_t node);
/* PERI_JSON_NULL for PERI_JSON_NONE. */
PERI_API enum peri_json_kind peri_json_kind(const struct peri_json *j, uint32_t node);
/* Elements of an array, members of an object (each occurrence of a name); 0 for other kinds. */
PERI_API size_t peri_json_count(struct peri_json *j, uint32_t container);
/* A member's value, by its unescaped name. Of members that stand twice the last one counts. */
PERI_API uint32_t peri_json_get(struct peri_json *j, uint32_t object, struct peri_str name);
/* An element, from 0. */
PERI_API uint32_t peri_json_at(struct peri_json *j, uint32_t array, size_t index);

/* All children in order. Removing and replacing members of the object under way is allowed; of an array
 * elements are counted by position, as a loop over an index would.
 *   struct peri_json_iter it = peri_json_iter(j, object);
 *   while (peri_json_next(j, &it)) use(it.name, it.value); */
struct peri_json_iter {
    uint32_t container, place;
    uint32_t name; /* node of the member's name, a string; PERI_JSON_NONE in an array */
    uint32_t value;
};
PERI_API struct peri_json_iter peri_json_iter(const struct peri_json *j, uint32_t container);
PERI_API PERI_MUST_USE bool peri_json_next(struct peri_json *j, struct peri_json_iter *it);

/* A value's own bytes: strings with their quotes. p is NULL when something inside was edited (then
 * peri_json_add_node writes it) and for PERI_JSON_NONE. Good as long as the document. */
PERI_API struct peri_str peri_json_raw(const struct peri_json *j, uint32_t node);
/* A string's text, unescaped, good as long as the document: a lone surrogate is U+FFFD, "\u0000" a NUL byte.
 *   gives   p NULL when it is no string, or memory ran out */
PERI_API struct peri_str peri_json_string_view(struct peri_json *j, uint32_t node);
/* The same text, compared without decoding. */
PERI_API bool peri_json_string_is(const struct peri_json *j, uint32_t node, struct peri_str text);
/* It is the literal true. */
PERI_API bool peri_json_is_true(const struct peri_json *j, uint32_t node);
/* gives PERI_OK · PERI_EINVAL not a number written as an integer · PERI_ETOOBIG beyond 64 bits */
PERI_API PERI_MUST_USE enum peri_err peri_json_int(int64_t *out, const struct peri_json *j,
                                                   uint32_t node);
/* gives PERI_OK · PERI_EINVAL not a number · PERI_ETOOBIG beyond a double (out is an infinity) */
PERI_API PERI_MUST_USE enum peri_err peri_json_double(double *out, const struct peri_json *j,
                                                      uint32_t node);

/* Edits. Each checks the JSON it is given, takes a copy, and either happens completely or not at all; what was set can
 * be read and edited again at once. A node that was replaced or removed, and all below it, is no longer live.
 *   gives   PERI_OK · PERI_EMALFORMED or PERI_ETOOBIG for `json` (text in `fault`, which may be NULL) ·
 *           PERI_ENOTFOUND the node is not live · PERI_EINVAL it is of the wrong kind · PERI_ENOMEM */

/* Set a member, in its old place or at the end. Earlier members of the same name go. */
PERI_API enum peri_err peri_json_set(struct peri_json *j, uint32_t object, struct peri_str name,
                                     struct peri_str json, struct peri_fault *fault);
PERI_API enum peri_err peri_json_set_string(struct peri_json *j, uint32_t object,
                                            struct peri_str name, struct peri_str text);
PERI_API enum peri_err peri_json_set_int(struct peri_json *j, uint32_t object, struct peri_str name,
                                         int64_t value);
/* Remove every member of that name; none is no error. */
PERI_API enum peri_err peri_json_unset(struct peri_json *j, uint32_t object, struct peri_str name);
/* Insert an element before `index`; an index at or behind the end appends (SIZE_MAX does). */
PERI_API enum peri_err peri_json_insert(struct peri_json *j, uint32_t array, size_t index,
                                        struct peri_str json, struct peri_fault *fault);
/* Put another value in a node's place; the root, too. */
PERI_API enum peri_err peri_json_replace(struct peri_json *j, uint32_t node, struct peri_str json,
                                         struct peri_fault *fault);
/* Take an element, or a member with its name, out of its container. The root can not go: PERI_EINVAL. */
PERI_API enum peri_err peri_json_remove(struct peri_json *j, uint32_t node);

PERI_API bool peri_json_is_edited(const struct peri_json *j);
/* Append one value as it now stands.
 *   gives   PERI_OK · PERI_ENOTFOUND · PERI_ENOMEM or PERI_ETOOBIG of the buffer */
PERI_API enum peri_err peri_json_add_node(struct peri_buf *out, const struct peri_json *j,
                                          uint32_t node);

/* ---- Policies ------------------------------------------------------------------------------------------------
 *
 * A policy decides who answers a request, and may change what is asked and what is answered. Lua policies are one
 * implementation of these functions; a host program may supply its own (peri_router_options). Every hook runs on the
 * worker thread that owns the request; with several workers, hooks of different requests run at the same time.
 * Requests, attempts and events are good as long as the hook they were given to runs; a request, in addition, from
 * `decide` until it is decided.
 */
struct peri_request;
struct peri_attempt;

/* One provider that was asked for a request. */
struct peri_attempt_record {
    size_t size;
    struct peri_str provider, model; /* its id; the public name of the model it was asked for */
    struct peri_str account;         /* of the wallet that signed; empty: it was not signed */
    unsigned key;                    /* which of the provider's keys, from 1; 0: it has none */
    int status;                      /* of its answer; 0: none came */
    /* PERI_OK: its answer was complete. PERI_ECANCELED, PERI_EDEADLINE, PERI_ESTOPPING: the request ended first. */
    enum peri_err err;
    bool is_served; /* the client got its answer, or the beginning of it */
    bool has_usage; /* it reported tokens */
    uint64_t input_tokens, output_tokens, cached_tokens, reasoning_tokens;
    uint64_t started_us;               /* since the request began */
    uint64_t first_token_us, total_us; /* since it was asked; first_token 0: none came */
    uint64_t body_bytes;               /* of its answer, as they came */
};

/* How one request ended: what the log line, metrics and `done` hooks are made of. Views are good until the
 * callback that got it returns. */
struct peri_outcome {
    size_t size;
    int status;        /* HTTP status; 499 when the client left */
    enum peri_err err; /* PERI_OK: the answer was complete */
    /* The provider that served it, else the one that was being asked when it ended, else the one that failed last; the
     * public model name. Both may be empty. */
    struct peri_str provider, model;
    struct peri_str route; /* "policy@generation" */
    unsigned attempts;
    bool is_stream, has_policy_error;
    uint64_t first_token_us, total_us,
        overhead_us; /* since the request began; overhead: time not spent waiting
                                                       for providers before the first byte */
    uint64_t input_tokens, output_tokens, cached_tokens, reasoning_tokens; /* as reported */
    bool has_usage;      /* the provider reported it */
    uint64_t body_bytes; /* of the answer, sent to the client */
    /* Reported by tries whose answer nobody saw; not part of the counts above. */
    uint64_t discarded_input_tokens, discarded_output_tokens;
    bool has_cut_tool_args; /* arguments of a tool call were begun and never closed */
    /* The providers that were asked, in that order, for `done`; none when memory ran out. */
    const struct peri_attempt_record *const *tried;
    size_t tried_count;
};

/* One streamed event, for policies that look at each. */
struct peri_event {
    size_t size;
    struct peri_str data;               /* JSON text, or [DONE] */
    struct peri_str name;               /* the event's type, usually empty */
    const struct peri_attempt *attempt; /* whose answer it belongs to */
};

/* What an `event` or `answer` hook says.
 *   KEEP      send it as it came
 *   DROP      send nothing; an answer is sent as it came
 *   REPLACE   send what the hook wrote to `out`
 *   BREAK     what should be sent instead could not be made (it is too large, memory ran out), and what came must
 *             not be sent as it is. The client sees an answer that failed.
 *   REFUSE    the policy failed, and nothing may go on without it. The client sees 500 `policy_failed`, or an error
 *             frame when the answer has begun. */
enum peri_verdict {
    PERI_HOOK_KEEP,
    PERI_HOOK_DROP,
    PERI_HOOK_REPLACE,
    PERI_HOOK_BREAK,
    PERI_HOOK_REFUSE
};

/* What changed in a network. Addresses; the lists are good until the callback returns. */
struct peri_epoch_change {
    size_t size;
    struct peri_str network; /* id of the configured provider */
    uint64_t old_epoch, new_epoch;
    const struct peri_str *added, *removed, *changed;
    size_t added_count, removed_count, changed_count;
};

struct peri_policy_ops {
    size_t size; /* sizeof(struct peri_policy_ops) */
    /* Decide one request, now or later, with exactly one of peri_request_serve, peri_request_reply,
     * peri_request_default. Before that it may edit peri_request_body and set peri_request_set_model. NULL: the
     * built-in route. */
    void (*decide)(void *self, struct peri_request *r);
    /* Before an attempt is sent: edit peri_attempt_body, set headers, keep it from being sent (peri_attempt_refuse), or
     * say what counts as a failure of it (peri_attempt_expect_content). An error keeps the attempt from being sent;
     * PERI_EPOLICY ends the request with 500 `policy_failed`, as the policy failed and nothing may go on without it. */
    enum peri_err (*attempt)(void *self, struct peri_request *r, struct peri_attempt *a);
    /* Each streamed event of the answer that is being served, or is held until its first content. With
     * PERI_HOOK_REPLACE, `out` holds what is sent instead: any number of whole frames (peri_event_add), at
     * most `limits.answer_bytes`. */
    enum peri_verdict (*event)(void *self, struct peri_request *r, const struct peri_event *e,
                               struct peri_buf *out);
    /* The whole JSON answer of a request that is not streamed. With PERI_HOOK_REPLACE, `out` holds the new text, at
     * most `limits.answer_bytes`. */
    enum peri_verdict (*answer)(void *self, struct peri_request *r, struct peri_str json,
                                struct peri_buf *out);
    /* The request is over; may not wait. */
    void (*done)(void *self, struct peri_request *r, const struct peri_outcome *outcome);
    /* The hosts of a network changed: once for the whole router, on one of its workers. */
    void (*epoch)(void *self, const struct peri_epoch_change *change);
    /* The request goes away: forget it. Runs after `done`, for every request that `decide` saw or that has something of
     * the policy's own (peri_request_set_user). */
    void (*forget)(void *self, struct peri_request *r);
};

/* Append one frame of a stream, with the blank line that ends it; data of several lines stands on as many.
 *   name    the event's type: that of the event which is replaced; usually empty
 *   data    JSON text, or [DONE]
 *   gives   PERI_OK · PERI_EINVAL the name holds a line's end · PERI_ENOMEM or PERI_ETOOBIG of the buffer */
PERI_API enum peri_err peri_event_add(struct peri_buf *out, struct peri_str name,
                                      struct peri_str data);
/* The same for a document as it now stands, whose text may have 1 MiB. */
PERI_API enum peri_err peri_event_add_json(struct peri_buf *out, struct peri_str name,
                                           const struct peri_json *j);

struct peri_try_options {
    size_t size;             /* sizeof(struct peri_try_options) */
    uint64_t first_token_ms; /* 0: the provider's */
    uint64_t total_ms;       /* 0: the provider's */
    struct peri_str
        model; /* another than the request's, good until the request ends; n 0: its own */
};

/* What a try led to: `err` PERI_OK when the first content token, or the whole answer, is here. */
typedef void (*peri_tried)(void *arg, struct peri_attempt *a, enum peri_err err);

/* Ask one provider. The callback never runs before this returns.
 *   gives   PERI_OK · PERI_ENOTFOUND no such provider, or it does not serve the model · PERI_EFULL no free slot ·
 *           PERI_ENOPROVIDER it rests after failures · PERI_EBUSY our own connections are used up · PERI_ENOMEM ·
 *           PERI_EINVAL already answered, or options without their size */
PERI_API PERI_MUST_USE enum peri_err
peri_request_try(struct peri_attempt **out, struct peri_request *r, struct peri_str provider_id,
                 const struct peri_try_options *options, peri_tried tried, void *arg);
/* Send that attempt's answer to the client; it must have come to PERI_OK. */
PERI_API void peri_request_serve(struct peri_request *r, struct peri_attempt *a);
/* Answer with JSON of our own. A status that is not 200 to 599 becomes a 500 that says so. */
PERI_API void peri_request_reply(struct peri_request *r, int status, struct peri_str json);
/* Leave it to the built-in route. */
PERI_API void peri_request_default(struct peri_request *r);

/* Something of the policy's own to remember with a request: NULL until it is set. `forget` is where it is released. */
PERI_API void *peri_request_user(const struct peri_request *r);
PERI_API void peri_request_set_user(struct peri_request *r, void *user);

/* Views are good until the request ends. */
PERI_API struct peri_str peri_request_id(const struct peri_request *r);
/* The public name of the model that is asked for. */
PERI_API struct peri_str peri_request_model(const struct peri_request *r);
/* From `decide`: ask for another model from now on, whose providers become the candidates.
 *   gives   PERI_OK · PERI_ENOMODEL nobody serves it · PERI_EINVAL the request is decided · PERI_ENOMEM */
PERI_API PERI_MUST_USE enum peri_err peri_request_set_model(struct peri_request *r,
                                                            struct peri_str model);
/* "chat", "completions" or "embeddings". */
PERI_API struct peri_str peri_request_endpoint(const struct peri_request *r);
/* What the client sent, to be edited in `decide`: the edits are in what every later attempt sends. Leave `model`
 * to peri_request_set_model; `stream` is the client's choice: an attempt with another `stream` is not sent, and the
 * request ends with 500 `policy_failed`. NULL when what the client sent was no JSON, which only `done` hooks hear of. */
PERI_API struct peri_json *peri_request_body(struct peri_request *r);
/* p NULL: the client sent none, or it is the one that the client's key came in (peri_request_key_id names the key). */
PERI_API struct peri_str peri_request_header(const struct peri_request *r, struct peri_str name);
/* A header for the answer, before it has begun; copied. The newest of a name wins, over the router's own `retry-after`
 * and `cache-control`, too.
 *   gives   PERI_OK · PERI_EINVAL it can not stand in a header (RFC 9110), or the router writes the header of that name
 *           itself (framing, content-type, date, x-request-id, x-perilune-…) · PERI_ETOOBIG more than 12 ·
 *           PERI_ENOMEM */
PERI_API PERI_MUST_USE enum peri_err
peri_request_set_header(struct peri_request *r, struct peri_str name, struct peri_str value);
PERI_API struct peri_str peri_request_key_id(const struct peri_request *r);
PERI_API bool peri_request_is_stream(const struct peri_request *r);
/* Attempts that were sent so far. */
PERI_API unsigned peri_request_attempts(const struct peri_request *r);
/* The i-th provider that can serve the request, in tier order; an empty view past the last. Left out are those that do
 * not serve its model, and those known to be unable to take it: too long, or with images where none are taken. */
PERI_API struct peri_str peri_request_candidate(struct peri_request *r, size_t i);
/* Whether that provider would take a request now. */
PERI_API bool peri_request_admits(const struct peri_request *r, struct peri_str provider_id);

/* One provider as it stands just now. Credentials are not here. Views are good until the request ends. */
struct peri_provider_info {
    size_t size; /* set by the caller: sizeof(struct peri_provider_info) */
    struct peri_str id, url, tags;
    struct peri_str network; /* "" for a plain provider, "gonka" */
    struct peri_str address; /* of the host on its network */
    uint32_t tier, weight;
    uint32_t max_concurrent;    /* as configured; 0: no limit */
    uint32_t concurrency_limit; /* the same just now: less while less was found; 0: no limit */
    uint32_t in_flight;         /* requests under way, of all workers */
    uint32_t failures;          /* in a row */
    bool is_healthy;            /* it does not rest; one of its models may */
    bool is_admissible;         /* healthy, and a slot is free */
    bool is_reduced;            /* its network computes proofs: it serves little just now */
    uint64_t cooling_ms;        /* 0 when healthy */
    uint64_t first_token_us, total_us; /* moving averages; 0: never measured */
    uint64_t succeeded, failed, rate_limited;
    /* Of the request's model at this provider; empty and 0 where it does not serve it, or that is not known. */
    struct peri_str upstream_model;
    uint64_t context_tokens, max_output_tokens;
};
/*   gives   PERI_OK · PERI_ENOTFOUND no such provider · PERI_EINVAL info->size is not that of a release */
PERI_API PERI_MUST_USE enum peri_err peri_request_provider(struct peri_provider_info *info,
                                                           const struct peri_request *r,
                                                           struct peri_str provider_id);

PERI_API struct peri_str peri_attempt_provider(const struct peri_attempt *a);
/* The provider's own name for the model. */
PERI_API struct peri_str peri_attempt_upstream_model(const struct peri_attempt *a);
/* The status the provider answered with; 0 when none came. */
PERI_API int peri_attempt_status(const struct peri_attempt *a);
/* Why the request's newest attempt before this one failed; PERI_OK: none did. */
PERI_API enum peri_err peri_attempt_previous(const struct peri_attempt *a);

/* From an `attempt` hook. What they set is this attempt's alone: the next one begins with what the client sent. */

/* This provider's version of the body, to be edited. Leave `stream` as it is: see peri_request_body. Nodes have the
 * numbers that they have in peri_request_body.
 *   gives   NULL when memory ran out */
PERI_API struct peri_json *peri_attempt_body(struct peri_attempt *a);
/* A header for the provider; copied. The newest of a name wins, over a configured one and the one that carries the
 * provider's key, too.
 *   gives   PERI_OK · PERI_EINVAL it can not stand in a header, or it is one that says how the body is framed, carried
 *           and encoded, or part of a network's signature · PERI_ETOOBIG beyond `limits.request_memory` · PERI_ENOMEM */
PERI_API PERI_MUST_USE enum peri_err
peri_attempt_set_header(struct peri_attempt *a, struct peri_str name, struct peri_str value);
/* A header for the client, should it get this attempt's answer, or be told why this one failed. As
 * peri_request_set_header otherwise. */
PERI_API PERI_MUST_USE enum peri_err
peri_attempt_set_answer_header(struct peri_attempt *a, struct peri_str name, struct peri_str value);
/* Do not send it, and tell why. Another provider may be asked; when none answers, the client gets this.
 *   status       400 to 599
 *   param, code  of the error; p NULL: null
 *   gives        PERI_OK · PERI_EINVAL another status · PERI_ETOOBIG · PERI_ENOMEM */
PERI_API PERI_MUST_USE enum peri_err peri_attempt_refuse(struct peri_attempt *a, int status,
                                                         struct peri_str message,
                                                         struct peri_str param,
                                                         struct peri_str code);
/* Should the answer be empty (tokens were spent, and nothing was said but blanks and reasoning), the attempt fails with
 * PERI_EEMPTY instead of giving it to the client. That is no fault of the provider's: its health does not change, and it
 * may be tried again in the same request, best with another body. Judged before the commit point: a stream whose
 * reasoning the client has seen is served as it is. */
PERI_API void peri_attempt_expect_content(struct peri_attempt *a);

/* ---- The router ----------------------------------------------------------------------------------------------
 *
 * Two ways to run one. On threads of its own: peri_router_run, or peri_router_start … peri_router_join. Inside the
 * host's own loop: peri_router_open, then watch peri_router_fd for reading, wait at most peri_router_wait_ms, and call
 * peri_router_step; everything then happens on the caller's thread, with one worker.
 */
struct peri_router;

/* Levels of the log, as `log.level` names them. */
enum peri_log_level {
    PERI_LOG_TRACE,
    PERI_LOG_DEBUG,
    PERI_LOG_INFO,
    PERI_LOG_WARN,
    PERI_LOG_ERROR,
    PERI_LOG_OFF
};

struct peri_router_options {
    size_t size; /* sizeof(struct peri_router_options) */
    /* perilune.lua or *.json; NULL: see config_json */
    const char *config_file;
    /* The same schema as text. NULL, with config_file NULL: the environment alone. */
    const char *config_json;
    /* A policy in C, instead of those of the configuration; may be NULL. Copied; its functions are called with
     * policy_self, by every worker. */
    const struct peri_policy_ops *policy;
    void *policy_self;
    /* What `x-perilune-route` and the log call it; NULL: "c". At most 63 bytes. */
    const char *policy_name;
    /* Where the modules that policies require stand; NULL: where they were installed. */
    const char *lua_dir;
    unsigned workers; /* 0: as configured */
    /* Takes the lines of the log, instead of the configured file; levels are as configured. NULL: the file, or standard
     * error. Called on the thread that has something to say, on several at the same time; it may not call the router.
     *   line   one object of JSON, without a line's end; good until the callback returns */
    void (*log)(void *log_arg, enum peri_log_level level, struct peri_str line);
    void *log_arg;
};

/*   options  NULL: the environment alone
 *   gives    PERI_OK · PERI_ECONFIG, PERI_EPOLICY, PERI_EIO, PERI_ENOMEM, PERI_EINVAL (a size, a name) with the reason in
 *            `fault` */
PERI_API PERI_MUST_USE enum peri_err peri_router_new(struct peri_router **out,
                                                     const struct peri_router_options *options,
                                                     struct peri_fault *fault);
/* After peri_router_join, or at any time for one that was opened. Takes NULL. */
PERI_API void peri_router_free(struct peri_router *r);

/* Listen and serve on threads of its own.
 *   gives   PERI_OK · PERI_EIO with the reason (address in use …) */
PERI_API PERI_MUST_USE enum peri_err peri_router_start(struct peri_router *r,
                                                       struct peri_fault *fault);
/* Wait until it has stopped. */
PERI_API void peri_router_join(struct peri_router *r);
/* start and join. */
PERI_API PERI_MUST_USE enum peri_err peri_router_run(struct peri_router *r,
                                                     struct peri_fault *fault);
/* Any thread: stop accepting, let what is under way finish within the drain time, end. */
PERI_API void peri_router_stop(struct peri_router *r);

/* Listen, to be turned by the caller. */
PERI_API PERI_MUST_USE enum peri_err peri_router_open(struct peri_router *r,
                                                      struct peri_fault *fault);
PERI_API int peri_router_fd(const struct peri_router *r);
/* Milliseconds until it has work even if nothing arrives; -1: none. */
PERI_API int peri_router_wait_ms(struct peri_router *r);
/* One turn: what is ready now; with `may_wait`, sleep until something is.
 *   gives   false when it was stopped and is done */
PERI_API bool peri_router_step(struct peri_router *r, bool may_wait);

/* The port of the i-th address listened on; 0 past the last and for unix sockets. */
PERI_API unsigned peri_router_port(const struct peri_router *r, size_t i);
/* Read policies again; nothing changes when one is wrong. Not from a worker's thread. */
PERI_API PERI_MUST_USE enum peri_err peri_router_reload(struct peri_router *r,
                                                        struct peri_fault *fault);

/* One request without HTTP in front. Callbacks run on the thread that serves (the caller's own, with
 * peri_router_open): `head` once, `bytes` as the answer arrives, `end` exactly once and last. Each may be NULL. */
struct peri_answer_ops {
    size_t size; /* sizeof(struct peri_answer_ops) */
    void (*head)(void *arg, int status, const struct peri_header *headers, size_t count);
    /*   gives   true: go on · false: these are taken, and no more come, nor does `end`, until peri_sending_resume. The
     *           provider is held back meanwhile; what it has sent already, and more than 1 MiB of, breaks the answer off */
    bool (*bytes)(void *arg, struct peri_str bytes);
    /* PERI_OK: complete; otherwise it broke off. An answer that broke off after its head ends with an error frame.
     * PERI_ECANCELED after peri_sending_cancel, PERI_ESTOPPING when the router stops meanwhile. */
    void (*end)(void *arg, enum peri_err err);
};

/* A request under way, for the program that sent it. */
struct peri_sending;

/* Any thread, between peri_router_start or peri_router_open and peri_router_free; with peri_router_open the thread that
 * turns the router.
 *   out     the request, yours, release with peri_sending_free; NULL: it is never cancelled or held back. Set before
 *           any callback runs
 *   path    "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
 *   body    JSON, copied
 *   ops     copied
 *   gives   PERI_OK, callbacks follow, some perhaps before this returns · PERI_ENOTFOUND unknown path · PERI_EINVAL ops
 *           without their size · PERI_ESTOPPING · PERI_ENOMEM */
PERI_API PERI_MUST_USE enum peri_err peri_router_send(struct peri_sending **out,
                                                      struct peri_router *r, const char *path,
                                                      struct peri_str body,
                                                      const struct peri_answer_ops *ops, void *arg);
/* Give up waiting for the answer: the provider is let go, and `end` follows, soon and not from inside this, unless it
 * has run already. Threads as peri_router_send.
 *   gives   PERI_OK · PERI_ENOMEM nothing has happened */
PERI_API PERI_MUST_USE enum peri_err peri_sending_cancel(struct peri_sending *s);
/* More bytes may come, after `bytes` said false; else it does nothing. Threads as peri_router_send.
 *   gives   PERI_OK · PERI_ENOMEM nothing has happened */
PERI_API PERI_MUST_USE enum peri_err peri_sending_resume(struct peri_sending *s);
/* It does not cancel: callbacks may still come. One that is held back then ends with the router, with PERI_ESTOPPING. Any
 * thread, at any time. Takes NULL. */
PERI_API void peri_sending_free(struct peri_sending *s);

#ifdef __cplusplus
}
#endif
#endif
