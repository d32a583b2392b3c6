--- The proofs of a simulated Gonka chain: the record of an epoch's participants as the chain stores it, the path from
-- it to an app hash, the block whose header carries that hash, and the signatures of the chain's validators under it.
-- All of it is real (protobuf, ICS-23, CometBFT's hashes, ed25519); only the validators are made up.
--
-- Sources: inference-chain/proto/inference/inference/activeparticipants.proto; cosmos/ics23 proofs.proto; CometBFT
-- spec/core/data_structures.md and proto/tendermint/types/canonical.proto.
local peri = require "perilune"

local json, sha256 = peri.json, peri.hash.sha256
local hex, base64 = peri.encode.hex, peri.encode.base64
local notary = {}
notary.__index = notary

local VALIDATORS, POWER = 4, 10
local DAY_S = 86400
local STORE = "inference"

-- Protobuf: zero and empty are not written, except where a message must stand.

local function varint(n)
  local bytes = {}
  repeat
    bytes[#bytes + 1] = string.char((n & 127) | (n >> 7 ~= 0 and 128 or 0))
    n = n >> 7
  until n == 0
  return table.concat(bytes)
end

local function number(field, n) return n == 0 and "" or varint(field << 3) .. varint(n) end
local function message(field, bytes) return varint(field << 3 | 2) .. varint(#bytes) .. bytes end
local function bytes_of(field, bytes) return bytes == "" and "" or message(field, bytes) end
local function fixed64(field, n) return n == 0 and "" or varint(field << 3 | 1) .. string.pack("<i8", n) end

-- RFC 6962's tree over leaves already hashed.
local function merkle(leaves, from, to)
  from, to = from or 1, to or #leaves
  if from == to then return leaves[from] end
  local split = 1
  while split * 2 < to - from + 1 do split = split * 2 end
  return sha256("\1" .. merkle(leaves, from, from + split - 1) .. merkle(leaves, from + split, to))
end

local function tree(items)
  local leaves = {}
  for i, item in ipairs(items) do leaves[i] = sha256("\0" .. item) end
  return merkle(leaves)
end

-- The validators.

---@param chain table see perilune.simnet.gonka_chain
function notary.new(chain)
  local self = setmetatable({ chain = chain, validators = {}, app_hashes = {}, signers = VALIDATORS }, notary)
  self.born = chain.wall_ns() // 1000000000 - DAY_S
  local items = {}
  for i = 1, VALIDATORS do
    local seed = sha256(("simulated validator %d of %s"):format(i, chain.chain_id))
    local key = peri.gonka.validator_public(seed)
    self.validators[i] = { seed = seed, key = key, address = sha256(key):sub(1, 20) }
  end
  table.sort(self.validators, function(a, b) return a.address < b.address end)
  for i, v in ipairs(self.validators) do items[i] = message(1, bytes_of(1, v.key)) .. number(2, POWER) end
  self.set_hash = tree(items)
  return self
end

-- The record and its path.

local function encode_member(chain, member, epoch)
  local parts = {
    bytes_of(1, member.address), bytes_of(2, member.validator_key), number(3, member.weight), bytes_of(4, member.url),
  }
  for _, model in ipairs(member.models) do parts[#parts + 1] = message(5, model) end
  parts[#parts + 1] = message(6, bytes_of(1, member.address) .. number(2, epoch) .. bytes_of(3, ("0"):rep(128)))
  for i, model in ipairs(member.models) do
    local slots = string.char(1, chain:shows_preserved(member, model) and 1 or 0)
    local machine = bytes_of(1, member.name .. "-" .. i) .. number(3, member.weight) .. bytes_of(4, slots)
    parts[#parts + 1] = message(7, message(1, machine))
  end
  return table.concat(parts)
end

local function encode_record(self)
  local heights = self.chain:heights()
  local parts = {}
  for i, member in ipairs(self.chain.current.members) do
    parts[i] = message(1, encode_member(self.chain, member, heights.epoch))
  end
  return table.concat(parts) .. number(2, heights.epoch) .. number(3, heights.start) .. number(4, heights.effective)
    .. number(5, heights.created) .. number(6, heights.epoch)
end

-- An existence proof in a tree of two leaves, ours on the left, and the root it leads to.
local function prove(key, value, leaf_prefix, inner_prefix, inner_middle, inner_suffix)
  local leaf = sha256(leaf_prefix .. varint(#key) .. key .. "\32" .. sha256(value))
  local root = sha256(inner_prefix .. inner_middle .. leaf .. inner_suffix)
  local leaf_op = number(1, 1) .. number(3, 1) .. number(4, 1) .. bytes_of(5, leaf_prefix)
  local inner_op = number(1, 1) .. bytes_of(2, inner_prefix .. inner_middle) .. bytes_of(3, inner_suffix)
  return message(1, bytes_of(1, key) .. bytes_of(2, value) .. message(3, leaf_op) .. message(4, inner_op)), root
end

local function zigzag(n) return varint(n << 1) end

--- Members of a participants document: the record and what proves it.
---@return table
function notary:prove()
  local heights = self.chain:heights()
  local record = encode_record(self)
  local key = "ActiveParticipants/value/" .. string.pack(">I8", heights.epoch) .. "/"
  local version = zigzag(heights.created)
  local store_proof, store_root = prove(key, record, zigzag(0) .. zigzag(1) .. version,
    zigzag(1) .. zigzag(2) .. version, "\32", "\32" .. sha256 "another record")
  local app_proof, app_hash = prove(STORE, store_root, "\0", "\1", "", sha256 "another store")
  self.app_hashes[heights.created + 1] = app_hash
  return {
    active_participants_bytes = hex(record),
    proof_ops = { ops = json.array {
      { type = "ics23:iavl", key = base64(key), data = base64(store_proof) },
      { type = "ics23:simple", key = base64(STORE), data = base64(app_proof) },
    } },
    block = self:block(heights.created + 1),
  }
end

-- Blocks.

local function label(name, height) return sha256(("%s of block %d"):format(name, height)) end

local function upper(bytes) return hex(bytes):upper() end

-- Seconds and nanoseconds; a block each millisecond, a day ago at the earliest.
local function time_of(self, height)
  local ms = height - self.chain.first_height
  return self.born + ms // 1000, ms % 1000 * 1000000
end

local function encode_time(seconds, nanos) return number(1, seconds) .. number(2, nanos) end

local function write_time(seconds, nanos) return os.date("!%Y-%m-%dT%H:%M:%S", seconds) .. (".%09dZ"):format(nanos) end

local function encode_block_id(hash, parts)
  return bytes_of(1, hash) .. message(2, number(1, 1) .. bytes_of(2, parts))
end

local HASHES = {
  "last_commit_hash", "data_hash", "validators_hash", "next_validators_hash", "consensus_hash", "app_hash",
  "last_results_hash", "evidence_hash", "proposer_address",
}

local function hashes_of(self, height)
  local values = {}
  for i, name in ipairs(HASHES) do values[i] = label(name, height) end
  values[3], values[4] = self.set_hash, self.set_hash
  values[6] = self.app_hashes[height] or values[6]
  values[9] = self.validators[1].address
  return values
end

local function block_hash(self, height)
  local items = {
    number(1, 11), bytes_of(1, self.chain.chain_id), number(1, height), encode_time(time_of(self, height)),
    encode_block_id(label("last block", height), label("last parts", height)),
  }
  for _, value in ipairs(hashes_of(self, height)) do items[#items + 1] = bytes_of(1, value) end
  return tree(items)
end

--- The header of a block, as JSON has it.
function notary:header(height)
  local header = {
    version = { block = "11" }, chain_id = self.chain.chain_id, height = tostring(height),
    time = write_time(time_of(self, height)),
    last_block_id = {
      hash = upper(label("last block", height)),
      parts = { total = 1, hash = upper(label("last parts", height)) },
    },
  }
  local values = hashes_of(self, height)
  for i, name in ipairs(HASHES) do header[name] = upper(values[i]) end
  return header
end

-- A header as nodes have written it into documents: CometBFT's own JSON with heights as numbers up to v0.2.14, the
-- SDK's since, whose heights are strings and whose hashes are base64.
local function header_in(shape, self, height)
  local header = self:header(height)
  if shape == "numbers" or shape == "early" then
    header.height, header.version.block = height, 11
    return header
  end
  for _, name in ipairs(HASHES) do header[name] = base64(assert(peri.encode.unhex(header[name]))) end
  local last = header.last_block_id
  last.hash, last.parts.hash = base64(peri.encode.unhex(last.hash)), base64(peri.encode.unhex(last.parts.hash))
  return header
end

--- The block of a participants document in the chain's shape: an object, or the list of blocks of early 2025.
---@param height integer
---@return table
function notary:block(height)
  local shape = self.chain.shape
  if shape ~= "early" then return { header = header_in(shape, self, height) } end
  return json.array {
    { header = header_in(shape, self, height - 1) }, { header = header_in(shape, self, height) },
  }
end

--- What an operator pins: the hash of a block, in hexadecimal.
function notary:block_hash(height) return hex(block_hash(self, height)) end

local function vote(self, height, id)
  return number(1, 2) .. fixed64(2, height) .. message(4, id) .. message(5, encode_time(time_of(self, height)))
    .. bytes_of(6, self.chain.chain_id)
end

--- `/chain-rpc/commit?height=`. The first `signers` of the validators have signed.
function notary:commit(height)
  local hash, parts = block_hash(self, height), label("parts", height)
  local said = vote(self, height, encode_block_id(hash, parts))
  local signed = varint(#said) .. said
  local signatures = json.array {}
  for i, v in ipairs(self.validators) do
    local has_signed = i <= self.signers
    signatures[i] = {
      block_id_flag = has_signed and 2 or 1, validator_address = has_signed and upper(v.address) or "",
      timestamp = has_signed and write_time(time_of(self, height)) or "0001-01-01T00:00:00Z",
      signature = has_signed and base64(peri.gonka.validator_sign(v.seed, signed)) or json.null,
    }
  end
  return { jsonrpc = "2.0", id = -1, result = { canonical = true, signed_header = {
    header = self:header(height),
    commit = {
      height = tostring(height), round = 0, signatures = signatures,
      block_id = { hash = upper(hash), parts = { total = 1, hash = upper(parts) } },
    },
  } } }
end

--- `/chain-rpc/validators?height=`.
function notary:list(height)
  local list = json.array {}
  for i, v in ipairs(self.validators) do
    list[i] = {
      address = upper(v.address), voting_power = tostring(POWER), proposer_priority = "0",
      pub_key = { type = "tendermint/PubKeyEd25519", value = base64(v.key) },
    }
  end
  return { jsonrpc = "2.0", id = -1, result = {
    block_height = tostring(height), validators = list, count = tostring(#list), total = tostring(#list),
  } }
end

return notary
