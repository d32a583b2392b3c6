/* What a policy reaches beside `req`: the providers there are, and the networks they come from. Only in a state that
 * belongs to a worker of a router; elsewhere these raise.
 */
#include "script/open.h"

#include "fleet/fit.h"
#include "router/runtime.h"
#include "script/bind/bind_provider.h"
#include "script/policy/policy_lua.h"
#include "script/state/frozen.h"
#include "script/state/options.h"
#include "script/state/lua_str.h"

#define SIGN_STEPS     1000 /* 21 µs, about what so many Lua instructions take */
#define BYTES_PER_STEP 16   /* of the body, for its hash */

static struct peri_worker *worker(lua_State *L) {
    struct peri_state *s = peri_state_of(L);
    struct peri_policy_lua *set = s->host;
    if (set == NULL || set->worker == NULL) luaL_error(L, "there is no router here");
    return set->worker;
}

/* The word on the stack's top, which goes. */
static unsigned take_ability(lua_State *L) {
    struct peri_str word = { NULL, 0 };
    if (lua_type(L, -1) == LUA_TSTRING) word.p = lua_tolstring(L, -1, &word.n);
    unsigned ability = peri_ability_of(word);
    if (ability == 0)
        luaL_error(
            L, "'takes' must be of \"tools\", \"vision\", \"audio\", \"video\", \"files\", got %s",
            word.p != NULL ? word.p : luaL_typename(L, -1));
    lua_pop(L, 1);
    return ability;
}

/* What somebody must be able to take: { takes = word or list of words, context_tokens = } */
static struct peri_need wanted_need(lua_State *L, int filter) {
    struct peri_need need = { 0 };
    need.tokens = (uint64_t)peri_options_integer(L, filter, "context_tokens", 0);
    if (lua_getfield(L, filter, "takes") == LUA_TTABLE) {
        peri_frozen_open(L, -1);
        lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
        for (lua_Integer i = 1; i <= count; i++) {
            lua_rawgeti(L, -1, i);
            need.abilities |= take_ability(L);
        }
    } else if (!lua_isnil(L, -1)) {
        lua_pushvalue(L, -1);
        need.abilities = take_ability(L);
    }
    lua_pop(L, 1);
    return need;
}

