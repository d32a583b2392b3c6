-- The bed that tests of policies stand on: peri.testbed.
local peri = require "perilune"

local CONFIG = '{"providers":[{"id":"a","discover_models":false,"url":"http://192.0.2.1:1/v1"}],"seed":1}'
local JSON = { { name = "content-type", value = "application/json" } }
local ANSWER = '{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",'
  .. '"content":"hi"},"finish_reason":"stop"}]}'

local function ask(bed) return bed:ask("/v1/chat/completions", '{"model":"m","messages":[]}', JSON) end

describe("peri.testbed.open", function()
  it("tells of everything that happens to a request, in order", function()
    local bed, kinds, text
    bed = assert(peri.testbed.open(CONFIG, function(event)
      kinds[#kinds + 1] = event.kind
      if event.kind == "bytes" then text = event.bytes end
      if event.kind ~= "request" then return event.kind == "dial" end
      assert.equal("POST /v1/chat/completions", event.method .. " " .. event.path)
      assert.equal('{"model":"m","messages":[]}', event.body)
      assert.is_true(bed:start(event.id, 200, JSON))
      assert.is_false(bed:start(event.id, 200, JSON))
      assert.is_true(bed:write(event.id, ANSWER))
      assert.is_true(bed:finish(event.id))
      assert.is_false(bed:write(event.id, "more"))
    end))
    kinds = {}
    ask(bed)
    assert.same({}, kinds)
    bed:settle()
    assert.same({ "dial", "request", "head", "bytes", "done" }, kinds)
    assert.equal(ANSWER, text)
    assert.equal(0, bed:now_ms())
    assert.matches('"provider":"a"', bed:log())
    bed:close()
  end)

  it("moves time only when it is told to", function()
    local bed, due
    bed = assert(peri.testbed.open(CONFIG, function(event) due = event end))
    local id = bed:after(250)
    assert.equal(250, bed:next_ms())
    bed:advance(249)
    assert.is_nil(due)
    bed:advance(1)
    assert.same({ "due", id, 250 }, { due.kind, due.id, bed:now_ms() })
    bed:close()
  end)

  it("raises what its function raised", function()
    local bed = assert(peri.testbed.open(CONFIG, function() error({ mine = true }) end))
    ask(bed)
    local ok, err = pcall(bed.settle, bed)
    assert.is_false(ok)
    assert.same({ mine = true }, err)
    bed:close()
    assert.has_error(function() bed:settle() end, "the test bed is closed")
  end)

  it("says what is wrong with a configuration", function()
    local bed, why, code = peri.testbed.open('{"providers":[{"id":"a"}]}', print)
    assert.is_nil(bed)
    assert.matches("url", why)
    assert.equal("ECONFIG", code)
  end)

  it("may be forgotten in the middle of everything", function()
    local bed = assert(peri.testbed.open(CONFIG, function(event) return event.kind == "dial" end))
    ask(bed)
    bed:settle()
    bed = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end)
end)

describe("peri.testbed.limit", function()
  it("gives what the function returned", function()
    assert.same({ true, 1, 2 }, { peri.testbed.limit(1000, function(...) return ... end, 1, 2) })
  end)

  it("gives an error with a trace of where", function()
    local ok, err, trace, code = peri.testbed.limit(1000, function() error "no" end)
    assert.is_false(ok)
    assert.matches("testbed_spec.lua:%d+: no", err)
    assert.matches("stack traceback:.*testbed_spec.lua:%d+:", trace)
    assert.equal("EPOLICY", code)
  end)

  for name, source in pairs {
    ["a loop"] = "while true do end",
    ["a loop in pcall in a loop"] = "while true do pcall(function() while true do end end) end",
    ["a loop in a coroutine"] = "coroutine.wrap(function() while true do end end)()",
  } do
    it("stops " .. name .. ", and the next call goes well", function()
      local ok, _, trace, code = peri.testbed.limit(20, assert(load(source, "=loop")))
      assert.is_false(ok)
      assert.equal("EBUDGET", code)
      assert.is_string(trace)
      assert.is_true((peri.testbed.limit(1000, function() return true end)))
    end)
  end

  it("does not stand inside another one", function()
    local ok, err = peri.testbed.limit(1000, function() peri.testbed.limit(1000, print) end)
    assert.is_false(ok)
    assert.matches("there is a time limit already", err)
  end)
end)

describe("peri.testbed.isolate", function()
  local function isolate(fn, ms)
    local lines = {}
    local ok, why = peri.testbed.isolate(ms or 10000, fn, function(line) lines[#lines + 1] = line end)
    return ok, why, lines
  end

  it("gives every line that the other process sends, and keeps what it changes out of this one", function()
    local changed = false
    local ok, why, lines = isolate(function(send)
      changed = true
      for i = 1, 1000 do send(("x"):rep(i)) end
    end)
    assert.same({ true, nil, 1000, false }, { ok, why, #lines, changed })
    assert.equal(("x"):rep(999), lines[999])
    assert.same({ true, nil, {} }, { isolate(function() end) })
  end)

  it("says how the other process ended", function()
    local _, why, lines = isolate(function(send) send "begun" os.exit(7) end)
    assert.same({ "its process ended with exit code 7", { "begun" } }, { why, lines })
    _, why = isolate(function() os.execute "kill -ABRT $PPID" while true do end end)
    assert.equal("its process ended by signal 6 (Aborted)", why)
    _, why = isolate(function() os.execute "exec sleep 20 >/dev/null 2>&1" end, 50)
    assert.equal("was stopped: it took longer than 50 ms", why)
  end)

  it("raises what the listener raised", function()
    local ok, err = pcall(peri.testbed.isolate, 10000, function(send) send "a" while true do end end, error)
    assert.same({ false, "a" }, { ok, err })
    collectgarbage()
    assert.has_error(function() peri.testbed.isolate(0, print, print) end)
  end)
end)
