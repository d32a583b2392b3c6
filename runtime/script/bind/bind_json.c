#include "script/bind/bind_json.h"

#include "base/json_edit.h"
#include "script/bind/json_box.h"
#include "script/bind/json_value.h"
#include "script/state/frozen.h"
#include "script/state/options.h"

/* A proxy. The box is its user value, so the pointer is good as long as the proxy. */
struct node {
    struct peri_json_box *box;
    uint32_t at;
};

/* Proxy of a node; the box is at `index`. */
static void push_node(lua_State *L, int index, uint32_t at) {
    index = lua_absindex(L, index);
    struct node *n = lua_newuserdatauv(L, sizeof *n, 1);
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
    push_node(L, -1, node);
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

static struct peri_json *live(lua_State *L, const struct node *n) {
    if (n->box->j == NULL) luaL_error(L, "document is gone");
    if (!peri_json_is_live(n->box->j, n->at))
        luaL_error(L, "this part of the document was removed or replaced");
    return n->box->j;
}

bool peri_bind_json_test(lua_State *L, int index, struct peri_json **j, uint32_t *node) {
    if (lua_type(L, index) != LUA_TUSERDATA ||
        !peri_json_is_kept_type(L, index, PERI_JSON_KEY_NODE))
        return false;
    const struct node *n = lua_touserdata(L, index);
    *j = live(L, n);
    *node = n->at;
    return true;
}

static struct node *check_node(lua_State *L, int arg, struct peri_json **j) {
    if (lua_type(L, arg) != LUA_TUSERDATA || !peri_json_is_kept_type(L, arg, PERI_JSON_KEY_NODE))
        luaL_typeerror(L, arg, "part of a JSON document");
    struct node *n = lua_touserdata(L, arg);
    *j = live(L, n);
    return n;
}

static struct node *check_kind(lua_State *L, int arg, struct peri_json **j,
                               enum peri_json_kind kind) {
    struct node *n = check_node(L, arg, j);
    if (peri_json_kind(*j, n->at) != kind)
        luaL_argerror(L, arg,
                      kind == PERI_JSON_ARRAY ? "a JSON array expected" : "a JSON object expected");
    return n;
}

static struct peri_str to_str(lua_State *L, int index) {
    struct peri_str s;
    s.p = lua_tolstring(L, index, &s.n);
    return s;
}

/* A child's value; `arg` is the proxy it belongs to. */
static void push_child(lua_State *L, int arg, struct peri_json *j, uint32_t at) {
    if (peri_json_push_scalar(L, j, at)) return;
    lua_getiuservalue(L, arg, 1);
    push_node(L, -1, at);
    lua_remove(L, -2);
}

/* ---- writing ---- */

/* JSON text of a Lua value, for one edit. Text that Lua does not hold is freed by written(), and between the two
 * nothing may raise. */
struct written {
    struct peri_str json;
    struct peri_buf buf;
    char room[PERI_JSON_INT_MAX];
};

static void write_value(lua_State *L, int index, struct written *w) {
    struct peri_json *j;
    uint32_t node;
    int type = lua_type(L, index);
    peri_buf_init(&w->buf, 0);
    if (type == LUA_TSTRING) {
        peri_buf_add_json(&w->buf, to_str(L, index));
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

static void finish(lua_State *L, const struct node *n, struct written *w, enum peri_err err) {
    if (w->buf.err != PERI_OK) err = w->buf.err;
    peri_buf_done(&w->buf);
    if (err == PERI_ETOOBIG) luaL_error(L, "the document would outgrow its limits");
    if (err != PERI_OK) luaL_error(L, "%s", peri_err_text(err));
    peri_json_box_account(L, n->box);
    peri_json_charge(L, w->json.n);
}

void peri_bind_json_guard(lua_State *L, int index, const struct peri_json_guard *guards) {
    if (!peri_json_is_kept_type(L, index, PERI_JSON_KEY_NODE)) return; /* a text, a number … */
    ((struct node *)lua_touserdata(L, index))->box->guards = guards;
}

/* stack: proxy name value. Writing again what stands there, or another way to say no, is no change. */
static void check_guards(lua_State *L, struct peri_json *j, const struct node *n) {
    for (const struct peri_json_guard *g = n->box->guards; g->name != NULL; g++) {
        if (strcmp(lua_tostring(L, 2), g->name) != 0) continue;
        uint32_t at = peri_json_get(j, n->at, to_str(L, 2));
        bool is_text = at != PERI_JSON_NONE && peri_json_kind(j, at) == PERI_JSON_STRING;
        bool is_same = lua_type(L, 3) == LUA_TSTRING
                           ? is_text && peri_json_string_is(j, at, to_str(L, 3))
                           : !is_text && peri_json_is_true(j, at) ==
                                             (lua_isboolean(L, 3) && lua_toboolean(L, 3));
        if (!is_same) luaL_error(L, "%s", g->sentence);
    }
}

/* What is written takes the memory of its text and some bytes a value. */
static void check_room(lua_State *L, struct written *w) {
    if (peri_json_may_grow(L, w->json.n)) return;
    peri_buf_done(&w->buf);
    peri_json_refuse_room(L);
}

static void set_member(lua_State *L, struct peri_json *j, struct node *n) {
    if (lua_type(L, 2) != LUA_TSTRING)
        luaL_error(L, "the name of a member must be a string, got a %s", luaL_typename(L, 2));
    struct peri_str name = to_str(L, 2);
    if (n->box->guards != NULL && n->at == peri_json_root(j)) check_guards(L, j, n);
    struct written w = { .json = { NULL, 0 } };
    enum peri_err err;
    if (lua_isnil(L, 3)) {
        err = peri_json_unset(j, n->at, name);
    } else {
        write_value(L, 3, &w);
        check_room(L, &w);
        err = peri_json_set(j, n->at, name, w.json, NULL);
    }
    finish(L, n, &w, err);
}

static void set_element(lua_State *L, struct peri_json *j, struct node *n) {
    lua_Integer i = 0, count = (lua_Integer)peri_json_count(j, n->at);
    int is_integer = 0;
    if (lua_type(L, 2) == LUA_TNUMBER) i = lua_tointegerx(L, 2, &is_integer);
    if (!is_integer || i < 1 || i > count + 1)
        luaL_error(L, "an array of %I elements has no place '%s'", count,
                   luaL_tolstring(L, 2, NULL));
    struct written w = { .json = { NULL, 0 } };
    enum peri_err err = PERI_OK;
    uint32_t at = peri_json_at(j, n->at, (size_t)i - 1);
    if (lua_isnil(L, 3)) {
        if (i < count)
            luaL_error(L, "only the last element can be set to nil: use peri.json.remove");
        if (i == count) err = peri_json_remove(j, at);
    } else {
        write_value(L, 3, &w);
        check_room(L, &w);
        err = at == PERI_JSON_NONE ? peri_json_insert(j, n->at, SIZE_MAX, w.json, NULL)
                                   : peri_json_replace(j, at, w.json, NULL);
    }
    finish(L, n, &w, err);
}

static int node_newindex(lua_State *L) {
    struct peri_json *j;
    struct node *n = check_node(L, 1, &j);
    if (peri_json_kind(j, n->at) == PERI_JSON_OBJECT)
        set_member(L, j, n);
    else
        set_element(L, j, n);
    return 0;
}

/* ---- reading ---- */

static int json_text(lua_State *L) {
    struct peri_json *j;
    struct node *n = check_node(L, 1, &j);
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
    struct node *n = check_node(L, 1, &j);
    uint32_t at = PERI_JSON_NONE;
    int is_integer;
    if (lua_type(L, 2) == LUA_TSTRING) {
        at = peri_json_get(j, n->at, to_str(L, 2));
        if (at == PERI_JSON_NONE && n->at == peri_json_root(j) &&
            peri_str_eq(to_str(L, 2), PERI_STR("text"))) {
            lua_pushcfunction(L, json_text);
            return 1;
        }
    } else if (lua_type(L, 2) == LUA_TNUMBER) {
        lua_Integer i = lua_tointegerx(L, 2, &is_integer);
        if (is_integer && i >= 1) at = peri_json_at(j, n->at, (size_t)i - 1);
    }
    if (at == PERI_JSON_NONE) return 0;
    push_child(L, 1, j, at);
    return 1;
}

static int node_len(lua_State *L) {
    struct peri_json *j;
    struct node *n = check_node(L, 1, &j);
    lua_pushinteger(L, (lua_Integer)peri_json_count(j, n->at));
    return 1;
}

static int node_eq(lua_State *L) {
    for (int arg = 1; arg <= 2; arg++)
        if (!lua_isuserdata(L, arg) || !peri_json_is_kept_type(L, arg, PERI_JSON_KEY_NODE))
            return 0;
    const struct node *a = lua_touserdata(L, 1), *b = lua_touserdata(L, 2);
    lua_pushboolean(L, a->box == b->box && a->at == b->at);
    return 1;
}

static int node_tostring(lua_State *L) {
    const struct node *n = lua_touserdata(L, 1);
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
    check_node(L, 1, &j);
    struct peri_json_iter *it = lua_touserdata(L, lua_upvalueindex(2));
    if (!peri_json_next(j, it)) return 0;
    if (it->name == PERI_JSON_NONE)
        lua_pushinteger(L, (lua_Integer)it->place);
    else
        peri_json_push_string(L, peri_json_raw(j, it->name));
    push_child(L, 1, j, it->value);
    return 2;
}

static int node_pairs(lua_State *L) {
    struct peri_json *j;
    struct node *n = check_node(L, 1, &j);
    lua_pushvalue(L, 1);
    struct peri_json_iter *it = lua_newuserdatauv(L, sizeof *it, 0);
    *it = peri_json_iter(j, n->at);
    lua_pushcclosure(L, walk_next, 2);
    lua_pushvalue(L, 1);
    return 2;
}

/* ---- the functions of peri.json ---- */

static int json_members(lua_State *L) {
    struct peri_json *j;
    struct node *n = check_kind(L, 1, &j, PERI_JSON_OBJECT);
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
        push_child(L, 1, j, it.value);
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
    const struct peri_json_options options = { .keeps_text = keeps_text, .edit_bytes = 16777216 };
    struct peri_json *j;
    peri_json_charge(L, text.n);
    struct peri_json_box *box = peri_json_push_box(L);
    enum peri_err err = peri_json_parse(&j, text, &options, fault);
    if (err == PERI_ENOMEM) { /* what the collector has not looked at may be a lot */
        lua_gc(L, LUA_GCCOLLECT);
        err = peri_json_parse(&j, text, &options, fault);
    }
    if (err != PERI_OK) {
        lua_pop(L, 1);
        return err;
    }
    peri_json_box_fill(box, j, true);
    peri_json_box_account(L, box);
    return PERI_OK;
}

static struct peri_str check_str(lua_State *L, int arg) {
    struct peri_str s;
    s.p = luaL_checklstring(L, arg, &s.n);
    return s;
}

static int json_document(lua_State *L) {
    struct peri_fault fault;
    struct peri_str text = check_str(L, 1);
    enum peri_err err = push_document(L, text, true, &fault);
    if (err != PERI_OK) return push_failure(L, err, &fault);
    struct peri_json_box *box = lua_touserdata(L, -1);
    if (!peri_json_push_scalar(L, box->j, peri_json_root(box->j)))
        push_node(L, -1, peri_json_root(box->j));
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
    struct peri_str text = check_str(L, 1);
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
    struct node *n = check_node(L, 1, &j);
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
    if (peri_bind_json_test(L, 1, &j, &node)) at = peri_json_get(j, node, to_str(L, 2));
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
    json_text(L); /* charges the budget for its bytes */
    lua_pushinteger(L, depth_of(to_str(L, -1)));
    return 1;
}

static int json_len(lua_State *L) {
    if (lua_type(L, 1) != LUA_TTABLE) return node_len(L);
    lua_Integer n = 0;
    peri_frozen_open(L, 1);
    struct peri_json_pace pace = peri_json_pace(L);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1), n++) peri_pace_add(&pace.pace, 1);
    lua_pushinteger(L, n);
    return 1;
}

static int insert(lua_State *L, lua_Integer place, int value) {
    struct peri_json *j;
    struct node *n = check_kind(L, 1, &j, PERI_JSON_ARRAY);
    struct written w = { .json = { NULL, 0 } };
    write_value(L, value, &w);
    check_room(L, &w);
    finish(L, n, &w, peri_json_insert(j, n->at, (size_t)place - 1, w.json, NULL));
    return 0;
}

static int json_append(lua_State *L) {
    luaL_checkany(L, 2);
    return insert(L, LUA_MAXINTEGER, 2);
}

static int json_insert(lua_State *L) {
    struct peri_json *j;
    struct node *n = check_kind(L, 1, &j, PERI_JSON_ARRAY);
    if (lua_gettop(L) < 3) return json_append(L);
    lua_Integer place = luaL_checkinteger(L, 2);
    luaL_argcheck(L, place >= 1 && (size_t)place <= peri_json_count(j, n->at) + 1, 2,
                  "no place in this array");
    return insert(L, place, 3);
}

static int json_remove(lua_State *L) {
    struct peri_json *j;
    struct node *n = check_kind(L, 1, &j, PERI_JSON_ARRAY);
    lua_Integer place = luaL_optinteger(L, 2, (lua_Integer)peri_json_count(j, n->at));
    uint32_t at = place < 1 ? PERI_JSON_NONE : peri_json_at(j, n->at, (size_t)place - 1);
    luaL_argcheck(L, at != PERI_JSON_NONE, 2, "no element there");
    struct written w = { .json = { NULL, 0 } };
    finish(L, n, &w, peri_json_remove(j, at));
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
    static const luaL_Reg node[] = { { "__index", node_index },
                                     { "__newindex", node_newindex },
                                     { "__len", node_len },
                                     { "__pairs", node_pairs },
                                     { "__eq", node_eq },
                                     { "__tostring", node_tostring },
                                     { NULL, NULL } };
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
        { "text", json_text },
        { NULL, NULL },
    };
    peri_json_value_open(L);
    peri_json_keep_type(L, PERI_JSON_KEY_NODE, "perilune.json", node);
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
