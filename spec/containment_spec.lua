-- A bad policy never takes a request down: whatever it does, the built-in route answers and the log says so.
local cjson = require "cjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"
local socket = require "socket"

-- Ours; others' cases are read from beside the tree when they are there.
local hostile = {
  { name = "a loop in pcall in a loop", lua = "while true do pcall(function() while true do end end) end" },
  { name = "a pattern that backtracks without end", lua = "return ('a'):rep(5000):find('.-.-.-.-b')" },
  { name = "a heap that only grows", lua = "local t = {} while true do t[#t + 1] = ('x'):rep(999) .. #t end" },
  { name = "an error handler that does not end", lua = "xpcall(error, function() while true do end end)" },
  { name = "a loop that only changes coroutines", lua = "while true do coroutine.wrap(function() end)() end" },
  { name = "an iterator that never ends",
    lua = "for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end" },
  { name = "a loop of few instructions that take long",
    lua = "local s = ('1'):rep(1000000) while true do tonumber(s, 10) end" },
  { name = "a value that is called by itself",
    lua = "local m = {} local o = setmetatable({}, m) m.__call = o return o()" },
  { name = "a wrong answer", lua = "return 42" },
  { name = "an error without a text", lua = "error()" },
  { name = "a way out that is not there", lua = "os.exit(1)" },
  { name = "a global", lua = "leak = 1" },
  { name = "a yield to nobody", lua = "coroutine.yield()" },
}

local shared = process.read("../shared/data/lua/policy-containment-cases.json")
if shared then
  for _, case in ipairs(cjson.decode(shared).cases) do
    hostile[#hostile + 1] = { name = "case " .. case.name, lua = case.lua }
  end
else
  print("skipped: ../shared/data/lua is not here")
end

describe("a policy that misbehaves", function()
  teardown(process.stop_all)

  for _, case in ipairs(hostile) do
    it("is contained: " .. case.name, router.test(function(start)
      local p = provider.start()
      local r = start({
        providers = { router.provider("a", p) },
        policies = { "hostile.lua" },
        policy = { budget = "50ms", memory = "16MiB" },
      }, { ["hostile.lua"] = "local policy = { name = 'hostile' }\nfunction policy.route()\n" .. case.lua ..
        "\nend\nreturn policy\n" })
      local began = socket.gettime()
      assert.equal(200, r:chat().status)
      -- 50 ms of budget; a machine that does other things as well gets more
      assert.is_true(socket.gettime() - began < 5)
      assert.equal(200, r:chat().status)
      for _, record in ipairs(r:await_requests(2)) do
        assert.is_true(record.policy_error)
        assert.equal("a", record.provider)
      end
      assert.equal(2, #p.requests)
    end))
  end
end)
