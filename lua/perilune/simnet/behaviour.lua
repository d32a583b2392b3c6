--- How a simulated provider behaves: defaults, a queue of behaviours for the requests to come, and what one request
-- asks for itself.
--
-- A behaviour is a flat table; as text it is what stands in the header `x-sim` or in the body's member `x_sim`:
-- `delay_ms=100;status=429;retry_after=2`. A name alone means true. Later sources win: the defaults, then the next of
-- the queue (or the first rule that matches), then the body, then the header.
local behaviour = {}

--- Every name there is, with what it does. Times are milliseconds; `…_after = n` happens when n tokens were sent.
behaviour.names = {
  delay_ms = "wait before the answer's head",
  first_token_ms = "wait between the head and the first token",
  token_ms = "wait between tokens",
  tokens = "completion tokens to produce, 8",
  reasoning = "reasoning tokens before them, 0",
  text = "the answer's text instead of made-up words",
  echo = "answer with the last user message",
  no_tools = "answer with text although tools are offered",
  finish_reason = "instead of stop, length or tool_calls",
  model = "the model named in the answer",
  no_usage = "leave usage out",
  cached_tokens = "prompt tokens that count as cached",
  status = "answer with this HTTP status and an error",
  message = "the error's text",
  code = "the error's code",
  type = "the error's type",
  retry_after = "the header retry-after, as it stands",
  retry_after_ms = "the header retry-after-ms",
  html = "answer with an HTML page (status 502 unless said otherwise)",
  empty = "an empty body",
  garbage = "status 200 and a body that is neither JSON nor events, under the type of what was asked for",
  refuse = "close the connection without an answer",
  hang = "never answer",
  stall_after = "stop sending, keep the connection",
  cut_after = "close the connection",
  reset_after = "reset the connection",
  eof_after = "end the answer cleanly, as if it were complete",
  broken_json_after = "send a frame that is not JSON, then go on",
  error_frame_after = "send an error frame and end",
  first_error_frame = "status 200, then an error frame before any token",
  no_done = "leave the end event out",
  no_finish = "leave the finish reason and the end event out",
  no_role = "leave the role-only first frame out",
  comments = "a comment before every frame",
  crlf = "lines end with CRLF",
  bytes = "write this many bytes at a time",
  devshard = "a stream begins with a devshard_receipt and ends, behind the end event, with a devshard_meta",
  restart_after = "say devshard_stream_reset, and begin the stream again",
  fail_times = "`status` for this many requests only, then as usual",
}

-- What a value must be; those that are not here are true or false.
local KINDS = {
  delay_ms = "ms", first_token_ms = "ms", token_ms = "ms", retry_after_ms = "ms",
  tokens = "count", reasoning = "count", cached_tokens = "count", bytes = "positive", fail_times = "positive",
  status = "status", text = "text", finish_reason = "text", model = "text", message = "text", code = "text",
  type = "text", retry_after = "text",
  stall_after = "after", cut_after = "after", reset_after = "after", eof_after = "after", broken_json_after = "after",
  error_frame_after = "after", restart_after = "after",
}

local function is_count(value, least, most)
  local n = math.tointeger(value)
  return n ~= nil and n >= least and n <= (most or n)
end

local MATCHES = {
  ms = { "milliseconds, 0 or more", function(v) return type(v) == "number" and v >= 0 and v < math.huge end },
  count = { "an integer, 0 or more", function(v) return is_count(v, 0) end },
  positive = { "an integer, 1 or more", function(v) return is_count(v, 1) end },
  status = { "an HTTP status from 200 to 599", function(v) return is_count(v, 200, 599) end },
  after = { "so many tokens, 0 or more", function(v) return v == true or is_count(v, 0) end },
  text = { "a text", function(v) return type(v) ~= "table" and v ~= true end },
  flag = { "true or false", function(v) return type(v) == "boolean" end },
}

--- What is expected of a behaviour's value, in words.
---@param name string
---@return string
function behaviour.expected(name) return MATCHES[KINDS[name] or "flag"][1] end

local function scalar(text)
  if text == "true" then return true end
  if text == "false" then return false end
  return math.tointeger(tonumber(text)) or tonumber(text) or text
end

local function check(name, value)
  if not behaviour.names[name] then return nil, "unknown behaviour '" .. tostring(name) .. "'" end
  if MATCHES[KINDS[name] or "flag"][2](value) then return true end
  return nil, ("behaviour '%s' takes %s, got '%s'"):format(name, behaviour.expected(name), tostring(value))
end

--- Read the text form.
---@param text string
---@return table? values
---@return string? why
function behaviour.parse(text)
  local values = {}
  for part in text:gmatch("[^;]+") do
    local name, value = part:match("^%s*([%w_]+)%s*=%s*(.-)%s*$")
    name = name or part:match("^%s*([%w_]+)%s*$")
    values[name or part] = value == nil or scalar(value)
    local ok, why = check(name or part, values[name or part])
    if not ok then return nil, why end
  end
  return values
end

--- A table is checked, a text is read.
---@param value table|string|nil
---@return table? values
---@return string? why
function behaviour.read(value)
  if value == nil then return {} end
  if type(value) == "string" then return behaviour.parse(value) end
  if type(value) ~= "table" then return nil, "a behaviour is a table or a text" end
  for name, one in pairs(value) do
    local ok, why = check(name, one)
    if not ok then return nil, why end
  end
  return value
end

local function matches(rule, request)
  for name, wanted in pairs(rule.match) do
    if request[name] ~= wanted then return false end
  end
  return true
end

local function overlay(into, values)
  for name, value in pairs(values or {}) do into[name] = value end
  return into
end

local script = {}
script.__index = script

--- What a provider goes by: `default`, `queue` (one behaviour per request, in order) and `rules`
--- ({ match = { model = "m", path = "/v1/models" }, behaviour }).
---@param options table|nil
---@return table? script
---@return string? why
function behaviour.script(options)
  options = options or {}
  local made = setmetatable({ default = {}, queue = {}, rules = {}, failed = 0 }, script)
  local why
  made.default, why = behaviour.read(options.default)
  if not made.default then return nil, why end
  for i, value in ipairs(options.queue or {}) do
    made.queue[i], why = behaviour.read(value)
    if not made.queue[i] then return nil, why end
  end
  for i, rule in ipairs(options.rules or {}) do
    local values
    values, why = behaviour.read(rule.behaviour or rule[1])
    if not values then return nil, why end
    made.rules[i] = { match = rule.match or {}, behaviour = values }
  end
  return made
end

--- The behaviour for one request; takes the queue's next.
---@param request { model: string?, path: string }
---@param asked table[] what the request itself asks for, the last wins
---@return table
function script:next(request, asked)
  local values = overlay({}, self.default)
  if self.queue[1] then
    overlay(values, table.remove(self.queue, 1))
  else
    for _, rule in ipairs(self.rules) do
      if matches(rule, request) then
        overlay(values, rule.behaviour)
        break
      end
    end
  end
  for _, own in ipairs(asked) do overlay(values, own) end
  if values.fail_times then
    self.failed = self.failed + 1
    if self.failed > values.fail_times then values.status = nil end
  end
  return values
end

return behaviour
