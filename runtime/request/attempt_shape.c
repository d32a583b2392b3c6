/* What an attempt sends: the provider's version of the body, its headers, and what hooks make of both. */
#include "request/attempt.h"

#include <stdio.h>

#include "base/json_edit.h"
#include "fleet/network.h"
#include "net/header.h"

struct peri_json *peri_attempt_body(struct peri_attempt *a) {
    if (a->own_body != NULL) return a->own_body;
    if (peri_json_fork(&a->own_body, a->request->body) != PERI_OK) return NULL;
    a->unshaped = peri_json_mark(a->own_body);
    return a->own_body;
}

enum peri_err peri_header_put(struct peri_arena *arena, struct peri_header **headers, size_t *count,
                              struct peri_str name, struct peri_str value) {
    if (peri_header_fault((struct peri_header){ name, value }) != NULL) return PERI_EINVAL;
    struct peri_header h = { peri_arena_dup(arena, name), peri_arena_dup(arena, value) };
    if (h.name.p == NULL || h.value.p == NULL) return PERI_ENOMEM;
    size_t at = 0;
    while (at < *count && !peri_str_eq_nocase((*headers)[at].name, name)) at++;
    /* A list of its own each time: a savepoint keeps the one that was. */
    size_t n = at < *count ? *count : *count + 1;
    struct peri_header *list = peri_arena_alloc(arena, n * sizeof *list);
    if (list == NULL) return PERI_ENOMEM;
    if (*count > 0) memcpy(list, *headers, *count * sizeof *list);
    list[at] = h;
    *headers = list;
    *count = n;
    return PERI_OK;
}

const char *peri_attempt_header_fault(const struct peri_attempt *a, struct peri_header header) {
    static const struct peri_str ours[] = { PERI_STR_INIT("content-type"),
                                            PERI_STR_INIT("accept-encoding"),
                                            PERI_STR_INIT("content-encoding") };
    const char *fault = peri_header_fault(header);
    if (fault != NULL) return fault;
    struct peri_str prefix = { header.name.p, header.name.n < 6 ? header.name.n : 6 };
    if (peri_header_is_framing(header.name) || peri_str_eq_nocase(prefix, PERI_STR("proxy-")))
        return PERI_HEADER_IS_OURS;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (peri_str_eq_nocase(header.name, ours[i])) return PERI_HEADER_IS_OURS;
    const struct peri_network *n = a->candidate.provider->found_by;
    bool is_signature = n != NULL && n->ops->is_signature_header(header.name);
    return is_signature ? "it belongs to the signature for this network" : NULL;
}

enum peri_err peri_attempt_set_header(struct peri_attempt *a, struct peri_str name,
                                      struct peri_str value) {
    if (peri_attempt_header_fault(a, (struct peri_header){ name, value }) != NULL)
        return PERI_EINVAL;
    if (!peri_request_may_write(a->request, name.n + value.n)) return PERI_ETOOBIG;
    return peri_header_put(&a->request->arena, &a->headers, &a->header_count, name, value);
}

enum peri_err peri_attempt_set_answer_header(struct peri_attempt *a, struct peri_str name,
                                             struct peri_str value) {
    if (peri_answer_header_fault((struct peri_header){ name, value }) != NULL) return PERI_EINVAL;
    if (a->answer_header_count >= PERI_ANSWER_HEADERS_MAX) return PERI_ETOOBIG;
    if (!peri_request_may_write(a->request, name.n + value.n)) return PERI_ETOOBIG;
    return peri_header_put(&a->request->arena, &a->answer_headers, &a->answer_header_count, name,
                           value);
}

