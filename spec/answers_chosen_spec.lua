-- What hooks make of a request's model, of whether it streams, and of the answers that tries gave.
local check = require "spec.support.check"

--- `perilune test` of one policy: the body of a test, which gets `router` and `testing`.
local function test(policy, body)
  check.write("p.lua", policy)
  check.write("a_test.lua", ([[
local testing = require "perilune.testing"
testing.test("it", function(t)
  local router = t:router { policies = { "p.lua" }, providers = {
    { id = "a", models = { ["m"] = { upstream = "m-at-a" }, other = {} } }, { id = "b", tier = 2, models = { "m" } },
    { id = "c", tier = 3, models = { ["other"] = { upstream = "other-at-c" } } }, { id = "any", tier = 4 } } }
%s
end)
]]):format(body))
  local code, out, err = check.perilune "test a_test.lua"
  assert.equal(0, code, out .. err)
end

--- Log lines of a test that is made to fail, to be looked at.
local function log_of(policy, body)
  check.write("p.lua", policy)
  check.write("a_test.lua", ([[
local testing, json = require "perilune.testing", require("perilune").json
testing.test("it", function(t)
  local router = t:router { policies = { "p.lua" }, providers = { { id = "a", max_concurrent = 1 }, { id = "b" } } }
%s
  t:fail "to see the log"
end)
]]):format(body))
  local _, out = check.perilune "test --format=json a_test.lua"
  local line = require("cjson").decode(out:match "^[^\n]+")
  assert.equal("to see the log", line.message)
  local found = {}
  for _, each in ipairs(line.log) do
    if each.msg == "policy threw an answer away" then found[#found + 1] = each end
  end
  return found, line
end

describe("a request's model", function()
  before_each(check.open)
  after_each(check.close)

  it("is changed by req.model, and the new model's providers serve it", function()
    test("return { request = function(req) req.model = 'other' end }", [[
  local got = router:chat { model = "m" }
  t:equal({ got.provider, got.headers["x-perilune-model"], got.tried }, { "a", "other", { "a" } })
  t:equal(router.providers.a.requests[1].json.model, "other")]])
    test([[return { request = function(req)
      req.model = "OTHER"
      local ids = {}
      for i, p in ipairs(req:providers()) do ids[i] = p.id end
      req:reply(200, { model = req.model, ids = ids })
    end }]], [[
  t:equal(router:chat({ model = "m" }).json, { model = "other", ids = { "a", "c", "any" } })]])
  end)

  it("is another one for one try, by an option", function()
    test([[return { route = function(req)
      return (req:try("c")) or (req:try("b", { model = "other" })) or (req:try("c", { model = "other" }))
    end }]], [[
  local got = router:chat { model = "m" }
  t:equal({ got.provider, got.headers["x-perilune-model"], got.tried }, { "c", "other", { "c" } })
  t:equal(router.providers.c.requests[1].json.model, "other-at-c")]])
    test("return { route = function(req) return (req:try('any', { model = 'never heard of' })) end }", [[
  local got = router:chat { model = "m" }
  t:equal({ got.provider, got.headers["x-perilune-model"] }, { "any", "never heard of" })
  t:equal(router.providers.any.requests[1].json.model, "never heard of")]])
  end)

  it("stays what it was when the other one's try failed", function()
    test("return { route = function(req) req:try('a', { model = 'other', first_token_ms = 5 }) end }", [[
  router = t:router { policies = { "p.lua" }, providers = { { id = "a", models = { "m", "other" },
    answers = { testing.stall(), testing.chat "x" } }, { id = "b", models = { "m" } } } }
  local got = router:chat { model = "m" }
  t:equal({ got.provider, got.headers["x-perilune-model"] }, { "b", "m" })]])
  end)

  it("is not changed in the body, which says what to do instead", function()
    for write, why in pairs {
      ["req.body.model = 'other'"] = "set req.model, or give req:try the option 'model'",
      ["req.body.model = nil"] = "set req.model, or give req:try the option 'model'",
      ["req.body.stream = true"] = "req.body.stream can not be changed: whether the answer is streamed",
    } do
      for _, hook in ipairs { "request", "route" } do
        test(("return { %s = function(req) %s end }"):format(hook, write), ([[
  t:expect_policy_error %q
  local got = router:chat { model = "m" }
  t:equal({ got.provider, got.text, router.providers.a.requests[1].json.stream }, { "a", "hello from a", nil })]])
          :format(why:gsub("%p", "%%%0")))
      end
    end
  end)

  it("and whether it streams may be written as they are", function()
    test([[return { request = function(req)
      req.body.model = req.body.model
      req.body.stream = req.body.stream
      req.body.stream = false
      req.body.inner.stream, req.body.inner.model = true, "x"
    end, attempt = function(_, attempt)
      attempt.body.model, attempt.body.stream = "as this provider spells it", nil
    end }]],
      [[t:equal(router:chat({ model = "m", inner = {} }).text, "hello from a")
  local sent = router.providers.a.requests[1].json
  t:equal({ sent.model, sent.inner }, { "as this provider spells it", { stream = true, model = "x" } })]])
  end)

  it("streams as the client asked, whatever an attempt's body would say", function()
    test("return { attempt = function(req, attempt) attempt.body.stream = true end }", [[
  t:expect_policy_error "attempt.body.stream can not be changed"
  t:equal(router:chat({ model = "m" }).text, "hello from a")]])
  end)
end)

describe("an answer that a hook does not return", function()
  before_each(check.open)
  after_each(check.close)

  it("is let go at once, and told once with the hook's place", function()
    for hook, ending in pairs { route = "`route` did not return that",
      request = "`request` did not return that: answers are chosen in `route`" } do
      local found, line = log_of(("local policy = { name = 'forgets' }\n\n"
        .. "function policy.%s(req)\n  req:try('a')\nend\nreturn policy\n"):format(hook), [[
  for i = 1, 3 do t:equal(router:chat({ stream = true }).status, 200) end
  t:equal(#router.providers.a.requests + #router.providers.b.requests, 6)
  t:equal(router.providers.a.requests[1].left, false)]])
      assert.equal(1, #found, hook)
      local told = found[1]
      assert.same({ "warn", "policy", "forgets", hook }, { told.level, told.component, told.policy, told.hook })
      assert.matches("p.lua:3: a provider answered req:try, and " .. ending, found[1].detail, 1, true)
      assert.is_string(found[1].request_id)
      assert.is_table(line.journal)
    end
  end)

  it("does not keep its provider's slot while the request goes on", function()
    test([[return { route = function(req) req:try("a") end }]], [[
  router = t:router { policies = { "p.lua" }, providers = { { id = "a", max_concurrent = 1,
    answers = { testing.stream { "x", 60000, "y" } } }, { id = "b", answers = { testing.stream { "b" } } } } }
  router:chat({ stream = true })
  t:ok(router.providers.a.requests[1].left, "the first try was left")]])
  end)

  it("is nothing to tell when another one of the hook's is returned", function()
    local found = log_of([[return { route = function(req)
      local first, second = req:try("a"), req:try("b")
      return first
    end }]], [[
  local got = router:chat { stream = true }
  t:equal({ got.provider, got.text }, { "a", "hello from a" })]])
    assert.equal(0, #found)
  end)

  it("is nothing to tell when the policy replies by itself, and ends with the request", function()
    local found = log_of("return { route = function(req) req:try('a') req:reply(200, { mine = true }) end }", [[
  for _ = 1, 3 do t:equal(router:chat().json, { mine = true }) end]])
    assert.equal(0, #found)
  end)
end)
