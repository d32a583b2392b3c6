-- peri.json: documents that keep every byte they are not asked to change.
local json = require("perilune").json
local null = json.null

local function document(text)
  return assert(json.document(text))
end

--- Run an edit on a document and give its text.
local function edited(text, edit)
  local doc = document(text)
  edit(doc)
  return doc:text()
end

local function why(call, ...)
  local ok, message = pcall(call, ...)
  assert.is_false(ok)
  return message
end

describe("a document", function()
  it("gives its own bytes when nothing was edited", function()
    local text = ' { "b" : [ ] ,\n "a" : 1.50e0, "c":"\\u00e9\\/" } \n'
    assert.equal(text, document(text):text())
  end)

  it("reads scalars as plain values", function()
    local doc = document '{"s":"a\\n\\u00e9\\ud83d\\ude00","i":12,"f":1.5,"w":1.0,"t":true,"n":null}'
    assert.equal("a\n\u{e9}\u{1F600}", doc.s)
    assert.equal("integer", math.type(doc.i))
    assert.equal(1.5, doc.f)
    assert.equal("float", math.type(doc.w))
    assert.is_true(doc.t)
    assert.equal(null, doc.n)
    assert.is_nil(doc.absent)
    assert.is_nil(doc[1])
  end)

  it("reads integers up to 64 bits exactly and larger ones as floats", function()
    local doc = document '[9223372036854775807,-9223372036854775808,9223372036854775808,1e400,9007199254740993]'
    assert.equal(math.maxinteger, doc[1])
    assert.equal(math.mininteger, doc[2])
    assert.equal(2.0 ^ 63, doc[3])
    assert.equal(math.huge, doc[4])
    assert.equal(9007199254740993, doc[5])
  end)

  it("is walked like tables are", function()
    local doc = document '{"messages":[{"role":"system"},{"role":"user","content":[{"text":"hi"}]}]}'
    assert.equal("user", doc.messages[2].role)
    assert.equal("hi", doc.messages[2].content[1].text)
    assert.equal(2, #doc.messages)
    assert.is_nil(doc.messages[3])
    assert.is_nil(doc.messages[0])
    assert.is_nil(doc.messages.role)
    assert.equal(1, #doc)
  end)

  it("gives members in the order of the text, also those of equal names", function()
    local seen = {}
    for name, value in pairs(document '{"z":1,"a":null,"m":[2],"z":3}') do
      seen[#seen + 1] = name .. "=" .. tostring(value)
    end
    assert.same({ "z=1", "a=null", "m=json array", "z=3" }, seen)
  end)

  it("gives elements to pairs and ipairs, nulls too", function()
    local doc = document '[10,null,30]'
    local by_pairs, by_ipairs = {}, {}
    for i, v in pairs(doc) do by_pairs[i] = v end
    for i, v in ipairs(doc) do by_ipairs[i] = v end
    assert.same({ 10, null, 30 }, by_pairs)
    assert.same({ 10, null, 30 }, by_ipairs)
  end)

  it("takes the last of equal names, as providers do", function()
    assert.equal(2, document('{"a":1,"\\u0061":2}').a)
  end)

  it("knows the same part again", function()
    local doc = document '{"a":{},"b":{}}'
    assert.is_true(doc.a == doc.a)
    assert.is_false(doc.a == doc.b)
    assert.is_false(document("[]") == document("[]"))
  end)

  it("lets a member called text win over the method", function()
    local doc = document '{"text":"mine","inner":{}}'
    assert.equal("mine", doc.text)
    assert.equal('{"text":"mine","inner":{}}', json.text(doc))
    assert.is_nil(doc.inner.text)
    doc.text = nil
    assert.equal('{"inner":{}}', doc:text())
  end)

  it("may be a scalar, which has no parts", function()
    assert.equal(12, document "12")
    assert.equal(null, document "null")
  end)

  it("says where a text is wrong", function()
    local doc, message, name = json.document '{"a": 1,\n "b": }'
    assert.is_nil(doc)
    assert.equal("line 2, column 7, byte 15: expected a value", message)
    assert.equal("EMALFORMED", name)
    assert.equal("ETOOBIG", select(3, json.document(("["):rep(129) .. ("]"):rep(129))))
  end)
end)

describe("an edit", function()
  it("changes its own bytes only", function()
    local text = '{ "model" : "m",  "max_tokens":1e3 , "seed": 12345678901234567890, "stop":[] }'
    assert.equal('{ "model" : "m",  "max_tokens":4096 , "seed": 12345678901234567890, "stop":[] }',
      edited(text, function(doc) doc.max_tokens = 4096 end))
  end)

  it("writes every kind of value", function()
    assert.equal('{"a":1,"b":1.5,"c":"x\\n\\"","d":true,"e":null,"f":[1,[]],"g":{"k":{}},"h":4096,"i":-0}',
      edited("{}", function(doc)
        doc.a = 1
        doc.b = 1.5
        doc.c = 'x\n"'
        doc.d = true
        doc.e = null
        doc.f = { 1, json.array {} }
        doc.g = { k = {} }
        doc.h = 8192 / 2
        doc.i = -0.0
      end))
  end)

  it("writes an empty table as an object unless it is marked", function()
    assert.equal('{"a":{},"b":[],"c":{}}', edited("{}", function(doc)
      doc.a = {}
      doc.b = json.array()
      doc.c = json.object()
    end))
  end)

  it("takes members away, first, last and between", function()
    local text = '{"a":1, "b":2, "c":3}'
    assert.equal('{"b":2, "c":3}', edited(text, function(doc) doc.a = nil end))
    assert.equal('{"a":1, "c":3}', edited(text, function(doc) doc.b = nil end))
    assert.equal('{"a":1, "b":2}', edited(text, function(doc) doc.c = nil end))
    assert.equal("{}", edited(text, function(doc) doc.a, doc.b, doc.c = nil, nil, nil end))
    assert.equal(text, edited(text, function(doc) doc.none = nil end))
  end)

  it("is read back at once, and may be edited again", function()
    local doc = document '{"messages":[{"role":"user"}]}'
    doc.messages = { { role = "system", content = "a" }, doc.messages[1] }
    doc.messages[1].content = "b"
    assert.equal("b", doc.messages[1].content)
    assert.equal("user", doc.messages[2].role)
    assert.equal('{"messages":[{"content":"b","role":"system"},{"role":"user"}]}', doc:text())
  end)

  it("copies a part of another document with its bytes", function()
    local other = document '{"tools":[ { "n" : 1.0 } ]}'
    assert.equal('{"tools":[ { "n" : 1.0 } ],"deep":{"x":[{ "n" : 1.0 }]}}', edited("{}", function(doc)
      doc.tools = other.tools
      doc.deep = { x = { other.tools[1] } }
    end))
  end)

  it("may put a document into itself", function()
    assert.equal('{"a":1,"b":{"a":1}}', edited('{"a":1}', function(doc) doc.b = doc end))
  end)

  it("goes on under pairs that clears as it walks", function()
    assert.equal('{"keep":1}', edited('{"a":1,"keep":1,"b":2,"c":3}', function(doc)
      for name in pairs(doc) do
        if name ~= "keep" then doc[name] = nil end
      end
    end))
  end)

  it("of an array appends, replaces and takes the last away", function()
    assert.equal('["x", 2,3]', edited("[1, 2]", function(doc) doc[3], doc[1] = 3, "x" end))
    assert.equal("[1]", edited("[1, 2]", function(doc) doc[#doc] = nil end))
    assert.equal("[1, 2]", edited("[1, 2]", function(doc) doc[3] = nil end))
  end)

  it("of an array inserts and removes by position", function()
    assert.equal('[0,1,"m", 2,3]', edited("[1, 2]", function(doc)
      json.insert(doc, 1, 0)
      json.insert(doc, 3, "m")
      json.insert(doc, 3)
    end))
    assert.equal("[2]", edited("[1, 2, 3]", function(doc)
      json.remove(doc, 1)
      json.remove(doc)
    end))
    assert.equal('[[1,{"a":null}]]', edited("[[1]]", function(doc) json.append(doc[1], { a = null }) end))
  end)

  it("works with Lua's own table functions", function()
    assert.equal('[1,2,"three"]', edited("[1,2]", function(doc) table.insert(doc, "three") end))
    assert.equal("1-2", table.concat(document("[1,2]"), "-"))
  end)

  it("refuses what JSON can not say, and changes nothing", function()
    local doc = document '{"a":1}'
    local function set(value) return function() doc.a = value end end
    assert.matches("JSON has no number for %-?nan", why(set(0 / 0)))
    assert.matches("JSON has no number for inf", why(set(math.huge)))
    assert.matches("a function can not be written as JSON", why(set(print)))
    assert.matches("a thread can not be written", why(set(coroutine.create(print))))
    assert.matches("a userdata can not be written", why(set(io.stdout)) :gsub("FILE%*", "userdata"))
    assert.matches("both elements and names", why(set({ 1, x = 2 })))
    assert.matches("has a hole", why(set(json.array({ 1, nil, 3 }))))
    assert.matches("must be a string, got a boolean", why(set({ [true] = 1 })))
    local loop = {}
    loop.loop = loop
    assert.matches("deeper than 128, or inside themselves", why(set(loop)))
    assert.equal('{"a":1}', doc:text())
  end)

  it("refuses places that do not exist", function()
    local doc = document '{"list":[1,2]}'
    assert.matches("no place '5'", why(function() doc.list[5] = 1 end))
    assert.matches("no place 'x'", why(function() doc.list.x = 1 end))
    assert.matches("no place '1.5'", why(function() doc.list[1.5] = 1 end))
    assert.matches("use peri.json.remove", why(function() doc.list[1] = nil end))
    assert.matches("must be a string, got a number", why(function() doc[1] = 1 end))
    assert.matches("no element there", why(json.remove, doc.list, 3))
    assert.matches("no place in this array", why(json.insert, doc.list, 9, 1))
    assert.matches("a JSON array expected", why(json.append, doc, 1))
    assert.matches("part of a JSON document expected", why(json.append, {}, 1))
  end)

  it("ends what it removes: using that raises", function()
    local doc = document '{"a":{"b":[1]}}'
    local a, b = doc.a, doc.a.b
    doc.a = 1
    assert.matches("was removed or replaced", why(function() return a.b end))
    assert.matches("was removed or replaced", why(function() b[1] = 2 end))
    assert.matches("was removed or replaced", why(function() return #b end))
    assert.matches("was removed or replaced", why(json.encode, { b }))
    assert.equal("json (gone)", tostring(a))
    assert.is_false(a == b)
  end)

  it("keeps the depth limit", function()
    local doc = document(("["):rep(127) .. ("]"):rep(127))
    local inner = doc
    for _ = 1, 126 do inner = inner[1] end
    json.append(inner, json.array())
    assert.matches("outgrow its limits", why(json.append, inner, { json.array() }))
  end)
end)

describe("json.encode", function()
  it("sorts members, so that equal tables have equal texts", function()
    assert.equal('{"a":1,"aa":2,"b":[true,null]}', json.encode { b = { true, null }, aa = 2, a = 1 })
  end)

  it("gives a proxy's own text", function()
    assert.equal('{"x":[ 1.0 ]}', json.encode { x = document('{"x":[ 1.0 ]}').x })
  end)

  it("writes the shortest number that reads back the same", function()
    for text, value in pairs { ["0.7"] = 0.7, ["1"] = 1.0, ["1e+300"] = 1e300, ["0.30000000000000004"] = 0.1 + 0.2,
                               ["9007199254740993"] = 9007199254740993 } do
      assert.equal(text, json.encode(value))
    end
  end)

  it("replaces bytes that are not UTF-8", function()
    assert.equal('"a\u{FFFD}b"', json.encode "a\xffb")
  end)

  it("refuses nothing at all", function()
    assert.matches("value expected", why(json.encode))
    assert.matches("a nil can not", why(json.encode, nil))
  end)
end)

describe("json.decode", function()
  it("gives plain tables, with null as the sentinel", function()
    local t = json.decode '{"a":[1,null,{"b":"\\t"}],"e":[]}'
    assert.same({ a = { 1, null, { b = "\t" } }, e = {} }, t)
    assert.equal('{"a":[1,null,{"b":"\\t"}],"e":[]}', json.encode(t))
  end)

  it("refuses options that it does not know, and values of another kind", function()
    for _, name in ipairs { "decode", "table" } do
      local what = name == "decode" and "[1]" or json.document "[1]"
      for text, options in pairs { ["'null'"] = { null = false }, ["nulls"] = { nulls = 0 }, ["table"] = 5 } do
        local ok, message = pcall(json[name], what, options)
        assert.is_false(ok)
        assert.matches(text, message, 1, true)
      end
    end
  end)

  it("gives the memory of an encoding that fails back at once", function()
    local function resident()
      local file = assert(io.open "/proc/self/statm")
      local pages = file:read "a":match "^%d+ (%d+)"
      file:close()
      return tonumber(pages) * 4096
    end
    local text = ("x"):rep(3000000)
    collectgarbage "stop"
    pcall(json.encode, { text, print })
    local before = resident()
    for _ = 1, 120 do pcall(json.encode, { text, print }) end
    local grown = resident() - before
    collectgarbage "restart"
    -- the address sanitizer holds freed memory back, 256 MB by default
    local most = (os.getenv "LD_PRELOAD" or ""):find "asan" and 300000000 or 30000000
    assert.is_true(grown < most, ("grew by %d bytes"):format(grown))
  end)

  it("leaves nulls out when asked", function()
    assert.same({ a = { 1, 2 } }, json.decode('{"a":[1,null,2],"b":null}', { nulls = false }))
  end)

  it("answers with a sentence for a wrong text", function()
    assert.same({ nil, "line 1, column 2, byte 1: expected a value", "EMALFORMED" }, { json.decode "[x]" })
  end)

  it("makes plain tables of a part", function()
    local doc = document '{"a":{"b":[1]},"n":null}'
    doc.a.c = 2
    assert.same({ b = { 1 }, c = 2 }, json.table(doc.a))
    assert.same({ a = { b = { 1 }, c = 2 } }, json.table(doc, { nulls = false }))
  end)
end)

describe("json.depth", function()
  it("counts objects and arrays, and no brackets in strings", function()
    assert.equal(1, json.depth(document "{}"))
    assert.equal(3, json.depth(document '{"a":[1,{}],"b":"[[[[\\"[["}'))
    local doc = document '{"a":{"b":[]}}'
    assert.equal(2, json.depth(doc.a))
    doc.a.b = { { 1 } }
    assert.equal(4, json.depth(doc))
  end)
end)

describe("json.members", function()
  it("gives scalars as values and the rest as parts, of a repeated name the last", function()
    local doc = document '{"a":1,"b":{"c":[2]},"n":null,"a":"x","\\u0062b":true}'
    local members = json.members(doc)
    assert.same({ "a", "b", "bb", "n" }, (function()
      local names = {}
      for name in pairs(members) do names[#names + 1] = name end
      table.sort(names)
      return names
    end)())
    assert.same({ "x", true, null }, { members.a, members.bb, members.n })
    assert.is_true(select(2, json.members(doc)))
    assert.is_false(select(2, json.members(doc.b)))
    members.b.c[1] = 3
    assert.equal(3, doc.b.c[1])
    members.a = "y"
    assert.equal("x", doc.a)
  end)

  it("takes parts that are objects only", function()
    assert.has_error(function() json.members(document "[1]") end,
      "bad argument #1 to 'members' (a JSON object expected)")
    assert.has_error(function() json.members {} end,
      "bad argument #1 to 'members' (part of a JSON document expected, got table)")
  end)
end)

describe("json.has_text", function()
  it("says so only of strings that begin with a character of ASCII", function()
    local doc = document '{"a":"x","b":" \\n\\t x","c":"","d":" \\n","e":"\\u0020x","f":5,"g":[],"h":null,"i":"é"}'
    local found = {}
    for name in pairs(doc) do
      if json.has_text(doc, name) then found[#found + 1] = name end
    end
    assert.same({ "a", "b" }, found)
    assert.is_false(json.has_text(doc, "absent"))
    for _, value in ipairs { doc.g, null, "x", 1, {} } do assert.is_false(json.has_text(value, "a")) end
    assert.is_false(json.has_text(nil, "a"))
  end)

  it("sees a string that was set", function()
    local doc = document '{"a":""}'
    doc.a = "x"
    assert.is_true(json.has_text(doc, "a"))
  end)
end)

describe("json.kind, len and same", function()
  it("name every kind", function()
    local doc = document '{"o":{},"a":[]}'
    assert.same({ "object", "array", "string", "number", "boolean", "null" },
      { json.kind(doc.o), json.kind(doc.a), json.kind "s", json.kind(1), json.kind(false), json.kind(null) })
    assert.equal("object", json.kind {})
    assert.equal("array", json.kind { 1 })
    assert.equal("array", json.kind(json.array()))
    assert.is_nil(json.kind(nil))
    assert.is_nil(json.kind(print))
  end)

  it("count children", function()
    assert.equal(2, json.len(document '{"a":1,"b":2}'))
    assert.equal(3, json.len { 1, 2, 3 })
    assert.equal(1, json.len { a = 1 })
  end)

  it("compare values, not notation", function()
    assert.is_true(json.same(document '{"a":1.0,"b":"\\u0061"}', document '{ "b":"a", "a":1 }'))
    assert.is_true(json.same(document("[1,null]"), { 1, null }))
    assert.is_false(json.same({ 1, 2 }, { 2, 1 }))
    assert.is_true(json.same("a", "a"))
  end)
end)

describe("what scripts hold", function()
  it("is sealed", function()
    assert.equal("perilune.json", getmetatable(document "{}"))
    assert.is_false(pcall(setmetatable, json.array(), {}))
    assert.equal("null", tostring(null))
    assert.equal("json object", tostring(document "{}"))
  end)

  it("can not be used as a method of something else", function()
    assert.matches("part of a JSON document expected", why(json.text, io.stdout))
    assert.matches("part of a JSON document expected", why(json.text, null))
    assert.matches("part of a JSON document expected", why(json.table, {}))
  end)

  it("is collected while documents come and go", function()
    local text = json.encode { list = json.array { ("x"):rep(100000) } }
    for _ = 1, 3000 do document(text).list[1] = "y" end
    assert.is_true(collectgarbage("count") < 200000)
  end)

  it("has a cap beside Lua's own heap", function()
    local held, text = {}, "[" .. ("1,"):rep(500000) .. "1]"
    local message = why(function()
      for i = 1, 100 do held[i] = document(text) end
    end)
    assert.matches("documents hold more than", message)
    assert.is_true(#held >= 3)
    held = nil -- luacheck: ignore
    collectgarbage()
    assert.equal(500001, #document(text))
  end)
end)
