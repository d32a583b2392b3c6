#include "script/lua_places.h"

#define DEPTH_MAX 64  /* of constructors in one another; deeper ones are lumps */
#define NAMED_MAX 256 /* tables with a name that are remembered */

enum kind { END, NAME, STRING, NUMBER, SIGN };

struct token {
    enum kind kind;
    struct peri_str text; /* of a short STRING: what stands between the quotes */
    bool has_escapes;
    uint32_t line;
};

struct named {
    struct peri_str name;
    const struct peri_lua_places *places;
};

struct scan {
    struct peri_arena *arena;
    const char *at, *end;
    uint32_t line;
    struct token now;
    struct named named[NAMED_MAX];
    size_t named_count;
};

static bool is_name_char(char c, bool is_first) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') return true;
    return !is_first && c >= '0' && c <= '9';
}

/* "[", any number of "=", "[": gives the number of "=", or -1. */
static int long_bracket(const struct scan *s) {
    const char *p = s->at;
    if (p == s->end || *p++ != '[') return -1;
    int level = 0;
    while (p < s->end && *p == '=') p++, level++;
    return p < s->end && *p == '[' ? level : -1;
}

static struct peri_str skip_long(struct scan *s, int level) {
    s->at += level + 2;
    const char *start = s->at;
    for (; s->at < s->end; s->at++) {
        if (*s->at == '\n') s->line++;
        if (*s->at != ']') continue;
        const char *p = s->at + 1;
        int n = 0;
        while (p < s->end && *p == '=') p++, n++;
        if (n != level || p == s->end || *p != ']') continue;
        struct peri_str text = { start, (size_t)(s->at - start) };
        s->at = p + 1;
        return text;
    }
    return (struct peri_str){ start, (size_t)(s->end - start) };
}

static void skip_blank(struct scan *s) {
    while (s->at < s->end) {
        char c = *s->at;
        if (c == '\n') s->line++;
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v') {
            s->at++;
        } else if (c == '-' && s->end - s->at > 1 && s->at[1] == '-') {
            s->at += 2;
            int level = long_bracket(s);
            if (level >= 0)
                (void)skip_long(s, level);
            else
                while (s->at < s->end && *s->at != '\n') s->at++;
        } else {
            return;
        }
    }
}

static void short_string(struct scan *s) {
    char quote = *s->at++;
    const char *start = s->at;
    while (s->at < s->end && *s->at != quote && *s->at != '\n') {
        if (*s->at == '\\' && s->at + 1 < s->end) {
            s->now.has_escapes = true;
            s->at++;
            if (*s->at == '\n') s->line++;
        }
        s->at++;
    }
    s->now.text = (struct peri_str){ start, (size_t)(s->at - start) };
    if (s->at < s->end) s->at++;
}

static void advance(struct scan *s) {
    skip_blank(s);
    s->now = (struct token){ .kind = END, .line = s->line, .text = { s->at, 0 } };
    if (s->at == s->end) return;
    const char *start = s->at;
    char c = *start;
    int level = long_bracket(s);
    if (level >= 0) {
        s->now.kind = STRING;
        s->now.text = skip_long(s, level);
    } else if (c == '"' || c == '\'') {
        s->now.kind = STRING;
        short_string(s);
    } else if (is_name_char(c, true) || (c >= '0' && c <= '9')) {
        s->now.kind = c >= '0' && c <= '9' ? NUMBER : NAME;
        while (s->at < s->end && is_name_char(*s->at, false)) s->at++;
        s->now.text = (struct peri_str){ start, (size_t)(s->at - start) };
    } else {
        s->now.kind = SIGN;
        s->now.text = (struct peri_str){ s->at++, 1 };
        /* "==" must not look like the "=" of a field. */
        if (s->at < s->end && *s->at == '=' && memchr("=~<>", c, 4) != NULL) {
            s->at++;
            s->now.text.n = 2;
        }
    }
}

static bool is(const struct scan *s, const char *text) {
    return (s->now.kind == SIGN || s->now.kind == NAME) &&
           peri_str_eq(s->now.text, peri_str_of(text));
}

static bool is_field_end(const struct scan *s) {
    return s->now.kind == END || is(s, ",") || is(s, ";") || is(s, "}");
}

/* Up to what ends a field, over everything nested. */
static void skip_value(struct scan *s) {
    static const char *const opens[] = { "(", "[", "{", "function", "if", "do", "repeat" };
    static const char *const closes[] = { ")", "]", "}", "end", "until" };
    size_t depth = 0;
    while (s->now.kind != END && (depth > 0 || !is_field_end(s))) {
        for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++)
            if (is(s, opens[i])) depth++;
        for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++)
            if (is(s, closes[i]) && depth > 0) {
                depth--;
                break;
            }
        advance(s);
    }
}

static const struct peri_lua_places *find_named(const struct scan *s, struct peri_str name) {
    for (size_t i = s->named_count; i > 0; i--)
        if (peri_str_eq(s->named[i - 1].name, name)) return s->named[i - 1].places;
    return NULL;
}

static struct peri_lua_places *constructor(struct scan *s, int depth);

/* The value of a field: `inner` is set when it is nothing but a constructor or a name. */
static void value(struct scan *s, struct peri_lua_place *place, int depth) {
    const struct peri_lua_places *inner = NULL;
    if (is(s, "{") && depth < DEPTH_MAX) {
        inner = constructor(s, depth + 1);
    } else if (s->now.kind == NAME) {
        inner = find_named(s, s->now.text);
        advance(s);
    }
    if (is_field_end(s))
        place->inner = inner;
    else
        skip_value(s);
}

