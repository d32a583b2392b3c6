#include "script/config_lua.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "script/lua_places.h"
#include "script/state/budget.h"

#define CHUNKS_MAX 64 /* files included, altogether */
#define DEPTH_MAX  32 /* of files in one another, and of tables */
#define NODE_STEPS                                                                                 \
    8 /* of a value that becomes a node: tables that share tables have more of them than lines */
#define FILE_STEPS   10000     /* of one that is read: about what its largest takes */
#define FILE_MAX     (1 << 20) /* bytes */
#define SECRET_TOKEN "perilune.secret"

/* One file. Lua knows it as "=#K": its own names for chunks are cut after 60 characters. */
struct chunk {
    struct peri_str name;
    const struct peri_lua_places *places;
};

struct reader {
    struct peri_arena *arena;
    struct peri_str folder;
    struct peri_secret_box *box;
    struct peri_fault_list *faults;
    struct peri_node *root;
    struct chunk chunks[CHUNKS_MAX];
    size_t chunk_count, depth;
    size_t bytes; /* that Lua holds */
    struct peri_budget budget;
    bool is_over_budget;   /* the last allocation was refused here, not by the system */
    bool is_out_of_memory; /* no fault of the file's author */
};

static struct reader *reader_of(lua_State *L) { return *(struct reader **)lua_getextraspace(L); }

/* What Lua gives back is overwritten, also when it moves: a secret that is written out in the file passes here. */
static void *allocate(void *ud, void *p, size_t had, size_t wanted) {
    struct reader *r = ud;
    size_t before = p == NULL ? 0 : had;
    void *q = NULL;
    if (wanted > 0) {
        r->is_over_budget = r->bytes - before + wanted > PERI_CONFIG_LUA_BYTES;
        q = r->is_over_budget ? NULL : peri_malloc(wanted);
        if (q == NULL)
            return before > 0 && wanted <= before ? p : NULL; /* shrinking must not fail */
        memcpy(q, p == NULL ? "" : p, before < wanted ? before : wanted);
    }
    if (before > 0) peri_wipe(p, before);
    peri_free(p);
    r->bytes = r->bytes - before + wanted;
    return q;
}

/* ---- the four names ---- */

static _Noreturn void out_of_memory(lua_State *L) {
    reader_of(L)->is_out_of_memory = true;
    luaL_error(L, "out of memory");
    abort();
}

static struct peri_str check_str(lua_State *L, int index, const char *name) {
    size_t n;
    if (lua_type(L, index) != LUA_TSTRING)
        luaL_error(L, "'%s' takes a string, got a %s", name, luaL_typename(L, index));
    const char *p = lua_tolstring(L, index, &n);
    if (strlen(p) != n || n == 0) luaL_error(L, "'%s' takes a string that is not empty", name);
    return (struct peri_str){ p, n };
}

static int config_env(lua_State *L) {
    struct peri_str name = check_str(L, 1, "env"), value;
    if (peri_secret_box_peek(reader_of(L)->box, name, &value))
        lua_pushlstring(L, value.p, value.n);
    else
        lua_settop(L, 2);
    return 1;
}

static int config_secret(lua_State *L) {
    struct peri_str source = check_str(L, 1, "secret");
    if (!peri_str_has_prefix(source, PERI_STR("env:")) &&
        !peri_str_has_prefix(source, PERI_STR("file:")) &&
        !peri_str_has_prefix(source, PERI_STR("cred:")))
        return luaL_error(L, "'secret' takes \"env:NAME\", \"file:PATH\" or \"cred:NAME\"");
    char *token = lua_newuserdatauv(L, source.n + 1, 0);
    memcpy(token, source.p, source.n + 1);
    luaL_setmetatable(L, SECRET_TOKEN);
    return 1;
}

