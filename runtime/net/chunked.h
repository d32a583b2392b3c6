/* The framing of chunked bodies (RFC 9112, 7.1), of requests and of answers: no memory, no clock.
 *
 *   FRAMING → DATA → FRAMING → … → TRAILER          FAILED from any of them
 *
 * Framing is read byte by byte and exactly as written down; what a laxer reader in front of us or behind us could
 * read otherwise is refused. Extensions are checked and dropped. Trailer lines are the caller's: from TRAILER on
 * nothing more is taken here.
 */
#ifndef PERI_NET_CHUNKED_H
#define PERI_NET_CHUNKED_H

#include "base/str.h"

struct peri_chunked {
    uint64_t left;     /* data missing of this chunk; 0 in framing */
    uint64_t size;     /* the digits so far */
    const char *why;   /* what was malformed, static text; NULL while nothing is */
    uint32_t overhead; /* bytes in extensions so far, of an answer in this chunk's */
    uint8_t state, digits;
    bool is_trailer; /* the last chunk's line is through */
    bool is_answer;  /* spaces behind a size pass: old servers write them at a fixed width */
};

/* In place. */
void peri_chunked_init(struct peri_chunked *c, bool is_answer);

/* Take framing up to and with the first run of data.
 *   data    a view into `in`, maybe empty; c->left says what is missing of its chunk behind it
 *   gives   how many bytes were taken, data included: less than in.n when a run of data ended, when the trailer
 *           begins, or when c->why is set */
size_t peri_chunked_next(struct peri_chunked *c, struct peri_str *data, struct peri_str in);

#endif
