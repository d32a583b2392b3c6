-- What `require "perilune"` gives to a script that is no policy: tasks, time, shared memory, logs.
local peri = require "perilune"

describe("peri.run", function()
  it("passes arguments in and results out", function()
    assert.same({ 3, "x" }, { peri.run(function(a, b) return a + b, "x" end, 1, 2) })
  end)

  it("lets its function wait", function()
    local before = peri.clock.now_ns()
    peri.run(function() peri.sleep(5) end)
    assert.is_true(peri.clock.now_ns() - before >= 4e6)
  end)

  it("raises what its function raises, as it is", function()
    local value = {}
    local ok, raised = pcall(peri.run, function() peri.sleep(0) error(value) end)
    assert.is_false(ok)
    assert.equal(value, raised)
  end)

  it("does not run inside itself", function()
    assert.has_error(function() peri.run(function() peri.run(function() end) end) end, "peri.run is running already")
  end)

  it("refuses to wait outside of a task", function()
    assert.has_error(function() peri.sleep(1) end,
      "nothing can wait here: only `request`, `route` and what peri.run runs may")
  end)

  it("fails when a task yields where nothing resumes it", function()
    assert.has_error(function() peri.run(coroutine.yield) end, "yielded where nothing resumes it")
    assert.equal(1, peri.run(function() return 1 end))
  end)

  it("runs the closers of what it cancels", function()
    local closed
    peri.run(function()
      peri.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() closed = true end })
        peri.sleep(60000)
      end)
      peri.sleep(1)
    end)
    assert.is_true(closed)
  end)
end)

