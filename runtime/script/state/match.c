/* The matcher. Every item tried is a step; steps are charged in lots, as looking at the budget costs more than
 * comparing a character. */
#include "script/state/strings.h"

#include <ctype.h>
#include <string.h>

#define LOT 256 /* steps between two charges */

enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

void peri_match_init(struct peri_match *m, lua_State *L, struct peri_budget *budget,
                     struct peri_str text, struct peri_str pattern) {
    m->L = L;
    m->budget = budget;
    m->text = text.p;
    m->text_end = text.p + text.n;
    m->pattern_end = pattern.p + pattern.n;
    m->steps = 0;
    m->depth = PERI_MATCH_DEPTH;
    m->count = 0;
}

static void step(struct peri_match *m, size_t n) {
    m->steps += (unsigned)n;
    if (m->steps < LOT) return;
    unsigned steps = m->steps;
    m->steps = 0;
    peri_budget_charge(m->budget, m->L, steps);
}

/* Items of a pattern. */

static const char *item_end(struct peri_match *m, const char *p) {
    char first = *p++;
    if (first == '%') {
        if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (first != '[') return p;
    if (*p == '^') p++;
    do { /* a ']' right at the start is a character */
        if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == '%' && p < m->pattern_end) p++;
    } while (*p != ']'); /* a Lua string ends in NUL, so this byte may be read */
    return p + 1;
}

static bool is_in_class(int c, int class) {
    bool is_in;
    switch (tolower(class)) {
    case 'a': is_in = isalpha(c) != 0; break;
    case 'c': is_in = iscntrl(c) != 0; break;
    case 'd': is_in = isdigit(c) != 0; break;
    case 'g': is_in = isgraph(c) != 0; break;
    case 'l': is_in = islower(c) != 0; break;
    case 'p': is_in = ispunct(c) != 0; break;
    case 's': is_in = isspace(c) != 0; break;
    case 'u': is_in = isupper(c) != 0; break;
    case 'w': is_in = isalnum(c) != 0; break;
    case 'x': is_in = isxdigit(c) != 0; break;
    case 'z': is_in = c == 0; break; /* old, but Lua 5.4 has it */
    default: return class == c;
    }
    return isupper(class) ? !is_in : is_in;
}

/* `p` at '[', `last` at the closing ']'. */
static bool is_in_set(int c, const char *p, const char *last) {
    bool is_positive = p[1] != '^';
    if (!is_positive) p++;
    while (++p < last) {
        if (*p == '%') {
            p++;
            if (is_in_class(c, (unsigned char)*p)) return is_positive;
        } else if (p[1] == '-' && p + 2 < last) {
            p += 2;
            if ((unsigned char)p[-2] <= c && c <= (unsigned char)*p) return is_positive;
        } else if ((unsigned char)*p == c) {
            return is_positive;
        }
    }
    return !is_positive;
}

/* Does the item at p, which ends at `end`, take the character at `at`? */
static bool takes(struct peri_match *m, const char *at, const char *p, const char *end) {
    step(m, *p == '[' ? (size_t)(end - p) : 1);
    if (at >= m->text_end) return false;
    int c = (unsigned char)*at;
    switch (*p) {
    case '.': return true;
    case '%': return is_in_class(c, (unsigned char)p[1]);
    case '[': return is_in_set(c, p, end - 1);
    default: return (unsigned char)*p == c;
    }
}

static const char *match(struct peri_match *m, const char *at, const char *p);

static const char *match_balanced(struct peri_match *m, const char *at, const char *p) {
    if (p >= m->pattern_end - 1) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (at >= m->text_end || *at != *p) return NULL;
    char open = p[0], close = p[1];
    for (int level = 1; ++at < m->text_end;) {
        step(m, 1);
        if (*at == close) {
            if (--level == 0) return at + 1;
        } else if (*at == open) {
            level++;
        }
    }
    return NULL;
}

static const char *match_most(struct peri_match *m, const char *at, const char *p,
                              const char *end) {
    ptrdiff_t n = 0;
    while (takes(m, at + n, p, end)) n++;
    for (; n >= 0; n--) {
        const char *got = match(m, at + n, end + 1);
        if (got != NULL) return got;
    }
    return NULL;
}

static const char *match_least(struct peri_match *m, const char *at, const char *p,
                               const char *end) {
    for (;; at++) {
        const char *got = match(m, at, end + 1);
        if (got != NULL) return got;
        if (!takes(m, at, p, end)) return NULL;
    }
}

static const char *match_open(struct peri_match *m, const char *at, const char *p, ptrdiff_t kind) {
    if (m->count >= PERI_CAPTURES_MAX) luaL_error(m->L, "too many captures");
    m->captures[m->count].at = at;
    m->captures[m->count].n = kind;
    m->count++;
    const char *got = match(m, at, p);
    if (got == NULL) m->count--;
    return got;
}

static const char *match_close(struct peri_match *m, const char *at, const char *p) {
    int i = m->count - 1;
    while (i >= 0 && m->captures[i].n != CAPTURE_OPEN) i--;
    if (i < 0) luaL_error(m->L, "invalid pattern capture");
    m->captures[i].n = at - m->captures[i].at;
    const char *got = match(m, at, p);
    if (got == NULL) m->captures[i].n = CAPTURE_OPEN;
    return got;
}

