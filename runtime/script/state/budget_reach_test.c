/* Every function that a policy's sandbox holds, found by walking it, with the dearest call that this test knows: the
 * budget ends it plain, in pcall and in a coroutine, within twice its CPU time. A function without a row fails. */
#include <time.h>

#include "base/shared.h"
#include "script/state/testing.h"

#define BUDGET_MS 10
/* Sanitizers make single calls many times as dear. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LEAVES_MS 2000
#else
#define LEAVES_MS (2 * BUDGET_MS)
#endif

static const struct row {
    const char *name; /* as the walk finds it */
    const char *setup, *call;
} rows[] = {
    { "assert", "", "pcall(assert, false)" },
    { "error", "", "pcall(error, s)" },
    { "getmetatable", "", "getmetatable(s)" },
    { "ipairs", "", "for _ in ipairs(endless) do end" },
    { "next", "", "next(holes)" },
    { "pairs", "", "for _ in pairs(list) do end" },
    { "pcall", "", "pcall(pcall, pcall, error)" },
    { "print", "", "print(s, s)" },
    { "rawequal", "local a, b = s .. 'a', s .. 'b'", "rawequal(a, b)" },
    { "rawget", "", "rawget(list, 1)" },
    { "rawlen", "", "rawlen(list)" },
    { "require", "", "pcall(require, 'no.such.module')" },
    { "select", "", "select(-1, table.unpack(list))" },
    { "setmetatable", "local big = {} for i = 1, 20000 do big['k' .. i] = i end local m = {}",
      "setmetatable(m, big) setmetatable({}, m)" },
    { "tonumber", "", "tonumber(digits, 10)" },
    { "tostring", "", "tostring(1.5)" },
    { "type", "", "type(s)" },
    { "xpcall", "", "xpcall(error, error)" },
    { "coroutine.create", "", "coroutine.create(type)" },
    { "coroutine.isyieldable", "", "coroutine.isyieldable()" },
    { "coroutine.resume", "", "coroutine.resume(coroutine.create(type))" },
    { "coroutine.running", "", "coroutine.running()" },
    { "coroutine.status", "", "coroutine.status(coroutine.create(type))" },
    { "coroutine.wrap", "", "coroutine.wrap(type)(1)" },
    { "coroutine.yield",
      "local f = coroutine.wrap(function() while true do coroutine.yield() end end)", "f()" },
    { "math.abs", "", "math.abs(1)" },
    { "math.acos", "", "math.acos(1)" },
    { "math.asin", "", "math.asin(1)" },
    { "math.atan", "", "math.atan(1)" },
    { "math.ceil", "", "math.ceil(1.5)" },
    { "math.cos", "", "math.cos(1e300)" },
    { "math.deg", "", "math.deg(1)" },
    { "math.exp", "", "math.exp(1)" },
    { "math.floor", "", "math.floor(digits:sub(1, 1000000))" },
    { "math.fmod", "", "math.fmod(1e300, 3)" },
    { "math.log", "", "math.log(2)" },
    { "math.max", "", "math.max(table.unpack(list))" },
    { "math.min", "", "math.min(table.unpack(list))" },
    { "math.modf", "", "math.modf(1.5)" },
    { "math.rad", "", "math.rad(1)" },
    { "math.random", "", "math.random(1 << 60)" },
    { "math.sin", "", "math.sin(1e300)" },
    { "math.sqrt", "", "math.sqrt(2)" },
    { "math.tan", "", "math.tan(1e300)" },
    { "math.tointeger", "", "math.tointeger(2.0)" },
    { "math.type", "", "math.type(1)" },
    { "math.ult", "", "math.ult(1, 2)" },
    { "os.clock", "", "os.clock()" },
    { "os.date", "", "os.date(('%c'):rep(500))" },
    { "os.difftime", "", "os.difftime(1, 2)" },
    { "os.time", "", "os.time({ year = 2000, month = 1, day = 1 })" },
    { "string.byte", "", "s:byte(1, 50000)" },
    { "string.char", "local bytes = { s:byte(1, 5000) }", "string.char(table.unpack(bytes))" },
    { "string.find", "",
      "s:find(s .. 'y', 1, true) s:find(('x'):rep(999) .. 'y') s:find('.-.-.-y')" },
    { "string.format", "local f, a = ('%.99f'):rep(5000), {} for i = 1, 5000 do a[i] = 1e300 end",
      "f:format(table.unpack(a)) ('%q'):format(digits)" },
    { "string.gmatch", "", "for _ in s:gmatch('()') do end" },
    { "string.gsub", "", "s:gsub('x', '%0') s:gsub('.', type)" },
    { "string.len", "", "s:len()" },
    { "string.lower", "", "s:lower()" },
    { "string.match", "", "s:match('^(.-)(.-)(.-)y')" },
    { "string.rep", "", "('x'):rep(1 << 21)" },
    { "string.reverse", "", "s:reverse()" },
    { "string.sub", "", "s:sub(2)" },
    { "string.upper", "", "s:upper()" },
    { "table.concat", "", "table.concat(list, 'x')" },
    { "table.insert", "local t = table.pack(table.unpack(list))",
      "table.insert(t, 1, 1) t[#t] = nil" },
    { "table.move", "", "table.move(list, 1, 1 << 40, 2, {})" },
    { "table.pack", "", "table.pack(table.unpack(list))" },
    { "table.remove", "local t = table.pack(table.unpack(list))",
      "table.remove(t, 1) t[#t + 1] = 1" },
    { "table.sort", "", "table.sort(list) pcall(table.sort, list, rawequal)" },
    { "table.unpack", "", "table.unpack(endless, 1, 900000)" },
    { "utf8.char", "local bytes = { s:byte(1, 5000) }", "utf8.char(table.unpack(bytes))" },
    { "utf8.codepoint", "", "utf8.codepoint(s, 1, 50000)" },
    { "utf8.codes", "", "for _ in utf8.codes(s) do end" },
    { "utf8.len", "", "utf8.len(s)" },
    { "utf8.offset", "", "utf8.offset(s, #s)" },
    { "perilune.clock.now_ms", "", "peri.clock.now_ms()" },
    { "perilune.clock.now_ns", "", "peri.clock.now_ns()" },
    { "perilune.clock.wall_ns", "", "peri.clock.wall_ns()" },
    { "perilune.encode.base64", "", "peri.encode.base64(s)" },
    { "perilune.encode.hex", "", "peri.encode.hex(s)" },
    { "perilune.encode.unbase64", "local b = ('abcd'):rep(500000)", "peri.encode.unbase64(b)" },
    { "perilune.encode.unhex", "", "peri.encode.unhex(digits)" },
    { "perilune.gonka.epoch", "", "pcall(peri.gonka.epoch)" },
    { "perilune.gonka.participants", "", "pcall(peri.gonka.participants)" },
    { "perilune.gonka.status", "", "pcall(peri.gonka.status)" },
    { "perilune.gonka.refresh", "", "pcall(peri.gonka.refresh)" },
    { "perilune.hash.keccak256", "", "peri.hash.keccak256(s)" },
    { "perilune.hash.keccak256_hex", "", "peri.hash.keccak256_hex(s)" },
    { "perilune.hash.ripemd160", "", "peri.hash.ripemd160(s)" },
    { "perilune.hash.ripemd160_hex", "", "peri.hash.ripemd160_hex(s)" },
    { "perilune.hash.sha256", "", "peri.hash.sha256(s)" },
    { "perilune.hash.sha256_hex", "", "peri.hash.sha256_hex(s)" },
    { "perilune.http.fetch", "", "pcall(peri.http.fetch, { url = 'http://127.0.0.1:1/' })" },
    { "perilune.json.append", "", "peri.json.append(document, 1)" },
    { "perilune.json.depth", "", "peri.json.depth(document)" },
    { "perilune.json.has_text", "", "peri.json.has_text(document[1], 'k1')" },
    { "perilune.json.insert", "", "peri.json.insert(document, 1, 1)" },
    { "perilune.json.kind", "", "peri.json.kind(document)" },
    { "perilune.json.len", "", "peri.json.len(document)" },
    { "perilune.json.members", "", "peri.json.members(document[1])" },
    { "perilune.json.remove", "", "peri.json.append(document, 1) peri.json.remove(document, 1)" },
    { "perilune.json.table", "", "peri.json.table(document)" },
    { "perilune.json.array", "", "peri.json.array({})" },
    { "perilune.json.decode", "", "peri.json.decode(json)" },
    { "perilune.json.document", "", "peri.json.document(json)" },
    { "perilune.json.encode", "", "peri.json.encode(list)" },
    { "perilune.json.object", "", "peri.json.object({})" },
    { "perilune.json.same", "", "peri.json.same(list, list)" },
    { "perilune.json.text", "", "peri.json.text(document)" },
    { "perilune.log.debug", "", "peri.log.debug(s, fields)" },
    { "perilune.log.error", "", "peri.log.error(s, fields)" },
    { "perilune.log.info", "", "peri.log.info(s, fields)" },
    { "perilune.log.trace", "", "peri.log.trace(s, fields)" },
    { "perilune.log.warn", "", "peri.log.warn(s, fields)" },
    { "perilune.providers", "", "pcall(peri.providers)" },
    { "perilune.rand", "", "peri.rand()" },
    { "perilune.rand_below", "", "peri.rand_below(9)" },
    { "perilune.shared.add", "", "peri.shared.add('n', 1)" },
    { "perilune.shared.delete", "", "peri.shared.delete('n')" },
    { "perilune.shared.get", "", "peri.shared.get('text')" },
    { "perilune.shared.set", "", "peri.shared.set('text', s:sub(1, 4096))" },
    { "perilune.shared.swap", "", "peri.shared.swap('text', s:sub(1, 4096), 1)" },
    { "perilune.sign", "", "pcall(peri.sign, 'id', s)" },
    { "perilune.address", "", "pcall(peri.address, 'id')" },
    { "perilune.sleep", "", "pcall(peri.sleep, -1)" },
};

