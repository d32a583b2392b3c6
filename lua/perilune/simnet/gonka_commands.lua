--- What a simulated Gonka network does when it is told to, over HTTP, while it runs. Every member of an order is looked
-- at before anything is done: a name that does not exist and a value that makes no sense are refused with the command,
-- the member and what was expected.
--
-- Each of `commands` is { members = name → kind, run = function(network, wanted) }.
local peri = require "perilune"
local chain = require "perilune.simnet.gonka_chain"
local host = require "perilune.simnet.gonka_host"

local json = peri.json
local commands = {}

-- What a dishonest node does to a participants document.
local LIES = {
  weights = function(document) -- in what people read, not in what is proven
    for _, one in ipairs(document.active_participants.participants) do one.weight = 999999 end
  end,
  record = function(document) -- in the record, without a proof of it
    document.active_participants_bytes = document.active_participants_bytes:gsub("3a2f2f", "3a2f2e", 1)
  end,
  proof = function(document) -- the store's proof leads to another application hash
    local op = document.proof_ops.ops[2]
    local bytes = assert(peri.encode.unbase64(op.data))
    op.data = peri.encode.base64(bytes:sub(1, -2) .. string.char(bytes:byte(-1) ~ 1))
  end,
  epoch = function(document) -- another epoch than the record's
    document.active_participants.epoch_id = math.tointeger(tonumber(document.active_participants.epoch_id)) + 7
  end,
  block = function(document) -- a block that nobody has signed
    local block = document.block[2] or document.block
    block.header.app_hash = ("0"):rep(64)
  end,
  stale = function(_, c) return c:before() end, -- the epoch before this one, and its proof
  garbage = function() return "<html>not what you asked for</html>" end,
}

local LOST = { params = true, status = true, group = true, none = true }

-- Kinds of values: in words, and whether a value is one.

local function is_integer(value, least, most)
  local n = math.tointeger(value)
  return n ~= nil and n >= least and n <= (most or n)
end

local function number(least, most)
  local words = most and ("an integer from %d to %d"):format(least, most) or ("an integer, %d or more"):format(least)
  return { words, function(value) return is_integer(value, least, most) end }
end

local function one_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return { "one of " .. table.concat(names, ", "), function(value) return set[value] ~= nil end }
end

local function each(value, fits)
  if json.kind(value) ~= "array" and next(value) ~= nil then return false end
  for _, one in ipairs(value) do
    if not fits(one) then return false end
  end
  return true
end

local function is_text(value) return type(value) == "string" and value ~= "" end

local TEXT = { "a text", is_text }
local TRUTH = { "true or false", function(value) return type(value) == "boolean" end }
local NUMBER = { "a number", function(value) return type(value) == "number" end }
local COUNT, PHASE = number(0), one_of(chain.phases)
local TEXTS = { "a list of texts", function(value) return type(value) == "table" and each(value, is_text) end }
local BEHAVIOUR = { "a behaviour", function(value) return type(value) == "string" or type(value) == "table" end }
local HOST = { "the name of a host", function(value, network) return network.hosts[value] ~= nil end }
local HOSTS = { "a list of hosts' names", function(value, network)
  return type(value) == "table" and each(value, function(name) return network.hosts[name] ~= nil end)
end }
local WEIGHTS = { "weights by hosts' names", function(value, network)
  if type(value) ~= "table" then return false end
  for name, weight in pairs(value) do
    if not network.hosts[name] or not math.tointeger(weight) then return false end
  end
  return true
end }
local PARAMETERS = { "parameters of the chain", function(value)
  if type(value) ~= "table" then return false end
  for name, one in pairs(value) do
    local is_number = type(chain.params[name]) == "number" and is_integer(one, 0)
    if not is_number and not (name == "scheme" and chain.schemes[one]) then return false end
  end
  return true
end }
local DEVELOPERS = { "{ until_height, allowed }", function(value)
  return type(value) == "table" and is_integer(value.until_height, 0)
    and each(value.allowed or {}, is_text)
end }
local MACHINE = { "{ count } or { status, message }", function(value)
  if type(value) ~= "table" then return false end
  return (value.count == nil or is_integer(value.count, 0))
    and (value.status == nil or is_integer(value.status, 200, 599))
    and (value.message == nil or is_text(value.message))
end }

local function set_of(network, names)
  local set = {}
  for _, name in ipairs(names) do set[network.hosts[name] and network.hosts[name].address or name] = true end
  return set
end

commands.epoch = {
  members = { hosts = HOSTS, weights = WEIGHTS, excluded = HOSTS },
  run = function(network, wanted)
    network:epoch(wanted.hosts, wanted.weights)
    if not wanted.excluded then return true end
    local excluded = {}
    for i, name in ipairs(wanted.excluded) do excluded[i] = { address = network.hosts[name].address } end
    network.chain.current.excluded = excluded
    return true
  end,
}

commands.phase = {
  members = { phase = PHASE }, needs = { "phase" },
  run = function(network, wanted) return network.chain:enter(wanted.phase) end,
}

commands.confirmation = {
  members = { phase = number(0, 4) }, needs = { "phase" },
  run = function(network, wanted)
    network.chain.confirmation = math.tointeger(wanted.phase)
    return true
  end,
}

