--- One simulated Gonka host: an OpenAI-compatible provider behind the checks of a Gonka node, in the node's order and
-- with its words.
--
-- Source: gonka-ai/gonka decentralized-api/internal/server/public/post_chat_handler.go and utils.go, v0.2.12, v0.2.13.
local peri = require "perilune"
local provider = require "perilune.simnet.provider"

local json = peri.json
local host = {}

local BASE = "/chain-api/productscience/inference/inference/"
local FUTURE_DEFAULT_S = 10 -- when the chain's parameter is 0
local CLOSED = {
  ["content-type"] = "application/json", deprecation = "true",
  link = '</devshard/{version}>; rel="successor-version"',
}

-- The checks. Each gives nil when it is content, else a status and what the node says then.

local function check_size(c)
  if #c.x.body > c.chain.params.body_bytes then return 413, "request body too large" end
end

local function check_json(c)
  if c.body then return end
  local found = c.x.body:match "^%s*(.)"
  return 400, "invalid chat completion request: " .. (found
    and ("invalid character '%s' looking for beginning of value"):format(found) or "unexpected end of JSON input")
end

local function check_messages(c)
  if type(c.body.messages) ~= "table" or #c.body.messages == 0 then return 400, "messages is required" end
end

local function check_agent(c)
  if next(c.chain.allowed) and not c.chain.allowed[c.agent] then return 403, "Transfer Agent not allowed" end
end

local function check_authorization(c)
  if (c.x:header "authorization" or "") == "" then return 401, "Authorization is required" end
end

local function check_model(c)
  if type(c.body.model) ~= "string" or c.body.model == "" then return 400, "No model specified" end
end

local function check_shape(c)
  for _, message in ipairs(c.body.messages) do
    if type(message) ~= "table" or type(message.role) ~= "string" then return 400, "messages: role is required" end
  end
end

local function check_account(c)
  c.account = c.chain.accounts[c.x:header "x-requester-address" or ""]
  if not c.account then
    local address = c.x:header "x-requester-address" or ""
    return 500, ("rpc error: code = NotFound desc = account %s not found: key not found"):format(address)
  end
  if not c.account.is_published then
    return 500, "runtime error: invalid memory address or nil pointer dereference: panic"
  end
end

local function check_signature(c)
  local holds = peri.gonka.check {
    authorization = c.x:header "authorization", body = c.x.body, timestamp = c.x:header "x-timestamp" or "0",
    node = c.agent, public_key = c.account.public_key, scheme = c.chain.params.scheme,
  }
  if not holds then return 401, "Unable to validate request against PubKey:invalid signature" end
end

local function check_served(c)
  if not c.host.models[c.body.model] then return 404, "model not found" end
end

local function prompt_bytes(body)
  local sum = 0
  for _, message in ipairs(body.messages) do
    if type(message.content) == "string" then sum = sum + #message.content end
  end
  return sum
end

local function check_balance(c)
  local params = c.chain.params
  local tokens = prompt_bytes(c.body) + (math.tointeger(c.body.max_tokens) or params.max_tokens)
  c.price = tokens * params.price_per_token
  if c.account.balance < c.price then return 402, "Insufficient balance" end
end

local function check_time(c)
  local params, now = c.chain.params, c.chain:block_time()
  local stamp = (tonumber(c.x:header "x-timestamp") or 0) / 1e9
  local advance = params.timestamp_advance > 0 and params.timestamp_advance or FUTURE_DEFAULT_S
  if now - stamp > params.timestamp_expiration then return 400, "signature is too old" end
  if stamp - now > advance then return 400, "signature is in the future" end
end

local function check_replay(c)
  local seen, key = c.host.seen, c.x:header "authorization"
  if seen[key] then return 400, "AuthKey has already been used for a transfer request" end
  seen[key] = true
  seen.last = seen.last + 1
  seen[seen.last] = key
  local oldest = seen.last - c.chain.params.replay_memory
  if oldest > 0 then
    seen[seen[oldest]], seen[oldest] = nil, nil
  end
end

local function check_capacity(c)
  if c.host.capacity and c.host.ledger.open > c.host.capacity then
    return 429, ("Transfer Agent capacity reached. Try another TA from %s/v1/epochs/current/participants")
      :format(c.host.base)
  end
end

local function check_machines(c)
  if c.chain:is_generating() and not c.chain.preserves(c.host.is_preserved, c.body.model) then
    return 503, "no inference nodes available"
  end
end

--- In the node's order.
host.checks = {
  check_size, check_json, check_messages, check_agent, check_authorization, check_model, check_shape, check_account,
  check_signature, check_served, check_balance, check_time, check_replay, check_capacity, check_machines,
}

local function admit_chat(self, call, body)
  local chain = self.chain
  if chain.is_closed then
    call.entry.status = 410
    call.x:reply(410, CLOSED,
      json.encode { error = "deprecated", message = "classic inference is deprecated; use devshard" })
    call.ledger:finish(call.entry, "error")
    return false
  end
  local c = { x = call.x, chain = chain, host = self, body = body }
  c.agent = call.x:header "x-transfer-address" or self.address
  call.entry.payer = call.x:header "x-requester-address"
  for _, check in ipairs(host.checks) do
    local status, text = check(c)
    if status then
      provider.refuse(call, status, text)
      return false
    end
  end
  c.account.balance = c.account.balance - c.price
  return true
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
    if chain.lie then chain.lie(document) end
    return document
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
    return { data = data, signature = "" }
  end,
}

--- What any node answers to a GET; nil for what it does not know.
---@param chain table
---@param node { address: string }
---@param x perilune.http_exchange
---@return table? document
function host.read(chain, node, x)
  local read = x.method == "GET" and READS[x.path]
  return read and read(chain, node, x) or nil
end

local function write_error(message, _, code) return json.encode { error = message, code = code or nil } end

local speaker = { error = write_error }

function speaker.admit(self, call, body)
  if call.x.path == "/v1/chat/completions" and call.x.method == "POST" then return admit_chat(self, call, body) end
  local document = host.read(self.chain, self, call.x)
  if not document then return true end
  provider.reply(call, json.encode(document))
  return false
end

--- Start a host.
---@param options table name, chain, models; weight, capacity (requests at once), listen, script, is_preserved
---@return table? host a provider with name, address, validator_key, base and weight besides
---@return string? why
---@return string? code
function host.start(options)
  local self, why, code = provider.start {
    name = options.name, listen = options.listen, models = options.models, script = options.script,
    speaker = { error = speaker.error, admit = speaker.admit },
  }
  if not self then return nil, why, code end
  local public_key = "\2" .. peri.hash.sha256("simulated host " .. options.name)
  self.chain, self.public_key, self.seen = options.chain, public_key, { last = 0 }
  self.address = assert(peri.gonka.address(public_key))
  self.validator_key = peri.encode.base64(peri.hash.sha256("simulated validator " .. options.name))
  self.base = "http://127.0.0.1:" .. self.port
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
