--- Hosts and nodes of a Gonka network that are slow, dead or lying. Each way is ordered while everything runs, and
-- taken back: what the router makes of it, and that it recovers. In virtual time.
local testing = require "perilune.testing"
local virtual = require "spec.support.virtual"

local POLICY = { ["network.lua"] = virtual.policy }
local ANSWER = "the moon pulls tides across quiet water while"

local function both(options, more, body)
  return virtual.test(function(start)
    local net = virtual.network(options)
    local r = start({ providers = { net:provider(more) }, policies = { "network.lua" } }, POLICY)
    net:await(r, "the hosts", function(seen) return seen.count > 0 end)
    body(net, r, start)
  end)
end

-- The router sees its hosts fail; what rests must not be the reason that the other one answers.
local function answers_from_h1(net, r, times)
  for i = 1, times or 4 do
    local answer = i % 2 == 0 and r:stream() or r:chat()
    assert.equal(200, answer.status, answer.body)
    assert.equal("h1", net:answerer(answer))
    assert.equal(ANSWER, i % 2 == 0 and answer.stream.text or answer.json.choices[1].message.content)
  end
end

describe("a Gonka host", function()
  for what, behaviour in pairs {
    ["is slow to answer"] = "delay_ms=20000", ["is slow to begin"] = "first_token_ms=20000",
    ["never answers"] = "hang", ["hangs up"] = "refuse", ["answers 200 with garbage"] = "garbage",
    ["answers 200 with nothing"] = "empty;eof_after=0", ["answers with a page"] = "html",
    ["cuts its answer off"] = "cut_after=0", ["resets"] = "reset_after=0",
    ["answers with an error and status 200"] = "first_error_frame;broken_json_after=0",
    ["has lost its mind"] = "broken_json_after=0",
  } do
    it("that " .. what .. " is passed over", both({ hosts = 2 },
      { timeouts = { first_byte = "400ms", first_token = "400ms", total = "2s" }, damping = "equal" }, function(net, r)
        net:host("h2", { default = behaviour })
        virtual.await("h2 to be asked", function()
          answers_from_h1(net, r, 2)
          return #net:ledger "h2" > 0
        end)
        net:host("h2", { default = "tokens=8" })
        assert.equal(200, r:chat().status)
      end))
  end

  it("that breaks off in the middle is seen to do so by the client", both({ hosts = 1 }, nil, function(net, r)
    for _, behaviour in ipairs { "cut_after=3", "reset_after=3", "eof_after=3", "error_frame_after=3" } do
      net:host("h1", { default = behaviour })
      local answer = r:stream()
      if answer.status == 200 then
        assert.is_falsy(answer.stream.done)
        assert.equal("the moon pulls", answer.stream.text)
        assert.matches('"error":{', answer.body, 1, true)
      end
    end
  end))

  it("that names another model does not change what the client asked", both({ hosts = 1 }, nil, function(net, r)
    net:host("h1", { default = "model=something-cheaper" })
    local answer = r:chat()
    assert.equal(200, answer.status)
    local entries = net:ledger "h1"
    assert.equal("m", entries[#entries].model)
    assert.equal("something-cheaper", answer.json.model) -- passed on as it came: the client can see it
  end))

  it("goes down and comes back at the same place", both({ hosts = 2 }, { damping = "equal" }, function(net, r)
    net:host("h2", { down = true })
    answers_from_h1(net, r)
    net:host("h2", { down = false })
    net:epoch()
    net:await_epoch(r, 2)
    virtual.await("h2 to be asked again", function() return net:answerer(r:chat()) == "h2" end)
  end))

  it("with a hostile address is left out, and the others are used", both({ hosts = 2 }, nil, function(net, r)
    for _, url in ipairs {
      "http://user:pass@192.0.2.1:" .. net.ports.h2, "gopher://192.0.2.1:" .. net.ports.h2,
      "file:///etc/passwd", "http://", "http://127.0.0.1:99999", "http://192.0.2.1:" .. net.ports.h2 .. "/\r\nx: y",
      "not a url at all", "http://192.0.2.1:" .. net.ports.h2 .. "/v1?x=1#f",
    } do
      net:host("h2", { url = url })
      net:epoch()
      local epoch = math.tointeger(net:look().epoch)
      local seen = net:await_epoch(r, epoch)
      assert.same({ url, 1 }, { url, seen.count })
      answers_from_h1(net, r, 2)
    end
    assert.equal(0, net:answered "h2")
  end))

  it("with a weight that makes no sense counts as the smallest", both({ hosts = 2 }, nil, function(net, r)
    for _, weight in ipairs { -5, 0 } do
      net:host("h2", { weight = weight })
      net:epoch()
      local seen = net:await_epoch(r, math.tointeger(net:look().epoch))
      assert.equal(1, seen.hosts.h2.weight)
    end
  end))
end)

describe("a Gonka node", function()
  local function failures(r)
    local count = 0
    for _, line in ipairs(r:log()) do
      if line.msg:find("refresh failed", 1, true) then count = count + 1 end
    end
    return count
  end

  local function await_failure(r)
    local before = failures(r)
    virtual.await("a refresh that fails", function()
      r:chat({}, { ["x-order"] = "refresh" })
      return failures(r) > before
    end)
  end

  local function validators_of(net)
    local path = virtual.directory() .. "/validators.json"
    local file = assert(io.open(path, "wb"))
    file:write(net:read "/chain-rpc/validators?height=10085&per_page=100")
    file:close()
    return path
  end

  for lie, what in pairs {
    record = "a record that was changed", proof = "a proof that leads elsewhere",
  } do
    it("with " .. what .. " is not believed when proofs are asked for", virtual.test(function(start)
      local net = virtual.network { hosts = 2 }
      local r = start({
        providers = { net:provider {
          verify_proofs = true, trust_chain = "gonka-simnet", trust_validators = validators_of(net),
        } }, policies = { "network.lua" },
      }, POLICY)
      net:await(r, "the hosts", function(seen) return seen.count == 2 end)
      net:steer("chain", { lie = lie })
      net:epoch { "h1" }
      await_failure(r)
      assert.same({ 1, 2 }, { net:seen_by(r).epoch, net:seen_by(r).count })
      net:steer("chain", {})
      assert.equal(1, net:await_epoch(r, 2).count)
    end))
  end

  it("with the number of another epoch is believed only without proofs", virtual.test(function(start)
    local net = virtual.network { hosts = 1 }
    net:steer("chain", { lie = "epoch" })
    local r = start({ providers = { net:provider() }, policies = { "network.lua" } }, POLICY)
    net:await_epoch(r, 8)
    r = start({
      providers = { net:provider {
        verify_proofs = true, trust_chain = "gonka-simnet", trust_validators = validators_of(net),
      } }, policies = { "network.lua" },
    }, POLICY)
    net:await_epoch(r, 1)
  end))

  local function refusals(r)
    local count = 0
    for _, line in ipairs(r:log()) do
      if line.msg:find("told epoch 2, which is over: 3 is current", 1, true) then count = count + 1 end
    end
    return count
  end

  it("that tells an epoch which is over takes no host away, true as its proof may be", virtual.test(function(start)
    local net = virtual.network { hosts = 2 }
    local r = start({
      providers = { net:provider {
        verify_proofs = true, trust_chain = "gonka-simnet", trust_validators = validators_of(net),
      } }, policies = { "network.lua" },
    }, POLICY)
    net:epoch { "h1" }
    net:epoch { "h1", "h2" }
    net:await_epoch(r, 3)
    net:steer("chain", { lie = "stale" })
    virtual.await("three refusals", function()
      r:chat({}, { ["x-order"] = "refresh" })
      return refusals(r) >= 3
    end)
    assert.same({ 3, 2 }, { net:seen_by(r).epoch, net:seen_by(r).count })
    net:steer("chain", {})
    net:epoch { "h2" }
    assert.equal(1, net:await_epoch(r, 4).count)
  end))

  it("that goes back without proof is believed once every source has said so", both({ hosts = 2 }, nil,
    function(net, r)
      net:epoch { "h1" }
      net:epoch { "h1", "h2" }
      net:await_epoch(r, 3)
      net:steer("chain", { lie = "stale" })
      assert.equal(1, net:await_epoch(r, 2).count)
      assert.equal(1, refusals(r))
    end))

  it("that answers with garbage, or an error, changes nothing", both({ hosts = 2 }, nil, function(net, r)
    net:steer("chain", { lie = "garbage" })
    net:epoch { "h1" }
    await_failure(r)
    assert.equal(2, net:seen_by(r).count)
    net:steer("chain", {})
    net:steer("node", { status = 503 })
    await_failure(r)
    assert.equal(200, r:chat().status)
    net:steer("node", {})
    assert.equal(1, net:await_epoch(r, 2).count)
  end))

  it("that is slow keeps nobody waiting", both({ hosts = 1 }, nil, function(net, r)
    net:steer("node", { delay_ms = 20000 })
    r:chat({}, { ["x-order"] = "refresh" })
    local reads = net:look().reads
    for _ = 1, 5 do assert.equal(200, r:chat().status) end
    assert(net:look().reads >= reads)
    net:steer("node", {})
  end))
end)

describe("a source that takes connections and never answers", function()
  it("is passed over for the next after one question", virtual.test(function(start)
    local net = virtual.network { hosts = 1 }
    local silent = "http://silent.example:8000"
    local r = start({
      providers = { net:provider { source = false, sources = { silent, net.url } } },
      policies = { "network.lua" }, queue = { discovery = "0ms" },
      http = testing.http(function() return testing.stall() end),
    }, POLICY)
    virtual.await("the hosts", function() return net:seen_by(r).count == 1 end)
    assert(virtual.now_ms() < 35000, "two questions take 40 seconds")
  end))
end)
