#include "dialect/chat_whole.h"

#include "base/json_edit.h"
#include "base/json_text.h"

/* Members of a completion that every chunk repeats. */
static const struct peri_str repeated[] = { PERI_STR_INIT("id"), PERI_STR_INIT("created"),
                                            PERI_STR_INIT("model"),
                                            PERI_STR_INIT("system_fingerprint"),
                                            PERI_STR_INIT("service_tier") };

static void begin_chunk(struct peri_buf *b, struct peri_json *j) {
    peri_buf_add(b, PERI_STR("data: "));
    peri_json_put_open(b, '{');
    peri_json_put_name(b, "object");
    peri_json_put_string(b, PERI_STR("chat.completion.chunk"));
    for (size_t i = 0; i < sizeof repeated / sizeof *repeated; i++) {
        uint32_t value = peri_json_get(j, peri_json_root(j), repeated[i]);
        if (value == PERI_JSON_NONE) continue;
        peri_json_put_name_str(b, repeated[i]);
        peri_json_put_raw(b, peri_json_raw(j, value));
    }
}

static void end_chunk(struct peri_buf *b) {
    peri_json_put_close(b, '}');
    peri_buf_add(b, PERI_STR("\n\n"));
}

/* Clients put the pieces of a tool call together by its index; whole messages have none. */
static enum peri_err number_calls(struct peri_json *j, uint32_t message) {
    uint32_t calls = peri_json_get(j, message, PERI_STR("tool_calls"));
    if (peri_json_kind(j, calls) != PERI_JSON_ARRAY) return PERI_OK;
    for (size_t i = 0; i < peri_json_count(j, calls); i++) {
        uint32_t call = peri_json_at(j, calls, i);
        if (peri_json_kind(j, call) != PERI_JSON_OBJECT) return PERI_EPROTO;
        enum peri_err err = peri_json_set_int(j, call, PERI_STR("index"), (int64_t)i);
        if (err != PERI_OK) return err;
    }
    return PERI_OK;
}

static void put_member(struct peri_buf *b, struct peri_json *j, uint32_t object, const char *name) {
    uint32_t value = peri_json_get(j, object, peri_str_of(name));
    if (value == PERI_JSON_NONE) return;
    peri_json_put_name(b, name);
    peri_json_put_raw(b, peri_json_raw(j, value));
}

static bool has_calls(struct peri_json *j, uint32_t message) {
    uint32_t calls = peri_json_get(j, message, PERI_STR("tool_calls"));
    return peri_json_kind(j, calls) == PERI_JSON_ARRAY && peri_json_count(j, calls) > 0;
}

static enum peri_err put_choice(struct peri_buf *b, struct peri_json *j, uint32_t choice,
                                size_t place) {
    uint32_t message = peri_json_get(j, choice, PERI_STR("message"));
    if (peri_json_kind(j, message) != PERI_JSON_OBJECT) return PERI_EPROTO;
    enum peri_err err = number_calls(j, message);
    if (err != PERI_OK) return err;
    uint32_t index = peri_json_get(j, choice, PERI_STR("index"));
    begin_chunk(b, j);
    peri_json_put_name(b, "choices");
    peri_json_put_open(b, '[');
    peri_json_put_open(b, '{');
    peri_json_put_name(b, "index");
    if (peri_json_kind(j, index) == PERI_JSON_NUMBER)
        peri_json_put_raw(b, peri_json_raw(j, index));
    else
        peri_json_put_int(b, (int64_t)place);
    peri_json_put_name(b, "delta");
    peri_json_add_node(b, j, message);
    put_member(b, j, choice, "logprobs");
    peri_json_put_name(b, "finish_reason");
    uint32_t reason = peri_json_get(j, choice, PERI_STR("finish_reason"));
    if (peri_json_kind(j, reason) == PERI_JSON_STRING)
        peri_json_put_raw(b, peri_json_raw(j, reason));
    else
        peri_json_put_string(b, has_calls(j, message) ? PERI_STR("tool_calls") : PERI_STR("stop"));
    peri_json_put_close(b, '}');
    peri_json_put_close(b, ']');
    end_chunk(b);
    return PERI_OK;
}

static void put_usage(struct peri_buf *b, struct peri_json *j) {
    uint32_t usage = peri_json_get(j, peri_json_root(j), PERI_STR("usage"));
    if (peri_json_kind(j, usage) != PERI_JSON_OBJECT) return;
    begin_chunk(b, j);
    peri_json_put_name(b, "choices");
    peri_json_put_open(b, '[');
    peri_json_put_close(b, ']');
    peri_json_put_name(b, "usage");
    peri_json_put_raw(b, peri_json_raw(j, usage));
    end_chunk(b);
}

enum peri_err peri_chat_stream_of_whole(struct peri_buf *frames, struct peri_str completion) {
    struct peri_json *j;
    enum peri_err err = peri_json_parse(&j, completion, NULL, NULL);
    if (err != PERI_OK) return err == PERI_ENOMEM ? err : PERI_EPROTO;
    uint32_t choices = peri_json_get(j, peri_json_root(j), PERI_STR("choices"));
    size_t count = peri_json_kind(j, choices) == PERI_JSON_ARRAY ? peri_json_count(j, choices) : 0;
    err = count == 0 ? PERI_EPROTO : PERI_OK;
    for (size_t i = 0; i < count && err == PERI_OK; i++)
        err = put_choice(frames, j, peri_json_at(j, choices, i), i);
    if (err == PERI_OK) put_usage(frames, j);
    if (err == PERI_OK) err = frames->err;
    peri_json_free(j);
    return err;
}
