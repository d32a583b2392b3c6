/* What a failure looks like to a client: one table from our errors to status, type and code, and the writers of the
 * JSON that carries them.
 *
 * Every error body has all four keys (message, type, param, code), whatever its cause; param and code may be null.
 * Source: OpenAI's API description 2.3.0, schema Error: all four are required. The official clients choose their
 * exception by the status and show `message` and `code`.
 */
#ifndef PERI_DIALECT_ERROR_H
#define PERI_DIALECT_ERROR_H

#include "base/buf.h"

/* Who failed. ETIMEOUT is 408 when the client was slow and 504 when the provider was. */
enum peri_error_side { PERI_SIDE_CLIENT, PERI_SIDE_UPSTREAM };

struct peri_error_shape {
    int status; /* of HTTP; 499 stands in logs only, for clients that left */
    const char *type;
    const char *code; /* stable, for programs */
};

/* The row of an error. One that makes no sense on that side reads as our own fault: 500 internal_error. */
struct peri_error_shape peri_error_shape(enum peri_err err, enum peri_error_side side);

/* {"error":{"message":…,"type":…,"param":…,"code":…}}; p NULL in `param` or `code` writes null. Errors are sticky in
 * the buffer. */
enum peri_err peri_error_body(struct peri_buf *b, struct peri_str message, struct peri_str type,
                              struct peri_str param, struct peri_str code);

/* The same body without `param` and with no memory but `to`, for answers that must not fail.
 *   message, type, code   printable ASCII without quotes or backslashes
 *   gives   the body; p NULL when it does not fit `room` */
struct peri_str peri_error_write(char *to, size_t room, const char *message, const char *type,
                                 const char *code);
/* The same as an event; see peri_error_frame. */
struct peri_str peri_error_write_frame(char *to, size_t room, const char *message, const char *type,
                                       const char *code);

/* The same as a server-sent event: how a stream that can not be completed ends. No end frame may follow it, or
 * clients would take the answer for whole. */
enum peri_err peri_error_frame(struct peri_buf *b, struct peri_str message, struct peri_str type,
                               struct peri_str param, struct peri_str code);

#endif
