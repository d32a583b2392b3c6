#include "script/bind/json_box.h"

#include <lualib.h>

#include "base/json_edit.h"
#include "script/bind/bind_json.h"
#include "script/state/testing.h"

/* ---- memory ---- */

static int open_json(lua_State *L) {
    luaL_openlibs(L);
    peri_bind_json_open(L, NULL);
    lua_setglobal(L, "json");
    return 0;
}

static lua_State *new_state(void) {
    lua_State *L = luaL_newstate();
    lua_pushcfunction(L, open_json);
    CHECK_EQ(lua_pcall(L, 0, 0, 0), LUA_OK);
    return L;
}

static const char *says(lua_State *L, const char *chunk) {
    lua_settop(L, 0);
    if (luaL_dostring(L, chunk) == LUA_OK && lua_gettop(L) == 0) return "";
    return lua_tostring(L, -1);
}

static bool is_refused(lua_State *L, const char *chunk) {
    return strstr(says(L, chunk), "documents hold more than 67108864 bytes") != NULL;
}

static struct peri_json *parse(const char *text) {
    struct peri_json *j = NULL;
    CHECK_EQ(peri_json_parse(&j, peri_str_of(text), NULL, NULL), PERI_OK);
    return j;
}

static int push(lua_State *L) {
    peri_bind_json_push(L, lua_touserdata(L, 1));
    lua_setglobal(L, "body");
    return 0;
}

static void give(lua_State *L, struct peri_json *j) {
    lua_pushcfunction(L, push);
    lua_pushlightuserdata(L, j);
    CHECK_EQ(lua_pcall(L, 1, 0, 0), LUA_OK);
}

static const char edits[] = "s = s or ('x'):rep(3000000)\n"
                            "for i = 1, 180 do body.a = { s } end";

TEST(json_box_counts_what_scripts_add_to_a_document_of_c) {
    lua_State *L = new_state();
    for (int round = 0; round < 3; round++) {
        struct peri_json *j = parse("{\"a\":1}");
        give(L, j);
        CHECK(is_refused(L, edits));
        CHECK(peri_json_memory(j) < 67108864 + 4000000);
        CHECK(peri_json_held(L) > 60000000);
        /* a new box does not begin anew */
        CHECK_STR(peri_str_of(says(L, "body = nil collectgarbage() collectgarbage()")), "");
        CHECK(peri_json_held(L) > 60000000);
        give(L, j);
        CHECK(is_refused(L, edits));
        CHECK(peri_json_memory(j) < 67108864 + 4000000);
        peri_json_free(j);
        CHECK_EQ(peri_json_held(L), 0);
    }
    lua_close(L);
}

TEST(json_box_counts_documents_of_both_kinds_together) {
    lua_State *L = new_state();
    struct peri_json *j = parse("{}"), *other = parse("{}");
    give(L, j);
    CHECK_STR(peri_str_of(says(L, "s = ('x'):rep(3000000) for i = 1, 11 do body.a = s end")), "");
    size_t held = peri_json_held(L);
    CHECK(held > 30000000 && held < 40000000);
    give(L, other);
    CHECK_STR(peri_str_of(says(L, "for i = 1, 11 do body.a = s end")), "");
    CHECK(is_refused(L, "d = json.document(json.encode { s:rep(2) })"));
    peri_json_free(j);
    CHECK_STR(peri_str_of(says(L, "d = json.document(json.encode { s:rep(2) })")), "");
    CHECK_STR(peri_str_of(says(L, "d = nil collectgarbage() collectgarbage()")), "");
    CHECK_EQ(peri_json_held(L), held);
    lua_close(L); /* before the document: what is left of it is forgotten */
    CHECK_EQ(peri_json_set_int(other, 0, PERI_STR("b"), 1), PERI_OK);
    peri_json_free(other);
}

