#include "script/bind/json_value.h"

#include <math.h>

#include "base/json_edit.h"
#include "script/bind/json_box.h"
#include "script/state/frozen.h"

/* Tables inside each other; one that holds itself ends here, too. As the documents' own limit. */
#define DEPTH_MAX 128
/* Bytes of one encoded value: as many as documents may still hold, between these. */
#define TEXT_MIN 65536
#define TEXT_MAX 67108864

const void *peri_json_key(enum peri_json_key key) {
    static const char keys[PERI_JSON_KEYS];
    return &keys[key];
}

int peri_json_push_kept(lua_State *L, enum peri_json_key key) {
    return lua_rawgetp(L, LUA_REGISTRYINDEX, peri_json_key(key));
}

bool peri_json_is_kept_type(lua_State *L, int index, enum peri_json_key key) {
    if (!lua_getmetatable(L, index)) return false;
    peri_json_push_kept(L, key);
    bool is_it = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_it;
}

static int null_tostring(lua_State *L) {
    lua_pushliteral(L, "null");
    return 1;
}

static int buf_gc(lua_State *L) {
    peri_buf_done(lua_touserdata(L, 1));
    return 0;
}

static int arena_gc(lua_State *L) {
    peri_arena_done(lua_touserdata(L, 1));
    return 0;
}

void peri_json_keep_type(lua_State *L, enum peri_json_key key, const char *name,
                         const luaL_Reg *methods) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushstring(L, name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__name");
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, peri_json_key(key));
}

void peri_json_value_open(lua_State *L) {
    static const luaL_Reg none[] = { { NULL, NULL } };
    static const luaL_Reg null[] = { { "__tostring", null_tostring }, { NULL, NULL } };
    static const luaL_Reg buf[] = { { "__gc", buf_gc }, { "__close", buf_gc }, { NULL, NULL } };
    peri_json_keep_type(L, PERI_JSON_KEY_ARRAY, "perilune.json.array", none);
    peri_json_keep_type(L, PERI_JSON_KEY_OBJECT, "perilune.json.object", none);
    peri_json_keep_type(L, PERI_JSON_KEY_BUF, "perilune.json.buf", buf);
    static const luaL_Reg arena[] = { { "__gc", arena_gc },
                                      { "__close", arena_gc },
                                      { NULL, NULL } };
    peri_json_keep_type(L, PERI_JSON_KEY_ARENA, "perilune.json.arena", arena);
    peri_json_keep_type(L, PERI_JSON_KEY_NULL, "perilune.json.null", null);
    lua_newuserdatauv(L, 0, 0); /* its metatable makes way for the sentinel itself */
    peri_json_push_kept(L, PERI_JSON_KEY_NULL);
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, peri_json_key(PERI_JSON_KEY_NULL));
}

void peri_json_push_null(lua_State *L) { peri_json_push_kept(L, PERI_JSON_KEY_NULL); }

bool peri_json_is_null(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA) return false;
    const void *p = lua_touserdata(L, index);
    peri_json_push_null(L);
    bool is_it = lua_touserdata(L, -1) == p;
    lua_pop(L, 1);
    return is_it;
}

struct peri_buf *peri_json_push_buf(lua_State *L) {
    struct peri_buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    size_t room = peri_json_room(L);
    peri_buf_init(b, room < TEXT_MIN ? TEXT_MIN : room < TEXT_MAX ? room : TEXT_MAX);
    peri_json_push_kept(L, PERI_JSON_KEY_BUF);
    lua_setmetatable(L, -2);
    lua_toclose(L, -1);
    return b;
}

static bool is_array(lua_State *L, int index) {
    peri_frozen_open(L, index);
    if (peri_json_is_kept_type(L, index, PERI_JSON_KEY_ARRAY)) return true;
    return lua_rawlen(L, index) > 0 && !peri_json_is_kept_type(L, index, PERI_JSON_KEY_OBJECT);
}

bool peri_json_kind_of(lua_State *L, int index, enum peri_json_kind *kind) {
    struct peri_json *j;
    uint32_t node;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: *kind = PERI_JSON_BOOL; return true;
    case LUA_TNUMBER: *kind = PERI_JSON_NUMBER; return true;
    case LUA_TSTRING: *kind = PERI_JSON_STRING; return true;
    case LUA_TTABLE: *kind = is_array(L, index) ? PERI_JSON_ARRAY : PERI_JSON_OBJECT; return true;
    case LUA_TUSERDATA:
        *kind = PERI_JSON_NULL;
        if (peri_json_is_null(L, index)) return true;
        if (!peri_bind_json_test(L, index, &j, &node)) return false;
        *kind = peri_json_kind(j, node);
        return true;
    default: return false;
    }
}

