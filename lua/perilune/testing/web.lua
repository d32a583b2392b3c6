--- web: what everybody else answers: URLs that a router under test calls beside its providers, such as what a policy
-- fetches and where a network's webhook leads. A URL that is called and has no answer fails the test.
local provider = require "perilune.testing.provider"

local web = {}
local Web = {}
Web.__index = Web

local DEFAULT_PORTS = { http = "80", https = "443" }

--- "host[:port]/path", as a request says it: without the scheme, and without its port where that is the usual one.
local function place_of(url)
  local scheme, authority, path = url:match "^(https?)://([^/?#]+)([^?#]*)$"
  if not scheme then return nil end
  authority = authority:lower():gsub(":(%d+)$", function(port) return port == DEFAULT_PORTS[scheme] and "" or nil end)
  return authority .. (path == "" and "/" or path)
end

--- Answers by URL, or a function for them all.
---@param given table|fun(request: table, n: integer): table
function web.new(given)
  if type(given) ~= "table" and type(given) ~= "function" then
    error("testing.http takes a table from URLs to answers, or a function", 2)
  end
  local self = setmetatable({ requests = {}, entries = {} }, Web)
  if type(given) == "function" then
    self.any = { url = "testing.http", answers = given, count = 0 }
    return self
  end
  for url, said in pairs(given) do
    local place = type(url) == "string" and place_of(url)
    if not place then
      error("testing.http: expected a URL without a query, such as \"https://h/path\", got " .. tostring(url), 2)
    end
    self.entries[place] = { url = url, answers = provider.check_answers(said, url), count = 0 }
  end
  return self
end

--- Whether a value was made here.
function web.is(value) return getmetatable(value) == Web end

function Web:open(router) self.router = router end

function Web:dialed() return true end

function Web:take(e)
  local router, request = self.router, provider.request_of(self.router, e)
  local place = (request.headers.host or ""):lower() .. e.path
  local entry = self.entries[place] or self.any
  if not entry then
    error(("%s //%s is called, and testing.http has no answer for it"):format(e.method, place), 0)
  end
  request.url, request.host = entry.url, request.headers.host
  entry.count = entry.count + 1
  self.requests[#self.requests + 1] = request
  local answer = provider.answer_of(entry.answers, entry.url, request, entry.count)
  router:note("%s //%s is called and %s", e.method, place, answer.says)
  router:play(e.id, answer, request, place)
end

return web
