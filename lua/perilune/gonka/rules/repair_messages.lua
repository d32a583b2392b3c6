--- repair_messages: a conversation made one that the gateway takes: roles, contents, calls and their results.
local json = require("perilune").json
local kinds = require "perilune.kinds"
local tool_ids = require "perilune.gonka.tool_ids"
local words = require "perilune.gonka.rules.words"

local is_kind, is_object = kinds.is, kinds.is_object

local messages = {
  --- Other names of the roles.
  roles = { ai = "assistant", model = "assistant", bot = "assistant", chatbot = "assistant", human = "user",
    root = "system", latest_reminder = "system", context = "system" },
  --- Parts of other interfaces that are text.
  text_parts = { text = "text", input_text = "text", output_text = "text", summary_text = "text", refusal = "refusal" },
}

local null, holds_text, len, is_blank = json.null, json.has_text, json.len, words.is_blank

local known = { developer = true, system = true, user = true, assistant = true, tool = true, ["function"] = true }

local function repair_role(c, message)
  local role = message.role
  if role == "developer" and c.family.developer_role == false then
    message.role = "system"
    c:note "developer became system"
    return
  end
  if known[role] then return end
  local spelled = type(role) == "string" and words.trim(role):lower() or nil
  spelled = spelled and (messages.roles[spelled] or spelled)
  if (role == nil or role == null) and type(message.tool_call_id) == "string" then spelled = "tool" end
  if known[spelled] then
    message.role = spelled
    c:note("corrected a role to " .. spelled)
  end
end

-- What a role may not carry, the gateway refuses, even null.
local foreign = {
  assistant = { "tool_call_id" },
  tool = { "tool_calls", "function_call" },
  user = { "tool_calls", "tool_call_id", "function_call" },
}
foreign.system, foreign.developer, foreign["function"] = foreign.user, foreign.user, foreign.user

--- Members that say nothing are dropped; calls that a user is said to have made are not ours to drop.
--- gives whether none are left
local function drop_foreign(c, message, role)
  local names, is_clean = foreign[role], true
  for i = 1, #names do
    local name = names[i]
    local value = message[name]
    if value ~= nil then
      local says_nothing = value == null or name == "tool_call_id" or is_kind(value, "array") and #value == 0
      if says_nothing or role == "tool" then
        message[name] = nil
        c:note(("dropped %s of a %s message"):format(name, role))
      else
        is_clean = false
      end
    end
  end
  return is_clean
end

-- ---- Content ----

local function part_text(part)
  if type(part) == "string" then return part end
  if not is_object(part) then return nil end
  local kind = part.type
  if kind == nil or kind == null or kind == "" then kind = "text" end
  local member = messages.text_parts[kind]
  local text = member and part[member]
  if type(text) == "number" then text = words.text_of(text) end
  return type(text) == "string" and text or nil
end

--- Reasoning of an earlier turn, in a part of its own: the network has no place for it in the content.
local function is_reasoning(part)
  return is_object(part) and (part.type == "thinking" or part.type == "redacted_thinking" or part.type == "reasoning")
end

