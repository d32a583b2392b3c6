#include "script/bind/bind_json.h"

#include <lauxlib.h>
#include <lualib.h>

#include "base/json_edit.h"
#include "script/state/testing.h"

/* Lua's memory comes through the injected allocator, too. */
static void *allocate(void *arg, void *p, size_t old, size_t n) {
    (void)arg, (void)old;
    if (n > 0) return realloc(p, n);
    free(p);
    return NULL;
}

static int open_json(lua_State *L) {
    luaL_openlibs(L);
    peri_bind_json_open(L, NULL);
    lua_setglobal(L, "json");
    return 0;
}

static lua_State *new_state(void) {
    lua_State *L = lua_newstate(allocate, NULL);
    if (L == NULL) abort();
    lua_pushcfunction(L, open_json);
    CHECK_EQ(lua_pcall(L, 0, 0, 0), LUA_OK);
    return L;
}

static void run(lua_State *L, const char *chunk) {
    if (luaL_dostring(L, chunk) == LUA_OK) return;
    fprintf(stderr, "%s\n%s\n", chunk, lua_tostring(L, -1));
    CHECK(!"the chunk runs");
    lua_pop(L, 1);
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

static void check_text(struct peri_json *j, const char *want) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    CHECK_STR(peri_json_text(j, &b), want);
    peri_buf_done(&b);
}

static const char all_gone[] =
    "local function gone(call, ...) local ok, why = pcall(call, ...);\n"
    "  assert(not ok and why:find('document is gone', 1, true), why) end\n"
    "for _, part in ipairs { root, list } do\n"
    "  gone(function() return part.a end) gone(function() part.a = 1 end) gone(function() return "
    "#part end)\n"
    "  gone(pairs, part) gone(json.text, part) gone(json.encode, { part }) gone(json.table, part)\n"
    "  gone(json.kind, part) gone(json.len, part) gone(json.append, part, 1) gone(json.same, part, "
    "1)\n"
    "  gone(json.insert, part, 1, 1) gone(json.remove, part, 1) gone(json.append, "
    "json.document('[]'), part)\n"
    "  assert(tostring(part) == 'json (gone)' and part == part)\n"
    "end\n"
    "gone(step)\n";

TEST(bind_json_edits_the_document_that_c_owns) {
    lua_State *L = new_state();
    struct peri_json *j = parse("{\"model\":\"m\", \"list\":[1]}");
    give(L, j);
    run(L, "body.model = 'other'; body.list[2] = { x = json.null }; assert(#body.list == 2)");
    check_text(j, "{\"model\":\"other\", \"list\":[1,{\"x\":null}]}");
    CHECK_EQ(peri_json_set_int(j, peri_json_root(j), PERI_STR("n"), 3), PERI_OK);
    run(L, "assert(body.n == 3)");
    peri_json_free(j);
    lua_close(L);
}

TEST(bind_json_proxies_outlive_their_document_harmlessly) {
    lua_State *L = new_state();
    struct peri_json *j = parse("{\"a\":1, \"list\":[1,2]}");
    give(L, j);
    run(L, "root, list = body, body.list; step = pairs(root)");
    peri_json_free(j);
    run(L, all_gone);
    run(L, "body, root, list, step = nil; collectgarbage()");
    lua_close(L);
}

TEST(bind_json_forgets_a_document_that_lives_on) {
    lua_State *L = new_state();
    struct peri_json *j = parse("{\"a\":1, \"list\":[1,2]}");
    give(L, j);
    run(L, "root, list = body, body.list; step = pairs(root); root.a = 2");
    peri_bind_json_forget(L, j);
    peri_bind_json_forget(L, j);
    run(L, all_gone);
    check_text(j, "{\"a\":2, \"list\":[1,2]}");
    give(L, j); /* and can be given again: old proxies stay gone */
    run(L, "assert(body.a == 2 and not pcall(function() return root.a end))");
    peri_json_free(j);
    lua_close(L);
}

TEST(bind_json_lets_the_state_end_first) {
    lua_State *L = new_state(), *other = new_state();
    struct peri_json *j = parse("{\"a\":1}");
    give(L, j);
    give(other, j);
    run(L, "body.a = 2");
    lua_close(L);
    run(other, "assert(body.a == 2)");
    check_text(j, "{\"a\":2}");
    peri_json_free(j);
    run(other, "assert(not pcall(function() return body.a end))");
    lua_close(other);
    lua_State *bare = luaL_newstate();
    peri_bind_json_forget(bare, NULL);
    lua_close(bare);
}

TEST(bind_json_gives_the_same_document_the_same_box) {
    lua_State *L = new_state();
    struct peri_json *j = parse("{\"a\":{}}");
    give(L, j);
    run(L, "first = body");
    give(L, j);
    run(L,
        "assert(first == body and first.a == body.a); first = nil; body = nil; collectgarbage()");
    give(L, j);
    run(L, "assert(#body == 1)");
    peri_json_free(j);
    /* another document, perhaps at the same address */
    j = parse("{\"b\":1,\"c\":2}");
    give(L, j);
    run(L, "assert(body.b == 1 and #body == 2)");
    peri_json_free(j);
    lua_close(L);
}

TEST(bind_json_gives_scalars_as_they_are) {
    lua_State *L = new_state();
    struct peri_json *j = parse("\"a\\n\"");
    give(L, j);
    run(L, "assert(body == 'a\\n')");
    peri_json_free(j);
    lua_close(L);
}

