--- A simulated OpenAI-compatible provider: right when nothing is asked of it, wrong in exactly the way a script asks.
--
--     local provider = require "perilune.simnet.provider"
--     local p = provider.start { models = { "m1" }, script = { queue = { "status=429;retry_after=1" } } }
--     print(p.url)       -- http://127.0.0.1:40123/v1
--
-- Requests are answered on /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/models. A test looks and
-- steers through /sim: GET /sim/ledger, DELETE /sim/ledger, POST /sim/script, GET /sim/state, POST /sim/quit.
local peri = require "perilune"
local behaviour = require "perilune.simnet.behaviour"
local completion = require "perilune.simnet.completion"
local dialect = require "perilune.dialect"
local ledger = require "perilune.simnet.ledger"
local machine = require "perilune.simnet.machine"
local text = require "perilune.simnet.text"

local json = peri.json
local provider = {}
local methods = {}
methods.__index = methods

local FOREVER_MS = 86400000
local JSON = { ["content-type"] = "application/json" }
local EVENTS = { ["content-type"] = "text/event-stream; charset=utf-8", ["cache-control"] = "no-cache" }
local DIMENSIONS = 8
local RECEIPT = json.encode { devshard_receipt = {
  state_sig = "AA==", state_hash = "AA==", nonce = 7, receipt = "AA==", confirmed_at = 1,
} }
local GARBAGE = "\1\2{[<!-- neither -->\255\n\n\0data? no: nothing\n\n"

-- Answers.

local function error_body(message, kind, code, param)
  return json.encode(dialect.error(message, kind, code, param))
end

local function refuse(call, status, message, code, param)
  call.entry.status = status
  call.x:reply(status, JSON, call.speaker.error(message, "invalid_request_error", code, param))
  call.ledger:finish(call.entry, "error")
end

local ERROR_KINDS = {
  [400] = "invalid_request_error", [401] = "authentication_error", [403] = "permission_error",
  [404] = "invalid_request_error", [408] = "timeout_error", [429] = "rate_limit_error",
}

--- The status that a script asked for.
local function fail(call)
  local b = call.b
  local headers = { ["content-type"] = "application/json" }
  if b.retry_after then headers["retry-after"] = tostring(b.retry_after) end
  if b.retry_after_ms then headers["retry-after-ms"] = tostring(b.retry_after_ms) end
  local kind = b.type or ERROR_KINDS[b.status] or "server_error"
  local body = call.speaker.error(b.message or "simulated failure", kind, b.code)
  if b.html then
    headers["content-type"] = "text/html"
    body = "<html><body><h1>" .. b.status .. " simulated</h1></body></html>"
  end
  call.entry.status = b.status
  call.x:reply(b.status, headers, b.empty and "" or body)
  call.ledger:finish(call.entry, "error")
end

--- Write, in small pieces if asked. Gives false once the client has left.
local function emit(call, bytes)
  local size = math.tointeger(call.b.bytes) or #bytes
  for from = 1, #bytes, math.max(1, size) do
    if not call.x:write(bytes:sub(from, from + math.max(1, size) - 1)) then return false end
  end
  return true
end

local function frame(call, data)
  local eol = call.b.crlf and "\r\n" or "\n"
  local comment = call.b.comments and (": keepalive" .. eol .. eol) or ""
  return emit(call, comment .. "data: " .. data .. eol .. eol)
end

local function is_due(value, tokens) return value and tokens >= (tonumber(value) or 0) end

--- What a script wants to happen at this point of the answer. Gives true when that was the answer's end.
local function strike(call)
  local x, b, entry, tokens = call.x, call.b, call.entry, call.entry.tokens
  if is_due(b.stall_after, tokens) then
    x:flush()
    entry.stalled_ms = call.ledger.now_ms()
    while x:wait(FOREVER_MS) do end
    return true
  elseif is_due(b.cut_after, tokens) then
    x:cut()
    call.ledger:finish(entry, "cut")
    return true
  elseif is_due(b.reset_after, tokens) then
    x:flush()
    x:cut { reset = true }
    call.ledger:finish(entry, "reset")
    return true
  elseif is_due(b.eof_after, tokens) then
    x:finish()
    call.ledger:finish(entry, "eof")
    return true
  elseif is_due(b.error_frame_after, tokens) then
    frame(call, error_body(b.message or "simulated failure", b.type or "server_error", b.code))
    x:finish()
    call.ledger:finish(entry, "error")
    return true
  elseif is_due(b.broken_json_after, tokens) and not call.has_broken then
    call.has_broken = true
    frame(call, '{"id":"' .. call.completion.id .. '","choices":[{"delta":{"content":"bro')
  end
  return false
