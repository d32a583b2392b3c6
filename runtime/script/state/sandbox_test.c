#include "script/state/sandbox.h"

#include <sys/stat.h>

#include "crypto/encode.h"
#include "crypto/hash.h"
#include "script/state/testing.h"

TEST(a_policy_sees_exactly_the_names_on_the_list) {
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_STR(script_says(s, "local all = {}\n"
                             "for name, value in pairs(_G) do\n"
                             "  all[#all + 1] = name\n"
                             "  if type(value) == 'table' and name ~= '_G' then\n"
                             "    for k in pairs(value) do all[#all + 1] = name .. '.' .. k end\n"
                             "  end\n"
                             "end\n"
                             "table.sort(all)\n"
                             "return #all .. ' ' .. table.concat(all, ' '):gsub('math%.%w+ ', '')"),
              "89 _G _VERSION assert coroutine coroutine.create coroutine.isyieldable "
              "coroutine.resume coroutine.running coroutine.status coroutine.wrap coroutine.yield "
              "error getmetatable ipairs math next os os.clock os.date os.difftime os.time pairs "
              "pcall print rawequal rawget rawlen require select setmetatable string string.byte "
              "string.char string.find string.format string.gmatch string.gsub string.len "
              "string.lower string.match string.rep string.reverse string.sub string.upper table "
              "table.concat table.insert table.move table.pack table.remove table.sort "
              "table.unpack tonumber tostring type utf8 utf8.char utf8.charpattern "
              "utf8.codepoint utf8.codes utf8.len utf8.offset xpcall");
    CHECK_STR(script_says(s, "local all = {}\n"
                             "for k in pairs(math) do all[#all + 1] = k end\n"
                             "table.sort(all) return table.concat(all, ' ')"),
              "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min "
              "mininteger modf pi rad random sin sqrt tan tointeger type ult");
    peri_state_free(s);
}

TEST(globals_and_libraries_cannot_be_changed) {
    static const char *const attempts[][2] = {
        { "leak = 1", "!test.lua:1: cannot set global 'leak': globals are read-only, use a local" },
        { "\n_G.leak = 1",
          "!test.lua:2: cannot set global 'leak': globals are read-only, use a local" },
        { "_ENV.pcall = nil",
          "!test.lua:1: cannot set global 'pcall': globals are read-only, use a local" },
        { "string.find = nil", "!test.lua:1: cannot set 'string.find': it is read-only" },
        { "table.insert(table, 1)", "!cannot set 'table.number': it is read-only" },
        { "setmetatable(string, {})", "!test.lua:1: cannot change a protected metatable" },
        { "setmetatable(_G, nil)", "!test.lua:1: cannot change a protected metatable" },
        { "getmetatable('').__index = nil", "!test.lua:1: attempt to index a boolean value" },
        { "return type(string[next(string)])", "function" },
        { "for _, v in pairs(_G) do if v == string then return 'same' end end", "same" },
        { "require('perilune').rand = nil",
          "!test.lua:1: cannot set 'perilune.rand': it is read-only" },
        { "require('perilune').json.null = nil",
          "!test.lua:1: cannot set 'json.null': it is read-only" },
        { "require('perilune').clock.now_ms = nil",
          "!test.lua:1: cannot set 'clock.now_ms': it is read-only" },
        { "require('perilune').log.info = nil",
          "!test.lua:1: cannot set 'log.info': it is read-only" },
    };
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        CHECK_STR(script_says(s, attempts[i][0]), attempts[i][1]);
    peri_state_free(s);
}

TEST(what_stands_behind_a_view_is_reached_by_no_walk) {
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_STR(script_says(s, "local function walk(t, path)\n"
                             "  for name, value in pairs(t) do\n"
                             "    if type(name) ~= 'string' then return path .. type(name) end\n"
                             "    local found = type(value) == 'table' and value ~= _G\n"
                             "      and walk(value, path .. name .. '.')\n"
                             "    if found then return found end\n"
                             "  end\n"
                             "end\n"
                             "return walk(_G, '') or walk(require 'perilune', 'peri.') or 'none'"),
              "none");
    peri_state_free(s);
}

