--- A chain in which one policy fails: what it did in that hook is taken back, what the others did stays, and on_failure
--- says what the failure means for the request.
local answers = require "perilune.testing.answers"
local check = require "spec.support.check"
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local programs = require "spec.support.router"
local router = require "perilune.testing.router"

--- The program's files live in a folder of their own for each spec.
local function open(options, files)
  for name, text in pairs(files) do check.write(name, text) end
  options.providers = options.providers or { { id = "p" } }
  return router.open(options, { seed = 1, folder = check.folder() .. "/" })
end

local function said(log, msg)
  local found = {}
  for _, line in ipairs(log) do
    if line.msg == msg then found[#found + 1] = line end
  end
  return found
end

-- What each hook of a policy that behaves does. NAME stands for the policy's name.
local hooks = {
  request = [[req.body.request_NAME = true; req:set_header("x-request-NAME", "yes")]],
  route = [[req.body.route_NAME = true; req:set_header("x-route-NAME", "yes")]],
  attempt = [[object.body.attempt_NAME = true; object:set_header("x-up-NAME", "yes");
    object:set_answer_header("x-attempt-NAME", "yes")]],
  event = [[if object.json then object.json.event_NAME = true end]],
  answer = [[object.body.answer_NAME = true; req:set_header("x-answer-NAME", "yes")]],
  done = [[require "perilune".log.info "done NAME"]],
}
local names = { "a", "b", "c" }
local order = { "request", "route", "attempt", "event", "answer", "done" }

-- How a hook fails after it has done all that.
local faults = {
  { name = "raises", lua = "error 'on purpose'", code = "EPOLICY", policy = {} },
  { name = "runs out of time", lua = "while true do end", code = "EBUDGET", policy = { budget = "10ms" } },
  { name = "runs out of memory", lua = "local t = {} while true do t[#t + 1] = ('x'):rep(9999) .. #t end",
    code = "EBUDGET", policy = { budget = "10s", memory = "4MiB" } },
}

--- A policy with every hook, of which one may end with `lua`.
local function policy(name, bad, lua)
  local parts = { ("local policy = { name = %q }"):format(name) }
  for _, hook in ipairs(order) do
    parts[#parts + 1] = ("function policy.%s(req, object) %s %s end"):format(hook, hooks[hook]:gsub("NAME", name),
      hook == bad and lua or "")
  end
  return table.concat(parts, "\n") .. "\nreturn policy\n"
end

--- Whether the hook of that name has left its traces in what the provider got, the client got and the log tells.
local function traces(hook, name, got, log)
  if hook == "request" or hook == "route" then
    return { got.sent[hook .. "_" .. name] == true, got.headers["x-" .. hook .. "-" .. name] == "yes" }
  elseif hook == "attempt" then
    return { got.sent["attempt_" .. name] == true, got.up["x-up-" .. name] == "yes",
      got.headers["x-attempt-" .. name] == "yes" }
  elseif hook == "done" then
    return { #said(log, "done " .. name) == 1 }
  elseif got.stream and hook == "event" then
    local n = 0
    for _ in got.body:gmatch('"event_' .. name .. '":true') do n = n + 1 end
    return { n > 0 and n == got.json_events }
  elseif not got.stream and hook == "answer" then
    return { got.json["answer_" .. name] == true, got.headers["x-answer-" .. name] == "yes" }
  end
  return {}
end

local function ask(r, stream)
  local answer = r:chat { stream = stream }
  local got = { status = answer.status, headers = answer.headers, body = answer.body, text = answer.text,
    json = not stream and answer.json, stream = stream, complete = answer.complete,
    sent = r.providers.p.requests[1].json, up = r.providers.p.requests[1].headers, json_events = 0 }
  for _, data in ipairs(stream and answer.events or {}) do
    if data ~= "[DONE]" then got.json_events = got.json_events + 1 end
  end
  return got
end

describe("a policy of a chain that uses most of its budget", function()
  before_each(check.open)
  after_each(check.close)

  for _, hook in ipairs(order) do
    it("takes nothing of the next one's in `" .. hook .. "`", function()
      local source = [[local peri = require "perilune"
        return { name = "%s", ]] .. hook .. [[ = function(req)
          peri.hash.sha256(("x"):rep(1000000))
          peri.shared.add("%s", 1)
          if "]] .. hook .. [[" == "request" then req:set_header("x-%s", "yes") end
        end }]]
      local r = open({ policies = { "a.lua", "b.lua", "c.lua" }, policy = { instructions = 100000 } }, {
        ["a.lua"] = source:format("a", "n", "a"),
        ["b.lua"] = source:format("b", "n", "b"),
        ["c.lua"] = [[local peri = require "perilune"
          return { request = function(req) req:set_header("x-n", tostring(peri.shared.get "n")) end }]],
      })
      assert.equal("hello from p", r:chat({ stream = hook == "event" }).text)
      local count = math.tointeger(tonumber(r:chat().headers["x-n"]))
      assert.is_true(count >= 2 and count % 2 == 0, "called " .. count .. " times")
      assert.same({}, said(r:close(), "policy failed"))
    end)
  end
end)

describe("a policy of a chain that fails", function()
  before_each(check.open)
  after_each(check.close)

  for _, fault in ipairs(faults) do
    for place, bad in ipairs(names) do
      for _, hook in ipairs(order) do
        it(("is alone with it: the %s of three %s in `%s`"):format(({ "first", "second", "last" })[place], fault.name,
          hook), function()
          local files, stream = {}, hook == "event"
          for _, name in ipairs(names) do
            files[name .. ".lua"] = policy(name, name == bad and hook, fault.lua)
          end
          local r = open({ policies = { "a.lua", "b.lua", "c.lua" }, policy = fault.policy }, files)
          local got = ask(r, stream)
          local log = r:close()
          assert.same({ 200, true, "hello from p" }, { got.status, got.complete, got.text })
          for _, each in ipairs(order) do
            for _, name in ipairs(names) do
              local is_failed = each == hook and name == bad
              for i, is_there in ipairs(traces(each, name, got, log)) do
                local should = not is_failed or each == "done" -- what was logged is logged
                assert.equal(should, is_there, ("trace %d of `%s` of %s"):format(i, each, name))
              end
            end
          end
          local line = said(log, "policy failed")[1]
          assert.same({ bad, hook, fault.code }, { line.policy, line.hook, line.error })
          assert.matches("^" .. check.folder():gsub("%p", "%%%0") .. "/" .. bad .. "%.lua:%d+$", line.at)
          -- `done` runs when the request's line is written
          assert.equal(hook ~= "done" or nil, said(log, "request")[1].policy_error)
        end)
      end
    end
  end

  it("does not bring back an event that another dropped, nor what another took out of the body", function()
    local r = open({ policies = { "scrub.lua", "bad.lua", "last.lua" } }, {
      ["scrub.lua"] = [[return {
        request = function(req) req.body.secret = nil end,
        event = function(_, event) if event.data:find "hello" then event:drop() end end,
      }]],
      ["bad.lua"] = [[return { request = function() error "no" end, event = function() error "no" end }]],
      ["last.lua"] = [[return { request = function(req) req:set_header("x-last", "ran") end }]],
    })
    local got = r:chat { stream = true, secret = "s3cret" }
    r:close()
    assert.same({ " from p", "ran" }, { got.text, got.headers["x-last"] })
    assert.is_nil(r.providers.p.requests[1].body:find "secret")
  end)

  it("does not drop, replace or add what it wanted to", function()
    local r = open({ policies = { "adds.lua", "bad.lua" } }, {
      ["adds.lua"] = [[return { event = function(_, event)
        if event.json then event.json.kept = true end
      end }]],
      ["bad.lua"] = [[local n = 0
        return { event = function(_, event)
          n = n + 1
          if n % 2 == 1 then event:drop() else event:replace { replaced = true } end
          error "after all"
        end }]],
    })
    local got = r:chat { stream = true }
    r:close()
    assert.equal("hello from p", got.text)
    assert.is_nil(got.body:find "replaced")
    for i = 1, #got.events - 1 do assert.matches('"kept":true', got.events[i]) end
  end)

  it("takes its reply back, and what it said against an attempt", function()
    local r = open({ policies = { "reply.lua", "refuses.lua" } }, {
      ["reply.lua"] = [[return { request = function(req) req:reply(418, { no = true }) error "no" end }]],
      ["refuses.lua"] = [[return { attempt = function(_, attempt) attempt:refuse(400, "not that") error "no" end }]],
    })
    assert.equal("hello from p", r:chat().text)
    r:close()
  end)

  it("leaves the refusal of another as it was", function()
    local r = open({ policies = { "refuses.lua", "bad.lua" } }, {
      ["refuses.lua"] = [[return { attempt = function(_, attempt) attempt:refuse(422, "too much", "much") end }]],
      ["bad.lua"] = [[return { attempt = function(_, attempt) attempt:refuse(400, "not that") error "no" end }]],
    })
    local got = r:chat()
    r:close()
    assert.same({ 422, "too much", "much" }, { got.status, got.error.message, got.error.code })
  end)

  it("lets the next route decide, and is not named as the one that did", function()
    local r = open({ policies = { "bad.lua", "good.lua" }, providers = { { id = "p" }, { id = "q" } } }, {
      ["bad.lua"] = [[return { name = "bad", route = function(req) req:try "p" error "no" end }]],
      ["good.lua"] = [[return { name = "good", route = function(req) return (req:try "q") end }]],
    })
    local got = r:chat()
    r:close()
    assert.same({ "hello from q", "good@1" }, { got.text, got.route })
  end)

  it("does not take away the provider that it had an answer of", function()
    local r = open({ policies = { "bad.lua" } },
      { ["bad.lua"] = [[return { route = function(req) req:try "p" error "no" end }]] })
    local got = r:chat()
    r:close()
    assert.same({ 200, "hello from p", { "p", "p" } }, { got.status, got.text, got.tried })
  end)

  it("keeps the answer of a route whose attempt a hook failed in", function()
    local r = open({ policies = { "route.lua", "slow.lua" }, policy = { budget = "10ms" } }, {
      ["route.lua"] = [[return { name = "route", route = function(req)
        req:set_header("x-routed", "yes")
        return (req:try "p")
      end }]],
      ["slow.lua"] = [[return { attempt = function(_, attempt) attempt.body.bad = 1 while true do end end }]],
    })
    local got = r:chat()
    r:close()
    assert.same({ "hello from p", "route@1", "yes" }, { got.text, got.route, got.headers["x-routed"] })
    assert.is_nil(r.providers.p.requests[1].json.bad)
  end)

  it("does not take what an attempt's hook uses off the route that waits for it", function()
    local burn = "local t = os.clock() while os.clock() - t < 0.012 do end "
    local r = open({ policies = { "route.lua", "slow.lua" },
      policy = { budget = "20ms", request_budget = "1s", second_budget = "1s" } }, {
      ["route.lua"] = [[return { name = "route", route = function(req)
        req:try "p" req:try "p" req:try "p"
        return (req:try "p")
      end }]],
      ["slow.lua"] = "return { name = 'slow', attempt = function(_, attempt) " .. burn ..
        "attempt:set_header('x-slow', 'yes') end }",
    })
    local got = r:chat()
    local log = r:close()
    assert.same({}, said(log, "policy failed"))
    assert.same({ "route@1", 4 }, { got.route, #got.tried })
  end)

  it("does not take the second's budget from other requests", function()
    local words = {}
    for i = 1, 20 do words[i] = "w" .. i end
    local r = open({ policies = { "slow.lua" }, policy = { second_budget = "100ms" },
      providers = { { id = "p", answers = { answers.stream(words), answers.chat("hi") } } } }, {
      ["slow.lua"] = [[return { name = "slow", request = function(req) req:set_header("x-seen", "yes") end,
        event = function()
          local t = os.clock()
          while os.clock() - t < 0.03 do end
        end }]],
    })
    r:chat { stream = true }
    local got = r:chat()
    local failed = said(r:close(), "policy failed")
    assert.equal("yes", got.headers["x-seen"])
    assert.equal(1, #failed)
    assert.matches("left out of this request for the rest of the second: it used %d+ ms", failed[1].detail)
  end)

  it("does not keep a route alive that tries for ever", function()
    local r = open({ policies = { "route.lua", "slow.lua", "refuses.lua" }, policy = { budget = "5ms" } }, {
      ["route.lua"] = [[return { route = function(req) while true do req:try "p" end end }]],
      ["slow.lua"] = [[return { attempt = function() while true do end end }]],
      ["refuses.lua"] = [[return { attempt = function(_, attempt) attempt:refuse(422, "not that") end }]],
    })
    assert.equal(422, r:chat().status)
    local hooks_that_failed = {}
    for _, line in ipairs(said(r:close(), "policy failed")) do hooks_that_failed[line.hook] = line.error end
    assert.same({ attempt = "EBUDGET", route = "EBUDGET" }, hooks_that_failed)
  end)

  it("tells its own outcome from another's", function()
    local r = open({ policies = { "bad.lua", "good.lua" } }, {
      ["bad.lua"] = [[return { done = function(_, outcome) outcome.provider = "changed" end }]],
      ["good.lua"] = [[return { done = function(_, outcome) require "perilune".log.info(outcome.provider) end }]],
    })
    r:chat()
    assert.equal(1, #said(r:close(), "p"))
  end)
end)

describe("an `epoch` hook that fails", function()
  teardown(process.stop_all)

  it("does not keep the others from hearing of the epoch", programs.test(function(start)
    local net = network.start { hosts = 2 }
    local hears = [[return { epoch = function(change)
      require "perilune".log.info("heard", { new = change.new, added = #change.added })
      change.added = nil
      %s
    end }]]
    local r = start({ providers = { net:provider() }, policies = { "a.lua", "bad.lua", "c.lua" }, workers = 1 },
      { ["a.lua"] = hears:format "", ["bad.lua"] = hears:format "error 'on purpose'", ["c.lua"] = hears:format "" })
    net:epoch { "h1" }
    local heard = loop.await("all three to hear", function()
      local lines = r:log "heard"
      return #lines % 3 == 0 and lines[3] and lines
    end, 20)
    for i = 1, 3 do assert.same({ heard[1].new, heard[1].added }, { heard[i].new, heard[i].added }) end
    local failed = r:log "policy failed"
    assert.equal("epoch", failed[1].hook)
    assert.matches("bad%.lua:4$", failed[1].at)
  end))
end)

describe("policy.on_failure = \"refuse\"", function()
  before_each(check.open)
  after_each(check.close)

  local function guard(hook, condition)
    return ([[local policy = { name = "guard", on_failure = "refuse" }
      function policy.%s(req, object) if %s then error "no" end end
      return policy]]):format(hook, condition or "true")
  end

  for _, hook in ipairs { "request", "route", "attempt", "answer" } do
    for _, stream in ipairs(hook == "answer" and { false } or { false, true }) do
      it(("is a 500 before the commit point: `%s`%s"):format(hook, stream and ", streamed" or ""), function()
        local r = open({ policies = { "guard.lua", "last.lua" }, providers = { { id = "p" }, { id = "q" } } },
          { ["guard.lua"] = guard(hook), ["last.lua"] = [[return {
            route = function(req) return (req:try "p") or (req:try "q") end,
            done = function(_, outcome) require "perilune".log.info("ended", { status = outcome.status }) end }]] })
        local got = r:chat { stream = stream }
        local log = r:close()
        assert.same({ 500, "policy_failed", "server_error" }, { got.status, got.error.code, got.error.type })
        assert.matches("guard", got.error.message)
        assert.equal(hook == "answer" and 1 or 0, #r.providers.p.requests + #r.providers.q.requests)
        assert.equal(500, said(log, "ended")[1].status)
        assert.is_true(said(log, "request")[1].policy_error)
      end)
    end
  end

  it("is a 500 when a held event fails, and the next provider is not asked", function()
    local r = open({ policies = { "guard.lua" }, providers = { { id = "p" }, { id = "q", tier = 2 } } },
      { ["guard.lua"] = guard "event" })
    local got = r:chat { stream = true }
    r:close()
    assert.same({ 500, "policy_failed", { "p" } }, { got.status, got.error.code, got.tried })
  end)

  it("is an error frame behind the commit point, with nothing of the event that failed", function()
    local r = open({ policies = { "guard.lua" },
      providers = { { id = "p", answers = { answers.stream { "one", 10, "two", 10, "three" } } } } },
      { ["guard.lua"] = guard("event", 'object.data:find "two"') })
    local got = r:chat { stream = true }
    r:close()
    assert.same({ 200, "one", false, "policy_failed" }, { got.status, got.text, got.complete, got.error.code })
    assert.is_nil(got.body:find "two")
    assert.is_nil(got.body:find "%[DONE%]")
  end)

  it("is the same when the built-in route asks", function()
    local r = open({ policies = { "guard.lua" } }, { ["guard.lua"] = guard "attempt" })
    local got = r:chat()
    r:close()
    assert.same({ 500, "policy_failed", {} }, { got.status, got.error.code, got.tried })
  end)

  it("tells a route that goes on trying, and its reply does not count", function()
    local r = open({ policies = { "guard.lua", "route.lua" } }, { ["guard.lua"] = guard "attempt",
      ["route.lua"] = [[local peri = require "perilune"
        return { route = function(req)
          local codes = {}
          for i = 1, 3 do codes[i] = select(3, req:try "p") end
          peri.log.info(table.concat(codes, " "))
          req:reply(200, { fine = true })
        end }]] })
    local got = r:chat()
    local log = r:close()
    assert.same({ 500, "policy_failed" }, { got.status, got.error.code })
    assert.equal(1, #said(log, "EPOLICY EPOLICY EPOLICY"))
    assert.equal(1, #said(log, "policy failed"))
  end)

  it("lets no answer pass that is too large for its hook to be asked", function()
    local large = ([[{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],]]
      .. [["padding":[%s0]}]]):format(("0,"):rep(2200000))
    for word, status in pairs { refuse = 500, skip = 200 } do
      local p = { id = "p", answers = { answers.status(200, { body = large }) } }
      local r = open({ policies = { "p.lua" }, providers = { p } },
        { ["p.lua"] = ("return { name = 'p', on_failure = '%s', answer = function() end }"):format(word) })
      assert.equal(status, r:chat().status, word)
      local lines = said(r:close(), "policy failed")
      assert.same({ 1, "answer", "ETOOBIG" }, { #lines, lines[1].hook, lines[1].error })
    end
  end)

  it("says nothing to the client when `done` fails", function()
    local r = open({ policies = { "guard.lua" } }, { ["guard.lua"] = guard "done" })
    local got = r:chat()
    assert.same({ 200, "hello from p" }, { got.status, got.text })
    assert.equal("done", said(r:close(), "policy failed")[1].hook)
  end)

  it("is refused at load when it is neither", function()
    for value, got in pairs { ['"drop"'] = 'got "drop"', ["true"] = "got a boolean" } do
      local ok, why = pcall(open, { policies = { "p.lua" } }, { ["p.lua"] = "return { on_failure = " .. value .. " }" })
      assert.is_false(ok)
      assert.matches('p%.lua:1: \'on_failure\' must be "skip" or "refuse", ' .. got, why)
    end
  end)
end)

describe("what the author of a policy is told", function()
  before_each(check.open)
  after_each(check.close)

  local function detail_of(source, hook)
    local r = open({ policies = { "p.lua" } }, { ["p.lua"] = ([[local peri = require "perilune"
      return { name = "p", %s = function(req, object) %s end }]]):format(hook or "route", source) })
    r:chat()
    return said(r:close(), "policy failed")[1].detail:gsub("^%S+p%.lua:%d+: ", "")
  end

  it("is that 'networks' or 'on_failure' is misspelt: it would do less, and nobody would notice", function()
    for member, want in pairs { network = "networks", netwroks = "networks", on_faliure = "on_failure",
      onfailure = "on_failure" } do
      local ok, why = pcall(open, { policies = { "p.lua" } },
        { ["p.lua"] = ("return { %s = 'refuse', tries = 3 }"):format(member) })
      assert.is_false(ok)
      assert.matches(("p.lua: a policy has no member '%s', did you mean '%s'?"):format(member, want), why, 1, true)
    end
  end)

  it("has no line where a misspelt hook has none", function()
    local ok, why = pcall(open, { policies = { "p.lua" } }, { ["p.lua"] = "return { requets = print }" })
    assert.is_false(ok)
    assert.matches("p.lua: a policy has no hook 'requets', did you mean 'request'?", why, 1, true)
  end)

  it("is which provider or model req:try does not find", function()
    local none = "local _, why = req:try %s error(why)"
    assert.equal("no provider has the id 'nobody'", (detail_of(none:format "'nobody'")))
    local providers = { { id = "p", models = { "m" } }, { id = "q", models = { "n" } } }
    local r = open({ policies = { "p.lua" }, providers = providers }, {
      ["p.lua"] = [[return { name = "p", route = function(req)
      local _, why, code = req:try("p", { model = "n" })
      error(why .. " " .. code)
    end }]] })
    r:chat { model = "m" }
    local line = said(r:close(), "policy failed")[1]
    assert.matches("provider 'p' does not serve the model 'n' ENOMODEL", line.detail, 1, true)
  end)

  it("is what failed, not where a table lies in memory", function()
    assert.equal("error was called with a table, expected a text", (detail_of "error({ code = 1 })"))
    assert.equal("words", (detail_of "error(setmetatable({}, { __tostring = function() return 'words' end }))"))
  end)

  it("is that a header for the provider is set and not taken away", function()
    assert.equal("a member of attempt.headers must be a string, got nil",
      (detail_of("object.headers['x-a'] = nil", "attempt")))
  end)

  it("is that its share of peri.shared is full", function()
    assert.equal("the policy's share of peri.shared is full", (detail_of [[
      for i = 1, 5000 do
        local ok, why = peri.shared.set("k" .. i, ("v"):rep(4096))
        if not ok then error(why, 0) end
      end]]))
  end)

  it("is which hooks may wait", function()
    for _, hook in ipairs { "attempt", "answer", "done" } do
      assert.equal("nothing can wait here: only `request`, `route` and what peri.run runs may",
        (detail_of("peri.sleep(1)", hook)))
    end
  end)
end)
