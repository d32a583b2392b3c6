#include "script/state/state.h"

#include <stdio.h>
#include <string.h>

#include <lualib.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/shared.h"
#include "script/open.h"
#include "script/state/sandbox.h"
#include "script/state/task.h"

/* Memory. */

static void *allocate(void *arg, void *old, size_t old_n, size_t n) {
    struct peri_state *s = arg;
    if (old == NULL) old_n = 0; /* Lua says there what kind of object it wants */
    if (n == 0) {
        peri_free(old);
        s->heap_used -= old_n;
        return NULL;
    }
    size_t used = s->heap_used - old_n + n, max = s->options.heap_max;
    if (n > old_n && max != 0 && used > max && !s->is_tending) {
        s->is_over_cap = true;
        return NULL;
    }
    void *p = peri_realloc(old, n);
    if (p == NULL) {
        if (n > old_n) return NULL;
        p = old; /* Lua counts on shrinking: keep the longer block */
    }
    s->heap_used = used;
    if (used > s->heap_peak) s->heap_peak = used;
    return p;
}

/* Making one. */

/* Every way from the loop into Lua is a protected one. */
static int on_panic(lua_State *L) {
    (void)L;
    peri_bug("an error in Lua is raised where something catches it");
}

/* The list and its texts in one block, as policies may `require` long after who made the state has gone. */
static enum peri_err copy_search(struct peri_state *s, const char *const *search) {
    size_t count = 0, bytes = 0;
    s->options.search = NULL;
    if (search == NULL) return PERI_OK;
    for (; search[count] != NULL; count++) bytes += strlen(search[count]) + 1;
    s->search = peri_malloc((count + 1) * sizeof *s->search + bytes);
    if (s->search == NULL) return PERI_ENOMEM;
    char *at = (char *)(s->search + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(search[i]) + 1;
        s->search[i] = memcpy(at, search[i], n);
        at += n;
    }
    s->search[count] = NULL;
    s->options.search = s->search;
    return PERI_OK;
}

static void set_up(struct peri_state *s, const struct peri_state_options *options) {
    s->options = *options;
    s->loop = options->loop;
    s->log = options->log;
    s->clock = options->clock != NULL ? options->clock : &peri_clock_real;
    s->shared = options->shared;
    s->host = options->host;
    peri_list_init(&s->waiting);
    peri_list_init(&s->idle);
    peri_list_init(&s->spawned);
    peri_budget_init(&s->budget, options->load);
    if (options->seed != 0)
        peri_rand_seed(&s->rand, options->seed);
    else
        peri_rand_seed_os(&s->rand);
}

/* Trusted scripts find our modules by Lua's own `require`. */
static void set_search_path(lua_State *L, const char *const *search) {
    luaL_Buffer b;
    lua_getglobal(L, "package");
    luaL_buffinit(L, &b);
    for (; search != NULL && *search != NULL; search++) {
        luaL_addstring(&b, *search);
        luaL_addstring(&b, "/?.lua;");
        luaL_addstring(&b, *search);
        luaL_addstring(&b, "/?/init.lua;");
    }
    lua_getfield(L, -2, "path");
    luaL_addvalue(&b);
    luaL_pushresult(&b);
    lua_setfield(L, -2, "path");
    lua_pop(L, 1);
}

static int fill(lua_State *L) { /* protected */
    struct peri_state *s = lua_touserdata(L, 1);
    lua_settop(L, 0);
    peri_budget_attach(&s->budget, L);
    if (!s->options.is_trusted) {
        peri_sandbox_open(L, s);
        return 0;
    }
    luaL_openlibs(L);
    peri_guard_open_trusted(L, s);
    set_search_path(L, s->options.search);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    peri_open_module(L, s, PERI_LIB_TRUSTED);
    lua_setfield(L, -2, "perilune");
    return 0;
}

enum peri_err peri_state_new(struct peri_state **out, const struct peri_state_options *options) {
    *out = NULL;
    struct peri_state *s = peri_calloc(1, sizeof *s);
    if (s == NULL) return PERI_ENOMEM;
    set_up(s, options);
    if (copy_search(s, options->search) == PERI_OK) s->L = lua_newstate(allocate, s);
    if (s->L == NULL) {
        peri_free(s->search);
        peri_free(s);
        return PERI_ENOMEM;
    }
    lua_atpanic(s->L, on_panic);
    enum peri_err err = peri_state_call(s, fill, s, NULL);
    if (err != PERI_OK) {
        peri_state_free(s);
        return err == PERI_EBUDGET ? PERI_ENOMEM : err;
    }
    *out = s;
    return PERI_OK;
}

static void free_tasks(struct peri_state *s) {
    peri_state_cancel_all(s);
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &s->idle) peri_free(at); /* the link is a task's first member */
    peri_list_init(&s->idle);
}

void peri_state_free(struct peri_state *s) {
    if (s == NULL) return;
    free_tasks(s);
    lua_close(s->L);
    peri_budget_done(&s->budget);
    peri_free(s->search);
    peri_free(s);
}

/* Attached to an interpreter: the state is a userdata in that interpreter's registry. */

static const char attached_key;

