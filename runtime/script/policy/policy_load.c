#include "script/policy/policy_load.h"

#include <string.h>

#include "base/err.h"
#include "base/nearest.h"
#include "base/shared.h"
#include "base/name.h"
#include "script/bind/bind_json.h"
#include "script/state/frozen.h"
#include "script/state/meter.h"
#include "script/lua_places.h"
#include "script/policy/policy_parts.h"

/* What else a policy's table may say. */
static const char *const others[] = { "name", "options", "check", "doc", "networks", "on_failure" };

struct load {
    struct peri_policy_lua *set;
    const struct peri_config *config;
    const struct peri_policy_file *file;
    struct peri_link *link;
};

static void offer_all(struct peri_nearest *n, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) peri_nearest_offer(n, names[i]);
}

/* Of data, misspelling these would weaken a policy in silence; other members are the policy's own. */
static const char *const watched[] = { "networks", "on_failure" };

static void check_member(lua_State *L, const struct load *l, const char *key) {
    struct peri_nearest n = peri_nearest_to(peri_str_of(key), 2);
    offer_all(&n, watched, sizeof watched / sizeof *watched);
    if (n.name != NULL && n.distance > 0)
        luaL_error(L, "%s: a policy has no member '%s', did you mean '%s'?", l->file->name.p, key,
                   n.name);
}

/* A misspelt hook would never run, and nobody would notice. */
static void check_names(lua_State *L, const struct load *l, int policy) {
    lua_pushnil(L);
    while (lua_next(L, policy) != 0) {
        bool is_hook = lua_isfunction(L, -1);
        lua_Debug where = { .linedefined = 0 };
        if (is_hook)
            lua_getinfo(L, ">S", &where); /* takes the function off */
        else
            lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) continue;
        const char *key = lua_tostring(L, -1);
        if (!is_hook) {
            check_member(L, l, key);
            continue;
        }
        bool is_known = false;
        for (size_t i = 0; i < PERI_HOOK_COUNT; i++)
            is_known |= strcmp(key, peri_hook_names[i]) == 0;
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            is_known |= strcmp(key, others[i]) == 0;
        if (is_known) continue;
        struct peri_nearest n = peri_nearest_to(peri_str_of(key), 2);
        offer_all(&n, peri_hook_names, PERI_HOOK_COUNT);
        offer_all(&n, others, sizeof others / sizeof *others);
        const char *hint = n.name;
        if (hint != NULL && where.linedefined > 0)
            luaL_error(L, "%s:%d: a policy has no hook '%s', did you mean '%s'?", l->file->name.p,
                       where.linedefined, key, hint);
        if (hint != NULL)
            luaL_error(L, "%s: a policy has no hook '%s', did you mean '%s'?", l->file->name.p, key,
                       hint);
    }
}

static void check_option(lua_State *L, const struct load *l, const char *key, int given,
                         int declared) {
    /* declared: the option's own table, with `default` and perhaps `doc` */
    lua_getfield(L, declared, "default");
    int want = lua_type(L, -1), got = lua_type(L, given);
    lua_pop(L, 1);
    if (want != LUA_TNIL && want != got)
        luaL_error(L, "%s: option '%s' must be a %s, got a %s", l->file->name.p, key,
                   lua_typename(L, want), lua_typename(L, got));
}

/* policy.options: from declarations to values. What the configuration gives wins over `default`. */
static void settle_options(lua_State *L, const struct load *l, int policy) {
    lua_getfield(L, policy, "options");
    int declared = lua_gettop(L);
    if (lua_isnil(L, declared)) {
        lua_newtable(L);
        lua_replace(L, declared);
    }
    if (!lua_istable(L, declared))
        luaL_error(L, "%s: 'options' must be a table of { default = …, doc = … }, got a %s",
                   l->file->name.p, luaL_typename(L, declared));
    peri_frozen_open(L, declared);
    lua_newtable(L);
    int values = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, declared) != 0) { /* key, declaration */
        if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1))
            luaL_error(L, "%s: option '%s' must be declared as { default = …, doc = … }",
                       l->file->name.p, luaL_tolstring(L, -2, NULL));
        lua_pushvalue(L, -2);
        lua_getfield(L, -2, "default");
        lua_rawset(L, values);
        lua_pop(L, 1);
    }
    struct peri_fault fault;
    if (peri_bind_json_decode(L, l->file->options, &fault) != PERI_OK)
        luaL_error(L, "%s: options: %s", l->file->name.p, fault.text);
    int given = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, given) != 0) { /* key, value */
        const char *key = luaL_tolstring(L, -2, NULL);
        lua_pop(L, 1);
        if (lua_getfield(L, declared, key) != LUA_TTABLE)
            luaL_error(L,
                       "%s: the configuration gives option '%s', which this policy does not have",
                       l->file->name.p, key);
        check_option(L, l, key, lua_gettop(L) - 1, lua_gettop(L));
        lua_pop(L, 1);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, values);
    }
    lua_pushvalue(L, values);
    lua_setfield(L, policy, "options");
    lua_settop(L, policy);
}

