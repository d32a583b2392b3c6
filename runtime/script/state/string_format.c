/* string.format for the sandbox: Lua's own, which is called for one conversion at a time when there is much to do, so
 * that the budget is looked at between two. A short format with short arguments goes to it whole. */
#include <ctype.h>
#include <string.h>

#include "script/state/lua_str.h"
#include "script/state/strings.h"

#define WHOLE_MAX        256   /* bytes of a format that is handed on whole */
#define ARGUMENT_MAX     65536 /* bytes of an argument for it; also of one piece of '%q' */
#define SPEC_MAX         32    /* bytes of one conversion: Lua's own takes no more */
#define CONVERSION_STEPS 64    /* '%.99f' of a large number takes 2 µs and more */
#define BYTES_PER_STEP   64

static void charge(lua_State *L, size_t steps) {
    peri_budget_charge(&peri_state_of(L)->budget, L, steps);
}

/* Errors of Lua's own know neither its name nor its caller, as it is called from C. */
static int raise_for_caller(lua_State *L) {
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (strncmp(text, "bad argument", 12) != 0 && strncmp(text, "invalid", 7) != 0)
        return lua_error(L);
    luaL_where(L, 1);
    luaL_gsub(L, luaL_gsub(L, text, "to '?'", "to 'format'"), "to 'string.format'", "to 'format'");
    lua_remove(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
}

/* Lua's own with `count` arguments from the top, its result in their place. It stands below them. */
static void call_own(lua_State *L, int count) {
    int status = lua_pcall(L, count, 1, 0);
    peri_budget_check(&peri_state_of(L)->budget, L, status);
    if (status != LUA_OK) raise_for_caller(L);
}

static bool is_short(lua_State *L, size_t format_n, int top) {
    if (format_n > WHOLE_MAX) return false;
    for (int i = 2; i <= top; i++)
        if (lua_type(L, i) == LUA_TSTRING && lua_rawlen(L, i) > ARGUMENT_MAX) return false;
    return true;
}

static void add_plain(lua_State *L, luaL_Buffer *b, struct peri_str text) {
    while (text.n > 0) {
        size_t n = text.n < ARGUMENT_MAX ? text.n : ARGUMENT_MAX;
        charge(L, 1 + n / BYTES_PER_STEP);
        luaL_addlstring(b, text.p, n);
        text = peri_str_from(text, n);
    }
}

/* '%q' of a long text: piece by piece, without the quotes of each. How a control character is written depends on
 * whether a digit follows, so the two stay in one piece. */
static void add_quoted(lua_State *L, luaL_Buffer *b, struct peri_str text) {
    luaL_addchar(b, '"');
    while (text.n > 0) {
        size_t n = text.n < ARGUMENT_MAX ? text.n : ARGUMENT_MAX;
        if (n < text.n && iscntrl((unsigned char)text.p[n - 1]) &&
            isdigit((unsigned char)text.p[n]))
            n--;
        charge(L, 1 + n / 4);
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_pushliteral(L, "%q");
        lua_pushlstring(L, text.p, n);
        call_own(L, 2);
        struct peri_str quoted;
        quoted.p = lua_tolstring(L, -1, &quoted.n);
        lua_pushlstring(L, quoted.p + 1, quoted.n - 2);
        lua_remove(L, -2);
        luaL_addvalue(b);
        text = peri_str_from(text, n);
    }
    luaL_addchar(b, '"');
}

/* One conversion, from its '%' on, of argument `i`. gives the bytes of the format it took */
static size_t add_conversion(lua_State *L, luaL_Buffer *b, struct peri_str format, int i, int top) {
    size_t n = 1;
    while (n < format.n && n < SPEC_MAX && strchr("-+ #0123456789.", format.p[n]) != NULL &&
           format.p[n] != '\0')
        n++;
    if (n < format.n) n++;
    charge(L, CONVERSION_STEPS);
    if (n == 2 && format.p[1] == 'q' && i <= top && lua_type(L, i) == LUA_TSTRING) {
        struct peri_str text;
        text.p = lua_tolstring(L, i, &text.n);
        add_quoted(L, b, text);
        return n;
    }
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushlstring(L, format.p, n);
    if (i <= top) lua_pushvalue(L, i);
    call_own(L, i <= top ? 2 : 1);
    luaL_addvalue(b);
    return n;
}

int peri_string_format(lua_State *L) {
    struct peri_str format = peri_check_str(L, 1);
    int top = lua_gettop(L), i = 1;
    if (is_short(L, format.n, top)) {
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_insert(L, 1);
        call_own(L, top);
        return 1;
    }
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    while (format.n > 0) {
        const char *percent = memchr(format.p, '%', format.n);
        size_t n = percent == NULL ? format.n : (size_t)(percent - format.p);
        add_plain(L, &b, (struct peri_str){ format.p, n });
        format = peri_str_from(format, n);
        if (format.n > 1 && format.p[1] == '%') {
            luaL_addchar(&b, '%');
            format = peri_str_from(format, 2);
        } else if (format.n > 0) {
            format = peri_str_from(format, add_conversion(L, &b, format, ++i, top));
        }
    }
    luaL_pushresult(&b);
    return 1;
}