TEST(a_metatable_cannot_bring_finalisers_closers_or_weak_tables) {
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_STR(script_says(s, "setmetatable({}, {__gc = print})"),
              "!test.lua:1: a policy's metatable cannot have '__gc'");
    CHECK_STR(script_says(s, "setmetatable({}, {__close = print})"),
              "!test.lua:1: a policy's metatable cannot have '__close'");
    CHECK_STR(script_says(s, "setmetatable({}, {__mode = 'k'})"),
              "!test.lua:1: a policy's metatable cannot have '__mode'");
    CHECK_STR(script_says(s, "local x <close> = setmetatable({}, {})"),
              "!test.lua:1: variable 'x' got a non-closable value");
    CHECK_STR(
        script_says(s, "return setmetatable({}, {__index = function(t, k) return k end}).some"),
        "some");
    peri_state_free(s);
}

/* A chain of them that leads back to itself would hold the thread until Lua's stack overflows. */
TEST(what_a_value_is_called_by_is_a_function) {
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_STR(script_says(s, "setmetatable({}, {__call = {}})"),
              "!test.lua:1: '__call' of a policy's metatable must be a function, got a table");
    CHECK_STR(script_says(s, "local m = {} m.__call = setmetatable({}, m)"),
              "!test.lua:1: a policy's metatable must have its '__call' before setmetatable");
    CHECK_STR(script_says(s, "local m = { __call = function() return 'called' end }\n"
                             "local o = setmetatable({}, m) m.__call = o return o()"),
              "called");
    CHECK_STR(script_says(s, "local m = { __call = function() end }\n"
                             "local o = setmetatable({}, m) m.__call = o setmetatable({}, m)"),
              "!test.lua:2: '__call' of a policy's metatable must be a function, got a table");
    CHECK_STR(script_says(s, "local m = { __call = function() return 'called' end }\n"
                             "setmetatable(m, m) m.__call = m return m()"),
              "called");
    CHECK_STR(script_says(s, "local m = { __call = function() return 'called' end }\n"
                             "local o = setmetatable({}, m) m.__call = o\n"
                             "setmetatable({}, o) setmetatable(o, nil) return tostring(pcall(o))"),
              "false");
    peri_state_free(s);
}

TEST(classes_work_as_they_do_elsewhere) {
    static const char *const bodies[][2] = {
        { "local C = {} C.__index = C function C.new(x) return setmetatable({ x = x }, C) end\n"
          "function C:get() return self.x end\n"
          "local o = C.new(5) function C:twice() return 2 * self.x end\n"
          "return o:get() .. o:twice() .. tostring(getmetatable(o) == C) .. "
          "tostring(getmetatable(C))",
          "510truenil" },
        { "local B = { name = 'base' } B.__index = B\n"
          "local D = setmetatable({}, B) D.__index = D\n"
          "local o = setmetatable({}, D)\n"
          "return o.name .. tostring(getmetatable(D) == B) .. tostring(getmetatable(o) == D)",
          "basetruetrue" },
        { "local C = setmetatable({}, { __call = function(class, x) return setmetatable({ x = x }, "
          "class) "
          "end })\n"
          "C.__index = C return C(7).x + C(8).x",
          "15" },
        { "local B = { __call = function(_, x) return x end } B.__index = B\n"
          "local D = setmetatable({}, B) D.__index = D\n"
          "local o = setmetatable({}, D) B.name = 'base'\n"
          "return D(5) .. D.name .. tostring(getmetatable(D) == B) .. "
          "tostring(getmetatable(o) == D)",
          "5basetruetrue" },
        { "local m = {} local o = setmetatable({}, m)\n"
          "m.__index = function(_, k) return k .. '!' end m.__tostring = function() return 'o' "
          "end\n"
          "return o.hey .. tostring(o)",
          "hey!o" },
        { "local m = { __metatable = 'sealed' } local o = setmetatable({}, m)\n"
          "return getmetatable(o) .. tostring(pcall(setmetatable, o, {}))",
          "sealedfalse" },
        { "local log = {} local m = {} setmetatable({}, m)\n"
          "setmetatable(m, { __newindex = function(t, k, v) log[#log + 1] = k rawequal(t, m) end "
          "})\n"
          "m.first = 1 m.second = 2 return table.concat(log, ' ') .. tostring(rawget(m, 'first'))",
          "first secondnil" },
        { "local into = {} local m = {} setmetatable({}, m) setmetatable(m, { __newindex = into "
          "})\n"
          "m.x = 3 return into.x",
          "3" },
    };
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        CHECK_STR(script_says(s, bodies[i][0]), bodies[i][1]);
    CHECK_STR(script_says(s, "local m = { 1, 2, 3 } setmetatable({}, m) table.insert(m, 4)\n"
                             "local n = 0 for k in pairs(m) do n = n + 1 end return n .. #m"),
              "44");
    peri_state_free(s);
}

