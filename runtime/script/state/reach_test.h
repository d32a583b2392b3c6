/* What both tests of the budget's reach call: the dearest call that they know of every function of a sandbox. */
#ifndef PERI_SCRIPT_STATE_REACH_TEST_H
#define PERI_SCRIPT_STATE_REACH_TEST_H

#include <time.h>

/* Sanitizers make single calls many times as dear. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REACH_IS_EXACT false
#else
#define REACH_IS_EXACT true
#endif

struct reach_row {
    const char *name; /* as the walk finds it: "perilune." before those of the module */
    const char *setup, *call;
};

static const struct reach_row reach_rows[] = {
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
    { "setmetatable", "local big = {} for i = 1, 5000 do big['k' .. i] = i end local m = {}",
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
      "local function spin() while true do coroutine.yield() end end local f = "
      "coroutine.wrap(spin)",
      "if not pcall(f) then f = coroutine.wrap(spin) end" },
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
    { "perilune.json.append", "", "pcall(peri.json.append, document, 1)" },
    { "perilune.json.depth", "", "peri.json.depth(document)" },
    { "perilune.json.has_text", "", "peri.json.has_text(document[1], 'k1')" },
    { "perilune.json.insert", "", "pcall(peri.json.insert, document, 1, 1)" },
    { "perilune.json.kind", "", "peri.json.kind(document)" },
    { "perilune.json.len", "", "peri.json.len(document)" },
    { "perilune.json.members", "", "peri.json.members(document[1])" },
    { "perilune.json.remove", "",
      "pcall(peri.json.append, document, 1) peri.json.remove(document, 1)" },
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

#define REACH_ROWS (sizeof reach_rows / sizeof *reach_rows)

/* What the calls are made with: within the heap, and cheap to make. */
#define REACH_NAMES "local s, digits, list, holes, json, document, fields, endless\n"
static const char reach_prelude[] =
    "s, digits, list, holes, json = ('x'):rep(2000000), ('7'):rep(2000000), {}, {}, {}\n"
    "for i = 1, 5000 do list[i] = i json[i] = '{\"k' .. i .. '\":[1,2]}' end\n"
    "for i = 1, 5000 do holes[i] = i end for i = 1, 5000 do holes[i] = nil end\n"
    "json = '[' .. table.concat(json, ',') .. ']'\n"
    "document = peri.json.document(json)\n"
    "fields = { a = s, b = digits, c = 1 }\n"
    "endless = setmetatable({}, { __index = function(_, i) return i end })\n";

/* How a script could try to outlast its budget. */
static const char *const reach_forms[] = {
    "while true do %s end",
    "while true do pcall(function() %s end) end",
    "while true do coroutine.wrap(function() %s end)() end",
};
#define REACH_FORMS (sizeof reach_forms / sizeof *reach_forms)

/* Every name of a function, tables within tables. */
static const char reach_walk[] =
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

static inline double reach_clock_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

#endif
