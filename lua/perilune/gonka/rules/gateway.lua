--- gateway: the network's gateway, check by check, in its order.
-- A request either passes, possibly changed in place, or is refused with the gateway's own sentence. Facts are those of
-- release v0.2.14, what newer ones do otherwise stands in releases.lua; `rules` is the list to read, and each rule can
-- be switched off by its name.
local body = require "perilune.gonka.rules.body"
local context = require "perilune.gonka.rules.context"
local formats = require "perilune.gonka.rules.formats"
local limits = require "perilune.gonka.rules.limits"
local messages = require "perilune.gonka.rules.messages"
local params = require "perilune.gonka.rules.params"
local thinking = require "perilune.gonka.rules.thinking"
local tools = require "perilune.gonka.rules.tools"

local gateway = {}

local checks, clamps = params.checks, params.clamps

--- Found by a repair: how deep a body nests is counted on its text, before it is read.
local function nesting(c)
  if c.is_too_deep then return body.too_deep, "$body" end
end

--- The rules, as context.run takes them.
gateway.rules = {
  { "nesting", false, nesting, "format" },
  { "extra_body", "extra_body", checks.extra_body },
  { "unknown", false, checks.unknown, "unknown" },
  { "message_count", "messages", messages.count },
  { "seed", "seed", checks.seed },
  { "stop", "stop", checks.stop },
  { "stop_token_ids", "stop_token_ids", checks.stop_token_ids },
  { "reasoning", "reasoning", thinking.reasoning },
  { "reasoning_effort", false, thinking.effort, "effort" },
  { "enable_thinking", "enable_thinking", thinking.enable },
  { "thinking", "thinking", thinking.switch },
  { "chat_template_kwargs", "chat_template_kwargs", thinking.kwargs },
  { "thinking_token_budget", "thinking_token_budget", thinking.budget_check },
  { "tools", "tools", tools.check },
  { "tool_choice", "tool_choice", tools.choice },
  { "min_tokens", "min_tokens", checks.min_tokens },
  { "bad_words", "bad_words", checks.bad_words },
  { "user", "user", checks.user },
  { "metadata", "metadata", checks.metadata },
  { "stream_options", "stream_options", checks.stream_options },
  { "response_format", "response_format", formats.response_format },
  { "structured_outputs", "structured_outputs", formats.structured_outputs },
  { "safety_identifier", "safety_identifier", checks.safety_identifier },
  { "reasoning_split", "reasoning_split", checks.reasoning_split },
  { "max_tokens", false, limits.check, "limit" },
  { "skip_special_tokens", "skip_special_tokens", checks.skip_special_tokens },
  { "detokenize", "detokenize", checks.detokenize },
  { "parallel_tool_calls", "parallel_tool_calls", checks.parallel_tool_calls },
  { "ignored", false, checks.ignored, "ignored" },
  { "tidy_messages", false, messages.tidy },
  { "messages", false, messages.check },
  { "decode", false, params.decode },
  { "output_limit", false, limits.apply },
  { "n", "n", clamps.n },
  { "temperature", "temperature", clamps.temperature },
  { "repetition_penalty", "repetition_penalty", clamps.repetition_penalty },
  { "logit_bias", "logit_bias", clamps.logit_bias },
  { "thinking_budget", false, thinking.budget, "-budget" },
  { "always_thinks", false, thinking.always, "-thinks" },
  { "min_tokens_limit", "min_tokens", clamps.min_tokens },
  { "least_tokens", false, clamps.least_tokens, "-floor" },
  { "forced", false, clamps.forced },
  { "min_p", "min_p", clamps.min_p },
  { "top_p", "top_p", clamps.top_p },
  { "top_k", "top_k", clamps.top_k },
  { "frequency_penalty", "frequency_penalty", clamps.frequency_penalty },
  { "presence_penalty", "presence_penalty", clamps.presence_penalty },
}

--- Parts of rules that can be switched off by names of their own: the limit that is set where the client names none,
--- "auto" where it makes no choice among its tools, and numbers in the gateway's notation.
gateway.parts = { default_tokens = true, default_choice = true, number_text = true }

--- Send a request through the rules; it is changed as the gateway would.
---@param c table a context
---@return string? message nil: accepted
---@return string? field
---@return integer? status
function gateway.run(c)
  return c:run(gateway.rules)
end

--- The same for a text, from its first byte on.
---@param text string
---@param options? table of context.new
---@return perilune.json.node? doc as it would go on; nil: refused
---@return string? message
---@return string? field
---@return integer? status
function gateway.text(text, options)
  local doc, message, field, status = body.read(text)
  if doc then
    message, field, status = gateway.run(context.new(doc, options))
    if not message then return doc end
  end
  return nil, message, field, status
end

return gateway
