--- Answers under any label, in any framing that was seen: known by their first bytes.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local f = provider.frames
local stream_text = provider.stream_text { "fine" }

local function one(start, p, options)
  options = options or {}
  options.models = { "m" }
  return start { providers = { router.provider("a", p, options) } }
end

--- A 200 with these bytes, under a label or none.
local function raw(label, body)
  return function(c)
    c:send(("HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n"):format(
      label and "content-type: " .. label .. "\r\n" or "", #body) .. body)
  end
end

describe("an event stream", function()
  teardown(process.stop_all)

  local labels = { "text/plain", "application/octet-stream", "application/json", "TEXT/EVENT-STREAM",
    "text/event-stream;charset=utf-8", "text/event-stream ; Charset=UTF-8", "text/html", "binary" }

  it("is known by its first bytes, whatever its label", router.test(function(start)
    local p = provider.start()
    local r = one(start, p)
    for i = 0, #labels do
      for _, front in ipairs { "", "\239\187\191", "\r\n\n", ": hi\n\n", "event: message\n", "id: 1\n" } do
        p:answer(raw(labels[i], front .. stream_text))
        local answer = r:stream()
        assert.equal(200, answer.status, (labels[i] or "none") .. front)
        assert.equal("fine", answer.stream.text)
        assert.is_true(answer.stream.done)
        assert.equal("text/event-stream; charset=utf-8", answer.headers["content-type"])
      end
    end
  end))

  it("is known byte by byte as well", router.test(function(start)
    local p = provider.start(function(c)
      c:send "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
      for at = 1, #stream_text do
        c:send(("1\r\n%s\r\n"):format(stream_text:sub(at, at)))
        if at < 12 then loop.delay(0.002) end
      end
      c:send "0\r\n\r\n"
    end)
    assert.equal("fine", one(start, p):stream().stream.text)
  end))

  it("is told as a whole answer where none was asked for", router.test(function(start)
    local p = provider.start()
    local r = one(start, p)
    for i = 0, 3 do
      p:answer(raw(labels[i], provider.stream_text({ "it ", "is ", "fine" }, { usage = true })))
      local answer = r:chat()
      assert.equal(200, answer.status, labels[i])
      assert.equal("application/json", answer.headers["content-type"])
      assert.equal("chat.completion", answer.json.object)
      assert.equal("it is fine", answer.json.choices[1].message.content)
      assert.equal("assistant", answer.json.choices[1].message.role)
      assert.equal("stop", answer.json.choices[1].finish_reason)
      assert.equal(7, answer.json.usage.total_tokens)
    end
  end))

  it("of tool calls is told as whole calls", router.test(function(start)
    local function call(fields) return f.delta { tool_calls = { fields } } end
    local p = provider.start(raw(nil, f.role
      .. call { index = 0, id = "a", type = "function", ["function"] = { name = "get", arguments = "" } }
      .. call { index = 0, ["function"] = { arguments = '{"city":' } }
      .. call { index = 0, ["function"] = { arguments = '"Paris"}' } } .. f.finish "tool_calls" .. f.done))
    local choice = one(start, p):chat().json.choices[1]
    assert.same({ { id = "a", type = "function", ["function"] = { name = "get", arguments = '{"city":"Paris"}' } } },
      choice.message.tool_calls)
    assert.equal("tool_calls", choice.finish_reason)
  end))

  it("is told as a whole answer in every dialect", router.test(function(start)
    local p = provider.start()
    local r = one(start, p)
    local function text_frame(fields) return "data: " .. cjson.encode { choices = { fields } } .. "\n\n" end
    p:answer(raw(nil, text_frame { index = 0, text = "it is " } ..
      text_frame { index = 0, text = "fine", finish_reason = "stop" } .. f.done))
    local answer = r:ask("POST", "/v1/completions", '{"model":"m","prompt":"Hi"}')
    assert.equal("it is fine", answer.json.choices[1].text)
    assert.equal("text_completion", answer.json.object)
    p:answer(raw(nil, 'data: {"object":"list","data":[{"embedding":[0.5]}]}\n\ndata: [DONE]\n\n'))
    answer = r:ask("POST", "/v1/embeddings", '{"model":"m","input":"Hi"}')
    assert.equal(0.5, answer.json.data[1].embedding[1])
  end))

  it("of another API is no answer", router.test(function(start)
    local p = provider.start()
    local r = one(start, p)
    for _, body in ipairs { stream_text, "data: [DONE]\n\n", f.token "half", f.role .. f.done } do
      p:answer(raw("text/event-stream", body))
      local answer = r:ask("POST", "/v1/embeddings", '{"model":"m","input":"Hi"}')
      assert.equal(502, answer.status, body)
      assert.is_string(answer.json.error.message)
    end
  end))

  it("that breaks off is never told as a whole answer", router.test(function(start)
    local good = provider.start(provider.chat "fine")
    local p = provider.start()
    local r = start { route = { failures = 100 }, providers = { router.provider("a", p, { models = { "m" } }),
      router.provider("b", good, { models = { "m" }, tier = 2 }) } }
    for _, body in ipairs { f.role .. f.token "half", f.role .. f.token "half" .. "data: {\"choices\"",
      f.role .. f.token "half" .. 'data: {"error":{"message":"gone"}}\n\n',
      f.role .. f.token "half" .. "data: x\n\n" } do
      p:answer(raw("text/event-stream", body))
      assert.equal("fine", r:chat().json.choices[1].message.content, body)
    end
  end))
end)

describe("a whole answer", function()
  teardown(process.stop_all)

  it("is known by its first bytes, whatever its label", router.test(function(start)
    local p = provider.start()
    local r = one(start, p)
    for _, label in ipairs { false, "text/plain", "text/event-stream", "application/vnd.api+json", "TEXT/JSON" } do
      for _, front in ipairs { "", "\n\n\r\n \t", "\239\187\191" } do
        p:answer(raw(label or nil, front .. provider.completion "fine"))
        for _, streamed in ipairs { false, true } do
          local answer = streamed and r:stream() or r:chat()
          assert.equal(200, answer.status, tostring(label))
          assert.equal("fine", streamed and answer.stream.text or answer.json.choices[1].message.content)
          assert.is_nil(answer.body:find("\239\187\191", 1, true))
        end
      end
    end
  end))

  it("of a prompt is told as a stream", router.test(function(start)
    local p = provider.start(provider.reply(200, '{\n "choices":[{"text":"fine","finish_reason":"stop"}]\n}'))
    local answer = one(start, p):ask("POST", "/v1/completions", '{"model":"m","prompt":"Hi","stream":true}')
    assert.equal(200, answer.status)
    local seen = router.read_stream(answer.body:gsub("\ndata: ([^{%[])", "%1"))
    assert.equal("fine", seen.events[1].choices[1].text)
    assert.is_true(seen.done)
  end))

  it("of calls without a reason gets theirs when it is told as a stream", router.test(function(start)
    local call = { id = "a", type = "function", ["function"] = { name = "get", arguments = "{}" } }
    local p = provider.start(provider.reply(200, cjson.encode { choices = { {
      index = 0, message = { role = "assistant", tool_calls = { call } } } } }))
    local seen = one(start, p):stream().stream
    assert.equal("tool_calls", seen.events[1].choices[1].finish_reason)
  end))

  it("that is a page, or text, or nothing, is refused", router.test(function(start)
    local p = provider.start()
    local r = start { route = { failures = 100, max_attempts = 1 }, providers = {
      router.provider("a", p, { models = { "m" } }) } }
    for _, body in ipairs { "<html></html>", "\n <!doctype html>", "all is well", '"text"', "42", "" } do
      for _, label in ipairs { "text/plain", "application/json", "text/event-stream" } do
        p:answer(raw(label, body))
        assert.equal(502, r:chat().status, label .. body)
        assert.equal(502, r:stream().status, label .. body)
      end
    end
  end))
end)

describe("an event of any size", function()
  teardown(process.stop_all)

  it("goes through, as the first content too", router.test(function(start)
    local p = provider.start()
    local r = one(start, p)
    for _, mib in ipairs { 1, 3, 12 } do
      local image = ("A"):rep(mib * 1024 * 1024)
      p:answer(provider.stream {
        f.role .. f.delta { images = { { url = image } } } .. f.token "fine" .. f.finish() .. f.done })
      local answer = r:stream()
      assert.equal("fine", answer.stream.text, mib)
      assert.is_true(answer.stream.done)
      assert.equal(image, answer.stream.events[2].choices[1].delta.images[1].url)
    end
  end, 120))

  it("may come before the content", router.test(function(start)
    local ids = ("128000,"):rep(100000) .. "1"
    local p = provider.start(provider.stream {
      'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}],"prompt_token_ids":[' .. ids .. "]}\n\n",
      f.token "fine", f.finish(), f.done })
    assert.equal("fine", one(start, p):stream().stream.text)
  end))

  it("has the limit of a whole answer, and the number told is the real one", router.test(function(start)
    local p = provider.start()
    local r = start { limits = { answer_bytes = 65536 }, route = { failures = 100 },
      providers = { router.provider("a", p, { models = { "m" } }) } }
    p:answer(provider.stream { f.role, f.token(("x"):rep(70000)), f.finish(), f.done })
    local answer = r:stream()
    assert.equal(502, answer.status)
    assert.equal("upstream_oversize", answer.json.error.code)
    p:answer(provider.stream { f.role:rep(1000), f.token "x", f.finish(), f.done })
    answer = r:stream()
    assert.equal(502, answer.status)
    local sent = tonumber(answer.json.error.message:match "sent (%d+) bytes")
    assert.is_true(sent > 65536 and sent <= #f.role * 1000 + 1000, answer.json.error.message)
  end))

  it("the blanks that a provider sends until it has an answer do not count", router.test(function(start)
    local p = provider.start()
    local r = start { limits = { answer_bytes = 262144 },
      providers = { router.provider("a", p, { models = { "m" } }) } }
    p:answer(provider.reply(200, ("\n"):rep(1000000) .. '{"choices":[{"index":0,"message":{"role":"assistant",'
      .. '"content":"late"},"finish_reason":"stop"}]}'))
    local answer = r:chat()
    assert.equal(200, answer.status)
    assert.equal("late", answer.json.choices[1].message.content)
  end))
end)

describe("the end of a stream", function()
  teardown(process.stop_all)

  it("may lack its last blank line when the body is whole", router.test(function(start)
    local p = provider.start()
    local r = one(start, p)
    for _, tail in ipairs { "data: [DONE]", "data: [DONE]\n" } do
      p:answer(provider.stream { f.role, f.token "fine", tail })
      local answer = r:stream()
      assert.equal("fine", answer.stream.text)
      assert.is_true(answer.stream.done, tail)
      assert.is_nil(answer.stream.error)
    end
    p:answer(provider.stream { f.role, f.token "fine", (f.finish():gsub("\n\n$", "")) })
    local answer = r:stream()
    assert.is_true(answer.stream.done)
    assert.equal("stop", answer.stream.events[3].choices[1].finish_reason)
  end))

  it("that was cut never counts", router.test(function(start)
    local p = provider.start()
    local r = start { route = { failures = 100 }, providers = { router.provider("a", p, { models = { "m" } }) } }
    for _, tail in ipairs { "data: [DONE]", (f.finish():gsub("\n\n$", "")) } do
      p:answer(provider.stream { f.role, f.token "half", tail, function(c) loop.delay(0.02) c:close() end })
      local stream = r:stream().stream
      assert.is_table(stream.error, tail)
      assert.is_false(stream.done)
    end
  end))

  it("is no end in front of the usage that the client asked for", router.test(function(start)
    local function cut(c) loop.delay(0.02) c:close() end
    local p = provider.start(provider.stream { f.role, f.token "fine" .. f.finish(), cut })
    local r = start { route = { failures = 100 }, providers = { router.provider("a", p, { models = { "m" } }) } }
    assert.is_true(r:stream().stream.done)
    local stream = r:stream({ stream_options = { include_usage = true } }).stream
    assert.is_table(stream.error)
    assert.is_false(stream.done)
    p:answer(provider.stream { f.role, f.token "fine" .. f.finish() .. f.usage, cut })
    assert.is_true(r:stream({ stream_options = { include_usage = true } }).stream.done)
    p:answer(provider.stream { f.role, f.token "fine" .. f.finish() })
    assert.is_true(r:stream({ stream_options = { include_usage = true } }).stream.done)
  end))

  it("is the end: frames behind [DONE] are dropped", router.test(function(start)
    local whole = f.role .. f.token "fine" .. f.finish() .. f.done
    local p = provider.start(provider.stream {
      whole .. f.token "more" .. 'data: {"error":{"message":"x"}}\n\n' .. "data: x\n\n" })
    local answer = one(start, p):stream()
    assert.equal(whole, answer.body)
  end))
end)

describe("an answer without content", function()
  teardown(process.stop_all)

  local empties = {
    ["a stream that finishes"] = provider.stream { f.role, f.finish(), f.done },
    ["a stream that finishes without [DONE]"] = provider.stream { f.role, f.finish() },
    ["a whole one"] = provider.reply(200, provider.completion ""),
    ["a whole one without a message"] = provider.reply(200, '{"choices":[{"index":0,"finish_reason":"stop"}]}'),
    ["no choices"] = provider.reply(200, '{"choices":[]}'),
  }
  for what, behaviour in pairs(empties) do
    it("is left for the next provider: " .. what, router.test(function(start)
      local r = start { providers = { router.provider("a", provider.start(behaviour), { models = { "m" } }),
        router.provider("b", provider.start(provider.chat "fine"), { models = { "m" }, tier = 2 }) } }
      assert.equal("fine", r:stream().stream.text)
      assert.equal("fine", r:chat().json.choices[1].message.content)
    end))
  end

  it("is passed on where the configuration says so", router.test(function(start)
    local p = provider.start(empties["a stream that finishes"])
    local r = one(start, p, { empty_answers = "pass" })
    assert.equal(f.role .. f.finish() .. f.done, r:stream().body)
    p:answer(empties["a whole one"])
    assert.equal("", r:chat().json.choices[1].message.content)
  end))

  it("is an error where nobody has more", router.test(function(start)
    local answer = one(start, provider.start(empties["a whole one"])):chat()
    assert.equal(502, answer.status)
    assert.equal("empty_answer", answer.json.error.code)
  end))
end)

describe("a whole answer that takes long", function()
  teardown(process.stop_all)

  it("has its total alone, until it has begun", router.test(function(start)
    local p = provider.start(function(c)
      loop.delay(0.4)
      c:send "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
      loop.delay(0.4)
      local text = provider.completion "fine"
      c:send(("%x\r\n%s\r\n0\r\n\r\n"):format(#text, text))
    end)
    local times = { first_byte = "150ms", first_token = "150ms", idle = "150ms" }
    assert.equal("fine", one(start, p, { timeouts = times }):chat().json.choices[1].message.content)
    times.total = "600ms"
    assert.equal(504, one(start, p, { timeouts = times }):chat().status)
  end))
end)
