--- Networks and other servers in the virtual time of `perilune test`: testing.gonka and testing.http.
local check = require "spec.support.check"

local write = check.write

--- Run one test with that text; gives whether it passed and what was said.
local function run(text)
  write("a_test.lua", 'local testing = require "perilune.testing"\ntesting.test("so it is", function(t)\n' .. text
    .. "\nend)\n")
  local _, out, err = check.perilune "test a_test.lua"
  return out:find("1 passed, 0 failed", 1, true) ~= nil, out .. err
end

local function passes(text)
  local ok, said = run(text)
  assert.is_true(ok, said)
end

local function fails(text, why)
  local ok, said = run(text)
  assert.is_false(ok)
  assert.truthy(said:find(why, 1, true), said)
end

describe("testing.gonka", function()
  before_each(check.open)
  after_each(check.close)

  it("is a network whose hosts are discovered and check each signature", function()
    passes [[
      local net = testing.gonka { hosts = 2, models = { "m" }, wallets = 2 }
      local router = t:router { providers = { net } }
      for _ = 1, 4 do t:equal(router:chat({ model = "m", stream = true }).status, 200) end
      local payers, answered = {}, 0
      for _, name in ipairs { "h1", "h2" } do
        answered = answered + net:answered(name)
        for _, request in ipairs(net:requests(name)) do
          t:match(request.headers.authorization, "^[%w+/=]+$")
          payers[request.headers["x-requester-address"] ] = true
        end
      end
      t:equal(answered, 4)
      local count = 0
      for _ in pairs(payers) do count = count + 1 end
      t:equal(count, 2)
      net:chain { params = { scheme = "raw_body" } } -- they want another formula
      t:equal(router:chat({ model = "m" }).status, 502)
      t:ok(net:answered("h1", 401) + net:answered("h2", 401) > 0)]]
  end)

  it("changes its epoch at the time that is said, and the router finds out at its interval", function()
    passes [[
      local net = testing.gonka { hosts = 3, provider = { refresh_interval = "30s" } }
      net:at(100000, function() net:epoch({ "h2" }, { weights = { h2 = 7 } }) end)
      local router = t:router { providers = { net } }
      t:advance(99000)
      t:equal(router:network_status()[1].usable, 3)
      local reads = net:reads()
      t:advance(40000)
      local status = router:network_status()[1]
      t:equal({ status.epoch, status.usable }, { 2, 1 })
      t:ok(net:reads() > reads)
      t:equal(net:name_of(router:chat().tried), { "h2" })
      t:equal(#router:log "gonka hosts", 2)]]
  end)

  it("has windows in which its machines compute proofs", function()
    passes [[
      local net = testing.gonka { hosts = { { name = "serves", is_preserved = true }, { name = "computes" } } }
      local router = t:router { providers = { net } }
      t:equal(router:chat().status, 200)
      net:phase "PoCGenerate"
      router:refresh()
      t:equal(router:network_status()[1].phase, "PoCGenerate")
      for _ = 1, 10 do t:equal(net:name_of(router:chat().provider), "serves") end
      net:phase "Inference"
      router:refresh()
      t:equal(router:network_status()[1].epoch, 2)]]
  end)

  it("has hosts that do as they are told: slow, broken, gone", function()
    passes [[
      local net = testing.gonka { hosts = { { name = "a", weight = 1000000 }, { name = "b", weight = 1 } } }
      local router = t:router { providers = { net }, timeouts = { first_token = "5s" } }
      net:host("a", { default = "first_token_ms=60000" })
      local got = router:chat { stream = true }
      t:equal({ got.status, got.elapsed_ms }, { 200, 5000 })
      t:equal(net:name_of(got.tried), { "a", "b" })
      t:equal(net:requests("a")[1].outcome, "client_gone")
      t:advance(60000)
      net:host("a", { default = "cut_after=2" })
      got = router:chat { stream = true }
      t:ok(not got.complete)
      t:equal(net:name_of(got.tried), { "a" })
      t:advance(60000)
      net:host("a", { default = "tokens=3;token_ms=100", down = true })
      got = router:chat()
      t:equal({ got.status, net:name_of(got.provider) }, { 200, "b" })
      net:host("a", { down = false })
      t:advance(60000)
      got = router:chat { stream = true }
      t:equal({ net:name_of(got.provider), got.elapsed_ms }, { "a", 200 })]]
  end)

  it("has a node that fails and is slow, for requests that wait for the first hosts", function()
    passes [[
      local net = testing.gonka {}
      net:node { status = 500 }
      net:at(4000, function() net:node { delay_ms = 500 } end)
      local router = t:router { providers = { net } }
      local got = router:chat()
      t:equal(got.status, 200)
      t:ok(got.elapsed_ms > 4000 and got.elapsed_ms < 10000)
      t:equal(net:name_of(got.tried)[2], nil)]]
  end)

  it("is asked for its phase and its clock first, as in service", function()
    passes [[
      local net = testing.gonka {}
      net:chain { clock_offset = 600 }
      local router = t:router { providers = { net } }
      local got = router:chat()
      t:equal({ got.status, #got.tried }, { 200, 1 })
      t:equal(router:network_status()[1].clock_offset_ms // 1000, 600)]]
  end)

  it("stands beside scripted providers and other networks", function()
    passes [[
      local one = testing.gonka { models = { "m" }, provider = { id = "one", prefix = "one/" } }
      local two = testing.gonka { models = { "n" }, provider = { id = "two", prefix = "two/" } }
      local router = t:router { providers = { one, two, { id = "plain", models = { "o" } } } }
      t:match(router:chat({ model = "m" }).provider, "^one/gonka1")
      t:match(router:chat({ model = "n" }).provider, "^two/gonka1")
      t:equal(router:chat({ model = "o" }).provider, "plain")]]
  end)

  it("may be a provider of several routers, with options of its own", function()
    passes [[
      local net = testing.gonka { hosts = 2 }
      local whole = t:router { providers = { net } }
      local half = t:router { providers = { net:provider { deny = { net.hosts.h1.address }, prefix = "half/" } } }
      t:equal(whole:chat().status, 200)
      t:equal(half:chat().provider, "half/" .. net.hosts.h2.address)
      t:equal({ whole:network_status()[1].usable, half:network_status()[1].usable }, { 2, 1 })
      t:equal(net:answered "h1" + net:answered "h2", 2)]]
  end)

  it("goes the same way again with the same seed", function()
    local test = [[
      local net = testing.gonka { hosts = 5 }
      local router = t:router { providers = { net } }
      local way = {}
      for i = 1, 20 do
        way[i] = net:name_of(router:chat().provider)
        t:advance(7000)
      end
      print(table.concat(way, " "), net:reads())
      t:pass()]]
    local _, first = run(test)
    local _, second = run(test)
    assert.truthy(first:find "h%d h%d", first)
    assert.equal(first, second)
  end)

  it("says what is wrong with what it is told", function()
    fails([[testing.gonka { host = 3 }]], "testing.gonka has no option 'host', did you mean 'hosts'?")
    fails([[testing.gonka { hosts = 0 }]], "'hosts' must be how many, or a list")
    fails([[testing.gonka { wallets = 4 }]], "'wallets' must be 1, 2 or 3")
    fails([[testing.gonka({}):epoch { "h9" }]], "network:epoch: 'hosts': expected a list of hosts' names")
    fails([[testing.gonka({}):phase "Sleep"]], "network:phase: 'phase': expected one of")
    fails([[t:router { providers = { { id = "g", network = "gonka" } } }]], "in a test testing.gonka { … } makes one")
    fails([[testing.gonka({}):requests "h9"]], "there is no host 'h9'")
  end)
end)

describe("testing.http", function()
  before_each(check.open)
  after_each(check.close)

  local POLICY = [[local peri = require "perilune"
    return { request = function(req)
      local answer, _, code = peri.http.fetch { url = %q, method = "PUT", body = '{"a":1}',
        headers = { ["x-a"] = "b" }, timeout_ms = 3000 }
      req:reply(200, { status = answer and answer.status, body = answer and answer.body, code = code })
    end }]]

  local function fetching(url) write("p.lua", POLICY:format(url)) end

  it("answers what a policy fetches, by name and over https", function()
    fetching "https://Guard.example:443/v1/check?x=1"
    passes [[
      local web = testing.http { ["https://guard.example/v1/check"] = function(request, n)
        return testing.status(200 + n, { body = request.json })
      end }
      local router = t:router { policies = { "p.lua" }, providers = { { id = "a" } }, http = web }
      t:equal(router:chat().json, { status = 201, body = '{"a":1}' })
      t:equal(router:chat().json.status, 202)
      local request = web.requests[1]
      t:equal({ request.method, request.path, request.query, request.headers["x-a"], request.url },
        { "PUT", "/v1/check", "x=1", "b", "https://guard.example/v1/check" })]]
  end)

  it("answers in virtual time, with every fault a provider has", function()
    fetching "http://guard.example:8080/"
    passes [[
      local web = testing.http { ["http://guard.example:8080/"] = { testing.status(503, { wait = 2000, body = "no" }),
        testing.cut(), testing.stall() } }
      local router = t:router { policies = { "p.lua" }, providers = { { id = "a" } }, http = web }
      local got = router:chat()
      t:equal({ got.json.status, got.json.body, got.elapsed_ms }, { 503, "no", 2000 })
      t:equal(router:chat().json.code, "ECLOSED")
      got = router:chat()
      t:equal({ got.json.code, got.elapsed_ms }, { "ETIMEOUT", 3000 })
      t:ok(web.requests[3].left)]]
  end)

  it("takes one function for every URL", function()
    fetching "https://anywhere.example/at/all"
    passes [[
      local web = testing.http(function(request)
        return testing.status(200, { body = request.host .. request.path })
      end)
      local router = t:router { policies = { "p.lua" }, providers = { { id = "a" } }, http = web }
      t:equal(router:chat().json.body, "anywhere.example/at/all")]]
  end)

  it("fails the test whose URL has no answer, and denies everything where there is none", function()
    fetching "https://guard.example/"
    fails([[
      local web = testing.http { ["https://guard.example/other"] = testing.status(200) }
      t:router({ policies = { "p.lua" }, providers = { { id = "a" } }, http = web }):chat()]],
      "PUT //guard.example/ is called, and testing.http has no answer for it")
    passes [[
      local router = t:router { policies = { "p.lua" }, providers = { { id = "a" } } }
      t:equal(router:chat().json, { code = "EDENIED" })]]
  end)

  it("leads no fetch into a private network, as in service", function()
    fetching "http://10.0.0.1/"
    passes [[
      local web = testing.http(function() return testing.status(200) end)
      local router = t:router { policies = { "p.lua" }, providers = { { id = "a" } }, http = web }
      t:equal(router:chat().json, { code = "EDENIED" })
      t:equal(#web.requests, 0)]]
  end)

  it("says what is wrong with what it is told", function()
    fails([[testing.http "x"]], "takes a table from URLs to answers, or a function")
    fails([[testing.http { ["guard.example"] = testing.status(200) }]], "expected a URL without a query")
    fails([[testing.http { ["http://h/?a"] = testing.status(200) }]], "expected a URL without a query")
    fails([[testing.http { ["http://h/"] = 3 }]], "http://h/: `answers` must be a list")
    fails([[t:router { providers = { { id = "a" } }, http = { } }]], "`http` must be made with testing.http")
  end)
end)
