--- The operator's API: who may call it, how networks stand, and the order to look at them.
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local raw = require "spec.support.raw"
local router = require "spec.support.router"

-- The newest admin listener of a router.
local function admin_of(r, count)
  local lines = loop.await("the admin listener", function()
    local found = r:log "admin listening"
    return #found >= (count or 1) and found
  end)
  return router.at(math.tointeger(lines[#lines].port))
end

local HOST = { host = "127.0.0.1" }

-- As a tool on this machine asks; `headers` may replace the host.
local function ask(admin, method, path, headers)
  local c = raw.connect(admin.port)
  local lines = { ("%s %s HTTP/1.1\r\n"):format(method, path) }
  for name, value in pairs(headers or HOST) do lines[#lines + 1] = ("%s: %s\r\n"):format(name, value) end
  assert(c:send(table.concat(lines) .. "content-length: 0\r\n\r\n"))
  local head = assert(c:take_head())
  local body = c:take_body(head)
  c:close()
  return { status = head.status, headers = head.headers, json = require "cjson".decode(body) }
end

local function networks(admin) return ask(admin, "GET", "/admin/networks").json.data end

describe("the admin API", function()
  teardown(process.stop_all)

  it("says how a network stands", router.test(function(start)
    local net = network.start {}
    local r = start { providers = { net:provider() }, admin = { listen = "127.0.0.1:0" } }
    local admin = admin_of(r)
    local one = loop.await("the hosts", function()
      local found = networks(admin)[1]
      return found.refreshes > 0 and found
    end)
    assert.equal("gonka", one.id)
    assert.equal(1, math.tointeger(one.epoch))
    assert.equal("Inference", one.phase)
    assert.equal(3, math.tointeger(one.usable))
    assert.equal(3, math.tointeger(one.listed))
    assert(one.age_ms >= 0 and one.next_ms > 0)
    assert.equal(require "cjson".null, one.last_error)
  end))

  it("has networks looked at when it is told to", router.test(function(start)
    local net = network.start {}
    local r = start { providers = { net:provider { refresh_interval = "1h" } }, admin = { listen = "127.0.0.1:0" } }
    local admin = admin_of(r)
    loop.await("the hosts", function() return networks(admin)[1].refreshes > 0 end)
    net:epoch { "h1", "h2" }
    local answer = ask(admin, "POST", "/admin/networks/refresh")
    assert.equal(202, answer.status)
    assert.equal(1, math.tointeger(answer.json.networks))
    loop.await("the next epoch", function()
      local one = networks(admin)[1]
      return one.epoch == 2 and one.usable == 2
    end)
  end))

  it("shows why what it knows grows old", router.test(function(start)
    local net = network.start {}
    local r = start { providers = { net:provider { refresh_interval = "1h" } }, admin = { listen = "127.0.0.1:0" } }
    local admin = admin_of(r)
    loop.await("the hosts", function() return networks(admin)[1].refreshes > 0 end)
    net:steer("node", { status = 500 })
    ask(admin, "POST", "/admin/networks/refresh")
    local one = loop.await("the failure", function()
      local found = networks(admin)[1]
      return found.failures > 0 and found
    end)
    assert.matches("answered 500", one.last_error)
    assert.equal(3, math.tointeger(one.usable)) -- and the last good set is current
    local before = one.age_ms
    loop.await("it to grow older", function() return networks(admin)[1].age_ms > before end)
  end))

  it("wants its key when it has one", router.test(function(start)
    local r = start({
      providers = { router.provider("a", provider.start()) },
      admin = { listen = "127.0.0.1:0", key = router.expression 'secret "env:ADMIN_CANARY"' },
    }, nil, { ADMIN_CANARY = "admin-canary-0123456789" })
    local admin = admin_of(r)
    for _, given in ipairs { "", "Bearer wrong", "Basic admin-canary-0123456789", "Bearer admin-canary-012345678" } do
      local answer = ask(admin, "GET", "/admin/networks", { host = "h", authorization = given })
      assert.equal(401, answer.status)
      assert.equal("invalid_api_key", answer.json.error.code)
    end
    local right = { host = "any.example", authorization = "Bearer admin-canary-0123456789" }
    assert.equal(200, ask(admin, "GET", "/admin/networks", right).status)
    assert.is_nil(r.process:stderr():find("admin-canary", 1, true))
  end))

  it("says which policies are out, since when, where and why", router.test(function(start)
    local bad = "return { name = 'bad', on_failure = %q, request = function()\n  error 'on purpose'\nend }\n"
    for on_failure, state in pairs { skip = "out", refuse = "refuses" } do
      local r = start({
        providers = { router.provider("a", provider.start()) },
        policies = { "good.lua", "bad.lua" },
        admin = { listen = "127.0.0.1:0" },
        workers = 1,
      }, { ["good.lua"] = "return {}\n", ["bad.lua"] = bad:format(on_failure) })
      local admin, null = admin_of(r), require "cjson".null
      local function policies() return ask(admin, "GET", "/admin/policies").json.data end
      local good, one = table.unpack(policies())
      assert.same({ "current", "current", "bad", null }, { good.state, one.state, one.name, one.since })
      local began = os.time()
      for _ = 1, 5 do r:chat() end
      good, one = table.unpack(policies())
      assert.same({ "current", null, null }, { good.state, good.since, good.detail })
      assert.same({ state, "bad", "request", "EPOLICY", 1 },
        { one.state, one.name, one.hook, one.error, math.tointeger(one.generation) })
      assert.matches("bad.lua$", one.file)
      assert.matches("bad.lua:2$", one.at)
      assert.matches("bad.lua:2: on purpose", one.detail)
      assert.is_true(one.since >= began and one.since <= os.time())
    end
  end))

  it("takes no calls from web pages when it has none", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start()) }, admin = { listen = "127.0.0.1:0" } }
    local admin = admin_of(r)
    for _, host in ipairs { "localhost", "localhost:9001", "127.0.0.1:1", "[::1]:9001", "LOCALHOST" } do
      assert.equal(200, ask(admin, "GET", "/admin/networks", { host = host }).status)
    end
    for _, host in ipairs { "rebound.example", "localhost.example", "127.0.0.1.example:9001", "10.0.0.1" } do
      assert.equal(403, ask(admin, "GET", "/admin/networks", { host = host }).status)
    end
    local page = { host = "127.0.0.1", origin = "http://127.0.0.1:8000" }
    assert.equal(403, ask(admin, "POST", "/admin/networks/refresh", page).status)
  end))

  it("names the method a path takes, and is not on the clients' address", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start()) }, admin = { listen = "127.0.0.1:0" } }
    local admin = admin_of(r)
    local answer = ask(admin, "GET", "/admin/networks/refresh")
    assert.equal(405, answer.status)
    assert.equal("POST", answer.headers.allow)
    assert.equal(404, ask(admin, "GET", "/admin/nothing").status)
    assert.equal(404, r:ask("GET", "/admin/networks").status)
  end))

  it("comes, moves and goes with the configuration", router.test(function(start)
    local config = { providers = { router.provider("a", provider.start()) } }
    local r = start(config)
    assert.equal(0, #r:log "admin listening")
    config.admin = { listen = "127.0.0.1:0" }
    r:configure(config)
    r.process:signal "HUP"
    local first = admin_of(r, 1)
    assert.equal(200, ask(first, "GET", "/admin/networks").status)
    config.admin = nil
    r:configure(config)
    r.process:signal "HUP"
    loop.await("it to be gone", function()
      local ok, c = pcall(raw.connect, first.port)
      if ok then c:close() end
      return not ok
    end)
    assert.equal(200, r:chat().status)
  end))
end)