/* policy.check(config): the policy's own word on its options and on the providers there are. */
static void run_check(lua_State *L, const struct load *l, int policy) {
    if (lua_getfield(L, policy, "check") == LUA_TNIL) return;
    lua_newtable(L);
    lua_getfield(L, policy, "options");
    lua_setfield(L, -2, "options");
    lua_newtable(L);
    for (size_t i = 0; i < l->config->provider_count; i++) {
        const struct peri_config_provider *p = &l->config->providers[i];
        lua_newtable(L);
        lua_pushlstring(L, p->id.p, p->id.n);
        lua_setfield(L, -2, "id");
        lua_pushinteger(L, p->tier);
        lua_setfield(L, -2, "tier");
        lua_pushinteger(L, p->weight);
        lua_setfield(L, -2, "weight");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "providers");
    lua_call(L, 1, LUA_MULTRET);
    /* `return false, "sentence"` refuses as well as error() does; to return nothing at all is a yes */
    int said = policy + 1;
    if (lua_gettop(L) >= said && !lua_toboolean(L, said)) {
        const char *why = lua_tostring(L, said + 1);
        if (why == NULL)
            why = lua_pushfstring(L, "its check returned %s: the policy refuses the configuration",
                                  luaL_tolstring(L, said, NULL));
        luaL_error(L, "%s: %s", l->file->name.p, why);
    }
    lua_settop(L, policy);
}

/* policy.networks, which `check` may have set from an option. Absent, or empty: all providers. */
static void take_networks(lua_State *L, const struct load *l, int policy) {
    int type = lua_getfield(L, policy, "networks");
    if (type != LUA_TNIL && type != LUA_TTABLE)
        luaL_error(L, "%s: 'networks' must be a list of names, got a %s", l->file->name.p,
                   luaL_typename(L, -1));
    peri_frozen_open(L, -1);
    size_t count = type == LUA_TNIL ? 0 : lua_rawlen(L, -1);
    struct peri_str *names = NULL;
    if (count > 0) names = peri_arena_alloc(&l->set->arena, count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, -1, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "%s: 'networks' must be a list of names, element %d is a %s",
                       l->file->name.p, (int)i + 1, luaL_typename(L, -1));
        struct peri_str name;
        name.p = lua_tolstring(L, -1, &name.n);
        if (names != NULL) names[i] = peri_arena_dup(&l->set->arena, name);
        if (names == NULL || names[i].p == NULL) luaL_error(L, "out of memory");
        lua_pop(L, 1);
    }
    l->link->networks = names;
    l->link->network_count = l->set->state->options.meter != NULL ? 0 : count;
    lua_settop(L, policy);
}

/* Where a member of the policy's table is given; the table itself when that can not be told from the text. */
static unsigned line_of(const struct load *l, struct peri_str key) {
    const struct peri_lua_places *table = peri_lua_places_read(&l->set->arena, l->file->source);
    const struct peri_lua_place *place = peri_lua_places_find(table, key);
    return place != NULL ? place->line : table != NULL ? table->line : 1;
}

/* A name stands in headers and log lines; without one the policy goes by its file's. stack: … name */
static void take_name(lua_State *L, const struct load *l) {
    struct peri_str name = { NULL, 0 };
    if (lua_isnil(L, -1)) {
        l->link->name = l->link->file;
        return;
    }
    unsigned line = line_of(l, PERI_STR("name"));
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s:%d: 'name' must be a string, got a %s", l->file->name.p, (int)line,
                   luaL_typename(L, -1));
    name.p = lua_tolstring(L, -1, &name.n);
    const char *fault = peri_name_fault(name);
    if (fault != NULL)
        luaL_error(L, "%s:%d: the policy's 'name' %s", l->file->name.p, (int)line, fault);
    l->link->name = peri_arena_dup(&l->set->arena, name);
    if (l->link->name.p == NULL) luaL_error(L, "out of memory");
}