commands.chain = {
  members = {
    shape = one_of(chain.shapes), allowed = TEXTS, closed = TRUTH, clock_offset = NUMBER, params = PARAMETERS,
    signers = COUNT, lie = one_of(LIES), developers = DEVELOPERS, lost = one_of(LOST), executors = HOSTS,
    every_executor = TRUTH, slots = TRUTH, snapshot = TRUTH,
  },
  run = function(network, wanted)
    local c = network.chain
    c.shape = wanted.shape or c.shape
    c.clock_offset = wanted.clock_offset or c.clock_offset
    if wanted.closed ~= nil then c.is_closed = wanted.closed end
    if wanted.slots ~= nil then c.has_slots = wanted.slots end
    if wanted.snapshot ~= nil then c.has_snapshot = wanted.snapshot end
    c.lie, c.lost = LIES[wanted.lie], wanted.lost ~= "none" and wanted.lost or wanted.lost == nil and c.lost or nil
    c.notary.signers = wanted.signers or c.notary.signers
    for name, value in pairs(wanted.params or {}) do c.params[name] = value end
    if wanted.allowed then c.allowed = set_of(network, wanted.allowed) end
    if wanted.developers then
      c.developers = {
        until_height = math.tointeger(wanted.developers.until_height),
        allowed = set_of(network, wanted.developers.allowed or {}),
      }
    end
    if wanted.every_executor then c.executors = nil end
    if wanted.executors then
      c.executors = {}
      for _, name in ipairs(wanted.executors) do c.executors[name] = true end
    end
    return true
  end,
}

commands.account = {
  members = {
    address = TEXT, balance = COUNT, published = TRUTH,
    public_key = { "66 hexadecimal digits", function(value)
      return is_text(value) and #value == 66 and value:find "^%x+$" ~= nil
    end },
  },
  run = function(network, wanted)
    local address = wanted.address
    if wanted.public_key then
      address = network.chain:open_account(peri.encode.unhex(wanted.public_key), wanted.balance)
    end
    local account = network.chain.accounts[address]
    if not account then return nil, "'address': expected an account of the chain, got '" .. tostring(address) .. "'" end
    account.balance = wanted.balance or account.balance
    if wanted.published ~= nil then account.is_published = wanted.published end
    return true
  end,
}

commands.host = {
  members = {
    name = HOST, default = BEHAVIOUR, down = TRUTH,
    queue = { "a list of behaviours", function(value) return type(value) == "table" end },
    capacity = { "an integer, 0 or more, or false", function(value)
      return value == false or is_integer(value, 0)
    end }, models = TEXTS, weight = { "an integer", function(value) return math.tointeger(value) ~= nil end },
    preserved = { "true, false or a list of models", function(value)
      return type(value) == "boolean" or type(value) == "table" and each(value, is_text)
    end }, url = TEXT, machine = MACHINE,
    delegates = { "addresses by URL", function(value) return type(value) == "table" end },
  },
  needs = { "name" },
  run = function(network, wanted)
    local one = network.hosts[wanted.name]
    if wanted.default or wanted.queue then
      local ok, why = one:play { default = wanted.default, queue = wanted.queue }
      if not ok then return nil, why end
    end
    if wanted.capacity ~= nil then one.capacity = wanted.capacity or nil end
    if wanted.down then one:close() end
    if wanted.down == false then
      local ok, why = one:reopen()
      if not ok then return nil, why end
    end
    if wanted.preserved ~= nil then one.is_preserved = wanted.preserved end
    if wanted.models then one:serve(wanted.models) end
    one.machine = wanted.machine or one.machine
    one.delegates = wanted.delegates or one.delegates
    one.weight, one.told_url = wanted.weight or one.weight, wanted.url or one.told_url
    local list = network.chain.current.members
    for i, member in ipairs(list) do
      if member.name == wanted.name then list[i] = host.member(one, wanted.weight or member.weight) end
    end
    return true
  end,
}

commands.node = {
  members = { status = number(200, 599), delay_ms = COUNT, date = TEXT },
  run = function(network, wanted)
    network.node_status, network.node_delay_ms, network.date = wanted.status, wanted.delay_ms, wanted.date
    return true
  end,
}

commands.quit = {
  members = {},
  run = function(network)
    network.has_quit = true
    return true
  end,
}

local function check(network, name, command, wanted)
  for member, value in pairs(wanted) do
    local kind = command.members[member]
    if not kind then return nil, ("/sim/%s: no member '%s'"):format(name, tostring(member)) end
    if not kind[2](value, network) then
      local told = json.kind(value) and json.encode(value) or tostring(value)
      return nil, ("/sim/%s: '%s': expected %s, got %s"):format(name, member, kind[1], told)
    end
  end
  for _, member in ipairs(command.needs or {}) do
    if wanted[member] == nil then
      return nil, ("/sim/%s: '%s': expected %s, got nothing"):format(name, member, command.members[member][1])
    end
  end
  return true
end

--- Do what one order says.
---@param network table
---@param name string "epoch"
---@param wanted table decoded
---@return boolean? ok
---@return string? why
function commands.run(network, name, wanted)
  local command = commands[name]
  local ok, why = check(network, name, command, wanted)
  if not ok then return nil, why end
  ok, why = command.run(network, wanted)
  if ok then return true end
  return nil, ("/sim/%s: %s"):format(name, why)
end

--- Whether there is such an order.
---@param name string
---@return boolean
function commands.has(name) return type(commands[name]) == "table" end

return commands
