--- The checks of a Gonka node in the node's order and with its words: of the request to a transfer agent, which takes
-- it from the client, and of the one to the executor, which computes it.
--
-- A check gets what is known of the request and gives nil when it is content, else a status and a sentence.
--   c   x, body (bytes), request (decoded), path, host, chain, agent; filled on the way: account, executor, price
--
-- Source: gonka-ai/gonka decentralized-api/internal/server/public/post_chat_handler.go, completions_handlers.go and
-- utils.go, v0.2.12 and v0.2.13.
local peri = require "perilune"
local go = require "perilune.simnet.gonka_go"
local messages = require "perilune.simnet.gonka_messages"

local json = peri.json
local checks = {}

local WINDOW_DEFAULT_S = 10 -- when the chain's parameter is 0
local MACHINE_STATUS_KEPT = { [400] = true, [422] = true }

local STRUCT = { name = "OpenAiRequest", fields = {
  { name = "model", kind = "string", type = "string" }, { name = "seed", kind = "int32", type = "int32" },
  { name = "max_tokens", kind = "int32", type = "int32" },
  { name = "max_completion_tokens", kind = "int32", type = "int32" },
  { name = "messages", kind = "array", type = "[]public.Message" },
} }

local function header(c, name) return c.x:header(name) or "" end

-- What both roles look at.

local function check_size(c)
  if #c.body > c.chain.params.body_bytes then return 413, "request body too large" end
end

local function prompt_of(request)
  local prompt = request.prompt
  if type(prompt) == "table" then return prompt[1], #prompt end
  return prompt, prompt ~= nil and 1 or 0
end

local function is_blank(text) return type(text) ~= "string" or not text:find "%S" end

local function check_completion(c)
  if c.path ~= "/v1/completions" then return end
  local request = c.request
  if json.kind(request) ~= "object" then return 400, "invalid request format" end
  if is_blank(request.model) then return 400, "model is required" end
  local prompt, count = prompt_of(request)
  if count > 1 then return 400, "batch prompts are not supported" end
  if is_blank(prompt) then return 400, "prompt is required" end
  request.messages = json.array { { role = "user", content = prompt } }
end

local function check_json(c)
  local fault = go.json_fault(c.body) or go.type_fault(c.request, STRUCT)
  if fault then return 400, "invalid chat completion request: " .. fault end
  if type(c.request) ~= "table" then c.request = {} end
end

local function check_messages(c)
  if #(c.request.messages or {}) == 0 then return 400, "messages is required" end
end

local function check_agent(c)
  if next(c.chain.allowed) and not c.chain.allowed[c.agent] then return 403, "Transfer Agent not allowed" end
end

local function check_authorization(c)
  if header(c, "authorization") == "" then return 401, "Authorization is required" end
end

local function check_model(c)
  if (c.request.model or "") == "" then return 400, "No model specified" end
end

local function check_developer(c)
  local chain = c.chain
  local gate = chain.developers
  if chain.lost == "params" then return 503, "unable to fetch chain params" end
  if gate.until_height == 0 then return end
  if chain.lost == "status" then return 503, "unable to fetch chain status" end
  if chain.height >= gate.until_height or gate.allowed[header(c, "x-requester-address")] then return end
  return 403, ("inference requests are restricted until block height %d"):format(gate.until_height)
end

local function check_shape(c)
  if c.path == "/v1/completions" then return end
  local whole = json.decode(c.body) -- with the nulls that the rest does without
  local fault = messages.fault(type(whole) == "table" and whole.messages or nil)
  if fault then return 400, fault end
end

local function check_account(c)
  local address = header(c, "x-requester-address")
  c.account = c.chain.accounts[address]
  if not c.account then
    return 500, ("rpc error: code = NotFound desc = account %s not found: key not found"):format(address)
  end
  if not c.account.is_published then
    return 500, "runtime error: invalid memory address or nil pointer dereference: panic"
  end
end

