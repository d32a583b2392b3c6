--- Ids of tool calls: Kimi's own form, ids of their own elsewhere, and never one call fewer than before.
local cjson = require "cjson"
local json = require("perilune").json
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"
local tool_ids = require "perilune.gonka.tool_ids"

local function call(id, name, arguments)
  return { id = id, type = "function", ["function"] = { name = name, arguments = arguments or "{}" } }
end

local function conversation(...)
  return json.document(json.encode(json.array { ... }))
end

local function ids(messages)
  local list = {}
  for _, message in ipairs(json.table(messages)) do
    for _, made in ipairs(message.tool_calls or {}) do list[#list + 1] = made.id end
    if message.tool_call_id then list[#list + 1] = "> " .. message.tool_call_id end
  end
  return list
end

describe("tool_ids", function()
  it("numbers every call of a conversation for Kimi", function()
    local messages = conversation({ role = "user", content = "go" },
      { role = "assistant", tool_calls = { call("call_a", "read"), call("call_b", "list") } },
      { role = "tool", tool_call_id = "call_b", content = "1" },
      { role = "tool", tool_call_id = "call_a", content = "2" },
      { role = "assistant", tool_calls = { call("call_c", "read") } },
      { role = "tool", tool_call_id = "call_c", content = "3" })
    assert.equal(3, (tool_ids.to_functions(messages)))
    assert.same({ "functions.read:0", "functions.list:1", "> functions.list:1", "> functions.read:0",
      "functions.read:2", "> functions.read:2" }, ids(messages))
  end)

  it("pairs results by position where ids collide, and drops none", function()
    local messages = conversation(
      { role = "assistant", tool_calls = { call("same", "f"), call("same", "g") } },
      { role = "tool", tool_call_id = "same", content = "of f" },
      { role = "tool", tool_call_id = "same", content = "of g" },
      { role = "assistant", tool_calls = { call("same", "h") } },
      { role = "tool", tool_call_id = "same", content = "of h" })
    tool_ids.to_functions(messages)
    assert.same({ "functions.f:0", "functions.g:1", "> functions.f:0", "> functions.g:1", "functions.h:2",
      "> functions.h:2" }, ids(messages))
  end)

  it("gives a result to the newest turn where an earlier call was never answered", function()
    local messages = conversation(
      { role = "assistant", tool_calls = { call("same", "f"), call("other", "g") } },
      { role = "tool", tool_call_id = "other", content = "of g" },
      { role = "user", content = "never mind" },
      { role = "assistant", tool_calls = { call("same", "h") } },
      { role = "assistant", tool_calls = { call("same", "i") } },
      { role = "tool", tool_call_id = "same", content = "of h" },
      { role = "tool", tool_call_id = "same", content = "of i" },
      { role = "tool", tool_call_id = "same", content = "of f, late" })
    tool_ids.to_functions(messages)
    assert.same({ "functions.f:0", "functions.g:1", "> functions.g:1", "functions.h:2", "functions.i:3",
      "> functions.h:2", "> functions.i:3", "> functions.f:0" }, ids(messages))
  end)

  it("leaves ids that stand once, byte for byte", function()
    local text = '[{"role":"assistant", "tool_calls":[{"id":"x\\u0031"}]},{"role":"tool","tool_call_id":"x1"}]'
    local messages = json.document(text)
    assert.equal(0, (tool_ids.to_unique(messages)))
    assert.equal(text, messages:text())
  end)

  it("gives those that collide or are missing an id of their own", function()
    local messages = conversation(
      { role = "assistant", tool_calls = { call("a", "f"), call("a", "f"), call("", "f"), call(7, "f") } },
      { role = "tool", tool_call_id = "a", content = "1" }, { role = "tool", tool_call_id = "a", content = "2" })
    tool_ids.to_unique(messages)
    assert.same({ "a", "a_2", "call_2", "7", "> a", "> a_2" }, ids(messages))
  end)

  it("gives a result without an id to the first call that waits", function()
    local messages = conversation({ role = "assistant", tool_calls = { call("a", "f") } },
      { role = "tool", content = "1" })
    tool_ids.to_unique(messages)
    assert.same({ "a", "> a" }, ids(messages))
  end)

  it("writes arguments that are objects as their text", function()
    local messages = json.document '[{"role":"assistant","tool_calls":[{"function":{"arguments":{"b": 1.0,"a":[]}}}]}]'
    assert.equal(1, tool_ids.serialise_arguments(messages))
    assert.equal('{"b": 1.0,"a":[]}', messages[1].tool_calls[1]["function"].arguments)
  end)

  it("continues the count in an answer, and keeps an id over the fragments of a stream", function()
    local memory = tool_ids.remember(conversation({ role = "assistant", tool_calls = { call("functions.f:0", "f") } }))
    local first = json.document(cjson.encode { choices = { { index = 0, delta = { tool_calls = {
      { index = 0, id = "functions.f:0", type = "function", ["function"] = { name = "f", arguments = "" } } } } } } })
    tool_ids.answer(first, memory, true)
    assert.equal("functions.f:1", first.choices[1].delta.tool_calls[1].id)
    local text = '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}'
    local second = json.document(text)
    tool_ids.answer(second, memory, true)
    assert.equal(text, second:text())
  end)

  it("keeps calls apart that a stream gives the same index", function()
    local memory = tool_ids.remember(conversation())
    local heard = {}
    local function hear(index, id, name, arguments)
      local event = json.document(cjson.encode { choices = { { index = 0, delta = { tool_calls = { { index = index,
        id = id, ["function"] = { name = name, arguments = arguments } } } } } } })
      tool_ids.answer(event, memory, true)
      local made = json.table(event).choices[1].delta.tool_calls[1]
      local at = heard[made.index] or { id = made.id, text = "" }
      heard[made.index] = at
      at.text = at.text .. made["function"].arguments
    end
    hear(0, "a", "f", '{"x"')
    hear(0, "a", "f", ":1}") -- some name their call every time
    hear(0, "b", "g", '{"y":')
    hear(0, nil, nil, "2}")
    hear(1, "c", "h", "{}")
    assert.same({ id = "functions.f:0", text = '{"x":1}' }, heard[0])
    assert.same({ id = "functions.g:1", text = '{"y":2}' }, heard[1])
    assert.same({ id = "functions.h:2", text = "{}" }, heard[2])
  end)

  it("passes by what providers write where there is nothing", function()
    local function heard(text)
      local body = json.document(text)
      tool_ids.answer(body, tool_ids.remember(conversation()), true)
      return json.text(body)
    end
    for _, text in ipairs { '{"choices":null}', '{"choices":[null,5]}', '{"choices":[{"delta":null}]}', "[]",
      '{"choices":[{"delta":{"tool_calls":[null,"x"]}}]}' } do
      assert.equal(text, heard(text))
    end
    assert.matches('"id":"functions.f:0"', heard('{"choices":[{"index":null,"delta":{"tool_calls":[{"index":null,'
      .. '"id":"a","function":{"name":"f"}}]}}]}'), 1, true)
    assert.matches('"arguments":"{}"', heard('{"choices":[{"delta":null,"message":{"tool_calls":[{"id":"a",'
      .. '"function":{"name":"f","arguments":{}}}]}}]}'), 1, true)
  end)

  it("gives no call an id that the client knows another by", function()
    -- The client has let go of the conversation's first call.
    local messages = conversation({ role = "assistant", tool_calls = { call("functions.f:1", "f") } },
      { role = "tool", tool_call_id = "functions.f:1", content = "ok" })
    local _, original = tool_ids.to_functions(messages)
    assert.same({ "functions.f:0", "> functions.f:0" }, ids(messages))
    local memory = tool_ids.remember(messages, original)
    local body = json.document(cjson.encode { choices = { { index = 0, message = { tool_calls = {
      call("functions.f:1", "f"), call("functions.f:1", "f") } } } } })
    tool_ids.answer(body, memory, true)
    local made = json.table(body).choices[1].message.tool_calls
    assert.same({ "functions.f:2", "functions.f:3" }, { made[1].id, made[2].id })
  end)

  it("drops the nameless copy that MiniMax sends behind a call", function()
    local memory = tool_ids.remember(conversation())
    local event = json.document('{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a",'
      .. '"function":{"name":"f"}},{"index":1,"function":{"name":null,"arguments":"{}"}}]}}]}')
    tool_ids.answer(event, memory, false)
    assert.equal(1, #event.choices[1].delta.tool_calls)
  end)
end)

describe("the policy tool_ids", function()
  teardown(process.stop_all)

  local function start_with(start, p)
    return start {
      policy = { budget = "10s" }, -- a busy machine may stand still for long
      providers = { router.provider("a", p, { models = { "moonshotai/Kimi-K2.6", "other" } }) },
      policies = { { file = os.getenv "PWD" .. "/policies/tool_ids.lua", options = { networks = {} } } },
    }
  end

  local function request(model, stream)
    return cjson.encode {
      model = model, stream = stream, tools = { { type = "function", ["function"] = { name = "f" } } },
      messages = {
        { role = "user", content = "go" }, { role = "assistant", content = "", tool_calls = { call("call_1", "f") } },
        { role = "tool", tool_call_id = "call_1", content = "ok" },
      },
    }
  end

  it("renames for Kimi and gives the answer's call the next number", router.test(function(start)
    local p = provider.start(provider.reply(200, cjson.encode { object = "chat.completion", choices = { {
      index = 0, finish_reason = "tool_calls",
      message = { role = "assistant", tool_calls = { call("functions.f:0", "f") } } } } }))
    local r = start_with(start, p)
    local answer = r:ask("POST", "/v1/chat/completions", request "moonshotai/Kimi-K2.6")
    assert.equal("functions.f:0", p.requests[1].json.messages[2].tool_calls[1].id)
    assert.equal("functions.f:0", p.requests[1].json.messages[3].tool_call_id)
    assert.equal("functions.f:1", answer.json.choices[1].message.tool_calls[1].id)
  end))

  it("does the same in a stream", router.test(function(start)
    local f = provider.frames
    local p = provider.start(provider.stream { f.role, f.delta { tool_calls = { { index = 0, id = "functions.f:0",
      type = "function", ["function"] = { name = "f", arguments = "{}" } } } }, f.finish "tool_calls", f.done })
    local r = start_with(start, p)
    local answer = r:ask("POST", "/v1/chat/completions", request("moonshotai/Kimi-K2.6", true))
    assert.truthy(answer.body:find('"functions.f:1"', 1, true), answer.body)
    assert.is_nil(answer.body:find('"functions.f:0"', 1, true))
  end))

  it("leaves the ids of other models alone", router.test(function(start)
    local p = provider.start()
    local r = start_with(start, p)
    local body = request "other"
    assert.equal(200, r:ask("POST", "/v1/chat/completions", body).status)
    assert.equal(body, p.requests[1].body)
  end))
end)