static struct peri_str whole_path(lua_State *L, struct peri_str path) {
    struct reader *r = reader_of(L);
    struct peri_str whole = path.p[0] == '/' || r->folder.n == 0
                                ? peri_arena_dup(r->arena, path)
                                : peri_arena_printf(r->arena, "%.*s/%.*s", PERI_STR_ARGS(r->folder),
                                                    PERI_STR_ARGS(path));
    if (whole.p == NULL) out_of_memory(L);
    return whole;
}

/* Into `p`, of FILE_MAX + 1 bytes. gives NULL, or why not. */
static const char *read_into(char *p, const char *path, struct peri_str *out) {
    size_t n = FILE_MAX + 1;
    enum peri_err err = peri_file_read_into(p, &n, path);
    *out = (struct peri_str){ p, n };
    if (err != PERI_OK) return strerror(errno);
    return n > FILE_MAX ? "it is larger than 1 MiB" : NULL;
}

/* Into the arena. */
static const char *read_file(struct reader *r, const char *path, struct peri_str *out) {
    char *p = peri_arena_alloc(r->arena, FILE_MAX + 1);
    if (p != NULL) return read_into(p, path, out);
    r->is_out_of_memory = true;
    return "out of memory";
}

static int config_file(lua_State *L) {
    struct peri_str path = whole_path(L, check_str(L, 1, "file")), text;
    peri_budget_charge(&reader_of(L)->budget, L, FILE_STEPS);
    const char *why = read_into(lua_newuserdatauv(L, FILE_MAX + 1, 0), path.p, &text);
    if (why != NULL) return luaL_error(L, "'file' can not read '%s': %s", path.p, why);
    if (text.n > 0 && text.p[text.n - 1] == '\n') text.n--;
    lua_pushlstring(L, text.p, text.n);
    return 1;
}

/* Load and run one file; its value is left on the stack. Upvalue-free: the environment table is in the registry. */
static void run_chunk(lua_State *L, struct peri_str name, struct peri_str source) {
    struct reader *r = reader_of(L);
    char title[16];
    if (r->chunk_count == CHUNKS_MAX) luaL_error(L, "more than %d files are included", CHUNKS_MAX);
    struct chunk *chunk = &r->chunks[r->chunk_count];
    *chunk = (struct chunk){ name, peri_lua_places_read(r->arena, source) };
    snprintf(title, sizeof title, "=#%zu", r->chunk_count++);
    if (luaL_loadbufferx(L, source.p, source.n, title, "t") != LUA_OK) lua_error(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, r);
    lua_setupvalue(L, -2, 1);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1)) return;
    lua_pushvalue(L, -1);
    lua_pushlightuserdata(L, chunk);
    lua_rawset(L, LUA_REGISTRYINDEX); /* the table knows its file from now on */
}

static int config_include(lua_State *L) {
    struct reader *r = reader_of(L);
    struct peri_str path = whole_path(L, check_str(L, 1, "include")), source;
    if (r->depth == DEPTH_MAX) return luaL_error(L, "files include one another %d deep", DEPTH_MAX);
    const char *why = read_file(r, path.p, &source);
    if (why != NULL) return luaL_error(L, "'include' can not read '%s': %s", path.p, why);
    r->depth++;
    run_chunk(L, path, source);
    r->depth--;
    return 1;
}

static int config_unknown(lua_State *L) {
    return luaL_error(L, "unknown name '%s', a configuration has env, file, secret and include",
                      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?");
}

static int config_assign(lua_State *L) {
    return luaL_error(L, "'%s' is assigned without 'local'",
                      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?");
}

static void make_environment(lua_State *L, struct reader *r) {
    static const luaL_Reg names[] = { { "env", config_env },
                                      { "file", config_file },
                                      { "secret", config_secret },
                                      { "include", config_include },
                                      { NULL, NULL } };
    luaL_newmetatable(L, SECRET_TOKEN);
    lua_pop(L, 1);
    luaL_newlib(L, names);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, config_unknown);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, config_assign);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, r);
}

/* ---- from values to nodes ---- */

