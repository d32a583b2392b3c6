--- A simulated Gonka chain: its epochs and heights, its participants, its parameters and accounts, and the documents
-- that nodes make of them. It knows nothing of servers; time comes from outside.
--
-- Heights stand still until somebody moves the chain: a spec then knows where it is. The epoch of which proofs are
-- being computed is `latest`; the one whose hosts serve is `current`. They differ while a proof window is open.
local peri = require "perilune"

local json = peri.json
local chain = {}
chain.__index = chain

-- Blocks, relative to the start of an epoch's proofs; small ones, in mainnet's order.
local LENGTH = 1000
local STAGES = {
  { "PoCGenerate", 0 }, { "PoCGenerateWindDown", 28 }, { "PoCValidate", 40 }, { "PoCValidateWindDown", 72 },
  { "Inference", 80 },
}
--- The phases there are.
chain.phases = {}
for _, stage in ipairs(STAGES) do chain.phases[stage[1]] = true end

local GENERATION_END, SET_NEW_VALIDATORS, EFFECTIVE = 35, 82, 85
local FIRST_HEIGHT = 10000
local RICH = 1000000000000000 -- ngonka: a million GNK

--- The shapes in which nodes have written documents, and the schemes in which they have wanted signatures.
chain.shapes = { numbers = true, strings = true, golden = true, early = true }
chain.schemes = { hashed = true, raw_body = true, body_only = true }

--- What the chain's parameters are unless said otherwise; times in seconds.
chain.params = {
  timestamp_expiration = 60, timestamp_advance = 30, lag = 2, price_per_token = 1000, max_tokens = 5000,
  replay_memory = 10000, body_bytes = 10485760,
}

---@param options { chain_id: string?, shape: string?, wall_ns: fun(): integer }
function chain.new(options)
  return setmetatable({
    chain_id = options.chain_id or "gonka-simnet", first_height = FIRST_HEIGHT,
    shape = options.shape or "numbers", wall_ns = options.wall_ns,
    params = setmetatable({}, { __index = chain.params }), clock_offset = 0,
    latest = 1, start = FIRST_HEIGHT, height = FIRST_HEIGHT + EFFECTIVE, confirmation = 0,
    current = { index = 1, start = FIRST_HEIGHT, members = {}, excluded = {} }, accounts = {}, allowed = {},
    has_slots = true, has_snapshot = true,
    developers = { until_height = 0, allowed = {} },
  }, chain)
end

--- The heights of the epoch that serves.
function chain:heights()
  local start = self.current.start
  return {
    epoch = self.current.index, start = start, created = start + SET_NEW_VALIDATORS, effective = start + EFFECTIVE,
  }
end

--- Seconds of the newest block: nodes lag behind the clock, and a chain may be off altogether.
function chain:block_time() return self.wall_ns() / 1e9 - self.params.lag + self.clock_offset end

