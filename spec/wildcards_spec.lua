--- Names of models with a star, for providers and as other names; and which names are listed.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"


local function listed(r)
  local ids = {}
  for _, model in ipairs(r:ask("GET", "/v1/models").json.data) do ids[#ids + 1] = model.id end
  return ids
end

local function asked_by(r, model)
  local answer = r:chat { model = model }
  return answer.status == 200 and answer.headers["x-perilune-provider"] or answer.status
end

describe("a name with a star", function()
  teardown(process.stop_all)

  it("stands for every model of that form, the longest one first", router.test(function(start)
    local p = provider.start()
    local r = start { providers = {
      router.provider("claude", p, { discover_models = false, models = { "claude-*" } }),
      router.provider("opus", p, { discover_models = false, models = { "claude-opus-*" }, tier = 2 }),
      router.provider("exact", p, { models = { "claude-opus-4" } }),
      router.provider("preview", p, { discover_models = false, models = { "*-preview" } }),
    } }
    assert.equal("claude", asked_by(r, "claude-3"))
    assert.equal("claude", asked_by(r, "Claude-3"))
    assert.equal("preview", asked_by(r, "o1-preview"))
    assert.equal(404, asked_by(r, "gpt-4"))
    assert.equal(404, asked_by(r, "my-claude-3"))
    for _, request in ipairs(p.requests) do assert.matches("^[Cco]", request.json.model) end
    assert.equal("Claude-3", p.requests[2].json.model)
    assert.same({ "claude-opus-4" }, listed(r))
    assert.equal(200, r:ask("GET", "/v1/models/claude-3").status)
    assert.equal("claude-3", r:ask("GET", "/v1/models/claude-3").json.id)
    assert.equal(404, r:ask("GET", "/v1/models/gpt-4").status)
    assert.equal("claude-3", r:chat({ model = "claude-3" }).headers["x-perilune-model"])
  end))

  it("leads to the others of that name as well", router.test(function(start)
    local down, p = provider.start(provider.status(500)), provider.start()
    local r = start { providers = {
      router.provider("a", down, { models = { "claude-opus-4" } }),
      router.provider("b", down, { discover_models = false, models = { "claude-opus-*" }, tier = 2 }),
      router.provider("c", p, { discover_models = false, models = { "*" }, tier = 3 }),
    }, route = { max_attempts = 9 } }
    assert.equal("c", asked_by(r, "claude-opus-4"))
    assert.equal("c", asked_by(r, "claude-opus-5"))
    assert.equal("c", asked_by(r, "anything"))
  end))

  it("may be sent as what the star stands for", router.test(function(start)
    local p = provider.start()
    local r = start { providers = {
      router.provider("a", p, { models = { ["openai/*"] = "*" }, discover_models = false }) } }
    assert.equal("a", asked_by(r, "openai/gpt-4o"))
    assert.equal("gpt-4o", p.requests[1].json.model)
    assert.equal("openai/gpt-4o", r:chat({ model = "openai/gpt-4o" }).headers["x-perilune-model"])
    assert.equal(404, asked_by(r, "gpt-4o"))
  end))

  it("shows the models that its provider lists", router.test(function(start)
    local p = provider.start(function(c, request)
      if request.target ~= "/v1/models" then return provider.chat "fine"(c, request) end
      provider.reply(200, cjson.encode { data = { { id = "gpt-4o" }, { id = "whisper" } } })(c, request)
    end)
    local r = start { providers = {
      router.provider("a", p, { models = { "gpt-*" }, discover_models = true }),
      router.provider("b", p, { models = { ["b/*"] = "*" }, discover_models = true }),
    } }
    loop.await("the list", function() return #listed(r) == 3 end)
    assert.same({ "gpt-4o", "b/gpt-4o", "b/whisper" }, listed(r))
    assert.equal("b", asked_by(r, "b/whisper"))
    assert.equal("whisper", p.requests[#p.requests].json.model)
    assert.equal("b", asked_by(r, "b/newer"))
  end))

  it("may be another name for a model", router.test(function(start)
    local p = provider.start()
    local r = start { models = { ["big"] = { "gpt-4*", "claude-opus" }, ["small"] = "gpt-4o-mini*" },
      providers = { router.provider("a", p, { models = { "big", "small" } }) } }
    for name, model in pairs { ["gpt-4o"] = "big", ["gpt-4o-mini-2"] = "small", ["claude-opus"] = "big" } do
      assert.equal("a", asked_by(r, name))
      assert.equal(model, p.requests[#p.requests].json.model)
    end
    assert.equal(404, asked_by(r, "gpt-3"))
    assert.same({ "big", "small", "claude-opus" }, listed(r))
    assert.equal("claude-opus", r:ask("GET", "/v1/models/claude-opus").json.id)
  end))

  it("is refused with two stars, or with a name that it can not have", function()
    for source, said in pairs {
      ['{ "a*b*" }'] = "names a model, and the name has more than one '*'",
      ['{ ["a*"] = "b" }'] = "names models with a '*' and one of the provider's: expected none, or \"*\"",
    } do
      local directory = process.directory()
      local file = assert(io.open(directory .. "/perilune.lua", "w"))
      file:write('return { providers = { { id = "a", url = "http://h/v1", models = ' .. source .. " } } }")
      file:close()
      local child = process.start { router.program, "check", "--config", directory .. "/perilune.lua" }
      assert.equal(78, child:wait())
      assert.is_truthy(child:stderr():find(said, 1, true), child:stderr())
    end
  end)
end)
