-- What a policy cannot do. Each piece runs in a fresh sandbox with 50 ms and 16 MiB unless it says otherwise.
local peri = require "perilune"
local run = peri.sandbox.run

local function assert_stopped(source, options)
  local result, why, code = run(source, options)
  assert.is_nil(result)
  assert.equal("EBUDGET", code, why)
end

describe("the sandbox", function()
  it("gives plain values back", function()
    assert.equal(3, run("return 1 + 2"))
    assert.equal(0.5, run("return 1 / 2"))
    assert.equal("a\0b", run("return 'a\\0b'"))
    assert.is_true(run("return true"))
    assert.is_nil((run("return")))
    assert.has_error(function() run("return {}") end, "a sandbox gives no table back")
  end)

  it("says where a mistake is", function()
    assert.same({ nil, "sandbox.lua:2: oh", "EPOLICY" }, { run("\nerror('oh')") })
    assert.same({ nil, "sandbox.lua:1: unexpected symbol near '='", "EPOLICY" }, { run("= 1") })
  end)

  it("has none of the libraries that reach outside", function()
    for _, name in ipairs { "io", "debug", "package", "load", "loadfile", "dofile", "loadstring", "rawset",
      "collectgarbage", "warn", "os.exit", "os.execute", "os.getenv", "os.remove", "os.rename", "os.tmpname",
      "os.setlocale", "string.dump", "string.pack", "coroutine.close", "math.randomseed" } do
      assert.equal("nil", run("return type(" .. name .. ")"), name)
    end
  end)

  it("stops what is caught and caught again", function()
    assert_stopped("while true do pcall(function() while true do end end) end")
    assert_stopped("while true do pcall(function() while true do end end) end", { steps = 50000, cpu_ms = 0 })
  end)

  it("stops at the same step every time when steps are counted", function()
    local body = "local n = 0 for _ = 1, 1000 do n = n + 1 end return n"
    assert.equal(1000, run(body, { steps = 10000 }))
    assert_stopped(body:gsub("1000", "100000"), { steps = 10000 })
  end)

  it("caps memory", function()
    assert_stopped("local t = {} while true do t[#t + 1] = {} end", { heap_bytes = 1 << 20, cpu_ms = 2000 })
  end)

  it("repeats its random numbers from a seed", function()
    local body = "return math.random(1 << 40) .. ' ' .. require('perilune').rand_below(1 << 40)"
    assert.equal(run(body, { seed = 11 }), run(body, { seed = 11 }))
    assert.not_equal(run(body, { seed = 11 }), run(body, { seed = 12 }))
  end)

  it("finds modules in the directories it is given, and nowhere else", function()
    local _, why = run("return require('no.such.module')", { search = { "lua" } })
    assert.equal("sandbox.lua:1: module 'no.such.module' not found", why)
    _, why = run("require('../secrets')", { search = { "lua" } })
    assert.matches("not a module's name", why)
  end)

  it("has no providers and no network where there is no router", function()
    for _, call in ipairs { "peri.providers()", "peri.gonka.participants()", "peri.gonka.epoch()",
      "peri.gonka.refresh()" } do
      local _, why = run("local peri = require 'perilune' return " .. call)
      assert.equal("sandbox.lua:1: there is no router here", why)
    end
  end)

  it("cannot wait without a loop", function()
    local _, why = run("require('perilune').sleep(1)")
    assert.matches("there is no event loop here", why)
  end)
end)

describe("no function of ours", function()
  -- Every function C gives, with up to three arguments of kinds it may not expect: it may raise, or answer, no more.
  local odd = { false, 0, -1, 0.5, "", "x", ("y"):rep(300), {}, { listen = 1, url = {} }, type, 0 / 0, math.huge,
    math.mininteger, coroutine.create(print), io.stdout }
  local walk = [[
local kinds = { false, 0, -1, 0.5, '', 'x', ('y'):rep(300), {}, { model = 1 }, print, 0 / 0, math.huge,
  math.mininteger, coroutine.create(print) }
local calls = 0
local function visit(value, depth)
  if type(value) == 'function' then
    pcall(value)
    for _, a in ipairs(kinds) do
      for _, b in ipairs(kinds) do pcall(value, a, b, kinds[(calls % #kinds) + 1]) calls = calls + 1 end
    end
  elseif type(value) == 'table' and depth < 3 then
    for _, member in pairs(value) do visit(member, depth + 1) end
  end
end
visit(require 'perilune', 0)
for _, name in ipairs { 'string', 'table', 'math', 'utf8', 'os' } do visit(_G[name], 0) end
for _, name in ipairs { 'getmetatable', 'setmetatable', 'rawget', 'rawlen', 'select', 'tonumber', 'tostring', 'xpcall',
  'ipairs', 'next', 'require' } do visit(_G[name], 0) end
return calls
]]

  it("does more than raise on odd arguments, in a sandbox", function()
    local calls = assert(run(walk, { cpu_ms = 20000, heap_bytes = 64 << 20 }))
    assert.is_true(calls > 5000)
  end)

  it("does more than raise on odd arguments, in a trusted script", function()
    local calls = 0
    local function files()
      local pipe = assert(io.popen "ls -A")
      local names = pipe:read "a"
      pipe:close()
      return names
    end
    local writes = { keygen = true } -- what makes files is not called with a path that happens to be good
    local before = files()
    local function visit(value)
      if type(value) == "table" then
        for name, member in pairs(value) do if not writes[name] then visit(member) end end
      end
      if type(value) ~= "function" then return end
      for _, a in ipairs(odd) do
        for _, b in ipairs(odd) do
          pcall(value, a, b, odd[calls % #odd + 1])
          calls = calls + 1
        end
      end
    end
    visit(peri)
    assert.is_true(calls > 2000)
    assert.equal(before, files())
    assert.equal(1, peri.run(function() return 1 end))
  end)
end)
