--- A policy for the providers of some networks: what other providers get and say does not pass through Lua.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

-- Leaves a trace of every hook, in what the provider gets, what the client gets, or the log.
local traces = [[
local peri = require "perilune"
local policy = { options = { networks = { default = { "gonka" } } } }
function policy.check(config) policy.networks = config.options.networks return true end
function policy.attempt(_, attempt) attempt.body.seen = true end
function policy.event(_, event) if event.json then event.json.seen = true end end
function policy.answer(_, answer) answer.body.seen = true end
function policy.done() peri.log.info "saw the end" end
return policy
]]

describe("a policy for the providers of some networks", function()
  teardown(process.stop_all)

  local function start_with(start, p, networks, others)
    local policies = { { file = "traces.lua", options = { networks = networks } } }
    for _, policy in ipairs(others or {}) do policies[#policies + 1] = policy end
    return start({ providers = { router.provider("a", p) }, policies = policies, workers = 1 },
      { ["traces.lua"] = traces, ["other.lua"] = [[
        local policy = {}
        function policy.attempt(_, attempt) attempt.body.other = true end
        function policy.route(req) return req:try "a" end
        return policy
      ]] })
  end

  local body = '{ "model":"m" , "messages":[{"role":"user","content":"hi"}], "temperature":0.70 }'
  local streamed = body:gsub("^{", '{ "stream":true,')

  it("does not see those of others", router.test(function(start)
    local p = provider.start()
    local r = start_with(start, p)
    local answer = r:ask("POST", "/v1/chat/completions", body)
    assert.equal(200, answer.status)
    assert.equal(body, p.requests[1].body)
    assert.is_nil(answer.json.seen)
    local stream = r:ask("POST", "/v1/chat/completions", streamed)
    assert.equal(streamed, p.requests[2].body)
    assert.is_nil(stream.body:find "seen")
    assert.same({}, r:log "saw the end")
  end))

  it("sees those it names, and hears of their end", router.test(function(start)
    local p = provider.start()
    local r = start_with(start, p, { "other", "" }) -- "" is the network of plain providers
    local answer = r:ask("POST", "/v1/chat/completions", body)
    assert.is_true(p.requests[1].json.seen)
    assert.is_true(answer.json.seen)
    assert.truthy(r:ask("POST", "/v1/chat/completions", streamed).body:find('"seen":true', 1, true))
    loop.await("the end of both requests", function() return #r:log "saw the end" == 2 end)
  end))

  it("sees all when it names none", router.test(function(start)
    local p = provider.start()
    start_with(start, p, {}):ask("POST", "/v1/chat/completions", body)
    assert.is_true(p.requests[1].json.seen)
  end))

  it("leaves the other policies of the chain their hooks", router.test(function(start)
    local p = provider.start()
    local r = start_with(start, p, { "gonka" }, { "other.lua" })
    assert.equal(200, r:ask("POST", "/v1/chat/completions", body).status)
    assert.same({ nil, true }, { p.requests[1].json.seen, p.requests[1].json.other })
    assert.same({}, r:log "saw the end")
  end))

  it("is refused when it names something else", router.test(function(start)
    local p = provider.start()
    local ok, why = pcall(start, { providers = { router.provider("a", p) }, policies = { "wrong.lua" } },
      { ["wrong.lua"] = "return { networks = { 'gonka', 5 } }" })
    assert.is_false(ok)
    assert.matches("'networks' must be a list of names, element 2 is a number", tostring(why))
  end))
end)
