--- How long the rules of gonka_rules take: a small request, and one of an agent deep in its work.
--   LUA_CPATH="build/lua/?.so;;" LUA_PATH="./?.lua;./lua/?.lua;;" lua5.4 spec/bench/rules.lua
local json = require("perilune").json
local repair = require "perilune.gonka.rules.repair"
local tool_ids = require "perilune.gonka.tool_ids"

local function tool(i)
  local properties = json.object {}
  for k = 1, 6 do
    local description = ("What field %d of tool %d is for. "):format(k, i):rep(3)
    properties["field_" .. k] = { type = "string", description = description }
  end
  properties.options = { type = "object", properties = { deep = { type = "array", items = { type = "integer" } } } }
  return { type = "function", ["function"] = { name = "tool_" .. i, description = ("Does thing %d. "):format(i):rep(20),
    parameters = { type = "object", properties = properties, required = json.array { "field_1" } } } }
end

--- A conversation of about `bytes` bytes: turns with calls and results, and thirty tools.
local function agent_request(bytes)
  local messages = json.array { { role = "system", content = ("You are an agent.\n"):rep(400) } }
  local turns = 60
  local source = assert(io.open("lua/perilune/gonka/rules/params.lua")):read "a"
  local result = source:rep(bytes // turns // #source + 1):sub(1, bytes // turns)
  for i = 1, turns do
    local id = "call_" .. i
    messages[#messages + 1] = { role = "user", content = "Go on with step " .. i }
    messages[#messages + 1] = { role = "assistant", content = json.null, tool_calls = json.array { { id = id,
      type = "function", ["function"] = { name = "tool_1", arguments = '{"field_1":"a"}' } } } }
    messages[#messages + 1] = { role = "tool", tool_call_id = id, content = result }
  end
  local tools = json.array {}
  for i = 1, 30 do tools[i] = tool(i) end
  return json.encode { model = "moonshotai/Kimi-K2.6", stream = true, max_tokens = 4096, temperature = 0.2,
    messages = messages, tools = tools }
end

local small = json.encode { model = "other", max_tokens = 256, temperature = 0.7, stream = true,
  messages = { { role = "system", content = ("Be brief. "):rep(60) }, { role = "user", content = ("Why? "):rep(40) } } }

local function measure(name, text, rounds, run)
  local best, off = math.huge, repair.off()
  for _ = 1, 5 do
    local docs = {}
    for i = 1, rounds do docs[i] = json.document(text) end
    collectgarbage()
    local from = os.clock()
    for i = 1, rounds do run(docs[i], off) end
    best = math.min(best, (os.clock() - from) / rounds)
  end
  print(("%-34s %7d bytes %9.1f µs"):format(name, #text, best * 1e6))
end

local function rules(doc, off)
  local _, message = repair.document(doc, { off = off, model = "other" })
  assert(not message, message)
end

local agent = agent_request(500000)
measure("rules, small request", small, 2000, rules)
measure("rules, agent's request", agent, 10, rules)
measure("ids, agent's request", agent, 10, function(doc) tool_ids.to_functions(doc.messages) end)
