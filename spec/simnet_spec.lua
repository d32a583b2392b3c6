--- The simulated provider as a program of its own, asked by a real curl: what is right when nothing is asked of it,
-- and each fault exactly as it was ordered.
local json = require("perilune").json
local behaviour = require "perilune.simnet.behaviour"
local text = require "perilune.simnet.text"

local CHAT = { model = "m1", messages = { { role = "user", content = "hello you there" } } }

local function with(base, more)
  local made = {}
  for name, value in pairs(base) do made[name] = value end
  for name, value in pairs(more) do made[name] = value end
  return made
end

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

describe("simnet", function()
  local program, url, base

  -- curl: body, status and curl's own exit code (18: a body that was cut, 28: time ran out, 52: no answer, 56: reset).
  local function curl(path, options)
    options = options or {}
    local words = { "curl -s --noproxy '*' -m", options.seconds or "5", "-w", quote "\n%{http_code} %{exitcode}" }
    if options.method then words[#words + 1] = "-X " .. options.method end
    if options.sim then words[#words + 1] = "-H " .. quote("x-sim: " .. options.sim) end
    if options.key then words[#words + 1] = "-H " .. quote("authorization: Bearer " .. options.key) end
    if options.head then words[#words + 1] = "-i" end
    local body = options.body
    if type(body) == "table" then body = json.encode(body) end
    if body then words[#words + 1] = "-d " .. quote(body) end
    words[#words + 1] = quote(base .. path)
    local pipe = assert(io.popen(table.concat(words, " ")))
    local out = pipe:read "a"
    pipe:close()
    local answer, status, exit = out:match "^(.*)\n(%d+) (%d+)$"
    return answer, tonumber(status), tonumber(exit)
  end

  local function chat(more, options)
    options = options or {}
    options.body = with(CHAT, more or {})
    return curl("/v1/chat/completions", options)
  end

  -- The frames of a stream, decoded; "[DONE]" stays text.
  local function frames(answer)
    local list = {}
    for data in answer:gmatch "data: ([^\r\n]*)\r?\n\r?\n" do
      list[#list + 1] = data == "[DONE]" and data or json.decode(data, { nulls = false }) or data
    end
    return list
  end

  local function said(list)
    local words = {}
    for _, frame in ipairs(list) do
      local choice = type(frame) == "table" and frame.choices and frame.choices[1]
      words[#words + 1] = choice and choice.delta and choice.delta.content or nil
    end
    return table.concat(words)
  end

  local function ledger() return json.decode((curl "/sim/ledger"), { nulls = false }).entries end
  local function last() local list = ledger() return list[#list] end

  setup(function()
    program = assert(io.popen [[exec lua5.4 -e 'require("perilune.simnet").main { "--model", "m1" }']])
    local line = assert(program:read "l")
    url = json.decode(line).url
    base = url:gsub("/v1$", "")
  end)

  teardown(function()
    curl("/sim/quit", { method = "POST" })
    program:close()
  end)

  before_each(function()
    curl("/sim/ledger", { method = "DELETE" })
    curl("/sim/script", { body = "{}" })
  end)

  it("answers a chat whole", function()
    local answer, status = chat()
    local body = json.decode(answer)
    assert.equal(200, status)
    assert.equal("chat.completion", body.object)
    assert.equal("the moon pulls tides across quiet water while", body.choices[1].message.content)
    assert.equal("stop", body.choices[1].finish_reason)
    assert.equal(8, body.usage.completion_tokens)
    assert.equal(body.usage.prompt_tokens + 8, body.usage.total_tokens)
  end)

  it("streams the same answer, a frame a token, with the usage only when asked", function()
    local list = frames((chat { stream = true }))
    assert.equal("[DONE]", list[#list])
    assert.equal(1 + 8 + 1 + 1, #list)
    assert.equal("assistant", list[1].choices[1].delta.role)
    assert.equal("the moon pulls tides across quiet water while", said(list))
    assert.equal("stop", list[#list - 1].choices[1].finish_reason)
    list = frames((chat { stream = true, stream_options = { include_usage = true } }))
    assert.equal(0, #list[#list - 1].choices)
    assert.equal(8, list[#list - 1].usage.completion_tokens)
  end)

  it("keeps to the client's token limit", function()
    local body = json.decode((chat { max_tokens = 3 }))
    assert.equal("the moon pulls", body.choices[1].message.content)
    assert.equal("length", body.choices[1].finish_reason)
  end)

  it("thinks before it answers when told to", function()
    local body = json.decode((chat({}, { sim = "reasoning=2;tokens=1" })))
    assert.equal("the moon", body.choices[1].message.reasoning_content)
    assert.equal(2, body.usage.completion_tokens_details.reasoning_tokens)
    assert.equal(3, body.usage.completion_tokens)
  end)

  it("calls the tool that is offered, whole and streamed alike, and answers its result with text", function()
    local tools = {
      { type = "function", ["function"] = {
        name = "look_up",
        parameters = { type = "object", properties = { city = { type = "string" }, days = { type = "integer" } } },
      } },
    }
    local call = json.decode((chat { tools = tools })).choices[1].message.tool_calls[1]
    assert.equal("look_up", call["function"].name)
    assert.equal('{"city":"sim","days":1}', call["function"].arguments)
    local pieces = {}
    for _, frame in ipairs(frames((chat { tools = tools, stream = true }))) do
      local part = type(frame) == "table" and frame.choices[1].delta.tool_calls
      pieces[#pieces + 1] = part and part[1]["function"].arguments or nil
    end
    assert.equal(call["function"].arguments, table.concat(pieces))
    local result = { role = "tool", tool_call_id = call.id, content = "sunny" }
    local body = json.decode((chat { tools = tools, messages = { CHAT.messages[1], result } }))
    assert.equal("stop", body.choices[1].finish_reason)
  end)

  it("echoes, speaks a given text and fills in a schema", function()
    assert.equal("hello you there", json.decode((chat({}, { sim = "echo" }))).choices[1].message.content)
    assert.equal("a b", json.decode((chat({}, { sim = "text=a b" }))).choices[1].message.content)
    local schema = { type = "object", properties = { n = { type = "integer", minimum = 4 } } }
    local format = { type = "json_schema", json_schema = { name = "x", schema = schema } }
    assert.equal('{"n":4}', json.decode((chat { response_format = format })).choices[1].message.content)
  end)

  it("serves completions, embeddings and models", function()
    local answer = json.decode((curl("/v1/completions", { body = { model = "m1", prompt = "a", max_tokens = 2 } })))
    assert.equal("the moon", answer.choices[1].text)
    answer = json.decode((curl("/v1/embeddings", { body = { model = "m1", input = { "a", "b" } } })))
    assert.equal(2, #answer.data)
    assert.equal(8, #answer.data[1].embedding)
    local packed = json.decode((curl("/v1/embeddings",
      { body = { model = "m1", input = "a", encoding_format = "base64" } })))
    local floats = string.pack("<" .. ("f"):rep(8), table.unpack(answer.data[1].embedding))
    assert.equal(text.base64(floats), packed.data[1].embedding)
    assert.equal("m1", json.decode((curl "/v1/models")).data[1].id)
    assert.equal("m1", json.decode((curl "/v1/models/m1")).id)
  end)

  it("refuses what a provider refuses, in its words", function()
    for _, case in ipairs {
      { 404, "model_not_found", { body = { model = "m2", messages = CHAT.messages } } },
      { 400, nil, { body = { model = "m1", messages = {} } } },
      { 400, nil, { body = { messages = CHAT.messages } } },
      { 400, "invalid_json", { body = "{" } },
      { 400, "bad_x_sim", { body = CHAT, sim = "no_such_thing=1" } },
    } do
      local answer, status = curl("/v1/chat/completions", case[3])
      assert.equal(case[1], status)
      assert.equal(case[2], json.decode(answer, { nulls = false }).error.code)
    end
    assert.equal(404, select(2, curl "/v1/nothing"))
    assert.equal(405, select(2, curl "/v1/chat/completions"))
  end)

  it("fails with the status that was ordered", function()
    local answer, status = chat({}, { sim = "status=429;retry_after=7;code=slow_down", head = true })
    assert.equal(429, status)
    assert.matches("retry%-after: 7\r\n", answer)
    assert.matches('"code":"slow_down"', answer)
    answer, status = chat({}, { sim = "html" })
    assert.equal(502, status)
    assert.matches("^<html>", answer)
    assert.equal(52, select(3, chat({}, { sim = "refuse" })))
    assert.equal("", (chat({}, { sim = "empty" })))
  end)

  it("takes the order from the body, too, and the header wins", function()
    assert.equal(503, select(2, chat { x_sim = "status=503" }))
    assert.equal(500, select(2, chat({ x_sim = { status = 503 } }, { sim = "status=500" })))
  end)

  it("cuts, resets, ends and stalls a stream after so many tokens", function()
    for _, case in ipairs {
      { "cut_after=3", 18, "cut" },
      { "reset_after=3", 56, "reset" },
      { "eof_after=3", 0, "eof" },
      { "stall_after=3", 28, "client_gone", "0.3" },
    } do
      local answer, _, exit = chat({ stream = true }, { sim = case[1], seconds = case[4] })
      assert.equal(case[2], exit)
      if exit ~= 56 then assert.equal("the moon pulls", said(frames(answer))) end
      assert.not_matches("%[DONE%]", answer)
      assert.equal(case[3], last().outcome)
      assert.equal(3, last().tokens)
    end
    assert.is_true(last().client_gone_ms >= last().stalled_ms)
  end)

  it("breaks a whole answer in its middle", function()
    assert.equal(18, select(3, chat({}, { sim = "cut_after=0" })))
    assert.equal(56, select(3, chat({}, { sim = "reset_after=0" })))
    assert.is_nil(json.decode((chat({}, { sim = "broken_json_after=0" }))))
  end)

  it("sends error frames and frames that are not JSON", function()
    local list = frames((chat({ stream = true }, { sim = "error_frame_after=2;code=sorry" })))
    assert.equal("sorry", list[#list].error.code)
    assert.equal("the moon", said(list))
    list = frames((chat({ stream = true }, { sim = "first_error_frame" })))
    assert.equal(1, #list)
    assert.equal("server_error", list[1].error.type)
    list = frames((chat({ stream = true }, { sim = "broken_json_after=1;tokens=2" })))
    assert.equal("string", type(list[3]))
    assert.equal("the moon", said(list))
    assert.equal("[DONE]", list[#list])
  end)

  it("leaves out what ends a stream", function()
    local list = frames((chat({ stream = true }, { sim = "no_done" })))
    assert.equal("stop", list[#list].choices[1].finish_reason)
    list = frames((chat({ stream = true }, { sim = "no_finish;no_role" })))
    assert.equal(8, #list)
    assert.is_nil(list[8].choices[1].finish_reason)
  end)

  it("stutters without changing a byte's meaning", function()
    local list = frames((chat({ stream = true }, { sim = "bytes=1;crlf;comments" })))
    assert.equal("the moon pulls tides across quiet water while", said(list))
    assert.equal("[DONE]", list[#list])
  end)

  it("follows a script: a queue, then rules, then its default", function()
    local script = {
      default = "tokens=1", queue = { "status=500", { status = 429, retry_after = 1 } },
      rules = { { match = { path = "/v1/models" }, behaviour = "status=503" } },
    }
    assert.equal(204, select(2, curl("/sim/script", { body = script })))
    local statuses = {}
    for i = 1, 3 do statuses[i] = select(2, chat()) end
    assert.same({ 500, 429, 200 }, statuses)
    assert.equal(503, select(2, curl "/v1/models"))
    assert.equal("the", json.decode((chat())).choices[1].message.content)
    assert.equal(400, select(2, curl("/sim/script", { body = { default = "oops" } })))
    assert.equal(204, select(2, curl("/sim/script", { body = { default = "status=503;fail_times=2" } })))
    for i = 1, 3 do statuses[i] = select(2, chat()) end
    assert.same({ 503, 503, 200 }, statuses)
  end)

  it("remembers what it was asked", function()
    chat({ stream = true }, { key = "sk-test" })
    local entry = last()
    assert.equal("POST", entry.method)
    assert.equal("/v1/chat/completions", entry.path)
    assert.equal("m1", entry.model)
    assert.equal("Bearer sk-test", entry.headers.authorization)
    assert.equal(entry.body_bytes, #entry.body)
    assert.equal("hello you there", json.decode(entry.body).messages[1].content)
    assert.equal("done", entry.outcome)
    assert.equal(8, entry.tokens)
    local state = json.decode((curl "/sim/state"))
    assert.equal(0, state.open)
  end)

end)

describe("simnet.behaviour", function()
  it("reads names, numbers and truths", function()
    assert.same({ status = 429, html = true, text = "a b", no_done = false, delay_ms = 1.5 },
      behaviour.parse " status = 429; html ;text=a b;no_done=false;delay_ms=1.5")
  end)

  it("refuses names that it does not know", function()
    assert.same({ nil, "unknown behaviour 'speed'" }, { behaviour.parse "speed=1" })
    assert.same({ nil, "unknown behaviour 'speed'" }, { behaviour.read { speed = 1 } })
  end)

  it("refuses values that make no sense", function()
    for _, case in ipairs {
      { "status=99", "behaviour 'status' takes an HTTP status from 200 to 599, got '99'" },
      { "token_ms=-1", "behaviour 'token_ms' takes milliseconds, 0 or more, got '-1'" },
      { "tokens=many", "behaviour 'tokens' takes an integer, 0 or more, got 'many'" },
      { "bytes=0", "behaviour 'bytes' takes an integer, 1 or more, got '0'" },
      { "cut_after=x", "behaviour 'cut_after' takes so many tokens, 0 or more, got 'x'" },
      { "hang=2", "behaviour 'hang' takes true or false, got '2'" },
      { "text", "behaviour 'text' takes a text, got 'true'" },
    } do
      assert.same({ nil, case[2] }, { behaviour.parse(case[1]) })
    end
    assert.same({ nil, "behaviour 'status' takes an HTTP status from 200 to 599, got 'x'" },
      { behaviour.read { status = "x" } })
  end)
end)