describe("peri.spawn", function()
  it("runs tasks side by side", function()
    local order = {}
    peri.run(function()
      local slow = peri.spawn(function(n) peri.sleep(6) order[#order + 1] = "slow" return n end, 1)
      local fast = peri.spawn(function(n) peri.sleep(1) order[#order + 1] = "fast" return n, "two" end, 2)
      assert.same({ 1 }, { slow:wait() })
      assert.same({ 2, "two" }, { fast:wait() })
    end)
    assert.same({ "fast", "slow" }, order)
  end)

  it("gives the error of a task to whoever waits for it", function()
    peri.run(function()
      local task = peri.spawn(function() error({ code = 7 }) end)
      local ok, raised = pcall(task.wait, task)
      assert.is_false(ok)
      assert.equal(7, raised.code)
    end)
  end)

  it("fails the run when nobody waited for a task that failed", function()
    assert.has_error(function()
      peri.run(function() peri.spawn(function() error("alone", 0) end) peri.sleep(1) end)
    end, "alone")
  end)

  it("cancels a task, which then raises for whoever waits", function()
    local went_on = false
    peri.run(function()
      local task = peri.spawn(function() peri.sleep(60000) went_on = true end)
      local never_begun = peri.spawn(function() went_on = true end)
      never_begun:cancel()
      local waiter = peri.spawn(function() return pcall(task.wait, task) end)
      peri.sleep(1)
      task:cancel()
      task:cancel()
      local ok, why = waiter:wait()
      assert.is_false(ok)
      assert.matches("the task was cancelled", why)
    end)
    assert.is_false(went_on)
  end)

  it("cancels a task once, even when its own closer cancels it", function()
    peri.run(function()
      local calls, task = 0, nil
      task = peri.spawn(function()
        local _ <close> = setmetatable({}, { __close = function()
          calls = calls + 1
          task:cancel()
        end })
        peri.sleep(1000)
      end)
      peri.sleep(1)
      task:cancel()
      task:cancel()
      assert.equal(1, calls)
    end)
  end)

  it("cancels what still waits when the run ends", function()
    local closed, went_on = 0, false
    peri.run(function()
      for _ = 1, 100 do
        peri.spawn(function()
          local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
          peri.sleep(60000)
          went_on = true
        end)
      end
      peri.sleep(1)
    end)
    assert.equal(100, closed)
    assert.is_false(went_on)
  end)

  it("lets one task wait for another, once, and never for itself", function()
    peri.run(function()
      local task
      task = peri.spawn(function() return pcall(task.wait, task) end)
      local ok, why = task:wait()
      assert.is_false(ok)
      assert.matches("cannot wait for itself", why)
      local long = peri.spawn(function() peri.sleep(60000) end)
      peri.spawn(function() long:wait() end)
      peri.sleep(1)
      assert.has_error(function() long:wait() end, "somebody waits for this task already")
    end)
  end)

  it("works inside a run only", function()
    assert.has_error(function() peri.spawn(print) end, "peri.spawn works inside peri.run only")
  end)
end)

describe("peri.shared", function()
  it("keeps values of four kinds under a name", function()
    for _, value in ipairs { 1, 1.5, true, false, "text", "" } do
      assert.is_true(peri.shared.set("spec.value", value))
      assert.equal(value, peri.shared.get("spec.value"))
    end
    assert.is_true(peri.shared.delete("spec.value"))
    assert.is_nil(peri.shared.get("spec.value"))
  end)

  it("counts in one step", function()
    assert.equal(2, peri.shared.add("spec.count", 2))
    assert.equal(5, peri.shared.add("spec.count", 3))
    assert.equal(5.5, peri.shared.add("spec.count", 0.5))
    peri.shared.set("spec.name", "x")
    local sum, why, code = peri.shared.add("spec.name", 1)
    assert.same({ nil, "what is there is not a number", "EINVAL" }, { sum, why, code })
  end)

  it("swaps only what it expects", function()
    assert.is_true(peri.shared.swap("spec.lock", nil, "a"))
    assert.is_false(peri.shared.swap("spec.lock", nil, "b"))
    assert.is_true(peri.shared.swap("spec.lock", "a", nil))
    assert.is_nil(peri.shared.get("spec.lock"))
  end)

  it("refuses what it does not store", function()
    assert.has_error(function() peri.shared.set("k", {}) end)
    assert.has_error(function() peri.shared.set("", 1) end)
    assert.has_error(function() peri.shared.set(("k"):rep(257), 1) end)
    assert.has_error(function() peri.shared.set("k", ("v"):rep(4097)) end)
    assert.has_error(function() peri.shared.set("k", 1, -1) end)
    assert.has_error(function() peri.shared.add("k", "1") end)
  end)
end)

describe("peri.clock and peri.rand", function()
  it("tells two times", function()
    assert.is_true(peri.clock.now_ns() <= peri.clock.now_ns())
    assert.equal("integer", math.type(peri.clock.now_ms()))
    assert.is_true(math.abs(peri.clock.wall_ns() / 1e9 - os.time()) < 5)
  end)

  it("draws within bounds", function()
    for _ = 1, 100 do
      local unit, n = peri.rand(), peri.rand_below(3)
      assert.is_true(unit >= 0 and unit < 1)
      assert.is_true(n >= 0 and n < 3)
    end
    assert.has_error(function() peri.rand_below(0) end)
  end)
end)

describe("peri.log", function()
  it("takes a text and plain fields, and refuses the rest", function()
    for _, level in ipairs { "trace", "debug", "info", "warn", "error" } do
      assert.has_no_error(function() peri.log[level]("said", { n = 1, ok = true, ["odd key"] = "v", list = {} }) end)
      assert.has_error(function() peri.log[level]({}) end)
      assert.has_error(function() peri.log[level]("said", "field") end)
    end
  end)
end)

describe("peri.hash and peri.encode", function()
  it("hashes as the standards' examples say", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", peri.hash.sha256_hex("abc"))
    assert.equal("8eb208f7e05d987a9b044a8e98c6b087f15a0bfc", peri.hash.ripemd160_hex("abc"))
    assert.equal("4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45", peri.hash.keccak256_hex("abc"))
    for _, name in ipairs { "sha256", "ripemd160", "keccak256" } do
      assert.equal(peri.hash[name .. "_hex"]("x"), peri.encode.hex(peri.hash[name]("x")))
    end
  end)

  it("writes and reads bytes as text, strictly", function()
    local bytes = "\0\1\254\255 any"
    assert.equal("0001feff20616e79", peri.encode.hex(bytes))
    assert.equal(bytes, peri.encode.unhex("0001FEff20616e79"))
    assert.equal("AAH+/yBhbnk=", peri.encode.base64(bytes))
    assert.equal(bytes, peri.encode.unbase64("AAH+/yBhbnk="))
    assert.equal("", peri.encode.unbase64(""))
    for _, bad in ipairs { "A", "AAH+/yBhbnk", "AAH+/yBhbnl=", "AA==\n" } do
      local got, _, code = peri.encode.unbase64(bad)
      assert.same({ nil, "EMALFORMED" }, { got, code })
    end
    assert.is_nil((peri.encode.unhex("0x01")))
    assert.is_nil((peri.encode.unhex("012")))
  end)
end)
