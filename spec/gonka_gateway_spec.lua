--- Brokers and gateways in front of the Gonka network, and nodes that refuse: what the client and the log are told,
-- that another provider answers where there is one, and what becomes of the devshard's own events in a stream.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local router = require "spec.support.router"

local ANSWER = "the moon pulls tides across quiet water while"

local Gateway = {}
Gateway.__index = Gateway

-- `perilune simnet --gateway 1`.
local function gateway(...)
  local child = process.start { router.program, "simnet", "--gateway", "1", "--model", "m", "--key", "sk-gate", ... }
  local line = loop.await("the gateway", function()
    if not child:is_running() then error("simnet ended: " .. child:stderr(), 0) end
    return child:stdout():match "^(.-)\n"
  end, 20)
  local port = math.tointeger(cjson.decode(line).port)
  return setmetatable({ at = router.at(port), url = cjson.decode(line).url }, Gateway)
end

function Gateway:order(wanted)
  local answer = self.at:ask("POST", "/sim/gateway", cjson.encode(wanted))
  assert(answer.status == 204, answer.body)
end

function Gateway:behave(text) self.at:ask("POST", "/sim/script", cjson.encode { default = text }) end

function Gateway:chats()
  local count = 0
  for _, entry in ipairs(self.at:ask("GET", "/sim/ledger").json.entries) do
    if entry.path == "/v1/chat/completions" then count = count + 1 end
  end
  return count
end

function Gateway:provider(more)
  local entry = { id = "gate", url = self.url, key = router.expression 'secret "env:GATE_KEY"', models = { "m" },
    broker = "gonka" }
  for name, value in pairs(more or {}) do entry[name] = value end
  return entry
end

local KEY = { GATE_KEY = "sk-gate" }