enum peri_err peri_attempt_refuse(struct peri_attempt *a, int status, struct peri_str message,
                                  struct peri_str param, struct peri_str code) {
    if (status < 400 || status > 599) return PERI_EINVAL;
    if (!peri_request_may_write(a->request, message.n + param.n + code.n)) return PERI_ETOOBIG;
    struct peri_arena *arena = &a->request->arena;
    struct peri_hook_refusal *refusal = peri_arena_alloc(arena, sizeof *refusal);
    if (refusal == NULL) return PERI_ENOMEM;
    refusal->status = status;
    refusal->json = peri_request_error_json(a->request, status, message, param, code);
    refusal->message =
        peri_arena_dup(arena, (struct peri_str){ message.p, message.n < 150 ? message.n : 150 });
    if (refusal->json.p == NULL || refusal->message.p == NULL) return PERI_ENOMEM;
    a->refusal = refusal;
    return PERI_OK;
}

struct peri_attempt_mark peri_attempt_mark(const struct peri_attempt *a) {
    struct peri_attempt_mark mark = { .has_body = a->own_body != NULL,
                                      .expects_content = a->expects_content,
                                      .headers = a->headers,
                                      .answer_headers = a->answer_headers,
                                      .header_count = a->header_count,
                                      .answer_header_count = a->answer_header_count,
                                      .refusal = a->refusal };
    if (mark.has_body) mark.body = peri_json_mark(a->own_body);
    return mark;
}

void peri_attempt_rollback(struct peri_attempt *a, const struct peri_attempt_mark *mark) {
    /* A body that was made since stays, as nobody has changed it: a script may hold it. */
    if (a->own_body != NULL)
        peri_json_rollback(a->own_body, mark->has_body ? mark->body : a->unshaped);
    a->expects_content = mark->expects_content;
    a->headers = mark->headers;
    a->header_count = mark->header_count;
    a->answer_headers = mark->answer_headers;
    a->answer_header_count = mark->answer_header_count;
    a->refusal = mark->refusal;
}

/* As if the provider had said it. */
static enum peri_err take_refusal(struct peri_attempt *a) {
    if (peri_buf_add(&a->in, a->refusal->json) != PERI_OK) return PERI_ENOMEM;
    a->status = a->refusal->status;
    snprintf(a->detail, sizeof a->detail, "was not asked: %.*s",
             PERI_STR_ARGS(a->refusal->message));
    return PERI_EREJECTED;
}

/* The provider's own name for the model goes into its version of the body. */
static enum peri_err rename_model(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    struct peri_str want = peri_attempt_upstream_model(a);
    uint32_t root = peri_json_root(r->body);
    if (peri_json_string_is(r->body, peri_json_get(r->body, root, PERI_STR("model")), want))
        return PERI_OK;
    struct peri_json *doc = peri_attempt_body(a);
    if (doc == NULL) return PERI_ENOMEM;
    return peri_json_set_string(doc, root, PERI_STR("model"), want);
}

enum peri_err peri_attempt_text(struct peri_attempt *a, struct peri_str *out) {
    *out = peri_json_text(a->own_body != NULL ? a->own_body : a->request->body, &a->body_text);
    return out->p != NULL ? PERI_OK : a->body_text.err;
}

/* An answer of the other kind than the client asked for can not be told to it. Policies in Lua can not set `stream`; one
 * in C has the document itself. */
static bool keeps_stream(const struct peri_attempt *a) {
    const struct peri_request *r = a->request;
    struct peri_json *body = a->own_body != NULL ? a->own_body : r->body;
    if (!peri_json_is_edited(body) || !r->dialect->has_streams) return true;
    uint32_t stream = peri_json_get(body, peri_json_root(body), PERI_STR("stream"));
    return peri_json_is_true(body, stream) == r->is_stream;
}

enum peri_err peri_attempt_shape(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    enum peri_err err = rename_model(a);
    if (err != PERI_OK || r->policy == NULL) return err;
    const struct peri_policy_ops *ops = r->policy->ops;
    if (ops->attempt != NULL) err = ops->attempt(r->policy->self, r, a);
    if (err != PERI_OK) return err;
    if (a->refusal != NULL) return take_refusal(a);
    return peri_attempt_is_over(a) || keeps_stream(a) ? PERI_OK : PERI_EPOLICY;
}
