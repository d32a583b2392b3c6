--- Many clients of policies that misbehave, over real connections, some of which leave in the middle: the process is
-- afterwards what it was before. (policy_crowd_test.c looks inside, with ten thousand requests.)
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local raw = require "spec.support.raw"
local router = require "spec.support.router"

local CLIENTS, EACH = 20, 120

local policy = [[
local peri = require "perilune"
local policy = { name = "crowd" }
local kept, at = {}, 0
local function keep(object) at = at % 200 + 1 kept[at] = object end
local way = {}
function way.raise() error "on purpose" end
function way.late() peri.sleep(2) error {} end
function way.loop() while true do end end
function way.twice(req) req:reply(200, { n = 1 }) req:reply(201, { n = 2 }) end
function way.keep(req) keep(req) keep(req.body) keep(coroutine.running()) end
function way.wait() peri.sleep(3) end
function way.leave() peri.sleep(60000) end
function policy.request(req)
  local run = way[req.body.user]
  if run then run(req) end
  for i = 1, 200, 29 do pcall(function() return kept[i].messages[1] end) end
  if req.body.user ~= "ask" then req:reply(200, { fine = true }) end
end
function policy.event(_, event) keep(event.json) error "in an event" end
function policy.done(req) keep(req.body) error "at the end" end
return policy]]

local kinds = { "good", "raise", "late", "loop", "twice", "keep", "wait", "leave", "ask" }

local function descriptors(r)
  local n = 0
  local listing = assert(io.popen(("ls /proc/%d/fd"):format(r.process.pid)))
  for _ in listing:lines() do n = n + 1 end
  listing:close()
  return n
end

local function resident_bytes(r)
  return tonumber(process.read(("/proc/%d/status"):format(r.process.pid)):match "VmRSS:%s+(%d+) kB") * 1024
end

describe("a crowd of requests whose policies misbehave", function()
  teardown(process.stop_all)

  -- One connection after the other, each used until its client leaves.
  local function be_a_client(r, number, count)
    local c
    for i = 1, count do
      local kind = kinds[(number + i) % #kinds + 1]
      local body = router.chat_body { user = kind, stream = i % 2 == 0 }
      c = c or raw.connect(r.port)
      assert(c:send(router.request_text("POST", "/v1/chat/completions", body)))
      if kind == "leave" then
        loop.delay(0.002)
        c:close()
        c = nil
      else
        local head = assert(c:take_head())
        assert.is_true(head.status < 500, kind .. " was answered " .. head.status)
        local _, is_whole = c:take_body(head)
        assert.is_true(is_whole, kind)
      end
    end
    if c then c:close() end
  end

  local function run(r, count)
    local over = 0
    for number = 1, CLIENTS do
      loop.spawn(function()
        be_a_client(r, number, count)
        over = over + 1
      end)
    end
    loop.await("every client", function() return over == CLIENTS end)
  end

  it("leaves no slot, descriptor, connection or memory behind", router.test(function(start)
    local p = provider.start()
    local r = start({
      providers = { router.provider("a", p, { max_concurrent = CLIENTS }) },
      policies = { "crowd.lua" },
      policy = { instructions = 20000, memory = "8MiB" },
      log = { level = "off", levels = { server = "info" } },
    }, { ["crowd.lua"] = policy })
    run(r, 20)
    local before = { descriptors(r), resident_bytes(r) }
    run(r, EACH)
    -- a connection to the provider may be kept for each client, which the first round need not have used
    loop.await("connections to be closed", function() return descriptors(r) <= before[1] + CLIENTS end)
    local release, answered = {}, 0
    p:answer(function(c, request)
      provider.hold(release)(c, request)
      provider.chat "Hello there."(c, request)
    end)
    for _ = 1, CLIENTS do
      loop.spawn(function()
        assert.equal(200, r:chat { user = "ask" }.status)
        answered = answered + 1
      end)
    end
    loop.await("every slot to be used", function() return p.busy == CLIENTS end)
    release.now = true
    loop.await("every answer", function() return answered == CLIENTS end)
    if not router.is_sanitized() then assert.is_true(resident_bytes(r) - before[2] < 16 * 1024 * 1024) end
    -- a policy that took too much of a second is left out for a while: its client is served all the same
    assert.equal(200, r:chat { user = "good" }.status)
  end, 60))
end)
