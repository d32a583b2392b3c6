#include "dialect/upstream_error.h"

#include <stdio.h>

#include "base/json_text.h"
#include "base/utf8.h"

enum {
    ERROR,
    ERROR_MESSAGE,
    ERROR_TYPE,
    ERROR_CODE,
    ERROR_PARAM,
    MESSAGE,
    TYPE,
    CODE,
    DETAIL,
    COUNT
};

static const struct peri_json_path paths[COUNT] = {
    [ERROR] = { 1, { PERI_STR_INIT("error") } },
    [ERROR_MESSAGE] = { 2, { PERI_STR_INIT("error"), PERI_STR_INIT("message") } },
    [ERROR_TYPE] = { 2, { PERI_STR_INIT("error"), PERI_STR_INIT("type") } },
    [ERROR_CODE] = { 2, { PERI_STR_INIT("error"), PERI_STR_INIT("code") } },
    [ERROR_PARAM] = { 2, { PERI_STR_INIT("error"), PERI_STR_INIT("param") } },
    [MESSAGE] = { 1, { PERI_STR_INIT("message") } },
    [TYPE] = { 1, { PERI_STR_INIT("type") } },
    [CODE] = { 1, { PERI_STR_INIT("code") } },
    [DETAIL] = { 1, { PERI_STR_INIT("detail") } },
};

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
    out[n] = '\0';
}

/* A string's text, a number's or a literal's own; nothing for null and containers. */
static bool write_value(char *out, size_t room, struct peri_str raw, struct peri_str secret) {
    struct peri_buf text;
    out[0] = '\0';
    switch (peri_json_raw_kind(raw)) {
    case PERI_JSON_STRING:
        peri_buf_init(&text, 0);
        if (peri_json_raw_add_string(&text, raw) == PERI_OK)
            write_clean(out, room, peri_buf_str(&text), secret);
        peri_buf_done(&text);
        break;
    case PERI_JSON_NUMBER:
    case PERI_JSON_BOOL: write_clean(out, room, raw, secret); break;
    default: break;
    }
    return out[0] != '\0';
}

static bool read_json(struct peri_upstream_error *out, struct peri_str body,
                      struct peri_str secret) {
    struct peri_str found[COUNT];
    if (peri_json_scan(found, body, paths, COUNT, NULL) != PERI_OK) return false;
    bool is_nested = peri_json_raw_kind(found[ERROR]) == PERI_JSON_OBJECT;
    struct peri_str type = found[is_nested ? ERROR_TYPE : TYPE];
    struct peri_str code = found[is_nested ? ERROR_CODE : CODE];
    bool is_said = write_value(out->message, sizeof out->message, found[ERROR_MESSAGE], secret) ||
                   write_value(out->message, sizeof out->message, found[MESSAGE], secret) ||
                   write_value(out->message, sizeof out->message, found[DETAIL], secret);
    /* {"error":"deprecated","message":"…"}: the name is a code when a sentence stands beside it. */
    if (is_said && !is_nested && peri_json_raw_kind(code) == PERI_JSON_NULL) code = found[ERROR];
    if (!is_said) is_said = write_value(out->message, sizeof out->message, found[ERROR], secret);
    write_value(out->type, sizeof out->type, type, secret);
    write_value(out->code, sizeof out->code, code, secret);
    write_value(out->param, sizeof out->param, found[ERROR_PARAM], secret);
    return is_said;
}

void peri_upstream_error_read(struct peri_upstream_error *out, struct peri_str body,
                              struct peri_str secret) {
    secret = key_of(secret);
    out->message[0] = out->type[0] = out->code[0] = out->param[0] = '\0';
    if (read_json(out, body, secret)) return;
    struct peri_str text = body;
    while (text.n > 0 && strchr(" \t\r\n", text.p[0]) != NULL && text.p[0] != '\0')
        text = peri_str_from(text, 1);
    if (text.n > 0 && text.p[0] == '<')
        snprintf(out->message, sizeof out->message, "the provider answered with an HTML page");
    else
        write_clean(out->message, sizeof out->message, text, secret);
    if (out->message[0] == '\0')
        snprintf(out->message, sizeof out->message, "the provider gave no reason");
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
    struct peri_str found[COUNT];
    if (peri_json_scan(found, body, paths, COUNT, NULL) != PERI_OK) return false;
    if (peri_json_raw_kind(found[ERROR_MESSAGE]) != PERI_JSON_STRING ||
        found[ERROR_TYPE].p == NULL || found[ERROR_PARAM].p == NULL || found[ERROR_CODE].p == NULL)
        return false;
    secret = key_of(secret);
    while (body.n > 0) {
        size_t length = 0;
        while (length < body.n && is_word(body.p[length])) length++;
        if (looks_like_key((struct peri_str){ body.p, length }, secret)) return false;
        body = peri_str_from(body, length > 0 ? length : 1);
    }
    return true;
}
