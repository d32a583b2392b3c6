--- The example programs: built with the tree, run against a provider.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local build = os.getenv "PERILUNE_BUILD" or "build"

describe("examples/embed.c", function()
  teardown(process.stop_all)

  it("sends one request through a policy in C and shows how it was routed", router.test(function()
    local p = provider.start(provider.tokens { "Good", " evening" })
    local child = process.start { build .. "/example_embed", p.url }
    assert.equal(0, child:wait())
    local out = child:stdout()
    assert.matches("also listening on port %d+", out)
    assert.matches('"content":"Good"', out)
    assert.matches("data: %[DONE%]", out)
    assert.matches("\n200 from first by c@1\n", out)
    local posts = 0
    for _, request in ipairs(p.requests) do posts = posts + (request.method == "POST" and 1 or 0) end
    assert.equal(1, posts) -- beside a look at its list of models
  end))

  it("fails when its provider does", router.test(function()
    local child = process.start { build .. "/example_embed", provider.dead_url() }
    assert.equal(1, child:wait())
    assert.matches("\n50%d from first", child:stdout())
  end))

  it("says how it is used", router.test(function()
    local child = process.start { build .. "/example_embed" }
    assert.equal(2, child:wait())
    assert.matches("usage: ", child:stderr())
  end))
end)

describe("examples/embed_own_loop.c", function()
  teardown(process.stop_all)

  -- gives the child, its port and its input
  local function begin(text)
    local directory = process.directory()
    local config = assert(io.open(directory .. "/router.json", "w"))
    config:write(text)
    config:close()
    assert(os.execute("mkfifo " .. directory .. "/input"))
    local child = process.start { "sh", "-c", ("exec '%s/example_embed_own_loop' '%s/router.json' <'%s/input'"):format(
      build, directory, directory) }
    local input = assert(io.open(directory .. "/input", "w")) -- each waits for the other to open it
    local port
    loop.await("its port", function()
      port = child:stdout():match "listening on port (%d+)"
      return port
    end)
    return child, tonumber(port), input
  end

  it("serves from the host's loop until its input ends", router.test(function()
    local p = provider.start(provider.chat "Hello there.")
    local child, port, input =
      begin(('{"listen":"127.0.0.1:0","providers":[{"id":"a","url":"%s"}]}'):format(p.url))
    local answer = router.at(port):chat()
    assert.equal(200, answer.status)
    assert.equal("a", answer.headers["x-perilune-provider"])
    input:close()
    assert.equal(0, child:wait())
  end))

  it("follows a network and answers the operator, all on the host's thread", router.test(function()
    local net = network.start { hosts = 2 }
    local key = assert(process.read(net.wallets[1])):match "%x+"
    local child, port, input = begin(cjson.encode {
      listen = "127.0.0.1:0", admin = { listen = "127.0.0.1:0", key = "operators-own-key" },
      providers = { { id = "g", network = "gonka", source = net.url, private_key = key, private_hosts = true } },
    })
    assert.equal(200, router.at(port):chat().status)
    local ports = {}
    for found in child:stderr():gmatch '"admin listening".-"port":(%d+)' do ports[#ports + 1] = tonumber(found) end
    assert.equal(1, #ports)
    local admin = router.at(ports[1])
    local told = admin:ask("GET", "/admin/networks", nil, { authorization = "Bearer operators-own-key" }).json.data[1]
    assert.same({ 1, 2 }, { math.tointeger(told.epoch), math.tointeger(told.usable) })
    assert.equal("1", process.read("/proc/" .. child.pid .. "/status"):match "\nThreads:%s*(%d+)")
    input:close()
    assert.equal(0, child:wait())
  end))

  it("says what is wrong with its configuration", router.test(function()
    local child = process.start { build .. "/example_embed_own_loop", "/nowhere/perilune.lua" }
    assert.equal(1, child:wait())
    assert.matches("/nowhere/perilune.lua", child:stderr())
  end))
end)
