-- What is not there is nil in policies, never no value: `tostring(req:header "x")` must not raise.
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

describe("what is absent", function()
  teardown(process.stop_all)

  it("is one nil, whoever is asked", router.test(function(start)
    local r = start({
      providers = { router.provider("a", provider.start(), { models = { "m" } }) }, policies = { "asks.lua" },
    }, {
      ["asks.lua"] = [[
        local peri = require "perilune"
        local asked = {
          header = function(req) return req:header "x-none" end,
          kind = function() return peri.json.kind(print) end,
          model = function(req) return req:providers()[1]:model "none" end,
          epoch = function() return peri.gonka.epoch() end,
          shared = function() return peri.shared.get "none" end,
          latency = function(req) return req:providers()[1].latency_ms end,
          index = function(req) return req.headers["x-none"] end,
          key = function(req) return req.key end,
        }
        return { request = function(req)
          for name, ask in pairs(asked) do
            local got = table.pack(pcall(ask, req))
            peri.log.info("asked", { name = name, ok = got[1], count = got.n - 1, is_nil = got[2] == nil,
              why = tostring(got[2]) })
          end
        end, attempt = function(_, attempt)
          for _, name in ipairs { "previous", "context_tokens", "max_output_tokens" } do
            peri.log.info("asked", { name = name, ok = true, count = select("#", attempt[name]),
              is_nil = attempt[name] == nil })
          end
          peri.log.info("asked", { name = "headers", ok = true, count = select("#", attempt.headers["x-none"]),
            is_nil = attempt.headers["x-none"] == nil })
        end }]],
    })
    assert.equal(200, r:chat().status)
    local asked = r:log "asked"
    assert.equal(12, #asked)
    for _, line in ipairs(asked) do
      assert.same({ true, 1, true }, { line.ok, line.count, line.is_nil }, line.name .. ": " .. tostring(line.why))
    end
  end))
end)
