--- models: what the network's models differ in. The tables are meant to be read and changed.
--
--   output_floor        the least max_tokens that is sent on
--   thinking            the field `thinking`: "keep", "kwargs" (moved to chat_template_kwargs), "remove"
--   enable_thinking     the same for `enable_thinking`
--   thinking_budget     thinking_token_budget is kept, and set when absent
--   always_thinks       nothing switches thinking off
--   told_to_think       newer gateways say so to its template
--   zero_penalties      frequency_penalty and presence_penalty are always 0
--   structured_outputs  false: refused, response_format serves
--   nullable_types      false: its tool parser fails on ["string","null"]
--   developer_role      false: its template ignores role developer
--   inline_think        reasoning stands in the content as <think>…</think>
--   tool_ids            "functions": ids of the form functions.<name>:<index>
--   keeps               fields that are removed for every other model
--   traits              which of the rules that few models need it wakes
local models = {}

models.families = {
  qwen = { name = "qwen", output_floor = 1, thinking = "keep", enable_thinking = "kwargs", keeps = {},
    traits = {} },
  kimi = {
    name = "kimi", output_floor = 16, thinking = "kwargs", enable_thinking = "kwargs", thinking_budget = true,
    zero_penalties = true, structured_outputs = false, tool_ids = "functions",
    keeps = { safety_identifier = true }, traits = { "-budget" },
  },
  minimax = {
    name = "minimax", output_floor = 1, thinking = "remove", enable_thinking = "remove", always_thinks = true,
    nullable_types = false, inline_think = true, keeps = { reasoning_split = true },
    traits = {},
  },
  glm = {
    name = "glm", output_floor = 1, thinking = "keep", enable_thinking = "kwargs", always_thinks = true,
    told_to_think = true, developer_role = false, keeps = {}, traits = { "-thinks" },
  },
  other = { name = "other", output_floor = 1, thinking = "keep", enable_thinking = "kwargs", keeps = {}, traits = {} },
}

--- The network's own spelling of each model, and its family.
models.known = {
  ["Qwen/Qwen3-235B-A22B-Instruct-2507-FP8"] = "qwen",
  ["moonshotai/Kimi-K2.6"] = "kimi",
  ["MiniMaxAI/MiniMax-M2.7"] = "minimax",
  ["zai-org/GLM-5.3-Flash"] = "glm",
}

local lower = {}
for id, family in pairs(models.known) do lower[id:lower()] = family end

--- What is true for a model; of an unknown one, what is true for most. Brokers spell ids in their own case, the gateway
--- itself knows no spelling but its own.
---@param id? string
---@param is_exact? boolean only the gateway's spelling
---@return table
function models.of(id, is_exact)
  if id == nil then return models.families.other end
  return models.families[models.known[id] or not is_exact and lower[id:lower()] or "other"]
end

return models
