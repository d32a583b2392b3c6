/* The functions of peri.json; what they are called on is a proxy (script/bind/json_node.h). */
#include "script/bind/bind_json.h"

#include "base/json_edit.h"
#include "script/bind/json_box.h"
#include "script/bind/json_node.h"
#include "script/bind/json_value.h"
#include "script/state/frozen.h"
#include "script/state/options.h"
#include "script/state/lua_str.h"

static int json_members(lua_State *L) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_kind(L, 1, &j, PERI_JSON_OBJECT);
    struct peri_json_pace pace = peri_json_pace(L);
    size_t count = peri_json_count(j, n->at);
    lua_settop(L, 1);
    lua_createtable(L, 0, count < 64 ? (int)count : 64);
    bool has_null = false;
    struct peri_json_iter it = peri_json_iter(j, n->at);
    while (peri_json_next(j, &it)) {
        peri_pace_add(&pace.pace, 1);
        has_null |= peri_json_kind(j, it.value) == PERI_JSON_NULL;
        peri_json_push_string(L, peri_json_raw(j, it.name));
        peri_json_push_child(L, 1, j, it.value);
        lua_rawset(L, 2);
    }
    lua_pushboolean(L, has_null);
    return 2;
}

/* nil, sentence, name */
static int push_failure(lua_State *L, enum peri_err err, const struct peri_fault *fault) {
    lua_pushnil(L);
    lua_pushstring(L, fault->text);
    lua_pushstring(L, peri_err_name(err));
    return 3;
}

/* A document of our own, in a box on the top. */
static enum peri_err push_document(lua_State *L, struct peri_str text, bool keeps_text,
                                   struct peri_fault *fault) {
    const struct peri_json_options options = {
        .keeps_text = keeps_text, .edit_bytes = 16777216, .may_go_on = peri_json_has_time, .arg = L
    };
    struct peri_json *j;
    peri_json_charge(L, text.n);
    struct peri_json_box *box = peri_json_push_box(L);
    enum peri_err err = peri_json_parse(&j, text, &options, fault);
    if (err == PERI_ENOMEM) { /* what the collector has not looked at may be a lot */
        lua_gc(L, LUA_GCCOLLECT);
        err = peri_json_parse(&j, text, &options, fault);
    }
    if (err == PERI_EBUDGET) peri_json_charge(L, 0); /* raises */
    if (err != PERI_OK) {
        lua_pop(L, 1);
        return err;
    }
    peri_json_box_fill(box, j, true);
    peri_json_box_account(L, box);
    return PERI_OK;
}

static int json_document(lua_State *L) {
    struct peri_fault fault;
    struct peri_str text = peri_check_str(L, 1);
    enum peri_err err = push_document(L, text, true, &fault);
    if (err != PERI_OK) return push_failure(L, err, &fault);
    struct peri_json_box *box = lua_touserdata(L, -1);
    if (!peri_json_push_scalar(L, box->j, peri_json_root(box->j)))
        peri_json_push_node(L, -1, peri_json_root(box->j));
    return 1;
}

static enum peri_err decode(lua_State *L, struct peri_str text, bool drops_null,
                            struct peri_fault *fault) {
    enum peri_err err = push_document(L, text, false, fault);
    if (err != PERI_OK) return err;
    struct peri_json_box *box = lua_touserdata(L, -1);
    peri_json_push_plain(L, box->j, peri_json_root(box->j), drops_null);
    peri_json_box_let_go(box);
    lua_remove(L, -2);
    return PERI_OK;
}

enum peri_err peri_bind_json_decode(lua_State *L, struct peri_str text, struct peri_fault *fault) {
    return decode(L, text, false, fault);
}

/* { nulls = false } */
static bool check_drops_null(lua_State *L, int arg, const char *function) {
    static const struct peri_option options[] = { { "nulls", PERI_OPTION_FLAG, 0, 0 } };
    lua_settop(L, arg);
    peri_options_take(L, arg, function, options, 1);
    return !peri_options_flag(L, arg, "nulls", true);
}

