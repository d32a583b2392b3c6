#include "script/bind/bind_provider.h"

#include "fleet/circuit.h"
#include "fleet/fit.h"
#include "fleet/slots.h"
#include "request/request.h"
#include "script/state/lua_str.h"
#include "script/state/self.h"

#define TYPE "perilune.provider"

/* The fleet is referenced, so the provider outlives whatever the policy does with its object. */
struct box {
    struct peri_fleet *fleet;
    const struct peri_provider *provider;
};

static const struct peri_provider *check(lua_State *L) {
    return ((struct box *)peri_check_self(L, TYPE, "provider"))->provider;
}

static uint64_t now_ms(lua_State *L) {
    return peri_loop_now_ms(peri_state_loop(L, peri_state_of(L)));
}

static int push_count(lua_State *L, uint64_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
}

static int push_ms(lua_State *L, uint64_t us) {
    if (us == 0)
        lua_pushnil(L); /* never measured */
    else
        lua_pushnumber(L, (double)us / 1000);
    return 1;
}

#define FIELD(name) static int get_##name(lua_State *L, const struct peri_provider *p)

FIELD(id) { return peri_push_str(L, p->id); }
FIELD(url) { return peri_push_str(L, p->url); }
FIELD(network) { return peri_push_str(L, p->network); }
FIELD(address) { return peri_push_str(L, p->address); }
FIELD(tags) { return peri_push_str(L, p->tags); }
FIELD(tier) { return push_count(L, p->tier); }
FIELD(weight) { return push_count(L, p->weight); }
FIELD(max_concurrent) { return push_count(L, p->max_concurrent); }
FIELD(concurrency_limit) { return push_count(L, peri_slots_limit(p)); }
FIELD(in_flight) { return push_count(L, atomic_load(&p->vitals->in_flight)); }
FIELD(success) { return push_count(L, atomic_load(&p->vitals->success)); }
FIELD(failed) { return push_count(L, atomic_load(&p->vitals->failed)); }
FIELD(rate_limited) { return push_count(L, atomic_load(&p->vitals->rate_limited)); }
FIELD(failures) { return push_count(L, atomic_load(&p->vitals->breaker.streak)); }
FIELD(first_token_ms) { return push_ms(L, atomic_load(&p->vitals->first_token_us)); }
FIELD(latency_ms) { return push_ms(L, atomic_load(&p->vitals->total_us)); }

FIELD(healthy) {
    lua_pushboolean(L, peri_circuit_rest_ms(p, now_ms(L)) == 0);
    return 1;
}

FIELD(reduced) {
    lua_pushboolean(L, p->is_reduced);
    return 1;
}

FIELD(admissible) {
    lua_pushboolean(L, peri_provider_admits(p, now_ms(L)));
    return 1;
}

FIELD(cooling_ms) { return push_count(L, peri_circuit_rest_ms(p, now_ms(L))); }

