--- gonka: a simulated Gonka network (perilune.simnet.gonka) in the virtual time of a router under test. Its node tells
-- of epochs and hosts, its hosts check every signature; nothing of it leaves the process.
local peri = require "perilune"
local check_options = require "perilune.testing.options"
local commands = require "perilune.simnet.gonka_commands"
local exchange = require "perilune.testing.exchange"
local simulated = require "perilune.simnet.gonka"

local gonka = {}
local Network, Site, Entry = {}, {}, {}
Network.__index = Network
Site.__index = Site

local BEGAN_NS = 1767225600000000000 -- the wall clock of every test bed: 2026-01-01
local FIRST_PORT = 20000
local INFERENCE = { ["/v1/chat/completions"] = true, ["/v1/completions"] = true }

-- The private keys 1, 2 and 3: everybody's, so there is nothing to keep secret.
local PUBLIC_KEYS = {
  "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
  "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
  "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
}

local port = FIRST_PORT -- of the next server: one router may be given several networks
local routers_of = setmetatable({}, { __mode = "k" }) -- network → set of the routers that it is a provider of

-- ---- Servers ----

--- What the simulated network takes for a server.
local function serve(network, options)
  local wanted = math.tointeger(options.listen:match ":(%d+)$")
  if wanted == 0 then wanted, port = port, port + 1 end
  local site = setmetatable({ network = network, port = wanted, handler = options.handler, is_open = true }, Site)
  network.sites[wanted] = site
  for router in pairs(routers_of[network] or {}) do router.sites[wanted] = site end
  return site
end

--- Stop: who is under way is cut off, and nobody answers any more.
function Site:close()
  self.is_open = false
  for router in pairs(routers_of[self.network] or {}) do
    for _, x in pairs(router.exchanges) do
      if x.site == self then
        x.bed:cut(x.id)
        x:leave()
      end
    end
  end
end

function Site:dialed(_, router)
  if self.is_open then return true end
  local host = self.network.by_port[self.port]
  if host then
    router:note_try(self.network:id_of(host.name))
    router:note("%s refuses the connection", host.name)
  end
  return false
end

function Site:take(e, router)
  local network, host = self.network, self.network.by_port[self.port]
  network.router = router -- its clock is the network's now
  if not self.is_open then return router.bed:cut(e.id) end -- a connection that was kept
  if host and INFERENCE[e.path] and e.method == "POST" then
    router:note_try(network:id_of(host.name))
    router:note("%s is asked", host.name)
  end
  exchange.begin(router, e, network.place, function(x)
    x.site = self
    self.handler(x)
  end)
end

-- ---- The network ----

local function wallets_of(count)
  local private, public = {}, {}
  for i = 1, count do
    private[i], public[i] = ("%064x"):format(i), assert(peri.encode.unhex(PUBLIC_KEYS[i]))
  end
  return private, public
end

local function check(options)
  options = check_options("testing.gonka", options, { hosts = "any", models = "table", wallets = "number",
    shape = "string", scheme = "string", provider = "table" })
  local hosts, wallets = options.hosts or 3, options.wallets or 1
  if type(hosts) ~= "table" and not (math.type(hosts) == "integer" and hosts > 0) then
    error("testing.gonka: 'hosts' must be how many, or a list of { name =, models =, weight = }", 3)
  end
  if not PUBLIC_KEYS[wallets] then error("testing.gonka: 'wallets' must be 1, 2 or 3", 3) end
  return options, hosts, wallets
end

