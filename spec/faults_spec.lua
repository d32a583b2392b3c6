--- Many clients, several providers, faults drawn at random: whatever happens, an answer is whole and from one
--- provider, or it is visibly not; and afterwards nothing is left over.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local frames = provider.frames
local SEED = tonumber(os.getenv "PERILUNE_SEED" or "") or 20251121
local REQUESTS, AT_ONCE, PROVIDERS = 1500, 25, 5

local function drawer(seed)
  local state = seed
  return function(most)
    state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (state >> 33) % most + 1
  end
end

-- What provider `name` says when nothing goes wrong: every word carries its name.
local function words(name)
  local list = {}
  for i = 1, 8 do list[i] = ("%s%d "):format(name, i) end
  return list
end

-- One of the ways a provider can behave; most of them are faults.
local function behave(name, draw)
  local list, kind = words(name), draw(16)
  local whole = table.concat(list)
  if kind <= 5 then return provider.chat(whole) end
  if kind == 6 then return provider.reset end
  if kind == 7 then return provider.cut end
  if kind == 8 then return provider.status(500 + draw(4)) end
  if kind == 9 then return provider.status(429, nil, { ["retry-after-ms"] = "2" }) end
  if kind == 10 then return provider.reply(200, "<html></html>", { ["content-type"] = "text/html" }) end
  if kind == 11 then return provider.stream { frames.role, provider.stall } end
  -- The rest are streams that break somewhere; to a client that asked for a whole answer they are faults at once.
  local script = { frames.role }
  for i = 1, draw(9) - 1 do script[#script + 1] = frames.token(list[i]) end
  local ends = {
    provider.cut, provider.reset, "data: {oops}\n\n", 'data: {"error":{"message":"x"}}\n\n', "data: {",
    provider.stall, 'data: {"devshard_stream_reset":true}\n\n' .. frames.token(list[1]),
  }
  script[#script + 1] = ends[draw(#ends)]
  return provider.stream(script)
end

-- The verdict on one answer: "whole", "error", or a sentence about what is wrong.
local function judge(answer, is_stream)
  if not answer then return "the connection was closed without an answer" end
  if not answer.is_whole then return "the answer was cut" end
  if answer.status ~= 200 then
    local body = answer.json and answer.json.error
    return body and body.message and body.code and "error" or "an error without our shape: " .. answer.body
  end
  local text = is_stream and answer.stream.text or answer.json.choices[1].message.content
  local name = text:match "^(%a)1 " or ""
  local expected = table.concat(words(name))
  if is_stream and answer.stream.error then
    if answer.stream.done then return "[DONE] after an error" end
    return expected:sub(1, #text) == text and "error" or "not the beginning of one provider's answer: " .. text
  end
  if is_stream and not answer.stream.done then return "a clean end without [DONE]" end
  if text ~= expected then return "not one provider's whole answer: " .. text end
  if answer.headers["x-perilune-provider"] ~= name then return "another provider in the header" end
  return "whole"
end

describe("random faults", function()
  teardown(process.stop_all)

  it(("in %d requests never show: seed %d"):format(REQUESTS, SEED), router.test(function(start)
    local draw, list, simulated = drawer(SEED), {}, {}
    for i = 1, PROVIDERS do
      local name = string.char(96 + i)
      simulated[i] = provider.start(function(c, request) behave(name, draw)(c, request) end)
      list[i] = router.provider(name, simulated[i], {
        tier = (i + 1) // 2, weight = i, max_concurrent = 12,
        timeouts = { first_token = "150ms", first_byte = "150ms", idle = "150ms", total = "400ms" },
      })
    end
    local r = start {
      providers = list, workers = 2, log = { level = "info" },
      route = { failure_cooldown = "1ms", rate_limit_cooldown = "1ms", max_attempts = 4 },
    }
    local descriptors
    local counts, wrong, left, asked = { whole = 0, error = 0 }, {}, 0, 0
    local function ask()
      local is_stream, leaves = draw(3) > 1, draw(12) == 1
      if leaves then
        local c = r:open_chat { stream = is_stream }
        for _ = 1, draw(40) do loop.pass() end
        c:reset()
        left, asked = left + 1, asked + 1
        return
      end
      local answer
      repeat -- all of them may be resting at once; a client would come again a little later
        if answer then loop.delay(0.002) end
        if is_stream then answer = r:stream() else answer = r:chat() end
        asked = asked + 1
      until not answer or answer.status ~= 503 and answer.status ~= 429
      local verdict = judge(answer, is_stream)
      if counts[verdict] then counts[verdict] = counts[verdict] + 1 else wrong[#wrong + 1] = verdict end
    end
    loop.together(AT_ONCE, function()
      for turn = 1, REQUESTS // AT_ONCE do
        ask()
        if turn == 5 then descriptors = descriptors or r.process:descriptors() end
      end
    end)
    assert.same({}, wrong)
    assert.equal(REQUESTS, counts.whole + counts.error + left)
    assert(counts.whole > REQUESTS / 3, "only " .. counts.whole .. " whole answers")
    assert(counts.error > REQUESTS / 50, "only " .. counts.error .. " errors: the faults do not bite")

    -- One line each, and all that was taken is given back: every slot serves again, at once.
    -- (A reset may overtake the request it follows, and then there was none.)
    loop.await("a log line for each request", function() return #r:log "request" >= asked - left end)
    local ids = {}
    for _, record in ipairs(r:log "request") do
      assert.is_nil(ids[record.request_id])
      ids[record.request_id] = true
    end
    assert(#r:log "request" <= asked)
    for i, p in ipairs(simulated) do
      loop.await("provider " .. i .. " to be left", function() return p.busy == 0 end)
      p:answer(provider.chat "fine")
      p:forget()
    end
    loop.await("every provider to be open again", function()
      local seen = {}
      for _ = 1, 5 do
        r:chat()
        loop.delay(0.01)
      end
      for _, p in ipairs(simulated) do seen[#seen + 1] = #p.requests end
      return seen[1] > 0 and seen[2] > 0
    end)
    loop.together(24, function() assert.equal(200, r:chat().status) end)
    loop.await("descriptors as before", function() return r.process:descriptors() <= descriptors + 40 end)
  end, 280))
end)
