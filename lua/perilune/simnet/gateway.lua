--- A simulated gateway in front of a Gonka network (devshardctl), or a broker that is a thin layer over one: an
-- OpenAI-compatible provider with a key, which has the network's reasons to refuse and the network's words for them.
--
--     POST /sim/gateway { refuse = "closed" }               every chat is refused so; "nothing" ends it
--     POST /sim/gateway { access = { m = "admin_only" } }   open, api_key or admin_only, by model
--
-- How its streams look is ordered as of any provider: devshard, restart_after and so on (behaviour.lua).
--
-- Source: gonka-ai/gonka devshard/cmd/devshardctl; decentralized-api/internal/server/public (410, 403).
local peri = require "perilune"
local provider = require "perilune.simnet.provider"

local json = peri.json
local gateway = {}

-- Go's http.Error: JSON under a type that denies it.
local PLAIN = { ["content-type"] = "text/plain; charset=utf-8", ["x-content-type-options"] = "nosniff" }
local JSON = { ["content-type"] = "application/json" }

local function said(message) return json.encode { error = { message = message } } end

--- Reasons to refuse a chat: status, head, body.
gateway.refusals = {
  closed = { 410, {
    ["content-type"] = "application/json", deprecation = "true",
    link = '</devshard/{version}>; rel="successor-version"',
  }, json.encode { error = "deprecated", message = "classic inference is deprecated; use devshard" } },
  retired = { 410, { ["content-type"] = "application/json", ["x-devshard-error"] = "http_session_retired" },
    json.encode { error = "http_session_retired" } },
  moved = { 308, JSON,
    json.encode { status = "disabled", message = "gateway is disabled", new_url = "https://gateway.example/v1" } },
  agent = { 403, JSON, json.encode { error = "Transfer Agent not allowed" } },
  restricted = { 403, JSON, json.encode { error = "inference requests are restricted until block height 2459375" } },
  signature = { 401, JSON,
    json.encode { error = "Unable to validate request against PubKey:invalid signature" } },
  proofs = { 503, PLAIN, said "devshard temporarily unavailable during PoCGenerate" },
  unavailable = { 409, PLAIN, said "devshard 42 is not available" },
  busy = { 429, PLAIN, said "rate limit exceeded: too many concurrent requests" },
  budget = { 429, PLAIN, said "no available escrows: participant request budget exhausted" },
  parameter = { 400, PLAIN,
    said 'Chat completions parameter "guided_json" is currently rejected by the Gonka network. Remove it.' },
}

local ACCESS = {
  open = false, api_key = 'model "%s" requires an API key', admin_only = 'model "%s" requires an admin API key',
}

local function answer(call, status, head, body)
  call.entry.status = status
  call.x:reply(status, head, body)
  call.ledger:finish(call.entry, "error")
end

local function names(self)
  local list = {}
  for id in pairs(self.models) do list[#list + 1] = id end
  table.sort(list)
  return table.concat(list, ", ")
end

local function admit(self, call, body)
  local x = call.x
  if x.path ~= "/v1/chat/completions" or x.method ~= "POST" then return self end
  local refusal = gateway.refusals[self.refuse]
  if refusal then return answer(call, table.unpack(refusal)) end
  local model = body and body.model
  if type(model) ~= "string" or not self.models[model] then
    return answer(call, 400, PLAIN,
      said(('unsupported model "%s"; supported models: %s'):format(tostring(model or ""), names(self))))
  end
  local access = ACCESS[self.access[model] or "open"]
  if access then return answer(call, 401, PLAIN, said(access:format(model))) end
  return self
end

local function list_of(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

local function order(self, wanted)
  for name in pairs(wanted) do
    if name ~= "refuse" and name ~= "access" then
      return nil, ("/sim/gateway: no member '%s'"):format(tostring(name))
    end
  end
  local refuse = wanted.refuse
  if refuse ~= nil and refuse ~= "nothing" and not gateway.refusals[refuse] then
    return nil, ("/sim/gateway: 'refuse': expected nothing or one of %s, got '%s'"):format(list_of(gateway.refusals),
      tostring(refuse))
  end
  for model, access in pairs(type(wanted.access) == "table" and wanted.access or {}) do
    if not self.models[model] or ACCESS[access] == nil then
      return nil, ("/sim/gateway: 'access': expected one of %s for a model it has, got '%s' for '%s'"):format(
        list_of(ACCESS), tostring(access), tostring(model))
    end
  end
  self.refuse = refuse or self.refuse
  for model, access in pairs(wanted.access or {}) do self.access[model] = access end
  return true
end

local function steer(self, x)
  if x.method .. " " .. x.path ~= "POST /sim/gateway" then return true end
  local wanted = json.decode(x.body, { nulls = false })
  local ok, why
  if type(wanted) == "table" then ok, why = order(self, wanted) else why = "/sim/gateway: expected a JSON object" end
  x:reply(ok and 204 or 400, JSON, not ok and json.encode { error = why } or nil)
end

--- Start one. It is a provider, see provider.start.
---@param options table|nil listen, name, models, key, script
---@return table? gateway
---@return string? why
---@return string? code
function gateway.start(options)
  options = options or {}
  local self, why, code = provider.start {
    listen = options.listen, name = options.name or "gateway", models = options.models, key = options.key,
    script = options.script, speaker = { admit = admit, steer = steer, error = said },
  }
  if not self then return nil, why, code end
  self.refuse, self.access = "nothing", {}
  return self
end

return gateway
