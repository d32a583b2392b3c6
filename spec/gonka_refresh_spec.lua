--- How the router follows a Gonka network: sources that fail, restarts, windows of proofs, what policies get of it, and
-- that requests under way never notice.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local router = require "spec.support.router"

local POLICY = { ["network.lua"] = network.policy }

local function behind(start, providers, more)
  local config = { providers = providers, policies = { "network.lua" } }
  for name, value in pairs(more or {}) do config[name] = value end
  return start(config, POLICY)
end

local function some(seen) return seen.count > 0 end

local function await_log(r, text)
  return loop.await("'" .. text .. "' in the log", function()
    for _, line in ipairs(r:log()) do
      if line.msg:find(text, 1, true) then return line end
    end
  end)
end

describe("the refresh of a Gonka network", function()
  teardown(process.stop_all)

  it("keeps the last good hosts while no source answers", router.test(function(start)
    local net = network.start {}
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:steer("node", { status = 500 })
    net:epoch { "h1" }
    local line = loop.await("the failure", function()
      net:seen_by(r, "refresh") -- one that is under way may have seen the node well
      for _, found in ipairs(r:log()) do
        if found.msg:find("refresh failed", 1, true) then return found end
      end
    end)
    assert.matches("answered 500", line.msg)
    assert.equal(3, net:seen_by(r).count)
    assert.equal(200, r:chat().status)
    net:steer("node", {})
    net:await_epoch(r, 2)
    assert.equal(1, net:seen_by(r).count)
  end))

  it("asks the next source when one is dead", router.test(function(start)
    local net = network.start {}
    local r = behind(start, { net:provider { source = false, sources = { "http://127.0.0.1:1", net.url } } })
    net:await(r, "the hosts", some)
    assert.equal(200, r:chat().status)
  end))

  it("reads a source's URL with and without its version", router.test(function(start)
    local net = network.start {}
    for _, tail in ipairs { "/", "/v1", "/v1/" } do
      local r = behind(start, { net:provider { source = net.url .. tail } })
      net:await(r, "the hosts", some)
    end
  end))

  it("starts with the hosts it last knew, and forgets nothing when the network is gone", router.test(function(start)
    local net = network.start {}
    local directory = process.directory()
    local r = behind(start, { net:provider() }, { state_dir = directory })
    net:await(r, "the hosts", some)
    r:stop()
    assert.matches("active_participants", (process.read(directory .. "/gonka-gonka.json")))
    net:steer("node", { status = 503 })
    r = behind(start, { net:provider() }, { state_dir = directory })
    assert.equal(200, r:chat().status)
    assert.equal(3, net:seen_by(r).count)
  end))

  it("reads a file in development, and reads it again", router.test(function(start)
    local net = network.start {}
    local function write(path)
      local answer = net.node:ask("GET", "/v1/epochs/current/participants")
      local file = assert(io.open(path .. ".new", "wb"))
      file:write(answer.body)
      file:close()
      assert(os.rename(path .. ".new", path))
    end
    local path = process.directory() .. "/participants.json"
    write(path)
    local r = behind(start, { net:provider { source = "file://" .. path, file_sources = true } })
    net:await(r, "the hosts", function(seen) return seen.count == 3 end)
    assert.equal(200, r:chat().status)
    net:epoch { "h2" }
    write(path)
    assert.equal(1, net:await_epoch(r, 2).count)
    os.remove(path)
    net:seen_by(r, "refresh")
    await_log(r, "refresh failed")
    assert.equal("h2", net:answerer(r:chat()))
  end))

  it("is left out when it is switched off", router.test(function(start)
    local net = network.start {}
    local r = behind(start, { net:provider { refresh = false, refresh_interval = "1s" } })
    await_log(r, "gonka hosts")
    local reads = net:look().reads
    assert.equal(200, r:chat().status)
    loop.delay(1.5) -- longer than the interval that is not kept
    assert.equal(reads, net:look().reads)
  end))

  it("comes by itself, in its interval", router.test(function(start)
    local net = network.start {}
    local r = behind(start, { net:provider { refresh_interval = "1s" } })
    loop.await("the hosts", function() return r:chat().status == 200 end)
    net:epoch { "h1", "h2" }
    loop.await("the second epoch", function() return net:seen_by(r).epoch == 2 end)
  end))

  it("comes once more when it is ordered while one is under way", router.test(function(start)
    local net = network.start {}
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    local function asked() return net:look().reads end
    net:rest()
    net:steer("node", { delay_ms = 700 })
    local before = asked()
    net:seen_by(r, "refresh")
    loop.await("its last step", function() return asked() == before + 4 end)
    net:epoch { "h1", "h2" }
    for _ = 1, 3 do net:seen_by(r, "refresh") end
    net:steer("node", {})
    loop.await("the second epoch", function() return net:seen_by(r).epoch == 2 end)
    loop.delay(0.3)
    assert.equal(before + 8, asked()) -- three orders, one more refresh
  end))

  it("takes changes inside an epoch, too", router.test(function(start)
    local net = network.start {}
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:host("h1", { weight = 5000 })
    net:await(r, "the new weight", function(seen) return seen.hosts.h1.weight == 5000 end)
    net:host("h1", { url = "http://127.0.0.1:1" })
    loop.await("the new place", function()
      net:seen_by(r, "refresh")
      return net:answerer(r:chat()) ~= "h1"
    end)
  end))

  it("prefers machines that go on serving while proofs are computed", router.test(function(start)
    local net = network.start {}
    net:host("h1", { preserved = true })
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    for _, phase in ipairs { "PoCGenerate", "PoCGenerateWindDown", "PoCValidate", "PoCValidateWindDown" } do
      net:steer("phase", { phase = phase })
      net:await(r, phase, function(seen) return seen.phase == phase end)
      for _ = 1, 5 do assert.equal("h1", net:answerer(r:chat())) end
    end
    assert.equal(1, net:seen_by(r).epoch)
    net:host("h1", { default = "status=503" })
    assert.equal(200, r:chat().status) -- the others are the last resort, not forbidden
    net:host("h1", { default = "tokens=8" })
    net:steer("phase", { phase = "Inference" })
    local seen = net:await(r, "the next epoch", function(now) return now.phase == "Inference" and now.epoch == 2 end)
    assert.equal(3, seen.count)
    net:steer("confirmation", { phase = 2 })
    loop.await("the confirmation", function()
      net:seen_by(r, "refresh")
      for _ = 1, 5 do
        if net:answerer(r:chat()) ~= "h1" then return false end
      end
      return true
    end, 40)
  end, 90))

  it("prefers another provider to hosts that compute proofs", router.test(function(start)
    local net = network.start {}
    local provider = require "spec.support.provider"
    local plain = provider.start()
    local r = behind(start, { net:provider(), router.provider("plain", plain, { weight = 1 }) })
    net:await(r, "the hosts", some)
    assert.truthy(net:answerer(r:chat()))
    net:steer("phase", { phase = "PoCGenerate" })
    net:await(r, "the window", function(seen) return seen.phase == "PoCGenerate" end)
    local answer = r:chat()
    assert.equal("plain", answer.headers["x-perilune-provider"])
  end))

  it("goes by the chain's snapshot, model by model, where the list says nothing", router.test(function(start)
    local net = network.start { models = { "m", "n" } }
    net:steer("chain", { slots = false })
    net:host("h1", { preserved = { "m" } })
    net:host("h2", { preserved = { "n" } })
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    for _, window in ipairs { { "phase", { phase = "PoCGenerate" } }, { "confirmation", { phase = 2 } } } do
      net:steer(window[1], window[2])
      net:await(r, "the snapshot", function(seen)
        return seen.hosts.h3.reduced and not seen.hosts.h1.reduced and not seen.hosts.h2.reduced
      end)
      for _ = 1, 8 do
        assert.equal("h1", net:answerer(r:chat()))
        assert.equal("h2", net:answerer(r:chat { model = "n" }))
      end
      for _, name in ipairs { "h1", "h2", "h3" } do assert.equal(0, net:answered(name, 503)) end
      net:steer("phase", { phase = "Inference" })
      net:await(r, "inference", function(seen) return seen.phase == "Inference" and seen.epoch == 2 end)
    end
  end, 60))

  it("learns who goes on serving in the midst of a window", router.test(function(start)
    local net = network.start {}
    net:steer("chain", { slots = false, snapshot = false })
    net:host("h2", { preserved = true })
    net:steer("phase", { phase = "PoCGenerate" })
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:await(r, "the window", function(seen) return seen.hosts.h2.reduced end)
    net:steer("chain", { snapshot = true })
    net:await(r, "the snapshot", function(seen) return not seen.hosts.h2.reduced end)
    for _ = 1, 8 do assert.equal("h2", net:answerer(r:chat())) end
    assert.equal(0, net:answered("h1", 503) + net:answered("h3", 503))
  end))

  it("holds what fails in a window against hosts that should serve, not against the others", router.test(function(start)
    local net = network.start { hosts = 2 }
    net:steer("chain", { slots = false })
    net:host("h1", { preserved = true })
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:steer("phase", { phase = "PoCGenerate" })
    net:await(r, "the snapshot", function(seen) return seen.hosts.h2.reduced and not seen.hosts.h1.reduced end)
    net:host("h1", { default = "status=500" })
    for _ = 1, 3 do r:chat() end
    local seen = net:seen_by(r).hosts
    assert.is_false(seen.h1.healthy)
    assert.is_true(seen.h2.healthy)
  end))

  it("leaves the tier for the next while its hosts compute proofs, and comes back to them at last", router.test(
    function(start)
      local net = network.start { hosts = 2 }
      local provider = require "spec.support.provider"
      local plain = provider.start()
      local r = behind(start, { net:provider { tier = 1 }, router.provider("plain", plain, { tier = 2 }) })
      net:await(r, "the hosts", some)
      assert.truthy(net:answerer(r:chat()))
      net:steer("phase", { phase = "PoCValidate" })
      net:await(r, "the window", function(seen) return seen.phase == "PoCValidate" end)
      for _ = 1, 5 do assert.equal("plain", r:chat().headers["x-perilune-provider"]) end
      plain:answer(provider.status(500, "gone"))
      assert.truthy(net:answerer(r:chat())) -- machines that validate may serve
      net:host("h2", { preserved = true })
      net:steer("phase", { phase = "PoCValidateWindDown" })
      net:await(r, "the snapshot", function(seen) return seen.hosts.h1.reduced and not seen.hosts.h2.reduced end)
      assert.equal("h2", net:answerer(r:chat()))
    end))

  it("tells policies who came, went and changed", router.test(function(start)
    local net = network.start {}
    local r = start({ providers = { net:provider() }, policies = { "network.lua", "told.lua" } }, {
      ["network.lua"] = network.policy,
      ["told.lua"] = [[
        local peri = require "perilune"
        return { epoch = function(change)
          peri.log.info("told", { network = change.network, old = change.old, new = change.new,
            added = table.concat(change.added, " "), removed = table.concat(change.removed, " "),
            changed = table.concat(change.changed, " ") })
        end }
      ]],
    })
    net:await(r, "the hosts", some)
    net:epoch({ "h1", "h2" }, { h2 = 7 })
    net:await_epoch(r, 2)
    net:epoch { "h1", "h3" }
    net:await_epoch(r, 3)
    local function told(new)
      for _, line in ipairs(r:log "told") do
        if math.tointeger(line.new) == new then return line end
      end
    end
    local line = loop.await("the word of it", function() return told(3) end)
    assert.equal("gonka", line.network)
    assert.equal(2, math.tointeger(line.old))
    assert.equal(net.addresses.h3, line.added)
    assert.equal(net.addresses.h2, line.removed)
    assert.equal("", line.changed)
    assert.equal(net.addresses.h2, told(2).changed)
    assert.equal(net.addresses.h3, told(2).removed)
  end))
end)

