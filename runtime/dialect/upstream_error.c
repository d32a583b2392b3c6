#include "dialect/upstream_error.h"

#include <stdio.h>

#include "base/json_text.h"
#include "base/utf8.h"
#include "dialect/error.h"

#define DEPTH_MAX  8     /* errors inside errors, as text or as members */
#define EXTRAS_MAX 16384 /* bytes of members that are kept beside ours */

/* How much of a key's front or back gives it away. */
#define TELLTALE 6

static bool is_word(char c) {
    return c > ' ' && c != 0x7F && strchr("\"'`,;:()[]{}<>=", c) == NULL;
}

/* Of "Bearer KEY" the key. */
static struct peri_str key_of(struct peri_str secret) {
    for (size_t i = secret.n; i > 0; i--)
        if (secret.p[i - 1] == ' ') return peri_str_from(secret, i);
    return secret;
}

static bool looks_like_key(struct peri_str word, struct peri_str secret) {
    static const struct peri_str prefixes[] = { PERI_STR_INIT("sk-"), PERI_STR_INIT("gsk_"),
                                                PERI_STR_INIT("pplx-"), PERI_STR_INIT("xai-") };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (word.n > prefixes[i].n + 3 && peri_str_has_prefix(word, prefixes[i])) return true;
    if (secret.n < TELLTALE || word.n < TELLTALE) return false;
    struct peri_str front = { secret.p, TELLTALE };
    struct peri_str back = { secret.p + secret.n - TELLTALE, TELLTALE };
    return peri_str_find(word, front) >= 0 || peri_str_find(word, back) >= 0;
}

/* One line of UTF-8 without control characters and without keys, cut between characters. */
static void write_clean(char *out, size_t room, struct peri_str text, struct peri_str secret) {
    size_t n = 0;
    text = peri_str_trim(text);
    while (text.n > 0) {
        size_t length = 0;
        while (length < text.n && is_word(text.p[length])) length++;
        struct peri_str piece = { text.p, length };
        if (length == 0) {
            length = peri_utf8_length(text);
            bool is_shown =
                length > 1 || (length == 1 && (unsigned char)*text.p > ' ' && *text.p != 0x7F);
            piece = is_shown ? (struct peri_str){ text.p, length } : PERI_STR(" ");
            if (length == 0) length = 1;
            if (!is_shown && n > 0 && out[n - 1] == ' ') piece.n = 0;
        } else if (looks_like_key(piece, secret)) {
            piece = PERI_STR("[redacted]");
        }
        if (n + piece.n >= room) piece.n = room - 1 - n;
        memcpy(out + n, piece.p, piece.n);
        n += piece.n;
        if (n + 1 >= room) break;
        text = peri_str_from(text, length);
    }
    n = peri_utf8_valid((struct peri_str){ out, n });
    if (n > 0 && out[n - 1] == ' ') n--;
    out[n] = '\0';
}

static bool has_key(struct peri_str text, struct peri_str secret) {
    while (text.n > 0) {
        size_t length = 0;
        while (length < text.n && is_word(text.p[length])) length++;
        if (looks_like_key((struct peri_str){ text.p, length }, secret)) return true;
        text = peri_str_from(text, length > 0 ? length : 1);
    }
    return false;
}

/* ---- Documents ---- */

struct reading {
    struct peri_upstream_error *out;
    struct peri_str secret; /* the key alone */
    struct peri_arena arena;
};

static bool read_text(struct reading *r, struct peri_str text, unsigned depth);

/* The first member of these names (ended by NULL) that is there and not null. */
static uint32_t first_of(struct peri_json *j, uint32_t object, const char *const *names) {
    for (; *names != NULL; names++) {
        uint32_t node = peri_json_get(j, object, peri_str_of(*names));
        if (peri_json_kind(j, node) != PERI_JSON_NULL) return node;
    }
    return PERI_JSON_NONE;
}

/* A string's text, a number's or a literal's own; nothing for null and containers. What is said already stays. */
static void write_value(struct reading *r, char *out, size_t room, struct peri_json *j,
                        uint32_t node) {
    struct peri_str text = { NULL, 0 };
    if (out[0] != '\0') return;
    if (peri_json_kind(j, node) == PERI_JSON_STRING)
        text = peri_json_string(j, node, &r->arena);
    else if (peri_json_kind(j, node) == PERI_JSON_NUMBER ||
             peri_json_kind(j, node) == PERI_JSON_BOOL)
        text = peri_json_raw(j, node);
    if (text.n > 0) write_clean(out, room, text, r->secret);
}

