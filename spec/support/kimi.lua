--- kimi: a provider that behaves as Kimi-K2.6 behind vLLM does in a conversation with tools.
-- Its template wants the calls of the history to be named functions.<name>:<number>, counted over the whole
-- conversation, and loses the thread when they are not: here such a history is refused, and so is a result that
-- belongs to another call. Its parser starts counting anew in every choice, so ids of its own answers collide.
local cjson = require "cjson"
local provider = require "spec.support.provider"

local kimi = { model = "moonshotai/Kimi-K2.6" }

local frames = provider.frames

--- What the client's tools are to answer to a call: a result shows which call it is of.
function kimi.result(name, argument) return name .. " of " .. argument end

--- Turns of the conversation: what is called in each. The last answer names all results.
kimi.turns = {
  { { "weather", "Paris" }, { "weather", "Rome" } },
  { { "weather", "Oslo" }, { "clock", "Rome" } },
  { { "clock", "Oslo" } },
}

local function argument_of(call)
  local ok, arguments = pcall(cjson.decode, call["function"].arguments)
  return ok and type(arguments) == "table" and arguments.place or nil
end

--- Read a history as the template does.
--- gives the results in order of their calls; or nil and what is wrong
local function read_history(messages)
  local results, waiting, count = {}, {}, 0
  for i, message in ipairs(messages) do
    for _, call in ipairs(type(message.tool_calls) == "table" and message.tool_calls or {}) do
      local name = call["function"].name
      local canonical = ("functions.%s:%d"):format(name, count)
      if call.id ~= canonical then
        return nil, ("message %d: the call is named %s, expected %s"):format(i, call.id, canonical)
      end
      count = count + 1
      waiting[canonical] = { place = count, expected = kimi.result(name, argument_of(call) or "?") }
    end
    if message.role == "tool" then
      local call = waiting[message.tool_call_id]
      if not call then return nil, ("message %d: no call waits for %s"):format(i, message.tool_call_id) end
      if message.content ~= call.expected then
        return nil, ("message %d: %s got %s, expected %s"):format(i, message.tool_call_id, message.content,
          call.expected)
      end
      results[call.place] = message.content
      waiting[message.tool_call_id] = nil
    elseif next(waiting) and message.role ~= "assistant" then
      return nil, ("message %d: calls without results"):format(i)
    end
  end
  if next(waiting) then return nil, "calls without results" end
  return results
end

local function turn_of(messages)
  local turn = 1
  for _, message in ipairs(messages) do
    if type(message.tool_calls) == "table" then turn = turn + 1 end
  end
  return turn
end

--- Two calls of an answer get the same number when they are of one function, and every answer starts from 0.
local function calls_of(turn)
  local calls = {}
  for i, call in ipairs(kimi.turns[turn]) do
    calls[i] = { index = i - 1, id = ("functions.%s:0"):format(call[1]), type = "function",
      ["function"] = { name = call[1], arguments = cjson.encode { place = call[2] } } }
  end
  return calls
end

--- Arguments come in pieces, and every fragment repeats index and id.
local function stream_calls(calls)
  local script = { frames.role }
  for _, call in ipairs(calls) do
    local func = call["function"]
    local function fragment(name, arguments)
      script[#script + 1] = frames.delta { tool_calls = { { index = call.index, id = call.id,
        type = name and "function" or nil, ["function"] = { name = name, arguments = arguments } } } }
    end
    fragment(func.name, "")
    for at = 1, #func.arguments, 5 do fragment(nil, func.arguments:sub(at, at + 4)) end
  end
  script[#script + 1] = frames.finish "tool_calls" .. frames.done
  return provider.stream(script)
end

local function whole_calls(calls)
  for _, call in ipairs(calls) do call.index = nil end
  return provider.reply(200, cjson.encode { id = "chatcmpl-1", object = "chat.completion", created = 1,
    model = kimi.model, usage = provider.usage, choices = { { index = 0, finish_reason = "tool_calls",
      message = { role = "assistant", content = cjson.null, tool_calls = calls } } } })
end

--- The behaviour of a provider.
function kimi.behave(c, request)
  local messages = request.json.messages
  local results, why = read_history(messages)
  if not results then return provider.status(400, why)(c, request) end
  local turn = turn_of(messages)
  if turn > #kimi.turns then return provider.chat(table.concat(results, ", "))(c, request) end
  local calls = calls_of(turn)
  return (request.json.stream and stream_calls or whole_calls)(calls)(c, request)
end

--- What the last answer says when every call got its own result.
function kimi.conclusion()
  local results = {}
  for _, turn in ipairs(kimi.turns) do
    for _, call in ipairs(turn) do results[#results + 1] = kimi.result(call[1], call[2]) end
  end
  return table.concat(results, ", ")
end

return kimi
