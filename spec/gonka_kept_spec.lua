--- What a router knows of a Gonka network and keeps: on disk for the next start, in memory over a reload.
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local router = require "spec.support.router"

local POLICY = { ["network.lua"] = network.policy }

local function configuration(providers, more)
  local config = {
    listen = "127.0.0.1:0", workers = 1, seed = 1, log = { level = "debug" }, providers = providers,
    policies = { "network.lua" }, queue = { discovery = "300ms" },
  }
  for name, value in pairs(more or {}) do config[name] = value end
  return config
end

local function some(seen) return seen.count > 0 end

local function has_said(r, text)
  for _, line in ipairs(r:log()) do
    if line.msg:find(text, 1, true) then return line end
  end
  return false
end

local function await_log(r, text)
  return loop.await("'" .. text .. "' in the log", function() return has_said(r, text) end)
end

describe("the list of hosts kept on disk", function()
  teardown(process.stop_all)

  it("is held against the chain's allow-list at once when a router starts with it", router.test(function(start)
    local net = network.start {}
    local config = configuration({ net:provider { refresh_interval = "1h" } }, { state_dir = process.directory() })
    net:steer("chain", { allowed = { "h1" } })
    for _ = 1, 2 do
      local r = start(config, POLICY)
      local seen = loop.await("the allow-list", function()
        local now = net:seen_by(r)
        return now.count == 1 and now
      end)
      assert.truthy(seen.hosts.h1)
      r:stop()
    end
  end))

  it("is not replaced by one of which no host can be used", router.test(function(start)
    local net = network.start {}
    local config = configuration({ net:provider() }, { state_dir = process.directory() })
    local r = start(config, POLICY)
    net:await(r, "the hosts", some)
    for _, name in ipairs { "h1", "h2", "h3" } do net:host(name, { url = "gopher://nobody" }) end
    net:epoch()
    net:seen_by(r, "refresh")
    await_log(r, "not one of them is usable")
    assert.equal(200, r:chat().status)
    r:stop()
    net:steer("node", { status = 503 })
    r = start(config, POLICY)
    assert.equal(200, r:chat().status)
    assert.equal(3, net:seen_by(r).count)
  end))
end)

describe("a reload while no source answers", function()
  teardown(process.stop_all)

  -- A router that knows the hosts, whose sources have gone down; `change(provider)` gives its new configuration.
  local function reload(start, net, before, change)
    local r = start(configuration { net:provider(before) }, POLICY)
    net:await(r, "the hosts", some)
    net:steer("node", { status = 503 })
    local config = configuration { change(net:provider(before)) }
    r:configure(config)
    r.process:signal "HUP"
    await_log(r, "reloaded")
    return r
  end

  it("keeps the hosts, by the rules of the new configuration", router.test(function(start)
    local net = network.start {}
    local r = reload(start, net, {}, function(p)
      p.deny, p.sources, p.source = { net.addresses.h2 }, { "http://127.0.0.1:1", net.url }, nil
      return p
    end)
    local seen = net:seen_by(r)
    assert.same({ 2, 1 }, { seen.count, seen.epoch })
    assert.is_nil(seen.hosts.h2)
    assert.equal(200, r:chat().status)
    net:steer("node", {})
    net:epoch { "h1" }
    assert.equal(1, net:await_epoch(r, 2).count)
  end))

  it("keeps none of another network's hosts", router.test(function(start)
    local net = network.start {}
    local r = reload(start, net, {}, function(p)
      p.source = "http://127.0.0.1:1"
      return p
    end)
    assert.equal(0, net:seen_by(r).count)
  end))

  it("keeps no hosts without proof once proofs are asked for", router.test(function(start)
    local net = network.start {}
    local r = reload(start, net, {}, function(p)
      p.verify_proofs, p.trust_chain, p.trust_block = true, "gonka-simnet", ("0"):rep(64)
      return p
    end)
    assert.equal(0, net:seen_by(r).count)
  end))

  it("keeps to the list of agents that the network told", router.test(function(start)
    local net = network.start {}
    net:steer("chain", { allowed = { "h1", "h3" } })
    local r = reload(start, net, {}, function(p) return p end)
    local seen = net:seen_by(r)
    assert.equal(2, seen.count)
    assert.is_nil(seen.hosts.h2)
  end))
end)

describe("a clock that agrees with the network's", function()
  teardown(process.stop_all)

  it("is not spoken of", router.test(function(start)
    local net = network.start {}
    local r = start(configuration { net:provider() }, POLICY)
    net:await(r, "the hosts", some)
    net:epoch { "h1" }
    net:await_epoch(r, 2)
    assert.is_false(has_said(r, "clock"))
  end))

  it("keeps the rest of a wallet that can not pay", router.test(function(start)
    local net = network.start { wallets = 2 }
    net:steer("account", { address = net.accounts[1], balance = 0 })
    local r = start(configuration { net:provider() }, POLICY)
    net:await(r, "the hosts", some)
    local function refused()
      local n = 0
      for name in pairs(net.ports) do n = n + net:answered(name, 402) end
      return n
    end
    for _ = 1, 20 do assert.equal(200, r:chat().status) end
    local before = refused()
    assert(before >= 2)
    r.process:signal "HUP"
    await_log(r, "reloaded")
    for _ = 1, 20 do assert.equal(200, r:chat().status) end
    assert.equal(before, refused())
  end))
end)
