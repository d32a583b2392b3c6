--- repair: makes a request acceptable without changing what it asks for.
-- Runs before the gateway's own rules; what it leaves wrong they refuse, in the network's words. Every change is noted,
-- so that a client can see why its request is not what it sent.
local formats = require "perilune.gonka.rules.repair_formats"
local messages = require "perilune.gonka.rules.repair_messages"
local params = require "perilune.gonka.rules.repair_params"
local thinking = require "perilune.gonka.rules.repair_thinking"
local tools = require "perilune.gonka.rules.repair_tools"

local context = require "perilune.gonka.rules.context"
local gateway = require "perilune.gonka.rules.gateway"

local repair = {}

--- The repairs, as context.run takes them. In order: later ones rely on earlier ones.
repair.rules = {
  { "repair_extra_body", "extra_body", params.extra_body },
  { "repair_nulls", false, params.nulls, "null" },
  { "repair_aliases", false, params.aliases, "unknown" },
  { "repair_functions", "functions", tools.functions },
  { "repair_guided", false, formats.guided, "unknown" },
  { "repair_unknown", false, params.unknown, "unknown" },
  { "repair_counts", false, params.counts, "count" },
  { "repair_limits", false, params.limits, "limit" },
  { "repair_knobs", false, params.knobs, "knob" },
  { "repair_booleans", false, params.booleans, "boolean" },
  { "repair_stop", "stop", params.stop },
  { "repair_stop_token_ids", "stop_token_ids", params.stop_token_ids },
  { "repair_bad_words", "bad_words", params.bad_words },
  { "repair_logit_bias", "logit_bias", params.logit_bias },
  { "repair_user", "user", params.label "user" },
  { "repair_safety_identifier", "safety_identifier", params.label "safety_identifier" },
  { "repair_metadata", "metadata", params.metadata },
  { "repair_stream_options", "stream_options", params.stream_options },
  { "repair_reasoning", false, thinking.reasoning, "effort" },
  { "repair_think", "think", thinking.think },
  { "repair_thinking", "thinking", thinking.switch },
  { "repair_chat_template_kwargs", "chat_template_kwargs", thinking.kwargs },
  { "repair_thinking_budget", "thinking_token_budget", thinking.budget },
  { "repair_tools", "tools", tools.declarations },
  { "repair_tool_choice", "tool_choice", tools.choice },
  { "repair_parallel_tool_calls", "parallel_tool_calls", tools.parallel },
  { "repair_structured_outputs", "structured_outputs", formats.structured_outputs },
  { "repair_response_format", "response_format", formats.response_format },
  { "repair_messages", "messages", messages.run },
}

--- Rules of the gateway that have no part in a repair: they add what the network adds itself, or take away what newer
--- gateways understand.
repair.leaves = { forced = true, default_choice = true, number_text = true, reasoning = true, reasoning_effort = true }

--- Repair a request in place.
---@param c table a context
function repair.run(c)
  c:run(repair.rules)
end

--- Rules that are off in a repair, by name; `also` adds more.
---@param also? string[]
---@return table
function repair.off(also)
  local off = {}
  for name in pairs(repair.leaves) do off[name] = true end
  for _, name in ipairs(also or {}) do off[name] = true end
  return off
end

--- Repair a document and let the gateway's rules look at it.
---@param doc perilune.json.node edited
---@param options table of context.new; `off` is repair.off()
---@return table c its notes say what was changed
---@return string? message nil: acceptable
---@return string? field
---@return integer? status
function repair.document(doc, options)
  local c = context.new(doc, options)
  repair.run(c)
  return c, gateway.run(c)
end

--- What was changed, for a header: printable ASCII, at most 1024 bytes.
---@param c table
---@return string
function repair.summary(c)
  local text = table.concat(c.notes, "; "):gsub("[^\x20-\x7e]", "?")
  return #text > 1024 and text:sub(1, 1020) .. " ..." or text
end

return repair
