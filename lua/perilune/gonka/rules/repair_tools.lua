--- repair_tools: declarations of tools in the shapes of other interfaces, schemas that do not fit, choices that mean
--- nothing here.
local json = require("perilune").json
local kinds = require "perilune.kinds"
local schema = require "perilune.gonka.rules.schema"
local repair_schema = require "perilune.gonka.rules.repair_schema"
local words = require "perilune.gonka.rules.words"

local is_kind, is_object = kinds.is, kinds.is_object

local tools = {
  --- Levels that a schema of a tool may nest: 32 for the body, less the four above it.
  levels = 28,
}

local function copy_function(tool)
  local func = json.object { name = tool.name }
  if tool.description ~= nil and tool.description ~= json.null then func.description = tool.description end
  local parameters = tool.parameters or tool.input_schema
  if parameters ~= nil and parameters ~= json.null then func.parameters = parameters end
  return func
end

--- `functions` and `function_call`, the names before there were tools.
function tools.functions(c)
  local list, choice = c.top.functions, c.top.function_call
  if not is_kind(list, "array") then return end
  if c.top.tools == nil then
    local declared = json.array {}
    for i = 1, #list do declared[i] = { type = "function", ["function"] = list[i] } end
    c:set("tools", declared)
  end
  if c.top.tool_choice == nil and choice ~= nil then
    c:set("tool_choice", is_object(choice) and { type = "function", ["function"] = { name = choice.name } } or choice)
  end
  c:set("functions", nil)
  c:note "functions became tools"
  if choice == nil then return end
  c:set("function_call", nil)
  c:note "function_call became tool_choice"
end

--- Is there nothing that could be called? A name that is missing or blank, and nothing beside it.
local function declares_nothing(func)
  local name = func.name
  local is_nameless = name == nil or name == json.null or type(name) == "string" and words.is_blank(name)
  return is_nameless and json.len(func) == (name ~= nil and 1 or 0)
end

--- One declaration in the shape that is wanted; false when there is no tool in it, or one that the network has not.
local function reshape(c, tool)
  if tool == json.null then return false end
  if not is_object(tool) then return nil end
  local func = tool["function"]
  if (func == nil or func == json.null) and tool.type == "function" and json.len(tool) == (func ~= nil and 2 or 1) then
    return false
  end
  if is_object(func) then
    if declares_nothing(func) then return false end
    if tool.type ~= "function" then
      tool.type = "function"
      c:note "corrected the type of a tool"
    end
    return nil
  end
  if json.len(tool) == 0 then return false end
  local kind = tool.type
  if type(tool.name) == "string" and (kind == nil or kind == "function" or kind == "custom") then
    if kind == "custom" and not is_object(tool.input_schema) then return false end
    return json.object { type = "function", ["function"] = copy_function(tool) }
  end
  if type(kind) == "string" and kind ~= "function" then return false end
end

local function repair_parameters(c, func, name)
  local parameters = func.parameters
  if type(parameters) == "string" then
    local parsed = json.document(parameters)
    if is_object(parsed) then
      func.parameters = parsed
      parameters = func.parameters
      c:note("read the parameters of " .. name .. " from text")
    end
  end
  if not is_object(parameters) then return end
  local done, _, is_good = repair_schema.run(parameters, schema.limits.tools, tools.levels, true)
  if done then c:note(done .. " the schema of tool " .. name) end
  if c.family.nullable_types == false and repair_schema.is_nullable(json.table(parameters)) then
    repair_schema.collapse_nullable(parameters)
    c:note("made single types in the schema of tool " .. name)
  end
  return is_good
end

function tools.declarations(c)
  local list = c.top.tools
  if is_object(list) then
    c:set("tools", json.array { list })
    list = c.top.tools
    c:note "made tools a list"
  end
  if not is_kind(list, "array") then return end
  for i = #list, 1, -1 do
    local shaped = reshape(c, list[i])
    if shaped == false then
      local kind = is_object(list[i]) and list[i].type
      c:note("dropped a tool of type " .. (type(kind) == "string" and kind or "null"))
      json.remove(list, i)
    elseif shaped then
      list[i] = shaped
      c:note "rewrote a tool as a function"
    end
  end
  c.checked_tools = {}
  for i = 1, #list do
    local tool = list[i]
    local func = is_object(tool) and tool["function"]
    if is_object(func) and type(func.name) == "string" then
      c.checked_tools[i] = repair_parameters(c, func, func.name)
    end
  end
end

local function is_declared(c, name)
  local list = c.top.tools
  for i = 1, is_kind(list, "array") and #list or 0 do
    local func = is_object(list[i]) and list[i]["function"]
    if is_object(func) and func.name == name then return true end
  end
  return false
end

--- The choice that is meant: a word, a name in `named`, or nil for what means nothing.
local function meaning(choice)
  if type(choice) == "string" then
    local word = choice:lower()
    if word == "auto" or word == "none" then return word end
    if word == "required" or word == "any" then return "auto" end
    return nil, choice
  end
  if choice == true then return "auto" end
  if choice == false then return "none" end
  if not is_object(choice) then return nil end
  local func = choice["function"]
  local name = is_object(func) and func.name or choice.name
  if type(name) == "string" and not words.is_blank(name) then return nil, name end
  if choice.type == "auto" or choice.type == "none" then return choice.type end
  return "auto"
end

local function has_tools(c)
  local list = c.top.tools
  return is_kind(list, "array") and #list > 0
end

function tools.choice(c)
  local choice = c.top.tool_choice
  if not has_tools(c) then
    c:set("tool_choice", nil)
    return c:note "dropped tool_choice: there are no tools"
  end
  if choice == "auto" or choice == "none" then return end
  local word, name = meaning(choice)
  if name and not is_declared(c, name) then word, name = "auto", nil end
  if name then
    local func = is_object(choice) and choice["function"]
    if is_object(choice) and choice.type == "function" and is_object(func) then return end
    c:set("tool_choice", { type = "function", ["function"] = { name = name } })
  else
    c:set("tool_choice", word)
  end
  c:note(name and "rewrote tool_choice" or "tool_choice became " .. (word or "nothing"))
end

function tools.parallel(c)
  if not has_tools(c) then
    c:set("parallel_tool_calls", nil)
    c:note "dropped parallel_tool_calls: there are no tools"
  end
end

return tools
