--- messages: what the gateway makes of a conversation, and what it refuses in it.
-- First the normalisers (`tidy`), then the check, so indexes in sentences count what is left. Texts are not read where
-- json.has_text can tell that there is one: they are most of what a conversation is.
local json = require("perilune").json
local kinds = require "perilune.kinds"
local words = require "perilune.gonka.rules.words"

local is_object, is_array = kinds.is_object, kinds.is_array

local messages = { most = 2048, empty_result = "<empty tool result>" }

local null, is_blank = json.null, words.is_blank

function messages.count(c)
  if c.has_good_messages and c.has_good_messages <= messages.most then return end
  local list = c.top.messages
  if is_array(list) and #list > messages.most then
    return ("messages: array length %d exceeds limit %d"):format(#list, messages.most), "messages"
  end
end

-- ---- Normalisers ----

local function has_content(content)
  if content == nil or content == null then return false end
  if type(content) == "string" then return not is_blank(content) end
  return not (is_array(content) and #content == 0)
end

local function has_calls(message)
  local calls, call = message.tool_calls, message.function_call
  return is_array(calls) and #calls > 0 or is_object(call) and json.len(call) > 0
end

--- Ids of calls that may still be answered.
local function remember_calls(message, open)
  local calls = message.tool_calls
  if not is_array(calls) then return end
  for i = 1, #calls do
    local call = calls[i]
    local id = is_object(call) and call.id
    if type(id) == "string" and id ~= "" then open[id] = true end
  end
end

--- A name that has to be there. gives the sentence, or nil
local function text_fault(value, field)
  if value == nil or value == null then return field .. ": is required", field end
  if type(value) ~= "string" then return field .. ": must be a string", field end
  if is_blank(value) then return field .. ": must not be empty", field end
end

local function part_fault(part, field)
  if not is_object(part) then return field .. " must be an object", field end
  local message, at = text_fault(part.type, field .. ".type")
  if message then return message, at end
  if part.type ~= "text" then
    at = field .. ".type"
    return ("%s has unsupported value %s"):format(at, words.quote(part.type)), at
  end
  return text_fault(part.text, field .. ".text")
end

--- Text parts in one string; nil and what is wrong when they are not all text.
local function flattened(parts, field)
  local texts = {}
  for i = 1, #parts do
    local part = parts[i]
    local message, at = part_fault(part, ("%s[%d]"):format(field, i - 1))
    if message then return nil, message, at end
    texts[i] = part.text
  end
  return table.concat(texts, "\n")
end

--- One message, which is the `place`-th that stays, from 0. gives whether it stays, and what is wrong with its parts
local function tidy_one(c, message, open, place)
  local role = message.role
  local content = json.has_text(message, "content") and "text" or message.content
  if role == "tool" then
    local id = message.tool_call_id
    if type(id) == "string" and id ~= "" then
      if not open[id] then
        c:note "dropped a result that answers no call"
        return false
      end
      open[id] = nil
    end
    if message.name ~= nil then
      message.name = nil
      c:note "dropped the name of a tool message"
    end
    if not has_content(content) then
      message.content = messages.empty_result
      c:note "named an empty result"
      return true
    end
  elseif role == "assistant" then
    local called = has_calls(message)
    if not has_content(content) then
      if not called then
        c:note "dropped an empty assistant message"
        return false
      end
      if content ~= nil and content ~= null then
        message.content, content = null, nil
        c:note "empty content beside calls became null"
      end
    end
    if called then remember_calls(message, open) end
  end
  if is_array(content) and #content > 0 then
    local text, fault, field = flattened(content, ("messages[%d].content"):format(place))
    if fault then return true, fault, field end
    message.content = text
    c:note "wrote content as text"
  end
  return true
end

--- Drop answers to nothing and empty turns, flatten text parts, name empty results. Parts that are no text are refused
--- here, before anything else is said about any message.
function messages.tidy(c)
  if c.has_good_messages then return end
  local list = c.top.messages
  if not is_array(list) then return end
  local open, i, n = {}, 1, #list
  while i <= n do
    local message, stays = list[i], true
    if is_object(message) then
      local fault, field
      stays, fault, field = tidy_one(c, message, open, i - 1)
      if fault then return fault, field end
    end
    if stays then
      i = i + 1
    else
      json.remove(list, i)
      n = n - 1
    end
  end
end

-- ---- The check ----

local may_not_carry = {
  developer = { "tool_calls", "tool_call_id", "function_call" },
  assistant = { "tool_call_id" },
  tool = { "tool_calls", "function_call" },
}
may_not_carry.system = may_not_carry.developer
may_not_carry.user = may_not_carry.developer
may_not_carry["function"] = may_not_carry.developer

local function content_fault(content, field)
  if type(content) == "string" then
    if is_blank(content) then return field .. ": must not be empty", field end
    return nil
  end
  if content == nil or content == null then return field .. ": is required", field end
  if not is_array(content) then
    return field .. ": must be a string or an array of typed content parts", field
  end
  if #content == 0 then return field .. ": must not be empty", field end
  local _, message, at = flattened(content, field)
  return message, at
end

--- Name and arguments of a call. Absent and null arguments pass, and broken ones too.
local function function_fault(func, field)
  if not is_object(func) then return field .. " must be an object", field end
  local message, at = text_fault(func.name, field .. ".name")
  if message then return message, at end
  local arguments = func.arguments
  if arguments ~= nil and arguments ~= null and type(arguments) ~= "string" then
    at = field .. ".arguments"
    return at .. ": must be a string", at
  end
end

local function call_fault(call, field, seen)
  if not is_object(call) then return field .. " must be an object", field end
  local id = call.id
  local message, at = text_fault(id, field .. ".id")
  if message then return message, at end
  if seen[id] then return field .. ".id is duplicated", field .. ".id" end
  seen[id] = true
  message, at = text_fault(call.type, field .. ".type")
  if message then return message, at end
  if call.type ~= "function" then return field .. '.type must be "function"', field .. ".type" end
  return function_fault(call["function"], field .. ".function")
end

local function calls_fault(calls, field)
  if not is_array(calls) then return field .. " must be an array", field end
  if #calls == 0 then return field .. " must not be empty", field end
  local seen = {}
  for i = 1, #calls do
    local message, at = call_fault(calls[i], ("%s[%d]"):format(field, i - 1), seen)
    if message then return message, at end
  end
end

local by_role = {}

function by_role.assistant(message, field, c)
  local calls, call = message.tool_calls, message.function_call
  if calls == null then
    message.tool_calls, calls = nil, nil
    c:note "dropped null tool_calls"
  end
  if call == null then
    message.function_call, call = nil, nil
    c:note "dropped null function_call"
  end
  if calls ~= nil then
    local fault, at = calls_fault(calls, field .. ".tool_calls")
    if fault then return fault, at end
  end
  if call ~= nil then
    local fault, at = function_fault(call, field .. ".function_call")
    if fault then return fault, at end
  end
  if json.has_text(message, "content") then return nil end
  local content = message.content
  if content == nil or content == null then
    if calls == nil and call == nil then
      local at = field .. ".content"
      return at .. ": is required unless tool_calls or function_call is provided", at
    end
    return nil
  end
  return content_fault(content, field .. ".content")
end

local function plain(message, field)
  if json.has_text(message, "content") then return nil end
  return content_fault(message.content, field .. ".content")
end
by_role.user, by_role.system, by_role.developer = plain, plain, plain

function by_role.tool(message, field)
  local fault, at = text_fault(message.tool_call_id, field .. ".tool_call_id")
  if fault then return fault, at end
  return plain(message, field)
end

by_role["function"] = function(message, field)
  local fault, at = text_fault(message.name, field .. ".name")
  if fault then return fault, at end
  return plain(message, field)
end

local function message_fault(c, message, i)
  local field = "messages[" .. i .. "]"
  if not is_object(message) then return field .. " must be an object", field end
  local role = message.role
  local check = by_role[role]
  if not check then
    local fault, at = text_fault(role, field .. ".role")
    if fault then return fault, at end
    return ("%s.role has unsupported value %s"):format(field, words.quote(role)), field .. ".role"
  end
  for _, name in ipairs(may_not_carry[role]) do
    if message[name] ~= nil then return ("%s: %s is not allowed for this role"):format(field, name), field end
  end
  return check(message, field, c)
end

function messages.check(c)
  if c.has_good_messages then return end
  local list = c.top.messages
  if not is_array(list) then return "messages is required", "messages" end
  if #list == 0 then return "messages must not be empty", "messages" end
  for i = 1, #list do
    local fault, at = message_fault(c, list[i], i - 1)
    if fault then return fault, at end
  end
end

return messages
