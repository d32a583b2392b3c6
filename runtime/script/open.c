#include "script/open.h"

#include "script/bind/bind_crypto.h"
#include "script/bind/bind_http.h"
#include "script/bind/bind_json.h"
#include "script/bind/bind_server.h"
#include "script/state/frozen.h"
#include "script/state/sandbox.h"
#include "script/state/task.h"

/* Every binding, in the order in which they are opened. */
static const struct peri_lib libs[] = {
    { NULL, peri_bind_base_open, PERI_LIB_BOTH }, /* sleep, rand, rand_below, clock */
    { "json", peri_bind_json_open, PERI_LIB_BOTH },
    { NULL, peri_bind_hash_open, PERI_LIB_BOTH }, /* hash, encode */
    { "log", peri_bind_log_open, PERI_LIB_BOTH },
    { "shared", peri_bind_shared_open, PERI_LIB_BOTH },
    { NULL, peri_bind_http_open, PERI_LIB_BOTH },     /* http.fetch */
    { NULL, peri_bind_policy_open, PERI_LIB_POLICY }, /* providers, gonka */
    { "sandbox", peri_bind_sandbox_open, PERI_LIB_TRUSTED },
    { NULL, peri_bind_run_open, PERI_LIB_TRUSTED },    /* run, spawn */
    { NULL, peri_bind_server_open, PERI_LIB_TRUSTED }, /* http.serve */
    { "testbed", peri_bind_testbed_open, PERI_LIB_TRUSTED },
    { "gonka", peri_bind_crypto_open, PERI_LIB_TRUSTED },
};

/* Every plain table in the module table on the top, and itself. */
static void freeze(lua_State *L) {
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) { /* stack: module name value */
        if (!lua_istable(L, -1) || lua_type(L, -2) != LUA_TSTRING) {
            lua_pop(L, 1);
            continue;
        }
        peri_frozen_shallow(L, lua_tostring(L, -2));
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_settable(L, -4); /* a member that is there may be set while walking */
    }
    peri_frozen_shallow(L, "perilune");
}

void peri_open_module(lua_State *L, struct peri_state *s, int where) {
    lua_newtable(L);
    for (size_t i = 0; i < sizeof libs / sizeof *libs; i++) {
        if ((libs[i].where & where) == 0) continue;
        int top = lua_gettop(L);
        libs[i].open(L, s);
        if (libs[i].name != NULL) lua_setfield(L, top, libs[i].name);
    }
    if (!s->options.is_trusted) freeze(L);
}

int luaopen_perilune(lua_State *L) {
    struct peri_state *s = peri_state_attach(L);
    peri_guard_open_trusted(L, s);
    peri_open_module(L, s, PERI_LIB_TRUSTED);
    return 1;
}

void peri_open_detach(struct peri_state *s) { peri_state_cancel_all(s); }
