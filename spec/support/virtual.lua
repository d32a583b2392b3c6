--- virtual: routers and Gonka networks in this process and in virtual time, for specs that would else wait for
-- intervals, pauses and timeouts. It has the shape of spec.support.router and spec.support.network, over
-- perilune.testing: a spec moves here by naming these two instead.
--
--   it("…", virtual.test(function(start)
--     local net = virtual.network { hosts = 3 }
--     local r = start { providers = { net:provider() } }
--     net:await(r, "the hosts", function(seen) return seen.count == 3 end)
--   end))
--
-- Time moves while a request waits for its answer, in `virtual.await` and in `virtual.delay`. Log levels, listeners and
-- workers of a configuration do not matter here.
local cjson = require "cjson"
local commands = require "perilune.simnet.gonka_commands"
local network = require "spec.support.network"
local process = require "spec.support.process"
local router = require "spec.support.router"
local testing = require "perilune.testing"
local testing_router = require "perilune.testing.router"

local virtual = {}
virtual.policy = network.policy -- says what it knows of a network
virtual.behind = network.behind
virtual.directory, virtual.read = process.directory, process.read -- for files; a test's folders go with it
local PATIENCE_MS, STEP_MS = 600000, 1000

local open = {} -- routers of the test that runs

--- Let time pass for every router.
---@param ms integer
function virtual.advance(ms)
  for _, one in ipairs(open) do one.inner:advance(ms) end
end

--- Of the newest router.
function virtual.now_ms() return open[#open].inner.bed:now_ms() end

function virtual.delay(seconds) virtual.advance(seconds * 1000 // 1 | 0) end

--- Until a claim is true, which is given; what is claimed must become so within ten minutes.
---@param what string
---@param claim fun(): any
---@param step_ms? integer time between two looks
function virtual.await(what, claim, step_ms)
  for _ = 0, PATIENCE_MS, step_ms or STEP_MS do
    local found = claim()
    if found then return found end
    virtual.advance(step_ms or STEP_MS)
  end
  error("waited in vain for " .. what, 2)
end

--- Until a line of the log holds that text; gives the line.
function virtual.await_log(r, text)
  return virtual.await("'" .. text .. "' in the log", function()
    for _, line in ipairs(r:log()) do
      if line.msg:find(text, 1, true) then return line end
    end
  end)
end

-- ---- Routers ----

local Router, Pending = {}, {}
Router.__index = Router
Pending.__index = Pending

local function answer_of(got)
  local ok, json = pcall(cjson.decode, got.body)
  local answer = { status = got.status, headers = got.headers, body = got.body, json = ok and json or nil,
    is_whole = not got.why, elapsed_ms = got.elapsed_ms }
  if got.status == 200 and got.events then answer.stream = router.read_stream(got.body) end
  return answer
end

--- Ask without waiting; `answer()` waits.
function Router:begin(fields, headers)
  local pending = self.inner:ask(router.chat_body(fields), { headers = headers })
  return setmetatable({ inner = pending }, Pending)
end

function Router:begin_stream(fields, headers)
  fields = fields or {}
  fields.stream = true
  return self:begin(fields, headers)
end

function Pending:answer() return answer_of(self.inner:answer()) end
function Pending:is_over() return self.inner.is_over == true end
function Pending:close() self.inner:hang_up() end

function Router:chat(fields, headers) return self:begin(fields, headers):answer() end
function Router:stream(fields, headers) return self:begin_stream(fields, headers):answer() end

function Router:ask(method, path, body, headers)
  return answer_of(self.inner:chat(body or "", { path = path, method = method, headers = headers }))
end

function Router:log(message) return self.inner:log(message) end

--- End it before its test does.
function Router:stop()
  self.inner:close()
  for i, one in ipairs(open) do
    if one == self then table.remove(open, i) end
  end
end

--- As spec.support.router.start has it. Providers are networks of virtual.network, and those of perilune.testing.
local function start(config, files)
  local options, folder = {}, process.directory() .. "/"
  for name, value in pairs(config) do options[name] = value end
  options.workers, options.listen = nil, nil
  options.log = options.log or { level = "debug" }
  for path, text in pairs(files or {}) do
    local file = assert(io.open(folder .. path, "wb"))
    file:write(text)
    file:close()
  end
  local self = setmetatable({ inner = testing_router.open(options, { seed = 1, folder = folder }) }, Router)
  open[#open + 1] = self
  return self
end

--- A body for `it`: its routers end with it.
---@param body fun(start: fun(config: table, files: table?): table)
function virtual.test(body)
  return function()
    local ok, why = xpcall(body, function(text) return text end, start)
    while open[1] do open[#open]:stop() end
    process.stop_all()
    if not ok then error(why, 0) end
  end
end

--- A scripted provider: `entry` stands in the configuration, `asked` counts requests, `answer` may be changed.
---@param id string
---@param options? table
function virtual.plain(id, options)
  local plain = { asked = 0, answer = testing.chat "Hello" }
  plain.entry = { id = id, answers = function()
    plain.asked = plain.asked + 1
    return plain.answer
  end }
  for name, value in pairs(options or {}) do plain.entry[name] = value end
  return plain
end

-- ---- Networks ----

local Network = setmetatable({}, { __index = network.methods })
Network.__index = Network

--- A network; the options are those of spec.support.network.start.
function virtual.network(options)
  options = options or {}
  local inner = testing.gonka { hosts = options.hosts or 3, models = options.models or { "m" },
    wallets = options.wallets or 1, scheme = options.scheme }
  local self = setmetatable({ inner = inner, simulated = inner.simulated, wallets = inner.private_keys }, Network)
  self.url, self.accounts, self.addresses, self.names, self.ports = inner.url, self.simulated.wallets, {}, {}, {}
  for name, host in pairs(self.simulated.hosts) do
    self.addresses[name], self.names[host.address], self.ports[name] = host.address, name, host.port
  end
  return self
end

function Network:steer(path, wanted)
  local ok, why = commands.run(self.simulated, path, wanted)
  if not ok then error(why, 2) end
  return self:look()
end

function Network:look() return self.simulated:describe() end
function Network:ledger(name) return self.simulated.hosts[name].ledger:list() end

--- The URL of a host, or a place at it.
function Network:at(name, path) return self.inner.hosts[name].url .. (path or "") end

function Network:provider(options)
  local entry = { refresh_interval = "60s" }
  for name, value in pairs(options or {}) do entry[name] = value end
  return self.inner:provider(entry)
end

--- What its node answers to a GET.
function Network:read(path)
  local at, query = path:match "^([^?]*)%??(.*)$"
  local got
  self.simulated.answer { method = "GET", path = at, query = query, body = "", headers = {},
    reply = function(_, status, _, body) got = { status = status, body = body } end }
  assert(got and got.status == 200, "the node does not answer " .. path)
  return got.body
end

--- Until nobody asks the node any more: what is under way settles without time.
function Network:rest()
  local reads
  repeat
    reads = self.simulated.reads
    virtual.advance(0)
  until reads == self.simulated.reads
end

--- Have the router look at the network until it knows what is claimed.
function Network:await(r, what, claim)
  return virtual.await(what, function()
    local seen = self:seen_by(r)
    if claim(seen) then return seen end
    r.inner:refresh()
    seen = self:seen_by(r)
    return claim(seen) and seen
  end)
end

return virtual