-- Nanoseconds; 0 when the header is missing or no int64, and then it is not part of what is signed either.
local function stamp_of(c)
  local text = header(c, "x-timestamp")
  local n = text:find "^[+-]?%d+$" and math.tointeger(tonumber(text))
  return n and n > 0 and n or 0
end

local function check_signature(c)
  local authorization, stamp = header(c, "authorization"), stamp_of(c)
  local fault = go.base64_fault(authorization)
  local holds = not fault and peri.gonka.check {
    authorization = authorization:gsub("[\r\n]", ""), body = c.body, node = c.agent, public_key = c.account.public_key,
    timestamp = stamp > 0 and tostring(stamp) or "", scheme = c.chain.params.scheme,
  }
  if not holds then return 401, "Unable to validate request against PubKey:" .. (fault or "invalid signature") end
end

local function remember(c, role)
  local seen, key = c.host.seen[role], header(c, "authorization")
  if seen[key] then return false end
  seen[key] = true
  seen.last = seen.last + 1
  seen[seen.last] = key
  local oldest = seen.last - c.chain.params.replay_memory
  if oldest > 0 then
    seen[seen[oldest]], seen[oldest] = nil, nil
  end
  return true
end

-- The transfer agent's.

local function serves(member, model)
  for _, id in ipairs(member.models) do
    if id == model then return true end
  end
  return false
end

local function check_served(c)
  if c.chain.lost == "group" then return 503, "unable to fetch current epoch group data" end
  for _, member in ipairs(c.chain.current.members) do
    if serves(member, c.request.model) then return end
  end
  return 404, "model not found"
end