describe("a machine whose clock is minutes off", function()
  teardown(process.stop_all)

  it("signs with the network's time, and says so once", router.test(function(start)
    for _, offset in ipairs { 600, -600 } do
      local net = network.start {}
      net:steer("chain", { clock_offset = offset })
      local r = behind(start, { net:provider { refresh_interval = "1s" } })
      net:await(r, "the hosts", some)
      for _ = 1, 5 do assert.equal(200, r:chat().status) end
      local reads = net:look().reads
      loop.await("more looks", function() return net:look().reads > reads + 1 end)
      assert.equal(200, r:chat().status)
      for name in pairs(net.ports) do assert.equal(0, net:answered(name, 400)) end
      local said = 0
      for _, line in ipairs(r:log()) do
        if line.msg:find("this machine's clock is", 1, true) then
          said = said + 1
          assert.matches(offset > 0 and "is 60%d s behind" or "is [56]%d%d s ahead of", line.msg)
        end
      end
      assert.equal(1, said)
      net:steer("chain", { clock_offset = 0 })
      await_log(r, "agrees with the network's again")
      assert.equal(200, r:chat().status)
    end
  end, 60))

  it("believes the chain rather than one node's clock", router.test(function(start)
    local net = network.start {}
    net:steer("node", { date = "Sat, 01 Jan 2022 00:00:00 GMT" })
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    await_log(r, "nothing is corrected")
    for _ = 1, 5 do assert.equal(200, r:chat().status) end
  end))

  it("is told what a host's refusal means", router.test(function(start)
    local net = network.start { hosts = 1 }
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:rest()
    net:steer("chain", { clock_offset = 600 })
    assert(r:chat().status >= 500)
    local line = r:log("gonka node refused")[1]
    assert.equal("gonka_stamp_too_old", line.code)
    assert.equal("resync_clock", line.action)
    assert.matches("clock is behind", line.remedy)
    await_log(r, "this machine's clock is 60")
    net:rest()
    net:steer("chain", { clock_offset = 0 })
    assert(r:chat().status >= 500)
    assert.equal("gonka_stamp_in_future", r:log("gonka node refused")[2].code)
  end))
end)