/* ---- from Lua ---- */

/* What is being written, and how much of it has been charged. */
struct writer {
    struct peri_buf *out;
    struct peri_json_pace pace;
    size_t charged; /* bytes */
};

static void add(lua_State *L, int index, struct writer *w, int depth);

static void check_buf(lua_State *L, const struct peri_buf *out) {
    if (out->err == PERI_ETOOBIG && out->max < TEXT_MAX) peri_json_refuse_room(L);
    if (out->err == PERI_ETOOBIG) luaL_error(L, "more than %d bytes of JSON", TEXT_MAX);
    if (out->err != PERI_OK) luaL_error(L, "out of memory");
}

static void add_array(lua_State *L, int index, struct writer *w, int depth) {
    struct peri_buf *out = w->out;
    lua_Unsigned n = lua_rawlen(L, index), found = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        peri_pace_add(&w->pace.pace, 1);
        if (!lua_isinteger(L, -2))
            luaL_error(L, "a table with both elements and names is neither array nor object");
        if ((lua_Unsigned)lua_tointeger(L, -2) - 1 < n)
            found++;
        else
            luaL_error(L, "an array has a hole before element %I", lua_tointeger(L, -2));
    }
    if (found != n) luaL_error(L, "an array has a hole: use peri.json.null for null");
    peri_json_put_open(out, '[');
    for (lua_Unsigned i = 1; i <= n; i++) {
        lua_rawgeti(L, index, (lua_Integer)i);
        add(L, lua_gettop(L), w, depth);
        lua_pop(L, 1);
    }
    peri_json_put_close(out, ']');
}

static int by_name(const void *left, const void *right) {
    const struct peri_str *a = left, *b = right;
    int order = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
    if (order != 0) return order;
    return a->n < b->n ? -1 : a->n > b->n;
}

/* Members by name, because Lua's own order changes from run to run. The names' bytes belong to strings that the
 * table holds, and no script runs while it is written. */
static void add_object(lua_State *L, int index, struct writer *w, int depth) {
    struct peri_buf *out = w->out;
    size_t n = 0, i = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "the name of a member must be a string, got a %s", luaL_typename(L, -2));
        peri_pace_add(&w->pace.pace, 1);
        n++;
    }
    peri_json_put_open(out, '{');
    if (n > 0) {
        struct peri_str *names = lua_newuserdatauv(L, 2 * n * sizeof *names, 0);
        for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), i++)
            names[i].p = lua_tolstring(L, -2, &names[i].n);
        peri_sort(names, names + n, n, sizeof *names, by_name, &w->pace.pace);
        for (i = 0; i < n; i++) {
            peri_json_put_name_str(out, names[i]);
            lua_pushlstring(L, names[i].p, names[i].n);
            lua_rawget(L, index);
            add(L, lua_gettop(L), w, depth);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    peri_json_put_close(out, '}');
}

static void add_number(lua_State *L, int index, struct peri_buf *out) {
    if (lua_isinteger(L, index)) {
        peri_json_put_int(out, lua_tointeger(L, index));
        return;
    }
    double value = lua_tonumber(L, index);
    if (!isfinite(value)) luaL_error(L, "JSON has no number for %f", value);
    peri_json_put_double(out, value);
}

static void add_userdata(lua_State *L, int index, struct peri_buf *out) {
    struct peri_json *j;
    uint32_t node;
    if (peri_json_is_null(L, index)) {
        peri_json_put_null(out);
    } else if (peri_bind_json_test(L, index, &j, &node)) {
        peri_json_put_raw(out, PERI_STR("")); /* the comma, when one is due */
        peri_json_add_node(out, j, node);
    } else {
        luaL_error(L, "a %s can not be written as JSON", luaL_typename(L, index));
    }
}

