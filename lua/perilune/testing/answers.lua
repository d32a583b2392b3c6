--- answers: what a scripted provider does with one request, as a list of steps for the test bed.
-- A step is { head = status, headers = list }, { bytes = text }, { wait = ms }, { finish = true } or { cut = true }; a
-- list that ends with neither of the last two leaves the router waiting: that is a stall.
local json = require("perilune").json
local dialect = require "perilune.dialect"
local check_options = require "perilune.testing.options"
local values = require "perilune.testing.values"

local answers = {}

local CREATED = 1767225600 -- when every test begins

local Answer = {}
Answer.__index = Answer

local function new(says, fields)
  fields.says = says
  return setmetatable(fields, Answer)
end

--- Whether a value was made here.
function answers.is(value) return getmetatable(value) == Answer end

-- One request a connection: so that the next one is dialed, and may find nobody.
local function head(status, kind, extra)
  local headers = { { name = "content-type", value = kind }, { name = "connection", value = "close" } }
  local names = {}
  for name in pairs(extra or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    if name:lower() == "content-type" then
      headers[1].value = tostring(extra[name])
    else
      headers[#headers + 1] = { name = name, value = tostring(extra[name]) }
    end
  end
  return { head = status, headers = headers }
end

local function event(value) return { bytes = dialect.event(json.encode(value)) } end

local function chunk(choice, options)
  local value = { id = "chatcmpl-test", object = "chat.completion.chunk", created = CREATED,
    model = options.model or "test-model", choices = json.array { choice } }
  return event(value)
end

local function delta(fields) return { index = 0, delta = json.object(fields), finish_reason = json.null } end

local function tool_calls(list, is_stream)
  local calls = json.array {}
  for i, call in ipairs(list) do
    local made = { id = call.id or ("call_" .. i), type = "function" }
    made["function"] = { name = call.name, arguments = call.arguments or "{}" }
    if is_stream then made.index = i - 1 end
    calls[i] = made
  end
  return calls
end

local function finish_reason(options)
  return options.finish_reason or options.tool_calls and "tool_calls" or "stop"
end

local answer_options = { headers = "table", wait = "milliseconds", usage = "table", finish_reason = "string",
  tool_calls = "table", reasoning = "string", model = "string" }

local function whole_steps(text, options)
  local message = { role = "assistant", content = text or json.null, reasoning_content = options.reasoning }
  if options.tool_calls then message.tool_calls = tool_calls(options.tool_calls) end
  local value = { id = "chatcmpl-test", object = "chat.completion", created = CREATED,
    model = options.model or "test-model", usage = options.usage,
    choices = json.array { { index = 0, message = message, finish_reason = finish_reason(options) } } }
  return { { wait = options.wait or 0 }, head(200, "application/json", options.headers),
    { bytes = json.encode(value) }, { finish = true } }
end

local function add_piece(steps, piece, options)
  if type(piece) == "string" then
    steps[#steps + 1] = chunk(delta { content = piece }, options)
  elseif type(piece) == "number" then
    steps[#steps + 1] = { wait = piece }
  elseif answers.is(piece) then
    steps[#steps + 1] = piece.piece
    return piece.ends_stream
  else
    steps[#steps + 1] = chunk(delta(piece), options)
  end
end

local function stream_steps(pieces, options)
  local steps = { { wait = options.wait or 0 }, head(200, "text/event-stream", options.headers) }
  steps[3] = chunk(delta { role = "assistant", content = "" }, options)
  if options.reasoning then steps[4] = chunk(delta { reasoning_content = options.reasoning }, options) end
  for _, piece in ipairs(pieces) do
    if add_piece(steps, piece, options) then return steps end
  end
  if options.tool_calls then
    steps[#steps + 1] = chunk(delta { tool_calls = tool_calls(options.tool_calls, true) }, options)
  end
  local last = delta {}
  last.finish_reason = finish_reason(options)
  steps[#steps + 1] = chunk(last, options)
  if options.usage then
    steps[#steps + 1] = event { id = "chatcmpl-test", object = "chat.completion.chunk", created = CREATED,
      model = options.model or "test-model", choices = json.array {}, usage = options.usage }
  end
  steps[#steps + 1] = { bytes = dialect.event(dialect.done) }
  steps[#steps + 1] = { finish = true }
  return steps
end

local function words(text)
  local list = {}
  for word in text:gmatch "%s*%S+" do list[#list + 1] = word end
  return list
end

--- A complete answer, streamed word by word when the request asks for a stream.
function answers.chat(text, options)
  options = check_options("testing.chat", options, answer_options)
  return new("answers " .. values.spell(text or ""), { steps = function(request)
    if request.json and request.json.stream == true then return stream_steps(words(text or ""), options) end
    return whole_steps(text, options)
  end })
end

--- A stream: text is one event of content, a number a wait in milliseconds, a table a delta; `cut`, `stall`,
--- `error_frame` and `frame` do what they say at their place.
function answers.stream(pieces, options)
  options = check_options("testing.stream", options, answer_options)
  for i, piece in ipairs(pieces) do
    if answers.is(piece) and not piece.piece then
      error(("testing.stream: piece %d %s, which is a whole answer of its own"):format(i, piece.says), 2)
    end
  end
  return new("streams", { steps = function() return stream_steps(pieces, options) end })
end

local status_options = { headers = "table", wait = "milliseconds", body = "any" }

--- A status, with an error of the OpenAI shape unless `body` (text, or a table for JSON) is given.
function answers.status(status, options)
  options = check_options("testing.status", options, status_options)
  if math.type(status) ~= "integer" or status < 200 or status > 599 then
    error("testing.status takes a status from 200 to 599, got " .. tostring(status), 2)
  end
  local body = options.body or dialect.error("scripted status " .. status, "scripted")
  if type(body) == "table" then body = json.encode(body) end
  return new("answers " .. status, { steps = function()
    return { { wait = options.wait or 0 }, head(status, "application/json", options.headers), { bytes = body },
      { finish = true } }
  end })
end

--- Nothing comes any more: no answer at all, or in a stream from here on.
function answers.stall() return new("stalls", { steps = function() return {} end, piece = {}, ends_stream = true }) end

--- The connection closes: without an answer, or in a stream at this place.
function answers.cut()
  return new("cuts the connection", { steps = function() return { { cut = true } } end, piece = { cut = true },
    ends_stream = true })
end

--- Nobody listens: the connection is refused.
function answers.refuse() return new("refuses the connection", { refuses = true }) end

--- In a stream: an event that says an error.
function answers.error_frame(message, fields)
  local told = { message = message, type = "server_error", param = json.null, code = json.null }
  for name, value in pairs(fields or {}) do told[name] = value end
  return new("says an error", { piece = event { error = told } })
end

--- In a stream: bytes as they are, such as ": comment\n\n".
function answers.frame(bytes) return new("sends bytes", { piece = { bytes = bytes } }) end

return answers
