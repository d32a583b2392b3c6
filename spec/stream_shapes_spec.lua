--- Streams and answers as providers really send them: text under names of their own, errors inside 200, usage in odd
-- places.
local cjson = require "cjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local f = provider.frames

local function one(start, p) return start { providers = { router.provider("a", p, { models = { "m" } }) } } end

local function two(start, a, b)
  return start { providers = { router.provider("a", a, { models = { "m" } }),
    router.provider("b", b, { models = { "m" }, tier = 2 }) } }
end

local function frame(fields)
  return "data: " .. cjson.encode(fields):gsub('"choices":{}', '"choices":[]') .. "\n\n"
end

describe("text that a client waits for", function()
  teardown(process.stop_all)

  for _, delta in ipairs {
    { reasoning_text = "Hm" }, { thinking = "Hm" }, { thought = "Hm" }, { reasoning = "Hm" }, { summary_text = "Hm" },
    { reasoning_details = { { type = "reasoning.text", text = "Hm" } } }, { refusal = "No." },
    { audio = { id = "a", transcript = "Hi" } },
  } do
    local name = next(delta)
    it("goes out at once: " .. name, router.test(function(start)
      local release = {}
      local p = provider.start(provider.stream {
        f.role, f.delta(delta), provider.hold(release), f.token "fine", f.finish(), f.done })
      local c = one(start, p):open_chat { stream = true }
      assert.equal(200, c:take_head().status)
      local seen = ""
      repeat seen = seen .. c:take_chunk() until seen:find('"' .. name .. '"', 1, true)
      assert.equal(1, p.busy)
      release.now = true
      repeat
        local chunk = c:take_chunk()
        seen = seen .. (chunk or "")
      until not chunk or chunk == ""
      assert.equal("fine", router.read_stream(seen).text)
      assert.is_true(router.read_stream(seen).done)
    end))
  end
end)

describe("an error inside 200", function()
  teardown(process.stop_all)

  local failed = { code = 502, message = "upstream went away" }
  local rows = {
    { "in a choice", frame { choices = { { index = 0, delta = { content = "" }, error = failed } } },
      cjson.encode { choices = { { index = 0, message = { content = "" }, error = failed } } } },
  }
  for _, reason in ipairs { "error", "network_error", "insufficient_system_resource" } do
    rows[#rows + 1] = { "told by the finish reason " .. reason, f.finish(reason),
      cjson.encode { choices = { { index = 0, message = { content = "" }, finish_reason = reason } } } }
  end
  for _, row in ipairs(rows) do
    it("is left for the next provider: " .. row[1], router.test(function(start)
      local a, b = provider.start(), provider.start(provider.chat "fine")
      local r = two(start, a, b)
      a:answer(provider.reply(200, row[3]))
      assert.equal("fine", r:chat().json.choices[1].message.content)
      a:answer(provider.stream { f.role, row[2], f.done })
      local answer = r:stream()
      assert.equal("fine", answer.stream.text)
      assert.is_true(answer.stream.done)
    end))
  end

  it("behind content ends the stream with an error", router.test(function(start)
    local p = provider.start(provider.stream { f.role, f.token "Hel", rows[1][2], f.done })
    local stream = one(start, p):stream().stream
    assert.equal("Hel", stream.text)
    assert.equal("upstream went away", stream.error.message)
    assert.is_false(stream.done)
  end))

  it("is none when the member is empty", router.test(function(start)
    for _, empty in ipairs { {}, cjson.null, "", false } do
      local p = provider.start()
      local r = one(start, p)
      p:answer(provider.reply(200, provider.completion("fine", { error = empty })))
      assert.equal("fine", r:chat().json.choices[1].message.content)
      p:answer(provider.stream { f.role, frame { choices = { { index = 0, delta = { content = "fine" } } },
        error = empty }, f.finish(), f.done })
      assert.equal("fine", r:stream().stream.text)
      r:stop()
    end
  end))
end)