/* What the calls are made with: within the heap, and cheap to make. */
static const char prelude[] =
    "local peri = require 'perilune'\n"
    "local s, digits, list, holes, json = ('x'):rep(2000000), ('7'):rep(2000000), {}, {}, {}\n"
    "for i = 1, 5000 do list[i] = i json[i] = '{\"k' .. i .. '\":[1,2]}' end\n"
    "for i = 1, 5000 do holes[i] = i end for i = 1, 5000 do holes[i] = nil end\n"
    "json = '[' .. table.concat(json, ',') .. ']'\n"
    "local document = peri.json.document(json)\n"
    "local fields = { a = s, b = digits, c = 1 }\n"
    "local endless = setmetatable({}, { __index = function(_, i) return i end })\n";

static const char *const forms[] = {
    "while true do %s end",
    "while true do pcall(function() %s end) end",
    "while true do coroutine.wrap(function() %s end)() end",
};

static double thread_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* What one call is: the clock starts when its setup is done. */
struct trial {
    struct peri_state *state;
    const char *body;
    double began;
};

static int start_clock(lua_State *L) {
    struct trial *t = lua_touserdata(L, lua_upvalueindex(1));
    struct peri_budget *b = &t->state->budget;
    peri_budget_leave(b);
    b->limits.cpu_ms = BUDGET_MS;
    peri_budget_enter(b, L);
    t->began = thread_ms();
    return 0;
}

