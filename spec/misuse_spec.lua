-- Objects in the wrong hands: methods called without their object, with another one, or when the object is over. Each
-- is an error that names the method; none does anything.
local peri = require "perilune"
local check = require "spec.support.check"

-- Every method of every object that policies get, with the arguments of a good call, and the hook that has the object.
local OBJECTS = {
  { "req", hook = "request", over = "request is finished", methods = { try = "'a'", providers = "", pick = "",
    reply = "200, {}", fail = "500, 'x'", set_header = "'x-a', 'b'" } },
  { "provider", hook = "request", methods = { model = "'m'" } },
  { "attempt", hook = "attempt", over = "the attempt is over", methods = { set_header = "'x-a', 'b'",
    set_answer_header = "'x-a', 'b'", refuse = "400, 'x'", expect_content = "" } },
  { "event", hook = "event", over = "the event is over", methods = { drop = "", replace = "{}" } },
  { "answer", hook = "answer", over = "the answer is over", methods = {} },
}

local function sorted(map)
  local list = {}
  for name in pairs(map) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- { call =, want = } of an object's methods without it, or with something else in its place.
local function wrong_selves(object)
  local calls = {}
  for _, method in ipairs(sorted(object.methods)) do
    for _, wrong in ipairs { "", "5", "'x'", "{}", "nil", "print", "stranger" } do
      calls[#calls + 1] = { call = ("%s.%s(%s)"):format(object[1], method, wrong),
        want = ("'%s' is called as %s:%s(…), with a colon: got "):format(method, object[1], method) }
    end
    calls[#calls + 1] = { call = ("return %s.%s"):format(object[1], method), want = "function: " }
    calls[#calls + 1] = { call = ("return select(2, pcall(%s.%s, 5))"):format(object[1], method),
      want = "a method of '" }
  end
  for _, name in ipairs { "nope", "metods" } do
    calls[#calls + 1] = { call = ("return %s.%s"):format(object[1], name), want = " has no '" .. name .. "'" }
    calls[#calls + 1] = { call = ("%s.%s = 1"):format(object[1], name), want = ("'%s' of a"):format(name) }
  end
  return calls
end

--- The same for an object that its hook has left.
local function late_uses(object)
  local calls = {}
  for _, method in ipairs(sorted(object.methods)) do
    calls[#calls + 1] = { call = ("%s:%s(%s)"):format(object[1], method, object.methods[method]), want = object.over }
  end
  for _, member in ipairs { "body", "headers", "status", "data", "provider" } do
    calls[#calls + 1] = { call = ("return %s.%s"):format(object[1], member),
      want = { object.over, " has no '" .. member .. "'" } }
  end
  return calls
end

local function list_of(calls)
  local functions = {}
  for i, case in ipairs(calls) do functions[i] = ("function() %s end"):format(case.call) end
  return "{" .. table.concat(functions, ",\n") .. "}"
end

--- Run a policy in a test; gives what it logged, by message.
local function logged(source)
  check.write("p.lua", source)
  check.write("a_test.lua", [[
local testing = require "perilune.testing"
testing.test("asks", function(t)
  local router = t:router { policies = { "p.lua" }, policy = { budget = "2s" }, providers = { { id = "a" } } }
  t:equal(router:chat().text, "hello from a")
  t:equal(router:chat({ stream = true }).text, "hello from a")
  router:chat()
  t:fail "to see the log"
end)]])
  local _, out, err = check.perilune "test --format=json a_test.lua"
  local line = peri.json.decode(out:match "^[^\n]*")
  assert.equal("to see the log", line and line.message, out .. err)
  local said = {}
  for _, each in ipairs(line.log) do said[each.msg] = each.said end
  return said
end

local function assert_said(said, key, calls)
  for i, case in ipairs(calls) do
    local got, is_as_wanted = said[key .. i], false
    for _, want in ipairs(type(case.want) == "table" and case.want or { case.want }) do
      is_as_wanted = is_as_wanted or got ~= nil and got:find(want, 1, true) ~= nil
    end
    local told = ("%s\nsaid: %s\nnot:  %s"):format(case.call, tostring(got), peri.json.encode(case.want))
    assert.is_true(is_as_wanted, told)
  end
end

local TELL = [[
local peri = require "perilune"
local stranger = coroutine.create(print)
local function tell(key, calls)
  for i, call in ipairs(calls) do peri.log.info(key .. i, { said = tostring(select(2, pcall(call))) }) end
end
]]

describe("an object in a policy", function()
  before_each(check.open)
  after_each(check.close)

  for _, object in ipairs(OBJECTS) do
    it("says that a colon is missing, or that there is no such member: " .. object[1], function()
      local calls = wrong_selves(object)
      local argument = object[1] == "provider" and "local provider = req:providers()[1]" or ""
      local second = object.hook == "request" and "_" or object[1]
      local said = logged(TELL .. ("return { %s = function(req, %s)\n%s\ntell('wrong', %s)\nend }\n"):format(
        object.hook, second, argument, list_of(calls)))
      assert_said(said, "wrong", calls)
    end)
  end

  for _, object in ipairs(OBJECTS) do
    if object.over then
      it("says that it is over: " .. object[1], function()
        local calls = late_uses(object)
        local said = logged(TELL .. ([[
local kept
return { %s = function(req, other)
  if kept then
    local %s = kept
    tell("late", %s)
    tostring(kept)
  end
  kept = other or req
end }]]):format(object.hook, object[1], list_of(calls)))
        assert_said(said, "late", calls)
      end)
    end
  end

  it("keeps req.headers as the client sent them", function()
    local said = logged(TELL .. [[return { request = function(req)
      tell("headers", { function() req.headers["x-a"] = "b" end })
    end }]])
    assert.matches("'x-a' of req.headers can not be set: req:set_header is for the answer", said.headers1, 1, true)
  end)
end)

describe("an object in a trusted script", function()
  it("says that a colon is missing", function()
    local bed = assert(peri.testbed.open('{"providers":[{"id":"a","url":"http://192.0.2.1:1/v1"}]}', print))
    for _, name in ipairs { "ask", "hang_up", "start", "write", "finish", "cut", "after", "settle", "advance",
      "next_ms", "now_ms", "log", "close" } do
      for _, wrong in ipairs { "", "5", "'x'", "{}", "io.stdout" } do
        local call = assert(load(("local bed = ... bed.%s(%s)"):format(name, wrong)))
        local ok, err = pcall(call, bed)
        assert.is_false(ok)
        assert.matches(("'%s' is called as bed:%s(…), with a colon: got "):format(name, name), err, 1, true)
      end
    end
    bed:close()
    peri.run(function()
      local task = peri.spawn(function() end)
      for _, name in ipairs { "wait", "cancel" } do
        local ok, err = pcall(load(("local task = ... task.%s(5)"):format(name)), task)
        assert.is_false(ok)
        assert.matches(("'%s' is called as task:%s(…), with a colon: got number"):format(name, name), err, 1, true)
      end
      task:wait()
    end)
  end)
end)
