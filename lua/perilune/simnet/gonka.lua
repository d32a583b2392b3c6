--- A simulated Gonka network: hosts that check every signature, and a node to discover them at.
--
--     local gonka = require "perilune.simnet.gonka"
--     local network = assert(gonka.start { hosts = 5, wallets = { "payer.key" } })
--     print(network.url)        -- where hosts are discovered
--
-- The node answers what every node answers about the chain, and is steered through /sim:
--   GET  /sim/network                                     hosts, accounts, epoch, phase
--   POST /sim/epoch { hosts = ["h1"], weights = {h1 = 3}, excluded = ["h2"] }   the next epoch is the current one
--   POST /sim/phase { phase = "PoCGenerate" }             a window of proofs opens, or moves on; "Inference" ends it
--   POST /sim/confirmation { phase = 2 }                  1 grace, 2 generation, 3 validation, 4 completed, 0 none
--   POST /sim/chain { shape=, allowed=, developers=, closed=, clock_offset=, params=, signers=, lie=, lost=,
--                     executors=, every_executor=, slots=, snapshot= }
--     signers: validators that sign blocks, 4; lie: weights, record, proof, epoch, block, stale or garbage, until
--     the next order; lost: "params", "status" or "group" can not be fetched; executors: hosts the chain may draw;
--     slots, snapshot: where the chain says who goes on serving while proofs are computed, both true;
--     params: see gonka_chain.lua, and scheme
--   POST /sim/account { address=, balance=, published= }  change one, or with public_key (hexadecimal) open one
--   POST /sim/host { name=, default=, queue=, down=, capacity=, models=, weight=, preserved=, url=, machine=,
--                    delegates= }
--     preserved: true, or the models it goes on serving while it computes proofs;
--     down: true closes it, false opens it again at the same port
--     machine: { count = 0 }, or { status = 400, message = } as its model server answers;
--     delegates: whom its identity has called in its place, { url = address }
--   POST /sim/node { status=, delay_ms=, date= }          what the node itself fails with, how slow it is, and what its
--                                                         clock says; none: nothing, not at all, the right thing
--   POST /sim/quit
-- Hosts have what every simulated provider has besides: /sim/ledger, /sim/script and so on.
local peri = require "perilune"
local chain = require "perilune.simnet.gonka_chain"
local commands = require "perilune.simnet.gonka_commands"
local host = require "perilune.simnet.gonka_host"
local machine = require "perilune.simnet.machine"
local notary = require "perilune.simnet.gonka_notary"

local json = peri.json
local gonka = {}
local network = {}
network.__index = network

local JSON = { ["content-type"] = "application/json" }

--- The entries of the named hosts; of all when no names are given.
local function members(self, names, weights)
  local list = {}
  for i, name in ipairs(names or self.names) do
    list[i] = host.member(assert(self.hosts[name], name), weights and weights[name])
  end
  return list
end

--- The next epoch is the current one.
---@param names string[]|nil all hosts when nil
---@param weights table<string, integer>|nil
function network:epoch(names, weights) self.chain:begin_epoch(members(self, names, weights)) end

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
  local name = x.method == "POST" and x.path:match "^/sim/(%l+)$"
  if not name or not commands.has(name) then
    return x:reply(404, JSON, json.encode { error = "unknown request URL: " .. x.method .. " " .. x.path })
  end
  local wanted = x.body == "" and {} or json.decode(x.body, { nulls = false })
  if type(wanted) ~= "table" then
    return x:reply(400, JSON, json.encode { error = x.path .. ": expected a JSON object" })
  end
  local ok, why = commands.run(self, name, wanted)
  if not ok then return x:reply(400, JSON, json.encode { error = why }) end
  x:reply(200, JSON, json.encode(self:describe()))
end

local function answer(self, x)
  if x.path:find "^/sim/" then return steer(self, x) end
  self.reads = self.reads + 1
  if self.node_delay_ms and not x:wait(self.node_delay_ms) then return end
  if self.node_status then return x:reply(self.node_status, JSON, json.encode { error = "simulated failure" }) end
  local document = host.read(self.chain, self, x)
  local head = { ["content-type"] = "application/json", date = self.date or self.chain:date() }
  if document then return x:reply(200, head, type(document) == "string" and document or json.encode(document)) end
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
    if not wallet then return nil, ("wallet '%s': %s"):format(path, why) end
    self.wallets[i] = self.chain:open_account(wallet.public_key)
  end
  return true
end

local function open_accounts(self, public_keys)
  for _, key in ipairs(public_keys or {}) do self.wallets[#self.wallets + 1] = self.chain:open_account(key) end
end

local function start_hosts(self, options)
  for i = 1, options.hosts or 5 do
    local own = options.each and options.each[i] or {}
    local name = own.name or "h" .. i
    local one, why, code = host.start {
      name = name, chain = self.chain, peers = self.hosts, models = own.models or options.models or { "sim-model" },
      weight = own.weight or 100 * i, capacity = own.capacity, script = own.script or options.script,
      is_preserved = own.is_preserved, place = options.place,
    }
    if not one then return nil, why, code end
    self.hosts[name], self.names[i] = one, name
  end
  return true
end

--- Start a network. Inside peri.run it serves as long as that runs. Hosts weigh 100, 200, … unless `each` says.
---@param options table|nil hosts (5), name, models, wallets (key files), accounts (public keys), each, script, shape,
--   scheme, listen, place (machine.lua)
---@return table? network with url, hosts, chain and methods epoch, describe, close
---@return string? why
---@return string? code
function gonka.start(options)
  options = options or {}
  local self = { name = options.name or "gonka", hosts = {}, names = {}, wallets = {}, reads = 0 }
  setmetatable(self, network)
  self.answer = function(x) answer(self, x) end -- what its node does with a request
  local place = options.place or machine
  self.chain = chain.new { shape = options.shape, wall_ns = place.wall_ns }
  self.chain.params.scheme = options.scheme
  self.chain.notary = notary.new(self.chain)
  open_accounts(self, options.accounts)
  local ok, why, code = open_wallets(self, options.wallets)
  if ok then ok, why, code = start_hosts(self, options) end
  if ok then
    self.server, why, code = place.serve {
      listen = options.listen or "127.0.0.1:0", handler = self.answer,
    }
    ok = self.server
  end
  if not ok then
    self:close()
    return nil, why, code
  end
  self.port, self.url = self.server.port, ("http://%s:%d"):format(place.host, self.server.port)
  self.address = assert(peri.gonka.address("\2" .. peri.hash.sha256 "simulated node"))
  self.chain:set_members(members(self, options.first))
  return self
end

function network:close()
  for _, one in pairs(self.hosts) do one:close() end
  if self.server then self.server:close() end
end

return gonka
