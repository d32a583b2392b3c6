#include "net/chunked.h"

#include <string.h>

#include "net/header.h"

#define DIGITS_MAX 16 /* of a chunk's size: 64 bits */
/* Bytes in all chunks of a request: they cost the sender nothing and us everything. Of an answer in one chunk: a long
 * stream has many, and its sender was chosen. */
#define EXTENSIONS_MAX 16384

enum {
    SIZE,
    PADDING,
    EXT_START,
    EXT_NAME,
    EXT_IS,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF
};

static const char bad_size[] = "a chunk's size is malformed";
static const char bad_extension[] = "a chunk's extension is malformed";

void peri_chunked_init(struct peri_chunked *c, bool is_answer) {
    *c = (struct peri_chunked){ .state = SIZE, .is_answer = is_answer };
}

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void end_of_size(struct peri_chunked *c, char got, const char *why) {
    if (got == '\r' && c->digits > 0)
        c->state = SIZE_LF;
    else if (got == ';' && c->digits > 0)
        c->state = EXT_START;
    else if ((got == ' ' || got == '\t') && c->digits > 0 && c->is_answer && why == bad_size &&
             ++c->overhead <= EXTENSIONS_MAX)
        c->state = PADDING;
    else
        c->why = why;
}

static void take_size(struct peri_chunked *c, char got) {
    int digit = digit_value(got);
    if (digit < 0) {
        end_of_size(c, got, bad_size);
    } else if (c->digits == DIGITS_MAX) {
        c->why = bad_size;
    } else {
        c->digits++;
        c->size = c->size << 4 | (unsigned)digit;
    }
}

static void take_extension(struct peri_chunked *c, char got) {
    bool is_token = peri_http_is_token((struct peri_str){ &got, 1 });
    bool is_text = peri_http_is_value((struct peri_str){ &got, 1 });
    int next = -1;
    if (++c->overhead > EXTENSIONS_MAX) is_token = is_text = false;
    switch (c->state) {
    case EXT_START: next = is_token ? EXT_NAME : -1; break;
    case EXT_NAME: next = is_token ? EXT_NAME : got == '=' ? EXT_IS : -1; break;
    case EXT_IS: next = is_token ? EXT_VALUE : got == '"' ? EXT_QUOTED : -1; break;
    case EXT_VALUE: next = is_token ? EXT_VALUE : -1; break;
    case EXT_QUOTED:
        next = got == '"' ? EXT_END : got == '\\' ? EXT_ESCAPED : is_text ? EXT_QUOTED : -1;
        break;
    case EXT_ESCAPED: next = is_text ? EXT_QUOTED : -1; break;
    default: break;
    }
    bool may_end = c->state == EXT_NAME || c->state == EXT_VALUE || c->state == EXT_END;
    if (next >= 0)
        c->state = (uint8_t)next;
    else if (may_end)
        end_of_size(c, got, bad_extension);
    else
        c->why = bad_extension;
}

static void begin_chunk(struct peri_chunked *c, char got) {
    c->left = c->size;
    c->size = 0;
    c->digits = 0;
    if (c->is_answer) c->overhead = 0;
    if (got != '\n')
        c->why = bad_size;
    else if (c->left == 0)
        c->is_trailer = true;
    else
        c->state = DATA;
}

static void expect(struct peri_chunked *c, char got, char want, uint8_t next) {
    if (got == want)
        c->state = next;
    else
        c->why = "a chunk does not end where its size says";
}

static void take_framing(struct peri_chunked *c, char got) {
    switch (c->state) {
    case SIZE: take_size(c, got); break;
    case PADDING: end_of_size(c, got, bad_size); break;
    case SIZE_LF: begin_chunk(c, got); break;
    case DATA_CR: expect(c, got, '\r', DATA_LF); break;
    case DATA_LF: expect(c, got, '\n', SIZE); break;
    default: take_extension(c, got);
    }
}

size_t peri_chunked_next(struct peri_chunked *c, struct peri_str *data, struct peri_str in) {
    size_t at = 0;
    *data = (struct peri_str){ in.p, 0 };
    while (at < in.n && !c->is_trailer && c->why == NULL) {
        if (c->left == 0) {
            take_framing(c, in.p[at++]);
            continue;
        }
        size_t n = in.n - at;
        if (c->left < n) n = (size_t)c->left;
        *data = (struct peri_str){ in.p + at, n };
        c->left -= n;
        if (c->left == 0) c->state = DATA_CR;
        return at + n;
    }
    return at;
}