--- The same as a node's clock has it, for a Date header: nodes agree with their chain.
function chain:date() return os.date("!%a, %d %b %Y %H:%M:%S GMT", self.wall_ns() // 1000000000 + self.clock_offset) end

function chain:phase()
  local phase
  for _, stage in ipairs(STAGES) do
    if self.height >= self.start + stage[2] then phase = stage[1] end
  end
  return phase
end

local GENERATION, VALIDATION = 2, 3 -- of a confirmation

--- Most machines compute proofs now: only those set aside answer. While proofs are validated the machines here do both.
function chain:is_generating()
  return self.confirmation == GENERATION or self:phase():find("^PoCGenerate") ~= nil
end

--- The block that the present window of proofs is known by; nil outside of one.
function chain:window()
  if self.confirmation == GENERATION or self.confirmation == VALIDATION then return self.height end
  return self:phase() ~= "Inference" and self.start or nil
end

--- An account that can pay.
---@param public_key string 33 bytes
---@param balance integer|nil in ngonka
---@return string address
function chain:open_account(public_key, balance)
  local address = assert(peri.gonka.address(public_key))
  self.accounts[address] = { public_key = public_key, balance = balance or RICH, is_published = true }
  return address
end

--- The hosts of the epoch to come, or that have been all along: { host, weight = …, … } each.
function chain:set_members(members, excluded)
  self.current.members, self.current.excluded = members, excluded or {}
end

--- The proofs of the next epoch begin; its hosts are not known yet.
function chain:begin_proofs()
  if self.latest ~= self.current.index then return end
  self.latest, self.start = self.latest + 1, self.start + LENGTH
  self.height, self.confirmation = self.start, 0
end

--- Move on to a phase; to "Inference" out of a window of proofs is the next epoch with the same hosts.
---@return boolean? ok
---@return string? why
function chain:enter(phase)
  if phase == "Inference" then
    if self.latest ~= self.current.index then self:begin_epoch() end
    return true
  end
  for _, stage in ipairs(STAGES) do
    if stage[1] == phase then
      self:begin_proofs()
      self.height = self.start + stage[2] + 1
      return true
    end
  end
  return nil, "unknown phase '" .. tostring(phase) .. "'"
end

--- A new epoch is the current one.
---@param members table[]|nil the ones of now
---@param excluded table[]|nil
function chain:begin_epoch(members, excluded)
  self:begin_proofs()
  self.height = self.start + EFFECTIVE
  self.previous = self.current
  self.current = {
    index = self.latest, start = self.start, members = members or self.current.members,
    excluded = excluded or self.current.excluded,
  }
end

-- Documents. Numbers have been written in three ways.

local function integer(self, n) return self.shape == "strings" and tostring(n) or n end

-- Go leaves zero out; the later shapes do not.
local function optional(self, n)
  if n == 0 and self.shape == "numbers" then return nil end
  return integer(self, n)
end

--- Whether an entry keeps a machine for serving that model while its others compute proofs.
---@param preserved boolean|string[]|nil all of its models, or these
function chain.preserves(preserved, model)
  if type(preserved) ~= "table" then return preserved == true end
  for _, one in ipairs(preserved) do
    if one == model then return true end
  end
  return false
end

--- Whether the list of participants shows that, too: chains since v0.2.13 say it in the snapshot alone.
function chain:shows_preserved(member, model) return self.has_slots and chain.preserves(member.is_preserved, model) end

local function describe_member(self, member, epoch)
  local machines = json.array {}
  for i, model in ipairs(member.models) do
    local slots = json.array { true, self:shows_preserved(member, model) }
    local machine = { node_id = member.name .. "-" .. i, poc_weight = optional(self, member.weight) }
    machine.timeslot_allocation = slots
    machines[i] = { ml_nodes = json.array { machine } }
  end
  return {
    index = member.address, validator_key = member.validator_key, weight = optional(self, member.weight),
    inference_url = member.url, models = json.array(table.move(member.models, 1, #member.models, 1, {})),
    seed = { participant = member.address, epoch_index = integer(self, epoch), signature = ("0"):rep(128) },
    ml_nodes = machines,
  }
end

local function describe_excluded(self)
  local list = json.array {}
  for i, one in ipairs(self.current.excluded) do
    local height = integer(self, self.height)
    list[i] = { address = one.address, reason = one.reason or "confirmation_poc", exclusion_block_height = height }
  end
  return list
end

--- `/v1/epochs/current/participants`.
---@param proof table|nil members that prove it: active_participants_bytes, proof_ops, block, validators
---@return table
function chain:participants(proof)
  local heights = self:heights()
  local now, list = self.current, json.array {}
  for i, member in ipairs(now.members) do list[i] = describe_member(self, member, now.index) end
  local document = {
    active_participants = {
      participants = list, epoch_group_id = integer(self, now.index), epoch_id = integer(self, now.index),
      poc_start_block_height = integer(self, now.start), effective_block_height = integer(self, heights.effective),
      created_at_block_height = integer(self, heights.created),
    },
    addresses = json.array {}, active_participants_bytes = "", validators = json.array {}, block = json.null,
    proof_ops = { ops = json.array {} },
  }
  if self.shape ~= "early" then document.excluded_participants = describe_excluded(self) end
  for name, value in pairs(proof or {}) do document[name] = value end
  return document
end

--- The same document as it was in the epoch before, with its own true proof; nil in the first one.
---@return table?
function chain:before()
  if not self.previous then return nil end
  local now = self.current
  self.current = self.previous
  local document = self:participants(self.notary:prove())
  self.current = now
  return document
end

local function stages(self, index, start)
  local function at(blocks) return integer(self, start + blocks) end
  return {
    epoch_index = integer(self, index), poc_start = at(0), poc_generation_wind_down = at(STAGES[2][2]),
    poc_generation_end = at(GENERATION_END), poc_validation_start = at(STAGES[3][2]),
    poc_validation_wind_down = at(STAGES[4][2]), poc_validation_end = at(STAGES[5][2]),
    set_new_validators = at(SET_NEW_VALIDATORS), claim_money = at(SET_NEW_VALIDATORS + 1), next_poc_start = at(LENGTH),
    inference_validation_cutoff = at(LENGTH - 20),
    poc_exchange_window = { start = at(1), ["end"] = at(GENERATION_END) },
    poc_validation_exchange_window = { start = at(STAGES[3][2]), ["end"] = at(STAGES[5][2]) },
  }
end

local CONFIRMATIONS = { "GRACE_PERIOD", "GENERATION", "VALIDATION", "COMPLETED" }

--- `/v1/epochs/latest`.
---@return table
function chain:latest_epoch()
  local params = { epoch_length = integer(self, LENGTH) }
  local document = {
    block_height = integer(self, self.height), phase = self:phase(),
    latest_epoch = { index = integer(self, self.latest), poc_start_block_height = integer(self, self.start) },
    epoch_stages = stages(self, self.latest, self.start),
    next_epoch_stages = stages(self, self.latest + 1, self.start + LENGTH),
    epoch_params = self.shape == "strings" and { epoch_params = params } or params,
    is_confirmation_poc_active = self.confirmation > 0 and self.confirmation < 4,
  }
  if self.confirmation > 0 then
    local phase = self.confirmation
    document.active_confirmation_poc_event = {
      epoch_index = integer(self, self.latest), event_sequence = integer(self, 1),
      trigger_height = integer(self, self.height), generation_start_height = integer(self, self.height + 5),
      phase = self.shape == "strings" and "CONFIRMATION_POC_" .. CONFIRMATIONS[phase] or phase,
      poc_seed_block_hash = ("0"):rep(64),
    }
  end
  return document
end

--- `/chain-api/productscience/inference/inference/preserved_nodes_snapshot`: who goes on serving which model.
---@return table
function chain:preserved_nodes()
  local anchor, by_model, list = self:window(), {}, json.array {}
  if not anchor or not self.has_snapshot then return { found = false } end
  for _, member in ipairs(self.current.members) do
    for i, model in ipairs(member.models) do
      if chain.preserves(member.is_preserved, model) then
        if not by_model[model] then
          by_model[model] = json.array {}
          list[#list + 1] = { model_id = model, participants = by_model[model] }
        end
        local node_ids = json.array { member.name .. "-" .. i }
        table.insert(by_model[model], { participant_id = member.address, node_ids = node_ids })
      end
    end
  end
  return { found = true, snapshot = { episode_anchor_height = tostring(anchor), model_preserved_nodes = list } }
end

--- `/chain-api/productscience/inference/inference/params`: a gateway writes 64-bit numbers as text.
---@return table
function chain:parameters()
  local function list(set)
    local names = json.array {}
    for name in pairs(set) do names[#names + 1] = name end
    table.sort(names)
    return names
  end
  return { params = {
    transfer_agent_access_params = { allowed_transfer_addresses = list(self.allowed) },
    developer_access_params = {
      until_block_height = tostring(self.developers.until_height),
      allowed_developer_addresses = list(self.developers.allowed),
    },
    validation_params = {
      timestamp_expiration = tostring(self.params.timestamp_expiration),
      timestamp_advance = tostring(self.params.timestamp_advance),
    },
  } }
end

return chain