describe("usage", function()
  teardown(process.stop_all)

  local plain = { prompt_tokens = 10, completion_tokens = 5 }
  local finish = { index = 0, delta = {}, finish_reason = "stop" }
  local rows = {
    { "in the last choice", { choices = { { index = 0, delta = {}, finish_reason = "stop", usage = plain } } }, 10, 5 },
    { "in x_groq", { choices = { finish }, x_groq = { id = "r", usage = plain } }, 10, 5 },
    { "under Anthropic's names", { choices = { finish }, usage = { input_tokens = 10, output_tokens = 5 } }, 10, 5 },
    { "with reasoning beside the completion", { choices = { finish }, usage = { prompt_tokens = 10,
      completion_tokens = 5, total_tokens = 35, completion_tokens_details = { reasoning_tokens = 20 } } }, 10, 25 },
    { "with DeepSeek's cache", { choices = { finish }, usage = { prompt_tokens = 10, completion_tokens = 5,
      prompt_cache_hit_tokens = 8 } }, 10, 5 },
  }
  for _, row in ipairs(rows) do
    it("is counted: " .. row[1], router.test(function(start)
      local p = provider.start(provider.stream { f.role, f.token "fine", frame(row[2]), f.done })
      local r = one(start, p)
      assert.equal("fine", r:stream().stream.text)
      local line = r:await_requests(1)[1]
      assert.equal(row[3], line.in_tokens)
      assert.equal(row[4], line.out_tokens)
    end))
  end
end)

-- As llama.cpp's server says it, for `return_progress`.
local function progress(processed)
  return frame { id = "x", object = "chat.completion.chunk", created = 1, model = "m",
    choices = { { index = 0, delta = { role = "assistant", content = cjson.null }, finish_reason = cjson.null } },
    prompt_progress = { total = 4096, cache = 0, processed = processed, time_ms = 10 } }
end

describe("the progress of a prompt", function()
  teardown(process.stop_all)

  local function take_rest(c)
    local seen = ""
    repeat
      local chunk = c:take_chunk()
      seen = seen .. (chunk or "")
    until not chunk or chunk == ""
    return seen
  end

  it("goes out at once to a client that asked for it", router.test(function(start)
    local first, second = {}, {}
    local p = provider.start(provider.stream { progress(1024), provider.hold(first), progress(4096),
      provider.hold(second), f.role, f.token "fine", f.finish(), f.done })
    local c = one(start, p):open_chat { stream = true, return_progress = true }
    assert.equal(200, c:take_head().status)
    local seen = c:take_chunk()
    assert.equal(progress(1024), seen)
    first.now = true
    assert.equal(progress(4096), c:take_chunk())
    assert.equal(1, p.busy)
    second.now = true
    assert.equal(f.role .. f.token "fine" .. f.finish() .. f.done, take_rest(c))
  end))

  it("is held as other frames for one that did not", router.test(function(start)
    local p = provider.start(provider.stream { f.role, progress(4096), provider.cut })
    local r = two(start, p, provider.start(provider.stream { progress(8), provider.stream_text { "good" } }))
    for _, fields in ipairs { {}, { return_progress = false } } do
      local answer = r:stream(fields)
      assert.equal("b", answer.headers["x-perilune-provider"])
      assert.equal(progress(8) .. provider.stream_text { "good" }, answer.body)
    end
    assert.equal(2, #p.requests)
  end))

  it("does not bind the answer to its provider", router.test(function(start)
    local a = provider.start(provider.stream { progress(1024), progress(2048), provider.cut })
    local b = provider.start(provider.stream { progress(4096), provider.stream_text { "good" } })
    local answer = two(start, a, b):stream { return_progress = true }
    assert.equal(progress(1024) .. progress(2048) .. progress(4096) .. provider.stream_text { "good" }, answer.body)
    assert.same({ 1, 1 }, { #a.requests, #b.requests })
  end))

  it("is followed by an error where nobody answers", router.test(function(start)
    local a = provider.start(provider.stream { progress(1024), provider.reset })
    local answer = one(start, a):stream { return_progress = true }
    assert.equal(200, answer.status)
    assert.is_string(answer.stream.error.message)
    assert.is_false(answer.stream.done)
    assert.matches("^data: .-prompt_progress", answer.body)
  end))

  it("is a policy's to change, as every event", router.test(function(start)
    local p = provider.start(provider.stream { progress(1024), progress(4096), provider.stream_text { "fine" } })
    local policy = 'return { event = function(_, event) if event.data:find("1024", 1, true) then event:drop() end end }'
    local r = start({ providers = { router.provider("a", p, { models = { "m" } }) }, policies = { "p.lua" } },
      { ["p.lua"] = policy })
    assert.equal(progress(4096) .. provider.stream_text { "fine" }, r:stream({ return_progress = true }).body)
  end))

  it("is no answer", router.test(function(start)
    local p = provider.start(provider.stream { progress(1024), f.finish(), f.done })
    local b = provider.start(provider.tokens { "good" })
    local answer = two(start, p, b):stream { return_progress = true }
    assert.equal("good", answer.stream.text)
    local whole = two(start, p, b):chat { return_progress = true }
    assert.equal("good", whole.json.choices[1].message.content)
  end))
end)
