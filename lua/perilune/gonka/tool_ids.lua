--- tool_ids: the names of tool calls, as the model's template wants them.
-- Rewritten, never de-duplicated: two calls with one id may be two real calls with two results. Where ids collide, a
-- result belongs to the first call of that id that has none yet, in the newest turn that has one: a call that was never
-- answered does not take the result of a later one.
local json = require("perilune").json
local choices = require "perilune.choices"
local kinds = require "perilune.kinds"
local words = require "perilune.gonka.rules.words"

local is_object, is_array = kinds.is_object, kinds.is_array

local tool_ids = {}

--- An id as text; nil for what is none.
local function text_of(id)
  if type(id) == "number" then return words.text_of(id) end
  return type(id) == "string" and id or nil
end

-- Calls that wait for a result, by id: each list has the newest turn last, and a turn its calls in order. A call waits
-- among all of them, too, for a result without an id, so one that has its result is left out when it is met.
local ANY = {}

local function add_waiting(waiting, key, entry)
  local turns = waiting[key] or {}
  waiting[key] = turns
  local newest = turns[#turns]
  if not newest or newest.turn ~= entry.turn then
    newest = { turn = entry.turn, first = 1 }
    turns[#turns + 1] = newest
  end
  newest[#newest + 1] = entry
end

--- The call that a result belongs to; nil when none waits for it.
local function take_waiting(waiting, id)
  local turns = waiting[text_of(id) or ANY]
  while turns and #turns > 0 do
    local newest = turns[#turns]
    while newest.first <= #newest do
      local entry = newest[newest.first]
      newest.first = newest.first + 1
      if not entry.result then return entry end
    end
    turns[#turns] = nil
  end
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
---@return table[] calls { call =, id =, name =, index =, turn =, result = }
---@return perilune.json.node[] orphans results that belong to no call
function tool_ids.pair(messages)
  local calls, waiting, orphans = {}, {}, {}
  local turn, before = 0, nil
  for i = 1, #messages do
    local message = messages[i]
    local role = is_object(message) and message.role
    if role == "assistant" and before ~= "assistant" then turn = turn + 1 end
    before = role
    if role == "assistant" and is_array(message.tool_calls) then
      local list = message.tool_calls
      for k = 1, #list do
        local call = list[k]
        if is_object(call) then
          local func = call["function"]
          local entry = { call = call, id = call.id, index = #calls, turn = turn,
            name = is_object(func) and func.name or nil }
          calls[#calls + 1] = entry
          add_waiting(waiting, ANY, entry)
          local id = text_of(entry.id)
          if id then add_waiting(waiting, id, entry) end
        end
      end
    elseif role == "tool" then
      local entry = take_waiting(waiting, message.tool_call_id)
      if entry then entry.result = message else orphans[#orphans + 1] = message end
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

--- An id that is not taken: `base`, or base_2, base_3, …. Ids stay taken, so the next search goes on where the last one
--- for the same base ended: that is in `counts`.
local function free_id(base, taken, counts)
  local n = counts[base] or 1
  local id = n == 1 and base or base .. "_" .. n
  while taken[id] do
    n = n + 1
    id = base .. "_" .. n
  end
  counts[base] = n
  return id
end

--- Ids that are not blank and stand only once; those that do already stay.
---@param messages perilune.json.node
---@return integer changed
---@return table original
function tool_ids.to_unique(messages)
  local counts = {}
  return tool_ids.rename(messages, function(entry, taken)
    local id = text_of(entry.id)
    return free_id(id and id:find "%S" and id or "call_" .. entry.index, taken, counts)
  end)
end

local function write_arguments(func)
  local arguments = is_object(func) and func.arguments
  if not is_object(arguments) and not is_array(arguments) then return false end
  func.arguments = json.text(arguments)
  return true
end

--- `arguments` that are objects become text; what is text already stays.
---@param messages perilune.json.node
---@return integer changed
function tool_ids.serialise_arguments(messages)
  local changed = 0
  for _, entry in ipairs((tool_ids.pair(messages))) do
    local func = entry.call["function"]
    if write_arguments(func) then changed = changed + 1 end
  end
  return changed
end

-- ---- Answers ----

--- What is remembered between a request and its answer: how many calls there were, and which ids are taken.
---@param messages perilune.json.node
---@param original? table of tool_ids.rename: the client still knows calls by these, so no new one gets them
---@return table memory
function tool_ids.remember(messages, original)
  local taken, calls = {}, tool_ids.pair(messages)
  for _, id in pairs(original or {}) do taken[id] = true end
  for _, entry in ipairs(calls) do
    if type(entry.id) == "string" then taken[entry.id] = true end
  end
  return { next = #calls, taken = taken, counts = {}, names = {}, given = {}, used = {} }
end

local function fresh(memory, id, name, canonical)
  local index = memory.next
  memory.next = index + 1
  if canonical and name then
    index = math.max(index, memory.names[name] or 0)
    repeat
      id = tool_ids.canonical(name, index)
      index = index + 1
    until not memory.taken[id]
    memory.names[name] = index
  end
  if type(id) ~= "string" or id == "" then id = "call_" .. index end
  local unique = free_id(id, memory.taken, memory.counts)
  memory.taken[unique] = true
  return unique
end

local function name_of(call)
  local func = call["function"]
  local name = is_object(func) and func.name
  return type(name) == "string" and name ~= "" and name or nil
end

--- Does a fragment begin another call at an index that one has already? Kimi's parser repeats indexes. A provider that
--- names its call in every fragment does so by the same id.
local function is_another(given, call)
  return type(call.id) == "string" and call.id ~= "" and call.id ~= given.raw and call.id ~= given.id
    and name_of(call) ~= nil
end

--- A call that begins: an id of its own, and in a stream an index of its own.
local function begin(memory, call, spot, canonical)
  local given = { raw = call.id, id = fresh(memory, call.id, name_of(call), canonical), index = spot.index }
  if call.id ~= given.id then call.id = given.id end
  local used = memory.used[spot.choice] or {} -- the index to look at next, by one that is used
  memory.used[spot.choice] = used
  while used[given.index] do given.index = used[given.index] end
  used[given.index] = given.index + 1
  if given.index ~= spot.index then used[spot.index] = given.index + 1 end
  return given
end

local function rewrite_call(memory, call, spot, canonical)
  local given = memory.given[spot.key]
  if not given or spot.is_delta and is_another(given, call) then
    given = begin(memory, call, spot, canonical)
    memory.given[spot.key] = given
  elseif call.id ~= nil and call.id ~= given.id then
    call.id = given.id
  end
  if spot.is_delta and given.index ~= spot.index then call.index = given.index end
  write_arguments(call["function"])
end

--- A fragment that starts a call without a name: MiniMax sends such a thing after the real one.
local function is_spurious(memory, call, spot)
  local func = call["function"]
  return not memory.given[spot.key] and is_object(func) and (func.name == nil or func.name == json.null)
    and (call.id == nil or call.id == json.null or memory.taken[call.id] == true)
end

--- Where a call stands in its answer.
local function spot_of(choice, call, place, is_delta)
  local index = call.index
  if math.type(index) ~= "integer" then index = place - 1 end
  return { choice = choice, index = index, key = choice .. ":" .. index, is_delta = is_delta }
end

--- Ids of the calls in an answer, or in one event of it: each its own in the whole conversation.
---@param body perilune.json.node an answer, or a chunk; edited
---@param memory table of tool_ids.remember
---@param canonical boolean functions.<name>:<index>
function tool_ids.answer(body, memory, canonical)
  for choice, index in choices.of(body) do
    local is_delta = is_object(choice.delta)
    local said = is_delta and choice.delta or choice.message
    local calls = is_object(said) and said.tool_calls
    local k, place, count = 1, 1, is_array(calls) and #calls or 0
    while k <= count do
      local call = calls[k]
      local spot = is_object(call) and spot_of(index, call, place, is_delta)
      if spot and is_delta and is_spurious(memory, call, spot) then
        json.remove(calls, k)
        k, count = k - 1, count - 1
      elseif spot then
        rewrite_call(memory, call, spot, canonical)
      end
      k, place = k + 1, place + 1
    end
  end
end

return tool_ids