static int json_decode(lua_State *L) {
    struct peri_fault fault;
    struct peri_str text = peri_check_str(L, 1);
    enum peri_err err = decode(L, text, check_drops_null(L, 2, "json.decode"), &fault);
    return err == PERI_OK ? 1 : push_failure(L, err, &fault);
}

void peri_bind_json_encode(lua_State *L, int index) {
    index = lua_absindex(L, index);
    struct peri_buf *b = peri_json_push_buf(L);
    peri_json_add_value(L, index, b);
    peri_json_charge(L, b->n);
    lua_pushlstring(L, b->p, b->n);
    lua_closeslot(L, -2);
    lua_remove(L, -2);
}

static int json_encode(lua_State *L) {
    luaL_checkany(L, 1);
    peri_bind_json_encode(L, 1);
    return 1;
}

/* Bytes of a part, good enough for charging. */
static size_t length(const struct peri_json *j, uint32_t node) {
    struct peri_str raw = peri_json_raw(j, node);
    return raw.p == NULL ? peri_json_memory(j) : raw.n;
}

static int json_table(lua_State *L) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_node(L, 1, &j);
    peri_json_charge(L, length(j, n->at));
    peri_json_push_plain(L, j, n->at, check_drops_null(L, 2, "json.table"));
    return 1;
}

static int json_kind(lua_State *L) {
    enum peri_json_kind kind;
    if (peri_json_kind_of(L, 1, &kind))
        lua_pushstring(L, peri_json_kind_name(kind));
    else
        lua_pushnil(L);
    return 1;
}

/* Up to the first byte that decides it: the text itself is not made. */
static bool has_text(struct peri_str raw) {
    for (size_t i = 1; i + 1 < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (c == '\\' && (raw.p[i + 1] == 'n' || raw.p[i + 1] == 't' || raw.p[i + 1] == 'r'))
            i++;
        else if (c != ' ')
            return c != '\\' && c < 0x80;
    }
    return false;
}

static int json_has_text(lua_State *L) {
    struct peri_json *j;
    uint32_t node, at = PERI_JSON_NONE;
    luaL_checktype(L, 2, LUA_TSTRING);
    if (peri_bind_json_test(L, 1, &j, &node)) at = peri_json_get(j, node, peri_to_str(L, 2));
    bool is_string = at != PERI_JSON_NONE && peri_json_kind(j, at) == PERI_JSON_STRING;
    lua_pushboolean(L, is_string && has_text(peri_json_raw(j, at)));
    return 1;
}

/* How deep brackets nest in a valid JSON text. */
static lua_Integer depth_of(struct peri_str text) {
    lua_Integer depth = 0, most = 0;
    bool is_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (is_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                is_string = false;
        } else if (c == '"') {
            is_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > most) most = depth;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return most;
}

static int json_depth(lua_State *L) {
    peri_json_push_text(L); /* charges the budget for its bytes */
    lua_pushinteger(L, depth_of(peri_to_str(L, -1)));
    return 1;
}

static int json_len(lua_State *L) {
    if (lua_type(L, 1) != LUA_TTABLE) return peri_json_push_count(L);
    lua_Integer n = 0;
    peri_frozen_open(L, 1);
    struct peri_json_pace pace = peri_json_pace(L);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1), n++) peri_pace_add(&pace.pace, 1);
    lua_pushinteger(L, n);
    return 1;
}

static int insert(lua_State *L, lua_Integer place, int value) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_kind(L, 1, &j, PERI_JSON_ARRAY);
    struct peri_json_written w = { .json = { NULL, 0 } };
    peri_json_write_value(L, value, &w);
    peri_json_check_room(L, &w);
    peri_json_finish(L, n, &w, peri_json_insert(j, n->at, (size_t)place - 1, w.json, NULL));
    return 0;
}

