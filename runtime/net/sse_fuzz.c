/* Any bytes, cut anywhere, give the same frames; joined they are the input. The first byte of the input says how
 * it is cut. */
#include "net/sse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static uint64_t mix(uint64_t sum, struct peri_str s) {
    return (sum ^ peri_str_hash(s)) * 0x9E3779B97F4A7C15u + s.n;
}

static uint64_t read_all(struct peri_str in, size_t step, size_t max) {
    struct peri_buf scratch;
    struct peri_sse s;
    struct peri_sse_event event;
    uint64_t sum = 0;
    size_t front = 0, have = 0;
    ptrdiff_t took = 0;
    peri_buf_init(&scratch, max);
    peri_sse_init(&s, max, &scratch);
    while (have < in.n && took >= 0) {
        have = have + step > in.n ? in.n : have + step;
        /* A copy, so that a byte read behind what has come is seen. */
        char *copy = malloc(have - front);
        if (copy == NULL) abort();
        memcpy(copy, in.p + front, have - front);
        struct peri_str rest = { copy, have - front };
        while ((took = peri_sse_next(&s, &event, rest)) > 0) {
            if (event.has_data) sum = mix(mix(sum, event.name), event.data);
            if (event.has_id) sum = mix(sum, event.id);
            if (event.has_retry) sum += event.retry_ms;
            sum += event.is_comment_only;
            rest = peri_str_from(rest, (size_t)took);
        }
        front = have - rest.n;
        free(copy);
    }
    sum += took < 0;
    /* The line feed behind a carriage return goes with it, or with what comes next. */
    struct peri_str left = peri_str_from(in, front);
    if (left.n > 0 && left.p[0] == '\n') left = peri_str_from(left, 1);
    if (took == 0) sum = mix(sum, left);
    peri_buf_done(&scratch);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    if (n < 2) return 0;
    struct peri_str in = { (const char *)bytes + 1, n - 1 };
    size_t max = bytes[0] & 0x80 ? 64 : 0, step = (bytes[0] & 0x7F) + 1;
    if (read_all(in, in.n, max) != read_all(in, step, max)) abort();
    return 0;
}