--- Parts as one text; nil when one of them is not text.
local function join(c, parts)
  local texts = {}
  for i = 1, #parts do
    local part = parts[i]
    local text = part_text(part)
    if text then
      if not is_blank(text) then texts[#texts + 1] = text end
    elseif is_reasoning(part) then
      c:note "dropped a part with reasoning"
    elseif part ~= null then
      return nil
    end
  end
  return table.concat(texts, "\n")
end

--- A call that stands in the content, as the Messages interface writes it.
local function lift_calls(c, message, parts)
  local calls, i = json.array {}, 1
  while i <= #parts do
    local part = parts[i]
    if is_object(part) and part.type == "tool_use" and type(part.name) == "string" then
      local input = part.input
      calls[#calls + 1] = { id = part.id, type = "function",
        ["function"] = { name = part.name, arguments = is_object(input) and json.text(input) or "{}" } }
      json.remove(parts, i)
    else
      i = i + 1
    end
  end
  if #calls > 0 and message.tool_calls == nil then
    message.tool_calls = calls
    c:note "moved calls from the content to tool_calls"
  end
end

--- Results that stand in the content of a user's turn, as the Messages interface writes them, become tool messages in
--- front of it. gives how many
local function lift_results(c, list, place)
  local parts, count = list[place].content, 0
  local k = 1
  while k <= #parts do
    local part = parts[k]
    if is_object(part) and part.type == "tool_result" and type(part.tool_use_id) == "string" then
      local content = part.content
      if is_kind(content, "array") then content = join(c, content) or json.text(content) end
      json.insert(list, place + count, { role = "tool", tool_call_id = part.tool_use_id, content = content or "" })
      json.remove(parts, k)
      count = count + 1
    else
      k = k + 1
    end
  end
  if count > 0 then
    if #parts == 0 then json.remove(list, place + count) end
    c:note "moved results from the content to tool messages"
  end
  return count
end

local function has_results(message)
  if message.role ~= "user" then return false end
  local parts = message.content
  for k = 1, is_kind(parts, "array") and #parts or 0 do
    if is_object(parts[k]) and parts[k].type == "tool_result" then return true end
  end
  return false
end

local function repair_content(c, message, role)
  local content = message.content
  if type(content) == "string" or content == nil or content == null then return end
  local text
  if type(content) == "number" or type(content) == "boolean" then
    text = words.text_of(content)
  elseif is_object(content) then
    text = part_text(content) or (role == "tool" and json.text(content) or nil)
  else
    if role == "assistant" then lift_calls(c, message, content) end
    if #content == 0 then return end
    -- Parts that are plain text already are what the gateway joins itself.
    text = join(c, content)
  end
  if text then
    message.content = text
    c:note "wrote content as text"
  end
end

local function is_empty(content)
  return content == nil or content == null or type(content) == "string" and is_blank(content)
    or is_kind(content, "array") and #content == 0
end

-- ---- Calls ----

local function repair_call(c, call)
  if not is_object(call) then return end
  if call.type ~= "function" and (is_object(call["function"]) or call.type == nil or call.type == null) then
    call.type = "function"
    c:note "corrected the type of a call"
  end
  if call["function"] == nil and type(call.name) == "string" then
    call["function"] = { name = call.name, arguments = call.arguments or call.input or "{}" }
    c:note "rewrote a call as a function"
  end
  local func = call["function"]
  if not is_object(func) then return end
  local arguments = func.arguments
  if type(arguments) == "userdata" and arguments ~= null then
    func.arguments = json.text(arguments)
    c:note "wrote arguments of a call as text"
  elseif type(arguments) == "number" or type(arguments) == "boolean" then
    func.arguments = words.text_of(arguments)
    c:note "wrote arguments of a call as text"
  end
end

--- Is there nothing in a call that the gateway would look at twice?
local function is_good_call(call)
  if not is_object(call) or call.type ~= "function" then return false end
  local func = call["function"]
  return is_object(func) and json.has_text(func, "name") and type(func.arguments) == "string"
end

--- One of a list of calls. gives whether it is good, and its id if it has one of its own
local function repair_listed(c, state, call, seen)
  local is_good = is_good_call(call)
  if not is_good then repair_call(c, call) end
  local id = is_object(call) and call.id
  if type(id) ~= "string" or is_blank(id) or seen[id] then
    state.must_rename = true
    return false
  end
  seen[id], state.open[id] = true, true
  return is_good
end

--- The calls of a message. gives how many there are, and whether all are good
local function repair_calls(c, state, message)
  local calls = message.tool_calls
  if calls == nil then return 0, true end
  if is_object(calls) and calls["function"] ~= nil then
    message.tool_calls = json.array { calls }
    calls = message.tool_calls
    c:note "made tool_calls a list"
  end
  local is_list = is_kind(calls, "array")
  if not is_list and calls ~= null and not is_object(calls) then return 0, false end
  if not is_list or #calls == 0 then
    message.tool_calls = nil
    c:note "dropped empty tool_calls"
    return 0, true
  end
  local seen, are_good = {}, true
  for i = 1, #calls do
    if not repair_listed(c, state, calls[i], seen) then are_good = false end
  end
  return #calls, are_good
end

--- A result of a function of old names needs the name it answers.
local function repair_function_name(c, message, last_name)
  local name = message.name
  if (type(name) ~= "string" or is_blank(name)) and last_name then
    message.name = last_name
    c:note "added the name of a function result"
  end
end

-- ---- All ----

local function has_said_something(list)
  for i = 1, #list do
    local message = list[i]
    if is_object(message) and message.role == "user" and not is_empty(message.content) then return true end
  end
  return false
end

--- Turns without a word of user and system, when others of the user's say something.
local function drop_empty(c, list)
  if not has_said_something(list) then return end
  for i = #list, 1, -1 do
    local message = list[i]
    local role = is_object(message) and message.role
    local may_be_empty = role == "assistant" or role == "tool" or role == "function"
    if is_object(message) and known[role] and not may_be_empty and is_empty(message.content)
      and message.tool_calls == nil and message.function_call == nil then
      json.remove(list, i)
      c:note(("dropped an empty %s message"):format(role))
    elseif message == null then
      json.remove(list, i)
      c:note "dropped a message that is null"
    end
  end
end

local function repair_legacy_call(c, state, message)
  local call = message.function_call
  if not is_object(call) or len(call) == 0 then
    message.function_call = nil
    return c:note "dropped a function_call that is none"
  end
  state.last_name = type(call.name) == "string" and call.name or nil
  if type(call.arguments) == "userdata" and call.arguments ~= null then
    call.arguments = json.text(call.arguments)
    c:note "wrote arguments of a call as text"
  end
end

local by_role = {}

function by_role.assistant(c, state, message, has_text)
  local count, are_good = repair_calls(c, state, message)
  if message.function_call ~= nil then
    repair_legacy_call(c, state, message)
    return false
  end
  if has_text or not are_good then return are_good end
  local content = message.content
  return count > 0 and (content == nil or content == null)
end

function by_role.tool(_, state, message, has_text)
  local id = message.tool_call_id
  if type(id) ~= "string" then
    state.must_pair = true
    return false
  end
  local is_awaited = state.open[id] == true
  state.open[id] = nil
  return has_text and is_awaited and message.name == nil
end

by_role["function"] = function(c, state, message)
  repair_function_name(c, message, state.last_name)
  if is_empty(message.content) then
    message.content = "<empty tool result>"
    c:note "named an empty result"
  end
  return false
end

local function plain(_, state, message, has_text)
  if not has_text and is_empty(message.content) then state.has_empty = true end
  return has_text
end
by_role.user, by_role.system, by_role.developer = plain, plain, plain

--- Results without an id that no call is left for: those with an id the gateway drops itself.
local function drop_unpaired(c, list)
  for i = #list, 1, -1 do
    local message = list[i]
    if is_object(message) and message.role == "tool" and type(message.tool_call_id) ~= "string" then
      json.remove(list, i)
      c:note "dropped a result that answers no call"
    end
  end
end

-- Roles whose message may be no more than a text.
local plain_roles = { user = true, system = true, assistant = true }

--- Is it a text, whose it is, and nothing else? Most messages of most requests are.
local function is_plain(message)
  return holds_text(message, "content") and len(message) == 2 and plain_roles[message.role] == true
end

--- gives whether the gateway would find nothing to do or to say about it
local function repair_one(c, state, message, has_text)
  local role = message.role
  local act = by_role[role]
  if not act or role == "developer" then
    repair_role(c, message)
    role = message.role
    act = by_role[role]
    if not act then return false end
  end
  local is_clean = drop_foreign(c, message, role)
  if not has_text then
    repair_content(c, message, role)
    has_text = json.has_text(message, "content")
  end
  return act(c, state, message, has_text) and is_clean
end

--- What stands at a place of the list. gives whether the gateway would find nothing to do or to say about it
local function repair_at(c, state, list, i)
  local message = list[i]
  if is_plain(message) then return true end
  if type(message) == "string" and not is_blank(message) then
    list[i] = { role = "user", content = message }
    c:note "made a message of a text"
    return true
  end
  if type(message) ~= "userdata" or message == null then
    if message == null then state.has_empty = true end
    return false
  end
  if json.kind(message) ~= "object" then return false end
  local has_text = json.has_text(message, "content")
  if not has_text and has_results(message) and lift_results(c, list, i) > 0 then
    message = list[i]
    has_text = json.has_text(message, "content")
  end
  return repair_one(c, state, message, has_text)
end

--- The only message of a request is the user's when it does not say whose it is.
local function name_only_role(c, message)
  if not is_object(message) or message.tool_call_id ~= nil then return end
  local role = message.role
  if role == nil or role == null or type(role) == "string" and is_blank(role) then
    message.role = "user"
    c:note "corrected a role to user"
  end
end

function messages.run(c)
  local list = c.top.messages
  if type(list) == "string" and not is_blank(list) then
    c:set("messages", json.array { { role = "user", content = list } })
    list = c.top.messages
    c:note "made messages of a text"
  elseif is_object(list) and list.role ~= nil then
    c:set("messages", json.array { list })
    list = c.top.messages
    c:note "made messages a list"
  end
  if not is_kind(list, "array") then return end
  if #list == 1 then name_only_role(c, list[1]) end
  local state, are_good, i = { open = {} }, true, 0
  while i < #list do -- grows where a message holds results
    i = i + 1
    if not repair_at(c, state, list, i) then are_good = false end
  end
  -- What was looked at here need not be read again: a conversation is most of what a request is.
  c.has_good_messages = are_good and i > 0 and i
  if state.has_empty then drop_empty(c, list) end
  if state.must_rename or state.must_pair then
    tool_ids.to_unique(list)
    c:note "gave calls ids of their own"
  end
  if state.must_pair then drop_unpaired(c, list) end
end

return messages
