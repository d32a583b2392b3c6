--- raw: a TCP connection whose every byte the spec decides about.
-- Reads are bounded by time; what came is kept, so a spec can look at exact bytes.
local loop = require "spec.support.loop"
local socket = require "socket"

local raw = {}
local Raw = {}
Raw.__index = Raw

--- Wrap a connected socket.
function raw.wrap(sock)
  sock:settimeout(0)
  sock:setoption("tcp-nodelay", true)
  return setmetatable({ sock = sock, received = "", is_open = true, is_ended = false }, Raw)
end

function raw.connect(port, host)
  local sock = assert(socket.tcp())
  sock:settimeout(0)
  local ok, why = sock:connect(host or "127.0.0.1", port)
  if not ok and why ~= "timeout" and why ~= "Operation already in progress" then error(why, 2) end
  if not ok then
    loop.wait_writable(sock)
    ok, why = sock:connect(host or "127.0.0.1", port)
    if not ok and why ~= "already connected" then
      sock:close()
      error(why, 2)
    end
  end
  return raw.wrap(sock)
end

--- Send all of it. Gives nil and the reason when the other side has gone.
function Raw:send(bytes)
  local at = 1
  while at <= #bytes do
    if not self.is_open then return nil, "closed here" end
    local sent, why, part = self.sock:send(bytes, at)
    if not sent and why ~= "timeout" then return nil, why end
    at = (sent or part) + 1
    if at <= #bytes then loop.wait_writable(self.sock) end
  end
  return true
end

--- Wait for more bytes. Gives nil at the end of the stream, with "closed" or the error.
function Raw:more()
  while true do
    if not self.is_open then return nil, "closed here" end
    local all, why, part = self.sock:receive(65536)
    local bytes = all or part
    if bytes and #bytes > 0 then
      self.received = self.received .. bytes
      return bytes
    end
    if why ~= "timeout" then
      self.is_ended = true
      self.end_reason = why
      return nil, why
    end
    loop.wait_readable(self.sock)
  end
end

--- Look, without waiting, whether the other side has left.
function Raw:has_left()
  if self.is_open and not self.is_ended then
    local all, why, part = self.sock:receive(65536)
    self.received = self.received .. (all or part or "")
    if why and why ~= "timeout" then self.is_ended, self.end_reason = true, why end
  end
  return self.is_ended or not self.is_open
end

--- Take bytes off the front up to and including `mark` (plain text).
function Raw:take_until(mark)
  local from = 1
  while true do
    local first, last = self.received:find(mark, from, true)
    if first then
      local taken = self.received:sub(1, last)
      self.received = self.received:sub(last + 1)
      return taken
    end
    from = math.max(1, #self.received - #mark + 2)
    local bytes, why = self:more()
    if not bytes then return nil, why end
  end
end

function Raw:take(count)
  while #self.received < count do
    local bytes, why = self:more()
    if not bytes then return nil, why end
  end
  local taken = self.received:sub(1, count)
  self.received = self.received:sub(count + 1)
  return taken
end

--- Everything until the other side closes. The second value says how: "closed" or an error such as a reset.
function Raw:take_all()
  local _, why
  repeat _, why = self:more() until not _
  local taken = self.received
  self.received = ""
  return taken, why
end

function Raw:close()
  if self.is_open then
    self.is_open = false
    self.sock:close()
    loop.wake(self.sock)
  end
end

--- Close so that the other side sees a reset.
function Raw:reset()
  if self.is_open then
    self.sock:setoption("linger", { on = true, timeout = 0 })
    self:close()
  end
end

local function parse_head(text)
  local head = { headers = {}, raw = text }
  head.status = tonumber(text:match "^HTTP/1%.[01] (%d%d%d)")
  head.method, head.target = text:match "^(%u+) (%S+) HTTP"
  for name, value in text:gmatch "\r\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
    name = name:lower()
    local before = head.headers[name]
    head.headers[name] = before and before .. ", " .. value or value
  end
  return head
end

--- A message's head: status or method and target, headers by lower-case name.
function Raw:take_head()
  local text, why = self:take_until "\r\n\r\n"
  if not text then return nil, why end
  return parse_head(text)
end

--- One chunk of a chunked body; "" at its end; nil when the stream was cut.
function Raw:take_chunk()
  local line, why = self:take_until "\r\n"
  if not line then return nil, why end
  local size = tonumber(line:match "^%x+", 16)
  if not size then return nil, "bad chunk size " .. line end
  local bytes
  bytes, why = self:take(size + 2)
  if not bytes then return nil, why end
  if bytes:sub(-2) ~= "\r\n" then return nil, "bad chunk end" end
  return bytes:sub(1, -3)
end

--- A whole body after its head. `is_whole` is false when it was cut; then the bytes that came stand in the text.
function Raw:take_body(head)
  if head.headers["transfer-encoding"] then
    local parts = {}
    while true do
      local chunk = self:take_chunk()
      if not chunk then return table.concat(parts), false end
      if chunk == "" then return table.concat(parts), true end
      parts[#parts + 1] = chunk
    end
  end
  local length = tonumber(head.headers["content-length"] or "")
  if length then
    local bytes = self:take(length)
    if bytes then return bytes, true end
    return self.received, false
  end
  if head.status == nil or head.status == 204 or head.status == 304 then return "", true end
  local bytes, why = self:take_all()
  return bytes, why == "closed"
end

return raw
