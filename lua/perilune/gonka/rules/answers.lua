--- answers: how the network's gateway reads and rewrites what a host sends, event by event.
-- Used to recognise what an answer is worth, and to check ourselves against recorded outcomes. What a client should get
-- is the business of perilune.gonka.answers.
local json = require("perilune").json
local dialect = require "perilune.dialect"
local kinds = require "perilune.kinds"

local is_kind = kinds.is

local answers = {}

local null = json.null

--- Calls `each(payload)` for the data of every line that has some. A space after the colon is optional.
local function each_data(text, each)
  for line in text:gmatch "[^\n]*" do
    local data = line:gsub("\r$", ""):match "^data:%s*(.-)%s*$"
    if data and data ~= "" then each(data) end
  end
end

-- ---- What an event is worth ----

local function is_text_or_none(value)
  return value == nil or value == null or type(value) == "string"
end

--- The gateway decodes into typed fields: one of a wrong type voids the whole event.
local function is_well_typed(event)
  local usage = event.usage
  if is_kind(usage, "object") then
    local tokens = usage.completion_tokens
    if tokens ~= nil and tokens ~= null and math.type(tokens) ~= "integer" then return false end
  end
  local choices = event.choices
  if choices ~= nil and choices ~= null and not is_kind(choices, "array") then return false end
  for i = 1, is_kind(choices, "array") and #choices or 0 do
    local choice = choices[i]
    if not is_kind(choice, "object") or not is_text_or_none(choice.finish_reason) then return false end
    for _, place in ipairs { "delta", "message" } do
      local said = choice[place]
      if is_kind(said, "object") then
        for _, field in ipairs { "content", "reasoning", "reasoning_content" } do
          if not is_text_or_none(said[field]) then return false end
        end
      end
    end
  end
  return true
end

local function has_text(value)
  return type(value) == "string" and value ~= ""
end

local function said_source(said, place)
  if not is_kind(said, "object") then return nil end
  for _, field in ipairs { "content", "reasoning", "reasoning_content" } do
    if has_text(said[field]) then return place .. "." .. field end
  end
  if is_kind(said.tool_calls, "array") and #said.tool_calls > 0 then return place .. ".tool_calls" end
end

local function content_source(event, tokens)
  local choices = event.choices
  for i = 1, is_kind(choices, "array") and #choices or 0 do
    local choice = choices[i]
    local source = said_source(choice.delta, "delta") or said_source(choice.message, "message")
    if source then return source end
    if choice.finish_reason == "stop" and tokens and tokens > 0 then
      return "message.empty_stop_completion_tokens"
    end
  end
end

local function error_of(event)
  local err = event.error
  if is_kind(err, "object") then return err end
  if event.object == "error" and has_text(event.message) then return event end
end

--- Limits named in a host's complaint about the context.
---@param message string
---@return integer limit 0: it is about something else
---@return integer requested
function answers.context_limit(message)
  local limit = message:match "maximum context length is (%d+)"
  local requested = message:match "total of at least (%d+) tokens"
  return math.tointeger(limit) or 0, limit and math.tointeger(requested) or 0
end

--- Messages that another host may not repeat: it has another context length, or another parser.
---@param message string
---@return boolean
function answers.is_capability(message)
  return message:find("maximum context length is %d+") ~= nil
    or message:find("tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set", 1, true) ~= nil
end

local function status_of(code, kind)
  local number = math.tointeger(tonumber(code))
  if number and number >= 400 and number <= 599 then return number end
  return type(kind) == "string" and kind:lower():find("badrequest", 1, true) and 400 or 502
end

local function describe_error(found, err)
  local code = err.code
  if code == nil or code == null then code = "" end
  found.error = true
  found.error_code = type(code) == "string" and code or json.encode(code)
  found.error_message = type(err.message) == "string" and err.message or ""
  found.error_source = has_text(err.type) and "error." .. err.type or "error"
  found.retriable_capability = answers.is_capability(found.error_message)
  found.status_nonstream = status_of(found.error_code, err.type)
end

--- What bytes of a stream hold: content that lets an attempt win, or a host's error.
---@param text string
---@return table
function answers.classify(text)
  local found = { content = false, content_source = "", error = false, error_source = "" }
  each_data(text, function(data)
    local event = data ~= dialect.done and json.document(data) or nil
    if not is_kind(event, "object") or not is_well_typed(event) then return end
    local tokens = is_kind(event.usage, "object") and event.usage.completion_tokens or nil
    if math.type(tokens) == "integer" and tokens > 0 then found.completion_tokens = tokens end
    local err = error_of(event)
    if err and not found.error then describe_error(found, err) end
    local source = content_source(event, math.type(tokens) == "integer" and tokens or nil)
    if source and not found.content then found.content, found.content_source = true, source end
  end)
  return found
