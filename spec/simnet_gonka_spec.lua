--- `perilune simnet --gonka`: its hosts refuse as the real ones do, and an order that makes no sense changes nothing.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local peri = require "perilune"
local process = require "spec.support.process"
local router = require "spec.support.router"

describe("a simulated Gonka host", function()
  teardown(process.stop_all)

  local CHAT = '{"model":"m","messages":[{"role":"user","content":"hi"}]}'

  -- One request, signed rightly but for what `change` does to it; its `sent` and `headers` go out in the end.
  local function ask(net, change)
    local request = { key = "file:" .. net.wallets[1], body = CHAT, node = net.addresses.h1,
      timestamp = peri.clock.wall_ns() }
    change = change or {}
    for name, value in pairs(change) do
      if name ~= "sent" and name ~= "headers" then request[name] = value end
    end
    local headers = assert(peri.gonka.sign(request))
    for name, value in pairs(change.headers or {}) do headers[name] = value ~= "" and value or nil end
    local answer = router.at(net.ports.h1):ask("POST", "/v1/chat/completions", change.sent or request.body, headers)
    return answer.status, answer.json and answer.json.error, headers
  end

  it("refuses in the words of a node, the first reason first", loop.body(function()
    local net = network.start { hosts = 2 }
    local other = process.directory() .. "/other.key"
    assert(peri.gonka.keygen(other))
    assert.equal(200, (ask(net)))
    local second = 1000000000
    local now = peri.clock.wall_ns()
    for _, case in ipairs {
      { 400, "invalid chat completion request: ", { body = "nonsense" } },
      { 400, "messages is required", { body = '{"model":"m","messages":[]}', headers = { authorization = "" } } },
      { 401, "Authorization is required",
        { body = '{"messages":[{"role":"user"}]}', headers = { authorization = "" } } },
      { 400, "No model specified", { body = '{"messages":[{"role":"user"}]}', key = "file:" .. other } },
      { 500, "rpc error: code = NotFound", { key = "file:" .. other } },
      { 401, "Unable to validate request against PubKey:invalid signature", { sent = CHAT .. " " } },
      { 401, "Unable to validate request against PubKey:invalid signature", { node = net.addresses.h2 } },
      { 401, "Unable to validate request against PubKey:invalid signature", { scheme = "raw_body" } },
      { 404, "model not found", { body = CHAT:gsub('"m"', '"other"'), timestamp = now - 600 * second } },
      { 400, "signature is too old", { timestamp = now - 600 * second } },
      { 400, "signature is in the future", { timestamp = now + 60 * second } },
    } do
      local status, text = ask(net, case[3])
      assert.equal(case[1], status, text)
      assert.equal(case[2], text:sub(1, #case[2]))
    end
    local stamp = peri.clock.wall_ns()
    assert.equal(200, (ask(net, { timestamp = stamp })))
    assert.same({ 400, "AuthKey has already been used for a transfer request" },
      { table.unpack({ ask(net, { timestamp = stamp }) }, 1, 2) })
    net:steer("account", { address = net.accounts[1], balance = 10 })
    assert.same({ 402, "Insufficient balance" }, { table.unpack({ ask(net, {}) }, 1, 2) })
    net:steer("account", { address = net.accounts[1], published = false })
    assert.equal(500, (ask(net)))
    net:steer("chain", { allowed = { "h2" } })
    assert.same({ 403, "Transfer Agent not allowed" },
      { table.unpack({ ask(net, { headers = { authorization = "" } }) }, 1, 2) })
    net:steer("chain", { closed = true })
    assert.same({ 410, "deprecated" }, { table.unpack({ ask(net) }, 1, 2) })
  end))

  it("answers what every node answers about the chain", loop.body(function()
    local net = network.start { hosts = 2 }
    for _, at in ipairs { net.node, router.at(net.ports.h1) } do
      local models = at:ask("GET", "/v1/models")
      assert.equal("m", models.json.data[1].id)
      assert.equal("Inference", at:ask("GET", "/v1/epochs/latest").json.phase)
      assert.equal(2, #at:ask("GET", "/v1/epochs/current/participants").json.active_participants.participants)
      local params = at:ask("GET", "/chain-api/productscience/inference/inference/params").json.params
      assert.equal("60", params.validation_params.timestamp_expiration)
    end
    assert.equal(net.addresses.h1, router.at(net.ports.h1):ask("GET", "/v1/identity").json.data.address)
    assert.equal(404, net.node:ask("GET", "/v1/nothing").status)
    assert.equal(400, net.node:ask("POST", "/sim/phase", '{"phase":"Lunch"}').status)
  end))
end)

describe("an order to a simulated network", function()
  teardown(process.stop_all)

  it("that makes no sense is refused whole, with what was expected", loop.body(function()
    local net = network.start { hosts = 2 }
    for path, cases in pairs {
      epoch = { { { hosts = { "h9" } }, "'hosts': expected a list of hosts' names, got [\"h9\"]" },
        { { weights = { h1 = "x" } }, "'weights': expected weights by hosts' names" },
        { { host = { "h1" } }, "no member 'host'" } },
      phase = { { { phase = "Lunch" }, "'phase': expected one of Inference, PoCGenerate, " }, { {}, "got nothing" } },
      confirmation = { { { phase = 5 }, "'phase': expected an integer from 0 to 4, got 5" } },
      chain = { { { shape = "round" }, "'shape': expected one of early, golden, numbers, strings, got \"round\"" },
        { { lie = "white" }, "'lie': expected one of block, epoch, garbage, proof, record, stale, weights" },
        { { lost = "hope" }, "'lost': expected one of group, none, params, status" },
        { { closed = 1 }, "'closed': expected true or false, got 1" },
        { { params = { speed = 1 } }, "'params': expected parameters of the chain" },
        { { params = { scheme = "x" } }, "'params': expected parameters of the chain" },
        { { developers = {} }, "'developers': expected { until_height, allowed }" },
        { { clock_offset = "x" }, "'clock_offset': expected a number" }, { { signers = -1 }, "'signers'" } },
      account = { { { address = "gonka1x" }, "'address': expected an account of the chain, got 'gonka1x'" },
        { { public_key = "00" }, "'public_key': expected 66 hexadecimal digits, got \"00\"" },
        { { address = net.accounts[1], balance = -1 }, "'balance': expected an integer, 0 or more, got -1" } },
      host = { { { name = "h9" }, "'name': expected the name of a host, got \"h9\"" }, { { down = true }, "'name'" },
        { { name = "h1", default = "speed=1" }, "unknown behaviour 'speed'" },
        { { name = "h1", machine = { status = 9 } }, "'machine': expected { count } or { status, message }" },
        { { name = "h1", capacity = "x" }, "'capacity': expected an integer, 0 or more, or false" } },
      node = { { { status = 99 }, "'status': expected an integer from 200 to 599, got 99" } },
      quit = { { { now = true }, "no member 'now'" } },
    } do
      for _, case in ipairs(cases) do
        local answer = net.node:ask("POST", "/sim/" .. path, cjson.encode(case[1]))
        assert.equal(400, answer.status)
        assert.equal("/sim/" .. path .. ": ", answer.json.error:sub(1, #path + 7))
        assert.truthy(answer.json.error:find(case[2], 1, true), answer.json.error)
      end
    end
    assert.equal(400, net.node:ask("POST", "/sim/epoch", "7").status)
    assert.equal(404, net.node:ask("POST", "/sim/run", "{}").status)
    assert.equal(404, net.node:ask("POST", "/sim/has", "{}").status)
    assert.equal(404, net.node:ask("GET", "/sim/epoch").status)
    assert.equal(1, math.tointeger(net:look().epoch)) -- nothing of all this was done
  end))
end)
