--- Requests drawn at random from all that clients get wrong: what always holds of a repair.
local cases = require "perilune.cli.cases"
local gateway = require "perilune.gonka.rules.gateway"
local json = require("perilune").json
local params = require "perilune.gonka.rules.params"
local repair = require "perilune.gonka.rules.repair"

local SEED, COUNT = 4, 4000

local models = { "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "moonshotai/Kimi-K2.6", "MiniMaxAI/MiniMax-M2.7",
  "zai-org/GLM-5.3-Flash", "other" }
local values = { "null", "true", "0", "1", "-1", "1.5", "1e3", "1e999", "-0.0", "9223372036854775808", '""', '" "',
  '"x"', '"5"', "[]", "{}", "[null]", '["a"]', '[1,"a",{}]', '{"type":"function"}', '{"a":null}', '{"":""}',
  '"' .. ("y"):rep(600) .. '"' }
local schemas = { '{"$ref":"#"}', '{"type":"str","pattern":"(?=a)"}', '{"anyOf":[{"type":"null"},{"type":"string"}]}',
  '{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":["string","null"]}}}',
  '{"type":["a",null]}', '{"properties":null}', '{"definitions":5}', '{"pattern":null,"type":{}}',
  '{"allOf":[{"$ref":"#/definitions/a"}],"definitions":{"a":{"allOf":[{"$ref":"#/definitions/a"}]}}}' }
local contents = { '"hi"', '""', "null", "[]", "5", '["a"]', "[null]", '[{"type":"text","text":"a"}]',
  '[{"type":"text","text":""}]', '{"type":"text","text":"q"}', '[{"type":"image_url","image_url":{}}]',
  '[{"type":"thinking","thinking":"x"},{"type":"tool_use","id":"t1","name":"f","input":{}}]',
  '[{"type":"tool_result","tool_use_id":"t1","content":"r"}]' }
local calls = { "[]", "null", "[null]", '{"function":{"name":"f"}}', '[{"name":"f","arguments":{}}]',
  '[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]', '[{"id":5,"function":{"name":"f"}}]',
  '[{"id":"a","type":"function","function":{"name":"f","arguments":{}}},{"id":"a","type":"function",'
    .. '"function":{"name":"g","arguments":null}}]' }
local tools = { '{"type":"web_search"}', "null", "{}", '{"type":"function","name":"h","parameters":{}}',
  '{"type":"function","function":{"name":"g","strict":true,"parameters":"{}"}}', '{"type":"custom","name":"x"}' }
local choices = { '"auto"', '"required"', '{"type":"any"}', '{"type":"tool","name":"f"}', '"AUTO"', "null",
  '{"type":"function","function":{"name":"f"}}' }
local constraints = { '{"regex":"\\\\u0041"}', '{"choice":[1,"a"]}', '{"choice":"a","json":null}', '{"json":"{}"}',
  '{"json_object":1}', '{"regex":"a","whitespace_pattern":"(?=a)","x":1}', '{"_backend":1}' }
local names = {}
for name in pairs(params.known) do names[#names + 1] = name end
table.sort(names) -- the same requests every time
for name in ([[tags functions function_call guided_json guided_regex guided_choice format instructions system
  max_output_tokens stop_sequences thinking_budget modalities best_of verbosity]]):gmatch "%S+" do
  names[#names + 1] = name
end

local function pick(list) return list[math.random(#list)] end

local function some(parts, chance, name, list)
  if math.random() < chance then parts[#parts + 1] = ('"%s":%s'):format(name, pick(list)) end
end

local function listed(most, make)
  local list = {}
  for i = 1, math.random(most) do list[i] = make() end
  return { "[" .. table.concat(list, ",") .. "]" }
end

local function message()
  if math.random() < 0.7 then return '{"role":"user","content":"hi"}' end
  local parts = { ('"role":"%s"'):format(pick { "user", "assistant", "assistant", "tool", "system", "ai" }) }
  some(parts, 0.9, "content", contents)
  some(parts, 0.4, "tool_calls", calls)
  some(parts, 0.3, "tool_call_id", { '"a"', '"b"', "null", "5", '"t1"' })
  some(parts, 0.2, "function_call", { "null", '{"name":"f","arguments":{}}', "{}", '"x"' })
  return "{" .. table.concat(parts, ",") .. "}"
end

local function tool()
  if math.random() < 0.5 then return pick(tools) end
  return '{"type":"function","function":{"name":"f","parameters":' .. pick(schemas) .. "}}"
end

local function request()
  local parts = {}
  some(parts, 1, "messages", listed(5, message))
  local seen = { messages = true }
  for _ = 1, math.random(0, 3) do
    local name = pick(names)
    if not seen[name] then some(parts, 1, name, values) end
    seen[name] = true
  end
  if not seen.tools then some(parts, 0.3, "tools", listed(3, tool)) end
  if not seen.tool_choice then some(parts, 0.2, "tool_choice", choices) end
  if not seen.response_format then
    some(parts, 0.2, "response_format", { '{"type":"json"}', '"json"', '{"json_schema":' .. pick(schemas) .. "}",
      '{"type":"json_schema","json_schema":{"name":"a b","schema":' .. pick(schemas) .. "}}" })
  end
  if not seen.structured_outputs then some(parts, 0.1, "structured_outputs", constraints) end
  if not seen.extra_body then some(parts, 0.1, "extra_body", { ('{"%s":%s}'):format(pick(names), pick(values)) }) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local spoken = { messages = { "message", "content", "call", "role", "result" }, tools = { "tool" } }

local function is_named(name, notes)
  for _, word in ipairs(spoken[name] or { name }) do
    if notes:find(word, 1, true) then return true end
  end
  return notes:find("unwrapped extra_body", 1, true) ~= nil
end

--- What is wrong with the repair of a request; nil when nothing is. Second: whether it can be sent.
local function fault(text, model)
  local exact = { default_model = model, is_exact = true }
  local was_accepted = gateway.text(text, exact) ~= nil
  local doc = json.document(text)
  local c, refusal = repair.document(doc, { model = model, off = repair.off() })
  if refusal then return was_accepted and "was accepted, is refused: " .. refusal or nil, false end
  local after, why = gateway.text(json.text(doc), exact)
  if not after then return "goes on, and the network refuses it: " .. why, true end
  local notes = table.concat(c.notes, "; ")
  local set, removed = cases.difference(text, doc)
  for name in pairs(removed) do set[name] = true end
  for name in pairs(set) do
    if not is_named(name, notes) then return ("changes %s and says only: %s"):format(name, notes), true end
  end
  return nil, true
end

describe("a repair of whatever comes", function()
  it("never refuses what was accepted, never sends what is refused, and names what it changes", function()
    math.randomseed(SEED)
    local faults, sent = {}, 0
    for _ = 1, COUNT do
      local text, model = request(), pick(models)
      local ok, why, is_sent = pcall(fault, text, model)
      if not ok or why then faults[#faults + 1] = ("%s\n%s %s"):format(why, model, text) end
      if is_sent then sent = sent + 1 end
    end
    assert.equal("", table.concat(faults, "\n", 1, math.min(#faults, 5)))
    assert.is_true(sent > COUNT / 3)
  end)
end)