static int push_trial(lua_State *L, void *arg) {
    struct trial *t = arg;
    peri_push_chunk(L, "test.lua", peri_str_of(t->body));
    lua_pushlightuserdata(L, t);
    lua_pushcclosure(L, start_clock, 1);
    return 1;
}

static void check_row(struct peri_state *s, const struct row *row, const char *form) {
    static const struct peri_task_ops ops = { push_trial, NULL, NULL };
    char call[1000], body[4000];
    struct peri_fault fault = { PERI_OK, "" };
    struct trial t = { .state = s, .body = body };
    snprintf(call, sizeof call, form, row->call);
    snprintf(body, sizeof body, "local begin = ...\n%s%s\nbegin()\n%s", prelude, row->setup, call);
    enum peri_task_status status = peri_task_start(NULL, s, &ops, &t, &fault);
    double took = thread_ms() - t.began;
    bool is_good = status == PERI_TASK_FAILED && fault.err == PERI_EBUDGET && t.began != 0 &&
                   took < LEAVES_MS &&
                   peri_str_has_prefix(peri_str_of(fault.text), PERI_STR("test.lua:"));
    if (!is_good) printf("%s: %s: %.1f ms: %s\n", row->name, call, took, fault.text);
    CHECK(is_good);
}

static struct peri_state *new_state(struct peri_shared *shared) {
    struct peri_state_options options = { .heap_max = 64u << 20,
                                          .entry = { .cpu_ms = 1000 },
                                          .load = { .cpu_ms = 1000 },
                                          .shared = shared,
                                          .seed = 1 };
    struct peri_state *s;
    CHECK_EQ(peri_state_new(&s, &options), PERI_OK);
    return s;
}

/* Every name of a function, tables within tables; "perilune." before those of the module. */
static const char walk[] =
    "local seen, names = {}, {}\n"
    "local function visit(t, prefix)\n"
    "  if seen[t] then return end\n"
    "  seen[t] = true\n"
    "  for k, v in pairs(t) do\n    if type(k) ~= 'string' then error(prefix .. type(k)) end\n"
    "    if type(v) == 'function' then names[#names + 1] = prefix .. k .. '\\n' end\n"
    "    if type(v) == 'table' then visit(v, prefix .. k .. '.') end\n"
    "  end\n"
    "end\n"
    "visit(_G, '') visit(require 'perilune', 'perilune.')\n"
    "return table.concat(names)";

static const struct row *find_row(struct peri_str name) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (peri_str_eq(peri_str_of(rows[i].name), name)) return &rows[i];
    return NULL;
}

TEST(every_function_of_the_sandbox_is_ended_by_the_budget) {
    struct peri_shared *shared;
    CHECK_EQ(peri_shared_new(&shared, 0, &peri_clock_real), PERI_OK);
    struct peri_state *s = new_state(shared);
    static char names[16384];
    struct script script;
    bool is_walked = script_run(s, &script, walk) == PERI_TASK_DONE;
    if (!is_walked) printf("%s\n", script.fault.text);
    CHECK(is_walked);
    CHECK(strlen(script.result) + 1 < sizeof script.result);
    snprintf(names, sizeof names, "%s", script.result);
    peri_state_free(s);
    struct peri_str rest = peri_str_of(names), name;
    size_t count = 0;
    while (rest.n > 0 && peri_str_cut(&name, &rest, '\n')) {
        const struct row *row = find_row(name);
        count++;
        if (row == NULL) printf("no row for %.*s\n", PERI_STR_ARGS(name));
        CHECK(row != NULL);
        for (size_t f = 0; row != NULL && f < sizeof forms / sizeof *forms; f++) {
            s = new_state(shared);
            check_row(s, row, forms[f]);
            peri_state_free(s);
        }
    }
    CHECK_EQ(count, sizeof rows / sizeof *rows);
    peri_shared_free(shared);
}
