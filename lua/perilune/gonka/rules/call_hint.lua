--- call_hint: a tool choice of "required" where the network only knows "auto": said to the model in words.
local json = require("perilune").json

local call_hint = {
  usual = "Answer by calling one of the tools.",
}

--- Does the client require a call, of whichever tool?
---@param doc perilune.json.node the request as it came
---@return boolean
function call_hint.is_wanted(doc)
  local tools, choice = doc.tools, doc.tool_choice
  if json.kind(tools) ~= "array" or #tools == 0 then return false end
  if json.kind(choice) == "object" then choice = choice.type end
  return choice == "required" or choice == "any"
end

--- Say so to the model: at the end of the first system message, or in one of its own.
---@param messages perilune.json.node edited
---@param text string
function call_hint.add(messages, text)
  local first = #messages > 0 and messages[1]
  local is_system = json.kind(first) == "object" and (first.role == "system" or first.role == "developer")
  if is_system and type(first.content) == "string" then
    first.content = first.content .. "\n\n" .. text
  elseif is_system and json.kind(first.content) == "array" then
    json.insert(first.content, #first.content + 1, { type = "text", text = text })
  else
    json.insert(messages, 1, { role = "system", content = text })
  end
end

return call_hint
