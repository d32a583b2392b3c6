--- Clients that leave. Whenever they do, their provider is left, their slot is free, and nothing of them stays.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"
local socket = require "socket"

local frames = provider.frames
local SEED = tonumber(os.getenv "PERILUNE_SEED" or "") or 20251121
local BATCH = 10 -- clients at a time

-- Leaves in one way or another: tidily or with a reset.
local function leave(c, draw)
  if draw(2) == 1 then c:close() else c:reset() end
end

describe("a client that leaves", function()
  teardown(process.stop_all)

  -- `times` clients, BATCH at a time: each asks, waits for its moment, leaves. Gives how long it took, in ms, until
  -- the providers of a batch were left, in rising order.
  local function leave_often(r, p, times, draw, fields, moment)
    local delays = {}
    for _ = 1, times // BATCH do
      local clients, before = {}, p.left
      p.requests = {}
      for i = 1, BATCH do clients[i] = r:open_chat(fields) end
      for i = 1, BATCH do moment(clients[i], p) end
      local since = socket.gettime()
      for i = 1, BATCH do leave(clients[i], draw) end
      loop.await("every provider to be left", function() return p.left - before >= BATCH and p.open == 0 end)
      delays[#delays + 1] = (socket.gettime() - since) * 1000
    end
    table.sort(delays)
    return delays
  end

  local function drawer()
    local state = SEED
    return function(most)
      state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (state >> 33) % most + 1
    end
  end

  local moments = {
    ["before the head"] = { 200, { stream = true }, provider.stall, function(_, p)
      loop.await("the requests", function() return #p.requests == BATCH end)
    end },
    ["before the first token"] = { 200, { stream = true }, provider.stream { frames.role, ": hi\n\n", provider.stall },
      function(_, p) loop.await("the requests", function() return #p.requests == BATCH end) end },
    ["in the middle of a stream"] = { 200, { stream = true },
      provider.stream { frames.role, frames.token "Hel", provider.stall },
      function(c) assert.is_string(c:take_until '"Hel"') end },
    ["before a whole answer"] = { 200, {}, provider.stall, function(_, p)
      loop.await("the requests", function() return #p.requests == BATCH end)
    end },
  }
  for when, case in pairs(moments) do
    it(when .. ", 200 times, frees its provider at once", router.test(function(start)
      local times, fields, behaviour, moment = table.unpack(case)
      local p = provider.start(behaviour)
      local r = start { providers = { router.provider("a", p, { max_concurrent = BATCH }) } }
      local draw = drawer()
      leave_often(r, p, BATCH, draw, fields, moment) -- what is taken once, such as connections, is taken now
      local descriptors, memory = r.process:descriptors(), r.process:memory_kib()
      p:forget()
      -- Half of them within 50 ms: the promise. A machine that is busy elsewhere gets three turns to show it.
      local rounds, middle = 0
      repeat
        local delays = leave_often(r, p, times, draw, fields, moment)
        rounds, middle = rounds + 1, delays[#delays // 2]
      until middle <= 50 or router.is_sanitized() or rounds == 3
      assert.equal(rounds * times, p.left)
      assert(middle <= 50 or router.is_sanitized(), ("half of them left after %.1f ms"):format(middle))

      -- All slots are there again: as many as the limit are served at once, without waiting.
      p:answer(provider.chat "Hello there.")
      p:forget()
      loop.together(BATCH, function() assert.equal(200, r:chat().status) end)
      loop.await("the books to be closed", function() return #r:log "request" == rounds * times + 2 * BATCH end)
      local canceled = 0
      for _, record in ipairs(r:log "request") do
        if record.error == "ECANCELED" then canceled = canceled + 1 end
      end
      assert.equal(rounds * times + BATCH, canceled)
      loop.await("descriptors as before", function() return r.process:descriptors() <= descriptors + BATCH end)
      local grown = r.process:memory_kib() - memory
      assert(grown <= 2048 or router.is_sanitized(), "memory grew by " .. grown .. " KiB")
    end, 120))
  end

  it("while it waits for a slot, 200 times, is forgotten and asks nobody", router.test(function(start)
    local release = {}
    local p = provider.start(function(c, request)
      provider.hold(release)(c, request)
      if c.is_open then provider.tokens { "Hello" }(c, request) end
    end)
    local r = start { providers = { router.provider("a", p, { max_concurrent = 1 }) }, queue = { max = BATCH } }
    local draw, held = drawer(), nil
    loop.spawn(function() held = r:stream() end)
    loop.await("the slot to be taken", function() return p.busy == 1 end)
    for turn = 1, 200 // BATCH do
      local clients = {}
      for i = 1, BATCH do clients[i] = r:open_chat { stream = true } end
      -- The queue holds no more: one more is refused, which shows that the others stand in it.
      loop.await("a full queue", function() return r:chat().status == 503 end)
      local refused = 0
      for _, record in ipairs(r:log "request") do
        if record.status == 503 then refused = refused + 1 end
      end
      assert(refused >= turn - 1)
      for i = 1, BATCH do leave(clients[i], draw) end
      loop.await("the queue to be left", function()
        local canceled = 0
        for _, record in ipairs(r:log "request") do
          if record.error == "ECANCELED" then canceled = canceled + 1 end
        end
        return canceled == turn * BATCH
      end)
    end
    assert.equal(1, #p.requests)
    release.now = true
    loop.await("the first answer", function() return held end)
    assert.equal("Hello", held.stream.text)
  end, 120))

  it("is never the provider's fault", router.test(function(start)
    local p = provider.start(provider.stream { frames.role, frames.token "Hel", provider.stall })
    local r = start { providers = { router.provider("a", p) } }
    local draw = drawer()
    leave_often(r, p, 50, draw, { stream = true }, function(c) assert.is_string(c:take_until '"Hel"') end)
    p:answer(provider.chat "Hello there.")
    assert.equal(200, r:chat().status)
  end))
end)
