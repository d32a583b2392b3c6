--- The lists of models that providers publish, as time passes: read again and again, and kept when that fails. In
-- virtual time.
local testing = require "perilune.testing"
local virtual = require "spec.support.virtual"

--- A provider that publishes a list: `served.models` (entries, or an answer) as it is when it is asked.
local function broker(served, options)
  local entry = { id = "a", key = "sk-canary-a", discover_models = true, answers = function(request)
    if request.path ~= "/v1/models" then return testing.chat "Hello there." end
    served.looks = (served.looks or 0) + 1
    if served.models.says then return served.models end
    return testing.status(200, { body = { object = "list", data = served.models } })
  end }
  for name, value in pairs(options or {}) do entry[name] = value end
  return entry
end

local function listed(r)
  local ids = {}
  for _, model in ipairs(r:ask("GET", "/v1/models").json.data) do ids[#ids + 1] = model.id end
  table.sort(ids)
  return ids
end

describe("a provider's list of models", function()
  it("changes nothing when there is none", virtual.test(function(start)
    for _, answer in ipairs {
      testing.status(404), testing.status(401), testing.status(200, { body = "<html>" }),
      testing.status(200, { body = '{"data":[]}' }), testing.cut(), testing.stall(),
      testing.status(302, { headers = { location = "http://127.0.0.1:1/" } }),
    } do
      local r = start { providers = { broker { models = answer } } }
      virtual.await("the failure in the log", function()
        for _, record in ipairs(r:log()) do
          if record.msg:find("^models of a could not be read: .") then return true end
        end
      end)
      assert.same({}, listed(r))
      assert.equal(200, r:chat({ model = "any" }).status)
    end
  end))

  it("is read again, and the last good one stays when that fails", virtual.test(function(start)
    local served = { models = { { id = "old" } } }
    local r = start { providers = { broker(served) } }
    virtual.advance(0)
    assert.same({ "old" }, listed(r))
    assert.equal(404, r:chat({ model = "new" }).status)
    served.models = testing.status(500)
    local looks = served.looks
    virtual.advance(1500000) -- the interval is ten minutes
    assert(served.looks > looks + 1)
    assert.same({ "old" }, listed(r))
    assert.equal(200, r:chat({ model = "old" }).status)
    served.models = { { id = "old" }, { id = "new" } }
    virtual.advance(1000000)
    assert.same({ "new", "old" }, listed(r))
    assert.equal(200, r:chat({ model = "new" }).status)
    -- the same list again is no news
    looks = served.looks
    virtual.advance(1500000)
    assert(served.looks > looks + 1)
    assert.equal(2, #r:log "models read")
  end))

  it("keeps what was learnt about the provider", virtual.test(function(start)
    local served = { models = { { id = "m" } } }
    local r = start({
      providers = { broker(served, { discover_interval = "1s" }) },
      policies = { "count.lua" },
    }, { ["count.lua"] = [[
      local peri = require "perilune"
      return { route = function(req)
        local a = peri.providers()[1]
        req:set_header("x-seen", a.success .. " " .. table.concat(a.models, " "))
      end }
    ]] })
    virtual.advance(0)
    assert.same({ "m" }, listed(r))
    for _ = 1, 3 do r:chat { model = "m" } end
    served.models = { { id = "m" }, { id = "n" } }
    virtual.advance(2000)
    assert.same({ "m", "n" }, listed(r))
    assert.equal("3 m n", r:chat({ model = "m" }).headers["x-seen"])
  end))
end)
