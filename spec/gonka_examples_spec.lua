--- Every configuration under examples/gonka is checked as an operator would check it, and policies/gonka.lua draws as
-- it says.
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local router = require "spec.support.router"

local VARIABLES = {
  GONKA_PRIVATE_KEY = ("1"):rep(64), GONKA_PRIVATE_KEY_2 = ("2"):rep(64), TESTNET_PRIVATE_KEY = ("3"):rep(64),
  OPENAI_API_KEY = "sk-a", GROQ_API_KEY = "sk-b", TOGETHER_API_KEY = "sk-c", GONKA_BROKER_API_KEY = "sk-d",
}

local function check(path)
  local words = {}
  for name, value in pairs(VARIABLES) do words[#words + 1] = name .. "=" .. value end
  local pipe = assert(io.popen(("env %s %s check --config %s 2>&1"):format(table.concat(words, " "),
    process.quote(router.program), path)))
  local text = pipe:read "a"
  return pipe:close(), text
end

describe("examples/gonka", function()
  teardown(process.stop_all)

  local pipe = assert(io.popen "ls examples/gonka/*.lua")
  local paths = {}
  for path in pipe:lines() do paths[#paths + 1] = path end
  pipe:close()

  it("has every usual way to use the network", function() assert.is_true(#paths >= 11) end)

  for _, path in ipairs(paths) do
    local is_policy = (assert(process.read(path))):find("return policy", 1, true)
    if not is_policy then
      it(path:match "([%w_]+)%.lua$" .. " is accepted by `perilune check`", function()
        local ok, text = check(path)
        assert(ok, text)
        assert.matches(": ok, ", text)
      end)
    end
  end

  it("would be refused with a mistake in it", function()
    local directory = process.directory()
    local text = assert(process.read "examples/gonka/once.lua"):gsub("refresh = false", "refrehs = false")
    local file = assert(io.open(directory .. "/perilune.lua", "w"))
    file:write(text)
    file:close()
    local ok, why = check(directory .. "/perilune.lua")
    assert.is_nil(ok)
    assert.matches("refresh", why)
  end)
end)

describe("policies/gonka.lua", function()
  teardown(process.stop_all)

  local TEXT = assert(process.read "policies/gonka.lua")

  local function behind(start, net, options)
    local r = start({
      providers = { net:provider() }, policies = { "network.lua", { file = "gonka.lua", options = options } },
    }, { ["network.lua"] = network.policy, ["gonka.lua"] = TEXT })
    net:await(r, "the hosts", function(seen) return seen.count > 0 end)
    return r
  end

  local function count(net, r, requests)
    local counts = { h1 = 0, h2 = 0 }
    for _ = 1, requests do
      local answer = r:chat()
      assert.equal(200, answer.status)
      assert.matches("^gonka", answer.headers["x-perilune-route"])
      local name = net:answerer(answer)
      counts[name] = counts[name] + 1
    end
    return counts
  end

  it("draws by the damped stake, or by the weights it is given", router.test(function(start)
    local net = network.start { hosts = 2 }
    net:epoch(nil, { h1 = 100, h2 = 10000 })
    -- 100 to 10000 in proportion is 2 of 200; by the square root 18; equal shares are 100. Five standard deviations
    -- are 7, 20 and 35.
    local r = behind(start, net, { damping = 1 })
    assert(count(net, r, 200).h1 <= 9)
    r = behind(start, net, { damping = 0.5 })
    assert(math.abs(count(net, r, 200).h1 - 18) <= 18)
    r = behind(start, net, { damping = 0 })
    assert(math.abs(count(net, r, 200).h1 - 100) <= 35)
    r = behind(start, net, { weights = { [net.addresses.h1] = 1, [net.addresses.h2] = 0 } })
    assert.equal(50, count(net, r, 50).h1)
  end))

  it("passes over hosts that fail, and says so of none when all do", router.test(function(start)
    local net = network.start { hosts = 3 }
    local r = behind(start, net)
    net:host("h3", { default = "status=500" })
    net:host("h2", { default = "cut_after=0" })
    for _ = 1, 5 do assert.equal("h1", net:answerer(r:chat())) end
    net:host("h1", { default = "status=500" })
    local answer = r:chat()
    assert(answer.status >= 500)
    assert.truthy(answer.json.error.message)
  end))

  it("leaves hosts alone whose machines compute proofs, when others do not", router.test(function(start)
    local net = network.start { hosts = 2 }
    net:host("h1", { preserved = true })
    local r = behind(start, net)
    net:steer("phase", { phase = "PoCGenerate" })
    net:await(r, "the window", function(seen) return seen.phase == "PoCGenerate" end)
    assert(count(net, r, 40).h1 >= 38)
    net:steer("phase", { phase = "PoCValidate" }) -- machines can serve beside it
    net:host("h1", { down = true })
    assert.equal(40, count(net, r, 40).h2)
  end))

  it("writes each change of the epoch to the log", router.test(function(start)
    local net = network.start { hosts = 2 }
    local r = behind(start, net)
    net:epoch { "h2" }
    net:await_epoch(r, 2)
    local line = loop.await("the line", function()
      for _, one in ipairs(r:log "gonka epoch") do
        if math.tointeger(one.new) == 2 then return one end
      end
    end)
    assert.equal(net.addresses.h1, line.removed)
  end))

  it("refuses options that make no sense", router.test(function(start)
    local net = network.start { hosts = 1 }
    for _, options in ipairs { { damping = 2 }, { tries = 0 }, { trust = 0 }, { weights = { gonka1x = "much" } } } do
      local ok, why = pcall(behind, start, net, options)
      assert.is_false(ok)
      assert.matches("option '%a+'", why)
    end
  end))
end)
