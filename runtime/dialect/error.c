#include "dialect/error.h"

#include <stdio.h>

#define BAD_REQUEST "invalid_request_error"
#define RATE_LIMIT  "rate_limit_error"
#define SERVER      "server_error"

/* Rows that are missing are errors that can not happen on that side: they show as our own fault. */
static const struct peri_error_shape shapes[PERI_ERR_COUNT][2] = {
    /*                    the client or the router itself      the provider                              */
    [PERI_ENOMEM] = { { 503, SERVER, "out_of_memory" }, { 503, SERVER, "out_of_memory" } },
    [PERI_EINVAL] = { { 400, BAD_REQUEST, "invalid_request" },
                      { 502, SERVER, "upstream_invalid" } },
    [PERI_ETOOBIG] = { { 413, BAD_REQUEST, "request_too_large" },
                       { 502, SERVER, "upstream_oversize" } },
    [PERI_ETIMEOUT] = { { 408, BAD_REQUEST, "request_timeout" },
                        { 504, SERVER, "upstream_timeout" } },
    [PERI_ECANCELED] = { { 499, BAD_REQUEST, "client_closed_request" },
                         { 502, SERVER, "upstream_canceled" } },
    [PERI_ECLOSED] = { { 499, BAD_REQUEST, "client_closed_request" },
                       { 502, SERVER, "upstream_closed" } },
    [PERI_ECONNECT] = { { 0 }, { 502, SERVER, "upstream_unreachable" } },
    [PERI_EDNS] = { { 0 }, { 502, SERVER, "upstream_unresolved" } },
    [PERI_ETLS] = { { 0 }, { 502, SERVER, "upstream_tls" } },
    [PERI_EPROTO] = { { 400, BAD_REQUEST, "bad_http" }, { 502, SERVER, "upstream_protocol" } },
    [PERI_EUPSTREAM] = { { 0 }, { 502, SERVER, "upstream_error" } },
    [PERI_ERATELIMIT] = { { 429, RATE_LIMIT, "rate_limit_exceeded" },
                          { 429, RATE_LIMIT, "rate_limit_exceeded" } },
    [PERI_EREJECTED] = { { 400, BAD_REQUEST, "invalid_request" },
                         { 400, BAD_REQUEST, "upstream_rejected" } },
    [PERI_EAUTH] = { { 401, BAD_REQUEST, "invalid_api_key" }, { 502, SERVER, "upstream_auth" } },
    [PERI_ENOMODEL] = { { 404, BAD_REQUEST, "model_not_found" },
                        { 404, BAD_REQUEST, "model_not_found" } },
    [PERI_ENOPROVIDER] = { { 503, SERVER, "no_provider" }, { 503, SERVER, "no_provider" } },
    [PERI_EFULL] = { { 503, SERVER, "overloaded" }, { 503, SERVER, "upstream_overloaded" } },
    [PERI_ESTALL] = { { 408, BAD_REQUEST, "request_timeout" },
                      { 504, SERVER, "upstream_stalled" } },
    [PERI_ETRUNCATED] = { { 400, BAD_REQUEST, "incomplete_request" },
                          { 502, SERVER, "upstream_truncated" } },
    [PERI_EMALFORMED] = { { 400, BAD_REQUEST, "invalid_json" },
                          { 502, SERVER, "upstream_malformed" } },
    [PERI_EPOLICY] = { { 500, SERVER, "policy_error" }, { 500, SERVER, "policy_error" } },
    [PERI_EBUDGET] = { { 500, SERVER, "policy_budget" }, { 500, SERVER, "policy_budget" } },
    [PERI_ECONFIG] = { { 500, SERVER, "configuration_error" },
                       { 500, SERVER, "configuration_error" } },
    [PERI_EIO] = { { 500, SERVER, "internal_error" }, { 502, SERVER, "upstream_io" } },
    [PERI_ENOTFOUND] = { { 404, BAD_REQUEST, "not_found" }, { 502, SERVER, "upstream_not_found" } },
    [PERI_EEXIST] = { { 409, BAD_REQUEST, "already_exists" }, { 0 } },
    [PERI_EBUSY] = { { 409, BAD_REQUEST, "busy" }, { 503, SERVER, "upstream_overloaded" } },
    [PERI_EDEADLINE] = { { 504, SERVER, "deadline_exceeded" },
                         { 504, SERVER, "deadline_exceeded" } },
    [PERI_ECRYPTO] = { { 500, SERVER, "internal_error" }, { 500, SERVER, "signing_failed" } },
    [PERI_EDENIED] = { { 403, BAD_REQUEST, "permission_denied" },
                       { 502, SERVER, "upstream_denied" } },
    [PERI_EEMPTY] = { { 0 }, { 502, SERVER, "empty_answer" } },
    [PERI_EUNFIT] = { { 400, BAD_REQUEST, "unsupported_content" }, { 0 } },
    [PERI_ESTOPPING] = { { 503, SERVER, "shutting_down" }, { 503, SERVER, "shutting_down" } },
};

