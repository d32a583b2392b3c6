--- What a model is declared to take: requests that can not succeed at a provider are not sent there, and those that
-- can succeed nowhere are refused before anything is paid.
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local image = { type = "image_url", image_url = { url = "data:image/png;base64,iVBORw0KGgo=" } }
local with_image = { { role = "user", content = { { type = "text", text = "What is this?" }, image } } }
local tools = { { type = "function", ["function"] = { name = "f", parameters = { type = "object" } } } }

--- A chat of so many words.
local function words(count) return { { role = "user", content = ("word "):rep(count) } } end

--- A provider that serves "m" with these limits.
local function entry(id, simulated, tier, limits)
  return router.provider(id, simulated, { tier = tier, models = { m = limits } })
end

local function served_by(r, fields) return r:chat(fields).headers["x-perilune-provider"] end

describe("a model's limits", function()
  teardown(process.stop_all)

  it("keep a prompt that is too long from where it can not be read", router.test(function(start)
    local small, large = provider.start(), provider.start()
    local r = start { providers = {
      entry("small", small, 1, { context_tokens = 100 }), entry("large", large, 2, { context_tokens = 1000 }),
    } }
    assert.equal("small", served_by(r, { messages = words(100) }))
    assert.equal("large", served_by(r, { messages = words(101) }))
    -- 450 bytes without white space may be few tokens: nobody says it is too long
    assert.equal("small", served_by(r, { messages = { { role = "user", content = ("-+"):rep(225) } } }))
    -- what the model may write is not added: some providers cut it to size
    assert.equal("small", served_by(r, { messages = words(50), max_tokens = 4000 }))
  end))

  it("refuse what is too long for everybody, and ask nobody", router.test(function(start)
    local small, large = provider.start(), provider.start()
    local r = start { providers = {
      entry("small", small, 1, { context_tokens = 100 }), entry("large", large, 2, { context_tokens = 1000 }),
    } }
    for _, is_stream in ipairs { false, true } do
      local answer = r:chat { messages = words(1500), stream = is_stream }
      assert.equal(400, answer.status)
      assert.same({
        message = "This model's maximum context length is 1000 tokens with the providers there are for 'm', and the " ..
          "messages hold at least 1001. Shorten them.",
        type = "invalid_request_error", param = "messages", code = "context_length_exceeded",
      }, answer.json.error)
      assert.equal("false", answer.headers["x-should-retry"])
      assert.equal("0", answer.headers["x-perilune-attempts"])
    end
    assert.equal(0, #small.requests + #large.requests)
    assert.equal("EUNFIT", r:await_requests(2)[1].error)
  end))

  it("send images where they are taken", router.test(function(start)
    local blind, seeing, unknown = provider.start(), provider.start(), provider.start()
    local r = start { providers = {
      entry("blind", blind, 1, { capabilities = { "chat", "tools" } }),
      entry("seeing", seeing, 2, { capabilities = { "chat", "vision" } }),
      entry("unknown", unknown, 3, {}),
    } }
    assert.equal("seeing", served_by(r, { messages = with_image }))
    assert.equal("blind", served_by(r, {}))
    assert.equal("blind", served_by(r, { tools = tools }))
    -- nothing is known of the third: it may take both
    assert.equal("unknown", served_by(r, { messages = with_image, tools = tools }))
  end))

  it("refuse images and tools that nobody takes, and ask nobody", router.test(function(start)
    local a = provider.start()
    local r = start { providers = { entry("a", a, 1, { capabilities = { "chat" } }) } }
    local answer = r:chat { messages = with_image }
    assert.equal(400, answer.status)
    assert.same({ message = "no provider of the model 'm' takes images, and the request has them",
      type = "invalid_request_error", param = "messages", code = "unsupported_content" }, answer.json.error)
    answer = r:chat { tools = tools }
    assert.same({ message = "no provider of the model 'm' takes tools, and the request has them",
      type = "invalid_request_error", param = "tools", code = "unsupported_parameter" }, answer.json.error)
    assert.equal(200, r:chat({ tools = setmetatable({}, require("cjson").array_mt) }).status)
    assert.equal(1, #a.requests)
  end))

  it("say nothing against a provider that takes every model", router.test(function(start)
    local small, any = provider.start(), provider.start()
    local r = start { providers = {
      entry("small", small, 1, { context_tokens = 10, capabilities = { "chat" } }),
      router.provider("any", any, { tier = 2 }),
    } }
    assert.equal("any", served_by(r, { messages = words(500) }))
    assert.equal("any", served_by(r, { messages = with_image }))
  end))

  it("hold where fail-over leads", router.test(function(start)
    local first, small, last = provider.start(provider.status(500)), provider.start(), provider.start()
    local r = start { providers = {
      entry("first", first, 1, {}), entry("small", small, 2, { context_tokens = 100 }), entry("last", last, 3, {}),
    } }
    assert.equal("last", served_by(r, { messages = words(200) }))
    assert.equal(1, #first.requests)
    assert.equal(0, #small.requests)
  end))

  describe("and a provider that finds a prompt too long", function()
    local refusal = '{"error":{"message":"This model\'s maximum context length is 8192 tokens.","type":' ..
      '"invalid_request_error","param":"messages","code":"context_length_exceeded"}}'

    it("send it to those that are known to read more", router.test(function(start)
      local small, twin, unknown, large = provider.start(provider.reply(400, refusal)), provider.start(),
        provider.start(), provider.start()
      local r = start { providers = {
        entry("small", small, 1, { context_tokens = 8192 }), entry("twin", twin, 2, { context_tokens = 8192 }),
        entry("unknown", unknown, 3, {}), entry("large", large, 4, { context_tokens = 131072 }),
      } }
      for count = 1, 2 do
        assert.equal("large", served_by(r, {}))
        assert.equal(count, #small.requests) -- nothing is held against it
      end
      assert.equal("2", r:stream({}).headers["x-perilune-attempts"])
      assert.equal(0, #twin.requests + #unknown.requests)
      -- when the last one says the same, the client hears it as it came
      large:answer(provider.reply(400, refusal))
      local answer = r:chat {}
      assert.equal(400, answer.status)
      assert.equal(refusal, answer.body)
    end))

    it("pass it on when nobody is", router.test(function(start)
      local a, b = provider.start(provider.reply(400, refusal)), provider.start()
      local r = start { providers = { entry("a", a, 1, { context_tokens = 8192 }), entry("b", b, 2, {}) } }
      local answer = r:chat {}
      assert.equal(400, answer.status)
      assert.equal(refusal, answer.body)
      assert.equal(0, #b.requests)
    end))

    it("tell a policy, whose next pick reads more", router.test(function(start)
      local small, large = provider.start(provider.reply(400, refusal)), provider.start()
      local r = start({
        providers = {
          entry("small", small, 1, { context_tokens = 8192 }), entry("large", large, 2, { context_tokens = 131072 }),
        },
        policies = { "twice.lua" },
      }, { ["twice.lua"] = [[
        return { route = function(req)
          local _, _, code = req:try(req:pick())
          req:set_header("x-code", code)
          return (req:try(req:pick()))
        end }
      ]] })
      local answer = r:chat {}
      assert.equal("large", answer.headers["x-perilune-provider"])
      assert.equal("EUNFIT", answer.headers["x-code"])
    end))
  end)

  it("are looked at after a policy's edits", router.test(function(start)
    local blind = provider.start()
    local r = start({
      providers = { entry("blind", blind, 1, { capabilities = { "chat" }, context_tokens = 300 }) },
      policies = { "drop.lua" },
    }, { ["drop.lua"] = [[
      return { request = function(req)
        for _, message in ipairs(req.body.messages) do
          if type(message.content) ~= "string" then message.content = "(an image)" end
        end
        if #req.body.messages > 1 then req.body.messages[1] = nil end
      end }
    ]] })
    assert.equal(200, r:chat({ messages = with_image }).status)
    assert.equal("(an image)", blind.requests[1].json.messages[1].content)
    assert.equal(400, r:chat({ messages = words(400) }).status)
    assert.equal(1, #blind.requests)
  end))

  it("are looked at again when a policy edits later", router.test(function(start)
    local small = provider.start()
    local r = start({
      providers = { entry("small", small, 1, { context_tokens = 100 }) },
      policies = { "shorten.lua" },
    }, { ["shorten.lua"] = [[
      return { route = function(req)
        local before = #req:providers()
        req.body.messages[1].content = "in short"
        req:set_header("x-count", before .. " " .. #req:providers())
        return nil
      end }
    ]] })
    local answer = r:chat { messages = words(200) }
    assert.equal(200, answer.status)
    assert.equal("0 1", answer.headers["x-count"])
  end))

  it("are known to policies", router.test(function(start)
    local small, any = provider.start(), provider.start()
    local r = start({
      providers = {
        entry("small", small, 1, { upstream = "vendor/M", context_tokens = 100, max_output_tokens = 50,
          capabilities = { "tools", "reasoning" } }),
        router.provider("any", any, { tier = 2 }),
      },
      policies = { "say.lua" },
    }, { ["say.lua"] = [[
      local peri = require "perilune"
      return { route = function(req)
        local said = { fit = {}, all = {} }
        for _, p in ipairs(req:providers()) do said.fit[#said.fit + 1] = p.id end
        for _, p in ipairs(peri.providers { model = "M" }) do said.all[p.id] = p:model("M") end
        said.other = peri.providers()[1]:model("other") == nil
        local pick, why, code = req:pick()
        said.pick = pick and pick.id or code
        return req:reply(200, said)
      end }
    ]] })
    local said = r:chat({ messages = words(200) }).json
    assert.same({ "any" }, said.fit)
    assert.same({
      small = { upstream = "vendor/M", context_tokens = 100, max_output_tokens = 50,
        capabilities = { "tools", "reasoning" },
        lacks = { vision = true, audio = true, video = true, files = true } },
      any = { upstream = "M", lacks = {}, capabilities = {} },
    }, said.all)
    assert.is_true(said.other)
    assert.equal("any", said.pick)
  end))

  it("are what peri.providers can be asked for", router.test(function(start)
    local one = provider.start()
    local r = start({
      providers = {
        entry("blind", one, 1, { context_tokens = 100, capabilities = { "tools" } }),
        entry("seeing", one, 1, { context_tokens = 1000, capabilities = { "vision", "tools" } }),
        router.provider("any", one),
      },
      policies = { "say.lua" },
    }, { ["say.lua"] = [[
      local peri = require "perilune"
      local filters = {
        { model = "m", tier = 1 },
        { model = "m", takes = "vision" }, { model = "m", takes = { "tools", "vision" } },
        { model = "m", takes = "audio" }, { model = "m", context_tokens = 100 },
        { model = "m", context_tokens = 101 }, { model = "m", context_tokens = 1001 },
        { model = "m", takes = "smell" }, { model = "m", takes = { 7 } }, { model = "m", context_tokens = "many" },
        { takes = "tools" },
      }
      return { route = function(req)
        local said = {}
        for i, filter in ipairs(filters) do
          local ok, found = pcall(peri.providers, filter)
          local ids = {}
          for k, p in ipairs(ok and found or {}) do ids[k] = p.id end
          said[i] = ok and table.concat(ids, " ") or found
        end
        return req:reply(200, said)
      end }
    ]] })
    local said = r:chat({}).json
    assert.same({ "blind seeing any", "seeing any", "seeing any", "any", "blind seeing any", "seeing any", "any" },
      { table.unpack(said, 1, 7) })
    assert.match("'takes' must be of .*, got smell", said[8])
    assert.match("'takes' must be of .*, got number", said[9])
    assert.match("'context_tokens' must be an integer from 0 on", said[10])
    assert.match("give 'model', too", said[11])
  end))

  it("leave a policy's pick with nobody, and the client with the reason", router.test(function(start)
    local small = provider.start()
    local r = start({
      providers = { entry("small", small, 1, { context_tokens = 100 }) },
      policies = { "weighted.lua" },
    }, { ["weighted.lua"] = [[
      return { route = function(req)
        local provider, _, code = req:pick()
        req:set_header("x-code", code or "none")
        if provider then return (req:try(provider)) end
      end }
    ]] })
    local answer = r:chat { messages = words(200) }
    assert.equal("EUNFIT", answer.headers["x-code"])
    assert.equal("context_length_exceeded", answer.json.error.code)
    assert.equal("none", r:chat({}).headers["x-code"])
  end))
end)
