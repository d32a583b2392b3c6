--- One simulated Gonka host: an OpenAI-compatible provider behind the checks of a Gonka node, in the node's order and
-- with its words (gonka_checks.lua), and what every node answers about the chain.
local peri = require "perilune"
local checks = require "perilune.simnet.gonka_checks"
local provider = require "perilune.simnet.provider"

local json = peri.json
local host = {}

local BASE = "/chain-api/productscience/inference/inference/"
local CLOSED = {
  ["content-type"] = "application/json", deprecation = "true",
  link = '</devshard/{version}>; rel="successor-version"',
}

-- Requests for inference.

local INFERENCE = { ["/v1/chat/completions"] = true, ["/v1/completions"] = true }

local function refuse_closed(call)
  local is_devshard = call.x.path:find("^/v1/devshard") ~= nil
  call.entry.status = 410
  call.x:reply(410, CLOSED, json.encode {
    error = "deprecated",
    message = is_devshard and "/v1/devshard is deprecated; use /devshard/{version}"
      or "classic inference is deprecated; use devshard",
  })
  call.ledger:finish(call.entry, "error")
end

local function admit_inference(self, call)
  local c = { x = call.x, body = call.x.body, path = call.x.path, chain = self.chain, host = self }
  c.agent = call.x:header "x-transfer-address" or self.address
  c.request = json.decode(c.body, { nulls = false })
  call.entry.payer = call.x:header "x-requester-address"
  local status, text = checks.refuse(c)
  if status then return provider.refuse(call, status, text) end
  if c.price then c.account.balance = c.account.balance - c.price end
  call.id = call.x:header "authorization" -- the signature is the inference's id
  call.entry.executor = (c.executor or self).name
  return c.executor or self
end

-- Reading the chain: any node answers.

local function list_models(chain)
  local seen, data = {}, json.array {}
  for _, member in ipairs(chain.current.members) do
    for _, id in ipairs(member.models) do
      if not seen[id] then data[#data + 1] = { object = "model", id = id, name = id, context_length = 32768 } end
      seen[id] = true
    end
  end
  return { object = "list", data = data }
end

local function rfc3339(seconds) return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds // 1 | 0) end

local function status(chain)
  return { jsonrpc = "2.0", id = -1, result = { sync_info = {
    latest_block_height = tostring(chain.height), latest_block_time = rfc3339(chain:block_time()),
  } } }
end

local function height_of(chain, x) return math.tointeger(tonumber(x.query:match "height=(%d+)")) or chain.height end

local READS = {
  ["/v1/epochs/current/participants"] = function(chain)
    local document = chain:participants(chain.notary:prove())
    return chain.lie and chain.lie(document, chain) or document
  end,
  ["/v1/epochs/latest"] = function(chain) return chain:latest_epoch() end,
  ["/v1/models"] = list_models,
  ["/v1/status"] = function() return { status = "ok" } end,
  ["/chain-rpc/status"] = status,
  ["/chain-rpc/commit"] = function(chain, _, x) return chain.notary:commit(height_of(chain, x)) end,
  ["/chain-rpc/validators"] = function(chain, _, x) return chain.notary:list(height_of(chain, x)) end,
  [BASE .. "preserved_nodes_snapshot"] = function(chain) return chain:preserved_nodes() end,
  [BASE .. "params"] = function(chain) return chain:parameters() end,
  ["/v1/identity"] = function(chain, node)
    local data = { address = node.address, block = chain.height, timestamp = rfc3339(chain:block_time()) }
    data.delegate_ta = node.delegates
    return { data = data, signature = "" }
  end,
}

--- What any node answers to a GET; nil for what it does not know.
---@param chain table
---@param node { address: string }
---@param x perilune.http_exchange
---@return table|string|nil document a text as it stands
function host.read(chain, node, x)
  local read = x.method == "GET" and READS[x.path]
  return read and read(chain, node, x) or nil
end

local function write_error(message, _, code) return json.encode { error = message, code = code or nil } end

local speaker = { error = write_error }

local function refuse_path(call)
  local is_known = INFERENCE[call.x.path] or READS[call.x.path] ~= nil
  if is_known then return provider.refuse(call, 405, "Method Not Allowed") end
  return provider.refuse(call, 404, "Not Found")
end

function speaker.admit(self, call)
  local x = call.x
  local is_inference = INFERENCE[x.path]
  if self.chain.is_closed and (is_inference or x.path:find "^/v1/devshard") then return refuse_closed(call) end
  if is_inference and x.method == "POST" then return admit_inference(self, call) end
  local document = host.read(self.chain, self, x)
  if not document then return refuse_path(call) end
  provider.reply(call, type(document) == "string" and document or json.encode(document))
end

--- Start a host.
---@param options table name, chain, models, peers (all hosts by name); weight, capacity (requests at once), listen,
--   script, is_preserved, place
---@return table? host a provider with name, address, validator_key, base and weight besides
---@return string? why
---@return string? code
function host.start(options)
  local self, why, code = provider.start {
    name = options.name, listen = options.listen, models = options.models, script = options.script,
    speaker = { error = speaker.error, admit = speaker.admit }, place = options.place,
  }
  if not self then return nil, why, code end
  local public_key = "\2" .. peri.hash.sha256("simulated host " .. options.name)
  self.chain, self.public_key, self.peers = options.chain, public_key, options.peers
  self.seen = { transfer = { last = 0 }, executor = { last = 0 } }
  self.address = assert(peri.gonka.address(public_key))
  self.validator_key = peri.encode.base64(peri.hash.sha256("simulated validator " .. options.name))
  self.base = self.url:gsub("/v1$", "")
  self.weight, self.capacity, self.is_preserved = options.weight or 100, options.capacity, options.is_preserved
  self.model_list = options.models
  self.serve = host.serve
  return self
end

--- Serve these models from now on.
function host.serve(self, models)
  self.models, self.model_list = {}, models
  for _, id in ipairs(models) do self.models[id] = true end
end

--- The entry that the chain keeps of it.
function host.member(self, weight)
  return {
    name = self.name, address = self.address, url = self.told_url or self.base, models = self.model_list,
    weight = weight or self.weight,
    validator_key = self.validator_key, is_preserved = self.is_preserved,
  }
end

return host
