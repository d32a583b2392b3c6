--- What a simulated provider has seen and done, one entry per request: the oracle that a test compares with.
local ledger = {}
ledger.__index = ledger

local ENTRIES_MAX = 10000 -- the oldest go first
local BODY_MAX = 65536 -- bytes of a body that are kept; `body_bytes` counts all

---@param now_ms fun(): integer
function ledger.new(now_ms)
  return setmetatable({ now_ms = now_ms, first = 1, last = 0, open = 0, entries = {} }, ledger)
end

--- A request has come. The handler that answers fills the entry in.
---@param x perilune.http_exchange
---@param digest fun(text: string): string? the body's hash, for bodies that are cut here
function ledger:begin(x, digest)
  self.last = self.last + 1
  self.open = self.open + 1
  local entry = {
    id = self.last, at_ms = self.now_ms(), method = x.method, path = x.path, query = x.query, headers = x.headers,
    body = x.body:sub(1, BODY_MAX), body_bytes = #x.body, body_sha256 = digest and digest(x.body),
    tokens = 0, outcome = "open",
  }
  self.entries[entry.id] = entry
  if self.last - self.first >= ENTRIES_MAX then
    self.entries[self.first] = nil
    self.first = self.first + 1
  end
  return entry
end

--- It is over: "done", "error", "cut", "reset", "eof", "stalled" or "client_gone". The first outcome counts.
function ledger:finish(entry, outcome)
  if entry.outcome ~= "open" then return end
  entry.outcome = outcome
  entry.end_ms = self.now_ms()
  self.open = self.open - 1
end

--- The client left before the answer was complete.
function ledger:gone(entry)
  entry.client_gone_ms = self.now_ms()
  self:finish(entry, "client_gone")
end

--- All entries in order.
---@return table[]
function ledger:list()
  return table.move(self.entries, self.first, self.last, 1, {})
end

function ledger:clear()
  self.entries, self.first = {}, self.last + 1
end

return ledger
