/* What an answer's body is: known by its first bytes, because labels are often wrong. Event streams come labelled as text, as
 * bytes, as JSON or not at all, and whole answers as event streams.
 */
#ifndef PERI_NET_BODY_KIND_H
#define PERI_NET_BODY_KIND_H

#include "base/str.h"

enum peri_body_kind {
    PERI_BODY_UNKNOWN, /* not enough bytes have come */
    PERI_BODY_OTHER,
    PERI_BODY_PAGE, /* begins with '<': HTML or XML */
    PERI_BODY_EVENTS,
    PERI_BODY_JSON /* begins as an object or an array */
};

/* By the first bytes, behind a byte order mark and blanks: a line of an event stream, or JSON. UNKNOWN for what may still
 * become one. */
enum peri_body_kind peri_body_kind_of(struct peri_str front);

/* How many bytes of an UNKNOWN front need not be kept: the mark and the blanks but the last, which say nothing of what
 * follows. Some providers send blanks until they have an answer, and each would be read again with the next. */
size_t peri_body_blanks(struct peri_str front);

/* By the value of Content-Type, compared without case and parameters: text/event-stream, application/json, and
 * application/…+json (RFC 6839, 3.1). UNKNOWN for labels that say nothing about it. */
enum peri_body_kind peri_body_kind_of_label(struct peri_str value);

#endif