struct peri_error_shape peri_error_shape(enum peri_err err, enum peri_error_side side) {
    if ((unsigned)err < PERI_ERR_COUNT && shapes[err][side].status != 0) return shapes[err][side];
    return (struct peri_error_shape){ 500, SERVER, "internal_error" };
}

/* Between them stand the message, the type, `param` and the code, as JSON. */
#define BEFORE_MESSAGE "{\"error\":{\"message\":"
#define BEFORE_TYPE    ",\"type\":"
#define BEFORE_PARAM   ",\"param\":"
#define BEFORE_CODE    ",\"code\":"
#define BEHIND_CODE    "}}"

static void add_nullable(struct peri_buf *b, struct peri_str s) {
    if (s.p == NULL)
        peri_buf_add(b, PERI_STR("null"));
    else
        peri_buf_add_json(b, s);
}

enum peri_err peri_error_body(struct peri_buf *b, struct peri_str message, struct peri_str type,
                              struct peri_str param, struct peri_str code) {
    peri_buf_add(b, PERI_STR(BEFORE_MESSAGE));
    peri_buf_add_json(b, message);
    peri_buf_add(b, PERI_STR(BEFORE_TYPE));
    peri_buf_add_json(b, type);
    peri_buf_add(b, PERI_STR(BEFORE_PARAM));
    add_nullable(b, param);
    peri_buf_add(b, PERI_STR(BEFORE_CODE));
    add_nullable(b, code);
    return peri_buf_add(b, PERI_STR(BEHIND_CODE));
}

struct peri_str peri_error_write(char *to, size_t room, const char *message, const char *type,
                                 const char *code) {
    int n = snprintf(to, room,
                     BEFORE_MESSAGE "\"%s\"" BEFORE_TYPE "\"%s\"" BEFORE_PARAM "null" BEFORE_CODE
                                    "\"%s\"" BEHIND_CODE,
                     message, type, code);
    bool is_whole = n > 0 && (size_t)n < room;
    return (struct peri_str){ is_whole ? to : NULL, is_whole ? (size_t)n : 0 };
}

struct peri_str peri_error_write_frame(char *to, size_t room, const char *message, const char *type,
                                       const char *code) {
    struct peri_str none = { NULL, 0 }, field = PERI_STR("data: "), end = PERI_STR("\n\n");
    if (room < field.n + end.n) return none;
    struct peri_str body =
        peri_error_write(to + field.n, room - field.n - end.n, message, type, code);
    if (body.p == NULL) return none;
    memcpy(to, field.p, field.n);
    memcpy(to + field.n + body.n, end.p, end.n);
    return (struct peri_str){ to, field.n + body.n + end.n };
}

enum peri_err peri_error_frame(struct peri_buf *b, struct peri_str message, struct peri_str type,
                               struct peri_str param, struct peri_str code) {
    peri_buf_add(b, PERI_STR("data: "));
    peri_error_body(b, message, type, param, code);
    return peri_buf_add(b, PERI_STR("\n\n"));
}
