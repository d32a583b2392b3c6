/* string.find, match, gmatch, gsub, rep, lower, upper and reverse for the sandbox; format is in string_format.c. The
 * rest of the string library is Lua's own: what it does with a long text takes no longer than copying it. */
#include "script/state/strings.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "script/state/sandbox.h"
#include "script/state/lua_str.h"

#define PIECE          65536 /* bytes between two looks at the budget */
#define HEAD_MAX       4096  /* bytes of a plain pattern that are searched for */
#define BYTES_PER_STEP 64 /* what a plain copy or search does in the time of one Lua instruction */

static void charge(lua_State *L, size_t bytes) {
    peri_budget_charge(&peri_state_of(L)->budget, L, 1 + bytes / BYTES_PER_STEP);
}

/* From Lua's 1-based position, negative from the end, to an offset; may be one more than the text is long. */
static size_t offset_of(lua_Integer position, size_t n) {
    if (position > 0) return (size_t)position - 1;
    if (position == 0 || position < -(lua_Integer)n) return 0;
    return n + (size_t)position;
}

static struct peri_str check_pattern(lua_State *L) {
    struct peri_str pattern = peri_check_str(L, 2);
    luaL_argcheck(L, pattern.n <= PERI_PATTERN_MAX, 2, "a pattern of at most 65536 bytes");
    return pattern;
}

static bool is_plain(struct peri_str pattern) {
    for (size_t i = 0; i < pattern.n; i++)
        if (pattern.p[i] != '\0' && strchr("^$*+?.([%-", pattern.p[i]) != NULL) return false;
    return true;
}

/* memmem in pieces. Of a long pattern only the beginning is searched for, the rest compared where it stands. */
static const char *search(lua_State *L, struct peri_str text, struct peri_str pattern) {
    struct peri_str head = { pattern.p, pattern.n < HEAD_MAX ? pattern.n : HEAD_MAX };
    while (text.n >= pattern.n) {
        size_t n = text.n < PIECE ? text.n : PIECE;
        charge(L, n);
        const char *at = memmem(text.p, n, head.p, head.n);
        size_t skip = at != NULL ? (size_t)(at - text.p) : n - (n < text.n ? head.n - 1 : 0);
        text = peri_str_from(text, skip);
        if (at == NULL && n == skip) return NULL;
        if (at == NULL) continue;
        if (text.n < pattern.n) return NULL;
        charge(L, pattern.n);
        if (memcmp(at, pattern.p, pattern.n) == 0) return at;
        text = peri_str_from(text, 1);
    }
    return NULL;
}

static int find_plain(lua_State *L, struct peri_str text, struct peri_str pattern, size_t from) {
    const char *at = pattern.n == 0 ? text.p + from : search(L, peri_str_from(text, from), pattern);
    if (at == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - text.p + 1);
    lua_pushinteger(L, at - text.p + (lua_Integer)pattern.n);
    return 2;
}

static int find_or_match(lua_State *L, bool is_find) {
    struct peri_str text = peri_check_str(L, 1), pattern = peri_check_str(L, 2);
    size_t from = offset_of(luaL_optinteger(L, 3, 1), text.n);
    if (from > text.n) {
        lua_pushnil(L);
        return 1;
    }
    if (is_find && lua_toboolean(L, 4)) return find_plain(L, text, pattern, from);
    check_pattern(L);
    if (is_find && is_plain(pattern)) return find_plain(L, text, pattern, from);
    struct peri_match m;
    peri_match_init(&m, L, &peri_state_of(L)->budget, text, pattern);
    bool is_anchored = pattern.n > 0 && *pattern.p == '^';
    for (const char *at = text.p + from;; at++) {
        const char *end = peri_match_at(&m, at, pattern.p + is_anchored);
        if (end != NULL && is_find) {
            lua_pushinteger(L, at - text.p + 1);
            lua_pushinteger(L, end - text.p);
            return peri_match_push_all(&m, NULL, NULL) + 2;
        }
        if (end != NULL) return peri_match_push_all(&m, at, end);
        if (is_anchored || at == text.p + text.n) break;
    }
    lua_pushnil(L);
    return 1;
}

