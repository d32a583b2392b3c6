-- Recorded outcomes of the Gonka network's gateway: ours must be the same.
local cases = require "perilune.cases"

local function lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line end
  return list
end

describe("the gateway's rules", function()
  local requests = lines "spec/vectors/gateway-cases.jsonl"

  it("cover 1083 recorded requests", function()
    assert.equal(1083, #requests)
  end)

  it("give every recorded outcome that a request alone decides", function()
    local counts = { agree = 0, differ = 0, outside = 0 }
    local differing = {}
    for _, line in ipairs(requests) do
      local result, detail, case = cases.emulate(line)
      counts[result] = counts[result] + 1
      if result == "differ" then differing[#differing + 1] = case.id .. ": " .. detail end
    end
    assert.equal("", table.concat(differing, "\n"))
    assert.equal(1071, counts.agree)
  end)

  it("leave out only what the state of the network decides, and say so", function()
    local left_out = {}
    for _, line in ipairs(requests) do
      local result, why, case = cases.emulate(line)
      if result == "outside" then
        assert.equal("it is about the network's state, not about the request", why)
        left_out[#left_out + 1] = case.expect.field
      end
    end
    table.sort(left_out)
    assert.same({ "$path", "$path", "$phase", "$phase", "$race", "$race", "$race", "$runtime", "$stream", "$stream",
      "$stream", "authorization" }, left_out)
  end)
end)
