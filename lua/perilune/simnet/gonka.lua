--- A simulated Gonka network: hosts that check every signature, and a node to discover them at.
--
--     local gonka = require "perilune.simnet.gonka"
--     local network = assert(gonka.start { hosts = 5, wallets = { "payer.key" } })
--     print(network.url)        -- where hosts are discovered
--
-- The node answers what every node answers about the chain, and is steered through /sim:
--   GET  /sim/network                                     hosts, accounts, epoch, phase
--   POST /sim/epoch { hosts = ["h1"], weights = {h1 = 3} } the next epoch is in force
--   POST /sim/phase { phase = "PoCGenerate" }             a window of proofs opens, or moves on; "Inference" ends it
--   POST /sim/confirmation { phase = 2 }                  1 grace, 2 generation, 3 validation, 4 completed, 0 none
--   POST /sim/chain { shape=, allowed=, closed=, clock_offset=, params=, signers=, lie=, slots=, snapshot= }
--     signers: validators that sign blocks, 4; lie: "weights" or "record", see LIES; slots, snapshot: where the chain
--     says who goes on serving while proofs are computed, both true
--   POST /sim/account { address=, balance=, published= }  change one, or with public_key (hexadecimal) open one
--   POST /sim/host { name=, default=, queue=, down=, capacity=, models=, weight=, preserved=, url= }  one host
--     preserved: true, or the models it goes on serving while it computes proofs
--   POST /sim/node { status= }                            what the node itself fails with; none: nothing
--   POST /sim/quit
-- Hosts have what every simulated provider has besides: /sim/ledger, /sim/script and so on.
local peri = require "perilune"
local chain = require "perilune.simnet.gonka_chain"
local host = require "perilune.simnet.gonka_host"
local notary = require "perilune.simnet.gonka_notary"

local json = peri.json
local gonka = {}
local network = {}
network.__index = network

local JSON = { ["content-type"] = "application/json" }

