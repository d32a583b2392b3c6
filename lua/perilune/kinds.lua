--- kinds: what a part of a JSON document is.
-- Values that are no part of one (text, numbers, nil, plain tables) are of no kind, so anything that a client or a
-- provider wrote can be asked about.
local json = require("perilune").json

local kinds = {}

---@param value any
---@param kind "object"|"array"
---@return boolean
function kinds.is(value, kind)
  return type(value) == "userdata" and json.kind(value) == kind
end

---@param value any
---@return boolean
function kinds.is_object(value)
  return type(value) == "userdata" and json.kind(value) == "object"
end

---@param value any
---@return boolean
function kinds.is_array(value)
  return type(value) == "userdata" and json.kind(value) == "array"
end

return kinds