end

-- ---- What clients do not get to see ----

answers.internal = { logprob = true, logprobs = true, top_logprobs = true, token_ids = true,
  prompt_token_ids = true, prompt_logprobs = true }

--- Take the network's own fields out, wherever they are.
---@param node perilune.json.node edited
---@return boolean changed
function answers.strip(node)
  local changed, gone = false, {}
  for name, value in pairs(node) do
    if answers.internal[name] then
      gone[#gone + 1] = name
    elseif type(value) == "userdata" and value ~= null then
      changed = answers.strip(value) or changed
    end
  end
  for _, name in ipairs(gone) do node[name] = nil end
  return changed or #gone > 0
end

local function chunk_of(whole, choices)
  local chunk = json.object { object = "chat.completion.chunk", choices = choices }
  for _, name in ipairs { "created", "id", "model", "system_fingerprint" } do chunk[name] = whole[name] end
  return chunk
end

local function choice_of(choice, delta, reason)
  return json.object { index = choice.index, delta = json.object(delta), finish_reason = reason or null }
end

local function texts_of(choice)
  local logprobs = choice.logprobs
  local tokens = is_kind(logprobs, "object") and logprobs.content
  local texts = {}
  for i = 1, is_kind(tokens, "array") and #tokens or 0 do texts[i] = tokens[i].token end
  return texts
end

--- A whole completion told in chunks, the way the gateway does: calls and reasoning are lost.
local function chunks_of(whole)
  local choice = whole.choices[1]
  local out = { chunk_of(whole, json.array { choice_of(choice, { role = "assistant" }) }) }
  local texts = texts_of(choice)
  local reason = choice.finish_reason
  if #texts == 0 then
    out[#out + 1] = chunk_of(whole, json.array { choice_of(choice, { content = choice.message.content }) })
    local last = choice_of(choice, {}, reason)
    last.stop_reason = choice.stop_reason
    out[#out + 1] = chunk_of(whole, json.array { last })
  end
  for i, text in ipairs(texts) do
    out[#out + 1] = chunk_of(whole, json.array { choice_of(choice, { content = text }, i == #texts and reason or nil) })
  end
  if whole.usage ~= nil then
    local usage = chunk_of(whole, json.array {})
    usage.usage = whole.usage
    out[#out + 1] = usage
  end
  return out
end

local function is_whole_answer(event)
  local choice = is_kind(event.choices, "array") and event.choices[1]
  return is_kind(choice, "object") and is_kind(choice.message, "object") and has_text(choice.message.content)
end

--- Rewrite one write of a stream. Events that need nothing keep their bytes.
---@param text string
---@return string
function answers.rewrite(text)
  return (text:gsub("([^\n]*)\n\n", function(line)
    local data = line:match "^data:%s*(.*)$"
    local event = data and data ~= dialect.done and json.document(data) or nil
    if not is_kind(event, "object") then return nil end
    if is_whole_answer(event) then
      local out = {}
      for i, chunk in ipairs(chunks_of(event)) do out[i] = dialect.event(json.encode(chunk)) end
      return table.concat(out)
    end
    if not answers.strip(event) then return nil end
    return dialect.event(json.encode(json.table(event)))
  end))
end

--- The answer to a request that was not streamed: the last data of what the host sent.
---@param text string
---@return string
function answers.assemble(text)
  local last
  each_data(text, function(data)
    if data ~= dialect.done then last = data end
  end)
  return last or '{"error":{"message":"no response data"}}'
end

-- ---- The gateway's cache ----

-- Errors that may be gone the next time.
answers.passing = { "timeout", "timed out", "rate limit", "overloaded", "unsupported model", "context length",
  "does not exist", "enable-auto-tool-choice", "unavailable", "try again" }

local function is_deterministic(message)
  message = message:lower()
  for _, words in ipairs(answers.passing) do
    if message:find(words, 1, true) then return false end
  end
  return message ~= ""
end

--- Would the gateway give the same answer to the same request for an hour?
---@param status integer
---@param text string
---@return boolean
function answers.is_cached(status, text)
  if text == "" or (status ~= 400 and (status < 200 or status > 299)) then return false end
  if status ~= 400 then return true end
  local doc = json.document(text)
  local err = is_kind(doc, "object") and error_of(doc)
  return err and type(err.message) == "string" and is_deterministic(err.message) or false
end

return answers
