--- Hosts of a Gonka network that refuse, fail, lie or are not to be used: what the router makes of each. In virtual
-- time.
local virtual = require "spec.support.virtual"

local POLICY = { ["network.lua"] = virtual.policy }

-- A network and a router in front of it, with the policy that says what it knows.
local function both(options, more, body)
  return virtual.test(function(start)
    local net = virtual.network(options)
    local r = start({ providers = { net:provider(more) }, policies = { "network.lua" } }, POLICY)
    net:await(r, "the hosts", function(seen) return seen.count > 0 end)
    body(net, r, start)
  end)
end

local function refusals(r)
  local codes = {}
  for _, line in ipairs(r:log "gonka node refused") do codes[line.code] = line end
  return codes
end

describe("wallets", function()
  it("take turns", both({ wallets = 3 }, nil, function(net, r)
    local payers = {}
    for _ = 1, 12 do assert.equal(200, r:chat().status) end
    for name in pairs(net.ports) do
      for _, entry in ipairs(net:ledger(name)) do
        if entry.payer then payers[entry.payer] = (payers[entry.payer] or 0) + 1 end
      end
    end
    for i = 1, 3 do assert.equal(4, payers[net.accounts[i]]) end
  end))

  it("rest when two hosts say that they can not pay, and others pay", both({ wallets = 2 }, nil, function(net, r)
    net:steer("account", { address = net.accounts[1], balance = 0 })
    for _ = 1, 20 do assert.equal(200, r:chat().status) end
    local refused = 0
    for name in pairs(net.ports) do refused = refused + net:answered(name, 402) end
    assert(refused >= 2 and refused <= 6, refused .. " times refused")
    assert.matches("Fund it", refusals(r).gonka_no_balance.remedy)
  end))

  it("do not rest on the word of one host that lies", both({ hosts = 2 }, { damping = "equal" }, function(net, r)
    net:host("h1", { default = "status=402;message=Insufficient balance" })
    for _ = 1, 20 do assert.equal(200, r:chat().status) end
    assert.equal(20, net:answered "h2")
  end))

  it("that rest are named by their address", both({ wallets = 2 }, nil, function(net, r)
    net:steer("account", { address = net.accounts[1], balance = 0 })
    for _ = 1, 20 do assert.equal(200, r:chat().status) end
    assert.equal(net.accounts[1], refusals(r).gonka_no_balance.account)
  end))

  it("that are all empty are said to be so", both({}, nil, function(net, r)
    net:steer("account", { address = net.accounts[1], balance = 0 })
    local answer = r:chat()
    assert(answer.status >= 402, answer.status)
    assert.truthy(answer.json.error.message)
    for _ = 1, 5 do answer = r:chat() end
    assert.truthy(refusals(r).gonka_no_balance)
    assert.equal("table", type(answer.json.error))
  end))
end)