TEST(json_box_counts_nothing_for_who_only_reads) {
    lua_State *L = new_state();
    struct peri_json *j = parse("{\"a\":[1,2,3],\"b\":\"x\"}");
    give(L, j);
    CHECK_STR(peri_str_of(says(L, "for k, v in pairs(body) do assert(k and v) end "
                                  "assert(#body.a == 3 and json.text(body) and json.table(body))")),
              "");
    CHECK_EQ(peri_json_held(L), 0);
    peri_json_free(j);
    lua_close(L);
}

/* The document read bytes that are gone: a box that was forgotten, or whose document ended, looks at neither. */
TEST(json_box_is_empty_before_the_bytes_of_its_document_go) {
    for (int ends = 0; ends < 2; ends++) {
        lua_State *L = new_state();
        char *bytes = strdup("{\"a\":{\"b\":[\"text\",1]},\"c\":\"more text\"}");
        struct peri_json *j = parse(bytes);
        give(L, j);
        CHECK_STR(
            peri_str_of(says(L, "a, b = body.a, body.a.b step = pairs(body) step() body.d = a")),
            "");
        if (ends)
            peri_json_free(j);
        else
            peri_bind_json_forget(L, j);
        memset(bytes, 'x', strlen(bytes));
        free(bytes);
        CHECK_STR(
            peri_str_of(says(
                L, "for _, f in ipairs { function() return a.b end, function() return b[1] end,\n"
                   "  function() return #b end, function() return step() end,\n"
                   "  function() a.x = 1 end, function() return pairs(a) end,\n"
                   "  function() return json.text(a) end, function() return json.table(a) end,\n"
                   "  function() return json.same(a, a) end, function() return json.encode { a } "
                   "end,\n"
                   "  function() json.append(b, 1) end, function() json.insert(b, 1, 1) end,\n"
                   "  function() json.remove(b) end, function() return json.len(b) end,\n"
                   "  function() return json.members(a) end, function() return json.depth(a) end,\n"
                   "  function() return json.kind(a) end, function() return json.has_text(a, 'b') "
                   "end\n"
                   "} do\n"
                   "  local ok, why = pcall(f)\n"
                   "  assert(not ok and why:find 'document is gone', tostring(why))\n"
                   "end\n"
                   "assert(tostring(a) == 'json (gone)' and a ~= b)")),
            "");
        if (!ends) peri_json_free(j);
        lua_close(L);
    }
}

/* ---- work ---- */

TEST(json_box_charges_one_call_while_it_works) {
    static const char *const calls[] = {
        "json.table(doc)",
        "json.same(doc, json.document(text))",
        "json.encode(list)",
        "json.same(list, 1)",
        "json.document('{}').a = list",
        "json.len(list)",
        "json.members(json.document(named))",
        "json.encode(names)",
        "json.decode(text)",
        "json.encode(shared)",
        "json.same(shared, shared)",
        "json.document('{}').a = shared",
    };
    static const char head[] =
        "local json = require('perilune').json\n"
        "local text = '[' .. ('1,'):rep(150000) .. '1]'\n"
        "local named = '{' .. ('\"a\":1,'):rep(150000) .. '\"b\":1}'\n"
        "local doc = json.document(text)\n"
        "local list, names, shared = table.pack(('x'):rep(100000):byte(1, -1)), {}, { 1 }\n"
        "list.n = nil\n"
        "for i = 1, 20000 do names['k' .. i] = i end\n"
        "for i = 1, 40 do shared = { shared, shared } end\n";
    struct peri_state_options options = script_options;
    options.entry = (struct peri_budget_limits){ .steps = 400000, .is_counted = true };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct peri_state *s;
        CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
        char text[1024];
        snprintf(text, sizeof text,
                 "%slocal ok, why = pcall(function() for _ = 1, 5 do %s%s end end)\n"
                 "return tostring(why)",
                 head, strchr(calls[i], '=') != NULL ? "" : "local _ = ", calls[i]);
        struct peri_str got = script_says(s, text);
        bool is_stopped =
            got.n > 8 && got.p[0] == '!' && strstr(got.p, "used up its budget") != NULL;
        if (!is_stopped) fprintf(stderr, "%s: %.*s\n", calls[i], PERI_STR_ARGS(got));
        CHECK(is_stopped);
        peri_state_free(s);
    }
}
