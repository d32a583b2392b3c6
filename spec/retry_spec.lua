--- What a moment brought is tried again: elsewhere at once, where it failed after a short wait if nobody is left.
local clients = require "spec.support.clients"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local frames = provider.frames

-- Ways to have a bad moment, each before any content.
local moments = {
  ["408"] = provider.status(408), ["409"] = provider.status(409), ["425"] = provider.status(425),
  ["429"] = provider.status(429), ["500"] = provider.status(500), ["502"] = provider.status(502),
  ["503"] = provider.status(503), ["522"] = provider.status(522), ["529"] = provider.status(529),
  ["429 with a short Retry-After"] = provider.status(429, nil, { ["retry-after-ms"] = "30" }),
  ["429 that says it in the body"] = provider.status(429, "Please try again in 30ms."),
  ["a reset"] = provider.reset, ["a close"] = provider.cut,
  ["nonsense"] = provider.reply(200, "{oops"),
  ["an error in a 200"] = provider.reply(200, '{"error":{"message":"x","type":"server_error"}}'),
  ["a cut"] = provider.stream { frames.role, provider.cut },
}

-- Quick, so that a spec of many takes no time.
local quick = { retry = { backoff = "5ms" } }

describe("the built-in route tries again", function()
  teardown(process.stop_all)

  for name, moment in pairs(moments) do
    it("at the only provider, after " .. name, router.test(function(start)
      local p = provider.start()
      local r = start { providers = { router.provider("a", p) }, route = quick }
      p:next(moment)
      assert.same({ 200, "2" }, (function(answer)
        return { answer.status, answer.headers["x-perilune-attempts"] }
      end)(name == "a cut" and r:stream() or r:chat()))
    end))
  end

  it("at another one first, and without a wait", router.test(function(start)
    local a, b = provider.start(provider.status(500)), provider.start()
    local r = start {
      providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) },
      route = { retry = { backoff = "1h" } },
    }
    assert.equal("b", r:chat().headers["x-perilune-provider"])
  end))

  it("as often as it is told, and no further than route.max_attempts", router.test(function(start)
    for _, case in ipairs { { 0, 3, 1 }, { 1, 3, 2 }, { 5, 3, 3 }, { 5, 6, 6 } } do
      local p = provider.start(provider.status(500))
      local r = start {
        providers = { router.provider("a", p, { retry = { attempts = case[1] } }) },
        route = { max_attempts = case[2], retry = { backoff = "1ms" } },
      }
      assert.equal(502, r:chat().status)
      assert.equal(case[3], #p.requests)
    end
  end))

  it("only after the statuses it is told", router.test(function(start)
    local p = provider.start(provider.status(503))
    local r = start {
      providers = { router.provider("a", p) }, route = { retry = { backoff = "1ms", statuses = { 500 } } },
    }
    assert.equal(502, r:chat().status)
    assert.equal(1, #p.requests)
  end))

  it("no request that must fail again", router.test(function(start)
    for _, status in ipairs { 400, 401, 402, 404, 413, 422 } do
      local p = provider.start(provider.status(status))
      local r = start { providers = { router.provider("a", p) }, route = quick }
      local answer = r:chat()
      assert.same({ status, 1, "false" }, { status, #p.requests, answer.headers["x-should-retry"] })
    end
  end))

  it("nothing that a provider wants to be left alone for longer than is waited", router.test(function(start)
    local p = provider.start(provider.status(429, nil, { ["retry-after"] = "20" }))
    local r = start { providers = { router.provider("a", p) }, route = quick }
    local answer = r:chat()
    assert.equal(429, answer.status)
    assert(tonumber(answer.headers["retry-after"]) >= 19)
    assert.equal(1, #p.requests)
  end))

  it("and counts one request that fails several times as one failure", router.test(function(start)
    local a, b = provider.start(), provider.start()
    local r = start {
      providers = { router.provider("a", a), router.provider("b", b, { tier = 2, models = { "n" } }) },
      route = { retry = { attempts = 5, backoff = "1ms" }, max_attempts = 6 },
    }
    a:answer(provider.status(500))
    r:chat()
    assert.equal(6, #a.requests)
    assert.same({}, r:log "not asked for a while")
  end))
end)

describe("the official OpenAI client with its own retries", function()
  if not clients.directory() then
    print("skipped: " .. clients.why)
    return
  end
  teardown(process.stop_all)

  -- One client program has every moment in turn: each is of a provider and a model of its own.
  local function have_each_moment(start, retries, others)
    local names, plan, providers = {}, {}, others
    for name, moment in pairs(moments) do
      local p, model = provider.start(), "m" .. #names + 1
      p:next(moment)
      names[#names + 1] = name
      providers[#providers + 1] = router.provider("of-" .. model, p, { models = { model } })
      plan[#names] = { retries = retries, stream = name == "a cut", fields = { model = model } }
    end
    local r = start { providers = providers }
    for i, seen in ipairs(clients.run(r.url, plan)) do
      assert.is_true(seen.ok, names[i])
      assert.equal(1, seen.requests, names[i]) -- it never noticed
    end
  end

  it("succeeds when the only provider has one bad moment, as without a router", router.test(function(start)
    have_each_moment(start, 2, {})
  end, 120))

  it("succeeds after the second when the first told it to wait", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p) }, route = { retry = { attempts = 0 } } }
    for _, moment in ipairs { provider.status(503), provider.status(429, nil, { ["retry-after-ms"] = "50" }) } do
      p:next(moment)
      assert.is_true(clients.run(r.url, { { retries = 2 } })[1].ok)
    end
  end))

  -- A router each: the client's process inherits what is open here, and what it holds does not close.
  it("never notices with two", router.test(function(start)
    have_each_moment(start, 0, { router.provider("b", provider.start(), { tier = 2 }) })
  end, 120))
end)
