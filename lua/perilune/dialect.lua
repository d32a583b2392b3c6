--- dialect: how the OpenAI API writes a stream and an error, for the modules that play a provider or read an answer.
local json = require("perilune").json

local dialect = {}

--- The data of the event that ends a stream.
dialect.done = "[DONE]"

--- One event of a stream.
---@param data string
---@return string
function dialect.event(data) return "data: " .. data .. "\n\n" end

--- An error as clients expect it: all four members are there.
---@param message string
---@param kind string
---@param code? string|integer
---@param param? string
---@return { error: table }
function dialect.error(message, kind, code, param)
  return { error = { message = message, type = kind, param = param or json.null, code = code or json.null } }
end

return dialect