/* Names and simple strings in brackets; the token after it is current. A value that merely starts with a name
 * is put back by the caller. */
static bool key(struct scan *s, struct peri_str *out) {
    bool is_bracket = is(s, "[");
    if (is_bracket) advance(s);
    bool is_key =
        s->now.kind == NAME || (is_bracket && s->now.kind == STRING && !s->now.has_escapes);
    *out =
        is_key && !(is_bracket && s->now.kind == NAME) ? s->now.text : (struct peri_str){ "", 0 };
    if (is_bracket && !is_key)
        while (s->now.kind != END && !is(s, "]") && !is_field_end(s)) advance(s);
    else
        advance(s);
    if (is_bracket && !is(s, "]")) return false;
    if (is_bracket) advance(s);
    return is(s, "=");
}

/* Where a name is, or would be put. */
static struct peri_lua_place **find_slot(const struct peri_lua_places *in, struct peri_str name) {
    size_t mask = in->named_capacity - 1, i = peri_str_hash(name) & mask;
    while (in->named[i] != NULL && !peri_str_eq(in->named[i]->key, name)) i = (i + 1) & mask;
    return &in->named[i];
}

static bool grow_named(struct scan *s, struct peri_lua_places *places) {
    struct peri_lua_places bigger = { .named_capacity = places->named_capacity * 2 };
    if (bigger.named_capacity == 0) bigger.named_capacity = 16;
    bigger.named = peri_arena_zalloc(s->arena, bigger.named_capacity * sizeof *bigger.named);
    if (bigger.named == NULL) return false;
    for (size_t i = 0; i < places->named_capacity; i++)
        if (places->named[i] != NULL) *find_slot(&bigger, places->named[i]->key) = places->named[i];
    places->named = bigger.named;
    places->named_capacity = bigger.named_capacity;
    return true;
}

/* Out of memory, its line is not known. */
static void put_name(struct scan *s, struct peri_lua_places *places, struct peri_lua_place *place) {
    if (place->key.p == NULL || place->key.n == 0) return;
    if ((places->named_count + 1) * 2 > places->named_capacity && !grow_named(s, places)) return;
    struct peri_lua_place **slot = find_slot(places, place->key);
    if (*slot == NULL) places->named_count++;
    place->earlier = *slot;
    *slot = place;
}

static void field(struct scan *s, struct peri_lua_places *places, int depth) {
    struct peri_lua_place *place = peri_arena_zalloc(s->arena, sizeof *place);
    if (place == NULL) {
        skip_value(s);
        return;
    }
    place->line = s->now.line;
    if (s->now.kind == NAME || is(s, "[")) {
        const char *at = s->at;
        uint32_t line = s->line;
        struct token now = s->now;
        if (key(s, &place->key)) {
            advance(s);
        } else {
            place->key = (struct peri_str){ NULL, 0 };
            s->at = at, s->line = line, s->now = now;
        }
    }
    value(s, place, depth);
    if (places->last == NULL)
        places->first = place;
    else
        places->last->next = place;
    places->last = place;
    put_name(s, places, place);
}

/* The opening brace is current; afterwards what follows the closing one is. */
static struct peri_lua_places *constructor(struct scan *s, int depth) {
    struct peri_lua_places *places = peri_arena_zalloc(s->arena, sizeof *places);
    if (places == NULL) {
        s->at = s->end;
        advance(s);
        return NULL;
    }
    places->line = s->now.line;
    advance(s);
    while (s->now.kind != END && !is(s, "}")) {
        if (is(s, ",") || is(s, ";"))
            advance(s);
        else
            field(s, places, depth);
    }
    if (s->now.kind != END) advance(s);
    return places;
}

const struct peri_lua_places *peri_lua_places_read(struct peri_arena *a, struct peri_str source) {
    struct scan s = { .arena = a, .at = source.p, .end = source.p + source.n, .line = 1 };
    const struct peri_lua_places *returned = NULL;
    struct peri_str name = { NULL, 0 };
    /* A first line that starts with '#' is no Lua. */
    if (source.n > 0 && source.p[0] == '#')
        while (s.at < s.end && *s.at != '\n') s.at++;
    advance(&s);
    while (s.now.kind != END) {
        bool is_return = is(&s, "return");
        if (s.now.kind == NAME) name = s.now.text;
        advance(&s);
        if (is_return && s.now.kind == NAME)
            returned = find_named(&s, s.now.text);
        else if (is_return && is(&s, "{"))
            returned = constructor(&s, 0);
        else if (is(&s, "=") && name.p != NULL) {
            advance(&s);
            if (!is(&s, "{")) continue;
            const struct peri_lua_places *places = constructor(&s, 0);
            if (s.named_count < NAMED_MAX)
                s.named[s.named_count++] = (struct named){ name, places };
        }
    }
    return returned;
}

const struct peri_lua_place *peri_lua_places_find(const struct peri_lua_places *in,
                                                  struct peri_str k) {
    return in == NULL || in->named_capacity == 0 ? NULL : *find_slot(in, k);
}

const struct peri_lua_place *peri_lua_places_item(const struct peri_lua_places *in,
                                                  const struct peri_lua_place *item) {
    const struct peri_lua_place *p = item != NULL ? item->next : in == NULL ? NULL : in->first;
    while (p != NULL && p->key.p != NULL) p = p->next;
    return p;
}
