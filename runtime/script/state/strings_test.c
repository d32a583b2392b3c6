#include "script/state/strings.h"

#include "base/rand.h"
#include "script/state/strings_compare.h"
#include "script/state/testing.h"

static void check_same(struct peri_state *s, struct peri_str text, struct peri_str pattern,
                       struct peri_str replacement, int from) {
    const char *difference = compare(s, text, pattern, replacement, from);
    if (difference == NULL) return;
    fprintf(stderr, "%s\n", difference);
    test_failures++;
}

TEST(patterns_say_what_luas_own_say) {
    static const char *const patterns[] = {
        "",       "a",      ".",           "a*",     "a+",      "a-",     "a?",           "^a",
        "a$",     "^$",     "^a*$",        "[abc]",  "[^abc]",  "[a-c]+", "[%a_]+",       "[]]",
        "[^]]",   "[a-]",   "[%]]",        "%a",     "%A",      "%d+",    "%s*",          "%w-b",
        "(a)",    "(a)(b)", "()",          "()a()",  "(a*(b))", "((a))",  "(a)%1",        "%b()",
        "%bxy",   "%f[%w]", "%f[%W]",      "%%",     "%.",      "[%z]",   "%z",           "a.-b",
        "(.-)%s", "^(.*)$", "(%w+)=(%w+)", "[",      "[a",      "[^",     "[]",           "[%",
        "%",      "(",      ")",           "(()",    "%1",      "(%1)",   "%b",           "%bx",
        "%f",     "%fa",    "a**",         "$",      "$a",      "^^a",    "*a",           "-",
        "(a)%2",  "%9",     "()%1",        "[a-%%]", "[%a-z]",  "\xff+",  "[\x80-\xff]*",
    };
    static const char *const texts[] = {
        "",          "a",           "b",   "aaa",  "abc",        "  a b ",          "(a(b)c)",
        "k=v k2=v2", "hello world", "x]y", "xxyy", "a\xff\x80z", "THE (quick) fox", "%d",
        "aab",       "1 22 333"
    };
    static const char *const replacements[] = {
        "", "<%0>", "%1", "%2", "%", "%%", "%x", "1", "%1%1"
    };
    struct peri_state *s = compare_new();
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++)
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
            const char *replacement =
                replacements[(p + t) % (sizeof replacements / sizeof *replacements)];
            for (int from = -3; from <= 5; from += 2)
                check_same(s, peri_str_of(texts[t]), peri_str_of(patterns[p]),
                           peri_str_of(replacement), from);
        }
    peri_state_free(s);
}

TEST(drawn_patterns_say_what_luas_own_say) {
    static const char alphabet[] = "ab()[]^$%.*+-?%%d%a1\0b-";
    struct peri_state *s = compare_new();
    struct peri_rand r;
    peri_rand_seed(&r, 7);
    for (int i = 0; i < 20000; i++) {
        char bytes[24];
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = alphabet[peri_rand_below(&r, sizeof alphabet - 1)];
        size_t pattern_n = peri_rand_below(&r, 9), text_n = peri_rand_below(&r, 11);
        check_same(s, (struct peri_str){ bytes + 9, text_n }, (struct peri_str){ bytes, pattern_n },
                   (struct peri_str){ bytes + 20, 3 }, (int)peri_rand_below(&r, 9) - 3);
    }
    peri_state_free(s);
}

TEST(deep_patterns_are_refused_as_lua_refuses_them) {
    struct peri_state *s = compare_new();
    char pattern[1300], text[700];
    memset(text, 'a', sizeof text);
    for (size_t n = 190; n < 215; n++) {
        for (size_t i = 0; i < n; i++) memcpy(pattern + 2 * i, "a?", 2);
        check_same(s, (struct peri_str){ text, 50 }, (struct peri_str){ pattern, 2 * n },
                   PERI_STR(""), 1);
        for (size_t i = 0; i < n; i++) memcpy(pattern + 2 * i, "a*", 2);
        check_same(s, PERI_STR("b"), (struct peri_str){ pattern, 2 * n }, PERI_STR(""), 1);
    }
    for (size_t n = 30; n < 36; n++) {
        for (size_t i = 0; i < n; i++) memcpy(pattern + 3 * i, "(a)", 3);
        check_same(s, (struct peri_str){ text, 50 }, (struct peri_str){ pattern, 3 * n },
                   PERI_STR("%9"), 1);
    }
    peri_state_free(s);
}

