/* A frame is read from the outside in: its top level, each choice, each delta, with few names to look for at each
 * step. Almost every frame has one choice, and then nothing is allocated; frames with several take the way through a
 * document, so that the work stays linear. */
#include "dialect/stream.h"

#include <string.h>

#include "base/json_text.h"

enum {
    TOP_OBJECT,
    TOP_ERROR,
    TOP_CHOICES,
    TOP_CHOICE_0,
    TOP_CHOICE_1,
    TOP_DATA,
    TOP_RESET,
    TOP_USAGE,
    TOP_COUNT
};

#define NAME(text) PERI_STR_INIT(text)

static const struct peri_json_path top_paths[TOP_COUNT] = {
    [TOP_OBJECT] = { 1, { NAME("object") } },
    [TOP_ERROR] = { 1, { NAME("error") } },
    [TOP_CHOICES] = { 1, { NAME("choices") } },
    [TOP_CHOICE_0] = { 2, { NAME("choices"), PERI_JSON_ELEMENT(0) } },
    [TOP_CHOICE_1] = { 2, { NAME("choices"), PERI_JSON_ELEMENT(1) } },
    [TOP_DATA] = { 1, { NAME("data") } },
    [TOP_RESET] = { 1, { NAME("devshard_stream_reset") } },
    [TOP_USAGE] = { 1, { NAME("usage") } },
};

enum { CHOICE_INDEX, CHOICE_FINISH, CHOICE_TEXT, CHOICE_DELTA, CHOICE_MESSAGE, CHOICE_COUNT };

static const struct peri_json_path choice_paths[CHOICE_COUNT] = {
    [CHOICE_INDEX] = { 1, { NAME("index") } },
    [CHOICE_FINISH] = { 1, { NAME("finish_reason") } },
    [CHOICE_TEXT] = { 1, { NAME("text") } },
    [CHOICE_DELTA] = { 1, { NAME("delta") } },
    [CHOICE_MESSAGE] = { 1, { NAME("message") } },
};

/* What few frames have is looked for where the text has its name. */
static const struct peri_json_path choice_error_path = { 1, { NAME("error") } };

static const struct peri_json_path progress_path = { 1, { NAME("prompt_progress") } };

/* Where else than at the top usage stands, in the frame that finishes: in the choice (Kimi), in `x_groq`. */
static const struct peri_json_path odd_usage_paths[] = {
    { 3, { NAME("choices"), PERI_JSON_ELEMENT(0), NAME("usage") } },
    { 2, { NAME("x_groq"), NAME("usage") } },
};

/* What counts as content in a delta or a message, beside any text under a name of the provider's own (says_more). */
enum { PART_TOOLS, PART_REASONING = 6, PART_COUNT = 9 };

static const struct peri_json_path part_paths[PART_COUNT] = {
    [PART_TOOLS] = { 1, { NAME("tool_calls") } },
    { 1, { NAME("content") } },
    { 1, { NAME("refusal") } },
    { 1, { NAME("function_call") } },
    { 1, { NAME("audio") } },
    { 1, { NAME("images") } },
    [PART_REASONING] = { 1, { NAME("reasoning_content") } },
    { 1, { NAME("reasoning") } },
    { 1, { NAME("reasoning_details") } },
};

enum { TOOL_INDEX, TOOL_ARGS, TOOL_NEXT, TOOL_COUNT };

static const struct peri_json_path tool_paths[TOOL_COUNT] = {
    [TOOL_INDEX] = { 2, { PERI_JSON_ELEMENT(0), NAME("index") } },
    [TOOL_ARGS] = { 3, { PERI_JSON_ELEMENT(0), NAME("function"), NAME("arguments") } },
    [TOOL_NEXT] = { 1, { PERI_JSON_ELEMENT(1) } },
};

/* A string that is not "", an array or object with something inside. */
static bool is_filled(struct peri_str raw) {
    switch (peri_json_raw_kind(raw)) {
    case PERI_JSON_STRING: return raw.n > 2;
    case PERI_JSON_ARRAY:
    case PERI_JSON_OBJECT:
        for (size_t i = 1; i + 1 < raw.n; i++)
            if (strchr(" \t\r\n", raw.p[i]) == NULL) return true;
        return false;
    default: return false;
    }
}

