--- repair_thinking: the many ways to ask for reasoning, made those that the gateway takes.
local json = require("perilune").json
local gateway_thinking = require "perilune.gonka.rules.thinking"
local kinds = require "perilune.kinds"
local params = require "perilune.gonka.rules.repair_params"
local schema = require "perilune.gonka.rules.schema"

local is_object = kinds.is_object

local thinking = {
  --- Efforts that older gateways refuse, and what comes nearest.
  nearest = { max = "xhigh", maximum = "xhigh", extreme = "xhigh", off = "none", disabled = "none", min = "minimal" },
}

--- An effort that every gateway takes; nil for what is none.
local function effort_of(value)
  if type(value) ~= "string" then return nil end
  local text = value:lower()
  text = thinking.nearest[text] or text
  return gateway_thinking.efforts[text] and text or nil
end

function thinking.reasoning(c)
  local effort, reasoning = c.top.reasoning_effort, c.top.reasoning
  if effort ~= nil and effort_of(effort) ~= effort then
    c:set("reasoning_effort", effort_of(effort))
    c:note(effort_of(effort) and "changed reasoning_effort" or "dropped reasoning_effort")
  end
  if is_object(reasoning) and reasoning.effort ~= nil and effort_of(reasoning.effort) ~= reasoning.effort then
    reasoning.effort = effort_of(reasoning.effort)
    c:note "changed reasoning.effort"
  end
end

--- `think: false` becomes the model's own switch; `true` is what these models do anyway.
function thinking.think(c)
  local wanted = c.top.think
  if wanted == false and c.top.thinking == nil and c.top.enable_thinking == nil then
    if c.family.thinking == "kwargs" then
      c:set("thinking", { type = "disabled" })
    elseif c.family.enable_thinking == "kwargs" then
      c:set("enable_thinking", false)
    end
  end
  c:set("think", nil)
  c:note "think became the model's switch"
end

local types = { enabled = true, disabled = true, adaptive = true, auto = true }
local truths = { [true] = "enabled", [false] = "disabled" }

local function type_of(value)
  if type(value) == "string" and types[value:lower()] then return value:lower() end
  if type(value) == "userdata" then return nil end
  local truth = params.to_boolean(value)
  return truth ~= nil and truths[truth] or nil
end

function thinking.switch(c)
  local value = c.top.thinking
  if c.family.thinking == "remove" then return end
  if is_object(value) then
    local wanted = type_of(value.type)
    if wanted == value.type and wanted then return end
    if not wanted and value.type == nil then
      if value.budget_tokens ~= nil or value.enabled == true then wanted = "enabled" end
      if value.enabled == false then wanted = "disabled" end
    end
    if wanted then value.type = wanted else c:set("thinking", nil) end
  else
    local wanted = type_of(value)
    c:set("thinking", wanted and { type = wanted } or nil)
  end
  c:note(c.top.thinking ~= nil and "rewrote thinking" or "dropped thinking")
end

function thinking.kwargs(c)
  local value = c.top.chat_template_kwargs
  if not is_object(value) then
    c:set("chat_template_kwargs", nil)
    return c:note "dropped chat_template_kwargs"
  end
  local forbidden = {}
  for name in pairs(value) do
    if gateway_thinking.forbidden[name] then forbidden[#forbidden + 1] = name end
  end
  for _, name in ipairs(forbidden) do
    value[name] = nil
    c:note("dropped chat_template_kwargs." .. name)
  end
  if #forbidden > 0 and json.len(value) == 0 then c:set("chat_template_kwargs", nil) end
  if #forbidden == 0 and schema.size_fault(json.text(value), 16384) then
    c:note "chat_template_kwargs is too large"
  end
end

--- The gateway lets wrong budgets pass, and the engine fails on them.
function thinking.budget(c)
  local value = c.top.thinking_token_budget
  if not c.family.thinking_budget or (math.type(value) == "integer" and value >= 0) then return end
  local number = params.to_integer(value)
  if number and number < 0 then number = nil end
  c:set("thinking_token_budget", number)
  c:note(number and "wrote thinking_token_budget as an integer" or "dropped thinking_token_budget")
end

return thinking