describe("a host that lacks a model it is listed with", function()
  teardown(process.stop_all)

  it("is not asked for it again, and for its others as before", router.test(function(start)
    local net = network.start { hosts = 2, models = { "m", "n" } }
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:rest()
    net:steer("node", { status = 500 }) -- nobody says that anything has changed
    net:host("h2", { queue = { { status = 404, message = "model not found" } } })
    for _ = 1, 20 do assert.equal("h1", net:answerer(r:chat())) end
    assert.equal(1, net:answered("h2", 404))
    local by_h2 = 0
    for _ = 1, 20 do
      if net:answerer(r:chat { model = "n" }) == "h2" then by_h2 = by_h2 + 1 end
    end
    assert(by_h2 > 0)
    net:host("h1", { down = true })
    assert.equal("h2", net:answerer(r:chat())) -- nobody else is left: it is asked in spite of its word
  end))

  it("has the network looked at, once for a storm of answers", router.test(function(start)
    local net = network.start { hosts = 5 }
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    local function asked() return net:look().reads end
    net:rest()
    local before = asked()
    for i = 1, 5 do net:host("h" .. i, { models = { "other" } }) end
    assert.equal(404, r:chat().status) -- the hosts are asked in turn, each refuses
    local refused = 0
    for i = 1, 5 do refused = refused + net:answered("h" .. i, 404) end
    assert(refused >= 3)
    loop.await("the new list", function() return r:chat({ model = "other" }).status == 200 end)
    loop.delay(0.3)
    assert.equal(before + 4, asked())
  end))

  it("has the network looked at when the clock is what it refuses", router.test(function(start)
    local net = network.start { hosts = 2 }
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:rest()
    net:steer("chain", { clock_offset = 600 })
    assert(r:chat().status >= 500)
    await_log(r, "this machine's clock is 60")
    assert.equal(200, r:chat().status)
  end))

  it("asks for nothing where the network is not to be followed", router.test(function(start)
    local net = network.start { hosts = 2 }
    local r = behind(start, { net:provider { refresh = false } })
    await_log(r, "gonka hosts")
    local reads = net:look().reads
    for i = 1, 2 do net:host("h" .. i, { models = { "other" } }) end
    assert.equal(404, r:chat().status)
    loop.delay(0.3)
    assert.equal(reads, net:look().reads)
  end))
end)

