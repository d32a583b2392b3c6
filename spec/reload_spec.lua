--- A policy that is edited while requests run: good edits take over between requests, bad ones change nothing.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local EDITS = tonumber(os.getenv "PERILUNE_EDITS" or "") or 1000

-- A policy that says in a header which edit it is.
local function good(number)
  return ([[
local policy = { name = "edited" }
function policy.request(req) req:set_header("x-edit", "%d") end
return policy
]]):format(number)
end

-- Files as an editor leaves them half-way, and as people get them wrong.
local bad = {
  function(number) return good(number):sub(1, 60) end,
  function() return "" end,
  function() return "return 7" end,
  function() return "error('at load')" end,
  function(number) return "while true do end\n" .. good(number) end,
  function() return "\27Lua" end,
  function(number) return good(number):gsub("return policy", "return polcy.name") end,
  function() return "local policy = { name = 'x' }\nfunction policy.check() error('no') end\nreturn policy" end,
}

describe("reloading a policy", function()
  teardown(process.stop_all)

  local function edit_of(answer) return tonumber(answer.headers["x-edit"]) end

  it("takes a good edit over and refuses a bad one with its place", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "edited.lua" } },
      { ["edited.lua"] = good(1) })
    assert.equal(1, edit_of(r:chat()))
    r:write("edited.lua", good(2))
    loop.await("the second edit to serve", function() return edit_of(r:chat()) == 2 end)
    r:write("edited.lua", "local policy = {\n  name = 'edited'\n  tries = 3\n}\nreturn policy\n")
    local refused = loop.await("the bad edit to be refused", function()
      return r:log("reload refused, the old generation stays")[1]
    end)
    assert.matches("edited.lua:3:", refused.error)
    assert.equal(2, edit_of(r:chat()))
  end))

  it("does not wait for a policy that is no file", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "edited.lua" } },
      { ["edited.lua"] = good(1) })
    local path = r.directory .. "/edited.lua"
    assert(os.execute(("mkfifo %s.new && mv %s.new %s"):format(path, path, path)))
    local refused = loop.await("the FIFO to be refused", function()
      return r:log("reload refused, the old generation stays")[1]
    end)
    assert.matches("edited.lua: a policy must be a regular file", refused.error, 1, true)
    assert(os.remove(path))
    r:write("edited.lua", good(2))
    loop.await("the next edit to serve", function() return edit_of(r:chat()) == 2 end)
  end))

  it("lets requests under way finish on the policy they began with", router.test(function(start)
    local release = {}
    local p = provider.start(function(c, request)
      provider.hold(release)(c, request)
      provider.chat "Hello there."(c, request)
    end)
    local r = start({ providers = { router.provider("a", p) }, policies = { "edited.lua" } },
      { ["edited.lua"] = good(1) })
    local first, second
    loop.spawn(function() first = r:chat() end)
    loop.await("the first request at the provider", function() return p.busy == 1 end)
    r:write("edited.lua", good(2))
    loop.await("the reload", function() return #r:log "reloaded" == 1 end)
    loop.spawn(function() second = r:chat() end)
    loop.await("the second request at the provider", function() return p.busy == 2 end)
    release.now = true
    loop.await("both answers", function() return first and second end)
    assert.equal(1, edit_of(first))
    assert.equal(2, edit_of(second))
  end))

  it(EDITS .. " times under load, half of them broken, fails no request", router.test(function(start)
    local p = provider.start()
    local r = start({
      providers = { router.provider("a", p) }, policies = { "edited.lua" }, log = { level = "info" }, workers = 2,
    }, { ["edited.lua"] = good(0) })
    local is_over, asked, failed, newest, clients = false, 0, 0, 0, 4
    for client = 1, clients do
      loop.spawn(function()
        while not is_over do
          local answer = client % 2 == 0 and r:stream() or r:chat()
          asked = asked + 1
          local text = answer and (answer.stream and answer.stream.text or answer.json
            and answer.json.choices[1].message.content)
          if not answer or answer.status ~= 200 or text ~= "Hello there." then failed = failed + 1 end
          if answer and edit_of(answer) then newest = math.max(newest, edit_of(answer)) end
        end
        clients = clients - 1
      end)
    end

    local reloads, refusals, memory, last_good = 0, 0, nil, 0
    local function count()
      for _, line in ipairs(r.process:read_lines()) do
        if line:find('"reloaded"', 1, true) then reloads = reloads + 1 end
        if line:find('"reload refused', 1, true) then refusals = refusals + 1 end
      end
      r.process.lines = {} -- not kept: there are thousands
    end
    for edit = 1, EDITS do
      local is_good = edit % 2 == 0
      r:write("edited.lua", is_good and good(edit) or bad[edit // 2 % #bad + 1](edit))
      if is_good then last_good = edit end
      loop.await("edit " .. edit .. " to be judged", function()
        count()
        return reloads + refusals >= edit
      end)
      if edit == EDITS // 5 then memory = r.process:memory_kib() end
    end
    loop.await("the last good edit to serve", function() return newest == last_good end)
    is_over = true
    loop.await("the clients to end", function() return clients == 0 end)
    local grown = r.process:memory_kib() - memory
    assert.equal(EDITS // 2, reloads)
    assert.equal(EDITS // 2, refusals)
    assert.equal(0, failed)
    assert(asked > EDITS, "only " .. asked .. " requests")
    assert(grown <= 4096 or router.is_sanitized(), "memory grew by " .. grown .. " KiB")
  end, 300))
end)
