/* The bytes of a fuzz input as decisions, and JSON text made by them.
 *
 * Every decision takes a byte from the front, so that a mutation of one byte changes one thing. Bytes that are used up read as
 * zero, and zero is everywhere the plainest choice: an input ends by itself.
 */
#ifndef PERI_SCRIPT_FUZZ_FEED_H
#define PERI_SCRIPT_FUZZ_FEED_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

struct feed {
    const uint8_t *at, *end;
};

/* What must be so whatever the input says. */
#define demand(claim) demand_at(claim, #claim, __LINE__)

static inline void demand_at(bool is_so, const char *claim, int line) {
    if (is_so) return;
    fprintf(stderr, "line %d: not so: %s\n", line, claim);
    abort();
}

static inline bool feed_is_over(const struct feed *f) { return f->at == f->end; }
static inline unsigned feed_byte(struct feed *f) { return f->at < f->end ? *f->at++ : 0; }
/* 0 to count - 1; count is at most 256. */
static inline size_t feed_below(struct feed *f, size_t count) { return feed_byte(f) % count; }

/* The next n bytes, or as many as there are. */
static inline struct peri_str feed_bytes(struct feed *f, size_t n) {
    size_t left = (size_t)(f->end - f->at);
    struct peri_str s = { (const char *)f->at, n < left ? n : left };
    f->at += s.n;
    return s;
}

static inline void put(struct peri_buf *out, const char *text) {
    demand(peri_buf_add(out, peri_str_of(text)) == PERI_OK);
}

static inline void put_str(struct peri_buf *out, struct peri_str s) {
    demand(peri_buf_add(out, s) == PERI_OK);
}

/* JSON that reads well in C: ' stands for ". */
static inline void put_quoted(struct peri_buf *out, const char *text) {
    for (; *text != '\0'; text++)
        demand(peri_buf_add_char(out, *text == '\'' ? '"' : *text) == PERI_OK);
}

#define PICK(f, list) ((list)[feed_below(f, sizeof(list) / sizeof *(list))])

/* A member's name or a short text: what requests, answers and the policies know. */
static inline const char *feed_word(struct feed *f) {
    static const char *const words[] = { "",
                                         "m",
                                         "user",
                                         "assistant",
                                         "system",
                                         "tool",
                                         "role",
                                         "content",
                                         "messages",
                                         "model",
                                         "stream",
                                         "text",
                                         "type",
                                         "name",
                                         "function",
                                         "tools",
                                         "tool_choice",
                                         "tool_calls",
                                         "tool_call_id",
                                         "id",
                                         "arguments",
                                         "parameters",
                                         "properties",
                                         "required",
                                         "stop",
                                         "max_tokens",
                                         "max_completion_tokens",
                                         "n",
                                         "temperature",
                                         "top_p",
                                         "logit_bias",
                                         "logprobs",
                                         "top_logprobs",
                                         "response_format",
                                         "json_schema",
                                         "json_object",
                                         "schema",
                                         "strict",
                                         "additionalProperties",
                                         "$ref",
                                         "$defs",
                                         "anyOf",
                                         "items",
                                         "enum",
                                         "pattern",
                                         "image_url",
                                         "url",
                                         "input",
                                         "prompt",
                                         "stream_options",
                                         "include_usage",
                                         "usage",
                                         "choices",
                                         "delta",
                                         "message",
                                         "index",
                                         "finish_reason",
                                         "reasoning",
                                         "reasoning_content",
                                         "reasoning_effort",
                                         "refusal",
                                         "error",
                                         "code",
                                         "param",
                                         "object",
                                         "prompt_tokens",
                                         "completion_tokens",
                                         "total_tokens",
                                         "bad_words",
                                         "guided_regex",
                                         "chat_template_kwargs",
                                         "enable_thinking",
                                         "thinking",
                                         "seed",
                                         "user_id",
                                         "required_",
                                         "auto",
                                         "none",
                                         "length",
                                         "data",
                                         "other",
                                         "kimi-k2",
                                         "qwen3",
                                         "<think>",
                                         "</think>",
                                         "<|im_end|>",
                                         "functions.f:0",
                                         "{\\\"a\\\":1}",
                                         "{\\\"a\\\":",
                                         "a\\u0001b",
                                         "\\r\\nx: y",
                                         "\\u0000",
                                         "\\ud83d\\ude00",
                                         "\\ud83d",
                                         "\xf0\x9f\x98\x80",
                                         "\x7f",
                                         "data:image/png;base64,AAAA",
                                         "https://192.0.2.9/a.png",
                                         "(a+)+$",
                                         "__index",
                                         "x-perilune-model",
                                         "authorization",
                                         "content-length" };
    return PICK(f, words);
}