TEST(steps_of_a_match_are_charged) {
    struct peri_state_options options = { .entry = { .steps = 20000 } };
    struct peri_state *s;
    struct script script;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    CHECK_STR(script_says(s, "return #('a'):rep(1000):match('a*')"), "1000");
    CHECK_EQ(script_run(s, &script, "return ('a'):rep(1000):find('.-b')"), PERI_TASK_FAILED);
    CHECK_EQ(script.fault.err, PERI_EBUDGET);
    CHECK_EQ(script_run(s, &script, "return pcall(string.rep, 'x', 1 << 40)"), PERI_TASK_DONE);
    peri_state_free(s);
}

TEST(tables_do_what_luas_own_do) {
    static const char *const bodies[] = {
        "local t = {1,2,3} table.insert(t, 4) table.insert(t, 1, 0) return table.concat(t, ',')",
        "local t = {1,2,3} return table.insert(t, 5, 0)",
        "local t = {1,2,3} return table.insert(t)",
        "local t = {1,2,3} return table.insert(t, 1, 2, 3)",
        "local t = {1,2,3} local a, b = table.remove(t), table.remove(t, 1) return a .. b .. #t",
        "local t = {} return tostring(table.remove(t)) .. tostring(table.remove(t, 0)) .. #t",
        "local t = {1,2} return tostring(table.remove(t, 3)) .. #t",
        "return table.concat(table.move({1,2,3}, 1, 3, 2), ',')",
        "return table.concat(table.move({1,2,3,4}, 2, 4, 1), ',')",
        "return table.concat(table.move({1,2,3}, 1, 3, 3, {9,9}), ',')",
        "return table.move({}, 1, math.maxinteger, 2)",
        "return table.move({}, -1, math.maxinteger, 2)",
        "return #table.move({}, 1, 0, 5)",
        "return select('#', table.unpack({1,nil,3}, 1, 3)) .. table.pack(1, nil, 3).n",
        "return select('#', table.unpack({}, 1, 0)) .. table.unpack({7, 8}, 2)",
        "return table.unpack({}, math.mininteger, math.maxinteger)",
        "return table.unpack({}, 1, 1 << 31)",
        "return table.concat({1, 2.5, 'x'}, '-') .. table.concat({}, 'x') .. table.concat({1,2,3}, "
        "' ', 2, 3)",
        "return table.concat({1, {}, 3})",
        "return table.concat({1}, ',', 1, 3)",
        "local t = {3,1,2} table.sort(t) return table.concat(t)",
        "local t = {3,1,2} table.sort(t, function(a, b) return a > b end) return table.concat(t)",
        "local t = {3,'x',2} table.sort(t) return #t",
        "table.sort({1,2,3}, 5)",
        "return table.concat(setmetatable({}, {__index = function(_, i) return i end, "
        "__len = function() return 4 end}))",
        "return table.insert(5, 1)",
        "return table.concat(5)",
        "return ('10' + 5) .. ('3' * '4') .. -'2' .. (('7') // 2) .. ('a'):byte()",
        "return 'a' + 1",
    };
    struct peri_state_options trusting = { .is_trusted = true };
    struct peri_state *ours, *theirs;
    CHECK_EQ(peri_state_new(&ours, &script_options), PERI_OK);
    CHECK_EQ(peri_state_new(&theirs, &trusting), PERI_OK);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char want[1100];
        snprintf(want, sizeof want, "%s", script_says(theirs, bodies[i]).p);
        CHECK_STR(script_says(ours, bodies[i]), want);
    }
    peri_state_free(ours);
    peri_state_free(theirs);
}

/* What our own functions say and what Lua's say: both are called with the same arguments. */
static void check_against_own(const char *source) {
    struct peri_state_options options = { .is_trusted = true };
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    lua_State *L = s->L;
    lua_newtable(L);
    lua_getglobal(L, "string");
    lua_getfield(L, -1, "format");
    lua_setfield(L, -3, "format");
    lua_pop(L, 1);
    peri_strings_open(L, s);
    peri_utf8s_open(L, s);
    lua_setglobal(L, "ours");
    bool is_good = luaL_dostring(L, source) == LUA_OK;
    if (!is_good) printf("%s\n", lua_tostring(L, -1));
    CHECK(is_good);
    peri_state_free(s);
}

