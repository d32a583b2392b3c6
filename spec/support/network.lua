--- network: a simulated Gonka network as a child process (`perilune simnet --gonka`), and short ways to steer it.
--
--   local net = network.start { hosts = 3 }
--   local r = start { providers = { net:provider() } }      -- a router of spec.support.router
--   net:epoch { "h1", "h3" }
local cjson = require "cjson"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local router = require "spec.support.router"
local socket = require "socket"

local network = {}
local Network = {}
Network.__index = Network
network.methods = Network -- for networks that are started otherwise

--- Start one.
--   hosts     how many, 3; they are called h1, h2, … and weigh 100, 200, …
--   wallets   how many accounts that can pay, 1
--   models    { "m" }
function network.start(options)
  options = options or {}
  local self = setmetatable({ directory = process.directory(), wallets = {} }, Network)
  local argv = { router.program, "simnet", "--gonka", options.hosts or 3 }
  for i = 1, options.wallets or 1 do
    self.wallets[i] = ("%s/wallet%d.key"):format(self.directory, i)
    argv[#argv + 1] = "--wallet"
    argv[#argv + 1] = self.wallets[i]
  end
  for _, model in ipairs(options.models or { "m" }) do
    argv[#argv + 1] = "--model"
    argv[#argv + 1] = model
  end
  self.process = process.start(argv, { directory = self.directory })
  local line = loop.await("the simulated network", function()
    if not self.process:is_running() then error("simnet ended: " .. self.process:stderr(), 0) end
    return self.process:stdout():match "^(.-)\n"
  end, 20)
  self:take(cjson.decode(line))
  return self
end

function Network:take(description)
  self.url, self.accounts, self.addresses, self.names, self.ports = description.url, description.wallets, {}, {}, {}
  for _, one in ipairs(description.hosts) do
    self.addresses[one.name], self.names[one.address] = one.address, one.name
    self.ports[one.name] = math.tointeger(one.port)
  end
  self.node = router.at(math.tointeger(self.url:match ":(%d+)$"))
  return description
end

--- One command to the network's node; gives how the network stands then.
function Network:steer(path, wanted)
  local answer = assert(self.node:ask("POST", "/sim/" .. path, cjson.encode(wanted)))
  assert(answer.status == 200, answer.body)
  return answer.json
end

function Network:epoch(hosts, weights, excluded)
  return self:steer("epoch", { hosts = hosts, weights = weights, excluded = excluded })
end

function Network:host(name, wanted)
  wanted.name = name
  return self:steer("host", wanted)
end

--- Until nobody asks the node any more: orders to refresh are kept, so the last one may come late.
function Network:rest()
  loop.await("rest", function()
    local reads = self:look().reads
    loop.delay(0.25)
    return self:look().reads == reads
  end)
end

function Network:look() return self.node:ask("GET", "/sim/network").json end

--- What a host was asked, in order.
function Network:ledger(name) return router.at(self.ports[name]):ask("GET", "/sim/ledger").json.entries end

--- Chat requests that a host has answered with that status.
function Network:answered(name, status)
  local count = 0
  for _, entry in ipairs(self:ledger(name)) do
    if entry.path == "/v1/chat/completions" and entry.status == (status or 200) then count = count + 1 end
  end
  return count
end

function Network:secret(i) return router.expression(("secret %q"):format("file:" .. self.wallets[i or 1])) end

--- The network as a provider of a configuration; `source = false` leaves discovery out.
function Network:provider(options)
  local keys = {}
  for i in ipairs(self.wallets) do keys[i] = self:secret(i) end
  local entry = {
    id = "gonka", network = "gonka", source = self.url, private_key = keys, private_hosts = true,
    refresh_interval = "60s",
  }
  for name, value in pairs(options or {}) do entry[name] = value end
  if entry.source == false then entry.source = nil end
  return entry
end

--- Which host an answer came from.
function Network:answerer(answer)
  return self.names[(answer.headers["x-perilune-provider"] or ""):match "(gonka1%w+)$"]
end

--- A policy that looks at the network when it is asked to, and says how it stands; for routers of specs.
network.policy = [[
local peri = require "perilune"
local policy = {}
function policy.request(req)
  local order = req:header "x-order"
  if order == "refresh" then peri.gonka.refresh() end
  if not order then return end
  local hosts = peri.json.array {}
  for i, p in ipairs(peri.gonka.participants()) do
    hosts[i] = {
      address = p.address, weight = p.weight, success = p.success, failed = p.failed, healthy = p.healthy,
      in_flight = p.in_flight, limit = p.concurrency_limit, reduced = p.reduced, id = p.id,
      models = peri.json.array(p.models),
    }
  end
  local epoch, phase = peri.gonka.epoch()
  req:reply(200, { epoch = epoch or 0, phase = phase or "", hosts = hosts })
end
return policy
]]

--- A router with that policy.
---@param start fun(config: table, files: table): table
---@param providers table[]
---@param more? table other options of its configuration
function network.behind(start, providers, more)
  local config = { providers = providers, policies = { "network.lua" } }
  for name, value in pairs(more or {}) do config[name] = value end
  return start(config, { ["network.lua"] = network.policy })
end

--- What the router with that policy knows: { epoch, phase, hosts by name }.
function Network:seen_by(r, order)
  local answer = assert(r:chat({}, { ["x-order"] = order or "look" }))
  if answer.status == 503 or answer.status == 404 then -- nobody is known yet who serves the model
    return { epoch = 0, phase = "", hosts = {}, count = 0 }
  end
  assert(answer.status == 200, answer.body)
  local seen = { epoch = answer.json.epoch, phase = answer.json.phase, hosts = {}, count = 0 }
  for _, one in ipairs(answer.json.hosts) do
    seen.hosts[self.names[one.address] or one.address] = one
    seen.count = seen.count + 1
  end
  return seen
end

--- Have the router look at the network until it knows what is claimed.
function Network:await(r, what, claim)
  local ordered = 0
  return loop.await(what, function()
    -- Hosts are discovered without an order. A router that knows some gets one at a time: an order is kept while a
    -- refresh runs, and one too many would run after what this waits for, in the midst of what comes next.
    local seen = self:seen_by(r)
    if claim(seen) then return seen end
    if seen.count > 0 and socket.gettime() - ordered > 3 then
      self:seen_by(r, "refresh")
      ordered = socket.gettime()
    end
    return false
  end, 20)
end

function Network:await_epoch(r, epoch)
  return self:await(r, "epoch " .. epoch, function(seen) return seen.epoch == epoch end)
end

return network