/* Good answers have `error` as null, "", {} or false. */
static bool is_error(struct peri_str raw) {
    switch (peri_json_raw_kind(raw)) {
    case PERI_JSON_BOOL: return raw.p[0] == 't';
    case PERI_JSON_NUMBER: return !peri_str_eq(raw, PERI_STR("0"));
    default: return is_filled(raw);
    }
}

/* A string with nothing but white space in it. */
static bool is_blank(struct peri_str raw) {
    if (peri_json_raw_kind(raw) != PERI_JSON_STRING) return false;
    for (size_t i = 1; i + 1 < raw.n; i++) {
        if (raw.p[i] == '\\' && strchr("nrt", raw.p[i + 1]) != NULL)
            i++;
        else if (raw.p[i] != ' ')
            return false;
    }
    return true;
}

/* --- tool calls --- */

static void feed_args(struct peri_tool_args *args, char c) {
    if (args->in_string) {
        if (args->is_escaped)
            args->is_escaped = false;
        else if (c == '\\')
            args->is_escaped = true;
        else if (c == '"')
            args->in_string = false;
        return;
    }
    if (c == '"') args->in_string = true;
    if (c == '{' || c == '[') args->depth++;
    if ((c == '}' || c == ']') && args->depth > 0) args->depth--;
    if (strchr(" \t\r\n", c) == NULL || c == '\0') args->is_begun = true;
}

static unsigned hex_digit(char c) { return (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10); }

/* `raw` is a valid JSON string, so every escape in it is whole. */
static void feed_raw_args(struct peri_tool_args *args, struct peri_str raw) {
    for (size_t i = 1; i + 1 < raw.n; i++) {
        char c = raw.p[i];
        if (c == '\\') {
            c = raw.p[++i];
            if (c == 'u') {
                unsigned code = 0;
                for (int digit = 0; digit < 4; digit++) code = code << 4 | hex_digit(raw.p[++i]);
                c = code < 0x80 ? (char)code : 'x';
            } else if (strchr("bfnrt", c) != NULL) {
                c = ' ';
            }
        }
        feed_args(args, c);
    }
}

static void read_tool(struct peri_stream_state *s, int64_t index, struct peri_str args) {
    if (peri_json_raw_kind(args) != PERI_JSON_STRING) return;
    feed_raw_args(&s->tools[index % PERI_STREAM_TOOLS], args);
}

/* Gives the index a chunk names; its place where it names none, as in whole messages. */
static int64_t tool_index(struct peri_str raw, int64_t place) {
    int64_t index;
    return peri_json_raw_int(&index, raw) == PERI_OK && index >= 0 ? index : place;
}

/* More than one call in a frame: through a document. */
static void read_tool_list(struct peri_stream_state *s, struct peri_str tools) {
    struct peri_json *j;
    if (peri_json_parse(&j, tools, NULL, NULL) != PERI_OK) return;
    struct peri_json_iter it = peri_json_iter(j, peri_json_root(j));
    for (int64_t place = 0; peri_json_next(j, &it); place++) {
        uint32_t index = peri_json_get(j, it.value, PERI_STR("index"));
        uint32_t function = peri_json_get(j, it.value, PERI_STR("function"));
        uint32_t args = peri_json_get(j, function, PERI_STR("arguments"));
        read_tool(s, tool_index(peri_json_raw(j, index), place), peri_json_raw(j, args));
    }
    peri_json_free(j);
}

static void read_tools(struct peri_stream_state *s, struct peri_str tools) {
    struct peri_str found[TOOL_COUNT];
    if (!is_filled(tools) || peri_json_scan(found, tools, tool_paths, TOOL_COUNT, NULL) != PERI_OK)
        return;
    if (found[TOOL_NEXT].p != NULL)
        read_tool_list(s, tools);
    else
        read_tool(s, tool_index(found[TOOL_INDEX], 0), found[TOOL_ARGS]);
}

/* --- text under other names --- */

/* Offset behind the string, container or word that starts at `i`; the text is valid JSON. */
static size_t skip_value(struct peri_str s, size_t i) {
    size_t depth = 0;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"') {
            for (i++; i < s.n && s.p[i] != '"'; i++) i += s.p[i] == '\\';
            if (depth == 0) return i + 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth == 0) return i; /* a word was the last member */
            if (--depth == 0) return i + 1;
        } else if (c == ',' && depth == 0) {
            return i;
        }
    }
    return i;
}