describe("a node that has another called in its place", function()
  teardown(process.stop_all)

  -- h1 is the source, and h2 serves without being in the epoch.
  local function begin(start, options)
    local net = network.start {}
    net:epoch { "h1", "h3" }
    options.source = ("http://127.0.0.1:%d"):format(net.ports.h1)
    local function place(name) return ("http://127.0.0.1:%d/v1"):format(net.ports[name]) end
    return net, place, function() return behind(start, { net:provider(options) }) end
  end

  it("is not called itself; requests are signed for the other", router.test(function(start)
    local net, place, router_of = begin(start, {})
    net:host("h1", { delegates = { [place "h2"] = net.addresses.h2 } })
    local r = router_of()
    local seen = net:await(r, "the hosts", some)
    assert.truthy(seen.hosts.h2 and seen.hosts.h3)
    assert.equal(2, seen.count)
    net:host("h3", { default = "status=500" })
    for _ = 1, 3 do assert.equal("h2", net:answerer(r:chat())) end
    net:host("h1", { delegates = {} })
    net:await(r, "its own name again", function(now) return now.hosts.h1 and not now.hosts.h2 end)
  end))

  it("is called itself when what it says will not do", router.test(function(start)
    local net, place, router_of = begin(start, {})
    net:host("h1", { delegates = {
      [place("h2"):gsub("//", "//user@")] = net.addresses.h2, [place "h2"] = "gonka1nobody",
      ["ftp://127.0.0.1"] = net.addresses.h2, ["http://[::1"] = net.addresses.h2, [place "h3"] = net.addresses.h3,
    } })
    local seen = net:await(router_of(), "the hosts", some)
    assert.truthy(seen.hosts.h1 and seen.hosts.h3)
    assert.equal(2, seen.count)
  end))
end)

