--- Several keys of one provider: spread, failed over one by one, rested alone, and never shown.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local KEYS = { "sk-canary-one-111111", "sk-canary-two-222222", "sk-canary-three-333" }

-- Answers by the key that came: a behaviour for some of them, a chat for the rest.
local function by_key(behaviours)
  return function(c, request)
    local key = request.headers.authorization:match "^Bearer (.+)$"
    return (behaviours[key] or provider.chat "Hello.")(c, request)
  end
end

local function count(p)
  local seen = {}
  for _, request in ipairs(p.requests) do
    local key = request.headers.authorization:match "^Bearer (.+)$"
    seen[key] = (seen[key] or 0) + 1
  end
  return seen
end

local function one(p, more)
  local config = { id = "a", url = p.url, keys = KEYS }
  for name, value in pairs(more or {}) do config[name] = value end
  return config
end

describe("the keys of a provider", function()
  teardown(process.stop_all)

  it("take turns", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { one(p) } }
    for _ = 1, 9 do assert.equal(200, r:chat().status) end
    assert.same({ [KEYS[1]] = 3, [KEYS[2]] = 3, [KEYS[3]] = 3 }, count(p))
  end))

  it("fail over to the next within a request, and the refused one rests alone", router.test(function(start)
    for _, status in ipairs { 401, 402, 429 } do
      local p = provider.start(by_key { [KEYS[2]] = provider.status(status, nil, { ["retry-after"] = "60" }) })
      local r = start { providers = { one(p) } }
      for _ = 1, 9 do assert.same({ status, 200 }, { status, r:chat().status }) end
      assert.same({ status, 1 }, { status, count(p)[KEYS[2]] })
      local line = r:log("not asked for a while")[1]
      assert.same({ "key", "a", 2 }, { line.scope, line.provider, math.tointeger(line.key) })
      local told = {}
      for _, request in ipairs(r:log "request") do
        for _, try in ipairs(request.tried or {}) do told[#told + 1] = math.tointeger(try.key) end
      end
      assert.same({ 2, 3 }, told) -- the only request that was asked for twice
      for _, key in ipairs(KEYS) do assert.is_nil(r.process:stderr():find(key:sub(1, 13), 1, true)) end
    end
  end))

  it("that are all refused say so", router.test(function(start)
    local p = provider.start(provider.status(401))
    local r = start { providers = { one(p) } }
    local answer = r:chat()
    assert.same({ 502, "upstream_auth", 3 }, { answer.status, answer.json.error.code, #p.requests })
  end))

  it("go in the header that is named", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { one(p, { auth_header = "x-api-key" }) } }
    for _ = 1, 3 do r:chat() end
    local seen = {}
    for i, request in ipairs(p.requests) do seen[i] = request.headers["x-api-key"] end
    table.sort(seen)
    local want = { table.unpack(KEYS) }
    table.sort(want)
    assert.same(want, seen)
  end))

  it("that were replaced in a reload are asked with at once", router.test(function(start)
    local p = provider.start(by_key { [KEYS[1]] = provider.status(401) })
    local config = { providers = { one(p, { keys = { KEYS[1] } }) } }
    local r = start(config)
    assert.equal(502, r:chat().status)
    config.providers[1].keys = { KEYS[3] }
    config.listen = "127.0.0.1:0"
    r:configure(config)
    r.process:signal "HUP"
    loop.await("the reload", function() return #r:log "reloaded" == 1 end)
    assert.equal(200, r:chat().status)
    assert.same({ 1, 1 }, { count(p)[KEYS[1]], count(p)[KEYS[3]] })
  end))
end)