local function text_bytes(content)
  if type(content) == "string" then return #content end
  local sum = 0
  for _, part in ipairs(json.kind(content) == "array" and content or {}) do
    sum = sum + (type(part.text) == "string" and #part.text or 0)
  end
  return sum
end

local function check_balance(c)
  local params, tokens = c.chain.params, 0
  for _, message in ipairs(c.request.messages) do tokens = tokens + text_bytes(message.content) end
  local limit = c.request.max_tokens or 0
  c.price = (tokens + (limit == 0 and params.max_tokens or limit)) * params.price_per_token
  if c.account.balance < c.price then return 402, "Insufficient balance" end
end

local function window(seconds) return (seconds > 0 and seconds or WINDOW_DEFAULT_S) end

local function check_time(c)
  local params, ahead = c.chain.params, stamp_of(c) / 1e9 - c.chain:block_time()
  if -ahead > window(params.timestamp_expiration) then return 400, "signature is too old" end
  if ahead > window(params.timestamp_advance) then return 400, "signature is in the future" end
end

local function check_replay(c)
  if not remember(c, "transfer") then return 400, "AuthKey has already been used for a transfer request" end
end

local function check_capacity(c)
  if c.host.capacity and c.host.ledger.open > c.host.capacity then
    return 429, ("Transfer Agent capacity reached. Try another TA from %s/v1/epochs/current/participants")
      :format(c.host.base)
  end
end

-- The chain draws one of its executors; here the agent itself when it may, else the first, so that a spec can tell.
local function check_executor(c)
  local only, count = c.chain.executors, 0
  for _, member in ipairs(c.chain.current.members) do
    if not only or only[member.name] then
      count = count + 1
      if serves(member, c.request.model) and (not c.executor or member.name == c.host.name) then
        c.executor = c.host.peers[member.name]
      end
    end
  end
  if count == 0 then return 503, "no executors available for model" end
  if not c.executor then return 404, "model not found" end
end

-- The executor's.

local function check_transfer_signature(c)
  local agent = c.chain.accounts[c.agent]
  local signature = header(c, "x-ta-signature")
  local fault = go.base64_fault(signature)
  local holds = not fault and agent and peri.gonka.check {
    authorization = signature, body = header(c, "x-prompt-hash"), node = c.agent .. c.host.address,
    timestamp = tostring(stamp_of(c)), public_key = agent.public_key, scheme = "raw_body",
  }
  if not holds then
    return 401, "Unable to validate request against TransferSignature:" .. (fault or "invalid signature")
  end
end

local function check_executor_time(c)
  if c.chain:block_time() - stamp_of(c) / 1e9 > window(c.chain.params.timestamp_expiration) then
    return 400, "Request timestamp is too old"
  end
end

local function check_executor_replay(c)
  if not remember(c, "executor") then return 400, "AuthKey has already been used for an executor request" end
end

local function check_seed(c)
  c.seed = header(c, "x-seed"):find "^[+-]?%d+$" and math.tointeger(tonumber((header(c, "x-seed"))))
  if not c.seed then return 400, "Bad Request" end
end

local function canonical(value)
  if json.kind(value) == "array" then
    local parts = {}
    for i, one in ipairs(value) do parts[i] = canonical(one) end
    return "[" .. table.concat(parts, ",") .. "]"
  elseif json.kind(value) == "object" then
    local names, parts = {}, {}
    for name in pairs(value) do names[#names + 1] = name end
    table.sort(names)
    for i, name in ipairs(names) do parts[i] = json.encode(name) .. ":" .. canonical(value[name]) end
    return "{" .. table.concat(parts, ",") .. "}"
  end
  return json.encode(value)
end

--- The hash that agent and executor must agree on: of the body as the executor will have it computed, its members in
-- order. Only simulated agents and executors ever compare it, so numbers stand as this encoder writes them.
---@param body string
---@param seed integer
---@return string hexadecimal
function checks.prompt_hash(body, seed)
  local request = json.decode(body)
  local limit = request.max_completion_tokens or request.max_tokens or 5000
  request.logprobs, request.top_logprobs = true, math.max(5, request.top_logprobs or 0)
  request.max_tokens, request.max_completion_tokens = limit, limit
  request.skip_special_tokens, request.return_token_ids = false, true
  request.seed = request.seed or seed
  if request.stream == true then request.stream_options = { include_usage = true } end
  return peri.hash.sha256_hex(canonical(request))
end

local function check_prompt_hash(c)
  local told = header(c, "x-prompt-hash")
  if told == "" then return 400, "Prompt hash is missing" end
  if told ~= checks.prompt_hash(c.body, c.seed) then return 400, "Prompt hash mismatch" end
end

local function check_machine(c)
  local executor = c.executor or c.host
  local machine = executor.machine or {}
  local computes_proofs = c.chain:is_generating() and not c.chain.preserves(executor.is_preserved, c.request.model)
  if machine.count == 0 or computes_proofs then return 503, "no inference nodes available" end
  if not machine.status then return end
  local said = json.encode { object = "error", message = machine.message or "simulated failure",
    type = machine.status == 400 and "BadRequestError" or "InternalServerError", code = machine.status }
  return MACHINE_STATUS_KEPT[machine.status] and machine.status or 500,
    ("Inference node response with an error. code = %d. error = %s."):format(machine.status, said)
end

local BOTH = {
  check_size, check_completion, check_json, check_messages, check_agent, check_authorization, check_model,
  check_developer, check_shape, check_account,
}
local TRANSFER = {
  check_signature, check_served, check_balance, check_time, check_replay, check_capacity, check_executor, check_machine,
}
local EXECUTOR = {
  check_signature, check_transfer_signature, check_executor_time, check_executor_replay, check_seed, check_prompt_hash,
  check_machine,
}

local function first_refusal(c, list)
  for _, check in ipairs(list) do
    local status, text = check(c)
    if status then return status, text end
  end
end

--- The first check that refuses a request.
---@param c table
---@return integer? status nil when none does
---@return string? text
function checks.refuse(c)
  local status, text = first_refusal(c, BOTH)
  if status then return status, text end
  local is_executor = header(c, "x-inference-id") ~= "" and header(c, "x-seed") ~= ""
  return first_refusal(c, is_executor and EXECUTOR or TRANSFER)
end

return checks
