--- exchange: one request in the hands of a handler, as `peri.http.serve` gives it (_meta/http_server.lua), on a test
-- bed: the handler is a coroutine, and what it waits for happens in virtual time. Simulated networks are served so.
local exchange = {}
local Exchange = {}
Exchange.__index = Exchange

local function gone() return nil, "the client left", "ECLOSED" end

local function check_open(x)
  if x.is_gone then return false end
  if x.is_over then error("this exchange is over", 3) end
  return true
end

local function header_list(headers, date)
  local list, names, has_date = {}, {}, false
  for name in pairs(headers or {}) do
    names[#names + 1] = name
    has_date = has_date or name:lower() == "date"
  end
  table.sort(names)
  for _, name in ipairs(names) do list[#list + 1] = { name = name, value = tostring(headers[name]) } end
  if not has_date then list[#list + 1] = { name = "date", value = date } end
  return list
end

--- Hand a request to a handler.
---@param router table perilune.testing.router's
---@param e perilune.testbed.event of kind "request"
---@param place perilune.simnet.place
---@param handler fun(x: perilune.http_exchange)
function exchange.begin(router, e, place, handler)
  local x = setmetatable({ router = router, bed = router.bed, id = e.id, place = place, method = e.method,
    path = e.path, query = e.query or "", body = e.body, peer = e.peer, headers = router.header_map(e.headers),
    is_gone = false, is_over = false, is_started = false, sent = 0 }, Exchange)
  x.task = coroutine.create(handler)
  router.exchanges[e.id] = x
  x:run(x)
  return x
end

function Exchange:run(...)
  local ok, err = coroutine.resume(self.task, ...)
  if not ok then error(err, 0) end
  if coroutine.status(self.task) ~= "dead" or self.is_over or self.is_gone then return end
  if not self.is_started then error("a simulated server's handler returned without an answer", 0) end
  self:finish()
end

function Exchange:close()
  self.is_over = true
  self.router.exchanges[self.id] = nil
end

--- The router left before the answer was complete, or the server closes.
function Exchange:leave()
  if self.is_over then return end
  self.is_gone = true
  self:close()
  if self.when_gone then self.when_gone(self) end
  local waiting = self.waiting
  self.waiting = nil
  if waiting then self:run(gone()) end
end

function Exchange:header(name) return self.headers[name:lower()] end

function Exchange:start(status, headers, length)
  if not check_open(self) then return gone() end
  if self.is_started then error("the answer has started already", 2) end
  self.is_started = true
  local date = os.date("!%a, %d %b %Y %H:%M:%S GMT", self.place.wall_ns() // 1000000000)
  if not self.bed:start(self.id, status, header_list(headers, date), length) then return gone() end
  return true
end

function Exchange:write(bytes)
  if not check_open(self) then return gone() end
  if not self.is_started then error("the answer has not started: call start first", 2) end
  self.sent = self.sent + #bytes
  if bytes ~= "" and not self.bed:write(self.id, bytes) then return gone() end
  return true
end

function Exchange:flush()
  if not check_open(self) then return gone() end
  return true -- what is written to a bed leaves at once
end

function Exchange:finish()
  if not check_open(self) then return gone() end
  self:close()
  self.bed:finish(self.id)
  return true
end

function Exchange:cut()
  if not check_open(self) then return gone() end
  self:close()
  self.bed:cut(self.id)
  return true
end

function Exchange:reply(status, headers, body)
  local ok, why, code = self:start(status, headers, #(body or ""))
  if ok and body then ok, why, code = self:write(body) end
  if ok then ok, why, code = self:finish() end
  return ok, why, code
end

function Exchange:wait(ms)
  if not check_open(self) then return gone() end
  local token = {}
  self.waiting = token
  self.router:after(ms, function()
    if self.waiting ~= token then return end
    self.waiting = nil
    self:run(true)
  end)
  return coroutine.yield()
end

function Exchange:on_gone(fn)
  if not check_open(self) then return gone() end
  self.when_gone = fn
  return true
end

return exchange
