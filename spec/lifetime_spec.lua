--- A router that is told to change or to stop while requests run.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local raw = require "spec.support.raw"
local router = require "spec.support.router"
local socket = require "socket"

local frames = provider.frames

-- A provider whose streams say "Hel", wait for release.now, and end well.
local function patient(release)
  return provider.start(provider.stream {
    frames.role, frames.token "Hel", provider.hold(release), frames.token "lo", frames.finish(), frames.done,
  })
end

-- A streamed answer that has begun, and a function that gives its whole body.
local function begin(r)
  local c = r:open_chat { stream = true }
  local head = c:take_head()
  assert.is_string(c:take_chunk())
  return function()
    local body, is_whole = c:take_body(head)
    c:close()
    return body, is_whole
  end
end

-- Tell it to stop, and see that it listens no more.
local function begin_to_stop(r)
  r.process:signal "TERM"
  loop.await("new connections to be refused", function()
    local ok, c = pcall(raw.connect, r.port)
    if ok then c:close() end
    return not ok
  end)
end

describe("a router that is told to stop", function()
  teardown(process.stop_all)

  it("finishes what runs, takes nothing new, and ends well", router.test(function(start)
    local release = {}
    local r = start { providers = { router.provider("a", patient(release)) } }
    local rest = begin(r)
    begin_to_stop(r)
    assert.is_true(r.process:is_running())
    release.now = true
    local body, is_whole = rest()
    assert.is_true(is_whole)
    assert.is_true(router.read_stream(body).done)
    assert.equal(0, r.process:wait())
  end))

  it("does not wait for ever: what is left ends visibly", router.test(function(start)
    local p = provider.start(provider.stream { frames.role, frames.token "Hel", provider.stall })
    local r = start { providers = { router.provider("a", p) }, drain = "300ms" }
    local rest = begin(r)
    local since = socket.gettime()
    r.process:signal "TERM"
    local body, is_whole = rest()
    local seen = router.read_stream(body)
    assert.is_false(seen.done)
    assert.is_true(is_whole)
    assert.equal("shutting_down", seen.error and seen.error.code, body)
    assert.equal(0, r.process:wait())
    assert(socket.gettime() - since > 0.25)
    assert.equal(0, p.busy)
  end))

  it("tells clients that hold a connection", router.test(function(start)
    local release = {}
    local r = start { providers = { router.provider("a", patient(release)) } }
    local rest = begin(r)
    local idle, half = raw.connect(r.port), raw.connect(r.port)
    for _, c in ipairs { idle, half } do
      c:send(router.request_text("GET", "/readyz"))
      local head = c:take_head()
      assert.same({ 200, nil }, { head.status, head.headers.connection })
      c:take_body(head)
    end
    half:send "GET /readyz HTTP/1.1\r\nhost: "
    r.process:signal "TERM"
    assert.is_nil((idle:more()))
    half:send "router\r\n\r\n"
    local head = half:take_head()
    assert.same({ 503, "close" }, { head.status, head.headers.connection })
    assert.equal('{"status":"draining"}', (half:take_body(head)))
    assert.is_nil((half:more()))
    release.now = true
    local body, is_whole = rest()
    assert.is_true(is_whole and router.read_stream(body).done)
    assert.equal(0, r.process:wait())
  end))

  it("refuses a whole answer that takes longer", router.test(function(start)
    local p = provider.start(provider.stall)
    local r = start { providers = { router.provider("a", p) }, drain = "100ms" }
    local answer
    loop.spawn(function() answer = r:chat() end)
    loop.await("the request at the provider", function() return p.busy == 1 end)
    r.process:signal "TERM"
    loop.await("the refusal", function() return answer end)
    assert.same({ 503, "close", "shutting_down" }, { answer.status, answer.headers.connection, answer.json.error.code })
    assert.is_nil(answer.headers["x-should-retry"])
    assert.equal(0, r.process:wait())
  end))

  it("ends at once when it is told twice", router.test(function(start)
    local r = start { providers = { router.provider("a", patient {}) } }
    function r.stop() end -- its status is judged here
    local rest = begin(r)
    begin_to_stop(r)
    r.process:signal "TERM"
    assert.equal(1, r.process:wait())
    local _, is_whole = rest()
    assert.is_false(is_whole)
  end))

  it("is not held up by a policy that is edited meanwhile", router.test(function(start)
    local release = {}
    local text = "return { name = 'edited' }"
    local r = start({
      providers = { router.provider("a", patient(release)) }, policies = { "edited.lua" }, workers = 3,
    }, { ["edited.lua"] = text })
    local rest = begin(r)
    begin_to_stop(r)
    -- Two workers have nothing to do and have ended; an order to all of them must not wait for these.
    r:write("edited.lua", text .. " -- again")
    loop.await("the edit to be judged", function()
      return #r:log "reloaded" + #r:log "reload refused, the old generation stays" > 0
    end)
    release.now = true
    local body, is_whole = rest()
    assert.is_true(is_whole and router.read_stream(body).done)
    assert.equal(0, r.process:wait())
  end))

  it("ends at once when it has nothing to do", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start()) } }
    assert.equal(200, r:chat().status)
    r.process:signal "INT"
    assert.equal(0, r.process:wait())
  end))
