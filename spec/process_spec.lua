--- The router as a process: signals, log rotation, what the system runs out of, and what it tells systemd.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"
local unix = require "socket.unix"

describe("the log file", function()
  teardown(process.stop_all)

  local function count(path, message)
    local _, found = (process.read(path) or ""):gsub('"msg":"' .. message .. '"', "")
    return found
  end

  it("is opened anew at SIGUSR1, by every thread, and no line is lost", router.test(function(start)
    local path = process.directory() .. "/router.log"
    local r = start {
      providers = { router.provider("a", provider.start()) }, workers = 3, log = { level = "info", file = path },
    }
    local answered = 0
    local function ask(times)
      for _ = 1, times do
        assert.equal(200, r:chat().status)
        answered = answered + 1
      end
    end
    ask(9)
    for turn = 1, 3 do
      assert(os.rename(path, path .. "." .. turn))
      local is_over = false
      loop.spawn(function()
        ask(9)
        is_over = true
      end)
      r.process:signal "USR1"
      loop.await("the new file", function() return count(path, "log file reopened") == 1 and is_over end)
      local before = count(path, "request")
      ask(9)
      loop.await("the lines of all workers in the new file", function() return count(path, "request") >= before + 9 end)
    end
    local lines = count(path, "request")
    for turn = 1, 3 do lines = lines + count(path .. "." .. turn, "request") end
    assert.equal(answered, lines)
  end))

  it("stays in use when the new one can not be opened", router.test(function(start)
    local directory = process.directory()
    local path = directory .. "/logs/router.log"
    assert(os.execute("mkdir " .. directory .. "/logs"))
    local r = start {
      providers = { router.provider("a", provider.start()) }, log = { level = "info", file = path },
    }
    local moved = directory .. "/moved/router.log"
    assert(os.rename(directory .. "/logs", directory .. "/moved"))
    r.process:signal "USR1"
    loop.await("the reason", function()
      return count(moved, "the log file can not be reopened: [^\"]*No such file or directory") == 1
    end)
    assert.equal(200, r:chat().status)
    loop.await("the request's line", function() return count(moved, "request") == 1 end)
  end))

  it("may be standard error: nothing to open then, and SIGUSR2 does nothing at all", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start()) } }
    for _ = 1, 3 do r.process:signal "USR2" end
    r.process:signal "USR1"
    loop.await("the signal to be taken", function() return #r:log "log file reopened" == 1 end)
    assert.equal(200, r:chat().status)
    assert.equal(1, #r:await_requests(1))
  end))
end)

describe("a router without a descriptor left", function()
  teardown(process.stop_all)

  -- The soft limit, which may be raised again.
  local function allow(r, count)
    assert(os.execute(("prlimit --pid %d --nofile=%d:"):format(r.process.pid, count)))
  end

  -- Processor time so far, in hundredths of a second.
  local function ticks(r)
    local stat = process.read("/proc/" .. r.process.pid .. "/stat"):match "%) (.*)$"
    local fields = {}
    for field in stat:gmatch "%S+" do fields[#fields + 1] = tonumber(field) or 0 end
    return fields[12] + fields[13]
  end

  it("leaves clients in the queue without spinning, and serves them when one is free", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p) } }
    assert.equal(200, r:chat().status)
    allow(r, 3)
    local answered = 0
    for _ = 1, 8 do
      loop.spawn(function()
        assert.equal(200, r:chat().status)
        answered = answered + 1
      end)
    end
    local before = ticks(r)
    loop.delay(1)
    assert.equal(0, answered)
    assert(ticks(r) - before < 20, "the accept queue keeps the worker busy")
    allow(r, 256)
    loop.await("the answers", function() return answered == 8 end)
  end))

  local function ask(c)
    c:send(router.request_text("POST", "/v1/chat/completions", router.chat_body()))
    local head = c:take_head()
    return head, (c:take_body(head))
  end

  -- Open connections of a router that may open nothing any more.
  local function run_short(r)
    local clients = {}
    for i = 1, 5 do
      clients[i] = r:open("GET", "/livez")
      clients[i]:take_body(clients[i]:take_head())
    end
    allow(r, 3)
    for _, c in ipairs(clients) do
      local head, body = ask(c)
      assert.equal(503, head.status, body)
      assert.is_nil(head.headers["x-should-retry"])
      assert.matches("the router has nothing left for another connection", body)
    end
    assert.same({}, r:log "not asked for a while")
    return clients
  end

  it("refuses what it can not connect for, and no provider rests because of it", router.test(function(start)
    local a, b = provider.start(), provider.start()
    local r = start { providers = { router.provider("a", a), router.provider("b", b) } }
    local clients = run_short(r)
    allow(r, 256)
    assert.equal(200, (ask(clients[1])).status)
    for _, c in ipairs(clients) do c:close() end
  end))

  it("does not hold it against a name that it could not look for", router.test(function(start)
    for _, scheme in ipairs { "http", "https" } do
      local r = start { providers = { router.provider("a", scheme .. "://provider.invalid:9/v1") } }
      for _, c in ipairs(run_short(r)) do c:close() end
      allow(r, 256)
    end
  end))
end)

describe("a service manager", function()
  teardown(process.stop_all)

  it("is told when the router is ready, reloads and stops", router.test(function(start)
    local path = process.directory() .. "/notify"
    local manager = assert(unix.dgram())
    assert(manager:bind(path))
    manager:settimeout(0)
    local function message()
      return loop.await("a message", function() return (manager:receive()) end)
    end
    local config = { providers = { router.provider("a", provider.start()) } }
    local r = start(config, nil, { NOTIFY_SOCKET = path })
    assert.equal("READY=1", message())
    assert.equal(200, r:chat().status)
    r.process:signal "HUP"
    assert.matches("^RELOADING=1\nMONOTONIC_USEC=%d+$", message())
    assert.equal("READY=1\nSTATUS=", message())
    r:write("perilune.lua", "return {")
    r.process:signal "HUP"
    assert.matches("^RELOADING=1\n", message())
    assert.matches("^READY=1\nSTATUS=.*refused", message())
    r.process:signal "TERM"
    assert.equal("STOPPING=1", message())
    assert.equal(0, r.process:wait())
    manager:close()
  end))

  it("that does not listen is named in the log, and requests are served", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) } }, nil,
      { NOTIFY_SOCKET = process.directory() .. "/nobody" })
    loop.await("the warning", function()
      return #r:log "the service manager at NOTIFY_SOCKET was not told: No such file or directory" == 1
    end)
    assert.equal(200, r:chat().status)
  end))
end)
