--- The command line of `perilune simnet`, by the real program: what is wrong is said with the flag, the value and what
-- was expected, and ends with status 2 before anything is started; the help names every flag there is, and no other.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local options = require "perilune.simnet.options"
local process = require "spec.support.process"
local router = require "spec.support.router"

local function run(words)
  local argv = { router.program, "simnet", table.unpack(words) }
  for i, word in ipairs(argv) do argv[i] = process.quote(word) end
  local pipe = assert(io.popen(table.concat(argv, " ") .. " 2>&1"))
  local text = pipe:read "a"
  local _, _, status = pipe:close()
  return status or 0, text
end

describe("perilune simnet", function()
  teardown(process.stop_all)

  for _, case in ipairs {
    { { "--providers", "0" }, "--providers: expected a number from 1 to 1000, got '0'" },
    { { "--providers", "two" }, "--providers: expected a number from 1 to 1000, got 'two'" },
    { { "--gonka", "-1" }, "--gonka: expected a number of hosts from 1 to 500, got '-1'" },
    { { "--gonka=1e2" }, "--gonka: expected a number of hosts from 1 to 500, got '1e2'" },
    { { "--port", "65536" }, "--port: expected a port from 0 to 65535, got '65536'" },
    { { "--port", "" }, "--port: expected a port from 0 to 65535, got ''" },
    { { "--port=65535", "--providers=2" }, "--port: 2 providers from port 65535 on need ports up to 65536" },
    { { "--key", "a b" }, "--key: expected a key without white space, got 'a b'" },
    { { "--model", "" }, "--model: expected a model's name without white space, got ''" },
    { { "--gonka", "1", "--wallet", "" }, "--wallet: expected a path of a file, got ''" },
    { { "--wallet", "x.key" }, "--wallet: is about a Gonka network, which --gonka starts" },
    { { "--gonka", "1", "--shape", "round" },
      "--shape: expected one of early, golden, numbers, strings, got 'round'" },
    { { "--shape", "early" }, "--shape: is about a Gonka network, which --gonka starts" },
    { { "--gonka", "1", "--scheme", "plain" }, "--scheme: expected one of body_only, hashed, raw_body, got 'plain'" },
    { { "--scheme", "hashed" }, "--scheme: is about a Gonka network, which --gonka starts" },
    { { "--default", "speed=1" }, "--default: expected behaviours .*, got 'speed=1': unknown behaviour 'speed'" },
    { { "--default", "status=1000" }, "behaviour 'status' takes an HTTP status from 200 to 599, got '1000'" },
    { { "--default", ";" }, "--default: expected behaviours such as .*, got ';'" },
    { { "--key", "a", "--key", "b" }, "--key: given more than once" },
    { { "--speed", "1" }, "unknown option '--speed', `perilune simnet %-%-help` lists the options" },
    { { "gonka" }, "unknown argument 'gonka'" },
  } do
    it("refuses " .. table.concat(case[1], " "), function()
      local status, text = run(case[1])
      assert.equal(2, status, text)
      local pattern = case[2]:find("%.%*") and case[2] or case[2]:gsub("%-", "%%-"):gsub("%%%%", "%%")
      assert.matches("^perilune simnet: [^\n]*" .. pattern:gsub("^%^", ""), text)
      assert.equal(1, select(2, text:gsub("\n", "")), text) -- one line, and nothing was started
    end)
  end

  it("wants a value for each flag", function()
    for _, name in ipairs(options.flags()) do
      local status, text = run { name }
      assert.equal(2, status)
      assert.matches("^perilune simnet: " .. name:gsub("%-", "%%-") .. ": expected .*, got nothing\n$", text)
    end
  end)

  it("fails with status 1 when what was asked for can not be had", function()
    local taken = assert(require("socket").bind("127.0.0.1", 0))
    local _, port = taken:getsockname()
    local status, text = run { "--port", tostring(math.tointeger(port)) }
    assert.equal(1, status)
    assert.matches("^perilune simnet: .*" .. port, text)
    taken:close()
    local directory = process.directory()
    local file = assert(io.open(directory .. "/bad.key", "w"))
    file:write "not a key\n"
    file:close()
    os.execute("chmod 600 " .. directory .. "/bad.key")
    status, text = run { "--gonka", "1", "--wallet", directory .. "/bad.key" }
    assert.equal(1, status)
    assert.matches("^perilune simnet: .*bad%.key", text)
    assert.is_nil(text:find("not a key", 1, true))
  end)

  it("has every flag in its help, and no other", function()
    local status, text = run { "--help" }
    assert.equal(0, status)
    local told, seen = {}, {}
    for name in text:gmatch "\n  (%-%-%l+)" do
      if not seen[name] then told[#told + 1] = name end
      seen[name] = true
    end
    table.sort(told)
    assert.same(options.flags(), told)
  end)

  it("has every order of a network in its help, and no other", function()
    local _, text = run { "--help" }
    local list = assert(text:match "/sim/(epoch[%l%s,]+) on a network's node")
    local told, there = {}, {}
    for name in list:gmatch "%l+" do told[#told + 1] = name end
    for name in pairs(require "perilune.simnet.gonka_commands") do
      if require("perilune.simnet.gonka_commands").has(name) then there[#there + 1] = name end
    end
    table.sort(told)
    table.sort(there)
    assert.same(there, told)
  end)

  it("starts what it is told: the port, the shape, the scheme", loop.body(function()
    local free = assert(require("socket").bind("127.0.0.1", 0))
    local _, port = free:getsockname()
    free:close()
    local child = process.start { router.program, "simnet", "--gonka=2", "--port=" .. math.tointeger(port),
      "--shape=strings", "--scheme=raw_body", "--model=m" }
    local line = loop.await("the network", function()
      if not child:is_running() then error(child:stderr(), 0) end
      return child:stdout():match "^(.-)\n"
    end, 20)
    assert.equal(math.tointeger(port), math.tointeger(cjson.decode(line).url:match ":(%d+)$"))
    local node = router.at(math.tointeger(port))
    local document = node:ask("GET", "/v1/epochs/current/participants").json
    assert.equal("1", document.active_participants.epoch_id)
    assert.equal(200, node:ask("POST", "/sim/quit", "{}").status)
    assert.equal(0, child:wait(20))
  end))
end)