/* INVALID_ARGUMENT: the name of a kind of error as Google's APIs have it, where others say "error". */
static bool is_status_name(struct peri_str text) {
    for (size_t i = 0; i < text.n; i++)
        if ((text.p[i] < 'A' || text.p[i] > 'Z') && text.p[i] != '_') return false;
    return text.n > 0;
}

static void read_labels(struct reading *r, struct peri_json *j, uint32_t object) {
    static const char *const codes[] = { "code", "error_code", NULL };
    struct peri_upstream_error *e = r->out;
    uint32_t status = peri_json_get(j, object, PERI_STR("status"));
    write_value(r, e->type, sizeof e->type, j, peri_json_get(j, object, PERI_STR("type")));
    if (is_status_name(peri_json_string(j, status, &r->arena)))
        write_value(r, e->type, sizeof e->type, j, status);
    write_value(r, e->code, sizeof e->code, j, first_of(j, object, codes));
    write_value(r, e->param, sizeof e->param, j, peri_json_get(j, object, PERI_STR("param")));
}

/* FastAPI's list of faults: {"loc":["body","messages",0],"msg":"field required"}. */
static bool read_located(struct reading *r, struct peri_json *j, uint32_t object) {
    struct peri_str text =
        peri_json_string(j, peri_json_get(j, object, PERI_STR("msg")), &r->arena);
    uint32_t place = peri_json_get(j, object, PERI_STR("loc"));
    if (text.n == 0) return false;
    struct peri_buf b;
    peri_buf_init(&b, 4096);
    struct peri_json_iter it = peri_json_iter(j, place);
    while (peri_json_kind(j, place) == PERI_JSON_ARRAY && peri_json_next(j, &it)) {
        struct peri_str step = peri_json_kind(j, it.value) == PERI_JSON_STRING
                                   ? peri_json_string(j, it.value, &r->arena)
                                   : peri_json_raw(j, it.value);
        if (b.n == 0 && peri_str_eq(step, PERI_STR("body"))) continue;
        if (b.n > 0) peri_buf_add_char(&b, '.');
        peri_buf_add(&b, step);
    }
    if (b.n > 0) write_clean(r->out->param, sizeof r->out->param, peri_buf_str(&b), r->secret);
    if (b.n > 0) peri_buf_add(&b, PERI_STR(": "));
    peri_buf_add(&b, text);
    write_clean(r->out->message, sizeof r->out->message, peri_buf_str(&b), r->secret);
    peri_buf_done(&b);
    return r->out->message[0] != '\0';
}

/* gives whether it says a reason */
static bool read_node(struct reading *r, struct peri_json *j, uint32_t node, unsigned depth);

/* An answer that is an error: in its choice, or by the reason it ended with. */
static bool read_choices(struct reading *r, struct peri_json *j, uint32_t object, unsigned depth) {
    uint32_t choices = peri_json_get(j, object, PERI_STR("choices"));
    struct peri_json_iter it = peri_json_iter(j, choices);
    if (peri_json_kind(j, choices) != PERI_JSON_ARRAY) return false;
    while (peri_json_next(j, &it)) {
        if (read_node(r, j, peri_json_get(j, it.value, PERI_STR("error")), depth)) return true;
        uint32_t reason = peri_json_get(j, it.value, PERI_STR("finish_reason"));
        char word[64] = "";
        write_value(r, word, sizeof word, j, reason);
        if (word[0] == '\0') continue;
        snprintf(r->out->message, sizeof r->out->message,
                 "the answer ended with finish_reason '%s'", word);
        return true;
    }
    return false;
}

static bool read_object(struct reading *r, struct peri_json *j, uint32_t object, unsigned depth) {
    static const char *const sentences[] = { "message",           "error_message", "errorMessage",
                                             "error_description", "detail",        "msg",
                                             "description",       "Message",       NULL };
    static const char *const fallbacks[] = { "errors", "details", "reason", "title", NULL };
    uint32_t error = peri_json_get(j, object, PERI_STR("error"));
    bool is_nested =
        peri_json_kind(j, error) == PERI_JSON_OBJECT || peri_json_kind(j, error) == PERI_JSON_ARRAY;
    /* A broker's own sentence ("Provider returned error") says nothing; what its provider said stands behind it. */
    uint32_t raw =
        peri_json_get(j, peri_json_get(j, object, PERI_STR("metadata")), PERI_STR("raw"));
    if (read_located(r, j, object)) return true;
    if (!is_nested && read_choices(r, j, object, depth)) return true;
    if (!is_nested) read_labels(r, j, object);
    bool is_said = (is_nested && read_node(r, j, error, depth)) || read_node(r, j, raw, depth) ||
                   read_node(r, j, first_of(j, object, sentences), depth);
    /* {"error":"deprecated","message":"…"}: the name is a code when a sentence stands beside it. */
    if (is_said && !is_nested) write_value(r, r->out->code, sizeof r->out->code, j, error);
    if (is_nested) read_labels(r, j, object);
    return is_said || read_node(r, j, error, depth) ||
           read_node(r, j, first_of(j, object, fallbacks), depth);
}