/* A JSON string: a word, bytes of the input as they are (which may break it), escapes of any code, or a long one. */
static inline void put_json_string(struct peri_buf *out, struct feed *f) {
    unsigned kind = feed_byte(f);
    put(out, "\"");
    if (kind < 128) {
        put(out, feed_word(f));
    } else if (kind < 192) {
        put_str(out, feed_bytes(f, kind & 31));
    } else if (kind < 240) {
        for (unsigned i = 0; i <= (kind & 7); i++) {
            unsigned high = (kind & 8) != 0 ? feed_byte(f) : 0;
            demand(peri_buf_addf(out, "\\u%02x%02x", high, feed_byte(f)) == PERI_OK);
        }
    } else {
        const char *word = feed_word(f);
        for (unsigned i = 0; i < (kind & 15u) * 64; i++) put(out, word);
    }
    put(out, "\"");
}

static inline void put_json(struct peri_buf *out, struct feed *f, unsigned depth);

static inline void put_json_members(struct peri_buf *out, struct feed *f, unsigned depth,
                                    size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i > 0) put(out, ",");
        put_json_string(out, f);
        put(out, ":");
        put_json(out, f, depth);
    }
}

static inline void put_json_list(struct peri_buf *out, struct feed *f, unsigned depth) {
    size_t count = feed_below(f, 6);
    put(out, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) put(out, ",");
        put_json(out, f, depth);
    }
    put(out, "]");
}

/* The same value over and over: what is quick for one may be slow for many. */
static inline void put_json_many(struct peri_buf *out, struct feed *f) {
    const char *word = feed_word(f);
    size_t count = 1 + feed_byte(f) * 4u;
    bool is_object = (count & 4) != 0;
    put(out, is_object ? "{" : "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) put(out, ",");
        if (is_object)
            demand(peri_buf_addf(out, "\"%s%zu\":%zu", word, i, i) == PERI_OK);
        else
            demand(peri_buf_addf(out, "\"%s\"", word) == PERI_OK);
    }
    put(out, is_object ? "}" : "]");
}

static inline void put_json_deep(struct peri_buf *out, struct feed *f) {
    unsigned levels = feed_byte(f);
    bool is_list = (levels & 1) != 0;
    for (unsigned i = 0; i < levels; i++) put(out, is_list ? "[" : "{\"properties\":");
    put(out, "1");
    for (unsigned i = 0; i < levels; i++) put(out, is_list ? "]" : "}");
}

/* One value; nothing nests deeper than `depth` allows but what put_json_deep is for. */
static inline void put_json(struct peri_buf *out, struct feed *f, unsigned depth) {
    static const char *const plain[] = { "null",  "true",     "false",
                                         "0",     "1",        "-1",
                                         "2",     "3072",     "4096",
                                         "1e9",   "1e999",    "-0",
                                         "0.5",   "1e-7",     "9007199254740993",
                                         "[]",    "{}",       "\"\"",
                                         "\"m\"", "\"auto\"", "nul",
                                         "01",    "[1,]",     "99999999999999999999999999999999" };
    unsigned kind = feed_byte(f);
    if (kind < 64 || depth == 0) {
        put(out, PICK(f, plain));
    } else if (kind < 128) {
        put_json_string(out, f);
    } else if (kind < 180) {
        put(out, "{");
        put_json_members(out, f, depth - 1, kind % 6);
        put(out, "}");
    } else if (kind < 232) {
        put_json_list(out, f, depth - 1);
    } else if (kind < 244) {
        put_json_many(out, f);
    } else if (kind < 252) {
        put_json_deep(out, f);
    } else {
        put_str(out, feed_bytes(f, feed_byte(f) % 32u));
    }
}

#endif
