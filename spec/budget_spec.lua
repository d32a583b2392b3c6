-- What a policy may use, seen from outside: a file that never ends loading holds nobody, and the router can be stopped.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local good = "return { name = 'good', request = function(req) req:set_header('x-good', '1') end }\n"
-- All that a file runs when it is loaded: its chunk, a module of its own, `check`.
local endless = {
  chunk = "while true do end\n",
  ["chunk, in coroutines"] = "while true do coroutine.wrap(function() end)() end\n",
  module = "require 'helper'\n" .. good,
  check = "return { name = 'endless', check = function() while true do pcall(error) end end }\n",
  ["check, in a slow call"] = "return { name = 'endless', check = function() local s = ('1'):rep(1000000)\n" ..
    "while true do tonumber(s, 10) end end }\n",
}

describe("a policy file that does not end loading", function()
  teardown(process.stop_all)

  for what, source in pairs(endless) do
    it("lets the clients of its worker be answered meanwhile: " .. what, router.test(function(start)
      local r = start({
        providers = { router.provider("a", provider.start()) },
        policies = { "policy.lua" },
        policy = { budget = "500ms", instructions = 1000000000 },
        workers = 1,
      }, { ["policy.lua"] = good, ["helper.lua"] = "while true do end\n" })
      assert.equal(200, r:chat().status)
      r:write("policy.lua", source)
      local answered = 0
      local function refused() return r:log("reload refused, the old generation stays")[1] end
      while not refused() do
        local answer = r:chat()
        assert.equal(200, answer.status)
        assert.equal("1", answer.headers["x-good"])
        answered = answered + 1
      end
      -- a request that had to wait for the load would be one of two at most
      assert.is_true(answered > 3, answered .. " answers")
      assert.matches(what == "module" and "helper.lua:1: stopped: " or "policy.lua:%d: stopped: ", refused().error)
      assert.matches("it used up its budget of 500 ms", refused().error)
    end))
  end

  it("does not keep the router from stopping", router.test(function(start)
    local r = start({
      providers = { router.provider("a", provider.start()) },
      policies = { "policy.lua" },
      policy = { budget = "500ms" },
    }, { ["policy.lua"] = good })
    assert.equal(200, r:chat().status)
    r:write("policy.lua", "require('perilune').log.warn('loading') while true do end\n")
    loop.await("the file to be loaded", function() return r:log "loading"[1] end)
    r:stop()
  end))

  it("is refused by `perilune check`", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) } })
    r:write("p.lua", "local n = 0\nwhile true do n = n + 1 end\n")
    r:write("check.lua", "return { policies = { 'p.lua' }, providers = { { id = 'a', url = 'http://h' } } }")
    local check = process.start({ router.program, "check", "--config", r.directory .. "/check.lua" })
    assert.equal(78, check:wait())
    assert.matches("p.lua:2: stopped: it used up its budget of", check:stdout() .. check:stderr())
  end))
end)

-- Uses so many milliseconds of the router's CPU time.
local function burn(ms) return ("local t = os.clock() while os.clock() - t < %.3f do end\n"):format(ms / 1000) end