end)

describe("a router whose configuration is edited", function()
  teardown(process.stop_all)

  local function hang_up(r, message)
    local before = #r:log(message)
    r.process:signal "HUP"
    loop.await("the reload to be judged", function() return #r:log(message) > before end)
  end

  it("takes new providers at SIGHUP, and lets requests with old ones finish", router.test(function(start)
    local release = {}
    local old, new = patient(release), provider.start()
    local config = { providers = { router.provider("old", old) } }
    local r = start(config)
    local rest = begin(r)
    config.providers = { router.provider("new", new) }
    r:configure(config)
    hang_up(r, "reloaded")
    for _ = 1, 5 do assert.equal("new", r:chat().headers["x-perilune-provider"]) end
    release.now = true
    local body, is_whole = rest()
    assert.is_true(is_whole)
    assert.is_true(router.read_stream(body).done)
    assert.equal(1, #old.requests)
  end))

  it("is told of every mistake in the log, and goes on as it was", router.test(function(start)
    local config = { providers = { router.provider("a", provider.start()) } }
    local r = start(config)
    config.listen, config.route = 5, { max_attempts = 0 }
    config.providers[2] = { id = "b", url = "http://127.0.0.1:9" }
    r:configure(config)
    hang_up(r, "reload refused, the old generation stays")
    local said = { r:log("reload refused, the old generation stays")[1].error }
    for _, line in ipairs(r:log()) do
      if line.component == "config" and line.msg:find "perilune%.lua:%d" then
        said[#said + 1] = line.level .. " " .. line.msg
      end
    end
    said = table.concat(said, "\n")
    assert.matches("'listen' must be an address such as \"127.0.0.1:9000\", got 5", said)
    assert.matches("error [^\n]*'route.max_attempts' must be a whole number", said)
    assert.matches("warn [^\n]*'providers%[2%].url' has no path", said)
    assert.equal(200, r:chat().status)
  end))

  it("keeps what it learnt about the providers that stay", router.test(function(start)
    local a, b, c = provider.start(), provider.start(), provider.start()
    local config = { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
    local r = start(config)
    a:next(provider.status(429, nil, { ["retry-after"] = "60" }))
    assert.equal("b", r:chat().headers["x-perilune-provider"])
    config.providers[3] = router.provider("c", c, { tier = 3 })
    r:configure(config)
    hang_up(r, "reloaded")
    assert.equal("b", r:chat().headers["x-perilune-provider"])
    assert.equal(1, #a.requests)
  end))

  it("changes nothing for a configuration that is wrong", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p) } }
    for _, text in ipairs { "return {", "return { providers = { { id = 'a' } } }", "return { provders = {} }",
      "error 'no'" } do
      r:write("perilune.lua", text)
      hang_up(r, "reload refused, the old generation stays")
      assert.equal(200, r:chat().status)
    end
  end))
end)
