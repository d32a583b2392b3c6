--- The policy gonka_rules in a running router: what the provider gets, and what the client hears.
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local here = os.getenv "PWD"

local function with_rules(start, p, options)
  options = options or {}
  options.networks = options.networks or {}
  return start {
    -- Wall time is what a busy machine runs out of; the limit of instructions stays.
    policy = { budget = "10s" },
    providers = { router.provider("a", p, { models = { "moonshotai/Kimi-K2.6", "MiniMaxAI/MiniMax-M2.7", "other" } }) },
    policies = { { file = here .. "/policies/gonka_rules.lua", options = options } },
  }
end

describe("gonka_rules", function()
  teardown(process.stop_all)

  it("repairs a request and names the edits", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p)
    local answer = r:ask("POST", "/v1/chat/completions",
      '{"model":"other","tags":["x"],"user":null,"messages":[{"role":"user","content":"caf\\u00e9"}],"max_tokens":1e3}')
    assert.equal(200, answer.status, answer.body)
    assert.equal("dropped null user; dropped tags; wrote max_tokens as an integer", answer.headers["x-perilune-edits"])
    assert.equal('{"model":"other","messages":[{"role":"user","content":"caf\\u00e9"}],"max_tokens":1000}',
      p.requests[1].body)
  end))

  it("leaves an acceptable request as the client wrote it", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p)
    local body = '{ "model":"other", "max_tokens" : 64,\n "messages":[{"role":"user","content":"\\u0041"}] }'
    local answer = r:ask("POST", "/v1/chat/completions", body)
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers["x-perilune-edits"])
    assert.equal(body, p.requests[1].body)
  end))

  it("refuses what can not be repaired, in the network's words", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p)
    local answer = r:ask("POST", "/v1/chat/completions", '{"model":"other","messages":[{"role":"user","content":'
      .. '[{"type":"image_url","image_url":{"url":"x"}}]}]}')
    assert.equal(400, answer.status)
    assert.equal('messages[0].content[0].type has unsupported value "image_url"', answer.json.error.message)
    assert.equal("messages[0].content[0].type", answer.json.error.param)
    assert.equal(0, #p.requests)
  end))

  it("knows the model that the provider serves", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p)
    r:ask("POST", "/v1/chat/completions", '{"model":"moonshotai/Kimi-K2.6","max_tokens":8192,"frequency_penalty":0.5,'
      .. '"messages":[{"role":"user","content":"hi"}]}')
    local sent = p.requests[1].json
    assert.equal(4096, sent.max_tokens)
    assert.equal(2048, sent.thinking_token_budget)
    assert.equal(0, sent.frequency_penalty)
  end))

  it("does exactly what the gateway does in profile emulate", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p, { profile = "emulate" })
    local answer = r:chat { model = "other", tags = { "x" } }
    assert.equal(400, answer.status)
    assert.truthy(answer.json.error.message:find('Chat completions parameter "tags" is currently rejected', 1, true))
    assert.equal(200, r:chat({ model = "other" }).status)
    assert.equal(5, p.requests[1].json.top_logprobs)
  end))

  it("does what a newer gateway does when told its release", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p, { profile = "emulate", release = "v0.2.15" })
    assert.equal(200, r:chat({ model = "other", n = 3, reasoning_effort = "max" }).status)
    local sent = p.requests[1].json
    assert.same({ 1, "max", 64 }, { sent.n, sent.reasoning_effort, sent.min_tokens })
  end))

  it("leaves a rule out by its name", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p, { off = { "repair_unknown" } })
    assert.equal(400, r:chat({ model = "other", tags = { "x" } }).status)
  end))

  it("has nothing to say about providers of other networks", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p, { networks = { "gonka" } })
    assert.equal(200, r:chat({ model = "other", tags = { "x" } }).status)
    assert.same({ "x" }, p.requests[1].json.tags)
  end))

  it("has budget enough for a request of several megabytes", router.test(function(start)
    local p = provider.start()
    local parts = { '{"role":"user","content":"go"}' }
    local text = ([[local x = \"a\" -- {[\n]]):rep(800)
    for i = 1, 200 do
      parts[#parts + 1] = ('{"role":"assistant","content":"%s"},{"role":"user","content":"step %d"}'):format(text, i)
    end
    local body = '{"model":"other","max_tokens":9,"messages":[' .. table.concat(parts, ",") .. "]}"
    assert(#body > 3e6)
    for _, profile in ipairs { "repair", "emulate" } do
      local r = with_rules(start, p, { profile = profile })
      assert.equal(200, r:ask("POST", "/v1/chat/completions", body).status)
      assert.same({}, r:log "policy failed")
      assert.equal(profile == "emulate" and 5 or nil, p.requests[#p.requests].json.top_logprobs)
    end
  end))
end)
