/* Server-sent events: from bytes cut anywhere to whole frames.
 *
 * A frame is everything up to and including a blank line. The reader finds its end, remembers how far it looked
 * (so bytes that trickle in one by one are each looked at once), and then reads the fields. It copies nothing
 * except data that stands on several lines, which has to be joined.
 *
 * Bytes are handed on as they came: what is not UTF-8 is not replaced here, because frames are forwarded byte for
 * byte. Code that shows them as text replaces it.
 *
 * Source: WHATWG HTML, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream".
 */
#ifndef PERI_NET_SSE_H
#define PERI_NET_SSE_H

#include "base/buf.h"

/* The largest frame taken where the caller names no limit, bytes. */
#define PERI_SSE_MAX ((size_t)8 << 20)

/* Where the search for the end of the current frame stands. */
struct peri_sse {
    size_t max;               /* bytes one frame may have */
    struct peri_buf *scratch; /* borrowed: holds joined data */
    size_t start;             /* first line of the frame: behind a BOM or half a CRLF */
    size_t line;              /* line being looked at */
    size_t scanned;           /* no line end before here */
    bool is_begun;            /* the byte order mark has been dealt with */
    bool after_cr;            /* a CR ended the last line: an LF here still belongs to it */
};

struct peri_sse_event {
    struct peri_str
        raw; /* the frame with its blank line, without a byte order mark: forward this */
    struct peri_str data; /* the data lines joined with LF */
    struct peri_str name; /* the event field; empty: "message" */
    struct peri_str id;   /* the id field when has_id; it holds for later frames, too */
    uint64_t retry_ms;    /* the retry field when has_retry; UINT64_MAX when it is beyond 64 bits */
    bool has_data; /* a data field was there, even an empty one: a browser would dispatch it */
    bool has_id, has_retry;
    bool is_comment_only; /* no field line: comments, or a blank line alone */
};

/* In place; nothing to release. `max` 0 means PERI_SSE_MAX; `scratch` is the caller's and must outlive the reader,
 * its cap should be at least `max`. */
void peri_sse_init(struct peri_sse *s, size_t max, struct peri_buf *scratch);

/* Take the next frame off the front of a buffer.
 *
 *   event   views into `in` (data: into the scratch buffer when it had several lines), good until those bytes
 *           move or the next call
 *   in      all bytes not consumed yet; the front must be what it was at the last call that gave 0
 *   gives   >0 bytes consumed · 0 frame still incomplete, call again with more
 *           <0 -PERI_ETOOBIG: the frame outgrew the limit · -PERI_ENOMEM: no room to join its data
 *
 * After an error the reader is not to be used again. */
ptrdiff_t peri_sse_next(struct peri_sse *s, struct peri_sse_event *event, struct peri_str in);

/* Append a frame: the inverse of peri_sse_next. Data of several lines stands on as many, whichever line ends it has.
 *   name    empty: no event field
 *   gives   PERI_OK · PERI_EINVAL the name holds a line's end · PERI_ENOMEM, PERI_ETOOBIG of the buffer */
enum peri_err peri_sse_add(struct peri_buf *out, struct peri_str name, struct peri_str data);

#endif
