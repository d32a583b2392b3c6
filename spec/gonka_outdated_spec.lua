--- What the router knows of a Gonka network does not hold any more: its clock, or the models of its hosts. In virtual
-- time.
local virtual = require "spec.support.virtual"


local behind = virtual.behind

local function some(seen) return seen.count > 0 end

local await_log = virtual.await_log

describe("a machine whose clock is minutes off", function()
  it("signs with the network's time, and says so once", virtual.test(function(start)
    for _, offset in ipairs { 600, -600 } do
      local net = virtual.network {}
      net:steer("chain", { clock_offset = offset })
      local r = behind(start, { net:provider { refresh_interval = "1s" } })
      net:await(r, "the hosts", some)
      for _ = 1, 5 do assert.equal(200, r:chat().status) end
      local reads = net:look().reads
      virtual.await("more looks", function() return net:look().reads > reads + 1 end)
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
  end))

  it("believes the chain rather than one node's clock", virtual.test(function(start)
    local net = virtual.network {}
    net:steer("node", { date = "Sat, 01 Jan 2022 00:00:00 GMT" })
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    await_log(r, "nothing is corrected")
    for _ = 1, 5 do assert.equal(200, r:chat().status) end
  end))

  it("is told what a host's refusal means", virtual.test(function(start)
    local net = virtual.network { hosts = 1 }
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
  it("is not asked for it again, and for its others as before", virtual.test(function(start)
    local net = virtual.network { hosts = 2, models = { "m", "n" } }
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

  it("has the network looked at, once for a storm of answers", virtual.test(function(start)
    local net = virtual.network { hosts = 5 }
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
    virtual.await("the new list", function() return r:chat({ model = "other" }).status == 200 end)
    virtual.delay(0.3)
    assert.equal(before + 4, asked())
  end))

  it("has the network looked at when the clock is what it refuses", virtual.test(function(start)
    local net = virtual.network { hosts = 2 }
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    net:rest()
    net:steer("chain", { clock_offset = 600 })
    assert(r:chat().status >= 500)
    await_log(r, "this machine's clock is 60")
    assert.equal(200, r:chat().status)
  end))

  it("asks for nothing where the network is not to be followed", virtual.test(function(start)
    local net = virtual.network { hosts = 2 }
    local r = behind(start, { net:provider { refresh = false } })
    await_log(r, "gonka hosts")
    local reads = net:look().reads
    for i = 1, 2 do net:host("h" .. i, { models = { "other" } }) end
    assert.equal(404, r:chat().status)
    virtual.delay(0.3)
    assert.equal(reads, net:look().reads)
  end))
end)
