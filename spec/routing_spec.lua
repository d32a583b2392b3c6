--- Who is asked: weights, tiers, slots, rests, and what the client hears when nobody can be asked.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"
local testing = require "perilune.testing"
local virtual = require "spec.support.virtual"

describe("the built-in route", function()
  teardown(process.stop_all)

  it("shares requests by weight", router.test(function(start)
    local heavy, light = provider.start(), provider.start()
    local r = start { providers = {
      router.provider("heavy", heavy, { weight = 3 }), router.provider("light", light, { weight = 1 }),
    } }
    for _ = 1, 400 do assert.equal(200, r:chat().status) end
    -- 300 of 400 are expected; five standard deviations are 43.
    assert(math.abs(#heavy.requests - 300) <= 43, #heavy.requests .. " of 400")
    assert.equal(400, #heavy.requests + #light.requests)
  end))

  it("asks a lower tier only when the ones above have failed", router.test(function(start)
    local first, second = provider.start(), provider.start()
    local r = start { providers = {
      router.provider("second", second, { tier = 2, weight = 1000 }), router.provider("first", first, { tier = 1 }),
    } }
    for _ = 1, 20 do r:chat() end
    assert.equal(20, #first.requests)
    first:next(provider.status(500), provider.status(500), provider.status(500))
    for _ = 1, 3 do assert.equal("second", r:chat().headers["x-perilune-provider"]) end
    -- three in a row: the first one rests now
    assert.equal("second", r:chat().headers["x-perilune-provider"])
    assert.equal(23, #first.requests)
  end))

  it("takes a provider without a key, and sends none", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { { id = "local", url = p.url } } }
    assert.equal(200, r:chat().status)
    assert.is_nil(p.requests[1].headers.authorization)
  end))

  it("knows models by their public name, and any for 'auto'", router.test(function(start)
    local a, b = provider.start(), provider.start()
    local r = start { providers = {
      router.provider("a", a, { models = { big = "vendor/big" } }), router.provider("b", b, { models = { "small" } }),
    } }
    assert.equal("a", r:chat({ model = "big" }).headers["x-perilune-provider"])
    assert.equal("vendor/big", a.requests[1].json.model)
    assert.equal("b", r:chat({ model = "small" }).headers["x-perilune-provider"])
    assert.equal(200, r:chat({ model = "auto" }).status)
    local unknown = r:chat { model = "huge" }
    assert.equal(404, unknown.status)
    assert.equal("model_not_found", unknown.json.error.code)
    local listed = {}
    for _, model in ipairs(r:ask("GET", "/v1/models").json.data) do listed[#listed + 1] = model.id end
    table.sort(listed)
    assert.same({ "big", "small" }, listed)
  end))

  it("takes names in another case for the same model, and sends each its own spelling", router.test(function(start)
    local lower, upper, any = provider.start(), provider.start(), provider.start()
    local r = start { providers = {
      router.provider("lower", lower, { models = { "moonshotai/kimi-k2.6" } }),
      router.provider("upper", upper, { models = { "moonshotai/Kimi-K2.6" }, tier = 2 }),
      router.provider("any", any, { tier = 3 }),
    } }
    lower:answer(provider.status(500))
    local body = '{ "messages" : [{"role":"user","content":"h\\u0069"}],  "model":"moonshotai/kimi-k2.6", "seed":1.0 }'
    local answer = r:ask("POST", "/v1/chat/completions", body)
    assert.equal("upper", answer.headers["x-perilune-provider"])
    assert.equal("moonshotai/kimi-k2.6", answer.headers["x-perilune-model"])
    assert.equal(body, lower.requests[1].body)
    assert.equal((body:gsub("kimi%-k2", "Kimi-K2")), upper.requests[1].body)
    -- the second one's spelling and one that nobody uses mean the same
    for _, name in ipairs { "moonshotai/Kimi-K2.6", "MOONSHOTAI/KIMI-K2.6" } do
      answer = r:chat { model = name }
      assert.equal("upper", answer.headers["x-perilune-provider"])
      assert.equal("moonshotai/kimi-k2.6", answer.headers["x-perilune-model"])
    end
    local listed = r:ask("GET", "/v1/models").json.data
    assert.equal(1, #listed)
    assert.equal("moonshotai/kimi-k2.6", listed[1].id)
    assert.equal(0, #any.requests)
  end))

  it("passes a refused request back as it came, and asks nobody else", router.test(function(start)
    for _, status in ipairs { 400, 413, 422 } do
      local text = '{"error": {"message":"temperature too high","type":"x","param":"temperature","code":null}} '
      local a, b = provider.start(provider.reply(status, text)), provider.start()
      local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
      local answer = r:chat()
      assert.equal(status, answer.status)
      assert.equal(text, answer.body)
      assert.equal(0, #b.requests)
      -- and holds nothing against the provider
      a:answer(provider.chat "Hello there.")
      assert.equal("a", r:chat().headers["x-perilune-provider"])
    end
  end))

  it("gives a refusal of any shape our four keys", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p) } }
    for _, body in ipairs { '{"error":"no"}', '{"detail":"no"}', "<html>no</html>", "no", "" } do
      p:next(provider.reply(400, body))
      local answer = r:chat()
      assert.equal(400, answer.status)
      for _, key in ipairs { "message", "type", "param", "code" } do assert.is_not_nil(answer.json.error[key]) end
    end
  end))

  describe("lets rest", function()
    it("a rate-limited provider for as long as it asks", virtual.test(function(start)
      local a, b = virtual.plain "a", virtual.plain("b", { tier = 2 })
      local r = start { providers = { a.entry, b.entry } }
      local function served() return r:chat().headers["x-perilune-provider"] end
      a.answer = testing.status(429, { headers = { ["retry-after-ms"] = "400" } })
      assert.equal("b", served())
      a.answer = testing.chat "Hello"
      virtual.advance(399)
      assert.equal("b", served())
      virtual.advance(1)
      assert.equal("a", served())
    end))

    it("one that fails, and lets a single request find out whether it is well again", router.test(function(start)
      local a, b, release = provider.start(), provider.start(), {}
      local r = start {
        providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) },
        route = { failure_cooldown = "200ms", failures = 1 },
      }
      a:next(provider.status(500))
      r:chat()
      a:forget()
      a:answer(provider.stream { provider.hold(release), provider.stream_text { "Hello" } })
      local answered = 0
      loop.spawn(function()
        loop.await("the probe", function()
          if #a.requests > 0 then return true end
          r:stream()
        end)
      end)
      loop.await("the probe to be asked", function() return #a.requests == 1 end)
      for _ = 1, 10 do
        assert.equal("b", r:chat().headers["x-perilune-provider"])
        answered = answered + 1
      end
      assert.equal(1, #a.requests)
      release.now = true
      loop.await("it to be open again", function()
        return r:stream().headers["x-perilune-provider"] == "a"
      end)
      assert.equal(10, answered)
    end))

    it("one that refuses our key, for longer", router.test(function(start)
      for _, status in ipairs { 401, 402 } do
        local a, b = provider.start(), provider.start()
        local r = start {
          providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) },
          route = { failure_cooldown = "1ms", rate_limit_cooldown = "1ms" },
        }
        a:next(provider.status(status))
        for _ = 1, 5 do assert.equal("b", r:chat().headers["x-perilune-provider"]) end
        assert.equal(1, #a.requests)
      end
    end))

    it("nobody after a single failure", router.test(function(start)
      for _, status in ipairs { 403, 408, 409, 425, 429, 500, 503, 529 } do
        local a, b = provider.start(), provider.start()
        local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
        a:next(provider.status(status))
        assert.same({ status, "b" }, { status, r:chat().headers["x-perilune-provider"] })
        assert.same({ status, "a" }, { status, r:chat().headers["x-perilune-provider"] })
      end
    end))
  end)

  describe("with a limit of slots", function()
    -- `count` requests that stay open until release.now; gives a list that fills with their answers.
    local function occupy(r, count, answers)
      for _ = 1, count do
        loop.spawn(function()
          local answer = r:stream() or false
          answers[#answers + 1] = answer
        end)
      end
    end

    it("never exceeds it", router.test(function(start)
      local release = {}
      local p = provider.start(function(c, request)
        provider.hold(release)(c, request)
        if c.is_open then provider.tokens { "Hello" }(c, request) end
      end)
      local r = start { providers = { router.provider("a", p, { max_concurrent = 3 }) } }
      local answers = {}
      occupy(r, 12, answers)
      loop.await("three to be asked", function() return p.busy == 3 end)
      for _ = 1, 50 do loop.pass() end
      assert.equal(3, #p.requests)
      release.now = true
      loop.await("all answers", function() return #answers == 12 end)
      for _, answer in ipairs(answers) do assert.equal("Hello", answer.stream.text) end
      assert.equal(3, p.most_busy)
    end))

    it("serves who waits in the order of coming", router.test(function(start)
      local release = {}
      local p = provider.start(function(c, request)
        if request.json.seed == 0 then provider.hold(release)(c, request) end
        provider.tokens { "Hello" }(c, request)
      end)
      local r = start { providers = { router.provider("a", p, { max_concurrent = 1 }) } }
      local open = {}
      for seed = 0, 5 do
        open[seed] = r:open_chat { stream = true, seed = seed }
        if seed == 0 then loop.await("the first to be asked", function() return p.busy == 1 end) end
        for _ = 1, 20 do loop.pass() end
      end
      release.now = true
      for seed = 0, 5 do assert.equal(200, open[seed]:take_head().status) end
      for seed = 0, 5 do assert.equal(seed, p.requests[seed + 1].json.seed) end
    end))

    it("overflows to the next tier, or waits, as configured", router.test(function(start)
      for _, overflow in ipairs { true, false } do
        local release = {}
        local a = provider.start(function(c, request)
          provider.hold(release)(c, request)
          provider.tokens { "a" }(c, request)
        end)
        local b = provider.start(provider.tokens { "b" })
        local r = start {
          providers = { router.provider("a", a, { max_concurrent = 1 }), router.provider("b", b, { tier = 2 }) },
          route = { overflow = overflow },
        }
        local answers = {}
        occupy(r, 1, answers)
        loop.await("the first to be asked", function() return a.busy == 1 end)
        occupy(r, 1, answers)
        if overflow then
          loop.await("the second answer", function() return #answers == 1 end)
          assert.equal("b", answers[1].stream.text)
        else
          for _ = 1, 100 do loop.pass() end
          assert.equal(0, #b.requests)
        end
        release.now = true
        loop.await("both answers", function() return #answers == 2 end)
        assert.equal(overflow and 1 or 0, #b.requests)
      end
    end))

    it("refuses with a time to wait when the queue is full or too slow", router.test(function(start)
      local p = provider.start(provider.stall)
      local r = start {
        providers = { router.provider("a", p, { max_concurrent = 1 }) }, queue = { max = 1, wait = "300ms" },
      }
      local held = r:open_chat { stream = true }
      loop.await("the first to be asked", function() return p.busy == 1 end)
      local waited
      loop.spawn(function() waited = r:chat() end)
      for _ = 1, 20 do loop.pass() end
      local refused = r:chat()
      loop.await("the one that waited", function() return waited end)
      for _, answer in ipairs { refused, waited } do
        assert.equal(503, answer.status)
        assert.is_string(answer.headers["retry-after"])
        assert.is_string(answer.json.error.code)
      end
      held:close()
    end))
  end)

  describe("when nobody can be asked", function()
    it("says 429 and the soonest time to come back if all are rate-limited", router.test(function(start)
      local a = provider.start(provider.status(429, nil, { ["retry-after"] = "50" }))
      local b = provider.start(provider.status(429, nil, { ["retry-after"] = "20" }))
      local r = start { providers = { router.provider("a", a), router.provider("b", b) } }
      for _ = 1, 5 do
        local answer = r:chat()
        assert.equal(429, answer.status)
        assert.equal("rate_limit_exceeded", answer.json.error.code)
        local seconds = tonumber(answer.headers["retry-after"])
        assert(seconds >= 18 and seconds <= 20, "retry-after " .. seconds)
        local ms = tonumber(answer.headers["retry-after-ms"])
        assert(ms > 18000 and ms <= 20000, "retry-after-ms " .. ms)
      end
      -- each is asked once more, the one that is due first before the other, and then their word is obeyed for a while
      assert.equal(2, #a.requests)
      assert.equal(2, #b.requests)
    end))

    it("asks the one that is due first nevertheless", router.test(function(start)
      local a = provider.start(provider.status(500))
      local r = start { providers = { router.provider("a", a), router.provider("b", provider.dead_url()) } }
      for _ = 1, 5 do
        local answer = r:chat()
        assert.equal(502, answer.status)
        assert.is_nil(answer.headers["x-should-retry"])
      end
      a:answer(provider.chat "Hello there.")
      loop.await("the one that is well again", function() return r:chat().status == 200 end)
      for _ = 1, 5 do assert.equal("a", r:chat().headers["x-perilune-provider"]) end
    end))

    it("asks no more providers than allowed", router.test(function(start)
      local list, simulated = {}, {}
      for i = 1, 6 do
        simulated[i] = provider.start(provider.status(500))
        list[i] = router.provider("p" .. i, simulated[i])
      end
      local r = start { providers = list, route = { max_attempts = 4 } }
      local answer = r:chat()
      assert.equal("4", answer.headers["x-perilune-attempts"])
      local asked = 0
      for _, p in ipairs(simulated) do asked = asked + #p.requests end
      assert.equal(4, asked)
    end))

    it("keeps to the request's own deadline", virtual.test(function(start)
      local silent = virtual.plain "a"
      silent.answer = testing.stall()
      local answer = start { providers = { silent.entry }, timeouts = { total = "300ms" } }:chat()
      assert.same({ 504, 300 }, { answer.status, answer.elapsed_ms })
      assert.equal("deadline_exceeded", answer.json.error.code)
    end))

    it("refuses bad requests itself", router.test(function(start)
      local p = provider.start()
      local r = start { providers = { router.provider("a", p) } }
      local bad = {
        { 400, '{"model":"m",}' }, { 400, "" }, { 400, "[]" }, { 400, '{"model":7}' }, { 400, '{"messages":[]}' },
        { 400, '{"model":"m","model":"n"}' }, { 400, '{"model":"m","stream":"yes"}' }, { 400, '{"model":"m"} x' },
        { 400, '{"model":"\xff"}' },
      }
      for _, case in ipairs(bad) do
        local answer = r:ask("POST", "/v1/chat/completions", case[2])
        assert.equal(case[1], answer.status)
        for _, key in ipairs { "message", "type", "param", "code" } do assert.is_not_nil(answer.json.error[key]) end
        assert.matches("^req_", answer.headers["x-request-id"])
      end
      assert.equal(405, r:ask("GET", "/v1/chat/completions").status)
      assert.equal(404, r:ask("GET", "/v1/nothing").status)
      assert.equal(0, #p.requests)
    end))
  end)
end)

describe("a header that a policy gives an attempt for the client", function()
  teardown(process.stop_all)

  local POLICY = { ["mark.lua"] = [[
    return { attempt = function(_, attempt)
      attempt:set_answer_header("x-marked", attempt.provider.id)
      if attempt.provider.id == "b" then attempt:set_answer_header("x-only-b", "yes") end
    end }
  ]] }

  it("comes with that attempt's answer, and with no other's", router.test(function(start)
    local a, b = provider.start(), provider.start()
    local r = start({
      providers = { router.provider("a", a, { tier = 1 }), router.provider("b", b, { tier = 2 }) },
      policies = { "./mark.lua" },
    }, POLICY)
    local first = r:chat()
    assert.same({ "a", nil }, { first.headers["x-marked"], first.headers["x-only-b"] })
    a:next(provider.status(500))
    local second = r:chat()
    assert.same({ "b", "yes" }, { second.headers["x-marked"], second.headers["x-only-b"] })
  end))

  it("comes with the refusal that ended it", router.test(function(start)
    local a = provider.start()
    local r = start({ providers = { router.provider("a", a) }, policies = { "./mark.lua" } }, POLICY)
    a:next(provider.status(400))
    local answer = r:chat()
    assert.same({ 400, "a" }, { answer.status, answer.headers["x-marked"] })
  end))

  it("may not break the head", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "./bad.lua" } }, {
      ["bad.lua"] = [[return { attempt = function(_, attempt) attempt:set_answer_header("x-a", "b\r\nx-c: d") end }]],
    })
    local answer = r:chat()
    assert.same({ 200, nil }, { answer.status, answer.headers["x-c"] })
    assert.is_true(r:await_requests(1)[1].policy_error)
  end))
end)