TEST(only_text_is_loaded) {
    struct peri_state *s;
    struct peri_fault fault;
    int ref;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_EQ(peri_state_load(s, &ref, "p.lua", PERI_STR("\x1bLua"), &fault), PERI_EPOLICY);
    CHECK_STR(peri_str_of(fault.text), "p.lua: byte code is not loaded, only text");
    CHECK_EQ(peri_state_load(s, &ref, "p.lua", PERI_STR("\nreturn = 2"), &fault), PERI_EPOLICY);
    CHECK_STR(peri_str_of(fault.text), "p.lua:2: unexpected symbol near '='");
    static char large[PERI_SOURCE_MAX + 1];
    memset(large, ' ', sizeof large);
    CHECK_EQ(peri_state_load(s, &ref, "p.lua", (struct peri_str){ large, sizeof large }, &fault),
             PERI_ETOOBIG);
    CHECK_EQ(peri_state_load(s, &ref, "p.lua", PERI_STR("return { 1 }"), &fault), PERI_OK);
    CHECK(ref != LUA_NOREF);
    peri_state_free(s);
}

TEST(time_and_chance_come_from_the_state) {
    struct peri_state *s, *again;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_EQ(peri_state_new(&again, &script_options), PERI_OK);
    const char *draw = "return math.random(1000) .. ' ' .. require('perilune').rand_below(1000)";
    struct script one, other;
    CHECK_EQ(script_run(s, &one, draw), PERI_TASK_DONE);
    CHECK_EQ(script_run(again, &other, draw), PERI_TASK_DONE);
    CHECK_STR(peri_str_of(one.result), other.result);
    CHECK_STR(script_says(s, "return math.random(5, 5)"), "5");
    CHECK_STR(script_says(s, "return os.date('!%Y', 0) .. type(os.time())"), "1970number");
    CHECK_STR(script_says(s, "return math.random(2, 1)"),
              "!test.lua:1: bad argument #2 to 'random' (interval is empty)");
    peri_state_free(s);
    peri_state_free(again);
}

/* What a policy finds in the module: the rest is for scripts that are trusted. */
TEST(the_module_of_a_policy_has_no_way_out) {
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_STR(script_says(s, "local peri = require 'perilune'\n"
                             "return tostring(peri.run) .. tostring(peri.spawn) ..\n"
                             "  tostring(peri.http and peri.http.serve)"),
              "nilnilnil");
    peri_state_free(s);
}

TEST(modules_are_read_once_and_only_from_the_given_directories) {
    char dir[] = "/tmp/perilune-sandbox-XXXXXX", path[60], inner[60];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/sub", dir);
    CHECK_EQ(mkdir(path, 0700), 0);
    snprintf(inner, sizeof inner, "%s/sub/init.lua", dir);
    snprintf(path, sizeof path, "%s/mine.lua", dir);
    FILE *f = fopen(path, "w");
    fputs("local n = 0\nreturn { next = function() n = n + 1 return n end }", f);
    fclose(f);
    f = fopen(inner, "w");
    fputs("leak = 1", f);
    fclose(f);
    struct peri_state_options options = script_options;
    const char *search[] = { dir, NULL };
    struct peri_state *s;
    options.search = search;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    search[0] = "/nowhere"; /* the list was copied */
    CHECK_STR(script_says(s, "return require('mine').next()"), "1");
    CHECK_STR(script_says(s, "return require('mine').next()"), "2");
    CHECK_STR(script_says(s, "require('mine').next = nil"),
              "!test.lua:1: cannot set 'mine.next': it is read-only");
    char want[200];
    snprintf(want, sizeof want,
             "!%s:1: cannot set global 'leak': globals are read-only, use a local", inner);
    CHECK_STR(script_says(s, "require('sub')"), want);
    CHECK_STR(script_says(s, "require('sub')"), want); /* it is not half loaded */
    static const char *const names[] = { "",      ".",       "..",  "a..b",    ".mine",
                                         "mine.", "../mine", "a/b", "mi\\0ne", "/etc/passwd" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char body[60];
        snprintf(body, sizeof body, "require('%s')", names[i]);
        CHECK_STR(script_says(s, body),
                  "!test.lua:1: bad argument #1 to 'require' (not a module's name)");
    }
    CHECK_STR(script_says(s, "require('nowhere')"), "!test.lua:1: module 'nowhere' not found");
    peri_state_free(s);
    unlink(path);
    unlink(inner);
    snprintf(path, sizeof path, "%s/sub", dir);
    rmdir(path);
    rmdir(dir);
}