static size_t skip_blanks(struct peri_str s, size_t i) {
    while (i < s.n && strchr(" \t\r\n,:", s.p[i]) != NULL && s.p[i] != '\0') i++;
    return i;
}

/* Texts of a delta that name things, and say nothing to a reader. */
static bool is_label(struct peri_str name) {
    static const struct peri_str labels[] = {
        NAME("\"role\""),         NAME("\"name\""),      NAME("\"id\""),
        NAME("\"type\""),         NAME("\"object\""),    NAME("\"model\""),
        NAME("\"status\""),       NAME("\"channel\""),   NAME("\"recipient\""),
        NAME("\"phase\""),        NAME("\"format\""),    NAME("\"provider\""),
        NAME("\"stop_reason\""),  NAME("\"index\""),     NAME("\"item_id\""),
        NAME("\"language\""),     NAME("\"signature\""), NAME("\"tool_call_id\""),
        NAME("\"finish_reason\"")
    };
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (peri_str_eq(name, labels[i])) return true;
    return false;
}

/* Some engines stream what a model thinks as `reasoning_text`, `thinking`, `thought`: a client waits for it as for any
 * other text. */
static bool says_more(struct peri_str object) {
    for (size_t i = skip_blanks(object, 1); i < object.n && object.p[i] == '"';) {
        size_t end = skip_value(object, i), from = skip_blanks(object, end);
        struct peri_str name = { object.p + i, end - i };
        i = skip_value(object, from);
        bool is_text = object.p[from] == '"' && i - from > 2;
        if (is_text && !is_label(name)) return true;
        i = skip_blanks(object, i);
    }
    return false;
}

/* --- choices --- */

struct frame {
    bool has_content, has_finish, has_choice, has_message, has_error;
};

/* Reasons that no model gives: what made the answer ended, and not well. */
static bool is_failure(const char *reason) {
    static const char *const failures[] = { "error", "network_error",
                                            "insufficient_system_resource" };
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (strcmp(reason, failures[i]) == 0) return true;
    return false;
}

static void note_finish(struct peri_stream_state *s, struct peri_str raw) {
    struct peri_str reason = peri_json_raw_plain(raw);
    size_t n = reason.n < sizeof s->finish_reason - 1 ? reason.n : sizeof s->finish_reason - 1;
    if (reason.p != NULL) memcpy(s->finish_reason, reason.p, n);
    s->finish_reason[reason.p != NULL ? n : 0] = '\0';
    s->saw_finish = true;
    s->saw_failure = is_failure(s->finish_reason);
}

/* Gives whether a delta or a message holds content. */
static bool read_parts(struct peri_stream_state *s, struct peri_str parts) {
    struct peri_str found[PART_COUNT];
    bool has_content = false;
    if (peri_json_raw_kind(parts) != PERI_JSON_OBJECT ||
        peri_json_scan(found, parts, part_paths, PART_COUNT, NULL) != PERI_OK)
        return false;
    for (size_t i = 0; i < PART_COUNT && !(has_content && s->saw_answer); i++) {
        if (!is_filled(found[i])) continue;
        has_content = true;
        if (i < PART_REASONING && !is_blank(found[i])) s->saw_answer = true;
    }
    read_tools(s, found[PART_TOOLS]);
    return has_content || says_more(parts);
}

static bool holds_error(struct peri_str choice) {
    struct peri_str error;
    return peri_str_find(choice, PERI_STR("\"error\"")) >= 0 &&
           peri_json_scan(&error, choice, &choice_error_path, 1, NULL) == PERI_OK &&
           is_error(error);
}

