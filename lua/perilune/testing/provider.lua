--- provider: one scripted provider of a router under test, at a port of the test bed: `answers` instead of a `url`.
-- What a router of perilune.testing finds at a port is a site: `dialed(e)` says whether somebody answers a connection,
-- `take(e)` gets each request; both are told the router.
local json = require("perilune").json
local answers = require "perilune.testing.answers"

local provider = {}
local Provider = {}
Provider.__index = Provider

--- The list or function that says what a provider does.
---@param given any of `answers`
---@param what string the provider, for a failure
---@param default? string an answer when none is given
function provider.check_answers(given, what, default)
  if given == nil and default then return { answers.chat(default) } end
  if type(given) == "function" then return given end
  if answers.is(given) then given = { given } end
  if type(given) ~= "table" or #given == 0 then
    error(("%s: `answers` must be a list of testing.chat, testing.status …, or a function"):format(what), 0)
  end
  for i, answer in ipairs(given) do
    if not answers.is(answer) or not (answer.steps or answer.refuses) then
      error(("%s: answer %d is no answer, make it with testing.chat, testing.status …"):format(what, i), 0)
    end
  end
  return given
end

--- The answer to the n-th request of a list or function.
function provider.answer_of(given, what, request, n)
  local answer = type(given) == "function" and given(request, n) or given[math.min(n, #given)]
  if answers.is(answer) and answer.steps then return answer end
  error(("%s: its function gave %s, which is no answer to a request"):format(what,
    answers.is(answer) and "testing.refuse()" or "a " .. type(answer)), 0)
end

--- What a request brought, as tests see it.
function provider.request_of(router, e)
  return { method = e.method, path = e.path, query = e.query, body = e.body, json = json.decode(e.body),
    headers = router.header_map(e.headers), at_ms = router.bed:now_ms(), left = false }
end

--- The configuration's entry of a provider, and our side of it.
---@param given table the test's
---@param port integer
---@return table entry
---@return table site
function provider.open(router, given, port)
  if type(given.id) ~= "string" then error(("provider %d has no `id`"):format(port), 0) end
  if given.network then
    error(("provider '%s' is a network: in a test testing.gonka { … } makes one"):format(given.id), 0)
  end
  if given.url then
    error(("provider '%s' has a `url`: in a test its `answers` say what it does"):format(given.id), 0)
  end
  local entry, what = { url = ("http://192.0.2.1:%d/v1"):format(port) }, ("provider '%s'"):format(given.id)
  for name, value in pairs(given) do
    if tostring(name):lower():find "^answ" and name ~= "answers" then -- the configuration knows no such name
      error(("provider '%s' has no option '%s', did you mean 'answers'?"):format(given.id, name), 0)
    end
    if name ~= "answers" then entry[name] = value end
  end
  return entry, setmetatable({ router = router, id = given.id, what = what, asked_for = {}, asked = 0, requests = {},
    answers = provider.check_answers(given.answers, what, "hello from " .. given.id) }, Provider)
end

--- A list's answer is chosen with the connection, as one of them may be to refuse it.
function Provider:dialed(e)
  self.asked = self.asked + 1
  local answer = type(self.answers) == "table" and self.answers[math.min(self.asked, #self.answers)] or nil
  self.router:note_try(self.id)
  if answer and answer.refuses then
    self.router:note("%s refuses the connection", self.id)
    return false
  end
  self.asked_for[e.peer] = answer
  return true
end

function Provider:take(e)
  local request = provider.request_of(self.router, e)
  self.requests[#self.requests + 1] = request
  local answer = self.asked_for[e.peer] or provider.answer_of(self.answers, self.what, request, #self.requests)
  self.asked_for[e.peer] = nil
  self.router:note("%s is asked and %s", self.id, answer.says)
  self.router:play(e.id, answer, request, self.id)
end

return provider
