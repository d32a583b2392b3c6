--- What a repair makes of single things that the network refuses, and what it leaves alone beside them.
local json = require("perilune").json
local repair = require "perilune.gonka.rules.repair"
local repair_schema = require "perilune.gonka.rules.repair_schema"
local schema = require "perilune.gonka.rules.schema"

local hi = '"messages":[{"role":"user","content":"hi"}]'

--- The members of a request as they go on, with an ordinary conversation behind them; and the network's sentence.
local function repaired(members, model)
  local doc = assert(json.document("{" .. members .. "," .. hi .. "}"))
  local c, message = repair.document(doc, { model = model or "other", off = repair.off { "default_tokens" } })
  local text = doc:text()
  local front = text:sub(2, -#hi - 2)
  assert.equal(hi .. "}", text:sub(-#hi - 1))
  return (front:gsub(",$", "")), message, repair.summary(c)
end

describe("a repair", function()
  local rows = {
    -- A text that begins with another one never ends an answer.
    { '"stop":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","ab","bc"]',
      '"stop":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p"]' },
    { '"stop":["a","ab"]', '"stop":["a","ab"]' },
    -- A declaration of nothing.
    { '"tools":[{"type":"function"},{"type":"function","function":{"name":" "}},'
      .. '{"type":"function","function":{"name":"f"}}]',
      '"tools":[{"type":"function","function":{"name":"f"}}]' },
    { '"tools":[{"type":"function","function":null}]', "" },
    -- Nobody is there to call in parallel.
    { '"tools":[],"parallel_tool_calls":true', "" },
    -- A text alone may be longer than an entry of a list.
    { ('"bad_words":"%s"'):format(("y"):rep(129)), ('"bad_words":"%s"'):format(("y"):rep(129)) },
    { '"stop":-1e999', '"stop":["-1e999"]' },
    -- The schema that takes everything.
    { '"response_format":{"type":"json_schema","json_schema":{"name":"r","schema":true}}',
      '"response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{}}}' },
    { '"structured_outputs":{"json":true}', '"structured_outputs":{"json":{}}' },
    -- Nothing is asked for.
    { '"response_format":{"type":""}', "" }, { '"response_format":{"type":null}', "" },
    { '"structured_outputs":[]', "" },
    -- The same is asked for twice.
    { '"response_format":{"type":"json_object"},"structured_outputs":{"json_object":true}',
      '"response_format":{"type":"json_object"}' },
    { '"response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{"type":"object"}}},'
      .. '"structured_outputs":{"json":{ "type" : "object" }}',
      '"response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{"type":"object"}}}' },
    -- Blanks between tokens mean nothing.
    { '"structured_outputs":{"json_object":true,"whitespace_pattern":"["}',
      '"structured_outputs":{"json_object":true}' },
    { '"structured_outputs":{"json_object":true,"whitespace_pattern":"[ ]?"}',
      '"structured_outputs":{"json_object":true,"whitespace_pattern":"[ ]?"}' },
  }
  for _, row in ipairs(rows) do
    it("makes " .. (row[2] == "" and "nothing" or row[2]) .. " of " .. row[1], function()
      local front, message = repaired(row[1])
      assert.is_nil(message)
      assert.equal(row[2], front)
    end)
  end

  it("tells of a schema that moved where it came from, once", function()
    for _, name in ipairs { "guided_json", "format" } do
      local doc = json.document(('{"%s":{"type":"object"},%s}'):format(name, hi))
      local c, message = repair.document(doc, { model = "other", off = repair.off { "default_tokens" } })
      assert.is_nil(message)
      assert.equal(name .. " became response_format", repair.summary(c))
    end
  end)

  it("leaves nothing of a knob that is too large for a double, wherever it stood", function()
    for _, members in ipairs { '"extra_body":{"temperature":1e999}', '"temperature":1e999' } do
      local front, message = repaired(members)
      assert.is_nil(message)
      assert.equal("", front)
    end
  end)

  local function conversation(messages)
    local doc = assert(json.document('{"max_tokens":9,"messages":[{"role":"user","content":"hi"},' .. messages .. "]}"))
    local _, message = repair.document(doc, { model = "other", off = repair.off() })
    assert.is_nil(message)
    return (json.encode(json.table(doc.messages)):gsub('^%[{"content":"hi","role":"user"},?', "["))
  end

  it("drops a result without an id when no call is left for it", function()
    assert.equal("[]", conversation '{"role":"tool","content":"r"}')
    assert.equal("[]", conversation '{"role":"tool","tool_call_id":null,"content":"r"}')
  end)

  it("finds the call of a result by its number", function()
    local f = '"type":"function","function":{"name":"f"}}'
    local text = conversation('{"role":"assistant","tool_calls":[{"id":1,' .. f .. ',{"id":2,' .. f .. ']},'
      .. '{"role":"tool","tool_call_id":2,"content":"of 2"},{"role":"tool","tool_call_id":"1","content":"of 1"}')
    assert.matches('{"content":"of 2","role":"tool","tool_call_id":"2"}', text, 1, true)
    assert.matches('{"content":"of 1","role":"tool","tool_call_id":"1"}', text, 1, true)
  end)

  it("drops a function_call that calls nothing", function()
    assert.equal('[{"content":"a","role":"assistant"}]',
      conversation '{"role":"assistant","content":"a","function_call":{}}')
    assert.equal('[{"content":"a","role":"assistant"}]',
      conversation '{"role":"assistant","content":"a","function_call":"none"}')
  end)

  local refused = {
    ['"response_format":{"type":"json_object"},"structured_outputs":{"json":{}}'] = "cannot be combined",
    ['"tools":[{"type":"function","function":{"name":" ","description":"x"}}]'] = "function.name: must be a non%-empty",
    ['"response_format":{"type":5}'] = "response_format.type: missing",
  }
  for members, sentence in pairs(refused) do
    it("leaves " .. members .. " to the network's sentence", function()
      local front, message = repaired(members)
      assert.truthy(message:find(sentence), message)
      assert.equal(members, front)
    end)
  end

  it("takes a single message that does not say whose it is for the user's", function()
    local function run(text)
      local doc = json.document(text)
      local _, message = repair.document(doc, { model = "other", off = repair.off { "default_tokens" } })
      return doc:text(), message
    end
    assert.equal('{"messages":[{"content":"hi","role":"user"}]}', (run '{"messages":[{"content":"hi"}]}'))
    local two = '{"messages":[{"content":"hi"},{"role":"user","content":"there"}]}'
    local text, message = run(two)
    assert.equal(two, text)
    assert.equal("messages[0].role: is required", message)
  end)
end)

describe("repair_schema, of what is far too large", function()
  local function properties(n)
    local list = {}
    for i = 1, n do list[i] = '"k' .. i .. '":{"type":"str"}' end
    return '"properties":{' .. table.concat(list, ",") .. "}"
  end

  local shapes = {
    ["at the root"] = properties,
    ["further down"] = function(n) return '"properties":{"a":{' .. properties(n) .. "}}" end,
    ["in required"] = function(n)
      local names = {}
      for i = 1, n do names[i] = '"k' .. i .. '"' end
      return '"required":[' .. table.concat(names, ",") .. "]," .. properties(n)
    end,
    ["as alternatives"] = function(n) return '"anyOf":[' .. ('{"type":"str"},'):rep(n) .. "{}]" end,
    ["as patterns"] = function(n) return properties(n):gsub("properties", "patternProperties") end,
  }
  -- Walking all of the document several times took 2,000 instructions a node.
  for what, shape in pairs(shapes) do
    it("cuts it before it looks at the rest: " .. what, function()
      local n, count = 5000, 0
      local doc = json.document('{"type":"object",' .. shape(n) .. "}")
      debug.sethook(function() count = count + 1000 end, "", 1000)
      local done, _, is_good = repair_schema.run(doc, schema.limits.tools, 30, true)
      debug.sethook()
      assert.equal("simplified", done)
      assert.equal(what ~= "in required" and what ~= "as patterns", is_good)
      assert.is_true(count < 400 * n, count // n .. " instructions a node")
      if what ~= "at the root" then return end
      assert.same({ "string", nil }, { doc.properties.k255.type, doc.properties.k256 })
    end)
  end
end)

describe("repair_schema, of a long list of types", function()
  it("writes each type once", function()
    local doc = json.document('{"type":[' .. ('"str","nothing",'):rep(100) .. '"int"]}')
    assert.same({ "rewrote", false, true }, { repair_schema.run(doc, schema.limits.tools, 30, true) })
    assert.equal('{"type":["string","integer"]}', json.text(doc))
  end)
end)

describe("repair_schema, where nothing that binds may be lost", function()
  local function binding(text)
    local doc = json.document(text)
    local done, is_too_deep, is_good = repair_schema.run(doc, schema.limits.response_format, 29, false)
    return doc:text(), is_good, done, is_too_deep
  end

  it("puts a single arm in the place of its list", function()
    local text = '{"type":"string"}'
    for i = 1, 20 do text = ('{"%s":[%s]}'):format(({ "anyOf", "oneOf", "allOf" })[i % 3 + 1], text) end
    local merged, is_good = binding(text)
    assert.equal('{"type":"string"}', merged)
    assert.is_true(is_good)
  end)

  it("writes arms that are types only as a list of types", function()
    local parts = {}
    for i = 1, 43 do parts[i] = ('"p%d":{"anyOf":[{"type":"string"},{"type":"null"}],"title":"t"}'):format(i) end
    local merged, is_good = binding('{"properties":{' .. table.concat(parts, ",") .. "}}")
    assert.is_true(is_good)
    assert.truthy(merged:find('"p43":{"title":"t","type":["string","null"]}', 1, true), merged)
  end)

  it("does not take one of integer and number for either", function()
    local pair = '{"oneOf":[{"type":"integer"},{"type":"number"}]}'
    local many = {}
    for i = 1, 43 do many[i] = ('"p%d":%s'):format(i, pair) end
    local text = '{"properties":{' .. table.concat(many, ",") .. "}}"
    local merged, is_good = binding(text)
    assert.is_false(is_good)
    assert.equal(text, merged)
  end)

  it("shortens what only describes", function()
    local merged, is_good = binding('{"description":"' .. ("a"):rep(16367) .. '","type":"object","required":["a"]}')
    assert.is_true(is_good)
    assert.truthy(merged:find('"type":"object","required":["a"]}', 1, true))
  end)
end)