--- The entries of the named hosts; of all when no names are given.
local function members(self, names, weights)
  local list = {}
  for _, name in ipairs(names or self.names) do
    local one = self.hosts[name]
    if not one then return nil, "no host '" .. tostring(name) .. "'" end
    list[#list + 1] = host.member(one, weights and weights[name])
  end
  return list
end

--- The next epoch is in force.
---@param names string[]|nil all hosts when nil
---@param weights table<string, integer>|nil
---@return boolean? ok
---@return string? why
function network:epoch(names, weights)
  local list, why = members(self, names, weights)
  if not list then return nil, why end
  self.chain:begin_epoch(list)
  return true
end

local COMMANDS = {}

COMMANDS["/sim/epoch"] = function(self, wanted)
  local ok, why = self:epoch(wanted.hosts, wanted.weights)
  if not ok then return nil, why end
  if not wanted.excluded then return true end
  local excluded = {}
  for i, name in ipairs(wanted.excluded) do excluded[i] = { address = (self.hosts[name] or {}).address } end
  self.chain.current.excluded = excluded
  return true
end

COMMANDS["/sim/phase"] = function(self, wanted) return self.chain:enter(wanted.phase) end

COMMANDS["/sim/confirmation"] = function(self, wanted)
  local phase = math.tointeger(wanted.phase)
  if not phase or phase < 0 or phase > 4 then return nil, "'phase' is a number from 0 to 4" end
  self.chain.confirmation = phase
  return true
end

local SHAPES = { numbers = true, strings = true, golden = true, early = true }

-- What a dishonest node does to a participants document.
local LIES = {
  weights = function(document) -- in what people read, not in what is proven
    for _, one in ipairs(document.active_participants.participants) do one.weight = 999999 end
  end,
  record = function(document) -- in the record, without a proof of it
    document.active_participants_bytes = document.active_participants_bytes:gsub("3a2f2f", "3a2f2e", 1)
  end,
}

COMMANDS["/sim/chain"] = function(self, wanted)
  local c = self.chain
  if wanted.shape and not SHAPES[wanted.shape] then return nil, "unknown shape '" .. tostring(wanted.shape) .. "'" end
  c.shape = wanted.shape or c.shape
  c.clock_offset = wanted.clock_offset or c.clock_offset
  if wanted.closed ~= nil then c.is_closed = wanted.closed end
  if wanted.slots ~= nil then c.has_slots = wanted.slots end
  if wanted.snapshot ~= nil then c.has_snapshot = wanted.snapshot end
  c.lie = LIES[wanted.lie]
  c.notary.signers = wanted.signers or c.notary.signers
  for name, value in pairs(wanted.params or {}) do c.params[name] = value end
  if not wanted.allowed then return true end
  c.allowed = {}
  for _, name in ipairs(wanted.allowed) do c.allowed[self.hosts[name] and self.hosts[name].address or name] = true end
  return true
end

COMMANDS["/sim/account"] = function(self, wanted)
  local address = wanted.address
  if wanted.public_key then
    local bytes = peri.encode.unhex(wanted.public_key)
    if not bytes or #bytes ~= 33 then return nil, "'public_key' is 66 hexadecimal digits" end
    address = self.chain:open_account(bytes, wanted.balance)
  end
  local account = self.chain.accounts[address]
  if not account then return nil, "no account '" .. tostring(address) .. "'" end
  account.balance = wanted.balance or account.balance
  if wanted.published ~= nil then account.is_published = wanted.published end
  return true
end

COMMANDS["/sim/host"] = function(self, wanted)
  local one = self.hosts[wanted.name]
  if not one then return nil, "no host '" .. tostring(wanted.name) .. "'" end
  if wanted.capacity ~= nil then one.capacity = wanted.capacity or nil end
  if wanted.down then one:close() end
  if wanted.preserved ~= nil then one.is_preserved = wanted.preserved end
  if wanted.models then one:serve(wanted.models) end
  one.weight, one.told_url = wanted.weight or one.weight, wanted.url or one.told_url
  local list = self.chain.current.members
  for i, member in ipairs(list) do
    if member.name == wanted.name then list[i] = host.member(one, wanted.weight or member.weight) end
  end
  if wanted.default or wanted.queue then return one:play { default = wanted.default, queue = wanted.queue } end
  return true
end

COMMANDS["/sim/node"] = function(self, wanted)
  self.node_status = wanted.status
  return true
end

COMMANDS["/sim/quit"] = function(self)
  self.has_quit = true
  return true
end

--- What there is, as plain data.
function network:describe()
  local hosts, accounts = json.array {}, {}
  for i, name in ipairs(self.names) do
    local one = self.hosts[name]
    hosts[i] = {
      name = name, url = one.base, address = one.address, port = one.port, requests = one.ledger.last,
      open = one.ledger.open,
    }
  end
  for address, account in pairs(self.chain.accounts) do accounts[address] = account.balance end
  return {
    name = self.name, url = self.url, network = "gonka", chain = self.chain.chain_id, epoch = self.chain.current.index,
    latest = self.chain.latest, height = self.chain.height, phase = self.chain:phase(), hosts = hosts,
    trust_height = self.chain.first_height,
    trust_block = self.chain.notary:block_hash(self.chain.first_height),
    accounts = json.object(accounts), wallets = json.array(self.wallets), reads = self.reads,
  }
end

local function steer(self, x)
  if x.method == "GET" and x.path == "/sim/network" then return x:reply(200, JSON, json.encode(self:describe())) end
  local command = x.method == "POST" and COMMANDS[x.path]
  if not command then return x:reply(404, JSON, json.encode { error = "unknown request URL: " .. x.path }) end
  local wanted = x.body == "" and {} or json.decode(x.body, { nulls = false })
  if type(wanted) ~= "table" then return x:reply(400, JSON, json.encode { error = "a JSON object is expected" }) end
  local ok, why = command(self, wanted)
  if not ok then return x:reply(400, JSON, json.encode { error = why }) end
  x:reply(200, JSON, json.encode(self:describe()))
end

local function answer(self, x)
  if x.path:find "^/sim/" then return steer(self, x) end
  self.reads = self.reads + 1
  if self.node_status then return x:reply(self.node_status, JSON, json.encode { error = "simulated failure" }) end
  local document = host.read(self.chain, self, x)
  if document then return x:reply(200, JSON, json.encode(document)) end
  x:reply(404, JSON, json.encode { error = "Not Found" })
end

local function open_wallets(self, paths)
  for i, path in ipairs(paths or {}) do
    local source = "file:" .. path
    local wallet, why, code = peri.gonka.wallet(source)
    if not wallet and code == "ENOTFOUND" then
      local ok
      ok, why = peri.gonka.keygen(path)
      if ok then wallet, why = peri.gonka.wallet(source) end
    end
    if not wallet then return nil, why end
    self.wallets[i] = self.chain:open_account(wallet.public_key)
  end
  return true
end

local function start_hosts(self, options)
  for i = 1, options.hosts or 5 do
    local own = options.each and options.each[i] or {}
    local name = own.name or "h" .. i
    local one, why, code = host.start {
      name = name, chain = self.chain, models = own.models or options.models or { "sim-model" },
      weight = own.weight or 100 * i, capacity = own.capacity, script = own.script or options.script,
      is_preserved = own.is_preserved,
    }
    if not one then return nil, why, code end
    self.hosts[name], self.names[i] = one, name
  end
  return true
end

--- Start a network. Inside peri.run it serves as long as that runs. Hosts weigh 100, 200, … unless `each` says.
---@param options table|nil hosts (5), name, models, wallets (key files), each, script, shape, listen
---@return table? network with url, hosts, chain and methods epoch, describe, close
---@return string? why
---@return string? code
function gonka.start(options)
  options = options or {}
  local self = { name = options.name or "gonka", hosts = {}, names = {}, wallets = {}, reads = 0 }
  setmetatable(self, network)
  self.chain = chain.new { shape = options.shape, wall_ns = peri.clock.wall_ns }
  self.chain.notary = notary.new(self.chain)
  local ok, why, code = open_wallets(self, options.wallets)
  if ok then ok, why, code = start_hosts(self, options) end
  if ok then
    self.server, why, code = peri.http.serve {
      listen = options.listen or "127.0.0.1:0", handler = function(x) answer(self, x) end,
    }
    ok = self.server
  end
  if not ok then
    self:close()
    return nil, why, code
  end
  self.port, self.url = self.server.port, "http://127.0.0.1:" .. self.server.port
  self.address = assert(peri.gonka.address("\2" .. peri.hash.sha256 "simulated node"))
  self.chain:set_members(members(self, options.first))
  return self
end

function network:close()
  for _, one in pairs(self.hosts) do one:close() end
  if self.server then self.server:close() end
end

return gonka
