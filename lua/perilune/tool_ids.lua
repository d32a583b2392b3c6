--- tool_ids: the names of tool calls, as the model's template wants them.
-- Rewritten, never de-duplicated: two calls with one id may be two real calls with two results. Where ids collide, a
-- result belongs to the first call of that id that has none yet.
local json = require("perilune").json

local tool_ids = {}

local function is_kind(value, kind)
  return type(value) == "userdata" and json.kind(value) == kind
end

--- Kimi's id: the tool's name and a number that counts every call of the conversation.
---@param name string
---@param index integer from 0
---@return string
function tool_ids.canonical(name, index)
  return ("functions.%s:%d"):format(name, index)
end

--- Every call of a conversation in order, each with the results that belong to it.
---@param messages perilune.json.node
---@return table[] calls { call =, id =, name =, index =, results = {…} }
---@return perilune.json.node[] orphans results that belong to no call
function tool_ids.pair(messages)
  local calls, waiting, orphans = {}, {}, {}
  for i = 1, #messages do
    local message = messages[i]
    local role = is_kind(message, "object") and message.role
    if role == "assistant" and is_kind(message.tool_calls, "array") then
      local list = message.tool_calls
      for k = 1, #list do
        local call = list[k]
        if is_kind(call, "object") then
          local func = call["function"]
          local entry = { call = call, id = call.id, index = #calls,
            name = is_kind(func, "object") and func.name or nil }
          calls[#calls + 1], waiting[#waiting + 1] = entry, entry
        end
      end
    elseif role == "tool" then
      local id, found = message.tool_call_id, nil
      for k, entry in ipairs(waiting) do
        if entry.id == id or type(id) ~= "string" then
          found = k
          break
        end
      end
      if found then
        waiting[found].result = message
        table.remove(waiting, found)
      else
        orphans[#orphans + 1] = message
      end
    end
  end
  return calls, orphans
end

--- Give each call the id that `wanted` says, and its result the same.
---@param messages perilune.json.node
---@param wanted fun(entry: table, taken: table): string? nil leaves it
---@return integer changed
---@return table original ids of the client by ours
function tool_ids.rename(messages, wanted)
  local changed, original, taken = 0, {}, {}
  for _, entry in ipairs((tool_ids.pair(messages))) do
    local id = wanted(entry, taken) or entry.id
    if type(id) == "string" then
      taken[id] = true
      original[id] = entry.id
      if id ~= entry.id then
        entry.call.id = id
        changed = changed + 1
      end
      if entry.result and entry.result.tool_call_id ~= id then entry.result.tool_call_id = id end
    end
  end
  return changed, original
end

--- Ids as Kimi's template wants them.
---@param messages perilune.json.node
---@return integer changed
---@return table original
function tool_ids.to_functions(messages)
  return tool_ids.rename(messages, function(entry)
    return type(entry.name) == "string" and tool_ids.canonical(entry.name, entry.index) or nil
  end)
end

--- Ids that are not blank and stand only once; those that do already stay.
---@param messages perilune.json.node
---@return integer changed
---@return table original
function tool_ids.to_unique(messages)
  return tool_ids.rename(messages, function(entry, taken)
    local id = entry.id
    if type(id) == "number" then id = json.encode(id) end
    local base = type(id) == "string" and id:find "%S" and id or "call_" .. entry.index
    local unique, n = base, 1
    while taken[unique] do
      n = n + 1
      unique = base .. "_" .. n
    end
    return unique
  end)
end

--- `arguments` that are objects become text; what is text already stays.
---@param messages perilune.json.node
---@return integer changed
function tool_ids.serialise_arguments(messages)
  local changed = 0
  for _, entry in ipairs((tool_ids.pair(messages))) do
    local func = entry.call["function"]
    local arguments = is_kind(func, "object") and func.arguments
    if is_kind(arguments, "object") or is_kind(arguments, "array") then
      func.arguments = json.text(arguments)
      changed = changed + 1
    end
  end
  return changed
end

-- ---- Answers ----

--- What is remembered between a request and its answer: how many calls there were, and which ids are taken.
---@param messages perilune.json.node
---@return table memory
function tool_ids.remember(messages)
  local taken, calls = {}, tool_ids.pair(messages)
  for _, entry in ipairs(calls) do
    if type(entry.id) == "string" then taken[entry.id] = true end
  end
  return { next = #calls, taken = taken, given = {} }
end

local function fresh(memory, id, name, canonical)
  local index = memory.next
  memory.next = index + 1
  if canonical and type(name) == "string" and name ~= "" then id = tool_ids.canonical(name, index) end
  if type(id) ~= "string" or id == "" then id = "call_" .. index end
  local unique, n = id, 1
  while memory.taken[unique] do
    n = n + 1
    unique = id .. "_" .. n
  end
  memory.taken[unique] = true
  return unique
end

local function rewrite_call(memory, call, key, canonical)
  local func = call["function"]
  local name = is_kind(func, "object") and func.name or nil
  local given = memory.given[key]
  if not given then
    given = fresh(memory, call.id, name, canonical)
    memory.given[key] = given
    call.id = given
  elseif call.id ~= nil and call.id ~= given then
    call.id = given
  end
  if is_kind(func, "object") and is_kind(func.arguments, "object") then func.arguments = json.text(func.arguments) end
end

--- A fragment that starts a call without a name: MiniMax sends such a thing after the real one.
local function is_spurious(memory, call, key)
  local func = call["function"]
  return not memory.given[key] and is_kind(func, "object") and (func.name == nil or func.name == json.null)
    and (call.id == nil or call.id == json.null or memory.taken[call.id] == true)
end

--- Ids of the calls in an answer, or in one event of it: each its own in the whole conversation.
---@param body perilune.json.node an answer, or a chunk; edited
---@param memory table of tool_ids.remember
---@param canonical boolean functions.<name>:<index>
function tool_ids.answer(body, memory, canonical)
  local choices = body.choices
  for i = 1, is_kind(choices, "array") and #choices or 0 do
    local choice = choices[i]
    local said = choice.delta or choice.message
    local calls = is_kind(said, "object") and said.tool_calls
    for k = is_kind(calls, "array") and #calls or 0, 1, -1 do
      local call = calls[k]
      local key = (choice.index or i - 1) .. ":" .. (call.index or k - 1)
      if choice.delta and is_spurious(memory, call, key) then json.remove(calls, k) end
    end
    for k = 1, is_kind(calls, "array") and #calls or 0 do
      local call = calls[k]
      rewrite_call(memory, call, (choice.index or i - 1) .. ":" .. (call.index or k - 1), canonical)
    end
  end
end

return tool_ids
