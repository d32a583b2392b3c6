-- `perilune check` runs each hook of each policy on sample requests: what fails there is a mistake in the
-- configuration, and what the hooks cost is said.
local check = require "spec.support.check"

local CONFIG = [[return { providers = { { id = "a", url = "http://127.0.0.1:1/v1", models = { "m" } },
  { id = "b", url = "http://127.0.0.1:1/v1", tier = 2 } }, policies = { "policies/p.lua", "policies/q.lua" } }]]

--- Hooks of a policy, each with what it does.
local function run(hooks, args, other)
  check.write("policies/p.lua", "local peri = require 'perilune'\nlocal policy = {}\n" .. hooks .. "\nreturn policy\n")
  check.write("policies/q.lua", other or "return {}\n")
  return check.lua(CONFIG, {}, args)
end

local EVERY = [[
function policy.request(req)
  assert(req.model == "m" and (req.body.input or #req.body.messages > 0))
  peri.sleep(30000)
end
function policy.route(req) for _, p in ipairs(req:providers()) do local a = req:try(p) if a then return a end end end
function policy.attempt(req, attempt) attempt:set_header("x-a", attempt.provider.id) end
function policy.event(req, event) if event.data ~= "[DONE]" then assert(event.json.choices) end end
function policy.answer(req, answer) answer.body.note = ("x"):rep(5000) end
function policy.done(req, outcome) assert(outcome.err == "OK" and outcome.provider == "a", outcome.err) end
function policy.epoch(change) assert(change.old == 1 and change.new == 2 and #change.added == 1) end]]

describe("perilune check", function()
  before_each(check.open)
  after_each(check.close)

  it("says what every hook of every policy costs", function()
    local code, out, err = run(EVERY, "",
      "return { done = function() local t = {} for i = 1, 1000 do t[i] = {} end end }")
    assert.equal(0, code, err)
    assert.matches("perilune.lua: ok, 2 providers, 2 policies\n", out, 1, true)
    local found = {}
    for file, hook, us, bytes, calls in out:gmatch "\n  (%S+): (%w+) ([%d.]+) µs, (%d+) bytes %(mean of (%d+)%)" do
      found[file .. " " .. hook] = { us = tonumber(us), bytes = tonumber(bytes), calls = tonumber(calls) }
    end
    local calls = { request = 4, route = 4, attempt = 4, event = 5, answer = 3, done = 4, epoch = 1 }
    for hook, count in pairs(calls) do
      local cost = found[(out:match "(%S*policies/p.lua): request" or "") .. " " .. hook]
      assert.equal(count, cost and cost.calls, hook .. "\n" .. out)
      assert.is_true(cost.us > 0 and cost.us < 50000, hook)
    end
    local q = found[(out:match "(%S*policies/q.lua): done") .. " done"]
    assert.is_true(q.bytes > 50000 and q.bytes < 200000, out) -- garbage counts; a collector that runs would hide it
  end)

  it("counts neither what ran while a hook waited, nor hooks inside it", function()
    local burn = "local function burn() for i = 1, 2000000 do local _ = i end end\n"
    local _, out = run(burn .. [[
function policy.route(req) return (req:try("a")) end
function policy.attempt() burn() end]])
    local function us(hook) return tonumber(out:match(hook .. " ([%d.]+) µs")) end
    assert.is_true(us "attempt" > 5 * us "route", out)
  end)

  it("tells of a hook that fails, with file and line", function()
    for _, hook in ipairs { "request", "route", "attempt", "event", "answer", "done", "epoch" } do
      local code, out, err = run(("function policy.%s(req)\n  error 'not today'\nend"):format(hook))
      assert.equal(78, code, hook)
      assert.equal("", out)
      assert.matches("failed on a sample request, in .*" .. "policies/p.lua:4: not today", err)
    end
    local code, _, err = run("function policy.request(req) while true do end end")
    assert.equal(78, code)
    assert.matches("failed on a sample request, in %a+: policies/p.lua:3: stopped: it used up its budget", err)
  end)

  it("does without when it is told to, or shows something else", function()
    local failing = "function policy.request(req) error 'not today' end"
    local code, out = run(failing, "--no-sample")
    assert.same({ 0, "perilune.lua: ok, 2 providers, 2 policies\n" }, { code, out })
    assert.equal(0, (run(failing, "--dump")))
  end)

  it("shows providers of every network to policies that are for one", function()
    local _, out = run("policy.networks = { 'gonka' }\nfunction policy.attempt() end")
    assert.matches("policies/p.lua: attempt [%d.]+ µs, %d+ bytes %(mean of 4%)", out)
  end)

  it("sends what policies forget: parts of content, tools and their results, embeddings", function()
    local _, _, err = run([[
function policy.request(req)
  local body = req.body
  if body.input then error("input " .. #body.input) end
  if body.tools then error(body.messages[1].content[1].type .. " " .. peri.json.kind(body.messages[3].content) ..
    " " .. body.messages[4].role) end
end]])
    assert.matches("in request: %S-policies/p.lua:5: input 2", err)
    assert.matches("in request: %S-policies/p.lua:6: text null tool", err)
  end)

  it("holds hooks to the budgets that are configured", function()
    local _, _, err = run([[
function policy.request(req)
  local t = os.clock()
  while os.clock() - t < 0.02 do end
end]], "--set policy.second_budget=10ms")
    assert.matches("left out for the rest of the second: it used %d+ ms", err)
  end)

  it("says which hooks the samples did not reach", function()
    local code, out = run("function policy.request(req) req:fail(403, 'nobody') end\nfunction policy.answer() end")
    assert.equal(0, code)
    assert.matches("policies/p.lua: answer was not run by the samples", out, 1, true)
  end)
end)
