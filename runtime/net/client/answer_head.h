/* The head of a provider's answer, taken line by line and believed only when it is unambiguous.
 *
 * libcurl frames the body; this refuses the heads on which two readers could disagree about where the body ends
 * (RFC 9112 section 6.3, request smuggling) and everything that must never be copied to a client: folded lines,
 * names that are no tokens, control characters, floods of lines or of interim answers.
 */
#ifndef PERI_NET_CLIENT_ANSWER_HEAD_H
#define PERI_NET_CLIENT_ANSWER_HEAD_H

#include "base/buf.h"
#include "net/header.h"

#define PERI_ANSWER_LINES_MAX   256 /* providers send 10 to 40 */
#define PERI_ANSWER_INTERIM_MAX 32  /* 1xx answers before the real one */

struct peri_answer_head {
    struct peri_buf lines; /* header lines without CR, each ended by LF */
    const char *why;       /* what was wrong, for people; NULL while nothing is */
    size_t taken;          /* bytes of all lines, interim answers and trailers too */
    int status;            /* of the head being read; 0 before its first line */
    unsigned line_count, interim_count;
    bool is_complete; /* lines after this are trailers: checked and dropped */
    uint64_t length;  /* with has_length */
    bool has_length, is_chunked, is_http1_0, is_http1_1, is_closing;
};

/* In place; allocates nothing yet. */
void peri_answer_head_init(struct peri_answer_head *h);
void peri_answer_head_done(struct peri_answer_head *h);

/* The next line, its line end included; an empty one ends the head.
 *   gives   PERI_OK · PERI_EPROTO or PERI_ETOOBIG, the reason in h->why · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_answer_head_line(struct peri_answer_head *h, struct peri_str line,
                                                  size_t max_bytes);

/* Views of the first `room` headers of a complete head; gives how many there are. */
size_t peri_answer_head_view(const struct peri_answer_head *h, struct peri_header *headers,
                             size_t room);

#endif