struct place {
    struct peri_where where;
    const struct peri_lua_places
        *inner; /* of the value, when it is a table whose constructor was seen */
};

static struct peri_node *node(lua_State *L, struct place at, size_t depth);

static struct peri_node *need(lua_State *L, struct peri_node *n) {
    if (n == NULL) out_of_memory(L);
    return n;
}

static struct place place_of(struct place table, const struct peri_lua_place *p) {
    if (p == NULL) return (struct place){ table.where, NULL };
    struct place at = { table.where, p->inner };
    at.where.line = p->line;
    return at;
}

/* The value on top becomes a child. */
static void add_child(lua_State *L, struct peri_node *table, struct peri_str key, struct place at,
                      size_t depth) {
    struct reader *r = reader_of(L);
    struct peri_node *child = node(L, at, depth + 1);
    if (child == NULL) return;
    if (key.p != NULL) {
        key = peri_arena_dup(r->arena, key);
        if (key.p == NULL) out_of_memory(L);
    }
    peri_node_add(table, key, child);
}

static void add_items(lua_State *L, struct peri_node *table, struct place at, size_t depth) {
    lua_Unsigned count = lua_rawlen(L, -1);
    const struct peri_lua_place *p = peri_lua_places_item(at.inner, NULL);
    for (lua_Unsigned i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        if (!lua_isnil(L, -1))
            add_child(L, table, (struct peri_str){ NULL, 0 }, place_of(at, p), depth);
        lua_pop(L, 1);
        if (p != NULL) p = peri_lua_places_item(at.inner, p);
    }
}

/* A key that is no string and not among the items. */
static void bad_key(lua_State *L, struct place at, size_t count) {
    struct reader *r = reader_of(L);
    if (lua_type(L, -2) == LUA_TNUMBER && lua_isinteger(L, -2)) {
        lua_Integer i = lua_tointeger(L, -2);
        if (i >= 1 && (size_t)i <= count) return;
        peri_fault_list_add(r->faults, &at.where,
                            "a list has an item [%lld] but ends at %zu, expected no gaps",
                            (long long)i, count);
    } else {
        peri_fault_list_add(r->faults, &at.where, "a table has a %s as a key, expected a name",
                            luaL_typename(L, -2));
    }
}

static int by_name(const void *a, const void *b) {
    const struct peri_str *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

static void add_member(lua_State *L, struct peri_node *table, struct place at, struct peri_str key,
                       const struct peri_lua_place *p, size_t depth) {
    struct reader *r = reader_of(L);
    lua_pushlstring(L, key.p, key.n);
    lua_rawget(L, -2);
    if (!lua_isnil(L, -1)) add_child(L, table, key, place_of(at, p), depth);
    lua_pop(L, 1);
    const struct peri_lua_place *first = p;
    while (first != NULL && first->earlier != NULL) first = first->earlier;
    if (first == p) return;
    struct peri_where where = place_of(at, p).where;
    peri_fault_list_add(r->faults, &where, "'%.*s' is given twice, first in line %u",
                        PERI_STR_ARGS(key), first->line);
}

/* First the members whose place is known, in the order they were written, then the others by name. */
static void add_members(lua_State *L, struct peri_node *table, struct place at, size_t depth) {
    struct reader *r = reader_of(L);
    size_t total = 0, count = 0, items = (size_t)lua_rawlen(L, -1);
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING)
            total++;
        else
            bad_key(L, at, items);
    }
    struct peri_str *rest = peri_arena_alloc(r->arena, (total + 1) * sizeof *rest);
    if (rest == NULL) out_of_memory(L);
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) continue;
        struct peri_str key;
        key.p = lua_tolstring(L, -2, &key.n); /* alive as long as it is a key of the table */
        if (peri_lua_places_find(at.inner, key) == NULL) rest[count++] = key;
    }
    qsort(rest, count, sizeof *rest, by_name);
    for (const struct peri_lua_place *p = at.inner == NULL ? NULL : at.inner->first; p != NULL;
         p = p->next)
        if (p->key.p != NULL && p->key.n > 0 && peri_lua_places_find(at.inner, p->key) == p)
            add_member(L, table, at, p->key, p, depth);
    for (size_t i = 0; i < count; i++) add_member(L, table, at, rest[i], NULL, depth);
}