FIELD(models) {
    lua_createtable(L, (int)p->model_count, 0);
    for (size_t i = 0; i < p->model_count; i++) {
        peri_push_str(L, p->models[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t n) {
    if (n == 0) return; /* not known */
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

static void push_lacks(lua_State *L, unsigned lacks) {
    const char *word;
    unsigned ability;
    lua_newtable(L);
    for (size_t i = 0; (word = peri_ability_word(i, &ability)) != NULL; i++) {
        if (!(lacks & ability)) continue;
        lua_pushboolean(L, true);
        lua_setfield(L, -2, word);
    }
}

/* provider:model(name) */
static int provider_model(lua_State *L) {
    const struct peri_provider *p = check(L);
    const struct peri_fleet *f = ((struct box *)lua_touserdata(L, 1))->fleet;
    struct peri_str name = peri_check_str(L, 2);
    struct peri_candidate c = peri_fleet_candidate(f, p, name);
    if (c.provider == NULL) {
        lua_pushnil(L);
        return 1;
    }
    static const struct peri_config_model unknown = { .lacks = 0 };
    const struct peri_config_model *m = c.model != NULL ? c.model : &unknown;
    lua_createtable(L, 0, 6);
    peri_push_str(L, peri_candidate_upstream(&c, name));
    lua_setfield(L, -2, "upstream");
    set_count(L, "context_tokens", m->context_tokens);
    set_count(L, "max_output_tokens", m->max_output_tokens);
    push_lacks(L, m->lacks);
    lua_setfield(L, -2, "lacks");
    lua_createtable(L, (int)m->capability_count, 0);
    for (size_t i = 0; i < m->capability_count; i++) {
        peri_push_str(L, m->capabilities[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "capabilities");
    return 1;
}

FIELD(model) {
    (void)p;
    lua_pushcfunction(L, provider_model);
    return 1;
}

static const struct {
    const char *name;
    int (*get)(lua_State *L, const struct peri_provider *p);
} fields[] = {
    { "id", get_id },
    { "url", get_url },
    { "tier", get_tier },
    { "weight", get_weight },
    { "max_concurrent", get_max_concurrent },
    { "concurrency_limit", get_concurrency_limit },
    { "in_flight", get_in_flight },
    { "healthy", get_healthy },
    { "admissible", get_admissible },
    { "reduced", get_reduced },
    { "cooling_ms", get_cooling_ms },
    { "first_token_ms", get_first_token_ms },
    { "latency_ms", get_latency_ms },
    { "success", get_success },
    { "failed", get_failed },
    { "rate_limited", get_rate_limited },
    { "failures", get_failures },
    { "models", get_models },
    { "model", get_model },
    { "network", get_network },
    { "address", get_address },
    { "tags", get_tags },
};

static int provider_index(lua_State *L) {
    const struct peri_provider *p = check(L);
    const char *key = luaL_checkstring(L, 2);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(key, fields[i].name) == 0) return fields[i].get(L, p);
    return luaL_error(L, "a provider has no '%s'", key);
}

static int provider_newindex(lua_State *L) {
    return luaL_error(L, "'%s' of a provider can not be set by a policy",
                      luaL_tolstring(L, 2, NULL));
}

static int provider_tostring(lua_State *L) {
    lua_pushfstring(L, "provider %s", check(L)->id.p);
    return 1;
}

static int provider_eq(lua_State *L) {
    const struct box *a = luaL_testudata(L, 1, TYPE), *b = luaL_testudata(L, 2, TYPE);
    lua_pushboolean(L, a != NULL && b != NULL && peri_str_eq(a->provider->id, b->provider->id));
    return 1;
}

static int provider_gc(lua_State *L) {
    struct box *b = luaL_checkudata(L, 1, TYPE);
    peri_fleet_unref(b->fleet);
    b->fleet = NULL;
    return 0;
}

void peri_bind_provider_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg meta[] = {
        { "__index", provider_index },
        { "__newindex", provider_newindex },
        { "__tostring", provider_tostring },
        { "__eq", provider_eq },
        { "__gc", provider_gc },
        { NULL, NULL },
    };
    luaL_newmetatable(L, TYPE);
    peri_state_set_functions(L, s, meta);
    lua_pushliteral(L, "provider");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    /* Objects made so far, by provider; weak, so that a fleet that is gone is not kept. */
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, fields);
}

void peri_bind_provider_push(lua_State *L, struct peri_fleet *f, const struct peri_provider *p) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, fields);
    if (lua_rawgetp(L, -1, p) == LUA_TUSERDATA &&
        ((struct box *)lua_touserdata(L, -1))->fleet == f) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (struct box){ NULL, p };
    luaL_setmetatable(L, TYPE);
    b->fleet = peri_fleet_ref(f);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, p);
    lua_remove(L, -2);
}

const struct peri_provider *peri_bind_provider_check(lua_State *L, int arg, struct peri_fleet *f) {
    if (lua_type(L, arg) == LUA_TSTRING) {
        size_t n;
        const char *id = lua_tolstring(L, arg, &n);
        return peri_fleet_provider(f, (struct peri_str){ id, n });
    }
    const struct box *b = luaL_testudata(L, arg, TYPE);
    if (b == NULL) luaL_typeerror(L, arg, "provider or provider id");
    return b->fleet == f ? b->provider : peri_fleet_provider(f, b->provider->id);
}
