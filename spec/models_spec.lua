--- The lists of models that providers publish: read at start and again and again, on nobody's request.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

--- A provider that publishes a list: `served.models` (entries, or a behaviour) as it is when it is asked.
local function broker(served)
  return provider.start(function(c, request)
    if request.target ~= "/v1/models" then return provider.chat "Hello there."(c, request) end
    served.looks = (served.looks or 0) + 1
    local behaviour = served.models
    if type(behaviour) == "table" then
      behaviour = provider.reply(200, cjson.encode { object = "list", data = behaviour })
    end
    behaviour(c, request)
  end)
end

--- The models that requests were for, in their order.
local function asked(simulated)
  local models = {}
  for _, request in ipairs(simulated.requests) do
    if request.method == "POST" then models[#models + 1] = request.json.model end
  end
  return models
end

local function listed(r)
  local ids = {}
  for _, model in ipairs(r:ask("GET", "/v1/models").json.data) do ids[#ids + 1] = model.id end
  table.sort(ids)
  return ids
end

local function await_list(r, ids)
  loop.await("the router to list " .. table.concat(ids, ", "), function()
    return table.concat(listed(r), ", ") == table.concat(ids, ", ")
  end)
end

local function await_log(r, message)
  return loop.await(message, function()
    local found = r:log(message)
    return #found > 0 and found
  end)
end

describe("a provider's list of models", function()
  teardown(process.stop_all)

  it("says what it serves, in its own spelling", router.test(function(start)
    local a = broker { models = { { id = "moonshotai/Kimi-K2.6" }, { id = "only-a" } } }
    local b = broker { models = { { id = "moonshotai/kimi-k2.6" }, { id = "only-b" } } }
    local r = start { providers = {
      router.provider("a", a, { discover_models = true }),
      router.provider("b", b, { discover_models = true, tier = 2 }),
    } }
    await_list(r, { "moonshotai/Kimi-K2.6", "only-a", "only-b" })
    assert.equal("a", r:chat({ model = "MOONSHOTAI/kimi-k2.6" }).headers["x-perilune-provider"])
    assert.same({ "moonshotai/Kimi-K2.6" }, asked(a))
    assert.equal("b", r:chat({ model = "only-b" }).headers["x-perilune-provider"])
    local unknown = r:chat { model = "nobody-has-it" }
    assert.equal(404, unknown.status)
    assert.equal("model_not_found", unknown.json.error.code)
    a:answer(provider.status(500))
    local answer = r:chat { model = "moonshotai/Kimi-K2.6" }
    assert.equal("b", answer.headers["x-perilune-provider"])
    assert.equal("moonshotai/Kimi-K2.6", answer.headers["x-perilune-model"])
    assert.same({ "only-b", "moonshotai/kimi-k2.6" }, asked(b))
  end))

  it("is asked for with the key and the headers of requests", router.test(function(start)
    local a = broker { models = { { id = "m" } } }
    local r = start { providers = {
      router.provider("a", a, { discover_models = true, headers = { ["x-team"] = "blue" } }),
    } }
    await_list(r, { "m" })
    assert.equal("GET", a.requests[1].method)
    assert.equal("Bearer sk-canary-a", a.requests[1].headers.authorization)
    assert.equal("blue", a.requests[1].headers["x-team"])
    for _, line in ipairs(r.process.lines) do assert.is_nil(line:find("sk-canary", 1, true)) end
  end))

  it("is not asked for where that is not configured", router.test(function(start)
    local a, b = broker { models = { { id = "m" } } }, broker { models = { { id = "m" } } }
    local r = start { providers = {
      router.provider("a", a), router.provider("b", b, { discover_models = true }),
    } }
    await_list(r, { "m" })
    assert.same({}, a.requests)
  end))

  it("stays when the configuration is read anew", router.test(function(start)
    local served = { models = { { id = "m" } } }
    local a = broker(served)
    local config = { providers = { router.provider("a", a, { discover_models = true }) } }
    local r = start(config)
    await_list(r, { "m" })
    served.models = provider.status(500)
    config.providers[1].weight = 7
    r:configure(config)
    r.process:signal "HUP"
    loop.await("it to be asked again", function() return served.looks > 1 end)
    assert.same({ "m" }, listed(r))
    assert.equal(404, r:chat({ model = "any" }).status)
  end))

  it("is missed in the log once for each model, and never for a name with a star", router.test(function(start)
    local a = broker { models = { { id = "other" } } }
    local r = start { providers = { router.provider("a", a, { discover_models = true, models = {
      ["openai/*"] = "*", ["claude-*"] = {}, gone = { upstream = "lost", aliases = { "away" } } } }) } }
    await_log(r, "models read")
    assert.equal(200, r:chat({ model = "away" }).status)
    local missed = r:log "model not on the provider's list"
    assert.equal(1, #missed)
    assert.equal("lost", missed[1].model)
  end))

  it("holds for configured models: spelling and limits, but not what is configured", router.test(function(start)
    local a = broker { models = {
      { id = "moonshotai/Kimi-K2.6", context_length = 200, max_output_tokens = 50, input_modalities = { "text" } },
      { id = "other" },
    } }
    local r = start({
      providers = { router.provider("a", a, { discover_models = true, models = {
        kimi = { upstream = "moonshotai/kimi-k2.6", max_output_tokens = 20 }, gone = {},
      } }) },
      policies = { "say.lua" },
    }, { ["say.lua"] = [[
      local peri = require "perilune"
      return { route = function(req)
        if req.body.say then return req:reply(200, peri.providers()[1]:model "kimi") end
      end }
    ]] })
    await_log(r, "models read")
    assert.same({ "gone", "kimi" }, listed(r))
    assert.same({ provider = "a", model = "gone" }, (function(record)
      return { provider = record.provider, model = record.model }
    end)(await_log(r, "model not on the provider's list")[1]))
    assert.same({
      upstream = "moonshotai/Kimi-K2.6", context_tokens = 200, max_output_tokens = 20,
      lacks = { vision = true, audio = true, video = true, files = true },
    }, (function(said)
      said.capabilities = nil
      return said
    end)(r:chat({ model = "kimi", say = true }).json))
    assert.equal(200, r:chat({ model = "kimi" }).status)
    assert.equal(200, r:chat({ model = "gone" }).status)
    assert.same({ "moonshotai/Kimi-K2.6", "gone" }, asked(a))
    local refused = r:chat { model = "kimi", messages = { { role = "user", content = ("word "):rep(201) } } }
    assert.equal("context_length_exceeded", refused.json.error.code)
    local model = r:ask("GET", "/v1/models/kimi").json
    assert.equal(200, model.context_length)
    assert.equal(20, model.max_output_tokens)
  end))

  it("does not hold up who asks while it is read", router.test(function(start)
    local release = {}
    local a = broker { models = provider.hold(release) }
    local r = start { providers = { router.provider("a", a, { discover_models = true }) } }
    loop.await("the look to be under way", function() return #a.requests == 1 end)
    assert.equal(200, r:chat({ model = "any" }).status)
    release.now = true
  end))
end)

describe("a provider that serves every model", function()
  teardown(process.stop_all)

  it("has its list read by default, and what it lacks is asked for all the same", router.test(function(start)
    local a = broker { models = { { id = "listed" } } }
    local r = start { discovers = true, providers = { router.provider("a", a) } }
    await_list(r, { "listed" })
    assert.equal(200, r:chat({ model = "listed" }).status)
    assert.equal(200, r:chat({ model = "newer" }).status)
    assert.same({ "listed", "newer" }, asked(a))
  end))

  it("is asked last for what others list", router.test(function(start)
    local a, b = broker { models = { { id = "x" } } }, broker { models = { { id = "y" } } }
    local r = start { discovers = true, providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
    await_list(r, { "x", "y" })
    for _ = 1, 4 do
      assert.equal("b", r:chat({ model = "y" }).headers["x-perilune-provider"])
      assert.equal("a", r:chat({ model = "z" }).headers["x-perilune-provider"])
    end
    b:answer(provider.status(500))
    assert.equal("a", r:chat({ model = "y" }).headers["x-perilune-provider"])
  end))

  it("need not have a list", router.test(function(start)
    local a = broker { models = provider.status(404) }
    local r = start { discovers = true, providers = { router.provider("a", a) } }
    await_log(r, "models of a could not be read: answered 404")
    assert.equal(200, r:chat({ model = "any" }).status)
    assert.equal("info", r:log("models of a could not be read: answered 404")[1].level)
  end))

  it("is not asked for its list where the configuration says so", router.test(function(start)
    local served = { models = { { id = "x" } } }
    local r = start { discovers = true, providers = {
      router.provider("a", broker(served), { discover_models = false }),
      router.provider("b", broker(served), { models = { "m" } }) } }
    assert.same({ "m" }, listed(r))
    assert.equal(200, r:chat({ model = "any" }).status)
    assert.is_nil(served.looks)
  end))

  it("has its list read for names with a star", router.test(function(start)
    local a = broker { models = { { id = "claude-3" }, { id = "gpt-4" } } }
    local r = start { discovers = true, providers = { router.provider("a", a, { models = { "claude-*" } }) } }
    await_list(r, { "claude-3" })
    assert.equal(200, r:chat({ model = "claude-4" }).status)
    assert.equal(404, r:chat({ model = "gpt-4" }).status)
  end))
end)
