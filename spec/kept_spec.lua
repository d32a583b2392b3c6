--- Policies that keep what they were lent: it leads nowhere once it is over, and harms nobody else's request.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

describe("what a policy keeps of a request", function()
  teardown(process.stop_all)

  local function start_with(start, p, policy)
    return start({ providers = { router.provider("a", p) }, policies = { "keeps.lua" }, workers = 1 },
      { ["keeps.lua"] = "local policy, kept = {}\n" .. policy .. "\nreturn policy\n" })
  end

  it("is over with the event, even when the hook failed", router.test(function(start)
    local r = start_with(start, provider.start(), [[
function policy.event(req, event)
  kept = kept or event
  error("on purpose")
end
function policy.request(req)
  if not kept then return end
  local ok, why = pcall(function() return kept.data end)
  req:reply(200, { ok = ok, why = tostring(why) })
end]])
    assert.equal("Hello there.", r:stream().stream.text)
    local answer = r:chat()
    assert.is_false(answer.json.ok)
    assert.matches("the event is over", answer.json.why)
  end))

  it("is no answer to a later request", router.test(function(start)
    local r = start_with(start, provider.start(), [[
function policy.route(req)
  if kept then return kept end
  kept = req:try("a")
  return kept
end]])
    for _ = 1, 3 do assert.equal("Hello there.", r:chat().json.choices[1].message.content) end
    local failed = r:log "policy failed"
    assert.equal(2, #failed)
    assert.matches("route must return what req:try gave", failed[1].detail)
  end))

  it("can not be tried by another request's hooks", router.test(function(start)
    local release = {}
    local p = provider.start(function(c, request)
      provider.hold(release)(c, request)
      provider.chat "Hello there."(c, request)
    end)
    local r = start_with(start, p, [[
function policy.route(req)
  if kept then
    local ok, why = pcall(kept.try, kept, "a")
    return req:reply(200, { ok = ok, why = tostring(why) })
  end
  kept = req
end]])
    local first
    loop.spawn(function() first = r:chat() end)
    loop.await("the first request at the provider", function() return p.busy == 1 end)
    local second = r:chat()
    assert.is_false(second.json.ok)
    assert.matches("its own hooks only", second.json.why)
    release.now = true
    loop.await("the first answer", function() return first end)
    assert.equal("Hello there.", first.json.choices[1].message.content)
  end))
end)