describe("a host of a Gonka network", function()
  it("that fails is passed over, with a fresh signature for the next", both({ hosts = 2 }, nil, function(net, r)
    net:host("h2", { queue = { "status=503", "status=500", "status=429" } })
    for _ = 1, 3 do assert.equal(200, r:chat().status) end
    assert(net:answered "h1" >= 1)
    local seen = {}
    for _, name in ipairs { "h1", "h2" } do
      for _, entry in ipairs(net:ledger(name)) do
        local signature = entry.headers.authorization
        if signature then
          assert.is_nil(seen[signature])
          seen[signature] = true
        end
      end
    end
  end))

  it("that is down or silent is passed over", both({ hosts = 3 }, { timeouts = { total = "300ms" } },
    function(net, r)
      net:host("h3", { down = true })
      net:host("h2", { default = "hang" })
      for _ = 1, 5 do
        local answer = r:chat()
        assert.equal(200, answer.status)
        assert.equal("h1", net:answerer(answer))
      end
    end))

  it("that is full sends its clients on", both({ hosts = 2 }, nil, function(net, r)
    net:host("h2", { capacity = 0 })
    for _ = 1, 5 do assert.equal("h1", net:answerer(r:chat())) end
    assert.truthy(refusals(r).gonka_agent_full)
  end))

  it("that does not have the model is not asked for it", both({ hosts = 2 }, nil, function(net, r)
    net:host("h2", { default = "status=404;message=model not found" })
    for _ = 1, 3 do assert.equal("h1", net:answerer(r:chat())) end
    net:host("h2", { default = "tokens=8", models = { "other" } })
    net:await(r, "the new models", function(seen) return seen.hosts.h2.models[1] == "other" end)
    assert.equal("h2", net:answerer(r:chat { model = "other" }))
  end))

  it("gets no request when the chain's list of agents lacks it", both({}, nil, function(net, r)
    net:steer("chain", { allowed = { "h1" } })
    for _ = 1, 3 do assert.equal("h1", net:answerer(r:chat())) end -- refused by the others until the list is read
    local seen = net:await(r, "the list", function(seen) return seen.count == 1 end)
    assert.truthy(seen.hosts.h1)
    net:steer("chain", { allowed = {} })
    net:await(r, "all hosts", function(now) return now.count == 3 end)
  end))

  it("gets no request when the network has excluded it", both({}, nil, function(net, r)
    net:epoch(nil, nil, { "h2" })
    local seen = net:await_epoch(r, 2)
    assert.equal(2, seen.count)
    assert.is_nil(seen.hosts.h2)
  end))

  it("gets no request when the operator does not want it", virtual.test(function(start)
    local net = virtual.network { hosts = 4 }
    for _, case in ipairs {
      { { allow = { net.addresses.h1, net.addresses.h2 } }, { "h1", "h2" } },
      { { deny = { net.addresses.h1 } }, { "h2", "h3", "h4" } },
      { { allow = { net.addresses.h1, net.addresses.h2 }, deny = { net.addresses.h2 } }, { "h1" } },
    } do
      local r = start({ providers = { net:provider(case[1]) }, policies = { "network.lua" } }, POLICY)
      local seen = net:await(r, "the hosts", function(seen) return seen.count > 0 end)
      local names = {}
      for name in pairs(seen.hosts) do names[#names + 1] = name end
      table.sort(names)
      assert.same(case[2], names)
    end
  end))

  it("is not called inside a private network unless that is allowed", virtual.test(function(start)
    local net = virtual.network {}
    local r = start { providers = { net:provider { private_hosts = false } } }
    virtual.await("the refusal", function()
      for _, line in ipairs(r:log()) do
        if line.msg:find("not one of them is usable", 1, true) then return true end
      end
    end)
    assert.equal(503, r:chat().status)
    for name in pairs(net.ports) do assert.equal(0, net:answered(name)) end
  end))

  it("may be asked no more than so many things at once", both({ hosts = 1 }, { default_max_concurrent = 2 },
    function(net, r)
      net:host("h1", { default = "tokens=4;token_ms=100" })
      local asking, most = { r:begin_stream(), r:begin_stream(), r:begin_stream() }, 0
      for _ = 1, 20 do
        virtual.advance(50)
        most = math.max(most, net:look().hosts[1].open)
      end
      for _, one in ipairs(asking) do assert.equal(200, one:answer().status) end
      assert.equal(3, net:answered "h1")
      assert.equal(2, most)
    end))
end)

describe("what a node's refusal means", function()
  it("stands in the log once the classic API is closed", both({}, nil, function(net, r)
    net:steer("chain", { closed = true })
    local answer = r:chat()
    assert(answer.status >= 400)
    local line = refusals(r).gonka_api_closed
    assert.equal(410, math.tointeger(line.status))
    assert.matches("broker", line.remedy)
  end))

  it("stands in the log when a host may not take requests", both({}, { refresh = false }, function(net, r)
    virtual.await("hosts", function() return r:chat().status == 200 end) -- the list is read once, without the limit
    net:steer("chain", { allowed = { "h1" } })
    virtual.await("a refusal", function() return r:chat().status and refusals(r).gonka_agent_not_allowed end)
  end))

  it("stands in the log when nodes sign otherwise, and the older scheme helps", both({}, nil, function(net, r, start)
    net:steer("chain", { params = { scheme = "raw_body" } })
    assert(r:chat().status >= 400)
    assert.matches("older signing scheme", refusals(r).gonka_signature_refused.remedy)
    local older = start({
      providers = { net:provider { legacy_signing = true } }, policies = { "network.lua" },
    }, POLICY)
    net:await(older, "the hosts", function(seen) return seen.count > 0 end)
    assert.equal(200, older:chat().status)
  end))

  it("stands in the log when the clock is off", both({}, { refresh = false }, function(net, r)
    net:rest() -- the clock is looked at in a refresh: none after this
    net:steer("chain", { clock_offset = 300 })
    assert(r:chat().status >= 400)
    assert.matches("NTP", refusals(r).gonka_stamp_too_old.remedy)
    net:steer("chain", { clock_offset = -300 })
    r:chat()
    assert.matches("NTP", refusals(r).gonka_stamp_in_future.remedy)
    net:steer("chain", { clock_offset = 0 })
    assert.equal(200, r:chat().status) -- and no host was held responsible
  end))

  it("reaches the client when it is about the request", both({}, nil, function(net, r)
    local answer = r:ask("POST", "/v1/chat/completions", '{"model":"m","messages":[]}')
    assert.equal(400, answer.status)
    assert.matches("messages", answer.json.error.message)
    assert.equal(200, r:chat().status)
    local asked = 0
    for name in pairs(net.ports) do asked = asked + net:answered(name, 400) end
    assert(asked <= 1, "asked " .. asked .. " hosts")
  end))
end)
