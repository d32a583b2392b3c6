--- The webhook of a network: what it says, how it is tried again, and that nothing waits for it.
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local POLICY = { ["network.lua"] = network.policy }
local PATH = "/hook/?token=canary-in-the-url"

local function url_of(receiver) return ("http://127.0.0.1:%d%s"):format(receiver.port, PATH) end

local function config(net, receiver, options)
  options = options or {}
  options.epoch_webhook = options.epoch_webhook or url_of(receiver)
  return { providers = { net:provider(options) }, policies = { "network.lua" } }
end

local function sorted(list)
  table.sort(list)
  return list
end

-- The addresses of hosts, as lists of the webhook are compared.
local function addresses(net, ...)
  local list = {}
  for i, name in ipairs { ... } do list[i] = net.addresses[name] end
  return sorted(list)
end

local function await_told(receiver, count)
  return loop.await(count .. " events", function() return receiver.requests[count] end, 20)
end

describe("a network's webhook", function()
  teardown(process.stop_all)

  it("is told who came, who went and who changed", router.test(function(start)
    local net, receiver = network.start { hosts = 4 }, provider.start(provider.reply(204, ""))
    net:epoch { "h1", "h2", "h3" }
    local r = start(config(net, receiver, { epoch_webhook_key = router.expression 'secret "env:HOOK_KEY"' }), POLICY,
      { HOOK_KEY = "hook-key-canary" })
    local first = await_told(receiver, 1)
    assert.same({ "POST", PATH }, { first.method, first.target })
    assert.equal("application/json", first.headers["content-type"])
    assert.equal("Bearer hook-key-canary", first.headers.authorization)
    assert.equal(require "cjson".null, first.json.old_epoch)
    assert.same(addresses(net, "h1", "h2", "h3"), sorted(first.json.added))
    net:await(r, "the hosts", function(seen) return seen.count == 3 end)
    net:epoch({ "h2", "h3", "h4" }, { h3 = 9 })
    net:await_epoch(r, 3)
    local event = await_told(receiver, 2).json
    assert.same({ "epoch_changed", "gonka", 2, 3 }, { event.type, event.network, math.tointeger(event.old_epoch),
      math.tointeger(event.new_epoch) })
    assert.same(addresses(net, "h4"), event.added)
    assert.same(addresses(net, "h1"), event.removed)
    assert.same(addresses(net, "h3"), event.changed)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", event.at)
    assert.matches("^evt_%x+$", event.id)
    assert.is_not.equal(first.json.id, event.id)
    assert.is_nil(r.process:stderr():find("canary", 1, true)) -- neither the key nor the URL
  end))

  it("is not told while nothing changes", router.test(function(start)
    local net, receiver = network.start { hosts = 1 }, provider.start(provider.reply(200, "{}"))
    local r = start(config(net, receiver), POLICY)
    await_told(receiver, 1)
    for i = 1, 3 do
      local before = net:look().reads
      loop.await("look " .. i, function()
        r:chat({}, { ["x-order"] = "refresh" })
        return net:look().reads > before
      end)
    end
    net:rest()
    assert.equal(1, #receiver.requests)
  end))

  it("is told again after failures, the same event, and in order", router.test(function(start)
    local net, receiver = network.start { hosts = 2 }, provider.start(provider.reply(200, "{}"))
    receiver:next(provider.status(503), provider.reset)
    local r = start(config(net, receiver), POLICY)
    net:await(r, "the hosts", function(seen) return seen.count == 2 end)
    net:epoch { "h1" }
    net:await_epoch(r, 2)
    await_told(receiver, 4)
    local told = {}
    for i, request in ipairs(receiver.requests) do told[i] = math.tointeger(request.json.new_epoch) end
    assert.same({ 1, 1, 1, 2 }, told)
    assert.equal(receiver.requests[1].body, receiver.requests[3].body)
    assert.equal("answered 503", r:log "epoch webhook is tried again"[1].reason)
    assert.equal(0, #r:log "epoch webhook failed")
  end))

  it("is not asked again after it refused, and the next change is told", router.test(function(start)
    local net, receiver = network.start { hosts = 2 }, provider.start(provider.reply(200, "{}"))
    receiver:next(provider.status(403))
    local r = start(config(net, receiver), POLICY)
    net:await(r, "the hosts", function(seen) return seen.count == 2 end)
    loop.await("the refusal", function() return #r:log "epoch webhook failed" == 1 end)
    local line = r:log "epoch webhook failed"[1]
    assert.same({ "warn", "gonka", "answered 403", 1 },
      { line.level, line.provider, line.reason, math.tointeger(line.tries) })
    net:epoch { "h1" }
    net:await_epoch(r, 2)
    assert.equal(2, math.tointeger(await_told(receiver, 2).json.new_epoch))
  end))

  it("holds nothing up while it is silent: no refresh, request, reload, nor the end", router.test(function(start)
    local net, receiver = network.start { hosts = 2 }, provider.start(provider.stall)
    local options = config(net, receiver)
    local r = start(options, POLICY)
    await_told(receiver, 1)
    net:await(r, "the hosts", function(seen) return seen.count == 2 end)
    net:epoch { "h1" }
    net:await_epoch(r, 2)
    assert.equal(200, r:chat().status)
    assert.equal(1, receiver.busy)
    options.providers[1].epoch_webhook = nil
    r:configure(options)
    r.process:signal "HUP"
    loop.await("the old configuration to leave it", function() return receiver.left == 1 end)
    local lines = loop.await("word of what was not told", function()
      local found = r:log "epoch webhook left out"
      return #found == 2 and found
    end)
    assert.same({ 1, 2 }, { math.tointeger(lines[1].epoch), math.tointeger(lines[2].epoch) })
  end))

  it("is refused when it is no URL, without being shown", function()
    local directory = process.directory()
    local function check(entry)
      local file = assert(io.open(directory .. "/perilune.lua", "w"))
      file:write(([[return { providers = { { id = "g", network = "gonka", source = "http://127.0.0.1:1",
        private_key = "%s", %s } } }]]):format(("1"):rep(64), entry))
      file:close()
      local pipe = assert(io.popen(("%s check --dump --config %s/perilune.lua 2>&1"):format(
        process.quote(router.program), directory)))
      local text = pipe:read "a"
      return pipe:close() == true, text
    end
    for _, url in ipairs { "ftp://canary.example/", "canary", "http://user:canary@example.org/", "" } do
      local ok, text = check(("epoch_webhook = %q"):format(url))
      assert.same({ url, false }, { url, ok })
      assert.matches("'providers[1].epoch_webhook' must be a URL", text, 1, true)
      assert.is_nil(text:find("canary", 1, true), text)
    end
    local ok, text = check 'epoch_webhook_key = "k"'
    assert.is_false(ok)
    assert.matches("without 'epoch_webhook'", text, 1, true)
    ok, text = check 'epoch_webhook = "https://hooks.example/canary?token=canary"'
    assert.is_true(ok, text)
    assert.is_nil(text:find("canary", 1, true), text)
  end)
end)
