#include "script/bind/bind_header.h"

#include "net/header.h"
#include "net/server/http.h"
#include "script/state/lua_str.h"

/* A name that is no token is not repeated: it may hold anything. */
void peri_refuse_header(lua_State *L, struct peri_str name, const char *fault) {
    if (fault == NULL) return;
    if (name.n > PERI_HEADER_NAME_MAX || !peri_http_is_token(name)) luaL_error(L, "%s", fault);
    lua_pushlstring(L, name.p, name.n);
    luaL_error(L, "header '%s': %s", lua_tostring(L, -1), fault);
}

struct peri_header peri_check_header(lua_State *L, int name, int value) {
    struct peri_header header = { .name = peri_check_str(L, name) };
    header.value = peri_check_str(L, value);
    peri_refuse_header(L, header.name, peri_header_fault(header));
    return header;
}

void peri_push_lower(lua_State *L, struct peri_str s) {
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, s.n);
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 32) : s.p[i];
    luaL_pushresultsize(&b, s.n);
}

void peri_add_header(lua_State *L, struct peri_header header) {
    peri_push_lower(L, header.name); /* stack: … headers name */
    lua_pushvalue(L, -1);
    bool is_again = lua_rawget(L, -3) == LUA_TSTRING;
    if (is_again)
        lua_pushstring(L, ", ");
    else
        lua_pop(L, 1);
    lua_pushlstring(L, header.value.p, header.value.n);
    if (is_again) lua_concat(L, 3);
    lua_rawset(L, -3);
}
