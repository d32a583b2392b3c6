--- The hook `done`: it looks at a request that is over, whichever way it ended, and at nothing later.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local observe = [[
  local peri = require "perilune"
  local kept
  return {
    attempt = function() end,
    done = function(req, outcome)
      local may_act = pcall(req.reply, req, 200, {})
      local is_old_alive = kept ~= nil and pcall(function() return kept.id end)
      peri.log.info("seen", { id = req.id, model = req.model, said = req.body.messages[1].content, may_act = may_act,
        team = req:header "x-team" or "", attempts = req.attempts, err = outcome.err, is_old_alive = is_old_alive })
      kept = req
    end,
  }
]]

describe("the hook `done`", function()
  teardown(process.stop_all)

  it("looks at the request, and can not act on it any more", router.test(function(start)
    local p = provider.start()
    local r = start({ providers = { router.provider("a", p) }, policies = { "./observe.lua" } },
      { ["observe.lua"] = observe })
    local id = r:chat({}, { ["x-team"] = "blue" }).headers["x-request-id"]
    p:next(provider.status(400, "no"))
    assert.equal(400, r:chat().status)
    p:answer(provider.stall)
    local c = r:open_chat()
    loop.await("the provider to be asked", function() return #p.requests == 3 end)
    c:close()
    r:await_requests(3)
    local seen = r:log "seen"
    assert.same({ "OK", "EREJECTED", "ECANCELED" }, { seen[1].err, seen[2].err, seen[3].err })
    assert.equal(id, seen[1].id)
    assert.equal("blue", seen[1].team)
    for _, one in ipairs(seen) do
      assert.equal("m", one.model)
      assert.equal("Say hello.", one.said)
      assert.equal(1, one.attempts)
      assert.is_false(one.may_act)
      assert.is_false(one.is_old_alive)
    end
    assert.same({}, r:log "policy failed")
  end))

  it("finds what was sent instead of an object, and nothing where it was no JSON", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "./look.lua" } },
      { ["look.lua"] = [[
        local peri = require "perilune"
        return { done = function(req, outcome)
          peri.log.info("seen", { body = type(req.body), model = type(req.model), err = outcome.err })
        end }
      ]] })
    local bodies =
      { { "{", "nil" }, { "1", "number" }, { '"x"', "string" }, { "null", "userdata" }, { "[]", "userdata" } }
    for i, body in ipairs(bodies) do
      assert.equal(400, r:ask("POST", "/v1/chat/completions", body[1]).status)
      r:await_requests(i)
      assert.same({ body[2], "EINVAL" }, { r:log("seen")[i].body, r:log("seen")[i].err })
    end
    assert.equal(200, r:chat().status)
  end))
end)
