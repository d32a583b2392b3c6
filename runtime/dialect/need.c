#include "dialect/need.h"

#include "base/json_edit.h"

/* Content parts of OpenAI's chat and responses, vLLM and Anthropic. */
static const struct {
    struct peri_str type;
    unsigned ability;
} parts[] = {
    { PERI_STR_INIT("image_url"), PERI_TAKES_IMAGES },
    { PERI_STR_INIT("input_image"), PERI_TAKES_IMAGES },
    { PERI_STR_INIT("image"), PERI_TAKES_IMAGES },
    { PERI_STR_INIT("input_audio"), PERI_TAKES_AUDIO },
    { PERI_STR_INIT("audio_url"), PERI_TAKES_AUDIO },
    { PERI_STR_INIT("video_url"), PERI_TAKES_VIDEO },
    { PERI_STR_INIT("input_video"), PERI_TAKES_VIDEO },
    { PERI_STR_INIT("file"), PERI_TAKES_FILES },
    { PERI_STR_INIT("input_file"), PERI_TAKES_FILES },
    { PERI_STR_INIT("document"), PERI_TAKES_FILES },
};

static unsigned ability_of_part(struct peri_json *j, uint32_t part) {
    uint32_t type = peri_json_get(j, part, PERI_STR("type"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (peri_json_string_is(j, type, parts[i].type)) return parts[i].ability;
    return 0;
}

/* ---- Words ---- */

struct count {
    struct peri_json *body;
    bool looks_at_parts, looks_at_text;
    uint64_t most; /* words beyond it need not be counted */
    struct peri_need *need;
};

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* A string as it stands in the text, its quotes included. `is_gap`: what stands before it ends a token. */
static void count_words(struct count *c, uint32_t node, bool is_gap) {
    struct peri_str raw = peri_json_raw(c->body, node);
    if (peri_json_kind(c->body, node) != PERI_JSON_STRING || raw.p == NULL) return;
    for (size_t i = 1; i + 1 < raw.n && c->need->tokens <= c->most; i++) {
        char at = raw.p[i];
        if (at == '\\') {
            char escape = raw.p[++i];
            is_gap = escape == 'n' || escape == 'r' || escape == 't';
            if (escape == 'u') i += 4;
        } else {
            if (is_gap && is_letter(at)) c->need->tokens++;
            is_gap = at == ' ';
        }
    }
}

static void look_at_parts(struct count *c, uint32_t content, bool is_counted) {
    struct peri_json_iter it = peri_json_iter(c->body, content);
    while (peri_json_next(c->body, &it)) {
        if (c->looks_at_parts) c->need->abilities |= ability_of_part(c->body, it.value);
        /* Whatever joins the parts, their first words may become one. */
        if (is_counted) count_words(c, peri_json_get(c->body, it.value, PERI_STR("text")), false);
    }
}

static void look_at_messages(struct count *c, uint32_t messages) {
    struct peri_json_iter it = peri_json_iter(c->body, messages);
    while (peri_json_next(c->body, &it)) {
        uint32_t content = peri_json_get(c->body, it.value, PERI_STR("content"));
        bool is_counted = false;
        if (c->looks_at_text) {
            uint32_t role = peri_json_get(c->body, it.value, PERI_STR("role"));
            is_counted = !peri_json_string_is(c->body, role, PERI_STR("assistant"));
        }
        if (peri_json_kind(c->body, content) == PERI_JSON_ARRAY)
            look_at_parts(c, content, is_counted);
        else if (is_counted)
            count_words(c, content, true);
    }
}

/* ---- Members of a body ---- */

static bool may_be_cut(struct peri_json *j, uint32_t root) {
    return peri_json_get(j, root, PERI_STR("transforms")) != PERI_JSON_NONE ||
           peri_json_get(j, root, PERI_STR("truncate_prompt_tokens")) != PERI_JSON_NONE;
}

static struct count begin_count(struct peri_need *need, struct peri_json *body,
                                const struct peri_need_limits *limits) {
    uint32_t root = peri_json_root(body);
    struct peri_str raw = peri_json_raw(body, root);
    struct count c = { .body = body, .need = need, .most = limits->most_tokens };
    c.looks_at_parts = (limits->lacks & PERI_TAKES_MEDIA) != 0;
    /* No word is shorter than a byte. */
    c.looks_at_text = limits->most_tokens > 0 && (raw.p == NULL || raw.n > limits->least_tokens) &&
                      !may_be_cut(body, root);
    return c;
}

void peri_need_of_tools(struct peri_need *need, struct peri_json *body,
                        const struct peri_need_limits *limits) {
    if (!(limits->lacks & PERI_TAKES_TOOLS)) return;
    uint32_t tools = peri_json_get(body, peri_json_root(body), PERI_STR("tools"));
    if (peri_json_count(body, tools) > 0) need->abilities |= PERI_TAKES_TOOLS;
}

void peri_need_of_messages(struct peri_need *need, struct peri_json *body,
                           const struct peri_need_limits *limits) {
    struct count c = begin_count(need, body, limits);
    if (c.looks_at_parts || c.looks_at_text)
        look_at_messages(&c, peri_json_get(body, peri_json_root(body), PERI_STR("messages")));
}

void peri_need_of_prompt(struct peri_need *need, struct peri_json *body,
                         const struct peri_need_limits *limits) {
    struct count c = begin_count(need, body, limits);
    if (c.looks_at_text)
        count_words(&c, peri_json_get(body, peri_json_root(body), PERI_STR("prompt")), true);
}