TEST(long_texts_are_hashed_and_encoded_in_pieces) {
    struct peri_state *s;
    char body[300];
    unsigned char out[32];
    static char text[300001];
    memset(text, 'x', sizeof text);
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    static const size_t lengths[] = { 0, 1, 63, 104447, 104448, 104449, 208896, 300001 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct peri_str bytes = { text, lengths[i] };
        char hex[65] = "";
        peri_keccak256(out, bytes);
        peri_hex_encode(hex, (struct peri_str){ (char *)out, 32 });
        snprintf(body, sizeof body, "return require('perilune').hash.keccak256_hex(('x'):rep(%zu))",
                 lengths[i]);
        CHECK_STR(script_says(s, body), hex);
        memset(hex, 0, sizeof hex);
        peri_ripemd160(out, bytes);
        peri_hex_encode(hex, (struct peri_str){ (char *)out, 20 });
        snprintf(body, sizeof body, "return require('perilune').hash.ripemd160_hex(('x'):rep(%zu))",
                 lengths[i]);
        CHECK_STR(script_says(s, body), hex);
        snprintf(
            body, sizeof body,
            "local encode, s = require('perilune').encode, ('xyz'):rep(%zu)\n"
            "return encode.unbase64(encode.base64(s)) == s and encode.unhex(encode.hex(s)) == s",
            lengths[i]);
        CHECK_STR(script_says(s, body), "true");
    }
    CHECK_STR(script_says(s,
                          "local encode = require('perilune').encode\n"
                          "return select(3, encode.unbase64(('abcd'):rep(26111) .. 'ab==abcd'))"),
              "EMALFORMED");
    peri_state_free(s);
}

TEST(numerals_in_a_base_are_read_as_lua_reads_them) {
    static const char *const cases[][2] = {
        { "tonumber('ff', 16)", "255" },
        { "tonumber(' -z ', 36)", "-35" },
        { "tonumber('8', 8)", "nil" },
        { "tonumber('', 10)", "nil" },
        { "tonumber('1 2', 10)", "nil" },
        { "tonumber('1\\0', 10)", "nil" },
        { "tonumber('7fffffffffffffff', 16) == math.maxinteger", "true" },
        { "tonumber('0x10')", "16" },
        { "tonumber('1e1')", "10.0" },
        { "tonumber('1\\0')", "nil" },
        { "tonumber({})", "nil" },
        { "tonumber('+1', 2)", "1" },
        { "tonumber('- 1', 2)", "nil" },
    };
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200];
        snprintf(body, sizeof body, "return tostring(%s)", cases[i][0]);
        CHECK_STR(script_says(s, body), cases[i][1]);
    }
    CHECK_STR(script_says(s, "return tonumber()"),
              "!test.lua:1: bad argument #1 to 'tonumber' (value expected)");
    CHECK_STR(script_says(s, "return tonumber(1, 10)"),
              "!test.lua:1: bad argument #1 to 'tonumber' (string expected, got number)");
    peri_state_free(s);
}

TEST(table_move_takes_the_furthest_positions) {
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_STR(
        script_says(s, "local t = { [math.mininteger] = 'a', [math.mininteger + 1] = 'b' }\n"
                       "table.move(t, math.mininteger, math.mininteger + 1, math.maxinteger - 1)\n"
                       "return t[math.maxinteger - 1] .. t[math.maxinteger]"),
        "ab");
    CHECK_STR(script_says(s, "local t = { [math.maxinteger] = 'a' }\n"
                             "table.move(t, math.maxinteger, math.maxinteger, math.mininteger)\n"
                             "return t[math.mininteger]"),
              "a");
    peri_state_free(s);
}

/* A view within a view would show the table behind the inner one. */
TEST(walking_shows_names_alone) {
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &script_options), PERI_OK);
    CHECK_STR(
        script_says(s, "local peri = require 'perilune'\n"
                       "for name, part in pairs(peri) do\n"
                       "  for k in pairs(type(part) == 'table' and part or {}) do\n"
                       "    if type(k) ~= 'string' then return name .. ' has a ' .. type(k) end\n"
                       "  end\n"
                       "end\n"
                       "return 'names'"),
        "names");
    peri_state_free(s);
}