static int attached_gc(lua_State *L) {
    struct peri_state *s = lua_touserdata(L, 1);
    peri_open_detach(s);
    free_tasks(s);
    peri_loop_free(s->loop);
    peri_shared_free(s->shared);
    s->loop = NULL;
    s->shared = NULL;
    return 0;
}

struct peri_state *peri_state_attach(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &attached_key) == LUA_TUSERDATA) {
        struct peri_state *s = lua_touserdata(L, -1);
        lua_pop(L, 1);
        return s;
    }
    lua_pop(L, 1);
    struct peri_state *s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    struct peri_state_options options = { .is_trusted = true };
    set_up(s, &options);
    s->is_attached = true;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, attached_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    s->L = lua_newthread(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, s);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &attached_key);
    if (peri_shared_new(&s->shared, 0, s->clock) != PERI_OK)
        luaL_error(L, "%s", peri_err_text(PERI_ENOMEM));
    return s;
}

/* What bindings ask. */

struct peri_loop *peri_state_loop(lua_State *L, struct peri_state *s) {
    if (s->loop == NULL && s->is_attached) {
        enum peri_err err = peri_loop_new(&s->loop);
        if (err != PERI_OK) luaL_error(L, "no event loop: %s", peri_err_text(err));
    }
    if (s->loop == NULL) luaL_error(L, "there is no event loop here");
    return s->loop;
}

void peri_state_push(lua_State *L, struct peri_state *s) {
    if (s->is_attached)
        lua_rawgetp(L, LUA_REGISTRYINDEX, &attached_key); /* keeps it alive to the very end */
    else
        lua_pushlightuserdata(L, s);
}

void peri_state_set_functions(lua_State *L, struct peri_state *s, const luaL_Reg *functions) {
    peri_state_push(L, s);
    luaL_setfuncs(L, functions, 1);
}

int peri_push_fault(lua_State *L, enum peri_err err, const char *text) {
    lua_pushnil(L);
    lua_pushstring(L, text);
    lua_pushstring(L, peri_err_name(err));
    return 3;
}

int peri_push_failure(lua_State *L, enum peri_err err) {
    return peri_push_fault(L, err, peri_err_text(err));
}

/* Entering. */

static int copy_text(lua_State *L) { /* protected: an error value may have a __tostring */
    struct peri_fault *fault = lua_touserdata(L, 1);
    if (lua_type(L, 2) == LUA_TTABLE && luaL_getmetafield(L, 2, "__tostring") == LUA_TNIL)
        peri_fault_set(fault, PERI_EPOLICY, "error was called with a table, expected a text");
    else
        peri_fault_set(fault, PERI_EPOLICY, "%s", luaL_tolstring(L, 2, NULL));
    return 0;
}

/* Only a coroutine still stands where it was stopped; elsewhere the place was kept when the budget raised. */
static enum peri_err explain_end(struct peri_state *s, lua_State *co, struct peri_fault *fault) {
    const struct peri_budget_limits *limits = &s->budget.limits;
    peri_budget_note_place(&s->budget, co);
    const char *where = s->budget.where, *colon = *where == '\0' ? "" : ": ";
    switch (peri_budget_end(&s->budget)) {
    case PERI_BUDGET_STEPS:
        return peri_fault_set(fault, PERI_EBUDGET,
                              "%s%sstopped: it used up its budget of %llu instructions", where,
                              colon, (unsigned long long)limits->steps);
    case PERI_BUDGET_CPU:
        return peri_fault_set(fault, PERI_EBUDGET, "%s%sstopped: it used up its budget of %u ms%s",
                              where, colon, (unsigned)limits->cpu_ms,
                              s->is_last_entry ? ", what was left for one request" : "");
    case PERI_BUDGET_MEMORY:
    case PERI_BUDGET_LEFT: break;
    }
    if (!s->is_over_cap)
        return peri_fault_set(fault, PERI_ENOMEM, "%s%sout of memory", where, colon);
    return peri_fault_set(fault, PERI_EBUDGET,
                          "%s%sstopped: it reached its memory cap of %zu bytes", where, colon,
                          s->options.heap_max);
}

enum peri_err peri_state_explain(struct peri_state *s, lua_State *co, int status,
                                 struct peri_fault *fault) {
    if (peri_budget_end(&s->budget) != PERI_BUDGET_LEFT || status == LUA_ERRMEM)
        return explain_end(s, co, fault);
    if (fault == NULL) return PERI_EPOLICY;
    if (lua_type(co, -1) == LUA_TSTRING)
        return peri_fault_set(fault, PERI_EPOLICY, "%s", lua_tostring(co, -1));
    peri_fault_set(fault, PERI_EPOLICY, "raised an error without a text");
    if (!lua_checkstack(co, 4) || !lua_checkstack(s->L, 4)) return PERI_EPOLICY;
    lua_State *before = peri_budget_switch(&s->budget, s->L);
    lua_pushvalue(co, -1);
    if (co != s->L) lua_xmove(co, s->L, 1);
    lua_pushcfunction(s->L, copy_text);
    lua_insert(s->L, -2);
    lua_pushlightuserdata(s->L, fault);
    lua_insert(s->L, -2);
    if (lua_pcall(s->L, 2, 0, 0) != LUA_OK) lua_pop(s->L, 1);
    peri_budget_switch(&s->budget, before);
    return PERI_EPOLICY;
}

