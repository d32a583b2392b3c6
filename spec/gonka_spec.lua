--- The real router in front of a simulated Gonka network whose hosts check every signature.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local router = require "spec.support.router"

local POLICY = { ["network.lua"] = network.policy }

describe("a Gonka network", function()
  teardown(process.stop_all)

  -- A network and a router in front of it, with the policy that says what it knows.
  local function both(options, more, body)
    return router.test(function(start)
      local net = network.start(options)
      local config = { providers = { net:provider(more) }, policies = { "network.lua" } }
      local r = start(config, POLICY)
      net:await(r, "the hosts", function(seen) return seen.count > 0 end)
      body(net, r, start)
    end)
  end

  it("takes what the router signs, on every host", both({ hosts = 5 }, { damping = "equal" }, function(net, r)
    local by_host = {}
    for _ = 1, 60 do
      local answer = r:chat()
      assert.equal(200, answer.status)
      local name = net:answerer(answer)
      by_host[name] = (by_host[name] or 0) + 1
    end
    for i = 1, 5 do assert(by_host["h" .. i], "h" .. i .. " was never asked") end
    local entry = net:ledger("h1")[1]
    assert.equal(net.accounts[1], entry.headers["x-requester-address"])
    assert.matches("^%d+$", entry.headers["x-timestamp"])
    assert.equal(88, #entry.headers.authorization)
    assert.is_nil(entry.headers["x-transfer-address"])
  end))

  it("shares requests by stake", both({ hosts = 3 }, nil, function(net, r)
    local counts = { h1 = 0, h2 = 0, h3 = 0 }
    for _ = 1, 300 do
      local name = net:answerer(r:chat())
      counts[name] = counts[name] + 1
    end
    -- 50, 100 and 150 of 300 are expected; five standard deviations of the largest are 43.
    assert(math.abs(counts.h1 - 50) <= 33 and math.abs(counts.h3 - 150) <= 43, cjson.encode(counts))
  end))

  it("streams", both({}, nil, function(_, r)
    local answer = r:stream()
    assert.equal(200, answer.status)
    assert.is_true(answer.stream.done)
    assert.equal("the moon pulls tides across quiet water while", answer.stream.text)
  end))

  it("keeps hosts that stay, with what was learnt, over three epochs", both({}, nil, function(net, r)
    net:epoch { "h1", "h2" }
    net:await_epoch(r, 2)
    for _ = 1, 20 do assert.equal(200, r:chat().status) end
    local before = net:seen_by(r)
    assert.equal(2, before.count)
    -- a stream that h2 serves while it leaves the network
    net:host("h2", { default = "tokens=20;token_ms=50" })
    net:host("h1", { default = "status=503" })
    local c = r:open_chat { stream = true }
    c:take_until "moon"
    net:host("h1", { default = "tokens=8" })
    net:epoch { "h1", "h3" }
    local seen = net:await_epoch(r, 3)
    assert.is_nil(seen.hosts.h2)
    assert.equal(before.hosts.h1.success, seen.hosts.h1.success)
    assert.equal(0, seen.hosts.h3.success)
    assert.equal(1, net:look().hosts[2].open)
    assert.truthy(c:take_until "[DONE]")
    c:close()
    net:epoch { "h1", "h3" }
    seen = net:await_epoch(r, 4)
    assert(seen.hosts.h1.success >= before.hosts.h1.success)
    loop.await("h3 to serve", function() return net:answerer(r:chat()) == "h3" end)
    assert.equal(before.hosts.h2.success + 1, net:answered "h2") -- the stream, and nothing since
  end))

  it("is discovered in each of the shapes that nodes have had", both({}, nil, function(net, r)
    for i, shape in ipairs { "strings", "golden", "early", "numbers" } do
      net:steer("chain", { shape = shape })
      net:epoch()
      local seen = net:await_epoch(r, i + 1)
      assert.equal(3, seen.count)
      assert.equal(300, seen.hosts.h3.weight)
      assert.equal("Inference", seen.phase)
      assert.equal(200, r:chat().status)
    end
  end))

  it("needs no configuration beside two variables", router.test(function()
    local net = network.start { hosts = 1 }
    local endpoint = ("http://127.0.0.1:%d/v1;%s"):format(net.ports.h1, net.addresses.h1)
    local key = assert(process.read(net.wallets[1])):gsub("%s", "")
    local child = process.start({ router.program, "serve", "--listen", "127.0.0.1:0" }, {
      cwd = process.directory(), environment = { GONKA_PRIVATE_KEY = "0x" .. key, GONKA_ENDPOINTS = endpoint },
    })
    local port = child:await_line("the router to listen", function(line)
      return line:find('"listening"', 1, true) and math.tointeger(line:match '"port":(%d+)')
    end, 20)
    assert.equal(200, router.at(port):chat().status)
    assert.equal(1, net:answered "h1")
    assert.is_nil(assert(process.read("/proc/" .. child.pid .. "/environ")):find(key, 1, true))
    assert.equal(0, child:stop())
  end))

  it("is told the configured address of the payer, with a warning when it is another's", router.test(function(start)
    local net = network.start { hosts = 1, wallets = 2 }
    local r = start({
      providers = { net:provider { private_key = net:secret(1), address = net.accounts[2] } },
      policies = { "network.lua" },
    }, POLICY)
    net:await(r, "the hosts", function(seen) return seen.count == 1 end)
    assert(r:chat().status >= 400) -- the node checks against the key of the account that is named
    assert.equal(net.accounts[2], net:ledger("h1")[1].payer)
    loop.await("the warning", function()
      for _, line in ipairs(r:log()) do
        if line.level == "warn" and line.msg:find("not the one of the configured key", 1, true) then return true end
      end
    end)
  end))
end)
