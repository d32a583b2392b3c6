--- loop: lets one spec play several providers and several clients at once.
-- Coroutines over non-blocking sockets and select. Nobody sleeps to wait for something: a coroutine waits for a
-- socket, or for a claim to become true, and a claim that stays false fails with its own words.
local socket = require "socket"

local loop = {}

local readers, writers = {}, {} -- socket → coroutine waiting for it
local ready = {}                -- coroutines to go on with, in order
local deadline                  -- of the current run

local Gone = {} -- thrown into coroutines of a run that is over

local function resume(co, ...)
  local ok, why = coroutine.resume(co, ...)
  if not ok and why ~= Gone then
    error(type(why) == "string" and debug.traceback(co, why) or why, 0)
  end
end

--- Start a coroutine; it begins in the next turn.
function loop.spawn(body, ...)
  local arguments = table.pack(...)
  local co = coroutine.create(function() return body(table.unpack(arguments, 1, arguments.n)) end)
  ready[#ready + 1] = co
  return co
end

local function wait(waiting, sock)
  assert(coroutine.isyieldable(), "waiting needs loop.run or loop.spawn")
  assert(waiting[sock] == nil, "two coroutines wait for one socket")
  waiting[sock] = coroutine.running()
  local verdict = coroutine.yield()
  waiting[sock] = nil
  if verdict == Gone then error(Gone, 0) end
end

function loop.wait_readable(sock) wait(readers, sock) end
function loop.wait_writable(sock) wait(writers, sock) end

--- Whoever waits for this socket goes on at once: it was closed here.
function loop.wake(sock)
  for _, waiting in ipairs { readers, writers } do
    if waiting[sock] then ready[#ready + 1], waiting[sock] = waiting[sock], nil end
  end
end

--- Let everybody else have a turn; outside of a run there is nobody else.
function loop.pass()
  if not coroutine.isyieldable() then return socket.sleep(0.001) end
  ready[#ready + 1] = coroutine.running()
  if coroutine.yield() == Gone then error(Gone, 0) end
end

--- Wait until `claim()` is true (its value is returned); `what` says what was awaited when time runs out.
function loop.await(what, claim, seconds)
  local by = socket.gettime() + (seconds or 10)
  while true do
    local value = claim()
    if value then return value end
    if socket.gettime() > by then error("waited in vain: " .. what, 2) end
    loop.pass()
  end
end

--- Let time itself go by: for simulated providers that are slow on purpose, never for waiting.
function loop.delay(seconds)
  local by = socket.gettime() + seconds
  while socket.gettime() < by do loop.pass() end
end

local function turn()
  local now = ready
  ready = {}
  for _, co in ipairs(now) do resume(co) end
  local reading, writing = {}, {}
  for sock in pairs(readers) do reading[#reading + 1] = sock end
  for sock in pairs(writers) do writing[#writing + 1] = sock end
  -- Coroutines that pass look at something outside (a log, a process): a short pause keeps that from spinning.
  local can_read, can_write = socket.select(reading, writing, #ready > 0 and 0.001 or 0.2)
  for _, sock in ipairs(can_read) do
    if readers[sock] then resume(readers[sock]) end
  end
  for _, sock in ipairs(can_write) do
    if writers[sock] then resume(writers[sock]) end
  end
end

local function stop_all()
  local left = {}
  for _, waiting in ipairs { readers, writers } do
    for sock, co in pairs(waiting) do left[#left + 1], waiting[sock] = co, nil end
  end
  for _, co in ipairs(ready) do left[#left + 1] = co end
  ready = {}
  for _, co in ipairs(left) do
    if coroutine.status(co) == "suspended" then pcall(coroutine.resume, co, Gone) end
  end
end

--- Run `body` and whatever it spawns until `body` returns; what is still waiting then is stopped.
function loop.run(body, seconds)
  local results, failure
  deadline = socket.gettime() + (seconds or 60)
  loop.spawn(function()
    results = table.pack(xpcall(body, function(why)
      return type(why) == "string" and debug.traceback(why, 2) or why
    end))
  end)
  local ok, why = pcall(function()
    while not results do
      if socket.gettime() > deadline then error("the spec ran out of time", 0) end
      turn()
    end
  end)
  if not ok then failure = why elseif not results[1] then failure = results[2] end
  stop_all()
  if failure then error(failure, 0) end
  return table.unpack(results, 2, results.n)
end

--- The same as a busted body: it("…", loop.body(function() … end)).
function loop.body(body, seconds)
  return function() return loop.run(body, seconds) end
end

--- Run several bodies at once and wait for all of them.
function loop.together(count, body)
  local left, failure = count, nil
  for i = 1, count do
    loop.spawn(function()
      local ok, why = xpcall(body, function(text)
        return type(text) == "string" and debug.traceback(text, 2) or text
      end, i)
      left = left - 1
      if not ok and why ~= Gone then failure = failure or why end
    end)
  end
  loop.await("all of them to end", function() return left == 0 or failure end, 300)
  if failure then error(failure, 0) end
end

return loop
