/* utf8.len and utf8.offset for the sandbox: as Lua's own, with the bytes counted. The rest of the library takes one
 * character or is bounded by the stack. */
#include <limits.h>

#include "script/state/sandbox.h"

#define PIECE          16384 /* bytes between two charges */
#define BYTES_PER_STEP 4

static void charge(lua_State *L) {
    peri_budget_charge(&peri_state_of(L)->budget, L, PIECE / BYTES_PER_STEP);
}

static bool is_inside(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

/* Bytes of the character at `p`, of up to six as Lua has them; 0: none. A Lua string ends in NUL, so the bytes that
 * follow may be read until one does not belong to it. */
static size_t character(const char *p, bool is_lax) {
    static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000 };
    uint32_t first = (unsigned char)*p, code = 0;
    size_t more = 0;
    if (first < 0x80) return 1;
    for (; (first & 0x40) != 0; first <<= 1) {
        if (!is_inside(p[++more])) return 0;
        code = code << 6 | ((unsigned char)p[more] & 0x3f);
    }
    if (more == 0 || more > 5) return 0;
    code |= (first & 0x7f) << (more * 5);
    if (code > 0x7fffffff || code < least[more]) return 0;
    if (!is_lax && (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))) return 0;
    return more + 1;
}

/* From a position that may count from the end to one from the start; 0 for one before it. */
static lua_Integer position(lua_Integer i, size_t n) {
    if (i >= 0) return i;
    return 0u - (size_t)i > n ? 0 : (lua_Integer)n + i + 1;
}

static int utf8s_len(lua_State *L) {
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    lua_Integer at = position(luaL_optinteger(L, 2, 1), n), count = 0;
    lua_Integer last = position(luaL_optinteger(L, 3, -1), n), seen = 0;
    bool is_lax = lua_toboolean(L, 4) != 0;
    luaL_argcheck(L, 1 <= at && at - 1 <= (lua_Integer)n, 2, "initial position out of bounds");
    luaL_argcheck(L, last - 1 < (lua_Integer)n, 3, "final position out of bounds");
    for (at--; at < last; count++) {
        size_t bytes = character(s + at, is_lax);
        if (bytes == 0) {
            lua_pushnil(L);
            lua_pushinteger(L, at + 1);
            return 2;
        }
        at += (lua_Integer)bytes;
        if (at - seen < PIECE) continue;
        seen = at;
        charge(L);
    }
    lua_pushinteger(L, count);
    return 1;
}

static int utf8s_offset(lua_State *L) {
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    lua_Integer count = luaL_checkinteger(L, 2), end = (lua_Integer)n;
    lua_Integer at = position(luaL_optinteger(L, 3, count >= 0 ? 1 : end + 1), n) - 1;
    luaL_argcheck(L, 0 <= at && at <= end, 3, "position out of bounds");
    lua_Integer seen = 0;
    if (count == 0) {
        for (; at > 0 && is_inside(s[at]); at--)
            if (++seen % PIECE == 0) charge(L);
        lua_pushinteger(L, at + 1);
        return 1;
    }
    if (is_inside(s[at])) return luaL_error(L, "initial position is a continuation byte");
    int step = count < 0 ? -1 : 1;
    if (count > 0) count--;
    while (count != 0 && (step < 0 ? at > 0 : at < end)) {
        do {
            at += step;
            if (++seen % PIECE == 0) charge(L);
        } while ((step > 0 || at > 0) && is_inside(s[at]));
        count -= step;
    }
    if (count != 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, at + 1);
    return 1;
}

void peri_utf8s_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "len", utf8s_len },
                                          { "offset", utf8s_offset },
                                          { NULL, NULL } };
    peri_state_set_functions(L, s, functions);
}