struct peri_budget_limits peri_state_limits(struct peri_budget_limits limits, uint32_t more_ms) {
    if (limits.cpu_ms == 0 || more_ms == 0) return limits;
    limits.steps += limits.steps / limits.cpu_ms * more_ms;
    limits.cpu_ms += more_ms;
    return limits;
}

enum peri_err peri_state_call(struct peri_state *s, lua_CFunction run, void *arg,
                              struct peri_fault *fault) {
    lua_State *L = s->L;
    enum peri_err err = PERI_OK;
    if (s->task != NULL) peri_bug("Lua is entered from the loop, not from inside Lua");
    if (!lua_checkstack(L, 3)) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    int top = lua_gettop(L);
    s->is_over_cap = false;
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, arg);
    s->budget.limits = peri_state_limits(s->options.load, s->more_ms);
    s->more_ms = 0;
    s->is_last_entry = false;
    peri_budget_enter(&s->budget, L);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK || peri_budget_end(&s->budget) != PERI_BUDGET_LEFT)
        err = peri_state_explain(s, L, status, fault);
    peri_budget_leave(&s->budget);
    lua_settop(L, top);
    return err;
}

enum peri_err peri_state_tend(struct peri_state *s, lua_CFunction run, void *arg) {
    lua_State *L = s->L;
    bool was_tending = s->is_tending;
    s->is_tending = true;
    int status = LUA_ERRMEM;
    if (lua_checkstack(L, 3)) {
        lua_pushcfunction(L, run);
        lua_pushlightuserdata(L, arg);
        status = lua_pcall(L, 1, 0, 0);
        if (status != LUA_OK) lua_pop(L, 1);
    }
    s->is_tending = was_tending;
    if (status == LUA_OK) return PERI_OK;
    return status == LUA_ERRMEM ? PERI_ENOMEM : PERI_EPOLICY;
}

/* Loading. */

void peri_push_chunk(lua_State *L, const char *path, struct peri_str source) {
    if (source.n > PERI_SOURCE_MAX)
        luaL_error(L, "%s: larger than %d bytes", path, PERI_SOURCE_MAX);
    if (source.n > 0 && source.p[0] == LUA_SIGNATURE[0])
        luaL_error(L, "%s: byte code is not loaded, only text", path);
    lua_pushfstring(L, "@%s", path);
    if (luaL_loadbufferx(L, source.p, source.n, lua_tostring(L, -1), "t") != LUA_OK) lua_error(L);
    lua_remove(L, -2);
}

enum peri_err peri_push_file(lua_State *L, const char *path) {
    struct peri_file_facts facts;
    enum peri_err err = peri_file_look(&facts, path);
    if (err != PERI_OK) return err == PERI_EINVAL ? PERI_EIO : err;
    if (facts.bytes > PERI_SOURCE_MAX) return PERI_ETOOBIG;
    struct peri_str source = { NULL, facts.bytes };
    char *bytes = lua_newuserdatauv(L, source.n + 1, 0); /* Lua's, as compiling may raise */
    err = peri_file_take(bytes, &source.n, NULL, path);
    if (err != PERI_OK) {
        lua_pop(L, 1);
        return err == PERI_EINVAL ? PERI_EIO : err;
    }
    source.p = bytes;
    peri_push_chunk(L, path, source);
    lua_remove(L, -2);
    return PERI_OK;
}

struct load {
    struct peri_state *state;
    const char *path;
    const char *folder; /* NULL: no globals of its own */
    struct peri_str source;
    int ref;
};

static int load(lua_State *L) { /* protected */
    struct load *load = lua_touserdata(L, 1);
    peri_push_chunk(L, load->path, load->source);
    if (load->folder != NULL) {
        peri_require_push_globals(L, load->state, load->folder);
        lua_setupvalue(L, -2, 1); /* _ENV, the only one of a main chunk */
    }
    lua_call(L, 0, 1);
    load->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

enum peri_err peri_state_load_in(struct peri_state *s, int *ref, const char *folder,
                                 const char *name, struct peri_str source,
                                 struct peri_fault *fault) {
    *ref = LUA_NOREF;
    if (source.n > PERI_SOURCE_MAX)
        return peri_fault_set(fault, PERI_ETOOBIG, "%s: larger than %d bytes", name,
                              PERI_SOURCE_MAX);
    if (source.p == NULL) source = PERI_STR("");
    struct load what = { .state = s, .path = name, .folder = folder, .source = source };
    enum peri_err err = peri_state_call(s, load, &what, fault);
    if (err == PERI_OK) *ref = what.ref;
    if (err != PERI_OK && fault != NULL) fault->err = err;
    return err;
}

enum peri_err peri_state_load(struct peri_state *s, int *ref, const char *name,
                              struct peri_str source, struct peri_fault *fault) {
    return peri_state_load_in(s, ref, NULL, name, source, fault);
}
