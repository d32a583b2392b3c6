#include "request/sink.h"

static void start(void *self, int status, const struct peri_header *headers, size_t count,
                  uint64_t length) {
    peri_exchange_start(self, status, headers, count, length);
}

static enum peri_err write_bytes(void *self, struct peri_str bytes) {
    return peri_exchange_write(self, bytes);
}
static void flush(void *self) { peri_exchange_flush(self); }
static void end(void *self) { peri_exchange_end(self); }
static void abort_answer(void *self) { peri_exchange_abort(self); }

static const struct peri_sink_ops exchange_ops = { start, write_bytes, flush, end, abort_answer };

struct peri_sink peri_sink_of_exchange(struct peri_exchange *x) {
    return (struct peri_sink){ &exchange_ops, x };
}
