--- Memory that policies cause outside Lua's heap: counted, bounded for a request and for all requests together, and
-- given back.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local MIB = 1024 * 1024

-- Of a process: the most it ever held.
local function peak_bytes(r)
  local status = process.read(("/proc/%d/status"):format(r.process.pid))
  return tonumber(status:match "VmHWM:%s+(%d+) kB") * 1024
end

-- What each does would take 256 MiB or more. `says`: what its error says.
local hogs = {
  { name = "replies", says = "request_memory",
    lua = [[function policy.route(req)
      local text = '"' .. ("x"):rep(1048576) .. '"'
      for _ = 1, 300 do req:reply(200, text) end
    end]] },
  { name = "headers for the client", says = "larger than its limit",
    lua = [[function policy.request(req)
      local text = ("x"):rep(4096)
      for _ = 1, 75000 do req:set_header("x-a", text) end
    end]] },
  { name = "headers for the provider", says = "larger than its limit",
    lua = [[function policy.attempt(_, attempt)
      local text = ("x"):rep(4096)
      for _ = 1, 75000 do attempt:set_header("x-a", text) end
    end]] },
  { name = "headers of an attempt's answer", says = "larger than its limit",
    lua = [[function policy.attempt(_, attempt)
      local text = ("x"):rep(4096)
      for _ = 1, 75000 do attempt:set_answer_header("x-a", text) end
    end]] },
  { name = "refusals", says = "larger than its limit",
    lua = [[function policy.attempt(_, attempt)
      local text = ("x"):rep(4096)
      for _ = 1, 75000 do attempt:refuse(400, text) end
    end]] },
  { name = "attempts that are refused",
    lua = [[function policy.attempt(_, attempt) attempt:refuse(400, "no") end
    function policy.route(req)
      for _ = 1, 150000 do req:try "a" end
    end]], status = 400 },
  { name = "long bodies of attempts that fail", tries = true,
    lua = [[function policy.attempt(_, attempt) attempt.body.long = ("x"):rep(8 * 1048576) end
    function policy.route(req)
      for _ = 1, 33 do req:try "a" end
    end]], status = 502 },
}

describe("memory that a policy takes outside Lua", function()
  teardown(process.stop_all)

  local function start_with(start, p, lua, memory)
    return start({
      providers = { router.provider("a", p) },
      policies = { "hog.lua" },
      policy = { budget = "20s", request_budget = "60s", second_budget = "60s", failures = 0,
        memory = memory or "64MiB" },
      route = { failure_cooldown = 0 },
    }, { ["hog.lua"] = ([[
      local peri = require "perilune"
      local policy = { name = "hog" }
      %s
      return policy]]):format(lua) })
  end

  for _, hog in ipairs(hogs) do
    it("is bounded for one request: " .. hog.name, router.test(function(start)
      local p = provider.start()
      local r = start_with(start, p, hog.lua)
      local before = peak_bytes(r)
      if hog.tries then p:answer(provider.status(503, "busy")) end
      local answer = r:chat()
      assert.equal(hog.status or 200, answer.status)
      if hog.says then
        local failed = r:log "policy failed"
        assert.equal(1, #failed)
        assert.matches(hog.says, failed[1].detail)
      end
      if not router.is_sanitized() then
        assert.is_true(peak_bytes(r) - before < 128 * MIB, ("it took %d MiB"):format((peak_bytes(r) - before) // MIB))
      end
    end, 120))
  end

  it("is bounded for all requests that wait together, and given back", router.test(function(start)
    local r = start_with(start, provider.start(), [[
    local text = '"' .. ("x"):rep(2 * 1048576) .. '"'
    function policy.route(req)
      for _ = 1, 5 do req:reply(200, text) end
      peri.sleep(req.headers["x-ms"] and 1 or 1000)
    end]], "16MiB")
    local before = peak_bytes(r)
    local answered = 0
    for _ = 1, 30 do
      loop.spawn(function()
        assert.equal(200, r:chat().status)
        answered = answered + 1
      end)
    end
    loop.await("all answers", function() return answered == 30 end)
    local failed = r:log "policy failed"
    local function failures()
      local count = 0
      for _, line in ipairs(r:log "request") do
        if line.policy_error then count = count + 1 end
      end
      return count
    end
    assert.equal(29, failures())
    for _, line in ipairs(failed) do assert.matches("hold more than 16777216 bytes", line.detail) end
    if not router.is_sanitized() then assert.is_true(peak_bytes(r) - before < 96 * MIB) end
    -- it is all there again for the next one
    assert.equal(2 * MIB + 2, #r:chat({}, { ["x-ms"] = "1" }).body)
    assert.equal(29, failures())
  end, 60))

  it("is no other policy's in peri.shared", router.test(function(start)
    local r = start({
      providers = { router.provider("a", provider.start()) },
      policies = { "hog.lua", "good.lua" },
      policy = { budget = "20s" },
    }, {
      ["hog.lua"] = [[
        local peri = require "perilune"
        local policy = { name = "hog" }
        local text, at = ("x"):rep(4096), 0
        function policy.request(req)
          local ok, why, code = true
          while ok do
            at = at + 1
            ok, why, code = peri.shared.set("hog " .. at, text)
          end
          peri.sleep(1)
          local again = select(3, peri.shared.set("more", text))
          req:set_header("x-hog", ("%d %s %s"):format(at, code, again))
        end
        return policy]],
      ["good.lua"] = [[
        local peri = require "perilune"
        local policy = { name = "good" }
        function policy.request(req) req:set_header("x-good", peri.shared.add("good", 1)) end
        function policy.attempt(req, attempt)
          attempt:set_answer_header("x-good-attempt", tostring(peri.shared.set("good attempt", ("y"):rep(4096))))
        end
        function policy.route(req)
          local answer = req:try "a"
          req:set_header("x-good-route", tostring(peri.shared.set("good route", ("y"):rep(4096))))
          return answer
        end
        return policy]],
    })
    for count = 1, 3 do
      local headers = r:chat().headers
      local stored, code, again = headers["x-hog"]:match "^(%d+) (%S+) (%S+)$"
      assert.is_true(tonumber(stored) > 3900)
      assert.same({ "EFULL", "EFULL" }, { code, again })
      assert.equal(tostring(count), headers["x-good"])
      assert.equal("true", headers["x-good-attempt"])
      assert.equal("true", headers["x-good-route"])
    end
  end))
end)