local function refused(r, title)
  local lines = r:log(title)
  return lines[#lines]
end

describe("a gateway or broker of the network", function()
  teardown(process.stop_all)

  for _, case in ipairs {
    { "closed", 410, "gonka_api_closed", "Use a Gonka broker or your own devshard gateway" },
    { "retired", 410, "gonka_devshard_session_retired", "Update the gateway" },
    { "moved", 308, "gonka_moved", "change the provider's URL" },
    { "agent", 403, "gonka_agent_not_allowed", "transfer_agent_access_params.allowed_transfer_addresses" },
    { "restricted", 403, "gonka_developers_restricted", "developer_access_params.allowed_developer_addresses" },
    { "signature", 401, "gonka_signature_refused", "GONKA_ADDRESS" },
    { "proofs", 503, "gonka_proof_window", "add a provider of another kind as fallback" },
    { "unavailable", 409, "gonka_devshard_unavailable", "it comes back by itself" },
    { "budget", 429, "gonka_budget_exhausted", "use another gateway" },
  } do
    local name, status, code, remedy = table.unpack(case)
    it("that refuses with " .. status .. " (" .. name .. ") has the remedy named in the log alone", router.test(
      function(start)
        local gate = gateway()
        gate:order { refuse = name }
        local r = start({ providers = { gate:provider() } }, nil, KEY)
        local answer = r:chat()
        assert(answer.status >= 400, answer.body)
        assert.is_nil(answer.json.error.message:find(remedy, 1, true), answer.body)
        if name == "closed" or name == "proofs" then
          assert.equal(503, answer.status)
          assert(tonumber(answer.headers["retry-after"]) >= 1)
        end
        local line = refused(r, "gonka gateway refused")
        assert.same({ "attempt", code, status, "gate" },
          { line.component, line.code, math.tointeger(line.status), line.provider })
        assert.truthy(line.remedy:find(remedy, 1, true), line.remedy)
      end))
  end

  for access, code in pairs { api_key = "gonka_model_needs_key", admin_only = "gonka_model_needs_admin_key" } do
    it("that wants another key for the model (" .. access .. ") has the remedy named", router.test(function(start)
      local gate = gateway()
      gate:order { access = { m = access } }
      local r = start({ providers = { gate:provider() } }, nil, KEY)
      local answer = r:chat()
      local line = refused(r, "gonka gateway refused")
      assert.equal(code, line.code)
      assert.same({ 404, "model_not_found" }, { answer.status, answer.json.error.code })
    end))
  end

  it("that refuses is passed over for another provider, and nobody notices", router.test(function(start)
    local plain = require("spec.support.provider").start()
    for _, name in ipairs {
      "closed", "moved", "agent", "restricted", "signature", "proofs", "unavailable", "budget",
    } do
      local gate = gateway()
      gate:order { refuse = name }
      local other = router.provider("plain", plain, { tier = 2 })
      local r = start({ providers = { gate:provider { tier = 1 }, other } }, nil, KEY)
      for _, answer in ipairs { r:chat(), r:stream() } do
        assert.same({ name, 200, "plain" }, { name, answer.status, answer.headers["x-perilune-provider"] })
      end
      assert(gate:chats() >= 1)
    end
  end, 60))

  it("that refuses the request itself is quoted, and nobody else is asked", router.test(function(start)
    local gate, plain = gateway(), require("spec.support.provider").start()
    gate:order { refuse = "parameter" }
    local other = router.provider("plain", plain, { tier = 2 })
    local r = start({ providers = { gate:provider { tier = 1 }, other } }, nil, KEY)
    local answer = r:chat()
    assert.equal(400, answer.status)
    assert.truthy(answer.json.error.message:find('parameter "guided_json" is currently rejected', 1, true))
    assert.equal(0, #plain.requests)
  end))

  it("is left alone with words that others use, too", router.test(function(start)
    local gate = gateway("--default", "status=410;message=this model was retired")
    local r = start({ providers = { gate:provider() } }, nil, KEY)
    assert(r:chat().status >= 400)
    assert.is_nil(refused(r, "gonka gateway refused"))
  end))

  it("is judged by its status alone when nobody said that it is one", router.test(function(start)
    local gate = gateway()
    for name, status in pairs { moved = 308, budget = 429 } do
      gate:order { refuse = name }
      local plain = gate:provider()
      plain.broker = nil
      local r = start({ providers = { plain } }, nil, KEY)
      local message = r:chat().json.error.message
      assert.truthy(message:find("answered " .. status, 1, true), message)
      assert.is_nil(message:find("broker", 1, true), message)
      assert.is_nil(refused(r, "gonka gateway refused"))
    end
  end))

  it("answers as a gateway does", loop.body(function()
    local gate = gateway()
    local function ask(body, key)
      return gate.at:ask("POST", "/v1/chat/completions", cjson.encode(body), { authorization = "Bearer " .. key })
    end
    local CHAT = { model = "m", messages = { { role = "user", content = "hi" } } }
    assert.equal(ANSWER, ask(CHAT, "sk-gate").json.choices[1].message.content)
    assert.equal(401, ask(CHAT, "sk-other").status)
    local answer = ask({ model = "x", messages = CHAT.messages }, "sk-gate")
    assert.equal(400, answer.status)
    assert.equal("text/plain; charset=utf-8", answer.headers["content-type"])
    assert.equal('unsupported model "x"; supported models: m', answer.json.error.message)
    for _, case in ipairs {
      { { refuse = "x" }, "'refuse': expected nothing or one of agent, " },
      { { access = { m = "x" } }, "'access': expected one of admin_only, api_key, open for a model it has, got 'x'" },
      { { access = { y = "open" } }, "got 'open' for 'y'" }, { { acess = {} }, "no member 'acess'" },
    } do
      answer = gate.at:ask("POST", "/sim/gateway", cjson.encode(case[1]))
      assert.equal(400, answer.status)
      assert.truthy(answer.json.error:find(case[2], 1, true), answer.json.error)
    end
    gate:order { refuse = "busy" }
    assert.equal(429, ask(CHAT, "sk-gate").status)
    gate:order { refuse = "nothing" }
    assert.equal(200, ask(CHAT, "sk-gate").status)
  end))
end)

describe("the devshard's own events in a stream", function()
  teardown(process.stop_all)

  it("reach no client, behind [DONE] or before it", router.test(function(start)
    local gate = gateway("--default", "devshard")
    local r = start({ providers = { gate:provider() } }, nil, KEY)
    local direct = gate.at:ask("POST", "/v1/chat/completions",
      '{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}', { authorization = "Bearer sk-gate" })
    assert.truthy(direct.body:find("devshard_receipt", 1, true)) -- they are there
    assert.truthy(direct.body:find("devshard_meta", 1, true))
    local answer = r:stream()
    assert.same({ 200, ANSWER, true }, { answer.status, answer.stream.text, answer.stream.done })
    assert.is_nil(answer.body:find("devshard_", 1, true), answer.body)
  end))

  it("say that it begins again: unseen before the first token, and else an error ends it",
    router.test(function(start)
      local gate = gateway "--default=restart_after=0"
      local r = start({ providers = { gate:provider() } }, nil, KEY)
      local answer = r:stream()
      assert.same({ 200, ANSWER, true }, { answer.status, answer.stream.text, answer.stream.done })
      assert.equal("1", answer.headers["x-perilune-attempts"])
      local _, roles = answer.body:gsub('"role":"assistant"', "")
      assert.equal(1, roles) -- what came before the beginning was dropped
      gate:behave "restart_after=3"
      r = start({ providers = { gate:provider() } }, nil, KEY)
      answer = r:stream()
      assert.equal("the moon pulls", answer.stream.text) -- and not the same words twice
      assert.is_falsy(answer.stream.done)
      assert.truthy(answer.body:find('"error":{', 1, true), answer.body)
      assert.is_nil(answer.body:find("devshard_", 1, true))
    end))
end)

describe("a Gonka host that refuses for good", function()
  teardown(process.stop_all)

  for status, case in pairs {
    [410] = { function(net) net:steer("chain", { closed = true }) end, "Use a Gonka broker" },
    [403] = { function(net) net:steer("chain", { developers = { until_height = 99999 } }) end,
      "Ask for a place on developer_access_params.allowed_developer_addresses" },
    [401] = { function(net) net:steer("chain", { params = { scheme = "raw_body" } }) end,
      "choose the older signing scheme" },
  } do
    it("with " .. status .. " has the remedy named in the log alone", router.test(function(start)
      local net = network.start { hosts = 1 }
      local r = start({ providers = { net:provider() }, policies = { "network.lua" } },
        { ["network.lua"] = network.policy })
      net:await(r, "the hosts", function(seen) return seen.count == 1 end)
      case[1](net)
      local message = r:chat().json.error.message
      assert.truthy(message:find("answered " .. status, 1, true), message)
      assert.is_nil(message:find(case[2], 1, true), message)
      assert.truthy(refused(r, "gonka node refused").remedy:find(case[2], 1, true))
    end))
  end

  it("rests with its whole network at once, for this request, too", router.test(function(start)
    local provider = require "spec.support.provider"
    local net, plain = network.start { hosts = 3 }, provider.start()
    local r = start({
      providers = { net:provider { tier = 1 }, router.provider("plain", plain, { tier = 2 }) },
      policies = { "network.lua" },
    }, { ["network.lua"] = network.policy })
    net:await(r, "the hosts", function(seen) return seen.count == 3 end)
    net:steer("chain", { closed = true })
    for _ = 1, 5 do assert.equal("plain", r:chat().headers["x-perilune-provider"]) end
    local refusals = 0
    for i = 1, 3 do refusals = refusals + net:answered("h" .. i, 410) end
    assert.equal(1, refusals)
    local line = r:log("not asked for a while")[1]
    assert.same({ "network", "gonka" }, { line.scope, line.network })
    assert.matches("broker", line.remedy)
  end))

  it("is asked once a request where there is nothing else, and its network comes back", router.test(function(start)
    local net = network.start { hosts = 3 }
    local r = start({ providers = { net:provider() }, policies = { "network.lua" } },
      { ["network.lua"] = network.policy })
    net:await(r, "the hosts", function(seen) return seen.count == 3 end)
    net:steer("chain", { closed = true })
    for _ = 1, 4 do
      local answer = r:chat()
      assert.equal(503, answer.status)
      assert(tonumber(answer.headers["retry-after"]) >= 1)
    end
    local refusals = 0
    for i = 1, 3 do refusals = refusals + net:answered("h" .. i, 410) end
    assert.equal(4, refusals)
    net:steer("chain", { closed = false })
    for _ = 1, 5 do assert.equal(200, r:chat().status) end
    assert.equal("network", r:log("asked again")[1].scope)
  end))
end)