static int strings_find(lua_State *L) { return find_or_match(L, true); }
static int strings_match(lua_State *L) { return find_or_match(L, false); }

/* gmatch: upvalues are the state, the text, the pattern, the next offset, and where the last match ended (-1 at
 * first): an empty match right there is the same match again. */
enum { UP_TEXT = 2, UP_PATTERN, UP_NEXT, UP_LAST };

static void set_upvalue(lua_State *L, int i, ptrdiff_t value) {
    lua_pushinteger(L, value);
    lua_replace(L, lua_upvalueindex(i));
}

static int gmatch_next(lua_State *L) {
    struct peri_str text, pattern;
    text.p = lua_tolstring(L, lua_upvalueindex(UP_TEXT), &text.n);
    pattern.p = lua_tolstring(L, lua_upvalueindex(UP_PATTERN), &pattern.n);
    ptrdiff_t next = (ptrdiff_t)lua_tointeger(L, lua_upvalueindex(UP_NEXT));
    ptrdiff_t last = (ptrdiff_t)lua_tointeger(L, lua_upvalueindex(UP_LAST));
    struct peri_match m;
    peri_match_init(&m, L, &peri_state_of(L)->budget, text, pattern);
    for (; next <= (ptrdiff_t)text.n; next++) {
        const char *end = peri_match_at(&m, text.p + next, pattern.p);
        if (end == NULL || end - text.p == last) continue;
        set_upvalue(L, UP_NEXT, end - text.p);
        set_upvalue(L, UP_LAST, end - text.p);
        return peri_match_push_all(&m, text.p + next, end);
    }
    set_upvalue(L, UP_NEXT, (ptrdiff_t)text.n + 1);
    return 0;
}

static int strings_gmatch(lua_State *L) {
    struct peri_str text = peri_check_str(L, 1);
    check_pattern(L);
    size_t from = offset_of(luaL_optinteger(L, 3, 1), text.n);
    if (from > text.n) from = text.n + 1;
    lua_settop(L, 2);
    peri_state_push(L, peri_state_of(L));
    lua_insert(L, 1);
    lua_pushinteger(L, (lua_Integer)from);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 5);
    return 1;
}

/* gsub: arguments stay at 1 … 4 of the stack; the buffer stands above them. */

