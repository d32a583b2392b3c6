--- answers: what clients get to see of an answer: reasoning in its own field, no fields of the network's own, usage for
--- those who asked.
local json = require("perilune").json
local choices = require "perilune.choices"
local gateway = require "perilune.gonka.rules.answers"
local kinds = require "perilune.kinds"

local is_kind = kinds.is

local answers = {}

-- ---- <think> ----
-- What stands behind </think>, blanks included, is the content: content and reasoning put together again are what the
-- model wrote, and that is what it wants to see of its earlier turns.

local open_tag, close_tag = "<think>", "</think>"

--- Length of the longest end of `text` that could become `tag`.
local function tail_of(text, tag)
  for n = math.min(#text, #tag - 1), 1, -1 do
    if text:sub(-n) == tag:sub(1, n) then return n end
  end
  return 0
end

--- A splitter for one choice of a stream. States: "start" (nothing but blanks so far), "thinking", "saying". `blanks`
--- are held back in front of `held`, in pieces: joined at each event, a stream of blanks alone would cost its square.
---@return table
function answers.splitter()
  return { state = "start", held = "", blanks = {} }
end

local function has_held(s) return s.held ~= "" or #s.blanks > 0 end

local steps = {}

function steps.start(s, text)
  local rest = text:match "^%s*(.*)$"
  if rest == "" or (#rest < #open_tag and open_tag:sub(1, #rest) == rest) then
    if #rest < #text then s.blanks[#s.blanks + 1] = text:sub(1, #text - #rest) end
    return rest
  end
  if rest:sub(1, #open_tag) == open_tag then
    s.state, s.blanks = "thinking", {}
    return rest:sub(#open_tag + 1)
  end
  s.blanks[#s.blanks + 1] = text
  text = table.concat(s.blanks)
  s.state, s.blanks = "saying", {}
  return text
end

function steps.thinking(s, text, out)
  local at, stop = text:find(close_tag, 1, true)
  if at then
    s.state = "saying"
    out.reasoning[#out.reasoning + 1] = text:sub(1, at - 1)
    return text:sub(stop + 1)
  end
  local kept = tail_of(text, close_tag)
  out.reasoning[#out.reasoning + 1] = text:sub(1, #text - kept)
  return text:sub(#text - kept + 1)
end

function steps.saying(_, text, out)
  out.content[#out.content + 1] = text
  return ""
end

--- Feed a piece of content.
---@param s table a splitter
---@param piece string
---@param is_last? boolean nothing follows: what was held back goes out
---@return string content
---@return string reasoning
function answers.split(s, piece, is_last)
  local out = { content = {}, reasoning = {} }
  local text = s.held .. piece
  repeat
    local state = s.state
    text = steps[state](s, text, out)
  until s.state == state
  s.held = text
  if is_last and has_held(s) then
    local side = s.state == "thinking" and out.reasoning or out.content
    side[#side + 1] = table.concat(s.blanks) .. text
    s.held, s.blanks = "", {}
  end
  return table.concat(out.content), table.concat(out.reasoning)
end

--- Content of a whole answer. One that only closes has its reasoning in front: the template opens the tag itself.
---@param content string
---@return string content
---@return string? reasoning nil: there is none
function answers.split_whole(content)
  local at = content:find(close_tag, 1, true)
  if at and not content:find("^%s*<think>") then content = open_tag .. content end
  local s = answers.splitter()
  local said, reasoning = answers.split(s, content, true)
  if s.state == "saying" and reasoning == "" and not at then return content, nil end
  return said, reasoning
end

local function split_message(message)
  local content = message.content
  if type(content) ~= "string" or not content:find("think>", 1, true) then return end
  local said, reasoning = answers.split_whole(content)
  if reasoning then
    message.content = said
    message.reasoning_content = reasoning
  end
end

local function split_delta(splitters, choice, index)
  local s = splitters[index]
  if not s then
    s = answers.splitter()
    splitters[index] = s
  end
  local delta = choice.delta
  if not is_kind(delta, "object") then
    -- The end may come without a delta; what was held back still goes out.
    if not has_held(s) then return end
    choice.delta = json.object {}
    delta = choice.delta
  end
  local is_last = choice.finish_reason ~= nil and choice.finish_reason ~= json.null
  local piece = type(delta.content) == "string" and delta.content or ""
  if not has_held(s) and (piece == "" or s.state == "saying") then return end
  local said, reasoning = answers.split(s, piece, is_last)
  if said ~= piece then delta.content = said end
  if reasoning ~= "" then delta.reasoning_content = reasoning end
end

--- Split <think>…</think> of an answer, or of one event, into reasoning_content.
---@param body perilune.json.node edited
---@param splitters table empty at first, one for a request
function answers.split_think(body, splitters)
  for choice, index in choices.of(body) do
    if is_kind(choice.message, "object") then
      split_message(choice.message)
    else
      split_delta(splitters, choice, index)
    end
  end
end

--- Put reasoning that a client sends back where the model wants it: <think> in the content, as it was before it was
--- split.
---@param messages perilune.json.node edited
function answers.join_think(messages)
  for i = 1, #messages do
    local message = messages[i]
    if is_kind(message, "object") and message.role == "assistant" then
      local reasoning = message.reasoning_content
      if type(reasoning) == "string" then
        local content = type(message.content) == "string" and message.content or ""
        if reasoning ~= "" and not content:find(close_tag, 1, true) then
          message.content = open_tag .. reasoning .. close_tag .. content
        end
        message.reasoning_content = nil
      end
    end
  end
end

-- ---- The name of the field ----

local other_name = { reasoning = "reasoning_content", reasoning_content = "reasoning" }

--- Call reasoning `name` in one message or delta; providers use either name, some both at once.
---@param said perilune.json.node edited
---@param name "reasoning"|"reasoning_content"
function answers.rename_reasoning(said, name)
  local other = other_name[name]
  local value = said[other]
  if value == nil then return end
  local own = said[name]
  if own == nil or own == json.null or own == "" then said[name] = value end
  said[other] = nil
end

--- The same in an answer, or in one event of it.
---@param body perilune.json.node edited
---@param name "reasoning"|"reasoning_content"
function answers.spell_reasoning(body, name)
  for choice in choices.of(body) do
    for _, place in ipairs { "delta", "message" } do
      local said = choice[place]
      if is_kind(said, "object") then answers.rename_reasoning(said, name) end
    end
  end
end

--- Reasoning of a conversation's earlier turns under the name that models read.
---@param messages perilune.json.node edited
function answers.unspell_reasoning(messages)
  for i = 1, #messages do
    local message = messages[i]
    if is_kind(message, "object") and message.role == "assistant" then
      answers.rename_reasoning(message, "reasoning_content")
    end
  end
end

-- ---- The network's own ----

--- Server-sent events that are between hosts and the network.
answers.internal_events = { devshard_receipt = true, devshard_meta = true }

local network_names = { "logprob", "token_ids" }

--- Could a text hold fields that clients do not get to see? Two plain searches, for most events the only cost.
---@param text string
---@return boolean
function answers.may_hold_internal(text)
  for _, name in ipairs(network_names) do
    if text:find(name, 1, true) then return true end
  end
  return false
end

--- Take out the fields that the network forces on every request, save what the client asked for.
---@param body perilune.json.node edited
---@param asked table { logprobs =, token_ids = }
function answers.strip(body, asked)
  if not asked.logprobs and not asked.token_ids then return gateway.strip(body) end
  local gone = {}
  for name, value in pairs(body) do
    local is_ids = name == "token_ids" or name == "prompt_token_ids"
    if gateway.internal[name] and not (is_ids and asked.token_ids) and not (not is_ids and asked.logprobs) then
      gone[#gone + 1] = name
    elseif is_kind(value, "object") or is_kind(value, "array") then
      answers.strip(value, asked)
    end
  end
  for _, name in ipairs(gone) do body[name] = nil end
end

--- Have the provider tell usage in its stream. What else the client's stream_options say stays.
---@param body perilune.json.node edited
function answers.ask_usage(body)
  local options = body.stream_options
  if is_kind(options, "object") then
    options.include_usage = true
  else
    body.stream_options = { include_usage = true }
  end
end

--- Take usage out of an event, for clients who did not ask: then no event has the member, not even null.
---@param body perilune.json.node edited
---@return boolean is_only nothing is left to tell
function answers.strip_usage(body)
  local usage, list = body.usage, body.choices
  if usage == nil then return false end
  if is_kind(usage, "object") and (list == nil or is_kind(list, "array") and #list == 0) then return true end
  body.usage = nil
  return false
end

return answers