describe("a configuration with an admin API", function()
  teardown(process.stop_all)

  it("is refused without a key where others can reach it", function()
    local directory = process.directory()
    local file = assert(io.open(directory .. "/perilune.lua", "w"))
    file:write [[
      return { providers = { { id = "a", url = "http://127.0.0.1:1/v1" } }, admin = { listen = "0.0.0.0:9001" } }
    ]]
    file:close()
    local command = process.quote(router.program) .. " check --config " .. process.quote(directory .. "/perilune.lua")
    local pipe = assert(io.popen(command .. " 2>&1"))
    local said = pipe:read "a"
    local _, _, status = pipe:close()
    assert.equal(78, status)
    assert.matches("'admin.listen' is 0.0.0.0:9001", said, 1, true)
    assert.matches("admin.key", said, 1, true)
  end)

  describe("tells of providers", function()
    local function start_two(start, config)
      local a, b = provider.start(), provider.start()
      local all = {
        providers = { router.provider("a", a, { models = { "m", "n" } }), router.provider("b", b, { tier = 2 }) },
        admin = { listen = "127.0.0.1:0" },
      }
      for name, value in pairs(config or {}) do all[name] = value end
      local r = start(all)
      return a, b, r, admin_of(r)
    end

    local function of(admin, id)
      for _, one in ipairs(ask(admin, "GET", "/admin/providers").json.data) do
        if one.id == id then return one end
      end
    end

    it("why one is not asked, and for how long yet", router.test(function(start)
      local a, _, r, admin = start_two(start, { route = { failures = 1 } })
      r:chat()
      loop.await("its slot to be free", function() return of(admin, "a").in_flight == 0 end)
      assert.same({ true, "closed", 1 }, { of(admin, "a").available, of(admin, "a").state, of(admin, "a").success })
      a:next(provider.status(503), provider.reply(404, '{"error":"model \'n\' not found"}'))
      r:chat()
      local one = of(admin, "a")
      assert.same({ false, "open", "EUPSTREAM", 503, 1, false },
        { one.available, one.state, one.reason, math.tointeger(one.status), one.failed, one.asked_for })
      assert(one.left_ms > 10000 and one.left_ms <= 15000)
      assert.same({ 1, 1, 0 }, { one.failures_in_a_row, one.opened, of(admin, "b").failures_in_a_row })
      assert(one.rests_for_ms >= 0 and one.rests_for_ms < 5000)
      loop.await("the rest to last", function() return of(admin, "a").rests_for_ms > one.rests_for_ms end)
      assert.is_nil(of(admin, "b").rests_for_ms)
      assert.equal(200, ask(admin, "POST", "/admin/providers/a/reset").status)
      r:chat { model = "n" }
      one = of(admin, "a")
      assert.equal("closed", one.state)
      assert.same({ "n", "/chat/completions", "open", "ENOMODEL", 404 }, { one.models[1].model, one.models[1].endpoint,
        one.models[1].state, one.models[1].reason, math.tointeger(one.models[1].status) })
      a:next(provider.status(401))
      r:chat()
      assert.same({ 1, "open", "EAUTH" }, { of(admin, "a").keys[1].key, of(admin, "a").keys[1].state,
        of(admin, "a").keys[1].reason })
      assert.is_nil(require "cjson".encode(ask(admin, "GET", "/admin/providers").json):find("canary", 1, true))
    end))

    it("and has them drained, and asked again", router.test(function(start)
      local a, b, r, admin = start_two(start)
      assert.equal("drained", ask(admin, "POST", "/admin/providers/a/drain").json.state)
      for _ = 1, 3 do assert.equal("b", r:chat().headers["x-perilune-provider"]) end
      assert.equal(200, r:ask("GET", "/readyz").status)
      ask(admin, "POST", "/admin/providers/b/drain")
      local refused = r:chat()
      assert.equal(503, refused.status)
      assert.equal("no provider of the model 'm' is available: 2 of 2 rest or are drained", refused.json.error.message)
      assert.equal("every provider rests or is drained", r:ask("GET", "/readyz").json.status)
      assert.same({ 503, "down" }, { r:ask("GET", "/readyz").status, r:ask("GET", "/health").json.status })
      assert.equal(0, #a.requests)
      assert.equal(3, #b.requests)
      ask(admin, "POST", "/admin/providers/a/enable")
      assert.equal("a", r:chat().headers["x-perilune-provider"])
      assert.same({ 200, "degraded" }, { r:ask("GET", "/readyz").status, r:ask("GET", "/health").json.status })
      assert.equal(3, #r:log "provider order")
    end))

    it("and refuses what is no order, or none of them", router.test(function(start)
      local _, _, _, admin = start_two(start)
      assert.same({ 404, 404, 404, 405 }, {
        ask(admin, "POST", "/admin/providers/a/explode").status, ask(admin, "POST", "/admin/providers/c/reset").status,
        ask(admin, "POST", "/admin/providers/").status, ask(admin, "GET", "/admin/providers/a/drain").status,
      })
    end))

    it("that one is asked again, in the log, once it answers", router.test(function(start)
      local a, _, r = start_two(start, { route = { failures = 1, failure_cooldown = "50ms" } })
      a:next(provider.status(500))
      r:chat()
      loop.await("it to be asked again", function() return r:chat().headers["x-perilune-provider"] == "a" end)
      loop.await("its line", function() return r:log "asked again"[1] end)
      local out, back = r:log "not asked for a while"[1], r:log "asked again"[1]
      assert.same({ "warn", "provider", "a", "EUPSTREAM" }, { out.level, out.scope, out.provider, out.error })
      assert.same({ "info", "provider", "a" }, { back.level, back.scope, back.provider })
    end))
  end)
end)
