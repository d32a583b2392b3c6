--- The official OpenAI client through the router: what a program built on it sees, in good times and bad.
local cjson = require "cjson"
local clients = require "spec.support.clients"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local frames = provider.frames

describe("the official OpenAI client", function()
  if not clients.directory() then
    print("skipped: " .. clients.why)
    return
  end
  teardown(process.stop_all)

  -- One provider, one router, and the calls of a plan.
  local function ask(start, behaviour, plan, options)
    local p = provider.start(behaviour)
    local r = start { providers = { router.provider("a", p, options) } }
    return clients.run(r.url, plan), p, r
  end

  it("gets answers, streamed and not, with usage and request id", router.test(function(start)
    local seen, p = ask(start, provider.chat "Hello there.", {
      { stream = false, models = true }, { stream = true },
      { stream = true, fields = { stream_options = { include_usage = true } } },
    }, { models = { "m" } })
    for _, one in ipairs(seen) do
      assert.is_true(one.ok)
      assert.equal("Hello there.", one.text)
      assert.equal("stop", one.finish)
    end
    assert.equal(7, seen[1].usage.total_tokens)
    assert.matches("^req_", seen[1].request_id)
    assert.same({ "m" }, seen[1].models)
    assert.equal(7, seen[3].usage.total_tokens)
    assert.equal(3, #p.requests)
    assert.equal("Bearer sk-canary-a", p.requests[1].headers.authorization)
  end))

  it("gets tool calls piece by piece", router.test(function(start)
    local parts = { '{"ci', 'ty":"', 'Par\\"is', '"}' }
    local script = { frames.role, frames.delta { tool_calls = { {
      index = 0, id = "call_1", type = "function", ["function"] = { name = "weather", arguments = "" },
    } } } }
    for _, part in ipairs(parts) do
      script[#script + 1] = frames.delta { tool_calls = { { index = 0, ["function"] = { arguments = part } } } }
    end
    script[#script + 1] = frames.finish "tool_calls" .. frames.done
    local seen = ask(start, provider.stream(script), { { stream = true, tools = true } })
    assert.is_true(seen[1].ok)
    assert.equal(table.concat(parts), seen[1].arguments)
    assert.equal("tool_calls", seen[1].finish)
  end))

  it("raises the class that belongs to each status, with our four keys", router.test(function(start)
    local p = provider.start()
    local r = start {
      providers = { router.provider("a", p, { models = { "m", "refuses", "breaks" } }) },
      route = { max_attempts = 1 }, keys = { "sk-client" },
    }
    p:next(provider.status(400, "bad temperature"), provider.status(500))
    local seen = clients.run(r.url, {
      { fields = { model = "refuses" } },
      { fields = { model = "unknown" } },
      { key = "sk-wrong" },
      { fields = { model = "breaks" } },
    })
    assert.equal("BadRequestError", seen[1].error.name)
    assert.equal(400, seen[1].error.status)
    assert.matches("bad temperature", seen[1].error.message)
    assert.equal("NotFoundError", seen[2].error.name)
    assert.equal("model_not_found", seen[2].error.code)
    assert.equal("model", seen[2].error.param)
    assert.equal("AuthenticationError", seen[3].error.name)
    assert.equal("invalid_api_key", seen[3].error.code)
    assert.equal("InternalServerError", seen[4].error.name)
    assert.matches("^upstream_", seen[4].error.code)
    for _, one in ipairs(seen) do assert.matches("^req_", one.error.request_id) end
  end))

  it("is told to wait when every provider limits the rate", router.test(function(start)
    local seen, p = ask(start, provider.status(429, "slow down", { ["retry-after"] = "30" }), {
      { retries = 0 }, { retries = 0 }, { retries = 0 }, { retries = 0 },
    })
    for _, one in ipairs(seen) do
      assert.equal("RateLimitError", one.error.name)
      assert.equal("rate_limit_exceeded", one.error.code)
    end
    assert.equal(2, #p.requests) -- the provider was asked once more, and then obeyed
  end))

  it("retries what a moment brought, and not what must fail again", router.test(function(start)
    local seen = ask(start, provider.status(500), { { retries = 2 } }, nil)
    assert.equal("InternalServerError", seen[1].error.name)
    assert.equal(3, seen[1].requests)
    for _, status in ipairs { 401, 404, 422 } do
      assert.equal(1, ask(start, provider.status(status), { { retries = 2 } }, nil)[1].requests)
    end
  end))

  -- The first law: half an answer never looks like a whole one.
  local cuts = {
    ["ends tidily without a finish"] = { frames.role, frames.token "Hel", frames.token "lo" },
    ["is cut by a close"] = { frames.role, frames.token "Hel", frames.token "lo", provider.cut },
    ["is reset"] = { frames.role, frames.token "Hel", frames.token "lo", function(c)
      loop.delay(0.1) -- a reset throws away what was not read yet
      c:reset()
    end },
    ["is cut inside a frame"] = { frames.role, frames.token "Hel", frames.token "lo", 'data: {"choices":[{"del',
      provider.cut },
    ["ends tidily inside a frame"] = { frames.role, frames.token "Hello", 'data: {"choices":[{"del' },
    ["sends an error"] = { frames.role, frames.token "Hello",
      'data: {"error":{"message":"overloaded","type":"server_error","code":"overloaded"}}\n\n', frames.done },
    ["sends an error of its own shape"] = { frames.role, frames.token "Hello",
      'data: {"object":"error","message":"overloaded","code":500}\n\n', frames.done },
    ["sends an event named error"] = { frames.role, frames.token "Hello", "event: error\ndata: overloaded\n\n" },
    ["sends what is not JSON"] = { frames.role, frames.token "Hello", "data: upstream reset\n\n", frames.done },
    ["says that it starts again"] = { frames.role, frames.token "Hello",
      'data: {"devshard_stream_reset":true}\n\n', frames.role, frames.token "Hello", frames.finish(), frames.done },
  }
  -- Each is of a provider and a model of its own.
  it("raises when a stream breaks off, in whichever way", router.test(function(start)
    local names, plan, providers, broken = {}, {}, {}, {}
    for what, script in pairs(cuts) do
      local i = #names + 1
      names[i], broken[i] = what, provider.start(provider.stream(script))
      providers[i] = router.provider("p" .. i, broken[i], { models = { "m" .. i } })
      plan[i] = { stream = true, fields = { model = "m" .. i } }
    end
    local r = start { providers = providers }
    for i, seen in ipairs(clients.run(r.url, plan)) do
      assert.same({ names[i], false, "Hello", cjson.null, "APIError", "string", 1 }, { names[i], seen.ok, seen.text,
        seen.finish, seen.error.name, type(seen.error.code), #broken[i].requests })
    end
  end, 120))

  it("raises in every official client when a stream is cut", router.test(function(start)
    local seen = ask(start, provider.stream { frames.role, frames.token "Hel", provider.cut }, {
      { client = "openai", stream = true }, { client = "ai", stream = true }, { client = "langchain", stream = true },
    })
    for i, one in ipairs(seen) do assert(not one.ok, "client " .. i .. " saw success") end
  end))

  it("works in every official client", router.test(function(start)
    local plan = {}
    for _, client in ipairs { "openai", "ai", "langchain" } do
      plan[#plan + 1] = { client = client, stream = true }
      plan[#plan + 1] = { client = client, stream = false }
    end
    for _, one in ipairs((ask(start, provider.chat "Hello there.", plan))) do
      assert.is_nil(one.error and one.error.message)
      assert.equal("Hello there.", one.text)
    end
  end))

  it("sees only the provider that answered when another failed before its first token", router.test(function(start)
    local bad = provider.start(provider.stream { frames.role, provider.reset })
    local good = provider.start(provider.chat "Hello there.")
    local r = start { providers = { router.provider("bad", bad), router.provider("good", good, { tier = 2 }) } }
    local seen = clients.run(r.url, { { stream = true } })
    assert.is_true(seen[1].ok)
    assert.equal("Hello there.", seen[1].text)
    assert.equal(1, #bad.requests)
    assert.equal(1, #good.requests)
  end))

  it("may stop listening, and the provider is left", router.test(function(start)
    local p = provider.start(provider.stream { frames.role, frames.token "a", frames.token "b", provider.stall })
    local r = start { providers = { router.provider("a", p) } }
    local seen = clients.run(r.url, { { stream = true, abort_after = 2 } })
    assert.is_true(seen[1].ok)
    loop.await("the provider to be left", function() return p.left == 1 end)
    assert.equal("ECANCELED", r:await_requests(1)[1].error)
  end))
end)
