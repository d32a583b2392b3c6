#include "script/bind/json_node.h"

#include "base/json_edit.h"
#include "script/bind/bind_json.h"
#include "script/bind/json_value.h"
#include "script/state/lua_str.h"

/* Proxy of a node; the box is at `index`. */
void peri_json_push_node(lua_State *L, int index, uint32_t at) {
    index = lua_absindex(L, index);
    struct peri_json_node *n = lua_newuserdatauv(L, sizeof *n, 1);
    n->box = lua_touserdata(L, index);
    n->at = at;
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    peri_json_push_kept(L, PERI_JSON_KEY_NODE);
    lua_setmetatable(L, -2);
}

void peri_bind_json_push_node(lua_State *L, struct peri_json *j, uint32_t node) {
    if (peri_json_push_scalar(L, j, node)) return;
    peri_json_push_kept(L, PERI_JSON_KEY_DOCUMENTS);
    lua_rawgetp(L, -1, j);
    struct peri_json_box *box = lua_touserdata(L, -1);
    if (box == NULL ||
        box->j != j) { /* none yet, or of a document that stood at that address before */
        lua_pop(L, 1);
        box = peri_json_push_box(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, -3, j);
        peri_json_box_fill(box, j, false);
    }
    peri_json_push_node(L, -1, node);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

void peri_bind_json_push(lua_State *L, struct peri_json *j) {
    peri_bind_json_push_node(L, j, peri_json_root(j));
}

void peri_bind_json_forget(lua_State *L, struct peri_json *j) {
    if (!lua_checkstack(L, 2)) return;
    if (peri_json_push_kept(L, PERI_JSON_KEY_DOCUMENTS) == LUA_TTABLE) {
        lua_rawgetp(L, -1, j);
        struct peri_json_box *box = lua_touserdata(L, -1);
        if (box != NULL && box->j == j) peri_json_box_let_go(box);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static struct peri_json *live(lua_State *L, const struct peri_json_node *n) {
    if (n->box->j == NULL) luaL_error(L, "document is gone");
    if (!peri_json_is_live(n->box->j, n->at))
        luaL_error(L, "this part of the document was removed or replaced");
    return n->box->j;
}

bool peri_bind_json_test(lua_State *L, int index, struct peri_json **j, uint32_t *node) {
    if (lua_type(L, index) != LUA_TUSERDATA ||
        !peri_json_is_kept_type(L, index, PERI_JSON_KEY_NODE))
        return false;
    const struct peri_json_node *n = lua_touserdata(L, index);
    *j = live(L, n);
    *node = n->at;
    return true;
}

struct peri_json_node *peri_json_check_node(lua_State *L, int arg, struct peri_json **j) {
    if (lua_type(L, arg) != LUA_TUSERDATA || !peri_json_is_kept_type(L, arg, PERI_JSON_KEY_NODE))
        luaL_typeerror(L, arg, "part of a JSON document");
    struct peri_json_node *n = lua_touserdata(L, arg);
    *j = live(L, n);
    return n;
}

struct peri_json_node *peri_json_check_kind(lua_State *L, int arg, struct peri_json **j,
                                            enum peri_json_kind kind) {
    struct peri_json_node *n = peri_json_check_node(L, arg, j);
    if (peri_json_kind(*j, n->at) != kind)
        luaL_argerror(L, arg,
                      kind == PERI_JSON_ARRAY ? "a JSON array expected" : "a JSON object expected");
    return n;
}

/* A child's value; `arg` is the proxy it belongs to. */
void peri_json_push_child(lua_State *L, int arg, struct peri_json *j, uint32_t at) {
    if (peri_json_push_scalar(L, j, at)) return;
    lua_getiuservalue(L, arg, 1);
    peri_json_push_node(L, -1, at);
    lua_remove(L, -2);
}

/* ---- writing ---- */

void peri_json_write_value(lua_State *L, int index, struct peri_json_written *w) {
    struct peri_json *j;
    uint32_t node;
    int type = lua_type(L, index);
    peri_buf_init(&w->buf, 0);
    if (type == LUA_TSTRING) {
        peri_buf_add_json(&w->buf, peri_to_str(L, index));
    } else if (lua_isinteger(L, index)) {
        w->json = peri_json_int_text(w->room, lua_tointeger(L, index));
        return;
    } else if (type == LUA_TUSERDATA && peri_bind_json_test(L, index, &j, &node)) {
        peri_json_add_node(&w->buf, j, node);
    } else {
        struct peri_buf *b = peri_json_push_buf(L); /* stays on the stack until the edit is done */
        peri_json_add_value(L, index, b);
        w->json = peri_buf_str(b);
        return;
    }
    if (w->buf.err == PERI_OK) w->json = peri_buf_str(&w->buf);
}

void peri_json_finish(lua_State *L, const struct peri_json_node *n, struct peri_json_written *w,
                      enum peri_err err) {
    if (w->buf.err != PERI_OK) err = w->buf.err;
    peri_buf_done(&w->buf);
    if (err == PERI_ETOOBIG) luaL_error(L, "the document would outgrow its limits");
    if (err != PERI_OK) luaL_error(L, "%s", peri_err_text(err));
    peri_json_box_account(L, n->box);
    peri_json_charge(L, w->json.n);
}

void peri_bind_json_guard(lua_State *L, int index, const struct peri_json_guard *guards) {
    if (!peri_json_is_kept_type(L, index, PERI_JSON_KEY_NODE)) return; /* a text, a number … */
    ((struct peri_json_node *)lua_touserdata(L, index))->box->guards = guards;
}

/* stack: proxy name value. Writing again what stands there, or another way to say no, is no change. */
static void check_guards(lua_State *L, struct peri_json *j, const struct peri_json_node *n) {
    for (const struct peri_json_guard *g = n->box->guards; g->name != NULL; g++) {
        if (strcmp(lua_tostring(L, 2), g->name) != 0) continue;
        uint32_t at = peri_json_get(j, n->at, peri_to_str(L, 2));
        bool is_text = at != PERI_JSON_NONE && peri_json_kind(j, at) == PERI_JSON_STRING;
        bool is_same = lua_type(L, 3) == LUA_TSTRING
                           ? is_text && peri_json_string_is(j, at, peri_to_str(L, 3))
                           : !is_text && peri_json_is_true(j, at) ==
                                             (lua_isboolean(L, 3) && lua_toboolean(L, 3));
        if (!is_same) luaL_error(L, "%s", g->sentence);
    }
}

/* What is written takes the memory of its text and some bytes a value. */
void peri_json_check_room(lua_State *L, struct peri_json_written *w) {
    if (peri_json_may_grow(L, w->json.n)) return;
    peri_buf_done(&w->buf);
    peri_json_refuse_room(L);
}

static void set_member(lua_State *L, struct peri_json *j, struct peri_json_node *n) {
    if (lua_type(L, 2) != LUA_TSTRING)
        luaL_error(L, "the name of a member must be a string, got a %s", luaL_typename(L, 2));
    struct peri_str name = peri_to_str(L, 2);
    if (n->box->guards != NULL && n->at == peri_json_root(j)) check_guards(L, j, n);
    struct peri_json_written w = { .json = { NULL, 0 } };
    enum peri_err err;
    if (lua_isnil(L, 3)) {
        err = peri_json_unset(j, n->at, name);
    } else {
        peri_json_write_value(L, 3, &w);
        peri_json_check_room(L, &w);
        err = peri_json_set(j, n->at, name, w.json, NULL);
    }
    peri_json_finish(L, n, &w, err);
}

static void set_element(lua_State *L, struct peri_json *j, struct peri_json_node *n) {
    lua_Integer i = 0, count = (lua_Integer)peri_json_count(j, n->at);
    int is_integer = 0;
    if (lua_type(L, 2) == LUA_TNUMBER) i = lua_tointegerx(L, 2, &is_integer);
    if (!is_integer || i < 1 || i > count + 1)
        luaL_error(L, "an array of %I elements has no place '%s'", count,
                   luaL_tolstring(L, 2, NULL));
    struct peri_json_written w = { .json = { NULL, 0 } };
    enum peri_err err = PERI_OK;
    uint32_t at = peri_json_at(j, n->at, (size_t)i - 1);
    if (lua_isnil(L, 3)) {
        if (i < count)
            luaL_error(L, "only the last element can be set to nil: use peri.json.remove");
        if (i == count) err = peri_json_remove(j, at);
    } else {
        peri_json_write_value(L, 3, &w);
        peri_json_check_room(L, &w);
        err = at == PERI_JSON_NONE ? peri_json_insert(j, n->at, SIZE_MAX, w.json, NULL)
                                   : peri_json_replace(j, at, w.json, NULL);
    }
    peri_json_finish(L, n, &w, err);
}

static int node_newindex(lua_State *L) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_node(L, 1, &j);
    if (peri_json_kind(j, n->at) == PERI_JSON_OBJECT)
        set_member(L, j, n);
    else
        set_element(L, j, n);
    return 0;
}

/* ---- reading ---- */

int peri_json_push_text(lua_State *L) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_node(L, 1, &j);
    struct peri_buf *b = peri_json_push_buf(L);
    struct peri_str text = peri_json_raw(j, n->at);
    if (n->at == peri_json_root(j)) {
        text = peri_json_text(j, b); /* with the space around it: what goes upstream */
    } else if (text.p == NULL) {
        peri_json_add_node(b, j, n->at);
        text = peri_buf_str(b);
    }
    if (b->err != PERI_OK) return luaL_error(L, "%s", peri_err_text(b->err));
    peri_json_charge(L, text.n);
    lua_pushlstring(L, text.p, text.n);
    lua_closeslot(L, -2);
    return 1;
}

static int node_index(lua_State *L) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_node(L, 1, &j);
    uint32_t at = PERI_JSON_NONE;
    int is_integer;
    if (lua_type(L, 2) == LUA_TSTRING) {
        at = peri_json_get(j, n->at, peri_to_str(L, 2));
        if (at == PERI_JSON_NONE && n->at == peri_json_root(j) &&
            peri_str_eq(peri_to_str(L, 2), PERI_STR("text"))) {
            lua_pushcfunction(L, peri_json_push_text);
            return 1;
        }
    } else if (lua_type(L, 2) == LUA_TNUMBER) {
        lua_Integer i = lua_tointegerx(L, 2, &is_integer);
        if (is_integer && i >= 1) at = peri_json_at(j, n->at, (size_t)i - 1);
    }
    if (at == PERI_JSON_NONE) return 0;
    peri_json_push_child(L, 1, j, at);
    return 1;
}

