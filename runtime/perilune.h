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
    X(ESTOPPING, "the router is stopping")

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

#ifdef __cplusplus
}
#endif
#endif