static bool read_node(struct reading *r, struct peri_json *j, uint32_t node, unsigned depth) {
    if (depth == 0) return false;
    switch (peri_json_kind(j, node)) {
    case PERI_JSON_OBJECT: return read_object(r, j, node, depth - 1);
    case PERI_JSON_STRING: return read_text(r, peri_json_string(j, node, &r->arena), depth - 1);
    case PERI_JSON_ARRAY: {
        struct peri_json_iter it = peri_json_iter(j, node);
        while (peri_json_next(j, &it))
            if (read_node(r, j, it.value, depth - 1)) return true;
        return false;
    }
    default: return false;
    }
}

/* ---- Texts ---- */

static bool starts_json(struct peri_str text) {
    return text.n > 0 && (text.p[0] == '{' || text.p[0] == '[');
}

/* The data of the first event of a stream. */
static struct peri_str event_data(struct reading *r, struct peri_str text) {
    struct peri_buf data;
    struct peri_str line;
    peri_buf_init(&data, 65536);
    while (peri_str_cut(&line, &text, '\n')) {
        if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
        if (line.n == 0 && data.n > 0) break;
        if (peri_str_has_prefix(line, PERI_STR("data:")))
            peri_buf_add(&data, peri_str_from(line, 5));
    }
    struct peri_str copy = peri_arena_dup(&r->arena, peri_str_trim(peri_buf_str(&data)));
    peri_buf_done(&data);
    return copy;
}

static bool is_event(struct peri_str text) {
    return peri_str_has_prefix(text, PERI_STR("data:")) ||
           peri_str_has_prefix(text, PERI_STR("event:")) ||
           peri_str_has_prefix(text, PERI_STR(": "));
}

static struct peri_str between(struct peri_str text, struct peri_str open, char close) {
    for (size_t i = 0; i + open.n <= text.n; i++) {
        if (!peri_str_eq_nocase((struct peri_str){ text.p + i, open.n }, open)) continue;
        struct peri_str rest = peri_str_from(text, i + open.n);
        ptrdiff_t end = peri_str_find_char(rest, close);
        return (struct peri_str){ rest.p, end < 0 ? 0 : (size_t)end };
    }
    return (struct peri_str){ NULL, 0 };
}

/* The title of an error page is its reason: "502 Bad Gateway". */
static void read_page(struct reading *r, struct peri_str text) {
    char title[200] = "";
    struct peri_str found = between(text, PERI_STR("<title>"), '<');
    if (found.n == 0) found = between(text, PERI_STR("<h1>"), '<');
    if (found.n > 0) write_clean(title, sizeof title, found, r->secret);
    snprintf(r->out->message, sizeof r->out->message, "the provider answered with an HTML page%s%s",
             title[0] != '\0' ? ": " : "", title);
}

static struct peri_str without_front(struct peri_str text) {
    text = peri_str_after_mark(text);
    while (text.n > 0 && text.p[0] != '\0' && strchr(" \t\r\n", text.p[0]) != NULL)
        text = peri_str_from(text, 1);
    return text;
}

static bool read_document(struct reading *r, struct peri_str text, unsigned depth) {
    struct peri_json *j;
    if (peri_json_parse(&j, text, NULL, NULL) != PERI_OK) return false;
    bool is_said = read_node(r, j, peri_json_root(j), depth);
    peri_json_free(j);
    return is_said;
}

static bool read_text(struct reading *r, struct peri_str text, unsigned depth) {
    text = without_front(text);
    if (is_event(text)) text = without_front(event_data(r, text));
    if (starts_json(text) && read_document(r, text, depth)) return true;
    if (text.n > 0 && text.p[0] == '<')
        read_page(r, text);
    else
        write_clean(r->out->message, sizeof r->out->message, text, r->secret);
    return r->out->message[0] != '\0';
}

