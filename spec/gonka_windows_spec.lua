--- While the machines of a Gonka network compute proofs: who is asked then, and what is held against whom. In virtual
-- time.
local testing = require "perilune.testing"
local virtual = require "spec.support.virtual"


local behind = virtual.behind

local function some(seen) return seen.count > 0 end

describe("while machines compute proofs, a router", function()
  it("prefers machines that go on serving while proofs are computed", virtual.test(function(start)
    local net = virtual.network {}
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
    virtual.await("the confirmation", function()
      net:seen_by(r, "refresh")
      for _ = 1, 5 do
        if net:answerer(r:chat()) ~= "h1" then return false end
      end
      return true
    end, 40)
  end))

  it("prefers another provider to hosts that compute proofs", virtual.test(function(start)
    local net = virtual.network {}
    local plain = virtual.plain("plain", { weight = 1 })
    local r = behind(start, { net:provider(), plain.entry })
    net:await(r, "the hosts", some)
    assert.truthy(net:answerer(r:chat()))
    net:steer("phase", { phase = "PoCGenerate" })
    net:await(r, "the window", function(seen) return seen.phase == "PoCGenerate" end)
    local answer = r:chat()
    assert.equal("plain", answer.headers["x-perilune-provider"])
  end))

  it("goes by the chain's snapshot, model by model, where the list says nothing", virtual.test(function(start)
    local net = virtual.network { models = { "m", "n" } }
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
  end))

  it("learns who goes on serving in the midst of a window", virtual.test(function(start)
    local net = virtual.network {}
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

  it("holds what fails in a window against hosts that should serve, not the others", virtual.test(function(start)
    local net = virtual.network { hosts = 2 }
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

  it("leaves the tier for the next while its hosts compute proofs, and comes back to them at last", virtual.test(
    function(start)
      local net = virtual.network { hosts = 2 }
      local plain = virtual.plain("plain", { tier = 2 })
      local r = behind(start, { net:provider { tier = 1 }, plain.entry })
      net:await(r, "the hosts", some)
      assert.truthy(net:answerer(r:chat()))
      net:steer("phase", { phase = "PoCValidate" })
      net:await(r, "the window", function(seen) return seen.phase == "PoCValidate" end)
      for _ = 1, 5 do assert.equal("plain", r:chat().headers["x-perilune-provider"]) end
      plain.answer = testing.status(500)
      assert.truthy(net:answerer(r:chat())) -- machines that validate may serve
      net:host("h2", { preserved = true })
      net:steer("phase", { phase = "PoCValidateWindDown" })
      net:await(r, "the snapshot", function(seen) return seen.hosts.h1.reduced and not seen.hosts.h2.reduced end)
      assert.equal("h2", net:answerer(r:chat()))
    end))
end)
