--- A whole router in front of a Gonka network, in processes of their own: epochs that change under load, and where a
-- private key is not to be found.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local router = require "spec.support.router"

local POLICY = { ["network.lua"] = network.policy }

local behind = network.behind

local function some(seen) return seen.count > 0 end

describe("requests under way", function()
  teardown(process.stop_all)

  it("never notice fifty changes of the epoch: 500 streams, none fails", router.test(function(start)
    local net = network.start { hosts = 5 }
    for name in pairs(net.ports) do net:host(name, { default = "tokens=8;token_ms=250" }) end
    local r = behind(start, { net:provider() })
    net:await(r, "the hosts", some)
    local STREAMS, EPOCHS = 500, 50
    local started, ended, most = 0, 0, 0
    local failures = {}
    local function stream()
      started = started + 1
      most = math.max(most, started - ended)
      local answer, why = r:stream()
      ended = ended + 1
      local is_good = answer and answer.status == 200 and answer.stream.done and answer.is_whole
        and answer.stream.text == "the moon pulls tides across quiet water while"
      if not is_good then failures[#failures + 1] = answer and answer.body or why end
    end
    for _ = 1, STREAMS do loop.spawn(stream) end
    loop.await("the streams to be under way", function() return started == STREAMS end)
    local sets = { { "h1", "h2" }, { "h3", "h4" }, { "h5", "h1" }, { "h2", "h3" }, { "h4", "h5" } }
    for i = 1, EPOCHS do
      net:epoch(sets[i % #sets + 1])
      net:await_epoch(r, i + 1)
      -- some end while others begin: an epoch must find both
      if ended > 0 then loop.spawn(stream) end
    end
    loop.await("the streams to end", function() return ended == started end, 60)
    assert.same({}, failures)
    assert(most >= STREAMS * 0.9, most .. " at once")
    loop.await("every slot to be free", function()
      local open = 0
      for _, one in ipairs(net:look().hosts) do open = open + one.open end
      return open == 0
    end)
    print(("500 concurrent streams over %d epochs: %d streams, %d at once, %d failed"):format(EPOCHS, started, most,
      #failures))
  end, 120))
end)

describe("a private key", function()
  teardown(process.stop_all)

  local CANARY = "c0ffee00c0ffee11c0ffee22c0ffee33c0ffee44c0ffee55c0ffee66c0ffee77"
  local function bytes_of(hex) return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)) end

  -- The key in every spelling a leak would have.
  local function spellings()
    local peri = require "perilune"
    local bytes = bytes_of(CANARY)
    local list = {
      lower = CANARY, upper = CANARY:upper(), bytes = bytes, reversed = bytes:reverse(),
      base64 = peri.encode.base64(bytes):gsub("=+$", ""), base64url = nil,
      spaced = CANARY:gsub("%x%x", "%0 "):sub(1, -2),
    }
    list.base64url = list.base64:gsub("+", "-"):gsub("/", "_")
    return list
  end

  local function check(where, text)
    for name, spelling in pairs(spellings()) do
      assert(not text:find(spelling, 1, true), where .. " shows the key as " .. name)
    end
  end

  it("is found nowhere: logs, errors, environment, core", router.test(function(start)
    check("this sentence", "nothing to be seen here")
    assert.has_error(function() check("a leak", "x" .. CANARY) end)
    local net = network.start { wallets = 0 }
    local file = assert(io.open(net.directory .. "/canary.key", "wb"))
    file:write(CANARY .. "\n")
    file:close()
    os.execute("chmod 600 " .. net.directory .. "/canary.key")
    local peri = require "perilune"
    local wallet = assert(peri.gonka.wallet("file:" .. net.directory .. "/canary.key"))
    net:steer("account", { public_key = peri.encode.hex(wallet.public_key) })
    net.accounts = { wallet.address }
    for _, case in ipairs {
      { router.expression(("secret %q"):format("file:" .. net.directory .. "/canary.key")) },
      { router.expression 'secret "env:CANARY"', { CANARY = CANARY } }, { CANARY },
    } do
      local r = start({ providers = { net:provider { private_key = case[1] } }, policies = { "network.lua" },
        log = { level = "trace" } }, POLICY, case[2])
      net:await(r, "the hosts", some)
      assert.equal(200, r:chat().status)
      net:steer("chain", { closed = true })
      check("an error", r:chat().body)
      net:steer("chain", { closed = false })
      local models = r:ask("GET", "/v1/models")
      check("the list of models", models.body)
      check("the log", r.process:stderr() .. r.process:stdout())
      check("the environment", assert(process.read("/proc/" .. r.process.pid .. "/environ")))
      check("the command line", assert(process.read("/proc/" .. r.process.pid .. "/cmdline")))
      -- A sanitizer's shadow memory makes a core of terabytes.
      local has_core = not router.is_sanitized() and os.execute("command -v gcore >/dev/null")
        and os.execute(("gcore -o %s/core %d >/dev/null 2>&1"):format(r.directory, r.process.pid))
      if has_core then
        local core = assert(process.read(("%s/core.%d"):format(r.directory, r.process.pid)))
        assert.truthy(core:find(wallet.address, 1, true)) -- the search would find what is there
        check("a core", core)
        for _, text in ipairs { CANARY, bytes_of(CANARY) } do
          for at = 1, #text, 16 do -- what vector registers hold and leave behind
            assert(not core:find(text:sub(at, at + 15), 1, true), "a core shows a part of the key")
          end
        end
      else
        print "skipped: no gcore here, or a sanitizer: the core is not looked at"
      end
    end
    for name in pairs(net.ports) do check("a host's ledger", cjson.encode(net:ledger(name))) end
  end, 120))
end)

describe("a policy", function()
  teardown(process.stop_all)

  it("signs by the name of a network, and never sees a key", router.test(function(start)
    local net = network.start { wallets = 2 }
    local r = start({ providers = { net:provider() }, policies = { "network.lua", "signs.lua" } }, {
      ["network.lua"] = network.policy,
      ["signs.lua"] = [[
        local peri = require "perilune"
        return { request = function(req)
          local wanted = req:header "x-sign"
          if not wanted then return end
          local first, second = peri.address "gonka", peri.address("gonka", 2)
          local none, _, code = peri.address("gonka", 3)
          local headers, _, unknown = peri.sign("gonka", wanted, peri.providers()[1].address)
          local nobody, _, nowhere = peri.sign("other", wanted, first)
          local ok, why = pcall(peri.sign, "gonka", wanted, "gonka1x")
          req:reply(200, {
            first = first, second = second, code = code, headers = headers, unknown = unknown, nowhere = nowhere,
            node = peri.providers()[1].address, refused = not ok and why, none = none == nil and nobody == nil,
          })
        end }
      ]],
    })
    net:await(r, "the hosts", some)
    local peri = require "perilune"
    local told = r:chat({}, { ["x-sign"] = "the body" }).json
    assert.equal(net.accounts[1], told.first)
    assert.equal(net.accounts[2], told.second)
    assert.equal("ENOTFOUND", told.code)
    assert.equal("ENOTFOUND", told.nowhere)
    assert.is_true(told.none)
    assert.matches("address of a host", told.refused)
    local payer = told.headers["X-Requester-Address"]
    local index = payer == net.accounts[1] and 1 or 2
    assert.is_true(peri.gonka.check {
      authorization = told.headers.Authorization, body = "the body", timestamp = told.headers["X-Timestamp"],
      node = told.node, public_key = peri.gonka.wallet("file:" .. net.wallets[index]).public_key,
    })
  end))
end)