static int encode_twice(lua_State *L) {
    struct peri_json *j;
    uint32_t node;
    struct peri_fault fault;
    CHECK(!peri_bind_json_test(L, 1, &j, &node));
    lua_getglobal(L, "body");
    CHECK(peri_bind_json_test(L, -1, &j, &node));
    CHECK_EQ(node, peri_json_root(j));
    peri_bind_json_encode(L, -1);
    CHECK_STR(peri_str_of(lua_tostring(L, -1)), "[1, 2]");
    CHECK_EQ(lua_gettop(L), 3);
    CHECK_EQ(peri_bind_json_decode(L, PERI_STR("{\"a\":[true]}"), &fault), PERI_OK);
    lua_getfield(L, -1, "a");
    CHECK_EQ(lua_rawlen(L, -1), 1);
    CHECK_EQ(peri_bind_json_decode(L, PERI_STR("{"), &fault), PERI_EMALFORMED);
    CHECK_EQ(lua_gettop(L), 5);
    return 0;
}

TEST(bind_json_serves_other_bindings) {
    lua_State *L = new_state();
    struct peri_json *j = parse("[1, 2]");
    give(L, j);
    lua_pushcfunction(L, encode_twice);
    lua_pushinteger(L, 1);
    CHECK_EQ(lua_pcall(L, 1, 0, 0), LUA_OK);
    peri_json_free(j);
    lua_close(L);
}

/* Every allocation fails from the k-th on, Lua's own included: an error each time, nothing leaks, and what C owns
 * stays whole. */
TEST(bind_json_survives_a_lack_of_memory) {
    static const char work[] =
        "local d = json.document('{\"a\":[1,{\"b\":\"\\\\n\"}],\"c\":{}}')\n"
        "if not d then error('refused') end\n"
        "d.a[2].b = { x = { 'y', json.null }, z = 'text' }\n"
        "d.c = d.a; json.append(d.a, ('x'):rep(300)); for k, v in pairs(d) do d[k] = v end\n"
        "body.list[1] = d; body.s = 'set'; body.t = nil; json.remove(body.list)\n"
        "assert(json.same(json.decode(d:text()), json.table(d)))\n";
    int failed = 0, rounds = 0;
    TEST_EACH_FAILING_ALLOCATION {
        long fail_from = test_fail_from;
        test_fail_from = -1;
        lua_State *L = new_state();
        struct peri_json *j = parse("{\"list\":[0,1],\"s\":\"\",\"t\":[]}");
        give(L, j);
        CHECK_EQ(luaL_loadstring(L, work), LUA_OK);
        test_fail_from = fail_from;
        int status = lua_pcall(L, 0, 0, 0);
        test_fail_from = -1;
        struct peri_buf b;
        peri_buf_init(&b, 0);
        struct peri_json *again = NULL;
        CHECK_EQ(peri_json_parse(&again, peri_json_text(j, &b), NULL, NULL), PERI_OK);
        peri_json_free(again);
        peri_buf_done(&b);
        failed += status != LUA_OK;
        rounds++;
        lua_close(L);
        peri_json_free(j);
        test_fail_from = fail_from;
    }
    CHECK(failed > 20);
    CHECK(rounds > failed);
}

TEST(bind_json_serves_policies_in_the_sandbox) {
    struct peri_state_options options = script_options;
    options.entry = (struct peri_budget_limits){ 0 }; /* however slow the machine is */
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    CHECK_STR(script_says(s, "local json = require('perilune').json\n"
                             "local doc = json.document('{\"a\":[1, 2],\"b\":{}}')\n"
                             "table.insert(doc.a, 3) doc.b = json.array { json.null }\n"
                             "for name, part in pairs(doc) do part[1] = name end\n"
                             "return doc:text()"),
              "{\"a\":[\"a\", 2,3],\"b\":[\"b\"]}");
    CHECK_STR(script_says(s, "require('perilune').json.null = 1"),
              "!test.lua:1: cannot set 'json.null': it is read-only");
    CHECK_STR(script_says(s, "local json, kept = require('perilune').json, {}\n"
                             "local text = '[' .. ('1,'):rep(200000) .. '1]'\n"
                             "for i = 1, 9 do kept[i] = json.document(text) end"),
              "!test.lua:3: documents hold more than 16777216 bytes");
    peri_state_free(s);
}

TEST(bind_json_work_is_charged_to_the_budget) {
    static const char many[] =
        "local json, text = require('perilune').json, ('[1,2,3,4,5,6,7]'):rep(200, ',')\n"
        "for i = 1, 1000 do pcall(json.%s, json and %s) end return 'all'";
    static const struct {
        const char *name, *argument, *says;
    } cases[] = {
        { "kind", "text", "all" },
        { "decode", "'[' .. text .. ']'",
          "!test.lua:2: stopped: it used up its budget of 60000 instructions" },
        { "document", "'[' .. text .. ']'",
          "!test.lua:2: stopped: it used up its budget of 60000 instructions" },
        { "encode", "text", "!test.lua:2: stopped: it used up its budget of 60000 instructions" },
    };
    struct peri_state_options options = script_options;
    options.entry = (struct peri_budget_limits){ .steps = 60000, .is_counted = true };
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, many, cases[i].name, cases[i].argument);
        CHECK_STR(script_says(s, text), cases[i].says);
    }
    peri_state_free(s);
}
