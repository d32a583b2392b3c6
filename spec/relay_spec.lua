--- How an answer travels from a provider to a client: untouched, or not at all, or visibly broken.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local frames = provider.frames
local hello = { "Hel", "lo." }
local impatient = { timeouts = { first_token = "300ms", first_byte = "300ms", total = "1s" } }

-- A reset throws away what was not read yet, so what was sent is given time to arrive.
local function late_reset(c)
  loop.delay(0.1)
  c:reset()
end

describe("the relay", function()
  teardown(process.stop_all)

  describe("leaves untouched", function()
    it("the request's body, numbers, order and escapes included", router.test(function(start)
      local p = provider.start()
      local r = start { providers = { router.provider("a", p) } }
      local body = ' {"seed": 9007199254740993, "temperature":1.0,"stop":[],"metadata":{},\n'
        .. '"messages":[{"role":"user","content":"\\u00e9\\/\u{1F319}"}],"model":"m" ,"zz":-0.0e0}  '
      assert.equal(200, r:ask("POST", "/v1/chat/completions", body).status)
      assert.equal(body, p.requests[1].body)
    end))

    it("a whole answer", router.test(function(start)
      local text = '{"choices": [{"index":0,"message":{"content":"\\u0041"},"finish_reason":"stop"}],\n'
        .. ' "big":1e400 } \n'
      local r = start { providers = { router.provider("a", provider.start(provider.reply(200, text))) } }
      assert.equal(text, r:chat().body)
    end))

    it("a stream, however it is cut into pieces", router.test(function(start)
      local text = ": hi\r\n\r\n" .. frames.role:gsub("\n", "\r\n")
        .. "id: 7\ndata:" .. frames.token("Gr\u{FC}n"):sub(7)
        .. frames.token "\u{1F319}":gsub("data: {", "data: {\ndata: ") .. frames.finish() .. frames.usage .. frames.done
      local p = provider.start()
      local r = start { providers = { router.provider("a", p) } }
      for _, size in ipairs { #text, 1, 2, 7, 64 } do
        local script = {}
        for at = 1, #text, size do script[#script + 1] = text:sub(at, at + size - 1) end
        p:answer(provider.stream(script))
        local answer = r:chat { stream = true }
        assert.is_true(answer.is_whole)
        assert.equal(text, answer.body)
      end
    end))

    it("a stream that ends with its connection", router.test(function(start)
      local text = provider.stream_text(hello)
      local r = start { providers = { router.provider("a", provider.start(function(c)
        c:send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" .. text)
        c:close()
      end)) } }
      local answer = r:stream()
      assert.is_true(answer.is_whole)
      assert.equal(text, answer.body)
    end))

    it("tool arguments that the output limit cut off", router.test(function(start)
      local text = frames.role .. frames.delta { tool_calls = { {
        index = 0, id = "call_1", ["function"] = { name = "f", arguments = '{"city": "Par' },
      } } } .. frames.finish "length" .. frames.done
      local r = start { providers = { router.provider("a", provider.start(provider.stream { text })) } }
      assert.equal(text, r:stream().body)
      assert.is_true(r:await_requests(1)[1].cut_tool_args) -- what the client can not see at once, the log says
    end))
  end)

  describe("sends to the provider", function()
    it("its own key and nothing of the client's", router.test(function(start)
      local p = provider.start()
      local r = start { providers = { router.provider("a", p) }, keys = { "sk-of-the-client" } }
      r:chat({}, { authorization = "Bearer sk-of-the-client", cookie = "a=b", ["x-forwarded-for"] = "10.0.0.1",
        ["openai-organization"] = "org" })
      local sent = p.requests[1].headers
      assert.equal("Bearer sk-canary-a", sent.authorization)
      for _, name in ipairs { "cookie", "x-forwarded-for", "openai-organization" } do assert.is_nil(sent[name]) end
    end))

    it("its own name for the model, and changes nothing else", router.test(function(start)
      local p = provider.start()
      local r = start { providers = { router.provider("a", p, { models = { m = "vendor/m-large" } }) } }
      r:ask("POST", "/v1/chat/completions", '{"model" : "m","n":1.0, "messages":[]}')
      assert.equal('{"model" : "vendor/m-large","n":1.0, "messages":[]}', p.requests[1].body)
    end))
  end)

  -- Before the first content token a failure is somebody else's turn, and the client never learns of it.
  local html = provider.reply(200, "<html>welcome</html>", { ["content-type"] = "text/html" })
  local early = {
    ["refuses the connection"] = false,
    ["resets the connection"] = provider.reset,
    ["closes without an answer"] = provider.cut,
    ["answers 500"] = provider.status(500),
    ["answers 502 with HTML"] = provider.reply(502, "<html>bad gateway</html>", { ["content-type"] = "text/html" }),
    ["answers 503 with nothing"] = provider.reply(503, ""),
    ["answers 429"] = provider.status(429),
    ["answers 401"] = provider.status(401),
    ["answers 404"] = provider.status(404),
    ["answers 200 with HTML"] = html,
    ["answers 200 with JSON where a stream was asked for"] = provider.status(200),
    ["never answers"] = provider.stall,
    ["stalls after its head"] = provider.stream { provider.stall },
    ["stalls after comments and a role"] = provider.stream { ": hi\n\n", frames.role, ": hi\n\n", provider.stall },
    ["closes after a role"] = provider.stream { frames.role, provider.cut },
    ["resets after a role"] = provider.stream { frames.role, provider.reset },
    ["ends tidily after a role"] = provider.stream { frames.role },
    ["says [DONE] after a role"] = provider.stream { frames.role, frames.done },
    ["sends an error first"] = provider.stream { 'data: {"error":{"message":"overloaded"}}\n\n', frames.done },
    ["sends an error after a role"] = provider.stream { frames.role, 'data: {"error":"overloaded"}\n\n' },
    ["sends an event named error"] = provider.stream { frames.role, "event: error\ndata: {}\n\n" },
    ["sends what is not JSON"] = provider.stream { frames.role, "data: {oops}\n\n" },
    ["sends a plain line of text"] = provider.stream { frames.role, "stream error: unexpected EOF\n\n" },
    ["starts again before any content"] = provider.stream { frames.role, 'data: {"devshard_stream_reset":true}\n\n',
      provider.cut },
  }
  describe("hides from a streaming client a provider that", function()
    for what, behaviour in pairs(early) do
      it(what, router.test(function(start)
        local bad = behaviour and provider.start(behaviour)
        local good = provider.start(provider.tokens(hello))
        local r = start {
          providers = {
            router.provider("bad", bad or provider.dead_url(), impatient),
            router.provider("good", good, { tier = 2 }),
          },
        }
        local answer = r:stream()
        assert.equal(200, answer.status)
        assert.equal(provider.stream_text(hello), answer.body)
        assert.equal("good", answer.headers["x-perilune-provider"])
        assert.equal("2", answer.headers["x-perilune-attempts"])
        assert.equal(1, #good.requests)
        if bad then assert.equal(1, #bad.requests) end
      end))
    end
  end)

  local early_whole = {
    ["resets the connection"] = provider.reset,
    ["answers 500"] = provider.status(500),
    ["answers 200 with HTML"] = html,
    ["answers with an error inside 200"] = provider.reply(200, '{"error":{"message":"no response data"}}'),
    ["answers with no choices"] = provider.reply(200, '{"choices":[]}'),
    ["answers with half a body"] = function(c)
      c:send "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"choices\":["
      c:close()
    end,
    ["answers with broken JSON"] = provider.reply(200, '{"choices":[{"message":{"content":"Hel'),
    ["never answers"] = provider.stall,
  }
  describe("hides from a client without a stream a provider that", function()
    for what, behaviour in pairs(early_whole) do
      it(what, router.test(function(start)
        local good = provider.start()
        local r = start {
          providers = {
            router.provider("bad", provider.start(behaviour), impatient),
            router.provider("good", good, { tier = 2 }),
          },
        }
        local answer = r:chat()
        assert.equal(200, answer.status)
        assert.equal("Hello there.", answer.json.choices[1].message.content)
        assert.equal("2", answer.headers["x-perilune-attempts"])
        assert.equal(1, #good.requests)
      end))
    end
  end)

  -- After it, nothing is tried again: the client has half an answer and must hear that it is half.
  local late = {
    ["closes"] = { provider.cut },
    ["resets"] = { late_reset },
    ["ends tidily without a finish"] = {},
    ["stalls"] = { provider.stall, code = "upstream_stalled" },
    ["goes on with comments only"] = { function(c)
      while c:send "6\r\n: hi\n\n\r\n" and not c:has_left() do loop.delay(0.01) end
      c:close()
    end, code = "upstream_stalled" },
    ["sends what is not JSON"] = { "data: {oops}\n\n" },
    ["sends an error"] = { 'data: {"error":{"message":"overloaded","code":"overloaded"}}\n\n', frames.done,
      code = "overloaded" },
    ["sends an error of another shape"] = { 'data: {"error":"overloaded"}\n\n', frames.done },
    ["starts again"] = { 'data: {"devshard_stream_reset":true}\n\n', frames.role, frames.token "Hel", frames.done },
    ["sends an event without an end"] = { "data: " .. ("x"):rep(9 * 1024 * 1024) },
  }
  describe("ends with an error, and asks nobody else, when a provider that has begun", function()
    for what, script in pairs(late) do
      it(what, router.test(function(start)
        local steps = { frames.role, frames.token "Hel", table.unpack(script) }
        local bad, good = provider.start(provider.stream(steps)), provider.start()
        local r = start {
          providers = {
            router.provider("bad", bad, { timeouts = { idle = "500ms" } }), router.provider("good", good, { tier = 2 }),
          },
        }
        local answer = r:stream()
        assert.equal("Hel", answer.stream.text)
        assert.is_false(answer.stream.done)
        assert.is_table(answer.stream.error)
        for _, key in ipairs { "message", "type", "param", "code" } do assert.is_not_nil(answer.stream.error[key]) end
        if script.code then assert.equal(script.code, answer.stream.error.code) end
        assert.equal(0, #good.requests)
        loop.await("the provider to be left", function() return bad.busy == 0 end)
      end))
    end
  end)

  -- An error inside a 200 is what its code says, while the client has seen nothing.
  local function told(code, extra)
    return ('{"error":{"message":"simulated","type":%s,"param":null,"code":%s}}'):format(extra or '"x"', code)
  end
  for how, behave in pairs {
    ["a stream"] = function(text) return provider.stream { frames.role, "data: " .. text .. "\n\n", frames.done } end,
    ["its body"] = function(text) return provider.reply(200, text) end,
  } do
    it("takes an error in " .. how .. " for the status that it names", router.test(function(start)
      local p, other = provider.start(), provider.start()
      local r = start { providers = { router.provider("a", p), router.provider("b", other, { tier = 2 }) } }
      for _, stream in ipairs(how == "a stream" and { true } or { true, false }) do
        for _, text in ipairs { told(400), told('"x"', '"BadRequestError"') } do
          p:next(behave(text))
          local refused = r:chat { stream = stream }
          assert.equal(400, refused.status) -- it is the request: nobody else is asked
          assert.equal(text, refused.body)
          assert.equal("a", refused.headers["x-perilune-provider"])
        end
      end
      assert.equal(0, #other.requests)
      p:next(behave(told(429)))
      assert.equal("b", r:chat({ stream = true }).headers["x-perilune-provider"])
      r:await_requests(1)
      assert.equal("ERATELIMIT", r:log("attempt failed")[#r:log "attempt failed"].error)
    end))
  end

  it("adds the [DONE] that a finished stream lacks", router.test(function(start)
    local text = frames.role .. frames.token "Hel" .. frames.finish()
    local r = start { providers = { router.provider("a", provider.start(provider.stream { text })) } }
    assert.equal(text .. frames.done, r:stream().body)
  end))

  it("takes a stream for whole that is reset after its [DONE]", router.test(function(start)
    local text = provider.stream_text(hello)
    local r = start { providers = { router.provider("a", provider.start(provider.stream { text, late_reset })) } }
    local answer = r:stream()
    assert.is_true(answer.is_whole)
    assert.equal(text, answer.body)
  end))

  it("passes an answer on that is empty but finished", router.test(function(start)
    local text = frames.role .. frames.finish "length" .. frames.done
    local r = start { providers = { router.provider("a", provider.start(provider.stream { text })) } }
    assert.equal(text, r:stream().body)
  end))

  it("keeps a waiting client awake with comments, and still fails over", router.test(function(start)
    local bad, good = provider.start(provider.stream { frames.role, provider.stall }), provider.start()
    local r = start {
      keepalive = "50ms",
      providers = {
        router.provider("bad", bad, { timeouts = { first_token = "400ms" } }),
        router.provider("good", good, { tier = 2 }),
      },
    }
    local answer = r:stream()
    assert.matches("^: keepalive\n\n", answer.body)
    assert.equal("Hello there.", answer.stream.text)
    assert.is_true(answer.stream.done)
    local _, roles = answer.body:gsub('"role"', "")
    assert.equal(1, roles)
  end))

  it("turns to an error frame when every provider fails after a comment went out", router.test(function(start)
    local r = start {
      keepalive = "50ms",
      providers = { router.provider("a", provider.start(provider.stall), impatient) },
    }
    local answer = r:stream()
    assert.equal(200, answer.status)
    assert.equal("upstream_timeout", answer.stream.error.code)
    assert.is_false(answer.stream.done)
  end))

  it("stops reading a provider whose client is slow, and loses nothing", router.test(function(start)
    local total, sent = 32 * 1024 * 1024, 0
    local piece = frames.token(("x"):rep(16000))
    local p = provider.start(function(c, request)
      local script = { frames.role }
      for _ = 1, total // #piece do
        script[#script + 1] = piece
        script[#script + 1] = function() sent = sent + #piece end
      end
      script[#script + 1] = frames.finish() .. frames.done
      provider.stream(script)(c, request)
    end)
    local r = start { providers = { router.provider("a", p) } }
    r:chat { stream = true } -- one whole turn first, so that memory taken once is not counted
    local before, held = r.process:memory_kib(), nil
    sent = 0
    local c = r:open_chat { stream = true }
    local head = c:take_head()
    loop.await("the provider to be held back", function()
      if held == sent and sent > 0 then return true end
      held = sent
      for _ = 1, 200 do loop.pass() end
    end, 30)
    -- The kernel takes up to 22 MB: its buffer of a connection that served the turn before has grown.
    assert(sent < total, "the provider could send everything to a client that reads nothing")
    local grown = r.process:memory_kib() - before
    assert(grown < 4096 or router.is_sanitized(), "memory grew by " .. grown .. " KiB")
    local body, is_whole = c:take_body(head)
    assert.is_true(is_whole)
    assert.equal(total // #piece * #piece, sent)
    assert.equal(#frames.role + sent + #frames.finish() + #frames.done, #body)
  end, 120))

  -- Hooks make more of one read than the queue to a client who does not look can take.
  local function grow_beyond(start, kib, times)
    local p = provider.start(provider.stream {
      frames.role .. frames.token "a" .. frames.token("x"):rep(48) .. frames.finish() .. frames.done })
    local r = start(
      { providers = { router.provider("a", p) }, policies = { "./grow.lua" }, policy = { budget = "10s" } },
      { ["grow.lua"] = ([[
        local text = '{"choices":[{"index":0,"delta":{"content":"' .. ("y"):rep(%d) .. '"}}]}'
        return { event = function(_, event)
          if event.data:find('"x"', 1, true) then for _ = 1, %d do event:replace(text) end end
        end }
      ]]):format(kib * 1024, times) })
    local c = r:open_chat { stream = true }
    local head = c:take_head()
    local line = r:await_requests(1)[1]
    return line, c:take_body(head)
  end

  it("breaks a stream off, visibly, that policies made too much of", router.test(function(start)
    local line, body, is_whole = grow_beyond(start, 300, 1)
    assert.equal("ETOOBIG", line.error)
    assert.is_true(is_whole)
    local seen = router.read_stream(body)
    assert.is_false(seen.done)
    assert.equal("upstream_oversize", seen.error.code)
    assert.equal(0, (#seen.text - 1) % (300 * 1024)) -- what came before the error is whole
  end, 120))

  it("cuts the connection when there is no room to say so", router.test(function(start)
    local line, body, is_whole = grow_beyond(start, 1000, 7)
    assert.equal("ETOOBIG", line.error)
    assert.is_false(is_whole)
    assert.is_nil(body:find("[DONE]", 1, true))
  end, 120))

  it("writes an edited event on as many lines as its data has, under its own name", router.test(function(start)
    local event = 'event: chunk\ndata: {"choices":[{"index":0,\ndata: "delta":{"content":"x"}}]}\n\n'
    local p = provider.start(provider.stream { frames.role, event, frames.finish(), frames.done })
    local r = start({ providers = { router.provider("a", p) }, policies = { "./edit.lua" } }, { ["edit.lua"] = [[
      return { event = function(_, event)
        if event.name == "chunk" then event.json.choices[1].delta.content = "X" end
      end }
    ]] })
    local answer = r:stream()
    assert.truthy(answer.body:find((event:gsub('"x"', '"X"')), 1, true), answer.body)
  end))

  local GROWN = {
    ["edit.lua"] = [[
      local function grow(choice, name)
        if not choice or not choice[name] then return end
        if choice[name].secret then choice[name].secret, choice[name].content = nil, ("y"):rep(3 * 1024 * 1024) end
      end
      return {
        event = function(_, event) grow(event.json and event.json.choices and event.json.choices[1], "delta") end,
        answer = function(_, answer) grow(answer.body.choices[1], "message") end,
      }
    ]],
  }

  it("breaks a stream off rather than send an event that could not be edited", router.test(function(start)
    local p = provider.start(provider.stream { frames.role .. frames.token "a"
      .. 'data: {"choices":[{"index":0,"delta":{"content":"x","secret":"shh"}}]}\n\n' .. frames.token "b"
      .. frames.finish() .. frames.done })
    local r = start({
      providers = { router.provider("a", p) }, policies = { "./edit.lua" }, policy = { budget = "10s" },
    }, GROWN)
    local answer = r:stream()
    assert.equal("a", answer.stream.text)
    assert.is_false(answer.stream.done)
    assert.equal("upstream_oversize", answer.stream.error.code)
    assert.is_nil(answer.body:find("shh", 1, true))
  end))

  it("refuses a whole answer that could not be edited", router.test(function(start)
    local p = provider.start(provider.reply(200,
      '{"choices":[{"index":0,"message":{"role":"assistant","content":"x","secret":"shh"},"finish_reason":"stop"}]}'))
    local r = start({
      providers = { router.provider("a", p) }, policies = { "./edit.lua" }, policy = { budget = "10s" },
      limits = { answer_bytes = "1MiB" },
    }, GROWN)
    local answer = r:chat()
    assert.equal(502, answer.status)
    assert.matches("answer_bytes", answer.json.error.message, 1, true)
    assert.is_nil(answer.body:find("shh", 1, true))
  end))

  it("sends each frame on at once", router.test(function(start)
    local release = {}
    local r = start { providers = { router.provider("a", provider.start(provider.stream {
      frames.role, frames.token "a", provider.hold(release), frames.token "b", frames.finish(), frames.done,
    })) } }
    local c = r:open_chat { stream = true }
    c:take_head()
    assert.is_string(c:take_until('"a"'))
    assert.is_nil(c.received:find('"b"', 1, true))
    release.now = true
    assert.is_string(c:take_until('"b"'))
  end))

  it("never shows a provider's key", router.test(function(start)
    local p = provider.start(provider.status(401, "Incorrect API key provided: sk-canary-a."))
    local r = start { providers = { router.provider("a", p) } }
    local answer = r:chat()
    p:answer(provider.status(400, "key sk-canary-a is bad"))
    local refused = start { providers = { router.provider("a", p) } }:chat()
    for _, text in ipairs { answer.body, refused.body, r.process:stderr() } do
      assert.is_nil(text:find("sk-canary", 1, true))
    end
  end))
end)
