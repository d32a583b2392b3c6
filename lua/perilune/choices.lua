--- choices: the choices of an answer, or of one event of it.
-- Providers write null where they have nothing to say; policies walk choices with these functions, so that a null
-- raises no error.
local kinds = require "perilune.kinds"

local is_object = kinds.is_object

local choices = {}

--- Each choice that is an object, and its index: its place where it names none.
---
---     for choice, index in choices.of(event.json) do … end
---@param body any an answer or a chunk
---@return fun(): perilune.json.node?, integer?
function choices.of(body)
  local list = is_object(body) and body.choices
  local count = kinds.is_array(list) and #list or 0
  local i = 0
  return function()
    while i < count do
      i = i + 1
      local choice = list[i]
      if is_object(choice) then
        local index = choice.index
        return choice, math.type(index) == "integer" and index or i - 1
      end
    end
  end
end

return choices