describe("requests before the first discovery", function()
  teardown(process.stop_all)

  it("wait for the hosts, the policies' hooks not yet run", router.test(function(start)
    local net = network.start {}
    net:steer("node", { delay_ms = 600 })
    local r = start({ providers = { net:provider() }, policies = { "seen.lua" }, workers = 2 }, { ["seen.lua"] = [[
      local peri = require "perilune"
      return { request = function(req)
        peri.log.info("hosts", { count = #req:providers(), model = req.model })
      end }
    ]] })
    loop.together(6, function(i)
      if i % 2 == 0 then
        assert.equal(200, r:chat().status)
      else
        local answer = r:stream()
        assert.equal(200, answer.status)
        assert.is_true(answer.stream.done)
      end
    end)
    for _, line in ipairs(r:log "hosts") do assert.equal(3, math.tointeger(line.count)) end
    assert.equal(6, #r:log "hosts")
  end))

  it("wait for a source that comes back", router.test(function(start)
    local net = network.start {}
    net:steer("node", { status = 500 })
    local r = behind(start, { net:provider { refresh_interval = "1s" } })
    local answer
    loop.together(2, function(i)
      if i == 1 then
        answer = r:chat()
      else
        await_log(r, "refresh failed")
        net:steer("node", {})
      end
    end)
    assert.equal(200, answer.status)
  end))

  it("are told so when it takes too long, and at once after that", router.test(function(start)
    local net = network.start {}
    net:steer("node", { status = 500 })
    local r = behind(start, { net:provider() }, { queue = { discovery = "700ms" } })
    for _ = 1, 2 do
      local answer = r:chat()
      assert.equal(503, answer.status)
      assert.equal("discovery_under_way", answer.json.error.code)
      assert.matches("'m'", answer.json.error.message)
      assert.equal("2", answer.headers["retry-after"])
    end
  end))

  it("wait no longer than they may, and no more than may wait", router.test(function(start)
    local net = network.start {}
    net:steer("node", { delay_ms = 20000 })
    local r = behind(start, { net:provider() }, {
      queue = { discovery = "60s", max = 1 }, timeouts = { total = "700ms" },
    })
    local statuses = {}
    loop.together(2, function(i) statuses[i] = r:chat().status end)
    table.sort(statuses)
    assert.same({ 503, 504 }, statuses)
    local gone = r:open_chat()
    loop.delay(0.1)
    gone:close()
    loop.await("its place", function() return r:chat().status == 504 end)
  end))

  it("keep nobody waiting for a model that others have", router.test(function(start)
    local net = network.start {}
    local provider = require "spec.support.provider"
    net:steer("node", { delay_ms = 20000 })
    local plain = router.provider("plain", provider.start(), { models = { "other" } })
    local r = behind(start, { net:provider(), plain }, { queue = { discovery = "60s" } })
    assert.equal("plain", r:chat({ model = "other" }).headers["x-perilune-provider"])
  end))
end)

describe("several Gonka networks", function()
  teardown(process.stop_all)

  it("stand beside each other under their prefixes", router.test(function(start)
    local one, two = network.start { hosts = 1 }, network.start { hosts = 1, models = { "other" } }
    local r = behind(start, {
      one:provider { id = "one", prefix = "one/" }, two:provider { id = "two", prefix = "two/" },
    })
    loop.await("both", function() return one:seen_by(r).count == 2 end)
    assert.matches("^one/gonka1", r:chat().headers["x-perilune-provider"])
    assert.matches("^two/gonka1", r:chat({ model = "other" }).headers["x-perilune-provider"])
  end))

  it("can be a few fixed endpoints, with or beside discovery", router.test(function(start)
    local net = network.start { hosts = 3 }
    local function endpoint(name) return ("http://127.0.0.1:%d/v1;%s"):format(net.ports[name], net.addresses[name]) end
    local fixed = net:provider { source = false, private_hosts = false, endpoints = { endpoint "h1", endpoint "h2" } }
    local r = behind(start, { fixed })
    assert.equal(200, r:chat().status)
    assert.equal(2, net:seen_by(r).count)
    net:epoch { "h2" }
    local mixed = behind(start, { net:provider { endpoints = { endpoint "h1" } } })
    net:await(mixed, "both", function(seen) return seen.count == 2 and seen.hosts.h1 and seen.hosts.h2 end)
  end))
end)

describe("requests under way", function()
  teardown(process.stop_all)

  it("never notice fifty changes of the epoch: 500 streams, none fails", router.test(function(start)
    local net = network.start { hosts = 5 }
    for name in pairs(net.ports) do net:host(name, { default = "tokens=8;token_ms=250" }) end
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    local STREAMS, EPOCHS = 500, 50
    local started, ended, most = 0, 0, 0
    local failures = {}
    local function stream()
      started = started + 1
      most = math.max(most, started - ended)
      local answer, why = r:stream()
      ended = ended + 1
      local is_good = answer and answer.status == 200 and answer.stream.done and answer.is_whole
        and answer.stream.text == "the moon pulls tides across quiet water while"
      if not is_good then failures[#failures + 1] = answer and answer.body or why end
    end
    for _ = 1, STREAMS do loop.spawn(stream) end
    loop.await("the streams to be under way", function() return started == STREAMS end)
    local sets = { { "h1", "h2" }, { "h3", "h4" }, { "h5", "h1" }, { "h2", "h3" }, { "h4", "h5" } }
    for i = 1, EPOCHS do
      net:epoch(sets[i % #sets + 1])
      net:await_epoch(r, i + 1)
      -- some end while others begin: an epoch must find both
      if ended > 0 then loop.spawn(stream) end
    end
    loop.await("the streams to end", function() return ended == started end, 60)
    assert.same({}, failures)
    assert(most >= STREAMS * 0.9, most .. " at once")
    loop.await("every slot to be free", function()
      local open = 0
      for _, one in ipairs(net:look().hosts) do open = open + one.open end
      return open == 0
    end)
    print(("500 concurrent streams over %d epochs: %d streams, %d at once, %d failed"):format(EPOCHS, started, most,
      #failures))
  end, 120))
end)

describe("a private key", function()
  teardown(process.stop_all)

  local CANARY = "c0ffee00c0ffee11c0ffee22c0ffee33c0ffee44c0ffee55c0ffee66c0ffee77"
  local function bytes_of(hex) return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)) end

  -- The key in every spelling a leak would have.
  local function spellings()
    local peri = require "perilune"
    local bytes = bytes_of(CANARY)
    local list = {
      lower = CANARY, upper = CANARY:upper(), bytes = bytes, reversed = bytes:reverse(),
      base64 = peri.encode.base64(bytes):gsub("=+$", ""), base64url = nil,
      spaced = CANARY:gsub("%x%x", "%0 "):sub(1, -2),
    }
    list.base64url = list.base64:gsub("+", "-"):gsub("/", "_")
    return list
  end

  local function check(where, text)
    for name, spelling in pairs(spellings()) do
      assert(not text:find(spelling, 1, true), where .. " shows the key as " .. name)
    end
  end

  it("is found nowhere: logs, errors, environment, core", router.test(function(start)
    check("this sentence", "nothing to be seen here")
    assert.has_error(function() check("a leak", "x" .. CANARY) end)
    local net = network.start { wallets = 0 }
    local file = assert(io.open(net.directory .. "/canary.key", "wb"))
    file:write(CANARY .. "\n")
    file:close()
    os.execute("chmod 600 " .. net.directory .. "/canary.key")
    local peri = require "perilune"
    local wallet = assert(peri.gonka.wallet("file:" .. net.directory .. "/canary.key"))
    net:steer("account", { public_key = peri.encode.hex(wallet.public_key) })
    net.accounts = { wallet.address }
    for _, case in ipairs {
      { router.expression(("secret %q"):format("file:" .. net.directory .. "/canary.key")) },
      { router.expression 'secret "env:CANARY"', { CANARY = CANARY } }, { CANARY },
    } do
      local r = start({ providers = { net:provider { private_key = case[1] } }, policies = { "network.lua" },
        log = { level = "trace" } }, POLICY, case[2])
      net:await(r, "the hosts", some)
      assert.equal(200, r:chat().status)
      net:steer("chain", { closed = true })
      check("an error", r:chat().body)
      net:steer("chain", { closed = false })
      local models = r:ask("GET", "/v1/models")
      check("the list of models", models.body)
      check("the log", r.process:stderr() .. r.process:stdout())
      check("the environment", assert(process.read("/proc/" .. r.process.pid .. "/environ")))
      check("the command line", assert(process.read("/proc/" .. r.process.pid .. "/cmdline")))
      -- A sanitizer's shadow memory makes a core of terabytes.
      local has_core = not router.is_sanitized() and os.execute("command -v gcore >/dev/null")
        and os.execute(("gcore -o %s/core %d >/dev/null 2>&1"):format(r.directory, r.process.pid))
      if has_core then
        local core = assert(process.read(("%s/core.%d"):format(r.directory, r.process.pid)))
        assert.truthy(core:find(wallet.address, 1, true)) -- the search would find what is there
        check("a core", core)
        for _, text in ipairs { CANARY, bytes_of(CANARY) } do
          for at = 1, #text, 16 do -- what vector registers hold and leave behind
            assert(not core:find(text:sub(at, at + 15), 1, true), "a core shows a part of the key")
          end
        end
      else
        print "skipped: no gcore here, or a sanitizer: the core is not looked at"
      end
    end
    for name in pairs(net.ports) do check("a host's ledger", cjson.encode(net:ledger(name))) end
  end, 120))
end)

describe("a policy", function()
  teardown(process.stop_all)

  it("signs by the name of a network, and never sees a key", router.test(function(start)
    local net = network.start { wallets = 2 }
    local r = start({ providers = { net:provider() }, policies = { "network.lua", "signs.lua" } }, {
      ["network.lua"] = network.policy,
      ["signs.lua"] = [[
        local peri = require "perilune"
        return { request = function(req)
          local wanted = req:header "x-sign"
          if not wanted then return end
          local first, second = peri.address "gonka", peri.address("gonka", 2)
          local none, _, code = peri.address("gonka", 3)
          local headers, _, unknown = peri.sign("gonka", wanted, peri.providers()[1].address)
          local nobody, _, nowhere = peri.sign("other", wanted, first)
          local ok, why = pcall(peri.sign, "gonka", wanted, "gonka1x")
          req:reply(200, {
            first = first, second = second, code = code, headers = headers, unknown = unknown, nowhere = nowhere,
            node = peri.providers()[1].address, refused = not ok and why, none = none == nil and nobody == nil,
          })
        end }
      ]],
    })
    net:await(r, "the hosts", some)
    local peri = require "perilune"
    local told = r:chat({}, { ["x-sign"] = "the body" }).json
    assert.equal(net.accounts[1], told.first)
    assert.equal(net.accounts[2], told.second)
    assert.equal("ENOTFOUND", told.code)
    assert.equal("ENOTFOUND", told.nowhere)
    assert.is_true(told.none)
    assert.matches("address of a host", told.refused)
    local payer = told.headers["X-Requester-Address"]
    local index = payer == net.accounts[1] and 1 or 2
    assert.is_true(peri.gonka.check {
      authorization = told.headers.Authorization, body = "the body", timestamp = told.headers["X-Timestamp"],
      node = told.node, public_key = peri.gonka.wallet("file:" .. net.wallets[index]).public_key,
    })
  end))
end)