/* `index` is absolute. */
static void add(lua_State *L, int index, struct writer *w, int depth) {
    struct peri_buf *out = w->out;
    struct peri_str s;
    peri_pace_add(&w->pace.pace, 1 + (out->n - w->charged) / 32);
    w->charged = out->n;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: peri_json_put_bool(out, lua_toboolean(L, index)); break;
    case LUA_TNUMBER: add_number(L, index, out); break;
    case LUA_TSTRING:
        s.p = lua_tolstring(L, index, &s.n);
        peri_json_put_string(out, s);
        break;
    case LUA_TTABLE:
        if (depth == DEPTH_MAX)
            luaL_error(L, "tables nested deeper than %d, or inside themselves", DEPTH_MAX);
        luaL_checkstack(L, 6, "tables nested too deep");
        if (is_array(L, index))
            add_array(L, index, w, depth + 1);
        else
            add_object(L, index, w, depth + 1);
        break;
    case LUA_TUSERDATA: add_userdata(L, index, out); break;
    default: luaL_error(L, "a %s can not be written as JSON", luaL_typename(L, index));
    }
    check_buf(L, out);
}

void peri_json_add_value(lua_State *L, int index, struct peri_buf *out) {
    struct writer w = { .out = out, .pace = peri_json_pace(L) };
    add(L, lua_absindex(L, index), &w, 0);
}

/* ---- to Lua ---- */

void peri_json_push_string(lua_State *L, struct peri_str raw) {
    struct peri_str plain = peri_json_raw_plain(raw);
    if (plain.p != NULL) {
        lua_pushlstring(L, plain.p, plain.n);
        return;
    }
    luaL_Buffer b;
    char *room = luaL_buffinitsize(L, &b, raw.n);
    size_t n = peri_json_unescape(room, (struct peri_str){ raw.p + 1, raw.n - 2 });
    luaL_pushresultsize(&b, n);
}

static void push_number(lua_State *L, struct peri_str raw) {
    int64_t integer;
    double number = 0;
    if (peri_json_raw_int(&integer, raw) == PERI_OK) {
        lua_pushinteger(L, integer);
        return;
    }
    enum peri_err err =
        peri_json_raw_double(&number, raw); /* too big: an infinity, as Lua has it */
    (void)err;
    lua_pushnumber(L, number);
}

bool peri_json_push_scalar(lua_State *L, struct peri_json *j, uint32_t node) {
    struct peri_str raw = peri_json_raw(j, node);
    switch (peri_json_kind(j, node)) {
    case PERI_JSON_NULL: peri_json_push_null(L); return true;
    case PERI_JSON_BOOL: lua_pushboolean(L, raw.n == 4); return true;
    case PERI_JSON_NUMBER: push_number(L, raw); return true;
    case PERI_JSON_STRING: peri_json_push_string(L, raw); return true;
    default: return false;
    }
}

static int room_for(size_t count) { return count < 1000000 ? (int)count : 1000000; }

static void push_plain(lua_State *L, struct peri_json *j, uint32_t node, bool drops_null,
                       struct peri_pace *pace) {
    luaL_checkstack(L, 6, "JSON nested too deep");
    peri_pace_add(pace, 1);
    if (peri_json_push_scalar(L, j, node)) return;
    bool is_object = peri_json_kind(j, node) == PERI_JSON_OBJECT;
    int room = room_for(peri_json_count(j, node));
    lua_createtable(L, is_object ? 0 : room, is_object ? room : 0);
    struct peri_json_iter it = peri_json_iter(j, node);
    for (lua_Integer i = 1; peri_json_next(j, &it);) {
        if (drops_null && peri_json_kind(j, it.value) == PERI_JSON_NULL) continue;
        if (is_object) peri_json_push_string(L, peri_json_raw(j, it.name));
        push_plain(L, j, it.value, drops_null, pace);
        if (is_object)
            lua_rawset(L, -3);
        else
            lua_rawseti(L, -2, i++);
    }
    if (is_object) return;
    peri_json_push_kept(L, PERI_JSON_KEY_ARRAY);
    lua_setmetatable(L, -2);
}

void peri_json_push_plain(lua_State *L, struct peri_json *j, uint32_t node, bool drops_null) {
    struct peri_json_pace pace = peri_json_pace(L);
    push_plain(L, j, node, drops_null, &pace.pace);
}

struct peri_arena *peri_json_push_arena(lua_State *L) {
    struct peri_arena *a = lua_newuserdatauv(L, sizeof *a, 0);
    size_t room = peri_json_room(L);
    peri_arena_init(a, room < TEXT_MIN ? TEXT_MIN : room);
    peri_json_push_kept(L, PERI_JSON_KEY_ARENA);
    lua_setmetatable(L, -2);
    lua_toclose(L, -1);
    return a;
}
