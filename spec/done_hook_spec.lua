--- The hook `done`: it looks at a request that is over, whichever way it ended, and at nothing later.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local observe = [[
  local peri = require "perilune"
  local kept
  return {
    attempt = function() end,
    done = function(req, outcome)
      local may_act = pcall(req.reply, req, 200, {})
      local is_old_alive = kept ~= nil and pcall(function() return kept.id end)
      peri.log.info("seen", { id = req.id, model = req.model, said = req.body.messages[1].content, may_act = may_act,
        team = req:header "x-team" or "", attempts = #outcome.attempts, err = outcome.err,
        is_old_alive = is_old_alive })
      kept = req
    end,
  }
]]

describe("the hook `done`", function()
  teardown(process.stop_all)

  it("looks at the request, and can not act on it any more", router.test(function(start)
    local p = provider.start()
    local r = start({ providers = { router.provider("a", p) }, policies = { "./observe.lua" } },
      { ["observe.lua"] = observe })
    local id = r:chat({}, { ["x-team"] = "blue" }).headers["x-request-id"]
    p:next(provider.status(400, "no"))
    assert.equal(400, r:chat({}, { ["x-team"] = "blue" }).status)
    p:answer(provider.stall)
    local c = r:open_chat({}, { ["x-team"] = "blue" })
    loop.await("the provider to be asked", function() return #p.requests == 3 end)
    c:close()
    r:await_requests(3)
    local seen = r:log "seen"
    assert.same({ "OK", "EREJECTED", "ECANCELED" }, { seen[1].err, seen[2].err, seen[3].err })
    assert.equal(id, seen[1].id)
    for _, one in ipairs(seen) do
      assert.equal("m", one.model)
      assert.equal("blue", one.team)
      assert.equal("Say hello.", one.said)
      assert.equal(1, one.attempts)
      assert.is_false(one.may_act)
      assert.is_false(one.is_old_alive)
    end
    assert.same({}, r:log "policy failed")
  end))

  it("finds what was sent instead of an object, and nothing where it was no JSON", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "./look.lua" } },
      { ["look.lua"] = [[
        local peri = require "perilune"
        return { done = function(req, outcome)
          peri.log.info("seen", { body = type(req.body), model = type(req.model), err = outcome.err })
        end }
      ]] })
    local bodies =
      { { "{", "nil" }, { "1", "number" }, { '"x"', "string" }, { "null", "userdata" }, { "[]", "userdata" } }
    for i, body in ipairs(bodies) do
      assert.equal(400, r:ask("POST", "/v1/chat/completions", body[1]).status)
      r:await_requests(i)
      assert.same({ body[2], "EINVAL" }, { r:log("seen")[i].body, r:log("seen")[i].err })
    end
    assert.equal(200, r:chat().status)
  end))

  local list = [[
    local peri = require "perilune"
    return { done = function(req, outcome)
      local list = {}
      for i, one in ipairs(outcome.attempts) do
        list[i] = { provider = one.provider, model = one.model, status = one.status, err = one.err,
          served = one.served, key = one.key,
          tokens = one.output_tokens, has_bytes = one.bytes > 0, has_first_token = one.first_token_ms ~= nil,
          is_ordered = one.started_ms >= 0 and one.total_ms >= 0 }
      end
      peri.log.info("seen", { list = peri.json.encode(list), provider = outcome.provider, err = outcome.err,
        status = outcome.status })
    end }
  ]]

  --- a router with a provider "a" that fails with 500 and then "b", which answers as it is told to
  local function start_two(start, answer)
    local a, b = provider.start(provider.status(500, "broken")), provider.start(answer)
    local r = start({ providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) },
      policies = { "./list.lua" } }, { ["list.lua"] = list })
    return r, b
  end

  --- what the hook saw of the one request there was, and the request's line in the log
  local function ended(r)
    r:await_requests(1)
    local seen = r:log("seen")[1]
    seen.list = cjson.decode(seen.list)
    return seen, r:log("request")[1]
  end

  local failed = { provider = "a", model = "m", status = 500, err = "EUPSTREAM", served = false, key = 1,
    has_bytes = true, has_first_token = false, is_ordered = true }

  it("hears of every provider that was asked", router.test(function(start)
    local r = start_two(start, provider.chat "Hello")
    assert.equal(200, r:chat().status)
    local seen, line = ended(r)
    assert.same({ failed, { provider = "b", model = "m", status = 200, err = "OK", served = true, key = 1, tokens = 2,
      has_bytes = true, has_first_token = true, is_ordered = true } }, seen.list)
    assert.equal("b", seen.provider)
    assert.equal(2, #line.tried)
    assert.same({ "a", 500, "EUPSTREAM", "number" },
      { line.tried[1].provider, line.tried[1].status, line.tried[1].error, type(line.tried[1].ms) })
    assert.same({ "b", 200, nil }, { line.tried[2].provider, line.tried[2].status, line.tried[2].error })
  end))

  it("hears which model each was asked for, when the policy changes it in between", router.test(function(start)
    local a, b = provider.start(provider.status(500, "broken")), provider.start()
    local r = start({ policies = { "./other.lua", "./list.lua" }, providers = {
      router.provider("a", a, { models = { "big" } }), router.provider("b", b, { models = { "small" } }) } },
      { ["list.lua"] = list, ["other.lua"] = [[
        return { route = function(req)
          req:try "a"
          req.model = "small"
          return (req:try "b")
        end }
      ]] })
    assert.equal("small", r:chat({ model = "big" }).headers["x-perilune-model"])
    local seen = ended(r)
    assert.same({ "big", "small" }, { seen.list[1].model, seen.list[2].model })
  end))

  it("serves an answer under the model it was asked for", router.test(function(start)
    local r = start({ policies = { "./first.lua", "./list.lua" }, providers = {
      router.provider("a", provider.start(), { models = { "big" } }),
      router.provider("b", provider.start(), { models = { "small" } }) } },
      { ["list.lua"] = list, ["first.lua"] = [[
        return { route = function(req)
          local first = req:try "a"
          req.model = "small"
          return first
        end }
      ]] })
    local answer = r:chat { model = "big" }
    assert.same({ "a", "big" }, { answer.headers["x-perilune-provider"], answer.headers["x-perilune-model"] })
    local seen, line = ended(r)
    assert.same({ "big", "big" }, { seen.list[1].model, line.model })
  end))

  it("hears which provider was being asked when the client left", router.test(function(start)
    local r, b = start_two(start, provider.stall)
    local c = r:open_chat()
    loop.await("the second provider to be asked", function() return #b.requests == 1 end)
    c:close()
    local seen, line = ended(r)
    assert.same({ failed, { provider = "b", model = "m", err = "ECANCELED", served = false, key = 1,
      has_bytes = false, has_first_token = false, is_ordered = true } }, seen.list)
    assert.same({ "b", "ECANCELED", 499 }, { seen.provider, seen.err, seen.status })
    assert.equal("b", line.provider)
    assert.equal("ECANCELED", line.tried[2].error)
  end))

  it("hears which provider was being asked at the deadline, and so does the client", router.test(function(start)
    local r = start_two(start, provider.stall)
    local answer = r:chat({}, { ["x-stainless-timeout"] = "1" })
    assert.equal(504, answer.status)
    assert.equal("no answer within the request's 750 ms: provider 'b' was being asked", answer.json.error.message)
    assert.equal("b", answer.headers["x-perilune-provider"])
    local seen, line = ended(r)
    assert.same({ "b", "EDEADLINE", 504 }, { seen.provider, seen.err, seen.status })
    assert.same({ "EUPSTREAM", "EDEADLINE" }, { seen.list[1].err, seen.list[2].err })
    assert.same({ "b", "EDEADLINE" }, { line.provider, line.tried[2].error })
  end))

  it("hears of the provider whose stream the deadline cut", router.test(function(start)
    local r = start_two(start, provider.stream { provider.frames.token "Hel", provider.stall })
    local answer = r:chat({ stream = true }, { ["x-stainless-timeout"] = "1" })
    assert.matches("no answer within the request's 750 ms: provider 'b' was answering", answer.body, 1, true)
    local seen = ended(r)
    assert.same({ "EDEADLINE", true, true }, { seen.list[2].err, seen.list[2].served, seen.list[2].has_first_token })
  end))

  it("leaves the list out of the line where the line says it all", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) } })
    assert.equal(200, r:chat().status)
    r:await_requests(1)
    assert.is_nil(r:log("request")[1].tried)
  end))
end)
