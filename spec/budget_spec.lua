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