--- A network, for `providers` of routers.
---@param options table? see _meta/testing.lua
function gonka.new(options)
  local hosts, wallets
  options, hosts, wallets = check(options)
  local self = setmetatable({ sites = {}, by_port = {}, plans = {}, configured = options.provider or {} }, Network)
  local public
  self.private_keys, public = wallets_of(wallets)
  local function now_ms() return self.router and self.router.bed:now_ms() or 0 end
  self.place = { host = "192.0.2.1", serve = function(wanted) return serve(self, wanted) end, now_ms = now_ms,
    wall_ns = function() return BEGAN_NS + now_ms() * 1000000 end }
  local is_list = type(hosts) == "table"
  local made, why = simulated.start { hosts = is_list and #hosts or hosts, each = is_list and hosts or nil,
    models = options.models or { "test-model" }, shape = options.shape, scheme = options.scheme, accounts = public,
    place = self.place }
  if not made then error("testing.gonka: " .. why, 2) end
  self.simulated, self.url, self.hosts = made, made.url, {}
  for name, host in pairs(made.hosts) do
    self.by_port[host.port] = host
    self.hosts[name] = { url = host.base, address = host.address }
  end
  return self
end

--- Whether a value is a provider of a router's: a network, or one with options of its own.
function gonka.is(value) return getmetatable(value) == Network or getmetatable(value) == Entry end

--- The network with other options of the configuration than it was made with.
---@param options table
function Network:provider(options) return setmetatable({ network = self, configured = options }, Entry) end

--- Become a provider of a router.
---@return table entry of the configuration
---@return table network
function gonka.open(value, router)
  local self = value.network or value
  local entry = { id = "gonka", network = "gonka", source = self.url, private_key = self.private_keys,
    private_hosts = true }
  for name, said in pairs(value.configured) do entry[name] = said end
  if entry.sources or entry.source == false then entry.source = nil end
  routers_of[self] = routers_of[self] or setmetatable({}, { __mode = "k" })
  routers_of[self][router] = true
  self.router, self.prefix = router, entry.prefix or "gonka:"
  for at, site in pairs(self.sites) do router.sites[at] = site end
  return entry, self
end

--- What is to be done once the router stands.
function Network:begin()
  for _, plan in ipairs(self.plans) do self.router:after(plan.ms, plan.fn) end
  self.plans = {}
end

-- ---- What a test says ----

local function order(self, name, wanted)
  local ok, why = commands.run(self.simulated, name, wanted)
  if not ok then error(why:gsub("^/sim/", "network:"), 3) end
end

function Network:epoch(hosts, more)
  local wanted = { hosts = hosts }
  for name, value in pairs(more or {}) do wanted[name] = value end
  order(self, "epoch", wanted)
end

function Network:phase(phase) order(self, "phase", { phase = phase }) end
function Network:confirmation(phase) order(self, "confirmation", { phase = phase }) end
function Network:chain(wanted) order(self, "chain", wanted) end
function Network:node(wanted) order(self, "node", wanted) end
function Network:account(wanted) order(self, "account", wanted) end

function Network:host(name, wanted)
  local all = { name = name }
  for member, value in pairs(wanted) do all[member] = value end
  order(self, "host", all)
end

--- Have something happen at a time of the router's clock.
function Network:at(ms, fn)
  if self.router then
    self.router:after(math.max(0, ms - self.router.bed:now_ms()), fn)
  else
    self.plans[#self.plans + 1] = { ms = ms, fn = fn }
  end
end

-- ---- What a test looks at ----

--- How often the node was read.
function Network:reads() return self.simulated.reads end

--- What a host was asked, in order.
function Network:requests(name)
  local host = self.simulated.hosts[name] or error(("there is no host '%s'"):format(tostring(name)), 2)
  return host.ledger:list()
end

--- How many requests for inference it gave this status.
function Network:answered(name, status)
  local count = 0
  for _, entry in ipairs(self:requests(name)) do
    if INFERENCE[entry.path] and entry.status == (status or 200) then count = count + 1 end
  end
  return count
end

function Network:id_of(name) return self.prefix .. self.hosts[name].address end

--- The host's name of a provider's id; of ids in a list each. What is no host of this network stays.
function Network:name_of(id)
  if type(id) == "table" then
    local names = {}
    for i, one in ipairs(id) do names[i] = self:name_of(one) end
    return names
  end
  for name in pairs(self.hosts) do
    if id == self:id_of(name) then return name end
  end
  return id
end

return gonka
