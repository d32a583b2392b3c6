--- A policy that fails five times in a row goes back to its last text that worked, or is out until its file changes.
local answers = require "perilune.testing.answers"
local check = require "spec.support.check"
local in_process = require "perilune.testing.router"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local BACK = "policy went back to its last generation that worked"
local OUT = "policy is left out until its file changes"
local REFUSES = "policy refuses every request until its file changes"

describe("a policy that fails again and again, after it was edited,", function()
  teardown(process.stop_all)

  -- A route that names the text it stands in; the client may make it fail.
  local function text(number, body)
    return ([[
local policy = { name = "edited" }
function policy.route(req)
  %s
  if req:header "x-break" then error "broken" end
  if req:header "x-full" then local t = {} while true do t[#t + 1] = ("x"):rep(9999) .. #t end end
  req:set_header("x-edit", "%d")
  return (req:try "a")
end
return policy
]]):format(body or "", number)
  end

  local function start_edited(start, workers, others)
    local files = { ["edited.lua"] = text(1), ["other.lua"] = "return {}\n" }
    local policies = { "edited.lua", "other.lua" }
    for name, source in pairs(others or {}) do
      files[name] = source
      table.insert(policies, 1, name)
    end
    return start({ providers = { router.provider("a", provider.start()) }, policies = policies, workers = workers,
      policy = { memory = "4MiB" } }, files)
  end

  local function reload(r, name, source)
    local n = #r:log "reloaded"
    r:write(name, source)
    loop.await("the reload", function() return #r:log "reloaded" == n + 1 end)
  end

  local function edit_of(r, headers)
    local answer = r:chat(nil, headers)
    assert.equal(200, answer.status)
    return answer.headers["x-edit"], answer.headers["x-perilune-route"]
  end

  it("goes back to the text before, says so once, and is taken anew when its file changes", router.test(function(start)
    local r = start_edited(start, 2)
    for _ = 1, 4 do assert.same({ "1", "edited@1" }, { edit_of(r) }) end
    reload(r, "edited.lua", text(2, "error 'on purpose'"))
    for _ = 1, 5 do assert.is_nil((edit_of(r))) end
    for _ = 1, 8 do assert.same({ "1", "edited@1" }, { edit_of(r) }) end
    local line = r:log(BACK)
    assert.equal(1, #line)
    assert.same({ "error", "edited", "route", 5, 2, 1 }, { line[1].level, line[1].policy, line[1].hook,
      math.tointeger(line[1].failures), math.tointeger(line[1].generation), math.tointeger(line[1].back_to) })
    assert.matches("edited%.lua:3$", line[1].at)
    -- a reload of another file does not bring the bad one back
    reload(r, "other.lua", "return { name = 'other' }\n")
    for _ = 1, 4 do assert.same({ "1", "edited@1" }, { edit_of(r) }) end
    reload(r, "edited.lua", text(3))
    for _ = 1, 4 do assert.same({ "3", "edited@4" }, { edit_of(r) }) end
    assert.equal(1, #r:log(BACK))
  end))

  it("stays when a client breaks it before anybody else has asked", router.test(function(start)
    local r = start_edited(start, 2)
    for _ = 1, 8 do assert.is_nil((edit_of(r, { ["x-break"] = "yes" }))) end
    assert.equal("1", (edit_of(r)))
    reload(r, "edited.lua", text(2))
    for _ = 1, 8 do assert.is_nil((edit_of(r, { ["x-break"] = "yes" }))) end
    assert.equal("2", (edit_of(r)))
    assert.same({ 0, 0 }, { #r:log(BACK), #r:log(OUT) })
  end))

  it("is left out when the text before fails, too", router.test(function(start)
    local r = start_edited(start, 1)
    edit_of(r)
    reload(r, "edited.lua", text(2, "error 'on purpose'"))
    for _ = 1, 5 do edit_of(r) end
    for _ = 1, 8 do assert.is_nil((edit_of(r, { ["x-break"] = "yes" }))) end
    assert.equal("1", (edit_of(r))) -- it worked before: a client that breaks it does so for itself
    for _ = 1, 5 do assert.is_nil((edit_of(r, { ["x-full"] = "yes" }))) end
    assert.is_nil((edit_of(r)))
    assert.same({ 1, 1 }, { #r:log(BACK), #r:log(OUT) })
    reload(r, "edited.lua", text(4))
    assert.equal("4", (edit_of(r)))
  end))

  it("does not take failures of the bad text that still waits for those of the text before", router.test(function(start)
    local r = start_edited(start, 1)
    edit_of(r)
    reload(r, "other.lua", [[local peri = require "perilune"
return { request = function(req)
  local open = req:header "x-open"
  if open then
    peri.shared.set(open, true)
    req:reply(200, { waiting = peri.shared.get "waiting" or 0 })
  end
end }]])
    reload(r, "edited.lua", ("local peri = require 'perilune'\n" .. text(2, [[local gate = req:header "x-gate"
  peri.shared.add("waiting", 1)
  while not peri.shared.get(gate) do peri.sleep(1) end
  error "late"]])))
    local over = {}
    local function ask(gate)
      loop.spawn(function()
        edit_of(r, { ["x-gate"] = gate })
        over[gate] = (over[gate] or 0) + 1
      end)
    end
    for _ = 1, 5 do ask "first" ask "second" end
    loop.await("every route to wait", function() return r:chat(nil, { ["x-open"] = "none" }).json.waiting == 10 end)
    r:chat(nil, { ["x-open"] = "first" })
    loop.await("the first to fail", function() return over.first == 5 end)
    assert.equal("1", (edit_of(r)))
    r:chat(nil, { ["x-open"] = "second" })
    loop.await("the second to fail", function() return over.second == 5 end)
    assert.same({ "1", "edited@1" }, { edit_of(r) })
    assert.same({ 1, 0 }, { #r:log(BACK), #r:log(OUT) })
    for _, line in ipairs(r:log "policy failed") do assert.equal(3, math.tointeger(line.generation)) end
  end))

  it("does not go back to a text that did not work", router.test(function(start)
    local r = start_edited(start, 1)
    edit_of(r)
    reload(r, "edited.lua", text(2, "error 'on purpose'"))
    edit_of(r) -- fails, but not often enough
    reload(r, "edited.lua", text(3, "error 'still'"))
    for _ = 1, 5 do assert.is_nil((edit_of(r))) end
    assert.same({ "1", "edited@1" }, { edit_of(r) })
  end))

  it("refuses until its file changes when it may not be done without", router.test(function(start)
    local guard = "return { on_failure = 'refuse', request = function() %s end }\n"
    local r = start_edited(start, 1, { ["guard.lua"] = guard:format "error 'no'" })
    for _ = 1, 8 do
      local answer = r:chat()
      assert.same({ 500, "policy_failed" }, { answer.status, answer.json.error.code })
    end
    assert.same({ 1, 1 }, { #r:log(REFUSES), #r:log "policy failed" })
    reload(r, "other.lua", "return { name = 'other' }\n")
    assert.equal(500, r:chat().status)
    reload(r, "guard.lua", guard:format "return")
    assert.equal(200, r:chat().status)
  end))
end)

describe("a policy that fails again and again", function()
  before_each(check.open)
  after_each(check.close)

  local function open(source, options)
    check.write("bad.lua", source)
    check.write("good.lua", [[return { request = function(req) req:set_header("x-good", "yes") end }]])
    options = options or {}
    options.policies = { "bad.lua", "good.lua" }
    options.providers = options.providers or { { id = "p" } }
    return in_process.open(options, { seed = 1, folder = check.folder() .. "/" })
  end

  local function lines(log, msg)
    local found = {}
    for _, line in ipairs(log) do
      if line.msg == msg then found[#found + 1] = line end
    end
    return found
  end

  -- How often the hook was entered stands in a header of the answer.
  local COUNTED = [[local peri = require "perilune"
    return { name = "bad", request = function(req)
      req:set_header("x-entered", tostring(peri.shared.add("entered", 1)))
      %s
    end }]]

  for _, fault in ipairs {
    { name = "raises", lua = "error 'no'", code = "EPOLICY" },
    { name = "uses up its time", lua = "while true do end", code = "EBUDGET", policy = { budget = "5ms" } },
    { name = "uses up its memory", lua = "kept = {} while true do kept[#kept + 1] = ('x'):rep(9999) .. #kept end",
      code = "EBUDGET", policy = { budget = "10s", memory = "4MiB" } },
  } do
    it("is left out when it " .. fault.name .. ", and the others run on", function()
      local r = open("local kept\n" .. COUNTED:format("if not req:header 'x-fine' then " .. fault.lua .. " end"),
        { policy = fault.policy })
      for _ = 1, 9 do
        local got = r:chat()
        assert.same({ 200, "yes" }, { got.status, got.headers["x-good"] })
      end
      assert.is_nil(r:chat(nil, { headers = { ["x-fine"] = "yes" } }).headers["x-entered"])
      local log = r:close()
      local line = lines(log, OUT)
      assert.equal(1, #line)
      assert.same({ "bad", "request", fault.code, 5 }, { line[1].policy, line[1].hook, line[1].error,
        line[1].failures })
      assert.equal(5, #lines(log, "request") - 5) -- five were without a policy error
      for i, request in ipairs(lines(log, "request")) do
        assert.equal(i <= 5 or nil, request.policy_error)
      end
    end)
  end

  it("stays when it has worked: what a client makes it fail at is that client's", function()
    for _, on_failure in ipairs { "skip", "refuse" } do
      local r = open(COUNTED:gsub("name =", ("on_failure = %q, %%0"):format(on_failure))
        :format "if req:header 'x-break' then error 'no' end")
      for _ = 1, 4 do r:chat(nil, { headers = { ["x-break"] = "yes" } }) end
      assert.equal("5", r:chat().headers["x-entered"])
      for _ = 1, 20 do
        local status = r:chat(nil, { headers = { ["x-break"] = "yes" } }).status
        assert.equal(on_failure == "skip" and 200 or 500, status)
      end
      assert.equal("26", r:chat().headers["x-entered"])
      local log = r:close()
      assert.same({ {}, {} }, { lines(log, OUT), lines(log, REFUSES) })
    end
  end)

  it("stays when the operator says so", function()
    local r = open([[return { request = function() error "no" end }]], { policy = { failures = 0 } })
    for _ = 1, 20 do r:chat() end
    local log = r:close()
    assert.same({}, lines(log, OUT))
    assert.is_true(lines(log, "request")[20].policy_error)
  end)

  it("has a row for each hook", function()
    local r = open [[return { request = function() end, answer = function() error "no" end }]]
    for _ = 1, 6 do r:chat() end
    assert.equal("answer", lines(r:close(), OUT)[1].hook)
  end)

  it("is not out for one stream whose every event it fails at, and fills no log with it", function()
    local words = {}
    for i = 1, 40 do words[i] = "w" .. i end
    local r = open([[return { name = "bad", event = function() error "no" end }]],
      { providers = { { id = "p", answers = { answers.stream(words) } } } })
    assert.equal(table.concat(words), r:chat({ stream = true }).text)
    r:advance(1000)
    r:chat { stream = true }
    local log = r:close()
    assert.same({}, lines(log, OUT))
    local failed = lines(log, "policy failed")
    assert.equal(2, #failed)
    assert.is_nil(failed[1].held_back)
    assert.is_true(failed[2].held_back >= 39)
    assert.matches("bad%.lua:1$", failed[2].at)
  end)

  it("says what is new, but no more than eight things a second", function()
    local r = open [[local peri = require "perilune"
      return { request = function(req)
        local n = peri.shared.add("n", 1)
        if n % 2 == 1 then error("fault " .. n) end
      end }]]
    for _ = 1, 60 do r:chat() end
    assert.equal(8, #lines(r:close(), "policy failed"))
  end)
end)
