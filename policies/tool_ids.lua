--- tool_ids: the names of tool calls, as each model wants them and as every client can use them.
-- Kimi's template counts calls, functions.<name>:<index>; others take any id that stands only once. Towards the client
-- every call of a conversation has an id of its own. Nothing is de-duplicated: two calls stay two calls.
local json = require("perilune").json
local models = require "perilune.gonka.rules.models"
local tool_ids = require "perilune.gonka.tool_ids"

local policy = {
  name = "tool_ids",
  options = {
    networks = { default = { "gonka" }, doc = "networks whose providers are meant; empty: all providers" },
  },
}

-- By request, while it is under way.
local memories = {}

function policy.check(config)
  policy.networks = config.options.networks
  return true
end

function policy.attempt(req, attempt)
  local body = attempt.body
  local messages = body.messages
  memories[req.id] = nil
  if json.kind(messages) ~= "array" then return end
  local canonical = models.of(attempt.model).tool_ids == "functions"
  tool_ids.serialise_arguments(messages)
  local rename = canonical and tool_ids.to_functions or tool_ids.to_unique
  local _, original = rename(messages)
  if body.tools == nil then return end
  local memory = tool_ids.remember(messages, original)
  memory.canonical = canonical
  memories[req.id] = memory
end

function policy.event(req, event)
  if not event.data:find('"tool_calls"', 1, true) then return end
  local memory = memories[req.id]
  if memory and event.json then tool_ids.answer(event.json, memory, memory.canonical) end
end

function policy.answer(req, answer)
  local memory = memories[req.id]
  if memory then tool_ids.answer(answer.body, memory, memory.canonical) end
end

function policy.done(req)
  memories[req.id] = nil
end

return policy