TEST(format_in_pieces_is_luas_own) {
    check_against_own(
        "local q = ('\\1'):rep(65535) .. '7' .. ('\\0'):rep(70000) .. '\"\\n\\r\\\\'\n"
        "for _, case in ipairs {\n"
        "  { '%q', q }, { '%q|%s', q, q }, { ('%d,'):rep(200), "
        "table.unpack(('x'):rep(200):gsub('x', '1,')\n"
        "    and (function() local t = {} for i = 1, 200 do t[i] = i end return t end)()) },\n"
        "  { ('x'):rep(300) .. '%5.2f%%%-10s|%x', 1.5, 'ab', 255 }, { ('%%'):rep(400) },\n"
        "  { ('y'):rep(70000) .. '%s', setmetatable({}, { __tostring = function() return 'me' end "
        "}) },\n"
        "  { ('x'):rep(300) .. '%q', 1 << 62 }, { 'short %d %s', 1, 'two' }, { '' },\n"
        "} do assert(ours.format(table.unpack(case)) == string.format(table.unpack(case)), "
        "case[1]) end\n"
        "for _, bad in ipairs { '%', '%y', '%123456789012345678901234567890123456789d', '%d' } do\n"
        "  local said = {}\n"
        "  for i, format in ipairs { ours.format, string.format } do said[i] = select(2,\n"
        "    pcall(function() local s = format(bad, 'x') end)) end\n"
        "  assert(said[1] == said[2], said[1] .. ' | ' .. said[2])\n"
        "  assert(not pcall(ours.format, ('x'):rep(300) .. bad, 'x'))\n"
        "end");
}

TEST(utf8_in_pieces_is_luas_own) {
    check_against_own(
        "local seed = 1\n"
        "local function draw(n) seed = (seed * 1103515245 + 12345) % 2147483648 return seed // "
        "65536 % n end\n"
        "local parts = { 'a', '\\u{e9}', '\\u{20ac}', '\\u{1f600}', '\\xed\\xa0\\x80', '\\xff', "
        "'\\x80', '\\xc0\\x80',\n"
        "  '\\u{7fffffff}', '\\u{3ffffff}', '\\0', '\\xe2\\x82', '\\xf4\\x90\\x80\\x80' }\n"
        "local function say(f, ...) local all = table.pack(pcall(f, ...))\n"
        "  if not all[1] then all[2] = all[2]:gsub(\"to '.-'\", '') end\n"
        "  return tostring(all[1]) .. tostring(all[2]) .. tostring(all[3]) end\n"
        "for round = 1, 4000 do\n"
        "  local s = ''\n"
        "  for _ = 1, draw(6) do s = s .. parts[1 + draw(round % 2 == 0 and 4 or #parts)] end\n"
        "  local i, j, n = draw(24) - 12, draw(24) - 12, draw(12) - 6\n"
        "  local lax = round % 3 == 0\n"
        "  assert(say(ours.len, s, i, j, lax) == say(utf8.len, s, i, j, lax), ('%q %d "
        "%d'):format(s, i, j))\n"
        "  assert(say(ours.len, s) == say(utf8.len, s))\n"
        "  assert(say(ours.offset, s, n, i) == say(utf8.offset, s, n, i), ('%q %d %d'):format(s, "
        "n, i))\n"
        "  assert(say(ours.offset, s, n) == say(utf8.offset, s, n), ('%q %d'):format(s, n))\n"
        "end\n"
        "local long = ('\\u{e9}'):rep(100000)\n"
        "assert(ours.len(long) == 100000 and ours.offset(long, 90000) == utf8.offset(long, "
        "90000))");
}

TEST(a_plain_search_in_pieces_finds_what_one_search_finds) {
    check_against_own(
        "local function both(text, what, from)\n"
        "  local a, b = ours.find(text, what, from, true)\n"
        "  local c, d = string.find(text, what, from, true)\n"
        "  assert(a == c and b == d, tostring(a) .. ' ' .. tostring(c))\n"
        "end\n"
        "local edge = ('a'):rep(65536 - 2)\n"
        "for n = 1, 6 do both(edge .. ('bcdefg'):sub(1, n) .. 'x', ('bcdefg'):sub(1, n)) end\n"
        "local long = ('ab'):rep(5000) .. 'c'\n"
        "both(('ab'):rep(50000) .. 'c' .. ('ab'):rep(9), long)\n"
        "both(('ab'):rep(50000), long) both(('ab'):rep(4000), long) both(long, long) both('', 'a') "
        "both('a', '')\n"
        "both(edge .. edge, 'b') both(edge, edge .. 'a', 5)");
}
