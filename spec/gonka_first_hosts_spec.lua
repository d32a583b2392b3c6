--- Requests that come before the first hosts of a Gonka network are known. In virtual time.
local virtual = require "spec.support.virtual"


local behind = virtual.behind

local await_log = virtual.await_log

describe("requests before the first discovery", function()
  it("wait for the hosts, the policies' hooks not yet run", virtual.test(function(start)
    local net = virtual.network {}
    net:steer("node", { delay_ms = 600 })
    local r = start({ providers = { net:provider() }, policies = { "seen.lua" } }, { ["seen.lua"] = [[
      local peri = require "perilune"
      return { request = function(req)
        peri.log.info("hosts", { count = #req:providers(), model = req.model })
      end }
    ]] })
    local waiting = {}
    for i = 1, 6 do waiting[i] = i % 2 == 0 and r:begin() or r:begin_stream() end
    virtual.advance(500)
    assert.equal(0, #r:log "hosts")
    for i, one in ipairs(waiting) do
      local answer = one:answer()
      assert.equal(200, answer.status)
      if i % 2 == 1 then assert.is_true(answer.stream.done) end
    end
    for _, line in ipairs(r:log "hosts") do assert.equal(3, math.tointeger(line.count)) end
    assert.equal(6, #r:log "hosts")
  end))

  it("wait for a source that comes back", virtual.test(function(start)
    local net = virtual.network {}
    net:steer("node", { status = 500 })
    local r = behind(start, { net:provider { refresh_interval = "1s" } })
    local waiting = r:begin()
    await_log(r, "refresh failed")
    assert.is_false(waiting:is_over())
    net:steer("node", {})
    assert.equal(200, waiting:answer().status)
  end))

  it("are told so when it takes too long, and at once after that", virtual.test(function(start)
    local net = virtual.network {}
    net:steer("node", { status = 500 })
    local r = behind(start, { net:provider() }, { queue = { discovery = "700ms" } })
    for i = 1, 2 do
      local answer = r:chat()
      assert.equal(i == 1 and 700 or 0, answer.elapsed_ms)
      assert.equal(503, answer.status)
      assert.equal("discovery_under_way", answer.json.error.code)
      assert.matches("'m'", answer.json.error.message)
      assert.equal("2", answer.headers["retry-after"])
    end
  end))

  it("wait no longer than they may, and no more than may wait", virtual.test(function(start)
    local net = virtual.network {}
    net:steer("node", { delay_ms = 20000 })
    local r = behind(start, { net:provider() }, {
      queue = { discovery = "60s", max = 1 }, timeouts = { total = "700ms" },
    })
    local first, second = r:begin(), r:begin()
    first, second = first:answer(), second:answer()
    assert.same({ 504, 700 }, { first.status, first.elapsed_ms })
    assert.same({ 503, 0 }, { second.status, second.elapsed_ms })
    local gone = r:begin()
    virtual.advance(100)
    gone:close()
    assert.equal(504, r:chat().status) -- its place is free
  end))

  it("keep nobody waiting for a model that others have", virtual.test(function(start)
    local net = virtual.network {}
    net:steer("node", { delay_ms = 20000 })
    local plain = virtual.plain("plain", { models = { "other" } })
    local r = behind(start, { net:provider(), plain.entry }, { queue = { discovery = "60s" } })
    local answer = r:chat { model = "other" }
    assert.same({ "plain", 0 }, { answer.headers["x-perilune-provider"], answer.elapsed_ms })
  end))
end)
