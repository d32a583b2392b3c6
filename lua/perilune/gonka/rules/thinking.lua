--- thinking: the switches for reasoning, which every model spells differently, and Kimi's budget for it.
local json = require("perilune").json
local schema = require "perilune.gonka.rules.schema"
local words = require "perilune.gonka.rules.words"

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

--- Put a value into chat_template_kwargs. What the caller has set there himself stays, unless `wins`.
local function put_kwarg(c, name, value, wins)
  local kwargs = c.top.chat_template_kwargs
  if kwargs == nil then
    c:set("chat_template_kwargs", { [name] = value })
    return c:note(("set chat_template_kwargs.%s to %s"):format(name, value))
  end
  if json.kind(kwargs) ~= "object" then return wrong_kwargs, "chat_template_kwargs" end
  if kwargs[name] == nil or (wins and kwargs[name] ~= value) then
    kwargs[name] = value
    c:note(("set chat_template_kwargs.%s to %s"):format(name, value))
  end
end

--- `reasoning`: its effort is lifted; the rest has no meaning here.
function thinking.reasoning(c)
  local reasoning = c.top.reasoning
  local is_off, effort
  if json.kind(reasoning) == "object" then is_off, effort = reasoning.enabled == false, reasoning.effort end
  c:change("reasoning", nil)
  if is_off then
    if c.release.keeps_effort then c:change("reasoning_effort", "none") end
  elseif effort ~= nil and c.top.reasoning_effort == nil then
    c.lifted_effort = effort
  end
end

--- `reasoning_effort`: checked, then taken away; newer gateways send it on.
function thinking.effort(c)
  local effort = c.top.reasoning_effort
  if effort == nil then effort = c.lifted_effort end
  if effort == nil then return end
  if type(effort) ~= "string" then return "reasoning_effort: invalid shape: must be a string", "reasoning_effort" end
  local release = c.release
  if not thinking.efforts[effort] and not (release.keeps_effort and effort == "max") then
    return "reasoning_effort: unsupported value: got " .. words.quote(effort), "reasoning_effort"
  end
  if release.keeps_effort then
    if c.top.reasoning_effort == nil then c:change("reasoning_effort", effort) end
  elseif c.top.reasoning_effort ~= nil then
    c:change("reasoning_effort", nil)
  end
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
  c:change("enable_thinking", nil)
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
  if c.family.thinking == "remove" then return c:change("thinking", nil) end
  if json.kind(value) ~= "object" then return "thinking: invalid wrapper shape: must be an object", "thinking" end
  local wanted = value.type
  local fault = type_fault(wanted)
  if fault then return fault, "thinking.type" end
  if c.family.thinking == "kwargs" then
    local message, field = put_kwarg(c, "thinking", wanted ~= "disabled")
    if message then return message, field end
    c:change("thinking", nil)
  else
    if wanted == "adaptive" or wanted == "auto" then
      value.type = "enabled"
      c:note(("thinking %s became enabled"):format(wanted))
    end
    if value.display ~= nil then
      value.display = nil
      c:note "dropped thinking.display"
    end
  end
end

-- Everything counts as a level here, a number too.
local function kwargs_fault(value, depth, count)
  if depth > 16 then return "nesting depth exceeded: limit 16" end
  if type(value) ~= "table" then return nil end
  if json.kind(value) == "object" then
    count.nodes = count.nodes + 1
    if count.nodes > 128 then return "node count exceeded: limit 128" end
  end
  for _, member in pairs(value) do
    local fault = kwargs_fault(member, depth + 1, count)
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
  if c.top.thinking_token_budget ~= nil and not c.family.thinking_budget then c:change("thinking_token_budget", nil) end
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
  if not c.family.thinking_budget then return end
  local tokens, wanted = c.top.max_tokens, c.top.thinking_token_budget
  if math.type(tokens) ~= "integer" then return end
  if tokens < thinking.no_thinking_below then
    if c.release.says_no_thinking then
      local message, field = put_kwarg(c, "thinking", false, true)
      if message then return message, field end
    end
  elseif wanted ~= nil and not words.is_uint(wanted) then
    return
  end
  local budget = thinking.budget_for(tokens, words.is_uint(wanted) and wanted or nil)
  if budget ~= wanted or math.type(wanted) ~= "integer" then c:change("thinking_token_budget", budget) end
end

--- Models that always think are told so by newer gateways, whatever the caller says.
function thinking.always(c)
  if not (c.release.says_always_thinks and c.family.told_to_think) then return end
  local message, field = put_kwarg(c, "enable_thinking", true, true)
  if message then return message, field end
  local kwargs = c.top.chat_template_kwargs
  if kwargs.thinking ~= nil then
    kwargs.thinking = nil
    c:note "dropped chat_template_kwargs.thinking"
  end
end

return thinking
