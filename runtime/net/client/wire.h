/* For the client's own files only: plain HTTP/1.1 without libcurl.
 *
 * libcurl takes 49,000 of the 105,000 instructions that proxying a small chat costs (callgrind, November 2026): half of
 * what we do. Most of that is generality that a plain connection to a known address does not need. So http calls go
 * over wires of ours whenever the address is known, and libcurl keeps what it is good at: TLS, HTTP/2, unix sockets,
 * and names. A name's first call goes through libcurl, which resolves it and tries its addresses; the one that answered
 * is then the name's address for a minute, and calls go there directly.
 *
 *   CONNECTING → SENDING and READING → idle in its origin → …          closed from any of them
 *
 * A wire serves one call at a time and is watched all its life, so a request on a kept one needs no epoll_ctl. Like
 * libcurl's callbacks, a wire only takes notes (in the call's `head` and `body`); peri_client_pump hands them over.
 */
#ifndef PERI_NET_CLIENT_WIRE_H
#define PERI_NET_CLIENT_WIRE_H

#include "net/chunked.h"
#include "net/client/client_parts.h"
#include "net/client/origin.h"

struct peri_wire {
    uv_poll_t poll;
    struct peri_client *client;
    struct peri_origin *origin;
    struct peri_call *call;           /* NULL while idle */
    struct peri_list in_origin, aged; /* while idle; client->aged: longest first */
    uint64_t idle_since_ms;
    int fd, events;
    bool is_connected;
    bool was_kept;      /* served a call before this one */
    bool has_answer;    /* a byte of this call's answer came */
    bool is_write_over; /* all is sent, or nothing more can be */
    bool is_broken;     /* sending met an error: what follows is no orderly end */
    bool must_close;
    enum { PERI_WIRE_HEAD, PERI_WIRE_LENGTH, PERI_WIRE_CHUNKS, PERI_WIRE_TO_END } reading;
    size_t sent; /* of the request's head and body */
    uint64_t left;
    struct peri_chunked chunked;
    struct peri_buf line; /* the start of one whose end has not come */
};

/* Whether a kept connection to there still stands; those that do not are closed. Asked just before a start. */
bool peri_wire_is_kept(const struct peri_origin *o);
/* Send the call over a kept wire, the last one if any, or a new one. What fails later than memory ends the call in the next turn.
 *   gives   PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_wire_start(struct peri_call *call);
/* The call needs its wire no longer: it is kept when the answer is whole and it may be, else closed at once. */
void peri_wire_leave(struct peri_call *call);
/* The call was paused or resumed. */
void peri_wire_settle(struct peri_call *call);
/* Close what is kept. */
void peri_wires_free(struct peri_client *c);

#endif
