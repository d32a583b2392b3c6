--- How the router follows a Gonka network: sources that fail, restarts, orders, nodes that have others called, what
-- policies get of it. In virtual time.
local virtual = require "spec.support.virtual"


local behind = virtual.behind

local function some(seen) return seen.count > 0 end

local await_log = virtual.await_log

describe("the refresh of a Gonka network", function()
  it("keeps the last good hosts while no source answers", virtual.test(function(start)
    local net = virtual.network {}
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:steer("node", { status = 500 })
    net:epoch { "h1" }
    local line = virtual.await("the failure", function()
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

  it("asks the next source when one is dead", virtual.test(function(start)
    local net = virtual.network {}
    local r = behind(start, { net:provider { source = false, sources = { "http://127.0.0.1:1", net.url } } })
    net:await(r, "the hosts", some)
    assert.equal(200, r:chat().status)
  end))

  it("reads a source's URL with and without its version", virtual.test(function(start)
    local net = virtual.network {}
    for _, tail in ipairs { "/", "/v1", "/v1/" } do
      local r = behind(start, { net:provider { source = net.url .. tail } })
      net:await(r, "the hosts", some)
    end
  end))

  it("starts with the hosts it last knew, and forgets nothing when the network is gone", virtual.test(function(start)
    local net = virtual.network {}
    local directory = virtual.directory()
    local r = behind(start, { net:provider() }, { state_dir = directory })
    net:await(r, "the hosts", some)
    r:stop()
    assert.matches("active_participants", (virtual.read(directory .. "/gonka-gonka.json")))
    net:steer("node", { status = 503 })
    r = behind(start, { net:provider() }, { state_dir = directory })
    assert.equal(200, r:chat().status)
    assert.equal(3, net:seen_by(r).count)
  end))

  it("reads a file in development, and reads it again", virtual.test(function(start)
    local net = virtual.network {}
    local function write(path)
      local file = assert(io.open(path .. ".new", "wb"))
      file:write(net:read "/v1/epochs/current/participants")
      file:close()
      assert(os.rename(path .. ".new", path))
    end
    local path = virtual.directory() .. "/participants.json"
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

  it("is left out when it is switched off", virtual.test(function(start)
    local net = virtual.network {}
    local r = behind(start, { net:provider { refresh = false, refresh_interval = "1s" } })
    await_log(r, "gonka hosts")
    local reads = net:look().reads
    assert.equal(200, r:chat().status)
    virtual.delay(1.5) -- longer than the interval that is not kept
    assert.equal(reads, net:look().reads)
  end))

  it("comes by itself, in its interval", virtual.test(function(start)
    local net = virtual.network {}
    local r = behind(start, { net:provider { refresh_interval = "1s" } })
    virtual.await("the hosts", function() return r:chat().status == 200 end)
    net:epoch { "h1", "h2" }
    virtual.await("the second epoch", function() return net:seen_by(r).epoch == 2 end)
  end))

  it("comes once more when it is ordered while one is under way", virtual.test(function(start)
    local net = virtual.network {}
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    local function asked() return net:look().reads end
    net:rest()
    net:steer("node", { delay_ms = 700 })
    local before = asked()
    net:seen_by(r, "refresh")
    virtual.await("its last step", function() return asked() == before + 4 end, 100)
    net:epoch { "h1", "h2" }
    for _ = 1, 3 do net:seen_by(r, "refresh") end
    net:steer("node", {})
    virtual.await("the second epoch", function() return net:seen_by(r).epoch == 2 end)
    virtual.delay(0.3)
    assert.equal(before + 8, asked()) -- three orders, one more refresh
  end))

  it("takes changes inside an epoch, too", virtual.test(function(start)
    local net = virtual.network {}
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:host("h1", { weight = 5000 })
    net:await(r, "the new weight", function(seen) return seen.hosts.h1.weight == 5000 end)
    net:host("h1", { url = "http://127.0.0.1:1" })
    virtual.await("the new place", function()
      net:seen_by(r, "refresh")
      return net:answerer(r:chat()) ~= "h1"
    end)
  end))

  it("tells policies who came, went and changed", virtual.test(function(start)
    local net = virtual.network {}
    local r = start({ providers = { net:provider() }, policies = { "network.lua", "told.lua" } }, {
      ["network.lua"] = virtual.policy,
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
    local line = virtual.await("the word of it", function() return told(3) end)
    assert.equal("gonka", line.network)
    assert.equal(2, math.tointeger(line.old))
    assert.equal(net.addresses.h3, line.added)
    assert.equal(net.addresses.h2, line.removed)
    assert.equal("", line.changed)
    assert.equal(net.addresses.h2, told(2).changed)
    assert.equal(net.addresses.h3, told(2).removed)
  end))
end)

describe("a node that has another called in its place", function()
  -- h1 is the source, and h2 serves without being in the epoch.
  local function begin(start, options)
    local net = virtual.network {}
    net:epoch { "h1", "h3" }
    options.source = net:at "h1"
    local function place(name) return net:at(name, "/v1") end
    return net, place, function() return behind(start, { net:provider(options) }) end
  end

  it("is not called itself; requests are signed for the other", virtual.test(function(start)
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

  it("is called itself when what it says will not do", virtual.test(function(start)
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

describe("several Gonka networks", function()
  it("stand beside each other under their prefixes", virtual.test(function(start)
    local one, two = virtual.network { hosts = 1 }, virtual.network { hosts = 1, models = { "other" } }
    local r = behind(start, {
      one:provider { id = "one", prefix = "one/" }, two:provider { id = "two", prefix = "two/" },
    })
    virtual.await("both", function() return one:seen_by(r).count == 2 end)
    assert.matches("^one/gonka1", r:chat().headers["x-perilune-provider"])
    assert.matches("^two/gonka1", r:chat({ model = "other" }).headers["x-perilune-provider"])
  end))

  it("can be a few fixed endpoints, with or beside discovery", virtual.test(function(start)
    local net = virtual.network { hosts = 3 }
    local function endpoint(name) return net:at(name, "/v1;") .. net.addresses[name] end
    local fixed = net:provider { source = false, private_hosts = false, endpoints = { endpoint "h1", endpoint "h2" } }
    local r = behind(start, { fixed })
    assert.equal(200, r:chat().status)
    assert.equal(2, net:seen_by(r).count)
    net:epoch { "h2" }
    local mixed = behind(start, { net:provider { endpoints = { endpoint "h1" } } })
    net:await(mixed, "both", function(seen) return seen.count == 2 and seen.hosts.h1 and seen.hosts.h2 end)
  end))
end)
