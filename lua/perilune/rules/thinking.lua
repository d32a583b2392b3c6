--- thinking: the switches for reasoning, which every model spells differently, and Kimi's budget for it.
local json = require("perilune").json
local schema = require "perilune.rules.schema"
local words = require "perilune.rules.words"

local thinking = {
  efforts = { none = true, minimal = true, low = true, medium = true, high = true, xhigh = true },
  --- Below this many output tokens Kimi gets no budget at all: it would think and say nothing.
  no_thinking_below = 256,
  --- Tokens left for the answer when a client asks for a large budget.
  headroom = 64,
  most = 96000,
}

--- Members of chat_template_kwargs that would override arguments of the server's own call.
thinking.forbidden = {}
for name in ([[chat_template tokenize tools documents conversation continue_final_message padding truncation
  max_length return_tensors return_dict]]):gmatch "[%w_]+" do
  thinking.forbidden[name] = true
end

local wrong_kwargs = "chat_template_kwargs: invalid wrapper shape: must be an object"

--- Put a value into chat_template_kwargs, unless the caller has set it there himself.
local function put_kwarg(c, name, value)
  local kwargs = c.top.chat_template_kwargs
  if kwargs == nil then return c:set("chat_template_kwargs", { [name] = value }) end
  if json.kind(kwargs) ~= "object" then return wrong_kwargs, "chat_template_kwargs" end
  if kwargs[name] == nil then kwargs[name] = value end
end

--- `reasoning`: its effort is lifted; the rest has no meaning here.
function thinking.reasoning(c)
  local reasoning = c.top.reasoning
  if reasoning == nil then return end
  if json.kind(reasoning) == "object" and reasoning.enabled ~= false and reasoning.effort ~= nil
    and c.top.reasoning_effort == nil then
    c.lifted_effort = reasoning.effort
  end
  c:set("reasoning", nil)
end

--- `reasoning_effort`: checked, then taken away.
function thinking.effort(c)
  local effort = c.top.reasoning_effort
  if effort == nil then effort = c.lifted_effort end
  if effort == nil then return end
  if type(effort) ~= "string" then return "reasoning_effort: invalid shape: must be a string", "reasoning_effort" end
  if not thinking.efforts[effort] then
    return "reasoning_effort: unsupported value: got " .. words.quote(effort), "reasoning_effort"
  end
  if c.top.reasoning_effort ~= nil then c:set("reasoning_effort", nil) end
end

function thinking.enable(c)
  local value = c.top.enable_thinking
  if value == nil then return end
  if c.family.enable_thinking == "kwargs" then
    if type(value) ~= "boolean" then
      return "enable_thinking: must be a boolean: got " .. words.go_type(value), "enable_thinking"
    end
    local message, field = put_kwarg(c, "enable_thinking", value)
    if message then return message, field end
  end
  c:set("enable_thinking", nil)
end

local function type_fault(value)
  local must = 'thinking.type: must be "enabled", "disabled", "adaptive", or "auto": '
  if value == nil then return must .. "type is required" end
  if type(value) ~= "string" then return must .. "type must be a string" end
  if value ~= "enabled" and value ~= "disabled" and value ~= "adaptive" and value ~= "auto" then
    return must .. "got " .. words.quote(value)
  end
end

function thinking.switch(c)
  local value = c.top.thinking
  if value == nil then return end
  if c.family.thinking == "remove" then return c:set("thinking", nil) end
  if json.kind(value) ~= "object" then return "thinking: invalid wrapper shape: must be an object", "thinking" end
  local wanted = value.type
  local fault = type_fault(wanted)
  if fault then return fault, "thinking.type" end
  if c.family.thinking == "kwargs" then
    local message, field = put_kwarg(c, "thinking", wanted ~= "disabled")
    if message then return message, field end
    c:set("thinking", nil)
  elseif wanted == "adaptive" or wanted == "auto" then
    value.type, value.display = "enabled", nil
  end
end

local function kwargs_fault(node, depth, count)
  if depth > 16 then return "nesting depth exceeded: limit 16" end
  if json.kind(node) == "object" then
    count.nodes = count.nodes + 1
    if count.nodes > 128 then return "node count exceeded: limit 128" end
  end
  for _, value in pairs(node) do
    local fault = type(value) == "table" and kwargs_fault(value, depth + 1, count)
    if fault then return fault end
  end
end

function thinking.kwargs(c)
  local value, name = c.top.chat_template_kwargs, "chat_template_kwargs"
  if value == nil then return end
  if json.kind(value) ~= "object" then return wrong_kwargs, name end
  for key in pairs(value) do
    if thinking.forbidden[key] then
      return ("%s: forbidden key (overrides apply_hf_chat_template positional argument): %s"):format(name,
        words.quote(key)), name
    end
  end
  local fault = kwargs_fault(json.table(value), 1, { nodes = 0 }) or schema.size_fault(json.text(value), 16384)
  if fault then return name .. ": " .. fault, name end
end

--- A budget that the model does not know is taken away.
function thinking.budget_check(c)
  if c.top.thinking_token_budget ~= nil and not c.family.thinking_budget then c:set("thinking_token_budget", nil) end
end

--- The budget for an answer of at most `tokens`.
---@param tokens integer
---@param wanted? integer
---@return integer
function thinking.budget_for(tokens, wanted)
  if tokens < thinking.no_thinking_below then return 0 end
  local most = math.min(thinking.most, tokens - thinking.headroom)
  return math.min(wanted or tokens // 2, most)
end

--- Kimi's budget. A value of a wrong type passes when there is room to think at all: the gateway does not look.
function thinking.budget(c)
  local tokens, wanted = c.top.max_tokens, c.top.thinking_token_budget
  if not c.family.thinking_budget or math.type(tokens) ~= "integer" then return end
  if tokens >= thinking.no_thinking_below and wanted ~= nil and not words.is_uint(wanted) then return end
  local budget = thinking.budget_for(tokens, words.is_uint(wanted) and wanted or nil)
  if budget ~= wanted or math.type(wanted) ~= "integer" then c:set("thinking_token_budget", budget) end
end

return thinking
