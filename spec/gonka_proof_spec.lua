--- Proofs end to end: a router that believes hosts only with proof, in front of a chain whose proofs, blocks and
-- signatures are real, and in front of nodes that lie. In virtual time.
local cjson = require "cjson"
local virtual = require "spec.support.virtual"

local POLICY = { ["network.lua"] = virtual.policy }

-- The validators as an operator fetches them once.
local function validators_of(net)
  local path = virtual.directory() .. "/validators.json"
  local file = assert(io.open(path, "wb"))
  file:write(net:read "/chain-rpc/validators?height=10085&per_page=100")
  file:close()
  return path
end

local function behind(start, net, options)
  options.verify_proofs = true
  options.trust_chain = options.trust_chain or "gonka-simnet"
  return start({ providers = { net:provider(options) }, policies = { "network.lua" } }, POLICY)
end

-- Have it look until it has refused once more than it has so far, with these words.
local function await_refusal(r, words)
  local function count()
    local found = 0
    for _, line in ipairs(r:log()) do
      if line.msg:find("refresh failed", 1, true) and line.msg:find(words, 1, true) then found = found + 1 end
    end
    return found
  end
  local before = count()
  virtual.await("the refusal '" .. words .. "'", function()
    r:chat({}, { ["x-order"] = "refresh" })
    return count() > before
  end)
end

describe("a router that asks for proof", function()
  it("believes what the trusted validators have signed, epoch after epoch", virtual.test(function(start)
    local net = virtual.network {}
    local r = behind(start, net, { trust_validators = validators_of(net) })
    net:await(r, "the hosts", function(seen) return seen.count == 3 end)
    assert.equal(200, r:chat().status)
    local proof = r:log("gonka proof holds")[1]
    assert.equal(40, math.tointeger(proof.signed_power))
    for i, shape in ipairs { "strings", "golden", "early" } do
      net:steer("chain", { shape = shape })
      net:epoch { "h1", "h2" }
      net:await_epoch(r, i + 1)
    end
    for _, line in ipairs(r:log "gonka hosts") do assert.is_true(line.proven) end
  end))

  it("follows the chain from a pinned block", virtual.test(function(start)
    local net = virtual.network {}
    local now = net:look()
    local r = behind(start, net, { trust_block = now.trust_block, trust_height = math.tointeger(now.trust_height) })
    net:await(r, "the hosts", function(seen) return seen.count == 3 end)
    net:epoch { "h2", "h3" }
    net:await_epoch(r, 2)
    assert.equal(200, r:chat().status)
  end))

  it("uses the proven weights, whatever the readable part says", virtual.test(function(start)
    local net = virtual.network {}
    net:steer("chain", { lie = "weights" })
    local r = behind(start, net, { trust_validators = validators_of(net) })
    local seen = net:await(r, "the hosts", function(seen) return seen.count == 3 end)
    assert.equal(100, seen.hosts.h1.weight)
    local trusting = start({ providers = { net:provider() }, policies = { "network.lua" } }, POLICY)
    seen = net:await(trusting, "the hosts", function(now) return now.count == 3 end)
    assert.equal(999999, seen.hosts.h1.weight) -- so the lie was one
  end))

  it("keeps the hosts it has when a record is forged, and when too few have signed", virtual.test(function(start)
    local net = virtual.network {}
    local r = behind(start, net, { trust_validators = validators_of(net) })
    net:await(r, "the hosts", function(seen) return seen.count == 3 end)
    net:steer("chain", { lie = "record" })
    net:epoch { "h1" }
    await_refusal(r, "proof")
    assert.equal(3, net:seen_by(r).count)
    net:steer("chain", { signers = 2 })
    await_refusal(r, "proof")
    assert.equal(3, net:seen_by(r).count)
    assert.equal(200, r:chat().status)
    net:steer("chain", { signers = 3 })
    net:await_epoch(r, 2)
    assert.equal(1, net:seen_by(r).count)
  end))

  it("uses nobody when the pinned block, the chain or the validators are others", virtual.test(function(start)
    local net = virtual.network {}
    local now = net:look()
    local height = math.tointeger(now.trust_height)
    local other = virtual.directory() .. "/other.json"
    local list = cjson.decode((virtual.read(validators_of(net))))
    table.remove(list.result.validators)
    list.result.count, list.result.total = "3", "3"
    local file = assert(io.open(other, "wb"))
    file:write(cjson.encode(list))
    file:close()
    for _, options in ipairs {
      { trust_block = ("0"):rep(64), trust_height = height }, { trust_block = now.trust_block },
      { trust_validators = other }, { trust_validators = validators_of(net), trust_chain = "gonka-mainnet" },
    } do
      local r = behind(start, net, options)
      virtual.await("the first refusal", function()
        for _, line in ipairs(r:log()) do
          if line.msg:find("refresh failed", 1, true) then return true end
        end
      end)
      local answer = r:chat()
      assert.equal(503, answer.status)
      assert.is_true(answer.elapsed_ms <= 10000)
    end
    for name in pairs(net.ports) do assert.equal(0, net:answered(name)) end
  end))
end)