static void read_choice(struct peri_stream_state *s, struct frame *frame, struct peri_str choice) {
    struct peri_str found[CHOICE_COUNT];
    int64_t index = 0;
    if (peri_json_raw_kind(choice) != PERI_JSON_OBJECT ||
        peri_json_scan(found, choice, choice_paths, CHOICE_COUNT, NULL) != PERI_OK)
        return;
    frame->has_choice = true;
    if (peri_json_raw_int(&index, found[CHOICE_INDEX]) != PERI_OK || index < 0) index = 0;
    uint64_t bit = (uint64_t)1 << (index < 63 ? index : 63);
    s->choices_seen |= bit;
    if (is_filled(found[CHOICE_FINISH])) {
        frame->has_finish = true;
        s->choices_finished |= bit;
        note_finish(s, found[CHOICE_FINISH]);
    }
    if (peri_json_raw_kind(found[CHOICE_MESSAGE]) == PERI_JSON_OBJECT &&
        peri_json_raw_kind(found[CHOICE_DELTA]) == PERI_JSON_NULL)
        frame->has_message = true;
    bool has_content = is_filled(found[CHOICE_TEXT]);
    if (has_content && !is_blank(found[CHOICE_TEXT])) s->saw_answer = true;
    has_content |= read_parts(s, found[CHOICE_DELTA]);
    has_content |= read_parts(s, found[CHOICE_MESSAGE]);
    if (!has_content && holds_error(choice)) frame->has_error = true;
    frame->has_content = frame->has_content || has_content;
}

static enum peri_err read_choice_list(struct peri_stream_state *s, struct frame *frame,
                                      struct peri_str choices) {
    struct peri_json *j;
    enum peri_err err = peri_json_parse(&j, choices, NULL, NULL);
    if (err != PERI_OK) return err;
    struct peri_json_iter it = peri_json_iter(j, peri_json_root(j));
    while (peri_json_next(j, &it)) read_choice(s, frame, peri_json_raw(j, it.value));
    peri_json_free(j);
    return PERI_OK;
}

/* llama.cpp's server, for clients that ask with `return_progress`. */
static bool tells_progress(struct peri_str text) {
    struct peri_str found;
    return peri_str_find(text, PERI_STR("\"prompt_progress\"")) >= 0 &&
           peri_json_scan(&found, text, &progress_path, 1, NULL) == PERI_OK && is_filled(found);
}

static void read_odd_usage(struct peri_stream_state *s, struct peri_str text) {
    struct peri_str found[2];
    if (peri_str_find(text, PERI_STR("\"usage\"")) < 0 ||
        peri_json_scan(found, text, odd_usage_paths, 2, NULL) != PERI_OK)
        return;
    for (size_t i = 0; i < 2; i++) peri_usage_read(&s->usage, found[i]);
}

/* All that a frame and a whole answer have in common. */
static enum peri_err read_object(struct peri_stream_state *s, struct frame *frame,
                                 struct peri_str top[TOP_COUNT], struct peri_str text) {
    enum peri_err err = peri_json_scan(top, text, top_paths, TOP_COUNT, NULL);
    if (err == PERI_ETOOBIG) return PERI_EMALFORMED;
    if (err != PERI_OK) return err;
    if (text.p[0] != '{') text = peri_str_from(text, skip_blanks(text, 0));
    if (peri_json_raw_kind(text) != PERI_JSON_OBJECT) return PERI_EMALFORMED;
    if ((top[TOP_ERROR].p != NULL && is_error(top[TOP_ERROR])) ||
        peri_json_raw_string_is(top[TOP_OBJECT], PERI_STR("error"))) {
        s->saw_error = true;
        return PERI_EUPSTREAM;
    }
    /* Most events of a stream say nothing of it, or null. */
    if (top[TOP_USAGE].n > 0 && top[TOP_USAGE].p[0] == '{')
        peri_usage_read(&s->usage, top[TOP_USAGE]);
    if (top[TOP_CHOICE_1].p != NULL)
        err = read_choice_list(s, frame, top[TOP_CHOICES]);
    else
        read_choice(s, frame, top[TOP_CHOICE_0]);
    if (frame->has_error) {
        s->saw_error = true;
        return PERI_EUPSTREAM;
    }
    if ((frame->has_finish || !frame->has_choice) &&
        peri_json_raw_kind(top[TOP_USAGE]) != PERI_JSON_OBJECT)
        read_odd_usage(s, text);
    if (frame->has_content) {
        s->saw_content = true;
        s->content_chunks++;
    }
    return err;
}

/* An object whose first member is the devshard's own. It stands alone in its event, behind [DONE] even. */
static bool is_internal(struct peri_str data) {
    struct peri_str rest = peri_str_trim(data);
    if (!peri_str_has_prefix(rest, PERI_STR("{"))) return false;
    return peri_str_has_prefix(peri_str_trim(peri_str_from(rest, 1)), PERI_STR("\"devshard_"));
}