static struct peri_node *table_node(lua_State *L, struct place at, size_t depth) {
    struct reader *r = reader_of(L);
    if (depth > DEPTH_MAX) {
        peri_fault_list_add(r->faults, &at.where, "tables are nested more than %d deep", DEPTH_MAX);
        return NULL;
    }
    luaL_checkstack(L, 8, "tables are nested too deep");
    struct peri_node *n = need(L, peri_node_new(r->arena, PERI_NODE_TABLE, at.where));
    lua_pushvalue(L, -1);
    lua_rawget(L, LUA_REGISTRYINDEX);
    const struct chunk *chunk = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (chunk != NULL && at.inner == NULL) {
        at.where.name = chunk->name;
        at.inner = chunk->places;
        if (at.inner != NULL) at.where.line = at.inner->line;
        n->where = at.where;
    }
    add_items(L, n, at, depth);
    add_members(L, n, at, depth);
    return n;
}

static struct peri_node *text_node(lua_State *L, enum peri_node_kind kind, struct place at,
                                   struct peri_str text) {
    return need(L, peri_node_text(reader_of(L)->arena, kind, at.where, text));
}

/* The value on top; NULL after a fault. */
static struct peri_node *node(lua_State *L, struct place at, size_t depth) {
    struct reader *r = reader_of(L);
    struct peri_node *n = NULL;
    struct peri_str text;
    const char *token;
    peri_budget_charge(&r->budget, L, NODE_STEPS);
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        n = need(L, peri_node_new(r->arena, PERI_NODE_BOOL, at.where));
        n->is_true = lua_toboolean(L, -1) != 0;
        return n;
    case LUA_TNUMBER:
        n = need(L, peri_node_new(r->arena, lua_isinteger(L, -1) ? PERI_NODE_INT : PERI_NODE_FLOAT,
                                  at.where));
        if (n->kind == PERI_NODE_INT)
            n->integer = lua_tointeger(L, -1);
        else
            n->number = lua_tonumber(L, -1);
        return n;
    case LUA_TSTRING:
        text.p = lua_tolstring(L, -1, &text.n);
        return text_node(L, PERI_NODE_STRING, at, text);
    case LUA_TTABLE: return table_node(L, at, depth);
    case LUA_TUSERDATA:
        token = luaL_testudata(L, -1, SECRET_TOKEN);
        if (token != NULL) return text_node(L, PERI_NODE_SECRET, at, peri_str_of(token));
        break;
    default: break;
    }
    peri_fault_list_add(r->faults, &at.where, "a value is a %s, expected plain data",
                        luaL_typename(L, -1));
    return NULL;
}

/* ---- the whole ---- */

static int evaluate(lua_State *L) { /* protected; stack: name source */
    struct reader *r = reader_of(L);
    const struct peri_str *name = lua_touserdata(L, 1), *source = lua_touserdata(L, 2);
    make_environment(L, r);
    peri_budget_attach(&r->budget, L);
    run_chunk(L, *name, *source);
    struct peri_where where = { .origin = PERI_ORIGIN_FILE, .name = *name, .line = 1 };
    if (!lua_istable(L, -1))
        return luaL_error(L, "#0:1: the file must return a table, got %s", luaL_typename(L, -1));
    struct place at = { where, r->chunks[0].places };
    if (at.inner != NULL) at.where.line = at.inner->line;
    r->root = node(L, at, 0);
    return 0;
}

