/* The body of a request, undone when the client packed it (net/unpack.h). It is parsed and sent on as if it had come so:
 * a provider is never sent a coding that it may not know. */
#include "net/unpack.h"
#include "request/request.h"

static void refuse_coding(struct peri_request *r, struct peri_str coding) {
    static const struct peri_header known = { PERI_STR_INIT("accept-encoding"),
                                              PERI_STR_INIT(PERI_UNPACK_CODINGS) };
    if (coding.n > 100) coding.n = 100;
    struct peri_str text = peri_arena_printf(
        &r->arena, "a body in the content-encoding '%.*s' is not taken here: expected one of %s",
        PERI_STR_ARGS(coding), PERI_UNPACK_CODINGS);
    peri_request_send_error(r, PERI_EINVAL, 415, "invalid_request_error", "unsupported_encoding",
                            NULL, text, &known, 1);
}

bool peri_request_unpack(struct peri_request *r, struct peri_str *text) {
    struct peri_str coding = peri_exchange_header(r->exchange, PERI_STR("content-encoding"));
    if (coding.p == NULL) return true;
    peri_buf_init(&r->unpacked, r->config->limits.body_bytes);
    enum peri_err err = peri_unpack(&r->unpacked, coding, *text);
    *text = peri_buf_str(&r->unpacked);
    switch (err) {
    case PERI_OK: return true;
    case PERI_ENOTFOUND: refuse_coding(r, coding); break;
    case PERI_ETOOBIG:
        peri_request_fail(r, PERI_EINVAL, 413, "request_too_large",
                          "the body unpacks to more than 'limits.body_bytes' allows, or to more "
                          "than %d times what was sent",
                          PERI_UNPACK_RATIO);
        break;
    case PERI_ENOMEM: peri_request_fail(r, err, 503, NULL, "out of memory"); break;
    default:
        peri_request_fail(r, PERI_EINVAL, 400, "invalid_encoding",
                          "the body is not what its content-encoding '%.*s' says, or is cut",
                          (int)(coding.n < 100 ? coding.n : 100), coding.p);
    }
    return false;
}