end

local function wait(call, ms) return not ms or ms <= 0 or call.x:wait(ms) end

local function send_role(call, wants_usage)
  if call.completion.kind ~= "chat" or call.b.no_role then return true end
  return frame(call, call.completion:chunk({ role = "assistant", content = "" }, wants_usage))
end

local function send_tokens(call, wants_usage)
  local b, c = call.b, call.completion
  for i, step in ipairs(c.deltas) do
    if strike(call) then return false end
    if is_due(b.restart_after, call.entry.tokens) and not call.has_restarted then
      call.has_restarted, call.entry.tokens = true, 0
      return frame(call, '{"devshard_stream_reset":true}') and send_role(call, wants_usage)
        and send_tokens(call, wants_usage)
    end
    if not wait(call, i == 1 and b.first_token_ms or i > 1 and b.token_ms) then return false end
    if not frame(call, c:chunk(step.delta, wants_usage)) then return false end
    call.entry.tokens = call.entry.tokens + step.tokens
    call.entry.first_token_ms = call.entry.first_token_ms or call.ledger.now_ms()
  end
  return not strike(call)
end

local function stream(call, body)
  local x, b, c = call.x, call.b, call.completion
  local options = type(body.stream_options) == "table" and body.stream_options or {}
  local wants_usage = options.include_usage == true and c.usage ~= nil
  call.entry.status = 200
  x:start(200, EVENTS)
  x:flush()
  if b.first_error_frame then
    b.error_frame_after = 0
    strike(call)
    return
  end
  if b.devshard and not frame(call, RECEIPT) then return end
  if not send_role(call, wants_usage) then return end
  if not send_tokens(call, wants_usage) then return end
  if not b.no_finish then
    if not frame(call, c:chunk(nil, wants_usage)) then return end
    if wants_usage and not frame(call, c:usage_chunk()) then return end
    if not b.no_done and not frame(call, dialect.done) then return end
    if b.devshard and not frame(call, '{"devshard_meta":{"mempool":["AAAA"]}}') then return end
  end
  if x:finish() then call.ledger:finish(call.entry, "done") end
end

