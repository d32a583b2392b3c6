-- What `require` gives policies: their own folder's modules first, each file once, and nothing that one policy could
-- change under another. And what a policy's `check` says of a configuration.
local check = require "spec.support.check"

--- `perilune check` of policies that claim what they see; gives the faults. Files are { path = text }.
local function faults(files)
  local paths = {}
  for path, text in pairs(files) do
    os.execute(("mkdir -p %s/%s"):format(check.folder(), path:match "^(.*)/" or "."))
    check.write(path, text)
    if path:find "policy" then paths[#paths + 1] = ("%q"):format(path) end
  end
  table.sort(paths)
  local _, _, err = check.lua('return { providers = { { id = "a", url = "http://127.0.0.1:1/v1" } }, policies = { '
    .. table.concat(paths, ", ") .. " } }")
  return check.faults(err)
end

--- A policy whose chunk runs these lines.
local function policy(lines) return lines .. "\nreturn {}\n" end

local UTIL = [[
local count = 0
local util = { list = { 1, 2, { deep = "x" } }, names = { a = 1, b = 2 }, nothing = {}, down = { 2, 1 } }
util.itself = util
util.list[4] = util.list
util.object = setmetatable({ own = 1 }, { __index = { inherited = 2 },
  __call = function(self, n) return self.own + n end })
function util.next() count = count + 1 return count end
function util.grow() util.names.c = 3 end
function util.same(t) return t == util.names end
return util
]]

describe("require", function()
  before_each(check.open)
  after_each(check.close)

  it("gives each policy the module of its own folder", function()
    assert.same({}, faults {
      ["one/policy.lua"] = policy 'assert(require("util").who == "one") assert(require("util").helper.who == "one")',
      ["two/policy.lua"] = policy 'assert(require("util").who == "two") assert(require("util").helper.who == "two")',
      ["one/util.lua"] = 'return { who = "one", helper = require "helper" }',
      ["two/util.lua"] = 'return { who = "two", helper = require "helper" }',
      ["one/helper.lua"] = 'return { who = "one" }', ["two/helper/init.lua"] = 'return { who = "two" }',
    })
  end)

  it("looks there in hooks, in coroutines and as a last call, too", function()
    local text = [[
local function late() return require "util" end
local policy = {}
function policy.check()
  return late().who == "%s" and coroutine.wrap(late)().who == "%s" and select(2, pcall(require, "util")).who == "%s"
end
return policy]]
    assert.same({}, faults {
      ["one/policy.lua"] = text:gsub("%%s", "one"), ["two/policy.lua"] = text:gsub("%%s", "two"),
      ["one/util.lua"] = 'return { who = "one" }', ["two/util.lua"] = 'return { who = "two" }',
    })
  end)

  it("does not look in another policy's folder", function()
    local list = faults {
      ["one/policy.lua"] = policy 'require "other"', ["two/policy.lua"] = policy "", ["two/other.lua"] = "return {}",
    }
    assert.matches("one/policy.lua:1: module 'other' not found", list[1])
  end)

  it("has the program's modules in every folder, whose own requirements nobody's folder changes", function()
    assert.same({}, faults {
      ["one/policy.lua"] = policy 'assert(require("perilune.gonka.answers") and require("perilune").json)',
      ["one/perilune/gonka/rules/models.lua"] = "error 'not this one'",
      ["two/policy.lua"] = policy 'assert(require("perilune.choices"))',
    })
  end)

  it("runs a file once for all policies of a folder, which keep what its locals remember", function()
    assert.same({}, faults { ["p/util.lua"] = UTIL,
      ["p/policy1.lua"] = policy 'assert(require("util").next() == 1)',
      ["p/policy2.lua"] = policy 'assert(require("util").next() == 2) assert(require("util") == require "util")' })
  end)

  it("gives nothing that can be written to, however deep", function()
    for name, write in pairs {
      ["util.more"] = "util.more = 1", ["util.next"] = "util.next = nil", ["util.list.number"] = "util.list[1] = 9",
      ["util.list[…].deep"] = "util.list[3].deep = 9", ["util.names.a"] = "util.itself.itself.names.a = 2",
      ["util.names.z"] = "util.names.z = 1", ["util.object.own"] = "util.object.own = 2",
      ["util.list.number "] = "table.insert(util.list, 5)", ["util.down.number"] = "table.sort(util.down)",
      ["util.list.number   "] = "table.remove(util.list)",
      ["util.list[…].deep "] = "for i, t in pairs(util.list) do if i == 3 then t.deep = 1 end end",
      ["util.list[…].deep  "] = "for i, t in ipairs(util.list) do if i == 3 then t.deep = 1 end end",
      ["util.list[…].deep   "] = "table.unpack(util.list, 3).deep = 1",
      ["util.list[…].deep    "] = "rawget(util.list, 3).deep = 1",
      ["util.list.number    "] = "select(2, next({ util.list }))[1] = 1",
    } do
      local list = faults { ["p/util.lua"] = UTIL, ["p/policy.lua"] = policy('local util = require "util"\n' .. write) }
      local place = name:gsub("[%[%]%.]", "%%%0"):gsub(" ", "")
      assert.matches("p/policy.lua:?2?: cannot set '" .. place .. "': it is read%-only",
        list[1] or "nothing was refused: " .. write)
    end
    for why, use in pairs { ["read%-only and no metatable"] = 'setmetatable({}, require("util").names)',
      ["a module's table is read%-only"] = 'require("perilune").json.array(require("util").list)' } do
      assert.matches(why, faults { ["p/util.lua"] = UTIL, ["p/policy.lua"] = policy(use) }[1])
    end
  end)

  it("gives tables that read as any other", function()
    assert.same({}, faults { ["p/util.lua"] = UTIL, ["p/policy.lua"] = policy [==[
local peri, util = require "perilune", require "util"
local function collect(...) local t = {} for k, v in ... do t[#t + 1] = k .. "=" .. tostring(v) end
  table.sort(t) return table.concat(t, " ") end
assert(#util.list == 4 and rawlen(util.list) == 4 and #util.nothing == 0)
assert(collect(pairs(util.names)) == "a=1 b=2" and collect(next, util.names) == "a=1 b=2")
assert(next(util.nothing) == nil and next(util.names) and rawget(util.names, "b") == 2)
assert(next(string) ~= nil and rawget(string, "len") == string.len)
local n = 0
for i in ipairs(util.list) do n = n + i end
assert(n == 10 and table.concat(util.list, ",", 1, 2) == "1,2")
local a, b, c = table.unpack(util.list)
assert(a == 1 and b == 2 and c.deep == "x" and c == util.list[3])
assert(table.move(util.list, 1, 2, 1, {})[2] == 2)
assert(util.itself == util and util.list[4] == util.list and util.same(util.names) and not util.same(util.list))
assert(util.object.inherited == 2 and util.object(4) == 5 and util.object.nope == nil)
assert(type(util.names) == "table" and tostring(util.names):find "table")
util.grow()
assert(util.names.c == 3)
assert(peri.json.encode(util.names) == '{"a":1,"b":2,"c":3}')
assert(peri.json.encode { util.names, { 1 } } == '[{"a":1,"b":2,"c":3},[1]]')
assert(peri.json.len(util.names) == 3 and peri.json.kind(util.list) == "array")
assert(peri.json.same(util.names, util.names))]==] })
  end)

  it("tells of a module that requires itself, or gives no table", function()
    assert.matches("module 'a' requires itself", faults { ["p/policy.lua"] = policy 'require "a"',
      ["p/a.lua"] = 'return require "b"', ["p/b.lua"] = 'return require "a"' }[1])
    assert.matches("module 'a' must return a table or a function, not a nil",
      faults { ["p/policy.lua"] = policy 'require "a"', ["p/a.lua"] = "" }[1])
    assert.same({}, faults { ["p/policy.lua"] = policy 'assert(require("a")() == 7)',
      ["p/a.lua"] = "return function() return 7 end" })
  end)
end)

describe("a policy's check", function()
  before_each(check.open)
  after_each(check.close)

  local function checked(body)
    return faults { ["p/policy.lua"] = "return { check = function(config)\n" .. body .. "\nend }" }[1]
  end

  it("says yes by true, by any value, and by returning nothing", function()
    for _, body in ipairs { "return true", "", "return", "return 1", "return 'fine'", "return config.providers" } do
      assert.is_nil(checked(body), body)
    end
  end)

  it("says no by false and by nil, with a sentence or without", function()
    assert.matches("p/policy.lua: no room for a$", checked "return false, 'no room for a'")
    assert.matches("p/policy.lua: no room for a$", checked "return nil, 'no room for a'")
    assert.matches("p/policy.lua: its check returned false: the policy refuses the configuration$",
      checked "return false")
    assert.matches("p/policy.lua: its check returned nil: ", checked "return nil")
    assert.matches("p/policy.lua: its check returned nil: ", checked "return config.nothing")
    assert.matches("p/policy.lua: its check returned false: ", checked "return false, {}")
    assert.matches("p/policy.lua:2: no$", checked "error 'no'")
  end)
end)
