--- provider: an OpenAI-compatible provider whose every byte, pause and fault the spec decides about.
-- It lives in the spec's own process (see loop), so a spec sees at once what it was asked and when it was left.
--
--   local p = provider.start()
--   p:answer(provider.chat "Hello")                 -- every request from now on
--   p:next(provider.status(429, nil, { ["retry-after"] = "1" }))   -- only the next one, may be queued
--
-- A behaviour is a function (connection, request); the helpers here make the usual ones.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local raw = require "spec.support.raw"
local socket = require "socket"

local provider = {}
local Provider = {}
Provider.__index = Provider

local null = cjson.null

-- --- behaviours ---

local function head(status, headers, length)
  local lines = { ("HTTP/1.1 %d Simulated\r\n"):format(status) }
  for name, value in pairs(headers) do lines[#lines + 1] = ("%s: %s\r\n"):format(name, value) end
  lines[#lines + 1] = length and ("content-length: %d\r\n\r\n"):format(length) or "transfer-encoding: chunked\r\n\r\n"
  return table.concat(lines)
end

--- A whole answer of any kind.
function provider.reply(status, body, headers)
  headers = headers or {}
  headers["content-type"] = headers["content-type"] or "application/json"
  return function(c) c:send(head(status, headers, #body) .. body) end
end

--- An error of that status in OpenAI's shape.
function provider.status(status, message, headers)
  return provider.reply(status, cjson.encode {
    error = { message = message or ("simulated %d"):format(status), type = "simulated", param = null, code = null },
  }, headers)
end

provider.usage = { prompt_tokens = 5, completion_tokens = 2, total_tokens = 7 }

--- A whole completion.
function provider.completion(text, extra)
  local body = {
    id = "chatcmpl-1", object = "chat.completion", created = 1, model = "simulated",
    choices = { {
      index = 0, finish_reason = "stop", message = { role = "assistant", content = text, refusal = null },
    } },
    usage = provider.usage,
  }
  for name, value in pairs(extra or {}) do body[name] = value end
  return cjson.encode(body)
end

-- lua-cjson writes an empty table as {}: right for a delta without members, wrong for a list of choices.
local function chunk(choices, usage)
  local text = cjson.encode {
    id = "chatcmpl-1", object = "chat.completion.chunk", created = 1, model = "simulated", choices = choices,
    usage = usage or null,
  }
  return "data: " .. text:gsub('"choices":{}', '"choices":[]') .. "\n\n"
end

--- Frames of a stream, ready to be sent.
provider.frames = {
  role = chunk { { index = 0, delta = { role = "assistant", content = "" }, finish_reason = null } },
  done = "data: [DONE]\n\n",
  usage = chunk({}, provider.usage),
}
function provider.frames.token(text)
  return chunk { { index = 0, delta = { content = text }, finish_reason = null } }
end
function provider.frames.delta(delta)
  return chunk { { index = 0, delta = delta, finish_reason = null } }
end
function provider.frames.finish(reason)
  return chunk { { index = 0, delta = {}, finish_reason = reason or "stop" } }
end

--- All frames of a stream that says `tokens` and ends well.
function provider.stream_text(tokens, options)
  local f, parts = provider.frames, { provider.frames.role }
  for _, token in ipairs(tokens) do parts[#parts + 1] = f.token(token) end
  parts[#parts + 1] = f.finish()
  if options and options.usage then parts[#parts + 1] = f.usage end
  parts[#parts + 1] = f.done
  return table.concat(parts)
end

--- A stream: `script` is a list of texts to send and functions to call with (connection, request) in between.
--   The stream ends well unless a function ended the connection.
function provider.stream(script, headers)
  headers = headers or {}
  headers["content-type"] = headers["content-type"] or "text/event-stream; charset=utf-8"
  return function(c, request)
    c:send(head(200, headers))
    for _, step in ipairs(script) do
      if not c.is_open then return end
      if type(step) == "string" then
        c:send(("%x\r\n%s\r\n"):format(#step, step))
      else
        step(c, request)
      end
    end
    c:send "0\r\n\r\n"
  end
end

--- A stream of tokens that ends well.
function provider.tokens(tokens, options) return provider.stream { provider.stream_text(tokens, options) } end

--- Streamed or not, as the request asks.
function provider.chat(text, extra)
  return function(c, request)
    local streamed = request.json and request.json.stream == true
    local options = streamed and request.json.stream_options
    local wants_usage = options and options ~= null and options.include_usage
    if streamed then
      local tokens = {}
      for token in text:gmatch "%S+%s*" do tokens[#tokens + 1] = token end
      provider.tokens(tokens, { usage = wants_usage })(c, request)
    else
      provider.reply(200, provider.completion(text, extra))(c, request)
    end
  end
end

-- The other side left while a behaviour was at work: counted, and closed here, too.
local function leave(c)
  if not c.is_open then return end
  c.provider.left = c.provider.left + 1
  c:close()
end

--- Steps for scripts, and behaviours too.
function provider.cut(c) c:close() end         -- closes between frames: a clean end of TCP, not of the body
function provider.reset(c) c:reset() end       -- the connection is reset
function provider.stall(c)                     -- silence until the other side leaves
  while c:more() do end
  leave(c)
end

--- Silence until `release.now` is set or the other side leaves.
function provider.hold(release)
  return function(c)
    loop.await("a held provider to be released", function() return release.now or c:has_left() end, 120)
    if c.is_ended then leave(c) end
  end
end

-- --- the server ---

local function take_request(c)
  local request = c:take_head()
  if not request then return nil end
  local body, is_whole = c:take_body(request)
  if not is_whole then return nil end
  request.body = body
  local ok, json = pcall(cjson.decode, body)
  request.json = ok and json or nil
  return request
end

local function serve(self, sock)
  local c = raw.wrap(sock)
  c.provider = self
  self.open = self.open + 1
  self.connections = self.connections + 1
  if self.refuses then c:reset() end
  while c.is_open do
    local request = take_request(c)
    if not request then break end
    request.at = socket.gettime()
    self.requests[#self.requests + 1] = request
    self.busy = self.busy + 1
    self.most_busy = math.max(self.most_busy, self.busy)
    local behaviour = table.remove(self.queue, 1) or self.behaviour
    local ok, why = xpcall(behaviour, debug.traceback, c, request)
    self.busy = self.busy - 1
    if not ok then
      c:close()
      self.open = self.open - 1
      error(why, 0)
    end
  end
  c:close()
  self.open = self.open - 1
end

--- Listen on a port of the system's choice.
function provider.start(behaviour)
  local listener = assert(socket.bind("127.0.0.1", 0, 512))
  listener:settimeout(0)
  local _, port = listener:getsockname()
  local self = setmetatable({
    listener = listener,
    port = tonumber(port),
    url = ("http://127.0.0.1:%d/v1"):format(port),
    behaviour = behaviour or provider.chat "Hello there.",
    queue = {},
    requests = {},   -- in the order they came: method, target, headers, body, json
    connections = 0, -- ever accepted
    open = 0,        -- open now
    busy = 0, most_busy = 0,
    left = 0,        -- connections left by the router while a behaviour was at work
  }, Provider)
  loop.spawn(function()
    while self.listener do
      loop.wait_readable(listener)
      local sock = self.listener and listener:accept()
      if sock then loop.spawn(serve, self, sock) end
    end
  end)
  return self
end

function Provider:answer(behaviour) self.behaviour = behaviour end

--- Behave so for the next requests, one behaviour each.
function Provider:next(...)
  for _, behaviour in ipairs { ... } do self.queue[#self.queue + 1] = behaviour end
end

--- Forget what was asked so far.
function Provider:forget()
  self.requests, self.left, self.most_busy, self.connections = {}, 0, self.busy, self.open
end

function Provider:stop()
  if self.listener then
    local listener = self.listener
    self.listener = nil
    listener:close()
    loop.wake(listener)
  end
end

--- A port on which nobody listens.
function provider.dead_url()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return ("http://127.0.0.1:%d/v1"):format(port)
end

return provider
