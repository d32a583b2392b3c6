/* Perilune: a programmable inference router, as a C library.
 *
 * This is the one installed header. It names no Lua and no event-library type; every symbol starts with
 * peri_. What is declared here is the contract with host applications; everything else in runtime/ is free
 * to change.
 *
 * Threads: a `struct peri_router` may be stopped from any thread; everything else is called from the thread
 * that created the object it is called on, unless its comment says otherwise.
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

/* Text for people about one failure: `file:line: what, what was expected`. The caller supplies it, whoever
 * detects the failure fills it; it never holds a secret. */
struct peri_fault {
    enum peri_err err;
    char text[512];
};

struct peri_header {
    struct peri_str name;
    struct peri_str value;
};

/* ---- Policies ------------------------------------------------------------------------------------------------
 *
 * A policy decides who answers a request. Lua policies are one implementation of these functions; a host program
 * may supply its own. Every function runs on the worker thread that owns the request.
 */
struct peri_request;
struct peri_attempt;
struct peri_provider;
struct peri_buf;

/* How one request ended: what the log line, metrics and `done` hooks are made of. Views are good until the
 * callback that got it returns. */
struct peri_outcome {
    int status;                      /* HTTP status; 499 when the client left */
    enum peri_err err;               /* PERI_OK: the answer was complete */
    struct peri_str provider, model; /* who served it, the public model name; may be empty */
    struct peri_str route;           /* "policy@generation" */
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
};

/* One streamed event, for policies that look at each. */
struct peri_event {
    struct peri_str data;               /* JSON text, or [DONE] */
    struct peri_str name;               /* the event's type, usually empty */
    const struct peri_attempt *attempt; /* whose answer it belongs to */
};

/* PERI_HOOK_BREAK: what should be sent instead could not be made (it is too large, memory ran out), and what came must not
 * be sent as it is. The client sees an answer that failed.
 * PERI_HOOK_REFUSE: the policy failed, and nothing may go on without it. The client sees 500 `policy_failed`, or an error
 * frame when the answer has begun. */
enum peri_verdict {
    PERI_HOOK_KEEP,
    PERI_HOOK_DROP,
    PERI_HOOK_REPLACE,
    PERI_HOOK_BREAK,
    PERI_HOOK_REFUSE
};

/* What changed in a network. Addresses; the lists are good until the callback returns. */
struct peri_epoch_change {
    struct peri_str network; /* id of the configured provider */
    uint64_t old_epoch, new_epoch;
    const struct peri_str *added, *removed, *changed;
    size_t added_count, removed_count, changed_count;
};

struct peri_policy_ops {
    /* Decide one request, now or later, with exactly one of peri_request_serve, peri_request_reply,
     * peri_request_default. NULL: the built-in route. */
    void (*decide)(void *self, struct peri_request *r);
    /* Before an attempt is sent: edit its body or add headers, or say what counts as a failure of it
     * (peri_attempt_expect_content). An error keeps the attempt from being sent; PERI_EPOLICY ends the request with 500
     * `policy_failed`, as the policy failed and nothing may go on without it. */
    enum peri_err (*attempt)(void *self, struct peri_request *r, struct peri_attempt *a);
    /* Each streamed event once the answer is being served. With PERI_HOOK_REPLACE, `out` holds what is sent instead:
     * whole frames with their blank lines. */
    enum peri_verdict (*event)(void *self, struct peri_request *r, const struct peri_event *e,
                               struct peri_buf *out);
    /* The whole JSON answer of a request that is not streamed. With PERI_HOOK_REPLACE, `out` holds the new text;
     * PERI_HOOK_DROP is as PERI_HOOK_KEEP. */
    enum peri_verdict (*answer)(void *self, struct peri_request *r, struct peri_str json,
                                struct peri_buf *out);
    /* The request is over; may not wait. */
    void (*done)(void *self, struct peri_request *r, const struct peri_outcome *outcome);
    /* The hosts of a network changed: once for the whole router, on one of its workers. */
    void (*epoch)(void *self, const struct peri_epoch_change *change);
    /* The request goes away: forget it. Runs after `done`, for every request that `decide` saw. */
    void (*forget)(void *self, struct peri_request *r);
};

struct peri_try_options {
    uint64_t first_token_ms; /* 0: the provider's */
    uint64_t total_ms;       /* 0: the provider's */
    struct peri_str
        model; /* another than the request's, good until the request ends; n 0: its own */
};

/* What a try led to: `err` PERI_OK when the first content token, or the whole answer, is here. */
typedef void (*peri_tried)(void *arg, struct peri_attempt *a, enum peri_err err);

/* Ask one provider. The callback never runs before this returns.
 *   gives   PERI_OK · PERI_ENOTFOUND no such provider, or it does not serve the model · PERI_EFULL no free slot ·
 *           PERI_ENOPROVIDER it is cooling down · PERI_EBUSY our own connections are used up · PERI_ENOMEM ·
 *           PERI_EINVAL already answered */
