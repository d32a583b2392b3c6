/* What a policy reaches beside `req`: the providers there are, and the networks they come from. Only in a state that
 * belongs to a worker of a router; elsewhere these raise.
 */
#include "script/open.h"

#include "core/runtime.h"
#include "script/bind_provider.h"
#include "script/policy_lua.h"

static struct peri_worker *worker(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    struct peri_policy_lua *set = s->host;
    if (set == NULL || set->worker == NULL) luaL_error(L, "there is no router here");
    return set->worker;
}

static bool wants(lua_State *L, int filter, const char *name, bool *value) {
    bool is_given = lua_getfield(L, filter, name) != LUA_TNIL;
    *value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_given;
}

static struct peri_str wanted_str(lua_State *L, int filter, const char *name) {
    struct peri_str s = { NULL, 0 };
    if (lua_getfield(L, filter, name) == LUA_TSTRING) s.p = lua_tolstring(L, -1, &s.n);
    lua_pop(L, 1); /* the filter keeps it alive */
    return s;
}

/* peri.providers{ model =, healthy =, network =, tier = } */
static int providers(lua_State *L) {
    struct peri_worker *w = worker(L);
    struct peri_fleet *f = w->fleet;
    struct peri_str model = { NULL, 0 }, network = { NULL, 0 };
    bool healthy = false, asks_health = false;
    lua_Integer tier = 0;
    if (!lua_isnoneornil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        model = wanted_str(L, 1, "model");
        network = wanted_str(L, 1, "network");
        asks_health = wants(L, 1, "healthy", &healthy);
        lua_getfield(L, 1, "tier");
        tier = luaL_optinteger(L, -1, 0);
        lua_pop(L, 1);
    }
    lua_newtable(L);
    lua_Integer n = 0;
    uint64_t now = peri_loop_now_ms(w->loop);
    for (size_t i = 0; i < f->provider_count; i++) {
        const struct peri_provider *p = &f->providers[i];
        if (model.p != NULL && peri_fleet_candidate(f, p, model).provider == NULL) continue;
        if (network.p != NULL && !peri_str_eq(network, p->network)) continue;
        if (tier != 0 && p->tier != (uint32_t)tier) continue;
        if (asks_health && peri_provider_admits(p, now) != healthy) continue;
        peri_bind_provider_push(L, f, p);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int participants(lua_State *L) {
    struct peri_worker *w = worker(L);
    lua_newtable(L);
    lua_Integer n = 0;
    for (size_t i = 0; i < w->fleet->provider_count; i++) {
        const struct peri_provider *p = &w->fleet->providers[i];
        if (p->gonka == NULL) continue;
        peri_bind_provider_push(L, w->fleet, p);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int epoch(lua_State *L) {
    struct peri_worker *w = worker(L);
    if (w->fleet->epoch == 0) return 0;
    lua_pushinteger(L, (lua_Integer)w->fleet->epoch);
    lua_pushstring(L, w->fleet->phase);
    return 2;
}

static int refresh(lua_State *L) {
    enum peri_err err = peri_control_refresh(worker(L)->runtime->control);
    if (err != PERI_OK) return peri_push_failure(L, err);
    lua_pushboolean(L, true);
    return 1;
}

void peri_bind_policy_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "providers", providers }, { NULL, NULL } };
    static const luaL_Reg gonka[] = {
        { "participants", participants }, { "epoch", epoch }, { "refresh", refresh }, { NULL, NULL }
    };
    peri_state_set_functions(L, s, functions);
    lua_newtable(L);
    peri_state_set_functions(L, s, gonka);
    lua_setfield(L, -2, "gonka");
}