describe("a policy that uses much in small pieces", function()
  teardown(process.stop_all)

  local function events(count)
    local tokens = {}
    for i = 1, count do tokens[i] = "t" .. i end
    return provider.tokens(tokens)
  end

  it("is left out, and the others of its chain and of its worker go on", router.test(function(start)
    local r = start({
      providers = { router.provider("a", provider.start(events(400))) },
      policies = { "slow.lua", "marks.lua" },
    }, {
      ["slow.lua"] = "return { name = 'slow', event = function(req, event)\n" .. burn(40) .. "end }\n",
      ["marks.lua"] = "return { name = 'marks', event = function(req, event)\n" ..
        "if event.json then event.json.marked = true end end }\n",
    })
    local answer, marked = nil, 0
    loop.spawn(function() answer = r:stream() end)
    local answered = 0
    while not answer do
      assert.equal(200, r:ask("GET", "/health").status)
      answered = answered + 1
    end
    for _, event in ipairs(answer.stream.events) do
      if event.marked then marked = marked + 1 end
    end
    local out = {}
    for _, line in ipairs(r:log "policy failed") do
      assert.equal("slow", line.policy)
      assert.equal("event", line.hook)
      assert.equal("EBUDGET", line.error)
      assert.matches("slow.lua:%d", line.at)
      out[#out + 1] = line.detail
    end
    assert.matches("left out of this request for the rest of the second: it used %d+ ms", out[1])
    assert.matches("%(half of policy.second_budget%)", out[1])
    -- 16 s of hooks would be 400 of them; what ran is a second's share or two and the request's
    assert.is_true(#out <= 8, table.concat(out, "\n"))
    assert.is_true(r:await_requests(1)[1].policy_error)
    assert.is_true(marked >= 400, marked .. " of 400 events were seen by the policy behind it")
    assert.is_true(answered >= 2, answered .. " answers meanwhile")
  end))

  it("has a budget for all entries of a request, also when it waits between them", router.test(function(start)
    local r = start({
      providers = { router.provider("a", provider.start()) },
      policies = { "slow.lua" },
      policy = { request_budget = "200ms", second_budget = "1s" },
    }, { ["slow.lua"] = "local peri = require 'perilune'\nreturn { name = 'slow', route = function(req)\n" ..
      "while true do " .. burn(20) .. " peri.sleep(1) end end }\n" })
    assert.equal(200, r:chat().status)
    -- Which of the two depends on whether the budget ends within an entry or between two.
    local detail = r:log "policy failed"[1].detail
    if not detail:find("left out for the rest of the request: it used 200 ms", 1, true) then
      assert.matches("slow.lua:3: stopped: it used up its budget of %d+ ms, what was left for one request", detail)
    end
  end))

  it("is stopped when each of its entries is short", router.test(function(start)
    local r = start({
      providers = { router.provider("a", provider.start()) },
      policies = { "sleeps.lua" },
      policy = { request_budget = "20ms", second_budget = "1s" },
    }, { ["sleeps.lua"] = "local peri = require 'perilune'\nreturn { name = 'sleeps', route = function(req)\n" ..
      "while true do pcall(peri.sleep, 0) end end }\n" })
    assert.equal(200, r:chat().status)
    r:await_requests(1)
    local lines = r:log "policy failed"
    assert.is_true(#lines > 0)
    for _, line in ipairs(lines) do
      assert.same({ "sleeps", "route" }, { line.policy, line.hook })
      if not line.detail:find("left out for the rest of the request", 1, true) then
        assert.equal("EBUDGET", line.error)
        assert.matches("sleeps.lua:3: stopped: .*what was left for one request", line.detail)
      end
    end
  end))

  it("is told of under the hook that used it", router.test(function(start)
    local r = start({
      providers = { router.provider("a", provider.start()) },
      policies = { "slow.lua" },
      policy = { second_budget = "5ms" },
    }, { ["slow.lua"] = "return { name = 'slow', request = function(req)\n" .. burn(20) .. "end }\n" })
    assert.equal(200, r:chat().status)
    local line = r:log "policy failed"[1]
    assert.matches("left out for the rest of the second", line.detail)
    assert.same({ "slow", "request" }, { line.policy, line.hook })
  end))

  it("may use more when a body is large", router.test(function(start)
    local r = start({
      providers = { router.provider("a", provider.start()) },
      policies = { "walks.lua" },
      policy = { budget = "20ms" },
    }, { ["walks.lua"] = "return { name = 'walks', request = function(req)\n" .. burn(60) ..
      "req:set_header('x-walked', 'yes') end }\n" })
    assert.is_nil(r:chat().headers["x-walked"])
    assert.matches("its budget of 20 ms", r:log "policy failed"[1].detail)
    local large = r:chat { messages = { { role = "user", content = ("x"):rep(8 << 20) } } }
    assert.equal("yes", large.headers["x-walked"])
  end))
end)
