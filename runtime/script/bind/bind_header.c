#include "script/bind/bind_header.h"

#include "net/header.h"
#include "net/server/http.h"

/* A name that is no token is not repeated: it may hold anything. */
void peri_refuse_header(lua_State *L, struct peri_str name, const char *fault) {
    if (fault == NULL) return;
    if (name.n > PERI_HEADER_NAME_MAX || !peri_http_is_token(name)) luaL_error(L, "%s", fault);
    lua_pushlstring(L, name.p, name.n);
    luaL_error(L, "header '%s': %s", lua_tostring(L, -1), fault);
}

struct peri_header peri_check_header(lua_State *L, int name, int value) {
    struct peri_header header;
    header.name.p = luaL_checklstring(L, name, &header.name.n);
    header.value.p = luaL_checklstring(L, value, &header.value.n);
    peri_refuse_header(L, header.name, peri_header_fault(header));
    return header;
}
