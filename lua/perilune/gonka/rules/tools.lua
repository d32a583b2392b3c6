--- tools: the declarations of tools, and the choice among them.
local json = require("perilune").json
local schema = require "perilune.gonka.rules.schema"
local words = require "perilune.gonka.rules.words"

local tools = {}

local function is_named(value)
  return type(value) == "string" and not words.is_blank(value)
end

--- What is wrong with one declaration. `i` counts from 0; a repair may have checked its schema already.
local function declaration_fault(c, tool, i)
  if json.kind(tool) ~= "object" then
    return ("tools[i]: invalid tool shape: tools[%d] must be an object"):format(i), "tools[i]"
  end
  if tool.type ~= "function" then
    return ('tools[i].type: must be "function" (tools[%d])'):format(i), "tools[i].type"
  end
  local func = tool["function"]
  if func == nil or json.kind(func) ~= "object" then
    return ("tools[i].function: invalid wrapper shape: tools[%d].function must be an object"):format(i),
      "tools[i].function"
  end
  if not is_named(func.name) then
    return ("tools[i].function.name: must be a non-empty string (tools[%d])"):format(i), "tools[i].function.name"
  end
  if func.strict ~= nil then
    func.strict = nil
    c:note "dropped strict of a tool"
  end
  local parameters = func.parameters
  local is_checked = c.checked_tools and c.checked_tools[i + 1]
  if is_checked or type(parameters) ~= "userdata" or json.kind(parameters) ~= "object" then return end
  local fault = schema.fault(json.table(parameters), function() return json.text(parameters) end, schema.limits.tools)
  if fault then
    local field = ("tools[%d].function.parameters"):format(i)
    return field .. ": " .. fault, field
  end
end

--- Declarations. An empty list goes, together with whatever choice was made; a list without a choice gets "auto".
function tools.check(c)
  local list = c.top.tools
  if list == nil then return end
  if json.kind(list) ~= "array" then return "tools: invalid array shape: must be an array", "tools" end
  if #list == 0 then
    c:change("tools", nil)
    if c.top.tool_choice ~= nil then c:change("tool_choice", nil) end
    return
  end
  for i = 1, #list do
    local message, field = declaration_fault(c, list[i], i - 1)
    if message then return message, field end
  end
  if c.top.tool_choice == nil and c:has "default_choice" then c:change("tool_choice", "auto") end
end

function tools.choice(c)
  local choice = c.top.tool_choice
  if choice == nil or choice == "auto" or choice == "none" then return end
  if choice == "required" then return c:change("tool_choice", "auto") end
  if json.kind(choice) ~= "object" then
    return 'tool_choice: invalid value: must be "auto", "none", or a function object', "tool_choice"
  end
  local invalid, field = "tool_choice.function: invalid shape: ", "tool_choice.function"
  if choice.type ~= "function" then return invalid .. 'type must be "function"', field end
  local func = choice["function"]
  if func == nil or json.kind(func) ~= "object" then return invalid .. "function must be an object", field end
  if not is_named(func.name) then return invalid .. "function.name must be a non-empty string", field end
  if #func.name > 64 then return ("%sfunction.name length %d exceeds limit 64"):format(invalid, #func.name), field end
end

return tools
