#include "fleet/fit.h"

#include <stdio.h>

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
    uint64_t most; /* beyond it nobody asks how many */
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

/* ---- One request ---- */

static bool may_be_cut(struct peri_json *j, uint32_t root) {
    return peri_json_get(j, root, PERI_STR("transforms")) != PERI_JSON_NONE ||
           peri_json_get(j, root, PERI_STR("truncate_prompt_tokens")) != PERI_JSON_NONE;
}

/* What the limits of these candidates make worth looking at: the rest of a request is not walked. */
static void read_need(struct peri_need *need, struct peri_candidates from, struct peri_json *body,
                      enum peri_endpoint endpoint) {
    uint64_t least = UINT64_MAX, most = 0;
    unsigned lacks = 0;
    *need = (struct peri_need){ 0 };
    for (size_t i = 0; i < from.count; i++) {
        const struct peri_config_model *m = from.at[i].model;
        if (m == NULL) continue;
        lacks |= m->lacks;
        if (m->context_tokens == 0) continue;
        if (m->context_tokens < least) least = m->context_tokens;
        if (m->context_tokens > most) most = m->context_tokens;
    }
    if (endpoint == PERI_EMBEDDINGS) return; /* servers cut those texts to size */
    uint32_t root = peri_json_root(body);
    struct peri_str raw = peri_json_raw(body, root);
    struct count c = { .body = body, .need = need, .most = most };
    c.looks_at_parts = (lacks & PERI_TAKES_MEDIA) != 0;
    /* No word is shorter than a byte. */
    c.looks_at_text = most > 0 && (raw.p == NULL || raw.n > least) && !may_be_cut(body, root);
    if (lacks & PERI_TAKES_TOOLS &&
        peri_json_count(body, peri_json_get(body, root, PERI_STR("tools"))) > 0)
        need->abilities |= PERI_TAKES_TOOLS;
    if (!c.looks_at_parts && !c.looks_at_text) return;
    if (endpoint == PERI_CHAT)
        look_at_messages(&c, peri_json_get(body, root, PERI_STR("messages")));
    else if (c.looks_at_text)
        count_words(&c, peri_json_get(body, root, PERI_STR("prompt")), true);
}

bool peri_fit(const struct peri_config_model *m, const struct peri_need *need) {
    if (m == NULL) return true;
    return (need->abilities & m->lacks) == 0 &&
           (m->context_tokens == 0 || need->tokens <= m->context_tokens);
}

struct peri_candidates peri_fit_sift(struct peri_need *need, struct peri_candidates from,
                                     struct peri_json *body, enum peri_endpoint endpoint,
                                     struct peri_arena *a) {
    read_need(need, from, body, endpoint);
    size_t fitting = 0, count = 0;
    for (size_t i = 0; i < from.count; i++) fitting += peri_fit(from.at[i].model, need);
    if (fitting == from.count) return from;
    struct peri_candidate *list = peri_arena_alloc(a, (fitting + 1) * sizeof *list);
    if (list == NULL) return from;
    for (size_t i = 0; i < from.count; i++)
        if (peri_fit(from.at[i].model, need)) list[count++] = from.at[i];
    return (struct peri_candidates){ list, count, from.model, true };
}

/* ---- Why nobody ---- */

static void say_abilities(struct peri_misfit *out, unsigned missing, struct peri_str model) {
    char text[64] = ""; /* all of them with "and" between are 44 bytes */
    size_t n = 0;
    unsigned ability;
    for (size_t i = 0; peri_ability_word(i, &ability) != NULL; i++)
        if (missing & ability)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n > 0 ? " and " : "",
                                  peri_ability_plural(i));
    snprintf(out->message, sizeof out->message,
             "no provider of the model '%.*s' takes %s, and the request has them",
             (int)(model.n < 128 ? model.n : 128), model.p, text);
    bool is_media = missing & PERI_TAKES_MEDIA;
    out->code = is_media ? "unsupported_content" : "unsupported_parameter";
    out->param = is_media ? "messages" : "tools";
}

void peri_fit_say(struct peri_misfit *out, struct peri_candidates all, const struct peri_need *need,
                  struct peri_str model) {
    unsigned missing = 0;
    uint64_t context = 0;
    for (size_t i = 0; i < all.count; i++) {
        const struct peri_config_model *m = all.at[i].model;
        unsigned here = m == NULL ? 0 : need->abilities & m->lacks;
        missing |= here;
        if (m != NULL && here == 0 && m->context_tokens > context) context = m->context_tokens;
    }
    if (context == 0) {
        say_abilities(out, missing, model);
        return;
    }
    /* Clients that shorten a conversation by themselves look for the first words as well as for the code. */
    snprintf(out->message, sizeof out->message,
             "This model's maximum context length is %llu tokens with the providers there are for "
             "'%.*s', and the messages hold at least %llu. Shorten them.",
             (unsigned long long)context, (int)(model.n < 128 ? model.n : 128), model.p,
             (unsigned long long)need->tokens);
    out->code = "context_length_exceeded";
    out->param = "messages";
}
