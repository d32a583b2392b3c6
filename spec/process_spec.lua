--- The router as a process: signals, log rotation, what the system runs out of, and what it tells systemd.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

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