/* peri.providers{ model =, takes =, context_tokens =, healthy =, network =, tier = } */
static int providers(lua_State *L) {
    struct peri_worker *w = worker(L);
    struct peri_fleet *f = w->env.fleet;
    static const struct peri_option options[] = {
        { "model", PERI_OPTION_TEXT, 0, 0 },
        { "takes", PERI_OPTION_ANY, 0, 0 },
        { "context_tokens", PERI_OPTION_INTEGER, 0, LUA_MAXINTEGER },
        { "healthy", PERI_OPTION_FLAG, 0, 0 },
        { "network", PERI_OPTION_TEXT, 0, 0 },
        { "tier", PERI_OPTION_INTEGER, 1, UINT32_MAX },
    };
    lua_settop(L, 1);
    peri_options_take(L, 1, "peri.providers", options, sizeof options / sizeof *options);
    struct peri_str model = peri_options_text(L, 1, "model"),
                    network = peri_options_text(L, 1, "network");
    bool asks_health = peri_options_has(L, 1, "healthy"),
         healthy = peri_options_flag(L, 1, "healthy", false);
    lua_Integer tier = peri_options_integer(L, 1, "tier", 0);
    struct peri_need need = wanted_need(L, 1);
    if ((need.abilities != 0 || need.tokens != 0) && model.p == NULL)
        return luaL_error(L,
                          "'takes' and 'context_tokens' are limits of a model: give 'model', too");
    lua_newtable(L);
    lua_Integer n = 0;
    uint64_t now = peri_loop_now_ms(w->env.loop);
    for (size_t i = 0; i < f->provider_count; i++) {
        const struct peri_provider *p = &f->providers[i];
        if (model.p != NULL) {
            struct peri_candidate c = peri_fleet_candidate(f, p, model);
            if (c.provider == NULL || !peri_fit(c.model, &need)) continue;
        }
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
    for (size_t i = 0; i < w->env.fleet->provider_count; i++) {
        const struct peri_provider *p = &w->env.fleet->providers[i];
        if (p->found_by == NULL) continue;
        peri_bind_provider_push(L, w->env.fleet, p);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int epoch(lua_State *L) {
    struct peri_worker *w = worker(L);
    if (w->env.fleet->epoch == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, (lua_Integer)w->env.fleet->epoch);
    lua_pushstring(L, w->env.fleet->phase);
    return 2;
}

static void set_int(lua_State *L, const char *name, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *text) {
    if (text[0] == '\0') return; /* not known, or none */
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* peri.gonka.status([id]) */
static int status(lua_State *L) {
    struct peri_worker *w = worker(L);
    const char *id = luaL_optstring(L, 1, NULL);
    const struct peri_network_reports *reports = peri_network_inbox_read(&w->reports);
    const struct peri_network_status *s = NULL;
    for (size_t i = 0; reports != NULL && i < reports->count && s == NULL; i++)
        if (id == NULL || strcmp(reports->networks[i].id, id) == 0) s = &reports->networks[i];
    if (s == NULL)
        return peri_push_fault(L, PERI_ENOTFOUND,
                               id == NULL ? "no network is configured" : "no network has that id");
    uint64_t now_ms = peri_loop_now_ms(w->env.loop);
    lua_createtable(L, 0, 13);
    set_text(L, "id", s->id);
    set_int(L, "epoch", (lua_Integer)s->epoch);
    set_text(L, "phase", s->phase);
    set_int(L, "height", s->height);
    set_int(L, "usable", (lua_Integer)s->usable);
    set_int(L, "listed", (lua_Integer)s->listed);
    lua_pushboolean(L, s->is_proven);
    lua_setfield(L, -2, "proven");
    /* The two threads read the same clock, each at its own time. */
    if (s->last_ok_ms > 0)
        set_int(L, "age_ms", now_ms > s->last_ok_ms ? (lua_Integer)(now_ms - s->last_ok_ms) : 0);
    if (s->next_ms > now_ms) set_int(L, "next_ms", (lua_Integer)(s->next_ms - now_ms));
    set_int(L, "refreshes", (lua_Integer)s->refreshes);
    set_int(L, "failures", (lua_Integer)s->failures);
    set_int(L, "clock_offset_ms", s->clock_offset_ms);
    set_text(L, "last_error", s->last_error);
    return 1;
}

static int refresh(lua_State *L) {
    enum peri_err err = peri_runtime_refresh_networks(worker(L)->runtime);
    if (err != PERI_OK) return peri_push_failure(L, err);
    lua_pushboolean(L, true);
    return 1;
}

/* The network that a configured provider is: keys go by its id. NULL when none of its hosts is known. */
static struct peri_network *network_named(struct peri_worker *w, struct peri_str id) {
    for (size_t i = 0; i < w->env.fleet->provider_count; i++) {
        struct peri_network *n = w->env.fleet->providers[i].found_by;
        if (n != NULL && peri_str_eq(n->provider->id, id)) return n;
    }
    return NULL;
}

static int push_unknown(lua_State *L) {
    return peri_push_fault(L, PERI_ENOTFOUND, "no network of that id has hosts");
}

/* peri.address(id [, which]) */
static int address(lua_State *L) {
    struct peri_worker *w = worker(L);
    struct peri_str id = peri_check_str(L, 1);
    lua_Integer which = luaL_optinteger(L, 2, 1);
    luaL_argcheck(L, which >= 1, 2, "wallets are counted from 1");
    const struct peri_network *n = network_named(w, id);
    if (n == NULL) return push_unknown(L);
    struct peri_str account = n->ops->account(n, (size_t)which - 1);
    if (account.n == 0) return peri_push_fault(L, PERI_ENOTFOUND, "it has fewer wallets");
    lua_pushlstring(L, account.p, account.n);
    return 1;
}

/* peri.sign(id, body, node) */
static int sign(lua_State *L) {
    struct peri_worker *w = worker(L);
    struct peri_str id = peri_check_str(L, 1), body = peri_check_str(L, 2),
                    node = peri_check_str(L, 3);
    peri_budget_charge(&peri_state_of(L)->budget, L, SIGN_STEPS + body.n / BYTES_PER_STEP);
    struct peri_network *n = network_named(w, id);
    if (n == NULL) return push_unknown(L);
    luaL_argcheck(L, n->ops->is_address(node), 3, "the address of a host of that network");
    struct peri_network_signed signature;
    enum peri_err err =
        n->ops->sign(&signature, n, &w->env.signers, body, node, peri_loop_now_ms(w->env.loop));
    if (err != PERI_OK) return peri_push_failure(L, err);
    lua_createtable(L, 0, (int)signature.header_count);
    for (size_t i = 0; i < signature.header_count; i++) {
        const struct peri_header *h = &signature.headers[i];
        lua_pushlstring(L, h->name.p, h->name.n);
        lua_pushlstring(L, h->value.p, h->value.n);
        lua_settable(L, -3);
    }
    return 1;
}

void peri_bind_policy_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = {
        { "providers", providers }, { "address", address }, { "sign", sign }, { NULL, NULL }
    };
    static const luaL_Reg gonka[] = { { "participants", participants },
                                      { "epoch", epoch },
                                      { "status", status },
                                      { "refresh", refresh },
                                      { NULL, NULL } };
    peri_state_set_functions(L, s, functions);
    lua_newtable(L);
    peri_state_set_functions(L, s, gonka);
    lua_setfield(L, -2, "gonka");
}
