-- What no rule edits goes on byte for byte: order, white space, the notation of numbers, escapes, [] and {}.
local bytes = require "spec.support.bytes"
local cases = require "perilune.cli.cases"
local gateway = require "perilune.gonka.rules.gateway"
local json = require("perilune").json
local repair = require "perilune.gonka.rules.repair"

--- A generator that gives the same numbers everywhere (Park and Miller's minimal standard).
local function generator(seed)
  return function(n)
    seed = seed * 48271 % 2147483647
    return seed % n
  end
end

local spaces = { "", "", " ", "\n\t", "  ", "\r\n" }

--- The same request, written as no library writes it: odd spaces, escapes where none are needed.
local function roughened(text, draw)
  local out, at = {}, 1
  while at <= #text do
    local quote = text:find('"', at, true) or #text + 1
    out[#out + 1] = text:sub(at, quote - 1):gsub("%s", ""):gsub("[%[{,:%]}]", function(c)
      return spaces[draw(#spaces) + 1] .. c .. spaces[draw(#spaces) + 1]
    end)
    if quote > #text then break end
    local stop = quote
    repeat
      stop = text:find('["\\]', stop + 1)
      local is_escape = text:byte(stop) == 92
      if is_escape then stop = stop + 1 end
    until not is_escape
    local inner = text:sub(quote + 1, stop - 1)
    if not inner:find("\\", 1, true) and #inner < 2000 then
      inner = inner:gsub("[a-z/]", function(c)
        if c == "/" then return "\\/" end
        return draw(12) == 0 and ("\\u%04X"):format(c:byte()) or c
      end)
    end
    out[#out + 1] = '"' .. inner .. '"'
    at = stop + 1
  end
  return table.concat(out)
end

-- Names as they are meant: the roughened ones hold escapes.
local function plain(name)
  return (name:gsub('"', ""):gsub("\\u00(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function value_of(node)
  if node == nil then return nil end
  return json.document(node.raw)
end

--- Differences that are none: the same value in other bytes.
local function idle(differences)
  local found = {}
  for _, d in ipairs(differences) do
    local a, b = value_of(d.before), value_of(d.after)
    local is_spacing = d.before == nil and d.after == nil
    if is_spacing or (a ~= nil and b ~= nil and json.same(a, b)) then found[#found + 1] = d.path end
  end
  return found
end

local function recorded()
  local list = {}
  for _, path in ipairs { "spec/vectors/gateway-cases.jsonl", "spec/vectors/rules-own-cases.jsonl" } do
    for line in io.lines(path) do
      local case = json.decode(line, { nulls = true })
      if case.request and case.request ~= json.null then list[#list + 1] = { case = case, line = line } end
    end
  end
  return list
end

describe("recorded requests, roughly written", function()
  local forced = { logprobs = true, top_logprobs = true, return_token_ids = true, max_tokens = true }

  local function settings(case, off)
    local model = case.model ~= json.null and case.model or nil
    return { default_model = model, is_admin = case.admin_key == true, is_exact = true, off = off }
  end

  it("keep every byte of what the gateway does not change", function()
    local draw, wrong, count = generator(7), {}, 0
    for _, entry in ipairs(recorded()) do
      local case, expect = entry.case, entry.case.expect
      if expect.status == 200 and expect.action ~= "sse_error" then
        local text = roughened(cases.body(entry.line), draw)
        local doc, message = gateway.text(text, settings(case))
        assert.is_nil(message, case.id)
        local may = {}
        for name in pairs(expect.output and expect.output.set or {}) do may[name] = true end
        for _, name in ipairs(expect.output and expect.output.removed or {}) do may[name] = true end
        for _, d in ipairs(bytes.differences(bytes.tree(text), bytes.tree(json.text(doc)))) do
          local name = plain(d.path:match "^/([^/]*)" or d.path)
          if not may[name] and not forced[name] then wrong[#wrong + 1] = case.id .. " " .. d.path end
        end
        count = count + 1
      end
    end
    assert.same({}, wrong)
    assert.is_true(count > 650, count)
  end)

  it("keep every byte that says the same after a repair", function()
    local draw, wrong, count = generator(11), {}, 0
    for _, entry in ipairs(recorded()) do
      local text = roughened(cases.body(entry.line), draw)
      local doc = json.document(text)
      local _, message = repair.document(doc, settings(entry.case, repair.off()))
      if not message then
        for _, path in ipairs(idle(bytes.differences(bytes.tree(text), bytes.tree(json.text(doc))))) do
          wrong[#wrong + 1] = entry.case.id .. " " .. path
        end
        count = count + 1
      end
    end
    assert.same({}, wrong)
    assert.is_true(count > 1000, count)
  end)
end)

-- ---- A conversation as large as the gateway takes ----

local words = { "read", "the file", "naïve", "東京都", "😀", "\\u00e9", "\\n", "\\\"", "\\/", "path\\\\to",
  "\\ud83d\\ude00", "<b>&</b>", "{[", "]}", "1e5", "\\t" }
local numbers = { "1.0", "1e3", "-0", "1E+2", "0.10", "123456789012345678901234567890", "5e-324", "-1.50e-07" }

local function prose(draw, count)
  local out = {}
  for i = 1, count do out[i] = words[draw(#words) + 1] end
  return table.concat(out, " ")
end

local separators = { ",", ", ", ",\n" }

--- Messages of an agent behind their commas, as they are sent and as they must go on; `faults` counts those that
--- differ.
local function conversation(most_bytes)
  local draw, sent, wanted, faults, size, turn = generator(2026), {}, {}, {}, 0, 0

  local function say(before, after, fault)
    local comma = separators[draw(#separators) + 1]
    sent[#sent + 1] = comma .. before
    if after ~= "" then wanted[#wanted + 1] = comma .. (after or before) end
    if fault then faults[fault] = (faults[fault] or 0) + 1 end
    size = size + #before + 2
  end

  say('{"role":"system","content":"Be an agent. \\u2014 \\/"}')
  while size < most_bytes - 30000 and #sent < 2040 do
    turn = turn + 1
    local id, number, text = "call_" .. turn, numbers[draw(#numbers) + 1], "go " .. prose(draw, 5)
    if turn % 97 == 0 then
      local parts = '[{"type":"text","text":"%s"}, {"text":"x\\u0041","type":"text"} ]'
      say(('{"role":"user", "content" : ' .. parts .. ',"n":%s}'):format(turn, number),
        ('{"role":"user", "content" : "%s\\nxA","n":%s}'):format(turn, number), "parts")
    elseif turn % 89 == 0 then
      say(('{"role":"user","content":"%s","tool_calls" : [],  "k":[ ]}'):format(text),
        ('{"role":"user","content":"%s",  "k":[ ]}'):format(text), "calls of a user")
    else
      say(('{ "role" : "user","content":"%s", "meta":{"a":%s,"b":{ } ,"c":[ ]} }'):format(text, number))
    end
    local call = '{"role":"assistant","content":null,\n "tool_calls":[{"id":"%s","type":"function","function":'
      .. '{"name":"read","arguments":%s}, "index":%s}]}'
    if turn % 83 == 0 then
      say(call:format(id, '{ "a" : 1.0, "b":"q"}', number),
        call:format(id, '"{ \\"a\\" : 1.0, \\"b\\":\\"q\\"}"', number), "arguments")
    else
      say(call:format(id, '"{\\"n\\": ' .. number .. ', \\"p\\": \\"\\u00e9\\"}"', number))
    end
    local result = prose(draw, 2600)
    say(('{"role":"tool","tool_call_id":"%s","content":"r %s" ,"ok":true}'):format(id, result))
    if turn % 101 == 0 then
      say('{"role":"assistant","content":"", "x":' .. number .. "}", "", "empty turns")
    end
  end
  return sent, wanted, faults
end

--- Text of a list. A message that goes takes the comma before it along.
local function joined(list)
  return "[" .. table.concat(list):gsub("^,%s*", " ") .. " ]"
end

--- Shortly before the first byte that differs: the texts themselves are too long to be shown.
local function parting(a, b)
  local step, at = 1 << 20, 1
  while step > 0 do
    while at <= #a and a:sub(at, at + step - 1) == b:sub(at, at + step - 1) do at = at + step end
    step = step // 16
  end
  return math.max(1, at - 40)
end

describe("a conversation of ten megabytes", function()
  local sent, wanted, faults = conversation(10485760)
  local head = '{"model":"other" , "temperature" : 0.70,"seed":12345678901234567,"tools":[{ "type":'
    .. '"function","function":{"name":"read","parameters":{"type":"object","properties":{ "a":{"default":1.0,'
    .. '"enum":[1e0,"\\u00e9",[ ],{ }]}}}}} ]'
  local tail = ', "metadata":{ "k":"\\u0041" }} \n'

  it("is near the cap, and holds what it should", function()
    local bytes_sent = #joined(sent)
    assert.is_true(bytes_sent > 10000000 and bytes_sent < 10485760 - 1000, bytes_sent)
    assert.is_true(#sent > 900, #sent)
    for _, name in ipairs { "parts", "calls of a user", "arguments", "empty turns" } do
      assert.is_true((faults[name] or 0) >= 2, name)
    end
  end)

  it("goes on with the edits and nothing else", function()
    local text = head .. ',\n "tags" : [ 1.0 ] , "user":null,"messages": ' .. joined(sent)
      .. ',"max_tokens" : 1e3' .. tail
    local expected = head .. ',"messages": ' .. joined(wanted) .. ',"max_tokens" : 1000' .. tail
    local doc = json.document(text)
    local c, message = repair.document(doc, { model = "other", off = repair.off() })
    assert.is_nil(message)
    local result = json.text(doc)
    local at = parting(result, expected)
    assert.equal(expected:sub(at, at + 200), result:sub(at, at + 200))
    assert.equal("dropped null user; dropped tags; wrote max_tokens as an integer; wrote arguments of a call as text; "
      .. "dropped tool_calls of a user message; wrote content as text; dropped an empty assistant message",
      repair.summary(c))
  end)

  it("goes on untouched when nothing is wrong with it", function()
    local text = head .. ', "messages": ' .. joined(wanted) .. ',"max_tokens" : 1000' .. tail
    local doc = json.document(text)
    local c, message = repair.document(doc, { model = "other", off = repair.off() })
    assert.is_nil(message)
    assert.same({}, c.notes)
    assert.is_true(json.text(doc) == text)
  end)
end)
