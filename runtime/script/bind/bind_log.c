/* peri.log.info(text, fields): one JSON line, with the fields a table gives. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "script/open.h"
#include "script/state/frozen.h"

#define FIELDS_MAX 32
#define KEY_MAX    64

/* The names that a policy has put into a line. */
struct keys {
    char of[FIELDS_MAX][KEY_MAX];
    size_t count;
};

static bool is_taken(const struct keys *keys, const char *key) {
    static const char *const own[] = { "ts", "level", "component", "msg" };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(own[i], key) == 0) return true;
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->of[i], key) == 0) return true;
    return false;
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.';
}

/* The log writes keys as they are: only what needs no escape, and each once, or readers would take the last.
 *   gives   NULL when no name was to be had */
static const char *take_key(struct keys *keys, struct peri_str name) {
    char *out = keys->of[keys->count];
    size_t n = name.n < KEY_MAX - 1 ? name.n : KEY_MAX - 1;
    for (size_t i = 0; i < n; i++) out[i] = is_plain(name.p[i]) ? name.p[i] : '_';
    out[n] = '\0';
    for (; is_taken(keys, out); out[n] = '\0') {
        if (n == KEY_MAX - 1) return NULL;
        out[n++] = '_';
    }
    keys->count++;
    return out;
}

static void add_number(lua_State *L, struct peri_log *log, const char *key) {
    char text[40];
    double value = lua_tonumber(L, -1);
    if (lua_isinteger(L, -1)) {
        peri_log_int(log, key, lua_tointeger(L, -1));
    } else if (isfinite(value)) {
        snprintf(text, sizeof text, "%.14g", value);
        peri_log_json(log, key, peri_str_of(text));
    } else {
        peri_log_str(log, key, isnan(value) ? PERI_STR("nan") : PERI_STR("infinite"));
    }
}

/* The value on the top under the key below it. Nothing here raises: a line once begun is ended. */
static void add_field(lua_State *L, struct peri_log *log, struct keys *keys) {
    struct peri_str name;
    if (lua_type(L, -2) != LUA_TSTRING) return;
    name.p = lua_tolstring(L, -2, &name.n);
    const char *key = take_key(keys, name);
    if (key == NULL) return;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING: {
        struct peri_str value;
        value.p = lua_tolstring(L, -1, &value.n);
        peri_log_str(log, key, value);
        break;
    }
    case LUA_TNUMBER: add_number(L, log, key); break;
    case LUA_TBOOLEAN: peri_log_bool(log, key, lua_toboolean(L, -1)); break;
    default: peri_log_str(log, key, peri_str_of(luaL_typename(L, -1))); break;
    }
}

static int write_line(lua_State *L, enum peri_log_level level) {
    struct keys keys;
    const char *text = luaL_checkstring(L, 1);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
    struct peri_log *log = peri_state_of(L)->log;
    lua_settop(L, 2);
    peri_frozen_open(L, 2);
    luaL_checkstack(L, 4, NULL);
    if (log == NULL || !peri_log_begin(log, level, text)) return 0;
    keys.count = 0;
    lua_pushnil(L);
    for (int i = 0; lua_istable(L, 2) && i < FIELDS_MAX && lua_next(L, 2); i++) {
        add_field(L, log, &keys);
        lua_pop(L, 1);
    }
    peri_log_end(log);
    return 0;
}

static int log_trace(lua_State *L) { return write_line(L, PERI_LOG_TRACE); }
static int log_debug(lua_State *L) { return write_line(L, PERI_LOG_DEBUG); }
static int log_info(lua_State *L) { return write_line(L, PERI_LOG_INFO); }
static int log_warn(lua_State *L) { return write_line(L, PERI_LOG_WARN); }
static int log_error(lua_State *L) { return write_line(L, PERI_LOG_ERROR); }

void peri_bind_log_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "trace", log_trace }, { "debug", log_debug },
                                          { "info", log_info },   { "warn", log_warn },
                                          { "error", log_error }, { NULL, NULL } };
    lua_newtable(L);
    peri_state_set_functions(L, s, functions);
}
