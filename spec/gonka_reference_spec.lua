--- What other routers promise for Gonka networks and where they break, item by item: G1 to G19 of the comparison that
-- this router is measured against. Items that have a specification of their own are only named here:
--   G3 fresh signatures, G10 damping: gonka_hosts, gonka_examples · G13 proofs: gonka_proof, gonka_lies
--   G14 what stays over an epoch: gonka, gonka_refresh · G15 status and refresh by order: admin
--   G16 webhook: epoch_webhook
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local peri = require "perilune"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local POLICY = { ["network.lua"] = network.policy }
local VECTORS = assert(peri.json.decode((assert(process.read "spec/vectors/gonka-vectors.json")), { nulls = false }))

-- What `perilune check` says of one Gonka provider, given as Lua source; `flag` may be "--dump".
local function check(entry, environment, flag)
  local directory = process.directory()
  local file = assert(io.open(directory .. "/perilune.lua", "w"))
  file:write(("return { providers = { { id = 'g', network = 'gonka', %s } } }"):format(entry))
  file:close()
  local words = {}
  for name, value in pairs(environment or {}) do words[#words + 1] = process.quote(name .. "=" .. value) end
  local pipe = assert(io.popen(("env %s %s check %s --config %s/perilune.lua 2>&1"):format(table.concat(words, " "),
    process.quote(router.program), flag or "", directory)))
  local text = pipe:read "a"
  return pipe:close() == true, text
end

local function behind(start, net, options)
  local r = start({ providers = { net:provider(options) }, policies = { "network.lua" } }, POLICY)
  net:await(r, "the hosts", function(seen) return seen.count > 0 end)
  return r
end

local KEY = ("1"):rep(64)
local SOURCE = "source = 'http://127.0.0.1:1', private_hosts = true, "

describe("a Gonka network", function()
  teardown(process.stop_all)

  it("G1: takes keys of 64 digits with or without 0x, refuses impossible ones at once, and repeats none", function()
    for _, key in ipairs { KEY, "0x" .. KEY } do
      local ok, text = check(SOURCE .. "private_key = secret 'env:THE_KEY'", { THE_KEY = key })
      assert.is_true(ok, text)
    end
    for _, v in ipairs(VECTORS.invalid_private_keys) do
      local ok, text = check(SOURCE .. "private_key = secret 'env:THE_KEY'", { THE_KEY = v.hex })
      assert.same({ v.reason, false }, { v.reason, ok })
      assert.matches("private_key", text)
      if #v.hex > 8 then assert.is_nil(text:find(v.hex, 1, true), v.reason) end
    end
  end)

  it("G2: derives addresses as the network does", function()
    for _, v in ipairs(VECTORS.address_vectors) do
      local pipe = assert(io.popen(("env THE_KEY=%s %s address --key env:THE_KEY"):format(v.private_key_hex,
        process.quote(router.program))))
      assert.equal(v.address, pipe:read "l")
      pipe:close()
    end
  end)

  it("G4: says when the payer's address is not the key's", router.test(function(start)
    local net = network.start { hosts = 1, wallets = 2 }
    local r = behind(start, net, { private_key = net:secret(1), address = net.accounts[2] })
    r:chat()
    assert.equal(net.accounts[2], net:ledger("h1")[1].payer)
  end))

  it("G5: asks for the epoch's number, not the whole list, while it stays the same", router.test(function(start)
    local net = network.start { hosts = 1 }
    local r = behind(start, net)
    for i = 1, 3 do
      local before = net:look().reads
      loop.await("look " .. i, function()
        r:chat({}, { ["x-order"] = "refresh" })
        return net:look().reads > before
      end)
    end
    assert.equal(1, #r:log "gonka hosts")
  end))

  it("G5: reads no more of a document than it could be, and asks the next source", router.test(function(start)
    local net, sent = network.start { hosts = 2 }, 0
    local endless = provider.start(function(c, request)
      if not request.target:find "participants" then return provider.status(404)(c, request) end
      c:send "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
      local piece = ("100000\r\n%s\r\n"):format((" "):rep(0x100000))
      while c.is_open and sent < 100 and c:send(piece) do sent = sent + 1 end
      c:close()
    end)
    local r = behind(start, net, { source = { ("http://127.0.0.1:%d"):format(endless.port), net.url } })
    assert(sent >= 32 and sent < 50, sent) -- 32 MiB are taken, and what sockets hold
    assert.equal(2, net:seen_by(r).count)
    local refusal
    for _, line in ipairs(r:log()) do refusal = refusal or line.msg:match "^gonka: refresh failed: .*" end
    assert.matches("participants: the answer is larger than its limit", refusal)
  end))

  it("G6: takes what the configuration says before what the environment does", function()
    local address = VECTORS.address_vectors[1].address
    local environment = {
      THE_KEY = KEY, GONKA_PRIVATE_KEY = ("2"):rep(64), GONKA_SOURCE_URL = "http://environment.example",
      GONKA_ENDPOINTS = "http://environment.example;" .. address, GONKA_ADDRESS = VECTORS.address_vectors[2].address,
      GONKA_VERIFY_PROOF = "1",
    }
    local written = ("endpoints = { 'http://127.0.0.1:8000;%s' }, private_key = secret 'env:THE_KEY', address = '%s', "
      .. "verify_proofs = false"):format(address, address)
    local ok, text = check(written, environment, "--dump")
    assert.is_true(ok, text)
    assert.is_nil(text:find("environment.example", 1, true), text)
    assert.is_nil(text:find("GONKA_", 1, true), text)
    assert.matches("verify_proofs = false", text, 1, true)
    -- Where nothing is written the environment is asked: hosts that are named before where hosts are found.
    ok, text = check("", environment, "--dump")
    assert.is_true(ok, text)
    assert.matches("endpoints[1] = \"http://environment.example", text, 1, true)
    assert.is_nil(text:find("sources[1]", 1, true), text)
    assert.matches("verify_proofs = true +environment GONKA_VERIFY_PROOF", text)
    assert.is_nil(text:find(("2"):rep(64), 1, true), text)
  end)

  it("G6: refuses endpoints that are none, and those whose address is none",
    function()
      local address = VECTORS.address_vectors[1].address
      local function endpoint(text) return check(("endpoints = { %q }, private_key = '%s'"):format(text, KEY)) end
      local ok, text = endpoint("http://127.0.0.1:8000/v1;" .. address)
      assert.is_true(ok, text)
      for _, wrong in ipairs {
        "http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1;", ";" .. address, "ftp://127.0.0.1;" .. address,
        "http://127.0.0.1:8000/v1;" .. address:sub(1, -2) .. "q", "http://127.0.0.1:8000/v1;   ",
      } do
        ok, text = endpoint(wrong)
        assert.same({ wrong, false }, { wrong, ok })
        assert.matches("endpoint", text)
      end
    end)

  it("G7: reads files as sources only when that is switched on", function()
    local FILE = "source = 'file:///tmp/participants.json', private_key = '" .. KEY .. "'"
    local ok, text = check(FILE)
    assert.is_false(ok)
    assert.matches("file_sources", text)
    ok, text = check(FILE .. ", file_sources = true")
    assert.is_true(ok, text)
  end)

  it("G8: counts a host that is listed twice once", router.test(function(start)
    local net = network.start { hosts = 2 }
    net:epoch { "h1", "h2", "h1" }
    local r = behind(start, net)
    assert.equal(2, net:seen_by(r).count)
  end))

  it("G9: keeps hosts' names for itself and asks for the client's model", router.test(function(start)
    local net = network.start { hosts = 1 }
    local r = behind(start, net, { prefix = "net/" })
    local answer = r:chat()
    assert.equal("net/" .. net.addresses.h1, answer.headers["x-perilune-provider"])
    local entries = net:ledger "h1"
    assert.equal("m", entries[#entries].model)
    assert.equal("m", answer.json.model)
  end))

  it("G10: gives hosts the weight the operator says, before the chain's", router.test(function(start)
    local net = network.start { hosts = 3 }
    local r = behind(start, net, { damping = "equal", weight_of = { [net.addresses.h2] = 7 } })
    local hosts = net:seen_by(r).hosts
    assert.same({ 1, 7, 1 }, { hosts.h1.weight, hosts.h2.weight, hosts.h3.weight })
    for entry, word in pairs {
      ["weight_of = { m = 4 }"] = "must be named by an address",
      [("weight_of = { [%q] = 0 }"):format(net.addresses.h1)] = "must be a whole number",
    } do
      local ok, text = check(SOURCE .. entry .. ", private_key = '" .. KEY .. "'")
      assert.is_false(ok)
      assert.truthy(text:find(word, 1, true), text)
    end
  end))

  it("G11: limits what a host is asked at once, by default, by host and by model", router.test(function(start)
    local net = network.start { hosts = 2, models = { "m", "n" } }
    local r = behind(start, net, {
      default_max_concurrent = 3, max_concurrent_of = { [net.addresses.h1] = 2, N = 1 },
    })
    local function hold(model, count)
      local clients = {}
      for i = 1, count do clients[i] = r:open_chat({ model = model, x_sim = "hang" }) end
      return clients
    end
    local function await_in_flight(h1, h2)
      loop.await(("%d and %d requests under way"):format(h1, h2), function()
        local hosts = net:seen_by(r).hosts
        return hosts.h1.in_flight == h1 and hosts.h2.in_flight == h2
      end)
    end
    local held = hold("n", 4)
    await_in_flight(1, 1)
    for _, client in ipairs(hold("m", 5)) do held[#held + 1] = client end
    await_in_flight(2, 3)
    for _, client in ipairs(held) do client:close() end
    await_in_flight(0, 0)
    for entry, word in pairs {
      ["default_max_concurrent = -1"] = "default_max_concurrent",
      ["max_concurrent_of = 4"] = "max_concurrent_of",
      ["max_concurrent_of = { m = -1 }"] = "max_concurrent_of.m",
      ["max_concurrent_of = { gonka1slip = 2 }"] = "max_concurrent_of.gonka1slip",
    } do
      local ok, text = check(SOURCE .. entry .. ", private_key = '" .. KEY .. "'")
      assert.is_false(ok)
      assert.truthy(text:find("'providers[1]." .. word .. "' must be", 1, true), text)
    end
  end))

  it("G11: learns what an overloaded host takes", router.test(function(start)
    local net = network.start { hosts = 1 }
    local r = behind(start, net, { default_max_concurrent = 8, adaptive_concurrency = true })
    local function limit() return math.tointeger(net:seen_by(r).hosts.h1.limit) end
    local function ask(count, status, behaviour)
      for _ = 1, count do
        loop.await("the host to be asked again", function()
          local answer = r:chat { x_sim = behaviour }
          return answer.status == status and not answer.body:find("cooling", 1, true)
        end)
      end
    end
    assert.equal(8, limit())
    ask(1, 429, "status=429;retry_after_ms=1")
    assert.equal(4, limit())
    ask(9, 200)
    assert.equal(4, limit())
    ask(1, 200)
    assert.equal(5, limit())
    local held = {}
    for i = 1, 8 do held[i] = r:open_chat { x_sim = "hang" } end
    loop.await("five requests under way", function() return net:seen_by(r).hosts.h1.in_flight == 5 end)
    for _, client in ipairs(held) do client:close() end
    loop.await("them to be gone", function() return net:seen_by(r).hosts.h1.in_flight == 0 end)
    net:epoch { "h1" }
    net:await_epoch(r, 2)
    assert.equal(5, limit()) -- what was learned of a host that stays is kept
    ask(1, 400, "status=400")
    assert.equal(5, limit()) -- its word about a request is none about itself
  end))

  it("G12: stands in any tier, behind others or before them", router.test(function(start)
    local net = network.start { hosts = 1 }
    local plain = provider.start()
    for tier, first in pairs { [1] = "gonka:" .. net.addresses.h1, [3] = "plain" } do
      local r = start({
        providers = { net:provider { tier = tier }, router.provider("plain", plain, { tier = 2 }) },
        policies = { "network.lua" },
      }, POLICY)
      net:await(r, "the hosts", function(seen) return seen.count > 0 end)
      for _ = 1, 5 do assert.equal(first, r:chat().headers["x-perilune-provider"]) end
    end
  end))

  it("G15: lets policies see what the operator sees", router.test(function(start)
    local net = network.start { hosts = 3 }
    local r = start({ providers = { net:provider { refresh_interval = "1h" } }, policies = { "status.lua" } }, {
      ["status.lua"] = [[
        local peri = require "perilune"
        return { request = function(req)
          if req:header "x-order" then peri.gonka.refresh() end
          local s, why, code = peri.gonka.status(req:header "x-network")
          req:reply(200, s or { why = why, code = code })
        end }
      ]],
    })
    local function await(what, claim)
      return loop.await(what, function()
        local s = r:chat().json
        return claim(s) and s
      end)
    end
    local first = r:chat().json -- whether or not anybody has looked yet
    assert.equal("gonka", first.id)
    local s = await("the first look", function(seen) return seen.refreshes == 1 end)
    assert.same({ "gonka", 1, "Inference", 3, 3, 0, 0, false },
      { s.id, s.epoch, s.phase, s.usable, s.listed, s.failures, s.clock_offset_ms, s.proven })
    assert(s.age_ms >= 0 and s.next_ms > 0 and s.next_ms <= 4320000 and s.height > 0)
    assert.is_nil(s.last_error)
    assert.same(s.id, r:chat({}, { ["x-network"] = "gonka" }).json.id)
    assert.equal("ENOTFOUND", r:chat({}, { ["x-network"] = "else" }).json.code)
    net:steer("node", { status = 500 })
    r:chat({}, { ["x-order"] = "refresh" })
    s = await("the failure", function(seen) return seen.failures > 0 end)
    assert.matches("answered 500", s.last_error)
    assert.same({ 3, 1 }, { s.usable, s.refreshes }) -- and the last good set is current
    net:steer("node", {})
    net:epoch { "h1" }
    r:chat({}, { ["x-order"] = "refresh" })
    s = await("the next epoch", function(seen) return seen.epoch == 2 end)
    assert.equal(1, s.usable)
    assert.is_nil(s.last_error)
    r:configure { listen = "127.0.0.1:0", workers = 1, seed = 1, log = { level = "debug" }, policies = { "status.lua" },
      providers = { router.provider("plain", provider.start()) } }
    r.process:signal "HUP"
    await("the network to be gone", function(seen) return seen.code == "ENOTFOUND" end)
  end))

  it("G16, G17: tells policies and the log what changed, not how many there are", router.test(function(start)
    local net = network.start { hosts = 4 }
    net:epoch { "h1", "h2", "h3" }
    local r = start({ providers = { net:provider() }, policies = { "network.lua", "told.lua" } }, {
      ["network.lua"] = network.policy,
      ["told.lua"] = [[
        return { epoch = function(change)
          require "perilune".log.info("told", { old = change.old, new = change.new, added = #change.added,
            removed = #change.removed, changed = #change.changed })
          if change.new == 3 then error "and fails" end
        end }
      ]],
    })
    net:await(r, "the hosts", function(seen) return seen.count == 3 end)
    net:epoch({ "h2", "h3", "h4" }, { h3 = 9 })
    net:await_epoch(r, 3)
    local lines = r:log "gonka hosts"
    local line = lines[#lines]
    assert.same({ 1, 1, 1, 1 }, { math.tointeger(line.kept), math.tointeger(line.changed),
      math.tointeger(line.added), math.tointeger(line.removed) })
    local told = loop.await("the word of it", function()
      local found = r:log "told"
      return found[#found] and math.tointeger(found[#found].new) == 3 and found[#found]
    end)
    assert.same({ 2, 1, 1, 1 }, { math.tointeger(told.old), math.tointeger(told.added), math.tointeger(told.removed),
      math.tointeger(told.changed) })
    assert.equal(200, r:chat().status) -- a hook that fails takes nothing with it
    net:epoch { "h1" }
    assert.equal(1, net:await_epoch(r, 4).count)
  end))

  it("G18: names the field in every error of its configuration", function()
    for entry, field in pairs {
      ["private_key = '" .. KEY .. "'"] = "source",
      [SOURCE .. "private_key = 'short'"] = "private_key",
      ["source = 'ftp://x', private_key = '" .. KEY .. "'"] = "source",
      [SOURCE .. "refresh_interval = '-1s', private_key = '" .. KEY .. "'"] = "refresh_interval",
      [SOURCE .. "damping = 'much', private_key = '" .. KEY .. "'"] = "damping",
      [SOURCE .. "address = 'gonka1x', private_key = '" .. KEY .. "'"] = "address",
    } do
      local ok, text = check(entry)
      assert.is_false(ok, entry)
      assert.truthy(text:find(field, 1, true), text)
      assert.matches("perilune%.lua:1", text)
    end
    for theirs, ours in pairs {
      source_url = "sources", refresh_enabled = "refresh", refresh_interval_seconds = "refresh_interval",
      model_name_prefix = "prefix", register_as_fallback = "tier",
    } do
      local ok, text = check(("%s = 1, %s private_key = '%s'"):format(theirs, SOURCE, KEY))
      assert.is_false(ok, theirs)
      local sentence = ("unknown key '%s' in 'providers[1]', did you mean '%s'?"):format(theirs, ours)
      assert.truthy(text:find(sentence, 1, true), text)
    end
  end)

  it("G19: has a level for each of its components, and names them in their lines", router.test(function(start)
    local net = network.start { hosts = 1 }
    local config = {
      providers = { net:provider(), router.provider("dead", provider.dead_url(), { weight = 1000000 }) },
      policies = { "network.lua", "says.lua" },
      log = { level = "error", levels = { server = "info", network = "debug", attempt = "debug", policy = "warn" } },
      admin = { listen = "127.0.0.1:0" },
    }
    local r = start(config, {
      ["network.lua"] = network.policy,
      ["says.lua"] = [[
        local log = require "perilune".log
        return { request = function() log.info "quietly" log.warn "aloud" end }
      ]],
    })
    net:await(r, "the hosts", function(seen) return seen.count > 0 end)
    loop.await("an attempt that fails", function()
      r:chat()
      return #r:log "attempt failed" > 0
    end)
    loop.await("the policy's line", function() return #r:log "aloud" > 0 end)
    local seen = {}
    for _, line in ipairs(r:log()) do seen[line.component] = (seen[line.component] or "") .. "\n" .. line.msg end
    assert.matches("\nlistening", seen.server)
    assert.matches("\ngonka hosts", seen.network)
    assert.matches("\nattempt failed", seen.attempt)
    assert.matches("\naloud", seen.policy)
    assert.is_nil(seen.policy:find "quietly")
    assert.same({}, { seen.request, seen.admin, seen.config }) -- errors only, and there were none
    local levels = "{ net = 'warn', network = 'loud'" -- check closes the tables
    local ok, text = check(SOURCE .. "private_key = '" .. KEY .. "' } }, log = { levels = " .. levels)
    assert.is_false(ok)
    assert.matches("unknown key 'net' in 'log.levels'", text, 1, true)
    assert.matches("'log.levels.network' must be one of", text, 1, true)
  end))

  it("G19: logs what it does by request, and never what was said", router.test(function(start)
    local net = network.start { hosts = 1 }
    local r = start({ providers = { net:provider() }, policies = { "network.lua" }, log = { level = "trace" } }, POLICY)
    net:await(r, "the hosts", function(seen) return seen.count > 0 end)
    local answer = r:chat { messages = { { role = "user", content = "the canary sings" } } }
    local id = answer.headers["x-request-id"]
    loop.await("its line", function()
      for _, line in ipairs(r:log "request") do
        if line.request_id == id then return true end
      end
    end)
    assert.is_nil(r.process:stderr():find("canary sings", 1, true))
    assert.is_nil(r.process:stderr():find("moon pulls", 1, true))
  end))
end)