/* policy.on_failure, which `check` may have set from an option. */
static void take_on_failure(lua_State *L, const struct load *l, int policy) {
    bool is_text = lua_getfield(L, policy, "on_failure") == LUA_TSTRING;
    const char *word = is_text ? lua_tostring(L, -1) : luaL_typename(L, -1);
    bool is_known = is_text && (strcmp(word, "skip") == 0 || strcmp(word, "refuse") == 0);
    if (!is_known && !lua_isnil(L, -1))
        luaL_error(L,
                   is_text ? "%s:%d: 'on_failure' must be \"skip\" or \"refuse\", got \"%s\""
                           : "%s:%d: 'on_failure' must be \"skip\" or \"refuse\", got a %s",
                   l->file->name.p, (int)line_of(l, PERI_STR("on_failure")), word);
    l->link->is_guard = is_known && word[0] == 'r';
    lua_settop(L, policy);
}

static int take_policy(lua_State *L) {
    struct load *l = lua_touserdata(L, 1);
    struct peri_link *link = l->link;
    lua_rawgeti(L, LUA_REGISTRYINDEX, link->table);
    int policy = lua_gettop(L);
    if (!lua_istable(L, policy))
        return luaL_error(L, "%s: a policy file must return its table, got %s", l->file->name.p,
                          luaL_typename(L, policy));
    check_names(L, l, policy);
    link->file = peri_arena_dup(&l->set->arena, l->file->name); /* that goes after loading */
    if (link->file.p == NULL) return luaL_error(L, "out of memory");
    lua_getfield(L, policy, "name");
    take_name(L, l);
    lua_pop(L, 1);
    settle_options(L, l, policy);
    for (int i = 0; i < PERI_HOOK_COUNT; i++) {
        int type = lua_getfield(L, policy, peri_hook_names[i]);
        if (type == LUA_TFUNCTION) {
            lua_Debug where;
            lua_pushvalue(L, -1);
            lua_getinfo(L, ">S", &where);
            link->lines[i] = where.linedefined;
            if (l->set->state->options.meter != NULL)
                peri_meter_wrap(L, l->set->state, l->file->name.p, peri_hook_names[i]);
            link->hooks[i] = luaL_ref(L, LUA_REGISTRYINDEX);
            continue;
        }
        if (type != LUA_TNIL)
            return luaL_error(L, "%s: '%s' must be a function, got a %s", l->file->name.p,
                              peri_hook_names[i], luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    run_check(L, l, policy);
    take_networks(L, l, policy);
    take_on_failure(L, l, policy);
    return 0;
}

/* A budget that ran out stops a file anywhere: say at least which one. */
static void name_file(const struct load *l, struct peri_fault *fault) {
    struct peri_fault copy;
    if (fault == NULL || peri_str_has_prefix(peri_str_of(fault->text), l->file->name)) return;
    copy = *fault;
    peri_fault_set(fault, copy.err, "%.200s: %.300s", l->file->name.p, copy.text);
}

enum peri_err peri_policy_load(struct peri_policy_lua *set, struct peri_link *link,
                               const struct peri_policy_file *file,
                               const struct peri_config *config, struct peri_fault *fault) {
    struct load l = { .set = set, .config = config, .file = file, .link = link };
    struct peri_state *s = set->state;
    for (int h = 0; h < PERI_HOOK_COUNT; h++) link->hooks[h] = LUA_NOREF;
    /* by file, as its name is known only when it has run */
    if (s->shared != NULL) link->share = peri_shared_share(s->shared, file->name);
    s->share = link->share;
    enum peri_err err =
        peri_state_load_in(s, &link->table, file->folder, file->name.p, file->source, fault);
    if (err != PERI_OK) name_file(&l, fault);
    if (err == PERI_OK) err = peri_state_call(s, take_policy, &l, fault);
    s->share = 0;
    return err;
}
