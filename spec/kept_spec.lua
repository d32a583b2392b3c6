--- Policies that keep what they were lent: it leads nowhere once it is over, and harms nobody else's request.
local cjson = require "cjson"
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
    assert.equal(1, #failed) -- said once a second
    for i, request in ipairs(r:await_requests(3)) do assert.equal(i > 1 or nil, request.policy_error) end
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

  -- Objects of every kind, kept by the hooks that get them, and `poke`, which tries everything on them.
  local keeps_all = [[
kept = {}
local peri = require "perilune"
local members = { "body", "model", "id", "stream", "headers", "key", "endpoint", "attempts", "elapsed_ms", "try",
  "providers", "pick", "reply", "fail", "header", "set_header", "set_answer_header", "refuse", "expect_content",
  "provider", "number", "previous", "context_tokens", "max_output_tokens", "data", "name", "json", "drop", "replace",
  "status", "messages", "content", "choices", "x-a", "tools", 1, 2 }

local function keep(name, object)
  if kept[name] == nil and object ~= nil then kept[name] = object end
end

local function keep_document(name, document)
  keep(name, document)
  if type(document) ~= "userdata" then return end
  local list = document.messages or document.choices
  keep(name .. " list", list)
  keep(name .. " member", list and list[1])
  if list then
    local step, state, at = ipairs(list)
    keep(name .. " walk", function() return step(state, at) end)
    local next, object, key = pairs(document)
    keep(name .. " pairs", function() return next(object, key) end)
  end
  keep(name .. " text", function() return peri.json.encode(document) end)
  keep(name .. " same", function() return peri.json.same(document, document) end)
end

-- Names of what still answered.
local function poke()
  local alive = {}
  local function attempt(what, fn, ...)
    local ok, why = pcall(fn, ...)
    why = tostring(why)
    if ok or not (why:find "is finished" or why:find "is over" or why:find "is gone") then
      alive[#alive + 1] = what .. (ok and "" or ": " .. why)
    end
  end
  for name, object in pairs(kept) do
    if type(object) == "function" then
      attempt(name, object)
    else
      for _, member in ipairs(members) do
        local ok, value = pcall(function() return object[member] end)
        if type(value) == "function" then -- a method, which is the same for every object
          attempt(name .. ":" .. member, value, object, 500, "text", "x-a", 1)
          attempt(name .. ":" .. member, value, object, "x-a", "b")
          attempt(name .. ":" .. member, value, object, "a")
        else
          attempt(name .. "." .. member, function() return object[member] end)
        end
        if not name:find "^req$" and not name:find "event$" and not name:find "attempt$" and not name:find "whole$"
          and not name:find "answer$" and not name:find "^headers" then
          attempt(name .. "." .. member .. " =", function() object[member] = { 1 } end)
        end
      end
      if name == "headers of attempt" then attempt(name .. " x-a =", function() object["x-a"] = "b" end) end
      if name:find "body" or name:find "json" then
        attempt("#" .. name, function() return #object end)
        attempt("pairs " .. name, function() for _ in pairs(object) do return 1 end return 2 end)
        attempt("text of " .. name, peri.json.encode, object)
        attempt("insert into " .. name, peri.json.insert, object, 1)
        attempt("remove from " .. name, peri.json.remove, object, 1)
        attempt("in a table " .. name, peri.json.encode, { object })
      end
      tostring(object)
    end
  end
  table.sort(alive)
  return alive
end

function policy.request(req)
  local first = kept.req == nil
  if not first then
    local found = poke()
    local kinds = {}
    for name in pairs(kept) do kinds[#kinds + 1] = name end
    table.sort(kinds)
    return req:reply(200, { alive = peri.json.array(found), kinds = kinds })
  end
  keep("req", req)
  keep("headers", req.headers)
  keep_document("body", req.body)
end
function policy.route(req)
  local answer = req:try "a"
  keep("answer", answer)
  return answer
end
function policy.attempt(req, attempt)
  keep("attempt", attempt)
  keep("headers of attempt", attempt.headers)
  attempt.body.seed = 1
  keep_document("attempt body", attempt.body)
end
function policy.event(req, event)
  keep("event", event)
  keep_document("event json", event.json)
end
function policy.answer(req, answer)
  keep("whole", answer)
  keep_document("answer body", answer.body)
end
function policy.done(req, outcome)
  keep_document("body in done", req.body)
end]]

  local common = {
    "answer", "attempt", "attempt body", "attempt body list", "attempt body member", "attempt body pairs",
    "attempt body same", "attempt body text", "attempt body walk", "body", "body list", "body member", "body pairs",
    "body same", "body text", "body walk", "headers", "headers of attempt", "req",
  }

  local function check(answer, kinds)
    assert.equal(200, answer.status)
    assert.same({}, answer.json.alive)
    local seen = {}
    for _, kind in ipairs(answer.json.kinds) do seen[kind] = true end
    for _, list in ipairs { common, kinds } do
      for _, kind in ipairs(list) do assert.is_true(seen[kind], kind .. " was not kept") end
    end
  end

  it("says that it is over, whatever it is and whatever is tried on it", router.test(function(start)
    local r = start_with(start, provider.start(), keeps_all)
    assert.equal("Hello there.", r:chat().json.choices[1].message.content)
    check(r:chat(), { "whole", "answer body", "answer body list", "body in done" })
  end))

  it("is over with a stream, too", router.test(function(start)
    local r = start_with(start, provider.start(), keeps_all)
    assert.equal("Hello there.", r:stream().stream.text)
    check(r:chat(), { "event", "event json", "event json list", "event json walk", "body in done" })
  end))

  -- The next request of the connection begins where the last one ends: in the same turn of the loop, before the
  -- memory of the first request is given back, and after its bytes have left the connection's buffer.
  it("is over when the connection's next request begins", router.test(function(start)
    local r = start_with(start, provider.start(), keeps_all)
    local text = router.request_text("POST", "/v1/chat/completions", router.chat_body())
    local c = r:open("POST", "/v1/chat/completions", router.chat_body())
    assert(c:send(text))
    local first = c:take_head()
    assert.equal(200, first.status)
    c:take_body(first)
    local head = c:take_head()
    local body = c:take_body(head)
    c:close()
    check({ status = head.status, json = cjson.decode(body) }, { "whole", "answer body", "body in done" })
  end))

  it("is over for a client that left", router.test(function(start)
    local p = provider.start()
    local r = start_with(start, p, keeps_all)
    p:next(provider.stall)
    local c = r:open_chat()
    loop.await("the provider to be asked", function() return #p.requests == 1 end)
    c:close()
    r:await_requests(1)
    local answer = r:chat()
    assert.equal(200, answer.status)
    assert.same({}, answer.json.alive)
  end))

  it("is gone with the generation that kept it, whose name stays readable to the end", router.test(function(start)
    local release = {}
    local p = provider.start(function(c, request)
      provider.hold(release)(c, request)
      provider.chat "Hello there."(c, request)
    end)
    local r = start_with(start, p, keeps_all)
    local first
    loop.spawn(function() first = r:chat() end)
    loop.await("the first request at the provider", function() return p.busy == 1 end)
    r:write("keeps.lua", "local policy, kept = {}\n" .. keeps_all .. "\nreturn policy -- again\n")
    loop.await("the reload", function() return #r:log "reloaded" == 1 end)
    release.now = true
    loop.await("the first answer", function() return first end)
    assert.matches("keeps%.lua@1$", first.headers["x-perilune-route"])
    for edit = 1, 3 do
      r:write("keeps.lua", "local policy, kept = {}\n" .. keeps_all .. "\nreturn policy -- edit " .. edit .. "\n")
      loop.await("a reload", function() return #r:log "reloaded" == 1 + edit end)
      assert.matches("keeps%.lua@" .. 2 + edit .. "$", r:chat().headers["x-perilune-route"])
    end
  end))

  it("is no coroutine that another request may go on with", router.test(function(start)
    local p = provider.start()
    local r = start_with(start, p, [[
local peri = require "perilune"
function policy.route(req)
  if kept then
    local ok, why = coroutine.resume(kept)
    return req:reply(200, { ok = ok, why = tostring(why), status = coroutine.status(kept) })
  end
  kept = coroutine.running()
  return (req:try("a"))
end]])
    local release = {}
    p:next(function(c, request)
      provider.hold(release)(c, request)
      provider.chat "Hello there."(c, request)
    end)
    local first
    loop.spawn(function() first = r:chat() end)
    loop.await("the first request at the provider", function() return p.busy == 1 end)
    for _ = 1, 3 do
      assert.same({ ok = false, status = "suspended",
        why = "this coroutine belongs to a request: only the router resumes it" }, r:chat().json)
    end
    release.now = true
    loop.await("the first answer", function() return first end)
    assert.equal("Hello there.", first.json.choices[1].message.content)
    assert.same({ ok = false, status = "dead", why = "cannot resume dead coroutine" }, r:chat().json)
  end))
end)