/* Lua's "#K:LINE: text" becomes a fault of that file. */
static void take_error(struct reader *r, struct peri_str text) {
    struct peri_where where = { .origin = PERI_ORIGIN_FILE, .name = r->chunks[0].name };
    struct peri_str part, rest = text;
    uint64_t chunk, line;
    if (rest.n > 1 && rest.p[0] == '#') {
        rest = peri_str_from(rest, 1);
        if (peri_str_cut(&part, &rest, ':') && peri_str_to_u64(&chunk, part) == PERI_OK &&
            chunk < r->chunk_count && peri_str_cut(&part, &rest, ':') &&
            peri_str_to_u64(&line, part) == PERI_OK) {
            where.name = r->chunks[chunk].name;
            where.line = (uint32_t)line;
            text = peri_str_trim(rest);
        }
    }
    peri_fault_list_add(r->faults, &where, "%.*s", (int)(text.n < 400 ? text.n : 400), text.p);
}

/* As an error of Lua's own would read. What it stopped outside Lua, in a tree that is too large, has no line. */
static void say_end(const struct peri_budget *b, char *text, size_t n) {
    const char *colon = b->where[0] == '\0' ? "" : ": ";
    if (peri_budget_end(b) == PERI_BUDGET_STEPS)
        snprintf(text, n, "%s%sran for %d instructions, expected plain data", b->where, colon,
                 PERI_CONFIG_LUA_INSTRUCTIONS);
    else
        snprintf(text, n, "%s%sran for %d ms, expected plain data", b->where, colon,
                 PERI_CONFIG_LUA_CPU_MS);
}

enum peri_err peri_config_lua_read(struct peri_node **root, struct peri_arena *a,
                                   struct peri_str path, struct peri_str folder,
                                   struct peri_secret_box *box, struct peri_fault_list *faults) {
    struct reader r = { .arena = a, .folder = folder, .box = box, .faults = faults };
    struct peri_str source;
    peri_budget_init(&r.budget, (struct peri_budget_limits){ .steps = PERI_CONFIG_LUA_INSTRUCTIONS,
                                                             .cpu_ms = PERI_CONFIG_LUA_CPU_MS,
                                                             .is_counted = true });
    r.chunks[0].name = path;
    const char *why = read_file(&r, path.p, &source);
    if (why != NULL) {
        struct peri_where where = { .origin = PERI_ORIGIN_FILE, .name = path };
        if (!r.is_out_of_memory) peri_fault_list_add(faults, &where, "can not be read: %s", why);
        return r.is_out_of_memory ? PERI_ENOMEM : PERI_ECONFIG;
    }
    lua_State *L = lua_newstate(allocate, &r);
    if (L == NULL) return PERI_ENOMEM;
    *(struct reader **)lua_getextraspace(L) = &r;
    size_t faults_before = faults->count + faults->beyond;
    lua_pushcfunction(L, evaluate);
    lua_pushlightuserdata(L, &path);
    lua_pushlightuserdata(L, &source);
    peri_budget_enter(&r.budget, L);
    int status = lua_pcall(L, 2, 0, 0);
    peri_budget_leave(&r.budget);
    peri_budget_done(&r.budget);
    if (peri_budget_end(&r.budget) != PERI_BUDGET_LEFT) {
        char text[PERI_BUDGET_WHERE_MAX + 80];
        say_end(&r.budget, text, sizeof text);
        take_error(&r, peri_str_of(text));
        lua_close(L);
        return PERI_ECONFIG;
    }
    if (status == LUA_ERRMEM && !r.is_over_budget) r.is_out_of_memory = true;
    if (status != LUA_OK && !r.is_out_of_memory) {
        size_t n = 0;
        const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
        if (status == LUA_ERRMEM) text = NULL;
        take_error(&r, text != NULL
                           ? (struct peri_str){ text, n }
                           : PERI_STR("needs more than 32 MiB of memory, expected plain data"));
    }
    lua_close(L);
    *root = r.root;
    if (r.is_out_of_memory) return PERI_ENOMEM;
    return status == LUA_OK && faults->count + faults->beyond == faults_before ? PERI_OK
                                                                               : PERI_ECONFIG;
}