void peri_upstream_error_read(struct peri_upstream_error *out, struct peri_str body,
                              struct peri_str secret) {
    struct reading r = { .out = out, .secret = key_of(secret) };
    out->message[0] = out->type[0] = out->code[0] = out->param[0] = '\0';
    peri_arena_init(&r.arena, 0);
    if (!read_text(&r, body, DEPTH_MAX))
        snprintf(out->message, sizeof out->message, "the provider gave no reason");
    peri_arena_done(&r.arena);
}

/* ---- In our shape ---- */

/* The object whose members are the error's own: the root, or what its `error` holds; lists are their first element. */
static uint32_t error_object(struct peri_json *j) {
    uint32_t node = peri_json_root(j);
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        uint32_t inner = peri_json_kind(j, node) == PERI_JSON_ARRAY
                             ? peri_json_at(j, node, 0)
                             : peri_json_get(j, node, PERI_STR("error"));
        if (peri_json_kind(j, inner) != PERI_JSON_OBJECT &&
            peri_json_kind(j, inner) != PERI_JSON_ARRAY)
            break;
        node = inner;
    }
    return node;
}

static void put_extras(struct peri_buf *b, struct peri_str body, struct peri_str secret) {
    static const struct peri_str ours[] = { PERI_STR_INIT("message"), PERI_STR_INIT("type"),
                                            PERI_STR_INIT("param"),   PERI_STR_INIT("code"),
                                            PERI_STR_INIT("error"),   PERI_STR_INIT("object") };
    struct peri_json *j;
    if (peri_json_parse(&j, body, NULL, NULL) != PERI_OK) return;
    uint32_t object = error_object(j);
    struct peri_json_iter it = peri_json_iter(j, object);
    size_t most = b->n + EXTRAS_MAX;
    while (peri_json_kind(j, object) == PERI_JSON_OBJECT && peri_json_next(j, &it)) {
        struct peri_str name = peri_json_raw(j, it.name), value = peri_json_raw(j, it.value);
        bool is_ours = peri_json_kind(j, it.value) == PERI_JSON_NULL;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            is_ours = is_ours || peri_json_string_is(j, it.name, ours[i]);
        if (is_ours || has_key(name, secret) || has_key(value, secret)) continue;
        if (b->n + name.n + value.n + 2 > most) continue;
        peri_buf_add_char(b, ',');
        peri_buf_add(b, name);
        peri_buf_add_char(b, ':');
        peri_buf_add(b, value);
    }
    peri_json_free(j);
}

enum peri_err peri_upstream_error_write(struct peri_buf *out, const struct peri_upstream_error *e,
                                        struct peri_str body, struct peri_str secret) {
    struct peri_str none = { NULL, 0 };
    size_t before = out->n;
    enum peri_err err = peri_error_body(
        out, peri_str_of(e->message),
        e->type[0] != '\0' ? peri_str_of(e->type) : PERI_STR("invalid_request_error"),
        e->param[0] != '\0' ? peri_str_of(e->param) : none,
        e->code[0] != '\0' ? peri_str_of(e->code) : PERI_STR("upstream_rejected"));
    if (err != PERI_OK || out->n < before + 2) return err;
    out->n -= 2; /* the closing brackets, to be written behind what else it says */
    put_extras(out, without_front(body), key_of(secret));
    return peri_buf_add(out, PERI_STR("}}"));
}

int peri_upstream_error_status(const struct peri_upstream_error *e) {
    uint64_t code;
    if (peri_str_to_u64(&code, peri_str_of(e->code)) == PERI_OK && code >= 400 && code <= 599)
        return (int)code;
    struct peri_str type = peri_str_of(e->type), bad = PERI_STR("badrequest");
    for (; type.n >= bad.n; type = peri_str_from(type, 1))
        if (peri_str_eq_nocase((struct peri_str){ type.p, bad.n }, bad)) return 400;
    return 0;
}

bool peri_upstream_error_is_presentable(struct peri_str body, struct peri_str secret) {
    static const struct peri_json_path paths[] = {
        { 2, { PERI_STR_INIT("error"), PERI_STR_INIT("message") } },
        { 2, { PERI_STR_INIT("error"), PERI_STR_INIT("type") } },
        { 2, { PERI_STR_INIT("error"), PERI_STR_INIT("code") } },
        { 2, { PERI_STR_INIT("error"), PERI_STR_INIT("param") } },
    };
    struct peri_str found[4];
    if (peri_json_scan(found, body, paths, 4, NULL) != PERI_OK) return false;
    if (peri_json_raw_kind(found[0]) != PERI_JSON_STRING || found[1].p == NULL ||
        found[2].p == NULL || found[3].p == NULL)
        return false;
    return !has_key(body, key_of(secret));
}