static void add_template(struct peri_match *m, luaL_Buffer *b, const char *at, const char *end) {
    lua_State *L = m->L;
    struct peri_str r;
    r.p = lua_tolstring(L, 3, &r.n);
    struct peri_str rest = r, part;
    while (peri_str_cut(&part, &rest, '%')) {
        luaL_addlstring(b, part.p, part.n);
        if (part.p + part.n == r.p + r.n) return; /* no '%' followed */
        char c = rest.n > 0 ? *rest.p : '\0';
        rest = peri_str_from(rest, 1);
        if (c == '%') {
            luaL_addchar(b, c);
        } else if (c == '0') {
            luaL_addlstring(b, at, (size_t)(end - at));
        } else if (c >= '1' && c <= '9') {
            peri_match_push(m, c - '1', at, end);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Add what replaces one match. gives false when the match stays as it is */
static bool add_replacement(struct peri_match *m, luaL_Buffer *b, const char *at, const char *end) {
    lua_State *L = m->L;
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_call(L, peri_match_push_all(m, at, end), 1);
        break;
    case LUA_TTABLE:
        peri_match_push(m, 0, at, end);
        lua_gettable(L, 3);
        break;
    default: add_template(m, b, at, end); return true;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, at, (size_t)(end - at));
        return false;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

static int strings_gsub(lua_State *L) {
    struct peri_str text = peri_check_str(L, 1), pattern = check_pattern(L);
    int type = lua_type(L, 3);
    luaL_argexpected(L,
                     type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                         type == LUA_TTABLE,
                     3, "string/function/table");
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)text.n + 1), count = 0;
    bool is_anchored = pattern.n > 0 && *pattern.p == '^', is_changed = false;
    const char *at = text.p, *last = NULL, *text_end = text.p + text.n;
    struct peri_match m;
    luaL_Buffer b;
    if (type == LUA_TNUMBER) lua_tolstring(L, 3, NULL); /* in place, before the buffer opens */
    peri_match_init(&m, L, &peri_state_of(L)->budget, text, pattern);
    luaL_buffinit(L, &b);
    while (count < most) {
        const char *end = peri_match_at(&m, at, pattern.p + is_anchored);
        if (end != NULL && end != last) {
            count++;
            is_changed |= add_replacement(&m, &b, at, end);
            at = last = end;
        } else if (at < text_end) {
            luaL_addchar(&b, *at++);
        } else {
            break;
        }
        if (is_anchored) break;
    }
    if (is_changed) {
        luaL_addlstring(&b, at, (size_t)(text_end - at));
        luaL_pushresult(&b);
    } else {
        lua_pushvalue(L, 1);
    }
    lua_pushinteger(L, count);
    return 2;
}

/* rep doubles what is there instead of copying piece by piece, and a piece of no bytes is not copied 2^60
 * times, which is what Lua's own does. */
static int strings_rep(lua_State *L) {
    struct peri_str s = peri_check_str(L, 1), separator = PERI_STR("");
    lua_Integer count = luaL_checkinteger(L, 2);
    if (!lua_isnoneornil(L, 3)) separator = peri_check_str(L, 3);
    size_t unit = s.n + separator.n;
    if (count <= 0 || unit == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (unit > PERI_STRING_MAX / (size_t)count) return luaL_error(L, "resulting string too large");
    size_t total = (size_t)count * s.n + (size_t)(count - 1) * separator.n;
    charge(L, total);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, total);
    size_t done = s.n;
    memcpy(out, s.p, s.n);
    if (count > 1) {
        memcpy(out + done, separator.p, separator.n);
        for (done = unit; done < total;) {
            size_t n = done < total - done ? done : total - done;
            memcpy(out + done, out, n);
            done += n;
        }
    }
    luaL_pushresultsize(&b, total);
    return 1;
}

/* Byte by byte, in pieces between which the budget is looked at. */

static int change_bytes(lua_State *L, int (*change)(int c), bool is_reversed) {
    struct peri_str s = peri_check_str(L, 1);
    struct peri_budget *budget = &peri_state_of(L)->budget;
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, s.n);
    for (size_t i = 0; i < s.n; i++) {
        if (i % PIECE == PIECE - 1) peri_budget_charge(budget, L, PIECE / 8);
        unsigned char c = (unsigned char)s.p[is_reversed ? s.n - 1 - i : i];
        out[i] = (char)(change == NULL ? c : change(c));
    }
    luaL_pushresultsize(&b, s.n);
    return 1;
}

static int strings_lower(lua_State *L) { return change_bytes(L, tolower, false); }
static int strings_upper(lua_State *L) { return change_bytes(L, toupper, false); }
static int strings_reverse(lua_State *L) { return change_bytes(L, NULL, true); }

void peri_strings_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = {
        { "find", strings_find },       { "match", strings_match }, { "gmatch", strings_gmatch },
        { "gsub", strings_gsub },       { "lower", strings_lower }, { "upper", strings_upper },
        { "reverse", strings_reverse }, { "rep", strings_rep },     { NULL, NULL }
    };
    peri_state_push(L, s);
    if (lua_getfield(L, -2, "format") == LUA_TFUNCTION) { /* Lua's own, put there by sandbox.c */
        lua_pushcclosure(L, peri_string_format, 2);
        lua_setfield(L, -2, "format");
    } else {
        lua_pop(L, 2);
    }
    peri_state_set_functions(L, s, functions);
}