static int json_append(lua_State *L) {
    luaL_checkany(L, 2);
    return insert(L, LUA_MAXINTEGER, 2);
}

static int json_insert(lua_State *L) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_kind(L, 1, &j, PERI_JSON_ARRAY);
    if (lua_gettop(L) < 3) return json_append(L);
    lua_Integer place = luaL_checkinteger(L, 2);
    luaL_argcheck(L, place >= 1 && (size_t)place <= peri_json_count(j, n->at) + 1, 2,
                  "no place in this array");
    return insert(L, place, 3);
}

static int json_remove(lua_State *L) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_kind(L, 1, &j, PERI_JSON_ARRAY);
    lua_Integer place = luaL_optinteger(L, 2, (lua_Integer)peri_json_count(j, n->at));
    uint32_t at = place < 1 ? PERI_JSON_NONE : peri_json_at(j, n->at, (size_t)place - 1);
    luaL_argcheck(L, at != PERI_JSON_NONE, 2, "no element there");
    struct peri_json_written w = { .json = { NULL, 0 } };
    peri_json_finish(L, n, &w, peri_json_remove(j, at));
    return 0;
}

/* Document and node of any value: a plain one becomes a document first, whose box is left on the stack. */
static uint32_t as_node(lua_State *L, int arg, struct peri_json **j) {
    uint32_t node;
    struct peri_fault fault;
    if (peri_bind_json_test(L, arg, j, &node)) return node;
    luaL_checkany(L, arg);
    struct peri_buf *b = peri_json_push_buf(L);
    peri_json_add_value(L, arg, b);
    if (push_document(L, peri_buf_str(b), false, &fault) != PERI_OK)
        luaL_argerror(L, arg, fault.text);
    *j = ((struct peri_json_box *)lua_touserdata(L, -1))->j;
    return peri_json_root(*j);
}

static int json_same(lua_State *L) {
    struct peri_json *a, *b;
    lua_settop(L, 2);
    uint32_t in_a = as_node(L, 1, &a), in_b = as_node(L, 2, &b);
    struct peri_arena *arena = peri_json_push_arena(L);
    struct peri_json_pace pace = peri_json_pace(L);
    lua_pushboolean(L, peri_json_equal_paced(a, in_a, b, in_b, arena, &pace.pace));
    return 1;
}

static int mark(lua_State *L, enum peri_json_key key) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_argcheck(L, !peri_frozen_is_view(L, 1), 1, "a module's table is read-only");
    bool has_other = lua_getmetatable(L, 1) && !peri_json_is_kept_type(L, 1, PERI_JSON_KEY_ARRAY) &&
                     !peri_json_is_kept_type(L, 1, PERI_JSON_KEY_OBJECT);
    luaL_argcheck(L, !has_other, 1, "a table without a metatable expected");
    lua_settop(L, 1);
    peri_json_push_kept(L, key);
    lua_setmetatable(L, 1);
    return 1;
}

static int json_array(lua_State *L) { return mark(L, PERI_JSON_KEY_ARRAY); }
static int json_object(lua_State *L) { return mark(L, PERI_JSON_KEY_OBJECT); }

void peri_bind_json_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = {
        { "append", json_append },
        { "array", json_array },
        { "decode", json_decode },
        { "depth", json_depth },
        { "document", json_document },
        { "encode", json_encode },
        { "has_text", json_has_text },
        { "insert", json_insert },
        { "kind", json_kind },
        { "len", json_len },
        { "members", json_members },
        { "object", json_object },
        { "remove", json_remove },
        { "same", json_same },
        { "table", json_table },
        { "text", peri_json_push_text },
        { NULL, NULL },
    };
    peri_json_value_open(L);
    peri_json_node_open(L);
    peri_json_box_open(L, s);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, peri_json_key(PERI_JSON_KEY_DOCUMENTS));
    luaL_newlib(L, functions);
    peri_json_push_null(L);
    lua_setfield(L, -2, "null");
}