/* It ended badly before it said anything. What has been said is the client's, with the reason that was given. */
static bool has_failed(struct peri_stream_state *s) {
    if (!s->saw_failure || s->saw_content) return false;
    s->saw_error = true;
    return true;
}

enum peri_stream_kind peri_stream_read(struct peri_stream_state *s, struct peri_str name,
                                       struct peri_str data) {
    struct peri_str top[TOP_COUNT];
    struct frame frame = { 0 };
    s->frames++;
    if (peri_str_eq(name, PERI_STR("error"))) {
        s->saw_error = true;
        return PERI_STREAM_ERROR;
    }
    if (peri_str_trim(data).n == 0) return PERI_STREAM_EMPTY;
    /* The official clients look at no more than the front. */
    if (peri_str_has_prefix(data, PERI_STR(PERI_STREAM_END))) {
        s->saw_done = true;
        return PERI_STREAM_DONE;
    }
    enum peri_err err = read_object(s, &frame, top, data);
    if (err == PERI_EUPSTREAM) return PERI_STREAM_ERROR;
    if (err != PERI_OK) return PERI_STREAM_BROKEN;
    if (peri_str_eq(top[TOP_RESET], PERI_STR("true"))) return PERI_STREAM_RESET;
    if (has_failed(s)) return PERI_STREAM_ERROR;
    if (frame.has_message) return PERI_STREAM_WHOLE;
    if (frame.has_content) return PERI_STREAM_CONTENT;
    if (frame.has_finish) return PERI_STREAM_FINISH;
    bool is_usage = peri_json_raw_kind(top[TOP_USAGE]) == PERI_JSON_OBJECT && !frame.has_choice;
    if (is_usage) return PERI_STREAM_USAGE;
    if (!frame.has_choice && is_internal(data)) return PERI_STREAM_INTERNAL;
    return tells_progress(data) ? PERI_STREAM_PROGRESS : PERI_STREAM_LIFECYCLE;
}

bool peri_stream_is_complete(const struct peri_stream_state *s) {
    bool is_finished = s->choices_seen != 0 && s->choices_seen == s->choices_finished;
    return !s->saw_error && (s->saw_done || is_finished);
}

bool peri_stream_is_empty(const struct peri_stream_state *s) {
    if (s->saw_answer || s->saw_error || s->choices_seen == 0) return false;
    if (strcmp(s->finish_reason, "content_filter") == 0) return false;
    if (s->usage.is_known) return s->usage.completion_tokens > 0;
    return strcmp(s->finish_reason, "length") == 0;
}

bool peri_stream_is_void(const struct peri_stream_state *s) {
    if (s->saw_content || s->saw_error || s->choices_seen == 0) return false;
    if (strcmp(s->finish_reason, "content_filter") == 0) return false;
    bool has_spent = s->usage.is_known && s->usage.completion_tokens > 0;
    return has_spent || strcmp(s->finish_reason, "length") != 0;
}

bool peri_stream_has_open_tool_args(const struct peri_stream_state *s) {
    for (size_t i = 0; i < PERI_STREAM_TOOLS; i++)
        if (s->tools[i].is_begun && (s->tools[i].depth > 0 || s->tools[i].in_string)) return true;
    return false;
}

static enum peri_err read_answer(struct peri_stream_state *s, struct peri_str body, bool is_list) {
    struct peri_str top[TOP_COUNT];
    struct frame frame = { 0 };
    memset(s, 0, sizeof *s);
    enum peri_err err = read_object(s, &frame, top, body);
    if (err != PERI_OK) return err;
    bool has_list = peri_json_raw_kind(top[TOP_DATA]) == PERI_JSON_ARRAY;
    if (is_list ? !has_list : !frame.has_choice) return PERI_EPROTO;
    if (has_failed(s)) return PERI_EUPSTREAM;
    s->saw_done = true;
    return PERI_OK;
}

enum peri_err peri_answer_read(struct peri_stream_state *s, struct peri_str body) {
    return read_answer(s, body, false);
}

enum peri_err peri_answer_read_list(struct peri_stream_state *s, struct peri_str body) {
    return read_answer(s, body, true);
}
