--- What a Gonka node since v0.2.12 finds wrong with a chat's messages, in its words.
--
-- Source: gonka-ai/gonka decentralized-api/completionapi/request_validation.go.
local peri = require "perilune"

local json = peri.json
local messages = {}

local function is_blank(text) return not text:find "%S" end

local kind_of = json.kind

-- Each gives nil when it is content, else the end of a sentence.

local function text_fault(value)
  if value == nil or value == json.null then return "is required" end
  if type(value) ~= "string" then return "must be a string" end
  if is_blank(value) then return "must not be empty" end
end

local function optional_text_fault(value)
  if value ~= nil and value ~= json.null and type(value) ~= "string" then return "must be a string" end
end

local function part_fault(part)
  if kind_of(part) ~= "object" then return " must be an object" end
  local fault = text_fault(part.type)
  if fault then return ".type: " .. fault end
  if part.type ~= "text" then return '.type must be "text"' end
  fault = text_fault(part.text)
  if fault then return ".text: " .. fault end
end

local function content_fault(content)
  local kind = kind_of(content)
  if kind == "string" then return is_blank(content) and "must not be empty" or nil end
  if kind ~= "array" then return "must be a string or an array of text parts" end
  if #content == 0 then return "must not be empty" end
  for i, part in ipairs(content) do
    local fault = part_fault(part)
    if fault then return ("[%d]%s"):format(i - 1, fault) end
  end
end

local function required_content_fault(message)
  local content = message.content
  if content == nil or content == json.null then return "is required" end
  return content_fault(content)
end

local function function_fault(f)
  if f == nil or f == json.null then return " is required" end
  if kind_of(f) ~= "object" then return " must be an object" end
  local fault = text_fault(f.name)
  if fault then return ".name: " .. fault end
  fault = optional_text_fault(f.arguments)
  if fault then return ".arguments: " .. fault end
end

local function call_fault(call, seen)
  if kind_of(call) ~= "object" then return " must be an object" end
  local fault = text_fault(call.id)
  if fault then return ".id: " .. fault end
  if seen[call.id] then return ".id is duplicated" end
  seen[call.id] = true
  fault = text_fault(call.type)
  if fault then return ".type: " .. fault end
  if call.type ~= "function" then return '.type must be "function"' end
  fault = function_fault(call["function"])
  return fault and ".function" .. fault
end

local function calls_fault(calls, pending)
  if calls == nil then return nil end
  if kind_of(calls) ~= "array" then return " must be an array" end
  if #calls == 0 then return " must not be empty" end
  local seen = {}
  for i, call in ipairs(calls) do
    local fault = call_fault(call, seen)
    if fault then return ("[%d]%s"):format(i - 1, fault) end
  end
  for id in pairs(seen) do pending[id] = true end
end

local FORBIDDEN = {
  developer = { "tool_calls", "tool_call_id", "function_call", "name" },
  assistant = { "tool_call_id", "name" }, tool = { "tool_calls", "function_call", "name" },
  ["function"] = { "tool_calls", "tool_call_id", "function_call" },
}
FORBIDDEN.system, FORBIDDEN.user = FORBIDDEN.developer, FORBIDDEN.developer

local READERS = {}

function READERS.user(message)
  local fault = required_content_fault(message)
  return fault and ".content: " .. fault
end
READERS.developer, READERS.system = READERS.user, READERS.user

function READERS.assistant(message, pending)
  local fault = calls_fault(message.tool_calls, pending)
  if fault then return ".tool_calls" .. fault end
  local call = message.function_call
  if call ~= nil then
    fault = kind_of(call) == "object" and function_fault(call) or kind_of(call) ~= "object" and " must be an object"
    if fault then return ".function_call" .. fault end
  end
  local content = message.content
  if content ~= nil and content ~= json.null then
    fault = content_fault(content)
  elseif message.tool_calls == nil and call == nil then
    fault = "is required unless tool_calls or function_call is provided"
  end
  return fault and ".content: " .. fault
end

function READERS.tool(message, pending)
  local fault = text_fault(message.tool_call_id)
  if fault then return ".tool_call_id: " .. fault end
  if not pending[message.tool_call_id] then
    return ".tool_call_id does not match any previous assistant tool_calls"
  end
  pending[message.tool_call_id] = nil
  return READERS.user(message)
end

READERS["function"] = function(message)
  local fault = text_fault(message.name)
  if fault then return ".name: " .. fault end
  return READERS.user(message)
end

local function message_fault(message, pending)
  if kind_of(message) ~= "object" then return " must be an object" end
  local fault = text_fault(message.role)
  if fault then return ".role: " .. fault end
  local read = READERS[message.role]
  if not read then return (".role has unsupported value %s"):format(json.encode(message.role)) end
  for _, name in ipairs(FORBIDDEN[message.role]) do
    if message[name] ~= nil then return (": %s is not allowed for this role"):format(name) end
  end
  return read(message, pending)
end

--- The first fault of a request's messages; nil when there is none, or no messages.
---@param list table|nil decoded with nulls
---@return string? sentence
function messages.fault(list)
  if list == nil then return nil end
  if kind_of(list) ~= "array" then return "messages must be an array" end
  local pending = {}
  for i, message in ipairs(list) do
    local fault = message_fault(message, pending)
    if fault then return ("messages[%d]%s"):format(i - 1, fault) end
  end
end

return messages
