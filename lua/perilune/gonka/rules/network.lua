--- network: what the gateway answers because of its own state and of the race behind it, whatever a request asks for.
-- A state is a table; its names are those of the gateway's settings, and what it does not say is in order:
--
--   path, admin, api_key          where the request goes, and which keys it brings
--   admin_key_configured          false: there are no admin paths
--   disabled                      { enabled, message, new_url }, or true
--   devshards                     how many shards are configured: 2, a pool
--   models                        ids that some shard serves
--   access_mode, access_message   of the model that is asked for; or
--   model_limits                  list of { model_id, access_mode = "open"|"api_key"|"admin_only", access_message }
--   concurrent_requests, max_concurrent_requests, input_tokens_in_flight, max_input_tokens_in_flight
--   runtimes                      shards that take new work; skipped: why the others do not
--   epoch_phase, confirmation_poc, poc_request_mode      "relaxed" lets requests through
--   race                          { failure, bytes_sent, host_error }: how the attempts ended, failure in `failures`
local json = require("perilune").json
local dialect = require "perilune.dialect"
local words = require "perilune.gonka.rules.words"

local network = { chat = "/v1/chat/completions" }

--- Paths that one shard answers for itself.
network.single = { ["/v1/state"] = true, ["/v1/finalize"] = true, ["/v1/debug/state"] = true,
  ["/v1/debug/pending"] = true }

--- How a race ends without an answer.
network.failures = {
  none_finished = { 502, "inference: no non-probe attempt finished" },
  incomplete = { 502, "inference: winner inference incomplete (nonce_finished=false)" },
  failed_after_start = { 502, "inference: winner failed after streaming started (alternate completion ignored)" },
  no_response = { 502, "inference: winner host returned no response" },
  nothing_reduced = { 504, "inference: no non-empty response after retrying with reduced max_tokens" },
}

local phases = { PoCGenerate = "PoC generation", PoCGenerateWindDown = "PoC generation wind down",
  PoCValidate = "PoC validation", PoCValidateWindDown = "PoC validation wind down" }

--- What stands before the request is read: keys for admin paths, a gateway that is switched off, paths of one shard.
---@param state table
---@return integer? status nil: the request is read
---@return string? message
---@return string? field
function network.before(state)
  local path = state.path or network.chat
  if path:find("/admin/", 1, true) then
    if state.admin_key_configured == false then return 404, "", "$path" end
    if not state.admin then return 401, "Invalid admin API key.", "authorization" end
    return nil
  end
  local disabled = state.disabled
  if type(disabled) == "table" and disabled.enabled ~= false then return 308, disabled.message or "", "$path" end
  if disabled == true then return 308, "", "$path" end
  if network.single[path] and (state.devshards or 2) ~= 1 then
    return 400, "use /devshard/{id} prefix for this endpoint when multiple devshards are configured", "$path"
  end
end

local function model_fault(state, model)
  if not state.models then return end
  for _, id in ipairs(state.models) do
    if id == model then return end
  end
  local message = "unsupported model " .. words.quote(model or "")
  if #state.models > 0 then message = message .. "; supported models: " .. table.concat(state.models, ", ") end
  return 400, message, "model"
end

local function access_fault(state, model)
  if state.admin or not (state.model_limits or state.access_mode) then return end
  local limits = state.access_mode and state or { access_mode = "admin_only" }
  for _, entry in ipairs(state.model_limits or {}) do
    if entry.model_id == model then limits = entry end
  end
  local mode = limits.access_mode
  if mode == "open" or mode == nil or (mode == "api_key" and state.api_key) then return end
  local usual = mode == "api_key" and "model %s requires an API key" or "model %s requires an admin API key"
  return 401, limits.access_message or usual:format(words.quote(model or "")), "authorization"
end

local function limit_fault(state, body_bytes)
  local requests, tokens = state.max_concurrent_requests, state.max_input_tokens_in_flight
  if requests and (state.concurrent_requests or 0) >= requests then
    return 429, "rate limit exceeded: too many concurrent requests", "$limiter"
  end
  if tokens and (state.input_tokens_in_flight or 0) + (body_bytes + 3) // 4 > tokens then
    return 429, "rate limit exceeded: too many input tokens in flight", "$limiter"
  end
end

local function confirmation(value)
  if value == true then return "confirmation PoC" end
  local phase = tostring(value):lower()
  for _, name in ipairs { "grace period", "generation", "validation" } do
    if phase:find((name:gsub(" .*", ""))) then return "confirmation PoC " .. name end
  end
  return "confirmation PoC"
end

local function phase_fault(state)
  if state.poc_request_mode == "relaxed" then return end
  local during = phases[state.epoch_phase] or state.confirmation_poc and confirmation(state.confirmation_poc)
  if during then return 503, "devshard temporarily unavailable during " .. during, "$phase" end
end

local function event(value) return dialect.event(json.encode(value)) end

--- What a client hears of a race that gave no answer. An error of a host, before any byte of a stream, is an event.
local function race_fault(race, is_stream)
  local field = is_stream and "$stream" or "$race"
  local host = race.host_error
  if host then
    if is_stream then return 200, event { error = host } .. dialect.event(dialect.done), field, true end
    local code = math.tointeger(host.code)
    if not code or code < 400 or code > 599 then
      code = tostring(host.type or ""):lower():find("badrequest", 1, true) and 400 or 502
    end
    return code, host.message, field
  end
  local failure = network.failures[race.failure]
  if not failure then return end
  if is_stream and race.bytes_sent then return 200, event { error = { message = failure[2] } }, field, false end
  return failure[1], failure[2], field
end

--- What stands behind the rules: models, limits, shards, phases of the chain, the race.
---@param state table
---@param request { model?: string, stream?: boolean, bytes: integer }
---@return integer? status nil: an answer comes
---@return string? message for an error that a stream carries, its events
---@return string? field
---@return boolean? is_done a stream: its end event follows
function network.after(state, request)
  local status, message, field = model_fault(state, request.model)
  if not status then status, message, field = access_fault(state, request.model) end
  if not status then status, message, field = limit_fault(state, request.bytes) end
  if status then return status, message, field end
  if state.runtimes == 0 then
    local why = state.skipped and " (skipped: " .. state.skipped .. ")" or ""
    return 502, "no devshard runtimes available for new inferences" .. why, "$runtime"
  end
  status, message, field = phase_fault(state)
  if status then return status, message, field end
  if state.race then return race_fault(state.race, request.stream) end
end

return network