int peri_json_push_count(lua_State *L) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_node(L, 1, &j);
    lua_pushinteger(L, (lua_Integer)peri_json_count(j, n->at));
    return 1;
}

static int node_eq(lua_State *L) {
    for (int arg = 1; arg <= 2; arg++)
        if (!lua_isuserdata(L, arg) || !peri_json_is_kept_type(L, arg, PERI_JSON_KEY_NODE))
            return 0;
    const struct peri_json_node *a = lua_touserdata(L, 1), *b = lua_touserdata(L, 2);
    lua_pushboolean(L, a->box == b->box && a->at == b->at);
    return 1;
}

static int node_tostring(lua_State *L) {
    const struct peri_json_node *n = lua_touserdata(L, 1);
    if (n == NULL || !peri_json_is_kept_type(L, 1, PERI_JSON_KEY_NODE) || n->box->j == NULL ||
        !peri_json_is_live(n->box->j, n->at))
        lua_pushliteral(L, "json (gone)");
    else
        lua_pushfstring(L, "json %s", peri_json_kind_name(peri_json_kind(n->box->j, n->at)));
    return 1;
}

/* upvalues: the proxy, the place */
static int walk_next(lua_State *L) {
    struct peri_json *j;
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_replace(L, 1);
    peri_json_check_node(L, 1, &j);
    struct peri_json_iter *it = lua_touserdata(L, lua_upvalueindex(2));
    if (!peri_json_next(j, it)) return 0;
    if (it->name == PERI_JSON_NONE)
        lua_pushinteger(L, (lua_Integer)it->place);
    else
        peri_json_push_string(L, peri_json_raw(j, it->name));
    peri_json_push_child(L, 1, j, it->value);
    return 2;
}

static int node_pairs(lua_State *L) {
    struct peri_json *j;
    struct peri_json_node *n = peri_json_check_node(L, 1, &j);
    lua_pushvalue(L, 1);
    struct peri_json_iter *it = lua_newuserdatauv(L, sizeof *it, 0);
    *it = peri_json_iter(j, n->at);
    lua_pushcclosure(L, walk_next, 2);
    lua_pushvalue(L, 1);
    return 2;
}

void peri_json_node_open(lua_State *L) {
    static const luaL_Reg node[] = { { "__index", node_index },
                                     { "__newindex", node_newindex },
                                     { "__len", peri_json_push_count },
                                     { "__pairs", node_pairs },
                                     { "__eq", node_eq },
                                     { "__tostring", node_tostring },
                                     { NULL, NULL } };
    peri_json_keep_type(L, PERI_JSON_KEY_NODE, "perilune.json", node);
}
