/* The client's half of an answer: what has gone out to the client, and what may still follow. A request has one relay. It
 * takes bytes from whichever attempt serves, from a policy that answers itself, or from the router's own errors, and knows
 * none of them.
 *
 *             start          put: the client is slow
 *      HELD ─────────→ OPEN ───────────────────────→ FULL
 *                       ↑ │ └────────────┐             │
 *                       │ │ put: no room │ drained     │ put: too much on top of it
 *                       │ ↓              └──────────── │
 *                       │ LOSSY ←──────────────────────┘
 *                       │ │
 *             tell, from any of these ──→ TOLD, or TORN where the error found no room
 *             close, cut ──→ CLOSED
 *
 *   HELD     nothing has gone out: the answer may still be anything
 *   OPEN     the head has gone out, and bytes follow it as they come. Until an attempt serves, these are keep-alive comments
 *   FULL     the client is slow: the attempt that feeds the relay should pause. A little more is taken, since hooks make much of few bytes
 *   LOSSY    bytes found no room and are lost, as are all that follow: the answer must not seem whole
 *   TOLD     an error event was its end: nothing follows
 *   TORN     the error found no room either: the client must see the connection break
 *   CLOSED   the client's end is closed, or the client is gone
 */
#ifndef PERI_REQUEST_RELAY_H
#define PERI_REQUEST_RELAY_H

#include "net/loop.h"
#include "request/sink.h"

struct peri_request;

enum peri_relay_state {
    PERI_RELAY_HELD,
    PERI_RELAY_OPEN,
    PERI_RELAY_FULL,
    PERI_RELAY_LOSSY,
    PERI_RELAY_TOLD,
    PERI_RELAY_TORN,
    PERI_RELAY_CLOSED
};

struct peri_relay {
    struct peri_sink sink;
    enum peri_relay_state state;
    size_t overlooked; /* FULL: bytes put on top of the full queue */
    struct peri_timer keepalive;
};

/* Of a new request: HELD. */
void peri_relay_init(struct peri_request *r, struct peri_sink sink);
/* From now on send a comment after each `keepalive_ms` without an answer. Only for a request for a stream: the first
 * comment starts the answer. Nothing happens where none is configured. */
void peri_relay_keep_alive(struct peri_request *r);

/* Send the head: HELD becomes OPEN. The keep-alive ends; nothing else happens to a relay that has sent one.
 *   length   of the body; PERI_LENGTH_UNKNOWN: a stream */
void peri_relay_start(struct peri_request *r, int status, const struct peri_header *headers,
                      size_t count, uint64_t length);
/* Whole frames, or a whole body, copied or sent before this returns. Bytes are dropped where nothing may follow any more.
 *   gives   the state: FULL and LOSSY are to be looked at */
enum peri_relay_state peri_relay_put(struct peri_request *r, struct peri_str bytes);
/* An error event, as the last thing: TOLD or TORN, also from LOSSY. One that was told already stays the last. */
void peri_relay_tell(struct peri_request *r, struct peri_str frame);
/* The client's queue drained.
 *   gives   true: it was FULL, is OPEN now, and what was paused goes on */
bool peri_relay_drained(struct peri_request *r);

/* Everything that was put goes out now. */
void peri_relay_flush(struct peri_request *r);
/* Close the client's end: well, or TORN. The sink is dead. */
void peri_relay_close(struct peri_request *r);
/* The client is gone, or must go at once. `is_gone`: its sink is dead already. */
void peri_relay_cut(struct peri_request *r, bool is_gone);

#endif