--- Unstreamed, a fault happens in the middle of the body.
local function reply_whole(call, body)
  local x, b = call.x, call.b
  local has_fault = b.stall_after or b.cut_after or b.reset_after
  call.entry.status = 200
  if b.broken_json_after then body = body:sub(1, #body // 2) end
  if has_fault then
    x:start(200, JSON, #body)
    if emit(call, body:sub(1, #body // 2)) then
      call.entry.tokens = math.maxinteger -- every `…_after` is due
      strike(call)
      call.entry.tokens = 0
    end
    return
  end
  x:reply(200, JSON, b.empty and "" or body)
  call.entry.tokens = call.completion and #call.completion.deltas or 0
  call.ledger:finish(call.entry, "done")
end

-- Requests.

local function check_key(self, call)
  if not self.key or call.x:header("authorization") == "Bearer " .. self.key then return true end
  refuse(call, 401, "Incorrect API key provided.", "invalid_api_key")
end

local function check_model(self, call, body)
  if type(body.model) ~= "string" then
    refuse(call, 400, "you must provide a model parameter", nil, "model")
  elseif not self.models[body.model] then
    refuse(call, 404, "The model '" .. body.model .. "' does not exist", "model_not_found", "model")
  else
    return true
  end
end

local function complete(self, call, body, kind)
  if kind == "chat" and (type(body.messages) ~= "table" or #body.messages == 0) then
    return refuse(call, 400, "'messages' must be a list that is not empty", nil, "messages")
  elseif kind == "text" and body.prompt == nil then
    return refuse(call, 400, "you must provide a prompt", nil, "prompt")
  end
  local prefix = kind == "chat" and "chatcmpl-" or "cmpl-"
  call.completion = completion.new(kind, body, call.b, {
    id = call.id or prefix .. self.name .. "-" .. call.entry.id,
    created = self.place.wall_ns() // 1000000000,
    model = body.model,
  })
  call.entry.usage = call.completion.usage
  if body.stream == true then return stream(call, body) end
  if not wait(call, call.b.first_token_ms) then return end
  reply_whole(call, call.completion:whole())
end

local function embed(_, call, body)
  local inputs = body.input
  if type(inputs) == "string" or type(inputs) == "table" and type(inputs[1]) == "number" then inputs = { inputs } end
  if type(inputs) ~= "table" or #inputs == 0 then
    return refuse(call, 400, "'input' must be a text or a list of texts", nil, "input")
  end
  local data, tokens = json.array {}, 0
  for i, input in ipairs(inputs) do
    local given = type(input) == "string" and input or json.encode(input)
    local vector = text.vector(given, math.tointeger(body.dimensions) or DIMENSIONS)
    local value = json.array(vector)
    if body.encoding_format == "base64" then
      value = text.base64(string.pack("<" .. ("f"):rep(#vector), table.unpack(vector)))
    end
    tokens = tokens + text.count(given)
    data[i] = { object = "embedding", index = i - 1, embedding = value }
  end
  reply_whole(call, json.encode {
    object = "list", data = data, model = body.model, usage = { prompt_tokens = tokens, total_tokens = tokens },
  })
end

local function model_object(self, id)
  return { id = id, object = "model", created = 1700000000, owned_by = self.name }
end

local function list_models(self, call)
  local names, data = {}, json.array {}
  for id in pairs(self.models) do names[#names + 1] = id end
  table.sort(names)
  for i, id in ipairs(names) do data[i] = model_object(self, id) end
  reply_whole(call, json.encode { object = "list", data = data })
end

local function show_model(self, call)
  local id = call.x.path:match("^/v1/models/(.+)$")
  if not self.models[id] then return refuse(call, 404, "The model '" .. id .. "' does not exist", "model_not_found") end
  reply_whole(call, json.encode(model_object(self, id)))
end

local POSTS = {
  ["/v1/chat/completions"] = function(self, call, body) return complete(self, call, body, "chat") end,
  ["/v1/completions"] = function(self, call, body) return complete(self, call, body, "text") end,
  ["/v1/embeddings"] = embed,
}

local function route(self, call, body)
  local x = call.x
  if x.method == "GET" and x.path == "/v1/models" then return list_models(self, call) end
  if x.method == "GET" and x.path:find("^/v1/models/.") then return show_model(self, call) end
  local serve = POSTS[x.path]
  if not serve then return refuse(call, 404, "Unknown request URL: " .. x.method .. " " .. x.path, "unknown_url") end
  if x.method ~= "POST" then return refuse(call, 405, "Only POST is served here", "method_not_allowed") end
  if not body then return refuse(call, 400, "The body is not a JSON object", "invalid_json") end
  if check_model(self, call, body) then return serve(self, call, body) end
end

--- Faults that need no understanding of the request. Gives true when that was the answer.
local function strike_first(call, is_stream)
  local x, b = call.x, call.b
  if b.refuse then
    x:cut()
    call.ledger:finish(call.entry, "cut")
    return true
  end
  if b.hang then
    while x:wait(FOREVER_MS) do end
    return true
  end
  if not wait(call, b.delay_ms) then return true end
  if b.html and not b.status then b.status = 502 end
  if b.status and b.status ~= 200 then
    fail(call)
    return true
  end
  if b.garbage then
    call.entry.status = 200
    x:reply(200, is_stream and EVENTS or JSON, GARBAGE)
    call.ledger:finish(call.entry, "error")
    return true
  end
  return false
end

--- The behaviour that this request gets: the script's, with what it asks for itself on top.
local function choose(self, x, body)
  local asked = {}
  for _, source in ipairs { body and body.x_sim or false, x:header("x-sim") or false } do
    if source then
      local values, why = behaviour.read(source)
      if not values then return nil, why end
      asked[#asked + 1] = values
    end
  end
  return self.script:next({ model = body and body.model, path = x.path }, asked)
end

local function serve_api(self, x)
  local body = json.decode(x.body, { nulls = false })
  if type(body) ~= "table" then body = nil end
  local entry = self.ledger:begin(x, peri.hash and peri.hash.sha256_hex)
  entry.model = body and body.model
  local call = { x = x, entry = entry, ledger = self.ledger, b = {}, speaker = self.speaker }
  x:on_gone(function() self.ledger:gone(entry) end)
  local why
  call.b, why = choose(self, x, body)
  if not call.b then return refuse(call, 400, why, "bad_x_sim", "x_sim") end
  if not check_key(self, call) or strike_first(call, body and body.stream == true) then return end
  local by = self.speaker.admit(self, call, body)
  if by then route(by, call, body) end
end

-- Steering.

local function steer(self, x)
  local at = x.method .. " " .. x.path
  if at == "GET /sim/ledger" then
    x:reply(200, JSON, json.encode { name = self.name, entries = json.array(self.ledger:list()) })
  elseif at == "DELETE /sim/ledger" then
    self.ledger:clear()
    x:reply(204)
  elseif at == "GET /sim/state" then
    x:reply(200, JSON, json.encode {
      name = self.name, open = self.ledger.open, requests = self.ledger.last, queue = #self.script.queue,
    })
  elseif at == "POST /sim/script" then
    local options, why = json.decode(x.body, { nulls = false })
    local ok
    if type(options) == "table" then ok, why = self:play(options) end
    x:reply(ok and 204 or 400, JSON, not ok and error_body(tostring(why), "invalid_request_error") or nil)
  elseif at == "POST /sim/quit" then
    x:reply(204)
    self.has_quit = true
    self:close()
  else
    x:reply(404, JSON, error_body("Unknown request URL: " .. at, "invalid_request_error", "unknown_url"))
  end
end

--- Behave like this from now on.
---@param script table|nil see perilune.simnet.behaviour
---@return boolean? ok
---@return string? why
function methods:play(script)
  local made, why = behaviour.script(script)
  if not made then return nil, why end
  self.script = made
  return true
end

--- Stop: every open exchange is closed in the next turn of the loop.
function methods:close() self.server:close() end

--- Serve again after `close`, at the same address.
---@return boolean? ok
---@return string? why
---@return string? code
function methods:reopen()
  local server, why, code = self.place.serve { listen = self.listen, handler = self.handler }
  if not server then return nil, why, code end
  self.server = server
  return true
end

--- What a host of a network does otherwise than a plain provider: `error` writes the body of an error; `admit` gives
-- the provider that answers, or answers itself and gives nothing; `steer` answers under /sim, or gives true.
local PLAIN = { error = error_body, admit = function(self) return self end, steer = function() return true end }

--- Refuse a request in a host's own words; for `admit`.
---@param call table
---@param status integer
---@param message string
provider.refuse = refuse
--- Answer it with a whole body.
provider.reply = reply_whole

--- Start a provider. Inside peri.run it serves as long as that runs.
---@param options table|nil listen, name, models, key, script, speaker, place (machine.lua)
---@return table? provider with url, port, ledger and methods play, close
---@return string? why
---@return string? code
function provider.start(options)
  options = options or {}
  local place = options.place or machine
  local self = setmetatable({
    name = options.name or "sim", key = options.key, models = {}, place = place, ledger = ledger.new(place.now_ms),
    speaker = setmetatable(options.speaker or {}, { __index = PLAIN }),
  }, methods)
  for _, id in ipairs(options.models or { "sim-model" }) do self.models[id] = true end
  local ok, why = self:play(options.script)
  if not ok then return nil, why, "EINVAL" end
  self.handler = function(x)
    if not x.path:find("^/sim/") then return serve_api(self, x) end
    if self.speaker.steer(self, x) then steer(self, x) end
  end
  self.listen = options.listen or "127.0.0.1:0"
  local opened, reason, code = self:reopen()
  if not opened then return nil, reason, code end
  self.port = self.server.port
  self.listen = self.listen:gsub(":0$", ":" .. self.port)
  self.url = ("http://%s:%d/v1"):format(place.host, self.port)
  return self
end

return provider
