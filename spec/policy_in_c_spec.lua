--- A policy in C does what the same policy in Lua does: examples/policy.c beside policies/tool_ids.lua.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local build = os.getenv "PERILUNE_BUILD" or "build"
local KIMI = "moonshotai/Kimi-K2.6"

local frames = provider.frames

local function call(id, name, arguments)
  return { id = id, type = "function", ["function"] = { name = name, arguments = arguments or "{}" } }
end

local function assistant(...) return { role = "assistant", content = "", tool_calls = { ... } } end
local function result(id) return { role = "tool", tool_call_id = id, content = "ok" } end

--- A request of a conversation. `tools` false: without any.
local function request(model, messages, tools)
  return { model = model, messages = messages,
    tools = tools ~= false and { { type = "function", ["function"] = { name = "f" } } } or nil }
end

--- The answer of one choice: whole, and as the events of a stream, a fragment an event.
local function answer(fragments)
  local calls, events = {}, { frames.role }
  for i, fragment in ipairs(fragments) do
    events[#events + 1] = frames.delta { tool_calls = { fragment } }
    if fragment.id and type(fragment["function"]) == "table" then calls[#calls + 1] = fragment end
    fragment.index = fragment.index or i - 1
  end
  events[#events + 1] = frames.finish "tool_calls"
  events[#events + 1] = frames.done
  return { whole = cjson.encode { object = "chat.completion", choices = { { index = 0, finish_reason = "tool_calls",
    message = { role = "assistant", content = "x", tool_calls = calls } } } }, stream = events }
end

local fresh = answer { call("functions.f:0", "f") }

local cases = {
  { "a conversation whose ids are fine",
    request("m", { assistant(call("a", "f")), result "a" }), answer { call("b", "f") } },
  { "ids that Kimi can not take", request(KIMI, { assistant(call("call_a", "f"), call("call_b", "g")),
    result "call_b", result "call_a", assistant(call("call_c", "f")), result "call_c" }), fresh },
  { "ids that collide over turns", request("m", { assistant(call("same", "f"), call("same", "g")), result "same",
    assistant(call("same", "h")), result "same", result "same", result "same" }), answer { call("same", "f") } },
  { "the same at Kimi", request(KIMI, { assistant(call("same", "f"), call("same", "g")), result "same",
    { role = "user", content = "go on" }, assistant(call("same", "h")), result "same", result "same" }), fresh },
  { "one turn of several messages", request(KIMI, { assistant(call("same", "f")), assistant(call("same", "g")),
    result "same", result "same" }), fresh },
  { "ids that are missing, blank or numbers", request("m", { assistant(call("", "f"), call(7, "f"), call(nil, "f"),
    call("\t ", "f"), call("7", "f")), result(7), result(nil), result "" }), answer { call("", "f"), call(nil, "f") } },
  { "calls without a name", request(KIMI, { assistant(call("a", nil), call(5, nil), call(nil, "f")), result "a" }),
    answer { call("a", nil), call("", "f") } },
  { "arguments that are no text", request("m", { assistant(call("a", "f", { x = 1 }), call("b", "f", cjson.empty_array))
    }), answer { call("c", "f", { y = 2 }) } },
  { "no tools", request(KIMI, { assistant(call("a", "f")), result "a" }, false), fresh },
  { "ids with escapes", request("m", { assistant(call("\"\\\n\u{e9}\0x", "f"), call("\"\\\n\u{e9}\0x", "f")) }),
    answer { call("\"\\\n\u{e9}\0x", "f") } },
  { "messages that are none", request("m", cjson.null), fresh },
  { "a stream that gives one index to several calls", request(KIMI, { assistant(call("a", "f")) }), answer {
    { index = 0, id = "a", ["function"] = { name = "f", arguments = '{"x"' } },
    { index = 0, id = "a", ["function"] = { name = "f", arguments = ":1}" } },
    { index = 0, id = "b", ["function"] = { name = "g", arguments = '{"y":' } },
    { index = 0, ["function"] = { arguments = "2}" } },
    { index = 1, id = "c", ["function"] = { name = "h", arguments = "{}" } } } },
  { "the nameless copy behind a call", request("m", { assistant(call("a", "f")) }), answer {
    { index = 0, id = "b", ["function"] = { name = "f", arguments = "{}" } },
    { index = 1, id = "b", ["function"] = { name = cjson.null, arguments = "{}" } },
    { index = 2, ["function"] = { arguments = "{}" } } } },
}

--- Conversations nobody would think of.
local function wild(seed)
  math.randomseed(seed)
  local function pick(...) return (select(math.random(select("#", ...)), ...)) end
  local function id() return pick("a", "b", "a_2", "functions.f:1", "functions.g:0", "call_1", "", 3, nil) end
  local function name() return pick("f", "g", "f", nil) end
  local function some(make, most)
    local list = {}
    for i = 1, math.random(most) do list[i] = make() end
    return list
  end
  local messages = some(function()
    return pick(assistant(table.unpack(some(function() return call(id(), name()) end, 3))), result(id()),
      result(id()), { role = "user", content = "go" }, cjson.null, "text")
  end, 9)
  local fragments = some(function()
    local made = call(id(), name())
    made.index = math.random(0, 3)
    return made
  end, 6)
  return { "wild case " .. seed, request(pick(KIMI, "m"), messages), answer(fragments) }
end
for seed = 1, 40 do cases[#cases + 1] = wild(seed) end

describe("examples/policy.c", function()
  teardown(process.stop_all)

  local function start_example(p)
    local directory = process.directory()
    local config = assert(io.open(directory .. "/router.json", "w"))
    config:write(cjson.encode { listen = "127.0.0.1:0", workers = 1, log = { level = "warn" },
      providers = { { id = "a", url = p.url, discover_models = false } } })
    config:close()
    assert(os.execute("mkfifo " .. directory .. "/input"))
    local child = process.start({ "sh", "-c", ("exec '%s/example_policy' '%s/router.json' <'%s/input'"):format(
      build, directory, directory) }, { environment = { ASAN_OPTIONS = "detect_leaks=1" } })
    local input = assert(io.open(directory .. "/input", "w")) -- each waits for the other to open it
    local port = loop.await("its port", function() return child:stdout():match "listening on port (%d+)" end)
    return router.at(tonumber(port)), function()
      input:close()
      assert.equal(0, child:wait(), child:stderr())
    end
  end

  it("sends and answers, byte for byte, what policies/tool_ids.lua does", router.test(function(start)
    local said
    local p = provider.start(function(c, asked)
      if asked.json.stream == true then
        provider.stream(said.stream)(c, asked)
      else
        provider.reply(200, said.whole)(c, asked)
      end
    end)
    local in_lua = start {
      policy = { budget = "10s" }, providers = { router.provider("a", p) },
      policies = { { file = os.getenv "PWD" .. "/policies/tool_ids.lua", options = { networks = {} } } },
    }
    local in_c, stop = start_example(p)
    local edited = 0
    for _, case in ipairs(cases) do
      said = case[3]
      for _, stream in ipairs { false, true } do
        case[2].stream = stream
        local body = cjson.encode(case[2])
        local what = case[1] .. (stream and ", streamed: " or ": ") .. body
        local lua = in_lua:ask("POST", "/v1/chat/completions", body)
        local sent_by_lua = p.requests[#p.requests].body
        local c = in_c:ask("POST", "/v1/chat/completions", body)
        assert.equal(200, lua.status, what)
        assert.equal(200, c.status, what)
        assert.equal(sent_by_lua, p.requests[#p.requests].body, what)
        assert.equal(lua.body, c.body, what)
        if sent_by_lua ~= body then edited = edited + 1 end
      end
    end
    assert.equal(4 * #cases, #p.requests)
    assert.is_true(edited > #cases / 2)
    stop()
  end, 120))

  it("says how it is used", router.test(function()
    local child = process.start { build .. "/example_policy" }
    assert.equal(2, child:wait())
    assert.matches("usage: ", child:stderr())
  end))
end)
