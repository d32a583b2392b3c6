/* Where an answer goes: a client's connection, or the callbacks of a host program. */
#ifndef PERI_REQUEST_SINK_H
#define PERI_REQUEST_SINK_H

#include "net/server/server.h"

struct peri_sink_ops {
    void (*start)(void *self, int status, const struct peri_header *headers, size_t count,
                  uint64_t length);
    /* PERI_OK · PERI_EFULL accepted, wait for peri_request_drained · anything else: the other side is gone */
    enum peri_err (*write)(void *self, struct peri_str bytes);
    void (*flush)(void *self);
    void (*end)(void *self);   /* complete; self is dead */
    void (*abort)(void *self); /* cut; self is dead */
};

struct peri_sink {
    const struct peri_sink_ops *ops;
    void *self;
};

/* The sink of a client's exchange. */
struct peri_sink peri_sink_of_exchange(struct peri_exchange *x);

#endif