static const char *match_again(struct peri_match *m, const char *at, int digit) {
    int i = digit - '1';
    if (i < 0 || i >= m->count || m->captures[i].n == CAPTURE_OPEN)
        luaL_error(m->L, "invalid capture index %%%d", i + 1);
    size_t n = (size_t)m->captures[i].n; /* a position capture is longer than any text */
    if ((size_t)(m->text_end - at) < n) return NULL;
    step(m, 1 + n / 16);
    return memcmp(m->captures[i].at, at, n) == 0 ? at + n : NULL;
}

/* '%f': a border between what is outside the set and what is in it; beyond the text stands NUL. */
static bool is_frontier(struct peri_match *m, const char *at, const char *p, const char *end) {
    int before = at == m->text ? '\0' : (unsigned char)at[-1];
    int here = at == m->text_end ? '\0' : (unsigned char)*at;
    step(m, (size_t)(end - p));
    return !is_in_set(before, p, end - 1) && is_in_set(here, p, end - 1);
}

/* One item and its suffix. gives true when the match goes on at *at, *p; false when *at is the answer.
 * An item that takes nothing goes on without nesting: depth is only for what can still backtrack. */
static bool match_item(struct peri_match *m, const char **at, const char **p) {
    const char *end = item_end(m, *p), *got;
    char suffix = *end;
    if (!takes(m, *at, *p, end)) {
        if (suffix == '*' || suffix == '?' || suffix == '-') {
            *p = end + 1;
            return true;
        }
        *at = NULL;
        return false;
    }
    switch (suffix) {
    case '?':
        got = match(m, *at + 1, end + 1);
        if (got == NULL) {
            *p = end + 1;
            return true;
        }
        *at = got;
        return false;
    case '+': *at = match_most(m, *at + 1, *p, end); return false;
    case '*': *at = match_most(m, *at, *p, end); return false;
    case '-': *at = match_least(m, *at, *p, end); return false;
    default: break;
    }
    ++*at;
    *p = end;
    return true;
}

/* '%b', '%f' and '%1' … '%9'; everything else that starts with '%' is an ordinary item. */
static bool match_escape(struct peri_match *m, const char **at, const char **p) {
    char kind = *p + 1 < m->pattern_end ? (*p)[1] : '\0';
    if (kind == 'b') {
        *at = match_balanced(m, *at, *p + 2);
        *p += 4;
        return *at != NULL;
    }
    if (kind == 'f') {
        *p += 2;
        if (*p >= m->pattern_end || **p != '[')
            luaL_error(m->L, "missing '[' after '%%f' in pattern");
        const char *end = item_end(m, *p);
        if (!is_frontier(m, *at, *p, end)) *at = NULL;
        *p = end;
        return *at != NULL;
    }
    if (kind >= '0' && kind <= '9') {
        *at = match_again(m, *at, kind);
        *p += 2;
        return *at != NULL;
    }
    return match_item(m, at, p);
}

static const char *match(struct peri_match *m, const char *at, const char *p) {
    if (m->depth-- == 0) luaL_error(m->L, "pattern too complex");
    step(m, 1);
    bool goes_on = true;
    while (goes_on && p != m->pattern_end) {
        switch (*p) {
        case '(':
            at = p + 1 < m->pattern_end && p[1] == ')' ? match_open(m, at, p + 2, CAPTURE_POSITION)
                                                       : match_open(m, at, p + 1, CAPTURE_OPEN);
            goes_on = false;
            break;
        case ')':
            at = match_close(m, at, p + 1);
            goes_on = false;
            break;
        case '$':
            if (p + 1 == m->pattern_end) {
                if (at != m->text_end) at = NULL;
                goes_on = false;
            } else {
                goes_on = match_item(m, &at, &p);
            }
            break;
        case '%': goes_on = match_escape(m, &at, &p); break;
        default: goes_on = match_item(m, &at, &p); break;
        }
    }
    m->depth++;
    return at;
}

const char *peri_match_at(struct peri_match *m, const char *at, const char *pattern) {
    m->count = 0;
    m->depth = PERI_MATCH_DEPTH;
    return match(m, at, pattern);
}

void peri_match_push(struct peri_match *m, int i, const char *at, const char *end) {
    if (i >= m->count) {
        if (i != 0) luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, at, (size_t)(end - at));
        return;
    }
    ptrdiff_t n = m->captures[i].n;
    if (n == CAPTURE_OPEN) luaL_error(m->L, "unfinished capture");
    if (n == CAPTURE_POSITION)
        lua_pushinteger(m->L, m->captures[i].at - m->text + 1);
    else
        lua_pushlstring(m->L, m->captures[i].at, (size_t)n);
}

int peri_match_push_all(struct peri_match *m, const char *at, const char *end) {
    int count = m->count == 0 && at != NULL ? 1 : m->count;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++) peri_match_push(m, i, at, end);
    return count;
}