PERI_API PERI_MUST_USE enum peri_err
peri_request_try(struct peri_attempt **out, struct peri_request *r, struct peri_str provider_id,
                 const struct peri_try_options *options, peri_tried tried, void *arg);
/* Send that attempt's answer to the client; it must have come to PERI_OK. */
PERI_API void peri_request_serve(struct peri_request *r, struct peri_attempt *a);
/* Answer with JSON of our own. A status that is not 200 to 599 becomes a 500 that says so. */
PERI_API void peri_request_reply(struct peri_request *r, int status, struct peri_str json);
/* Leave it to the built-in route. */
PERI_API void peri_request_default(struct peri_request *r);

/* Views are good until the request ends. */
PERI_API struct peri_str peri_request_id(const struct peri_request *r);
PERI_API struct peri_str peri_request_model(const struct peri_request *r);
/* p NULL when what the client sent was no JSON, which only `done` hooks hear of. */
PERI_API struct peri_str peri_request_body(const struct peri_request *r);
/* p NULL: the client sent none, or it is the one that the client's key came in (peri_request_key_id names the key). */
PERI_API struct peri_str peri_request_header(const struct peri_request *r, struct peri_str name);
PERI_API struct peri_str peri_request_key_id(const struct peri_request *r);
PERI_API bool peri_request_is_stream(const struct peri_request *r);
PERI_API unsigned peri_request_attempts(const struct peri_request *r);
/* The i-th provider that can serve the request, in tier order; an empty view past the last. Left out are those that do
 * not serve its model, and those known to be unable to take it: too long, or with images where none are taken. */
PERI_API struct peri_str peri_request_candidate(struct peri_request *r, size_t i);
/* Whether that provider would take a request now. */
PERI_API bool peri_request_admits(const struct peri_request *r, struct peri_str provider_id);
PERI_API struct peri_str peri_attempt_provider(const struct peri_attempt *a);
/* The status the provider answered with; 0 when none came. */
PERI_API int peri_attempt_status(const struct peri_attempt *a);
/* From an `attempt` hook: should the answer be empty (tokens were spent, and nothing was said but blanks and reasoning),
 * the attempt fails with PERI_EEMPTY instead of giving it to the client. That is no fault of the provider's: its health
 * does not change, and it may be tried again in the same request, best with another body. Judged before the commit
 * point: a stream whose reasoning the client has seen is served as it is. */
PERI_API void peri_attempt_expect_content(struct peri_attempt *a);
/* Why the request's newest attempt before this one failed; PERI_OK: none did. */
PERI_API enum peri_err peri_attempt_previous(const struct peri_attempt *a);

/* ---- The router ----------------------------------------------------------------------------------------------
 *
 * Two ways to run one. On threads of its own: peri_router_run, or peri_router_start … peri_router_join. Inside the
 * host's own loop: peri_router_open, then watch peri_router_fd for reading, wait at most peri_router_wait_ms, and call
 * peri_router_step; everything then happens on the caller's thread, with one worker.
 */
struct peri_router;

struct peri_router_options {
    const char *config_file; /* perilune.lua or *.json; NULL: see config_json */
    const char *
        config_json; /* the same schema as text; NULL, with config_file NULL: the environment alone */
    const struct peri_policy_ops
        *policy;       /* a policy in C, instead of those of the configuration; may be NULL */
    void *policy_self; /* its first argument; used by every worker */
    const char *
        lua_dir; /* where the modules that policies require stand; NULL: where they were installed */
    unsigned workers; /* 0: as configured */
};

/*   options  NULL: the environment alone
 *   gives    PERI_OK · PERI_ECONFIG, PERI_EPOLICY, PERI_EIO, PERI_ENOMEM with the reason in `fault` */
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
 * peri_router_open): `head` once, `bytes` as the answer arrives, `end` exactly once and last. */
struct peri_answer_ops {
    void (*head)(void *arg, int status, const struct peri_header *headers, size_t count);
    void (*bytes)(void *arg, struct peri_str bytes);
    /* PERI_OK: complete; otherwise it broke off. An answer that broke off after its head ends with an error frame. */
    void (*end)(void *arg, enum peri_err err);
};
/*   path    "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
 *   body    JSON, copied
 *   gives   PERI_OK, callbacks follow, some perhaps before this returns · PERI_ENOTFOUND unknown path · PERI_ENOMEM */
PERI_API PERI_MUST_USE enum peri_err peri_router_send(struct peri_router *r, const char *path,
                                                      struct peri_str body,
                                                      const struct peri_answer_ops *ops, void *arg);

#ifdef __cplusplus
}
#endif
#endif
