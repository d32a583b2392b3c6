/* peri.shared: what all workers and all generations of policies remember together. */
#include "base/shared.h"

#include <math.h>

#include "base/err.h"
#include "script/open.h"
#include "script/state/lua_str.h"

static struct peri_shared *check_shared(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    if (s->shared == NULL) luaL_error(L, "there is no shared state here");
    return s->shared;
}

static unsigned share_of(lua_State *L) { return peri_state_of(L)->share; }

static struct peri_str check_key(lua_State *L, int i) {
    struct peri_str key = peri_check_str(L, i);
    luaL_argcheck(L, key.n > 0 && key.n <= PERI_SHARED_KEY_MAX, i, "1 to 256 bytes");
    return key;
}

/* A text stays Lua's: good while it is an argument. */
static struct peri_shared_value check_value(lua_State *L, int i) {
    struct peri_shared_value v = { .kind = PERI_SHARED_NONE };
    switch (lua_type(L, i)) {
    case LUA_TNONE:
    case LUA_TNIL: break;
    case LUA_TBOOLEAN:
        v.kind = PERI_SHARED_BOOL;
        v.boolean = lua_toboolean(L, i);
        break;
    case LUA_TNUMBER:
        v.kind = lua_isinteger(L, i) ? PERI_SHARED_INTEGER : PERI_SHARED_NUMBER;
        if (lua_isinteger(L, i))
            v.integer = lua_tointeger(L, i);
        else
            v.number = lua_tonumber(L, i);
        luaL_argcheck(L, v.kind == PERI_SHARED_INTEGER || !isnan(v.number), i, "not a number");
        break;
    case LUA_TSTRING:
        v.kind = PERI_SHARED_TEXT;
        v.text.p = lua_tolstring(L, i, &v.text.n);
        luaL_argcheck(L, v.text.n <= PERI_SHARED_TEXT_MAX, i, "a text of at most 4096 bytes");
        break;
    default: luaL_typeerror(L, i, "nil, boolean, number or string");
    }
    return v;
}

static uint64_t check_ttl(lua_State *L, int i) {
    lua_Number ms = luaL_optnumber(L, i, 0);
    luaL_argcheck(L, ms >= 0 && ms <= 1e15, i, "milliseconds, 0 for no end");
    return (uint64_t)ceil(ms);
}

static int push_value(lua_State *L, const struct peri_shared_value *v) {
    switch (v->kind) {
    case PERI_SHARED_NONE: lua_pushnil(L); break;
    case PERI_SHARED_BOOL: lua_pushboolean(L, v->boolean); break;
    case PERI_SHARED_INTEGER: lua_pushinteger(L, v->integer); break;
    case PERI_SHARED_NUMBER: lua_pushnumber(L, v->number); break;
    case PERI_SHARED_TEXT: lua_pushlstring(L, v->text.p, v->text.n); break;
    }
    return 1;
}

static int push_failed(lua_State *L, enum peri_err err) {
    if (err == PERI_EFULL)
        return peri_push_fault(L, err, "the policy's share of peri.shared is full");
    return peri_push_failure(L, err);
}

static int push_done(lua_State *L, enum peri_err err) {
    if (err != PERI_OK) return push_failed(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

static int shared_get(lua_State *L) {
    struct peri_shared *shared = check_shared(L);
    struct peri_str key = check_key(L, 1);
    struct peri_shared_value value;
    char room[PERI_SHARED_TEXT_MAX];
    peri_shared_get(shared, &value, room, key);
    return push_value(L, &value);
}

static int shared_set(lua_State *L) {
    struct peri_shared *shared = check_shared(L);
    struct peri_str key = check_key(L, 1);
    struct peri_shared_value value = check_value(L, 2);
    return push_done(L, peri_shared_set(shared, share_of(L), key, &value, check_ttl(L, 3)));
}

static int shared_delete(lua_State *L) {
    struct peri_shared *shared = check_shared(L);
    struct peri_str key = check_key(L, 1);
    struct peri_shared_value none = { .kind = PERI_SHARED_NONE };
    return push_done(L, peri_shared_set(shared, share_of(L), key, &none, 0));
}

static int shared_add(lua_State *L) {
    struct peri_shared *shared = check_shared(L);
    struct peri_str key = check_key(L, 1);
    luaL_checktype(L, 2, LUA_TNUMBER);
    struct peri_shared_value value = check_value(L, 2);
    enum peri_err err = peri_shared_add(shared, share_of(L), key, &value, check_ttl(L, 3));
    if (err == PERI_EINVAL) return peri_push_fault(L, err, "what is there is not a number");
    return err == PERI_OK ? push_value(L, &value) : push_failed(L, err);
}

static int shared_swap(lua_State *L) {
    struct peri_shared *shared = check_shared(L);
    struct peri_str key = check_key(L, 1);
    struct peri_shared_value expected = check_value(L, 2), value = check_value(L, 3);
    bool is_set;
    enum peri_err err =
        peri_shared_swap(shared, share_of(L), key, &expected, &value, check_ttl(L, 4), &is_set);
    if (err != PERI_OK) return push_failed(L, err);
    lua_pushboolean(L, is_set);
    return 1;
}

void peri_bind_shared_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "get", shared_get },       { "set", shared_set },
                                          { "delete", shared_delete }, { "add", shared_add },
                                          { "swap", shared_swap },     { NULL, NULL } };
    lua_newtable(L);
    peri_state_set_functions(L, s, functions);
}
